"""The Messages API as bytes and objects: requests, answers, event streams, errors; no I/O."""

from __future__ import annotations

from .answer import Answer, local_body, local_events
from .assembly import Assembly, read_answer
from .call import Call, read_call
from .failure import error_body, error_event
from .sse import Event, EventParser, last_end, write_event

__all__ = [
    "Answer",
    "Assembly",
    "Call",
    "Event",
    "EventParser",
    "error_body",
    "error_event",
    "last_end",
    "local_body",
    "local_events",
    "read_answer",
    "read_call",
    "write_event",
]
