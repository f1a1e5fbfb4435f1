"""Reading, writing and adding at positions, in the words of the compiler.

Reading is a "pick": an elementwise operation of the positions, which says for each element of its
result where in another value it lies. So it shares a loop with whatever is computed of it, and what
is read at is in memory. Writing and adding are a "scatter", which is a step of its own: rows of
values (P, n, C) go to the positions (P or 1, n) of P arrays (m, C). Positions that are known to
follow each other, as those of tokens in a text do, are no more than a slice.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ...base import Array
from ...dtypes import int64
from ...primitives import elementwise as e, reduction, shape as s
from ..graph import Value
from ..layout import VIEWS
from ..shapes import ELEMENTWISE

if TYPE_CHECKING:
    from .simplify import Builder

TYPES = frozenset(map(np.dtype, ("f4", "f8", "i4", "i8", "u1", "?")))
"""Dtypes that kernels read and write."""
Dims = tuple[int, ...]


def _fit(*values: Value) -> bool:
    return all(x.dtype in TYPES for x in values)


def _known(x: Value) -> Array | None:
    """The numbers of a value that is computed of constants alone."""
    if x.name == "constant":
        return x.static["array"]  # type: ignore[no-any-return]
    if x.primitive is None or not (x.name in ELEMENTWISE or x.name in VIEWS):
        return None
    inputs = [_known(one) for one in x.inputs]
    if any(one is None for one in inputs):
        return None
    return np.asarray(x.primitive.forward(*inputs, **x.static))


def _range(position: Value, size: int) -> tuple[int, int] | None:
    """(first, end) of positions that are known to follow each other."""
    known = _known(position)
    if known is None or not known.size:
        return None
    flat = known.reshape(-1).astype(np.int64)
    inside = flat[0] >= 0 and flat[-1] < size
    if not inside or np.any(flat != flat[0] + np.arange(flat.size)):
        return None
    return int(flat[0]), int(flat[-1]) + 1


def _pick(
    build: Builder,
    x: Value,
    positions: tuple[Value, ...],
    dims: Dims,
    along: tuple[int | None, ...],
) -> Value:
    """What ``x`` has at the positions.

    Args:
        build: what makes values.
        x: what is read.
        positions: one for each of ``dims``; together they broadcast to the result.
        dims: dimensions of ``x``.
        along: for each dimension of the result that of ``x`` that it runs along, if it does.
    """
    shape = list(np.broadcast_shapes(*[p.shape for p in positions]))
    shape = [1] * (len(along) - len(shape)) + shape
    shape = [n if d is None else x.shape[d] for n, d in zip(shape, along, strict=True)]
    key = ("pick", x, positions, dims, along)
    if key not in build.made:
        static = {"dims": dims, "along": along}
        build.made[key] = Value(
            "pick", (x, *positions), static, tuple(shape), x.dtype, None, build.line
        )
    return build.made[key]


def _cut(shape: Dims, d: int, bounds: tuple[int, int]) -> tuple[slice, ...]:
    return tuple([slice(*bounds) if i == d else slice(0, n) for i, n in enumerate(shape)])


def index(build: Builder, x: Value, *positions: Value, dims: Dims) -> Value | None:
    """``x[..., positions, ...]``."""
    if not _fit(x, *positions):
        return None
    spread = np.broadcast_shapes(*[p.shape for p in positions])
    left = [d for d in range(len(x.shape)) if d not in dims]
    first = dims[0] if _neighbours(dims) else 0
    before, after = left[:first], left[first:]
    along = (*before, *[None] * len(spread), *after)
    bounds = _range(positions[0], x.shape[dims[0]]) if len(dims) == 1 else None
    if bounds is not None:
        part = x
        if bounds != (0, x.shape[dims[0]]):
            part = build(s.slice_, x, key=_cut(x.shape, dims[0], bounds))
        shape = tuple([x.shape[d] for d in before]) + spread + tuple([x.shape[d] for d in after])
        return build(s.reshape, part, shape=shape)
    wide = [build(s.reshape, p, shape=p.shape + (1,) * len(after)) for p in positions]
    return _pick(build, x, tuple(wide), dims, along)


def gather(build: Builder, x: Value, position: Value, dim: int) -> Value | None:
    """``x`` along one dimension at positions that differ along the others."""
    if not _fit(x, position):
        return None
    base = x
    while base.name in VIEWS:
        base = base.inputs[0]
    if position.shape[dim] == 1 and base.primitive is not None and x.dtype.kind != "b":
        # Found in passing, where what it is found in is computed.
        hit = found_at(build, x.shape, position, dim)
        picked = build(e.where, hit, x, build.number(0, x.dtype))
        return build(reduction.sum, picked, dims=(dim,), keepdim=True)
    along = tuple([None if d == dim else d for d in range(len(x.shape))])
    return _pick(build, x, (position,), (dim,), along)


def found_at(build: Builder, shape: Dims, position: Value, dim: int) -> Value:
    """Where, in an array of a shape, the place along a dimension is the one given for it."""
    if position.dtype.itemsize < 4:
        position = build(e.cast, position, dtype=int64)
    return build(e.eq, build.index(dim, shape, position.dtype), position)


def _neighbours(dims: Dims) -> bool:
    return dims == tuple(range(dims[0], dims[0] + len(dims)))


def _scatter(
    build: Builder, whole: Value | Dims, sizes: Dims, values: Value, position: Value
) -> Value:
    """Rows (P, n, C) at positions (P or 1, n) of P arrays (m, C).

    Args:
        build: what makes values.
        whole: what is written over, or the shape of zeros that are added to.
        sizes: P, m, C.
        values: the rows.
        position: where they go; rows that would go outside are left out.
    """
    position = build(e.cast, position, dtype=int64)
    inputs: tuple[Value, ...] = (values, position)
    shape = whole if isinstance(whole, tuple) else whole.shape
    if isinstance(whole, Value):
        inputs += (whole,)
    key = ("scatter", inputs, shape, sizes)
    if key not in build.made:
        build.made[key] = Value(
            "scatter", inputs, {"sizes": sizes}, shape, values.dtype, None, build.line
        )
    return build.made[key]


def _rows(
    build: Builder, positions: tuple[Value, ...], shape: Dims, dims: Dims
) -> tuple[Value, Dims, Dims]:
    """Several positions as one, (1, n); the sizes P, n, C; the order that brings dims together."""
    spread = np.broadcast_shapes(*[p.shape for p in positions])
    left = [d for d in range(len(shape)) if d not in dims]
    first = dims[0] if _neighbours(dims) else 0
    order = (*left[:first], *dims, *left[first:])
    flat: Value | None = None
    for p, d in zip(positions, dims, strict=True):
        p = build(e.cast, p, dtype=int64)
        if flat is not None:
            p = build(e.add, build(e.mul, flat, build.number(shape[d], int64)), p)
        flat = p
    assert flat is not None
    flat = build(s.reshape, build(s.expand, flat, shape=spread), shape=(1, -1))
    sizes = (
        math.prod(shape[d] for d in left[:first]),
        flat.shape[1],
        math.prod(shape[d] for d in left[first:]),
    )
    return flat, sizes, order


def _inverse(order: Dims) -> Dims:
    return tuple([order.index(d) for d in range(len(order))])


def index_add(
    build: Builder, values: Value, *positions: Value, dims: Dims, shape: Dims
) -> Value | None:
    """Zeros with the values added where ``index`` would read."""
    if not _fit(values, *positions) or values.dtype.kind == "b" or 0 in shape:
        return None
    bounds = _range(positions[0], shape[dims[0]]) if len(dims) == 1 else None
    if bounds is not None:
        (d,) = dims
        part = build(s.reshape, values, shape=(*shape[:d], bounds[1] - bounds[0], *shape[d + 1 :]))
        if bounds == (0, shape[d]):
            return part
        return build(s.unslice, part, shape=shape, key=_cut(shape, d, bounds))
    flat, (outer, n, inner), order = _rows(build, positions, shape, dims)
    rows = build(s.reshape, values, shape=(outer, n, inner))
    sizes = (outer, math.prod(shape[d] for d in dims), inner)
    added = _scatter(build, tuple([shape[d] for d in order]), sizes, rows, flat)
    return build(s.permute, added, order=_inverse(order))


def index_put(
    build: Builder, x: Value, values: Value, *positions: Value, dims: Dims
) -> Value | None:
    """``x`` with the values written where ``index`` would read."""
    if not all(one.size for one in (x, values, *positions)):
        return x
    if not _fit(x, values, *positions) or x.dtype != values.dtype:
        return None
    flat, (outer, n, inner), order = _rows(build, positions, x.shape, dims)
    sizes = (outer, math.prod(x.shape[d] for d in dims), inner)
    whole = build(s.permute, x, order=order)
    spread = np.broadcast_shapes(*[p.shape for p in positions])
    first = dims[0] if _neighbours(dims) else 0
    left = [n for d, n in enumerate(x.shape) if d not in dims]
    wide = build(s.expand, values, shape=(*left[:first], *spread, *left[first:]))
    rows = build(s.reshape, wide, shape=(outer, n, inner))
    return build(s.permute, _scatter(build, whole, sizes, rows, flat), order=_inverse(order))


def scatter_add(
    build: Builder, values: Value, position: Value, dim: int, shape: Dims
) -> Value | None:
    """Zeros with the values added where ``gather`` would read."""
    if not _fit(values, position) or 0 in shape:
        return None
    if position.shape[dim] == 1:
        hit = found_at(build, shape, position, dim)
        return build(e.where, hit, values, build.number(0, values.dtype))
    if values.dtype.kind == "b":
        return None
    outer, size, inner = math.prod(shape[:dim]), shape[dim], math.prod(shape[dim + 1 :])
    n = position.shape[dim]
    flat = build(s.reshape, position, shape=(outer, n, inner))
    if inner > 1:
        column = build.index(2, flat.shape)
        flat = build(e.cast, flat, dtype=int64)
        flat = build(e.add, build(e.mul, flat, build.number(inner, int64)), column)
    flat = build(s.reshape, flat, shape=(outer, n * inner))
    rows = build(s.reshape, values, shape=(outer, n * inner, 1))
    return _scatter(build, shape, (outer, size * inner, 1), rows, flat)


def put_in_order(build: Builder, rank: Value, shape: Dims) -> Value:
    """For each place of a row (P, n) the position of the element that has it."""
    rows, n = rank.shape
    values = build.index(1, (rows, n, 1))
    return _scatter(build, shape, (rows, n, 1), values, rank)


INDEXING: dict[str, Callable[..., Value | None]] = {
    "index": index,
    "index_add": index_add,
    "index_put": index_put,
    "gather": gather,
    "scatter_add": scatter_add,
}
