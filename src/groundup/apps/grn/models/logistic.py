r"""Logistic regression with a few features, to the end; and probabilities from scores by it.

$$p = \sigma(w \cdot x + b), \qquad
\min_{w, b} -\sum_i c_i \big(y_i \log p_i + (1 - y_i) \log (1 - p_i)\big)
+ \tfrac\lambda2 \lVert w \rVert^2$$

by Newton's method with steps that are halved until they help. To make probabilities of the scores
of a classifier, Platt (1999) fits one weight and a bias, with targets $(N_+ + 1) / (N_+ + 2)$ and
$1 / (N_- + 2)$ rather than 1 and 0, so that scores that separate perfectly do not end at certainty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Numbers = NDArray[np.float64]
Real = TypeVar("Real", bound=np.floating)


@dataclass(frozen=True, eq=False)
class Logistic:
    """A fitted logistic regression.

    Attributes:
        weights: of the features.
        bias: added.

    Shape:
        weights: (features,).

    Example:
        >>> Logistic(np.array([1.0]), 0.0)(np.array([[0.0]])).tolist()
        [0.5]
    """

    weights: Numbers
    bias: float

    def __call__(self, x: ArrayLike) -> Numbers:
        """Probabilities.

        Shape:
            (*, features) -> (*).
        """
        return sigmoid(np.asarray(x, np.float64) @ self.weights + self.bias)


def sigmoid(z: NDArray[Real]) -> NDArray[Real]:
    """1 / (1 + exp(-z)), whatever its size.

    Example:
        >>> sigmoid(np.array([-1000.0, 0.0, 1000.0])).tolist()
        [0.0, 0.5, 1.0]
    """
    with np.errstate(over="ignore"):  # the reciprocal of infinity is right
        return np.reciprocal(np.exp(-z) + z.dtype.type(1))


def fit_logistic(
    x: ArrayLike, targets: ArrayLike, counts: ArrayLike | None = None, *, ridge: float = 1e-6
) -> Logistic:
    """Fit it.

    Args:
        x: features.
        targets: 0 to 1.
        counts: how often each row counts; once if None.
        ridge: the penalty on the weights.

    Shape:
        x: (rows, features); targets, counts: (rows,).

    Example:
        >>> fitted = fit_logistic([[0.0], [0.0], [1.0], [1.0]], [0, 0.5, 0.5, 1])
        >>> bool(abs(fitted([[0.5]])[0] - 0.5) < 1e-6)
        True
    """
    rows = np.asarray(x, np.float64)
    design = np.column_stack([rows, np.ones(len(rows))])
    y = np.asarray(targets, np.float64)
    c = np.ones(len(y)) if counts is None else np.asarray(counts, np.float64)
    penalty = np.append(np.full(rows.shape[1], ridge), 1e-12)
    total = c.sum()

    def loss(w: Numbers) -> float:
        z = design @ w
        each = np.logaddexp(0, z) - y * z
        return float((c * each).sum() + (penalty * w * w).sum() / 2)

    w = np.zeros(design.shape[1])
    now = loss(w)
    for _ in range(100):
        p = sigmoid(design @ w)
        slope = design.T @ (c * (p - y)) + penalty * w
        curve = (design * (c * p * (1 - p))[:, None]).T @ design + np.diag(penalty)
        step = np.linalg.lstsq(curve, slope, rcond=None)[0]
        share = 1.0
        while share > 1e-6 and loss(w - share * step) > now:
            share /= 2
        new = loss(w - share * step)
        if new >= now:
            break
        w, before, now = w - share * step, now, new
        if before - now < 1e-12 * total:
            break
    return Logistic(w[:-1], float(w[-1]))


def fit_rising(
    x: ArrayLike, labels: ArrayLike, counts: ArrayLike | None = None
) -> tuple[float, ...]:
    """Fit weights that are not below 0, so that probabilities rise with each feature.

    With one feature, the score of a classifier, these are slope and bias of Platt (1999).

    Args:
        x: features, of rows that were not trained on.
        labels: 1 for edges, 0 for other pairs.
        counts: how many pairs each row stands for; itself if None.

    Shape:
        x: (rows, features); labels, counts: (rows,).

    Returns:
        A weight for each feature, 0 where it would be below, and the bias.

    Example:
        >>> x = [[2.0, 0.0], [1.0, 0.1], [1.5, 0.9], [-2.0, 0.8]]
        >>> slope, other, bias = fit_rising(x, [1, 1, 0, 0])
        >>> bool(slope > 0), other
        (True, 0.0)
    """
    rows, truth = np.asarray(x, np.float64), np.asarray(labels, bool)
    c = np.ones(len(truth)) if counts is None else np.asarray(counts, np.float64)
    yes, no = c[truth].sum(), c[~truth].sum()
    targets = np.where(truth, (yes + 1) / (yes + 2), 1 / (no + 2))
    middle, width = rows.mean(axis=0), np.maximum(rows.std(axis=0), 1e-12)
    kept = np.flatnonzero(rows.std(axis=0) > 1e-9)
    while True:
        fitted = fit_logistic(((rows - middle) / width)[:, kept], targets, c)
        if not (fitted.weights < 0).any():
            break
        kept = kept[fitted.weights > 0]
    weights = np.zeros(rows.shape[1])
    weights[kept] = fitted.weights / width[kept]
    return (*map(float, weights), float(fitted.bias - weights @ middle))
