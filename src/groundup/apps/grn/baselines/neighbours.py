r"""Genes that are expressed alike are regulated alike: the nearest known genes vote.

Of the genes with an edge in training, take the $k$ whose expression correlates most with that of
gene $g$, never $g$ itself. Each votes, by its correlation, for the TFs that regulate it, and a TF
counts for less the more targets it has:

$$s_{tg} = \frac{1}{1 + k_t} \sum_{h \in N(g)} \max(r_{gh}, 0)\, e_{th}$$

with $e$ the edges of training and $k_t$ their number of the TF (Cover and Hart, 1967, on nearest
neighbours). The expression of the TF plays no part.
"""

from __future__ import annotations

import numpy as np

from ..task.problem import Known
from .table import TableScorer

BLOCK = 1024
"""Genes whose correlations are held at once."""


def neighbours(known: Known, seed: int, *, count: int = 10) -> TableScorer:
    """Score pairs by the known regulators of the genes that are expressed most alike.

    Args:
        known: expression and training edges.
        seed: nothing is drawn.
        count: of neighbours.

    Example:
        >>> from groundup.apps.grn.data.expression import Expression
        >>> values = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 0.1], [0.1, 0, 1]], np.float32)
        >>> known = Known.of_all(Expression(values, "abcd", "xyz"), [0, 1])
        >>> known.edges[0, 1] = known.edges[1, 3] = True
        >>> neighbours(known, 0).scores.round(2)[:, 2]
        array([0.5, 0. ])
    """
    z = known.standardized
    voters = np.flatnonzero(known.edges.any(axis=0))
    scores = np.zeros(known.edges.shape)
    if len(voters) == 0:
        return TableScorer(scores)
    votes = known.edges[:, voters].T / (1.0 + known.edges.sum(axis=1))
    kept = min(count, len(voters))
    for start in range(0, z.shape[0], BLOCK):
        genes = np.arange(start, min(start + BLOCK, z.shape[0]))
        alike = z[genes] @ z[voters].T / np.float32(z.shape[1])
        alike[genes[:, None] == voters] = 0
        nearest = np.argpartition(-alike, kept - 1, axis=1)[:, :kept]
        weights = np.zeros(alike.shape)
        rows = np.arange(len(genes))[:, None]
        weights[rows, nearest] = np.maximum(alike[rows, nearest], 0)
        scores[:, genes] = (weights @ votes).T
    return TableScorer(scores)
