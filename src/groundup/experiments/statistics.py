"""Estimates from a few seeds: an interval, and how surprising the values would be under a bound.

Four kinds of estimate. Each has a ``value``, an ``interval``, and the p-values of two one-sided
hypotheses about the true figure:

- `Mean` of a metric, Student's t ("The probable error of a mean", 1908): mean +- t s / sqrt(n). Two
  conditions that share their seeds are compared by the mean of their differences, seed by seed.
  Values that are all equal have no spread to judge by; they fall back on the sign test. For normal
  values it covers exactly as often as it says. Skewed values that spread over several times their
  size need more seeds than five: of exponential ones a 95 % interval of five seeds covers the mean
  in 88 % of all cases, of log-normal ones (sigma 1) in 82 %, of 30 seeds in 93 % and 88 %. Use
  `Median`, or `Ratio` where logarithms are the natural scale; accuracies near 97 % do no harm.
- `Ratio` of two conditions: the t interval of the logarithms of their ratios, seed by seed.
- `Proportion` of independent trials: C. Clopper and E. Pearson, "The use of confidence or fiducial
  limits illustrated in the case of the binomial" (1934), which covers at least as often as it says.
- `Median`, for heavy tails and for values that may be infinite (never reached): the sign test and
  the interval between two order statistics (W. Thompson, 1936). It assumes nothing of the
  distribution; at 95 % it needs six seeds.

`holm` corrects p-values where many are judged (S. Holm, "A simple sequentially rejective multiple
test procedure", 1979).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev
from typing import Protocol

from scipy.special import bdtr, bdtrc, betaincinv, stdtr, stdtrit


@dataclass(frozen=True)
class Interval:
    """The two ends of a confidence interval; infinite where the values say nothing.

    Example:
        >>> 0.5 in Interval(0.2, 0.7)
        True
    """

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def within(self, possible: Interval) -> Interval:
        """The part of it that is possible; it covers the true figure as often as the whole does.

        Args:
            possible: the values that the figure can have, such as 0 to 100 for a percentage.

        Example:
            >>> Interval(96.5, 100.2).within(Interval(0, 100))
            Interval(low=96.5, high=100)
        """
        low, high = possible.low, possible.high
        return Interval(min(max(self.low, low), high), max(min(self.high, high), low))

    def minus(self, other: Interval) -> Interval:
        """What the difference of two figures can be.

        Example:
            >>> Interval(0, 100).minus(Interval(0, 100))
            Interval(low=-100, high=100)
        """
        return Interval(self.low - other.high, self.high - other.low)


ANY = Interval(-math.inf, math.inf)
"""Where nothing is known of the values that are possible."""


class Estimate(Protocol):
    """What `Mean`, `Ratio`, `Proportion` and `Median` have in common."""

    @property
    def value(self) -> float:
        """The estimate itself."""

    def interval(self, confidence: float = 0.95) -> Interval:
        """An interval that covers the true figure this often."""

    def p_at_most(self, bound: float) -> float:
        """p-value of the hypothesis that the true figure is at most the bound."""

    def p_at_least(self, bound: float) -> float:
        """p-value of the hypothesis that the true figure is at least the bound."""


@dataclass(frozen=True)
class Mean:
    """The mean of values, one for each seed.

    Args:
        values: finite, below 1e150; a single one has an infinite interval.

    Raises:
        ValueError: no value, or one that is not finite.

    Example:
        >>> found = Mean([0.9, 1.0, 1.1])
        >>> round(found.value, 3), round(found.interval().low, 3), round(found.interval().high, 3)
        (1.0, 0.752, 1.248)
        >>> round(found.p_at_most(0.7), 3)  # it is hardly 0.7 or less
        0.018
    """

    values: Sequence[float]

    def __post_init__(self) -> None:
        if not self.values or not all(abs(v) < 1e150 for v in self.values):  # squares are finite
            raise ValueError(
                f"Mean: got {list(self.values)}, expected at least one value and finite ones; "
                "the median takes infinite ones"
            )

    @property
    def value(self) -> float:
        """The mean."""
        return fmean(self.values)

    @property
    def _error(self) -> float:
        """Standard error; 0 where the values differ by no more than rounding."""
        error = stdev(self.values) / math.sqrt(len(self.values))
        return error if error > 1e-12 * max(map(abs, self.values)) else 0.0

    def interval(self, confidence: float = 0.95) -> Interval:
        """Student's t interval."""
        n = len(self.values)
        if n == 1:
            return Interval(-math.inf, math.inf)
        half = float(stdtrit(n - 1, 0.5 + confidence / 2)) * self._error
        return Interval(self.value - half, self.value + half)

    def p_at_most(self, bound: float) -> float:
        """One-sided t test."""
        n = len(self.values)
        if n == 1:
            return 1.0
        if not self._error:
            return Median(self.values).p_at_most(bound)
        return float(stdtr(n - 1, (bound - self.value) / self._error))

    def p_at_least(self, bound: float) -> float:
        """One-sided t test."""
        return Mean([-v for v in self.values]).p_at_most(-bound)


@dataclass(frozen=True)
class Ratio:
    """The geometric mean of ratios of positive values, one for each seed.

    Raises:
        ValueError: no ratio, or one that is not finite and positive.

    Example:
        >>> found = Ratio([2.0, 4.0, 8.0])
        >>> round(found.value, 3), round(found.interval().low, 2)
        (4.0, 0.71)
    """

    values: Sequence[float]

    def __post_init__(self) -> None:
        if not self.values or not all(0 < v < math.inf for v in self.values):
            raise ValueError(
                f"Ratio: got {list(self.values)}, expected finite and positive ones, at least one"
            )

    @property
    def _logs(self) -> Mean:
        # Digits that come from rounding are no spread: what is left is good to 1e-12 of a ratio.
        return Mean([round(math.log(v), 12) for v in self.values])

    @property
    def value(self) -> float:
        """The geometric mean."""
        return math.exp(self._logs.value)

    def interval(self, confidence: float = 0.95) -> Interval:
        """Student's t interval of the logarithms, taken back."""
        logs = self._logs.interval(confidence)
        return Interval(_exp(logs.low), _exp(logs.high))

    def p_at_most(self, bound: float) -> float:
        """One-sided t test of the logarithms."""
        return self._logs.p_at_most(math.log(bound)) if bound > 0 else 0.0

    def p_at_least(self, bound: float) -> float:
        """One-sided t test of the logarithms."""
        return self._logs.p_at_least(math.log(bound)) if bound > 0 else 1.0


@dataclass(frozen=True)
class Proportion:
    """How often independent trials succeed, in percent.

    Args:
        successes: how many did.
        trials: of how many, at least 1.

    Raises:
        ValueError: the numbers are not whole or not in range.

    Example:
        >>> found = Proportion(0, 10)
        >>> found.value, found.interval().low, round(found.interval().high, 1)
        (0.0, 0.0, 30.8)
    """

    successes: float
    trials: float

    def __post_init__(self) -> None:
        ordered = 0 <= self.successes <= self.trials and 1 <= self.trials < 2**53
        if not ordered or self.successes % 1 or self.trials % 1:
            raise ValueError(
                f"Proportion: {self.successes:g} of {self.trials:g}, expected whole numbers, at "
                "least one trial and no more successes than trials"
            )

    @property
    def value(self) -> float:
        """Percent of the trials."""
        return 100 * self.successes / self.trials

    def interval(self, confidence: float = 0.95) -> Interval:
        """The interval of Clopper and Pearson."""
        k, n, tail = self.successes, self.trials, (1 - confidence) / 2
        low = float(betaincinv(k, n - k + 1, tail)) if k else 0.0
        high = float(betaincinv(k + 1, n - k, 1 - tail)) if k < n else 1.0
        return Interval(100 * low, 100 * high)

    def p_at_most(self, bound: float) -> float:
        """The exact binomial test."""
        if not 0 <= bound < 100 or self.successes == 0:
            return float(bound >= 0)
        return float(bdtrc(int(self.successes) - 1, int(self.trials), bound / 100))

    def p_at_least(self, bound: float) -> float:
        """The exact binomial test."""
        if not 0 < bound <= 100:
            return float(bound <= 0)
        return float(bdtr(int(self.successes), int(self.trials), bound / 100))


@dataclass(frozen=True)
class Median:
    """The median of values, one for each seed; they may be infinite.

    Raises:
        ValueError: no value, or one that is not a number.

    Example:
        >>> found = Median([120.0, 150.0, 180.0, 200.0, 260.0, float("inf")])
        >>> found.value, found.interval()
        (190.0, Interval(low=120.0, high=inf))
    """

    values: Sequence[float]

    def __post_init__(self) -> None:
        if not self.values or any(map(math.isnan, self.values)):
            raise ValueError(f"Median: got {list(self.values)}, expected numbers, at least one")

    @property
    def value(self) -> float:
        """The sample median."""
        return median(self.values)

    def interval(self, confidence: float = 0.95) -> Interval:
        """Two order statistics, as far in as the confidence allows."""
        ordered, n, k = sorted(self.values), len(self.values), 0
        while float(bdtr(k, n, 0.5)) <= (1 - confidence) / 2:
            k += 1
        return Interval(ordered[k - 1], ordered[n - k]) if k else Interval(-math.inf, math.inf)

    def p_at_most(self, bound: float) -> float:
        """The sign test; a value that equals the bound counts against rejection."""
        beyond = sum(v > bound for v in self.values)
        return float(bdtr(len(self.values) - beyond, len(self.values), 0.5))

    def p_at_least(self, bound: float) -> float:
        """The sign test; a value that equals the bound counts against rejection."""
        return Median([-v for v in self.values]).p_at_most(-bound)


def _exp(value: float) -> float:
    """The exponential; infinite where it is too large for a float."""
    return math.exp(value) if value < 709 else math.inf


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order of the given ones.

    Rejecting where the adjusted value is at most a level keeps the probability of even one false
    rejection at or below that level, whatever the dependence between the tests.

    Example:
        >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
        [0.03, 0.06, 0.06]
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted
