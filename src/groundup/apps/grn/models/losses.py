r"""InfoNCE over the pairs of a batch, with known edges masked and popular genes corrected for.

A batch has edges $(t_i, g_i)$. Each gene of the batch is offered to each TF, and the loss asks to
choose the right one (van den Oord, Li and Vinyals, 2018, equation 4):

$$\ell_i = -\log \frac{\exp z_{ii}}{\exp z_{ii} + \sum_{j \in N_i} \exp z_{ij}}, \qquad
z_{ij} = s(t_i, g_j) - \log q(g_j)$$

$N_i$ leaves out genes that are known to be targets of $t_i$, which are no wrong answers, and pairs
that do not belong to the training part. Genes with many edges come as wrong answers as often as
they come as right ones, so a model would learn to score them too low; with $q$ the expected number
of times that a gene is offered, the sum over a batch is in expectation the sum over all genes that
can be (the log-Q correction: Yi et al., 2019, section 3). It is for training alone.

Genes without an edge in training are never offered so, and a model may score them above all others.
Genes that are drawn evenly can be offered beside those of the batch (mixed negative sampling: Yang
et al., 2020); then $j$ runs over both.
"""

from __future__ import annotations

import math

from ....engine.ops.arithmetic import logical_and, logical_not, where
from ....engine.ops.creation import eye
from ....engine.ops.reductions import logsumexp
from ....engine.tensor import Tensor
from ....nn import Module
from .base import TowerModel


class InBatch(Module):
    """A two-tower model while it is trained: scores of every TF of a batch with every gene of it.

    Args:
        model: the model, whose parameters it has.

    Shape:
        tf (N,), gene (M,) integers, the first N of which are the TFs' own; tf_x (N, S),
        gene_x (M, S); log_q (M,), of each gene -> (N, M).

    Example:
        >>> from groundup.apps.grn.models import EmbeddingTwoTower
        >>> none, n = gu.zeros(3, 0), gu.arange(3)
        >>> InBatch(EmbeddingTwoTower(3, 5))(n, none, n, none, gu.zeros(3)).shape
        (3, 3)
    """

    def __init__(self, model: TowerModel) -> None:
        self.model = model

    def forward(
        self, tf: Tensor, tf_x: Tensor, gene: Tensor, gene_x: Tensor, log_q: Tensor
    ) -> Tensor:
        """Corrected scores."""
        return self.model.encode_tf(tf, tf_x) @ self.model.encode_gene(gene, gene_x).T - log_q


def info_nce(scores: Tensor, left_out: Tensor) -> Tensor:
    """The mean surprise at the right gene of each TF, in nats.

    Args:
        scores: of TF i with gene j; the right ones are on the diagonal.
        left_out: which of these pairs are no wrong answers, such as known edges.

    Shape:
        scores, left_out (N, M) -> (), with M at least N.

    Example:
        >>> round(info_nce(gu.zeros(4, 4), gu.zeros(4, 4).bool()).item(), 4)  # log 4
        1.3863
        >>> known = gu.tensor([[True, True], [False, True]])
        >>> round(info_nce(gu.zeros(2, 2), known).item(), 4)  # log 2, and nothing to confuse
        0.3466
    """
    own = eye(*scores.shape).bool()
    kept = where(logical_and(left_out, logical_not(own)), -math.inf, scores)
    return (logsumexp(kept, 1) - where(own, scores, 0).sum(1)).mean()
