"""Normalisation layers; what each takes its mean over, and the papers, are in ``nn.functional``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..engine.autograd import no_grad
from ..engine.ops.creation import ones, tensor, zeros
from ..engine.tensor import Tensor
from .functional.normalization import batch_norm, group_norm, layer_norm, rms_norm
from .module import Buffer, Module, Parameter


class _BatchNorm(Module):
    """Batch normalisation of inputs with certain numbers of dimensions."""

    _layouts: dict[int, str]

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        dtype: Any = None,
    ) -> None:
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        self.weight = Parameter(ones(num_features, dtype=dtype)) if affine else None
        self.bias = Parameter(zeros(num_features, dtype=dtype)) if affine else None
        self.running_mean: Buffer | None = None
        self.running_var: Buffer | None = None
        self.num_batches_tracked: Buffer | None = None
        if track_running_stats:
            self.running_mean = Buffer(zeros(num_features, dtype=dtype))
            self.running_var = Buffer(ones(num_features, dtype=dtype))
            self.num_batches_tracked = Buffer(tensor(0))

    def forward(self, input: Tensor) -> Tensor:
        shape = input.shape
        if len(shape) not in self._layouts or shape[1] != self.num_features:
            expected = " or ".join(
                layout.format(self.num_features) for layout in self._layouts.values()
            )
            raise ValueError(
                f"{type(self).__name__}({self.num_features}): input has shape {shape}, "
                f"expected {expected}"
            )
        momentum: float | Tensor = 0.0 if self.momentum is None else self.momentum
        if self.training and self.num_batches_tracked is not None:
            with no_grad():
                self.num_batches_tracked.assign(self.num_batches_tracked + 1)
                if self.momentum is None:  # the mean over all batches so far
                    momentum = 1 / self.num_batches_tracked
        return batch_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or self.running_mean is None,
            momentum,
            self.eps,
        )

    def reset_running_stats(self) -> None:
        """Forget the running statistics: mean 0, variance 1, no batches."""
        with no_grad():
            for buffer, value in (
                (self.running_mean, 0),
                (self.running_var, 1),
                (self.num_batches_tracked, 0),
            ):
                if buffer is not None:
                    buffer.assign(value)

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    """Each channel with the mean and variance of the batch (Ioffe and Szegedy, 2015).

    In training the batch's own statistics are used, and running ones are moved towards them; in
    evaluation the running ones are used.

    Args:
        num_features: channels.
        eps: added to the variance.
        momentum: the share of each batch in the running statistics; None for the mean over all
            batches.
        affine: scale and shift each channel after normalising.
        track_running_stats: keep running statistics; false uses the batch's in evaluation too.
        dtype: of the parameters; default: the default floating type.

    Shape:
        (N, C) or (N, C, L), the same out. weight, bias, running_mean, running_var (C,);
        num_batches_tracked ().

    Raises:
        ValueError: another shape, or one value for each channel in training.

    Example:
        >>> nn.BatchNorm1d(2)(gu.tensor([[1.0, 5.0], [3.0, 9.0]])).round().tolist()
        [[-1.0, -1.0], [1.0, 1.0]]
    """

    _layouts = {2: "(N, {})", 3: "(N, {}, L)"}  # noqa: RUF012 - never changed


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of images. Arguments as for ``BatchNorm1d``.

    Shape:
        (N, C, H, W), the same out.

    Raises:
        ValueError: another shape, or one value for each channel in training.

    Example:
        >>> nn.BatchNorm2d(3)(gu.zeros(2, 4, 8, 8))
        Traceback (most recent call last):
        ...
        ValueError: BatchNorm2d(3): input has shape (2, 4, 8, 8), expected (N, 3, H, W)
    """

    _layouts = {4: "(N, {}, H, W)"}  # noqa: RUF012 - never changed


class LayerNorm(Module):
    """The last dimensions of each sample with their mean and variance (Ba et al., 2016).

    Args:
        normalized_shape: sizes of the last dimensions, which are normalised together.
        eps: added to the variance.
        elementwise_affine: scale each element after normalising.
        bias: shift each element too.
        dtype: of the parameters; default: the default floating type.

    Shape:
        (*, *normalized_shape), the same out. weight, bias normalized_shape.

    Raises:
        ValueError: the input does not end in that shape.

    Example:
        >>> nn.LayerNorm(2)(gu.tensor([[1.0, 3.0]])).round().tolist()
        [[-1.0, 1.0]]
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        dtype: Any = None,
    ) -> None:
        self.normalized_shape = _shape(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        shape = self.normalized_shape
        self.weight = Parameter(ones(shape, dtype=dtype)) if elementwise_affine else None
        self.bias = Parameter(zeros(shape, dtype=dtype)) if elementwise_affine and bias else None

    def forward(self, input: Tensor) -> Tensor:
        _check_end(self, input, self.normalized_shape)
        return layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """The last dimensions divided by their root mean square (Zhang and Sennrich, 2019).

    Args:
        normalized_shape: sizes of the last dimensions, which are normalised together.
        eps: added to the mean square; None for the rounding unit of the input's dtype.
        elementwise_affine: scale each element after normalising.
        dtype: of the parameters; default: the default floating type.

    Shape:
        (*, *normalized_shape), the same out. weight normalized_shape.

    Raises:
        ValueError: the input does not end in that shape.

    Example:
        >>> nn.RMSNorm(2)(gu.tensor([[-3.0, 3.0]])).round().tolist()
        [[-1.0, 1.0]]
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        *,
        dtype: Any = None,
    ) -> None:
        self.normalized_shape = _shape(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self.weight = (
            Parameter(ones(self.normalized_shape, dtype=dtype)) if elementwise_affine else None
        )

    def forward(self, input: Tensor) -> Tensor:
        _check_end(self, input, self.normalized_shape)
        return rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )


class GroupNorm(Module):
    """Groups of channels of each sample with their mean and variance (Wu and He, 2018).

    Args:
        num_groups: how many groups the channels are split into.
        num_channels: channels.
        eps: added to the variance.
        affine: scale and shift each channel after normalising.
        dtype: of the parameters; default: the default floating type.

    Shape:
        (N, C, *), the same out. weight, bias (C,).

    Raises:
        ValueError: the channels do not split into so many groups, or the input has others.

    Example:
        >>> nn.GroupNorm(2, 4)(gu.zeros(1, 4, 8, 8)).shape
        (1, 4, 8, 8)
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        *,
        dtype: Any = None,
    ) -> None:
        if num_groups < 1 or num_channels % num_groups:
            raise ValueError(
                f"GroupNorm({num_groups}, {num_channels}): the channels do not split into "
                f"{num_groups} groups of equal size"
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        self.weight = Parameter(ones(num_channels, dtype=dtype)) if affine else None
        self.bias = Parameter(zeros(num_channels, dtype=dtype)) if affine else None

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim < 2 or input.shape[1] != self.num_channels:
            raise ValueError(
                f"GroupNorm({self.num_groups}, {self.num_channels}): input has shape "
                f"{input.shape}, expected (N, {self.num_channels}, ...)"
            )
        return group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"


def _shape(given: int | Sequence[int]) -> tuple[int, ...]:
    return (given,) if isinstance(given, int) else tuple(given)


def _check_end(layer: Module, input: Tensor, shape: tuple[int, ...]) -> None:
    if input.shape[-len(shape) :] != shape:
        name = f"{type(layer).__name__}({shape[0] if len(shape) == 1 else shape})"
        raise ValueError(
            f"{name}: input has shape {input.shape}, expected (..., {', '.join(map(str, shape))})"
        )
