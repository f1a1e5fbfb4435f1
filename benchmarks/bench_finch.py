"""How long a user of finch waits: for answers made here, and for the first byte of others.

Four processes: a stand-in for the remote API, the server of `finch serve` with the process in
which its minds learn, and the client side. First the server is taught with so many labelled
requests (CLINC150). Then answers made here are timed, beside the stand-in's own, which come at
once. Last come streams that are forwarded, as in bench_finch_proxy.py, while a mind learns. Some
are of the task that was taught, each made of halves of two requests, so that it waits for a thought
of all stages, and many are forwarded after all; these are timed. Others are of a task whose answers
come at random, of which nothing can be served, so that nobody waits, while all stages think of
each. What is added is the difference of the quantiles, through the server less direct.
``--write`` puts the tables into docs/performance.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import cycle, islice, product
from typing import Any

import httpx2
from bench_finch_proxy import (
    BODY,
    INTERVAL,
    LEVELS,
    TURNS,
    Remote,
    call,
    length,
    process,
    quantiles,
)  # fmt: skip
from harness import markdown_table, processor, write_section

from groundup.apps.finch.rehearsal.clinc150 import INSTRUCTION, load_clinc150
from groundup.apps.finch.wire import local_body, read_call

SEED = 100
ANSWERS = dict(load_clinc150(SEED))
QUERIES = sorted(ANSWERS)
NAMES = sorted(set(ANSWERS.values()))
TAUGHT = 4000
TOGETHER = 200
"""Requests that are sent to teach, until all of which the models have been asked."""
TIMED = {1: 500, 10: 1500}
"""Requests at one time: how many are timed."""
PAUSE = 0.1
"""Mean seconds from an answer to the next request of a caller."""
PATIENCE = (10.0, 2.0)
"""Milliseconds that a request waits at most: of serve, and so few that the students are alone."""
LABELLED = {
    "model": "some-model", "max_tokens": 16, "temperature": 0, "system": INSTRUCTION,
}  # fmt: skip
STREAMED = {name: value for name, value in json.loads(BODY).items() if name != "stream"}
REQUEST = (
    b"POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nx-api-key: sk-benchmark\r\n"
    b"anthropic-version: 2023-06-01\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\n\r\n%b"
)


class Labels(Remote):
    """The stand-in: gives labels at once, and streams where a number of events is asked for."""

    def data_received(self, data: bytes) -> None:
        head, _, body = (self.taken + data).partition(b"\r\n\r\n")
        if b"x-events: " in head:
            super().data_received(data)
            return
        self.taken += data
        if len(body) == length(head):
            self.taken = b""
            fields = json.loads(body)
            known = fields["system"] == INSTRUCTION
            query = fields["messages"][0]["content"]
            label = ANSWERS[query] if known else random.choice(NAMES)
            told = local_body(read_call("POST", "/v1/messages", {}, body), label, "1", 12, 3)
            self.transport.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nrequest-id: req_1\r\n"
                b"content-length: %d\r\n\r\n%b" % (len(told), told)
            )


def doubtful() -> bytes:
    """A request of the task that was taught: halves of two, so that most stages are in doubt."""
    one, other = (random.choice(QUERIES).split() for _ in range(2))
    words = " ".join([*one[: len(one) // 2], *other[len(other) // 2 :]])
    turns = [{"role": "user", "content": words}]
    return json.dumps({**LABELLED, "stream": True, "messages": turns}).encode()


STREAMS: Mapping[str, Callable[[], bytes]] = {
    "some answers are served here": doubtful,
    "none can be served yet": lambda: BODY,
}
"""Tasks, and their requests."""


async def asked(
    port: int, queries: Iterator[str], task: dict[str, Any], pause: float
) -> list[tuple[bool, float]]:
    """Requests one after the other: whether each was answered here, and its seconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    found = []
    for query in queries:
        body = json.dumps({**task, "messages": [{"role": "user", "content": query}]}).encode()
        began = time.perf_counter()
        writer.write(REQUEST % (len(body), body))
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(length(head))
        found.append((b"x-finch: local" in head, time.perf_counter() - began))
        await asyncio.sleep(random.uniform(0, 2 * pause))
    writer.close()
    await writer.wait_closed()
    return found


async def asked_at_one_time(
    port: int, at_one_time: int, queries: Iterator[str], pause: float = PAUSE
) -> list[tuple[bool, float]]:
    callers = (asked(port, queries, LABELLED, pause) for _ in range(at_one_time))
    return [one for some in await asyncio.gather(*callers) for one in some]


async def stand_in() -> None:
    server = await asyncio.get_running_loop().create_server(Labels, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def serve(upstream: str, patience: float) -> None:
    from groundup.apps.finch.service.loop import run
    from groundup.apps.finch.service.serve import Service
    from groundup.apps.finch.settings import read_settings
    from groundup.cli.messages import stops_at_sigterm

    with stops_at_sigterm(), tempfile.TemporaryDirectory() as folder:
        flags = {"upstream": upstream, "home": f"{folder}/home", "port": 0, "patience": patience}
        with Service(read_settings(flags, {})) as service:
            port = service.listener.getsockname()[1]
            run(service.run(lambda: print(port, flush=True)))


def teach(port: int) -> None:
    """Requests of the streams' task, for as long as the process lives."""
    print(port, flush=True)
    queries = (query for query, _ in cycle(load_clinc150(SEED)))
    asyncio.run(asked(port, queries, STREAMED, PAUSE))


def snapshot(port: int) -> dict[str, Any]:
    found = httpx2.get(f"http://127.0.0.1:{port}/finch/snapshot.json").json()
    assert isinstance(found, dict)
    return found


def wait_until_all_were_thought_of(server: int) -> None:
    """Until the process that learns has answered all."""
    before = -1
    while (now := snapshot(server)["stages"].get("thought", {"count": 0})["count"]) != before:
        before = now
        time.sleep(1.1)  # it tells each second


def local_answers(remote: int, server: int, taught: int) -> list[list[str]]:
    """Teach, then time answers made here."""
    stream = (query for query, _ in cycle(load_clinc150(SEED)))
    for _ in range(0, taught, TOGETHER):
        asyncio.run(asked(server, islice(stream, TOGETHER), LABELLED, 0.0))
        wait_until_all_were_thought_of(server)
    rows = []
    for level, count in TIMED.items():
        queries = islice(stream, count)
        found = asyncio.run(asked_at_one_time(server, level, queries))
        direct = asyncio.run(asked_at_one_time(remote, level, islice(stream, count)))
        local = [seconds for here, seconds in found if here]
        assert len(local) > 9, f"{len(local)} of {count} were answered here; teach it more"
        numbers = (*quantiles([seconds for _, seconds in direct]), *quantiles(local))
        rows.append([str(level), str(len(local)), *(f"{n:.2f}" for n in numbers)])
        print(rows[-1], flush=True)
    return rows


def streams(remote: int, server: int, levels: list[int], turns: int) -> list[list[str]]:
    """Time streams that are forwarded, while requests come to be learned from."""
    rows = []
    with process("--role", "teach", str(server), script=__file__):
        time.sleep(5)  # until the task has a mind
        for (task, words), level in product(STREAMS.items(), levels):
            found: dict[int, list[float]] = {remote: [], server: []}
            for _ in range(turns):
                for port, times in found.items():
                    times += asyncio.run(call(port, level, *LEVELS[level], words))
            direct, through = quantiles(found[remote]), quantiles(found[server])
            added = [b - a for a, b in zip(direct, through, strict=True)]
            numbers = (*direct, *through, *added)
            shown = [f"{n:.2f}" for n in numbers]
            rows.append([task, str(level), str(len(found[server])), *shown])
            print(rows[-1], flush=True)
    return rows


def quoted(*names: str) -> list[str]:
    """Heads of two columns for each."""
    return [head for name in names for head in (f"{name} p50, ms", "p99")]


def act(role: str, port: int, patience: float) -> None:
    """What one of the processes does until it is ended."""
    match role:
        case "remote":
            asyncio.run(stand_in())
        case "serve":
            serve(f"http://127.0.0.1:{port}", patience)
        case "teach":
            teach(port)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--role", choices=["remote", "serve", "teach"], help=argparse.SUPPRESS)
    parser.add_argument("port", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("--levels", type=int, nargs="+", default=list(LEVELS), choices=LEVELS)
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--taught", type=int, default=TAUGHT, help="labelled requests at first")
    parser.add_argument("--patience", type=float, nargs="+", default=PATIENCE, help="ms, of serve")
    parser.add_argument("--write", action="store_true", help="put the tables into the page")
    options = parser.parse_args()
    if options.role is not None:
        with suppress(KeyboardInterrupt):
            act(options.role, int(options.port or 0), options.patience[0])
        return
    here: list[list[str]] = []
    there: list[list[str]] = []
    for patience in options.patience:
        waits = "--patience", str(patience)
        with (
            process("--role", "remote", script=__file__) as remote,
            process("--role", "serve", str(remote), *waits, script=__file__) as server,
        ):
            first = f"{patience:g}"
            here += ([first, *row] for row in local_answers(remote, server, options.taught))
            found = streams(remote, server, options.levels, options.turns)
            there += ([first, *row] for row in found)
    head = ["waits, ms", "requests at one time", "answered here", *quoted("direct", "here")]
    local = markdown_table(head, here)
    head = [
        "waits, ms", "the task", "streams at one time", "measured",
        *quoted("direct", "through", "added"),
    ]  # fmt: skip
    forwarded = markdown_table(head, there)
    print(f"{local}\n\n{forwarded}")
    if options.write:
        write_section(
            "finch",
            "## Finch: what a user waits for\n\nWhole answers made here, in ms, after "
            f"{options.taught:,} labelled requests of CLINC150 were seen; beside a stand-in for "
            "the remote API that answers at once. The mind learns on meanwhile.\n\n"
            f"{local}\n\nWho waits 10 ms at most (the default of `--patience`) waits for the "
            "transformers where the students are in doubt, who waits 2 ms for the students alone. "
            "Time to the first byte of a streamed answer that is forwarded, in ms, "
            f"while minds learn; an event every {INTERVAL * 1e3:.0f} ms in each stream. Where some "
            "answers of a task are served, each request is made of halves of two and waits for a "
            "thought, and those that were forwarded are measured. All "
            f"processes share this machine ({processor()}). Made by `python "
            f"benchmarks/bench_finch.py --turns {options.turns} --write`.\n\n{forwarded}",
        )


if __name__ == "__main__":
    main()
