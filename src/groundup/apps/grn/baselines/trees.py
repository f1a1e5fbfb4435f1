"""Importance of the TF in trees that predict the gene (as GRNBoost2); no edge is looked at.

Trees are grown for the genes that are asked for, when they are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..task.problem import Known, Pairs
from ..unsupervised import importances


@dataclass(frozen=True, eq=False)
class _Trees:
    known: Known
    seed: int
    grown: dict[int, NDArray[np.float64]] = field(default_factory=dict)

    def score(self, pairs: Pairs) -> NDArray[np.float64]:
        new = [int(gene) for gene in np.unique(pairs[:, 1]) if int(gene) not in self.grown]
        found = importances(self.known, self.seed, new)
        self.grown.update(zip(new, found.T, strict=True))
        return np.array([self.grown[gene][tf] for tf, gene in pairs.tolist()])


def trees(known: Known, seed: int) -> _Trees:
    """Score pairs by how much the TF helps trees to predict the gene.

    Args:
        known: expression and TFs.
        seed: of the trees.

    Raises:
        GRNError: when scores are asked for, if there are fewer than five samples.

    Example:
        >>> from groundup.apps.grn.data.expression import Expression
        >>> values = np.random.default_rng(0).normal(size=(4, 40)).astype(np.float32)
        >>> values[3] += 2 * values[1]
        >>> names = [str(number) for number in range(40)]
        >>> scorer = trees(Known.of_all(Expression(values, "abcd", names), [0, 1, 2]), 0)
        >>> int(scorer.score(np.array([[0, 3], [1, 3], [2, 3]])).argmax())
        1
    """
    return _Trees(known, seed)
