"""Convolution, transposed convolution and pooling of sequences (1-D) and images (2-D).

Under ``autocast`` convolutions take 16-bit copies of float32 tensors. Products of those are
computed and added up in float32 and rounded once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base import fresh
from ..dtypes import HALVES, float32
from ..primitives import convolution as p, indexing, reduction, shape as shaping
from .arguments import factors, spread, to_dtype

if TYPE_CHECKING:
    from ..tensor import Tensor

Size = int | Sequence[int]


def _check(name: str, input: Tensor, weight: Tensor, n: int, groups: int, channels: int) -> None:
    x, w = input.array.shape, weight.array.shape
    if len(w) != n + 2:
        raise ValueError(f"{name}: weight {w}, expected {n + 2} dimensions")
    if len(x) not in (n + 1, n + 2):
        raise ValueError(f"{name}: input {x}, expected {n + 1} or {n + 2} dimensions")
    if x[-n - 1] != channels:
        raise ValueError(
            f"{name}: input {x} has {x[-n - 1]} channels, but weight {w} with groups={groups} "
            f"expects {channels}"
        )
    if groups < 1 or w[0] % groups:
        raise ValueError(f"{name}: groups={groups} does not divide the weight's first size {w[0]}")


def _convolve(
    n: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Size,
    padding: Size | str,
    dilation: Size,
    groups: int,
) -> Tensor:
    name = f"conv{n}d"
    _check(name, input, weight, n, groups, weight.array.shape[1] * groups)
    steps, gaps = spread(stride, n, "stride"), spread(dilation, n, "dilation")
    kernel = weight.array.shape[2:]
    input, weight, *rest = factors(*[t for t in (input, weight, bias) if t is not None])
    batched = input.array.ndim == n + 2
    x = input if batched else input.unsqueeze(0)
    if isinstance(padding, str):
        x, widths = _named_padding(name, x, padding, kernel, steps, gaps)
    else:
        widths = spread(padding, n, "padding")
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, gaps, strict=True)]
    if any(s + 2 * w < r for s, w, r in zip(x.array.shape[2:], widths, reach, strict=True)):
        raise ValueError(
            f"{name}: the kernel reaches over {tuple(reach)} pixels, more than the padded input "
            f"{tuple(x.array.shape[2:])} + 2 * {widths}"
        )
    y = p.conv(x, weight, stride=steps, padding=widths, dilation=gaps, groups=groups)
    return _finish(y, rest, n, batched)


def _named_padding(
    name: str, x: Tensor, padding: str, kernel: Any, steps: Any, gaps: Any
) -> tuple[Tensor, tuple[int, ...]]:
    n = len(kernel)
    if padding == "valid":
        return x, (0,) * n
    if padding != "same":
        raise ValueError(f"{name}: padding {padding!r}; expected a number, 'same' or 'valid'")
    if any(s != 1 for s in steps):
        raise ValueError(f"{name}: padding 'same' needs stride 1, got {steps}")
    total = [d * (k - 1) for k, d in zip(kernel, gaps, strict=True)]
    if any(t % 2 for t in total):
        odd = ((0, 0), (0, 0), *((0, t % 2) for t in total))
        x = shaping.pad(x, widths=odd, value=0.0)
    return x, tuple(t // 2 for t in total)


def _finish(y: Tensor, biases: list[Tensor], n: int, batched: bool) -> Tensor:
    for bias in biases:  # one or none
        y = y + bias.reshape(-1, *(1,) * n)
    return y if batched else y.squeeze(0)


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation of sequences with kernels.

    Args:
        stride: step between positions. padding: zeros at both ends, or "same" or "valid".
        dilation: distance between the kernel's elements.
        groups: channels are split into groups that do not see each other.

    Shape:
        input (N, C, L) or (C, L), weight (O, C / groups, K), bias (O,) -> (N, O, L'), where
        L' = (L + 2 padding - dilation (K - 1) - 1) // stride + 1.

    Raises:
        ValueError: shapes that do not fit.

    Example:
        >>> gu.conv1d(gu.tensor([[[1.0, 2.0, 4.0]]]), gu.tensor([[[-1.0, 1.0]]]))
        tensor([[[1., 2.]]], shape=(1, 1, 2), dtype=float32)
    """
    return _convolve(1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation of images with kernels. Arguments as for ``conv1d``, one number or two.

    Shape:
        input (N, C, H, W) or (C, H, W), weight (O, C / groups, KH, KW), bias (O,)
        -> (N, O, H', W').

    Raises:
        ValueError: shapes that do not fit.

    Example:
        >>> gu.conv2d(gu.ones(1, 1, 3, 3), gu.ones(1, 1, 2, 2)).shape
        (1, 1, 2, 2)
    """
    return _convolve(2, input, weight, bias, stride, padding, dilation, groups)


def _transposed(
    n: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Size,
    padding: Size,
    output_padding: Size,
    groups: int,
    dilation: Size,
) -> Tensor:
    name = f"conv_transpose{n}d"
    _check(name, input, weight, n, groups, weight.array.shape[0])
    steps, gaps = spread(stride, n, "stride"), spread(dilation, n, "dilation")
    widths, extra = spread(padding, n, "padding"), spread(output_padding, n, "output_padding")
    if any(e >= max(s, d) for e, s, d in zip(extra, steps, gaps, strict=True)):
        raise ValueError(
            f"{name}: output_padding {extra} must be below stride {steps} or dilation {gaps}"
        )
    input, weight, *rest = factors(*[t for t in (input, weight, bias) if t is not None])
    batched = input.array.ndim == n + 2
    x = input if batched else input.unsqueeze(0)
    size = tuple(
        (length - 1) * s - 2 * w + d * (k - 1) + e + 1
        for length, s, w, d, k, e in zip(
            x.array.shape[2:], steps, widths, gaps, weight.array.shape[2:], extra, strict=True
        )
    )
    if min(x.array.shape[2:]) < 1:
        raise ValueError(f"{name}: input {input.array.shape} has a dimension of size 0")
    if min(size) < 0:
        raise ValueError(f"{name}: the output would have the negative size {size}")
    y = p.conv_input(
        x, weight, size=size, stride=steps, padding=widths, dilation=gaps, groups=groups
    )
    return _finish(y, rest, n, batched)


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> Tensor:
    """The transpose (gradient with respect to the input) of ``conv1d``; enlarges sequences.

    Args:
        output_padding: added to one end of the output, to choose among the lengths that ``conv1d``
            with this stride would map to the input's.

    Shape:
        input (N, C, L) or (C, L), weight (C, O / groups, K), bias (O,) -> (N, O, L'), where
        L' = (L - 1) stride - 2 padding + dilation (K - 1) + output_padding + 1.

    Raises:
        ValueError: shapes that do not fit.

    Example:
        >>> gu.conv_transpose1d(gu.tensor([[[1.0, 2.0]]]), gu.ones(1, 1, 2), stride=2)
        tensor([[[1., 1., 2., 2.]]], shape=(1, 1, 4), dtype=float32)
    """
    return _transposed(1, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> Tensor:
    """The transpose of ``conv2d``; enlarges images. Arguments as for ``conv_transpose1d``.

    Shape:
        input (N, C, H, W) or (C, H, W), weight (C, O / groups, KH, KW), bias (O,)
        -> (N, O, H', W').

    Raises:
        ValueError: shapes that do not fit.

    Example:
        >>> gu.conv_transpose2d(gu.ones(1, 1, 2, 2), gu.ones(1, 1, 2, 2), stride=2).shape
        (1, 1, 4, 4)
    """
    return _transposed(2, input, weight, bias, stride, padding, output_padding, groups, dilation)


def _pooling_windows(
    name: str,
    n: int,
    input: Tensor,
    kernel_size: Size,
    stride: Size | None,
    padding: Size,
    dilation: Size,
    ceil_mode: bool,
    *,
    fill: float,
) -> tuple[Tensor, list[tuple[int, int]]]:
    """Windows (..., *positions, *kernel), and the (before, after) padding of each dimension."""
    if input.array.ndim not in (n + 1, n + 2):
        raise ValueError(
            f"{name}: input {input.array.shape}, expected {n + 1} or {n + 2} dimensions"
        )
    kernel = spread(kernel_size, n, "kernel_size")
    step = spread(kernel if stride is None or stride == () else stride, n, "stride")
    before, gaps = spread(padding, n, "padding"), spread(dilation, n, "dilation")
    if min(*kernel, *step, *gaps) < 1 or min(before) < 0:
        raise ValueError(
            f"{name}: kernel_size {kernel}, stride {step} and dilation {gaps} must be positive, "
            f"padding {before} at least 0"
        )
    if any(2 * b > k for b, k in zip(before, kernel, strict=True)):
        raise ValueError(f"{name}: padding {before} exceeds half of kernel_size {kernel}")
    widths = []
    for size, k, s, b, d in zip(input.array.shape[-n:], kernel, step, before, gaps, strict=True):
        reach = d * (k - 1) + 1
        free = size + 2 * b - reach
        if free < 0:
            raise ValueError(f"{name}: kernel_size {kernel} exceeds the input {input.array.shape}")
        extra = 0
        if ceil_mode and free % s:
            # One more window, unless it would start beyond the input.
            start = (free // s + 1) * s
            extra = start + reach - (size + 2 * b) if start < size + b else 0
        widths.append((b, b + extra))
    x = input
    if any(w != (0, 0) for w in widths):
        lead = ((0, 0),) * (x.array.ndim - n)
        x = shaping.pad(x, widths=(*lead, *widths), value=fill)
    dims = tuple(range(x.array.ndim - n, x.array.ndim))
    return p.windows(x, dims=dims, size=kernel, step=step, dilation=gaps), widths


def _max_pool(n: int, *arguments: Any) -> Tensor:
    found, _ = _pooling_windows(f"max_pool{n}d", n, *arguments, fill=-float("inf"))
    flat = found.flatten(-n)
    last = flat.array.ndim - 1
    return indexing.gather(flat, reduction.argmax(flat, dim=last), dim=last).squeeze(last)


def max_pool1d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """Largest value in each window; the first of equal ones gets the gradient.

    Args:
        stride: step between windows, ``kernel_size`` if None.
        padding: minus infinity at both ends, at most half the kernel.
        ceil_mode: keep a last window that is only partly filled.

    Shape:
        (N, C, L) or (C, L) -> (N, C, L').

    Example:
        >>> gu.nn.functional.max_pool1d(gu.tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
        tensor([[3., 2.]], shape=(1, 2), dtype=float32)
    """
    return _max_pool(1, input, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """Largest value in each window of an image. Arguments as for ``max_pool1d``, one number or two.

    Shape:
        (N, C, H, W) or (C, H, W) -> (N, C, H', W').

    Example:
        >>> gu.nn.functional.max_pool2d(gu.arange(16.0).reshape(1, 4, 4), 2)
        tensor([[[ 5.,  7.],
                 [13., 15.]]], shape=(1, 2, 2), dtype=float32)
    """
    return _max_pool(2, input, kernel_size, stride, padding, dilation, ceil_mode)


def _avg_pool(n: int, input: Tensor, *arguments: Any, include: bool, divisor: int | None) -> Tensor:
    if input.array.dtype.char in HALVES:  # the sum of a window may exceed float16
        wide = to_dtype(input, float32)
        mean = _avg_pool(n, wide, *arguments, include=include, divisor=divisor)
        return to_dtype(mean, input.array.dtype)
    found, widths = _pooling_windows(f"avg_pool{n}d", n, input, *arguments, fill=0.0)
    dims = tuple(range(found.array.ndim - n, found.array.ndim))
    total = reduction.sum(found, dims=dims, keepdim=False)
    if divisor is not None:
        if not divisor:
            raise ValueError("avg_pool2d: divisor_override is 0, expected another number")
        return total / divisor
    kernel, stride, padding, dilation, ceil_mode = arguments
    if all(after <= before for before, after in widths) and (
        include or not any(a for a, _ in widths)
    ):
        return total / math.prod(found.array.shape[-n:])
    # Count the elements of each window: those of the input, with its padding where that counts,
    # but never those that ceil_mode added beyond it.
    size = input.array.shape[-n:]
    ones = fresh(np.ones((1, *size), input.array.dtype))
    if include:
        grown = ((0, 0), *((b, b) for b, _ in widths))
        ones = shaping.pad(ones, widths=grown, value=1.0)
        beyond = ((0, 0), *((0, a - b) for b, a in widths))
        ones = shaping.pad(ones, widths=beyond, value=0.0)
        padding = 0
        ceil_mode = False
    counted, _ = _pooling_windows(
        f"avg_pool{n}d", n, ones, kernel, stride, padding, dilation, ceil_mode, fill=0.0
    )
    dims = tuple(range(counted.array.ndim - n, counted.array.ndim))
    return total / reduction.sum(counted, dims=dims, keepdim=False).squeeze(0)


def avg_pool1d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """Mean of each window.

    Args:
        stride: step between windows, ``kernel_size`` if None.
        padding: zeros at both ends, at most half the kernel.
        ceil_mode: keep a last window that is only partly filled.
        count_include_pad: whether the padding counts in the mean.

    Shape:
        (N, C, L) or (C, L) -> (N, C, L').

    Example:
        >>> gu.nn.functional.avg_pool1d(gu.tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
        tensor([[2., 1.]], shape=(1, 2), dtype=float32)
    """
    return _avg_pool(
        1,
        input,
        kernel_size,
        stride,
        padding,
        1,
        ceil_mode,
        include=count_include_pad,
        divisor=None,
    )


def avg_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """Mean of each window of an image. Arguments as for ``avg_pool1d``, one number or two.

    Args:
        divisor_override: divide by this number instead of the window's count.

    Shape:
        (N, C, H, W) or (C, H, W) -> (N, C, H', W').

    Example:
        >>> gu.nn.functional.avg_pool2d(gu.arange(16.0).reshape(1, 4, 4), 2)
        tensor([[[ 2.5000,  4.5000],
                 [10.5000, 12.5000]]], shape=(1, 2, 2), dtype=float32)
    """
    return _avg_pool(
        2,
        input,
        kernel_size,
        stride,
        padding,
        1,
        ceil_mode,
        include=count_include_pad,
        divisor=divisor_override,
    )
