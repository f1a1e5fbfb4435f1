r"""Two towers that teach themselves: trained on the best pairs of CLR, and added to it.

The pairs that stand out most by CLR (Faith et al., 2007) are taken for edges, and a two-tower model
learns them against pairs drawn evenly: self-training (Scudder, 1965). It cannot learn which of them
are wrong, but what they have in common, and so orders the many pairs that CLR has no opinion of.

$$s_{tg} = \frac{\mathrm{CLR}_{tg}}{\sigma_\mathrm{CLR}} + \frac{z_{tg} - \bar z}{\sigma_z}$$

with $z$ the logits, and $\sigma$ standard deviations over all pairs. No edge is looked at.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..progress import Progress
from ..task.problem import Known
from ..training.blocks import score_blocks
from ..training.recipes import Recipe
from ..training.train import train
from .clr import clr

PER_TF = 15
"""Pairs taken for edges, on average of a TF."""
LARGEST = 0.05
"""The largest share of all pairs that is taken."""
RECIPE = Recipe(
    learning_rate=0.002, weight_decay=0.05, epochs=10, patience=None, negatives="uniform"
)


def two_tower(known: Known, seed: int = 0, progress: Progress | None = None) -> NDArray[np.float64]:
    """The score of every TF with every gene.

    Args:
        known: expression and TFs; its edges are not looked at.
        seed: of the training.
        progress: told of its steps.

    Shape:
        returns: (TFs, genes), from 0 on; 0 for a TF with itself.

    Example:
        >>> from groundup.apps.grn.task.examples import example_problem
        >>> problem = example_problem()
        >>> two_tower(Known.of_all(problem.expression, problem.tfs)).shape
        (12, 80)
    """
    first = clr(known)
    others = np.ones(first.shape, bool)
    others[np.arange(len(known.tfs)), known.tfs] = False
    count = min(PER_TF * len(known.tfs), max(1, int(LARGEST * first.size)))
    order = np.argsort(-np.where(others, first, -1).ravel(), kind="stable")
    best = np.zeros(first.shape, bool)
    best.ravel()[order[:count]] = True
    none = np.zeros_like(best)
    taken = replace(
        known,
        edges=best & others,
        signs=np.zeros(best.shape, np.int8),
        allowed=others,
        validation_edges=none,
        validation_allowed=none,
    )
    trained = train(taken, "regulon", RECIPE, seed, progress)
    logits = np.concatenate(list(score_blocks(trained)), axis=1).astype(np.float64)
    found = _in_deviations(first) + _in_deviations(logits)
    return np.where(others, found - found.min(), 0)


def _in_deviations(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return (values - values.mean()) / max(float(values.std()), 1e-12)
