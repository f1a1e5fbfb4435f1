"""Scores that were worked out for all pairs at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import GRNError
from ..task.problem import Known, Method, Pairs


@dataclass(frozen=True, eq=False)
class TableScorer:
    """A `Scorer` that looks its scores up.

    Attributes:
        scores: of every TF with every gene.

    Shape:
        scores: (TFs, genes).

    Example:
        >>> TableScorer(np.array([[0.1, 0.7], [0.2, 0.3]])).score(np.array([[0, 1], [1, 0]]))
        array([0.7, 0.2])
    """

    scores: NDArray[np.float64]

    def score(self, pairs: Pairs) -> NDArray[np.float64]:
        """Scores of pairs."""
        return self.scores[pairs[:, 0], pairs[:, 1]]


def given(scores: NDArray[np.float64]) -> Method:
    """Scores that were worked out beforehand, from expression alone or by another program.

    Whether they know of edges that are tested cannot be seen from here: it is for the one who made
    them to say.

    Args:
        scores: of every TF with every gene, in the order of the problem.

    Shape:
        scores: (TFs, genes).

    Raises:
        GRNError: when the method is run, if the problem has another number of TFs or genes.

    Example:
        >>> from groundup.apps.grn.evaluation.evaluate import evaluate
        >>> from groundup.apps.grn.task.examples import example_problem
        >>> problem = example_problem()
        >>> methods = {"theirs": given(problem.edges.astype(float))}
        >>> float(evaluate(problem, methods, "gene", seeds=1).values("theirs", "auroc")[0])
        1.0
    """
    table = TableScorer(np.asarray(scores, np.float64))

    def method(known: Known, seed: int) -> TableScorer:
        if known.edges.shape != table.scores.shape:
            raise GRNError(
                f"scores of shape {table.scores.shape} were given, expected (TFs, genes) = "
                f"{known.edges.shape}"
            )
        return table

    return method
