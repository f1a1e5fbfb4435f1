"""The worker's end of the line to the proxy: questions are taken first, what became of them later.

A client waits for the answer to a question; nobody waits for what is learned. Each kind keeps its
own order, so a question still comes before the news of what became of its request.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Mapping
from itertools import count
from typing import Any, cast

MOST_LATER = 50
"""News that wait while questions are taken; beyond that, what came first is taken first."""
MOST_WAITING = 16 << 20
"""Bytes that wait before reading stops."""

Message = dict[str, Any]


class Inbox(asyncio.Protocol):
    r"""Messages that came and were not taken yet: JSON, a line each.

    Example:
        >>> async def show():
        ...     inbox = Inbox()
        ...     inbox.data_received(b'{"do": "ended"}\n{"do": "consider"}\n{"do"')
        ...     inbox.eof_received()
        ...     return [message["do"] async for message in inbox]
        >>> asyncio.run(show())
        ['consider', 'ended']
    """

    _transport: asyncio.Transport | None = None

    def __init__(self) -> None:
        self._numbers = count()
        # Each with its number, and how many bytes it has.
        self._questions: deque[tuple[int, int, Message]] = deque()
        self._later: deque[tuple[int, int, Message]] = deque()
        self._start: list[bytes] = []  # of a line that has not ended
        self._waiting = 0
        self._paused = self._ended = False
        self._news = asyncio.Event()

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
        self._news.set()

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
        while not (self._questions or self._later):
            if self._ended:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        _, size, message = self._kind().popleft()
        self._waiting -= size
        if self._paused and self._transport is not None and self._waiting <= MOST_WAITING // 2:
            self._paused = False
            self._transport.resume_reading()
        return message

    def _put(self, line: bytes) -> None:
        message = json.loads(line)
        kind = self._questions if message["do"] == "consider" else self._later
        kind.append((next(self._numbers), len(line), message))
        self._waiting += len(line)
        self._news.set()

    def _kind(self) -> deque[tuple[int, int, Message]]:
        """Of which kind the next message is."""
        if not (self._questions and self._later):
            return self._questions or self._later
        crowded = len(self._later) > MOST_LATER
        return self._later if crowded and self._later[0] < self._questions[0] else self._questions
