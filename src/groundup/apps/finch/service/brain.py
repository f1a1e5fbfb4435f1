"""The proxy's end: questions out, verdicts back, never a wait for the disk."""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import socket
import time
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

from ..errors import FinchError
from ..proxy.brain import Exchange, Verdict, new_ident
from ..wire import Call
from . import worker

START = 60.0
"""Seconds that the process may take to begin."""
END = 20.0
"""Seconds that it may take to save all, when told to end."""
AGAIN = 5.0
"""Seconds until a process that died is started again."""
MOST_UNSENT = 16 << 20
"""Bytes that wait for the process; beyond that nothing more is asked or learned for now."""
LONGEST = 64 << 20
"""Bytes of a reply."""
MOST_HOPELESS = 10_000
"""Tasks of which it is remembered that nothing of them can be served yet."""
BUSY = "the local models are busy"

Listener = Callable[[Exchange, str], None]


class Brain:
    """Asks the worker process, and tells it what became of requests.

    If the process is slow or dead everything is sent upstream; one that died is started again.

    Args:
        options: of `worker.main`.
        told: is called with every exchange and the decision, such as "audit".
        patience: seconds that a request waits for a verdict before it is sent upstream without one.

    Example:
        >>> Brain({"home": "finch"}).alive  # until it is started
        False
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        told: Listener = lambda exchange, decision: None,
        patience: float = 0.01,
    ) -> None:
        self._options, self._told, self._patience = dict(options), told, patience
        self._numbers = count(1)
        self._open: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._audits: dict[str, bool] = {}  # of requests that are not over
        self._later: set[str] = set()  # requests of which is thought when they are over
        self._hopeless: set[tuple[str, str]] = set()  # scopes and tasks
        self._slow = False
        self._closing = False
        self.alive = False
        """Whether there is anybody to ask."""
        self.restarts = 0
        """How often the process was started again."""
        self.dropped = 0
        """Messages that it was too busy for."""

    async def start(self) -> None:
        """Begin the process, and wait until it is there.

        Raises:
            FinchError: it could not begin; the message says why.
        """
        context = multiprocessing.get_context("spawn")
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = context.Process(
                target=worker.main, args=(theirs, self._options), name="finch mind", daemon=True
            )
            self._process.start()
        reader, self._writer = await asyncio.open_connection(sock=ours, limit=LONGEST)
        try:
            line = await asyncio.wait_for(reader.readline(), START)
        except TimeoutError:
            line = b""
        hello = json.loads(line) if line else {"error": "the process that learns did not begin"}
        if "error" in hello:
            self._process.kill()
            await self._leave()
            raise FinchError(hello["error"])
        self.alive = True
        self._reading = asyncio.create_task(self._read(reader))

    @property
    def waiting(self) -> int:
        """Questions without an answer yet."""
        return len(self._open)

    async def consider(self, call: Call, scope: str) -> Verdict:
        """As `groundup.apps.finch.proxy.brain.Brain` says.

        While nothing of the task can be served nobody waits, nor while the process is slow: it is
        asked when the request is over, so that it can learn from the answer.
        """
        ident, key = new_ident(), (scope, call.task)
        if not self.alive:
            return Verdict(ident, False, reason="nobody is there to be asked")
        if self._slow or key in self._hopeless:
            self._later.add(ident)
            # Of a task without hope the process itself knows the reason.
            return Verdict(ident, False, reason="" if key in self._hopeless else BUSY)
        asked = self._think(
            {
                "do": "consider", "ident": ident, "scope": scope, "task": call.task,
                "query": call.query, "model": call.model, "asked": time.monotonic(),
            },
            key,
        )  # fmt: skip
        try:
            await asyncio.wait((asked,), timeout=self._patience)
        except asyncio.CancelledError:  # the client has gone
            del self._audits[ident]
            raise
        if not asked.done():
            self._slow = True
            return Verdict(ident, False, reason=BUSY)
        reply = asked.result()
        if not reply["serve"]:
            return Verdict(ident, False, reason=reply["reason"])
        tokens = reply["input_tokens"], reply["output_tokens"]
        return Verdict(ident, True, reply["text"], reply["reason"], *tokens)

    def ended(self, exchange: Exchange) -> None:
        """As `groundup.apps.finch.proxy.brain.Brain` says."""
        call, answer, verdict = exchange.call, exchange.answer, exchange.verdict
        if exchange.outcome == "local":
            decision = "local"
        elif call.must_forward is not None:
            decision = "pass"
        else:
            decision = "audit" if self._audits.get(verdict.ident) else "forward"
        later = verdict.ident in self._later
        self._audits.pop(verdict.ident, None)
        self._later.discard(verdict.ident)
        self._told(exchange, decision)
        self._send(
            {
                "do": "ended",
                "later": later,
                "ident": verdict.ident,
                "time": exchange.began,
                "decision": decision,
                "reason": call.must_forward or verdict.reason,
                "scope": exchange.scope,
                "task": call.task,
                "path": call.path,
                "model": call.model,
                "status": exchange.status,
                "latencies": {
                    "consider": exchange.considered,
                    "first_byte": exchange.first_byte,
                    "total": exchange.total,
                },
                "input_tokens": verdict.input_tokens if answer is None else answer.input_tokens,
                "output_tokens": verdict.output_tokens if answer is None else answer.output_tokens,
                "query": call.query,
                "answer": None if answer is None else answer.text,
            }
        )

    async def status(self) -> dict[str, Any]:
        """What the worker tells of itself; nothing while there is none."""
        return await self._ask({"do": "status"}) if self.alive else {}

    def learning(self, on: bool) -> None:
        """Go on with learning, or pause."""
        self._send({"do": "learning", "on": on})

    async def close(self) -> None:
        """Let the process save all, and end."""
        self._closing = True
        self._send({"do": "stop"})
        await asyncio.to_thread(self._process.join, END)
        self._process.kill()
        self._reading.cancel()
        await self._leave()

    def _think(
        self, message: dict[str, Any], key: tuple[str, str]
    ) -> asyncio.Future[dict[str, Any]]:
        """Ask what is thought of a request, and take note of what that says of its task."""
        ident = message["ident"]
        self._audits[ident] = False

        def heard(asked: asyncio.Future[dict[str, Any]]) -> None:
            reply = asked.result()
            if ident in self._audits:
                self._audits[ident] = reply.get("audit", False)
            if reply.get("hopeless") and len(self._hopeless) < MOST_HOPELESS:
                self._hopeless.add(key)

        asked = self._ask(message)
        asked.add_done_callback(heard)
        return asked

    def _ask(self, message: dict[str, Any]) -> asyncio.Future[dict[str, Any]]:
        number = next(self._numbers)
        asked: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        if self._send({"id": number, **message}):
            self._open[number] = asked
        else:
            asked.set_result({"serve": False, "reason": BUSY})
        return asked

    def _send(self, message: dict[str, Any]) -> bool:
        """Send a message; False if it had to be dropped."""
        if not self.alive:
            return False
        if self._writer.transport.get_write_buffer_size() > MOST_UNSENT:
            self.dropped += 1
            return False
        self._writer.write(json.dumps(message).encode() + b"\n")
        return True

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                reply = json.loads(line)
                if "hopeful" in reply:
                    self._hopeless.discard((reply["hopeful"][0], reply["hopeful"][1]))
                    continue
                future = self._open.pop(reply["id"])
                if not future.done():
                    future.set_result(reply)
                self._slow = self._slow and bool(self._open)
        self.alive = self._slow = False
        self._hopeless.clear()
        for future in self._open.values():
            if not future.done():
                future.set_result({"serve": False, "reason": "the local models have died"})
        self._open.clear()
        await self._leave()
        while not (self.alive or self._closing):
            await asyncio.sleep(AGAIN)
            with contextlib.suppress(FinchError):
                await self.start()
                self.restarts += 1

    async def _leave(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
