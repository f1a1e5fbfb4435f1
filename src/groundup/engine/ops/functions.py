"""Functions of one variable.

Those that make fractions (``exp``, ``sqrt``, ...) turn integers into the default floating type
first.
"""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING

from ..primitives import elementwise as p
from .arguments import floating

if TYPE_CHECKING:
    from ..tensor import Tensor

# Rounding


def sign(input: Tensor) -> Tensor:
    """-1, 0 or 1.

    Example:
        >>> gu.sign(gu.tensor([-3.0, 0.0, 2.0]))
        tensor([-1.,  0.,  1.], shape=(3,), dtype=float32)
    """
    return (
        p.cast(input, dtype=input.array.dtype) if input.array.dtype.kind == "b" else p.sign(input)
    )


def floor(input: Tensor) -> Tensor:
    """The largest integer not above.

    Example:
        >>> gu.floor(gu.tensor([-1.5, 1.5]))
        tensor([-2.,  1.], shape=(2,), dtype=float32)
    """
    return p.floor(input)


def ceil(input: Tensor) -> Tensor:
    """The smallest integer not below.

    Example:
        >>> gu.ceil(gu.tensor([-1.5, 1.5]))
        tensor([-1.,  2.], shape=(2,), dtype=float32)
    """
    return p.ceil(input)


def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """The nearest integer, halves to the even one.

    Args:
        decimals: digits to keep after the point; negative ones round to tens, hundreds and so on.

    Example:
        >>> gu.round(gu.tensor([0.5, 1.5]))
        tensor([0., 2.], shape=(2,), dtype=float32)
    """
    if not decimals:
        return p.round(input)
    scale = 10.0 ** builtins.abs(decimals)
    if decimals > 0:
        return p.div(p.round(input * scale), p.scalar(scale, input))
    return p.round(input / scale) * scale


def trunc(input: Tensor) -> Tensor:
    """The integer part.

    Example:
        >>> gu.trunc(gu.tensor([-1.5, 1.5]))
        tensor([-1.,  1.], shape=(2,), dtype=float32)
    """
    return p.trunc(input)


# Functions of one variable


def abs(input: Tensor) -> Tensor:
    """The magnitude; its gradient at 0 is 0.

    Example:
        >>> gu.abs(gu.tensor([-3.0, 2.0]))
        tensor([3., 2.], shape=(2,), dtype=float32)
    """
    return p.abs(input)


def exp(input: Tensor) -> Tensor:
    """``e ** input``.

    Example:
        >>> gu.exp(gu.tensor([0.0, 1.0]))
        tensor([1.0000, 2.7183], shape=(2,), dtype=float32)
    """
    return p.exp(floating(input))


def expm1(input: Tensor) -> Tensor:
    """``exp(input) - 1``, accurate near 0.

    Example:
        >>> gu.expm1(gu.tensor([0.0, 1.0]))
        tensor([0.0000, 1.7183], shape=(2,), dtype=float32)
    """
    return p.expm1(floating(input))


def log(input: Tensor) -> Tensor:
    """Natural logarithm.

    Example:
        >>> gu.log(gu.tensor([1.0, 2.0]))
        tensor([0.0000, 0.6931], shape=(2,), dtype=float32)
    """
    return p.log(floating(input))


def log1p(input: Tensor) -> Tensor:
    """``log(1 + input)``, accurate near 0.

    Example:
        >>> gu.log1p(gu.tensor([0.0, 1.0]))
        tensor([0.0000, 0.6931], shape=(2,), dtype=float32)
    """
    return p.log1p(floating(input))


def sqrt(input: Tensor) -> Tensor:
    """Square root.

    Example:
        >>> gu.sqrt(gu.tensor([4.0, 9.0]))
        tensor([2., 3.], shape=(2,), dtype=float32)
    """
    return p.sqrt(floating(input))


def rsqrt(input: Tensor) -> Tensor:
    """``1 / sqrt(input)``.

    Example:
        >>> gu.rsqrt(gu.tensor([4.0]))
        tensor([0.5000], shape=(1,), dtype=float32)
    """
    return p.rsqrt(floating(input))


def sin(input: Tensor) -> Tensor:
    """Sine of an angle in radians.

    Example:
        >>> gu.sin(gu.tensor([0.0, 1.0]))
        tensor([0.0000, 0.8415], shape=(2,), dtype=float32)
    """
    return p.sin(floating(input))


def cos(input: Tensor) -> Tensor:
    """Cosine of an angle in radians.

    Example:
        >>> gu.cos(gu.tensor([0.0, 1.0]))
        tensor([1.0000, 0.5403], shape=(2,), dtype=float32)
    """
    return p.cos(floating(input))


def tanh(input: Tensor) -> Tensor:
    """Hyperbolic tangent.

    Example:
        >>> gu.tanh(gu.tensor([0.0, 1.0]))
        tensor([0.0000, 0.7616], shape=(2,), dtype=float32)
    """
    return p.tanh(floating(input))


def erf(input: Tensor) -> Tensor:
    """Error function.

    Example:
        >>> gu.erf(gu.tensor([0.0, 1.0]))
        tensor([0.0000, 0.8427], shape=(2,), dtype=float32)
    """
    return p.erf(floating(input))


def sigmoid(input: Tensor) -> Tensor:
    """``1 / (1 + exp(-input))``.

    Example:
        >>> gu.sigmoid(gu.tensor([0.0, 1.0]))
        tensor([0.5000, 0.7311], shape=(2,), dtype=float32)
    """
    return p.sigmoid(floating(input))


def relu(input: Tensor) -> Tensor:
    """``max(input, 0)``; its gradient at 0 is 0.

    Example:
        >>> gu.relu(gu.tensor([-1.0, 2.0]))
        tensor([0., 2.], shape=(2,), dtype=float32)
    """
    return p.relu(input)


def softplus(input: Tensor) -> Tensor:
    """``log(1 + exp(input))`` without overflow; ``log(sigmoid(x))`` is ``-softplus(-x)``.

    Example:
        >>> from groundup.engine.ops.functions import softplus
        >>> softplus(gu.tensor([0.0, 1000.0])).tolist()
        [0.6931471824645996, 1000.0]
    """
    return p.softplus(floating(input))
