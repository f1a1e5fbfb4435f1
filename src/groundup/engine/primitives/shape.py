"""Primitives that move elements without computing on them.

Most return a view of their input's memory; in-place changes through either are counted together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base import Array
from ..dtypes import HALVES
from ..primitive import Primitive, Rule

if TYPE_CHECKING:
    from ..tensor import Tensor

Shape = tuple[int, ...]
Key = tuple[slice, ...]

reshape: Primitive = Primitive(
    "reshape",
    lambda x, shape: x.reshape(shape),
    lambda g, _y, _x, shape: reshape(g, shape=_x.shape),
    view=True,
    work=0,
)


def _inverse(order: tuple[int, ...]) -> tuple[int, ...]:
    inverse = [0] * len(order)
    for i, d in enumerate(order):
        inverse[d] = i
    return tuple(inverse)


permute: Primitive = Primitive(
    "permute",
    lambda x, order: x.transpose(order),
    lambda g, _y, _x, order: permute(g, order=_inverse(order)),
    view=True,
    work=0,
)
"""Reorder the dimensions: dimension ``i`` of the result is dimension ``order[i]`` of the input."""


def _expand(x: Array, shape: Shape) -> Array:
    if x.size != 1 or x.ndim > len(shape):
        return np.broadcast_to(x, shape)
    # What broadcast_to does, in a tenth of its time for the commonest case: one element everywhere.
    out: Array = np.ndarray(shape, x.dtype, x, strides=(0,) * len(shape))
    out.flags.writeable = False
    return out


expand: Primitive = Primitive(
    "expand",
    _expand,
    lambda g, _y, _x, shape: sum_to(g, shape=_x.shape),
    view=True,
    work=0,
)
"""Broadcast to a shape, without copying."""


_add_up: Callable[..., Array] = np.add.reduce


def _sum_to(x: Array, shape: Shape) -> Array:
    extra = x.ndim - len(shape)
    if x.dtype.char in HALVES:  # float16 adds up in float32
        return _sum_to(x.astype(np.float32), shape).astype(x.dtype)
    if x.shape[extra:] == shape:
        return _add_up(x, tuple(range(extra)), x.dtype)
    dims = tuple(
        d for d in range(x.ndim) if d < extra or (shape[d - extra] == 1 and x.shape[d] != 1)
    )
    return _add_up(x, dims, x.dtype, None, True).reshape(shape)


sum_to: Primitive = Primitive(
    "sum_to",
    _sum_to,
    lambda g, _y, _x, shape: expand(g, shape=_x.shape),
    work=lambda inputs, _out, **_: inputs[0].array.size,
)
"""Sum over the dimensions by which broadcasting enlarged ``shape``; the transpose of ``expand``."""

flip: Primitive = Primitive(
    "flip",
    lambda x, dims: np.flip(x, dims),
    lambda g, _y, _x, dims: flip(g, dims=dims),
    view=True,
    work=0,
)

slice_: Primitive = Primitive(
    "slice",
    lambda x, key: x[key],
    lambda g, _y, _x, key: unslice(g, shape=_x.shape, key=key),
    view=True,
    work=0,
)
"""Basic indexing with one ``slice`` of positive step for each dimension."""


def _unslice(x: Array, shape: Shape, key: Key) -> Array:
    out = np.zeros(shape, x.dtype)
    out[key] = x
    return out


unslice: Primitive = Primitive(
    "unslice", _unslice, lambda g, _y, _x, shape, key: slice_(g, key=key), work=0
)
"""Zeros of a shape with the input laid where ``slice`` would read; the transpose of ``slice``."""


def _pad(x: Array, widths: tuple[tuple[int, int], ...], value: float) -> Array:
    shape = tuple(a + n + b for n, (a, b) in zip(x.shape, widths, strict=True))
    out = np.full(shape, value, x.dtype) if value else np.zeros(shape, x.dtype)
    out[_inside(x.shape, widths)] = x
    return out


def _inside(shape: Shape, widths: tuple[tuple[int, int], ...]) -> Key:
    return tuple(slice(a, a + n) for n, (a, _) in zip(shape, widths, strict=True))


pad: Primitive = Primitive(
    "pad",
    _pad,
    lambda g, _y, _x, widths, value: slice_(g, key=_inside(_x.shape, widths)),
    work=0,
)
"""Enlarge with a constant; ``widths`` are non-negative (before, after) for each dimension."""


def _cat_rule(i: int) -> Rule:
    def rule(g: Tensor, _y: Any, *_xs: Any, dim: int) -> Tensor:
        start = sum(x.shape[dim] for x in _xs[:i])
        key = [slice(None)] * g.array.ndim
        key[dim] = slice(start, start + _xs[i].shape[dim])
        return slice_(g, key=tuple(key))

    return rule


cat: Primitive = Primitive(
    "cat", lambda *xs, dim: np.concatenate(xs, axis=dim), rule_for=_cat_rule, work=0
)
"""Join along an existing dimension."""
