"""The loader: batches of a data set in an order that a seed decides and a state remembers.

Each epoch has its own order, drawn when the epoch starts. The loader's state is the number of the
epoch, how many of its batches were given, and the generator's state before the order was drawn,
from which the order can be drawn again; so a loader that is given the state of another continues
in the middle of the epoch with the very batches that were left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..engine.base import TensorBase
from ..engine.ops.creation import tensor
from ..engine.ops.shaping import stack
from ..engine.random import Generator, default_generator
from .dataset import Dataset, Indices


class DataLoader:
    """Batches of a data set, epoch after epoch; each loop over the loader is one epoch.

    Args:
        dataset: the items.
        batch_size: items in a batch.
        shuffle: a new random order in each epoch; false keeps the order of the data set.
        drop_last: leave out the last batch if it is smaller than the others.
        collate_fn: makes a batch of a list of items. Default: the data set's own ``batch`` if it
            has one (one selection of rows), else ``default_collate``.
        generator: source of the order; the default generator if None.
        transform: called with the parts of each batch, gives the batch that is used instead: the
            place for augmentation, ``lambda x, y: (augment(x), y)``.

    Attributes:
        epoch: epochs completed.
        position: batches given in the running epoch.

    Raises:
        ValueError: a batch size below 1, or no batch at all.

    Example:
        >>> from groundup.data import TensorDataset
        >>> data = TensorDataset(gu.arange(5))
        >>> [x.tolist() for (x,) in DataLoader(data, batch_size=2)]
        [[0, 1], [2, 3], [4]]
        >>> loader = DataLoader(data, batch_size=2, shuffle=True, generator=gu.Generator(0))
        >>> sorted(i for (x,) in loader for i in x.tolist())
        [0, 1, 2, 3, 4]
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int = 1,
        shuffle: bool = False,
        drop_last: bool = False,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        generator: Generator | None = None,
        transform: Callable[..., Any] | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"DataLoader: batch_size {batch_size}, expected at least 1")
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.collate_fn = collate_fn
        self.generator = generator or default_generator
        self.transform = transform
        self.epoch = 0
        self.position = 0
        self._before_order = self.generator.get_state()
        self._loaded_order: Indices | None = None
        if not len(self):
            raise ValueError(
                f"DataLoader: {len(dataset)} items in batches of {batch_size}"
                f"{' without the last, smaller one' if drop_last else ''} are no batch at all"
            )

    def __len__(self) -> int:
        """The number of batches in a whole epoch."""
        full, rest = divmod(len(self.dataset), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Any]:
        order, self._loaded_order = self._loaded_order, None
        if order is None:  # what continues is a state that was loaded, not a loop that was left
            self.position = 0
            self._before_order = self.generator.get_state()
            order = self._draw_order(self.generator)
        for position in range(self.position, len(self)):
            start = position * self.batch_size
            batch = self._batch(order[start : start + self.batch_size])
            self.position = position + 1  # before the batch is used: a state taken then counts it
            yield batch
        self.epoch += 1
        self.position = 0

    def _draw_order(self, generator: Generator) -> Indices:
        n = len(self.dataset)
        return generator.permutation(n) if self.shuffle else np.arange(n)

    def _batch(self, indices: Indices) -> Any:
        if self.collate_fn is None and hasattr(self.dataset, "batch"):
            batch = self.dataset.batch(indices)
        else:
            items = [self.dataset[int(i)] for i in indices]
            batch = (self.collate_fn or default_collate)(items)
        return batch if self.transform is None else self.transform(*batch)

    def state_dict(self) -> dict[str, Any]:
        """Everything that the remaining batches depend on, as JSON values.

        Example:
            >>> DataLoader(range(10), batch_size=4).state_dict()["position"]
            0
        """
        return {
            "epoch": self.epoch,
            "position": self.position,
            "items": len(self.dataset),
            "batch_size": self.batch_size,
            "shuffle": self.shuffle,
            "drop_last": self.drop_last,
            "before_order": self._before_order,
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state; the next loop gives the batches that were left in its epoch.

        The generator is set to where it was when the state was taken.

        Args:
            state: what ``state_dict`` gave, of a loader of the same data and the same settings.

        Raises:
            ValueError: the other loader had another number of items, batch size, ``shuffle`` or
                ``drop_last``; nothing is changed.

        Example:
            >>> def loader():
            ...     return DataLoader(range(6), 2, shuffle=True, generator=gu.Generator(1))
            >>> a, b = loader(), loader()
            >>> batches = iter(a)
            >>> first = next(batches)
            >>> b.load_state_dict(a.state_dict())
            >>> [x.tolist() for x in batches] == [x.tolist() for x in b]
            True
        """
        own = self.state_dict()
        for name in ("items", "batch_size", "shuffle", "drop_last"):
            if state.get(name) != own[name]:
                raise ValueError(
                    f"DataLoader: the state is of a loader with {name} {state.get(name)}, this one "
                    f"has {own[name]}; make it with the same data and settings to continue"
                )
        again = Generator(0)
        again.set_state(state["before_order"])
        self.generator.set_state(state["generator"])
        self._before_order = state["before_order"]
        self.epoch, self.position = state["epoch"], state["position"]
        self._loaded_order = self._draw_order(again) if self.position else None


def default_collate(items: Sequence[Any]) -> Any:
    """Put items together: tensors and numbers become one tensor with a new first dimension.

    Args:
        items: tensors, numbers, or tuples, lists or dictionaries of them, all of one structure.

    Returns:
        A tensor, or a tuple or dictionary of tensors.

    Raises:
        TypeError: an item is none of these.

    Example:
        >>> x, y = default_collate([(gu.zeros(2), 0), (gu.ones(2), 1)])
        >>> x.shape, y.tolist()
        ((2, 2), [0, 1])
    """
    first = items[0]
    if isinstance(first, TensorBase):
        return stack(items)
    if isinstance(first, np.ndarray | np.generic):
        return tensor(np.stack(items))
    if isinstance(first, bool | int | float):
        return tensor(list(items))
    if isinstance(first, tuple | list):
        return tuple(default_collate(column) for column in zip(*items, strict=True))
    if isinstance(first, dict):
        return {name: default_collate([item[name] for item in items]) for name in first}
    raise TypeError(
        f"default_collate: cannot put {type(first).__name__} together; expected tensors, numbers, "
        "or tuples or dictionaries of them, or give the loader a collate_fn"
    )
