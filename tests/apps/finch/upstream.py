"""A stand-in for the remote API, and servers in threads, for the tests of finch.

Every request is recorded; what is answered says a `Reply`, chosen by a function of the request.
The events are written out here by hand, so that they do not depend on what they test.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from groundup.apps.finch.proxy import (
    Exchange,
    Limits,
    Verdict,
    create_app,
    key_scope,
    listen,
    new_ident,
)
from groundup.apps.finch.proxy.server import server_settings
from groundup.apps.finch.wire import Call

KEY = "sk-planted-5f0c9a"
OLD = {"x-api-key": KEY, "anthropic-version": "2023-06-01", "content-type": "application/json"}
NEW = {
    "authorization": f"Bearer {KEY}",
    "anthropic-version": "2026-10-21",
    "content-type": "application/json",
}
SALT = b"salt of the tests"


def scope_of(headers: Mapping[str, str]) -> str:
    """As a server's own."""
    return key_scope(headers, SALT)


def ask(text: str = "where is my card", **fields: object) -> dict[str, object]:
    """A request that may be answered locally, and what is changed in it."""
    return {
        "model": "some-model",
        "max_tokens": 64,
        "messages": [{"role": "user", "content": text}],
        **fields,
    }


def message(text: str = "card_arrival", **fields: object) -> dict[str, object]:
    """A whole answer as one object."""
    return {
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "model": "some-model-2",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 12, "output_tokens": 5},
        **fields,
    }


def event(name: str, **data: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (
        name.encode(),
        json.dumps({"type": name, **data}).encode(),
    )


def message_events(pieces: Sequence[str] = ("card", "_arr", "ival")) -> list[bytes]:
    """A whole answer as events."""
    start = message(content=[], stop_reason=None, usage={"input_tokens": 12, "output_tokens": 1})
    return [
        event("message_start", message=start),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        event("ping"),
        *(
            event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
            for piece in pieces
        ),
        event("content_block_stop", index=0),
        event(
            "message_delta",
            delta={"stop_reason": "end_turn", "stop_sequence": None},
            usage={"output_tokens": 5},
        ),
        event("message_stop"),
    ]


def tool_events() -> list[bytes]:
    """An answer that calls a tool."""
    block = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}
    return [
        event("message_start", message=message(content=[], stop_reason=None)),
        event("content_block_start", index=0, content_block=block),
        *(
            event(
                "content_block_delta",
                index=0,
                delta={"type": "input_json_delta", "partial_json": part},
            )
            for part in ('{"ci', 'ty": "Oslo"}')
        ),
        event("content_block_stop", index=0),
        event(
            "message_delta",
            delta={"stop_reason": "tool_use", "stop_sequence": None},
            usage={"output_tokens": 9},
        ),
        event("message_stop"),
    ]


def error(kind: str, words: str = "no") -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": words}}).encode()


@dataclass
class Reply:
    """What is answered.

    Attributes:
        pieces: of the body, each sent by itself.
        delay: seconds before the head.
        gap: seconds before every piece but the first.
        die_after: pieces after which the connection is closed without an end.
        gate: pieces after the first wait for this.
    """

    status: int = 200
    headers: Sequence[tuple[str, str]] = ()
    pieces: Sequence[bytes] = ()
    delay: float = 0.0
    gap: float = 0.0
    die_after: int | None = None
    gate: threading.Event | None = None


def whole(body: object = None, status: int = 200, **options: Any) -> Reply:
    """An answer in one JSON object."""
    told = body if isinstance(body, bytes) else json.dumps(body or message()).encode()
    headers = [
        ("content-type", "application/json"),
        ("content-length", str(len(told))),
        ("request-id", "req_up"),
        *options.pop("headers", ()),
    ]
    return Reply(status, headers, [told], **options)


def streamed(events: Sequence[bytes] | None = None, **options: Any) -> Reply:
    """An answer in events."""
    headers = [("content-type", "text/event-stream; charset=utf-8"), ("request-id", "req_up")]
    return Reply(200, headers, events or message_events(), **options)


def zipped(reply: Reply) -> Reply:
    """The same answer, compressed."""
    body = gzip.compress(b"".join(reply.pieces))
    kept = [(name, value) for name, value in reply.headers if name != "content-length"]
    reply.headers = [*kept, ("content-encoding", "gzip")]
    half = len(body) // 2
    reply.pieces = [body[:half], body[half:]]
    return reply


def by_request(seen: Seen) -> Reply:
    """What the API would answer, in short."""
    if seen.target.startswith("/v1/messages/count_tokens"):
        return whole({"input_tokens": 12})
    if not seen.target.startswith(("/v1/messages", "/v1/models")):
        return whole({})
    if seen.target.startswith("/v1/models"):
        model = {
            "type": "model",
            "id": "some-model",
            "display_name": "Some",
            "created_at": "2026-01-01T00:00:00Z",
        }
        if seen.target.split("?")[0] == "/v1/models":
            return whole({"data": [model], "has_more": False, "first_id": None, "last_id": None})
        return whole(model)
    fields = json.loads(seen.body or b"{}") or {}
    if fields.get("tools"):
        content = [{"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "O"}}]
        call = message(content=content, stop_reason="tool_use")
        return streamed(tool_events()) if fields.get("stream") else whole(call)
    return streamed() if fields.get("stream") else whole()


@dataclass
class Seen:
    """A request that arrived."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    taken: int
    left: threading.Event = field(default_factory=threading.Event)
    sent: int = 0

    def header(self, name: str) -> str | None:
        return dict(self.headers).get(name)


class Upstream:
    """The stand-in; `script` chooses the replies, `seen` has the requests."""

    def __init__(self) -> None:
        self.script: Callable[[Seen], Reply] = by_request
        self.seen: list[Seen] = []
        self.address = ""
        self.keep = True  # the bodies of requests
        self.app = Starlette(routes=[Mount("/", app=self.answer)])

    def always(self, reply: Reply) -> None:
        self.script = lambda seen: reply

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, taken, more = bytearray(), 0, True
        while more:
            part = await receive()
            if part["type"] == "http.disconnect":
                return
            piece = part.get("body", b"")
            taken += len(piece)
            body += piece if self.keep else b""
            more = part.get("more_body", False)
        query = scope["query_string"]
        target = (scope["raw_path"] + (b"?" + query if query else b"")).decode("latin-1")
        headers = [(a.decode("latin-1"), b.decode("latin-1")) for a, b in scope["headers"]]
        seen = Seen(scope["method"], target, headers, bytes(body), taken)
        self.seen.append(seen)
        watcher = asyncio.create_task(self._watch(receive, seen))
        try:
            await self._reply(self.script(seen), seen, send)
        finally:
            watcher.cancel()

    async def _watch(self, receive: Receive, seen: Seen) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        seen.left.set()

    async def _reply(self, reply: Reply, seen: Seen, send: Send) -> None:
        await self._wait(reply.delay, seen)
        if seen.left.is_set():
            return
        headers = [(a.encode("latin-1"), b.encode("latin-1")) for a, b in reply.headers]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        for number, piece in enumerate(reply.pieces):
            if number:
                await self._wait(reply.gap, seen)
            while number and reply.gate and not reply.gate.is_set() and not seen.left.is_set():
                await asyncio.sleep(0.002)
            if reply.die_after == number or seen.left.is_set():
                return
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            seen.sent += len(piece)
        if reply.die_after is None:
            await send({"type": "http.response.body", "body": b""})

    async def _wait(self, seconds: float, seen: Seen) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not seen.left.is_set():
            await asyncio.sleep(min(0.005, seconds))


class Watching:
    """A brain that does as told and notes what it is told."""

    def __init__(self) -> None:
        self.decide: Callable[[Call], Verdict] = lambda call: Verdict(new_ident(), False)
        self.delay = 0.0
        self.calls: list[tuple[Call, str]] = []
        self.exchanges: list[Exchange] = []
        self._since = time.time()  # what began earlier is of the test before
        self._news = threading.Condition()

    async def consider(self, call: Call, scope: str) -> Verdict:
        self.calls.append((call, scope))
        await asyncio.sleep(self.delay)
        return self.decide(call)

    def ended(self, exchange: Exchange) -> None:
        if exchange.began >= self._since:
            with self._news:
                self.exchanges.append(exchange)
                self._news.notify_all()

    def serve(self, text: str) -> None:
        self.decide = lambda call: Verdict(new_ident(), True, text, "sure", 12, 3)

    def wait(self, count: int = 1, seconds: float = 5.0) -> list[Exchange]:
        """The exchanges, once there are so many."""
        with self._news:
            self._news.wait_for(lambda: len(self.exchanges) >= count, seconds)
            return list(self.exchanges)


@contextlib.contextmanager
def serving(
    app: ASGIApp, limits: Limits | None = None, certificate: Path | None = None
) -> Iterator[str]:
    """An application behind a socket of loopback, in a thread; yields its address."""
    listener = listen()
    config = server_settings(app, limits)
    if certificate is not None:
        config.ssl_certfile = config.ssl_keyfile = str(certificate)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.002)
        scheme = "http" if certificate is None else "https"
        yield f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(1)
        server.force_exit = True  # what is still open would be waited for
        thread.join(5)
        listener.close()


@dataclass
class Stage:
    """A proxy in front of the stand-in."""

    upstream: Upstream
    brain: Watching
    address: str
    client: httpx2.Client

    def post(
        self, body: object, headers: dict[str, str] | None = None, path: str = "/v1/messages"
    ) -> httpx2.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.client.post(self.address + path, content=content, headers=headers or OLD)

    def get(self, path: str, headers: dict[str, str] | None = None) -> httpx2.Response:
        return self.client.get(self.address + path, headers=headers or OLD)

    def connect(self) -> socket.socket:
        """A bare connection to the proxy."""
        parts = urlsplit(self.address)
        return socket.create_connection((parts.hostname, parts.port), timeout=10)


@contextlib.contextmanager
def stage(limits: Limits | None = None, **options: Any) -> Iterator[Stage]:
    """A proxy in front of the stand-in, both running."""
    upstream, brain = Upstream(), Watching()
    with serving(upstream.app) as upstream.address:
        app = create_app(upstream.address, brain, limits, scope_of=scope_of, **options)
        with serving(app, limits) as address, httpx2.Client(verify=False, timeout=20) as client:
            yield Stage(upstream, brain, address, client)


@contextlib.contextmanager
def dying(answer: bytes, requests: list[bytes] | None = None) -> Iterator[str]:
    """A server that reads a request, sends these bytes, and closes; yields its address."""
    listener = listen()
    listener.settimeout(0.05)
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(0.3)
                    told = b""
                    while not told.endswith(b"}"):
                        told += connection.recv(1 << 16) or b"}"
                    if requests is not None:
                        requests.append(told)
                    connection.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        over.set()
        thread.join(5)
        listener.close()


def raw_request(
    body: bytes, headers: dict[str, str] | None = None, path: str = "/v1/messages"
) -> bytes:
    """A request as bytes."""
    told = {"host": "localhost", **(headers or OLD), "content-length": str(len(body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    return f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + body
