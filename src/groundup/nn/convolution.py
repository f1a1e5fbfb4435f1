"""Convolution layers for sequences and images (LeCun et al., 1989), and their transposes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..engine.ops.arguments import spread
from ..engine.ops.convolution import (
    Size,
    conv1d,
    conv2d,
    conv_transpose1d,
    conv_transpose2d,
)
from ..engine.ops.creation import empty
from ..engine.ops.shaping import pad
from ..engine.random import Generator
from ..engine.tensor import Tensor
from . import init
from .module import Module, Parameter

_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _Convolution(Module):
    """What the four layers share: sizes, parameters, initial values, and the check of the input."""

    n: int
    transposed = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size,
        padding: Size | str,
        dilation: Size,
        groups: int,
        bias: bool,
        dtype: Any,
        generator: Generator | None,
    ) -> None:
        name = f"{type(self).__name__}({in_channels}, {out_channels})"
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ValueError(
                f"{name}: groups={groups} must divide in_channels and out_channels evenly"
            )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = spread(kernel_size, self.n, "kernel_size")
        self.stride = spread(stride, self.n, "stride")
        self.padding = padding if isinstance(padding, str) else spread(padding, self.n, "padding")
        self.dilation = spread(dilation, self.n, "dilation")
        self.groups = groups
        channels = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        shape = (channels[0], channels[1] // groups, *self.kernel_size)
        self.weight = Parameter(empty(shape, dtype=dtype))
        self.bias = Parameter(empty(out_channels, dtype=dtype)) if bias else None
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw new initial values."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5), generator=generator)
        if self.bias is not None:
            bound = 1 / math.sqrt(max(init.fans(self.weight)[0], 1))
            init.uniform_(self.bias, -bound, bound, generator)

    def _check(self, input: Tensor) -> None:
        shape, n = input.shape, self.n
        if len(shape) not in (n + 1, n + 2) or shape[-n - 1] != self.in_channels:
            sizes = ("L",) if n == 1 else ("H", "W")
            expected = ", ".join([str(self.in_channels), *sizes])
            raise ValueError(
                f"{type(self).__name__}({self.in_channels}, {self.out_channels}): input has shape "
                f"{shape}, expected (N, {expected}) or ({expected})"
            )

    def extra_repr(self) -> str:
        parts = [
            f"{self.in_channels}, {self.out_channels}",
            f"kernel_size={self.kernel_size}",
            f"stride={self.stride}",
        ]
        if self.padding != (0,) * self.n:
            parts.append(f"padding={self.padding}")
        if self.dilation != (1,) * self.n:
            parts.append(f"dilation={self.dilation}")
        parts += self._more()
        if self.groups != 1:
            parts.append(f"groups={self.groups}")
        if self.bias is None:
            parts.append("bias=False")
        return ", ".join(parts)

    def _more(self) -> list[str]:
        """What ``repr`` shows of the arguments that not all of them have."""
        return []


class _Forward(_Convolution):
    """Convolution with a choice of what lies beyond the borders."""

    _convolve: Callable[..., Tensor]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        dtype: Any = None,
        generator: Generator | None = None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            dtype,
            generator,
        )
        if padding_mode not in _PADDING_MODES:
            raise ValueError(f"padding_mode {padding_mode!r}; expected one of {_PADDING_MODES}")
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise ValueError(f"padding {padding!r}; expected numbers, 'same' or 'valid'")
        if padding == "same" and any(s != 1 for s in self.stride):
            raise ValueError(f"padding 'same' needs stride 1, got {self.stride}")
        self.padding_mode = padding_mode

    def forward(self, input: Tensor) -> Tensor:
        self._check(input)
        padding: Size | str = self.padding
        if self.padding_mode != "zeros":
            input, padding = pad(input, self._borders(), self.padding_mode), 0
        return self._convolve(
            input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups
        )

    def _borders(self) -> list[int]:
        """(before, after) of each dimension, the last dimension first."""
        borders: list[int] = []
        for i in reversed(range(self.n)):
            if isinstance(self.padding, str):
                reach = (
                    self.dilation[i] * (self.kernel_size[i] - 1) if self.padding == "same" else 0
                )
                borders += [reach // 2, reach - reach // 2]
            else:
                borders += [self.padding[i], self.padding[i]]
        return borders

    def _more(self) -> list[str]:
        return [] if self.padding_mode == "zeros" else [f"padding_mode={self.padding_mode}"]


class Conv1d(_Forward):
    """Cross-correlation of sequences with kernels, plus a bias.

    Weight and bias begin uniform in +- 1 / sqrt(in_channels / groups * kernel_size).

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: length of the kernels.
        stride: step between positions.
        padding: how far the input is continued at both ends; "same" keeps the length, "valid" is 0.
        dilation: distance between the kernel's elements.
        groups: channels are split into groups that do not see each other.
        bias: whether a bias is added.
        padding_mode: how the input is continued: "zeros", "reflect", "replicate" or "circular".
        dtype: of the parameters; default: the default floating type.
        generator: where the initial values come from.

    Shape:
        (N, in_channels, L) or (in_channels, L) -> (N, out_channels, L'), where
        L' = (L + 2 padding - dilation (kernel_size - 1) - 1) // stride + 1.
        weight (out_channels, in_channels / groups, kernel_size), bias (out_channels,).

    Raises:
        ValueError: sizes that do not fit.

    Example:
        >>> nn.Conv1d(3, 8, 5, padding=2)(gu.zeros(2, 3, 16)).shape
        (2, 8, 16)
    """

    n = 1
    _convolve = staticmethod(conv1d)


class Conv2d(_Forward):
    """Cross-correlation of images with kernels, plus a bias. Arguments as for ``Conv1d``.

    ``kernel_size``, ``stride``, ``padding`` and ``dilation`` are one number or two (height, width).

    Shape:
        (N, in_channels, H, W) or (in_channels, H, W) -> (N, out_channels, H', W').
        weight (out_channels, in_channels / groups, KH, KW), bias (out_channels,).

    Raises:
        ValueError: sizes that do not fit.

    Example:
        >>> nn.Conv2d(1, 8, 3)(gu.zeros(2, 3, 28, 28))
        Traceback (most recent call last):
        ...
        ValueError: Conv2d(1, 8): input has shape (2, 3, 28, 28), expected (N, 1, H, W) or (1, H, W)
    """

    n = 2
    _convolve = staticmethod(conv2d)


class _Transposed(_Convolution):
    """The gradient of a convolution with respect to its input, as a layer."""

    transposed = True
    _convolve: Callable[..., Tensor]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Size = 1,
        *,
        dtype: Any = None,
        generator: Generator | None = None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            dtype,
            generator,
        )
        self.output_padding = spread(output_padding, self.n, "output_padding")

    def forward(self, input: Tensor) -> Tensor:
        self._check(input)
        return self._convolve(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self.output_padding,
            self.groups,
            self.dilation,
        )

    def _more(self) -> list[str]:
        return [f"output_padding={self.output_padding}"] if any(self.output_padding) else []


class ConvTranspose1d(_Transposed):
    """The transpose of ``Conv1d``: enlarges sequences. Other arguments as there.

    Weight and bias begin uniform in +- 1 / sqrt(out_channels / groups * kernel_size).

    Args:
        output_padding: added to one end of the output, to choose among the lengths that a
            ``Conv1d`` with this stride would map to the input's.

    Shape:
        (N, in_channels, L) or (in_channels, L) -> (N, out_channels, L'), where
        L' = (L - 1) stride - 2 padding + dilation (kernel_size - 1) + output_padding + 1.
        weight (in_channels, out_channels / groups, kernel_size), bias (out_channels,).

    Raises:
        ValueError: sizes that do not fit.

    Example:
        >>> nn.ConvTranspose1d(8, 3, 4, stride=2, padding=1)(gu.zeros(2, 8, 16)).shape
        (2, 3, 32)
    """

    n = 1
    _convolve = staticmethod(conv_transpose1d)


class ConvTranspose2d(_Transposed):
    """The transpose of ``Conv2d``: enlarges images. Arguments as for ``ConvTranspose1d``.

    Shape:
        (N, in_channels, H, W) or (in_channels, H, W) -> (N, out_channels, H', W').
        weight (in_channels, out_channels / groups, KH, KW), bias (out_channels,).

    Raises:
        ValueError: sizes that do not fit.

    Example:
        >>> nn.ConvTranspose2d(8, 3, 4, stride=2, padding=1)(gu.zeros(2, 8, 14, 14)).shape
        (2, 3, 28, 28)
    """

    n = 2
    _convolve = staticmethod(conv_transpose2d)
