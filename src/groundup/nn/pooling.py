"""Pooling and resizing layers: fewer or more positions, without parameters."""

from __future__ import annotations

from collections.abc import Sequence

from ..engine.ops.convolution import Size, avg_pool1d, avg_pool2d, max_pool1d, max_pool2d
from ..engine.tensor import Tensor
from .functional.resize import adaptive_avg_pool1d, adaptive_avg_pool2d, interpolate
from .module import Module


class _MaxPool(Module):
    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        dilation: Size = 1,
        *,
        ceil_mode: bool = False,
    ) -> None:
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.ceil_mode = ceil_mode

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """Largest value in each window of a sequence; the first of equal ones gets the gradient.

    Args:
        kernel_size: length of a window.
        stride: step between windows, ``kernel_size`` if None.
        padding: minus infinity at both ends, at most half the kernel.
        dilation: distance between the elements of a window.
        ceil_mode: keep a last window that is only partly filled.

    Shape:
        (N, C, L) or (C, L) -> (N, C, L').

    Raises:
        ValueError: sizes that do not fit.

    Example:
        >>> nn.MaxPool1d(2)(gu.tensor([[1.0, 3.0, 2.0, 0.0]])).tolist()
        [[3.0, 2.0]]
    """

    def forward(self, input: Tensor) -> Tensor:
        return max_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode
        )


class MaxPool2d(_MaxPool):
    """Largest value in each window of an image. Arguments as for ``MaxPool1d``, one number or two.

    Shape:
        (N, C, H, W) or (C, H, W) -> (N, C, H', W').

    Raises:
        ValueError: sizes that do not fit.

    Example:
        >>> nn.MaxPool2d(2)(gu.zeros(2, 3, 8, 8)).shape
        (2, 3, 4, 4)
    """

    def forward(self, input: Tensor) -> Tensor:
        return max_pool2d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode
        )


class AvgPool1d(Module):
    """Mean of each window of a sequence.

    Args:
        kernel_size: length of a window.
        stride: step between windows, ``kernel_size`` if None.
        padding: zeros at both ends, at most half the kernel.
        ceil_mode: keep a last window that is only partly filled.
        count_include_pad: whether the padding counts in the mean.

    Shape:
        (N, C, L) or (C, L) -> (N, C, L').

    Raises:
        ValueError: sizes that do not fit.

    Example:
        >>> nn.AvgPool1d(2)(gu.tensor([[1.0, 3.0, 2.0, 0.0]])).tolist()
        [[2.0, 1.0]]
    """

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        return avg_pool1d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(AvgPool1d):
    """Mean of each window of an image. Arguments as for ``AvgPool1d``, one number or two.

    Args:
        divisor_override: divide by this number instead of the count of a window.

    Shape:
        (N, C, H, W) or (C, H, W) -> (N, C, H', W').

    Raises:
        ValueError: sizes that do not fit.

    Example:
        >>> nn.AvgPool2d(2)(gu.zeros(2, 3, 8, 8)).shape
        (2, 3, 4, 4)
    """

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        return avg_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )


class AdaptiveAvgPool1d(Module):
    """Mean over as many windows as asked for, whatever the length of the sequence.

    Args:
        output_size: length of the output; None keeps the input's.

    Shape:
        (N, C, L) or (C, L) -> (N, C, output_size).

    Example:
        >>> nn.AdaptiveAvgPool1d(2)(gu.tensor([[1.0, 3.0, 5.0, 7.0]])).tolist()
        [[2.0, 6.0]]
    """

    def __init__(self, output_size: int | Sequence[int | None] | None) -> None:
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        return adaptive_avg_pool1d(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool2d(AdaptiveAvgPool1d):
    """Mean over as many windows as asked for, whatever the size of the image.

    Args:
        output_size: of the output, one number or two; None keeps the input's.

    Shape:
        (N, C, H, W) or (C, H, W) -> (N, C, *output_size).

    Example:
        >>> nn.AdaptiveAvgPool2d((1, None))(gu.zeros(2, 3, 7, 5)).shape
        (2, 3, 1, 5)
    """

    def forward(self, input: Tensor) -> Tensor:
        return adaptive_avg_pool2d(input, self.output_size)


class Upsample(Module):
    """Another size, by repeating positions or reading between them. See ``F.interpolate``.

    Args:
        size: of the output, one number or one for each spatial dimension.
        scale_factor: instead of the size: output over input.
        mode: "nearest", "linear", "bilinear", "bicubic" and others of ``F.interpolate``.
        align_corners: whether the centres of the corner pixels stay where they are.

    Shape:
        (N, C, *) -> (N, C, *) with other spatial sizes.

    Raises:
        ValueError: neither or both of ``size`` and ``scale_factor``, or a mode that does not fit.

    Example:
        >>> nn.Upsample(scale_factor=2)(gu.zeros(1, 3, 4, 4)).shape
        (1, 3, 8, 8)
    """

    def __init__(
        self,
        size: int | Sequence[int] | None = None,
        scale_factor: float | Sequence[float] | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
    ) -> None:
        self.size = size
        self.scale_factor = scale_factor
        self.mode = mode
        self.align_corners = align_corners

    def forward(self, input: Tensor) -> Tensor:
        return interpolate(input, self.size, self.scale_factor, self.mode, self.align_corners)

    def extra_repr(self) -> str:
        size = "size" if self.scale_factor is None else "scale_factor"
        return f"{size}={getattr(self, size)}, mode={self.mode!r}"
