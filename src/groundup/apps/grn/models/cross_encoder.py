r"""The cross-encoder: TF, gene and state side by side through one network.

$$s(t, g, c) = m([e_t; e_g; e_c]), \qquad m:\ 384 \to 512 \to 128 \to 1$$

with vectors of 128 numbers, three of which make the 384. It can see what a product of two encodings
cannot, and pays with a pass through the network for every pair.

As written the network has 262,913 parameters, a third more than the two-tower's encoders (197,376),
although the documents call the two matched and claim 132,097. `matched` sizes, 768-220-128-1 over
vectors of 256 as the two-tower has them, come to 197,597: 0.1 % more, and the tables are the same.
"""

from __future__ import annotations

from ....engine.ops.shaping import cat
from ....engine.tensor import Tensor
from .base import PairModel, encoder, table

WRITTEN = (384, 512, 128, 1)
MATCHED = (768, 220, 128, 1)
DEVIATION = 1.0


class CrossEncoder(PairModel):
    """One network over the vectors of TF, gene and state.

    Args:
        tfs: how many there are.
        genes: how many there are.
        samples: not used: it sees no expression.
        states: how many there are; `train` trains with one.
        matched: as many parameters as the two-tower, rather than the sizes as written.
        dropout: of hidden units.

    Shape:
        tf, gene, state (N,) integers -> (N,).

    Example:
        >>> model = CrossEncoder(3, 5)
        >>> nothing = gu.zeros(2, 0)
        >>> model(gu.tensor([0, 1]), nothing, gu.tensor([2, 4]), nothing).shape
        (2,)
        >>> model.size() - 128 * 9, CrossEncoder(3, 5, matched=True).size() - 256 * 9
        (262913, 197597)
    """

    knows_tfs = knows_genes = True

    def __init__(
        self,
        tfs: int,
        genes: int,
        samples: int = 0,
        *,
        states: int = 1,
        matched: bool = False,
        dropout: float = 0.1,
    ) -> None:
        sizes = MATCHED if matched else WRITTEN
        self.tf_table = table(tfs, sizes[0] // 3, DEVIATION)
        self.gene_table = table(genes, sizes[0] // 3, DEVIATION)
        self.state_table = table(states, sizes[0] // 3, DEVIATION)
        self.network = encoder(sizes, dropout)

    def forward(
        self, tf: Tensor, tf_x: Tensor, gene: Tensor, gene_x: Tensor, state: Tensor | None = None
    ) -> Tensor:
        """What the network says of each pair; in the first state if none is given."""
        of_state = self.state_table(tf * 0 if state is None else state)
        return self.network(cat([self.tf_table(tf), self.gene_table(gene), of_state], -1)).squeeze(
            -1
        )
