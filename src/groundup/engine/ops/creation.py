"""New tensors: from data, constant, regular and random.

Every function takes ``dtype`` and ``requires_grad``. Without a dtype, floating results have the
default floating type (float32) and integer results int64.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base import Array, TensorBase, fresh, values, wrap
from ..dtypes import (
    FLOATING,
    SUPPORTED,
    DType,
    Number,
    as_dtype,
    get_default_dtype,
    int64,
    number_dtype,
)
from ..random import Generator, default_generator
from .arguments import one_shape

if TYPE_CHECKING:
    from ..tensor import Tensor


def _finish(array: Array, requires_grad: bool) -> Tensor:
    out = fresh(array)
    return out.requires_grad_() if requires_grad else out


def _dtype(dtype: Any, default: DType | None = None) -> DType:
    if dtype is not None:
        return as_dtype(dtype)
    return default or get_default_dtype()


def tensor(data: Any, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor with a copy of the data.

    Args:
        data: a number, nested lists of numbers, a NumPy array, or a tensor.
        dtype: default: that of an array; for Python numbers the default floating type, int64 or
        bool.

    Raises:
        TypeError: the data is not numeric. ValueError: nested lists of unequal lengths.

    Example:
        >>> gu.tensor([[1, 2], [3, 4]])
        tensor([[1, 2],
                [3, 4]], shape=(2, 2), dtype=int64)
    """
    return _finish(np.array(_as_numbers(data, dtype)), requires_grad)


def as_tensor(data: Any, dtype: Any = None) -> Tensor:
    """A tensor of the data, sharing memory where that is possible.

    Example:
        >>> import numpy as np
        >>> a = np.zeros(2, np.float32)
        >>> a[0] = 1
        >>> gu.as_tensor(a)
        tensor([1., 0.], shape=(2,), dtype=float32)
    """
    if isinstance(data, TensorBase):
        return data.to(dtype)  # type: ignore[attr-defined,no-any-return]
    return wrap(_as_numbers(data, dtype))


def from_numpy(array: Array) -> Tensor:
    """A tensor that shares the memory of a NumPy array.

    Example:
        >>> import numpy as np
        >>> gu.from_numpy(np.arange(3))
        tensor([0, 1, 2], shape=(3,), dtype=int64)
    """
    return as_tensor(np.asarray(array))


def _as_numbers(data: Any, dtype: Any) -> Array:
    array = values(data) if isinstance(data, TensorBase) else data
    if not isinstance(array, np.ndarray | np.generic):
        array = np.asarray(array)
        if dtype is None and array.dtype == np.float64:
            array = array.astype(get_default_dtype())
    array = np.asarray(array)
    if dtype is not None:
        return array.astype(as_dtype(dtype), copy=False)
    if array.dtype not in SUPPORTED:
        names = ", ".join(d.name for d in SUPPORTED)
        raise TypeError(f"cannot make a tensor of {array.dtype} data; supported are {names}")
    return array


def zeros(*size: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Filled with 0.

    Example:
        >>> gu.zeros(2)
        tensor([0., 0.], shape=(2,), dtype=float32)
    """
    return _finish(np.zeros(one_shape(size), _dtype(dtype)), requires_grad)


def ones(*size: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Filled with 1.

    Example:
        >>> gu.ones(2)
        tensor([1., 1.], shape=(2,), dtype=float32)
    """
    return _finish(np.ones(one_shape(size), _dtype(dtype)), requires_grad)


def empty(*size: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Of a shape, with arbitrary values.

    Example:
        >>> gu.empty(2, 3).shape
        (2, 3)
    """
    return _finish(np.empty(one_shape(size), _dtype(dtype)), requires_grad)


def full(
    size: int | Iterable[int], fill_value: Number, *, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """Filled with a value.

    Example:
        >>> gu.full((2,), 7)
        tensor([7, 7], shape=(2,), dtype=int64)
    """
    shape = one_shape([size])
    return _finish(
        np.full(shape, fill_value, _dtype(dtype, number_dtype(fill_value))), requires_grad
    )


def zeros_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros of another tensor's shape and dtype.

    Example:
        >>> gu.zeros_like(gu.tensor([1, 2]))
        tensor([0, 0], shape=(2,), dtype=int64)
    """
    return zeros(input.shape, dtype=_dtype(dtype, input.dtype), requires_grad=requires_grad)


def ones_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones of another tensor's shape and dtype.

    Example:
        >>> gu.ones_like(gu.tensor([1.5, 2]))
        tensor([1., 1.], shape=(2,), dtype=float32)
    """
    return ones(input.shape, dtype=_dtype(dtype, input.dtype), requires_grad=requires_grad)


def empty_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Arbitrary values in another tensor's shape and dtype.

    Example:
        >>> gu.empty_like(gu.ones(2, 3)).shape
        (2, 3)
    """
    return empty(input.shape, dtype=_dtype(dtype, input.dtype), requires_grad=requires_grad)


def full_like(
    input: Tensor, fill_value: Number, *, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """A value in another tensor's shape and dtype.

    Example:
        >>> gu.full_like(gu.ones(2), 7)
        tensor([7., 7.], shape=(2,), dtype=float32)
    """
    wanted = _dtype(dtype, input.dtype)
    return full(input.shape, fill_value, dtype=wanted, requires_grad=requires_grad)


def arange(
    start: Number,
    end: Number | None = None,
    step: Number = 1,
    *,
    dtype: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Numbers from ``start`` (0 if only one number is given) up to but without ``end``.

    Raises:
        ValueError: the step is 0 or leads away from the end.

    Example:
        >>> gu.arange(1, 7, 2)
        tensor([1, 3, 5], shape=(3,), dtype=int64)
    """
    if end is None:
        start, end = 0, start
    if step == 0 or (end - start) * step < 0:
        raise ValueError(f"arange({start}, {end}, {step}): the step does not lead to the end")
    integral = all(isinstance(n, int | np.integer) for n in (start, end, step))
    wanted = _dtype(dtype, int64 if integral else get_default_dtype())
    if wanted.kind not in FLOATING:
        start, end, step = int(start), int(end), int(step)
    return _finish(np.arange(start, end, step).astype(wanted, copy=False), requires_grad)


def linspace(
    start: float | Tensor,
    end: float | Tensor,
    steps: int,
    *,
    dtype: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """``steps`` evenly spaced numbers from ``start`` to ``end``, both included.

    Example:
        >>> gu.linspace(0, 1, 3)
        tensor([0.0000, 0.5000, 1.0000], shape=(3,), dtype=float32)
    """
    wanted = _dtype(dtype)
    number = float if wanted.kind in FLOATING else int
    values = np.linspace(number(start), number(end), steps)
    return _finish(values.astype(wanted), requires_grad)


def eye(n: int, m: int | None = None, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones on the diagonal, zeros elsewhere.

    Example:
        >>> gu.eye(2)
        tensor([[1., 0.],
                [0., 1.]], shape=(2, 2), dtype=float32)
    """
    return _finish(np.eye(n, m, dtype=_dtype(dtype)), requires_grad)


def rand(
    *size: Any, generator: Generator | None = None, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """Uniform random numbers in [0, 1).

    Args:
        generator: where the numbers come from; default: the one that ``manual_seed`` seeds.

    Example:
        >>> gu.rand(2, 3).shape
        (2, 3)
    """
    source = generator or default_generator
    return _finish(source.uniform(one_shape(size), _dtype(dtype)), requires_grad)


def randn(
    *size: Any, generator: Generator | None = None, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """Standard normal random numbers.

    Args:
        generator: where the numbers come from; default: the one that ``manual_seed`` seeds.

    Example:
        >>> gu.randn(2, 3).shape
        (2, 3)
    """
    source = generator or default_generator
    return _finish(source.normal(one_shape(size), _dtype(dtype)), requires_grad)


def randint(
    low: int,
    high: int | None = None,
    size: Iterable[int] = (),
    *,
    generator: Generator | None = None,
    dtype: Any = None,
) -> Tensor:
    """Uniform random integers in [low, high), or in [0, low) if ``high`` is left out.

    Example:
        >>> gu.randint(0, 10, (2, 3)).shape
        (2, 3)
    """
    if high is not None and not isinstance(high, int | np.integer):
        low, high, size = 0, low, high
    elif high is None:
        low, high = 0, low
    source = generator or default_generator
    numbers = source.integers(low, high, one_shape([size]))
    return wrap(numbers).to(_dtype(dtype, int64))


def randperm(n: int, *, generator: Generator | None = None) -> Tensor:
    """The numbers 0 to n - 1 in random order.

    Example:
        >>> gu.randperm(4).sort().values
        tensor([0, 1, 2, 3], shape=(4,), dtype=int64)
    """
    return wrap((generator or default_generator).permutation(n))


def rand_like(
    input: Tensor,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform random numbers in another tensor's shape and dtype.

    Example:
        >>> gu.rand_like(gu.ones(3)).shape
        (3,)
    """
    wanted = _dtype(dtype, input.dtype)
    return rand(input.shape, generator=generator, dtype=wanted, requires_grad=requires_grad)


def randn_like(
    input: Tensor,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Standard normal random numbers in another tensor's shape and dtype.

    Example:
        >>> gu.randn_like(gu.ones(3)).shape
        (3,)
    """
    wanted = _dtype(dtype, input.dtype)
    return randn(input.shape, generator=generator, dtype=wanted, requires_grad=requires_grad)


def bernoulli(input: Tensor, *, generator: Generator | None = None) -> Tensor:
    """1 with the probability given by each element, else 0.

    Example:
        >>> gu.bernoulli(gu.tensor([0.0, 1.0]))
        tensor([0., 1.], shape=(2,), dtype=float32)
    """
    return (rand_like(input, generator=generator) < input).to(input.dtype)


def multinomial(
    input: Tensor,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Indices drawn from each row with probability proportional to its elements.

    With replacement by inverting the cumulative sum; without, the largest ``log(u) / weight`` win
    (Efraimidis and Spirakis, 2006).

    Shape:
        (k,) -> (num_samples,); (n, k) -> (n, num_samples), int64.

    Raises:
        ValueError: a negative or infinite weight, a row of zeros, no samples, or more samples than
            elements without replacement.

    Example:
        >>> gu.multinomial(gu.tensor([0.0, 1.0]), 3, replacement=True)
        tensor([1, 1, 1], shape=(3,), dtype=int64)
    """
    if num_samples < 1:
        raise ValueError(f"multinomial: num_samples is {num_samples}, expected at least 1")
    weights = np.atleast_2d(values(input)).astype(np.float64)
    if not (np.isfinite(weights).all() and (weights >= 0).all() and (weights.sum(-1) > 0).all()):
        raise ValueError(
            "multinomial: weights must be finite and >= 0, with a positive sum in each row"
        )
    source = generator or default_generator
    if replacement:
        edges = np.cumsum(weights, axis=-1)
        marks = source.uniform((len(weights), num_samples), edges.dtype) * edges[:, -1:]
        rows = [np.searchsorted(e, m, side="right") for e, m in zip(edges, marks, strict=True)]
        last = weights.shape[1] - 1 - np.argmax(weights[:, ::-1] > 0, axis=1)
        picked = np.minimum(np.stack(rows), last[:, None])
    else:
        if num_samples > np.count_nonzero(weights, axis=-1).min():
            raise ValueError(
                f"multinomial: {num_samples} samples without replacement from a row of "
                f"{np.count_nonzero(weights, axis=-1).min()} non-zero weights"
            )
        u = source.uniform(weights.shape, np.dtype(np.float64))
        keys = np.where(weights > 0, np.log1p(-u) / np.where(weights > 0, weights, 1), -np.inf)
        picked = np.argsort(-keys, axis=-1, kind="stable")[:, :num_samples]
    return wrap(picked.astype(np.int64).reshape(*input.shape[:-1], num_samples))
