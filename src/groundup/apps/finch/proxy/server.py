"""How uvicorn must be set to run the proxy: it adds no header and logs no request."""

from __future__ import annotations

import logging
import socket
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .limits import Limits

GRACE = 5
"""Seconds that open answers are given when the server is told to end."""


def _is_news(record: logging.LogRecord) -> bool:
    # An answer whose upstream died is left without its end on purpose; see `passage`.
    return "without completing response" not in record.getMessage()


class _Bounded(HttpToolsProtocol):
    """Ends a connection on which much comes that is neither of a body nor a whole request.

    httptools takes heads, and the trailers behind a body, of any length.
    """

    most = 0

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._idle = 0

    def data_received(self, data: bytes) -> None:
        self._idle += len(data)
        super().data_received(data)
        if self._idle > self.most and not self.transport.is_closing():
            if self.cycle is None or self.cycle.response_complete:
                self.send_400_response("The head of a request is too long.")
            else:
                self.transport.abort()

    def on_body(self, body: bytes) -> None:
        self._idle = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._idle = 0
        super().on_message_complete()


def listen(host: str = "127.0.0.1", port: int = 0) -> socket.socket:
    """A listening socket, whose connections send every event at once.

    Python's event loop sets TCP_NODELAY only where the socket names its protocol. Without it an
    event that follows another within a few milliseconds waits some 40 ms for the client's word.

    Args:
        host: address to listen on; that of loopback is reached from this computer only.
        port: 0 takes a free one.

    Raises:
        OSError: the address or port cannot be used.

    Example:
        >>> with listen() as listener:
        ...     listener.getsockname()[0], listener.proto == socket.IPPROTO_TCP
        ('127.0.0.1', True)
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1024)
    except BaseException:
        listener.close()
        raise
    return listener


def server_settings(app: ASGIApp, limits: Limits | None = None) -> uvicorn.Config:
    """Settings for `uvicorn.Server`, whose `run` or `serve` is given a socket of `listen`.

    Args:
        app: what `create_app` made.
        limits: of the headers' size.

    Example:
        >>> from groundup.apps.finch.proxy import Silent, create_app
        >>> app = create_app("https://api.example.com", Silent(), scope_of=lambda headers: "")
        >>> server_settings(app).host
        '127.0.0.1'
    """
    limits = Limits() if limits is None else limits
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    # More than the proxy's own limit, so that its words are the ones that are read.
    http = type("Bounded", (_Bounded,), {"most": 2 * limits.headers})
    return uvicorn.Config(
        app,
        http=http,
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        ws="none",
        lifespan="on",
        timeout_graceful_shutdown=GRACE,
        timeout_keep_alive=75,
    )
