"""Activation functions as layers; the functions and their papers are in ``nn.functional``."""

from __future__ import annotations

from ..engine.ops.functions import relu, sigmoid, tanh
from ..engine.ops.reductions import log_softmax, softmax
from ..engine.tensor import Tensor
from .functional.activation import elu, gelu, leaky_relu, logsigmoid, mish, silu, softplus
from .module import Module


class Sigmoid(Module):
    """``1 / (1 + exp(-x))``.

    Example:
        >>> nn.Sigmoid()(gu.zeros(1)).item()
        0.5
    """

    def forward(self, input: Tensor) -> Tensor:
        return sigmoid(input)


class Tanh(Module):
    """Hyperbolic tangent.

    Example:
        >>> nn.Tanh()(gu.zeros(1)).item()
        0.0
    """

    def forward(self, input: Tensor) -> Tensor:
        return tanh(input)


class ReLU(Module):
    """``max(x, 0)``.

    Args:
        inplace: accepted so that scripts run; the result is always a new tensor.

    Example:
        >>> nn.ReLU()(gu.tensor([-1.0, 2.0])).tolist()
        [0.0, 2.0]
    """

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return relu(input)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class LeakyReLU(Module):
    """``x`` where positive, ``negative_slope * x`` elsewhere.

    Args:
        negative_slope: the slope where ``x`` is negative.
        inplace: accepted so that scripts run; the result is always a new tensor.

    Example:
        >>> nn.LeakyReLU(0.5)(gu.tensor([-1.0, 2.0])).tolist()
        [-0.5, 2.0]
    """

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        self.negative_slope = negative_slope
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return leaky_relu(input, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}" + (", inplace=True" if self.inplace else "")


class ELU(Module):
    """``x`` where positive, ``alpha * (exp(x) - 1)`` elsewhere.

    Args:
        alpha: minus the limit for large negative ``x``.
        inplace: accepted so that scripts run; the result is always a new tensor.

    Example:
        >>> nn.ELU()(gu.tensor([-1000.0, 2.0])).tolist()
        [-1.0, 2.0]
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return elu(input, self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class GELU(Module):
    """``x`` times the normal distribution function at ``x``.

    Args:
        approximate: "none" or "tanh"; see ``F.gelu``.

    Example:
        >>> nn.GELU()(gu.zeros(1)).item()
        0.0
    """

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        return gelu(input, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class SiLU(Module):
    """``x * sigmoid(x)``, also called Swish.

    Args:
        inplace: accepted so that scripts run; the result is always a new tensor.

    Example:
        >>> nn.SiLU()(gu.zeros(1)).item()
        0.0
    """

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return silu(input)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class Mish(Module):
    """``x * tanh(softplus(x))``.

    Args:
        inplace: accepted so that scripts run; the result is always a new tensor.

    Example:
        >>> nn.Mish()(gu.zeros(1)).item()
        0.0
    """

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return mish(input)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class Softplus(Module):
    """``log(1 + exp(beta * x)) / beta``.

    Args:
        beta: how sharp the bend is.

    Example:
        >>> nn.Softplus()(gu.tensor([1000.0])).item()
        1000.0
    """

    def __init__(self, beta: float = 1.0) -> None:
        self.beta = beta

    def forward(self, input: Tensor) -> Tensor:
        return softplus(input, self.beta)

    def extra_repr(self) -> str:
        return f"beta={self.beta}"


class LogSigmoid(Module):
    """``log(sigmoid(x))``.

    Example:
        >>> nn.LogSigmoid()(gu.tensor([-1000.0])).item()
        -1000.0
    """

    def forward(self, input: Tensor) -> Tensor:
        return logsigmoid(input)


class Softmax(Module):
    """``exp(x) / sum(exp(x))`` along a dimension.

    Args:
        dim: the dimension that sums to 1.

    Example:
        >>> nn.Softmax(dim=1)(gu.zeros(1, 2)).tolist()
        [[0.5, 0.5]]
    """

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """The logarithm of ``Softmax``.

    Args:
        dim: the dimension whose exponentials sum to 1.

    Example:
        >>> nn.LogSoftmax(dim=1)(gu.zeros(1, 2)).exp().tolist()
        [[0.5, 0.5]]
    """

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return log_softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"
