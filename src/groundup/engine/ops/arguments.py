"""Turning what users write into what primitives take: dtypes, dimensions, shapes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..autocast import lowered
from ..base import TensorBase, constant, mode
from ..dtypes import FLOATING, DType, Number, get_default_dtype, result_type
from ..primitives import elementwise

if TYPE_CHECKING:
    from ..tensor import Tensor

Operand = "Tensor | Number"
Dim = int | Sequence[int] | None

_NUMBERS = (bool, int, float, np.number, np.bool_)


def operands(a: Tensor | Number, b: Tensor | Number) -> tuple[Tensor, Tensor]:
    """Bring two operands to the dtype in which PyTorch would compute, numbers to tensors."""
    if isinstance(a, TensorBase):
        if isinstance(b, TensorBase):
            if a.array.dtype is b.array.dtype:
                return a, b
        elif a.array.dtype.kind in _KEPT_BY.get(type(b), ""):
            return a, constant(b, a.array.dtype)
    elif isinstance(b, TensorBase) and b.array.dtype.kind in _KEPT_BY.get(type(a), ""):
        return constant(a, b.array.dtype), b
    dtype = result_type([_operand(a), _operand(b)])
    return to_dtype(a, dtype), to_dtype(b, dtype)


# The kinds of dtypes that do not change beside a Python number of that type.
_KEPT_BY: dict[type, str] = {float: FLOATING, int: FLOATING + "i"}


def _operand(x: Tensor | Number) -> Tensor | Number:
    if isinstance(x, TensorBase | bool | int | float | np.number | np.bool_):
        return x
    raise TypeError(
        f"expected a tensor or a number, got {type(x).__name__}; "
        "make a tensor of it with gu.tensor()"
    )


def together(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Bring tensors to the dtype in which PyTorch would compute with all of them."""
    try:
        dtype = tensors[0].array.dtype
        for x in tensors:
            if x.array.dtype is not dtype:
                wanted = result_type(tensors)
                return tuple([to_dtype(x, wanted) for x in tensors])
    except AttributeError:
        other = next(type(x).__name__ for x in tensors if not isinstance(x, TensorBase))
        raise TypeError(
            f"expected tensors, got {other}; make a tensor of it with gu.tensor()"
        ) from None
    return tensors


def factors(*tensors: Tensor) -> tuple[Tensor, ...]:
    """What is multiplied as matrices: ``together``, and in the dtype of ``autocast`` under it."""
    if mode.autocast is not None:
        tensors = lowered(tensors, mode.autocast)
    return together(*tensors)


def to_dtype(x: Tensor | Number, dtype: DType) -> Tensor:
    """A tensor of that dtype: the same tensor if it already has it."""
    if not isinstance(x, TensorBase):
        return constant(x, dtype)
    if x.array.dtype == dtype:
        return x
    return elementwise.cast(x, dtype=dtype)


def floating(x: Tensor) -> Tensor:
    """The tensor itself if it is floating, else converted to the default floating type."""
    if x.array.dtype.kind in FLOATING:
        return x
    return elementwise.cast(x, dtype=get_default_dtype())


def one_dim(x: TensorBase, dim: int) -> int:
    """A dimension counted from the front.

    Raises:
        IndexError: there is no such dimension.
    """
    n = max(x.array.ndim, 1)
    if not -n <= dim < n:
        raise IndexError(
            f"dim {dim} is out of range for a tensor of shape {x.array.shape}; "
            f"expected {-n} to {n - 1}"
        )
    return dim + n if dim < 0 else dim


def many_dims(x: TensorBase, dim: Dim) -> tuple[int, ...]:
    """Dimensions counted from the front, ascending; None and () mean all of them."""
    n = x.array.ndim
    if dim is None or (not isinstance(dim, int) and len(dim) == 0):
        return tuple(range(n))
    if isinstance(dim, int):
        dim = (dim,)
    dims = tuple(sorted(one_dim(x, d) for d in dim))
    if len(set(dims)) != len(dims):
        raise ValueError(f"dim {tuple(dim)} names a dimension twice")
    return dims if n else ()


def one_shape(sizes: Sequence[Any]) -> tuple[int, ...]:
    """A shape given as separate numbers or as one sequence."""
    if len(sizes) == 1 and not isinstance(sizes[0], int | np.integer):
        sizes = sizes[0]
    return tuple(int(n) for n in sizes)


def spread(value: int | Sequence[int], n: int, name: str) -> tuple[int, ...]:
    """One number for each of ``n`` spatial dimensions."""
    values = (value,) * n if isinstance(value, int) else tuple(value)
    if len(values) == 1:
        values *= n
    if len(values) != n:
        raise ValueError(f"{name} has {len(values)} numbers, expected 1 or {n}: {values}")
    return values


def outside(x: TensorBase, low: float, high: float, ignored: float | None = None) -> Number | None:
    """A value that is neither in [low, high] nor ``ignored``, or None if there is none.

    For the checks of arguments: it looks at the values without recording an operation.

    Example:
        >>> outside(gu.tensor([0, 5, 2]), 0, 4)
        5
    """
    if mode.tracer is not None:
        mode.tracer.check(x, low, high, ignored)
        return None
    array = x.array
    if not array.size or (low <= array.min() and array.max() <= high):
        return None
    wrong = array[~((low <= array) & (array <= high))]
    if ignored is not None:
        wrong = wrong[wrong != ignored]
    found: Number | None = wrong[0].item() if wrong.size else None
    return found
