r"""Logistic regression on what is plainly known of a pair.

Features of a TF and a gene:

- $\log(1 + k)$ of each, the number of their edges in training;
- their correlation and its absolute value;
- the products of their coordinates on the leading principal components of expression, which sum to
  the correlation if all have the weight 1: the regression learns in which directions going together
  counts (and a weight for each as a metric does).

A training edge must not be counted in its own degree, or the regression would learn to see that: so
the edges are parted in five, and those of one part have degrees from the four others, as have the
unlabelled pairs that are drawn beside them, degree-matched. Trained on all at once with Adam.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .... import optim, tensor, zeros
from ....nn import functional as F
from ..task.negatives import draw_unlabelled
from ..task.problem import Known, Pairs
from ..task.splits import NONE, TRAIN, Split
from .majority import majority
from .table import TableScorer

COMPONENTS = 32
PARTS = 5
STEPS = 300

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Features:
    """Features of pairs, for given edges to count."""

    z: NDArray[np.float32]
    tfs: NDArray[np.int64]
    coordinates: NDArray[np.float32]

    @classmethod
    def of(cls, known: Known) -> _Features:
        z = known.standardized
        samples = z.shape[1]
        # Directions among samples; the sign of each does not matter, as it comes squared.
        _, directions = np.linalg.eigh((z.T @ z).astype(np.float64))
        leading = directions[:, ::-1][:, : min(COMPONENTS, samples)].astype(np.float32)
        return cls(z, known.tfs, z @ leading / np.sqrt(np.float32(samples)))

    def __call__(self, pairs: Pairs, edges: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Shape: (pairs, 2) -> (pairs, 4 + components)."""
        tf, gene = self.tfs[pairs[:, 0]], pairs[:, 1]
        correlation = np.einsum("ps,ps->p", self.z[tf], self.z[gene]) / self.z.shape[1]
        correlation[tf == gene] = 0
        plain = [
            np.log1p(edges.sum(axis=1))[pairs[:, 0]],
            np.log1p(edges.sum(axis=0))[gene],
            correlation,
            np.abs(correlation),
        ]
        products = self.coordinates[tf] * self.coordinates[gene]
        return np.concatenate([np.stack(plain, axis=1), products], axis=1).astype(np.float32)


@dataclass(frozen=True, eq=False)
class _Logistic:
    features: _Features
    edges: NDArray[np.bool_]
    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    weights: Numbers

    def score(self, pairs: Pairs) -> Numbers:
        """Log-odds, but for a constant."""
        blocks = np.array_split(pairs, max(1, len(pairs) // 50_000))
        return np.concatenate(
            [(self.features(p, self.edges) - self.mean) / self.scale @ self.weights for p in blocks]
        )


def logistic(known: Known, seed: int) -> _Logistic | TableScorer:
    """Score pairs by a logistic regression on degrees, correlation and products of expression.

    Args:
        known: expression and training edges.
        seed: of the parts, and of the unlabelled pairs that are drawn.

    Returns:
        A scorer; that of `majority` if no training edge has an unlabelled pair to stand beside it.

    Example:
        >>> from groundup.apps.grn.data.expression import Expression
        >>> values = np.random.default_rng(0).normal(size=(40, 9)).astype(np.float32)
        >>> names = [str(number) for number in range(40)]
        >>> known = Known.of_all(Expression(values, names, names[:9]), [0, 1])
        >>> known.edges[0, 10:20] = known.edges[1, 15:25] = True
        >>> logistic(known, 0).score(np.array([[0, 3], [1, 3]])).shape
        (2,)
    """
    features = _Features.of(known)
    pairs = _training_pairs(known, features, np.random.default_rng(seed))
    if pairs is None:
        return majority(known, seed)
    inputs, labels = pairs
    mean, scale = inputs.mean(axis=0), inputs.std(axis=0) + np.float32(1e-6)
    weights = _fitted((inputs - mean) / scale, labels)
    return _Logistic(features, known.edges, mean, scale, weights)


def _training_pairs(
    known: Known, features: _Features, random: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    part = random.integers(PARTS, size=known.edges.shape)
    inputs, labels = [], []
    for number in range(PARTS):
        here = known.edges & (part == number)
        if not here.any():
            continue
        # Edges of the other parts are neither positive nor to be drawn as unlabelled.
        usable = known.allowed & (~known.edges | here)
        split = Split("edge", np.where(usable, TRAIN, NONE).astype(np.int8))
        try:
            others = draw_unlabelled(here, split, TRAIN, "matched", random)
        except ValueError:  # all genes of this part that have edges have them with every TF
            continue
        for pairs, is_edge in ((np.argwhere(here), 1.0), (others, 0.0)):
            inputs.append(features(pairs, known.edges & ~here))
            labels.append(np.full(len(pairs), is_edge, np.float32))
    if not inputs:
        return None
    return np.concatenate(inputs), np.concatenate(labels)


def _fitted(inputs: NDArray[np.float32], labels: NDArray[np.float32]) -> Numbers:
    weights = zeros(inputs.shape[1], requires_grad=True)
    bias = zeros(1, requires_grad=True)
    optimizer = optim.Adam([weights, bias], lr=0.02, weight_decay=1e-2)
    x, y = tensor(inputs), tensor(labels)
    for _ in range(STEPS):
        loss = F.binary_cross_entropy_with_logits(x @ weights + bias, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return weights.detach().numpy().astype(np.float64)
