r"""Which requests are sent upstream although they could be answered here, to see whether rightly.

The rate falls from `start` to `floor`, by half with each `half` audits that were made. Within it a
request is audited the likelier the more its answer may be wrong, with a propensity proportional to
$\sqrt{1 - s}$ for score $s$, which is the allocation that makes an estimate of a share of errors
least uncertain (Neyman 1934), but never less than three quarters of the rate or more than four
times. Weighing each audit by the inverse of its propensity makes estimates unbiased (Horvitz and
Thompson 1952).
"""

from __future__ import annotations

from typing import Any

import numpy as np

LEAST = 0.75
MOST = 4.0
"""Propensities relative to the rate."""
SURE = 0.002
"""An error never thought less likely than this."""
FORGET = 0.01
"""Weight of the newest audit in the running mean of roots."""


class Audits:
    """Rates and propensities.

    Args:
        start: the rate at first.
        floor: the rate in the end.
        half: audits after which the rate has halved.

    Example:
        >>> audits = Audits()
        >>> audits.rate
        0.5
        >>> for _ in range(1000):
        ...     audits.note(0.9, audits.propensity(0.9))
        >>> audits.rate, round(audits.propensity(0.9), 3), round(audits.propensity(0.99), 4)
        (0.05, 0.05, 0.0375)
    """

    def __init__(self, start: float = 0.5, floor: float = 0.05, half: int = 100) -> None:
        self.start, self.floor, self.half = start, floor, half
        self._made = 0
        self._root = 0.3

    @property
    def rate(self) -> float:
        """The share of answerable requests that is audited now."""
        return float(max(self.floor, self.start * 0.5 ** (self._made / self.half)))

    @property
    def least(self) -> float:
        """The least propensity that an audit may have now."""
        return LEAST * self.rate

    def propensity(self, score: float) -> float:
        """The probability with which a request is audited.

        Args:
            score: of its local answer.
        """
        relative = _root(score) / self._root
        return float(min(1.0, self.rate * min(max(relative, LEAST), MOST)))

    def note(self, score: float, propensity: float) -> None:
        """Take note of an audit that was made."""
        self._made += 1
        # Audited ones have larger roots than all that could be, by what made them likelier.
        step = min(0.5, FORGET * self.rate / propensity)
        self._root += step * (_root(score) - self._root)

    def again(self) -> None:
        """Start from the first rate again."""
        self._made = 0

    def state(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "start": self.start, "floor": self.floor, "half": self.half,
            "made": self._made, "root": self._root,
        }  # fmt: skip

    @classmethod
    def from_state(cls, facts: dict[str, Any]) -> Audits:
        """The audits whose state this is."""
        audits = cls(facts["start"], facts["floor"], facts["half"])
        audits._made, audits._root = facts["made"], facts["root"]
        return audits


def _root(score: float) -> float:
    return float(np.sqrt(max(1.0 - score, SURE)))
