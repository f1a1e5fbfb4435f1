"""How vector code for its shape best computes a matrix product, and whether BLAS is quicker.

C (m, n) = A (m, k) @ B (k, n), or its transpose. Two ways:

- "tiles": tiles of C of a few rows and a few vectors are held in registers while k runs; for each
  k, a vector of a row of B times each of a few numbers of A is added to the tile. A long k is cut
  into blocks that the nearest cache has room for. Blocks of A, of B, or of both are first copied to
  the stack in the order in which they are read (Goto and van de Geijn, Anatomy of High-Performance
  Matrix Multiplication, 2008), where reading them in place would be slower: where their rows are
  many or far apart, or where the vectors would have to go along k. If the columns of C are
  contiguous, tiles are transposed before they are stored.
- "dot": where the rows of A and the columns of B are contiguous and m is small, k runs in vectors,
  and the tile's vectors are added up at its end.

A rough count of cycles decides between them, on the size of the tiles, the depth of blocks and what
is copied, and between all of them and BLAS; its constants were fitted to measurements.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from ...dtypes import DType

Strides = tuple[int, int]
"""From row to row and from column to column, in elements."""

Way = Literal["tiles", "dot"]

_LINE = 64  # bytes that the caches move together
_LINES = 512  # such lines in the nearest cache; eighths of them have each their places
_NEAR = 24 * 1024  # bytes that are used again and again from the nearest cache
_MIDDLE = 256 * 1024  # and from the next one
_PAGE = 4096
_PAGES = 48  # that can be read from in turns without looking up where they are
_LATENCY = 4.0  # of a sum that the next one waits for, in cycles
_WEIGHT = 1.2  # of reading a vector of B beside reading a number of A
_AHEAD = 0.15  # waited for each step of k, where much of B was copied ahead
_REMOTE = 4  # bytes a cycle that come out of another core's cache
_BLOCK_A = 192 * 1024  # bytes of A that are copied at a time
_BLOCK_B = 128 * 1024  # and of B
_COLUMNS = 8  # columns of tiles of B that are copied at a time
_ANOTHER = 0.02  # spent for less code: that of tiles of one more size
_SIZES = 3  # of tiles that are looked at more closely
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
        way: "tiles" or "dot".
        rows: of a tile.
        vectors: across a tile; columns for "dot".
        lanes: of a vector.
        depth: how many columns of A, and rows of B, are gone through before the next ones.
        block_a: of how many tiles A is copied at a time; 0 if it is read where it lies.
        block_b: of how many columns of tiles B is copied at a time; 0 as well.
        along_rows: whether rows of tiles are shared out, rather than columns.
        cycles: estimated for one matrix.
    """

    way: Way
    rows: int
    vectors: int
    lanes: int
    depth: int
    block_a: int = 0
    block_b: int = 0
    along_rows: bool = False
    cycles: float = 0.0

    @property
    def width(self) -> int:
        """Columns of a tile."""
        return self.vectors if self.way == "dot" else self.vectors * self.lanes


def _parts(length: int, step: int) -> list[tuple[int, int]]:
    """(size, how many of it) of the pieces into which steps cut a length."""
    parts = [(step, length // step), (length % step, 1)]
    return [(size, count) for size, count in parts if size and count]


def _places(stride: int, size: int) -> float:
    """How many lines that lie a stride apart the nearest cache can hold at once."""
    return _LINES / math.gcd(max(1, stride * size // _LINE), _LINES // 8)


def _waiting(shape: Shape, plan: Plan) -> tuple[float, float]:
    """Cycles for each step of k in a tile: while lines come nearer, and those that add to others.

    A line is waited for where the parts of A and B that a column of tiles reads have no room in the
    nearest cache, and where they lie in more pages than the processor has at hand.
    """
    size, depth = shape.dtype.itemsize, plan.depth
    lines_a = pages = 0.0
    if plan.block_a or shape.a[1] == 1:
        used_a = depth * plan.rows * size / _LINE / _LINES
    else:
        lines_a = 1 + (plan.rows - 1) * size / _LINE
        used_a = depth * lines_a / _places(shape.a[1], size)
        pages += min(1.0, shape.a[1] * size / _PAGE)
    if plan.block_b or shape.b[1] != 1:
        lines_b = plan.width * size / _LINE / 3  # in order, as they are expected
        used_b = depth * plan.width * size / _LINE / _LINES
    else:
        askew = 0.5 if shape.b[0] * size % _LINE else 0.0
        lines_b = min(shape.n, plan.width) * size / _LINE + askew
        used_b = depth * lines_b / _places(shape.b[0], size)
    if not plan.block_b:
        pages += min(1.0, shape.b[0] * size / _PAGE)
    over = min(1.0, max(0.0, 2 * (used_a + used_b - 0.72)))
    lines = 2.7 * lines_a * over + (3.3 * lines_b * over if shape.m > plan.rows else 0.0)
    if pages * depth > _PAGES:
        lines += 2.8 * pages
    further = 0.0
    if shape.m * depth * size > _NEAR:
        further += 0.14 if plan.block_a else 0.27
    if not plan.block_a and shape.a[1] == 1 and shape.m * depth * size > 1.5 * _MIDDLE:
        again = 1 - 3 / max(shape.n / plan.width, 3.0)
        further += (1.3 if shape.a[0] * size >= _PAGE else 0.3) * again
    if plan.block_b * depth * plan.width * size > _NEAR:
        further += _AHEAD
    return lines, further


def _tile_cycles(shape: Shape, plan: Plan, waiting: tuple[float, float] = (0.0, 0.0)) -> float:
    """What all tiles cost, given what each step of k waits for; see ``_waiting``."""
    total = 0.0
    blocks = -(-shape.k // plan.depth)
    lines, further = waiting
    further += lines / 4
    rows_of, columns_of = _parts(shape.m, plan.rows), _parts(shape.n, plan.width)
    for rows, times in rows_of:
        for columns, across in columns_of:
            vectors = -(-columns // plan.lanes)
            turn = max(rows * vectors / 2, (rows + _WEIGHT * vectors) / 1.53, _LATENCY) * 1.08
            written = rows * vectors * (2.8 if blocks > 1 else 1.7) + 9
            if shape.c[1] != 1:  # squares, however many rows they have
                written += vectors * -(-rows // plan.lanes) * 1.3 * plan.lanes
            total += times * across * (shape.k * (max(turn, lines) + further) + blocks * written)
    return total * (1 + _ANOTHER * (len(rows_of) * len(columns_of) - 1))


def _dot_cycles(shape: Shape, plan: Plan) -> float:
    """What all tiles cost where k runs in vectors."""
    total = 0.0
    turns = -(-shape.k // plan.lanes)
    far = 2.0 if shape.m * shape.k * shape.dtype.itemsize > _MIDDLE and shape.m > 16 else 0.0
    rows_of, columns_of = _parts(shape.m, plan.rows), _parts(shape.n, plan.width)
    for rows, times in rows_of:
        for columns, across in columns_of:
            turn = max(rows * columns / 2, (rows + columns) / 2, 4.0) * 1.12 + far
            total += times * across * (turns * turn + rows * columns * 6 + 11)
    return total * (1 + _ANOTHER * (len(rows_of) * len(columns_of) - 1))


def _copy_cycles(length: int, strides: Strides, width: int, lanes: int) -> float:
    """What copying groups of so many neighbours costs for each k, given strides (across, along)."""
    across, along = strides
    groups = -(-length // width)
    if across == 1:
        return groups * (0.7 + (0.12 if width % lanes == 0 else 0.28) * width)
    if along == 1:
        return groups * (0.7 + 0.28 * lanes * -(-width // lanes))
    return groups * (0.7 + 1.5 * width)


def _estimated(shape: Shape, plan: Plan) -> Plan:
    """The plan with its cycles, and with what is shared out."""
    down, across = -(-shape.m // plan.rows), -(-shape.n // plan.width)
    if plan.way == "dot":
        cycles = _dot_cycles(shape, plan)
        return replace(plan, cycles=cycles, along_rows=_uneven(down) < _uneven(across))
    cycles = _tile_cycles(shape, plan, _waiting(shape, plan))
    blocks = -(-shape.k // plan.depth)
    copy_a = copy_b = 0.0
    if plan.block_a:
        copy_a = shape.k * _copy_cycles(shape.m, shape.a, plan.rows, plan.lanes) + 40 * blocks
    if plan.block_b:
        pieces = -(-across // plan.block_b)
        each = _copy_cycles(shape.n, shape.b[::-1], plan.width, plan.lanes)
        if shape.b[1] == 1 and shape.b[0] * shape.dtype.itemsize >= _PAGE:
            each += 12 * pieces
        again = -(-down // plan.block_a) if plan.block_a else 1
        copy_b = again * (shape.k * each + 19 * blocks * pieces)
    cycles += copy_a + copy_b
    # Shares of rows copy all of B each, shares of columns all of A. Another core wrote half of it,
    # and will read half of what is not shared out as C lies in memory.
    far = shape.dtype.itemsize / _REMOTE / 2
    rows, columns = far * shape.n * shape.k, far * shape.m * shape.k
    if shape.c[1] == 1:
        columns += far * shape.m * shape.n
    else:
        rows += far * shape.m * shape.n
    rows_key = _uneven(down) + (copy_b + rows) / max(cycles, 1.0)
    columns_key = _uneven(across) + (copy_a + columns) / max(cycles, 1.0)
    return replace(plan, cycles=cycles, along_rows=rows_key < columns_key)


def _uneven(count: int) -> float:
    """How much longer the longest of a few shares is than it would be if all were equal."""
    return max(-(-count // shares) * shares / max(count, 1) for shares in (2, 4))


def blas_cycles(shape: Shape, bits: int) -> float:
    """What a matrix costs in BLAS, which copies A and B first; from measurements of OpenBLAS.

    Its inner loop for vectors of 512 bits was measured to be all but perfect; that for vectors of
    128 bits was not measured, and is taken for a perfect one.
    """
    lanes = bits // (8 * shape.dtype.itemsize)
    copied = shape.k * (shape.m + shape.n)
    pace = 1.1 if bits == 256 else 1.0
    multiplied = pace * shape.k / (2 * lanes) + 0.7
    return 1500 + shape.m * shape.n * multiplied + 2.4 * copied


def plans(shape: Shape, bits: int) -> Iterator[Plan]:
    """Ways to compute a product, with what they cost."""
    lanes = bits // (8 * shape.dtype.itemsize)
    registers = 32 if bits == 512 else 16
    if (shape.a[1] == 1 or shape.k == 1) and (shape.b[0] == 1 or shape.k == 1):
        for rows, columns in _sizes(shape.m, shape.n, registers):
            yield _estimated(shape, Plan("dot", rows, columns, lanes, max(shape.k, 1)))
    sizes = [
        Plan("tiles", rows, vectors, lanes, max(shape.k, 1))
        for rows, vectors in _sizes(shape.m, -(-shape.n // lanes), registers)
    ]
    sizes.sort(key=lambda plan: _tile_cycles(shape, plan))
    for plan in sizes[:_SIZES]:
        for depth in _depths(shape):
            tile_a = depth * plan.rows * shape.dtype.itemsize
            tile_b = depth * plan.width * shape.dtype.itemsize
            blocks_a = {0, min(_BLOCK_A // tile_a, -(-shape.m // plan.rows))} if shape.k else {0}
            blocks_b = {1, min(_BLOCK_B // tile_b, _COLUMNS, -(-shape.n // plan.width))}
            if shape.b[1] == 1 or shape.n == 1 or not shape.k:
                blocks_b.add(0)
            for block_a in sorted(blocks_a):
                for block_b in sorted(blocks_b if shape.k else {0}):
                    one = replace(plan, depth=depth, block_a=block_a, block_b=block_b)
                    yield _estimated(shape, one)


def _sizes(m: int, across: int, registers: int) -> Iterator[tuple[int, int]]:
    """Rows and columns of vectors that fit into the registers, with a row of B and one of A."""
    for rows in range(1, min(m, 12) + 1):
        for vectors in range(1, min(across, (registers - 1) // (rows + 1)) + 1):
            yield rows, vectors


def _depths(shape: Shape) -> list[int]:
    """Into which blocks k may be cut: all at once, or equal ones of some length."""
    k, found = max(shape.k, 1), []
    for most in (2048, 1024, 512):
        count = -(-k * shape.dtype.itemsize // most)
        exact = [n for n in range(count, count + count // 4 + 2) if k % n == 0]
        found.append(-(-k // (exact[0] if exact else count)))
    return list(dict.fromkeys(found))


def orientations(shape: Shape) -> list[Shape]:
    """The product and its transpose, C' = B' A'.

    Those whose C has neither contiguous rows nor columns cannot be computed.
    """
    m, n, k, (down, across) = shape.m, shape.n, shape.k, shape.c
    if across != 1 and n > 1 and down != 1 and m > 1:
        return []
    # A stride along one element can be any; these are what makes them look contiguous.
    a = (shape.a[0] if m > 1 else k, shape.a[1] if k > 1 else 1)
    b = (shape.b[0] if k > 1 else n, shape.b[1] if n > 1 else 1)
    c = (down if m > 1 else n, across if n > 1 else 1)
    batch = tuple((size, to_b, to_a, to_c) for size, to_a, to_b, to_c in shape.batch)
    first = replace(shape, a=a, b=b, c=c)
    a = (shape.b[1] if n > 1 else k, shape.b[0] if k > 1 else 1)
    b = (shape.a[1] if k > 1 else m, shape.a[0] if m > 1 else 1)
    c = (across if n > 1 else m, down if m > 1 else 1)
    turned: dict[str, Any] = {"m": n, "n": m, "a": a, "b": b, "c": c, "batch": batch}
    return [first, replace(shape, **turned, swapped=not shape.swapped)]


def best_plan(shape: Shape, bits: int) -> Plan | None:
    """The cheapest way; None if there is none."""
    return min(plans(shape, bits), key=lambda plan: plan.cycles, default=None)


def extent(shape: Shape, plan: Plan) -> int:
    """What there is to share out."""
    down, across = -(-shape.m // plan.rows), -(-shape.n // plan.width)
    each = 1 if shape.matrices >= _MANY else down if plan.along_rows else across
    return shape.matrices * each
