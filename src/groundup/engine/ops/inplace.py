"""Change in place: overwriting a tensor's memory, inside a graph and outside.

Everything comes down to ``assign``, which writes outside of any graph, and ``change``, which gives
a tensor the result of an operation. Both note the time, so that an operation which kept the old
values refuses to be differentiated afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..base import TensorBase, constant, fresh, mode, tick
from ..dtypes import Number, can_cast
from ..primitives.shape import expand
from . import arithmetic
from .arguments import to_dtype
from .creation import rand_like, randn_like

if TYPE_CHECKING:
    from ..random import Generator
    from ..tensor import Tensor


def assign(input: Tensor, value: Tensor | Number) -> Tensor:
    """Overwrite the values; every change of state in the project comes down to this.

    The memory stays, so views and NumPy arrays of it see the change. Gradients do not flow.

    Args:
        value: broadcast to this shape and converted to this dtype.

    Raises:
        RuntimeError: gradients are recorded and this tensor or the value requires one.
        TypeError: the conversion would lose the fraction.

    Example:
        >>> x = gu.zeros(2)
        >>> x.assign(gu.tensor([1.0, 2.0]))
        tensor([1., 2.], shape=(2,), dtype=float32)
    """
    if mode.grad and (
        input.requires_grad or (isinstance(value, TensorBase) and value.requires_grad)
    ):
        raise RuntimeError(
            "assign: the change would escape differentiation; use it under no_grad()"
        )
    _write(input, value if isinstance(value, TensorBase) else fresh(np.asarray(value)))
    return input


def _write(input: Tensor, new: TensorBase) -> None:
    if mode.tracer is not None:
        mode.tracer.write(input, new)
        return
    values = new.array
    if not input.array.flags.writeable:
        raise RuntimeError("the memory is read-only or expanded; change a clone() instead")
    if not can_cast(values.dtype, input.array.dtype):
        raise TypeError(
            f"values of {values.dtype} do not fit in a tensor of {input.array.dtype}; "
            "convert them with to() first"
        )
    np.copyto(input.array, values, casting="unsafe")
    input.shared_version().changed = tick()


def change(input: Tensor, name: str, result: Tensor) -> Tensor:
    """Become the result of an operation, in this tensor's own memory.

    Outside a graph this is ``assign``. In a graph the tensor takes the result's place in it,
    and operations that kept the old values refuse to be differentiated.

    Args:
        name: the operation, for messages.
        result: of this shape; computed from this tensor if it requires a gradient.

    Raises:
        RuntimeError: the tensor is a leaf that requires a gradient, or shares its memory with a
            view.

    Example:
        >>> x = gu.zeros(2)
        >>> x.change("example", x + 1)
        tensor([1., 1.], shape=(2,), dtype=float32)
    """
    if result.shape != input.array.shape:
        raise ValueError(
            f"{name}: the result has shape {result.shape}, the tensor {input.array.shape}"
        )
    if mode.grad and (input.requires_grad or result.requires_grad):
        if input.requires_grad and input.node is None:
            raise RuntimeError(
                f"{name}: a leaf that requires a gradient cannot be changed in place; "
                "wrap the change in no_grad()"
            )
        if input.version is not None and input.version.viewed:
            raise RuntimeError(
                f"{name}: the tensor shares its memory with a view, so gradients could not "
                "follow a change in place; compute a new tensor instead"
            )
        _write(input, result)
        result = to_dtype(result, input.array.dtype)
        input.requires_grad, input.node = result.requires_grad, result.node
        return input
    _write(input, result)
    return input


def _before(input: Tensor, *others: Any) -> Tensor:
    """The tensor as its own change reads it: a copy where a gradient will need the old values."""
    wanted = mode.grad and any(getattr(x, "requires_grad", False) for x in (input, *others))
    return input.clone() if wanted else input


def add_(input: Tensor, other: Tensor | Number, *, alpha: Number = 1) -> Tensor:
    """``add`` in place.

    Example:
        >>> gu.ones(1).add_(2)
        tensor([3.], shape=(1,), dtype=float32)
    """
    return change(input, "add_", arithmetic.add(input, other, alpha=alpha))


def sub_(input: Tensor, other: Tensor | Number, *, alpha: Number = 1) -> Tensor:
    """``sub`` in place.

    Example:
        >>> gu.ones(1).sub_(2)
        tensor([-1.], shape=(1,), dtype=float32)
    """
    return change(input, "sub_", arithmetic.sub(input, other, alpha=alpha))


def mul_(input: Tensor, other: Tensor | Number) -> Tensor:
    """``mul`` in place.

    Example:
        >>> gu.ones(1).mul_(2)
        tensor([2.], shape=(1,), dtype=float32)
    """
    return change(input, "mul_", arithmetic.mul(_before(input, other), other))


def div_(input: Tensor, other: Tensor | Number, *, rounding_mode: str | None = None) -> Tensor:
    """``div`` in place.

    Example:
        >>> gu.ones(1).div_(2)
        tensor([0.5000], shape=(1,), dtype=float32)
    """
    result = arithmetic.div(_before(input, other), other, rounding_mode=rounding_mode)
    return change(input, "div_", result)


def pow_(input: Tensor, exponent: Tensor | Number) -> Tensor:
    """``pow`` in place.

    Example:
        >>> gu.tensor([3.0]).pow_(2)
        tensor([9.], shape=(1,), dtype=float32)
    """
    return change(input, "pow_", arithmetic.pow(_before(input, exponent), exponent))


def clamp_(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """``clamp`` in place.

    Example:
        >>> gu.tensor([3.0]).clamp_(max=1)
        tensor([1.], shape=(1,), dtype=float32)
    """
    return change(input, "clamp_", arithmetic.clamp(_before(input, min, max), min, max))


def masked_fill_(input: Tensor, mask: Tensor, value: Tensor | Number) -> Tensor:
    """``masked_fill`` in place.

    Example:
        >>> gu.ones(2).masked_fill_(gu.tensor([True, False]), 0)
        tensor([0., 1.], shape=(2,), dtype=float32)
    """
    return change(input, "masked_fill_", arithmetic.masked_fill(input, mask, value))


def copy_(input: Tensor, other: Tensor) -> Tensor:
    """The values of another tensor, broadcast and converted; gradients flow to it.

    Example:
        >>> gu.zeros(2).copy_(gu.tensor([1, 2]))
        tensor([1., 2.], shape=(2,), dtype=float32)
    """
    return change(input, "copy_", to_dtype(other, input.array.dtype).expand(input.array.shape))


def zero_(input: Tensor) -> Tensor:
    """All zeros.

    Example:
        >>> gu.ones(2).zero_()
        tensor([0., 0.], shape=(2,), dtype=float32)
    """
    return fill_(input, 0)


def fill_(input: Tensor, value: Number) -> Tensor:
    """All one value.

    Example:
        >>> gu.ones(2).fill_(7)
        tensor([7., 7.], shape=(2,), dtype=float32)
    """
    return change(
        input,
        "fill_",
        expand(constant(value, input.array.dtype), shape=input.array.shape),
    )


def uniform_(
    input: Tensor,
    low: float = 0.0,
    high: float = 1.0,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Uniform random numbers in [low, high).

    Raises:
        ValueError: ``low`` exceeds ``high``.

    Example:
        >>> gu.zeros(3).uniform_(-1, 1).shape
        (3,)
    """
    if low > high:
        raise ValueError(f"uniform_: low {low} exceeds high {high}")
    return change(input, "uniform_", rand_like(input, generator=generator) * (high - low) + low)


def normal_(
    input: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Normal random numbers.

    Raises:
        ValueError: ``std`` is negative.

    Example:
        >>> gu.zeros(3).normal_(0, 0.02).shape
        (3,)
    """
    if std < 0:
        raise ValueError(f"normal_: std is {std}, expected at least 0")
    return change(input, "normal_", randn_like(input, generator=generator) * std + mean)
