"""t-SNE: a picture in which near points stay near.

L. van der Maaten and G. Hinton, "Visualizing data using t-SNE" (2008). Each point i has a Gaussian
around it, wide enough to reach as many neighbours as the perplexity says (equations 1 and 4);

    p(j|i) ~ exp(-|x_i - x_j|² / 2 σ_i²),    p_ij = (p(j|i) + p(i|j)) / 2n.

In the picture, near is what is probable under Student's t with one degree of freedom (equation 4 of
section 3.3), q_ij ~ 1 / (1 + |y_i - y_j|²), whose heavy tails leave room for what is far. The
points of the picture move downhill in KL(P || Q), whose gradient (equation 5) is

    dC/dy_i = 4 Σ_j (p_ij - q_ij) (y_i - y_j) / (1 + |y_i - y_j|²).

All pairs are computed, so time and memory grow with n²: meant for up to a few thousand points.
Distances within a cluster and between neighbours mean something; the sizes of clusters and the
distances between far ones do not.

Shapes: n points with d features; k dimensions of the picture.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..engine.base import wrap
from ..engine.tensor import Tensor
from .pca import pca, table

Numbers = NDArray[np.float64]

TINY = float(np.finfo(np.float64).eps)
"""The least probability of a pair, so that its logarithm is finite."""


class TSNE(NamedTuple):
    """What `tsne` gives.

    Attributes:
        embedding: where the points are in the picture, (n, k).
        divergence: KL(P || Q) at the end, in nats; what is lost.

    Example:
        >>> TSNE._fields
        ('embedding', 'divergence')
    """

    embedding: Tensor
    divergence: float


def tsne(
    x: ArrayLike | Tensor,
    components: int = 2,
    perplexity: float = 30.0,
    *,
    iterations: int = 1000,
    lr: float | None = None,
    exaggeration: float = 12.0,
    exaggerated: int = 250,
    progress: Callable[[int, float], None] | None = None,
) -> TSNE:
    """Neighbours of a table of points as a picture (van der Maaten and Hinton, 2008).

    The picture starts from the principal components, shrunk to a spread of 1e-4, which keeps the
    large order and makes the result the same each time (D. Kobak and P. Berens, "The art of using
    t-SNE for single-cell transcriptomics", 2019). The p_ij are exaggerated at first so that
    clusters gather (section 3.4); momentum is 0.5 meanwhile and 0.8 then; each coordinate has its
    own gain on the step size, larger while its gradient keeps its sign (R. Jacobs, 1988).

    Args:
        x: the points, (n, d).
        components: dimensions of the picture, at most d.
        perplexity: how many neighbours count, between 1 and n - 1. 5 to 50 is usual.
        iterations: steps of gradient descent.
        lr: step size; by default n / exaggeration / 4 (A. Belkina et al., "Automated optimized
            parameters for t-SNE", 2019, whose gradient lacks the 4). Few points and a step size
            of a hundred or more end in a worse picture.
        exaggeration: what the p_ij are multiplied by at first, at least 1.
        exaggerated: for how many iterations, at most `iterations`.
        progress: called after every 50 iterations with their number and KL(P || Q) in nats.

    Shape:
        (n, d) -> (n, k), of the dtype of x if that is a floating one, else float32. It is computed
        in float64.

    Returns:
        (embedding, divergence).

    Raises:
        ValueError: x is not a table of finite numbers, or a setting is out of its range.

    Example:
        >>> x = gu.cat([gu.randn(10, 5), gu.randn(10, 5) + 20])
        >>> embedding, divergence = tsne(x, perplexity=5)
        >>> embedding.shape, divergence < 1
        ((20, 2), True)
    """
    points, dtype = table(x, "tsne")
    n = len(points)
    if iterations < 1 or not 0 <= exaggerated <= iterations or exaggeration < 1:
        raise ValueError(
            f"tsne: iterations {iterations}, exaggerated {exaggerated}, exaggeration "
            f"{exaggeration}; expected at least 1, 0 to {iterations}, and at least 1"
        )
    if not 1 <= components <= min(points.shape):
        raise ValueError(
            f"tsne: {components} dimensions from {n} points with {points.shape[1]} features; "
            f"expected 1 to {min(points.shape)}"
        )
    p = affinities(points, perplexity)
    rate = n / exaggeration / 4 if lr is None else lr

    y = np.array(pca(points, components).scores)
    y *= 1e-4 / max(y[:, 0].std(), TINY)
    velocity, gains = np.zeros_like(y), np.ones_like(y)
    for step in range(iterations):
        early = step < exaggerated
        gradient, _ = slope(exaggeration * p if early else p, y)
        gains = np.maximum(np.where(gradient * velocity < 0, gains + 0.2, gains * 0.8), 0.01)
        velocity = (0.5 if early else 0.8) * velocity - rate * gains * gradient
        y = y + velocity
        if progress is not None and (step + 1) % 50 == 0:
            progress(step + 1, slope(p, y)[1])
    return TSNE(wrap((y - y.mean(axis=0)).astype(dtype)), slope(p, y)[1])


def affinities(x: Numbers, perplexity: float) -> Numbers:
    """The p_ij of the points: how probable it is that two are neighbours.

    Args:
        x: the points, (n, d).
        perplexity: of each conditional distribution p(.|i).

    Returns:
        (n, n), symmetric, zero on the diagonal; all together 1.

    Raises:
        ValueError: the perplexity is not between 1 and n - 1.

    Example:
        >>> affinities(np.array([[0.0], [1.0], [9.0]]), 1.5).round(3)
        array([[0.   , 0.287, 0.047],
               [0.287, 0.   , 0.167],
               [0.047, 0.167, 0.   ]])
    """
    conditional = neighbours(squared_distances(x), perplexity)
    return (conditional + conditional.T) / (2 * len(x))


def neighbours(distances: Numbers, perplexity: float) -> Numbers:
    """The p(j|i): Gaussians with widths by bisection, until the entropies are right.

    With β = 1 / 2 σ², the entropy of p ~ exp(-β d) is H = log Σ exp(-β d) + β Σ p d, and falls
    with β. All rows are bisected together.

    Args:
        distances: squared distances, (n, n).
        perplexity: exp of the entropy that each row shall have.

    Returns:
        (n, n), each row with the sum 1, zero on the diagonal. Where several points are nearest at
        once, no width reaches fewer than those; the row is shared between them.

    Raises:
        ValueError: the perplexity is not between 1 and n - 1.

    Example:
        >>> p = neighbours(squared_distances(np.array([[0.0], [1.0], [2.0], [5.0]])), 2.0)
        >>> np.exp(-(p * np.log(np.where(p > 0, p, 1))).sum(axis=1)).round(4)
        array([2., 2., 2., 2.])
    """
    n = len(distances)
    if not 1 < perplexity < n - 1:
        raise ValueError(
            f"tsne: perplexity {perplexity:g} for {n} points; expected more than 1 and less than "
            f"{n - 1}, the number of neighbours that a point can have"
        )
    others = distances[~np.eye(n, dtype=bool)].reshape(n, n - 1)
    others = others - others.min(axis=1, keepdims=True)  # p is the same, and nothing underflows
    scale = others.mean(axis=1, keepdims=True)
    others = others / np.where(scale > 0, scale, 1)
    low, high = np.zeros((n, 1)), np.full((n, 1), np.inf)
    beta = np.ones((n, 1))
    for _ in range(200):
        weights = np.exp(-beta * others)
        total = weights.sum(axis=1, keepdims=True)
        excess = np.log(total) + beta * (weights * others).sum(axis=1, keepdims=True) / total
        excess -= np.log(perplexity)
        if np.abs(excess).max() < 1e-10:
            break
        low, high = np.where(excess > 0, beta, low), np.where(excess > 0, high, beta)
        # Until there is an upper end, double; 1e15 stands for one that no width reaches.
        beta = np.minimum(np.where(np.isinf(high), beta * 2, (low + high) / 2), 1e15)
    conditional = np.zeros((n, n))
    conditional[~np.eye(n, dtype=bool)] = (weights / total).ravel()
    return conditional


def slope(p: Numbers, y: Numbers) -> tuple[Numbers, float]:
    """KL(P || Q) of a picture and its gradient (equation 5).

    Args:
        p: the p_ij, (n, n).
        y: the picture, (n, k).

    Returns:
        The gradient (n, k) and the divergence.

    Example:
        >>> p = affinities(np.array([[0.0], [1.0], [9.0]]), 1.5)
        >>> gradient, divergence = slope(p, np.array([[0.0], [1.0], [2.0]]))
        >>> gradient.shape, divergence > 0
        ((3, 1), True)
    """
    near = 1 / (1 + squared_distances(y))
    np.fill_diagonal(near, 0)
    q = near / near.sum()
    pull = (p - q) * near
    gradient = 4 * (pull.sum(axis=1, keepdims=True) * y - pull @ y)
    safe = np.maximum(p, TINY)
    return gradient, float((p * np.log(safe / np.maximum(q, TINY))).sum())


def squared_distances(x: Numbers) -> Numbers:
    """Squared Euclidean distances of all pairs, (n, d) -> (n, n).

    Example:
        >>> squared_distances(np.array([[0.0, 0.0], [3.0, 4.0]]))
        array([[ 0., 25.],
               [25.,  0.]])
    """
    x = x - x.mean(axis=0)  # large coordinates would cancel digits
    square = (x * x).sum(axis=1)
    distances = np.maximum(square[:, None] + square[None, :] - 2 * (x @ x.T), 0)
    np.fill_diagonal(distances, 0)
    return distances
