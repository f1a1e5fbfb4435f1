"""Connections to one place, used again and again.

httpcore2's own pool serves many places, and looks at all of its connections whenever a request
begins or ends. Here the one that was used last is the first to be used again, and nothing else is
looked at but those that nobody has needed for longest.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from typing import cast

import httpcore2

Connection = httpcore2.AsyncConnectionInterface


class Pool:
    """The connections.

    Args:
        make: a new one.
        most: at one time.
        patience: seconds that a request waits while there are so many.

    Example:
        >>> origin = httpcore2.URL("https://api.example.com").origin
        >>> pool = Pool(lambda: httpcore2.AsyncHTTPConnection(origin), most=10, patience=1.0)
        >>> asyncio.run(pool.close())
    """

    def __init__(self, make: Callable[[], Connection], most: int, patience: float) -> None:
        self._make, self._patience = make, patience
        self._idle: deque[Connection] = deque()  # the one used last is the last
        self._busy: set[Connection] = set()
        self._room = asyncio.Semaphore(most)

    async def send(self, request: httpcore2.Request) -> httpcore2.Response:
        """Send a request; the response must be closed, whether it is read or not.

        Raises:
            httpcore2.PoolTimeout: no connection became free in time.
        """
        if self._room.locked():
            try:
                async with asyncio.timeout(self._patience):
                    await self._room.acquire()
            except TimeoutError:
                raise httpcore2.PoolTimeout("all connections are in use") from None
        else:
            await self._room.acquire()  # at once
        try:
            connection = await self._take()
        except BaseException:
            self._room.release()
            raise
        try:
            response = await connection.handle_async_request(request)
        except BaseException:
            await self._give(connection)
            raise
        return httpcore2.Response(
            status=response.status,
            headers=response.headers,
            content=_Content(response, lambda: self._give(connection)),
        )

    async def close(self) -> None:
        """Close all connections."""
        for connection in (*self._idle, *self._busy):
            await connection.aclose()
        self._idle.clear()

    async def _take(self) -> Connection:
        while self._idle and self._idle[0].has_expired():
            await self._idle.popleft().aclose()
        connection = None
        while self._idle and connection is None:
            connection = self._idle.pop()
            if connection.has_expired():  # the other side has closed it
                await connection.aclose()
                connection = None
        if connection is None:
            connection = self._make()
        self._busy.add(connection)
        return connection

    async def _give(self, connection: Connection) -> None:
        """What a request did not leave ready for another one is closed."""
        self._busy.discard(connection)
        self._room.release()
        if connection.is_idle():
            self._idle.append(connection)
        else:
            await connection.aclose()


class _Content:
    """The body of a response, which gives its connection back."""

    def __init__(self, response: httpcore2.Response, give: Callable[[], Awaitable[None]]) -> None:
        self._response, self._give = response, give
        self._open = True

    def __aiter__(self) -> AsyncIterator[bytes]:
        return cast(AsyncIterable[bytes], self._response.stream).__aiter__()

    async def aclose(self) -> None:
        if self._open:
            self._open = False
            try:
                await self._response.aclose()
            finally:
                await self._give()
