"""Primitives that combine the elements along dimensions.

``dims`` is always a tuple of non-negative dimensions; the operations above this floor turn what
users write (None, a number, negative numbers) into that. Reduced dimensions are kept with size 1
when ``keepdim``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..base import Array
from ..dtypes import HALVES
from ..primitive import Primitive
from . import elementwise, shape as shaping
from .half import in_float32

if TYPE_CHECKING:
    from ..tensor import Tensor

Dims = tuple[int, ...]


def kept(g: Tensor, shape: tuple[int, ...], dims: Dims, keepdim: bool) -> Tensor:
    """Give a reduced tensor its reduced dimensions back, with size 1."""
    if keepdim:
        return g
    kept_shape = tuple(1 if d in dims else size for d, size in enumerate(shape))
    return shaping.reshape(g, shape=kept_shape)


def _spread(g: Tensor, shape: tuple[int, ...], dims: Dims, keepdim: bool) -> Tensor:
    if len(dims) < len(shape):
        g = kept(g, shape, dims, keepdim)
    return shaping.expand(g, shape=shape)


_add_up: Any = np.add.reduce


def _sum(x: Array, dims: Dims, keepdim: bool) -> Array:
    if x.dtype.char in HALVES:  # float16 adds up in float32
        wide: Array = _add_up(x, dims, np.float32, None, keepdim)
        return wide.astype(x.dtype)
    out: Array = _add_up(x, dims, x.dtype, None, keepdim)
    return out


sum: Primitive = Primitive(
    "sum",
    _sum,
    lambda g, _y, _x, dims, keepdim: _spread(g, _x.shape, dims, keepdim),
    work=lambda inputs, _out, **_: inputs[0].array.size,
)


def _extreme_rule(g: Tensor, y: Tensor, x: Tensor, dims: Dims, keepdim: bool) -> Tensor:
    ties = elementwise.eq(x, kept(y, x.array.shape, dims, keepdim))
    ties = elementwise.cast(ties, dtype=x.array.dtype)
    return kept(g, x.array.shape, dims, keepdim) * ties / sum(ties, dims=dims, keepdim=True)


amax: Primitive = Primitive(
    "amax",
    lambda x, dims, keepdim: np.maximum.reduce(x, axis=dims, keepdims=keepdim),
    _extreme_rule,
    work=lambda inputs, _out, **_: inputs[0].array.size,
)
"""Largest element; equal elements share the gradient."""

amin: Primitive = Primitive(
    "amin",
    lambda x, dims, keepdim: np.minimum.reduce(x, axis=dims, keepdims=keepdim),
    _extreme_rule,
    work=lambda inputs, _out, **_: inputs[0].array.size,
)
"""Smallest element; equal elements share the gradient."""

argmax: Primitive = Primitive("argmax", lambda x, dim: np.argmax(x, axis=dim, keepdims=True))
argmin: Primitive = Primitive("argmin", lambda x, dim: np.argmin(x, axis=dim, keepdims=True))
any: Primitive = Primitive("any", lambda x, dims, keepdim: np.any(x, axis=dims, keepdims=keepdim))
all: Primitive = Primitive("all", lambda x, dims, keepdim: np.all(x, axis=dims, keepdims=keepdim))


def _cumsum_rule(g: Tensor, _y: Any, _x: Any, dim: int) -> Tensor:
    return shaping.flip(cumsum(shaping.flip(g, dims=(dim,)), dim=dim), dims=(dim,))


cumsum: Primitive = Primitive(
    "cumsum",
    in_float32(lambda x, dim: np.cumsum(x, axis=dim, dtype=x.dtype)),
    _cumsum_rule,
)
