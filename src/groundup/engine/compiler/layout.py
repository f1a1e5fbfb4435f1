"""Where the elements of a view lie in the memory that it looks at.

A view (reshape, permute, expand, slice, flip, windows) computes nothing: it is a way to read
another value's memory, an offset and a stride for each dimension. NumPy knows the rules, so it is
asked: the primitives are applied to an array of the right shape and strides that has no memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .graph import Shape, Value

VIEWS = frozenset({"reshape", "permute", "expand", "slice", "flip", "windows"})
"""Primitives that move nothing."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A way to read memory.

    Attributes:
        base: whose memory.
        offset: of the first element, in elements.
        strides: from element to element along each dimension, in elements.
    """

    base: Value
    offset: int
    strides: Shape


class Layouts:
    """Layouts of values, each found once.

    Example:
        >>> from groundup.engine.primitives.shape import permute
        >>> x = Value("input", (), {}, (2, 3), gu.float32)
        >>> turned = Value("permute", (x,), {"order": (1, 0)}, (3, 2), gu.float32, permute)
        >>> Layouts()(turned).strides
        (1, 3)
    """

    def __init__(self) -> None:
        self._known: dict[Value, tuple[Value, npt.NDArray[np.int8]] | None] = {}

    def __call__(self, x: Value) -> Layout | None:
        """The layout; None if the view cannot be read without copying something first."""
        found = self._find(x)
        if found is None:
            return None
        base, array = found
        return Layout(base, array.ctypes.data - _NOTHING.ctypes.data, array.strides)

    def _find(self, x: Value) -> tuple[Value, npt.NDArray[np.int8]] | None:
        if x not in self._known:
            self._known[x] = self._look(x)
        return self._known[x]

    def _look(self, x: Value) -> tuple[Value, npt.NDArray[np.int8]] | None:
        if x.name not in VIEWS:
            strides = row_major(x.shape)
            if x.name == "state":
                strides = tuple(step // x.dtype.itemsize for step in x.static["strides"])
            array = np.lib.stride_tricks.as_strided(_NOTHING, x.shape, strides, writeable=False)
            return x, array
        inside = self._find(x.inputs[0])
        if inside is None:
            return None
        base, array = inside
        assert x.primitive is not None
        if x.name != "reshape":
            seen = x.primitive.forward(array, **x.static)
            # A slice of no dimensions is a number to NumPy, not a view.
            return base, seen if isinstance(seen, np.ndarray) else array
        try:
            return base, np.reshape(array, x.shape, copy=False)
        except ValueError:
            return None


_NOTHING = np.empty(1, np.int8)


def row_major(shape: Shape) -> Shape:
    """The strides of a contiguous array, in elements.

    Example:
        >>> row_major((2, 3, 4))
        (12, 4, 1)
    """
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))
