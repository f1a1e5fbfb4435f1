"""Scores as probabilities, at the prevalence that edges have among validation pairs."""

from __future__ import annotations

import numpy as np

from ..models.logistic import fit_platt
from ..task.problem import Known, Scorer

MOST = 100_000
"""Unlabelled validation pairs that are looked at; of more, this many are drawn."""


def fit_probabilities(scorer: Scorer, known: Known, seed: int) -> tuple[float, float] | None:
    """Slope and bias that make probabilities of scores, after `fit_platt`.

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
        >>> known = problem.known(split_pairs(problem.edges, "gene", np.random.default_rng(0)))
        >>> slope, bias = fit_probabilities(neighbours(known, 0), known, 0)
        >>> slope > 0, bias < 0
        (True, True)
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
    return fit_platt(truth, scorer.score(pairs), np.where(truth, 1.0, stands))
