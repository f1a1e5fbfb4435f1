r"""Scores as probabilities, at the prevalence that edges have among all pairs.

A model that learned from pairs matched in degree knows nothing of how many edges a TF or a gene
has: it was asked which of two pairs with the same degrees is an edge. Among all pairs those numbers
tell much, and by Bayes' rule the log-odds of an edge are the sum of both,

$$\log\frac{p}{1 - p} = a\, s_{tg} + c\, \big(\log(1 + k_t) + \log(1 + k_g)\big) + b$$

with $k$ the numbers of edges in training. The three numbers are fitted by logistic regression to
all pairs of the validation part, unlabelled ones counted as no edges, with the targets of Platt
(1999). Neither $a$ nor $c$ is below 0. A model that learned from pairs drawn evenly has learned to
count already, and gets a $c$ near 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..models.logistic import Real, fit_rising
from ..task.problem import Known, Pairs, Scorer

MOST = 100_000
"""Unlabelled validation pairs that are looked at; of more, this many are drawn."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Prevalence:
    """What makes log-odds of scores.

    Attributes:
        slope: of the score, at least 0.
        degree: of the sum of the logarithms, at least 0.
        bias: added.
        of_tf, of_gene: how many edges each had in training.

    Shape:
        of_tf: (TFs,), of_gene: (genes,).

    Example:
        >>> found = Prevalence(2.0, 1.0, -3.0, np.array([0, 1]), np.array([0, 0, 3]))
        >>> found.log_odds(np.array([1.0]), np.array([[0, 0]])).tolist()
        [-1.0]
        >>> found.of_all(np.zeros((2, 3))).round(2)
        array([[-3.  , -3.  , -1.61],
               [-2.31, -2.31, -0.92]])
    """

    slope: float
    degree: float
    bias: float
    of_tf: NDArray[np.int64]
    of_gene: NDArray[np.int64]

    def log_odds(self, scores: Numbers, pairs: Pairs) -> Numbers:
        """Of pairs.

        Shape:
            scores: (pairs,), pairs: (pairs, 2) -> (pairs,).
        """
        counted = np.log1p(self.of_tf)[pairs[:, 0]] + np.log1p(self.of_gene)[pairs[:, 1]]
        return self.slope * scores + self.degree * counted + self.bias

    def of_all(self, scores: NDArray[Real], genes: slice = slice(None)) -> NDArray[Real]:
        """Of all TFs with some genes.

        Shape:
            (TFs, genes) -> (TFs, genes).
        """
        kind = scores.dtype.type
        counted = np.log1p(self.of_tf)[:, None] + np.log1p(self.of_gene[genes])[None]
        return scores * kind(self.slope) + (self.degree * counted + self.bias).astype(kind)


def fit_prevalence(scorer: Scorer, known: Known, seed: int) -> Prevalence | None:
    """Fit log-odds to validation pairs.

    Args:
        scorer: learned from training edges alone.
        known: with validation edges.
        seed: of the unlabelled pairs that are drawn.

    Returns:
        None without validation edges, or unlabelled pairs beside them.

    Example:
        >>> from groundup.apps.grn.baselines import neighbours
        >>> from groundup.apps.grn.task.examples import example_problem
        >>> from groundup.apps.grn.task.splits import split_pairs
        >>> problem = example_problem()
        >>> known = problem.known(split_pairs(problem.edges, "edge", np.random.default_rng(0)))
        >>> found = fit_prevalence(neighbours(known, 0), known, 0)
        >>> found.slope > 0, found.degree > 0, found.bias < 0
        (True, True, True)
    """
    edges = np.argwhere(known.validation_edges)
    places = np.flatnonzero(known.validation_allowed & ~known.validation_edges)
    if not len(edges) or not len(places):
        return None
    stands = 1.0
    if len(places) > MOST:
        stands = len(places) / MOST
        places = np.random.default_rng([seed, 2]).choice(places, MOST, replace=False)
    others = np.stack(np.unravel_index(places, known.edges.shape), axis=1).astype(np.int64)
    pairs = np.concatenate([edges, others])
    truth = np.arange(len(pairs)) < len(edges)
    counts = np.where(truth, 1.0, stands)
    degrees = known.edges.sum(axis=1), known.edges.sum(axis=0)
    counting = Prevalence(0.0, 1.0, 0.0, *degrees)
    x = np.stack([scorer.score(pairs), counting.log_odds(np.zeros(len(pairs)), pairs)], axis=1)
    slope, degree, bias = fit_rising(x, truth, counts)
    return Prevalence(slope, degree, bias, *degrees)
