"""What finch's proxy adds to the time to the first byte of an answer that it passes on.

Three processes, each with one event loop: a stand-in for the remote API, which sends an event
every 50 ms; the proxy, which considers every request, forwards it and keeps its answer; and the
client side, which holds so many streams open at one time and starts the next one when one ends.
The first and the last speak HTTP by hand, to take as little of the machine as they can. Added is
the difference of the quantiles, through the proxy less direct. ``--write`` puts the table into
docs/performance.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from harness import markdown_table, processor, write_section

from groundup.apps.finch.wire import write_event

INTERVAL = 0.05
LEVELS = {1: (4, 60), 10: (20, 12), 100: (20, 12)}
"""Streams at one time: events of a stream, streams one after the other."""
TURNS = 3
"""Direct and through the proxy in turns, so that a change in the machine's speed meets both."""
HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"
    b"request-id: req_1\r\n\r\n"
)
BODY = json.dumps(
    {
        "model": "some-model",
        "max_tokens": 64,
        "system": "Name the intent of the request with one label.",
        "messages": [{"role": "user", "content": "where is the card that I ordered last week"}],
        "stream": True,
    }
).encode()
REQUEST = (
    b"POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nx-api-key: sk-benchmark\r\n"
    b"anthropic-version: 2023-06-01\r\ncontent-type: application/json\r\naccept: text/event-stream"
    b"\r\nx-events: %d\r\ncontent-length: %d\r\n\r\n%b"
)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


START = chunk(
    write_event("message_start", {"message": {"usage": {"input_tokens": 1, "output_tokens": 1}}})
)


def delta(text: str) -> bytes:
    return chunk(
        write_event(
            "content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": text}}
        )
    )


DELTA = delta("some words ")
STOP = chunk(write_event("message_stop", {})) + b"0\r\n\r\n"


def length(head: bytes) -> int:
    return int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or -1)


class Remote(asyncio.Protocol):
    """The stand-in for the API: answers every request with as many events as it asks for."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.taken = b""

    def data_received(self, data: bytes) -> None:
        self.taken += data
        head, _, body = self.taken.partition(b"\r\n\r\n")
        if len(body) == length(head):
            events = int(head.partition(b"x-events: ")[2].partition(b"\r\n")[0])
            self.taken = b""
            # Each answer is another, so that nobody can learn what to answer.
            self.transport.write(HEAD + START + delta(f"{random.random()} "))
            asyncio.get_running_loop().call_later(INTERVAL, self.next, events - 3)

    def next(self, left: int) -> None:
        if not self.transport.is_closing():
            self.transport.write(DELTA if left else STOP)
            if left:
                asyncio.get_running_loop().call_later(INTERVAL, self.next, left - 1)


class Caller(asyncio.Protocol):
    """One stream after the other on one connection; notes when each that is forwarded begins."""

    def __init__(self, events: int, streams: int, words: Callable[[], bytes]) -> None:
        self.events, self.left, self.words = events, streams, words
        self.times: list[float] = []
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def ask(self) -> None:
        self.waiting, self.local = True, False
        self.end = b""
        body = self.words()
        request = REQUEST % (self.events, len(body), body)
        self.asked = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.local = self.local or b"x-finch: local" in data
        if self.waiting and b"event: " in data:
            if not self.local:
                self.times.append(time.perf_counter() - self.asked)
            self.waiting = False
        self.end = (self.end + data)[-5:]
        if self.end == b"0\r\n\r\n":
            self.left -= 1
            if self.left:
                # Not all at one time: those who ask are not told to by each other.
                pause = random.uniform(0, 2 * INTERVAL)
                asyncio.get_running_loop().call_later(pause, self.ask)
            elif not self.done.done():
                self.done.set_result(self.times)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(RuntimeError("the connection ended before the answer did"))


async def call(
    port: int,
    at_one_time: int,
    events: int,
    streams: int,
    words: Callable[[], bytes] = lambda: BODY,
) -> list[float]:
    """Seconds to the first event of every forwarded stream but the first of each connection."""
    loop = asyncio.get_running_loop()
    callers = []
    for _ in range(at_one_time):
        _, caller = await loop.create_connection(
            lambda: Caller(events, streams, words), "127.0.0.1", port
        )
        callers.append(caller)
        loop.call_later(random.uniform(0, events * INTERVAL), caller.ask)
    return [seconds for caller in callers for seconds in (await caller.done)[1:]]


async def stand_in() -> None:
    server = await asyncio.get_running_loop().create_server(Remote, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def proxy(upstream: str) -> None:
    import uvicorn

    from groundup.apps.finch.proxy import Silent, create_app, listen, server_settings

    with listen("127.0.0.1", 0) as listener:
        print(listener.getsockname()[1], flush=True)
        app = create_app(upstream, Silent(), scope_of=lambda headers: "")
        uvicorn.Server(server_settings(app)).run(sockets=[listener])


@contextmanager
def process(*arguments: str, script: str = __file__) -> Iterator[int]:
    """A process of a script, this one by default, that prints the port on which it listens."""
    command = [sys.executable, script, *arguments]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        yield int(child.stdout.readline())
    finally:
        child.terminate()
        child.wait()


def quantiles(values: list[float]) -> tuple[float, float]:
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return cuts[49] * 1e3, cuts[98] * 1e3


def measure(levels: list[int], turns: int) -> list[list[str]]:
    rows = []
    with process("--role", "remote") as remote, process("--role", "proxy", str(remote)) as between:
        for level in levels:
            found: dict[int, list[float]] = {remote: [], between: []}
            for _ in range(turns):
                for port, times in found.items():
                    times += asyncio.run(call(port, level, *LEVELS[level]))
            direct, through = quantiles(found[remote]), quantiles(found[between])
            added = [b - a for a, b in zip(direct, through, strict=True)]
            numbers = (*direct, *through, *added)
            rows.append([str(level), str(len(found[between])), *(f"{n:.2f}" for n in numbers)])
            print(rows[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--role", choices=["remote", "proxy"], help=argparse.SUPPRESS)
    parser.add_argument("remote", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("--levels", type=int, nargs="+", default=list(LEVELS), choices=LEVELS)
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--write", action="store_true", help="put the table into the page")
    options = parser.parse_args()
    if options.role == "remote":
        with suppress(KeyboardInterrupt):
            asyncio.run(stand_in())
        return
    if options.role == "proxy":
        proxy(f"http://127.0.0.1:{options.remote}")
        return
    head = [
        "streams at one time",
        "measured",
        "direct p50, ms",
        "p99",
        "through p50, ms",
        "p99",
        "added p50, ms",
        "p99",
    ]
    table = markdown_table(head, measure(options.levels, options.turns))
    print(table)
    if options.write:
        write_section(
            "finch proxy",
            "## Finch: what the proxy adds\n\nTime to the first byte of a streamed answer that is "
            f"forwarded, in ms; an event every {INTERVAL * 1e3:.0f} ms in each stream; server, "
            f"proxy and callers share this machine ({processor()}). Made by "
            f"`python benchmarks/bench_finch_proxy.py --write`.\n\n{table}",
        )


if __name__ == "__main__":
    main()
