"""Dropout as layers: random zeros in training mode, nothing in evaluation mode.

Srivastava et al. (2014).
"""

from __future__ import annotations

from ..engine.random import Generator
from ..engine.tensor import Tensor
from .functional.dropout import dropout, dropout1d, dropout2d
from .module import Module


class Dropout(Module):
    """Each element set to 0 with probability ``p`` in training, else divided by ``1 - p``.

    Args:
        p: probability of a zero.
        inplace: accepted so that scripts run; the result is always a new tensor.
        generator: where the random numbers come from; default: the one that ``manual_seed`` seeds.

    Raises:
        ValueError: ``p`` is no probability.

    Example:
        >>> nn.Dropout(0.5).eval()(gu.ones(2)).tolist()
        [1.0, 1.0]
    """

    def __init__(
        self, p: float = 0.5, inplace: bool = False, *, generator: Generator | None = None
    ) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"{type(self).__name__}: p is {p}, expected a number between 0 and 1")
        self.p = p
        self.inplace = inplace
        self.generator = generator

    def forward(self, input: Tensor) -> Tensor:
        return dropout(input, self.p, self.training, generator=self.generator)

    def extra_repr(self) -> str:
        return f"p={self.p}" + (", inplace=True" if self.inplace else "")


class Dropout1d(Dropout):
    """Whole channels of sequences, (N, C, L) or (C, L), set to 0. Arguments as for ``Dropout``.

    Example:
        >>> nn.Dropout1d()(gu.ones(2, 3, 4)).shape
        (2, 3, 4)
    """

    def forward(self, input: Tensor) -> Tensor:
        return dropout1d(input, self.p, self.training, generator=self.generator)


class Dropout2d(Dropout):
    """Whole channels of images, (N, C, H, W) or (C, H, W), set to 0. Arguments as for ``Dropout``.

    Example:
        >>> nn.Dropout2d()(gu.ones(2, 3, 4, 4)).shape
        (2, 3, 4, 4)
    """

    def forward(self, input: Tensor) -> Tensor:
        return dropout2d(input, self.p, self.training, generator=self.generator)
