r"""Two towers over expression alone.

$$s(t, g) = \frac{f(x_t) \cdot h(x_g)}{\sqrt{128}}, \qquad f, h:\ S \to 512 \to 256 \to 128$$

with $x$ the expression of TF and gene over $S$ samples. $1{,}024 S + 329{,}472$ parameters: with
the documents' 2,000 samples 2,377,472, their 2.4 million. It has no vector for a TF or a gene, and
so speaks of those that it was not trained with too.
"""

from __future__ import annotations

import math

from ....engine.tensor import Tensor
from .base import TowerModel, encoder

SIZES = (512, 256, 128)


class ExpressionTwoTower(TowerModel):
    """Two encoders of expression, one product.

    Args:
        tfs: not used: TFs are known by their expression.
        genes: not used: genes are known by their expression.
        samples: how many there are.
        dropout: of hidden units.
        sizes: of hidden layers and of the encoding.

    Shape:
        tf_x, gene_x (N, samples) -> (N,).

    Example:
        >>> ExpressionTwoTower(0, 0, 2000).size()
        2377472
    """

    reads_expression = True

    def __init__(
        self,
        tfs: int,
        genes: int,
        samples: int,
        *,
        dropout: float = 0.1,
        sizes: tuple[int, ...] = SIZES,
    ) -> None:
        self.scale = 1 / math.sqrt(sizes[-1])
        self.tf_encoder = encoder((samples, *sizes), dropout)
        self.gene_encoder = encoder((samples, *sizes), dropout)

    def encode_tf(self, tf: Tensor, x: Tensor) -> Tensor:
        """TFs."""
        return self.tf_encoder(x) * self.scale

    def encode_gene(self, gene: Tensor, x: Tensor) -> Tensor:
        """Genes."""
        return self.gene_encoder(x)
