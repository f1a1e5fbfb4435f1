"""Products with packed weights; see ``groundup.engine.primitives.packed``.

Shapes: * any dimensions, n rows of k weights, P panels.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..base import values, wrap
from ..dtypes import float32, int64, uint8
from ..panels import packing_of, panels
from ..primitives import packed as p, shape as shaping
from .arguments import outside, to_dtype

if TYPE_CHECKING:
    from ..tensor import Tensor


def pack_panels(blocks: Tensor, packing: str) -> Tensor:
    """Rows of blocks, as GGUF files have them, in the order in which products are quick.

    Args:
        blocks: the bytes of the rows.
        packing: how they are packed: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K or Q6_K.

    Shape:
        (n, bytes of a row) -> (P, bytes of a panel), uint8.

    Raises:
        ValueError: an unknown packing, or rows that are no whole number of blocks.
        TypeError: what is given is not uint8.

    Example:
        >>> pack_panels(gu.zeros(9, 18, dtype=gu.uint8), "Q4_0").shape
        (2, 144)
    """
    if blocks.dtype != uint8:
        raise TypeError(f"pack_panels: blocks are {blocks.dtype.name}, expected uint8")
    return wrap(panels(values(blocks), packing_of(packing)))


def packed_linear(input: Tensor, weight: Tensor, packing: str, rows: int, columns: int) -> Tensor:
    """``input @ W.T``, with W packed; the input is rounded to eight bits, 32 numbers at a time.

    Args:
        input: floating.
        weight: W, as `pack_panels` gives it.
        packing: of W.
        rows: n.
        columns: k.

    Shape:
        input (*, k), weight (P, bytes of a panel) -> (*, n), of the input's dtype.

    Raises:
        ValueError: the sizes do not fit. TypeError: the input is not floating.

    Example:
        >>> weight = pack_panels(gu.zeros(9, 18, dtype=gu.uint8), "Q4_0")
        >>> packed_linear(gu.ones(2, 32), weight, "Q4_0", rows=9, columns=32).shape
        (2, 9)
    """
    _check("packed_linear", weight, packing, rows, columns)
    if input.dtype.kind != "f":
        raise TypeError(f"packed_linear: input is {input.dtype.name}, expected a floating dtype")
    shape = input.shape
    if shape[-1:] != (columns,):
        raise ValueError(f"packed_linear: input {shape}; expected (*, {columns})")
    x = to_dtype(shaping.reshape(input, shape=(math.prod(shape[:-1]), columns)), float32)
    y = p.packed_linear(x, weight, packing=packing, rows=rows, columns=columns)
    return to_dtype(shaping.reshape(y, shape=(*shape[:-1], rows)), input.dtype)


def packed_rows(weight: Tensor, positions: Tensor, packing: str, rows: int, columns: int) -> Tensor:
    """Rows of W, unpacked; no others are read.

    Args:
        weight: W, as `pack_panels` gives it.
        positions: of the rows, integers.
        packing: of W.
        rows: n.
        columns: k.

    Shape:
        weight (P, bytes of a panel), positions (*) -> (*, k) float32.

    Raises:
        ValueError: the sizes do not fit. TypeError: positions that are not integers.
        IndexError: a position outside of 0 to n - 1.

    Example:
        >>> weight = pack_panels(gu.zeros(9, 18, dtype=gu.uint8), "Q4_0")
        >>> packed_rows(weight, gu.tensor([8, 0]), "Q4_0", rows=9, columns=32).shape
        (2, 32)
    """
    _check("packed_rows", weight, packing, rows, columns)
    if positions.dtype.kind not in "iu":
        raise TypeError(f"packed_rows: positions are {positions.dtype.name}, expected integers")
    if (wrong := outside(positions, 0, rows - 1)) is not None:
        raise IndexError(f"packed_rows: position {wrong} is outside of {rows} rows")
    at = to_dtype(positions, int64)
    return p.packed_rows(weight, at, packing=packing, rows=rows, columns=columns)


def _check(name: str, weight: Tensor, packing: str, rows: int, columns: int) -> None:
    expected = packing_of(packing).shape(rows, columns)
    if weight.shape != expected or weight.dtype != uint8:
        raise ValueError(
            f"{name}: weight {weight.shape} {weight.dtype.name}; {rows} rows of {columns} weights "
            f"of type {packing} take {expected} uint8"
        )
