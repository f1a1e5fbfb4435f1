"""What the server answers, as JSON.

    GET   /api/about          version, folder, bounds
    GET   /api/runs           a page of runs, the newest first: offset, limit
    GET   /api/runs/{id}      everything about a run but its points
    PATCH /api/runs/{id}      {"tags": [...], "note": "..."}: change one or both
    GET   /api/runs/{id}/figures/{file}    a figure as it was written
    GET   /api/series         curves of one series: run (repeated), name, x, log, low, high, buckets
    GET   /api/layers         a statistic of all layers of a run: run, kind, low, high, buckets
    GET   /api/figures        which figures runs have: run (repeated)
    GET   /api/claims         claims and verdicts of runs: run (repeated)
    GET   /api/events         what is new, as it happens: run and name (repeated), x; see `live`

A request that cannot be answered gets ``{"error": words}`` with a status: 400 (malformed), 404 (no
such run or figure), 413, 414, 415 (too much, or of the wrong kind), 403, 405, 421 (see `security`),
503 (the database or the disk does not answer; the request may be repeated). Numbers that are not
finite are null.
"""

from __future__ import annotations

import json
import mimetypes
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Route

from ..runs import RunInfo, Store, UnknownRunError
from . import parameters
from .cache import SeriesCache
from .curves import AXES, curves, layers
from .live import MOST_LISTENERS, Watcher
from .parameters import Refused, refuse
from .reading import detail, summary, verdict

PAGE = 500
"""Runs in an answer, at most."""
BUCKETS = (10, 4000)
LARGEST_FIGURE = 50_000_000
"""Bytes; a browser takes long to draw more, and the page with it."""
FIGURES = {"image/svg+xml", "image/png", "image/jpeg", "image/gif", "image/webp"}
FIGURE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
"""A figure that is opened by itself may be drawn, and nothing else: no script, no network."""


class Answer(Response):
    """JSON without NaN and without spaces."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The bytes of a value."""
        text = json.dumps(content, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
        return text.encode()


class Api:
    """The answers, from a store for reading and another one for writing.

    A writer may have to wait for other processes; who reads does not wait with it.
    """

    def __init__(self, reader: Store, writer: Store, watcher: Watcher, version: str) -> None:
        self.reader = reader
        self.writer = writer
        self.watcher = watcher
        self.version = version
        self.cache = SeriesCache(reader)

    def routes(self) -> list[Route]:
        """Where everything is."""
        return [
            Route("/api/about", self.about),
            Route("/api/runs", self.runs),
            Route("/api/runs/{id}", self.run),
            Route("/api/runs/{id}", self.label, methods=["PATCH"]),
            Route("/api/runs/{id}/figures/{file}", self.figure),
            Route("/api/series", self.series),
            Route("/api/layers", self.layers),
            Route("/api/figures", self.figures),
            Route("/api/claims", self.claims),
            Route("/api/events", self.events),
        ]

    def about(self, request: Request) -> Answer:
        """What this dashboard is."""
        return Answer(
            {
                "version": self.version,
                "folder": str(self.reader.folder),
                "most_runs": parameters.MOST_RUNS,
                "page": PAGE,
            }
        )

    def runs(self, request: Request) -> Answer:
        """A page of summaries."""
        offset = parameters.integer(request, "offset", 0, 0, 10**7)
        limit = parameters.integer(request, "limit", PAGE, 1, PAGE)
        infos = self.reader.runs(most=offset + limit + 1)
        page = infos[offset : offset + limit]
        return Answer(
            {
                "runs": [summary(info, self.reader.series(info.id)) for info in page],
                "more": len(infos) > offset + limit,
            }
        )

    def run(self, request: Request) -> Answer:
        """Everything about a run."""
        return Answer(detail(self.reader, self._one(request.path_params["id"])))

    async def label(self, request: Request) -> Answer:
        """Change tags and note."""
        run_id = parameters.run_id(request.path_params["id"])
        tags, note = parameters.labels(await parameters.json_object(request))

        def write() -> RunInfo:
            return self.writer.label(run_id, tags=tags, note=note)

        info = await run_in_threadpool(write)
        self.watcher.nudge()
        return Answer({"id": info.id, "tags": list(info.tags), "note": info.note})

    def series(self, request: Request) -> Answer:
        """One series of several runs."""
        infos = self._several(request)
        (name,) = parameters.series_names(request, most=1)
        axis = parameters.one_of(request, "x", AXES)
        log = parameters.one_of(request, "log", ("0", "1")) == "1"
        most = parameters.integer(request, "buckets", 1000, *BUCKETS)
        low, high = self._range(request)
        return Answer(curves(self.cache, infos, name, axis, log, low, high, most))

    def layers(self, request: Request) -> Answer:
        """One statistic of all layers of one run."""
        infos = self._several(request)
        if len(infos) != 1:
            refuse(f"run is given {len(infos)} times, expected once")
        kind = request.query_params.get("kind")
        if kind is not None:
            parameters.series_name(kind)
        low, high = self._range(request)
        most = parameters.integer(request, "buckets", 300, 10, 1000)
        return Answer(layers(self.cache, infos[0], kind, low, high, most))

    def figures(self, request: Request) -> Answer:
        """Names, steps and files of figures."""
        found = [
            {"run": info.id, "name": m.name, "step": m.step, "time": m.time, "file": m.path.name}
            for info in self._several(request)
            for m in self.reader.media(info.id)[:2000]
        ]
        return Answer({"figures": found})

    def figure(self, request: Request) -> Response:
        """The file of a figure that the run has logged; no other file of the disk."""
        info = self._one(request.path_params["id"])
        file = request.path_params["file"]
        found = next((m for m in self.reader.media(info.id) if m.path.name == file), None)
        kind = mimetypes.guess_type(file)[0]
        if found is None or kind not in FIGURES:
            refuse(f"{info.id} has no figure {file[:100]!r}", 404)
        path = found.path.resolve()
        if path.parent != info.folder.resolve() / "figures" or not path.is_file():
            refuse(f"{info.id}: the file of figure {file[:100]!r} is missing", 404)
        if path.stat().st_size > LARGEST_FIGURE:
            refuse(f"{path} has more than {LARGEST_FIGURE:,} bytes; open it from the disk", 413)
        return FileResponse(
            path,
            media_type=kind,
            headers={"content-security-policy": FIGURE_POLICY, "cache-control": "no-cache"},
        )

    def claims(self, request: Request) -> Answer:
        """Claims and verdicts."""
        found = [
            {"run": info.id, **verdict(v)}
            for info in self._several(request)
            for v in self.reader.verdicts(info.id)[:500]
        ]
        return Answer({"claims": found})

    async def events(self, request: Request) -> Response:
        """What is new, as it happens."""
        runs = parameters.run_ids(request, least=0)
        names = parameters.series_names(request, least=0)
        axis = parameters.one_of(request, "x", AXES)
        last = request.headers.get("last-event-id") or request.query_params.get("after")
        if self.watcher.listeners >= MOST_LISTENERS:
            refuse(f"{MOST_LISTENERS} pages are listening already; close some", 503)
        stream = self.watcher.listen(runs, names, axis, (last or "")[:100])
        return StreamingResponse(
            stream, media_type="text/event-stream", headers={"x-accel-buffering": "no"}
        )

    def _one(self, text: str) -> RunInfo:
        return self.reader.get(parameters.run_id(text))

    def _several(self, request: Request) -> list[RunInfo]:
        return [self.reader.get(found) for found in parameters.run_ids(request)]

    def _range(self, request: Request) -> tuple[float | None, float | None]:
        low, high = parameters.number(request, "low"), parameters.number(request, "high")
        if low is not None and high is not None and low > high:
            refuse(f"low is {low:g} and high is {high:g}, expected low below high")
        return low, high


def words_for(error: Exception) -> tuple[int, str]:
    """Status and words of an answer to what went wrong.

    Example:
        >>> words_for(Refused(400, "too long"))
        (400, 'too long')
    """
    if isinstance(error, Refused):
        return error.status, error.words
    if isinstance(error, UnknownRunError):
        return 404, str(error)
    return 503, str(error)
