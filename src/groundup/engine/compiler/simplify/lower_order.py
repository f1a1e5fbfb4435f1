"""Running sums and sorting, as comparisons of every element with every other.

Of a short row that is quicker than anything that goes from element to element, because it is done
in vectors. A place in the order is the number of elements before it: those that are smaller, and
those that are equal and stand earlier. A running sum adds up what stands before, in blocks: inside
of each, and of the blocks' sums, which is the same again (Blelloch, 1990, "Prefix sums and their
applications").
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ...dtypes import float32, int64
from ...primitives import elementwise as e, reduction, shape as s
from ..graph import Value
from .lower_index import TYPES, put_in_order

if TYPE_CHECKING:
    from .simplify import Builder

_SHORT = 32
"""Elements of a row whose running sums are found by comparing places."""
_SORTED = 64
"""Elements of a row that is sorted by comparing all of them."""


def _last(build: Builder, x: Value, dim: int) -> tuple[Value, tuple[int, ...]]:
    """With a dimension as the last, and the order of dimensions that undoes that."""
    n = len(x.shape)
    order = (*range(dim), *range(dim + 1, n), dim)
    return build(s.permute, x, order=order), tuple([order.index(d) for d in range(n)])


def _pairs(build: Builder, x: Value) -> tuple[Value, Value]:
    """(..., n) as (..., n, 1), which finds its place, and (..., 1, n) to be compared with."""
    *outer, n = x.shape
    return (
        build(s.reshape, x, shape=(*outer, n, 1)),
        build(s.reshape, x, shape=(*outer, 1, n)),
    )


def cumsum(build: Builder, x: Value, dim: int) -> Value | None:
    """Running sums along a dimension."""
    if x.dtype not in TYPES or x.dtype.itemsize < 4:
        return None
    moved, back = _last(build, x, dim)
    return build(s.permute, _running(build, moved), order=back)


def _running(build: Builder, x: Value) -> Value:
    """Running sums along the last dimension."""
    *outer, n = x.shape
    if n <= _SHORT:
        _, beside = _pairs(build, x)
        place, other = _pairs(build, build.array(np.arange(n, dtype=np.int32)))
        kept = build(e.where, build(e.le, other, place), beside, build.number(0, x.dtype))
        return build(reduction.sum, kept, dims=(len(outer) + 1,), keepdim=False)
    blocks = -(-n // _SHORT)
    whole = x
    if n % _SHORT:
        widths = (*[(0, 0)] * len(outer), (0, blocks * _SHORT - n))
        whole = build(s.pad, x, widths=widths, value=0.0)
    inside = _running(build, build(s.reshape, whole, shape=(*outer, blocks, _SHORT)))
    ends = tuple([slice(0, size) for size in (*outer, blocks)])
    sums = build(s.slice_, inside, key=(*ends, slice(_SHORT - 1, _SHORT)))
    until = _running(build, build(s.reshape, sums, shape=(*outer, blocks)))
    first = tuple([slice(0, size) for size in outer])
    moved = build(
        s.pad,
        build(s.slice_, until, key=(*first, slice(0, blocks - 1))),
        widths=(*[(0, 0)] * len(outer), (1, 0)),
        value=0.0,
    )
    found = build(e.add, inside, build(s.reshape, moved, shape=(*outer, blocks, 1)))
    flat = build(s.reshape, found, shape=(*outer, blocks * _SHORT))
    return build(s.slice_, flat, key=(*first, slice(0, n))) if n % _SHORT else flat


def argsort(build: Builder, x: Value, dim: int) -> Value | None:
    """Positions in the order of the elements; equal ones keep theirs, NaN comes last."""
    if x.dtype not in TYPES or x.shape[dim] > _SORTED:
        return None
    moved, back = _last(build, x, dim)
    *outer, n = moved.shape
    mine, other = _pairs(build, moved)
    place, beside = _pairs(build, build.array(np.arange(n, dtype=np.int32)))
    earlier = build(e.lt, beside, place)
    smaller, equal = build(e.lt, other, mine), build(e.eq, other, mine)
    if x.dtype.kind == "f":
        none, others = build(e.ne, mine, mine), build(e.ne, other, other)
        number = build(e.logical_not, others)
        smaller = build(e.logical_or, smaller, build(e.logical_and, none, number))
        equal = build(e.logical_or, equal, build(e.logical_and, none, others))
    before = build(e.logical_or, smaller, build(e.logical_and, equal, earlier))
    counted = build(e.cast, before, dtype=float32)  # exact, and narrower than int64
    rank = build(reduction.sum, counted, dims=(len(outer) + 1,), keepdim=False)
    rows = math.prod(outer)
    rank = build(s.reshape, build(e.cast, rank, dtype=int64), shape=(rows, n))
    order = put_in_order(build, rank, tuple(moved.shape))
    return build(s.permute, order, order=back)


ORDER: dict[str, Callable[..., Value | None]] = {"cumsum": cumsum, "argsort": argsort}
