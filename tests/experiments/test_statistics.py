"""Estimates: agreement with an independent library, and coverage as often as they say."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import assume, given, strategies as st
from scipy import stats

from groundup.experiments.statistics import Interval, Mean, Median, Proportion, Ratio, holm

numbers = st.floats(-1e3, 1e3)
samples = st.lists(numbers, min_size=2, max_size=20)


@given(samples, st.floats(0.5, 0.99))
def test_mean_has_students_interval(values, confidence):
    spread = stats.sem(values)
    assume(spread > 1e-9)
    found = Mean(values).interval(confidence)
    low, high = stats.t.interval(confidence, len(values) - 1, np.mean(values), spread)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-6, rel=1e-6)


@given(samples, numbers)
def test_mean_has_students_p_values(values, bound):
    assume(stats.sem(values) > 1e-6)
    above = stats.ttest_1samp(values, bound, alternative="greater").pvalue
    below = stats.ttest_1samp(values, bound, alternative="less").pvalue
    assert Mean(values).p_at_most(bound) == pytest.approx(above, abs=1e-8)
    assert Mean(values).p_at_least(bound) == pytest.approx(below, abs=1e-8)


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_proportion_is_clopper_and_pearsons(counts):
    k, n = counts
    found = Proportion(k, n).interval(0.9)
    expected = stats.binomtest(k, n).proportion_ci(0.9, method="exact")
    assert (found.low, found.high) == pytest.approx((100 * expected.low, 100 * expected.high))


@given(
    st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
    st.floats(0, 100),
)
def test_proportion_has_the_exact_p_values(counts, percent):
    k, n = counts
    above = stats.binomtest(k, n, percent / 100, alternative="greater").pvalue
    below = stats.binomtest(k, n, percent / 100, alternative="less").pvalue
    assert Proportion(k, n).p_at_most(percent) == pytest.approx(above, abs=1e-9)
    assert Proportion(k, n).p_at_least(percent) == pytest.approx(below, abs=1e-9)


@given(st.lists(st.integers(-50, 50).map(float), min_size=1, max_size=20, unique=True))
def test_median_has_the_sign_tests_p_values(values):
    bound = 0.5
    above = sum(v > bound for v in values)
    expected = stats.binomtest(above, len(values), alternative="greater").pvalue
    assert Median(values).p_at_most(bound) == pytest.approx(expected)


def test_median_of_six_is_between_the_extremes_and_of_five_it_is_anywhere():
    assert tuple(vars(Median([3.0, 1.0, 2.0, 6.0, 5.0, 4.0]).interval()).values()) == (1, 6)
    found = Median([1.0, 2.0, 3.0, 4.0, 5.0]).interval()
    assert found.low == -np.inf
    assert found.high == np.inf


def covered(estimates, truth):
    return np.mean([truth in estimate.interval() for estimate in estimates])


def test_intervals_cover_the_truth_as_often_as_they_say():
    draw = np.random.default_rng(0)
    normal = draw.normal(3.0, 2.0, (4000, 5)).tolist()
    assert covered(map(Mean, normal), 3.0) == pytest.approx(0.95, abs=0.012)
    ratios = np.exp(draw.normal(np.log(4.2), 0.3, (4000, 5))).tolist()
    assert covered(map(Ratio, ratios), 4.2) == pytest.approx(0.95, abs=0.012)
    heavy = draw.standard_cauchy((4000, 9)).tolist()
    assert covered(map(Median, heavy), 0.0) >= 0.95 - 0.01
    for percent, n in ((1, 30), (50, 12), (97, 60)):
        counts = draw.binomial(n, percent / 100, 4000)
        assert covered((Proportion(int(k), n) for k in counts), percent) >= 0.95 - 0.01


@pytest.mark.slow
@pytest.mark.parametrize(("n", "exponential", "lognormal"), [(5, 0.88, 0.82), (30, 0.93, 0.88)])
def test_how_far_skewed_values_are_covered_is_as_documented(n, exponential, lognormal):
    draw = np.random.default_rng(2)
    assert covered(map(Mean, draw.exponential(1.0, (6000, n)).tolist()), 1.0) == pytest.approx(
        exponential, abs=0.015
    )
    heavy = draw.lognormal(0.0, 1.0, (6000, n)).tolist()
    assert covered(map(Mean, heavy), np.exp(0.5)) == pytest.approx(lognormal, abs=0.015)
    assert covered(map(Ratio, heavy), 1.0) == pytest.approx(0.95, abs=0.012)
    counts = (draw.binomial(360, 0.97, (6000, n)) / 3.6).tolist()
    assert covered(map(Mean, counts), 97.0) >= 0.95 - 0.012


@given(samples, st.lists(numbers, min_size=20, max_size=20))
def test_a_paired_difference_has_the_paired_t_test(values, others):
    others = others[: len(values)]
    differences = [a - b for a, b in zip(values, others, strict=True)]
    assume(stats.sem(differences) > 1e-6)
    above = stats.ttest_rel(values, others, alternative="greater").pvalue
    assert Mean(differences).p_at_most(0.0) == pytest.approx(above, abs=1e-8)


def test_the_interval_agrees_with_the_bootstrap_where_both_are_good():
    values = np.random.default_rng(3).normal(5.0, 1.0, 200)
    ends = stats.bootstrap((values,), np.mean, n_resamples=4000, rng=0).confidence_interval
    found = Mean(values.tolist()).interval()
    assert (found.low, found.high) == pytest.approx((ends.low, ends.high), abs=0.02)


def test_p_values_are_below_a_level_no_more_often_than_it_says():
    draw = np.random.default_rng(1)
    found = [Mean(v).p_at_most(3.0) for v in draw.normal(3.0, 2.0, (4000, 5)).tolist()]
    assert np.mean(np.array(found) <= 0.05) == pytest.approx(0.05, abs=0.012)


def test_values_that_are_all_equal_are_no_proof():
    """Five seeds at 100 % do not show that the mean is above 99 %; the t test would say p = 0."""
    assert Mean([100.0] * 5).p_at_most(99.0) == 0.5**5
    assert Mean([100.0] * 5).p_at_least(99.0) == 1.0


def test_one_value_says_nothing_of_the_spread():
    found = Mean([7.0])
    assert (found.interval().low, found.interval().high) == (-np.inf, np.inf)
    assert found.p_at_most(0.0) == found.p_at_least(100.0) == 1.0


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Mean([]), "at least one"),
        (lambda: Mean([1.0, np.inf]), "finite"),
        (lambda: Mean([1.0, 1e200]), "finite"),
        (lambda: Proportion(1, np.inf), "whole"),
        (lambda: Proportion(np.inf, np.inf), "whole"),
        (lambda: Proportion(1e300, 1e300), "whole"),
        (lambda: Ratio([1.0, -1.0]), "positive"),
        (lambda: Proportion(3, 2), "no more successes"),
        (lambda: Proportion(0.5, 2), "whole"),
        (lambda: Median([np.nan]), "numbers"),
    ],
)
def test_what_makes_no_sense_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_ratios_over_hundreds_of_magnitudes_have_an_interval():
    found = Ratio([1e-300, 1e300]).interval()
    assert (found.low, found.high) == (0.0, np.inf)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_holm_is_the_closure_of_bonferronis_tests(p_values):
    """Marcus, Peritz and Gabriel (1976): reject what every intersection that holds it rejects."""
    everyone = range(len(p_values))
    subsets = [s for n in everyone for s in combinations(everyone, n + 1)]
    for i, adjusted in enumerate(holm(p_values)):
        bonferroni = (min(1.0, len(s) * min(p_values[j] for j in s)) for s in subsets if i in s)
        assert adjusted == pytest.approx(max(bonferroni))


# Cutting removes only values that the true figure cannot have.
@given(samples, numbers, numbers, st.floats(0, 1))
def test_a_cut_interval_covers_what_the_whole_one_covered(values, a, b, share):
    possible = Interval(min(a, b), max(a, b))
    truth = min(possible.low + share * (possible.high - possible.low), possible.high)
    whole = Mean(values).interval()
    cut = whole.within(possible)
    assert cut.low in possible
    assert cut.high in possible
    assert cut.low <= cut.high
    if truth in whole:
        assert truth in cut


@given(*[numbers] * 4)
def test_differences_lie_in_the_difference_of_ranges(a, b, c, d):
    first, second = Interval(min(a, b), max(a, b)), Interval(min(c, d), max(c, d))
    possible = first.minus(second)
    assert all(x - y in possible for x in (a, b) for y in (c, d))
