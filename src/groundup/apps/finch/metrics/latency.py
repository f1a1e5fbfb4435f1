"""How long something takes: quantiles of many durations in the space of few.

Durations are counted in buckets whose limits grow by a tenth, so a quantile is known within 5 %,
whatever the distribution, in the space of 200 numbers. (Logarithmic buckets with a relative
guarantee are those of DDSketch: Masson, Rim and Lee, 2019, section 2.1.) Recent ones are those of
the current span of five minutes and the one before it.
"""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections.abc import Callable
from typing import Any

GROWTH = 1.1
LEAST = 1e-6
"""Seconds; what is shorter counts as this long."""
BUCKETS = 220
SPAN = 300.0
"""Seconds."""
BOUNDS = (
    0.0005,
    0.001,
    0.002,
    0.005,
    0.01,
    0.02,
    0.05,
    0.1,
    0.2,
    0.5,
    1.0,
    2.0,
    5.0,
    10.0,
    30.0,
    60.0,
)
"""Seconds; the limits that Prometheus is told."""

_LOG = math.log(GROWTH)


class Durations:
    """Counts durations of one stage.

    Args:
        clock: gives seconds that never go back.

    Example:
        >>> durations = Durations()
        >>> for milliseconds in range(1, 101):
        ...     durations.add(milliseconds / 1000)
        >>> abs(durations.quantile(0.5) - 0.050) < 0.05 * 0.050
        True
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.count = 0
        self.total = 0.0
        """Seconds, of all."""
        self._bounded = [0] * (len(BOUNDS) + 1)
        self._now, self._before = [0] * BUCKETS, [0] * BUCKETS
        self._since = clock()

    def add(self, seconds: float) -> None:
        """Count one; what is no positive number counts as the least."""
        seconds = max(seconds, LEAST) if math.isfinite(seconds) else LEAST
        self._turn()
        self.count += 1
        self.total += seconds
        self._bounded[bisect_left(BOUNDS, seconds)] += 1
        self._now[min(BUCKETS - 1, int(math.log(seconds / LEAST) / _LOG))] += 1

    def quantile(self, share: float) -> float | None:
        """The duration that a share of the recent ones does not exceed; None if there are none.

        Args:
            share: from 0 to 1.
        """
        self._turn()
        counts = [a + b for a, b in zip(self._now, self._before, strict=True)]
        rank = max(1, math.ceil(share * sum(counts)))
        seen = 0
        for bucket, count in enumerate(counts):
            seen += count
            if count and seen >= rank:
                # The middle, as factors go: 5 % from either limit.
                return LEAST * GROWTH ** (bucket + 0.5)
        return None

    def figures(self) -> dict[str, Any]:
        """All of it as JSON values; buckets are cumulative, as Prometheus has them."""
        seen, buckets = 0, []
        for bound, count in zip(BOUNDS, self._bounded, strict=False):
            seen += count
            buckets.append([bound, seen])
        return {
            "count": self.count,
            "total": self.total,
            "p50": self.quantile(0.5),
            "p99": self.quantile(0.99),
            "buckets": buckets,
        }

    def _turn(self) -> None:
        passed = self._clock() - self._since
        if passed < SPAN:
            return
        self._before = self._now if passed < 2 * SPAN else [0] * BUCKETS
        self._now = [0] * BUCKETS
        self._since += SPAN * (passed // SPAN)
