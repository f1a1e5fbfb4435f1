"""What is new, sent to the pages as it happens: server-sent events.

One watcher asks the database four times a second whether it has changed, while anybody listens, and
keeps the last changes in a log: which runs changed, and which series grew from how many points to
how many. A listener is a place in that log. A browser that lost its connection names the last place
it saw (`Last-Event-ID`) and gets what came after it; if that is no longer in the log it is told to
read everything anew. The points themselves are read when they are sent, for the runs and series
that the page shows.

    event: hello
    data: {"resumed": false, "trouble": null}

    id: 5f0c2a-17
    event: change
    data: {"runs": [...], "gone": [], "reload": [], "points": [{"run": "digits-...", "name": "loss",
           "from": 120, "to": 122, "x": [121, 122], "y": [0.5, 0.49]}], "trouble": null}

`runs` are summaries as in the list of runs; `gone` and `reload` are ids: of runs that were deleted,
and of runs whose points are to be read anew. `from` and `to` are numbers of points of the series
before and after; where very many came at once, `x` and `y` are a selection that keeps the extremes.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from starlette.concurrency import run_in_threadpool

from ..runs import Points, RunInfo, RunsError, Store, UnknownRunError
from .buckets import rounded
from .cache import SeriesCache
from .curves import placed
from .reading import summary

INTERVAL = 0.25
"""Seconds between two looks."""
SURVEY = 2.0
"""Seconds between two looks at the runs that are not running."""
REMEMBERED = 240
"""Changes that a listener may have missed."""
MOST_LISTENERS = 50
MOST_POINTS = 500
"""Of one series in one message."""
SILENCE = 15.0
"""Seconds after which a comment shows that the connection lives."""


@dataclass
class Change:
    """What happened between two looks, or several such together.

    Attributes:
        changed: ids of runs whose summary is another one.
        gone: ids of runs that were deleted.
        reload: ids of runs whose points were rewritten.
        grown: by run and series, the number of points before and after.
        trouble: why the database could not be read, or None.
    """

    changed: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    reload: set[str] = field(default_factory=set)
    grown: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    trouble: str | None = None

    def then(self, other: Change) -> None:
        """Add what happened later."""
        self.changed |= other.changed
        self.gone |= other.gone
        self.reload |= other.reload
        for key, (before, after) in other.grown.items():
            self.grown[key] = (self.grown.get(key, (before, 0))[0], after)
        self.trouble = other.trouble


class Watcher:
    """Notices what changes in a store, as long as somebody listens.

    Args:
        open_store: gives a store of the watcher's own.
        stopping: whether the server is about to end, and with it every stream.
    """

    def __init__(self, open_store: Callable[[], Store], stopping: Callable[[], bool]) -> None:
        self.stopping = stopping
        self.listeners = 0
        self.summaries: dict[str, dict[str, Any]] = {}
        self._open_store = open_store
        self._cache: SeriesCache | None = None
        self._boot = secrets.token_hex(4)
        self._log: deque[tuple[int, Change]] = deque(maxlen=REMEMBERED)
        self._last = 0
        self._trouble: str | None = None
        self._infos: dict[str, RunInfo] = {}
        self._counts: dict[str, dict[str, int]] = {}
        self._version: tuple[int, ...] | None = None
        self._surveyed: tuple[int, ...] | None = None
        self._survey_at = 0.0
        self._news = asyncio.Event()
        self._ready = asyncio.Event()
        self._wanted = asyncio.Event()

    # Watching

    async def watch(self) -> None:
        """Look again and again; cancelled when the server ends."""
        while True:
            if not self.listeners:
                self._wanted.clear()
                await self._wanted.wait()
            try:
                change = await run_in_threadpool(self._look)
            except RunsError as error:
                change = Change(trouble=str(error))
            if change is not None:
                self._note(change)
            self._ready.set()
            await asyncio.sleep(INTERVAL)

    def nudge(self) -> None:
        """Look at all runs next time: something was changed from here."""
        self._survey_at = 0.0
        self._version = None

    def _note(self, change: Change) -> None:
        if change == Change(trouble=self._trouble):
            return
        self._trouble = change.trouble
        self._last += 1
        self._log.append((self._last, change))
        self._news.set()
        self._news = asyncio.Event()

    def _look(self) -> Change | None:
        if self._cache is None:
            self._cache = SeriesCache(self._open_store(), most_bytes=1 << 20)
        store, now = self._cache.store, time.monotonic()
        version = store.version()
        survey = now >= self._survey_at
        if version == self._version and not survey:
            return None
        if survey and version != self._surveyed:
            infos = {info.id: info for info in store.runs()}
            gone = set(self._infos) - set(infos)
        else:
            infos = {info.id: info for info in store.runs(status="running")}
            over = [i for i, known in self._infos.items() if known.status == "running"]
            gone = set()
            for run_id in set(over) - set(infos):
                try:
                    infos[run_id] = store.get(run_id)
                except UnknownRunError:
                    gone.add(run_id)
        change = Change(gone=gone)
        for run_id in gone:
            for known in (self._infos, self._counts, self.summaries):
                known.pop(run_id, None)
        for info in infos.values():
            self._compare(store, info, change)
        self._version = version
        if survey:
            self._surveyed = version
            self._survey_at = now + SURVEY
        return change

    def _compare(self, store: Store, info: RunInfo, change: Change) -> None:
        """Note what is new in a run."""
        known = self._infos.get(info.id)
        if known == info:
            return
        series = store.series(info.id)
        before = self._counts.get(info.id)
        if known is None and self._surveyed is not None:
            before = {}  # it was begun since the last look
        counts = {found.name: found.count for found in series}
        new = summary(info, series)
        if known is not None or self._surveyed is not None:
            change.changed.add(info.id)
        if before is not None:
            if known is not None and known.rewinds != info.rewinds:
                change.reload.add(info.id)
            for name, count in counts.items():
                if count > before.get(name, 0):
                    change.grown[info.id, name] = (before.get(name, 0), count)
                elif count < before.get(name, 0):
                    change.reload.add(info.id)
        self.summaries[info.id] = new
        self._infos[info.id] = info
        self._counts[info.id] = counts

    # Listening

    async def listen(
        self, runs: list[str], names: list[str], axis: str, last: str | None
    ) -> AsyncIterator[str]:
        """The events of one connection, until it ends.

        Args:
            runs: ids of the runs whose points are wanted.
            names: of the series that are wanted.
            axis: where the points are placed.
            last: the last event that the listener has seen, if it has seen any.
        """
        self.listeners += 1
        try:
            place = self._place(last)
            self._wanted.set()
            # What changes from here on is noticed; a listener reads everything after this hello.
            while not self._ready.is_set() and not self.stopping():
                await self._waited(self._ready)
            hello = {"resumed": place is not None, "trouble": self._trouble}
            place = self._last if place is None else place
            yield f"retry: 1000\n{self._event('hello', place, hello)}"
            while not self.stopping():
                merged = Change(trouble=self._trouble)
                for number, change in list(self._log):
                    if number > place:
                        merged.then(change)
                if self._last > place:
                    place = self._last
                    data = await run_in_threadpool(self._data, merged, runs, names, axis)
                    yield self._event("change", place, data)
                    continue
                if not await self._heard():
                    yield ": still here\n\n"
        finally:
            self.listeners -= 1

    async def _heard(self) -> bool:
        """Wait for news, a while; whether there are any."""
        news, end = self._news, time.monotonic() + SILENCE
        while not self.stopping() and time.monotonic() < end:
            if await self._waited(news):
                return True
        return False

    async def _waited(self, event: asyncio.Event) -> bool:
        """Wait for an event, half a second at most; whether it came."""
        with suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), 0.5)
        return event.is_set()

    def _place(self, last: str | None) -> int | None:
        """The place of an event in the log, if everything after it is still there."""
        boot, _, number = (last or "").partition("-")
        if boot != self._boot or not number.isdecimal() or len(number) > 15:
            return None
        oldest = self._log[0][0] if self._log else self._last + 1
        return int(number) if oldest - 1 <= int(number) <= self._last else None

    def _event(self, name: str, place: int, data: dict[str, Any]) -> str:
        text = json.dumps(data, separators=(",", ":"), allow_nan=False)
        return f"id: {self._boot}-{place}\nevent: {name}\ndata: {text}\n\n"

    def _data(
        self, change: Change, runs: Iterable[str], names: list[str], axis: str
    ) -> dict[str, Any]:
        trouble, points = change.trouble, []
        try:
            for run_id in runs:
                for name in names:
                    if (run_id, name) in change.grown and run_id not in change.reload:
                        points += self._points(run_id, name, axis, *change.grown[run_id, name])
        except UnknownRunError:
            change.reload |= set(runs)
        except RunsError as error:
            trouble = str(error)
            change.reload |= set(runs)
        changed = [self.summaries.get(run_id) for run_id in sorted(change.changed)]
        return {
            "runs": [found for found in changed if found is not None],
            "gone": sorted(change.gone),
            "reload": sorted(change.reload),
            "points": points,
            "trouble": trouble,
        }

    def _points(
        self, run_id: str, name: str, axis: str, before: int, after: int
    ) -> list[dict[str, Any]]:
        info = self._infos.get(run_id)
        if info is None or self._cache is None:
            return []
        new, n = self._cache.store.points(run_id, name, after=before), after - before
        points = Points(new.steps[:n], new.times[:n], new.values[:n]).thinned(MOST_POINTS)
        x = placed(self._cache, info, points, name, axis)
        if x is None:
            return []
        where = {"run": run_id, "name": name, "from": before, "to": after}
        return [where | {"x": rounded(x, 12), "y": rounded(points.values)}]
