"""The guard holds the error of what is served under delta, and notices changed answers (R14.3)."""

from __future__ import annotations

import json

import numpy as np
import pytest

from groundup.apps.finch.errors import FinchError
from groundup.apps.finch.guard.audits import Audits
from groundup.apps.finch.guard.cold_start import ColdStart
from groundup.apps.finch.guard.drift import Drift
from groundup.apps.finch.guard.guard import Guard
from groundup.apps.finch.guard.thresholds import GRID, NEVER, Thresholds


def scores_and_errors(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Three easy requests for a hard one, with scores that are a little too sure."""
    random = np.random.default_rng(seed)
    easy, hard = 1 - random.exponential(0.02, count), random.random(count)
    score = np.clip(np.where(random.random(count) < 0.75, easy, hard), 0.02, 0.999)
    return score, random.random(count) < np.minimum(1, 1.15 * (1 - score))


def serve(guard: Guard, score: np.ndarray, wrong: np.ndarray, seed: int) -> np.ndarray:
    """Which requests are answered locally."""
    draws = np.random.default_rng(seed).random(len(score))
    local = np.zeros(len(score), bool)
    for place, (s, w, draw) in enumerate(zip(score.tolist(), wrong.tolist(), draws, strict=True)):
        decision = guard.decide(s, float(draw))
        assert not (decision.serve and decision.audit)
        local[place] = decision.serve
        if not decision.serve:
            guard.note(s, s, w, decision.audit, decision.propensity)
    return local


def test_the_error_of_what_is_served_stays_under_delta() -> None:
    delta, shares, errors = 0.05, [], []
    for seed in range(4):
        score, wrong = scores_and_errors(5000, seed)
        local = serve(Guard(delta), score, wrong, seed)
        shares.append(local.mean())
        errors.append(wrong[local].mean())
    # The best that one could do, knowing all: the largest share with an error of delta.
    order = np.argsort(-score)
    best = np.flatnonzero(np.cumsum(wrong[order]) <= delta * np.arange(1, 5001)).max() / 5000
    assert max(errors) < delta
    assert np.mean(shares) > 0.6 * best, "nothing served would be safe too"


def test_nothing_is_served_from_scores_that_mean_nothing() -> None:
    random = np.random.default_rng(0)
    score = random.random(4000)
    local = serve(Guard(0.05), score, random.random(4000) < 0.3, 0)
    assert not local.any()


def test_cold_start_forwards_all_then_half_of_delta() -> None:
    guard = Guard(0.05, cold_start=ColdStart(50, 200), minimum=60)
    served = []
    for place in range(400):
        served.append(guard.decide(0.99, 0.999).serve)
        guard.note(0.99, 0.99, False, False, 1.0)
        assert guard.thresholds.share == (0 if place < 49 else 0.5 if place < 199 else 1)
    # Without an error the bound is under 2.5 % from 119 outcomes on, under 5 % from 59 on.
    assert not any(served[:119])
    assert all(served[140:])
    eager = Guard(0.05, cold_start=ColdStart(0, 0), minimum=60)
    for _ in range(100):
        eager.note(0.99, 0.99, False, False, 1.0)
    assert eager.decide(0.99, 0.999).serve


@pytest.mark.parametrize(("always", "conservative"), [(-1, 5), (10, 5)])
def test_cold_start_refuses_counts_that_make_no_sense(always: int, conservative: int) -> None:
    with pytest.raises(FinchError, match=f"cold start of {always} and {conservative}"):
        ColdStart(always, conservative)


def test_decisions_are_told_with_their_chances() -> None:
    guard = Guard(0.05)
    for _ in range(400):
        guard.note(0.99, 0.99, False, False, 1.0)
    low, audit, local = guard.decide(0.01, 0.0), guard.decide(0.99, 0.0), guard.decide(0.99, 0.999)
    assert (low.serve, low.audit, low.propensity) == (False, False, 1.0)
    assert (audit.serve, audit.audit) == (False, True)
    assert (local.serve, local.audit) == (True, False)
    assert audit.propensity == local.propensity == guard.audits.propensity(0.99)
    assert "score 0.010 under" in low.reason
    assert "audit" in audit.reason


def test_a_threshold_needs_enough_outcomes_and_few_errors() -> None:
    thresholds = Thresholds(0.05, minimum=100, every=1)
    for _ in range(99):
        thresholds.note(0.95, False, 1.0)
    assert thresholds.value == NEVER
    for _ in range(60):
        thresholds.note(0.95, False, 1.0)
    assert thresholds.value <= 0.95
    for _ in range(40):
        thresholds.note(0.95, True, 1.0)
    assert thresholds.value == NEVER


def test_thresholds_choose_more_errors_than_delta_as_seldom_as_they_say() -> None:
    # Scores are right as often as they say, so the error above a threshold is known.
    random = np.random.default_rng(1)
    many = np.clip(1 - random.exponential(0.15, 200_000), 0.02, 0.999)
    error = {t: float(np.mean(1 - many[many >= t])) for t in GRID.tolist() if (many >= t).any()}
    bad, values = 0, []
    for _ in range(120):
        thresholds = Thresholds(0.05, confidence=0.9, every=10**9)
        for score in np.clip(1 - random.exponential(0.15, 1500), 0.02, 0.999).tolist():
            thresholds.note(score, bool(random.random() > score), 1.0)
        thresholds.test()
        values.append(thresholds.value)
        bad += thresholds.value != NEVER and error[thresholds.value] > 0.05
    assert bad <= 120 * 0.1 + 3 * np.sqrt(120 * 0.1 * 0.9)
    assert np.mean(np.array(values) != NEVER) > 0.9


def test_an_audit_that_was_unlikely_weighs_more() -> None:
    light, heavy = Thresholds(0.05, every=1), Thresholds(0.05, every=1)
    for thresholds, weight in ((light, 1.0), (heavy, 20.0)):
        for _ in range(400):
            thresholds.note(0.9, False, 1.0)
        for _ in range(5):
            thresholds.note(0.9, True, weight)
    assert light.value <= 0.9
    assert heavy.value == NEVER


def test_change_is_noticed_soon_and_seldom_without_one() -> None:
    random = np.random.default_rng(0)
    for _ in range(6):
        drift = Drift()
        score = random.random(2500)
        assert not any(drift.note(s, bool(random.random() > s)) for s in score.tolist()), (
            "scores that are right as often as they say"
        )
        after = 0
        while not drift.note(s := float(random.random()), bool(random.random() > 0.7 * s)):
            after += 1
            assert after < 400
        assert drift.alarms == 1


def test_when_answers_change_traffic_goes_upstream_and_comes_back() -> None:
    guard = Guard(0.05, audits=Audits(half=50))
    random = np.random.default_rng(2)
    score, wrong = scores_and_errors(9000, 2)
    changed = slice(3000, 4000)
    wrong[changed] |= random.random(1000) < 0.3
    local = serve(guard, score, wrong, 2)
    assert local[2500:3000].mean() > 0.4
    assert local[3600:4000].mean() < 0.01
    assert local[8000:].mean() > 0.4
    assert guard.drift.alarms >= 1
    assert wrong[local].mean() < 0.05, "over the whole, the change included"


def test_a_saved_guard_goes_on_exactly() -> None:
    score, wrong = scores_and_errors(3000, 3)
    guard = Guard(0.05)
    serve(guard, score[:1500], wrong[:1500], 3)
    arrays, facts = guard.state()
    other = Guard.from_state(
        {name: array.copy() for name, array in arrays.items()}, json.loads(json.dumps(facts))
    )
    first = serve(guard, score[1500:], wrong[1500:], 4)
    again = serve(other, score[1500:], wrong[1500:], 4)
    assert np.array_equal(first, again)
    assert guard.state()[1] == other.state()[1]
    assert guard.status() == other.status()


def test_other_limits_hold_from_the_next_request_on() -> None:
    score, wrong = scores_and_errors(3000, 5)
    guard = Guard(0.05)
    serve(guard, score, wrong, 5)
    before = guard.thresholds.value
    assert before != NEVER
    guard.limit(0.001, 0.95, ColdStart(), Audits(), 100)
    assert guard.thresholds.value > before
    assert guard.status()["delta"] == 0.001
