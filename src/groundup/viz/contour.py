"""Surfaces seen from above: lines of equal value, each with its value written on it.

The lines and their numbers carry the values, so nothing depends on colour; the shades between them
rise in lightness with the value and stay light enough for black text.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import ArrayLike, NDArray

from .checks import finite, label
from .figure import new_figure, style

Numbers = NDArray[np.float64]

STEPS = ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7))
"""Ever closer levels within a power of ten."""
FEWEST = 6
"""Levels that a surface should show, if it can."""


def contours(
    x: ArrayLike,
    y: ArrayLike,
    values: ArrayLike,
    x_label: str,
    y_label: str,
    value_label: str,
    path: ArrayLike | None = None,
    log: bool = True,
    *,
    path_ends: tuple[str, str] = ("start", "end"),
    title: str = "",
    levels: Sequence[float] | None = None,
    size: tuple[float, float] = (4.6, 3.9),
) -> Figure:
    """Draw a surface by labelled lines of equal height, and a path over it.

    Args:
        x: places of the columns, (columns,), ascending.
        y: places of the rows, (rows,), ascending; the first row is at the bottom.
        values: heights, (rows, columns).
        x_label: what x is, with its unit if it has one.
        y_label: the same of y.
        value_label: the same of the values.
        path: points (n, 2) to join by a line, such as the weights during training; a single one is
            drawn as an end.
        log: levels a factor apart rather than a difference; all values must be above zero.
        path_ends: what the path's first and last point are.
        title: stands above; by default nothing does.
        levels: heights of the lines, ascending, at least 2, for example the same in several
            figures. Default: round numbers.
        size: inches, width and height.

    Returns:
        The figure; ``figure.axes[0]`` takes further marks, ``figure.axes[1]`` is the scale.

    Raises:
        ValueError: shapes that do not fit, a NaN or an infinity, places or levels that do not
            ascend, values of zero or below on a logarithmic scale, or a surface that is flat.

    Example:
        >>> side = [-1.0, 0.0, 1.0]
        >>> bowl = [[0.1 + a * a + b * b for a in side] for b in side]
        >>> figure = contours(side, side, bowl, "w1", "w2", "Loss", path=[[1, 1], [0, 0]])
        >>> figure.axes[0].get_xlabel()
        'w1'
    """
    for text, name in ((x_label, "x_label"), (y_label, "y_label"), (value_label, "value_label")):
        label(text, name)
    field = finite(values, "values")
    columns, rows = _ascending(x, "x"), _ascending(y, "y")
    if field.shape != (len(rows), len(columns)):
        raise ValueError(
            f"values have shape {field.shape}, expected ({len(rows)}, {len(columns)}): a row for "
            "each y and a column for each x"
        )
    low, high = float(field.min()), float(field.max())
    if log and low <= 0:
        raise ValueError(
            f"values go down to {low:g}, which a logarithmic scale cannot show; draw it with "
            "log=False"
        )
    if low == high:
        raise ValueError(f"all values are {low:g}: a flat surface has no lines")
    heights = _levels(low, high, log) if levels is None else _ascending(levels, "levels")
    points = None if path is None else _points(path)

    with style():
        figure = new_figure(
            f"{value_label} over {x_label} and {y_label}, from {low:.3g} to {high:.3g}.",
            width=size[0],
            height=size[1],
        )
        axes = figure.subplots()
        scale = (LogNorm if log else Normalize)(heights[0], heights[-1])
        shades = axes.contourf(
            columns, rows, field, levels=heights, norm=scale, cmap=_light(), extend="both"
        )
        lines = axes.contour(
            columns, rows, field, levels=heights, colors="black", linewidths=0.7, alpha=0.75
        )
        if points is not None:
            _draw_path(axes, points, path_ends)
            figure.legend(loc="outside lower center", ncols=2, fontsize=9)
        written = FuncFormatter(lambda value, _: f"{value:g}")
        bar = figure.colorbar(
            shades, ax=axes, label=value_label, format=written, ticks=_shown(heights)
        )
        bar.ax.minorticks_off()
        axes.grid(False)
        axes.set(xlabel=x_label, ylabel=y_label, title=title)
        axes.set(xlim=(columns[0], columns[-1]), ylim=(rows[0], rows[-1]))
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
        for number in axes.clabel(lines, inline=False, colors="black", fmt=written, fontsize=8):
            number.set(rotation=0, in_layout=False, zorder=5, path_effects=_cased(2.5))
    return figure


def _light() -> Colormap:
    """The lighter half of cividis, against which black is read easily."""
    return ListedColormap(colormaps["cividis"](np.linspace(0.5, 1.0, 256)), name="light cividis")


def _ascending(values: ArrayLike, name: str) -> Numbers:
    numbers = finite(values, name)
    if numbers.ndim != 1 or len(numbers) < 2 or (np.diff(numbers) <= 0).any():
        raise ValueError(f"{name}: expected at least 2 ascending numbers, got {numbers.tolist()}")
    return numbers


def _points(path: ArrayLike) -> Numbers:
    points = finite(path, "path")
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"path has shape {points.shape}, expected (points, 2)")
    return points


def _levels(low: float, high: float, log: bool) -> Numbers:
    """Round heights between the lowest and the highest value, six or more.

    Example:
        >>> _levels(0.015, 40.0, log=True).tolist()
        [0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0]
    """
    if log:
        powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
        for steps in STEPS:
            heights = [float(f"{step}e{power}") for power in powers for step in steps]
            inside = [height for height in heights if low < height < high]
            if len(inside) >= FEWEST:
                return np.array(inside)
    ticks = MaxNLocator(nbins=10).tick_values(low, high)
    inside = [tick for tick in ticks if low < tick < high]
    return np.array(inside) if len(inside) >= 2 else np.linspace(low, high, 5)[1:-1]


def _shown(heights: Numbers) -> Numbers:
    """At most about ten of the levels, for the scale."""
    return heights[:: -(-len(heights) // 10)]


def _cased(width: float) -> list[withStroke]:
    """White around what is black, so that it stands out from what it crosses."""
    return [withStroke(linewidth=width, foreground="white")]


def _draw_path(axes: Axes, points: Numbers, ends: tuple[str, str]) -> None:
    if len(points) > 1:
        axes.plot(*points.T, color="black", linewidth=1.6, marker=".", path_effects=_cased(4.2))
        axes.plot(*points[0], "o", color="white", mec="black", ms=8, ls="", label=ends[0])
    axes.plot(*points[-1], "X", color="white", mec="black", ms=9, ls="", label=ends[1])
