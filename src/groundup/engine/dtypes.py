"""Element types and the rules that decide the type of a result.

A dtype is a NumPy dtype under PyTorch's name. NumPy has no bfloat16, so that is the one of
``ml_dtypes``: a float32 without its last 16 bits, as wide in range, and precise to 2 or 3 digits.
Promotion follows PyTorch rather than NumPy:

1. Types fall into three categories, ``bool < integer < floating``; the higher category wins,
whatever
   the widths, so ``int64 + float32`` is ``float32`` (NumPy says ``float64``).
2. Tensors with dimensions outrank zero-dimensional tensors, and those outrank Python numbers: a
lower
   rank changes the result only if its category is higher.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

if TYPE_CHECKING:
    from .base import TensorBase

DType = np.dtype[Any]
Number = bool | int | float

bool_ = np.dtype(np.bool_)
uint8 = np.dtype(np.uint8)
int8 = np.dtype(np.int8)
int16 = np.dtype(np.int16)
int32 = np.dtype(np.int32)
int64 = np.dtype(np.int64)
float16 = np.dtype(np.float16)
bfloat16: DType = np.dtype(ml_dtypes.bfloat16)
float32 = np.dtype(np.float32)
float64 = np.dtype(np.float64)

SUPPORTED = (bool_, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64)

FLOATING = "fV"
"""The kinds of floating dtypes; V is what NumPy calls that of bfloat16, a type not its own."""
HALVES = "eE"
"""The characters of the two floating dtypes of 16 bits, float16 and bfloat16."""

_SUPPORTED = frozenset(SUPPORTED)
_CATEGORY = {"b": 0, "u": 1, "i": 1, "f": 2, "V": 2}
_HALF_TYPES = {float16, bfloat16}
_default = float32


def as_dtype(dtype: Any) -> DType:
    """The supported dtype that a dtype, its name, or ``bool``, ``int``, ``float`` stands for.

    Raises:
        TypeError: the type is none of the supported ones.

    Example:
        >>> as_dtype("float32")
        dtype('float32')
        >>> as_dtype(int)
        dtype('int64')
    """
    if dtype is float:
        return _default
    if isinstance(dtype, np.dtype) and dtype in _SUPPORTED:
        return dtype
    found: DType = np.dtype(dtype)
    if found not in SUPPORTED:
        names = ", ".join(d.name for d in SUPPORTED)
        raise TypeError(f"dtype {found.name} is not supported; use one of {names}")
    return found


def by_char(char: str) -> DType:
    """The dtype with that character, the one-letter name that NumPy gives it.

    Example:
        >>> by_char("f")
        dtype('float32')
    """
    return next(dtype for dtype in SUPPORTED if dtype.char == char)


def get_default_dtype() -> DType:
    """The floating type of new tensors made from Python floats (float32 unless changed).

    Example:
        >>> get_default_dtype()
        dtype('float32')
    """
    return _default


def set_default_dtype(dtype: Any) -> None:
    """Choose the floating type of new tensors made from Python floats.

    Raises:
        TypeError: ``dtype`` is not a floating type.

    Example:
        >>> set_default_dtype("float32")
    """
    global _default
    found = as_dtype(dtype)
    if not is_floating(found):
        raise TypeError(f"the default dtype must be a floating type, got {found.name}")
    _default = found


def is_floating(dtype: DType) -> bool:
    """Whether the dtype is a floating type."""
    return dtype.kind in FLOATING


def category(dtype: DType) -> int:
    """0 for booleans, 1 for integers, 2 for floating types."""
    return _CATEGORY[dtype.kind]


def promote_types(a: DType, b: DType) -> DType:
    """The smallest type that holds both, by category first.

    Example:
        >>> promote_types(int64, float32)
        dtype('float32')
    """
    if a == b:
        return a
    if category(a) != category(b):
        return a if category(a) > category(b) else b
    if {a, b} == _HALF_TYPES:  # neither holds the other
        return float32
    wider: DType = np.promote_types(a, b)
    return wider


def can_cast(old: DType, new: DType) -> bool:
    """Whether values of one dtype may be written into a tensor of another.

    Example:
        >>> can_cast(float64, float16), can_cast(float32, int64)
        (True, False)
    """
    if category(old) == category(new) == 2:
        return True
    return np.can_cast(old, new, "same_kind")


def number_dtype(value: Number) -> DType:
    """The dtype that a Python number has when it stands alone."""
    if isinstance(value, bool | np.bool_):
        return bool_
    return int64 if isinstance(value, int | np.integer) else _default


def result_type(operands: Iterable[TensorBase | Number]) -> DType:
    """The dtype in which PyTorch would compute an operation on these tensors and numbers.

    Example:
        >>> import groundup as gu
        >>> result_type([gu.ones(2, dtype=gu.int64), 1.5])
        dtype('float32')
        >>> result_type([gu.ones(2), gu.tensor(1.5, dtype=gu.float64)])
        dtype('float32')
    """
    ranks: list[DType | None] = [None, None, None]
    for operand in operands:
        array = getattr(operand, "array", None)
        if array is None:
            rank, dtype = 2, number_dtype(operand)  # type: ignore[arg-type]
        else:
            rank, dtype = (0 if array.ndim else 1), array.dtype
        seen = ranks[rank]
        ranks[rank] = dtype if seen is None else promote_types(seen, dtype)
    result: DType | None = None
    for found in ranks:
        if found is not None and (result is None or category(found) > category(result)):
            result = found
    if result is None:
        raise ValueError("result_type needs at least one operand")
    return result
