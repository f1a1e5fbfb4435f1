"""Bounds on an error: exact, weighted, at all times (R14.3)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.stats import binomtest

from groundup.apps.finch.guard.bounds import RunningBound, upper_bound, weighted_upper_bound


@given(st.integers(0, 60), st.integers(1, 400), st.sampled_from([0.8, 0.95, 0.99]))
def test_clopper_pearson_is_scipys(errors: int, trials: int, confidence: float) -> None:
    errors = min(errors, trials)
    test = binomtest(errors, trials, alternative="less")
    expected = test.proportion_ci(confidence, method="exact").high
    assert upper_bound(errors, trials, confidence) == pytest.approx(expected, abs=1e-9)


def test_the_bound_is_where_so_few_errors_become_unlikely() -> None:
    bound = float(upper_bound(3, 100, 0.95))
    assert binomtest(3, 100, bound, alternative="less").pvalue == pytest.approx(0.05, abs=1e-9)


def test_without_trials_nothing_is_known() -> None:
    assert upper_bound([0, 5], [0, 5]).tolist() == [1.0, 1.0]


@given(st.integers(0, 30), st.integers(1, 300), st.floats(0.1, 50))
def test_equal_weights_make_the_exact_bound(errors: int, trials: int, weight: float) -> None:
    errors = min(errors, trials)
    sums = [
        [weight * trials], [weight**2 * trials], [weight * errors], [weight**2 * errors], [trials]
    ]  # fmt: skip
    assert weighted_upper_bound(sums)[0] == pytest.approx(upper_bound(errors, trials), abs=1e-9)


def test_the_weighted_bound_holds_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    error, held = np.where(np.arange(4000) % 2, 0.01, 0.09), []  # easy and hard requests
    propensity = np.where(np.arange(4000) % 2, 0.05, 0.2)
    for _ in range(600):
        wrong = random.random(4000) < error
        seen = random.random(4000) < propensity
        w = 1 / propensity[seen]
        k = w * wrong[seen]
        sums = [[w.sum()], [(w**2).sum()], [k.sum()], [(k**2).sum()], [seen.sum()]]
        held.append(weighted_upper_bound(sums, 0.9)[0] >= error.mean())
    assert 0.87 <= np.mean(held) <= 0.97  # 0.9, at 600 samples 0.012 off at times; a bit careful


def test_the_running_bound_is_never_under_the_error_whenever_one_looks() -> None:
    # The error, the propensities and the moments of looking are all unfavourable.
    random = np.random.default_rng(0)
    error, failures, tight = 0.05, 0, []
    for _ in range(120):
        bound = RunningBound(confidence=0.9)
        under = False
        for place in range(300):
            propensity = 0.5 if place < 100 else (0.05, 0.2)[place % 2]
            least = 0.5 if place < 100 else 0.05
            bound.update(bool(random.random() < error), propensity, least)
            if place % 20 == 0:
                under |= bound.upper < error
        failures += under
        tight.append(bound.upper)
    assert failures <= 120 * 0.1 + 3 * np.sqrt(120 * 0.1 * 0.9)
    assert np.median(tight) < 0.15, "a bound of 1 would hold too"


def test_the_running_bound_tightens_with_audits_and_tells_the_share() -> None:
    bound = RunningBound()
    uppers = [bound.upper]
    for place in range(900):
        bound.update(place % 50 == 0, 0.05, 0.05)
        if place % 300 == 299:
            uppers.append(bound.upper)
    assert bound.estimate == pytest.approx(0.02)
    assert uppers == sorted(uppers, reverse=True)
    assert 0.02 < uppers[-1] < 0.045


def test_an_audit_that_was_certain_stands_for_nothing_served() -> None:
    bound = RunningBound()
    bound.update(True, 1.0, 1.0)
    assert bound.upper == RunningBound().upper
    assert bound.estimate == 0


def test_a_saved_running_bound_goes_on() -> None:
    bound = RunningBound()
    for place in range(50):
        bound.update(place % 9 == 0, 0.1, 0.05)
    other = RunningBound.from_state(*bound.state())
    for one in (bound, other):
        one.update(False, 0.05, 0.05)
    assert (bound.upper, bound.estimate) == (other.upper, other.estimate)
