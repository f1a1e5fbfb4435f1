r"""Multinomial naive Bayes over hashed n-grams, learned by counting.

$$\log p(c \mid x) = \text{const} + \frac{1}{\sqrt{|x|}} \sum_{f \in x}
  \log \frac{n_{fc} + \alpha}{n_c + \alpha V}$$

with $n_{fc}$ how often gram $f$ came with class $c$ (McCallum and Nigam 1998). The grams of a text
are far from independent, so their evidence is divided by the root of their number, and the prior
is left out, as classes come as often as they come. It knows more from few examples than a model
that is fitted by gradients, and errs elsewhere, which is what a cascade needs.
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
from .table import WIDTH, Table, pieces


class Bayes(Student):
    """A classifier of which answer comes, by counts.

    Args:
        most: classes, which are answers that repeat.
        bits: ``2**bits`` buckets.
        smoothing: alpha.
        longest: characters of a query that are read.

    Example:
        >>> student = Bayes()
        >>> for query in ("freeze my card", "freeze the card now"):
        ...     student.learn(query, "freeze")
        >>> for query in ("what is my balance", "how much is my balance"):
        ...     student.learn(query, "balance")
        >>> student.suggest("please freeze it").answer
        'freeze'
    """

    name = "bayes"

    def __init__(
        self, most: int = 512, bits: int = 16, smoothing: float = 0.02, longest: int = 4000
    ) -> None:
        self._bits, self._smoothing, self._longest = bits, smoothing, longest
        self._classes = Classes(most)
        self._counts = Table(bits)
        self._totals = np.zeros(0)

    def suggest(self, query: str) -> Opinion:
        """The class of the largest probability, which is the score."""
        count = len(self._classes)
        found = grams(query[: self._longest], self._bits)
        if count == 0 or len(found) == 0:
            return Opinion(self.name, None, 0.0)
        counts = self._counts.take(found, count)
        vocabulary = self._smoothing * (1 << self._bits) / 4
        scores = np.log(counts + np.float32(self._smoothing)).sum(axis=0)
        scores = scores - len(found) * np.log(self._totals[:count] + vocabulary)
        scores /= np.sqrt(len(found))
        best = int(scores.argmax())
        probability = 1.0 / float(np.exp(scores - scores[best]).sum())
        score = probability if count > 1 else 0.5
        return Opinion(self.name, self._classes.names[best], score)

    def learn(self, query: str, answer: str) -> None:
        """Count the grams."""
        query = query[: self._longest]
        met = self._classes.meet(answer, query)
        if met is None:
            return
        number, first, instead = met
        if instead:
            self._counts.clear(number)
            self._totals[number] = 0
        if len(self._classes) > self._counts.columns:
            self._counts.widen(len(self._classes))
            self._totals = np.pad(self._totals, (0, WIDTH))
        for text in (first, query):
            if text is not None:
                self._count(grams(text, self._bits), number)

    def let_go(self, recent: int) -> None:
        """Let old counts weigh no more than ``recent`` examples with as many grams would."""
        examples = max(float(self._totals.sum()), 1.0)
        keep = min(1.0, 64.0 * recent / examples)
        self._counts.scale(keep)
        self._totals *= keep

    def parts(self) -> Iterator[State]:
        """The counts of grams that came, then the classes."""
        for place, (rows, columns, counts) in enumerate(self._counts.entries()):
            yield {
                f"rows.{place}": rows, f"columns.{place}": columns, f"counts.{place}": counts
            }, {}  # fmt: skip
        facts = {
            "bits": self._bits, "smoothing": self._smoothing, "longest": self._longest,
            "classes": self._classes.state(),
        }  # fmt: skip
        yield {"totals": self._totals.copy()}, facts

    @classmethod
    def from_state(cls, arrays: dict[str, NDArray[Any]], facts: dict[str, Any]) -> Bayes:
        """The student whose state this is."""
        classes = Classes.from_state(facts["classes"])
        student = cls(classes.most, facts["bits"], facts["smoothing"], facts["longest"])
        student._classes = classes
        student._counts.widen(len(classes))
        for piece in pieces(arrays):
            names = (f"{name}{piece}" for name in ("rows", "columns", "counts"))
            student._counts.enter(*(arrays[name] for name in names))
        totals = arrays["totals"][: student._counts.columns]
        student._totals = np.pad(totals, (0, student._counts.columns - len(totals)))
        return student

    def _count(self, found: Buckets, number: int) -> None:
        self._counts.add(found, number, 1.0)
        self._totals[number] += len(found)
