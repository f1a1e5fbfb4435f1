"""Stages are weighed by what they were worth (R14.2)."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, strategies as st

from groundup.apps.finch.mind.combine import Combine, sureness
from groundup.apps.finch.mind.thought import Opinion

OPINIONS = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c", None]), st.floats(0, 1)), min_size=3, max_size=3
).map(lambda said: [Opinion(f"s{n}", answer, score) for n, (answer, score) in enumerate(said)])
STAGES = ["s0", "s1", "s2"]


@given(st.lists(st.tuples(OPINIONS, st.sampled_from("abc")), max_size=20), OPINIONS)
def test_the_answer_is_one_that_was_suggested(
    past: list[tuple[list[Opinion], str]], said: list[Opinion]
) -> None:
    combine = Combine(STAGES)
    for opinions, answer in past:
        combine.learn(opinions, lambda local, answer=answer: local == answer)
    best, score = combine.weigh(said)
    given_ = {one.answer for one in said} - {None}
    assert best in given_ if given_ else best is None
    assert 0 <= score <= 1


def stream(count: int, seed: int) -> list[tuple[list[Opinion], str]]:
    """A stage that is right as often as it says, one that is too sure, one that knows nothing."""
    random = np.random.default_rng(seed)
    out = []
    for _ in range(count):
        answer = "abcd"[random.integers(4)]
        said = []
        for stage, (low, honest) in enumerate(((0.5, True), (0.3, False), (0.0, False))):
            chance = low + (1 - low) * random.random()
            other = "abcd"[random.integers(4)]
            guess = answer if random.random() < chance and stage < 2 else other
            said.append(Opinion(STAGES[stage], guess, chance if honest else 0.5 + chance / 2))
        out.append((said, answer))
    return out


def test_scores_come_to_be_right_as_often_as_they_say() -> None:
    combine = Combine(STAGES)
    scores, right = [], []
    for said, answer in stream(3000, 0):
        best, score = combine.weigh(said)
        scores.append(score)
        right.append(best == answer)
        combine.learn(said, lambda local, answer=answer: local == answer)
    late_scores, late_right = np.array(scores[500:]), np.array(right[500:])
    for low, high in ((0.0, 0.6), (0.6, 0.8), (0.8, 0.95), (0.95, 1.0)):
        some = (late_scores >= low) & (late_scores < high)
        if some.sum() >= 50:
            spread = 3 * np.sqrt(0.25 / some.sum())
            assert abs(late_scores[some].mean() - late_right[some].mean()) < spread
    alone = [said[0].answer == answer for said, answer in stream(3000, 0)][500:]
    assert late_right.mean() > np.mean(alone) + 0.02, "better than the best stage alone"


def test_answers_that_are_often_wrong_are_believed_less() -> None:
    combine = Combine(["linear"])
    random = np.random.default_rng(0)
    for _ in range(400):
        for answer, chance in (("sound", 0.98), ("doubtful", 0.5)):
            said = [Opinion("linear", answer, 0.9)]
            outcome = bool(random.random() < chance)
            combine.learn(said, lambda local, outcome=outcome: outcome)
    sound = combine.weigh([Opinion("linear", "sound", 0.9)])[1]
    doubtful = combine.weigh([Opinion("linear", "doubtful", 0.9)])[1]
    assert sound > 0.9
    assert doubtful < 0.65


def test_a_stage_without_an_answer_speaks_for_all_alike() -> None:
    combine = Combine(["linear", "router"])
    random = np.random.default_rng(0)
    for _ in range(600):
        easy = bool(random.random() < 0.5)
        said = [Opinion("linear", "a", 0.7), Opinion("router", None, 0.9 if easy else 0.1)]
        combine.learn(said, lambda local, easy=easy: easy)
    easy = combine.weigh([Opinion("linear", "a", 0.7), Opinion("router", None, 0.9)])[1]
    hard = combine.weigh([Opinion("linear", "a", 0.7), Opinion("router", None, 0.1)])[1]
    assert hard < 0.1 < 0.9 < easy


def test_answers_that_differ_in_case_alone_are_one_candidate() -> None:
    combine = Combine(["s0", "s1"])
    together = combine.weigh([Opinion("s0", "Yes", 0.8), Opinion("s1", "yes ", 0.8)])
    apart = combine.weigh([Opinion("s0", "Yes", 0.8), Opinion("s1", "no", 0.8)])
    assert together[0] == "Yes"
    assert together[1] > apart[1]


def test_a_saved_combination_goes_on_exactly() -> None:
    past, more = stream(100, 1)[:60], stream(100, 1)[60:]
    combine = Combine(STAGES)
    for said, answer in past:
        combine.learn(said, lambda local, answer=answer: local == answer)
    arrays, facts = combine.state()
    other = Combine.from_state(arrays, json.loads(json.dumps(facts)))
    for said, answer in more:
        assert combine.weigh(said) == other.weigh(said)
        for one in (combine, other):
            one.learn(said, lambda local, answer=answer: local == answer)


def test_how_sure_the_stages_are() -> None:
    a, b = Opinion("s0", "a", 0.9), Opinion("s1", "b", 0.9)
    assert sureness([a], "a") == pytest.approx(0.9)
    assert sureness([a, b], "a") == pytest.approx(0.5)
    assert sureness([a, Opinion("s2", None, 0.0)], "a") == pytest.approx(0.9)
