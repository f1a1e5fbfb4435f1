"""Affine layers, and layers that only change the shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..engine.ops.creation import empty
from ..engine.ops.products import linear
from ..engine.random import Generator
from ..engine.tensor import Tensor
from . import init
from .module import Module, Parameter


class Linear(Module):
    """``y = x @ weight.T + bias``.

    Weight and bias begin uniform in +- 1 / sqrt(in_features).

    Args:
        in_features: size of the input's last dimension.
        out_features: size of the output's last dimension.
        bias: whether a bias is added.
        dtype: of the parameters; default: the default floating type.
        generator: where the initial values come from.

    Shape:
        (*, in_features) -> (*, out_features).
        weight (out_features, in_features), bias (out_features,).

    Raises:
        ValueError: the input's last dimension has another size.

    Example:
        >>> nn.Linear(64, 10)(gu.zeros(5, 28))
        Traceback (most recent call last):
        ...
        ValueError: Linear(64, 10): input has 28 features in its last dimension, expected 64
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        dtype: Any = None,
        generator: Generator | None = None,
    ) -> None:
        self.in_features = in_features
        self.out_features = out_features
        self.weight = Parameter(empty(out_features, in_features, dtype=dtype))
        self.bias = Parameter(empty(out_features, dtype=dtype)) if bias else None
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw new initial values."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5), generator=generator)
        if self.bias is not None:
            bound = 1 / math.sqrt(max(self.in_features, 1))
            init.uniform_(self.bias, -bound, bound, generator)

    def forward(self, input: Tensor) -> Tensor:
        if input.shape[-1:] != (self.in_features,):
            found = (
                f"{input.shape[-1]} features in its last dimension"
                if input.ndim
                else "no dimensions"
            )
            raise ValueError(
                f"Linear({self.in_features}, {self.out_features}): input has {found}, "
                f"expected {self.in_features}"
            )
        return linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class Identity(Module):
    """Gives its input back: stands where another layer could be.

    Args:
        *args, **kwargs: ignored, so that it can replace any layer's class.

    Example:
        >>> nn.Identity()(gu.ones(1)).item()
        1.0
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        return input


class Flatten(Module):
    """Dimensions from ``start_dim`` to ``end_dim`` merged into one.

    Args:
        start_dim: 1 leaves the batch dimension alone.
        end_dim: the last one merged.

    Example:
        >>> nn.Flatten()(gu.ones(2, 3, 4)).shape
        (2, 12)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input: Tensor) -> Tensor:
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """One dimension split into several.

    Args:
        dim: the dimension.
        unflattened_size: the sizes of those it becomes; one may be -1.

    Example:
        >>> nn.Unflatten(1, (3, 4))(gu.ones(2, 12)).shape
        (2, 3, 4)
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        self.dim = dim
        self.unflattened_size = tuple(unflattened_size)

    def forward(self, input: Tensor) -> Tensor:
        return input.unflatten(self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
