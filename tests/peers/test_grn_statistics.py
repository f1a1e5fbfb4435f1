"""Intervals, p-values and matched pairs beside SciPy's own resampling and solvers (R13.4)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import optimize, special, stats

from groundup.apps.grn.evaluation.statistics import (
    Scored,
    bootstrap,
    holm,
    permutation_test,
)
from groundup.apps.grn.task.negatives import Matched

sklearn = pytest.importorskip("sklearn", reason="scikit-learn, of the extra `data`, is missing")
from sklearn.metrics import average_precision_score, roc_auc_score  # noqa: E402


def scored(seed: int, tfs: int, each: int, signal: float = 0.8) -> Scored:
    """Pairs of TFs, which are found more or less well."""
    random = np.random.default_rng(seed)
    of = np.repeat(np.arange(tfs), each)
    labels = np.tile(np.arange(each) < each // 2, tfs)
    own = signal + 0.6 * random.normal(size=tfs)
    return Scored(of, labels, np.round(labels * own[of] + random.normal(size=len(of)), 1))


@pytest.mark.parametrize(
    ("ours", "metric"),
    [("auroc", roc_auc_score), ("auprc", average_precision_score)],
)
def test_intervals_are_those_of_scipys_bootstrap(ours: Any, metric: Any) -> None:
    """Whole TFs are drawn; two rounds of either differ by as much as both."""
    given = scored(0, 25, 8)
    rows = [np.flatnonzero(given.tfs == tf) for tf in range(25)]

    def statistic(drawn: np.ndarray) -> float:
        taken = np.concatenate([rows[tf] for tf in drawn])
        return metric(given.labels[taken], given.scores[taken])

    expected = stats.bootstrap(
        (np.arange(25),),
        statistic,
        vectorized=False,
        n_resamples=700,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    found = bootstrap([given], ours, np.random.default_rng(0), resamples=4000)
    width = expected.high - expected.low
    assert found.low == pytest.approx(expected.low, abs=0.1 * width)
    assert found.high == pytest.approx(expected.high, abs=0.1 * width)


def test_an_interval_in_closed_form() -> None:
    """TFs that are each found or missed: what is drawn is a binomial share.

    All unlabelled pairs have the score 0; the edges of a TF have all 1 or all -1. The AUROC is the
    share of TFs that are found, and its bootstrap that of a binomial distribution.
    """
    count, right = 40, 28
    tfs = np.repeat(np.arange(count), 2)
    labels = np.tile([True, False], count)
    given = Scored(tfs, labels, np.where(labels, np.where(tfs < right, 1.0, -1.0), 0.0))
    found = bootstrap([given], "auroc", np.random.default_rng(0), resamples=40_000)
    drawn = stats.binom(count, right / count)
    assert found.value == right / count
    assert found.low * count == pytest.approx(drawn.ppf(0.025), abs=1)
    assert found.high * count == pytest.approx(drawn.ppf(0.975), abs=1)


@pytest.mark.parametrize("seed", range(2))
def test_p_values_are_those_of_all_permutations(seed: int) -> None:
    """SciPy goes through every way of swapping 8 TFs between two methods."""
    one, other = scored(seed, 8, 6, 0.9), scored(seed + 100, 8, 6, 0.6)
    ranked = [stats.rankdata(method.scores) for method in (one, other)]

    def difference(mine: np.ndarray, theirs: np.ndarray) -> float:
        """Of methods given as numbers of TFs: below 8 as the first has them, else the second."""
        areas = []
        for chosen in (mine, theirs):
            of = np.empty(8, int)
            of[np.asarray(chosen, int) % 8] = np.asarray(chosen, int) // 8
            scores = np.where(of[one.tfs] == 0, ranked[0], ranked[1])
            areas.append(roc_auc_score(one.labels, scores))
        return areas[0] - areas[1]

    expected = stats.permutation_test(
        (np.arange(8), np.arange(8) + 8),
        difference,
        permutation_type="samples",
        vectorized=False,
        n_resamples=np.inf,
    )
    found = permutation_test([one], [other], np.random.default_rng(seed), permutations=20_000)
    assert found.value == pytest.approx(expected.statistic)
    # SciPy's own p-value of two sides is twice that of one.
    sides = np.mean(np.abs(expected.null_distribution) >= abs(expected.statistic) - 1e-12)
    assert found.p == pytest.approx(sides, abs=4 * np.sqrt(sides * (1 - sides) / 20_000) + 1e-4)


def test_a_p_value_in_closed_form() -> None:
    """A method that finds every TF against one that misses every TF: a swap gives all of it away.

    With k of n TFs swapped the difference is that of n - 2k, so it is as large only if none or all
    are, which has the chance 2 / 2^n.
    """
    count = 6
    tfs, labels = np.repeat(np.arange(count), 2), np.tile([True, False], count)
    high, low = np.where(labels, 1.0, 0.0), np.where(labels, 0.0, 1.0)
    methods = Scored(tfs, labels, high), Scored(tfs, labels, low)
    found = permutation_test(
        [methods[0]], [methods[1]], np.random.default_rng(0), permutations=50_000
    )
    assert found.value == 1
    expected = 2 * stats.binomtest(count, count, 0.5, "greater").pvalue
    assert found.p == pytest.approx(expected, rel=0.1)


def test_holm_by_hand() -> None:
    """Four tests: .01 x 4, .015 x 3, .04 x 2 and .03 x 2 take the place of one another, .5 x 1."""
    found = holm({"a": 0.04, "b": 0.01, "c": 0.5, "d": 0.015})
    assert found == pytest.approx({"b": 0.04, "d": 0.045, "a": 0.08, "c": 0.5})
    # Holm, 1979, section 3, as a step-down test: the hypotheses rejected at each level.
    random = np.random.default_rng(0)
    for _ in range(50):
        p = dict(enumerate(random.random(8) ** 3))
        order = sorted(p, key=p.__getitem__)
        adjusted = holm({str(name): value for name, value in p.items()})
        for level in (0.01, 0.05, 0.2):
            rejected = set()
            for place, name in enumerate(order):
                if p[name] > level / (8 - place):
                    break
                rejected.add(str(name))
            assert {name for name, value in adjusted.items() if value <= level} == rejected


def problem() -> tuple[np.ndarray, np.ndarray]:
    """Edges of hubs and others, and the pairs that are free."""
    random = np.random.default_rng(0)
    chance = np.outer(random.uniform(0.1, 0.5, 12), random.uniform(0.2, 0.7, 30))
    edges = random.random(chance.shape) < chance
    edges[0, ~edges.any(axis=0)] = True
    return edges, ~edges & (random.random(edges.shape) < 0.95)


def entropy_chances(edges: np.ndarray, free: np.ndarray) -> np.ndarray:
    """The most random chances of free pairs with the edges' expected degrees, by their likelihood.

    Park and Newman, 2004: maximise sum_t k_t a_t + sum_g k_g b_g - sum_free log(1 + e^(a_t + b_g)).
    """
    rows, columns = edges.sum(axis=1), edges.sum(axis=0)

    def objective(fields: np.ndarray) -> tuple[float, np.ndarray]:
        a, b = fields[:12, None], fields[None, 12:]
        chances = free * special.expit(a + b)
        value = (free * np.logaddexp(0, a + b)).sum() - rows @ fields[:12] - columns @ fields[12:]
        return value, np.append(chances.sum(axis=1) - rows, chances.sum(axis=0) - columns)

    found = optimize.minimize(
        objective, np.zeros(42), jac=True, method="L-BFGS-B", options={"gtol": 1e-9, "ftol": 1e-15}
    ).x
    return free * special.expit(found[:12, None] + found[None, 12:])


def test_matched_chances_are_the_most_random_ones() -> None:
    edges, free = problem()
    expected = entropy_chances(edges, free)
    np.testing.assert_allclose(expected.sum(axis=0), edges.sum(axis=0), atol=1e-3)
    found = Matched(edges, free)
    assert len(found.genes) == 30
    np.testing.assert_allclose(found.chances, expected[found.tfs], atol=0.01)


def test_matched_draws_have_the_degrees_of_a_simulation() -> None:
    """Over many draws a pair comes as often as where every pair is drawn for itself."""
    edges, free = problem()
    matched, random = Matched(edges, free), np.random.default_rng(1)
    count = np.zeros(edges.shape)
    for _ in range(1000):
        count[tuple(matched.draw(random).T)] += 1
    simulated = (random.random((1000, *edges.shape)) < entropy_chances(edges, free)).sum(axis=0)
    assert (count[~free] == 0).all()
    # Rows are exact here; columns vary less than those of independent draws.
    assert (count.sum(axis=1) == 1000 * edges.sum(axis=1)).all()
    np.testing.assert_allclose(count.sum(axis=0) / 1000, edges.sum(axis=0), atol=0.25)
    np.testing.assert_allclose(count.sum(axis=0), simulated.sum(axis=0), atol=300)
    np.testing.assert_allclose(count, simulated, atol=80)
    assert np.abs(count - simulated).mean() < 20
