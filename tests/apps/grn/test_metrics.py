"""Metrics against scikit-learn's and against their definitions. R13.4."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from groundup.apps.grn.task.metrics import (
    at_threshold,
    auprc,
    auroc,
    best_threshold,
    by_group,
    calibration_error,
    early_precision,
    mean_reciprocal_rank,
    precision_at,
    ranks,
)

SEEDS = st.integers(0, 2**32 - 1)


def _drawn(seed: int, levels: int = 6, pairs: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Labels of both kinds, and scores with many ties."""
    random = np.random.default_rng(seed)
    labels = random.random(pairs) < 0.3
    labels[:2] = True, False
    return labels, random.integers(0, levels, pairs) + 0.5 * labels


@given(seed=SEEDS)
def test_areas_are_scikit_learns(seed: int) -> None:
    reference = pytest.importorskip("sklearn.metrics")
    labels, scores = _drawn(seed)
    assert auroc(labels, scores) == pytest.approx(reference.roc_auc_score(labels, scores))
    assert auprc(labels, scores) == pytest.approx(reference.average_precision_score(labels, scores))


@given(seed=SEEDS)
def test_order_is_all_that_counts(seed: int) -> None:
    labels, scores = _drawn(seed)
    order = np.random.default_rng(seed).permutation(len(labels))
    for metric in (auroc, auprc, early_precision):
        value = metric(labels, scores)
        assert metric(labels[order], scores[order]) == pytest.approx(value)
        assert metric(labels, np.exp(scores) - 7) == pytest.approx(value)
        assert 0 <= value <= 1
    assert auroc(~labels, -scores) == pytest.approx(auroc(labels, scores))
    assert auroc(~labels, scores) == pytest.approx(1 - auroc(labels, scores))


@given(seed=SEEDS, count=st.integers(1, 60))
def test_precision_at_is_the_mean_over_orders_of_ties(seed: int, count: int) -> None:
    labels, scores = _drawn(seed, levels=3)
    random = np.random.default_rng(seed)
    found = []
    for _ in range(300):
        order = np.lexsort((random.random(len(labels)), -scores))
        found.append(labels[order][:count].mean())
    assert precision_at(labels, scores, count) == pytest.approx(np.mean(found), abs=0.08)


def test_a_constant_score_is_chance_whatever_the_order() -> None:
    labels = np.arange(50) < 10
    for order in (np.arange(50), np.arange(50)[::-1]):
        assert auroc(labels[order], np.zeros(50)) == 0.5
        assert auprc(labels[order], np.zeros(50)) == pytest.approx(0.2)
        assert early_precision(labels[order], np.zeros(50)) == pytest.approx(0.2)


@given(seed=SEEDS)
def test_no_threshold_is_better_than_the_best(seed: int) -> None:
    labels, scores = _drawn(seed)
    best = at_threshold(labels, scores, best_threshold(labels, scores))["accuracy"]
    for cut in np.unique(scores):
        for threshold in (cut - 0.1, cut, cut + 0.1):
            assert at_threshold(labels, scores, threshold)["accuracy"] <= best + 1e-12


@given(seed=SEEDS)
def test_at_threshold_is_scikit_learns(seed: int) -> None:
    reference = pytest.importorskip("sklearn.metrics")
    labels, scores = _drawn(seed)
    called = scores >= 2
    found = at_threshold(labels, scores, 2)
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(labels, called))
    for name in ("precision", "recall", "f1"):
        metric = getattr(reference, f"{name}_score")
        assert found[name] == pytest.approx(metric(labels, called, zero_division=0))


@given(seed=SEEDS)
def test_groups_one_by_one(seed: int) -> None:
    labels, scores = _drawn(seed)
    groups = np.random.default_rng(seed).integers(0, 5, len(labels))
    expected, reciprocal = [], []
    for group in range(5):
        own = groups == group
        if labels[own].any() and not labels[own].all():
            expected.append(auroc(labels[own], scores[own]))
        if labels[own].any():
            best = scores[own][labels[own]].max()
            others = scores[own][~labels[own]]
            reciprocal.append(1 / (1 + (others > best).sum() + (others == best).sum() / 2))
    np.testing.assert_allclose(by_group(auroc, labels, scores, groups), expected)
    assert mean_reciprocal_rank(labels, scores, groups) == pytest.approx(np.mean(reciprocal))


def test_calibrated_probabilities_have_no_error() -> None:
    random = np.random.default_rng(0)
    p = random.random(200_000)
    labels = random.random(200_000) < p
    assert calibration_error(labels, p) < 0.01
    assert calibration_error(labels, np.sqrt(p)) > 0.1
    assert calibration_error([1, 0], [1.0, 0.0]) == 0


@given(st.lists(st.integers(-3, 3), min_size=1))
def test_ranks_share_their_mean(values: list[int]) -> None:
    found = ranks(np.array(values, np.float64))
    assert found.sum() == pytest.approx(len(values) * (len(values) + 1) / 2)
    for one, rank in zip(values, found, strict=True):
        assert rank == sum(x < one for x in values) + (values.count(one) + 1) / 2


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(ValueError, match="2 edges and 0 other pairs"):
        auroc([1, 1], [0.1, 0.2])
    with pytest.raises(ValueError, match="1 scores are NaN or infinite"):
        auroc([1, 0], [np.nan, 0.2])
    with pytest.raises(ValueError, match="expected the same length"):
        auprc([1, 0], [0.1])
    with pytest.raises(ValueError, match="expected 0 for other pairs"):
        auprc([2, 0], [0.1, 0.3])
    with pytest.raises(ValueError, match="expected 0 to 1"):
        calibration_error([1, 0], [1.2, 0.3])
    with pytest.raises(ValueError, match="expected at least 1"):
        precision_at([1, 0], [1.2, 0.3], 0)
