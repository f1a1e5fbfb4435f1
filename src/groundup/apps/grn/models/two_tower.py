r"""The two-tower model: an encoder of TFs, an encoder of genes, and the angle or product of both.

$$s(t, g, c) = \frac{f(e_t + e_c) \cdot h(e_g)}{\tau}, \qquad
f, h:\ 256 \to 256 \to 128, \quad \tau = 0.07$$

with a learned vector of 256 numbers for each TF $t$, gene $g$ and state $c$ (a region, a kind of
cell). It sees no expression. It is trained by InfoNCE over the pairs of a batch, in `losses`.

The encoders have 197,376 parameters: two of $256 \cdot 256 + 256 + 256 \cdot 128 + 128 = 98{,}688$.
The documents that describe the model claim 132,352, which these sizes do not give (encoders
128-256-128 would have 131,840). The vectors add $256 (T + G + C)$.
"""

from __future__ import annotations

from typing import Literal

from ....engine.tensor import Tensor
from ....nn.functional import normalize
from .base import TowerModel, encoder, table

WIDTH = 256
SIZES = (256, 256, 128)
DEVIATION = 0.05
"""Of initial vectors: products over the temperature then begin near 1, rather than at hundreds."""


class TwoTower(TowerModel):
    """TF, gene and state embeddings, two encoders, one product.

    Known edges do not say in which state they hold, so `train` trains it with one state. With more,
    give their numbers as the last argument.

    Args:
        tfs: how many there are.
        genes: how many there are.
        samples: not used: it sees no expression.
        states: how many there are.
        similarity: "dot", as documented, or "cosine", of which the temperature was made.
        temperature: what the product is divided by.
        dropout: of hidden units.

    Shape:
        tf, gene, state (N,) integers -> (N,).

    Example:
        >>> model = TwoTower(3, 5)
        >>> nothing = gu.zeros(2, 0)
        >>> model(gu.tensor([0, 1]), nothing, gu.tensor([2, 4]), nothing).shape
        (2,)
        >>> model.size() - 256 * (3 + 5 + 1)
        197376
    """

    knows_tfs = knows_genes = True

    def __init__(
        self,
        tfs: int,
        genes: int,
        samples: int = 0,
        *,
        states: int = 1,
        similarity: Literal["dot", "cosine"] = "dot",
        temperature: float = 0.07,
        dropout: float = 0.1,
    ) -> None:
        if similarity not in ("dot", "cosine"):
            raise ValueError(f"similarity {similarity!r}, expected 'dot' or 'cosine'")
        if not temperature > 0:
            raise ValueError(f"temperature {temperature}, expected a positive number")
        self.similarity, self.temperature = similarity, temperature
        self.tf_table = table(tfs, WIDTH, DEVIATION)
        self.gene_table = table(genes, WIDTH, DEVIATION)
        self.state_table = table(states, WIDTH, DEVIATION)
        self.tf_encoder = encoder(SIZES, dropout)
        self.gene_encoder = encoder(SIZES, dropout)

    def encode_tf(self, tf: Tensor, x: Tensor, state: Tensor | None = None) -> Tensor:
        """TFs in states, divided by the temperature; in the first state if none is given."""
        vector = self.tf_table(tf) + self.state_table(tf * 0 if state is None else state)
        return self._directed(self.tf_encoder(vector)) / self.temperature

    def encode_gene(self, gene: Tensor, x: Tensor) -> Tensor:
        """Genes."""
        return self._directed(self.gene_encoder(self.gene_table(gene)))

    def forward(
        self, tf: Tensor, tf_x: Tensor, gene: Tensor, gene_x: Tensor, state: Tensor | None = None
    ) -> Tensor:
        """The product of the two encodings."""
        return (self.encode_tf(tf, tf_x, state) * self.encode_gene(gene, gene_x)).sum(-1)

    def _directed(self, vector: Tensor) -> Tensor:
        return normalize(vector, dim=-1) if self.similarity == "cosine" else vector
