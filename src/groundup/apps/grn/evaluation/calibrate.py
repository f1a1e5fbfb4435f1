r"""Probabilities from scores: isotonic regression (Zadrozny and Elkan, 2002).

The nondecreasing function of the score that is nearest to the labels of validation pairs in squared
error, found by pooling adjacent violators (Ayer et al., 1955): neighbours in the order of scores
whose means are in the wrong order are joined until none is left. Between the scores it was fitted
on it goes straight, and outside of them it is flat.

A probability holds for pairs in the proportion of the validation pairs: where as many unlabelled
pairs as edges were drawn, it is not that of a pair picked from the genome.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Isotonic:
    """A nondecreasing function from scores to probabilities.

    Attributes:
        scores: where it is known, increasing.
        probabilities: there.

    Shape:
        scores, probabilities: (points,).

    Example:
        >>> Isotonic(np.array([0.0, 1.0]), np.array([0.2, 0.8]))([-3, 0.5, 7])
        array([0.2, 0.5, 0.8])
    """

    scores: Numbers
    probabilities: Numbers

    def __call__(self, scores: ArrayLike) -> Numbers:
        """Probabilities of scores."""
        return np.interp(np.asarray(scores, np.float64), self.scores, self.probabilities)


def isotonic(labels: ArrayLike, scores: ArrayLike) -> Isotonic:
    """Fit probabilities to labels.

    Args:
        labels: 1 for edges, 0 for other pairs; of validation pairs.
        scores: finite; the higher, the more likely an edge.

    Shape:
        labels, scores: (pairs,).

    Raises:
        ValueError: no pair, or lengths that differ.

    Example:
        >>> isotonic([0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4]).probabilities
        array([0. , 0.5, 0.5, 1. ])
    """
    truth, values = np.asarray(labels, np.float64), np.asarray(scores, np.float64)
    if truth.shape != values.shape or truth.ndim != 1 or not len(truth):
        raise ValueError(
            f"labels have shape {truth.shape}, scores {values.shape}; expected the same length, "
            "at least 1"
        )
    levels, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    means = np.bincount(place, truth) / counts
    blocks: list[tuple[float, int, int]] = []  # mean, pairs, levels
    for mean, count in zip(means.tolist(), counts.tolist(), strict=True):
        width = 1
        while blocks and blocks[-1][0] >= mean:
            before, pairs, wide = blocks.pop()
            mean = (before * pairs + mean * count) / (pairs + count)
            count, width = count + pairs, width + wide
        blocks.append((mean, count, width))
    fitted = np.repeat([mean for mean, _, _ in blocks], [width for _, _, width in blocks])
    return Isotonic(levels, np.clip(fitted, 0, 1))
