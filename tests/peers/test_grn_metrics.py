"""Metrics, probabilities and logistic regressions of regulation beside scikit-learn's (R13.4)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.optimize import minimize

from groundup.apps.grn.evaluation.calibrate import isotonic
from groundup.apps.grn.models.logistic import fit_logistic, fit_rising, sigmoid
from groundup.apps.grn.task.metrics import (
    at_threshold,
    auprc,
    auroc,
    best_threshold,
    by_group,
    calibration_error,
    precision_at,
)

sklearn = pytest.importorskip("sklearn", reason="scikit-learn, of the extra `data`, is missing")
from sklearn.calibration import calibration_curve  # noqa: E402
from sklearn.isotonic import IsotonicRegression  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.metrics import (  # noqa: E402
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    f1_score,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

SEEDS = st.integers(0, 2**32 - 1)
LEVELS = [2, 5, 40, None]
"""Different scores: from nearly all equal to all different."""


def drawn(
    seed: int, levels: int | None = None, pairs: int = 300, rare: float = 0.2
) -> tuple[np.ndarray, np.ndarray]:
    """Labels of both kinds, and scores that tell a little of them."""
    random = np.random.default_rng(seed)
    labels = random.random(pairs) < rare
    labels[:2] = True, False
    scores = random.normal(size=pairs) + 0.8 * labels
    return labels, scores if levels is None else np.round(scores * levels / 4)


@pytest.mark.parametrize("levels", LEVELS)
@given(seed=SEEDS)
def test_areas(seed: int, levels: int | None) -> None:
    for rare in (0.02, 0.5):
        labels, scores = drawn(seed, levels, rare=rare)
        assert auroc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
        expected = average_precision_score(labels, scores)
        assert auprc(labels, scores) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("levels", LEVELS)
@given(seed=SEEDS)
def test_precision_where_scores_change(seed: int, levels: int | None) -> None:
    """At each cut between scores, precision is that of the curve; within ties they are shared."""
    labels, scores = drawn(seed, levels, pairs=60)
    precision, _, thresholds = precision_recall_curve(labels, scores)
    for value, threshold in zip(precision, thresholds, strict=False):
        count = int((scores >= threshold).sum())
        assert precision_at(labels, scores, count) == pytest.approx(value)


@pytest.mark.parametrize("levels", LEVELS)
@given(seed=SEEDS)
def test_the_threshold_is_the_best_of_all(seed: int, levels: int | None) -> None:
    labels, scores = drawn(seed, levels)
    wrong, right, _ = roc_curve(labels, scores, drop_intermediate=False)
    most = (labels.mean() * right + (1 - labels.mean()) * (1 - wrong)).max()
    threshold = best_threshold(labels, scores)
    called, found = scores >= threshold, at_threshold(labels, scores, threshold)
    assert found["accuracy"] == pytest.approx(most) == pytest.approx(accuracy_score(labels, called))
    assert found["f1"] == pytest.approx(f1_score(labels, called, zero_division=0))


@given(seed=SEEDS)
def test_areas_of_each_tf(seed: int) -> None:
    labels, scores = drawn(seed, 5)
    tfs = np.random.default_rng(seed).integers(0, 12, len(labels))
    expected = [
        roc_auc_score(labels[tfs == tf], scores[tfs == tf])
        for tf in range(12)
        if len(set(labels[tfs == tf])) == 2
    ]
    np.testing.assert_allclose(by_group(auroc, labels, scores, tfs), expected)


@pytest.mark.parametrize("bins", [5, 10, 15])
@given(seed=SEEDS)
def test_calibration_error_from_the_calibration_curve(seed: int, bins: int) -> None:
    labels, scores = drawn(seed)
    p = sigmoid(scores - 1)
    truth, said = calibration_curve(labels, p, n_bins=bins)
    counts = np.histogram(p, bins, (0, 1))[0]
    counts = counts[counts > 0]
    expected = (counts * np.abs(truth - said)).sum() / len(p)
    assert calibration_error(labels, p, bins) == pytest.approx(expected)


@pytest.mark.parametrize("levels", LEVELS)
@given(seed=SEEDS)
def test_isotonic_regression(seed: int, levels: int | None) -> None:
    labels, scores = drawn(seed, levels)
    reference = IsotonicRegression(out_of_bounds="clip").fit(scores, labels)
    at = np.concatenate([scores, np.linspace(scores.min() - 1, scores.max() + 1, 200)])
    np.testing.assert_allclose(isotonic(labels, scores)(at), reference.predict(at), atol=1e-9)


@given(seed=SEEDS)
def test_isotonic_probabilities_have_the_least_brier_score(seed: int) -> None:
    """Of nondecreasing functions none is nearer to the labels it was fitted to, Platt's neither."""
    labels, scores = drawn(seed)
    a, b = fit_rising(np.reshape(scores, (-1, 1)), labels)
    least = brier_score_loss(labels, isotonic(labels, scores)(scores))
    assert least <= brier_score_loss(labels, sigmoid(a * scores + b)) + 1e-12
    assert least <= labels.mean() * (1 - labels.mean()) + 1e-12


@pytest.mark.parametrize("ridge", [0.01, 1.0, 30.0])
def test_logistic_regression(ridge: float) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(400, 5)) * [1, 10, 0.1, 3, 1]
    y = (random.random(400) < sigmoid(x @ [1, -0.1, 4, 0, 0.3] - 0.5)).astype(int)
    counts = random.integers(1, 6, 400)
    reference = LogisticRegression(C=1 / ridge, tol=1e-12, max_iter=10_000)
    reference.fit(x, y, sample_weight=counts)
    found = fit_logistic(x, y, counts, ridge=ridge)
    np.testing.assert_allclose(found.weights, reference.coef_[0], rtol=1e-4, atol=1e-5)
    assert found.bias == pytest.approx(reference.intercept_[0], rel=1e-4)
    np.testing.assert_allclose(found(x), reference.predict_proba(x)[:, 1], atol=1e-5)


def test_platt() -> None:
    """Targets between 0 and 1 are pairs that count for both labels, each for its share."""
    labels, scores = drawn(3, pairs=500)
    yes, no = labels.sum(), (~labels).sum()
    targets = np.where(labels, (yes + 1) / (yes + 2), 1 / (no + 2))
    reference = LogisticRegression(C=1e9, tol=1e-12, max_iter=10_000)
    reference.fit(
        np.tile(scores, 2)[:, None],
        np.repeat([1, 0], len(scores)),
        sample_weight=np.append(targets, 1 - targets),
    )
    a, b = fit_rising(np.reshape(scores, (-1, 1)), labels)
    assert a == pytest.approx(reference.coef_[0, 0], rel=1e-4)
    assert b == pytest.approx(reference.intercept_[0], rel=1e-4)


@pytest.mark.parametrize("seed", range(6))
def test_weights_that_do_not_fall(seed: int) -> None:
    """As SciPy finds them with bounds: of two features that say the same one may get nothing."""
    random = np.random.default_rng(seed)
    labels = random.random(300) < 0.3
    first = labels + random.normal(size=300)
    x = np.stack([first, random.uniform(-1, 1) * first + random.normal(size=300)], axis=1)
    targets = np.where(
        labels, (labels.sum() + 1) / (labels.sum() + 2), 1 / (300 - labels.sum() + 2)
    )

    def loss(w: np.ndarray) -> float:
        z = x @ w[:2] + w[2]
        return float((np.logaddexp(0, z) - targets * z).sum())

    bounds = [(0, None), (0, None), (None, None)]
    expected = minimize(loss, np.zeros(3), bounds=bounds, method="L-BFGS-B", tol=1e-12).x
    found = np.array(fit_rising(x, labels))
    np.testing.assert_allclose(found, expected, atol=2e-3)
    assert loss(found) <= loss(expected) + 1e-6
