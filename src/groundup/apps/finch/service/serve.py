"""A whole server: the proxy, the process that learns, the page; from its settings to Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import FrameType
from typing import Any

import uvicorn

import groundup

from ..metrics import Metrics, Price, Prices, TaskFigures, routes
from ..proxy import Exchange, Limits, create_app, key_scope, listen, server_settings
from ..settings import LOOPBACK, Settings
from ..store import Home, Scopes, page
from .brain import Brain

EVERY = 1.0
"""Seconds between two looks at what the process that learns has to tell."""
LATE = 0.25
"""Seconds beyond the patience after which the proxy goes on, whatever became of the verdict."""


class Service:
    """A server that is not running yet.

    Args:
        settings: of `finch serve`; the service's own name the port that was taken.

    Raises:
        OSError: the port cannot be used.

    Example:
        >>> from groundup.apps.finch.settings import read_settings
        >>> settings = read_settings({"upstream": "http://127.0.0.1:9", "port": 0}, {})
        >>> with Service(settings) as service:
        ...     service.address.startswith("http://127.0.0.1:")
        True
    """

    def __init__(self, settings: Settings) -> None:
        self.listener = listen(settings.host, settings.port)
        self.settings = replace(settings, port=self.listener.getsockname()[1])
        self.address = self.settings.address
        table = {name: Price(*costs) for name, costs in settings.prices.items()}
        self.metrics = Metrics(
            Prices(table, settings.currency), limit=settings.delta, version=groundup.__version__
        )
        self.brain = Brain(worker_options(settings), self._told, settings.patience / 1e3)
        self._server: _Server | None = None
        self._ending = False

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.close()

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Serve until Ctrl-C, SIGTERM or `stop`; the signal counts once all is saved.

        Args:
            ready: called when the first request may come.

        Raises:
            FinchError: the home cannot be used, or the models do not fit.
        """
        if self.settings.models:
            from ..models.presets import fitting  # a proxy without models need not load them

            fitting(self.settings.preset)  # else the first task that gets a mind would fail
        with _signals(self.stop):
            await asyncio.sleep(0)  # what came before counts here, and not in the midst of it
            await self.brain.start()
            try:
                await self._serve(ready)
            finally:
                await self.brain.close()

    async def _serve(self, ready: Callable[[], None]) -> None:
        settings = self.settings
        home = Home(settings.home, make=False)
        scopes = Scopes(home)
        limits = Limits(
            body=settings.max_body,
            query=settings.longest_query,
            deadline=settings.patience / 1e3 + LATE,
        )
        app = create_app(
            settings.upstream,
            self.brain,
            limits,
            scope_of=lambda headers: scopes.of(
                lambda salt: key_scope(headers, salt, settings.namespace)
            ),
            names=settings.allow_host if settings.host in LOOPBACK else None,
            routes=routes(
                self.metrics.snapshot,
                log=lambda wanted: page(home, wanted),
                host=settings.host,
                names=settings.allow_host,
            ),
        )
        self._server = _Server(server_settings(app, limits))
        if self._ending:
            return
        watch = asyncio.create_task(self._watch())
        ready()
        try:
            await self._server.serve(sockets=[self.listener])
        finally:
            watch.cancel()

    def stop(self) -> None:
        """End `run`, from any thread."""
        self._ending = True
        if self._server is not None:
            self._server.should_exit = True

    def _told(self, exchange: Exchange, decision: str) -> None:
        local = decision == "local"
        self.metrics.request(
            decision,
            model=exchange.call.model,
            input_tokens=exchange.verdict.input_tokens if local else 0,
            output_tokens=exchange.verdict.output_tokens if local else 0,
            latencies=dict(_latencies(exchange, local)),
        )

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            with contextlib.suppress(Exception):  # a process that died is told below
                self._tell(await self.brain.status())
            if not self.brain.alive:
                self.metrics.state(
                    learning=False, waiting=0, most=0, dropped=self.brain.dropped,
                    troubles=("The process that learns has died; it is started again. Until then "
                              "everything is forwarded.",),
                )  # fmt: skip

    def _tell(self, status: Mapping[str, Any]) -> None:
        for agreed, propensity in status["audits"]:
            self.metrics.audited(agreed, propensity)
        for stage, seconds in status["stages"]:
            self.metrics.took(stage, seconds)
        for task in status["tasks"]:
            self.metrics.task(TaskFigures(**task))
        self.metrics.state(
            learning=status["learning"],
            waiting=status["waiting"],
            most=status["most"],
            dropped=self.brain.dropped,
            troubles=tuple(text for text in status["troubles"] if text),
        )


class _Server(uvicorn.Server):
    """uvicorn's, which leaves signals to the service: some come before it, some after it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.contextmanager
def _signals(stop: Callable[[], None]) -> Iterator[None]:
    """Within it Ctrl-C and SIGTERM call `stop`; the first one is raised again behind it."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    caught: list[int] = []

    def catch(number: int, frame: FrameType | None) -> None:
        caught.append(number)
        stop()

    before = {number: signal.signal(number, catch) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if caught:
        signal.raise_signal(caught[0])


def _latencies(exchange: Exchange, local: bool) -> Iterator[tuple[str, float]]:
    if exchange.considered:
        yield "consider", exchange.considered
    if exchange.first_byte:
        yield ("local answer" if local else "upstream, first byte"), exchange.first_byte


def worker_options(settings: Settings) -> dict[str, Any]:
    """What `worker.main` is given.

    Example:
        >>> from groundup.apps.finch.settings import read_settings
        >>> settings = read_settings({"upstream": "http://127.0.0.1:9", "delta": 0.02}, {})
        >>> worker_options(settings)["mind"]["delta"]
        0.02
    """
    return {
        "home": str(settings.home),
        "store": {"keep_texts": settings.keep_texts, "keep_requests": settings.keep_requests},
        "mind": {
            "delta": settings.delta,
            "confidence": settings.confidence,
            "cold_start": settings.cold_start,
            "conservative": settings.conservative,
            "audit_start": settings.audit_start,
            "audit_floor": settings.audit_floor,
            "models": settings.models,
            "preset": settings.preset,
            "longest_query": settings.longest_query,
        },
        "keeper": {"most": settings.max_tasks},
        "worker": {
            "namespace": settings.namespace,
            "share": settings.share,
            "learning": settings.learning,
            "patience": settings.patience / 1e3,
        },
    }
