r"""How many edges the TF and the gene have in training, and nothing else.

$$s_{tg} = \log(1 + k_t) + \log(1 + k_g)$$

orders pairs as the product $(1 + k_t)(1 + k_g)$: up to the ones, which keep apart pairs whose TF or
gene has no edge in training, the number of edges expected between the two if edges were drawn
blindly with these degrees (Chung and Lu, 2002). No expression is looked at.
"""

from __future__ import annotations

import numpy as np

from ..task.problem import Known
from .table import TableScorer


def degree(known: Known, seed: int) -> TableScorer:
    """Score pairs by the degrees of their TF and their gene in training.

    Args:
        known: training edges.
        seed: nothing is drawn.

    Example:
        >>> from groundup.apps.grn.data.expression import Expression
        >>> from groundup.apps.grn.task.problem import Known
        >>> known = Known.of_all(Expression(np.ones((3, 2), np.float32), "abc", "xy"), [0, 1])
        >>> known.edges[0, 1:] = True
        >>> degree(known, 0).scores.round(2)
        array([[1.1 , 1.79, 1.79],
               [0.  , 0.69, 0.69]])
    """
    of_tf = np.log1p(known.edges.sum(axis=1))
    of_gene = np.log1p(known.edges.sum(axis=0))
    return TableScorer(of_tf[:, None] + of_gene[None])
