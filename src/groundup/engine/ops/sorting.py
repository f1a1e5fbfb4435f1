"""Sorting and the largest elements: the order is found, then the values are gathered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..primitives import indexing, shape as shaping
from .arguments import one_dim
from .reductions import ValuesIndices

if TYPE_CHECKING:
    from ..tensor import Tensor


def argsort(
    input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = True
) -> Tensor:
    """Positions that would sort a dimension; equal ones keep their order, NaN counts as largest.

    Example:
        >>> gu.tensor([30, 10, 20]).argsort()
        tensor([1, 2, 0], shape=(3,), dtype=int64)
    """
    d = one_dim(input, dim)
    if not input.array.ndim:
        first: Tensor = (input != input).long()
        return first
    if not descending:
        return indexing.argsort(input, dim=d)
    reversed_order = indexing.argsort(shaping.flip(input, dims=(d,)), dim=d)
    from_end: Tensor = input.array.shape[d] - 1 - shaping.flip(reversed_order, dims=(d,))
    return from_end


def sort(
    input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = True
) -> ValuesIndices:
    """A dimension in order, with the positions where the elements stood.

    Returns:
        (values, indices).

    Example:
        >>> gu.tensor([30, 10, 20]).sort(descending=True).values
        tensor([30, 20, 10], shape=(3,), dtype=int64)
    """
    d = one_dim(input, dim)
    order = argsort(input, d, descending)
    if not input.array.ndim:
        return ValuesIndices(input, order)
    return ValuesIndices(indexing.gather(input, order, dim=d), order)


def topk(
    input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> ValuesIndices:
    """The ``k`` largest (or smallest) elements of a dimension, best first, with their positions.

    Args:
        sorted: accepted for PyTorch's sake; the result is always sorted.

    Raises:
        ValueError: ``k`` exceeds the dimension.

    Example:
        >>> gu.tensor([30, 10, 20]).topk(2).indices
        tensor([0, 2], shape=(2,), dtype=int64)
    """
    d = one_dim(input, dim)
    size = input.array.shape[d] if input.array.ndim else 1
    if not 0 <= k <= size:
        raise ValueError(f"topk: k is {k}, but dimension {d} has {size} elements")
    values, indices = sort(input, d, descending=largest)
    if not input.array.ndim:
        return ValuesIndices(values, indices)
    return ValuesIndices(values.narrow(d, 0, k), indices.narrow(d, 0, k))
