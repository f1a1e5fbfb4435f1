"""Layers that tell a model where in the sequence each element stands.

Attention by itself sees a set, not a sequence. Sinusoidal and learned positions are added to the
embeddings once (Vaswani et al., 2017, section 3.5; Gehring et al., 2017); rotary ones turn queries
and keys in every layer (Su et al., 2021).

Shapes: T elements of D features. Positions are 0 to T - 1 unless given, as they are when a model
generates one element at a time or packs several sequences into one.
"""

from __future__ import annotations

from typing import Any

from ..engine.ops.arguments import outside
from ..engine.ops.creation import arange, empty
from ..engine.primitives.indexing import index
from ..engine.random import Generator
from ..engine.tensor import Tensor
from . import init
from .functional.position import rotary_table, rotate, sinusoidal
from .module import Buffer, Module, Parameter
from .rotary_scaling import RotaryScaling


def _rows(layer: Module, table: Tensor, x: Tensor, positions: Tensor | None) -> Tensor:
    """The rows of a table for the elements of x (*, T, D)."""
    last = table.shape[0] - 1
    if positions is None:
        if x.shape[-2] > last + 1:
            raise ValueError(
                f"{type(layer).__name__}: {x.shape[-2]} elements, but max_len is {last + 1}"
            )
        return table.narrow(0, 0, x.shape[-2])
    if (wrong := outside(positions, 0, last)) is not None:
        raise IndexError(
            f"{type(layer).__name__}: position {wrong} is outside the table, which holds 0 to "
            f"{last} (max_len={last + 1})"
        )
    return index(table, positions, dims=(0,))


class SinusoidalPositions(Module):
    """Adds fixed sines and cosines of the position (Vaswani et al., 2017, section 3.5).

    See ``F.sinusoidal``.

    Args:
        embedding_dim: D, even or odd.
        max_len: positions in the table.
        base: of the geometric sequence of wavelengths.

    Shape:
        (*, T, D), optionally positions that broadcast to (*, T) -> (*, T, D).

    Raises:
        ValueError: more than ``max_len`` elements. IndexError: a position beyond the table.

    Example:
        >>> nn.SinusoidalPositions(4)(gu.zeros(2, 4))
        tensor([[0.0000, 1.0000, 0.0000, 1.0000],
                [0.8415, 0.5403, 0.0100, 0.9999]], shape=(2, 4), dtype=float32)
    """

    def __init__(self, embedding_dim: int, max_len: int = 5000, base: float = 10000.0) -> None:
        self.table = Buffer(sinusoidal(arange(max_len), embedding_dim, base), persistent=False)

    def forward(self, x: Tensor, positions: Tensor | None = None) -> Tensor:
        return x + _rows(self, self.table, x, positions)

    def extra_repr(self) -> str:
        return f"{self.table.shape[1]}, max_len={self.table.shape[0]}"


class LearnedPositions(Module):
    """Adds a learned vector for each position (Gehring et al., 2017).

    The table begins normal, with standard deviation 0.02.

    Args:
        embedding_dim: D.
        max_len: positions in the table; there is nothing beyond them.
        dtype: of the table; default: the default floating type.
        generator: where the initial values come from.

    Shape:
        (*, T, D), optionally positions that broadcast to (*, T) -> (*, T, D). weight (max_len, D).

    Raises:
        ValueError: more than ``max_len`` elements. IndexError: a position beyond the table.

    Example:
        >>> nn.LearnedPositions(8, max_len=10)(gu.zeros(5, 3, 8)).shape
        (5, 3, 8)
    """

    def __init__(
        self,
        embedding_dim: int,
        max_len: int,
        *,
        dtype: Any = None,
        generator: Generator | None = None,
    ) -> None:
        self.weight = Parameter(empty(max_len, embedding_dim, dtype=dtype))
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw a new table."""
        init.normal_(self.weight, std=0.02, generator=generator)

    def forward(self, x: Tensor, positions: Tensor | None = None) -> Tensor:
        return x + _rows(self, self.weight, x, positions)

    def extra_repr(self) -> str:
        return f"{self.weight.shape[1]}, max_len={self.weight.shape[0]}"


class RotaryPositions(Module):
    """Turns queries or keys by angles that grow with their position. See ``F.rotary``.

    Args:
        dim: features of one head, even.
        max_len: positions in the tables of cosines and sines.
        base: the slowest angle grows by nearly 1 / base a step.
        interleaved: pairs are neighbours (as in the paper); false: features i and i + D / 2.
        scaling: other frequencies, for texts longer than those of training.

    Shape:
        (*, T, D), optionally positions that broadcast to (*, T) -> (*, T, D).

    Raises:
        ValueError: an odd number of features, or more than ``max_len`` elements.
        IndexError: a position beyond the tables.

    Example:
        >>> turn = nn.RotaryPositions(8)
        >>> q = gu.ones(2, 4, 5, 8)  # examples, heads, elements, features
        >>> turn(q).shape, gu.allclose(turn(q).norm(dim=-1), q.norm(dim=-1))
        ((2, 4, 5, 8), True)
    """

    def __init__(
        self,
        dim: int,
        max_len: int = 2048,
        base: float = 10000.0,
        interleaved: bool = True,
        scaling: RotaryScaling | None = None,
    ) -> None:
        self.interleaved, self.scaling = interleaved, scaling
        cos, sin = rotary_table(arange(max_len), dim, base, scaling)
        self.cos = Buffer(cos, persistent=False)
        self.sin = Buffer(sin, persistent=False)

    def forward(self, x: Tensor, positions: Tensor | None = None) -> Tensor:
        if x.shape[-1] != 2 * self.cos.shape[1]:
            raise ValueError(
                f"RotaryPositions({2 * self.cos.shape[1]}): input has {x.shape[-1]} features in "
                "its last dimension"
            )
        cos = _rows(self, self.cos, x, positions)
        sin = _rows(self, self.sin, x, positions)
        return rotate(x, cos, sin, self.interleaved)

    def extra_repr(self) -> str:
        length, half = self.cos.shape
        scaling = "" if self.scaling is None else f", scaling={self.scaling}"
        return f"{2 * half}, max_len={length}, interleaved={self.interleaved}{scaling}"
