r"""Pearson's correlation of TFs and genes over the samples.

$$r_{tg} = \frac1n \sum_s z_{ts} z_{gs},$$

with $z$ the expression of a gene with mean 0 and deviation 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..task.problem import Known


def correlations(known: Known) -> NDArray[np.float32]:
    """The correlation of every TF with every gene; 0 with itself, and where a gene never changes.

    Args:
        known: expression and TFs; its edges are not looked at.

    Shape:
        returns: (TFs, genes), from -1 to 1.

    Example:
        >>> from groundup.apps.grn.data.expression import Expression
        >>> values = np.array([[1, 2, 3], [6, 4, 2], [5, 5, 5]], np.float32)
        >>> correlations(Known.of_all(Expression(values, "abc", "xyz"), [0])).tolist()
        [[0.0, -1.0, 0.0]]
    """
    z = known.standardized
    found = np.clip(z[known.tfs] @ z.T / np.float32(z.shape[1]), -1, 1)
    found[np.arange(len(known.tfs)), known.tfs] = 0
    return found
