"""The way to the remote API: one pool of connections, no cookies, no redirects, no second try."""

from __future__ import annotations

import urllib.request
from collections.abc import AsyncIterable
from typing import Any
from urllib.parse import urlsplit

import httpcore2
import httpx2

from ..errors import FinchError
from .limits import Limits
from .network import LoopBackend
from .pool import Pool

FAILURES: tuple[tuple[type[Exception], int, str], ...] = (
    (httpcore2.PoolTimeout, 529, "too many requests at one time; try again later"),
    (httpcore2.ConnectTimeout, 504, "the upstream cannot be reached in time; is --upstream right?"),
    (httpcore2.TimeoutException, 504, "the upstream was silent for too long"),
    (httpcore2.ConnectError, 502, "the upstream cannot be reached; is --upstream right?"),
    (httpcore2.LocalProtocolError, 400, "the request cannot be sent on as it is"),
    (Exception, 502, "the upstream ended the connection before its answer was whole"),
)
"""What is told to the client: the first row that fits."""


ERRORS = (
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.ProxyError,
    httpcore2.TimeoutException,
    httpcore2.UnsupportedProtocol,
    OSError,
)
"""What an upstream that fails raises."""


def failure(error: Exception) -> tuple[int, str]:
    """Status and words for an upstream that failed.

    Example:
        >>> failure(httpcore2.ReadTimeout(""))
        (504, 'the upstream was silent for too long')
    """
    return next((status, words) for kind, status, words in FAILURES if isinstance(error, kind))


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
            place = (parts.scheme.encode(), host.encode("idna"), port)
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
        self._extensions = {
            "timeout": {
                "connect": limits.connect,
                "read": limits.read,
                "write": limits.write,
            }
        }
        options: dict[str, Any] = {
            "ssl_context": httpx2.create_ssl_context() if parts.scheme == "https" else None,
            "keepalive_expiry": limits.idle,
            "network_backend": LoopBackend(),
        }
        # As curl and the clients do: a proxy for outgoing requests that the environment names.
        outgoing = urllib.request.getproxies().get(parts.scheme)
        maker: httpcore2.AsyncConnectionPool
        if outgoing is None or urllib.request.proxy_bypass(host):
            maker = httpcore2.AsyncConnectionPool(**options)
        else:
            maker = httpcore2.AsyncHTTPProxy(outgoing, **options)
        self._place = place
        origin = httpcore2.URL(scheme=place[0], host=place[1], port=place[2], target=b"/").origin
        self._pool = Pool(
            lambda: maker.create_connection(origin), limits.connections, limits.connect
        )

    def target(self, raw_path: bytes, query: bytes) -> bytes:
        """The path that is asked of the upstream, byte for byte."""
        return b"%b%b?%b" % (self._base, raw_path, query) if query else self._base + raw_path

    async def send(
        self,
        method: str,
        target: bytes,
        headers: list[tuple[bytes, bytes]],
        body: bytes | AsyncIterable[bytes],
    ) -> httpcore2.Response:
        """Send a request; the answer's body is still to be read, and to be closed.

        Raises:
            ERRORS: there is no answer.
        """
        scheme, host, port = self._place
        request = httpcore2.Request(
            method,
            httpcore2.URL(scheme=scheme, host=host, port=port, target=target),
            headers=[(b"host", self._host), *headers],
            content=body,
            extensions=self._extensions,
        )
        return await self._pool.send(request)

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.close()
