"""Activation functions, element by element.

``sigmoid``, ``tanh`` and ``softmax`` are the engine's. ``inplace`` is accepted so that PyTorch's
scripts run; the result is always a new tensor.
"""

from __future__ import annotations

import math

from ...engine.ops.arithmetic import where
from ...engine.ops.functions import (
    erf,
    expm1,
    relu as _relu,
    sigmoid,
    softplus as _softplus,
    tanh,
)
from ...engine.tensor import Tensor


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """``max(x, 0)``; its gradient at 0 is 0.

    Example:
        >>> F.relu(gu.tensor([-1.0, 2.0])).tolist()
        [0.0, 2.0]
    """
    return _relu(input)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """``x`` where positive, ``negative_slope * x`` elsewhere (Maas et al., 2013).

    Example:
        >>> F.leaky_relu(gu.tensor([-1.0, 2.0]), 0.1).tolist()
        [-0.10000000149011612, 2.0]
    """
    return where(input > 0, input, input * negative_slope)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """``x`` where positive, ``alpha * (exp(x) - 1)`` elsewhere (Clevert et al., 2016).

    Example:
        >>> F.elu(gu.tensor([-1000.0, 2.0])).tolist()
        [-1.0, 2.0]
    """
    # Clamped, so that the branch not taken cannot overflow and turn the gradient into NaN.
    return where(input > 0, input, expm1(input.clamp(max=0)) * alpha)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """``x * P(X <= x)`` for a standard normal ``X`` (Hendrycks and Gimpel, 2016).

    Args:
        approximate: "none" for the error function; "tanh" for
            ``0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))``, which GPT-2 was trained with.

    Raises:
        ValueError: another approximation.

    Example:
        >>> F.gelu(gu.tensor([0.0, 100.0])).tolist()
        [0.0, 100.0]
    """
    if approximate == "none":
        return input * (erf(input * math.sqrt(0.5)) * 0.5 + 0.5)
    if approximate == "tanh":
        inner = (input * input * 0.044715 + 1) * input * math.sqrt(2 / math.pi)
        return input * (tanh(inner) * 0.5 + 0.5)
    raise ValueError(f"gelu: approximate={approximate!r}; expected 'none' or 'tanh'")


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """``x * sigmoid(x)``, also called Swish (Elfwing et al., 2018; Ramachandran et al., 2017).

    Example:
        >>> F.silu(gu.tensor([0.0, 100.0])).tolist()
        [0.0, 100.0]
    """
    return input * sigmoid(input)


def softplus(input: Tensor, beta: float = 1.0) -> Tensor:
    """``log(1 + exp(beta * x)) / beta``, a smooth ``relu``.

    Computed without overflow at every size, so PyTorch's ``threshold`` is not needed.

    Example:
        >>> F.softplus(gu.tensor([0.0, 1000.0])).tolist()
        [0.6931471824645996, 1000.0]
    """
    return _softplus(input) if beta == 1 else _softplus(input * beta) / beta


def logsigmoid(input: Tensor) -> Tensor:
    """``log(sigmoid(x))`` without underflow.

    Example:
        >>> F.logsigmoid(gu.tensor([-1000.0, 0.0])).tolist()
        [-1000.0, -0.6931471824645996]
    """
    return -_softplus(-input)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """``x * tanh(softplus(x))`` (Misra, 2019).

    Example:
        >>> F.mish(gu.tensor([0.0, 100.0])).tolist()
        [0.0, 100.0]
    """
    return input * tanh(_softplus(input))
