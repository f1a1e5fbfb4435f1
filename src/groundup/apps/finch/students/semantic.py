"""The static semantic cache: a query near enough to a stored one gets its answer.

Bang (2023), "GPTCache". Queries are vectors, here of hashed n-grams; likeness is their cosine; one
threshold is set beforehand and never changes. It knows nothing of how often it is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..opinion import Opinion
from ..state import State
from .grams import grams
from .index import Index
from .names import Names
from .student import Student


class Semantic(Student):
    """A static semantic cache; it says nothing below its threshold.

    Args:
        threshold: least cosine.
        most: queries stored; the oldest are dropped.
        bits: ``2**bits`` buckets.
        longest: characters of a query that are read.

    Example:
        >>> cache = Semantic(threshold=0.5)
        >>> cache.learn("enable my card", "enable")
        >>> cache.suggest("disable my card").answer  # what is wrong with such caches
        'enable'
        >>> cache.suggest("play some music").answer is None
        True
    """

    name = "semantic"

    def __init__(
        self, threshold: float = 0.8, most: int = 20_000, bits: int = 16, longest: int = 4000
    ) -> None:
        self._threshold, self._longest = threshold, longest
        self._index = Index(bits, most, weigh=False, read=4096)
        self._names = Names()

    def suggest(self, query: str) -> Opinion:
        """The answer of the nearest query, if that is near enough."""
        numbers, likeness = self._index.nearest(self._grams(query), 1)
        if len(numbers) == 0 or likeness[0] < self._threshold:
            return Opinion(self.name, None, 0.0)
        return Opinion(self.name, self._names[int(numbers[0])], float(likeness[0]))

    def learn(self, query: str, answer: str) -> None:
        """Store the query."""
        self._index.add(self._grams(query), self._names.number(answer))
        if len(self._names) > 2 * self._index.most:
            self._names.keep(self._index.renumber())

    def let_go(self, recent: int) -> None:
        """Store only the last ones."""
        self._index.keep(recent)

    def parts(self) -> Iterator[State]:
        """The index, and the answers that its numbers stand for."""
        arrays, facts = self._index.state()
        yield (
            arrays,
            {
                "index": facts,
                "answers": list(self._names),
                "threshold": self._threshold,
                "longest": self._longest,
            },
        )

    @classmethod
    def from_state(cls, arrays: dict[str, NDArray[Any]], facts: dict[str, Any]) -> Semantic:
        """The cache whose state this is."""
        cache = cls(facts["threshold"], 1, 1, facts["longest"])
        cache._index = Index.from_state(arrays, facts["index"])
        for answer in facts["answers"]:
            cache._names.number(answer)
        return cache

    def _grams(self, query: str) -> NDArray[np.int64]:
        return grams(query[: self._longest], self._index.bits)
