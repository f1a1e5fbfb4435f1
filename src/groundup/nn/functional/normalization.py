"""Normalisation: subtract a mean and divide by a deviation, over a batch, a layer or a group.

They differ in what the mean is taken over. For an input (N, C, H, W):

    batch_norm   N, H, W for each channel    Ioffe and Szegedy, 2015
    layer_norm   the last dimensions         Ba et al., 2016
    group_norm   H, W and a group of C       Wu and He, 2018
    rms_norm     as layer_norm, without subtracting the mean    Zhang and Sennrich, 2019

The result has the input's dtype. Statistics of float16 inputs are computed in float32.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ...engine.autocast import widened
from ...engine.autograd import no_grad
from ...engine.dtypes import bfloat16, float16, float32, float64
from ...engine.ops.arguments import to_dtype
from ...engine.ops.reductions import standardize
from ...engine.tensor import Tensor

# The distance from 1 to the next number, by the floating type.
_EPSILON = {float16: 2.0**-10, bfloat16: 2.0**-7, float32: 2.0**-23, float64: 2.0**-52}


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float | Tensor = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Each channel with the mean and variance of the batch, or with running ones.

    Args:
        running_mean, running_var: (C,); in training they are moved towards the batch's mean and
            unbiased variance, in evaluation they are used. None in training: nothing is tracked.
        weight, bias: (C,); scale and shift after normalising.
        training: use the batch's statistics.
        momentum: the share of the batch in the new running statistics.
        eps: added to the variance.

    Shape:
        (N, C, *), the same out.

    Raises:
        ValueError: one value for each channel in training, whose variance would be 0; or no running
            statistics in evaluation.

    Example:
        >>> F.batch_norm(gu.tensor([[1.0], [3.0]]), None, None, training=True, eps=0.0).tolist()
        [[-1.0], [1.0]]
    """
    n = input.ndim
    if n < 2:
        raise ValueError(f"batch_norm: input {input.shape}, expected (N, C, ...)")
    channels = input.shape[1]
    shape = (1, channels, *(1,) * (n - 2))
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("batch_norm: evaluation needs running_mean and running_var")
        scale = (running_var + eps).rsqrt()
        scale = scale if weight is None else scale * weight
        shift = -running_mean * scale
        shift = shift if bias is None else shift + bias
        return to_dtype(input * scale.reshape(shape) + shift.reshape(shape), input.dtype)
    if input.numel() <= channels:
        raise ValueError(
            f"batch_norm: input {input.shape} has one value for each channel; the variance of a "
            "training batch needs more (use a larger batch, or eval())"
        )
    dims = (0, *range(2, n))
    known: tuple[Tensor, ...] = ()
    if running_mean is not None and running_var is not None:
        with no_grad():
            x = widened(input)
            mean = x.mean(dims, keepdim=True)
            centred = x - mean
            variance = (centred * centred).mean(dims, keepdim=True)
            known = mean, variance
            n_values = input.numel() // channels
            unbiased = variance.reshape(channels) * (n_values / (n_values - 1))
            running_mean.assign(running_mean.lerp(mean.reshape(channels), momentum))
            running_var.assign(running_var.lerp(unbiased, momentum))
    return _affine(standardize(input, dims, eps, known), weight, bias, shape)


def _affine(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, shape: tuple[int, ...] | None = None
) -> Tensor:
    """Scale and shift, in the dtype of ``x``.

    Args:
        shape: what weight and bias are reshaped to, so that they broadcast.
    """
    if weight is not None:
        x = x * to_dtype(weight if shape is None else weight.reshape(shape), x.dtype)
    if bias is not None:
        x = x + to_dtype(bias if shape is None else bias.reshape(shape), x.dtype)
    return x


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """The last dimensions with their mean and variance.

    Args:
        normalized_shape: the sizes of the last dimensions, which are normalised together.
        weight, bias: of that shape; scale and shift after normalising.
        eps: added to the variance.

    Shape:
        (*, *normalized_shape), the same out.

    Raises:
        ValueError: the input does not end in that shape.

    Example:
        >>> F.layer_norm(gu.tensor([1.0, 3.0]), (2,), eps=0.0).tolist()
        [-1.0, 1.0]
    """
    dims = _last_dims("layer_norm", input, normalized_shape)
    return _affine(standardize(input, dims, eps), weight, bias)


def rms_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """The last dimensions divided by their root mean square.

    Args:
        normalized_shape: the sizes of the last dimensions, which are normalised together.
        weight: of that shape; scale after normalising.
        eps: added to the mean square; None for the rounding unit of the dtype.

    Shape:
        (*, *normalized_shape), the same out.

    Raises:
        ValueError: the input does not end in that shape.

    Example:
        >>> F.rms_norm(gu.tensor([3.0, 4.0]), (2,), eps=0.0).square().mean()
        tensor(1., shape=(), dtype=float32)
    """
    dims = _last_dims("rms_norm", input, normalized_shape)
    added = _EPSILON[input.dtype] if eps is None else eps
    x = widened(input)
    output = x * ((x * x).mean(dims, keepdim=True) + added).rsqrt()
    return _affine(to_dtype(output, input.dtype), weight, None)


def _last_dims(name: str, x: Tensor, normalized_shape: Sequence[int]) -> tuple[int, ...]:
    count = len(normalized_shape)
    if not count or x.shape[-count:] != tuple(normalized_shape):
        raise ValueError(
            f"{name}: input {x.shape} does not end in normalized_shape {tuple(normalized_shape)}"
        )
    return tuple(range(x.ndim - count, x.ndim))


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Groups of channels of each sample with their mean and variance.

    Args:
        num_groups: how many groups the channels are split into.
        weight, bias: (C,); scale and shift after normalising.
        eps: added to the variance.

    Shape:
        (N, C, *), the same out.

    Raises:
        ValueError: the channels do not split into so many groups.

    Example:
        >>> F.group_norm(gu.tensor([[1.0, 3.0, 10.0, 30.0]]), 2, eps=0.0).tolist()
        [[-1.0, 1.0, -1.0, 1.0]]
    """
    shape = input.shape
    if len(shape) < 2 or num_groups < 1 or shape[1] % num_groups:
        raise ValueError(
            f"group_norm: input {shape}, expected (N, C, ...) with C divisible by "
            f"num_groups={num_groups}"
        )
    size = math.prod(shape[1:]) // num_groups
    output = standardize(input.reshape(shape[0], num_groups, size), 2, eps).reshape(shape)
    return _affine(output, weight, bias, (1, shape[1], *(1,) * (len(shape) - 2)))
