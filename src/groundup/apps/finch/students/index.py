"""Stored queries, found by the n-grams that they share with another: an inverted index.

The likeness of two queries is the cosine of their sets of grams, each gram weighed by
``log((2 + N) / (1 + n))`` of the N queries stored and the n that have it (Salton and Buckley 1988,
TF-IDF with binary TF), or by 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .grams import Buckets

LANES = 16
"""Values of which the largest stands for all, when the largest of very many are looked for."""
LEAST = 1e-9
"""Length of a query without grams."""
REWEIGH = 1.25
"""Lengths are computed again whenever so many times as many queries are stored."""


class Index:
    """Sets of grams, the oldest quarter dropped when full.

    Args:
        bits: ``2**bits`` buckets.
        most: queries stored.
        weigh: whether rare grams count for more.
        read: the grams of a query that are looked up, those that weigh most.

    Example:
        >>> index = Index(bits=4)
        >>> index.add(np.array([1, 2, 3]), 7)
        >>> index.add(np.array([3, 4, 5]), 8)
        >>> numbers, likeness = index.nearest(np.array([1, 2, 3]), 1)
        >>> numbers, likeness.round(2)
        (array([7]), array([1.]))
    """

    _reweigh_at: int

    def __init__(
        self, bits: int = 16, most: int = 20_000, weigh: bool = True, read: int = 96
    ) -> None:
        self.bits, self.most, self.weigh, self.read = bits, most, weigh, read
        self._start_empty()

    def __len__(self) -> int:
        return len(self._stored)

    def add(self, found: Buckets, number: int) -> None:
        """Store a query's grams.

        Args:
            found: as `grams` gives them.
            number: that `nearest` tells of it.
        """
        if len(self) == self.most:
            self.keep(self.most - max(1, self.most // 4))
        self._insert(found, number)

    def nearest(self, found: Buckets, count: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The stored queries most like another, best first.

        Args:
            found: the other's grams.
            count: how many at most; those that share no gram are left out.

        Shape:
            - Output: numbers and likenesses, ``(k,)`` with ``k <= count``
        """
        weights = self._weights(found)
        length = np.sqrt(weights.sum())
        if len(found) > self.read:
            # Stable, so that ties do not hang on how many grams there are.
            kept = np.argsort(-weights, kind="stable")[: self.read]
            found, weights = found[kept], weights[kept]
        sizes = self._having[found]
        known = sizes > 0
        if not known.any():
            return np.empty(0, np.int64), np.empty(0)
        found, weights, sizes = found[known], weights[known], sizes[known]
        postings = self._postings
        lists = [
            postings[bucket][:size]
            for bucket, size in zip(found.tolist(), sizes.tolist(), strict=True)
        ]
        shared = np.bincount(np.concatenate(lists), np.repeat(weights, sizes), len(self))
        likeness = shared / (length * self._lengths[: len(self)])
        best = _largest(likeness, count)
        best = best[likeness[best] > 0]
        return self._numbers[best], np.minimum(likeness[best], 1.0)

    def keep(self, recent: int) -> None:
        """Drop all but the ``recent`` last queries."""
        first = max(0, len(self) - recent)
        stored, numbers = self._stored[first:], self._numbers[first : len(self)].copy()
        self._start_empty()
        # As if they came one by one: lengths are those of when they were last computed.
        together, then = 0, self._reweigh_at
        while then <= len(stored):
            together, then = then, int(REWEIGH * then) + 1
        self._reweigh_at = then
        self._fill(stored[:together], numbers[:together])
        self._measure()
        for found, number in zip(stored[together:], numbers[together:].tolist(), strict=True):
            self._insert(found, number)

    def renumber(self) -> NDArray[np.int64]:
        """Number from 0 on, and tell the numbers that these stand for, rising."""
        old, new = np.unique(self._numbers[: len(self)], return_inverse=True)
        self._numbers[: len(self)] = new
        return old

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """What is stored."""
        count = len(self)
        arrays: dict[str, NDArray[Any]] = {
            "grams": np.concatenate([np.empty(0, np.int64), *self._stored]).astype(np.int32),
            "sizes": np.array([len(found) for found in self._stored], np.int32),
            "numbers": self._numbers[:count].copy(),
            "lengths": self._lengths[:count].copy(),
        }
        facts = {
            "bits": self.bits, "most": self.most, "weigh": self.weigh, "read": self.read,
            "reweigh_at": self._reweigh_at,
        }  # fmt: skip
        return arrays, facts

    @classmethod
    def from_state(cls, arrays: dict[str, NDArray[Any]], facts: dict[str, Any]) -> Index:
        """The index whose state this is."""
        index = cls(facts["bits"], facts["most"], facts["weigh"], facts["read"])
        ends = np.cumsum(arrays["sizes"])
        stored = np.split(arrays["grams"].astype(np.int64), ends[:-1]) if len(ends) else []
        index._fill(stored, arrays["numbers"])
        index._lengths[: len(index)] = arrays["lengths"]
        index._reweigh_at = facts["reweigh_at"]
        return index

    def _start_empty(self) -> None:
        self._having = np.zeros(1 << self.bits, np.int32)
        self._postings: dict[int, NDArray[np.int32]] = {}  # with room behind what is filled
        self._stored: list[Buckets] = []
        self._lengths = np.ones(64)
        self._numbers = np.zeros(64, np.int64)
        self._reweigh_at = 16

    def _fill(self, stored: list[Buckets], numbers: NDArray[np.int64]) -> None:
        """Store many where there are none yet, all but their lengths."""
        count = len(stored)
        self._stored = list(stored)
        self._lengths = np.ones(max(64, count))
        self._numbers = np.zeros(max(64, count), np.int64)
        self._numbers[:count] = numbers
        sizes = [len(found) for found in stored]
        found = np.concatenate([np.empty(0, np.int64), *stored])
        few = found.astype(np.uint16) if self.bits <= 16 else found  # sorted by their digits
        order = np.argsort(few, kind="stable")
        places = np.repeat(np.arange(count, dtype=np.int32), sizes)[order]
        buckets, starts, having = np.unique(found[order], return_index=True, return_counts=True)
        self._having[buckets] = having
        lists = np.split(places, starts[1:]) if count else []
        self._postings = dict(zip(buckets.tolist(), lists, strict=True))

    def _insert(self, found: Buckets, number: int) -> None:
        place = len(self)
        if place == len(self._lengths):
            self._lengths = np.concatenate([self._lengths, np.ones(place)])
            self._numbers = np.concatenate([self._numbers, np.zeros(place, np.int64)])
        self._stored.append(found)
        self._numbers[place] = number
        sizes = self._having[found]
        for bucket, size in zip(found.tolist(), sizes.tolist(), strict=True):
            postings = self._postings.get(bucket, _NOWHERE)
            if size == len(postings):
                postings = np.concatenate([postings, np.empty(max(4, size), np.int32)])
                self._postings[bucket] = postings
            postings[size] = place
        self._having[found] = sizes + 1
        self._lengths[place] = self._length(found)
        if len(self) >= self._reweigh_at:
            self._reweigh_at = int(REWEIGH * len(self)) + 1
            self._measure()

    def _measure(self) -> None:
        """Compute the lengths of all again."""
        sizes = np.array([len(found) for found in self._stored])
        starts = np.cumsum(sizes) - sizes
        weights = self._weights(np.concatenate([np.empty(0, np.int64), *self._stored]))
        for size in np.unique(sizes).tolist():  # rows are added up as one by one, to the bit
            places = np.flatnonzero(sizes == size)
            squares = weights[starts[places][:, None] + np.arange(size)].sum(axis=1)
            self._lengths[places] = np.maximum(np.sqrt(squares), LEAST)

    def _weights(self, found: Buckets) -> NDArray[np.float64]:
        if not self.weigh:
            return np.ones(len(found))
        return np.log((2 + len(self)) / (1 + self._having[found])) ** 2

    def _length(self, found: Buckets) -> float:
        return max(float(np.sqrt(self._weights(found).sum())), LEAST)


_NOWHERE = np.empty(0, np.int32)


def _largest(values: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Where the largest values are, best first, of equals the last first."""
    rows = len(values) // LANES
    if rows > count:
        # So many lanes have a maximum that is at least this, so the largest values are no smaller.
        lanes = values[: LANES * rows].reshape(LANES, rows).max(axis=0)
        places = np.flatnonzero(values >= np.partition(lanes, rows - count)[rows - count])
    else:
        places = np.arange(len(values))
    return places[np.lexsort((-places, -values[places]))[:count]]
