"""Arithmetic, comparison, logic and selection.

All broadcast (NumPy's and PyTorch's rules agree) and promote dtypes as PyTorch does; division turns
integers into the default floating type first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..base import TensorBase
from ..dtypes import FLOATING, Number, result_type
from ..primitives import elementwise as p
from .arguments import floating, operands, to_dtype, together

if TYPE_CHECKING:
    from ..tensor import Tensor

# Arithmetic


def add(input: Tensor | Number, other: Tensor | Number, *, alpha: Number = 1) -> Tensor:
    """``input + alpha * other``.

    Example:
        >>> gu.add(gu.tensor([1.0, 2.0]), 10)
        tensor([11., 12.], shape=(2,), dtype=float32)
    """
    a, b = operands(input, other)
    return p.add(a, b if alpha == 1 else mul(b, alpha))


def sub(input: Tensor | Number, other: Tensor | Number, *, alpha: Number = 1) -> Tensor:
    """``input - alpha * other``.

    Raises:
        TypeError: both are boolean; use ``logical_xor``.

    Example:
        >>> gu.sub(gu.tensor([1.0, 2.0]), 10)
        tensor([-9., -8.], shape=(2,), dtype=float32)
    """
    a, b = operands(input, other)
    return p.sub(a, b if alpha == 1 else mul(b, alpha))


def rsub(input: Tensor, other: Tensor | Number, *, alpha: Number = 1) -> Tensor:
    """``other - alpha * input``.

    Example:
        >>> gu.rsub(gu.tensor([1.0, 2.0]), 10)
        tensor([9., 8.], shape=(2,), dtype=float32)
    """
    return sub(other, input, alpha=alpha)


def mul(input: Tensor | Number, other: Tensor | Number) -> Tensor:
    """``input * other``.

    Example:
        >>> gu.mul(gu.tensor([1.0, 2.0]), gu.tensor([[1.0], [3.0]]))
        tensor([[1., 2.],
                [3., 6.]], shape=(2, 2), dtype=float32)
    """
    a, b = operands(input, other)
    return p.mul(a, b)


def div(
    input: Tensor | Number, other: Tensor | Number, *, rounding_mode: str | None = None
) -> Tensor:
    """``input / other``; integers divide to floating numbers unless the result is rounded.

    Args:
        rounding_mode: None, "floor" (towards minus infinity) or "trunc" (towards zero).

    Raises:
        ValueError: another rounding mode.

    Example:
        >>> gu.div(gu.tensor([1, -3]), 2)
        tensor([ 0.5000, -1.5000], shape=(2,), dtype=float32)
    """
    if rounding_mode == "floor":
        return floor_divide(input, other)
    if rounding_mode not in (None, "trunc"):
        raise ValueError(f"rounding_mode {rounding_mode!r}: expected None, 'floor' or 'trunc'")
    a, b = operands(input, other)
    if rounding_mode is None:
        return p.div(floating(a), floating(b))
    if a.array.dtype.kind in FLOATING:
        return p.trunc(p.div(a, b))
    down = floor_divide(a, b)
    up = p.logical_and(p.lt(down, p.scalar(0, down)), p.ne(p.mul(down, b), a))
    return p.add(down, p.cast(up, dtype=down.array.dtype))


def rdiv(input: Tensor, other: Tensor | Number) -> Tensor:
    """``other / input``, for the reflected operator."""
    return div(other, input)


def floor_divide(input: Tensor | Number, other: Tensor | Number) -> Tensor:
    """The quotient rounded towards minus infinity.

    Raises:
        TypeError: both are boolean.

    Example:
        >>> gu.floor_divide(gu.tensor([7, -7]), 2)
        tensor([ 3, -4], shape=(2,), dtype=int64)
    """
    return p.floor_divide(*_numeric("floor_divide", input, other))


def _numeric(name: str, input: Tensor | Number, other: Tensor | Number) -> tuple[Tensor, Tensor]:
    """Operands that are not both boolean; NumPy would calculate with those as with int8."""
    a, b = operands(input, other)
    if a.array.dtype.kind == "b":
        raise TypeError(f"{name}: both operands are boolean; convert one with .long()")
    return a, b


def rfloor_divide(input: Tensor, other: Tensor | Number) -> Tensor:
    """``other // input``, for the reflected operator."""
    return floor_divide(other, input)


def remainder(input: Tensor | Number, other: Tensor | Number) -> Tensor:
    """The remainder of ``floor_divide``; it has the sign of the divisor.

    Raises:
        TypeError: both are boolean.

    Example:
        >>> gu.remainder(gu.tensor([7, -7]), 4)
        tensor([3, 1], shape=(2,), dtype=int64)
    """
    return p.remainder(*_numeric("remainder", input, other))


def rremainder(input: Tensor, other: Tensor | Number) -> Tensor:
    """``other % input``, for the reflected operator."""
    return remainder(other, input)


def pow(input: Tensor | Number, exponent: Tensor | Number) -> Tensor:
    """``input ** exponent``.

    Raises:
        TypeError: both are boolean. ValueError: a negative power of an integer.

    Example:
        >>> gu.pow(gu.tensor([1.0, 2.0, 3.0]), 2)
        tensor([1., 4., 9.], shape=(3,), dtype=float32)
    """
    if isinstance(input, TensorBase) and input.array.dtype.kind in FLOATING:
        if isinstance(exponent, int | float) and exponent == 2:
            return p.mul(input, input)
        if isinstance(exponent, float) and exponent == 0.5:
            return p.sqrt(input)
    return p.pow(*_numeric("pow", input, exponent))


def rpow(input: Tensor, other: Number) -> Tensor:
    """``other ** input``, for the reflected operator."""
    return pow(other, input)


def neg(input: Tensor) -> Tensor:
    """``-input``.

    Example:
        >>> gu.neg(gu.tensor([1.0, -2.0]))
        tensor([-1.,  2.], shape=(2,), dtype=float32)
    """
    return p.neg(input)


def square(input: Tensor) -> Tensor:
    """``input * input``.

    Example:
        >>> gu.square(gu.tensor([3.0]))
        tensor([9.], shape=(1,), dtype=float32)
    """
    return pow(input, 2)


def reciprocal(input: Tensor) -> Tensor:
    """``1 / input``.

    Example:
        >>> gu.reciprocal(gu.tensor([4.0]))
        tensor([0.2500], shape=(1,), dtype=float32)
    """
    return div(1, input)


def maximum(input: Tensor | Number, other: Tensor | Number) -> Tensor:
    """The larger of two, element by element; equal elements share the gradient.

    Example:
        >>> gu.maximum(gu.tensor([1.0, 5.0]), gu.tensor([3.0, 3.0]))
        tensor([3., 5.], shape=(2,), dtype=float32)
    """
    return p.maximum(*operands(input, other))


def minimum(input: Tensor | Number, other: Tensor | Number) -> Tensor:
    """The smaller of two, element by element; equal elements share the gradient.

    Example:
        >>> gu.minimum(gu.tensor([1.0, 5.0]), gu.tensor([3.0, 3.0]))
        tensor([1., 3.], shape=(2,), dtype=float32)
    """
    return p.minimum(*operands(input, other))


def lerp(input: Tensor, end: Tensor, weight: Tensor | Number) -> Tensor:
    """``input + weight * (end - input)``.

    Example:
        >>> gu.lerp(gu.tensor([0.0]), gu.tensor([10.0]), 0.3)
        tensor([3.], shape=(1,), dtype=float32)
    """
    a, b = operands(input, end)
    return p.lerp(a, b, to_dtype(weight, a.array.dtype))


def addcdiv(
    input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Tensor | Number = 1
) -> Tensor:
    """``input + value * tensor1 / tensor2``.

    Example:
        >>> gu.addcdiv(gu.tensor([1.0]), gu.tensor([6.0]), gu.tensor([3.0]), value=0.5)
        tensor([2.], shape=(1,), dtype=float32)
    """
    a, b, c = together(floating(input), tensor1, tensor2)
    return p.addcdiv(a, b, c, to_dtype(value, a.array.dtype))


# Comparison: the result is boolean


def eq(input: Tensor, other: Tensor | Number) -> Tensor:
    """Where ``input == other``.

    Example:
        >>> gu.eq(gu.tensor([1, 2]), 2)
        tensor([False,  True], shape=(2,), dtype=bool)
    """
    return p.eq(*operands(input, other))


def ne(input: Tensor, other: Tensor | Number) -> Tensor:
    """Where ``input != other``.

    Example:
        >>> gu.ne(gu.tensor([1, 2]), 2)
        tensor([ True, False], shape=(2,), dtype=bool)
    """
    return p.ne(*operands(input, other))


def lt(input: Tensor, other: Tensor | Number) -> Tensor:
    """Where ``input < other``.

    Example:
        >>> gu.lt(gu.tensor([1, 2]), 2)
        tensor([ True, False], shape=(2,), dtype=bool)
    """
    return p.lt(*operands(input, other))


def le(input: Tensor, other: Tensor | Number) -> Tensor:
    """Where ``input <= other``.

    Example:
        >>> gu.le(gu.tensor([1, 2]), 2)
        tensor([ True,  True], shape=(2,), dtype=bool)
    """
    return p.le(*operands(input, other))


def gt(input: Tensor, other: Tensor | Number) -> Tensor:
    """Where ``input > other``.

    Example:
        >>> gu.gt(gu.tensor([1, 2]), 1)
        tensor([False,  True], shape=(2,), dtype=bool)
    """
    return p.gt(*operands(input, other))


def ge(input: Tensor, other: Tensor | Number) -> Tensor:
    """Where ``input >= other``.

    Example:
        >>> gu.ge(gu.tensor([1, 2]), 1)
        tensor([ True,  True], shape=(2,), dtype=bool)
    """
    return p.ge(*operands(input, other))


def isnan(input: Tensor) -> Tensor:
    """Where the value is not a number.

    Example:
        >>> gu.isnan(gu.tensor([1.0, float("nan")]))
        tensor([False,  True], shape=(2,), dtype=bool)
    """
    return p.ne(input, input)


def isfinite(input: Tensor) -> Tensor:
    """Where the value is neither infinite nor NaN.

    Example:
        >>> gu.isfinite(gu.tensor([1.0, float("inf")]))
        tensor([ True, False], shape=(2,), dtype=bool)
    """
    if input.array.dtype.kind not in FLOATING:
        return p.eq(input, input)
    return p.lt(p.abs(input), p.scalar(float("inf"), input))


def isinf(input: Tensor) -> Tensor:
    """Where the value is plus or minus infinity.

    Example:
        >>> gu.isinf(gu.tensor([1.0, float("-inf")]))
        tensor([False,  True], shape=(2,), dtype=bool)
    """
    if input.array.dtype.kind not in FLOATING:
        return p.ne(input, input)
    return p.eq(p.abs(input), p.scalar(float("inf"), input))


# Logic


def logical_and(input: Tensor, other: Tensor) -> Tensor:
    """Where both are true (not zero).

    Example:
        >>> gu.logical_and(gu.tensor([True, True]), gu.tensor([True, False]))
        tensor([ True, False], shape=(2,), dtype=bool)
    """
    return p.logical_and(input, other)


def logical_or(input: Tensor, other: Tensor) -> Tensor:
    """Where either is true (not zero).

    Example:
        >>> gu.logical_or(gu.tensor([True, False]), gu.tensor([False, False]))
        tensor([ True, False], shape=(2,), dtype=bool)
    """
    return p.logical_or(input, other)


def logical_xor(input: Tensor, other: Tensor) -> Tensor:
    """Where exactly one is true (not zero).

    Example:
        >>> gu.logical_xor(gu.tensor([True, True]), gu.tensor([True, False]))
        tensor([False,  True], shape=(2,), dtype=bool)
    """
    return p.logical_xor(input, other)


def logical_not(input: Tensor) -> Tensor:
    """Where the value is zero or false.

    Example:
        >>> gu.logical_not(gu.tensor([True, False]))
        tensor([False,  True], shape=(2,), dtype=bool)
    """
    return p.logical_not(input)


def bitwise_and(input: Tensor | Number, other: Tensor | Number) -> Tensor:
    """Bits set in both; ``and`` for booleans.

    Example:
        >>> gu.bitwise_and(gu.tensor([6]), 3)
        tensor([2], shape=(1,), dtype=int64)
    """
    return p.bitwise_and(*operands(input, other))


def bitwise_or(input: Tensor | Number, other: Tensor | Number) -> Tensor:
    """Bits set in either; ``or`` for booleans.

    Example:
        >>> gu.bitwise_or(gu.tensor([6]), 3)
        tensor([7], shape=(1,), dtype=int64)
    """
    return p.bitwise_or(*operands(input, other))


def bitwise_xor(input: Tensor | Number, other: Tensor | Number) -> Tensor:
    """Bits set in exactly one.

    Example:
        >>> gu.bitwise_xor(gu.tensor([6]), 3)
        tensor([5], shape=(1,), dtype=int64)
    """
    return p.bitwise_xor(*operands(input, other))


def bitwise_not(input: Tensor) -> Tensor:
    """Every bit flipped; ``not`` for booleans.

    Example:
        >>> gu.bitwise_not(gu.tensor([0, -1]))
        tensor([-1,  0], shape=(2,), dtype=int64)
    """
    return p.bitwise_not(input)


# Selection


def where(condition: Tensor, input: Tensor | Number, other: Tensor | Number) -> Tensor:
    """``input`` where the condition holds, ``other`` elsewhere.

    The branch that was not taken gets a gradient of 0, but a NaN *inside* its own derivative
    survives (0 times infinity): make the argument of that branch safe first.

    Raises:
        TypeError: the condition is not boolean.

    Example:
        >>> x = gu.tensor([-1.0, 2.0])
        >>> gu.where(x > 0, x, 0)
        tensor([0., 2.], shape=(2,), dtype=float32)
    """
    if condition.array.dtype.kind != "b":
        raise TypeError(f"where: the condition is {condition.array.dtype.name}, expected bool")
    a, b = operands(input, other)
    return p.where(condition, a, b)


def masked_fill(input: Tensor, mask: Tensor, value: Tensor | Number) -> Tensor:
    """``value`` where the mask is true, the input elsewhere.

    Example:
        >>> gu.ones(3).masked_fill(gu.tensor([True, False, True]), 0)
        tensor([0., 1., 0.], shape=(3,), dtype=float32)
    """
    if mask.array.dtype.kind != "b":
        raise TypeError(f"masked_fill: the mask is {mask.array.dtype.name}, expected bool")
    return p.where(mask, to_dtype(value, input.array.dtype), input)


def clamp(
    input: Tensor, min: Tensor | Number | None = None, max: Tensor | Number | None = None
) -> Tensor:
    """Values limited to [min, max]; the gradient passes inside the range and on its ends.

    Raises:
        ValueError: neither limit is given.

    Example:
        >>> gu.clamp(gu.tensor([-2.0, 0.5, 2.0]), -1, 1)
        tensor([-1.0000,  0.5000,  1.0000], shape=(3,), dtype=float32)
    """
    if min is None and max is None:
        raise ValueError("clamp: give min, max or both")
    if isinstance(min, TensorBase) or isinstance(max, TensorBase):
        if min is not None:
            a, b = operands(input, min)
            input = p.where(p.logical_or(p.lt(a, b), p.ne(b, b)), b, a)  # a NaN limit shows
        if max is not None:
            a, b = operands(input, max)
            input = p.where(p.logical_or(p.gt(a, b), p.ne(b, b)), b, a)
        return input
    limits = [limit for limit in (min, max) if limit is not None]
    x = to_dtype(input, result_type([input, *limits]))
    return p.clamp(x, low=min, high=max)
