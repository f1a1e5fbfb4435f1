"""Lines over steps or epochs: one run each, or the mean of several runs with an interval.

The band is Student's t interval of the mean, ``mean +- t(n - 1) * s / sqrt(n)``, with ``s`` the
sample standard deviation over ``n`` runs (Student, "The probable error of a mean", 1908).
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from .checks import finite, label
from .figure import line_style, new_figure, style

Numbers = NDArray[np.float64]


def curves(
    series: Mapping[str, ArrayLike],
    x_label: str,
    y_label: str,
    *,
    x: ArrayLike | Mapping[str, ArrayLike] | None = None,
    title: str = "",
    log_x: bool = False,
    log_y: bool = False,
    confidence: float = 0.95,
    possible: tuple[float, float] = (-np.inf, np.inf),
) -> Figure:
    """Draw one line for each series, with a band where there are several runs.

    Args:
        series: values by name. A series of shape ``(points,)`` is one run; one of shape
            ``(runs, points)`` is drawn as the mean over the runs with the interval of that mean.
        x_label: what the horizontal axis counts, with its unit if it has one.
        y_label: what the values are, with their unit if they have one.
        x: positions of the points, shared by all series or by name. Default: 1, 2, 3, ...
        title: stands above; by default nothing does.
        log_x: logarithmic horizontal axis.
        log_y: logarithmic vertical axis. A band that would reach zero or below is cut at the
            smallest value of its series.
        confidence: probability that the interval covers the mean, between 0 and 1.
        possible: the least and the greatest value that there can be, such as 0 and 100 of a
            percentage; bands are cut to it.

    Returns:
        The figure; ``figure.axes[0]`` takes further marks.

    Raises:
        ValueError: no series, an empty one, a NaN or an infinity, lengths that disagree, an empty
            axis label, or a value that a logarithmic axis cannot show.

    Example:
        >>> loss = {"MLP": [[0.9, 0.5, 0.4], [0.8, 0.6, 0.3]], "CNN": [0.7, 0.3, 0.1]}
        >>> figure = curves(loss, "Epoch", "Loss (nats)", log_y=True)
        >>> figure.axes[0].get_ylabel()
        'Loss (nats)'
    """
    label(x_label, "x_label")
    label(y_label, "y_label")
    if not series:
        raise ValueError("curves: no series given, expected at least one as {name: values}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}, expected a number between 0 and 1")
    points = {name: _runs(name, values, log_y) for name, values in series.items()}
    places = {name: _positions(name, x, runs.shape[1], log_x) for name, runs in points.items()}
    counts = sorted({len(runs) for runs in points.values() if len(runs) > 1})

    ends = ", ".join(f"{name} ends at {runs[:, -1].mean():.4g}" for name, runs in points.items())
    lines = max(_legend_text(name).count("\n") + 1 for name in points)
    rows = -(-len(points) // _legend_columns(points)) * lines + bool(counts)
    with style():
        figure = new_figure(f"{y_label} against {x_label}: {ends}.", height=2.7 + 0.19 * rows)
        axes = figure.subplots()
        handles = []
        for index, (name, runs) in enumerate(points.items()):
            look = line_style(index)
            where, mean = places[name], runs.mean(axis=0)
            # About eight markers a line, each line's a little further on than the last one's.
            every = max(1, len(mean) // 8)
            marks = (index * every // len(points), every)
            (line,) = axes.plot(where, mean, markevery=marks, label=name, **look)
            handles.append(line)
            if len(runs) > 1:
                low, high = _interval(runs, mean, confidence)
                low, high = np.maximum(low, possible[0]), np.minimum(high, possible[1])
                if log_y:
                    low = np.maximum(low, runs.min())
                axes.fill_between(where, low, high, color=look["color"], alpha=0.18, linewidth=0)
        _scale_axes(axes, list(places.values()), log_x, log_y)
        axes.set(xlabel=x_label, ylabel=y_label, title=title)
        figure.legend(
            handles,
            [_legend_text(name) for name in points],
            loc="outside lower center",
            ncols=_legend_columns(points),
            title=_band_text(counts, confidence) if counts else None,
            title_fontsize=9,
            fontsize=9,
        )
    return figure


def _runs(name: str, values: ArrayLike, positive: bool) -> Numbers:
    """A series as ``(runs, points)``."""
    runs = finite(values, f"series {name!r}")
    if runs.ndim == 1:
        runs = runs[None, :]
    if runs.ndim != 2:
        raise ValueError(
            f"series {name!r} has shape {runs.shape}, expected (points,) or (runs, points)"
        )
    if positive and runs.min() <= 0:
        raise ValueError(
            f"series {name!r} holds {runs.min():g}, which a logarithmic axis cannot show; "
            "draw it with log_y=False"
        )
    return runs


def _positions(
    name: str, x: ArrayLike | Mapping[str, ArrayLike] | None, length: int, positive: bool
) -> Numbers:
    """Where the points of a series stand on the horizontal axis."""
    if x is None:
        return np.arange(1.0, length + 1)
    if isinstance(x, Mapping):
        if name not in x:
            raise ValueError(f"x has no positions for series {name!r}, only for {sorted(x)}")
        x = x[name]
    where = finite(x, f"x of series {name!r}")
    if where.shape != (length,):
        raise ValueError(
            f"x of series {name!r} has shape {where.shape}, expected ({length},): one position for "
            "each point"
        )
    if positive and where.min() <= 0:
        raise ValueError(
            f"x of series {name!r} holds {where.min():g}, which a logarithmic axis cannot show; "
            "draw it with log_x=False"
        )
    return where


def _interval(runs: Numbers, mean: Numbers, confidence: float) -> tuple[Numbers, Numbers]:
    """Student's t interval of the mean over the runs."""
    n = len(runs)
    t = float(stdtrit(n - 1, 0.5 + confidence / 2))
    half = t * runs.std(axis=0, ddof=1) / np.sqrt(n)
    return mean - half, mean + half


def _scale_axes(axes: Axes, places: list[Numbers], log_x: bool, log_y: bool) -> None:
    if all((where == np.round(where)).all() for where in places):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    for log, axis, set_scale in (
        (log_x, axes.xaxis, axes.set_xscale),
        (log_y, axes.yaxis, axes.set_yscale),
    ):
        if log:
            set_scale("log")
            low, high = axis.get_view_interval()
            # With few powers of ten in view, 2 and 5 are named too. Plain digits, no formulas.
            axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 200 else (1,)))
            axis.set_minor_locator(NullLocator())
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _legend_columns(names: Mapping[str, object]) -> int:
    """As many columns as fit the width, for lines of at most 52 letters."""
    longest = min(max(map(len, names)), 40)
    return max(1, min(len(names), 52 // (longest + 8)))


def _legend_text(name: str) -> str:
    text = textwrap.fill(name, 40) or " "
    # Matplotlib leaves names with a leading underscore out of legends.
    return f"\N{ZERO WIDTH SPACE}{text}" if text.startswith("_") else text


def _band_text(counts: list[int], confidence: float) -> str:
    runs = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"mean of {runs} runs, band: {100 * confidence:g} % interval of the mean"
