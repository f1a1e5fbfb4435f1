r"""From which score on local answers are served.

Each forwarded request says whether its local answer of score $s$ would have been right, and stands
for the inverse of its propensity. For a threshold $t$ the error of what would be served is that of
the requests with $s \ge t$. Thresholds of a grid that is fixed beforehand are tested in falling
order, each by the bound on its error against delta, and testing stops at the first that fails;
the last that passed is used. Since the order does not hang on the outcomes, the probability that a
threshold with a larger error is used is at most $\alpha$ for the whole sequence, not for each
(fixed-sequence testing with several starts, which share $\alpha$ evenly; Angelopoulos, Bates,
Candès, Jordan and Lei 2021, "Learn then Test"). Several, as one early error would otherwise end
the only sequence.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from .bounds import weighted_upper_bound

GRID = expit(np.arange(7, -3, -0.1))
"""Thresholds tested, from 0.999 down to 0.05."""
STARTS = (1 / 8, 1 / 4, 1 / 2)
"""Sequences of tests start where so large a share of the outcomes is, or the minimum."""
NEVER = 2.0
"""A threshold that no score reaches."""


class Thresholds:
    """The threshold in use, tested anew as outcomes come.

    Args:
        delta: largest error wanted.
        confidence: of each test.
        minimum: outcomes above a threshold for it to be tested.
        window: outcomes remembered, the latest.
        every: outcomes from test to test.

    Example:
        >>> thresholds = Thresholds(delta=0.05)
        >>> for place in range(400):
        ...     thresholds.note(0.9 if place % 2 else 0.3, wrong=place % 2 == 0, weight=1.0)
        >>> 0.3 < thresholds.value <= 0.9
        True
    """

    def __init__(
        self,
        delta: float,
        confidence: float = 0.95,
        minimum: int = 100,
        window: int = 2000,
        every: int = 20,
    ) -> None:
        self.delta, self.confidence, self.minimum = delta, confidence, minimum
        self.every = every
        self.share = 1.0
        """What part of delta may be used."""
        self.value = NEVER
        self.upper = 1.0
        """The bound on the error of what is served now."""
        self._outcomes = np.zeros((3, window))  # score, wrong, weight
        self._count = 0

    def note(self, score: float, wrong: bool, weight: float) -> None:
        """Take in an outcome.

        Args:
            score: of the local answer, before anything was learned from the remote one.
            wrong: whether they differ.
            weight: the inverse of the probability with which it was forwarded.
        """
        self._outcomes[:, self._count % self._outcomes.shape[1]] = score, wrong, weight
        self._count += 1
        if self._count % self.every == 0:
            self.test()

    def test(self) -> None:
        """Choose the threshold from the outcomes remembered."""
        self.value, self.upper = NEVER, 1.0
        score, wrong, weight = self._outcomes[:, : min(self._count, self._outcomes.shape[1])]
        order = np.argsort(-score)
        sums = np.zeros((5, len(score) + 1))
        w, k = weight[order], (weight * wrong)[order]
        np.cumsum([w, w**2, k, k**2, np.ones(len(w))], axis=1, out=sums[:, 1:])
        above = sums[:, np.searchsorted(-score[order], -GRID, side="right")]
        least = [max(self.minimum, share * len(score)) for share in STARTS]
        starts = sorted({place for many in least if (place := _first(above[4], many)) >= 0})
        if not starts:
            return
        confidence = 1 - (1 - self.confidence) / len(starts)
        bounds = weighted_upper_bound(above, confidence)
        fails = bounds > self.share * self.delta
        for start in starts:
            passed = _first(np.append(fails[start:], True), True) - 1
            if passed >= 0:
                place = start + passed
                self.value, self.upper = float(GRID[place]), float(bounds[place])

    def clear(self) -> None:
        """Forget all outcomes: audits from before a change would outweigh all that comes after."""
        self._count = 0
        self.test()

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """The outcomes and the threshold."""
        facts = {
            "delta": self.delta, "confidence": self.confidence, "minimum": self.minimum,
            "every": self.every, "share": self.share, "value": self.value,
            "upper": self.upper, "count": self._count,
        }  # fmt: skip
        return {"outcomes": self._outcomes.copy()}, facts

    @classmethod
    def from_state(cls, arrays: dict[str, NDArray[Any]], facts: dict[str, Any]) -> Thresholds:
        """The thresholds whose state this is."""
        window = arrays["outcomes"].shape[1]
        thresholds = cls(
            facts["delta"], facts["confidence"], facts["minimum"], window, facts["every"]
        )
        thresholds._outcomes = arrays["outcomes"].copy()
        thresholds.share = facts["share"]
        thresholds.value, thresholds.upper = facts["value"], facts["upper"]
        thresholds._count = facts["count"]
        return thresholds


def _first(values: NDArray[Any], least: float) -> int:
    """Where values first are as large; -1 if nowhere."""
    large = values >= least
    place = int(large.argmax())
    return place if large[place] else -1
