"""The process beside the proxy: it answers first, and learns in what time is left.

One thread answers the messages of the proxy; another one lets the models learn in slices, after
each of which it rests, by the share of a core that it may use. It steps back behind all others on
the machine: what computes for long lets those who wake up for a moment wait, by milliseconds at
each step of a request. Learning is native code for the most part, so that it seldom keeps the
interpreter from a question. A mind is saved between two slices.

Messages are JSON, a line each, over a pair of sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import math
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ....engine.compiler.native.threads import set_num_threads
from ..errors import FinchError
from ..mind.settings import MindSettings
from ..proxy.memory import settled
from ..store.record import Record
from ..store.store import Store
from .inbox import Inbox
from .keeper import MOST_OPEN, Considered, Keeper, Write
from .loop import run

SLICE = 0.004
"""Seconds of learning between two looks for messages."""
TURN = 0.002
"""Seconds between two looks whether it is one's turn."""
SWITCH = 0.0001
"""Seconds for which one thread may keep the other from running."""
MOST_BEHIND = 1000
"""Requests that are over and have not been learned from yet; beyond that they are only noted."""
MANY_BEHIND = 50
"""The same; beyond that they are learned from without asking the transformers before."""
BEHIND = "the local models are behind with learning"
FAILED = "the local models failed"
"""Why nothing is thought of a request."""
SELDOM = 600.0
"""Seconds between two searches for garbage among all objects, in which nothing is answered."""
NICE = 10
"""How far learning steps back behind all else that the machine computes: not by 19, the most, since
it would hold the interpreter for long while others have the processor."""
RETURN = 0.001
"""Seconds that a reply takes until it is read."""
REST = 0.25
"""Seconds between two looks for what has to be saved, when there is nothing to learn."""


class Worker:
    """Does what the messages say.

    Args:
        store: the home.
        keeper: of the minds.
        namespace: of the scopes.
        share: of a core that learning may use, above 0 and up to 1.
        learning: whether anything is learned.
        patience: seconds that a request waits for the reply; what takes longer is not begun.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, Store(f"{folder}/finch") as store:
        ...     worker = Worker(store, Keeper(store, MindSettings(models=False)))
        ...     worker.handle({"do": "status"})["learning"]
        True
    """

    def __init__(
        self,
        store: Store,
        keeper: Keeper,
        *,
        namespace: str = "",
        share: float = 0.5,
        learning: bool = True,
        patience: float = 0.01,
    ) -> None:
        self._store, self._keeper = store, keeper
        self._namespace, self._share, self._patience = namespace, share, patience
        self.learning = learning
        self._turn = threading.Lock()  # held while models learn, and while their state is copied
        self._halt = threading.Event()  # lets the other thread have its turn
        self._failed = ""
        self._behind = 0  # messages that wait, of which nobody waits for the reply
        self._ending = threading.Event()
        self._audits: list[tuple[bool, float]] = []
        self._stages: list[tuple[str, float]] = []

    def handle(self, message: Mapping[str, Any]) -> dict[str, Any] | None:
        """Do what a message says; the reply, if it wants one."""
        match message["do"]:
            case "consider":
                return self._consider(message)
            case "ended":
                return self._ended(message)
            case "status":
                return self.status()
            case "learning":
                self.learning = bool(message["on"])
        return None

    def status(self) -> dict[str, Any]:
        """What there is to tell since the last time."""
        audits, self._audits = self._audits, []
        stages, self._stages = self._stages, []
        return {
            "learning": self.learning,
            "waiting": self._keeper.waiting,
            "most": MOST_OPEN,
            "troubles": [self._failed, self._keeper.trouble, self._store.log.trouble, self._slow()],
            "tasks": list(self._keeper.tasks()),
            "audits": audits,
            "stages": stages,
        }

    def _slow(self) -> str:
        """What there is to say if requests do not wait as long as the transformers think."""
        thinking = self._keeper.thinking
        if thinking <= self._patience - RETURN:
            return ""
        return (
            f"The transformers think for {thinking * 1e3:.0f} ms, and requests wait for "
            f"{self._patience * 1e3:.0f}: they learn, and are not asked. Raise --patience, or take "
            "a smaller preset."
        )

    async def run(self, ours: socket.socket) -> None:
        """Until the proxy closes its end, or says so."""
        loop = asyncio.get_running_loop()
        _, inbox = await loop.create_connection(Inbox, sock=ours)
        inbox.reply({"id": 0})
        thread = threading.Thread(target=self._learn, name="finch learning")
        saving = asyncio.create_task(self._save())
        thread.start()
        try:
            with settled(SELDOM):
                await self._answer(inbox)
        finally:
            self._ending.set()
            saving.cancel()
            await asyncio.gather(saving, return_exceptions=True)
            inbox.close()
            thread.join()

    async def _answer(self, inbox: Inbox) -> None:
        async for message in inbox:
            if message["do"] == "stop":
                break
            self._behind = inbox.behind
            try:
                reply = self.handle(message)
            except Exception as error:
                self._fail("answering", error)
                reply = {"serve": False, "reason": FAILED} if "id" in message else None
            if reply is not None:
                inbox.reply({"id": message["id"], **reply} if "id" in message else reply)

    def _learn(self) -> None:
        if sys.platform == "linux":  # elsewhere it would be the whole process, the answers too
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        while not self._ending.is_set():
            if self._halt.is_set():
                self._ending.wait(TURN)
                continue
            began = time.monotonic()
            more = False
            with self._turn:
                try:
                    more = self.learning and self._keeper.work(SLICE)
                except Exception as error:
                    self._fail("learning", error)
            spent = time.monotonic() - began
            self._ending.wait(spent * (1 / self._share - 1) if more else REST)

    async def _save(self) -> None:
        while True:
            await asyncio.sleep(REST)
            self._halt.set()
            while not self._turn.acquire(blocking=False):
                await asyncio.sleep(TURN)
            write: Write | None = None
            try:
                with contextlib.closing(self._keeper.due()) as steps:
                    for write in steps:
                        if write is None:
                            await asyncio.sleep(TURN)
            except Exception as error:
                self._fail("saving", error)
            finally:
                self._turn.release()
                self._halt.clear()
            if write is not None:
                await asyncio.shield(asyncio.to_thread(write))

    def _fail(self, doing: str, error: Exception) -> None:
        """What is said of an error that nobody expected: its kind and place, not its words."""
        places = traceback.extract_tb(error.__traceback__)
        place = f" at {Path(places[-1].filename).name}:{places[-1].lineno}" if places else ""
        self._failed = f"{doing} failed: {type(error).__name__}{place}"

    def _consider(self, message: Mapping[str, Any]) -> dict[str, Any]:
        waited = time.monotonic() - message["asked"]
        found = self._think(message, left=self._patience - waited - RETURN)
        if isinstance(found, str):
            return {"serve": False, "reason": found, "hopeless": found != FAILED}
        thought = found.thought
        return {
            "serve": thought.serve,
            "text": thought.answer if thought.serve else "",
            "reason": thought.reason,
            "audit": thought.audit,
            "hopeless": not found.serving,
            "input_tokens": found.input_tokens,
            "output_tokens": found.output_tokens,
        }

    def _think(
        self, message: Mapping[str, Any], *, forwarded: bool = False, left: float = math.inf
    ) -> Considered | str:
        """What is thought of a request, or why nothing is."""
        began, fetched = time.perf_counter(), self._keeper.fetched
        asked = [message[name] for name in ("ident", "scope", "task", "query", "model")]
        try:
            found = self._keeper.consider(*asked, forwarded=forwarded, left=left)
        except Exception as error:
            self._fail("answering", error)
            return FAILED
        if self._keeper.fetched > fetched:
            gc.freeze()  # a mind is many objects, and a new one has no garbage
        if found is None:
            return self._keeper.absent
        self._stages.append(("thought", time.perf_counter() - began))
        return found

    def _ended(self, message: Mapping[str, Any]) -> dict[str, Any] | None:
        """Learn from what became of a request; news if its task is no longer without hope."""
        found: Considered | str = ""
        if message["later"] and self._behind > MOST_BEHIND:
            found = BEHIND
        elif message["later"]:
            left = 0.0 if self._behind > MANY_BEHIND else math.inf
            found = self._think(message, forwarded=True, left=left)
        answer = message["answer"] if self.learning else None
        tokens = {name: message[name] for name in ("input_tokens", "output_tokens")}
        over = self._keeper.ended(
            message["ident"], answer, local=message["decision"] == "local", **tokens
        )
        thought = None if over is None else over.thought
        learned = thought is not None and answer is not None
        if over is not None and over.agreed is not None and over.thought.audit:
            self._audits.append((over.agreed, over.thought.propensity))
        self._store.log.append(
            Record(
                ident=message["ident"],
                time=message["time"],
                decision=message["decision"],
                reason=message["reason"]
                or (found if isinstance(found, str) else found.thought.reason),
                scope=message["scope"],
                namespace=self._namespace,
                task=message["task"],
                path=message["path"],
                model=message["model"],
                status=message["status"],
                score=None if thought is None else thought.score,
                propensity=1.0 if thought is None else thought.propensity,
                opinions=() if thought is None else thought.opinions,
                latencies=message["latencies"],
                agreed=None if over is None else over.agreed,
                query=message["query"] if learned else None,
                answer=answer if learned else None,
                **tokens,
            )
        )
        if isinstance(found, str) or not found.serving:
            return None
        return {"hopeful": [message["scope"], message["task"]]}


def main(ours: socket.socket, options: Mapping[str, Any]) -> None:
    """What the process does, from its start to its end.

    Args:
        ours: one end of a pair; the other one is the proxy's.
        options: ``home``, and the keyword arguments of what they name: ``store``, ``mind`` (of
            `MindSettings`), ``keeper`` and ``worker``.
    """
    # Signals reach the whole group; the proxy says when it is time, or its end of the line closes.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    sys.setswitchinterval(SWITCH)
    set_num_threads(1)  # others would step back for nobody, and wait for each other by turning
    with ours:
        try:
            with Store(options["home"], pid=os.getppid(), **options["store"]) as store:
                keeper = Keeper(store, MindSettings(**options["mind"]), **options["keeper"])
                worker = Worker(store, keeper, **options["worker"])
                try:
                    run(worker.run(ours))
                finally:
                    keeper.save()
        except FinchError as error:
            with contextlib.suppress(OSError):  # the proxy may have gone
                ours.sendall(json.dumps({"id": 0, "error": str(error)}).encode() + b"\n")
