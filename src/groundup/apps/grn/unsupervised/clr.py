r"""Context likelihood of relatedness (CLR; Faith et al., 2007).

A mutual information counts for as much as it stands out from those that the same TF has with all
genes, and from those that the same gene has with all TFs. For Gaussian expression it is

$$I_{tg} = -\tfrac12 \log(1 - r_{tg}^2),$$

and with $z^T$ and $z^G$ its deviation from the mean in units of the standard deviation, over the
genes of the TF and over the TFs of the gene, and 0 where it is below the mean,

$$s_{tg} = \sqrt{(z^T_{tg})^2 + (z^G_{tg})^2}.$$

Faith et al. estimate the information with splines instead, which sees relations that are not
monotone and costs far more.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..task.problem import Known
from .pearson import correlations

_MOST = 1 - 1e-7
"""The largest squared correlation: two copies of a gene share all that single precision tells."""


def clr(known: Known) -> NDArray[np.float64]:
    """The CLR score of every TF with every gene.

    Args:
        known: expression and TFs; its edges are not looked at.

    Shape:
        returns: (TFs, genes), from 0 on.

    Example:
        >>> from groundup.apps.grn.data.expression import Expression
        >>> values = np.random.default_rng(0).normal(size=(30, 50)).astype(np.float32)
        >>> values[7] += 2 * values[0]
        >>> names = [str(number) for number in range(50)]
        >>> scores = clr(Known.of_all(Expression(values, names[:30], names), [0, 1, 2]))
        >>> [int(number) for number in np.unravel_index(scores.argmax(), scores.shape)]
        [0, 7]
    """
    squares = np.minimum(np.square(correlations(known), dtype=np.float64), _MOST)
    information = -0.5 * np.log1p(-squares)
    return np.hypot(_above(information, 1), _above(information, 0))


def _above(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Standard deviations above the mean along an axis; 0 below it, and where all are equal."""
    over = values - values.mean(axis=axis, keepdims=True)
    spread = values.std(axis=axis, keepdims=True)
    ratio = np.divide(over, spread, out=np.zeros_like(over), where=spread > 1e-12)
    return np.maximum(ratio, 0)
