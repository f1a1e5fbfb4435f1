"""The validator: an encoder that reads a query with an answer and says whether that is right.

It learns from the remote answers, which are right, from local answers that were judged, and from
answers of other queries, most of which are wrong here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .answers import thinned
from .encoders import Judge
from .replay import Example

TRUE = 0.5
"""Share of the examples that are shown with the remote answer."""


class Validator(Judge):
    """Says whether an answer that is already there is good.

    Arguments as for `Judge`.

    Example:
        >>> from groundup.apps.finch.models.network import Sizes
        >>> from groundup.apps.finch.models.tokenizer import TrafficTokenizer
        >>> sizes = Sizes(300, 64, 8, 16, layers=1, heads=2, feedforward=32)
        >>> validator = Validator(sizes, TrafficTokenizer(300), rate=0.02)
        >>> for _ in range(60):
        ...     _ = validator.update([Example("ping?", "a"), Example("tick?", "b")] * 4)
        >>> validator.decide("ping?", "a"), validator.decide("ping?", "b")
        (1, 0)
    """

    def score(self, query: str, answer: str) -> float:
        """The probability that the answer is right; 0 if either is too long."""
        if len(answer) > 16 * self.sizes.answer:
            return 0.0
        return self.judge(query, self.tokenizer.encode_answer(answer) or None)

    def decide(self, query: str, answer: str, threshold: float = 0.5) -> int:
        """1 for a good answer, 0 for a bad one."""
        return int(self.score(query, answer) >= threshold)

    def update(self, examples: Sequence[Example]) -> float:
        """One step of learning from examples that fit; the loss before it."""
        true = self._random.random(len(examples)) < TRUE
        other = self._random.permutation(len(examples))
        shown: list[list[int]] = []
        right: list[float] = []
        for one, kept, place in zip(examples, true.tolist(), other.tolist(), strict=True):
            answer, good = one.answer, True
            if not kept and one.local and one.right is False:
                answer, good = one.local, False
            elif not kept:
                answer = examples[place].answer
                good = answer == one.answer
            ids = self.tokenizer.encode_answer(answer)
            if len(ids) > self.sizes.answer:
                ids, good = self.tokenizer.encode_answer(one.answer), True
            shown.append(ids)
            right.append(float(good))
        return self.online.update(
            [
                *thinned(self.readings([one.query for one in examples]), self._random),
                self.after(shown),
                np.array([self.tokenizer.encode_answer(one.answer)[0] for one in examples]),
                np.array(right, np.float32),
                np.ones(len(examples), np.float32),
            ]
        )
