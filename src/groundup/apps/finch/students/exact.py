"""The exact cache: a query that was answered before gets the same answer."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

from numpy.typing import NDArray

from ..opinion import Opinion
from ..state import State
from .grams import normalised
from .student import Student


class Exact(Student):
    """Answers of queries seen before, the least recently answered dropped first.

    Queries are kept as hashes. The score of a repeat is how often the answer of a repeated query
    was the answer before, of this query and of all, the latter counted like two repeats.

    Args:
        entries: kept at most.
        normalise: whether case, width and white space are ignored.

    Example:
        >>> cache = Exact()
        >>> cache.learn("what is my balance", "balance")
        >>> cache.suggest("what is my balance").answer
        'balance'
        >>> cache.suggest("What is my balance").answer is None
        True
    """

    def __init__(self, entries: int = 20_000, normalise: bool = False) -> None:
        self.name = "normalised" if normalise else "exact"
        self._most = entries
        self._normalise = normalise
        self._kept: OrderedDict[str, tuple[str, int, int]] = OrderedDict()  # same, repeats
        self._same, self._repeats = 1, 2  # before anything is known, an even chance

    def suggest(self, query: str) -> Opinion:
        """The answer of the same query, if there was one."""
        entry = self._kept.get(self._key(query))
        if entry is None:
            return Opinion(self.name, None, 0.0)
        answer, same, repeats = entry
        of_all = self._same / self._repeats
        return Opinion(self.name, answer, (same + 2 * of_all) / (repeats + 2))

    def learn(self, query: str, answer: str) -> None:
        """Keep the answer, in place of an older one."""
        key = self._key(query)
        entry = self._kept.pop(key, None)
        if entry is None:
            self._kept[key] = (answer, 0, 0)
        else:
            before, same, repeats = entry
            again = before == answer
            self._same += again
            self._repeats += 1
            # Another answer than before: what was said of the old one says nothing of the new.
            self._kept[key] = (answer, same + 1, repeats + 1) if again else (answer, 0, 1)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def let_go(self, recent: int) -> None:
        """Keep only what was answered last."""
        while len(self._kept) > recent:
            self._kept.popitem(last=False)

    def parts(self) -> Iterator[State]:
        """All entries, as JSON."""
        yield (
            {},
            {
                "entries": self._most,
                "normalise": self._normalise,
                "same": self._same,
                "repeats": self._repeats,
                "kept": [[key, *entry] for key, entry in self._kept.items()],
            },
        )

    @classmethod
    def from_state(cls, arrays: dict[str, NDArray[Any]], facts: dict[str, Any]) -> Exact:
        """The cache whose state this is."""
        cache = cls(facts["entries"], facts["normalise"])
        cache._same, cache._repeats = facts["same"], facts["repeats"]
        for key, answer, same, repeats in facts["kept"]:
            cache._kept[key] = (answer, same, repeats)
        return cache

    def _key(self, query: str) -> str:
        text = normalised(query) if self._normalise else query
        return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
