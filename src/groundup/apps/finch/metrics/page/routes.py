"""Where the page is, to be mounted beside the proxy's own paths.

    GET  /finch/                 the page
    GET  /finch/snapshot.json    what it shows, as `Metrics.snapshot` gives it
    GET  /finch/log              requests as JSON, the newest first, without what was said:
                                 limit, before, scope, task, decision, agreed, since, until
    GET  /finch/metrics          for Prometheus

The charting library, the looks and the guard before it all are those of the dashboard of runs,
whose files are read from where they are.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.staticfiles import StaticFiles

import groundup

from .....web.security import Guard, Hosts
from ...errors import FinchError
from ...store import DECISIONS, Filter
from ..prometheus import CONTENT_TYPE, text

STATIC = Path(__file__).parent / "static"
SHARED = Path(groundup.__file__).parent / "web" / "static"
LARGEST = 2**53
ADVICE = ", or tell the server of a name that is its own: --allow-host NAME"


def routes(
    snapshot: Callable[[], Mapping[str, Any]],
    *,
    log: Callable[[Filter], Mapping[str, Any]],
    host: str = "127.0.0.1",
    names: Iterable[str] = (),
) -> list[BaseRoute]:
    """What an application adds to its own routes, before any that takes all paths.

    Args:
        snapshot: gives what is shown; called in a thread, about once a second for each open page.
        log: gives a page of the log, as `store.page` does.
        host: the address that will be listened on; it decides which `Host` headers are accepted.
        names: further names that the server is reached by.

    Example:
        >>> from groundup.apps.finch.metrics import Metrics
        >>> found = routes(Metrics().snapshot, log=lambda wanted: {"requests": [], "before": None})
        >>> [route.path for route in found]
        ['/finch', '/finch']
    """

    def page(request: Request) -> Response:
        return FileResponse(STATIC / "index.html")

    def state(request: Request) -> Response:
        return told(lambda: Answer(snapshot()))

    def requests(request: Request) -> Response:
        return told(lambda: Answer(log(wanted(request.query_params))))

    def metrics(request: Request) -> Response:
        return told(lambda: Response(text(snapshot()), media_type=CONTENT_TYPE))

    inside = Router(
        [
            Route("/", page),
            Route("/snapshot.json", state),
            Route("/log", requests),
            Route("/metrics", metrics),
            Mount("/static", StaticFiles(directory=STATIC)),
            Mount("/shared", StaticFiles(directory=SHARED)),
        ]
    )

    def enter(request: Request) -> Response:
        return RedirectResponse("/finch/")

    return [
        Route("/finch", enter),
        Mount("/finch", app=Guard(inside, Hosts(host, names), advice=ADVICE)),
    ]


class Refused(Exception):  # noqa: N818 - it is an answer
    """An address that cannot be read, in words."""


def told(make: Callable[[], Response]) -> Response:
    """An answer, or what kept it from being made."""
    try:
        return make()
    except Refused as error:
        return Answer({"error": str(error)}, 400)
    except FinchError as error:
        return Answer({"error": str(error)}, 503)


class Answer(JSONResponse):
    """JSON without NaN."""

    def render(self, content: Any) -> bytes:
        """The bytes of a value."""
        return json.dumps(content, separators=(",", ":"), allow_nan=False).encode()


def wanted(query: Mapping[str, str]) -> Filter:
    """The rows that an address asks for.

    Raises:
        Refused: something in it cannot be read.

    Example:
        >>> wanted({"decision": "local", "limit": "10"}).limit
        10
    """
    readers: dict[str, Callable[[str], Any]] = {
        "before": _whole,
        "limit": _whole,
        "scope": _name,
        "task": _name,
        "decision": _decision,
        "agreed": _truth,
        "since": _moment,
        "until": _moment,
    }
    found: dict[str, Any] = {}
    for name, given in query.items():
        if name not in readers:
            raise Refused(f"{name[:60]!r}: expected one of {', '.join(readers)}")
        try:
            found[name] = readers[name](given)
        except ValueError as error:
            raise Refused(f"{name} is {given[:60]!r}, expected {error}") from None
    return Filter(**found)


def _whole(given: str) -> int:
    if not (given.isascii() and given.isdecimal()) or not 0 < int(given[:20]) < LARGEST:
        raise ValueError("a whole number above 0")
    return int(given)


def _name(given: str) -> str:
    if not given.isalnum() or len(given) > 64:
        raise ValueError("hexadecimal digits")
    return given


def _decision(given: str) -> str:
    if given not in DECISIONS:
        raise ValueError(f"one of {', '.join(DECISIONS)}")
    return given


def _truth(given: str) -> bool:
    if given not in ("true", "false"):
        raise ValueError("true or false")
    return given == "true"


def _moment(given: str) -> float:
    words = "seconds since 1970"
    try:
        value = float(given)
    except ValueError:
        raise ValueError(words) from None
    if not math.isfinite(value):
        raise ValueError(words)
    return value
