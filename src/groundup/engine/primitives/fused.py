"""Operations fused by hand, where one pass is both more accurate and faster than a composition.

All of them subtract the maximum or the mean before they scale, so none overflows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..base import Array
from ..primitive import Primitive
from . import elementwise
from .reduction import Dims, kept, sum as sum_

if TYPE_CHECKING:
    from ..tensor import Tensor


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


def _log_softmax(x: Array, dim: int) -> Array:
    if not x.size:
        return x.copy()
    z: Array = x - np.maximum.reduce(x, axis=dim, keepdims=True)
    z -= np.log(np.add.reduce(np.exp(z), axis=dim, keepdims=True))
    return z


def _log_softmax_rule(g: Tensor, y: Tensor, _x: Any, dim: int) -> Tensor:
    return g - elementwise.exp(y) * sum_(g, dims=(dim,), keepdim=True)


log_softmax: Primitive = Primitive("log_softmax", _log_softmax, _log_softmax_rule)


def _label(target: Array, dim: int, ignored: int) -> tuple[Array, Array]:
    """Labels with the class dimension (0 where ignored), and where they are ignored."""
    label = np.expand_dims(target, dim)
    skip: Array = label == ignored
    return np.where(skip, 0, label), skip


def _cross_entropy(x: Array, target: Array, dim: int, ignored: int) -> Array:
    label, skip = _label(target, dim, ignored)
    z: Array = x - np.maximum.reduce(x, axis=dim, keepdims=True, initial=-np.inf)
    out = np.log(np.add.reduce(np.exp(z), axis=dim, keepdims=True))
    out -= np.take_along_axis(z, label, axis=dim)
    out[skip] = 0
    return out.squeeze(dim)


def _class_residual(x: Array, target: Array, dim: int, ignored: int) -> Array:
    label, skip = _label(target, dim, ignored)
    y = _softmax(x, dim)
    np.put_along_axis(y, label, np.take_along_axis(y, label, axis=dim) - 1, axis=dim)
    y *= ~skip
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


def _standardize(x: Array, dims: Dims, eps: float) -> Array:
    y: Array = x - np.mean(x, axis=dims, keepdims=True)
    y *= _inverse_deviation(y, dims, eps)
    return y


def _inverse_deviation(centred: Array, dims: Dims, eps: float) -> Array:
    variance = np.mean(np.square(centred), axis=dims, keepdims=True)
    out: Array = np.reciprocal(np.sqrt(variance + np.asarray(eps, centred.dtype)))
    return out


def _standardize_rule(g: Tensor, y: Tensor, x: Tensor, dims: Dims, eps: float) -> Tensor:
    # y = (x - mean) r with r = (var + eps)^-1/2; dL/dx = r (g - mean(g) - y mean(g y)).
    count = int(np.prod([x.array.shape[d] for d in dims]))
    mean = sum_(x, dims=dims, keepdim=True) / count
    centred = x - mean
    r = elementwise.rsqrt(sum_(centred * centred, dims=dims, keepdim=True) / count + eps)
    g_mean = sum_(g, dims=dims, keepdim=True) / count
    gy_mean = sum_(g * y, dims=dims, keepdim=True) / count
    return r * (g - g_mean - y * gy_mean)


standardize: Primitive = Primitive("standardize", _standardize, _standardize_rule)
"""Zero mean and unit (biased) variance over ``dims``: the heart of every normalisation layer."""
