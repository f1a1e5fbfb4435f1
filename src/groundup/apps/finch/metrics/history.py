"""How it went, in bounded space: the more requests, the more of them in each point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MOST = 240
"""Points."""
SPAN = 5
"""Points that a forward rate is the mean of."""


@dataclass(slots=True)
class Point:
    """Some requests in a row.

    Attributes:
        requests: how many there were up to their last one.
        eligible: of them, those that a local answer might have served.
        local: of these, those that it did serve.
        error: the observed error of the worst task after them; None if it is not known.
        bound: what that error is below; None if it is not known.

    Example:
        >>> Point(100, 80, 20, None, None).eligible
        80
    """

    requests: int
    eligible: int
    local: int
    error: float | None
    bound: float | None


class History:
    """Points of equal numbers of requests; when they are too many, each two become one.

    Args:
        most: points at most; even.

    Example:
        >>> history = History(most=4)
        >>> for _ in range(100):
        ...     history.add(eligible=True, local=False, error=None, bound=None)
        >>> history.columns()["requests"]
        [32, 64, 96, 100]
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._every = 1
        self._points: list[Point] = []
        self._requests = 0

    def add(self, *, eligible: bool, local: bool, error: float | None, bound: float | None) -> None:
        """A request more, and what is known after it."""
        if self._requests % self._every == 0:
            if len(self._points) == self._most:
                self._halve()
            self._points.append(Point(self._requests, 0, 0, None, None))
        self._requests += 1
        last = self._points[-1]
        last.requests = self._requests
        last.eligible += eligible
        last.local += local
        last.error, last.bound = error, bound

    def columns(self) -> dict[str, list[Any]]:
        """The points, a list for each of what they have; the forward rate is of the last few."""
        points = self._points
        return {
            "requests": [point.requests for point in points],
            "forward": [_forward(points[max(0, i - SPAN + 1) : i + 1]) for i in range(len(points))],
            "error": [point.error for point in points],
            "bound": [point.bound for point in points],
        }

    def _halve(self) -> None:
        self._every *= 2
        pairs = [self._points[i : i + 2] for i in range(0, len(self._points), 2)]
        self._points = [
            Point(
                pair[-1].requests,
                sum(point.eligible for point in pair),
                sum(point.local for point in pair),
                pair[-1].error,
                pair[-1].bound,
            )
            for pair in pairs
        ]


def _forward(points: list[Point]) -> float | None:
    """The share of what might have been answered locally that went upstream."""
    eligible = sum(point.eligible for point in points)
    return 1.0 - sum(point.local for point in points) / eligible if eligible else None
