"""Primitives that move elements without computing on them, as ONNX operators.

Those at the end read and write at positions given by tensors. Negative positions do not arrive.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .elementwise import Mapping, number
from .program import Step
from .sizes import Size, fit
from .writer import LAST, Writer


def _reshape(w: Writer, s: Step, x: list[str]) -> str:
    old, new = (list(zip(*(v.shape for v in t.values), strict=True)) for t in (s.inputs[0], s))
    sizes = [fit(s.samples, numbers) for numbers in new]
    if all(size is not None and size.fixed for size in sizes):
        return w.reshape(x[0], s.shape)
    # Dimensions of size 1 that come or go need no size of another one.
    if [numbers for numbers in old if set(numbers) != {1}] == [n for n in new if set(n) != {1}]:
        gone = w.squeeze(x[0], [d for d, numbers in enumerate(old) if set(numbers) == {1}])
        return w.unsqueeze(gone, [d for d, numbers in enumerate(new) if set(numbers) == {1}])
    if sizes.count(None) > 1:
        s.shape  # noqa: B018 (it says which size has no formula)
    return w.reshape(x[0], sizes)


def _permute(w: Writer, s: Step, x: list[str]) -> str:
    return w.transpose(x[0], s.fixed("order"))


def _expand(w: Writer, s: Step, x: list[str]) -> str:
    return w.expand(x[0], s.inputs[0].shape, s.shape)


def _sum_to(w: Writer, s: Step, x: list[str]) -> str:
    old, new = s.inputs[0].shape, s.shape
    extra = len(old) - len(new)
    dims = [d for d in range(len(old)) if d < extra or (new[d - extra] != old[d])]
    added = w.node("ReduceSum", x[0], w.axes(dims), noop_with_empty_axes=1)
    return w.squeeze(added, list(range(extra)))


def _flip(w: Writer, s: Step, x: list[str]) -> str:
    dims = s.fixed("dims")
    backwards = w.axes([-1] * len(dims))
    first = w.axes([-LAST] * len(dims))
    return w.node("Slice", x[0], backwards, first, w.axes(dims), backwards)


def _bounds(s: Step, lengths: Sequence[tuple[int, ...]]) -> list[tuple[int, Size, Size, int]]:
    """(dimension, start, end, step) of each slice in the key that is not all of its dimension."""
    found = []
    for d in range(len(lengths[0])):
        parts = [
            static["key"][d].indices(shape[d])
            for static, shape in zip(s.static, lengths, strict=True)
        ]
        starts, ends, steps = zip(*parts, strict=True)
        sizes = [shape[d] for shape in lengths]
        whole = all(end >= n for end, n in zip(ends, sizes, strict=True))
        if whole and not any(starts) and set(steps) == {1}:
            continue
        start = s.size("the start of a slice", starts)
        end = Size(LAST) if whole else s.size("the end of a slice", ends)
        found.append((d, start, end, s.size("the step of a slice", steps).constant))
    return found


def _slice(w: Writer, s: Step, x: list[str]) -> str:
    bounds = _bounds(s, [value.shape for value in s.inputs[0].values])
    if not bounds:
        return x[0]
    dims, starts, ends, steps = zip(*bounds, strict=True)
    return w.node("Slice", x[0], w.vector(starts), w.vector(ends), w.axes(dims), w.axes(steps))


def _unslice(w: Writer, s: Step, x: list[str]) -> str:
    shapes = [static["shape"] for static in s.static]
    before, after = [], []
    for d in range(s.ndim):
        key = [static["key"][d].indices(n[d]) for static, n in zip(s.static, shapes, strict=True)]
        if any(step != 1 for _, _, step in key):
            raise s.refusal("a slice with steps is laid into zeros; it")
        before.append(s.size("the start of a slice", [start for start, _, _ in key]))
        rest = [n[d] - stop for n, (_, stop, _) in zip(shapes, key, strict=True)]
        after.append(s.size("the end of a slice", rest))
    return w.node("Pad", x[0], w.vector([*before, *after]), number(w, 0, s))


def _pad(w: Writer, s: Step, x: list[str]) -> str:
    widths = [static["widths"] for static in s.static]
    before = s.sizes("a width", [[a for a, _ in each] for each in widths])
    after = s.sizes("a width", [[b for _, b in each] for each in widths])
    return w.node("Pad", x[0], w.vector([*before, *after]), number(w, s.fixed("value"), s))


def _cat(w: Writer, s: Step, x: list[str]) -> str:
    same = [w.cast(name, i.dtype, s.dtype) for name, i in zip(x, s.inputs, strict=True)]
    return w.node("Concat", *same, axis=s.fixed("dim"))


# At positions


def _places(w: Writer, s: Step, inputs: Sequence[Step], x: list[str]) -> tuple[str, list[Size]]:
    """Positions of several dimensions side by side, (*, dimensions), and the shape *."""
    ndim = max(i.ndim for i in inputs)
    shape = [Size(1)] * ndim
    for i in inputs:
        for d, size in enumerate(i.shape, start=ndim - i.ndim):
            if size != Size(1):
                shape[d] = size
    parts = []
    for name, i in zip(x, inputs, strict=True):
        wide = w.expand(w.cast(name, i.dtype, np.int64), i.shape, shape)
        parts.append(w.unsqueeze(wide, [-1]))
    return parts[0] if len(parts) == 1 else w.node("Concat", *parts, axis=-1), shape


def _order(ndim: int, dims: Sequence[int]) -> list[int]:
    """The indexed dimensions first."""
    return [*dims, *(d for d in range(ndim) if d not in dims)]


def _inverse(order: Sequence[int]) -> list[int]:
    return [order.index(i) for i in range(len(order))]


def _spot(dims: Sequence[int]) -> int:
    """Before which dimension NumPy puts those of the positions."""
    together = list(dims) == list(range(dims[0], dims[0] + len(dims)))
    return dims[0] if together else 0


def _back(ndim: int, count: int, spot: int) -> list[int]:
    """The order that moves the first ``count`` dimensions behind the next ``spot`` ones."""
    rest = list(range(count, ndim))
    return [*rest[:spot], *range(count), *rest[spot:]]


def _index(w: Writer, s: Step, x: list[str]) -> str:
    dims, (data, *positions) = s.fixed("dims"), s.inputs
    if len(dims) == 1:
        at = x[1] if positions[0].dtype == np.int32 else w.cast(x[1], positions[0].dtype, np.int64)
        return w.node("Gather", x[0], at, axis=dims[0])
    places, shape = _places(w, s, positions, x[1:])
    first = w.transpose(x[0], _order(data.ndim, dims))
    found = w.node("GatherND", first, places)
    return w.transpose(found, _back(s.ndim, len(shape), _spot(dims)))


def _written(
    w: Writer,
    s: Step,
    data: tuple[str, Sequence[Size]],
    values: tuple[str, Sequence[Size]],
    positions: tuple[Sequence[Step], list[str]],
    **how: Any,
) -> str:
    """Values written or added into data at positions."""
    dims = s.fixed("dims")
    places, shape = _places(w, s, *positions)
    order = _order(len(data[1]), dims)
    rest = [data[1][d] for d in order[len(dims) :]]
    spot = _spot(dims)
    laid = w.expand(*values, [*rest[:spot], *shape, *rest[spot:]])
    back = _back(len(rest) + len(shape), len(shape), spot)
    updates = w.transpose(laid, _inverse(back))
    new = w.node("ScatterND", w.transpose(data[0], order), places, updates, **how)
    return w.transpose(new, _inverse(order))


def _index_put(w: Writer, s: Step, x: list[str]) -> str:
    data, values, *positions = s.inputs
    new = w.cast(x[1], values.dtype, s.dtype)
    return _written(w, s, (x[0], data.shape), (new, values.shape), (positions, x[2:]))


def zeros(w: Writer, s: Step) -> str:
    """Zeros in the shape of a step's result."""
    return w.expand(number(w, 0, s), [], s.shape)


def _index_add(w: Writer, s: Step, x: list[str]) -> str:
    values, *positions = s.inputs
    empty = (zeros(w, s), s.shape)
    return _written(w, s, empty, (x[0], values.shape), (positions, x[1:]), reduction="add")


def _gather(w: Writer, s: Step, x: list[str]) -> str:
    at = w.cast(x[1], s.inputs[1].dtype, np.int64)
    return w.node("GatherElements", x[0], at, axis=s.fixed("dim"))


def _scatter_add(w: Writer, s: Step, x: list[str]) -> str:
    at = w.cast(x[1], s.inputs[1].dtype, np.int64)
    return w.node("ScatterElements", zeros(w, s), at, x[0], axis=s.fixed("dim"), reduction="add")


def _argsort(w: Writer, s: Step, x: list[str]) -> str:
    dim = s.fixed("dim")
    ordered = {"axis": dim, "largest": 0, "sorted": 1}
    return w.split("TopK", x[0], w.size(s.shape[dim]), outputs=2, name="argsort", **ordered)[1]


MAPPINGS: dict[str, Mapping] = {
    "reshape": _reshape,
    "permute": _permute,
    "expand": _expand,
    "sum_to": _sum_to,
    "flip": _flip,
    "slice": _slice,
    "unslice": _unslice,
    "pad": _pad,
    "cat": _cat,
    "index": _index,
    "index_put": _index_put,
    "index_add": _index_add,
    "gather": _gather,
    "scatter_add": _scatter_add,
    "argsort": _argsort,
}
"""Primitives that move elements, by name."""
