"""Series as curves: placed on an axis, cut to a part of it, and thinned to buckets.

The axis is "step", "time" (seconds since the run began) or "epoch": epochs count up at the ends
that the run logged, and in proportion to the steps in between.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..runs import Points, RunInfo, SeriesInfo, UnknownRunError
from .buckets import Grid, bucketed, rounded
from .cache import SeriesCache
from .reading import CLOCK, LAYER, plain

AXES = ("step", "time", "epoch")
MOST_LAYERS = 500


def placed(
    cache: SeriesCache, info: RunInfo, points: Points, name: str, axis: str
) -> np.ndarray | None:
    """The x of points; None if the run has no such axis.

    Args:
        cache: where the clock of the epochs is read from.
        info: the run.
        points: of one of its series.
        name: of that series; its prefix tells which clock counts.
        axis: "step", "time" (seconds since the run began) or "epoch" (parts of epochs in between).
    """
    if axis == "step":
        return points.steps.astype(np.float64)
    if axis == "time":
        return points.times - (info.created if info.started is None else info.started)
    clock = _clock(cache, info, name)
    if clock is None:
        return None
    return _epochs(points.steps.astype(np.float64), *clock)


def _clock(cache: SeriesCache, info: RunInfo, name: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Steps at which epochs ended, and how many had ended then."""
    prefixes = [
        found["prefix"]
        for series in cache.store.series(info.id)
        if (found := CLOCK.fullmatch(series.name)) and name.startswith(found["prefix"])
    ]
    if not prefixes:
        return None
    clock = cache.points(info, max(prefixes, key=len) + "epoch")
    steps, epochs = clock.steps.astype(np.float64), clock.values
    rising = np.diff(np.maximum.accumulate(steps), prepend=-1.0) > 0
    kept = rising & np.isfinite(epochs)
    return steps[kept], epochs[kept]


def _epochs(steps: np.ndarray, ends: np.ndarray, epochs: np.ndarray) -> np.ndarray:
    """Epochs at steps: from 0 at step 0, between the ends by proportion, then at the last pace."""
    ends, epochs = np.concatenate([[0.0], ends]), np.concatenate([[0.0], epochs])
    if len(ends) == 1 or ends[-1] <= ends[-2]:
        return np.zeros_like(steps)
    pace = (epochs[-1] - epochs[-2]) / (ends[-1] - ends[-2])
    beyond = np.maximum(steps - ends[-1], 0.0) * pace
    return np.interp(steps, ends, epochs) + beyond


def curves(
    cache: SeriesCache,
    infos: Iterable[RunInfo],
    name: str,
    axis: str = "step",
    log: bool = False,
    low: float | None = None,
    high: float | None = None,
    most: int = 1000,
) -> dict[str, Any]:
    """One series of several runs over a part of an axis.

    Args:
        cache: where the points are read from.
        infos: the runs; those without the series or the axis are left out.
        name: of the series.
        axis: one of `AXES`.
        log: whether the axis is drawn logarithmically; points that are not positive are left out.
        low: where the part begins; None is as far as the points go. One point before it is given
            as well, so that a line enters from outside.
        high: where it ends, likewise.
        most: buckets of the part, and the most points that are given as they are.

    Returns:
        The grid of the buckets (`origin`, `width`, `log`) and for each run its id, the number of
        points that the series has in all, and columns: x and y of every point, or those of
        `Buckets`.

    Example:
        >>> import tempfile
        >>> from groundup.runs import Store
        >>> with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
        ...     with store.start("line") as run:
        ...         for step in range(6):
        ...             run.log(step, loss=step % 2)
        ...     found = curves(SeriesCache(store), [store.get(run.id)], "loss", most=3)
        >>> found["series"][0]["x"], found["series"][0]["high"]
        ([0.833333333, 2.5, 4.16666667, 5.83333333], [1.0, 1.0, 0.0, 1.0])
    """
    found = []
    for info in infos:
        try:
            points = cache.points(info, name)
        except UnknownRunError:
            continue
        x = placed(cache, info, points, name, axis)
        if x is not None:
            found.append((info, len(points), *_part(x, points.values, log, low, high)))
    ends = [(float(x[0]), float(x[-1])) for _, _, x, _ in found if len(x)]
    if low is None or (log and low <= 0):
        low = min((first for first, _ in ends), default=1.0)
    if high is None or high < low:
        high = max((last for _, last in ends), default=low)
    grid = Grid.over(low, max(low, high), most, log=log)
    series = []
    for info, count, x, y in found:
        few = len(x) <= most
        columns = {"x": rounded(x, 12), "y": rounded(y)} if few else bucketed(x, y, grid).to_json()
        series.append({"run": info.id, "count": count, "rewinds": info.rewinds, **columns})
    return {"origin": grid.origin, "width": grid.width, "log": log, "series": series}


def _part(
    x: np.ndarray, y: np.ndarray, log: bool, low: float | None, high: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """Points in rising order of x, within the part and one more on each side."""
    if len(x) > 1 and (np.diff(x) < 0).any():
        order = np.argsort(x, kind="stable")
        x, y = x[order], y[order]
    first = 0 if low is None else max(0, int(np.searchsorted(x, low, "left")) - 1)
    last = len(x) if high is None else int(np.searchsorted(x, high, "right")) + 1
    x, y = x[first:last], y[first:last]
    return (x[x > 0], y[x > 0]) if log else (x, y)


# Layers


def layer_kinds(series: Iterable[SeriesInfo]) -> dict[str, list[str]]:
    """Layers by kind of statistic, in the order in which they were first logged: the network's.

    Example:
        >>> names = ["weight_norm/b", "gradient_norm/b", "gradient_norm/a", "loss"]
        >>> found = [SeriesInfo(name, 1, 1, 0.0, 0.0, 0.0, i) for i, name in enumerate(names)]
        >>> layer_kinds(found)
        {'gradient_norm': ['b', 'a'], 'weight_norm': ['b']}
    """
    kinds: dict[str, list[str]] = {}
    for found in sorted(series, key=lambda found: found.order):
        if match := LAYER.fullmatch(found.name):
            kinds.setdefault(match["kind"], []).append(match["layer"])
    return dict(sorted(kinds.items()))


def layers(
    cache: SeriesCache,
    info: RunInfo,
    kind: str | None = None,
    low: float | None = None,
    high: float | None = None,
    most: int = 300,
) -> dict[str, Any]:
    """A table of one statistic: a row for each layer, a column for each part of the steps."""
    kinds = layer_kinds(cache.store.series(info.id))
    norms = [found for found in kinds if found.endswith("gradient_norm")]
    chosen = kind if kind is not None else next(iter([*norms, *kinds]), None)
    names = kinds.get(chosen or "", [])[:MOST_LAYERS]
    rows = [(name, cache.points(info, f"{chosen}/{name}")) for name in names]
    rows = [(name, points) for name, points in rows if len(points)]
    start = low if low is not None else min((float(p.steps.min()) for _, p in rows), default=0.0)
    end = high if high is not None else max((float(p.steps.max()) for _, p in rows), default=1.0)
    distinct = max((len(np.unique(p.steps)) for _, p in rows), default=1)
    parts = min(most, distinct)
    # With a part for each record, records lie in the middles of the parts; otherwise the last one
    # must not lie on the far border.
    margin = (end - start) * (0.5 / max(1, parts - 1) if parts == distinct else 1e-9)
    grid = Grid.over(start - margin, end + margin, parts)
    return {
        "kind": chosen,
        "kinds": list(kinds),
        "origin": grid.origin,
        "width": grid.width,
        "parts": parts,
        "layers": [_row(name, points, grid, parts) for name, points in rows],
    }


def _row(name: str, points: Points, grid: Grid, parts: int) -> dict[str, Any]:
    order = np.argsort(points.steps, kind="stable")
    x, y = points.steps[order].astype(np.float64), points.values[order]
    mean = np.full(parts, np.nan)
    found = bucketed(x, y, grid)
    part = grid.part(found.x)
    inside = (part >= 0) & (part < parts)
    mean[part[inside]] = found.mean[inside]
    bad = np.zeros(parts, dtype=bool)
    bad[part[inside]] = found.bad[inside] > 0
    return {
        "name": name,
        "mean": rounded(mean, 5),
        "bad": np.flatnonzero(bad).tolist(),
        "last": plain(float(y[-1])),
    }
