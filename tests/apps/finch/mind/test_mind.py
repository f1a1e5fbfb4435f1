"""One task's cascade: judged before it learns, exactly resumable, within its bound: R14.2, 14.3."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from tests.apps.finch.traffic import some_traffic

from groundup.apps.finch.errors import FinchError
from groundup.apps.finch.mind.mind import SURE, Mind, same
from groundup.apps.finch.mind.settings import STUDENTS, MindSettings
from groundup.apps.finch.mind.thought import Thought
from groundup.apps.finch.models.ensemble import FIRST_GROWTH, Said

SETTINGS = MindSettings(models=False, bits=12, replay=1, minimum=60, audit_half=30)


def live(mind: Mind, traffic: list[tuple[str, str]]) -> list[Thought]:
    """Send traffic through a mind as a proxy does."""
    thoughts = []
    for query, answer in traffic:
        thought = mind.consider(query)
        if not thought.serve:
            mind.learn(thought, answer)
        thoughts.append(thought)
    return thoughts


def same_state(a: Mind, b: Mind) -> bool:
    (arrays, facts), (others, more) = a.state(), b.state()
    return (
        facts == more
        and arrays.keys() == others.keys()
        and all(np.array_equal(arrays[name], others[name]) for name in arrays)
    )


def test_everything_is_forwarded_until_there_is_evidence_then_little() -> None:
    thoughts = live(Mind(SETTINGS), some_traffic(600))
    assert not any(thought.serve for thought in thoughts[:60])
    assert np.mean([thought.serve for thought in thoughts[-300:]]) > 0.6


def test_the_error_of_local_answers_is_under_delta() -> None:
    for seed in range(2):
        traffic = some_traffic(800, seed, noise=0.15)
        thoughts = live(Mind(SETTINGS, seed), traffic)
        local = [(t, answer) for t, (_, answer) in zip(thoughts, traffic, strict=True) if t.serve]
        assert len(local) > 200
        assert np.mean([not same(t.answer or "", answer) for t, answer in local]) < SETTINGS.delta


def test_thoughts_say_what_the_documents_want() -> None:
    for thought in live(Mind(SETTINGS), some_traffic(400)):
        assert not (thought.serve and thought.audit)
        assert 0 <= thought.score <= 1
        assert 0 < thought.propensity <= 1
        assert thought.reason
        if thought.serve or thought.audit:
            assert thought.answer is not None
            assert thought.propensity < 1
        else:
            assert thought.propensity == 1
        assert [one.stage for one in thought.opinions] == list(SETTINGS.students)


def test_considering_changes_nothing_but_the_draw() -> None:
    mind = Mind(SETTINGS)
    live(mind, some_traffic(100))
    arrays, facts = mind.state()
    for query, _ in some_traffic(20, seed=1):
        mind.consider(query)
    after_arrays, after = mind.state()
    assert facts.pop("draws") != after.pop("draws")
    assert facts == after
    assert all(np.array_equal(arrays[name], after_arrays[name]) for name in arrays)


def test_a_thought_is_judged_by_what_was_known_before() -> None:
    mind = Mind(SETTINGS)
    live(mind, some_traffic(100))
    thought = mind.consider("what is my balance")
    assert thought.answer == "balance"
    assert mind.learn(thought, "balance") is True
    assert mind.learn(mind.consider("what is my balance"), "other") is False
    assert mind.learn(Thought("q", (), None, 0.0, False, False, 1.0, ""), "x") is None


def test_the_same_seed_and_order_give_the_same_mind() -> None:
    traffic = some_traffic(300)
    one, two, other = Mind(SETTINGS, 1), Mind(SETTINGS, 1), Mind(SETTINGS, 2)
    first = live(one, traffic)
    assert first == live(two, traffic)
    assert same_state(one, two)
    assert first != live(other, traffic)


def test_a_saved_mind_goes_on_exactly() -> None:
    traffic = some_traffic(500, noise=0.1)
    mind = Mind(replace(SETTINGS, students=STUDENTS))
    live(mind, traffic[:300])
    arrays, facts = mind.state()
    other = Mind.from_state(
        {name: array.copy() for name, array in arrays.items()}, json.loads(json.dumps(facts))
    )
    assert live(mind, traffic[300:]) == live(other, traffic[300:])
    assert same_state(mind, other)


def test_a_saved_mind_takes_new_limits_but_keeps_its_sizes() -> None:
    mind = Mind(SETTINGS)
    live(mind, some_traffic(400))
    assert mind.status()["threshold"] is not None
    changed = Mind.from_state(*mind.state(), replace(SETTINGS, bits=16, delta=0.0001))
    assert changed.settings == replace(SETTINGS, delta=0.0001)
    assert changed.status()["threshold"] is None
    assert not any(thought.serve for thought in live(changed, some_traffic(50, seed=9)))


def test_forgetting_is_complete() -> None:
    mind = Mind(SETTINGS, 3)
    live(mind, some_traffic(300))
    mind.forget()
    assert same_state(mind, Mind(SETTINGS, 3))


def test_status_is_json_and_tells_the_bound() -> None:
    mind = Mind(SETTINGS)
    live(mind, some_traffic(400))
    status = json.loads(json.dumps(mind.status()))
    assert status["delta"] == 0.05
    assert status["audited"] > 0
    assert status["error"] <= status["bound"] <= 1
    assert mind.work(0.01) is False


def test_another_judge_may_be_brought() -> None:
    mind = Mind(SETTINGS, agrees=lambda local, remote: local[0] == remote[0])
    for answer in ("yes", "yes"):
        mind.learn(mind.consider("is it so"), answer)
    assert mind.learn(mind.consider("is it so"), "yeah") is True


def test_a_long_answer_is_not_learned() -> None:
    mind = Mind(replace(SETTINGS, longest_answer=10))
    for _ in range(3):
        mind.learn(mind.consider("tell me all"), "x" * 11)
    assert mind.consider("tell me all").answer is None


@pytest.mark.parametrize("text", ["", "\ud800", "\0", "é" * 5000, "日本語 " * 50])
def test_no_text_is_too_odd(text: str) -> None:
    mind = Mind(SETTINGS)
    for _ in range(3):
        mind.learn(mind.consider(text), text)
    thought = mind.consider(text)
    assert not thought.serve, "three requests are the cold start"
    assert 0 <= thought.score <= 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("delta", 0.0), ("delta", 1.0), ("confidence", 2), ("audit_floor", 0), ("audit_floor", 0.9),
        ("cold_start", -1), ("conservative", 10), ("minimum", 0), ("minimum", 10**5),
        ("window", 1), ("classes", 1), ("bits", 40), ("replay", -1), ("longest_query", 0),
        ("students", ("exact", "oracle")), ("students", ("exact", "exact")), ("preset", "huge?"),
    ],
)  # fmt: skip
def test_settings_say_what_is_wrong(name: str, value: object) -> None:
    with pytest.raises(FinchError, match="expected"):
        MindSettings(**{name: value})


def test_settings_survive_json() -> None:
    settings = MindSettings(delta=0.02, students=("linear",))
    assert MindSettings.from_json(json.loads(json.dumps(settings.to_json()))) == settings


@pytest.mark.slow
def test_the_transformers_are_asked_where_the_students_are_in_doubt() -> None:
    mind = Mind(replace(SETTINGS, models=True, students=("exact", "linear")))
    traffic = some_traffic(200)
    live(mind, traffic[:FIRST_GROWTH])
    assert mind.status()["waiting"] == FIRST_GROWTH
    while mind.work(0.5):
        pass
    assert mind.status()["waiting"] == 0
    arrays, facts = mind.state()
    other = Mind.from_state(arrays, json.loads(json.dumps(facts)))
    asked = 0
    assert mind.models is not None
    for query, answer in traffic[FIRST_GROWTH:]:
        thought = mind.consider(query)
        stages = [one.stage for one in thought.opinions]
        assert stages[:2] == ["exact", "linear"]
        if len(stages) > 2:
            asked += 1
            assert stages[2:4] == ["router", "generator"]
            assert set(stages[4:]) <= {"validator"}
        else:
            assert thought.score >= SURE or mind.models.suggest(query) == Said()
        assert thought == other.consider(query)
        mind.learn(thought, answer)
        other.learn(thought, answer)
    assert 0 < asked < len(traffic) - FIRST_GROWTH
    assert same_state(mind, other)
