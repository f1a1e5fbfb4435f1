"""Convolution and pooling as matrix products, copies and reductions.

A convolution is the product of the kernel (O, C*K) and the columns (C*K, N*P) of the image: for
every offset inside the kernel the pixels that it meets (im2col; Chellapilla et al., 2006). The
columns are a view of the padded image, so all that is new is one copy. The gradient of the kernel
is a product with the same columns; that of the image is, where the stride is 1, the convolution of
the padded gradient with the flipped kernel.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..primitives import convolution, linalg, shape as s
from .graph import Value

if TYPE_CHECKING:
    from .simplify import Builder

Sizes = tuple[int, ...]


def _padded(build: Builder, x: Value, before: Sizes) -> Value:
    widths = ((0, 0), (0, 0), *((n, n) for n in before))
    return build(s.pad, x, widths=widths, value=0.0)


def _columns(
    build: Builder, x: Value, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes
) -> tuple[Value, Sizes]:
    """(N, C, *S) -> (C*K, N*P), and P."""
    n = len(kernel)
    found = build(
        convolution.windows,
        _padded(build, x, padding),
        dims=tuple(range(2, 2 + n)),
        size=kernel,
        step=stride,
        dilation=dilation,
    )
    positions = found.shape[2 : 2 + n]
    order = (1, *range(2 + n, 2 + 2 * n), 0, *range(2, 2 + n))
    moved = build(s.permute, found, order=order)
    rows = x.shape[1] * math.prod(kernel)
    return build(s.reshape, moved, shape=(rows, x.shape[0] * math.prod(positions))), positions


def _from_rows(build: Builder, y: Value, count: int, positions: Sizes) -> Value:
    """(O, N*P) -> (N, O, *P)."""
    wide = build(s.reshape, y, shape=(y.shape[0], count, *positions))
    return build(s.permute, wide, order=(1, 0, *range(2, 2 + len(positions))))


def _conv(
    build: Builder,
    x: Value,
    w: Value,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    groups: int,
) -> Value | None:
    if groups != 1 or x.dtype != w.dtype or x.dtype.itemsize < 4:
        return None
    columns, positions = _columns(build, x, w.shape[2:], stride, padding, dilation)
    flat = build(s.reshape, w, shape=(w.shape[0], -1))
    return _from_rows(build, build(linalg.matmul, flat, columns), x.shape[0], positions)


def _conv_weight(
    build: Builder,
    x: Value,
    g: Value,
    kernel: Sizes,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    groups: int,
) -> Value | None:
    if groups != 1 or x.dtype != g.dtype or x.dtype.itemsize < 4:
        return None
    columns, positions = _columns(build, x, kernel, stride, padding, dilation)
    if positions != g.shape[2:]:
        return None
    moved = build(s.permute, g, order=(1, 0, *range(2, len(g.shape))))
    rows = build(s.reshape, moved, shape=(g.shape[1], -1))
    w = build(linalg.matmul, rows, build(s.permute, columns, order=(1, 0)))
    return build(s.reshape, w, shape=(g.shape[1], x.shape[1], *kernel))


def _conv_input(
    build: Builder,
    g: Value,
    w: Value,
    size: Sizes,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    groups: int,
) -> Value | None:
    n = len(size)
    reach = [d * (k - 1) for k, d in zip(w.shape[2:], dilation, strict=True)]
    around = tuple(r - p for r, p in zip(reach, padding, strict=True))
    fits = all(
        p + r - 2 * b == length
        for p, r, b, length in zip(g.shape[2:], reach, padding, size, strict=True)
    )
    if set(stride) != {1} or min(around) < 0 or not fits:
        return None
    flipped = build(s.flip, w, dims=tuple(range(2, 2 + n)))
    turned = build(s.permute, flipped, order=(1, 0, *range(2, 2 + n)))
    return _conv(build, g, turned, (1,) * n, around, dilation, groups)


def _fold(
    build: Builder,
    g: Value,
    shape: Sizes,
    dims: Sizes,
    size: Sizes,
    step: Sizes,
    dilation: Sizes,
) -> Value | None:
    """Windows that do not overlap, laid side by side."""
    if size != step or set(dilation) != {1} or g.dtype.itemsize < 4:
        return None
    n = len(shape)
    order: list[int] = []
    for d in range(n):
        order.append(d)
        if d in dims:
            order.append(n + dims.index(d))
    side = tuple(g.shape[d] * size[dims.index(d)] if d in dims else g.shape[d] for d in range(n))
    if any(have > room for have, room in zip(side, shape, strict=True)):
        return None
    whole = build(s.reshape, build(s.permute, g, order=tuple(order)), shape=side)
    widths = tuple((0, room - have) for have, room in zip(side, shape, strict=True))
    return build(s.pad, whole, widths=widths, value=0.0) if side != shape else whole


WINDOWS: dict[str, Callable[..., Value | None]] = {
    "conv": _conv,
    "conv_weight": _conv_weight,
    "conv_input": _conv_input,
    "fold": _fold,
}
