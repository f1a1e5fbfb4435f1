"""The worker's end of the line to the proxy: questions are taken first, what became of them later.

A client waits for the answer to a question; nobody waits for what is learned. Each kind keeps its
own order, so a question still comes before the news of what became of its request. Questions cannot
keep what is learned from its turn for long: of a worker that is slow no more are asked.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Mapping
from typing import Any, cast

MOST_WAITING = 16 << 20
"""Bytes that wait before reading stops."""

Message = dict[str, Any]


class Inbox(asyncio.Protocol):
    r"""Messages that came and were not taken yet: JSON, a line each.

    Example:
        >>> async def show():
        ...     inbox = Inbox()
        ...     inbox.data_received(b'{"do": "ended"}\n{"do": "consider", "id": 1}\n{"do"')
        ...     inbox.eof_received()
        ...     return [message["do"] async for message in inbox]
        >>> asyncio.run(show())
        ['consider', 'ended']
    """

    _transport: asyncio.Transport | None = None

    def __init__(self) -> None:
        self._questions: deque[tuple[int, Message]] = deque()  # each with how many bytes it has
        self._news: deque[tuple[int, Message]] = deque()
        self._start: list[bytes] = []  # of a line that has not ended
        self._waiting = 0
        self._paused = self._ended = False
        self._came = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The line is there."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Take note of the messages that end within this piece."""
        first, *others = data.split(b"\n")
        self._start.append(first)
        for other in others:
            self._put(b"".join(self._start))
            self._start = [other]
        if not self._paused and self._transport is not None and self._waiting > MOST_WAITING:
            self._paused = True
            self._transport.pause_reading()

    def eof_received(self) -> None:
        """The proxy has gone."""
        self._ended = True
        self._came.set()

    def connection_lost(self, error: Exception | None) -> None:
        """The proxy has gone."""
        self.eof_received()

    def reply(self, message: Mapping[str, Any]) -> None:
        """Send a message to the proxy, unless it is gone."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(json.dumps(message).encode() + b"\n")

    def close(self) -> None:
        """End the line, once all replies are sent."""
        if self._transport is not None:
            self._transport.close()

    def __aiter__(self) -> Inbox:
        return self

    async def __anext__(self) -> Message:
        """The next message; the end comes when the proxy has gone and all are taken."""
        if not self._questions:
            # In its first turn the loop sees what has come meanwhile, before the second it is here.
            for _ in range(2):
                await asyncio.sleep(0)
        while not (self._questions or self._news):
            if self._ended:
                raise StopAsyncIteration
            self._came.clear()
            await self._came.wait()
        size, message = (self._questions or self._news).popleft()
        self._waiting -= size
        if self._paused and self._transport is not None and self._waiting <= MOST_WAITING // 2:
            self._paused = False
            self._transport.resume_reading()
        return message

    @property
    def behind(self) -> int:
        """Messages whose reply nobody waits for, that were not taken yet."""
        return len(self._news)

    def _put(self, line: bytes) -> None:
        message = json.loads(line)
        kind = self._questions if "id" in message else self._news
        kind.append((len(line), message))
        self._waiting += len(line)
        self._came.set()
