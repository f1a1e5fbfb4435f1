"""Convolution and sliding windows over any number of trailing dimensions.

Convolution is linear in the image, in the kernel and, seen from behind, in the gradient. The number

    T(x, w, g) = sum over n, o, c, positions p, offsets k of
                 g[n, o, p] * w[o, c, k] * x[n, c, p * stride + k * dilation - padding]

is linear in each of the three, so its three partial sums are each other's derivatives:

    conv        (x, w) -> dT/dg    the convolution
    conv_input  (g, w) -> dT/dx    the transposed convolution
    conv_weight (x, g) -> dT/dw    the gradient of the kernel

Each is one matrix product between the kernel (O, C*K) and the columns (C*K, N*P) of the image: for
every offset ``k`` inside the kernel the pixels that it meets (im2col; Chellapilla et al., 2006).

Products of 16-bit types are computed in float32 and rounded once, like those in ``linalg``.

Shapes: x (N, C, *S), w (O, C / groups, *K), g (N, O, *P).
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base import Array
from ..primitive import Primitive
from .half import in_float32
from .shape import slice_

if TYPE_CHECKING:
    from ..tensor import Tensor

Sizes = tuple[int, ...]


def output_size(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """How many positions a kernel takes along one dimension."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


@functools.lru_cache(maxsize=1024)
def _reach(
    kernel: Sizes, positions: Sizes, stride: Sizes, dilation: Sizes
) -> tuple[tuple[Sizes, tuple[slice, ...]], ...]:
    """For each offset inside the kernel the pixels that it meets, over all positions."""
    return tuple(
        (
            offset,
            tuple(
                slice(k * d, k * d + s * (p - 1) + 1, s)
                for k, p, s, d in zip(offset, positions, stride, dilation, strict=True)
            ),
        )
        for offset in np.ndindex(*kernel)
    )


def _columns(
    x: Array, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, positions: Sizes
) -> Array:
    """(N, C, *S) -> (C, *K, N, *P)."""
    x = x.swapaxes(0, 1)
    if any(padding):
        padded = np.zeros(
            x.shape[:2] + tuple(n + 2 * p for n, p in zip(x.shape[2:], padding, strict=True)),
            x.dtype,
        )
        padded[_crop(x.shape[2:], padding)] = x
        x = padded
    columns = np.empty((x.shape[0], *kernel, x.shape[1], *positions), x.dtype)
    every: Any = slice(None)
    for offset, pixels in _reach(kernel, positions, stride, dilation):
        columns[(every, *offset)] = x[(every, every, *pixels)]
    return columns


def _crop(size: Sizes, padding: Sizes) -> tuple[slice, ...]:
    inside = (slice(p, p + n) for n, p in zip(size, padding, strict=True))
    return (slice(None), slice(None), *inside)


def _by_group(g: Array, groups: int) -> Array:
    """(N, O, *P) -> (groups, O / groups, N*P)."""
    return g.swapaxes(0, 1).reshape(groups, g.shape[1] // groups, -1)


@in_float32
def _conv(x: Array, w: Array, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int) -> Array:
    kernel = w.shape[2:]
    positions = tuple(map(output_size, x.shape[2:], kernel, stride, padding, dilation))
    columns = _columns(x, kernel, stride, padding, dilation, positions)
    columns = columns.reshape(groups, w[0].size, -1)
    y = np.matmul(w.reshape(groups, w.shape[0] // groups, -1), columns)
    out: Array = y.reshape(w.shape[0], x.shape[0], *positions).swapaxes(0, 1)
    return out


@in_float32
def _conv_input(
    g: Array,
    w: Array,
    size: Sizes,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    groups: int,
) -> Array:
    kernel, positions = w.shape[2:], g.shape[2:]
    flat = w.reshape(groups, w.shape[0] // groups, -1).swapaxes(1, 2)
    columns = np.matmul(flat, _by_group(g, groups))
    columns = columns.reshape(w.shape[1] * groups, *kernel, g.shape[0], *positions)
    padded = tuple(n + 2 * p for n, p in zip(size, padding, strict=True))
    x = np.zeros((columns.shape[0], g.shape[0], *padded), g.dtype)
    every: Any = slice(None)
    for offset, pixels in _reach(kernel, positions, stride, dilation):
        x[(every, every, *pixels)] += columns[(every, *offset)]
    return x[_crop(size, padding)].swapaxes(0, 1)


@in_float32
def _conv_weight(
    x: Array,
    g: Array,
    kernel: Sizes,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    groups: int,
) -> Array:
    columns = _columns(x, kernel, stride, padding, dilation, g.shape[2:])
    channels = x.shape[1] // groups
    columns = columns.reshape(groups, channels * math.prod(kernel), -1)
    w = np.matmul(_by_group(g, groups), columns.swapaxes(1, 2))
    out: Array = w.reshape(g.shape[1], channels, *kernel)
    return out


def _first(y: Tensor, positions: Sizes) -> Tensor:
    # Padding the output of a transposed convolution may make room for one more position.
    if y.array.shape[2:] == positions:
        return y
    return slice_(y, key=tuple(slice(0, n) for n in (*y.array.shape[:2], *positions)))


def _conv_work(inputs: Any, out: Any, **_: Any) -> int:
    return int(out.array.size * inputs[1].array[0].size)


def _conv_input_work(inputs: Any, _out: Any, **_: Any) -> int:
    return int(inputs[0].array.size * inputs[1].array[0].size)


def _conv_weight_work(inputs: Any, out: Any, **_: Any) -> int:
    return int(inputs[1].array.size * out.array[0].size)


conv: Primitive = Primitive(
    "conv",
    _conv,
    lambda g, _y, _x, w, **how: conv_input(g, w, size=_x.shape[2:], **how),
    lambda g, _y, x, _w, **how: conv_weight(x, g, kernel=_w.shape[2:], **how),
    work=_conv_work,
)

conv_input: Primitive = Primitive(
    "conv_input",
    _conv_input,
    lambda g, _y, _g, w, size, **how: _first(conv(g, w, **how), _g.shape[2:]),
    lambda g, _y, g2, _w, size, **how: conv_weight(g, g2, kernel=_w.shape[2:], **how),
    work=_conv_input_work,
)

conv_weight: Primitive = Primitive(
    "conv_weight",
    _conv_weight,
    lambda g, _y, _x, g2, kernel, **how: conv_input(g2, g, size=_x.shape[2:], **how),
    lambda g, _y, x, _g, kernel, **how: _first(conv(x, g, **how), _g.shape[2:]),
    work=_conv_weight_work,
)


def _windows(x: Array, dims: Sizes, size: Sizes, step: Sizes, dilation: Sizes) -> Array:
    shape, strides = list(x.shape), list(x.strides)
    for d, n, s, spread in zip(dims, size, step, dilation, strict=True):
        shape[d] = output_size(x.shape[d], n, s, 0, spread)
        strides[d] = x.strides[d] * s
    shape += size
    strides += [x.strides[d] * spread for d, spread in zip(dims, dilation, strict=True)]
    return np.lib.stride_tricks.as_strided(x, shape, strides, writeable=False)


@in_float32
def _fold(g: Array, shape: Sizes, dims: Sizes, size: Sizes, step: Sizes, dilation: Sizes) -> Array:
    x = np.zeros(shape, g.dtype)
    positions = tuple(g.shape[d] for d in dims)
    for offset, pixels in _reach(size, positions, step, dilation):
        key = [slice(None)] * x.ndim
        for d, reach in zip(dims, pixels, strict=True):
            key[d] = reach
        where: Any = (..., *offset)
        x[tuple(key)] += g[where]
    return x


windows: Primitive = Primitive(
    "windows",
    _windows,
    lambda g, _y, _x, **how: fold(g, shape=_x.shape, **how),
    view=True,
    work=0,
)
"""Sliding windows over ``dims``: those dimensions count positions, new last ones the offsets."""

fold: Primitive = Primitive(
    "fold",
    _fold,
    lambda g, _y, _g, shape, **how: windows(g, **how),
    work=lambda inputs, _out, **_: inputs[0].array.size,
)
"""Add windows back to where they were read; the transpose of ``windows``."""
