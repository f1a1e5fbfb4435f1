"""The dashboard as an ASGI application: the answers of `api`, the files of the pages, the guard."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

import groundup

from ..runs import RunsError, Store
from .api import Answer, Api, words_for
from .live import Watcher
from .parameters import Refused
from .security import READING, Guard, Hosts

STATIC = Path(__file__).parent / "static"


def create_app(
    folder: str | os.PathLike[str] | None = None,
    *,
    host: str = "127.0.0.1",
    names: Iterable[str] = (),
    stopping: Callable[[], bool] = lambda: False,
) -> Starlette:
    """The dashboard of a runs folder.

    Args:
        folder: where the runs are, as for `groundup.runs.Store`.
        host: the address that will be listened on; it decides which `Host` headers are accepted.
        names: further names that the server is reached by.
        stopping: whether the server is about to end; event streams end when it is.

    Raises:
        StorageError: the folder cannot be used.
        VersionError: its database was written by a newer version of groundup.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     app = create_app(folder)
        >>> [route.path for route in app.routes][:3]
        ['/', '/static', '/api/about']
    """
    reader, writer = Store(folder), Store(folder)
    watcher = Watcher(lambda: Store(reader.folder), stopping)
    api = Api(reader, writer, watcher, groundup.__version__)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(watcher.watch())
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        for store in (reader, writer):
            store.close()

    def page(request: Request) -> FileResponse:
        return FileResponse(STATIC / "index.html")

    def answer(request: Request, error: Exception) -> Response:
        status, words = words_for(error)
        return Answer({"error": words}, status)

    def http_answer(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return Answer({"error": error.detail}, error.status_code, error.headers)

    return Starlette(
        routes=[
            Route("/", page),
            Mount("/static", StaticFiles(directory=STATIC)),
            *api.routes(),
        ],
        middleware=[
            Middleware(Guard, hosts=Hosts(host, names), methods=(*READING, "PATCH")),
            Middleware(GZipMiddleware, minimum_size=2000, compresslevel=3),
        ],
        exception_handlers={Refused: answer, RunsError: answer, HTTPException: http_answer},
        lifespan=lifespan,
    )
