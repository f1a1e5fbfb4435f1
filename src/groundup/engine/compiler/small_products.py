"""How vector code for its shape best computes a matrix product, and whether BLAS is quicker.

C (m, n) = A (m, k) @ B (k, n), where the rows of C are contiguous. Tiles of C of a few rows and a
few vectors are held in registers while k runs:

- "outer": for each k, a vector of a row of B times each of a few numbers of A is added to the tile.
- "packed": the same, but the part of B that belongs to a column of tiles is first copied to the
  stack, row by row, so that it is read in vectors and from the nearest cache.
- "dot": where the rows of A and the columns of B are contiguous and m is small, k runs in vectors,
  and the tile's vectors are added up at its end.

A rough count of cycles decides between them, on the size of the tiles, and between all of them and
BLAS; its constants come from measurements.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from ..dtypes import DType

Strides = tuple[int, int]
"""From row to row and from column to column, in elements."""

Way = Literal["outer", "packed", "dot"]

_NEAR = 24 * 1024  # bytes that are used again and again from the nearest cache
_MIDDLE = 256 * 1024  # and from the next one
_ANOTHER = 0.04  # spent for less code: that of tiles of one more size
_MANY = 16  # matrices that are shared out whole


@dataclass(frozen=True)
class Shape:
    """What is multiplied, and where it lies.

    Attributes:
        dtype: of all matrices.
        m: rows of A and C.
        n: columns of B and C.
        k: columns of A, rows of B.
        a: strides of A.
        b: strides of B.
        c: strides of C.
        batch: for each dimension, its size and the strides of A, B and C along it.
        swapped: whether the arguments come in the order B, A, C.
        alpha: the product is multiplied by this.
        accumulate: whether it is added to what C holds.
    """

    dtype: DType
    m: int
    n: int
    k: int
    a: Strides
    b: Strides
    c: Strides
    batch: tuple[tuple[int, int, int, int], ...] = ()
    swapped: bool = False
    alpha: float = 1.0
    accumulate: bool = False

    @property
    def matrices(self) -> int:
        """How many products the batch holds."""
        return math.prod(size for size, *_ in self.batch)


@dataclass(frozen=True)
class Plan:
    """How a product is computed.

    Attributes:
        way: "outer", "packed" (outer, B transposed first) or "dot".
        rows: of a tile.
        vectors: across a tile; columns for "dot".
        lanes: of a vector.
        cycles: estimated for one matrix.
    """

    way: Way
    rows: int
    vectors: int
    lanes: int
    cycles: float

    @property
    def width(self) -> int:
        """Columns of a tile."""
        return self.vectors if self.way == "dot" else self.vectors * self.lanes


def _parts(length: int, step: int) -> list[tuple[int, int]]:
    """(size, how many of it) of the pieces into which steps cut a length."""
    parts = [(step, length // step), (length % step, 1)]
    return [(size, count) for size, count in parts if size and count]


def _cycles(shape: Shape, plan: Plan) -> float:
    """What a matrix costs."""
    dot, size = plan.way == "dot", shape.dtype.itemsize
    turns = -(-shape.k // plan.lanes) if dot else shape.k
    bytes_a = shape.m * shape.k * size
    far_a = (bytes_a > _NEAR and shape.a[0] == 1) + 2.0 * (bytes_a > _MIDDLE and shape.m > 16)
    far_b = 1.0 if plan.way == "outer" and shape.k * shape.n * size > _NEAR else 0.0
    total = 0.0
    for rows, times in _parts(shape.m, plan.rows):
        for columns, across in _parts(shape.n, plan.width):
            vectors = columns if dot else -(-columns // plan.lanes)
            turn = max(rows * vectors / 2, (rows + vectors) / 2, 4.0) + far_a + vectors * far_b
            end = rows * vectors * (6.0 if dot else 2.0)
            total += times * across * (turns * turn + end + 10)
    if plan.way == "packed":
        down, across = shape.b
        total += shape.k * shape.n * (0.3 if across == 1 else 1.0 if down == 1 else 2.0)
    tiles = len(_parts(shape.m, plan.rows)) * len(_parts(shape.n, plan.width))
    code = tiles - 1 + (plan.vectors / 8 if plan.way == "packed" else 0)
    return total * (1 + _ANOTHER * code)


def blas_cycles(shape: Shape, bits: int) -> float:
    """What a matrix costs in BLAS, which copies A and B first; from measurements of OpenBLAS."""
    lanes = bits // (8 * shape.dtype.itemsize)
    copied = shape.k * (shape.m + shape.n)
    return 1500 + shape.m * shape.n * shape.k / (2 * lanes) + 2.4 * copied


def plans(shape: Shape, bits: int) -> Iterator[Plan]:
    """Every way to compute a product, with what it costs."""
    lanes = bits // (8 * shape.dtype.itemsize)
    registers = 32 if bits == 512 else 16
    ways: list[Way] = ["packed"]
    if shape.b[1] == 1 or shape.n == 1:
        ways.append("outer")
    if (shape.a[1] == 1 or shape.k == 1) and (shape.b[0] == 1 or shape.k == 1):
        ways.append("dot")
    for way in ways:
        for rows in range(1, min(shape.m, 12) + 1):
            across = shape.n if way == "dot" else -(-shape.n // lanes)
            for vectors in range(1, min(across, (registers - 1) // (rows + 1)) + 1):
                plan = Plan(way, rows, vectors, lanes, 0.0)
                stack = shape.k * plan.width * shape.dtype.itemsize if way == "packed" else 0
                if stack <= _NEAR:
                    yield replace(plan, cycles=_cycles(shape, plan))


def orientations(shape: Shape) -> Iterator[Shape]:
    """The product and its transpose, C' = B' A': those of the two whose C has contiguous rows."""
    m, n, k, (down, across) = shape.m, shape.n, shape.k, shape.c
    batch = shape.batch
    # A stride along one element can be any; these are what makes them look contiguous.
    a = (shape.a[0] if m > 1 else k, shape.a[1] if k > 1 else 1)
    b = (shape.b[0] if k > 1 else 1, shape.b[1] if n > 1 else 1)
    if across == 1 or n == 1:
        yield replace(shape, a=a, b=b)
    if down == 1 or m == 1:
        a = (shape.b[1] if n > 1 else k, shape.b[0] if k > 1 else 1)
        b = (shape.a[1] if k > 1 else 1, shape.a[0] if m > 1 else 1)
        turned = tuple((size, to_b, to_a, to_c) for size, to_a, to_b, to_c in batch)
        yield replace(
            shape, m=n, n=m, a=a, b=b, c=(across, down), batch=turned, swapped=not shape.swapped
        )


def best_plan(shape: Shape, bits: int) -> Plan | None:
    """The cheapest way; None if there is none."""
    return min(plans(shape, bits), key=lambda plan: plan.cycles, default=None)


def extent(shape: Shape, plan: Plan) -> tuple[int, bool]:
    """(what there is to share out, whether that is along the rows rather than the columns)."""
    down, across = -(-shape.m // plan.rows), -(-shape.n // plan.width)
    along_rows = down > across and not (plan.way == "packed" and across > 1)
    each = 1 if shape.matrices >= _MANY else down if along_rows else across
    return shape.matrices * each, along_rows
