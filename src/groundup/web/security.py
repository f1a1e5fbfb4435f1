"""What stands before a page for the person at this computer: who may ask, and what for.

The dashboard has no passwords, nor have the pages of applications. Two things threaten such a
server, and both come from web pages that this person visits. A page may send requests to
127.0.0.1 itself: the browser then says so (`Sec-Fetch-Site`, `Origin`), and they are refused. Or
its own name may be made to point to 127.0.0.1, so that the browser takes both for one site (DNS
rebinding): then the `Host` header has that name, and no name is accepted but those of this server.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Collection, Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LONGEST_QUERY = 32_768
"""Characters behind the question mark of an address."""
READING = ("GET", "HEAD")
"""Methods that change nothing."""

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'"
    ),
    "cross-origin-embedder-policy": "require-corp",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), display-capture=(), geolocation=(), microphone=(), usb=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}

_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]{1,253})(?::[0-9]{1,5})?")


def is_loopback(host: str) -> bool:
    """Whether an address to listen on can be reached from this computer only.

    Example:
        >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("0.0.0.0")
        (True, True, False)
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Hosts:
    """Which `Host` headers are this server's.

    On loopback those are localhost and loopback addresses, with any port, so that a port forwarded
    by SSH works. On other addresses every number is accepted (a number cannot be rebound) and the
    computer's own names.

    Args:
        host: the address that is listened on.
        others: further names, such as that of a proxy.

    Example:
        >>> hosts = Hosts("127.0.0.1")
        >>> "localhost:9000" in hosts, "[::1]:8050" in hosts, "evil.example" in hosts
        (True, True, False)
    """

    def __init__(self, host: str, others: Iterable[str] = ()) -> None:
        self._local = is_loopback(host)
        self._names = {"localhost", *(name.lower() for name in others)}
        if not self._local:
            own = socket.gethostname().lower()
            self._names |= {own, f"{own}.local", socket.getfqdn().lower(), host.lower()}

    def __contains__(self, header: object) -> bool:
        found = _HOST.fullmatch(header) if isinstance(header, str) else None
        if found is None:
            return False
        name = found["name"].lower().removesuffix(".")
        if name in self._names:
            return True
        try:
            address = ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return address.is_loopback or not self._local


class Guard:
    """ASGI middleware that refuses what the server's own pages would not send.

    Args:
        app: what comes behind it.
        hosts: the `Host` headers that are accepted.
        methods: those that are accepted.
        advice: what else to do about a name that is refused.

    Example:
        >>> guard = Guard(lambda scope, receive, send: None, Hosts("127.0.0.1"))
        >>> headers = [(b"host", b"evil.example")]
        >>> guard.refusal({"type": "http", "headers": headers})[0]
        421
    """

    def __init__(
        self, app: ASGIApp, hosts: Hosts, methods: Collection[str] = READING, advice: str = ""
    ) -> None:
        self.app = app
        self.hosts = hosts
        self.methods = methods
        self.advice = advice

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on and add headers to the answer."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                kept = "no-cache" if "etag" in headers else "no-store"  # files have a version
                headers.setdefault("cache-control", kept)
            await send(message)

        refusal = self.refusal(scope)
        if refusal is None:
            await self.app(scope, receive, send_with_headers)
        else:
            status, words = refusal
            await JSONResponse({"error": words}, status)(scope, receive, send_with_headers)

    def refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Status and words with which a request is refused; None if it is not."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if len(headers.getlist("host")) != 1 or host not in self.hosts:
            return 421, (
                f"{host[:100]!r} is not a name of this server; open it by the address that it "
                f"printed when it started{self.advice}"
            )
        if scope["method"] not in self.methods:
            return 405, f"method {scope['method'][:20]}, expected one of {', '.join(self.methods)}"
        site = headers.get("sec-fetch-site", "none")
        visit = headers.get("sec-fetch-mode") == "navigate" and scope["path"].endswith("/")
        if site not in ("same-origin", "none") and not visit:
            return 403, "a page of another site asked; only this server's own are answered"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return 403, f"a page of {origin[:100]!r} asked; only this server's own are answered"
        if len(scope["query_string"]) > LONGEST_QUERY:
            return 414, f"an address of more than {LONGEST_QUERY:,} characters; ask for less"
        return None
