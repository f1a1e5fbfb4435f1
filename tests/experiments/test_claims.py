"""Claims are judged by intervals: closed forms, an independent library, false claims refuted."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import stats

from groundup.experiments.claims import Claim, mean_interval

numbers = st.floats(-1e3, 1e3)


@given(st.lists(numbers, min_size=2, max_size=20), st.floats(0.5, 0.99))
def test_interval_is_students(values, confidence):
    found = mean_interval(values, confidence)
    spread = stats.sem(values)
    assert found.mean == pytest.approx(np.mean(values), abs=1e-9)
    if spread > 1e-9:
        low, high = stats.t.interval(confidence, len(values) - 1, np.mean(values), spread)
        assert (found.low, found.high) == pytest.approx((low, high), abs=1e-6, rel=1e-6)


def test_interval_covers_the_mean_as_often_as_it_says():
    draw = np.random.default_rng(0).normal(3.0, 2.0, (4000, 5))
    covered = [found.low <= 3.0 <= found.high for found in map(mean_interval, draw.tolist())]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.015)


def test_one_value_has_no_width_and_none_is_refused():
    found = mean_interval([7.0])
    assert (found.low, found.mean, found.high) == (7, 7, 7)
    with pytest.raises(ValueError, match="at least one value"):
        mean_interval([])


@pytest.mark.parametrize(
    ("measured", "verdict"),
    [
        ([91.0, 92.0, 93.0], "holds"),
        ([85.0, 86.0, 85.5], "refuted"),
        ([80.0, 99.0, 90.0], "undecided"),
    ],
)
def test_at_least(measured, verdict):
    assert Claim("reaches 89", 89, "at least", measured).verdict == verdict


@pytest.mark.parametrize(
    ("measured", "verdict"),
    [
        ([9610], "refuted"),
        ([8320], "holds"),
        ([8319.0, 8321.0, 8330.0, 8310.0], "undecided"),
    ],
)
def test_equals(measured, verdict):
    assert Claim("has 8,320 parameters", 8320, "equals", measured).verdict == verdict


def test_equals_to_the_digits_that_were_given():
    assert Claim("6.7 times", 6.7, "equals", [6.74], digits=1).verdict == "holds"
    assert Claim("6.7 times", 6.7, "equals", [6.76], digits=1).verdict == "refuted"


def test_cells_show_claim_measurement_interval_and_verdict():
    text, claimed, measured, verdict = Claim(
        "reaches 87 %", 87, "at least", [96.0, 97.0, 98.0], " %", 1
    ).cells()
    assert (text, claimed, verdict) == ("reaches 87 %", "≥ 87.0 %", "holds")
    assert measured == "97.0 % (94.5 to 99.5)"
