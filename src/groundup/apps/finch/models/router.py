"""The router: an encoder that reads a query and says whether the local answer will be right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from .answers import thinned
from .encoders import Judge
from .replay import Example

HALF_LIFE = 1000
"""Examples after which a verdict counts half: the local answers get better, so old ones mislead."""


class Router(Judge):
    """Says before anything is written whether to try.

    Arguments as for `Judge`.

    Example:
        >>> from groundup.apps.finch.models.network import Sizes
        >>> from groundup.apps.finch.models.tokenizer import TrafficTokenizer
        >>> sizes = Sizes(300, 64, 8, 16, layers=1, heads=2, feedforward=32)
        >>> router = Router(sizes, TrafficTokenizer(300), rate=0.05)
        >>> for _ in range(80):
        ...     good, bad = Example("ping?", "a", "a", True), Example("tick?", "b", "a", False)
        ...     _ = router.update([good, bad])
        >>> router.decide("ping?"), router.decide("tick?")
        (1, 0)
    """

    head_pace: ClassVar[float] = 0.05  # faster, it learns by heart which queries failed once

    def score(self, query: str) -> float:
        """The probability that the local answer will be right; 0 if the query is too long."""
        return self.judge(query, ())

    def decide(self, query: str, threshold: float = 0.5) -> int:
        """1 to try locally, 0 to send the query upstream."""
        return int(self.score(query) >= threshold)

    def update(self, examples: Sequence[Example]) -> float:
        """One step of learning from examples that fit; the loss before it."""
        newest = max(one.number for one in examples)
        age = np.array([newest - one.number for one in examples])
        known = np.array([one.right is not None for one in examples])
        return self.online.update(
            [
                *thinned(self.readings([one.query for one in examples]), self._random),
                self.after([()] * len(examples)),
                np.array([self.tokenizer.encode_answer(one.answer)[0] for one in examples]),
                np.array([bool(one.right) for one in examples], np.float32),
                (known * 0.5 ** (age / HALF_LIFE)).astype(np.float32),
            ]
        )
