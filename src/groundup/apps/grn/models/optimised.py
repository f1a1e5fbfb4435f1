r"""The optimised model: the embedding two-tower with four layers and every technique listed.

$$s(t, g) = \frac{f(e_t) \cdot h(e_g)}{\sqrt{64}}, \qquad
f, h:\ 256 \to 512 \to 256 \to 128 \to 64$$

$256 (T + G) + 608{,}128$ parameters. The techniques are those of its recipe: weights that begin
after Glorot and Bengio (2010, "Xavier"), focal loss with alpha 0.25 and gamma 2 (Lin et al., 2017),
momentum 0.9, weight decay 0.0001, a warm-up of 10 epochs and half a cosine down, gradients clipped
to a norm of 1, early stopping.
"""

from __future__ import annotations

from .base import Initial
from .embedding_two_tower import EmbeddingTwoTower

SIZES = (256, 512, 256, 128, 64)


class Optimised(EmbeddingTwoTower):
    """Learned vectors and two encoders of four layers.

    Args:
        tfs: how many there are.
        genes: how many there are.
        samples: not used: it sees no expression.
        dropout: of hidden units.
        sizes: of each encoder; with one hidden layer fewer it is the model of three layers.
        initial: how weights begin.

    Shape:
        tf, gene (N,) integers -> (N,).

    Example:
        >>> Optimised(10, 20).size() - 256 * 30
        608128
    """

    def __init__(
        self,
        tfs: int,
        genes: int,
        samples: int = 0,
        *,
        dropout: float = 0.1,
        sizes: tuple[int, ...] = SIZES,
        initial: Initial = "xavier",
    ) -> None:
        super().__init__(tfs, genes, samples, dropout=dropout, sizes=sizes, initial=initial)
