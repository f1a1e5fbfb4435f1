"""Connections for httpcore2 straight from the event loop of asyncio.

httpcore2's own go through anyio, whose time limits and checkpoints are paid at every event that is
passed on. Here reading stops while nobody takes what has come, and a head is sent with its body.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from typing import Any, cast

import httpcore2

MOST_UNREAD = 1 << 17
"""Bytes that may wait to be taken before reading stops."""
MOST_UNSENT = 1 << 16
"""Bytes that wait for the end of a turn of the loop to be sent."""


class LoopBackend(httpcore2.AsyncNetworkBackend):
    """Opens the connections.

    Example:
        >>> import asyncio
        >>> asyncio.run(LoopBackend().connect_tcp("127.0.0.1", 1, timeout=1.0))
        Traceback (most recent call last):
        ...
        httpcore2.ConnectError: ...
    """

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """A connection; `local_address` and `socket_options` are for others than this proxy."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout):
                _, link = await loop.create_connection(_Link, host, port)
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise httpcore2.ConnectError(str(error)) from error
        return _Stream(link)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class _Link(asyncio.Protocol):
    """The end of a connection that the loop talks to."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.unread = bytearray()
        self.ended = False
        self.error: Exception | None = None
        self.loop = asyncio.get_running_loop()
        self._unsent = bytearray()
        self._paused = False
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._until = 0.0  # when the wait for bytes is over

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are of another class

    def data_received(self, data: bytes) -> None:
        self.unread += data
        if not self._paused and len(self.unread) > MOST_UNREAD:
            self._paused = True
            self.transport.pause_reading()
        _wake(self._reader)

    def eof_received(self) -> bool:
        self.ended = True
        _wake(self._reader)
        return False  # close

    def connection_lost(self, error: Exception | None) -> None:
        self.ended = True
        self.error = error
        if self._alarm is not None:
            self._alarm.cancel()
        _wake(self._reader)
        _wake(self._writer)

    def pause_writing(self) -> None:
        self._writer = self.loop.create_future()

    def resume_writing(self) -> None:
        _wake(self._writer)
        self._writer = None

    def put(self, data: bytes) -> None:
        """Send, in one go with what else is put in this turn of the loop: a head and its body."""
        if not self._unsent:
            self.loop.call_soon(self._send)
        self._unsent += data
        if len(self._unsent) > MOST_UNSENT:
            self._send()

    def _send(self) -> None:
        if self._unsent and not self.transport.is_closing():
            self.transport.write(bytes(self._unsent))
        self._unsent.clear()

    def take(self, most: int) -> bytes:
        """What has come; reading goes on once all of it was taken."""
        data = bytes(self.unread[:most])
        del self.unread[:most]
        if self._paused and not self.unread:
            self._paused = False
            self.transport.resume_reading()
        return data

    async def come(self, timeout: float | None) -> bool:
        """Wait for bytes or the end; False if the time is over."""
        self._reader = self.loop.create_future()
        if timeout is not None:
            self._until = self.loop.time() + timeout
            self._watch()
        try:
            await self._reader
        except asyncio.CancelledError as error:
            if error.args == (_OVER,):
                return False
            raise
        finally:
            self._reader = None
        return True

    def _watch(self) -> None:
        """Have the time looked at when it is over: one alarm serves many waits, one after another.

        An alarm for each would be set and cancelled at every event that is passed on.
        """
        if self._alarm is not None and self._alarm.when() <= self._until:
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self.loop.call_at(self._until, self._look)

    def _look(self) -> None:
        self._alarm = None
        if self._reader is not None and not self._reader.done():
            if self.loop.time() < self._until:
                self._watch()
            else:
                self._reader.cancel(_OVER)

    async def flushed(self, timeout: float | None) -> bool:
        """Wait until more can be written; False if the time is over."""
        return self._writer is None or await _within(self._writer, timeout)


class _Stream(httpcore2.AsyncNetworkStream):
    """The end of a connection that httpcore2 talks to."""

    def __init__(self, link: _Link) -> None:
        self._link = link

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        link = self._link
        if not link.unread and not link.ended and not await link.come(timeout):
            raise httpcore2.ReadTimeout("no byte came in time")
        if not link.unread and link.error is not None:
            raise httpcore2.ReadError(str(link.error))
        return link.take(max_bytes)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if not buffer:
            return
        link = self._link
        if not link.transport.is_closing():
            link.put(buffer)
            if not await link.flushed(timeout):
                raise httpcore2.WriteTimeout("no byte was taken in time")
        if link.transport.is_closing():
            raise httpcore2.WriteError("the connection is closed")

    async def aclose(self) -> None:
        # At once: nothing that is still to be written, nor TLS's own farewell, is of use any more.
        self._link.transport.abort()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        link = self._link
        plain, ready = link.transport, False
        try:
            async with asyncio.timeout(timeout):
                transport = await link.loop.start_tls(
                    plain, link, ssl_context, server_hostname=server_hostname
                )
            assert transport is not None
            link.transport, ready = transport, True
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout(str(error)) from error
        except OSError as error:  # such as a certificate that is not trusted
            raise httpcore2.ConnectError(str(error)) from error
        finally:
            if not ready:
                plain.abort()
        return self

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":  # of an idle connection: the other side ended it
            return self._link.ended or bool(self._link.unread)
        return self._link.transport.get_extra_info(info)


def _wake(future: asyncio.Future[None] | None) -> None:
    if future is not None and not future.done():
        future.set_result(None)


async def _within(future: asyncio.Future[None], timeout: float | None) -> bool:
    """Wait for a future; False if the time is over before it is done."""
    if timeout is None:
        await future
        return True
    alarm = future.get_loop().call_later(timeout, future.cancel, _OVER)
    try:
        await future
    except asyncio.CancelledError as error:
        if error.args == (_OVER,):
            return False
        raise
    finally:
        alarm.cancel()
    return True


_OVER = "the time is over"
