"""What stands before the page: who may look, and what a browser may do with it.

There is no password; the page is for who sits at this computer. What other web pages might do is
refused: to ask in the user's name (the browser says so in `Sec-Fetch-Site` and `Origin`), or to
have their own name point here (then `Host` is that name).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "cache-control": "no-cache",
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), display-capture=(), geolocation=(), microphone=(), usb=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]{1,253})(?::[0-9]{1,5})?")
LONGEST_QUERY = 2000
"""Characters behind the question mark of an address."""


class Guard:
    """ASGI middleware that refuses what the page would not send.

    Args:
        app: what comes behind it.
        names: by which the server is reached besides localhost and numbers, which cannot be made
            to point elsewhere.

    Example:
        >>> guard = Guard(lambda scope, receive, send: None, ["finch.lan"])
        >>> [guard.knows(host) for host in ("127.0.0.1:80", "finch.lan", "evil.example")]
        [True, True, False]
    """

    def __init__(self, app: ASGIApp, names: Iterable[str] = ()) -> None:
        self.app = app
        self._names = {"localhost", *(name.lower() for name in names)}

    def knows(self, host: str) -> bool:
        """Whether a `Host` header is this server's."""
        found = HOST.fullmatch(host)
        if found is None:
            return False
        name = found["name"].lower().removesuffix(".")
        if name in self._names:
            return True
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on and add headers to the answer."""
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
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
        if len(headers.getlist("host")) != 1 or not self.knows(host):
            return 421, f"{host[:100]!r} is not a name of this server; open it by its address"
        if scope["method"] not in ("GET", "HEAD"):
            return 405, f"method {scope['method'][:20]}, expected GET or HEAD"
        site = headers.get("sec-fetch-site", "none")
        if site not in ("same-origin", "none") and headers.get("sec-fetch-mode") != "navigate":
            return 403, "a page of another site asked; only this server's own pages are answered"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return 403, f"a page of {origin[:100]!r} asked; only this server's own are answered"
        if len(scope["query_string"]) > LONGEST_QUERY:
            return 414, f"an address of more than {LONGEST_QUERY:,} characters; ask for less"
        return None
