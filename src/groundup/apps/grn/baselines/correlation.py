"""Absolute correlation of the TF's expression with the gene's; no edge is looked at."""

from __future__ import annotations

from ..task.problem import Known
from ..unsupervised import UNSUPERVISED
from .table import TableScorer


def correlation(known: Known, seed: int) -> TableScorer:
    """Score pairs by the absolute correlation of TF and gene.

    Args:
        known: expression and TFs.
        seed: nothing is drawn.

    Example:
        >>> import numpy as np
        >>> from groundup.apps.grn.data.expression import Expression
        >>> values = np.array([[1, 2, 3, 4], [1, -1, -1, 1], [2, 4, 6, 9]], np.float32)
        >>> known = Known.of_all(Expression(values, "abc", "wxyz"), [0])
        >>> int(correlation(known, 0).scores.argmax())
        2
    """
    return TableScorer(UNSUPERVISED["pearson"](known, seed))
