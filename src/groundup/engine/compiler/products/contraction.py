"""Sums over windows: what a convolution and its gradients are, and how vector code best does them.

    C[batch, row, column] = sum over inner of A[batch, row, inner] * B[batch, inner, column]

It is a matrix product whose columns and inner index have several dimensions each, with a stride
along every one. So B can be the windows of an image as they overlap in memory, and nothing is
unfolded (implicit products; Chetlur et al., 2014). Tiles of C of a few rows are held in registers
while the inner index runs:

- "direct": vectors go along the columns; for each inner index a vector of B times each of a few
  numbers of A is added to the tile.
- "packed": the same, but the part of B that belongs to a tile's columns is copied to the stack
  first, once for all rows.
- "dot": where there are many inner indices and few columns, as in the gradient of a kernel, vectors
  go along the inner index, and are added up at the end.

The columns of a tile are a box: ``count`` positions of one dimension and all of those after it. Its
vectors may cross from one line of an image to the next, so that small images fill them.

A rough count of cycles decides between the ways, on tiles and boxes, and between all of them and an
unfolded product; its constants come from measurements.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ...dtypes import DType
from ..native import cache, native
from . import products

Way = Literal["direct", "packed", "dot"]
Offsets = tuple[int, ...]
"""Of the lanes of a vector that are used, in elements."""

_NEAR = 24 * 1024  # bytes that are used again and again from the nearest cache
_MIDDLE = 320 * 1024  # and from the next one
_ANOTHER = 0.04  # spent for less code: that of tiles of one more size
_BY_COLUMNS: tuple[Way, Way] = ("direct", "packed")
_UNROLLED = 8  # vectors of the inner index in one turn of "dot"


@dataclass(frozen=True)
class Contraction:
    """What is multiplied, and where it lies; strides in elements.

    Attributes:
        dtype: of all operands.
        batch: for each dimension its size and the strides of A, B and C.
        rows: their number and the strides of A and C.
        columns: for each dimension its size and the strides of B and C.
        inner: for each dimension its size and the strides of A and B.
    """

    dtype: DType
    batch: tuple[tuple[int, int, int, int], ...]
    rows: tuple[int, int, int]
    columns: tuple[tuple[int, int, int], ...]
    inner: tuple[tuple[int, int, int], ...]

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """How many matrices, rows, columns and inner indices there are."""
        return (
            math.prod(size for size, *_ in self.batch),
            self.rows[0],
            math.prod(size for size, *_ in self.columns),
            math.prod(size for size, *_ in self.inner),
        )


@dataclass(frozen=True)
class Plan:
    """How a contraction is computed.

    Attributes:
        way: "direct", "packed" or "dot".
        rows: of a tile.
        axis, count: the box of columns: so many positions of this dimension, all of later ones.
        lanes: of a vector.
        inner_axis, inner_count: for "dot", the box of inner indices that is one turn.
        block: for "dot", how many indices of the first inner dimension are done for all tiles
            before the next ones, so that what is read stays in the cache; 0 for all.
        cycles: estimated for everything.
    """

    way: Way
    rows: int
    axis: int
    count: int
    lanes: int
    inner_axis: int = 0
    inner_count: int = 0
    block: int = 0
    cycles: float = math.inf


def contraction(
    dtype: DType,
    a: tuple[Sequence[int], Sequence[int]],
    b: tuple[Sequence[int], Sequence[int]],
) -> Contraction:
    """The contraction of two arrays, given as (shape, strides in elements).

    Shape:
        - a: (G, M, K...)
        - b: (N, G, K..., P...)
        - result: (N, G, M, P...), contiguous

    Example:
        >>> from groundup.engine.compiler.products.contraction import contraction
        >>> c = contraction(gu.float32, ((1, 4, 3), (12, 3, 1)), ((2, 1, 3, 5), (15, 15, 5, 1)))
        >>> c.rows, c.columns, c.inner
        ((4, 3, 5), ((2, 15, 20), (5, 1, 1)), ((3, 1, 5),))
    """
    (groups, rows, *inner), steps_a = a
    shape_b, steps_b = b
    images, places = shape_b[0], shape_b[2 + len(inner) :]
    last = [math.prod(places[d + 1 :]) for d in range(len(places))]
    size = math.prod(places)
    columns = [
        (images, steps_b[0], groups * rows * size),
        *zip(places, steps_b[2 + len(inner) :], last, strict=True),
    ]
    summed = list(zip(inner, steps_a[2:], steps_b[2 : 2 + len(inner)], strict=True))
    batch = [(groups, steps_a[0], steps_b[1], rows * size)] if groups > 1 else []
    return Contraction(
        dtype,
        tuple(batch),
        (rows, steps_a[1], size),
        _collapsed(columns),
        _collapsed(summed),
    )


def _collapsed(dims: Sequence[tuple[int, int, int]]) -> tuple[tuple[int, int, int], ...]:
    """One dimension of neighbours along which both arrays move as along one; none of size 1."""
    found: list[tuple[int, int, int]] = []
    for size, one, other in dims:
        if size == 1:
            continue
        if found and found[-1][1:] == (one * size, other * size):
            found[-1] = (found[-1][0] * size, one, other)
        else:
            found.append((size, one, other))
    return tuple(found) or ((1, 1, 1),)


@functools.lru_cache(maxsize=4096)
def box(dims: tuple[tuple[int, int], ...], count: int) -> Offsets:
    """The places of ``count`` positions of the first of some dimensions and all of the others.

    Args:
        dims: the size and the stride of each.
        count: of the first.

    Example:
        >>> from groundup.engine.compiler.products.contraction import box
        >>> box(((4, 10), (3, 1)), 2)
        (0, 1, 2, 10, 11, 12)
    """
    places = np.zeros((), np.int64)
    for d, (size, stride) in enumerate(dims):
        places = places[..., None] + stride * np.arange(size if d else count)
    return tuple(places.reshape(-1).tolist())


def vectors(places: Offsets, lanes: int) -> list[Offsets]:
    """Places cut into vectors; the last may be shorter."""
    return [places[i : i + lanes] for i in range(0, len(places), lanes)]


def runs(places: Offsets) -> list[tuple[int, int, int]]:
    """(first lane, number of lanes, step) of the parts of a vector that move by one step.

    Example:
        >>> from groundup.engine.compiler.products.contraction import runs
        >>> runs((0, 1, 2, 10, 11, 12))
        [(0, 3, 1), (3, 3, 1)]
    """
    steps = [b - a for a, b in itertools.pairwise(places)]
    step = max(set(steps), key=steps.count) if steps else 1
    found = [(0, 1, step)]
    for lane, each in enumerate(steps, 1):
        first, count, _ = found[-1]
        if each == step:
            found[-1] = (first, count + 1, step)
        else:
            found.append((lane, 1, step))
    return found


@functools.lru_cache(maxsize=65536)
def _load_cost(places: Offsets, lanes: int) -> float:
    """What it costs to read a vector, in loads."""
    cost = 0.0
    parts = runs(places)
    for _, count, step in parts:
        if step == 1:
            cost += 1.2 if count == lanes else 1.0 if 2 * count == lanes else 2.0
        elif step == 0:
            cost += 1.0
        elif step == 2 and (count == lanes or 2 * count == lanes):
            cost += 3.0
        else:
            cost += 1.5 * count
    return cost + len(parts) - 1


def _tiles(rows: int, step: int) -> Iterator[tuple[int, int]]:
    """(rows of a tile, how many such tiles)."""
    if rows // step:
        yield step, rows // step
    if rows % step:
        yield rows % step, 1


def _boxes(c: Contraction, lanes: int, widest: int) -> Iterator[tuple[int, int]]:
    """(axis, count) of the boxes of columns that are at most so wide."""
    inside = 1
    for axis in range(len(c.columns) - 1, -1, -1):
        size = c.columns[axis][0]
        for count in range(1, min(size, widest // inside) + 1):
            if inside == 1 and count != size and count % lanes:
                continue
            if inside == 1 and count == size and axis and size < lanes // 2:
                continue  # too narrow; the dimension before widens it
            yield axis, count
        inside *= size
        if inside > widest:
            return


def plans(c: Contraction, bits: int) -> Iterator[Plan]:
    """Ways to compute a contraction, with what each costs."""
    lanes = bits // (8 * c.dtype.itemsize)
    registers = 32 if bits == 512 else 16
    for axis, count in _boxes(c, lanes, lanes * ((registers - 1) // 2)):
        yield from _by_columns(c, lanes, registers, axis, count)
    yield from _by_inner(c, lanes, registers)


def _by_columns(
    c: Contraction, lanes: int, registers: int, axis: int, count: int
) -> Iterator[Plan]:
    matrices, rows, _, inner = c.sizes
    size = c.dtype.itemsize
    dims = tuple([(n, b) for n, b, _ in c.columns[axis:]])
    written = tuple([(n, to) for n, _, to in c.columns[axis:]])
    whole, rest = divmod(c.columns[axis][0], count)
    outside = matrices * math.prod(n for n, *_ in c.columns[:axis])
    cut = [
        (vectors(box(dims, n), lanes), vectors(box(written, n), lanes), times)
        for n, times in ((count, whole), (rest, 1))
        if n and times
    ]
    across = len(cut[0][0])
    far_a = 0.5 if rows * inner * size > _MIDDLE else 0.1
    seen = inner * across * lanes * size
    overlap = math.prod(n for n, _, _ in c.inner[1:])
    far_b = 0.4 if seen / overlap > _NEAR else 0.0
    for step in range(1, min(rows, 12) + 1):
        if across * step + across + 1 > registers:
            break
        for way in _BY_COLUMNS:
            if way == "packed" and seen > _NEAR:
                continue
            total = 0.0
            for pieces, targets, times in cut:
                loads = sum(_load_cost(one, lanes) for one in pieces)
                stores = sum(_load_cost(one, lanes) for one in targets)
                width = len(pieces)
                each = 30.0
                if way == "packed":
                    each += inner * (0.5 * loads + width)
                    loads = float(width)
                for height, many in _tiles(rows, step):
                    turn = max(
                        height * width / 2 + 0.25 * (loads - width),
                        (height + loads) / 2 + height * far_a + width * far_b,
                        4.0,
                    )
                    each += many * (inner * turn + 2 * height * stores + 12)
                total += times * each
            pieces_ = len(cut) * len(list(_tiles(rows, step)))
            total *= outside * (1 + _ANOTHER * (pieces_ - 1))
            yield Plan(way, step, axis, count, lanes, cycles=total)


def _by_inner(c: Contraction, lanes: int, registers: int) -> Iterator[Plan]:
    matrices, rows, _, inner = c.sizes
    turns = list(_turns(c, lanes))
    if not turns:
        return
    for axis in range(len(c.columns)):
        inside = math.prod(n for n, *_ in c.columns[axis + 1 :])
        for count in range(1, min(c.columns[axis][0], 12 // inside) + 1):
            across = inside * count
            whole, rest = divmod(c.columns[axis][0], count)
            outside = matrices * math.prod(n for n, *_ in c.columns[:axis])
            widths = [(across, whole), (inside * rest, 1)] if rest else [(across, whole)]
            for step in range(1, min(rows, 12) + 1):
                if across * step + min(across, step) + 1 > registers:
                    break
                for inner_axis, inner_count, loads_a, loads_b, used, held in turns:
                    block, blocks = _block(c, inner_axis)
                    total = 0.0
                    for width, times in widths:
                        for height, many in _tiles(rows, step):
                            turn = max(
                                height * width / 2,
                                (height * loads_a + width * loads_b) / 2 + 0.15 * height,
                                4.0,
                            )
                            turn += 2.0 / held
                            each = inner / used * turn + blocks * (6 * height * width + 20)
                            total += times * many * each
                    inner_parts = 1 + (c.inner[inner_axis][0] % inner_count > 0)
                    pieces = len(widths) * len(list(_tiles(rows, step))) * inner_parts
                    yield Plan(
                        "dot",
                        step,
                        axis,
                        count,
                        lanes,
                        inner_axis=inner_axis,
                        inner_count=inner_count,
                        block=block,
                        cycles=outside * total * (1 + _ANOTHER * (pieces - 1)),
                    )


def _turns(c: Contraction, lanes: int) -> Iterator[tuple[int, int, float, float, float, int]]:
    """Boxes of inner indices.

    Axis, count, cost of a vector of A and of B, indices in a vector, vectors.
    """
    inside = 1
    for axis in range(len(c.inner) - 1, -1, -1):
        size = c.inner[axis][0]
        for count in range(1, min(size, _UNROLLED * lanes // (2 * inside)) + 1):
            if inside == 1 and count != size and count % lanes:
                continue
            dims = c.inner[axis:]
            cost: list[float] = []
            for operand in (1, 2):
                places = box(tuple([(d[0], d[operand]) for d in dims]), count)
                pieces = vectors(places, lanes)
                cost.append(sum(_load_cost(one, lanes) for one in pieces) / len(pieces))
            if max(cost) < 4:
                yield axis, count, cost[0], cost[1], inside * count / len(pieces), len(pieces)
        inside *= size
        if inside > _UNROLLED * lanes // 2:
            return


def _block(c: Contraction, inner_axis: int) -> tuple[int, int]:
    """How many indices of the first inner dimension fit the cache, and how often that many."""
    size = c.inner[0][0]
    if not inner_axis or size == 1:
        return 0, 1
    _, rows, columns, inner = c.sizes
    reach = 1 + sum((n - 1) * abs(b) for n, b, _ in c.columns)
    reach += sum((n - 1) * abs(b) for n, _, b in c.inner[1:])
    each = (rows * inner // size + min(reach, columns * inner // size)) * c.dtype.itemsize
    block = max(1, min(size, _MIDDLE // each))
    blocks = -(-size // block)
    return (0, 1) if blocks == 1 else (-(-size // blocks), blocks)


@functools.lru_cache(maxsize=4096)
def best_plan(c: Contraction, bits: int) -> Plan:
    """The cheapest way.

    Example:
        >>> from groundup.engine.compiler.products.contraction import best_plan, contraction
        >>> image = ((8, 1, 3, 9, 16, 16), (324 * 3, 0, 324, 1, 18, 1))
        >>> best_plan(contraction(gu.float32, ((1, 4, 3, 9), (0, 27, 9, 1)), image), 256).way
        'direct'
    """
    return min(plans(c, bits), key=lambda plan: plan.cycles)


def product(
    dtype: DType,
    a: tuple[Sequence[int], Sequence[int]],
    b: tuple[Sequence[int], Sequence[int]],
) -> products.Product:
    """A contraction that is ready to be put on a tape; arguments as for ``contraction``.

    Example:
        >>> from groundup.engine.compiler.products import contraction
        >>> contraction.product(gu.float32, ((1, 4, 3), (12, 3, 1)), ((2, 1, 3), (3, 3, 1))).extent
        1
    """
    from .emit_contraction import emit, extent

    shape = contraction(dtype, a, b)
    plan = best_plan(shape, native.host().bits)
    name = "contraction_" + cache.key(repr(shape), repr(plan))[:16]
    shares = extent(shape, plan)
    written = functools.partial(emit, shape, plan)
    grain = products.worthwhile(shares, plan.cycles)
    return products.Product(name, written, np.zeros(1, np.int64), shares, grain)
