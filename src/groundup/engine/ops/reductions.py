"""Operations that combine elements along dimensions.

``dim`` is a dimension, several, or None for all; ``keepdim`` keeps the reduced dimensions with size
1. Of float16 and bfloat16 tensors all are computed in float32 and rounded once.
"""

from __future__ import annotations

import builtins
import math
from typing import TYPE_CHECKING, Any, NamedTuple

from ..autocast import widened
from ..base import mode
from ..dtypes import FLOATING, HALVES, Number, as_dtype, int64
from ..primitives import elementwise, fused, reduction, shape as shaping
from .arguments import Dim, floating, many_dims, one_dim, to_dtype
from .arithmetic import maximum, minimum

if TYPE_CHECKING:
    from ..tensor import Tensor


class ValuesIndices(NamedTuple):
    """Values along a dimension and where they stood."""

    values: Tensor
    indices: Tensor


def sum(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """Sum; integers and booleans add up as int64.

    Example:
        >>> gu.ones(2, 3).sum(dim=1)
        tensor([3., 3.], shape=(2,), dtype=float32)
    """
    if dtype is not None:
        input = to_dtype(input, as_dtype(dtype))
    elif input.array.dtype.kind not in FLOATING:
        input = to_dtype(input, int64)
    return reduction.sum(input, dims=many_dims(input, dim), keepdim=keepdim)


def mean(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """Mean; NaN for no elements.

    Raises:
        TypeError: the dtype is not floating.

    Example:
        >>> gu.tensor([1.0, 2.0, 6.0]).mean()
        tensor(3., shape=(), dtype=float32)
    """
    if dtype is not None:
        input = to_dtype(input, as_dtype(dtype))
    _expect_floating("mean", input)
    if input.array.dtype.char in HALVES:
        return to_dtype(mean(widened(input), dim, keepdim), input.array.dtype)
    dims = many_dims(input, dim)
    return reduction.sum(input, dims=dims, keepdim=keepdim) / _count(input, dims)


def _expect_floating(name: str, x: Tensor) -> None:
    if x.array.dtype.kind not in FLOATING:
        raise TypeError(
            f"{name}: the dtype is {x.array.dtype.name}, expected a floating one; "
            "convert with .float()"
        )


def _count(x: Tensor, dims: tuple[int, ...]) -> int:
    return math.prod(x.array.shape[d] for d in dims)


def var(
    input: Tensor,
    dim: Dim | bool = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: Number | None = None,
) -> Tensor:
    """Variance: squared deviations from the mean, divided by ``n - correction``.

    Args:
        dim: dimensions; a truth value stands for ``unbiased``, as in PyTorch.
        unbiased: the older way to say ``correction``: True is 1, False is 0.
        correction: 1 (default) for the unbiased estimate, 0 for the population's.

    Raises:
        TypeError: the dtype is not floating.

    Example:
        >>> gu.tensor([1.0, 2.0, 3.0]).var()
        tensor(1., shape=(), dtype=float32)
    """
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if unbiased is not None:
        correction = int(unbiased)
    correction = 1 if correction is None else correction
    _expect_floating("var", input)
    if input.array.dtype.char in HALVES:
        found = var(widened(input), dim, None, keepdim, correction=correction)
        return to_dtype(found, input.array.dtype)
    dims = many_dims(input, dim)
    centred = input - mean(input, dims, keepdim=True) if dims else input - input
    total = reduction.sum(centred * centred, dims=dims, keepdim=keepdim)
    return total / builtins.max(_count(input, dims) - correction, 0)


def std(
    input: Tensor,
    dim: Dim | bool = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: Number | None = None,
) -> Tensor:
    """Standard deviation; its gradient is 0 where it is 0. Arguments as for ``var``.

    Example:
        >>> gu.tensor([1.0, 2.0, 3.0]).std()
        tensor(1., shape=(), dtype=float32)
    """
    if input.array.dtype.char in HALVES:
        found = std(widened(input), dim, unbiased, keepdim, correction=correction)
        return to_dtype(found, input.array.dtype)
    return _sqrt(var(input, dim, unbiased, keepdim, correction=correction))


def _sqrt(x: Tensor) -> Tensor:
    """Square root whose gradient at 0 is 0 instead of infinity."""
    zero = elementwise.eq(x, elementwise.scalar(0, x))
    safe = elementwise.where(zero, elementwise.scalar(1, x), x)
    return elementwise.where(zero, elementwise.scalar(0, x), elementwise.sqrt(safe))


def norm(input: Tensor, p: float | str = 2.0, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """Vector norm ``(sum |x|^p)^(1/p)``; its gradient is 0 where it is 0.

    Args:
        p: any number; infinity for the largest magnitude, 0 for the count of non-zeros, "fro" for
        2.

    Raises:
        TypeError: the dtype is not floating. ValueError: another word for ``p``.

    Example:
        >>> gu.tensor([3.0, 4.0]).norm()
        tensor(5., shape=(), dtype=float32)
    """
    _expect_floating("norm", input)
    if input.array.dtype.char in HALVES:
        return to_dtype(norm(widened(input), p, dim, keepdim), input.array.dtype)
    dims = many_dims(input, dim)
    if isinstance(p, str) and p != "fro":
        raise ValueError(f"norm: p is {p!r}, expected a number or 'fro'")
    power = 2.0 if p == "fro" else float(p)
    if power == 2:
        return _sqrt(reduction.sum(input * input, dims=dims, keepdim=keepdim))
    magnitude = elementwise.abs(input)
    if math.isinf(power):
        extreme = reduction.amax if power > 0 else reduction.amin
        return extreme(magnitude, dims=dims, keepdim=keepdim)
    if power == 0:
        nonzero = elementwise.ne(input, elementwise.scalar(0, input))
        return reduction.sum(to_dtype(nonzero, input.array.dtype), dims=dims, keepdim=keepdim)
    if power == 1:
        return reduction.sum(magnitude, dims=dims, keepdim=keepdim)
    total = reduction.sum(magnitude**power, dims=dims, keepdim=keepdim)
    zero = elementwise.eq(total, elementwise.scalar(0, total))
    safe = elementwise.where(zero, elementwise.scalar(1, total), total)
    return elementwise.where(zero, elementwise.scalar(0, total), safe ** (1 / power))


def amax(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """Largest element; equal ones share the gradient.

    Example:
        >>> gu.tensor([[1.0, 5.0], [7.0, 2.0]]).amax(dim=1)
        tensor([5., 7.], shape=(2,), dtype=float32)
    """
    return reduction.amax(input, dims=many_dims(input, dim), keepdim=keepdim)


def amin(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """Smallest element; equal ones share the gradient.

    Example:
        >>> gu.tensor([[1.0, 5.0], [7.0, 2.0]]).amin(dim=1)
        tensor([1., 2.], shape=(2,), dtype=float32)
    """
    return reduction.amin(input, dims=many_dims(input, dim), keepdim=keepdim)


def max(input: Tensor, dim: int | Tensor | None = None, keepdim: bool = False) -> Any:
    """Largest element of all, along a dimension (with its index), or of two tensors.

    Returns:
        A tensor; with an integer ``dim`` a pair ``(values, indices)`` (the first of equal ones,
        which alone gets the gradient).

    Example:
        >>> gu.tensor([[1.0, 5.0], [7.0, 2.0]]).max(dim=1).indices
        tensor([1, 0], shape=(2,), dtype=int64)
    """
    if dim is None:
        return amax(input)
    if not isinstance(dim, int):
        return maximum(input, dim)
    return _pick(input, reduction.argmax, dim, keepdim)


def min(input: Tensor, dim: int | Tensor | None = None, keepdim: bool = False) -> Any:
    """Smallest element of all, along a dimension (with its index), or of two tensors.

    Returns:
        A tensor; with an integer ``dim`` a pair ``(values, indices)``.

    Example:
        >>> gu.tensor([[1.0, 5.0], [7.0, 2.0]]).min(dim=1).values
        tensor([1., 2.], shape=(2,), dtype=float32)
    """
    if dim is None:
        return amin(input)
    if not isinstance(dim, int):
        return minimum(input, dim)
    return _pick(input, reduction.argmin, dim, keepdim)


def _pick(x: Tensor, find: Any, dim: int, keepdim: bool) -> ValuesIndices:
    from ..primitives.indexing import gather

    d = one_dim(x, dim)
    if not x.array.ndim:
        return ValuesIndices(x, to_dtype(elementwise.logical_and(x, x), int64) * 0)
    indices = find(x, dim=d)
    values = gather(x, indices, dim=d)
    if keepdim:
        return ValuesIndices(values, indices)
    return ValuesIndices(values.squeeze(d), indices.squeeze(d))


def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Index of the largest element (of the flattened tensor if no dimension is given).

    Example:
        >>> gu.tensor([[1.0, 5.0], [7.0, 2.0]]).argmax()
        tensor(2, shape=(), dtype=int64)
    """
    return _arg(input, reduction.argmax, dim, keepdim)


def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Index of the smallest element (of the flattened tensor if no dimension is given).

    Example:
        >>> gu.tensor([[1.0, 5.0], [7.0, 2.0]]).argmin(dim=0)
        tensor([0, 1], shape=(2,), dtype=int64)
    """
    return _arg(input, reduction.argmin, dim, keepdim)


def _arg(x: Tensor, find: Any, dim: int | None, keepdim: bool) -> Tensor:
    d = None if dim is None else one_dim(x, dim)
    if d is None or not x.array.ndim:
        found: Tensor = find(shaping.reshape(x, shape=(-1,)), dim=0)
        return found.reshape((1,) * x.array.ndim if keepdim else ())
    found = find(x, dim=d)
    return found if keepdim else found.squeeze(d)


def any(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """Whether any element is true (not zero).

    Example:
        >>> gu.tensor([False, True]).any()
        tensor(True, shape=(), dtype=bool)
    """
    return reduction.any(input, dims=many_dims(input, dim), keepdim=keepdim)


def all(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """Whether all elements are true (not zero).

    Example:
        >>> gu.tensor([False, True]).all()
        tensor(False, shape=(), dtype=bool)
    """
    return reduction.all(input, dims=many_dims(input, dim), keepdim=keepdim)


def prod(
    input: Tensor, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """Product; the gradient is exact also where elements are 0. Under ``autocast`` in float32.

    The elements are multiplied in pairs, the results in pairs again, and so on: about log2(n)
    products, each with its ordinary derivative.

    Example:
        >>> gu.tensor([2.0, 3.0, 4.0]).prod()
        tensor(24., shape=(), dtype=float32)
    """
    if dtype is not None:
        input = to_dtype(input, as_dtype(dtype))
    elif input.array.dtype.kind not in FLOATING:
        input = to_dtype(input, int64)
    elif mode.autocast is not None:
        input = widened(input)
    if input.array.dtype.char in HALVES:
        return to_dtype(prod(widened(input), dim, keepdim), input.array.dtype)
    x = input.reshape(-1) if dim is None or not input.array.ndim else input
    d = 0 if dim is None else one_dim(x, dim)
    while (n := x.array.shape[d]) > 1:
        half = n // 2
        pairs = x.narrow(d, 0, half) * x.narrow(d, half, half)
        rest = x.narrow(d, 2 * half, n - 2 * half)
        x = shaping.cat(pairs, rest, dim=d) if n % 2 else pairs
    if n == 0:
        shape = tuple(1 if i == d else size for i, size in enumerate(x.array.shape))
        x = shaping.expand(elementwise.scalar(1, x), shape=shape) + reduction.sum(
            x, dims=(d,), keepdim=True
        )
    if dim is None or not input.array.ndim:
        return x.reshape((1,) * input.array.ndim if keepdim else ())
    return x if keepdim else x.squeeze(d)


def cumsum(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Running sum along a dimension.

    Example:
        >>> gu.tensor([1.0, 2.0, 3.0]).cumsum(0)
        tensor([1., 3., 6.], shape=(3,), dtype=float32)
    """
    if dtype is not None:
        input = to_dtype(input, as_dtype(dtype))
    elif input.array.dtype.kind not in FLOATING:
        input = to_dtype(input, int64)
    d = one_dim(input, dim)
    return reduction.cumsum(input, dim=d) if input.array.ndim else input.clone()


def logsumexp(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """``log(sum(exp(input)))`` without overflow.

    Example:
        >>> gu.tensor([1000.0, 1000.0]).logsumexp(0)
        tensor(1000.6932, shape=(), dtype=float32)
    """
    x = floating(input)
    return fused.logsumexp(x, dims=many_dims(x, dim), keepdim=keepdim)


def softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """``exp(input) / sum(exp(input))`` along a dimension.

    Args:
        dtype: a floating type to convert to first.

    Raises:
        TypeError: ``dtype`` is not floating.

    Example:
        >>> gu.tensor([0.0, 0.0]).softmax(0)
        tensor([0.5000, 0.5000], shape=(2,), dtype=float32)
    """
    x = _in_floating("softmax", input, dtype)
    d = one_dim(x, dim)
    return fused.softmax(x, dim=d) if x.array.ndim else x * 0 + 1


def _in_floating(name: str, x: Tensor, dtype: Any) -> Tensor:
    if dtype is None:
        return floating(x)
    x = to_dtype(x, as_dtype(dtype))
    _expect_floating(name, x)
    return x


def log_softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """The logarithm of ``softmax``, without the loss of digits of taking it afterwards.

    Args:
        dtype: a floating type to convert to first.

    Raises:
        TypeError: ``dtype`` is not floating.

    Example:
        >>> gu.tensor([0.0, 0.0]).log_softmax(0)
        tensor([-0.6931, -0.6931], shape=(2,), dtype=float32)
    """
    x = _in_floating("log_softmax", input, dtype)
    d = one_dim(x, dim)
    return fused.log_softmax(x, dim=d) if x.array.ndim else x * 0


def standardize(
    input: Tensor, dim: Dim = None, eps: float = 1e-5, known: tuple[Tensor, ...] = ()
) -> Tensor:
    """``(input - mean) / sqrt(variance + eps)``, both taken over ``dim`` (the biased variance).

    The heart of every normalisation layer, as one operation.

    Args:
        known: mean and variance of the input, with the reduced dimensions kept, if they were needed
            before; otherwise they are computed. Gradients flow as if they were.

    Example:
        >>> from groundup.engine.ops.reductions import standardize
        >>> standardize(gu.tensor([1.0, 3.0]), eps=0.0).tolist()
        [-1.0, 1.0]
    """
    return fused.standardize(input, *known, dims=many_dims(input, dim), eps=eps)
