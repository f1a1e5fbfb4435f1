"""The body of a request as it comes in: looked at if it is small, streamed on if it is large."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from starlette.types import Receive

from .limits import Limits


class ClientLeftError(Exception):
    """The client closed its connection before its request was whole."""


class BodyError(Exception):
    """A body that is too large or too slow.

    Attributes:
        status: of the answer.
        words: of the answer.
    """

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.words = words


class Body:
    """A body, of which the beginning may be read before the whole is sent on.

    Args:
        receive: of ASGI.
        limits: of size, and of the time between two pieces.
        whole: called when the last piece has been read.
    """

    def __init__(self, receive: Receive, limits: Limits, whole: Callable[[], None]) -> None:
        self._receive = receive
        self._limits = limits
        self._whole = whole
        self._read = 0
        self.start = b""
        self.complete = False

    async def begin(self, size: int) -> None:
        """Read until the body is complete, or more than `size` bytes are in `start`."""
        pieces = []
        while not self.complete and self._read <= size:
            pieces.append(await self._next())
        self.start = b"".join(pieces)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self.start:
            yield self.start
        while not self.complete:
            piece = await self._next()
            if piece:
                yield piece

    async def _next(self) -> bytes:
        try:
            async with asyncio.timeout(self._limits.receive):
                message = await self._receive()
        except TimeoutError:
            words = f"no byte of the body in {self._limits.receive:g} s; send it faster"
            raise BodyError(408, words) from None
        if message["type"] == "http.disconnect":
            raise ClientLeftError
        piece: bytes = message.get("body", b"")
        self._read += len(piece)
        if self._read > self._limits.body:
            raise BodyError(413, f"a body of more than {self._limits.body:,} bytes; send less")
        if not message.get("more_body", False):
            self.complete = True
            self._whole()
        return piece
