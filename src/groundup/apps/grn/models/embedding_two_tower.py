r"""Two towers over learned vectors alone.

$$s(t, g) = \frac{f(e_t) \cdot h(e_g)}{\sqrt{128}}, \qquad f, h:\ 128 \to 256 \to 128$$

with a vector of 128 numbers for each TF and gene: $128 (T + G) + 131{,}840$ parameters. The
documents claim 1.26 million, which these sizes give for 8,814 TFs and genes together. What it
learns of a pair comes from other pairs of the same TF and the same gene, so it can say nothing of
a gene or a TF that has no edge in training.
"""

from __future__ import annotations

import math

from ....engine.tensor import Tensor
from .base import Initial, TowerModel, encoder, table

WIDTH = 128
SIZES = (128, 256, 128)


class EmbeddingTwoTower(TowerModel):
    """Learned vectors, two encoders, one product.

    Args:
        tfs: how many there are.
        genes: how many there are.
        samples: not used: it sees no expression.
        dropout: of hidden units.
        sizes: of each encoder: of the vectors, of hidden layers, of the encoding.
        initial: how weights begin, as of `encoder`.

    Shape:
        tf, gene (N,) integers -> (N,).

    Example:
        >>> EmbeddingTwoTower(814, 8000).size()
        1260032
    """

    knows_tfs = knows_genes = True

    def __init__(
        self,
        tfs: int,
        genes: int,
        samples: int = 0,
        *,
        dropout: float = 0.1,
        sizes: tuple[int, ...] = SIZES,
        initial: Initial = "he",
    ) -> None:
        self.scale = 1 / math.sqrt(sizes[-1])
        self.tf_table = table(tfs, sizes[0], 0.5)
        self.gene_table = table(genes, sizes[0], 0.5)
        self.tf_encoder = encoder(sizes, dropout, initial)
        self.gene_encoder = encoder(sizes, dropout, initial)

    def encode_tf(self, tf: Tensor, x: Tensor) -> Tensor:
        """TFs."""
        return self.tf_encoder(self.tf_table(tf)) * self.scale

    def encode_gene(self, gene: Tensor, x: Tensor) -> Tensor:
        """Genes."""
        return self.gene_encoder(self.gene_table(gene))
