r"""Regulon towers: what a TF's targets look like, learned, and whether a gene looks like that.

$$s(t, g) = \frac{(d\, e_t + f(x_t)) \cdot h(x_g)}{\sqrt{D}} + d\, b_t$$

A gene is known by its expression alone, so that nothing can be learned of a gene by heart and genes
without a known regulator are scored like any other. A TF has a vector $e_t$ and a bias $b_t$ of its
own, and beside them what its expression tells, which is all there is of a TF without known targets.
Both begin near 0; in training $d$ is 0 for some of the pairs and 1 else, so that $f$ learns to
stand alone. Encoders are $S \to 256 \to 64$ with LayerNorm and GELU; expression is dropped at the
input, as if some of the samples had not been measured.

$T (D + 1) + 2 (H S + 3 H + H D + D)$ parameters: with $H = 256$, $D = 64$,
$65 T + 512 S + 34{,}432$.
"""

from __future__ import annotations

import math

from ....engine.ops.creation import ones
from ....engine.ops.shaping import cat
from ....engine.tensor import Tensor
from ....nn import GELU, Dropout, LayerNorm, Linear, Sequential
from ....nn.functional import dropout as dropped
from .base import TowerModel, table

BEGINNING = 0.05


class RegulonTowers(TowerModel):
    """A TF's own vector and its expression against a gene's expression.

    Args:
        tfs: how many there are.
        genes: not used: genes are known by their expression.
        samples: how many there are.
        width: of the encodings.
        hidden: units of the hidden layer.
        input_dropout: share of samples left out of each profile in training.
        dropout: of hidden units.
        tf_dropout: share of pairs in training whose TF is known by its expression alone.

    Shape:
        tf (N,) integers; tf_x, gene_x (N, samples) -> (N,).

    Example:
        >>> RegulonTowers(7, 0, 10).size() - 65 * 7 - 512 * 10
        34432
    """

    knows_tfs = reads_expression = True

    def __init__(
        self,
        tfs: int,
        genes: int,
        samples: int,
        *,
        width: int = 64,
        hidden: int = 256,
        input_dropout: float = 0.4,
        dropout: float = 0.4,
        tf_dropout: float = 0.1,
    ) -> None:
        self.scale, self.tf_dropout = 1 / math.sqrt(width), tf_dropout
        self.tf_table = table(tfs, width, BEGINNING)
        self.tf_bias = table(tfs, 1, 0.0)
        self.tf_encoder = _profile(samples, hidden, width, input_dropout, dropout)
        self.gene_encoder = _profile(samples, hidden, width, input_dropout, dropout)

    def encode_tf(self, tf: Tensor, x: Tensor) -> Tensor:
        """TFs, with their bias as the last number."""
        vector, bias = self.tf_table(tf), self.tf_bias(tf)
        if self.training and self.tf_dropout:
            kept = dropped(ones(len(tf), 1), self.tf_dropout) * (1 - self.tf_dropout)
            vector, bias = vector * kept, bias * kept
        return cat([(vector + self.tf_encoder(x)) * self.scale, bias], -1)

    def encode_gene(self, gene: Tensor, x: Tensor) -> Tensor:
        """Genes, with a 1 that the TF's bias is multiplied with."""
        return cat([self.gene_encoder(x), ones(len(x), 1)], -1)


def _profile(
    samples: int, hidden: int, width: int, input_dropout: float, dropout: float
) -> Sequential:
    return Sequential(
        Dropout(input_dropout),
        Linear(samples, hidden),
        LayerNorm(hidden),
        GELU(),
        Dropout(dropout),
        Linear(hidden, width),
    )
