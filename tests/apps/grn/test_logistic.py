"""Logistic regression by Newton's method, and Platt's probabilities."""

import numpy as np
import pytest
from scipy.optimize import minimize

from groundup.apps.grn.models.logistic import fit_logistic, fit_rising, sigmoid


def data(seed: int = 0, rows: int = 200) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, 3)) * [1, 10, 0.1]
    return x, (random.random(rows) < sigmoid(x @ [1.0, -0.2, 3.0] + 0.5)).astype(float)


def test_agrees_with_a_general_minimiser() -> None:
    x, y = data()
    counts = np.random.default_rng(1).integers(1, 5, len(y)).astype(float)

    def loss(w: np.ndarray) -> float:
        z = x @ w[:3] + w[3]
        return (counts * (np.logaddexp(0, z) - y * z)).sum() + 0.7 / 2 * (w[:3] ** 2).sum()

    best = minimize(loss, np.zeros(4), method="BFGS", options={"gtol": 1e-8}).x
    fitted = fit_logistic(x, y, counts, ridge=0.7)
    np.testing.assert_allclose([*fitted.weights, fitted.bias], best, atol=1e-4)


def test_a_count_is_a_repetition() -> None:
    x, y = data(2, 50)
    counts = np.arange(50) % 3 + 1
    one = fit_logistic(x, y, counts)
    many = fit_logistic(np.repeat(x, counts, axis=0), np.repeat(y, counts))
    np.testing.assert_allclose(one.weights, many.weights, rtol=1e-6)
    assert one.bias == pytest.approx(many.bias)


def test_separable_data_stay_finite() -> None:
    fitted = fit_logistic([[-1.0], [1.0]], [0, 1], ridge=1e-6)
    assert np.isfinite(fitted.weights).all()
    assert fitted([[1.0]])[0] > 0.99


# R13.5: probabilities by calibration on validation pairs.
def test_platt_finds_the_truth_and_keeps_the_order() -> None:
    random = np.random.default_rng(3)
    scores = random.normal(size=20_000) * 4 + 10
    truth = random.random(20_000) < sigmoid(0.5 * scores - 6)
    a, b = fit_rising(np.reshape(scores, (-1, 1)), truth)
    assert abs(a - 0.5) < 0.03
    assert abs(b + 6) < 0.4
    p = sigmoid(a * scores + b)
    assert abs(p.mean() - truth.mean()) < 0.002  # as Platt's targets are nearly 0 and 1 here


def test_platt_of_perfect_scores_is_not_certain() -> None:
    a, b = fit_rising(np.array([[3.0], [3], [3], [1], [1], [1], [1]]), [1, 1, 1, 0, 0, 0, 0])
    np.testing.assert_allclose(sigmoid(a * np.array([3, 1.0]) + b), [4 / 5, 1 / 6], atol=1e-3)


def test_platt_of_scores_that_are_worse_than_chance() -> None:
    a, b = fit_rising([[4.0], [3.0], [2.0], [1.0]], [0, 0, 1, 1])
    assert a == 0
    assert sigmoid(np.array(b)) == pytest.approx(0.5)


def test_platt_counts() -> None:
    scores = np.array([3.0, 2.0, 1.0, 0.0])
    one = fit_rising(np.reshape(scores, (-1, 1)), [1, 0, 1, 0], [1, 3, 1, 3])
    many = fit_rising(np.repeat(scores, [1, 3, 1, 3])[:, None], [1, 0, 0, 0, 1, 0, 0, 0])
    np.testing.assert_allclose(
        sigmoid(one[0] * scores + one[1]), sigmoid(many[0] * scores + many[1]), atol=1e-6
    )
