"""Packages that only this application needs, of the extra ``grn``: imported when they are used."""

from __future__ import annotations

import importlib
import zlib
from typing import Any

from ..errors import GRNError

UNREADABLE = (OSError, EOFError, zlib.error)
"""What reading a file raises, compressed ones among them."""


def extra(name: str) -> Any:
    """A package of the extra.

    Args:
        name: of the module, such as ``anndata``.

    Raises:
        GRNError: it is not installed; with the command that installs it.

    Example:
        >>> extra("no_such_package")
        Traceback (most recent call last):
        ...
        groundup.apps.grn.errors.GRNError: no_such_package is missing; install it with:
        pip install "groundup[grn]"
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        missing = (error.name or name).partition(".")[0]
        raise GRNError(
            f'{missing} is missing; install it with: pip install "groundup[grn]"'
        ) from error
