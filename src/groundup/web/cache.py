"""Series kept in memory between requests, so that looking closer does not read all of it again.

A series only grows at its end, except when a run is rewound, which is counted. So what is kept is
brought up to date by reading the new points, and thrown away when the count has changed.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

import numpy as np

from ..runs import Points, RunInfo, Store

MOST_BYTES = 256 << 20


class SeriesCache:
    """The series that were asked for last.

    Args:
        store: where they are read from.
        most_bytes: how much is kept; a larger series is kept alone.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
        ...     cache = SeriesCache(store)
        ...     with store.start("line") as run:
        ...         run.log(1, loss=0.5)
        ...         run.flush()
        ...         before = cache.points(store.get(run.id), "loss")
        ...         run.log(2, loss=0.25)
        ...     before.values, cache.points(store.get(run.id), "loss").values
        (array([0.5]), array([0.5 , 0.25]))
    """

    def __init__(self, store: Store, most_bytes: int = MOST_BYTES) -> None:
        self.store = store
        self.most_bytes = most_bytes
        self._kept: OrderedDict[tuple[str, str, int], Points] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def points(self, info: RunInfo, name: str) -> Points:
        """All points of a series.

        Raises:
            UnknownRunError: there is no such run or series.
        """
        key = (info.id, name, info.rewinds)
        with self._lock:
            known = self._kept.get(key)
            new = self.store.points(info.id, name, after=0 if known is None else len(known))
            if known is not None:
                new = _joined(known, new) if len(new) else known
            self._keep(key, new)
            return new

    def _keep(self, key: tuple[str, str, int], points: Points) -> None:
        for other in [k for k in self._kept if k[:2] == key[:2]]:
            self._bytes -= _size(self._kept.pop(other))
        self._kept[key] = points
        self._bytes += _size(points)
        while self._bytes > self.most_bytes and len(self._kept) > 1:
            self._bytes -= _size(self._kept.popitem(last=False)[1])


def _joined(first: Points, second: Points) -> Points:
    return Points(
        np.concatenate([first.steps, second.steps]),
        np.concatenate([first.times, second.times]),
        np.concatenate([first.values, second.values]),
    )


def _size(points: Points) -> int:
    return points.steps.nbytes + points.times.nbytes + points.values.nbytes
