"""Taking apart what was fused by hand for the sake of NumPy.

Softmax, cross-entropy, normalisation, ``linear`` and their like become elementwise operations,
reductions and products, so that they can be fused with whatever stands beside them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ...primitives import elementwise as e, linalg, packed, reduction, shape as s
from ..graph import Value
from .boxes import assembly
from .lower_index import INDEXING, found_at
from .lower_order import ORDER
from .lower_windows import WINDOWS

if TYPE_CHECKING:
    from .simplify import Builder

Rule = Callable[..., Value | None]
"""``rule(build, *inputs, **static)``; None leaves the operation as it is."""


def _kept(build: Builder, x: Value, like: tuple[int, ...], dims: tuple[int, ...]) -> Value:
    shape = tuple(1 if d in dims else n for d, n in enumerate(like))
    return build(s.reshape, x, shape=shape)


def _exponentials(build: Builder, x: Value, dims: tuple[int, ...]) -> tuple[Value, Value, Value]:
    """The input minus its maximum, the exponential of that, and the sum of it."""
    z = build(e.sub, x, build(reduction.amax, x, dims=dims, keepdim=True))
    up = build(e.exp, z)
    return z, up, build(reduction.sum, up, dims=dims, keepdim=True)


def _softmax(build: Builder, x: Value, dim: int) -> Value:
    _, up, total = _exponentials(build, x, (dim,))
    return build(e.mul, up, build(e.div, build.number(1, x.dtype), total))


def _log_softmax(build: Builder, x: Value, dim: int) -> Value:
    z, _, total = _exponentials(build, x, (dim,))
    return build(e.sub, z, build(e.log, total))


def _hit(build: Builder, x: Value, target: Value, dim: int) -> Value:
    """Where the position along a dimension is the target."""
    label = _kept(build, target, x.shape, (dim,))
    return found_at(build, x.shape, label, dim)


def _cross_entropy(build: Builder, x: Value, target: Value, dim: int, ignored: int) -> Value:
    z, _, total = _exponentials(build, x, (dim,))
    zero = build.number(0, x.dtype)
    picked = build(e.where, _hit(build, x, target, dim), z, zero)
    right = build(reduction.sum, picked, dims=(dim,), keepdim=True)
    loss = build(s.reshape, build(e.sub, build(e.log, total), right), shape=target.shape)
    counts = build(e.ne, target, build.number(ignored, target.dtype))
    return build(e.where, counts, loss, zero)


def _class_residual(build: Builder, x: Value, target: Value, dim: int, ignored: int) -> Value:
    y = _softmax(build, x, dim)
    hit = build(e.cast, _hit(build, x, target, dim), dtype=x.dtype)
    label = _kept(build, target, x.shape, (dim,))
    counts = build(e.ne, label, build.number(ignored, target.dtype))
    return build(e.where, counts, build(e.sub, y, hit), build.number(0, x.dtype))


def _logsumexp(build: Builder, x: Value, dims: tuple[int, ...], keepdim: bool) -> Value:
    top = build(reduction.amax, x, dims=dims, keepdim=True)
    finite = build(e.lt, build(e.abs, top), build.number(np.inf, x.dtype))
    top = build(e.where, finite, top, build.number(0, x.dtype))
    total = build(reduction.sum, build(e.exp, build(e.sub, x, top)), dims=dims, keepdim=True)
    out = build(e.add, build(e.log, total), top)
    if keepdim:
        return out
    return build(s.reshape, out, shape=tuple(n for d, n in enumerate(x.shape) if d not in dims))


def _standardize(
    build: Builder, x: Value, *known: Value, dims: tuple[int, ...], eps: float
) -> Value:
    # In the words of its gradient's rule, so that both have mean and deviation in common.
    count = build.number(int(np.prod([x.shape[d] for d in dims])), x.dtype)
    mean = (
        known[0] if known else build(e.div, build(reduction.sum, x, dims=dims, keepdim=True), count)
    )
    centred = build(e.sub, x, mean)
    variance = (
        known[1]
        if known
        else build(
            e.div,
            build(reduction.sum, build(e.mul, centred, centred), dims=dims, keepdim=True),
            count,
        )
    )
    r = build(e.rsqrt, build(e.add, variance, build.number(eps, x.dtype)))
    return build(e.mul, centred, r)


def _linear(build: Builder, x: Value, w: Value, *bias: Value) -> Value:
    y = build(linalg.matmul, x, build(s.permute, w, order=(1, 0)))
    return build(e.add, y, bias[0]) if bias else y


def _packed_linear(build: Builder, x: Value, w: Value, **static: Any) -> Value:
    """Several products of one x, as attention has them, share its rounding."""
    return build(packed.packed_product, build(packed.rounded, x), w, **static)


def _sum_to(build: Builder, x: Value, shape: tuple[int, ...]) -> Value:
    extra = len(x.shape) - len(shape)
    dims = tuple(
        d for d in range(len(x.shape)) if d < extra or (shape[d - extra] == 1 and x.shape[d] != 1)
    )
    total = build(reduction.sum, x, dims=dims, keepdim=True) if dims else x
    return build(s.reshape, total, shape=shape)


def _lerp(build: Builder, a: Value, b: Value, w: Value) -> Value:
    return build(e.add, a, build(e.mul, build(e.sub, b, a), w))


def _addcdiv(build: Builder, a: Value, b: Value, c: Value, w: Value) -> Value:
    return build(e.add, a, build(e.mul, w, build(e.div, b, c)))


def _cat(build: Builder, *parts: Value, dim: int) -> Value:
    boxes, at = [], 0
    shape = parts[0].shape
    dtype = np.result_type(*[x.dtype for x in parts])
    for x in parts:
        whole = [(0, n) for n in x.shape]
        whole[dim] = (at, at + x.shape[dim])
        boxes.append(tuple(whole))
        at += x.shape[dim]
    shape = (*shape[:dim], at, *shape[dim + 1 :])
    pairs = [(x, box) for x, box in zip(parts, boxes, strict=True) if x.size]
    if not pairs:
        return build.array(np.zeros(shape, dtype))
    cast = tuple([build(e.cast, x, dtype=dtype) for x, _ in pairs])
    return assembly(build, cast, tuple([box for _, box in pairs]), shape)


def _argmax(build: Builder, x: Value, dim: int) -> Value | None:
    if x.dtype.kind != "f":
        return None
    top = build(reduction.amax, x, dims=(dim,), keepdim=True)
    hit = build(e.logical_or, build(e.eq, x, top), build(e.ne, x, x))  # the first NaN wins
    last = build.number(x.shape[dim], np.dtype(np.int64))
    places = build(e.where, hit, build.index(dim, x.shape), last)
    return build(reduction.amin, places, dims=(dim,), keepdim=True)


def _argmin(build: Builder, x: Value, dim: int) -> Value | None:
    return _argmax(build, build(e.neg, x), dim) if x.dtype.kind == "f" else None


LOWERED: dict[str, Rule] = {
    "argmax": _argmax,
    "argmin": _argmin,
    "cat": _cat,
    "softmax": _softmax,
    "log_softmax": _log_softmax,
    "cross_entropy": _cross_entropy,
    "class_residual": _class_residual,
    "logsumexp": _logsumexp,
    "standardize": _standardize,
    "linear": _linear,
    "packed_linear": _packed_linear,
    "sum_to": _sum_to,
    "lerp": _lerp,
    "addcdiv": _addcdiv,
    **INDEXING,
    **ORDER,
    **WINDOWS,
}
WIDE = frozenset(
    (
        *("softmax", "log_softmax", "cross_entropy", "class_residual", "logsumexp"),
        *("standardize", "linear", "lerp", "addcdiv"),
    )
)
"""Those of which 16-bit types are computed in float32."""
