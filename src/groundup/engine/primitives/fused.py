"""Operations fused by hand, where one pass is both more accurate and faster than a composition.

All of them subtract the maximum or the mean before they scale, so none overflows. Those of
float16 and bfloat16 are computed in float32 and rounded once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..base import Array
from ..dtypes import HALVES, float32
from ..primitive import Primitive
from . import elementwise
from .half import in_float32
from .indexing import flat_positions
from .reduction import Dims, kept, sum as sum_

if TYPE_CHECKING:
    from ..tensor import Tensor


@in_float32
def _softmax(x: Array, dim: int) -> Array:
    if not x.size:
        return x.copy()
    e: Array = x - np.maximum.reduce(x, axis=dim, keepdims=True)
    np.exp(e, out=e)
    e /= np.add.reduce(e, axis=dim, keepdims=True)
    return e


def _softmax_rule(g: Tensor, y: Tensor, _x: Any, dim: int) -> Tensor:
    gy = g * y
    return gy - y * sum_(gy, dims=(dim,), keepdim=True)


softmax: Primitive = Primitive("softmax", _softmax, _softmax_rule)


@in_float32
def _log_softmax(x: Array, dim: int) -> Array:
    if not x.size:
        return x.copy()
    z: Array = x - np.maximum.reduce(x, axis=dim, keepdims=True)
    z -= np.log(np.add.reduce(np.exp(z), axis=dim, keepdims=True))
    return z


def _log_softmax_rule(g: Tensor, y: Tensor, _x: Any, dim: int) -> Tensor:
    return g - elementwise.exp(y) * sum_(g, dims=(dim,), keepdim=True)


log_softmax: Primitive = Primitive("log_softmax", _log_softmax, _log_softmax_rule)


def _places(x: Array, target: Array, dim: int, ignored: int) -> tuple[Array, Array | None]:
    """Where each target's class stands in the flattened ``x``, and which are ignored, if any."""
    skip = target == ignored
    if not skip.any():
        skip = None
    else:
        target = np.where(skip, 0, target)
    return flat_positions(target.reshape(_without(x.shape, dim, 1)), dim, x.shape), skip


def _without(shape: tuple[int, ...], dim: int, size: int) -> tuple[int, ...]:
    return (*shape[:dim], size, *shape[dim + 1 :])


@in_float32
def _cross_entropy(x: Array, target: Array, dim: int, ignored: int) -> Array:
    places, skip = _places(x, target, dim, ignored)
    z: Array = np.subtract(x, np.maximum.reduce(x, axis=dim, keepdims=True, initial=-np.inf))
    out: Array = np.log(np.add.reduce(np.exp(z), axis=dim, keepdims=True))
    out -= z.reshape(-1).take(places)
    out = out.reshape(target.shape)
    if skip is not None:
        out[skip] = 0
    return out


@in_float32
def _class_residual(x: Array, target: Array, dim: int, ignored: int) -> Array:
    places, skip = _places(x, target, dim, ignored)
    y = np.ascontiguousarray(_softmax(x, dim))
    y.reshape(-1)[places] -= 1
    if skip is not None:
        y *= ~skip.reshape(_without(x.shape, dim, 1))
    return y


def _cross_entropy_rule(
    g: Tensor, _y: Any, x: Tensor, target: Tensor, dim: int, ignored: int
) -> Tensor:
    wide = kept(g, x.array.shape, (dim,), keepdim=False)
    return wide * class_residual(x, target, dim=dim, ignored=ignored)


def _class_residual_rule(
    g: Tensor, _y: Any, x: Tensor, target: Tensor, dim: int, ignored: int
) -> Tensor:
    label = kept(target, x.array.shape, (dim,), keepdim=False)
    counts = elementwise.ne(label, elementwise.scalar(ignored, label))
    g = elementwise.where(counts, g, elementwise.scalar(0, g))
    return _softmax_rule(g, softmax(x, dim=dim), x, dim)


cross_entropy: Primitive = Primitive("cross_entropy", _cross_entropy, _cross_entropy_rule)
"""-log softmax(x)[target] along ``dim``; 0 where the target is ``ignored``."""

class_residual: Primitive = Primitive("class_residual", _class_residual, _class_residual_rule)
"""softmax(x) - one_hot(target), the gradient of ``cross_entropy``; 0 where ignored."""


@in_float32
def _logsumexp(x: Array, dims: Dims, keepdim: bool) -> Array:
    top = np.maximum.reduce(x, axis=dims, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, np.zeros((), x.dtype))
    out = np.log(np.add.reduce(np.exp(x - top), axis=dims, keepdims=True)) + top
    return out if keepdim else np.squeeze(out, dims)


def _logsumexp_rule(g: Tensor, y: Tensor, x: Tensor, dims: Dims, keepdim: bool) -> Tensor:
    shape = x.array.shape
    y = kept(y, shape, dims, keepdim)
    # Where everything is -inf the share of each element is 0, not exp(-inf + inf).
    empty = elementwise.eq(y, elementwise.scalar(-np.inf, y))
    y = elementwise.where(empty, elementwise.scalar(0, y), y)
    return kept(g, shape, dims, keepdim) * elementwise.exp(x - y)


logsumexp: Primitive = Primitive("logsumexp", _logsumexp, _logsumexp_rule)


@in_float32
def _standardize(x: Array, *known: Array, dims: Dims, eps: float) -> Array:
    mean = known[0] if known else np.mean(x, axis=dims, keepdims=True)
    y: Array = x - mean
    variance = known[1] if known else np.mean(np.square(y), axis=dims, keepdims=True)
    y *= np.reciprocal(np.sqrt(variance + np.asarray(eps, x.dtype)))
    return y


def _standardize_rule(
    g: Tensor, y: Tensor, x: Tensor, *_known: Any, dims: Dims, eps: float
) -> Tensor:
    if x.array.dtype.char in HALVES:  # sums of many gradients may exceed float16
        wide = [elementwise.cast(t, dtype=float32) for t in (g, y, x)]
        return elementwise.cast(_standardize_rule(*wide, dims=dims, eps=eps), dtype=x.array.dtype)
    # y = (x - mean) r with r = (var + eps)^-1/2; dL/dx = r (g - mean(g) - y mean(g y)).
    count = int(np.prod([x.array.shape[d] for d in dims]))
    mean = sum_(x, dims=dims, keepdim=True) / count
    centred = x - mean
    r = elementwise.rsqrt(sum_(centred * centred, dims=dims, keepdim=True) / count + eps)
    g_mean = sum_(g, dims=dims, keepdim=True) / count
    gy_mean = sum_(g * y, dims=dims, keepdim=True) / count
    return r * (g - g_mean - y * gy_mean)


standardize: Primitive = Primitive("standardize", _standardize, _standardize_rule)
"""Zero mean and unit (biased) variance over ``dims``: the heart of every normalisation layer.

The mean and the variance of ``x`` may follow it if they are known; they are not differentiated.
"""
