"""What was seen, bounded: a fair sample of all of it, and the newest.

A model that learns from the newest answers alone forgets the old ones (McCloskey and Cohen, 1989);
mixing old examples in prevents that (Rolnick et al., 2019). Every example ever seen is in the
sample with the same probability (Vitter, 1985, "Random sampling with a reservoir", algorithm R).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FinchError
from ..state import State


@dataclass(frozen=True, slots=True)
class Example:
    """A query and what was answered.

    Attributes:
        query: the user's text.
        answer: the remote answer.
        local: what would have been answered locally; None if nothing.
        right: whether that was as good; None if not known.
        number: how many examples came before it.

    Example:
        >>> Example("how much is left?", "balance").size
        24
    """

    query: str
    answer: str
    local: str | None = None
    right: bool | None = None
    number: int = 0

    @property
    def size(self) -> int:
        """Characters of its texts, which is about what it takes in memory."""
        return len(self.query) + len(self.answer) + len(self.local or "")


class ReplayBuffer:
    """A reservoir over all examples, and the newest of them.

    Args:
        entries: examples in the reservoir at most.
        size: characters of all texts at most.
        newest: examples that are kept because they are new.
        fresh: share of the draws that come from the newest.
        seed: of the draws.

    Raises:
        FinchError: a bound below 1, or a share outside of 0 to 1.

    Example:
        >>> buffer = ReplayBuffer(entries=10, newest=2, seed=1)
        >>> for i in range(100):
        ...     buffer.add(Example(f"query {i}", "answer", number=i))
        >>> len(buffer), buffer.seen, len(buffer.sample(5))
        (12, 100, 5)
    """

    def __init__(
        self,
        entries: int = 20_000,
        size: int = 16_000_000,
        newest: int = 256,
        fresh: float = 0.25,
        seed: int = 0,
    ) -> None:
        for name, value in (("entries", entries), ("size", size), ("newest", newest)):
            if value < 1:
                raise FinchError(f"ReplayBuffer: {name} is {value}, expected at least 1")
        if not 0 <= fresh <= 1:
            raise FinchError(f"ReplayBuffer: fresh is {fresh}, expected a share from 0 to 1")
        self.entries, self.size, self.fresh = entries, size, fresh
        self.seen = self.held = 0
        self._before = 0  # of those seen, what was let go
        self._reservoir: list[Example] = []
        self._newest: deque[Example] = deque(maxlen=newest)
        self._random = np.random.Generator(np.random.PCG64(seed))

    def __len__(self) -> int:
        return len(self._reservoir) + len(self._newest)

    def __iter__(self) -> Iterator[Example]:
        """The different examples that are held, in the order in which they came."""
        held = {one.number: one for one in (*self._reservoir, *self._newest)}
        return iter(held[number] for number in sorted(held))

    def add(self, example: Example) -> None:
        """Take an example in; one that is larger than an eighth of the whole is passed over."""
        self.seen += 1
        if example.size > self.size // 8:
            return
        if len(self._newest) == self._newest.maxlen:
            self.held -= self._newest[0].size
        self._newest.append(example)
        self.held += example.size
        if len(self._reservoir) < self.entries:
            self._reservoir.append(example)
            self.held += example.size
        else:
            place = int(self._random.integers(self.seen - self._before))
            if place < self.entries:
                self.held += example.size - self._reservoir[place].size
                self._reservoir[place] = example
        while self.held > self.size:
            self._shrink()

    def let_go(self, recent: int) -> None:
        """Keep nothing but the latest examples; the sample is of these, and of what comes.

        Args:
            recent: how many were seen since the oldest that is kept.
        """
        self._before = max(0, self.seen - recent)
        self._reservoir = [one for one in self._reservoir if one.number >= self._before]
        kept = [one for one in self._newest if one.number >= self._before]
        self._newest.clear()
        self._newest.extend(kept)
        self.held = sum(one.size for one in (*self._reservoir, *self._newest))

    def _shrink(self) -> None:
        """Drop one: any of the reservoir, so that it stays fair, else the oldest of the newest."""
        if self._reservoir:
            place = int(self._random.integers(len(self._reservoir)))
            self._reservoir[place], last = self._reservoir[-1], self._reservoir[place]
            self._reservoir.pop()
            self.entries = max(1, len(self._reservoir))
            self.held -= last.size
        else:
            self.held -= self._newest.popleft().size

    def sample(self, count: int) -> list[Example]:
        """Examples drawn with replacement; none if nothing is held."""
        if not self._newest:
            return []
        fresh = self._random.random(count) < self.fresh
        where = self._random.random(count)
        sources = [self._newest if new or not self._reservoir else self._reservoir for new in fresh]
        return [
            source[int(x * len(source))] for source, x in zip(sources, where.tolist(), strict=True)
        ]

    def state(self) -> State:
        """All of it: arrays, and a JSON value.

        Example:
            >>> buffer = ReplayBuffer()
            >>> buffer.add(Example("q", "a"))
            >>> ReplayBuffer.from_state(*buffer.state()).sample(1)[0].query
            'q'
        """
        held = list(self)
        places = {one.number: i for i, one in enumerate(held)}
        arrays = {
            "reservoir": np.array([places[one.number] for one in self._reservoir], np.int64),
            "newest": np.array([places[one.number] for one in self._newest], np.int64),
        }
        return arrays, {
            "entries": self.entries,
            "size": self.size,
            "most_new": self._newest.maxlen,
            "fresh": self.fresh,
            "seen": self.seen,
            "before": self._before,
            "random": self._random.bit_generator.state,
            "examples": [[e.query, e.answer, e.local, e.right, e.number] for e in held],
        }

    @classmethod
    def from_state(
        cls, arrays: Mapping[str, NDArray[Any]], value: Mapping[str, Any]
    ) -> ReplayBuffer:
        """The buffer of which `state` gave the arrays and the value.

        Raises:
            FinchError: they are damaged.
        """
        try:
            out = cls(value["entries"], value["size"], value["most_new"], value["fresh"])
            held = [Example(*fields) for fields in value["examples"]]
            out._reservoir = [held[i] for i in arrays["reservoir"].tolist()]
            out._newest.extend(held[i] for i in arrays["newest"].tolist())
            out.seen, out._before = int(value["seen"]), int(value["before"])
            out._random.bit_generator.state = value["random"]
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise FinchError(
                f"a replay buffer's state is damaged: {error!r}; reset the scope"
            ) from error
        out.held = sum(one.size for one in (*out._reservoir, *out._newest))
        return out
