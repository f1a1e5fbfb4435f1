"""The way to the remote API: one pool of connections, no cookies, no redirects, no second try."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import httpx2
from yarl import URL

from ..errors import FinchError
from .limits import Limits

LARGEST_HEAD = 1 << 16
"""Bytes of a line in the head of an answer."""
MOST_HEADERS = 1000
"""Of an answer."""
MOST_UNREAD = 1 << 16
"""Bytes that nobody has taken yet, from which on reading stops, with a piece or two more."""


class CrowdedError(OSError):
    """There are as many requests at one time as there may be."""


class UnfitError(OSError):
    """A request that cannot be written down as it is."""


FAILURES: tuple[tuple[type[Exception], int, str], ...] = (
    (CrowdedError, 529, "too many requests at one time; try again later"),
    (UnfitError, 400, "the request cannot be sent on as it is"),
    (
        aiohttp.ConnectionTimeoutError,
        504,
        "the upstream cannot be reached in time; is --upstream right?",
    ),
    (TimeoutError, 504, "the upstream was silent for too long"),
    (
        aiohttp.ClientConnectorError,
        502,
        "the upstream cannot be reached; is --upstream right?",
    ),
    (Exception, 502, "the upstream ended the connection before its answer was whole"),
)
"""What is told to the client: the first row that fits."""

ERRORS = (aiohttp.ClientError, aiohttp.http.HttpProcessingError, OSError)
"""What an upstream that fails raises; a `TimeoutError` is an `OSError`."""


def failure(error: Exception) -> tuple[int, str]:
    """Status and words for an upstream that failed.

    Example:
        >>> failure(TimeoutError())
        (504, 'the upstream was silent for too long')
    """
    return next((status, words) for kind, status, words in FAILURES if isinstance(error, kind))


class Response:
    """An answer whose body is still to come: piece by piece, by ``async for``.

    Attributes:
        status: of it.
        headers: names and values, as they came.
    """

    def __init__(self, response: aiohttp.ClientResponse, room: asyncio.Semaphore) -> None:
        self.status, self.headers = response.status, response.raw_headers
        self._response, self._room = response, room
        self._end: asyncio.Future[None] | None = None
        connection = response.connection
        if (
            connection is not None
            and connection.protocol is not None
            and not response.headers.keys() & {"content-length", "transfer-encoding"}
        ):
            self._end = connection.protocol.closed
            if self._end is not None:
                self._end.add_done_callback(asyncio.Future.exception)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._response.content.iter_any():
            yield piece
        if self._end is not None:
            await self._end  # aiohttp takes a connection that broke for one that ended

    def close(self) -> None:
        """Give the connection back; one whose answer was not read to its end is closed."""
        connection = self._response.connection
        if connection is not None and connection.transport is not None:
            # At once: nothing that is still to be written is of use any more.
            connection.transport.abort()
        self._response.close()
        self._room.release()


class Upstream:
    """The remote API.

    Args:
        address: such as "https://api.example.com"; what stands behind its host is put before
            every path.
        limits: of connections and times.

    Raises:
        FinchError: the address is not one of HTTP.

    Example:
        >>> Upstream("https://api.example.com/base/", Limits()).target(b"/v1/models", b"limit=2")
        b'/base/v1/models?limit=2'
        >>> Upstream("api.example.com", Limits())
        Traceback (most recent call last):
        ...
        groundup.apps.finch.errors.FinchError: upstream 'api.example.com': expected an address ...
    """

    def __init__(self, address: str, limits: Limits) -> None:
        try:
            parts = urlsplit(address)
            host, port = parts.hostname or "", parts.port
            self._host = parts.netloc.encode("idna")
            sound = parts.scheme in ("http", "https") and host and port != 0
        except ValueError:
            sound = False
        if not sound or "@" in parts.netloc or parts.query or parts.fragment:
            raise FinchError(
                f"upstream {address!r}: expected an address such as https://api.example.com, "
                "without a user, a question mark or a #"
            )
        self.address = address
        self._base = parts.path.rstrip("/").encode()
        self._limits = limits
        # As curl and the clients do: a proxy for outgoing requests that the environment names.
        outgoing = urllib.request.getproxies().get(parts.scheme)
        self._proxy = None if urllib.request.proxy_bypass(host) else outgoing
        self._place = f"{parts.scheme}://{parts.netloc}"
        self._room = asyncio.Semaphore(limits.connections)
        self._session: aiohttp.ClientSession | None = None

    def target(self, raw_path: bytes, query: bytes) -> bytes:
        """The path that is asked of the upstream, byte for byte."""
        return b"%b%b?%b" % (self._base, raw_path, query) if query else self._base + raw_path

    async def send(
        self,
        method: str,
        target: bytes,
        headers: list[tuple[bytes, bytes]],
        body: AsyncIterable[bytes] | None,
    ) -> Response:
        """Send a request; the answer's body is still to be read, and to be closed.

        Args:
            method: of the request.
            target: as `target` gives it.
            headers: names and values; without a length the body is sent in chunks.
            body: None for none.

        Raises:
            ERRORS: there is no answer.
        """
        if self._session is None:
            self._session = self._opened()
        upload = None if body is None else _Upload(body, self._limits.write)
        try:
            async with asyncio.timeout(self._limits.connect):
                await self._room.acquire()
        except TimeoutError:
            raise CrowdedError("all connections are in use") from None
        try:
            response = await self._ask(self._session, method, target, headers, upload)
        except BaseException:
            self._room.release()
            raise
        return Response(response, self._room)

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    def _opened(self) -> aiohttp.ClientSession:
        limits = self._limits
        https = self._place.startswith("https:")
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,  # there is room for so many, see `send`
                keepalive_timeout=limits.idle,
                ssl=httpx2.create_ssl_context() if https else True,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            timeout=aiohttp.ClientTimeout(connect=limits.connect, sock_read=limits.read),
            read_bufsize=MOST_UNREAD,
            max_line_size=LARGEST_HEAD,
            max_field_size=LARGEST_HEAD,
            max_headers=MOST_HEADERS,
        )
        session._retry_connection = False  # whether to try again is for the client to say
        return session

    async def _ask(
        self,
        session: aiohttp.ClientSession,
        method: str,
        target: bytes,
        headers: list[tuple[bytes, bytes]],
        upload: _Upload | None,
    ) -> aiohttp.ClientResponse:
        pairs = [(b"host", self._host), *headers]
        try:
            options: dict[str, Any] = {
                "headers": [(name.decode(), _text(value)) for name, value in pairs],
                "proxy": self._proxy,
                "allow_redirects": False,
            }
            url = URL(self._place + target.decode("ascii"), encoded=True)
            if upload is None:
                return await session.request(method, url, **options)
            async with upload:
                return await session.request(method, url, data=upload, **options)
        except ERRORS:
            raise
        except ValueError as error:
            raise UnfitError(str(error)) from error


class _Upload:
    """The body of a request, each piece of which the upstream must take in time.

    Args:
        body: its pieces.
        seconds: for each.
    """

    def __init__(self, body: AsyncIterable[bytes], seconds: float) -> None:
        self._body, self._seconds = body, seconds
        self._limit = asyncio.timeout(None)
        self._asking = False
        self._error: Exception | None = None

    async def __aenter__(self) -> None:
        await self._limit.__aenter__()
        self._asking = True

    async def __aexit__(self, kind: type[BaseException] | None, *rest: Any) -> None:
        self._asking = False
        await self._limit.__aexit__(kind, *rest)
        if self._error is not None and kind is not None:
            raise self._error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._body:
                self._until(asyncio.get_running_loop().time() + self._seconds)
                yield piece
                self._until(None)
        except Exception as error:
            self._error = error  # aiohttp takes it for one of the connection
            raise

    def _until(self, time: float | None) -> None:
        if self._asking:  # the answer may come before all of the body is sent
            self._limit.reschedule(time)


def _text(value: bytes) -> str:
    """A header's value. aiohttp writes UTF-8, so that in no other code its bytes can be sent on."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
