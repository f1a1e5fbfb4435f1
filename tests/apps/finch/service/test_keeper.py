"""Minds in one process: who gets one, who is saved, what is counted (R14.3, R14.5)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from groundup.apps.finch.errors import FinchError
from groundup.apps.finch.mind.mind import Mind
from groundup.apps.finch.mind.settings import MindSettings
from groundup.apps.finch.service.keeper import Considered, Keeper
from groundup.apps.finch.store import Store

SCOPE, TASK = "00112233", "44556677"
QUICK = MindSettings(
    models=False, cold_start=5, conservative=10, bits=10, entries=500, audit_half=10
)
WORDS = ["alpha", "bravo", "charlie", "delta"]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "home") as store:
        yield store


def asked(keeper: Keeper, number: int, task: str = TASK, scope: str = SCOPE) -> Considered | None:
    word = WORDS[number % len(WORDS)]
    return keeper.consider(f"{scope}{task}{number}", scope, task, f"{word} please", "large")


def taught(keeper: Keeper, count: int, task: str = TASK, scope: str = SCOPE) -> int:
    """So many requests of a task; how many were answered here."""
    local = 0
    for number in range(count):
        found = asked(keeper, number, task, scope)
        served = found is not None and found.thought.serve
        answer = None if served else WORDS[number % len(WORDS)].upper()
        keeper.ended(
            f"{scope}{task}{number}", answer, input_tokens=40, output_tokens=2, local=served
        )
        local += served
    return local


def test_a_task_gets_a_mind_when_it_has_come_often_and_serves_when_it_may(store: Store) -> None:
    keeper = Keeper(store, QUICK, worth=3)
    assert [asked(keeper, n) is None for n in range(5)] == [True, True, True, False, False]
    assert taught(keeper, 600) > 300
    [task] = keeper.tasks()
    assert task["state"] == "serving"
    assert task["model"] == "large"
    assert task["local"] > 300
    assert task["wrong"] == 0 < task["audits"]
    assert 0 <= task["error"] <= task["bound"] < 1
    found = asked(keeper, 1000)
    assert found is not None
    assert (found.input_tokens, found.output_tokens) == (40, 2)


def test_nothing_of_one_scope_or_task_is_known_in_another(store: Store) -> None:
    keeper = Keeper(store, QUICK, worth=0)
    taught(keeper, 200)
    for scope, task in ((SCOPE, "8899aabb"), ("ffeeddcc", TASK)):
        found = keeper.consider("x", scope, task, "alpha please")
        assert found is not None
        assert found.thought.answer is None


def test_a_mind_that_was_put_away_goes_on_where_it_was(store: Store) -> None:
    keeper = Keeper(store, QUICK, worth=0, held=1, idle=0)
    taught(keeper, 800)
    [before] = keeper.tasks()
    assert asked(keeper, 1, "8899aabb") is not None
    assert [task["task"] for task in keeper.tasks()] == ["8899aabb"]
    found = asked(keeper, 800)
    assert found is not None
    assert found.thought.answer == "ALPHA"
    [after] = keeper.tasks()
    assert after == {**before, "requests": before["requests"] + 1}


def test_the_same_after_a_new_start_with_other_limits(store: Store) -> None:
    keeper = Keeper(store, QUICK, worth=0)
    taught(keeper, 300)
    keeper.save()
    again = Keeper(store, MindSettings(models=False, delta=0.0001), worth=100)
    found = asked(again, 1)
    assert found is not None
    assert found.thought.answer == "BRAVO"
    assert not found.thought.serve, "no test has shown so small an error"


def written(keeper: Keeper) -> None:
    *_, write = keeper.due()
    assert write is not None
    write()


def test_minds_are_saved_after_their_time_and_trouble_is_told(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    keeper = Keeper(store, QUICK, worth=0, every=10, clock=lambda: now[0])
    taught(keeper, 3)
    assert not list(keeper.due())
    now[0] = 11.0

    def refuse(*_: object) -> None:
        raise FinchError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(store.minds, "save", refuse)
        written(keeper)
    assert keeper.trouble == "the disk is full"
    now[0] = 22.0
    written(keeper)
    assert keeper.trouble == ""
    assert [(one.scope, one.task) for one in store.minds] == [(SCOPE, TASK)]
    now[0] = 33.0
    assert not list(keeper.due()), "nothing was learned since"


def test_a_slow_disk_is_written_less_often(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    keeper = Keeper(store, QUICK, worth=0, every=10, clock=lambda: now[0])
    save = store.minds.save

    def slow(*args: Any) -> None:
        save(*args)
        now[0] += 1

    monkeypatch.setattr(store.minds, "save", slow)
    keeper.teach(SCOPE, TASK, "hi", "hello")
    now[0] = 10
    written(keeper)
    keeper.teach(SCOPE, TASK, "hi", "hello")
    now[0] = 59
    assert not list(keeper.due())
    now[0] = 61
    written(keeper)


def test_what_is_copied_in_parts_is_whole_or_is_copied_again(store: Store) -> None:
    now = [0.0]
    keeper = Keeper(store, QUICK, worth=0, every=10, clock=lambda: now[0])
    taught(keeper, 300)
    now[0] = 11
    with contextlib.closing(keeper.due()) as steps:
        assert next(steps) is None
        assert next(steps) is None
    assert not list(store.minds), "it was broken off"
    now[0] = 22
    steps = keeper.due()
    assert next(steps) is None
    found = asked(keeper, 300)  # answered and learned between two parts
    keeper.ended(f"{SCOPE}{TASK}300", "BRAVO")
    assert found is not None
    *between, write = steps
    assert between
    assert not any(between)
    assert write is not None
    write()
    again = asked(Keeper(store, QUICK, worth=100), 1)
    assert again is not None
    assert again.thought.answer == "BRAVO"
    now[0] = 33
    written(keeper)  # what came between may not have been in it


def test_a_copy_of_an_older_state_is_not_written_over_a_newer_one(store: Store) -> None:
    now = [0.0]
    keeper = Keeper(store, QUICK, worth=0, every=10, held=1, idle=0, clock=lambda: now[0])
    taught(keeper, 300)
    now[0] = 11
    *_, late = keeper.due()
    assert late is not None
    keeper.teach(SCOPE, TASK, "a new one", "a new answer")
    asked(keeper, 1, "8899aabb")  # puts the other one away
    late()
    found = keeper.consider("x", SCOPE, TASK, "a new one")
    assert found is not None
    assert found.thought.opinions[0].answer == "a new answer"


def test_a_mind_that_learns_just_now_is_not_put_away(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = Keeper(store, QUICK, worth=0, held=2, idle=0)
    for task in ("aaaaaaaa", "bbbbbbbb"):
        keeper.teach(SCOPE, task, "hi", "hello")
    seen = []

    def work(mind: Mind, budget: float) -> bool:
        if not seen:  # the first is that of the task asked last, so make it the oldest
            seen.append(mind)
            keeper.teach(SCOPE, "aaaaaaaa", "hi", "hello")
            keeper.teach(SCOPE, "cccccccc", "hi", "hello")
            seen.extend(one["task"] for one in keeper.tasks())
        return True

    monkeypatch.setattr(Mind, "work", work)
    assert keeper.work(1.0)
    assert seen[1:] == ["cccccccc", "bbbbbbbb"], "aa went, though bb was older"
    assert {one.task for one in store.minds} == {"aaaaaaaa"}


# R14.5: tasks do not push each other out of memory at each request.
def test_a_task_makes_room_only_when_it_rests(store: Store) -> None:
    now = [0.0]
    keeper = Keeper(store, QUICK, worth=0, held=2, idle=60, clock=lambda: now[0])
    for task in ("aaaaaaaa", "bbbbbbbb"):
        keeper.teach(SCOPE, task, "hi", "hello")
    now[0] = 50
    assert asked(keeper, 1, "bbbbbbbb") is not None
    assert asked(keeper, 1, "cccccccc") is None
    assert "room" in keeper.absent
    now[0] = 61
    assert asked(keeper, 1, "cccccccc") is not None
    assert [one["task"] for one in keeper.tasks()] == ["cccccccc", "bbbbbbbb"]
    assert asked(keeper, 1, "aaaaaaaa") is None, "it is on the disk and waits"
    now[0] = 130
    found = asked(keeper, 1, "aaaaaaaa")
    assert found is not None
    assert found.thought.opinions, "it is back from the disk"


def test_a_task_that_comes_seldom_pushes_nobody_out(store: Store) -> None:
    now = [0.0]
    keeper = Keeper(store, QUICK, worth=3, held=1, idle=10, clock=lambda: now[0])
    for _ in range(4):
        keeper.teach(SCOPE, TASK, "hi", "hello")
    now[0] = 20
    for _ in range(3):
        assert asked(keeper, 1, "cccccccc") is None
        assert "new" in keeper.absent
        assert [one["task"] for one in keeper.tasks()] == [TASK]
    assert asked(keeper, 1, "cccccccc") is not None


def test_of_too_many_tasks_the_oldest_is_forgotten(store: Store) -> None:
    keeper = Keeper(store, QUICK, worth=0, held=2, most=3, idle=0)
    names = [f"{n:08x}" for n in range(6)]
    for name in names:
        taught(keeper, 3, name)
    keeper.save()
    assert {one.task for one in store.minds} == set(names[-3:])


def test_what_was_to_be_served_and_was_not_is_learned_but_is_no_audit(store: Store) -> None:
    keeper = Keeper(store, QUICK, worth=0)
    taught(keeper, 600)
    [before] = keeper.tasks()
    number = 1000
    while True:  # until one is to be served
        found = asked(keeper, number)
        assert found is not None
        if found.thought.serve:
            break
        keeper.ended(f"{SCOPE}{TASK}{number}", None)
        number += 1
    over = keeper.ended(f"{SCOPE}{TASK}{number}", "something else")
    assert over is not None
    assert over.agreed is False
    [after] = keeper.tasks()
    same = ("audits", "wrong", "error", "bound")
    assert [after[name] for name in same] == [before[name] for name in same]
    again = asked(keeper, number)
    assert again is not None
    assert again.thought.opinions[0].answer == "something else"
    assert keeper.ended("of nobody", "x") is None
