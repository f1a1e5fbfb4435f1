"""Convolution and its gradients as contractions of windows; the gradient of windows as sums.

A convolution sums products of the kernel and of windows of the image. The windows are a view of the
padded image, and the contraction reads them where they lie; only where a matrix product is quicker
by the estimates of both are they unfolded into columns (im2col; Chellapilla et al., 2006). The
gradient of the kernel is a contraction with the same windows.

The gradient of the image is a convolution of the gradient with the flipped kernel. With a stride s,
the pixels fall into s phases along each dimension: those of one phase meet every s-th offset of the
kernel, so each phase is a small convolution without stride (Dumoulin and Visin, 2016, draw the
zeros that this leaves out). Where there are too many phases, the products are folded instead.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from ...primitives import convolution, elementwise as e, linalg, shape as s
from ..graph import Value
from ..layout import Layouts
from ..native import native
from ..products import small_products
from ..products.contraction import best_plan, contraction
from .boxes import Box, assembly

if TYPE_CHECKING:
    from .simplify import Builder

Sizes = tuple[int, ...]

_PHASES = 16
"""More of them are not worth a kernel each."""
_UNFOLDED = 2.0
"""Cycles to write an element of the columns and to read it again."""


def _fits(x: Value, y: Value) -> bool:
    return x.dtype == y.dtype and x.dtype.kind == "f" and x.dtype.itemsize >= 4


def _padded(build: Builder, x: Value, widths: tuple[tuple[int, int], ...]) -> Value:
    """The last dimensions padded with zeros."""
    before = ((0, 0),) * (len(x.shape) - len(widths))
    if any(w != (0, 0) for w in widths):
        return build(s.pad, x, widths=(*before, *widths), value=0.0)
    layout = Layouts()(x)
    if layout is None or layout.strides[-1] == 1 or x.shape[-1] == 1:
        return x
    return Value("copy", (x,), {}, x.shape, x.dtype, None, build.line)  # neighbours in memory


def _windows(build: Builder, x: Value, kernel: Sizes, stride: Sizes, dilation: Sizes) -> Value:
    """(N, C, *S) -> (N, C, *P, *K)."""
    dims = tuple(range(2, 2 + len(kernel)))
    return build(convolution.windows, x, dims=dims, size=kernel, step=stride, dilation=dilation)


def _contracted(build: Builder, a: Value, b: Value) -> Value:
    """(G, M, *K) and (N, G, *K, *P) -> (N, G, M, *P)."""
    places = b.shape[len(a.shape) :]
    shape = (b.shape[0], a.shape[0], a.shape[1], *places)
    key = ("contract", a, b)
    if key not in build.made:
        build.made[key] = Value("contract", (a, b), {}, shape, a.dtype, None, build.line)
    return build.made[key]


def _better_unfolded(a: Value, b: Value, m: int, n: int, k: int) -> bool:
    """Whether a matrix product (m, k) @ (k, n), of unfolded windows, is quicker."""
    bits = native.host().bits
    left, right = Layouts()(a), Layouts()(b)
    if left is None or right is None:  # copied anyway
        return False
    sums = contraction(a.dtype, (a.shape, left.strides), (b.shape, right.strides))
    cycles = best_plan(sums, bits).cycles - _UNFOLDED * k * n
    lanes = bits // (8 * a.dtype.itemsize)
    if cycles < m * n * k / (2 * lanes):  # what no product can do in less
        return False
    shape = small_products.Shape(a.dtype, m, n, k, (k, 1), (n, 1), (n, 1))
    best = small_products.blas_cycles(shape, bits)
    for turned in small_products.orientations(shape):
        if (plan := small_products.best_plan(turned, bits)) is not None:
            best = min(best, plan.cycles)
    return best < cycles


def _conv(
    build: Builder,
    x: Value,
    w: Value,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    groups: int,
) -> Value | None:
    if not _fits(x, w):
        return None
    kernel = w.shape[2:]
    if groups == 1 and x.shape[2:] == kernel and not any(padding) and set(dilation) == {1}:
        rows = build(s.reshape, x, shape=(x.shape[0], -1))
        flat = build(s.reshape, w, shape=(w.shape[0], -1))
        y = build(linalg.matmul, rows, build(s.permute, flat, order=(1, 0)))
        return build(s.reshape, y, shape=(x.shape[0], w.shape[0], *(1,) * len(kernel)))
    x = _padded(build, x, tuple((p, p) for p in padding))
    return _windowed(build, _windows(build, x, kernel, stride, dilation), w, groups)


def _windowed(build: Builder, found: Value, w: Value, groups: int) -> Value:
    """Windows (N, C, *P, *K) and a kernel (O, C / G, *K) -> (N, O, *P)."""
    n = len(w.shape) - 2
    count, channels = found.shape[:2]
    places, kernel = found.shape[2 : 2 + n], found.shape[2 + n :]
    outputs = w.shape[0]
    last = (*range(3 + n, 3 + 2 * n), *range(3, 3 + n))
    shape = (count, groups, channels // groups, *places, *kernel)
    b = build(s.permute, build(s.reshape, found, shape=shape), order=(0, 1, 2, *last))
    a = build(s.reshape, w, shape=(groups, outputs // groups, *w.shape[1:]))
    rows, total = channels * math.prod(kernel), count * math.prod(places)
    if groups == 1 and _better_unfolded(a, b, outputs, total, rows):
        order = (1, *range(2 + n, 2 + 2 * n), 0, *range(2, 2 + n))
        columns = build(s.reshape, build(s.permute, found, order=order), shape=(rows, total))
        y = build(linalg.matmul, build(s.reshape, w, shape=(outputs, rows)), columns)
        wide = build(s.reshape, y, shape=(outputs, count, *places))
        return build(s.permute, wide, order=(1, 0, *range(2, 2 + n)))
    return build(s.reshape, _contracted(build, a, b), shape=(count, outputs, *places))


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
    if not _fits(x, g):
        return None
    n = len(kernel)
    count, outputs, *places = g.shape
    channels = x.shape[1]
    shape = (outputs, channels // groups, *kernel)
    if groups == 1 and x.shape[2:] == kernel and not any(padding) and set(dilation) == {1}:
        rows = build(s.reshape, x, shape=(count, -1))
        flat = build(s.permute, build(s.reshape, g, shape=(count, outputs)), order=(1, 0))
        return build(s.reshape, build(linalg.matmul, flat, rows), shape=shape)
    x = _padded(build, x, tuple((p, p) for p in padding))
    g = _padded(build, g, ())
    found = _windows(build, x, kernel, stride, dilation)
    found = _cropped(build, found, (*found.shape[:2], *places, *kernel))
    if found.shape[2 : 2 + n] != tuple(places):
        return None
    total = count * math.prod(places)
    b = build(s.reshape, found, shape=(count, groups, channels // groups, *places, *kernel))
    order = (1, 0, *range(3, 3 + n), 2, *range(3 + n, 3 + 2 * n))
    b = build(s.reshape, build(s.permute, b, order=order), shape=(1, *[b.shape[d] for d in order]))
    a = build(s.reshape, g, shape=(count, groups, outputs // groups, *places))
    a = build(s.permute, a, order=(1, 2, 0, *range(3, 3 + n)))
    rows_ = channels * math.prod(kernel)
    if groups == 1 and _better_unfolded(a, b, outputs, rows_, total):
        order = (1, *range(2 + n, 2 + 2 * n), 0, *range(2, 2 + n))
        columns = build(s.reshape, build(s.permute, found, order=order), shape=(rows_, total))
        flat = build(s.reshape, a, shape=(outputs, total))
        w = build(linalg.matmul, flat, build(s.permute, columns, order=(1, 0)))
        return build(s.reshape, w, shape=shape)
    return build(s.reshape, _contracted(build, a, b), shape=shape)


def _cropped(build: Builder, x: Value, shape: Sizes) -> Value:
    """The first elements along each dimension, as many as there are wanted."""
    if all(have <= wanted for have, wanted in zip(x.shape, shape, strict=True)):
        return x
    return build(s.slice_, x, key=tuple(slice(0, n) for n in shape))


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
    if not _fits(g, w):
        return None
    kernel, n = w.shape[2:], len(size)
    count, outputs, *places = g.shape
    channels = w.shape[1] * groups
    whole = size == kernel and not any(padding) and set(dilation) == {1}
    if groups == 1 and whole and math.prod(places) == 1:
        rows = build(s.reshape, g, shape=(count, outputs))
        flat = build(s.reshape, w, shape=(outputs, -1))
        return build(s.reshape, build(linalg.matmul, rows, flat), shape=(count, channels, *size))
    if math.prod(stride) > _PHASES:
        return _folded(build, g, w, size, stride, padding, dilation, groups)
    per_dim = [
        [_phase(r, *one) for r in range(min(one[2], one[0]))]
        for one in zip(size, kernel, stride, padding, dilation, strict=True)
    ]
    taps = [[phase for phase in phases if phase[1]] for phases in per_dim]
    widths = tuple(
        (
            max([0, *(-first for _, _, _, _, first, _ in phases)]),
            max([0, *(q + first + (u - 1) * gap - p for q, u, _, _, first, gap in phases)]),
        )
        for phases, p in zip(taps, places, strict=True)
    )
    g = _padded(build, g, widths)
    flipped = build(s.flip, w, dims=tuple(range(2, 2 + n)))
    turned = build(s.reshape, flipped, shape=(groups, outputs // groups, *w.shape[1:]))
    turned = build(s.permute, turned, order=(0, 2, 1, *range(3, 3 + n)))
    parts: list[Value] = []
    boxes: list[Box] = []
    for phases in itertools.product(*[list(enumerate(one)) for one in per_dim]):
        if any(not phase[1] for _, phase in phases):
            continue
        offsets, pixels = [], []
        for (_, (q, u, tap, step, first, gap)), (before, _) in zip(phases, widths, strict=True):
            offsets.append(slice(tap, tap + step * (u - 1) + 1, step))
            start = before + first
            pixels.append(slice(start, start + q + (u - 1) * gap))
        a = build(s.slice_, turned, key=(*[slice(0, d) for d in turned.shape[:3]], *offsets))
        a = build(s.reshape, a, shape=(channels, outputs // groups, *a.shape[3:]))
        b = build(s.slice_, g, key=(*[slice(0, d) for d in g.shape[:2]], *pixels))
        found = _windows(build, b, a.shape[2:], (1,) * n, tuple(phase[5] for _, phase in phases))
        parts.append(_windowed(build, found, a, groups))
        boxes.append(tuple((r, r + 1) for r, _ in phases))
    if not parts:
        return build(s.expand, build.number(0, g.dtype), shape=(count, channels, *size))
    if set(stride) == {1}:
        return parts[0]
    return _interleaved(build, parts, boxes, size, stride)


def _phase(
    r: int, size: int, kernel: int, stride: int, padding: int, dilation: int
) -> tuple[int, int, int, int, int, int]:
    """The pixels r, r + stride, ... of a line as a convolution without stride.

    Returns:
        (how many pixels, how many offsets of the kernel meet them, the first of those in the
        flipped kernel and the step between them, the position that the first offset reads for the
        first pixel and the step between those).
    """
    pixels = -(-(size - r) // stride)
    step = stride // math.gcd(stride, dilation)
    met = [t for t in range(kernel) if (r + padding - t * dilation) % stride == 0]
    if not met or pixels <= 0:
        return pixels, 0, 0, 1, 0, 1
    first = (r + padding - met[-1] * dilation) // stride
    return pixels, len(met), kernel - 1 - met[-1], step, first, step * dilation // stride


def _interleaved(
    build: Builder, parts: list[Value], boxes: list[Box], size: Sizes, stride: Sizes
) -> Value:
    """Phases (N, C, *Q) laid out as (N, C, Q, s, ...), read as (N, C, *S)."""
    count, channels = parts[0].shape[:2]
    most = [-(-length // step) for length, step in zip(size, stride, strict=True)]
    shape = (count, channels, *[n for pair in zip(most, stride, strict=True) for n in pair])
    wide, where = [], []
    for part, box in zip(parts, boxes, strict=True):
        lengths = part.shape[2:]
        one = [n for length in lengths for n in (length, 1)]
        wide.append(build(s.reshape, part, shape=(count, channels, *one)))
        spans = [span for n, phase in zip(lengths, box, strict=True) for span in ((0, n), phase)]
        where.append(((0, count), (0, channels), *spans))
    whole = assembly(build, tuple(wide), tuple(where), shape)
    side = [n * step for n, step in zip(most, stride, strict=True)]
    flat = build(s.reshape, whole, shape=(count, channels, *side))
    return _cropped(build, flat, (count, channels, *size))


def _folded(
    build: Builder,
    g: Value,
    w: Value,
    size: Sizes,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    groups: int,
) -> Value | None:
    """The products of kernel and gradient, each added where it belongs."""
    n = len(size)
    kernel = w.shape[2:]
    count, outputs, *places = g.shape
    each = w.shape[1] * math.prod(kernel)
    a = build(s.reshape, w, shape=(groups, outputs // groups, each))
    a = build(s.permute, a, order=(0, 2, 1))
    b = build(s.reshape, _padded(build, g, ()), shape=(count, groups, outputs // groups, *places))
    products = _contracted(build, a, b)
    channels = w.shape[1] * groups
    split = build(s.reshape, products, shape=(count, channels, *kernel, *places))
    order = (0, 1, *range(2 + n, 2 + 2 * n), *range(2, 2 + n))
    shape = (count, channels, *[m + 2 * p for m, p in zip(size, padding, strict=True)])
    whole = _fold(
        build,
        build(s.permute, split, order=order),
        shape=shape,
        dims=tuple(range(2, 2 + n)),
        size=kernel,
        step=stride,
        dilation=dilation,
    )
    assert whole is not None
    inside = [slice(p, p + m) for m, p in zip(size, padding, strict=True)]
    return build(s.slice_, whole, key=(slice(0, count), slice(0, channels), *inside))


def _fold(
    build: Builder,
    g: Value,
    shape: Sizes,
    dims: Sizes,
    size: Sizes,
    step: Sizes,
    dilation: Sizes,
) -> Value | None:
    """Windows cut into blocks as long as a step; each block of the sum has some of them.

    Position p and offset m * step + r of a window belong to element r of block p + m.
    """
    if g.dtype.kind != "f" or g.dtype.itemsize < 4:
        return None
    n = len(shape)
    lead = g.shape[:n]
    if set(dilation) != {1}:
        reach = tuple(d * (k - 1) + 1 for k, d in zip(size, dilation, strict=True))
        parts, boxes = [], []
        for offset in itertools.product(*map(range, size)):
            one = tuple(slice(t, t + 1) for t in offset)
            parts.append(build(s.slice_, g, key=(*[slice(0, m) for m in lead], *one)))
            at = tuple((t * d, t * d + 1) for t, d in zip(offset, dilation, strict=True))
            boxes.append((*[(0, m) for m in lead], *at))
        g = assembly(build, tuple(parts), tuple(boxes), (*lead, *reach))
        size = reach
    blocks = [-(-k // each) for k, each in zip(size, step, strict=True)]
    grown = [(m - 1, m - 1) for m in blocks]
    filled = [(0, m * each - k) for m, each, k in zip(blocks, step, size, strict=True)]
    around = [grown[dims.index(d)] if d in dims else (0, 0) for d in range(n)] + filled
    if any(w != (0, 0) for w in around):
        g = build(s.pad, g, widths=tuple(around), value=0.0)
    counts = [lead[d] + m - 1 for d, m in zip(dims, blocks, strict=True)]
    total: Value | None = None
    for which in itertools.product(*map(range, blocks)):
        key = [slice(0, m) for m in g.shape]
        for i, (d, m) in enumerate(zip(dims, which, strict=True)):
            first = blocks[i] - 1 - m
            key[d] = slice(first, first + counts[i])
            key[n + i] = slice(m * step[i], (m + 1) * step[i])
        part = build(s.slice_, g, key=tuple(key))
        total = part if total is None else build(e.add, total, part)
    assert total is not None
    order = [x for d in range(n) for x in ([d, n + dims.index(d)] if d in dims else [d])]
    side = list(lead)
    for i, d in enumerate(dims):
        side[d] = counts[i] * step[i]
    whole = build(s.reshape, build(s.permute, total, order=tuple(order)), shape=tuple(side))
    whole = _cropped(build, whole, tuple(min(a, b) for a, b in zip(side, shape, strict=True)))
    after = tuple((0, wanted - have) for have, wanted in zip(whole.shape, shape, strict=True))
    if any(w != (0, 0) for w in after):
        whole = build(s.pad, whole, widths=after, value=0.0)
    return whole


WINDOWS: dict[str, Callable[..., Value | None]] = {
    "conv": _conv,
    "conv_weight": _conv_weight,
    "conv_input": _conv_input,
    "fold": _fold,
}
