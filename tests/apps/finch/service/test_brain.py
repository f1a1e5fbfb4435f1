"""The proxy's end of the line: who is waited for, and who is not (R14.1, R14.3)."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from groundup.apps.finch.mind.mind import Mind
from groundup.apps.finch.mind.settings import MindSettings
from groundup.apps.finch.mind.thought import Opinion, Thought
from groundup.apps.finch.proxy import Exchange, Verdict
from groundup.apps.finch.service import brain as module
from groundup.apps.finch.service.brain import BUSY, Brain
from groundup.apps.finch.service.keeper import Keeper
from groundup.apps.finch.service.worker import BEHIND, FAILED, MOST_BEHIND, Worker
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

    async def news(self, **news: Any) -> None:
        self.writer.write(json.dumps(news).encode() + b"\n")
        await asyncio.sleep(0.01)


@asynccontextmanager
async def lined(
    decisions: list[str] | None = None, patience: float = 5.0
) -> AsyncIterator[tuple[Brain, Other]]:
    told = [] if decisions is None else decisions
    brain = Brain({}, lambda exchange, decision: told.append(decision), patience)
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
            brain.ended(over(verdict))
            message = await other.asked()
            assert (message["do"], message["ident"]) == ("ended", verdict.ident)
            assert message["later"], "it is thought of when the request is over"
            await other.news(hopeful=[SCOPE, TASK])
            waits = start(brain)
            question = await other.asked()
            assert not waits.done(), "now there is hope"
            await other.says(
                question, hopeless=False, serve=True, text="yes", input_tokens=1, output_tokens=1
            )
            assert (await waits).text == "yes"
            assert not brain._later

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
            await other.says(await other.asked(), reason="the local models failed")
            await first
            second = start(brain)
            await other.says(await other.asked(), hopeless=True)
            await second
            await other.news(hopeful=["99", TASK])
            assert not (await asyncio.wait_for(brain.consider(call(), SCOPE), 1)).serve

    run(test())


def test_an_audit_is_told_as_one() -> None:
    async def test() -> None:
        decisions: list[str] = []
        async with lined(decisions) as (brain, other):
            for audit in (True, False):
                asked = start(brain)
                await other.says(await other.asked(), audit=audit, hopeless=False)
                brain.ended(over(await asked))
                told = await other.asked()
                assert told["decision"] == ("audit" if audit else "forward")
                assert (told["reason"], told["later"]) == ("a reason", False)
            assert decisions == ["audit", "forward"]
            assert not brain._audits

    run(test())


def test_of_a_slow_process_nothing_is_asked() -> None:
    async def test() -> None:
        async with lined(patience=0.01) as (brain, other):
            assert (await brain.consider(call(), SCOPE)).reason == BUSY
            question = await other.asked()
            verdict = await brain.consider(call(), SCOPE)
            assert (verdict.reason, brain.waiting) == (BUSY, 1)
            brain.ended(over(verdict))
            message = await other.asked()
            assert (message["do"], message["later"], message["reason"]) == ("ended", True, BUSY)
            await other.says(question, hopeless=False)
            again = start(brain)
            assert (await other.asked())["do"] == "consider"
            await again

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


def ended(ident: str, query: str, answer: str, **about: Any) -> dict[str, Any]:
    return {
        "do": "ended", "ident": ident, "query": query, "answer": answer, "scope": SCOPE,
        "task": TASK, "model": "large", "input_tokens": 1, "output_tokens": 1, "later": True,
        "decision": "forward", "reason": "", "time": 1.0, "path": "/v1/messages", "status": 200,
        "latencies": {}, **about,
    }  # fmt: skip


# R14.3: a task is without hope exactly as long as the guard would serve nothing.
@pytest.mark.parametrize("waits", [True, False])
def test_the_worker_tells_when_there_is_no_hope(tmp_path: Path, waits: bool) -> None:
    settings = MindSettings(
        models=False, bits=10, cold_start=5, conservative=10, minimum=20, audit_half=10
    )
    with Store(tmp_path / "home") as store:
        keeper = Keeper(store, settings, worth=2)
        worker = Worker(store, keeper)
        told, served = [], 0
        for number, (query, answer) in enumerate(some_traffic(300, noise=0.1)):
            about = {"ident": str(number), "scope": SCOPE, "task": TASK, "query": query}
            mind = next((held.mind for held in keeper._held.values()), None)
            # The best score and the luckiest draw.
            hope = mind is not None and mind.guard.decide(1.0, 1.0).serve
            if waits:
                asked = {"do": "consider", "model": "large", "asked": time.monotonic(), **about}
                reply = worker.handle(asked)
                assert reply is not None
                assert reply["serve"] <= hope
                served += reply["serve"]
                assert reply["hopeless"] == (not hope)
                told.append(reply["hopeless"])
                if not reply["serve"]:
                    keeper.ended(str(number), answer)
            else:
                news = worker.handle(ended(str(number), query, answer))
                mind = next((held.mind for held in keeper._held.values()), None)
                now = mind is not None and mind.guard.decide(1.0, 1.0).serve
                assert (news is not None) in {hope, now}
                assert news is None or news == {"hopeful": [SCOPE, TASK]}
                told.append(news is None)
        assert all(told[:20])
        assert not all(told[20:])
        assert bool(served) == waits


def test_the_log_has_the_reason_of_a_request_that_did_not_wait(tmp_path: Path) -> None:
    with Store(tmp_path / "home") as store:
        worker = Worker(store, Keeper(store, MindSettings(models=False, bits=10), worth=1))
        reasons: list[str] = []
        store.log.append = lambda record: reasons.append(record.reason)  # type: ignore[method-assign]
        for ident in ("a", "b", "c"):
            worker.handle(ended(ident, "hi", "yes"))
        worker.handle(ended("d", "hi", "yes", later=False, reason=BUSY))
        assert reasons == [
            "its task is new", "no stage has an answer", "cold start: 1 of 50 requests forwarded",
            BUSY,
        ]  # fmt: skip


# R14.3: what was forwarded whatever was thought of it is no audit, but it is learned from.
def test_what_nobody_waited_for_is_learned_and_neither_served_nor_an_audit(tmp_path: Path) -> None:
    settings = MindSettings(
        models=False, bits=10, cold_start=5, conservative=10, minimum=20, audit_half=10
    )
    with Store(tmp_path / "home") as store:
        keeper = Keeper(store, settings, worth=2)
        for number, (query, answer) in enumerate(some_traffic(300)):
            found = keeper.consider(str(number), SCOPE, TASK, query, "large", forwarded=True)
            over_ = keeper.ended(str(number), answer)
            if found is not None:
                assert not found.thought.serve
                assert not found.thought.audit
                assert found.thought.propensity == 1.0
                assert over_ is not None
        (task,) = keeper.tasks()
        assert (task["local"], task["audits"], task["state"]) == (0, 0, "serving")
        assert found is not None
        assert found.thought.reason == "nobody waited for the thought"


# R14.3: who has waited already is not kept waiting for the transformers.
def test_what_takes_longer_than_a_request_waits_is_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opinions = (Opinion("one of more than there are students", "yes", 0.9),) * 9
    thought = Thought("hi", opinions, "yes", 0.9, True, False, 0.1, "score")
    asked = []

    def consider(mind: Mind, query: str, hurry: bool = False) -> Thought:
        asked.append(hurry)
        if hurry:
            return replace(thought, opinions=())
        time.sleep(0.02)
        return thought

    monkeypatch.setattr(Mind, "consider", consider)
    with Store(tmp_path / "home") as store:
        keeper = Keeper(store, MindSettings(models=False, bits=10), worth=0)
        worker = Worker(store, keeper, patience=0.1)
        about = {"do": "consider", "scope": SCOPE, "task": TASK, "query": "hi", "model": "large"}
        for number, waited in enumerate([0.0, 0.05, 0.09, 0.0]):
            worker.handle({"ident": str(number), "asked": time.monotonic() - waited, **about})
        assert asked == [False, False, True, False]
        assert not any(worker.status()["troubles"])
        hasty = Worker(store, keeper, patience=0.01)
        hasty.handle({"ident": "4", "asked": time.monotonic(), **about})
        assert asked[-1]
        assert "for 2" in hasty.status()["troubles"][-1]
        assert "for 10: they learn" in hasty.status()["troubles"][-1]
        for number in range(200):
            hasty.handle({"ident": str(number), "asked": time.monotonic(), **about})
        assert not all(asked[5:]), "they are tried again"


# R14.5: a request is in the log whatever becomes of the thought about it.
def test_what_could_not_be_thought_of_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reasons: list[str] = []

    def fail(*facts: object, **how: object) -> None:
        raise MemoryError

    with Store(tmp_path / "home") as store:
        worker = Worker(store, Keeper(store, MindSettings(models=False, bits=10), worth=0))
        store.log.append = lambda record: reasons.append(record.reason)  # type: ignore[method-assign]
        monkeypatch.setattr(Keeper, "consider", fail)
        assert worker.handle(ended("a", "hi", "yes")) is None
        worker._behind = MOST_BEHIND + 1
        assert worker.handle(ended("b", "hi", "yes")) is None
        assert "MemoryError" in worker.status()["troubles"][0]
    assert reasons == [FAILED, BEHIND]
