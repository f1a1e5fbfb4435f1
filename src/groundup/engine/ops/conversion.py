"""Conversion between dtypes, copies, and comparison of whole tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..base import values, wrap
from ..dtypes import as_dtype
from ..primitives import elementwise as p

if TYPE_CHECKING:
    from ..tensor import Tensor


def to(input: Tensor, dtype: Any = None, *, device: str = "cpu", copy: bool = False) -> Tensor:
    """The tensor in another dtype; the tensor itself if nothing changes.

    Args:
        dtype: a dtype, or "cpu" (accepted so that scripts written for other devices run).
        copy: make a copy even if nothing changes.

    Raises:
        ValueError: a device other than the CPU.

    Example:
        >>> gu.tensor([1.5, 2.5]).to(gu.int64)
        tensor([1, 2], shape=(2,), dtype=int64)
    """
    if isinstance(dtype, str) and (dtype == "cpu" or dtype.split(":")[0] in ("cuda", "mps")):
        dtype, device = None, dtype
    if device != "cpu":
        raise ValueError(f"device {device!r}: groundup computes on the CPU only; use 'cpu'")
    wanted = input.array.dtype if dtype is None else as_dtype(dtype)
    if wanted == input.array.dtype and not copy:
        return input
    return p.cast(input, dtype=wanted)


def type_as(input: Tensor, other: Tensor) -> Tensor:
    """The tensor in the dtype of another.

    Example:
        >>> gu.tensor([1]).type_as(gu.tensor([0.5]))
        tensor([1.], shape=(1,), dtype=float32)
    """
    return to(input, other.array.dtype)


def allclose(
    input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> bool:
    """Whether all elements agree within ``atol + rtol * abs(other)``.

    Example:
        >>> gu.allclose(gu.tensor([1.0]), gu.tensor([1.0 + 1e-7]))
        True
    """
    return bool(np.allclose(values(input), values(other), rtol, atol, equal_nan))


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether shapes and all elements are equal.

    Example:
        >>> gu.equal(gu.tensor([1, 2]), gu.tensor([1, 2]))
        True
    """
    return bool(np.array_equal(values(input), values(other)))


def clone(input: Tensor) -> Tensor:
    """A copy with its own memory; gradients flow through it.

    Example:
        >>> gu.tensor([1.0]).clone()
        tensor([1.], shape=(1,), dtype=float32)
    """
    return p.cast(input, dtype=input.array.dtype)


def detach(input: Tensor) -> Tensor:
    """The same memory without its history: no gradient flows through the result.

    Example:
        >>> gu.ones(1, requires_grad=True).detach().requires_grad
        False
    """
    out = wrap(input.array)
    out.version = input.shared_version()
    out.version.viewed = True
    return out
