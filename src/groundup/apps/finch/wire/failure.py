"""The errors that the proxy itself makes, in the shape of the Messages API's own.

The clients choose their exception by the status, and try again at 408, 409, 429 and from 500 on.
"""

from __future__ import annotations

import json

from .sse import write_event

KINDS = {
    400: "invalid_request_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    421: "invalid_request_error",
    431: "invalid_request_error",
    502: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""The `type` of an error by its status."""


def error_body(status: int, words: str) -> bytes:
    """The body of an error.

    Args:
        status: one of `KINDS`.
        words: what was given, what was expected, what to do.

    Example:
        >>> error_body(502, "nobody answers")
        b'{"type":"error","error":{"type":"api_error","message":"finch: nobody answers"}}'
    """
    return json.dumps({"type": "error", **_error(status, words)}, separators=(",", ":")).encode()


def error_event(status: int, words: str) -> bytes:
    """The event that ends a stream which cannot go on; arguments as for `error_body`.

    Example:
        >>> error_event(504, "too slow").splitlines()[0]
        b'event: error'
    """
    return write_event("error", _error(status, words))


def _error(status: int, words: str) -> dict[str, object]:
    return {"error": {"type": KINDS[status], "message": f"finch: {words}"}}
