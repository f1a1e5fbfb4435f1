"""The nearest stored queries vote for their answers (Cover and Hart 1967)."""

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

DOUBT = 0.1
"""Votes that no answer gets, so that few and far neighbours do not convince."""


class Neighbours(Student):
    """A vote of the nearest queries by hashed word and character n-gram TF-IDF.

    A query at likeness s has ``s**power`` votes; the score is the winner's share of all votes,
    `DOUBT` among them, times the largest likeness of one that voted for it.

    Args:
        most: queries stored; the oldest are dropped.
        count: that vote.
        power: of the likeness.
        bits: ``2**bits`` buckets.
        longest: characters of a query that are read.

    Example:
        >>> student = Neighbours()
        >>> student.learn("freeze my card please", "freeze")
        >>> student.learn("how much money do i have", "balance")
        >>> student.suggest("please freeze this card").answer
        'freeze'
    """

    name = "neighbours"

    def __init__(
        self,
        most: int = 20_000,
        count: int = 10,
        power: float = 2.0,
        bits: int = 16,
        longest: int = 4000,
    ) -> None:
        self._index = Index(bits, most)
        self._names = Names()
        self._count, self._power, self._longest = count, power, longest

    def suggest(self, query: str) -> Opinion:
        """The answer with most votes."""
        numbers, likeness = self._index.nearest(self._grams(query), self._count)
        if len(numbers) == 0:
            return Opinion(self.name, None, 0.0)
        votes: dict[int, float] = {}
        nearest: dict[int, float] = {}
        for answer, vote, near in zip(
            numbers.tolist(), (likeness**self._power).tolist(), likeness.tolist(), strict=True
        ):
            votes[answer] = votes.get(answer, 0.0) + vote
            nearest.setdefault(answer, near)  # the best come first
        winner = min(votes, key=lambda answer: (-votes[answer], answer))
        # Summed in the order of the answers' numbers, which is the same after a new start.
        total = float(np.array([votes[answer] for answer in sorted(votes)]).sum())
        score = votes[winner] / (total + DOUBT) * nearest[winner]
        return Opinion(self.name, self._names[winner], score)

    def learn(self, query: str, answer: str) -> None:
        """Store the query."""
        self._index.add(self._grams(query), self._names.number(answer))
        if len(self._names) > 2 * self._index.most:  # most belong to queries dropped since
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
                "count": self._count,
                "power": self._power,
                "longest": self._longest,
            },
        )

    @classmethod
    def from_state(cls, arrays: dict[str, NDArray[Any]], facts: dict[str, Any]) -> Neighbours:
        """The student whose state this is."""
        student = cls(1, facts["count"], facts["power"], 1, facts["longest"])
        student._index = Index.from_state(arrays, facts["index"])
        for answer in facts["answers"]:
            student._names.number(answer)
        return student

    def _grams(self, query: str) -> NDArray[np.int64]:
        return grams(query[: self._longest], self._index.bits)
