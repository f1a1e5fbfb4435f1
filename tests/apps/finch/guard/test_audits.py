"""Audits are drawn at random with known chances, so that what they find is unbiased (R14.3)."""

from __future__ import annotations

import numpy as np
from hypothesis import given, strategies as st

from groundup.apps.finch.guard.audits import LEAST, MOST, Audits


def test_the_rate_falls_from_a_half_to_a_twentieth() -> None:
    audits = Audits(start=0.5, floor=0.05, half=100)
    rates = [audits.rate]
    for _ in range(600):
        audits.note(0.9, audits.propensity(0.9))
        rates.append(audits.rate)
    assert rates[0] == 0.5
    assert rates[100] == 0.25
    assert rates[-1] == 0.05
    assert rates == sorted(rates, reverse=True)
    audits.again()
    assert audits.rate == 0.5


@given(st.floats(0, 1), st.integers(0, 500))
def test_every_answer_may_be_audited_and_the_doubtful_sooner(score: float, made: int) -> None:
    audits = Audits()
    for _ in range(made):
        audits.note(0.9, audits.propensity(0.9))
    propensity = audits.propensity(score)
    assert audits.least <= propensity <= 1
    assert LEAST * audits.rate <= propensity <= MOST * audits.rate
    assert propensity >= audits.propensity(min(1.0, score + 0.1))


def test_estimates_are_unbiased_and_better_than_with_even_chances() -> None:
    random = np.random.default_rng(0)
    count = 4000
    score = np.clip(1 - random.exponential(0.04, count), 0.6, 1)
    wrong = random.random(count) < 1 - score
    audits = Audits(half=1)
    for _ in range(2000):  # to the floor, with the running mean of roots at its value
        place = random.integers(count)
        p = audits.propensity(float(score[place]))
        if random.random() < p:
            audits.note(float(score[place]), p)
    chances = np.array([audits.propensity(float(one)) for one in score])
    even = np.full(count, chances.mean())

    def estimates(propensity: np.ndarray) -> np.ndarray:
        seen = random.random((1500, count)) < propensity
        return (seen * wrong / propensity).mean(axis=1)

    weighted = estimates(chances)
    error_of_mean = weighted.std() / np.sqrt(len(weighted))
    assert abs(weighted.mean() - wrong.mean()) < 3.5 * error_of_mean
    assert weighted.std() < 0.95 * estimates(even).std()
    assert abs(chances.mean() - audits.floor) < 0.3 * audits.floor, "the rate is what was asked"


def test_saved_audits_go_on() -> None:
    audits = Audits()
    for score in np.linspace(0.6, 0.99, 40):
        audits.note(float(score), audits.propensity(float(score)))
    other = Audits.from_state(audits.state())
    assert other.propensity(0.93) == audits.propensity(0.93)
