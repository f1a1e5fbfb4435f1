r"""Learned vectors and expression together, joined early or late.

Early, one encoder reads both; late, an embedding and an expression two-tower are added, which is a
product of encodings side by side:

$$\text{early: } \frac{f([e_t; x_t]) \cdot h([e_g; x_g])}{\sqrt{128}}, \qquad
\text{late: } s_\text{embedding}(t, g) + s_\text{expression}(t, g)
= [a_t; a'_t] \cdot [b_g; b'_g]$$

Early: vectors of 128 and encoders $(S + 128) \to 512 \to 256 \to 128$, so
$128 (T + G) + 1{,}024 S + 460{,}544$ parameters. Late: those of both models,
$128 (T + G) + 1{,}024 S + 461{,}312$.
"""

from __future__ import annotations

import math

from ....engine.ops.shaping import cat
from ....engine.tensor import Tensor
from .base import TowerModel, encoder, table
from .embedding_two_tower import EmbeddingTwoTower
from .expression_two_tower import SIZES, ExpressionTwoTower

WIDTH = 128


class PairedEarly(TowerModel):
    """Encoders of a learned vector and expression at once.

    Args:
        tfs: how many there are.
        genes: how many there are.
        samples: how many there are.
        dropout: of hidden units.

    Shape:
        tf, gene (N,) integers; tf_x, gene_x (N, samples) -> (N,).

    Example:
        >>> PairedEarly(2, 3, 10).size() - 128 * 5 - 1024 * 10
        460544
    """

    knows_tfs = knows_genes = reads_expression = True

    def __init__(self, tfs: int, genes: int, samples: int, *, dropout: float = 0.1) -> None:
        self.scale = 1 / math.sqrt(SIZES[-1])
        self.tf_table = table(tfs, WIDTH, 0.5)
        self.gene_table = table(genes, WIDTH, 0.5)
        self.tf_encoder = encoder((samples + WIDTH, *SIZES), dropout)
        self.gene_encoder = encoder((samples + WIDTH, *SIZES), dropout)

    def encode_tf(self, tf: Tensor, x: Tensor) -> Tensor:
        """TFs."""
        return self.tf_encoder(cat([self.tf_table(tf), x], -1)) * self.scale

    def encode_gene(self, gene: Tensor, x: Tensor) -> Tensor:
        """Genes."""
        return self.gene_encoder(cat([self.gene_table(gene), x], -1))


class PairedLate(TowerModel):
    """The sum of an embedding and an expression two-tower, trained together.

    Args:
        tfs: how many there are.
        genes: how many there are.
        samples: how many there are.
        dropout: of hidden units.

    Shape:
        tf, gene (N,) integers; tf_x, gene_x (N, samples) -> (N,).

    Example:
        >>> PairedLate(2, 3, 10).size() - 128 * 5 - 1024 * 10
        461312
    """

    knows_tfs = knows_genes = reads_expression = True

    def __init__(self, tfs: int, genes: int, samples: int, *, dropout: float = 0.1) -> None:
        self.embedding = EmbeddingTwoTower(tfs, genes, dropout=dropout)
        self.expression = ExpressionTwoTower(tfs, genes, samples, dropout=dropout)

    def encode_tf(self, tf: Tensor, x: Tensor) -> Tensor:
        """TFs, both ways side by side."""
        return cat([self.embedding.encode_tf(tf, x), self.expression.encode_tf(tf, x)], -1)

    def encode_gene(self, gene: Tensor, x: Tensor) -> Tensor:
        """Genes, both ways side by side."""
        return cat([self.embedding.encode_gene(gene, x), self.expression.encode_gene(gene, x)], -1)
