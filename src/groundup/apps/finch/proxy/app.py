"""The proxy as an ASGI application: `/v1/` is passed on, other addresses are what the caller adds.

Example:
    >>> app = create_app("https://api.example.com", Silent(), scope_of=lambda headers: "")
    >>> [route.path for route in app.routes]
    ['/v1']
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from ..wire import error_body
from .brain import Brain, Silent as Silent
from .limits import Limits
from .memory import settled
from .passage import Passage
from .refusals import OwnNames, refusal
from .upstream import Upstream


def create_app(
    upstream: str,
    brain: Brain,
    limits: Limits | None = None,
    *,
    scope_of: Callable[[Mapping[str, str]], str],
    names: Collection[str] | None = (),
    routes: Sequence[BaseRoute] = (),
    lifespan: Callable[[Starlette], AbstractAsyncContextManager[None]] | None = None,
) -> Starlette:
    """A proxy for a Messages API.

    Args:
        upstream: address of the remote API, such as "https://api.example.com".
        brain: decides what is answered here; `Silent` for nothing.
        limits: of sizes and times.
        scope_of: gives by the headers of a request, names in lower case, the hash of its key under
            which it is known to the brain, as `key_scope` does.
        names: `Host` headers that are accepted beside those of loopback; None accepts any, which
            is for an address that other computers reach.
        routes: further addresses, such as metrics.
        lifespan: of the whole, as Starlette's: entered before the first request.

    Raises:
        FinchError: the upstream is not an address.

    Example:
        >>> from starlette.testclient import TestClient
        >>> app = create_app("http://127.0.0.1:9", Silent(), scope_of=lambda headers: "")
        >>> with TestClient(app, base_url="http://localhost") as client:
        ...     client.get("/v1/models").status_code
        502
    """
    limits = Limits() if limits is None else limits
    remote = Upstream(upstream, limits)
    hosts = None if names is None else OwnNames(names)

    async def pass_on(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        refused = refusal(scope, limits, hosts)
        if refused is None:
            passage = Passage(remote, brain, limits, scope_of, scope, receive, send)
            await passage.run()
        else:
            await _refuse(send, *refused)

    @asynccontextmanager
    async def life(app: Starlette) -> AsyncIterator[None]:
        async with nullcontext() if lifespan is None else lifespan(app):
            try:
                with settled():
                    yield
            finally:
                await remote.close()

    return _App(pass_on, routes=[Mount("/v1", app=pass_on), *routes], lifespan=life)


class _App(Starlette):
    """Goes the short way to the proxy: Starlette's wrappers cost at every event of a stream."""

    def __init__(self, pass_on: ASGIApp, **options: Any) -> None:
        super().__init__(**options)
        self._pass_on = pass_on

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/v1/"):
            await self._pass_on(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


async def _refuse(send: Send, status: int, words: str) -> None:
    body = error_body(status, words)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"x-finch", b"failed"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
