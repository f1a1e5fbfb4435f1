"""A million points as a thousand buckets: mean, least and greatest value of equal parts of an axis.

A screen has about a thousand columns of pixels, so of all points that fall into one column only the
lowest, the highest and the mean can be seen. The parts are equal on the axis as it is drawn (on a
logarithmic axis they are equal in the logarithm), not in the number of points, so that the buckets
of several runs coincide. The mean is what a smoothed line is computed from: a moving average of the
means of buckets is one of the points, up to the width of a bucket.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Grid:
    """Equal parts of an axis.

    Attributes:
        origin: where part 0 begins, on the axis as it is drawn.
        width: of each part, on the axis as it is drawn.
        log: whether the axis as it is drawn is the decadic logarithm of x.

    Example:
        >>> grid = Grid.over(1, 1000, 3, log=True)
        >>> grid.part(np.array([1.0, 9.0, 11.0, 500.0])), grid.middle(np.array([0]))
        (array([0, 0, 1, 2]), array([3.16227766]))
    """

    origin: float
    width: float
    log: bool = False

    @classmethod
    def over(cls, low: float, high: float, parts: int, *, log: bool = False) -> Grid:
        """So many parts from one x to another, which is positive if the axis is logarithmic."""
        start, end = (float(np.log10(low)), float(np.log10(high))) if log else (low, high)
        width = (end - start) / parts
        return cls(start, width if width > 0 else 1.0, log)

    def part(self, x: np.ndarray) -> np.ndarray:
        """In which part each x lies."""
        drawn = np.log10(x) if self.log else x
        return np.floor((drawn - self.origin) / self.width).astype(np.int64)

    def middle(self, part: np.ndarray) -> np.ndarray:
        """The x in the middle of each part."""
        drawn = self.origin + (part + 0.5) * self.width
        return 10**drawn if self.log else drawn


@dataclass(frozen=True)
class Buckets:
    """A series in buckets.

    Attributes:
        x: the middle of each bucket, rising.
        mean: of its values that are finite; NaN if there is none.
        low: the least of them.
        high: the greatest.
        bad: how many values are NaN or infinite.
    """

    x: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    bad: np.ndarray

    def to_json(self) -> dict[str, Any]:
        """The columns as lists; `bad` only if there is any."""
        columns = {
            "x": rounded(self.x, 9),
            "mean": rounded(self.mean),
            "low": rounded(self.low),
            "high": rounded(self.high),
        }
        return columns | ({"bad": self.bad.tolist()} if self.bad.any() else {})


def bucketed(x: np.ndarray, y: np.ndarray, grid: Grid) -> Buckets:
    """Put points into the parts of a grid; parts without points are left out.

    Args:
        x: rising; positive if the grid is logarithmic.
        y: the values.
        grid: the parts.

    Shape:
        x, y: ``(points,)``, at least one point.

    Example:
        >>> found = bucketed(np.arange(6.0), np.array([1, 3, np.nan, 5, 0, 0]), Grid.over(0, 6, 2))
        >>> found.x, found.mean, found.low, found.high, found.bad
        (array([1.5, 4.5]), array([2.        , 1.66666667]), array([1., 0.]), array([3., 5.]),
        array([1, 0]))
    """
    part = grid.part(x)
    starts = np.concatenate([[0], np.flatnonzero(np.diff(part)) + 1])
    finite = np.isfinite(y)
    count = np.add.reduceat(finite.astype(np.int64), starts)
    total = np.add.reduceat(np.where(finite, y, 0.0), starts)
    low = np.minimum.reduceat(np.where(finite, y, np.inf), starts)
    high = np.maximum.reduceat(np.where(finite, y, -np.inf), starts)
    sizes = np.diff(np.append(starts, len(y)))
    none = count == 0
    return Buckets(
        grid.middle(part[starts]),
        np.where(none, np.nan, total / np.maximum(count, 1)),
        np.where(none, np.nan, low),
        np.where(none, np.nan, high),
        sizes - count,
    )


def rounded(values: np.ndarray, digits: int = 7) -> list[float | None]:
    """Numbers for JSON with so many significant digits; None for what is not finite.

    Example:
        >>> rounded(np.array([1 / 3, 1e-30, -2.0, 0.0, np.nan, np.inf]))
        [0.3333333, 1e-30, -2.0, 0.0, None, None]
    """
    return [float(f"{v:.{digits}g}") if -np.inf < v < np.inf else None for v in values.tolist()]
