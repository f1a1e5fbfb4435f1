"""Running the dashboard: a socket, a line that says where it is, and an end on Ctrl-C."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket

import uvicorn
from rich.console import Console

from ..runs import runs_folder
from .app import create_app
from .security import is_loopback

WARNING = (
    "[bold yellow]Anyone who can reach {address} sees all runs in this folder and can change "
    "their tags and notes.[/] There is no password. Leave --host out to be the only one, and "
    "use `ssh -L {port}:localhost:{port} COMPUTER` to look from elsewhere."
)


def serve(
    folder: str | os.PathLike[str] | None = None, host: str = "127.0.0.1", port: int = 8050
) -> None:
    """Show the runs of a folder in a browser, until Ctrl-C.

    Args:
        folder: where the runs are, as for `groundup.runs.Store`.
        host: the address to listen on. By default only this computer is answered; with another
            address a warning says who else is.
        port: 0 takes a free one.

    Raises:
        OSError: the address or port cannot be used; the message says what to do.
        StorageError: the folder cannot be used.

    Example:
        >>> serve("runs", port=99999)
        Traceback (most recent call last):
        ...
        ValueError: port 99999: expected 0 to 65535
    """
    if not 0 <= port <= 65535:
        raise ValueError(f"port {port}: expected 0 to 65535")
    console = Console(highlight=False, soft_wrap=True)
    with contextlib.closing(listen(host, port)) as listener:
        port = listener.getsockname()[1]
        config = uvicorn.Config(
            create_app(folder, host=host, stopping=lambda: server.should_exit),
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            timeout_graceful_shutdown=2,
        )
        server = uvicorn.Server(config)
        shown = "localhost" if host in ("", "0.0.0.0", "::") else host
        shown = f"[{shown}]" if ":" in shown else shown
        place = runs_folder(folder).absolute()
        console.print(f"Runs in {place}: http://{shown}:{port} (Ctrl-C ends it)", markup=False)
        if not is_loopback(host):
            address = f"port {port} of this computer"
            console.print(WARNING.format(address=address, port=port))
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listener])


def listen(host: str, port: int) -> socket.socket:
    """A listening socket, or an error that says what to do.

    Example:
        >>> with listen("127.0.0.1", 0) as listener:
        ...     listener.getsockname()[0]
        '127.0.0.1'
    """
    try:
        version = ipaddress.ip_address(host or "0.0.0.0").version
    except ValueError:
        version = 4
    family = socket.AF_INET6 if version == 6 else socket.AF_INET
    # With its protocol named, asyncio sends every piece of an answer at once (TCP_NODELAY).
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise OSError(
            error.errno,
            f"cannot listen on {host}, port {port}: {error.strerror or error}. Is another "
            "dashboard running there? Choose another --port, or --port 0 for any free one",
        ) from error
    except BaseException:
        listener.close()
        raise
    return listener
