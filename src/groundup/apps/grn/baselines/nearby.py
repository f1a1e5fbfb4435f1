r"""Genes that lie together are regulated together, and many a TF lies beside what it regulates.

In bacteria, operons next to each other often share regulators, and TFs act on the genes around
them. With $p$ the place of a gene along the genome, counted in genes, the known targets that lie
near gene $g$ vote as in `neighbours`, and the TF's own gene counts:

$$s_{tg} = \sum_{h \ne g} \frac{e_{th}}{1 + k_t} \exp\left(-\frac{|p_g - p_h|}{10}\right)
+ \exp\left(-\frac{|p_g - p_t|}{20}\right)$$

with $e$ the edges of training and $k_t$ their number of the TF. Expression plays no part. Where
places are not known, all pairs have the score 0. A chromosome is a line here, not a ring.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..task.problem import Known
from .table import TableScorer

VOTING, OWN = 10.0, 20.0
"""Genes over which votes and the nearness of a TF fall to 1 / e."""


def nearby(known: Known, seed: int) -> TableScorer:
    """Score pairs by what lies near the gene.

    Args:
        known: places and training edges.
        seed: nothing is drawn.

    Example:
        >>> from dataclasses import replace
        >>> from groundup.apps.grn.data.expression import Expression
        >>> known = Known.of_all(Expression(np.ones((4, 2), np.float32), "abcd", "xy"), [0])
        >>> known = replace(known, places=np.array([0, 50, 52, 90]))
        >>> known.edges[0, 1] = True
        >>> nearby(known, 0).scores.round(2)
        array([[1.  , 0.08, 0.48, 0.02]])
    """
    return TableScorer(votes_nearby(known) + nearness(known))


def votes_nearby(known: Known) -> NDArray[np.float64]:
    """How many known targets of each TF lie near each gene, by nearness and the TF's degree.

    Shape:
        (TFs, genes).

    Example:
        >>> from groundup.apps.grn.data.expression import Expression
        >>> votes_nearby(Known.of_all(Expression(np.ones((2, 2), np.float32), "ab", "xy"), [0]))
        array([[0., 0.]])
    """
    voters = np.flatnonzero(known.edges.any(axis=0) & (known.places >= 0))
    if not len(voters):
        return np.zeros(known.edges.shape)
    weights = _falling(known.places[voters], known.places, VOTING)
    weights[np.arange(len(voters)), voters] = 0
    return (known.edges[:, voters] / (1.0 + known.edges.sum(axis=1, keepdims=True))) @ weights


def nearness(known: Known) -> NDArray[np.float64]:
    """How near each gene lies to the gene of each TF: 1 at the same place, 0 far away.

    Shape:
        (TFs, genes).

    Example:
        >>> from groundup.apps.grn.data.expression import Expression
        >>> nearness(Known.of_all(Expression(np.ones((2, 2), np.float32), "ab", "xy"), [0]))
        array([[0., 0.]])
    """
    return _falling(known.places[known.tfs], known.places, OWN)


def _falling(one: NDArray[np.int64], other: NDArray[np.int64], over: float) -> NDArray[np.float64]:
    found = np.exp(-np.abs(one[:, None] - other[None]) / over)
    found[(one < 0)[:, None] | (other < 0)[None]] = 0
    return found
