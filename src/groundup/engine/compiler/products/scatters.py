"""Writing and adding at positions as records of a tape; see ``emit_index``."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..graph import Value
from ..native import cache, native
from .emit_index import Shape, emit

_WORTH = 16_000
"""Cycles of work that are worth a thread."""


@dataclass(frozen=True, slots=True)
class Scatter:
    """A scatter that is ready to be put on a tape.

    Attributes:
        shape: what is written where.
        name: of the kernel.
        text: of the module that defines it.
    """

    shape: Shape
    name: str
    text: str

    @property
    def address(self) -> int:
        """Where the kernel is; it is compiled if it has not been."""
        return native.compile_many({self.name: lambda: self.text})[self.name]

    @property
    def grain(self) -> int:
        """How much of the extent is worth a thread."""
        shape = self.shape
        bytes_moved = shape.arrays * shape.columns * shape.dtype.itemsize
        moved = bytes_moved * (3 * shape.rows + shape.places)
        cycles = 4 * shape.arrays * shape.rows + moved / 16
        return max(1, math.ceil(shape.extent * _WORTH / max(cycles, 1.0)))


def scatter(value: Value, over: bool) -> Scatter:
    """What computes a value that is called "scatter".

    Args:
        value: the value; ``lower_index`` says what its inputs are.
        over: whether it is written over what it replaces, in the same memory.

    Example:
        >>> from groundup.engine.compiler.graph import Value
        >>> values = Value("input", (), {}, (1, 5, 8), gu.float32)
        >>> position = Value("input", (), {}, (1, 5), gu.int64)
        >>> static = {"sizes": (1, 3, 8)}
        >>> one = scatter(Value("scatter", (values, position), static, (3, 8), gu.float32), False)
        >>> one.shape.rows, one.shape.places, one.shape.before
        (5, 3, 'zeros')
    """
    values, position, *whole = value.inputs
    arrays, places, columns = value.static["sizes"]
    shape = Shape(
        value.dtype,
        arrays,
        values.shape[1],
        columns,
        places,
        position.shape[0] > 1,
        "is" if over else "copy" if whole else "zeros",
        adds=not whole,
    )
    name = "scatter_" + cache.key(repr(shape))[:16]
    return Scatter(shape, name, emit(shape, name, native.host().bits))
