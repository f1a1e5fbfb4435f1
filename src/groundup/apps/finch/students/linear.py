r"""Online multinomial logistic regression over hashed n-grams.

For a query with weights $x$ (TF-IDF, length 1) the class probabilities are
$p = \operatorname{softmax}(x W)$. Each answer is one step of gradient descent on cross-entropy,
with a learning rate for each bucket,

$$W_f \leftarrow W_f - \frac{\eta\, x_f}{\sqrt{G_f}}\,(p - y), \qquad
  G_f \leftarrow G_f + x_f^2 \lVert p - y \rVert^2$$

which is AdaGrad (Duchi, Hazan and Singer 2011) with one accumulator for each row. Then some
examples are drawn from those remembered and learned from once more (experience replay, Lin 1992).
Only the rows of the query's grams are touched.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..opinion import Opinion
from ..state import State
from .classes import Classes
from .grams import Buckets, grams
from .student import Student
from .table import Table, pieces

TOGETHER = 4096
"""Buckets that are copied in one piece."""
DAMPING = 0.1
"""Of a row that has not learned yet."""


class Linear(Student):
    """A classifier of which answer comes.

    Args:
        most: classes, which are answers that repeat.
        bits: ``2**bits`` buckets.
        rate: the learning rate.
        replay: remembered examples that are learned from again with each answer.
        remember: examples remembered, the latest.
        longest: characters of a query that are read.
        seed: of the draws from memory.

    Example:
        >>> student = Linear()
        >>> for query in ("freeze my card", "freeze the card now"):
        ...     student.learn(query, "freeze")
        >>> for query in ("what is my balance", "how much is my balance"):
        ...     student.learn(query, "balance")
        >>> student.suggest("please freeze it").answer
        'freeze'
    """

    name = "linear"

    def __init__(
        self,
        most: int = 512,
        bits: int = 16,
        rate: float = 3.0,
        replay: int = 4,
        remember: int = 8192,
        longest: int = 4000,
        seed: int = 0,
    ) -> None:
        self._bits, self._rate, self._replay = bits, rate, replay
        self._remember, self._longest = remember, longest
        self._classes = Classes(most)
        self._weights = Table(bits)
        self._squares = np.full(1 << bits, DAMPING, np.float32)
        self._having = np.zeros(1 << bits, np.int32)
        self._seen = 0
        self._memory: list[tuple[Buckets, int]] = []
        self._next = 0  # the place in memory that is overwritten next
        self._draws = np.random.default_rng(seed)

    def suggest(self, query: str) -> Opinion:
        """The class of the largest probability, which is the score."""
        if len(self._classes) == 0:
            return Opinion(self.name, None, 0.0)
        found = grams(query[: self._longest], self._bits)
        scores = self._values(found) @ self._weights.take(found, len(self._classes))
        best = int(scores.argmax())
        probability = 1.0 / float(np.exp(scores - scores[best]).sum())
        # A lone class has probability 1 whatever it weighs.
        score = probability if len(scores) > 1 else 0.5
        return Opinion(self.name, self._classes.names[best], score)

    def learn(self, query: str, answer: str) -> None:
        """One step on this example, and on some of those remembered."""
        query = query[: self._longest]
        found = grams(query, self._bits)
        self._seen += 1
        self._having[found] += 1
        met = self._classes.meet(answer, query)
        if met is not None:
            number, first, instead = met
            if instead:
                self._weights.clear(number)
                self._memory = [one for one in self._memory if one[1] != number]
                self._next = len(self._memory) % self._remember
            self._weights.widen(len(self._classes))
            if first is not None:
                self._take(grams(first, self._bits), number)
            self._take(found, number)
        if self._memory:
            for place in self._draws.integers(0, len(self._memory), self._replay).tolist():
                self._step(*self._memory[place])

    def let_go(self, recent: int) -> None:
        """Forget the examples but the last ones; what was learned from them stays."""
        in_order = self._memory[self._next :] + self._memory[: self._next]
        self._memory = in_order[max(0, len(in_order) - recent) :]
        self._next = len(self._memory) % self._remember

    def parts(self) -> Iterator[State]:
        """The rows of weights that were touched, then the memory and the classes."""
        for place, first in enumerate(range(0, len(self._having), TOGETHER)):
            rows = first + np.flatnonzero(self._having[first : first + TOGETHER])
            yield (
                {
                    f"rows.{place}": rows.astype(np.int32),
                    f"having.{place}": self._having[rows],
                    f"weights.{place}": self._weights.take(rows, len(self._classes)),
                    f"squares.{place}": self._squares[rows],
                },
                {},
            )
        arrays = {
            "memory": np.concatenate([np.empty(0, np.int64), *(f for f, _ in self._memory)]).astype(
                np.int32
            ),
            "sizes": np.array([len(found) for found, _ in self._memory], np.int32),
            "numbers": np.array([number for _, number in self._memory], np.int32),
        }
        facts = {
            "bits": self._bits, "rate": self._rate, "replay": self._replay,
            "remember": self._remember, "longest": self._longest, "seen": self._seen,
            "next": self._next, "classes": self._classes.state(),
            "draws": self._draws.bit_generator.state,
        }  # fmt: skip
        yield arrays, facts

    @classmethod
    def from_state(cls, arrays: dict[str, NDArray[Any]], facts: dict[str, Any]) -> Linear:
        """The student whose state this is."""
        classes = Classes.from_state(facts["classes"])
        student = cls(
            classes.most, facts["bits"], facts["rate"], facts["replay"],
            facts["remember"], facts["longest"],
        )  # fmt: skip
        student._classes = classes
        student._weights.widen(len(classes))
        for piece in pieces(arrays):
            rows = arrays[f"rows{piece}"]
            student._weights.put(rows, arrays[f"weights{piece}"])
            student._squares[rows] = arrays[f"squares{piece}"]
            student._having[rows] = arrays[f"having{piece}"]
        ends = np.cumsum(arrays["sizes"])
        stored = np.split(arrays["memory"].astype(np.int64), ends[:-1]) if len(ends) else []
        student._memory = list(zip(stored, arrays["numbers"].tolist(), strict=True))
        student._seen, student._next = facts["seen"], facts["next"]
        student._draws.bit_generator.state = facts["draws"]
        return student

    def _take(self, found: Buckets, number: int) -> None:
        if len(self._memory) < self._remember:
            self._memory.append((found, number))
        else:
            self._memory[self._next] = (found, number)
            self._next = (self._next + 1) % self._remember
        self._step(found, number)

    def _step(self, found: Buckets, number: int) -> None:
        values = self._values(found)
        rows = self._weights.take(found, len(self._classes))
        scores = values @ rows
        error = np.exp(scores - scores.max())
        error /= error.sum()
        error[number] -= 1
        self._squares[found] += values**2 * (error @ error)
        steps = self._rate * values / np.sqrt(self._squares[found])
        self._weights.put(found, rows - steps[:, None] * error)

    def _values(self, found: Buckets) -> NDArray[np.float32]:
        values = np.log((2 + self._seen) / (1 + self._having[found])).astype(np.float32) + 1
        return values / np.sqrt(values @ values) if len(values) else values
