"""The proxy's end of the line: who is waited for, and who is not (R14.1, R14.3)."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from groundup.apps.finch.mind.settings import MindSettings
from groundup.apps.finch.proxy import Exchange, Verdict
from groundup.apps.finch.service import brain as module
from groundup.apps.finch.service.brain import BUSY, Brain
from groundup.apps.finch.service.keeper import Keeper
from groundup.apps.finch.service.worker import Worker
from groundup.apps.finch.store import Store
from groundup.apps.finch.wire import Answer, Call

from ..traffic import some_traffic

SCOPE, TASK = "00112233", "44556677"


def call(query: str = "hi", task: str = TASK) -> Call:
    return Call("/v1/messages", "large", query, task, False, 16, None, 0)


def over(verdict: Verdict, query: str = "hi") -> Exchange:
    answer = Answer("yes", "large", "end_turn", 3, 1)
    times = 0.0, 0.0, 0.0, 0.1
    return Exchange(call(query), SCOPE, verdict, answer, "forwarded", 200, *times)


class Other:
    """The process at the other end of a brain's line, played by a test."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def asked(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await asyncio.wait_for(self.reader.readline(), 5))
        return message

    async def says(self, question: dict[str, Any], **reply: Any) -> None:
        told = {"id": question["id"], "serve": False, "reason": "a reason", **reply}
        self.writer.write(json.dumps(told).encode() + b"\n")
        await asyncio.sleep(0.01)


@asynccontextmanager
async def lined(decisions: list[str] | None = None) -> AsyncIterator[tuple[Brain, Other]]:
    told = [] if decisions is None else decisions
    brain = Brain({}, lambda exchange, decision: told.append(decision))
    ours, theirs = socket.socketpair()
    reader, brain._writer = await asyncio.open_connection(sock=ours)
    brain.alive, brain._closing = True, True
    brain._reading = asyncio.create_task(brain._read(reader))
    other = Other(*await asyncio.open_connection(sock=theirs))
    yield brain, other
    other.writer.close()
    await brain._reading


def start(brain: Brain, **of: Any) -> asyncio.Task[Verdict]:
    return asyncio.create_task(brain.consider(call(**of), SCOPE))


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 5.0)


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 20))


def test_nobody_waits_while_nothing_of_a_task_can_be_served() -> None:
    async def test() -> None:
        async with lined() as (brain, other):
            first = start(brain)
            question = await other.asked()
            assert not first.done(), "of a task that is not known yet an answer is waited for"
            await other.says(question, hopeless=True)
            assert (await first).reason == "a reason"
            verdict = await asyncio.wait_for(brain.consider(call(), SCOPE), 1)
            assert not verdict.serve
            question = await other.asked()
            assert (question["do"], question["ident"]) == ("consider", verdict.ident)
            assert not question["waits"]
            await other.says(question, hopeless=False)
            waits = start(brain)
            question = await other.asked()
            assert not waits.done(), "now there is hope"
            await other.says(
                question, hopeless=False, serve=True, text="yes", input_tokens=1, output_tokens=1
            )
            assert (await waits).text == "yes"

    run(test())


def test_hope_is_of_one_task_in_one_scope() -> None:
    async def test() -> None:
        async with lined() as (brain, other):
            first = start(brain)
            await other.says(await other.asked(), hopeless=True)
            await first
            others = [start(brain, task="89"), asyncio.create_task(brain.consider(call(), "99"))]
            for _ in others:
                question = await other.asked()
                assert not any(one.done() for one in others)
            for number in range(2, 4):
                await other.says({"id": number}, hopeless=False)
            assert question["id"] == 3
            await asyncio.gather(*others)

    run(test())


def test_an_answer_that_tells_nothing_of_the_task_changes_nothing() -> None:
    async def test() -> None:
        async with lined() as (brain, other):
            first = start(brain)
            await other.says(await other.asked(), hopeless=True)
            await first
            await brain.consider(call(), SCOPE)
            await other.says(await other.asked(), reason="the local models failed")
            verdict = await asyncio.wait_for(brain.consider(call(), SCOPE), 1)
            question = await other.asked()
            assert (question["ident"], question["waits"]) == (verdict.ident, False)

    run(test())


def test_an_audit_is_told_as_one_even_if_nobody_waited() -> None:
    async def test() -> None:
        decisions: list[str] = []
        async with lined(decisions) as (brain, other):
            first = start(brain)
            await other.says(await other.asked(), hopeless=True)
            brain.ended(over(await first))
            assert (await other.asked())["reason"] == "a reason"
            verdict = await brain.consider(call(), SCOPE)
            await other.says(await other.asked(), audit=True, hopeless=False)
            brain.ended(over(verdict))
            told = await other.asked()
            assert (told["decision"], told["reason"]) == ("audit", "")
            assert decisions == ["forward", "audit"]
            assert not brain._audits

    run(test())


def test_nothing_is_kept_of_a_client_that_left() -> None:
    async def test() -> None:
        async with lined() as (brain, other):
            task = start(brain)
            question = await other.asked()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await other.says(question, audit=True)
            assert task.cancelled()
            assert not brain._audits
            assert not brain.waiting

    run(test())


def test_a_process_that_takes_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_UNSENT", -1)

    async def test() -> None:
        async with lined() as (brain, _):
            verdicts = [await brain.consider(call(), SCOPE) for _ in range(3)]
            assert {verdict.reason for verdict in verdicts} == {BUSY}
            assert (brain.dropped, brain.waiting) == (3, 0)

    run(test())


def test_hope_ends_with_the_process() -> None:
    async def test() -> None:
        async with lined() as (brain, other):
            first = start(brain)
            await other.says(await other.asked(), hopeless=True)
            await first
            assert brain._hopeless == {(SCOPE, TASK)}
            other.writer.close()
            await brain._reading
            assert not brain._hopeless

    run(test())


# R14.3: while a request waits, its task is without hope exactly if the guard would serve nothing.
@pytest.mark.parametrize("waits", [True, False])
def test_the_worker_tells_when_there_is_no_hope(tmp_path: Path, waits: bool) -> None:
    settings = MindSettings(
        models=False, bits=10, cold_start=5, conservative=10, minimum=20, audit_half=10
    )
    with Store(tmp_path / "home") as store:
        keeper = Keeper(store, settings, worth=2)
        worker = Worker(store, keeper)
        told = []
        for number, (query, answer) in enumerate(some_traffic(300, noise=0.1)):
            about = {"ident": str(number), "scope": SCOPE, "task": TASK, "query": query}
            reply = worker.handle({"do": "consider", "model": "large", "waits": waits, **about})
            assert reply is not None
            mind = next((held.mind for held in keeper._held.values()), None)
            # The best score and the luckiest draw.
            hope = mind is not None and mind.guard.decide(1.0, 1.0).serve
            served = reply["serve"] or reply.get("audit", False)
            assert served <= hope
            assert reply["hopeless"] == (not hope if waits else not served)
            told.append(reply["hopeless"])
            if not reply["serve"]:
                keeper.ended(str(number), answer)
        assert all(told[:20])
        assert not all(told[20:])


def test_the_log_has_the_reason_of_a_request_that_did_not_wait(tmp_path: Path) -> None:
    with Store(tmp_path / "home") as store:
        worker = Worker(store, Keeper(store, MindSettings(models=False, bits=10), worth=1))
        about = {"scope": SCOPE, "task": TASK, "query": "hi", "model": "large"}
        reasons: list[str] = []
        store.log.append = lambda record: reasons.append(record.reason)  # type: ignore[method-assign]
        for ident in ("a", "b", "c"):
            worker.handle({"do": "consider", "ident": ident, "waits": False, **about})
            worker.handle(
                {
                    "do": "ended", "ident": ident, "answer": "yes", "input_tokens": 1,
                    "output_tokens": 1, "decision": "forward", "reason": "", "time": 1.0,
                    "path": "/v1/messages", "status": 200, "latencies": {}, **about,
                }
            )  # fmt: skip
        assert reasons == [
            "its task is new", "no stage has an answer", "cold start: 1 of 50 requests forwarded",
        ]  # fmt: skip
