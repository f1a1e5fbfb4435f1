"""Primitives that read and write at positions given by integer tensors.

Reading (``index``, ``gather``) and adding at the same positions (``index_add``, ``scatter_add``)
are transposes, so each is the derivative of the other. Positions are non-negative when they arrive
here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from ..base import Array
from ..primitive import Primitive
from . import elementwise

if TYPE_CHECKING:
    from ..tensor import Tensor

Dims = tuple[int, ...]


def _key(ndim: int, dims: Dims, positions: tuple[Array, ...]) -> tuple[Any, ...]:
    key: list[Any] = [slice(None)] * ndim
    for d, position in zip(dims, positions, strict=True):
        key[d] = position
    return tuple(key)


def _index(x: Array, *positions: Array, dims: Dims) -> Array:
    out: Array = x[_key(x.ndim, dims, positions)]
    return out


index: Primitive = Primitive(
    "index",
    _index,
    lambda g, _y, _x, *positions, dims: index_add(g, *positions, dims=dims, shape=_x.shape),
    work=0,
)
"""``x[..., positions, ...]`` with integer positions at ``dims``, placed as NumPy places them."""


def _index_add(values: Array, *positions: Array, dims: Dims, shape: tuple[int, ...]) -> Array:
    if dims == (0,) and values.dtype in (np.float32, np.float64) and values.size:
        # Adding rows is a product with a sparse matrix of ones, many times faster than ufunc.at.
        rows = positions[0].reshape(-1)
        ones = np.ones(rows.size, values.dtype)
        spread = sparse.csc_array(
            (ones, rows, np.arange(rows.size + 1)), shape=(shape[0], rows.size)
        )
        flat: Array = spread @ values.reshape(rows.size, -1)
        return flat.reshape(shape)
    out = np.zeros(shape, values.dtype)
    np.add.at(out, _key(len(shape), dims, positions), values)
    return out


index_add: Primitive = Primitive(
    "index_add",
    _index_add,
    lambda g, _y, _values, *positions, dims, shape: index(g, *positions, dims=dims),
)
"""Zeros of ``shape`` with the values added where ``index`` would read; repeats add up."""


def write_at(x: Array, values: Array, *positions: Array, dims: Dims) -> Array:
    """Write values where ``index`` would read, in place.

    Example:
        >>> import numpy as np
        >>> from groundup.engine.primitives.indexing import write_at
        >>> write_at(np.zeros(3), np.ones(1), np.array([1]), dims=(0,))
        array([0., 1., 0.])
    """
    x[_key(x.ndim, dims, positions)] = values
    return x


def _index_put(x: Array, values: Array, *positions: Array, dims: Dims) -> Array:
    return write_at(x.copy(), values, *positions, dims=dims)


def _index_put_rule(
    g: Tensor, _y: Any, _x: Any, _values: Any, *positions: Any, dims: Dims
) -> Tensor:
    return index_put(g, elementwise.scalar(0, g), *positions, dims=dims)


index_put: Primitive = Primitive(
    "index_put",
    _index_put,
    _index_put_rule,
    lambda g, _y, _x, _values, *positions, dims: index(g, *positions, dims=dims),
    work=0,
)
"""A copy of ``x`` with the values written at the positions; the last of repeated ones stays."""


def flat_positions(position: Array, dim: int, shape: tuple[int, ...]) -> Array:
    """Positions along ``dim`` as positions in the flattened array; the shape of ``position``."""
    outer, size, inner = math.prod(shape[:dim]), shape[dim], math.prod(shape[dim + 1 :])
    starts = np.arange(outer) * (size * inner)
    position = position.astype(np.int64, copy=False)
    flat: Array
    if inner == 1:
        flat = position.reshape(outer, position.shape[dim]) + starts[:, None]
    else:
        flat = position.reshape(outer, position.shape[dim], inner) * inner + np.arange(inner)
        flat += starts[:, None, None]
    return flat.reshape(position.shape)


def _gather(x: Array, position: Array, dim: int) -> Array:
    return x.reshape(-1).take(flat_positions(position, dim, x.shape))


gather: Primitive = Primitive(
    "gather",
    _gather,
    lambda g, _y, _x, position, dim: scatter_add(g, position, dim=dim, shape=_x.shape),
    work=0,
)
"""Read along one dimension; the other dimensions of ``position`` are those of ``x``."""


def _scatter_add(values: Array, position: Array, dim: int, shape: tuple[int, ...]) -> Array:
    out = np.zeros(math.prod(shape), values.dtype)
    flat = flat_positions(position, dim, shape)
    if position.shape[dim] == 1:
        out[flat] = values
    else:
        np.add.at(out, flat.reshape(-1), values.reshape(-1))
    return out.reshape(shape)


scatter_add: Primitive = Primitive(
    "scatter_add",
    _scatter_add,
    lambda g, _y, _values, position, dim, shape: gather(g, position, dim=dim),
)
"""Zeros of ``shape`` with the values added where ``gather`` would read."""

argsort: Primitive = Primitive("argsort", lambda x, dim: np.argsort(x, axis=dim, kind="stable"))
