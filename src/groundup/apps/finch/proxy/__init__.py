"""The HTTP side: an application that stands in for the Messages API and passes on to it."""

from __future__ import annotations

from .app import create_app
from .brain import Brain, Exchange, Silent, Verdict, new_ident
from .limits import Limits
from .scope import key_scope
from .server import listen, server_settings

__all__ = [
    "Brain",
    "Exchange",
    "Limits",
    "Silent",
    "Verdict",
    "create_app",
    "key_scope",
    "listen",
    "new_ident",
    "server_settings",
]
