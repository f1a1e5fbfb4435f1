"""Claims and what was measured: a figure from somewhere, beside its measurement and a verdict.

The measurement is a list of values, one for each seed. Its interval is Student's t interval of the
mean ("Student", 1908): with n seeds, mean +- t(n - 1) * s / sqrt(n), which covers the true mean in
95 % of repetitions if the values are about normal. A claim is judged by that interval, not by the
mean alone: what the interval does not exclude is neither confirmed nor refuted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from scipy import stats

Verdict = Literal["holds", "refuted", "undecided"]


@dataclass(frozen=True)
class Interval:
    """A mean over seeds and the ends of its interval."""

    mean: float
    low: float
    high: float


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """The mean of values and Student's t interval around it.

    Args:
        values: one for each seed; a single value, or equal ones, give an interval of no width.
        confidence: how often such an interval covers the true mean.

    Raises:
        ValueError: there are no values.

    Example:
        >>> from groundup.experiments.claims import mean_interval
        >>> found = mean_interval([0.9, 1.0, 1.1])
        >>> round(found.mean, 3), round(found.low, 3), round(found.high, 3)
        (1.0, 0.752, 1.248)
    """
    n = len(values)
    if not n:
        raise ValueError("mean_interval: expected at least one value")
    mean = math.fsum(values) / n
    if n == 1:
        return Interval(mean, mean, mean)
    deviation = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (n - 1))
    half = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * deviation / math.sqrt(n)
    return Interval(mean, mean - half, mean + half)


@dataclass(frozen=True)
class Claim:
    """A statement that can be measured.

    Attributes:
        text: what is claimed, in words.
        claimed: the figure.
        kind: "at least" (the figure or more is claimed) or "equals" (the figure, to the digits
        given).
        measured: one value for each seed.
        unit: what stands behind the figures, such as " %".
        digits: digits after the point that are shown, and to which "equals" is judged.

    Example:
        >>> from groundup.experiments.claims import Claim
        >>> Claim("two and two are five", 5, "equals", [4.0]).verdict
        'refuted'
    """

    text: str
    claimed: float
    kind: Literal["at least", "equals"]
    measured: Sequence[float]
    unit: str = ""
    digits: int = 0

    @property
    def interval(self) -> Interval:
        """The measured mean and its interval."""
        return mean_interval(self.measured)

    @property
    def verdict(self) -> Verdict:
        """Whether the interval confirms the claim, excludes it, or leaves it open."""
        found = self.interval
        if self.kind == "at least":
            if found.low >= self.claimed:
                return "holds"
            return "refuted" if found.high < self.claimed else "undecided"
        slack = 0.5 * 10.0**-self.digits
        if found.low > self.claimed + slack or found.high < self.claimed - slack:
            return "refuted"
        return "holds" if found.high - found.low <= 2 * slack else "undecided"

    def cells(self) -> tuple[str, str, str, str]:
        """Text, claimed, measured and verdict, as a table shows them."""
        found, d = self.interval, self.digits
        measured = f"{found.mean:,.{d}f}{self.unit}"
        if found.high > found.low:
            measured += f" ({found.low:,.{d}f} to {found.high:,.{d}f})"
        sign = "≥ " if self.kind == "at least" else ""
        return self.text, f"{sign}{self.claimed:,.{d}f}{self.unit}", measured, self.verdict
