"""Mixed traffic through a whole server: nothing served that must not be, nothing lost or leaked.

R14.1, R14.3, R14.5, R14.6. Requests of all kinds, twenty at a time; the server in processes of its
own, so that their memory can be looked at; the remote side counts for itself what comes to it.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import statistics
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.apps.finch.service.mixture import KEYS, NUMBER, Mixture, Remote, Sent, reply_to
from tests.apps.finch.service.quick import COMMAND, QUICK, Server, resident

from groundup.apps.finch.store import Home, Store, status

LONG, LONG_SECONDS = 100_000, 1200.0
"""Requests of the long test, and seconds after which it is content with fewer."""
AT_ONE_TIME = 20
DELTA = 0.1
SETTINGS = {"delta": DELTA, "share": 1}
MB = 1 << 20


@dataclass
class Tally:
    """What the client has seen, and memory on the way."""

    kinds: Counter[str] = field(default_factory=Counter)
    local: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    altered: list[str] = field(default_factory=list)
    wrong: int = 0
    counted: int = 0
    passed: int = 0
    served: set[int] = field(default_factory=set)
    forwarded: set[int] = field(default_factory=set)
    retried: list[str] = field(default_factory=list)
    learnable: int = 0
    memory: list[tuple[int, int]] = field(default_factory=list)


async def soaked(server: Server, remote: Remote, count: int, seconds: float, seed: int) -> Tally:
    """Send so many requests, or for so long."""
    tally, mixture = Tally(), Mixture(seed)
    end = time.monotonic() + seconds
    numbers = iter(range(count))
    [worker] = server.workers()

    async def caller(client: httpx2.AsyncClient) -> None:
        for number in numbers:
            if time.monotonic() > end:
                return
            if number % (count // 50) == 0:
                tally.memory.append((resident(server.pid), resident(worker)))
            for place, sent in enumerate(mixture.next()):
                await one(client, remote, tally, 4 * number + place, sent)

    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=AT_ONE_TIME)
    async with httpx2.AsyncClient(base_url=server.ready(), timeout=60, limits=limits) as client:
        await asyncio.gather(*(caller(client) for _ in range(AT_ONE_TIME)))
        tally.memory.append((resident(server.pid), resident(worker)))
        told = (await client.get("/finch/snapshot.json")).json()["requests"]
    assert server.workers() == [worker], "the process that learns died"
    assert told["local"] == tally.local.total()
    assert sum(told.values()) == tally.counted
    return tally


async def one(
    client: httpx2.AsyncClient, remote: Remote, tally: Tally, number: int, sent: Sent
) -> None:
    remote.sent[number] = sent
    headers = {**sent.headers, NUMBER: str(number)}
    tally.kinds[sent.kind] += 1
    tally.counted += sent.counts
    tally.passed += sent.counts and not sent.may
    async with client.stream(sent.method, sent.target, headers=headers, content=sent.body) as reply:
        if sent.kind == "leaver":
            await anext(reply.aiter_raw())
            body = reply_to(sent)[1]
        else:
            body = await reply.aread()
    how = reply.headers["x-finch"]
    if how == "local":
        tally.local[sent.kind] += 1
        tally.served.add(number)
        tally.wrong += said(sent, body) != sent.truth
        if not sent.may:
            tally.violations.append(f"{number}: {sent.kind}")
    else:
        tally.forwarded.add(number)
        tally.learnable += sent.may
        if how != "forwarded" or (reply.status_code, body) != reply_to(sent):
            tally.altered.append(f"{number}: {sent.kind}, {how}, {reply.status_code}")
    if sent.kind == "retry":
        tally.retried.append(sent.query)


def said(sent: Sent, body: bytes) -> str:
    """The text of an answer."""
    if not sent.stream:
        return str(json.loads(body)["content"][0]["text"])
    data = (json.loads(line[6:]) for line in body.splitlines() if line.startswith(b"data: "))
    return "".join(d["delta"]["text"] for d in data if d["type"] == "content_block_delta")


async def through(
    home: Path, log: Path, count: int, seconds: float, seed: int, command: Sequence[str] = QUICK
) -> Tally:
    """All of it, with what has to hold whatever its length."""
    remote = Remote()
    async with remote.serving() as address:
        with log.open("w") as file, Server(address, home, file, command, SETTINGS) as server:
            await asyncio.to_thread(server.ready)
            tally = await soaked(server, remote, count, seconds, seed)
            deadline = time.monotonic() + 5
            while remote.open > AT_ONE_TIME and time.monotonic() < deadline:
                await asyncio.sleep(0.05)
            assert remote.open <= AT_ONE_TIME, "requests of clients that left are still open"
            server.send(signal.SIGTERM, all_=False)
            assert await asyncio.to_thread(server.gone) == 143
            assert "Traceback" not in server.said()
    # By the header, and by what came to the remote side.
    assert tally.violations == []
    assert tally.altered == []
    assert remote.changed == []
    assert set(remote.seen) == tally.forwarded
    assert set(remote.seen.values()) == {1}
    assert tally.served.isdisjoint(tally.forwarded)
    return tally


def check_log(home: Path, tally: Tally) -> None:
    """The log says what the client saw, and nothing was learned that should not be."""
    totals = status(Home(home, make=False))["totals"]
    requests = {decision: found["requests"] for decision, found in totals.items()}
    assert requests["local"] == tally.local.total()
    assert requests["pass"] == tally.passed
    assert requests["forward"] + requests["audit"] == tally.learnable
    assert sum(requests.values()) == tally.counted
    assert totals["audit"]["agreed"] > 0
    with closing(sqlite3.connect(Home(home).database)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        (rows,) = db.execute("SELECT count(*) FROM requests").fetchone()
        texts = db.execute("SELECT query, answer FROM texts").fetchall()
    assert rows == tally.counted
    assert b"remote words" not in {answer for _, answer in texts}, "a must-forward was learned"
    learned = Counter(query.decode() for query, _ in texts)
    assert max(learned[query] for query in tally.retried) == 1
    assert len(texts) <= tally.learnable
    with Store(home) as store:
        states = [store.minds.load(saved.scope, saved.task) for saved in store.minds]
    counts: list[dict[str, Any]] = [state.content["counts"] for state in states if state]
    assert 0.9 * len(texts) <= sum(one["answers"] for one in counts) <= len(texts)
    # A mind that was put away between question and answer did not count.
    assert 0.98 * tally.local.total() <= sum(one["local"] for one in counts) <= tally.local.total()


def planted(home: Path, *logs: Path) -> Iterator[str]:
    """Files in which one of the keys stands."""
    for path in [*logs, *(path for path in home.rglob("*") if path.is_file())]:
        content = path.read_bytes()
        yield from (f"{path.name}: {key}" for key in KEYS if key.encode() in content)


def growth(values: list[int], warm: float) -> float:
    """Bytes by which the last samples are above those after a share of warming up."""
    fifth = max(len(values) // 5, 2)
    start = round(warm * len(values))
    return statistics.median(values[-fifth:]) - statistics.median(values[start : start + fifth])


def test_mixed_traffic(tmp_path: Path) -> None:
    home, log = tmp_path / "home", tmp_path / "log"
    tally = asyncio.run(through(home, log, 1000, 60.0, seed=1))
    check_log(home, tally)
    assert tally.local["label"] > 50
    assert tally.wrong <= DELTA * tally.local.total()
    assert len(tally.kinds) > 15
    assert len(tally.retried) > 5
    assert list(planted(home, log)) == []
    for which in zip(*tally.memory, strict=True):
        assert growth(list(which), 0.4) < 16 * MB


@pytest.mark.slow
@pytest.mark.timeout(2 * LONG_SECONDS)
@pytest.mark.parametrize(
    ("command", "worker"),
    [
        pytest.param(QUICK, 12 * MB, id="students"),
        pytest.param(COMMAND, 40 * MB, id="transformers"),
    ],
)
def test_a_hundred_thousand_mixed_requests(
    tmp_path: Path, command: Sequence[str], worker: int
) -> None:
    home, log = tmp_path / "home", tmp_path / "log"
    tally = asyncio.run(through(home, log, LONG, LONG_SECONDS, 2, command))
    check_log(home, tally)
    share = tally.local["label"] / tally.kinds["label"]
    assert share > 0.5, f"{share:.0%} of what may be answered here was"
    assert tally.wrong <= DELTA * tally.local.total()
    assert list(planted(home, log)) == []
    server, mind = zip(*tally.memory, strict=True)
    assert growth(list(server), 0.5) < 4 * MB, f"the server grew: {server}"
    # What eight tasks may keep of their queries is not full by then.
    assert growth(list(mind), 0.5) < worker, f"the process that learns grew: {mind}"
