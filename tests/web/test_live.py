"""Events: what another process writes arrives within two seconds, once, after a loss too. R12.2."""

from __future__ import annotations

import asyncio
import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from groundup.runs import Store
from groundup.web.live import MOST_LISTENERS, MOST_POINTS, Watcher

from .conftest import ROOT, Served, start, stop

LONGEST = 2.0
"""Seconds within which a point must arrive."""


class Stream:
    """An event stream, read message by message."""

    def __init__(self, address: str, query: str = "", last: str | None = None) -> None:
        self.connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=20)
        headers = {} if last is None else {"Last-Event-ID": last}
        self.connection.request("GET", f"/api/events?{query}", headers=headers)
        self.response = self.connection.getresponse()
        assert self.response.status == 200
        assert self.response.headers["content-type"].startswith("text/event-stream")
        self.last = last

    def next(self) -> tuple[str, dict[str, Any]]:
        """The next message: its kind and data."""
        kind, data = "", ""
        while True:
            line = self.response.readline().decode().rstrip("\n")
            name, _, value = line.partition(": ")
            if name == "event":
                kind = value
            elif name == "data":
                data = value
            elif name == "id":
                self.last = value
            elif not line and data:
                return kind, json.loads(data)

    def until(self, test: Any, seconds: float = 15.0) -> list[dict[str, Any]]:
        """The changes up to one that passes a test."""
        found, end = [], time.monotonic() + seconds
        while time.monotonic() < end:
            kind, data = self.next()
            if kind == "change":
                found.append(data)
                if test(data):
                    return found
        raise AssertionError(f"it did not come within {seconds} seconds: {found}")


@contextmanager
def stream(address: str, query: str = "", last: str | None = None) -> Iterator[Stream]:
    found = Stream(address, query, last)
    try:
        yield found
    finally:
        found.connection.close()


WRITER = """
import sys, time
from groundup.runs import Store
with Store(sys.argv[1]) as store:
    run = None
    for line in sys.stdin:
        if line == "begin\\n":
            if run is not None:
                run.finish()
            run = store.start("line")
            print(run.id, flush=True)
            continue
        for step in eval(line):
            run.log(step, loss=float(step), other=0.0)
        print(time.time(), flush=True)
"""


class Writer:
    """Another process that logs what it is told to."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip
        self.begin()

    def _ask(self, line: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def begin(self) -> None:
        """End the run, if there is one, and begin another."""
        self.run = self._ask("begin")

    def log(self, steps: range) -> float:
        """Log points; when they were logged."""
        return float(self._ask(repr(steps)))

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process.wait(20)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all tests here; each has a run of its own."""
    folder = tmp_path_factory.mktemp("live")
    process, address = start(folder)
    yield Served(folder, address)
    stop(process)


@pytest.fixture(scope="module")
def process(shared: Served) -> Iterator[Writer]:
    found = Writer(shared.folder)
    yield found
    found.close()


@pytest.fixture
def writer(process: Writer) -> Writer:
    """A process that has just begun a run."""
    process.begin()
    return process


def x_of(changes: list[dict[str, Any]]) -> list[float]:
    """All x that came, after a look whether the counts fit together."""
    points = [points for change in changes for points in change["points"]]
    for before, after in pairwise(points):
        assert after["from"] == before["to"]
    return [x for one in points for x in one["x"]]


def test_a_point_arrives_within_two_seconds(shared: Served, writer: Writer) -> None:
    with stream(shared.address, f"run={writer.run}&name=loss") as events:
        assert events.next() == ("hello", {"resumed": False, "trouble": None})
        for step in range(1, 4):
            logged = writer.log(range(step, step + 1))
            changes = events.until(lambda change, step=step: step in x_of([change]))
            assert time.time() - logged < LONGEST
            (points,) = changes[-1]["points"]
            assert points["run"] == writer.run
            assert points["name"] == "loss"
            assert points["y"] == [float(step)]
            (summary,) = [run for run in changes[-1]["runs"] if run["id"] == writer.run]
            assert summary["metrics"]["loss"] == step


def test_every_point_arrives_once(shared: Served, writer: Writer) -> None:
    with stream(shared.address, f"run={writer.run}&name=loss") as events:
        for start_at in range(0, 100, 10):
            writer.log(range(start_at, start_at + 10))
            time.sleep(0.1)
        changes = events.until(lambda change: 99 in x_of([change]))
    assert x_of(changes) == list(range(100))


def test_after_a_loss_the_stream_goes_on_where_it_broke_off(shared: Served, writer: Writer) -> None:
    query = f"run={writer.run}&name=loss"
    with stream(shared.address, query) as events:
        writer.log(range(10))
        first = events.until(lambda change: 9 in x_of([change]))
        last = events.last
    for start_at in (10, 20, 30):
        writer.log(range(start_at, start_at + 10))
        time.sleep(0.6)
    with stream(shared.address, query, last) as events:
        assert events.next() == ("hello", {"resumed": True, "trouble": None})
        second = events.until(lambda change: 39 in x_of([change]))
    assert x_of(first + second) == list(range(40))


@pytest.mark.parametrize("last", ["", "x", "00000000-1", "-1", "9" * 99, "a-" + "9" * 50])
def test_an_unknown_place_means_reading_anew(shared: Served, last: str) -> None:
    with stream(shared.address, f"after={last}") as events:
        assert events.next() == ("hello", {"resumed": False, "trouble": None})


def test_after_the_server_was_started_again(shared: Served, writer: Writer) -> None:
    with stream(shared.address) as events:
        writer.log(range(3))
        events.until(lambda change: change["runs"])
        last = events.last
    process, address = start(shared.folder)
    try:
        with stream(address, last=last) as events:
            assert events.next()[1]["resumed"] is False
    finally:
        stop(process)


def test_very_many_points_are_thinned(shared: Served, writer: Writer) -> None:
    with stream(shared.address, f"run={writer.run}&name=loss&name=other") as events:
        writer.log(range(5000))
        changes = events.until(lambda change: 4999 in x_of([{"points": change["points"][:1]}]))
    for change in changes:
        for points in change["points"]:
            assert len(points["x"]) <= MOST_POINTS


def test_a_rewind_means_reading_anew(shared: Served) -> None:
    with Store(shared.folder) as store, store.start("line") as run:
        run.log(1, loss=1.0)
        run.log(2, loss=2.0)
        run.flush()
        with stream(shared.address, f"run={run.id}&name=loss") as events:
            events.next()
            time.sleep(0.5)
            run.rewind(1)
            run.log(2, loss=5.0)
            events.until(lambda change: run.id in change["reload"])


def test_the_end_of_a_run_and_a_new_tag_are_told(shared: Served) -> None:
    with stream(shared.address) as events:
        events.next()
        with Store(shared.folder) as store:
            with store.start("line") as run:
                run.log(1, loss=1.0)

            def status(change: dict[str, Any]) -> dict[str, Any]:
                return next((r for r in change["runs"] if r["id"] == run.id), {})

            events.until(lambda change: status(change).get("status") == "done")
            store.label(run.id, tags=["best"])
            events.until(lambda change: status(change).get("tags") == ["best"])
            store.delete(run.id)
            events.until(lambda change: run.id in change["gone"])


def test_a_killed_process_is_told(shared: Served) -> None:
    writer = Writer(shared.folder)
    writer.log(range(3))
    with stream(shared.address) as events:
        writer.process.kill()
        lost = (writer.run, "lost")
        events.until(lambda change: lost in [(r["id"], r["status"]) for r in change["runs"]])
    for pipe in (writer.process.stdin, writer.process.stdout):
        assert pipe is not None
        pipe.close()
    writer.process.wait(20)


def test_the_server_ends_at_once_although_pages_listen(tmp_path: Path) -> None:
    process, address = start(tmp_path)
    with stream(address) as events:
        events.next()
        began = time.monotonic()
        output = stop(process)
        assert time.monotonic() - began < 5
    assert "Traceback" not in output


def test_not_everybody_can_listen(shared: Served) -> None:
    streams = [Stream(shared.address) for _ in range(MOST_LISTENERS)]
    for one in streams:
        assert one.next()[0] == "hello"
    connection = http.client.HTTPConnection(urlsplit(shared.address).netloc, timeout=20)
    connection.request("GET", "/api/events")
    answer = connection.getresponse()
    assert answer.status == 503
    assert "close some" in json.loads(answer.read())["error"]
    connection.close()
    for one in streams:
        one.connection.close()
    # Who left is noticed, and others are let in.
    end = time.monotonic() + 20
    while time.monotonic() < end:
        connection = http.client.HTTPConnection(urlsplit(shared.address).netloc, timeout=20)
        connection.request("GET", "/api/events")
        status = connection.getresponse().status
        connection.close()
        if status == 200:
            return
        time.sleep(0.5)
    raise AssertionError("nobody is let in any more")


# Nobody looks, nothing is done: training has the computer for itself.
def test_nothing_is_read_while_nobody_listens(tmp_path: Path) -> None:
    looks = []

    def open_store() -> Store:
        looks.append(time.monotonic())
        return Store(tmp_path)

    async def main() -> None:
        watcher = Watcher(open_store, lambda: False)
        task = asyncio.create_task(watcher.watch())
        await asyncio.sleep(0.6)
        assert not looks
        messages = watcher.listen([], [], "step", None)
        assert "hello" in await anext(messages)
        assert len(looks) == 1
        await messages.aclose()
        assert watcher.listeners == 0
        task.cancel()

    asyncio.run(main())
