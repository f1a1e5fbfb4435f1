"""Data sets: a length, and an item for each index.

A data set may also have ``batch(indices)``, which gives many items at once, already put together;
the loader uses it wherever it can, because one vectorised selection is much faster than one item
at a time. The sets here have it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..engine.tensor import Tensor

Indices = NDArray[np.int64]


class Dataset(Protocol):
    """Whatever has a length and an item for each index; a list is one.

    Example:
        >>> class Squares:
        ...     def __len__(self):
        ...         return 10
        ...
        ...     def __getitem__(self, index):
        ...         return index, index**2
        >>> len(Squares()), Squares()[3]
        (10, (3, 9))
    """

    def __len__(self) -> int:
        """The number of items."""

    def __getitem__(self, index: int, /) -> Any:
        """The item at an index from 0 to the length - 1."""


class TensorDataset:
    """Tensors whose first dimension counts the items; an item is a tuple of one row of each.

    Args:
        *tensors: (N, ...) each, all with the same N.

    Attributes:
        tensors: the tensors.

    Raises:
        ValueError: no tensor, one without dimensions, or lengths that disagree.

    Example:
        >>> data = TensorDataset(gu.tensor([[1.0], [2.0], [3.0]]), gu.tensor([0, 1, 0]))
        >>> x, y = data[1]
        >>> x.tolist(), y.item()
        ([2.0], 1)
        >>> [column.tolist() for column in data.batch([2, 0])]
        [[[3.0], [1.0]], [0, 0]]
    """

    def __init__(self, *tensors: Tensor) -> None:
        shapes = [tuple(tensor.shape) for tensor in tensors]
        if not tensors or () in shapes or len({shape[0] for shape in shapes}) > 1:
            raise ValueError(
                f"TensorDataset: got tensors of shapes {shapes}; expected at least one, all with "
                "the same size in dimension 0"
            )
        self.tensors = tensors

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        return (self[i] for i in range(len(self)))

    def batch(self, indices: ArrayLike) -> tuple[Tensor, ...]:
        """Many items at once.

        Args:
            indices: integers, (B,).

        Returns:
            For each tensor of the set, one of shape (B, ...) with its own memory.

        Example:
            >>> TensorDataset(gu.arange(5) * 10).batch([4, 1])[0].tolist()
            [40, 10]
        """
        rows = np.asarray(indices, np.int64)
        return tuple(tensor[rows] for tensor in self.tensors)


class Subset:
    """Some items of another data set, in a given order.

    Args:
        dataset: the data set.
        indices: which items, integers from 0 to its length - 1.

    Attributes:
        dataset: the data set.
        indices: the indices as an int64 array.

    Raises:
        IndexError: an index is out of range.

    Example:
        >>> evens = Subset(["a", "b", "c", "d", "e"], [0, 2, 4])
        >>> len(evens), evens[1]
        (3, 'c')
    """

    def __init__(self, dataset: Dataset, indices: Sequence[int] | Indices) -> None:
        self.dataset = dataset
        self.indices = np.asarray(indices, np.int64).reshape(-1)
        wrong = self.indices[(self.indices < 0) | (self.indices >= len(dataset))]
        if len(wrong):
            raise IndexError(
                f"Subset: index {wrong[0]} is out of range; the data set has {len(dataset)} items, "
                f"so indices go from 0 to {len(dataset) - 1}"
            )

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[int(self.indices[index])]

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    @property
    def batch(self) -> Callable[[ArrayLike], Any]:
        """``batch`` of the data set for indices into this subset; there if the data set has it."""
        whole = self.dataset.batch  # type: ignore[attr-defined]
        return lambda indices: whole(self.indices[np.asarray(indices, np.int64)])
