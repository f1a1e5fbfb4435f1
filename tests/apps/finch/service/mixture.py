"""Traffic of all kinds, the truth about each request, and a remote side that counts what it gets.

Labels that can be learned, some that cannot, in several tasks under several keys; and everything
that must be forwarded. A request has a number in a header, by which the remote side knows it.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from tests.apps.finch.traffic import PAIRS
from tests.apps.finch.upstream import ask, error, event, message, message_events, tool_events

KEYS = ["sk-planted-soak-4b1f", "sk-planted-soak-93d0", "sk-planted-soak-c27e"]
NUMBER = "x-soak-number"
TASKS = ["Name the intent.", "Name the topic in one word.", "Which department is it for?"]
COMMON = [f"{query} {n}" for n in range(3) for query, _ in PAIRS]
"""Queries that come again and again."""
BETA = "some-beta-2026-01-01"
OPEN = "never-ending"


@dataclass(frozen=True, slots=True)
class Sent:
    """A request.

    Attributes:
        kind: of it, in a word.
        truth: what the remote side answers; None if it is no plain text.
        may: whether an answer made here may serve it.
        counts: whether it is in the log: a message, and not a second try.
    """

    kind: str
    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    truth: str | None
    may: bool
    counts: bool
    stream: bool = False
    query: str = ""


class Mixture:
    """Draws requests.

    Args:
        seed: of all that is drawn.
        labels: share of requests that may be answered here.
        noise: share of these whose answer cannot be known.
    """

    def __init__(self, seed: int, labels: float = 0.6, noise: float = 0.02) -> None:
        self._draw = random.Random(seed)
        self._labels, self._noise = labels, noise
        self._tried = 0
        self._kinds: list[Callable[[], Sent]] = [
            self._block, self._thinking, self._tools, self._turns, self._field, self._cached,
            self._broken, self._opted_out, self._beta, self._long, self._dialect, self._other,
            self._leaver,
        ]  # fmt: skip

    def next(self) -> list[Sent]:
        """The next request; with a second try of it, now and then."""
        draw = self._draw
        if draw.random() >= self._labels:
            return [draw.choice(self._kinds)()]
        first = self._label()
        if draw.random() >= 0.05:
            return [first]
        self._tried += 1
        # No other request has these words, so that it can be told how often they were learned.
        query = f"{first.query} try{self._tried}"
        fields = json.loads(first.body)
        first = replace(
            first, kind="first try", query=query,
            body=json.dumps({**fields, "messages": [_turn(query)]}).encode(),
        )  # fmt: skip
        headers = {**first.headers, "x-stainless-retry-count": str(draw.randint(1, 3))}
        return [first, replace(first, kind="retry", headers=headers, may=False, counts=False)]

    def _label(self) -> Sent:
        draw = self._draw
        task = draw.choices(range(len(TASKS)), [12, 2, 1])[0]
        if draw.random() < 0.15:
            query = draw.choice(COMMON)
            label = dict(PAIRS)[query.rpartition(" ")[0]]
        elif draw.random() < self._noise:
            query = " ".join(f"x{draw.randrange(40)}" for _ in range(4))
            label = random.Random(query).choice([answer for _, answer in PAIRS])
        else:
            said, label = draw.choice(PAIRS)
            words = said.split()
            words.insert(draw.randrange(len(words) + 1), f"w{draw.randrange(300)}")
            query = " ".join(words)
        blocks: Any = query if draw.random() < 0.7 else [{"type": "text", "text": query}]
        fields = ask(system=TASKS[task], temperature=0, messages=[_turn(blocks)])
        return replace(self._message("label", fields, f"{label}-{task}"), may=True, query=query)

    def _message(
        self, kind: str, fields: object, truth: str | None = "remote words", target: str = ""
    ) -> Sent:
        """A message, which must be forwarded."""
        stream = isinstance(fields, dict) and "stream" not in fields and self._draw.random() < 0.4
        if stream:
            assert isinstance(fields, dict)
            fields = {**fields, "stream": True}
        body = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
        return Sent(
            kind, "POST", f"/v1/messages{target}", self._headers(), body, truth, False, True, stream
        )

    def _headers(self) -> dict[str, str]:
        key = self._draw.choices(KEYS, [12, 2, 1])[0]
        common = {"content-type": "application/json"}
        if self._draw.random() < 0.5:
            return {"x-api-key": key, "anthropic-version": "2023-06-01", **common}
        return {"authorization": f"Bearer {key}", "anthropic-version": "2026-10-21", **common}

    # What must be forwarded; but for one thing, each is a request that is often answered here

    def _plain(self, **fields: object) -> dict[str, Any]:
        return ask(self._draw.choice(COMMON), system=TASKS[0], temperature=0, **fields)

    def _block(self) -> Sent:
        source = {"type": "base64", "media_type": "image/png", "data": "aGVsbG8="}
        blocks = {
            "image": {"type": "image", "source": source},
            "document": {"type": "document", "source": source},
            "tool result": {"type": "tool_result", "tool_use_id": "toolu_1", "content": "9"},
            "unknown block": {"type": "hologram", "text": "hi"},
        }
        kind = self._draw.choice(list(blocks))
        turn = _turn([blocks[kind], {"type": "text", "text": self._draw.choice(COMMON)}])
        return self._message(kind, {**self._plain(), "messages": [turn]})

    def _thinking(self) -> Sent:
        thinking = {"type": "enabled", "budget_tokens": 1024}
        return self._message("thinking", self._plain(thinking=thinking))

    def _tools(self) -> Sent:
        tool = {"name": "weather", "input_schema": {"type": "object"}}
        return self._message("tools", self._plain(tools=[tool]), None)

    def _turns(self) -> Sent:
        turns = [_turn("hi"), {"role": "assistant", "content": "hello"}]
        query = _turn(self._draw.choice(COMMON))
        return self._message("several turns", {**self._plain(), "messages": [*turns, query]})

    def _field(self) -> Sent:
        name = self._draw.choice(["output_config", "output_format", "container", "brand_new_field"])
        return self._message(f"field {name}", self._plain(**{name: {"type": "json"}}))

    def _cached(self) -> Sent:
        control = {"type": "ephemeral"}
        if self._draw.random() < 0.5:
            return self._message("cache control", self._plain(cache_control=control))
        block = {"type": "text", "text": self._draw.choice(COMMON), "cache_control": control}
        return self._message("cache control", {**self._plain(), "messages": [_turn([block])]})

    def _broken(self) -> Sent:
        body = json.dumps(self._plain()).encode()
        broken = self._draw.choice(
            [body[:-1], body.replace(b'"some', b'"\xff\xfe'), b"", b"[]", b"null", b"[" * 3000]
        )
        return replace(self._message("malformed", broken, None), stream=False)

    def _opted_out(self) -> Sent:
        sent = self._message("opted out", self._plain())
        return replace(sent, headers={**sent.headers, "x-finch": "off"})

    def _beta(self) -> Sent:
        if self._draw.random() < 0.5:
            return self._message("beta", self._plain(), target="?beta=true")
        sent = self._message("beta", self._plain())
        return replace(sent, headers={**sent.headers, "anthropic-beta": BETA})

    def _long(self) -> Sent:
        length = 300_000 if self._draw.random() < 0.1 else 6_000
        query = f"{self._draw.choice(COMMON)} {'z' * length}"
        return self._message("long", {**self._plain(), "messages": [_turn(query)]})

    def _dialect(self) -> Sent:
        sent = self._message("dialect", self._plain())
        other = dict(sent.headers)
        match self._draw.randrange(3):
            case 0:
                other["anthropic-version"] = "2031-01-01"
            case 1:
                other["anthropic-new-header"] = "1"
            case 2:
                other["content-type"] = "text/plain"
        return replace(sent, headers=other)

    def _other(self) -> Sent:
        method, target = self._draw.choice(
            [
                ("POST", "/v1/messages/count_tokens"), ("POST", "/v1/messages/batches"),
                ("POST", "/v1/complete"), ("GET", "/v1/models"), ("GET", "/v1/models/some-model"),
                ("GET", "/v1/files?limit=3"), ("GET", "/v1/messages"),
            ]
        )  # fmt: skip
        body = json.dumps(self._plain()).encode() if method == "POST" else b""
        return Sent("other path", method, target, self._headers(), body, None, False, counts=False)

    def _leaver(self) -> Sent:
        """A client that leaves in the midst of an answer."""
        sent = self._message("leaver", self._plain(tools=[{"name": OPEN}], stream=True), None)
        return replace(sent, stream=True)


def _turn(content: object) -> dict[str, object]:
    return {"role": "user", "content": content}


def reply_to(sent: Sent) -> tuple[int, bytes]:
    """What the remote side answers: status and body."""
    if sent.kind == "malformed":
        return 400, error("invalid_request_error")
    if sent.kind == "other path":
        return 200, json.dumps({"input_tokens": 12, "data": [], "id": "some-model"}).encode()
    if sent.kind == "tools":
        if sent.stream:
            return 200, b"".join(tool_events())
        call = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}
        return 200, json.dumps(message(content=[call], stop_reason="tool_use")).encode()
    if sent.kind == "leaver":
        return 200, event("message_start", message=message(content=[], stop_reason=None))
    assert sent.truth is not None
    if sent.stream:
        return 200, b"".join(message_events([sent.truth[:3], sent.truth[3:]]))
    return 200, json.dumps(message(sent.truth)).encode()


class Remote:
    """A small HTTP server in the caller's loop, which takes as little time as it can.

    Attributes:
        sent: requests that will come, by number.
        seen: how often each came.
        changed: numbers of those whose body is not as it was sent.
        open: connections.
    """

    def __init__(self) -> None:
        self.sent: dict[int, Sent] = {}
        self.seen: Counter[int] = Counter()
        self.changed: list[int] = []
        self.open = 0

    @asynccontextmanager
    async def serving(self) -> Any:
        """Listen; gives the address."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 20)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while True:
                    await self._answer(reader, writer)
        finally:
            self.open -= 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = dict(_headers(lines[1:]))
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        number = int(headers[NUMBER])
        sent = self.sent[number]
        self.seen[number] += 1
        target = " ".join([sent.method, sent.target, "HTTP/1.1"])
        if body != sent.body or lines[0] != target:
            self.changed.append(number)
        status, told = reply_to(sent)
        kind = "text/event-stream" if sent.stream else "application/json"
        head = f"HTTP/1.1 {status} Answer\r\ncontent-type: {kind}\r\nrequest-id: req_{number}\r\n"
        if not sent.stream:
            writer.write(f"{head}content-length: {len(told)}\r\n\r\n".encode() + told)
            return
        writer.write(f"{head}transfer-encoding: chunked\r\n\r\n".encode())
        writer.write(b"%x\r\n%b\r\n" % (len(told), told))
        if sent.kind == "leaver":
            assert await reader.read(1) == b"", "the request was not ended"
            raise ConnectionError
        writer.write(b"0\r\n\r\n")


def _headers(lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        name, _, value = line.partition(":")
        yield name.lower(), value.strip()
