"""A table with a row for each bucket, whose columns come as they are needed, without a copy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from mmap import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .grams import Buckets

WIDTH = 64
"""Columns that come together."""

Rows = NDArray[np.float32]


class Table:
    """Numbers of buckets and classes, 0 at first.

    Args:
        bits: ``2**bits`` rows.

    Example:
        >>> table = Table(bits=4)
        >>> table.widen(70)
        >>> table.add(np.array([1, 3]), 69, 2.0)
        >>> table.columns, table.take(np.array([3, 4]), 70)[:, 69].tolist()
        (128, [2.0, 0.0])
    """

    def __init__(self, bits: int) -> None:
        self._rows = 1 << bits
        self._blocks: list[Rows] = []
        self._written = np.zeros(1 << bits, bool)

    @property
    def written(self) -> Buckets:
        """Rows that were written, in rising order."""
        return np.flatnonzero(self._written)

    @property
    def columns(self) -> int:
        """Columns that there are."""
        return WIDTH * len(self._blocks)

    def widen(self, count: int) -> None:
        """Have at least so many columns."""
        while self.columns < count:
            # Of the system, which gives zeros when they are first read: nobody waits for all.
            fresh = mmap(-1, 4 * self._rows * WIDTH)
            self._blocks.append(np.frombuffer(fresh, np.float32).reshape(self._rows, WIDTH))

    def take(self, found: Buckets, count: int) -> Rows:
        """A copy of some rows' first columns.

        Args:
            found: the rows.
            count: columns, no more than there are.

        Shape:
            - Output: ``(len(found), count)``
        """
        blocks = [block.take(found, axis=0) for block in self._blocks[: -(-count // WIDTH)]]
        return np.concatenate([np.empty((len(found), 0), np.float32), *blocks], axis=1)[:, :count]

    def put(self, found: Buckets, rows: Rows) -> None:
        """Write some rows' first columns.

        Args:
            found: the rows, each once.
            rows: ``(len(found), count)``.
        """
        for place, block in enumerate(self._blocks):
            part = rows[:, WIDTH * place : WIDTH * (place + 1)]
            if part.shape[1] == WIDTH:
                block[found] = part
            elif part.shape[1]:
                block[found, : part.shape[1]] = part
        self._written[found] = True

    def entries(self) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32], Rows]]:
        """What is not 0, some columns after others: rows, columns and numbers."""
        for place, block in enumerate(self._blocks):
            found = np.flatnonzero(block != 0)  # of truth values: ten times as fast
            rows, columns = (found // WIDTH).astype(np.int32), (found % WIDTH).astype(np.int32)
            yield rows, columns + WIDTH * place, block.ravel()[found]

    def enter(self, rows: NDArray[Any], columns: NDArray[Any], values: Rows) -> None:
        """Write what `entries` told."""
        blocks = columns // WIDTH
        for place, block in enumerate(self._blocks):
            mine = blocks == place
            block[rows[mine], columns[mine] % WIDTH] = values[mine]
        self._written[rows] = True

    def add(self, found: Buckets, column: int, value: float) -> None:
        """Add to one column of some rows, each of which comes once."""
        self._blocks[column // WIDTH][found, column % WIDTH] += value
        self._written[found] = True

    def clear(self, column: int) -> None:
        """Make a column 0 again."""
        self._blocks[column // WIDTH][self.written, column % WIDTH] = 0

    def scale(self, factor: float) -> None:
        """Multiply all."""
        written = self.written
        for block in self._blocks:
            block[written] *= np.float32(factor)


def pieces(arrays: Iterable[str]) -> list[str]:
    """What the names of a saved table's pieces end in, one for each piece.

    Args:
        arrays: names, of which those of rows count. In older states there is one piece, and its
            name ends in nothing.

    Example:
        >>> pieces(["rows.0", "weights.0", "rows.1", "weights.1"]), pieces(["rows", "weights"])
        (['.0', '.1'], [''])
    """
    return [name.removeprefix("rows") for name in arrays if name.startswith("rows")]
