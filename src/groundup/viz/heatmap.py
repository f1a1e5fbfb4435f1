"""Matrices as shaded fields: gradients by layer and step, attention, hidden states over time.

Every panel has the same scale, so that panels can be compared. Lightness rises with the value from
end to end (the map is cividis: Nunez, Anderton and Renslow, "Optimizing colormaps with
consideration for color vision deficiency", 2018), so the order survives print in black and white.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from numpy.typing import ArrayLike, NDArray

from .checks import finite, label
from .figure import INK, new_figure, style

Names = Sequence[object]
LETTER, GAP, LINE = 0.085, 0.1, 0.17
"""Inches: the width of a letter beside an axis, the space between two names, the height of one."""
DARK = 0.5
"""Of the way through the map from which a number in a cell is printed in black."""


def heatmaps(
    panels: Mapping[str, ArrayLike],
    x_label: str,
    y_label: str,
    value_label: str,
    *,
    x: Names | Mapping[str, Names] | None = None,
    y: Names | Mapping[str, Names] | None = None,
    limits: tuple[float, float] | None = None,
    log: bool = False,
    numbers: bool = False,
    columns: int = 2,
    size: tuple[float, float] = (2.6, 1.9),
) -> Figure:
    """Draw each matrix as a field of shaded cells, all on one scale.

    Args:
        panels: matrices by title; the title of a single panel may be empty.
        x_label: what the columns are, with their unit if they have one.
        y_label: what the rows are.
        value_label: what the values are.
        x: a name or a number for each column, shared or by panel; where there are many, some are
            shown. Default: 1, 2, 3, ...
        y: the same for the rows; the first row is at the top.
        limits: the values at the two ends of the scale; what lies beyond is drawn like the ends.
            Default: the smallest and the largest value of all panels.
        log: logarithmic scale; zeros are left blank.
        numbers: print each value in its cell, with two digits after the point.
        columns: panels beside each other.
        size: inches of a panel, width and height.

    Shape:
        each panel: ``(rows, columns)``; they may differ.

    Returns:
        The figure; the last of ``figure.axes`` is the scale.

    Raises:
        ValueError: no panel, one that is no matrix, a NaN or an infinity, as many names as there
            are not rows or columns, an empty label, limits that are not in order, or negative
            values on a logarithmic scale.

    Example:
        >>> weights = [[0.9, 0.1, 0.0], [0.2, 0.1, 0.7]]
        >>> figure = heatmaps({"head 1": weights}, "Read", "Written", "Weight", x=list("abc"))
        >>> [tick.get_text() for tick in figure.axes[0].get_xticklabels()]
        ['a', 'b', 'c']
    """
    for text, name in ((x_label, "x_label"), (y_label, "y_label"), (value_label, "value_label")):
        label(text, name)
    if not panels:
        raise ValueError("heatmaps: no panels given, expected at least one as {title: matrix}")
    if columns < 1:
        raise ValueError(f"columns is {columns}, expected at least 1")
    fields = {name: _matrix(name, values, log) for name, values in panels.items()}
    x_names = {n: _names(x, "x", n, field.shape[1]) for n, field in fields.items()}
    y_names = {n: _names(y, "y", n, field.shape[0]) for n, field in fields.items()}
    scale = _scale(fields, limits, log)

    wide = min(columns, len(fields))
    high = -(-len(fields) // wide)
    with style():
        figure = new_figure(
            f"{value_label} by {y_label} and {x_label}: {', '.join(filter(None, fields)) or 'one'}"
            f" field, from {scale.vmin:.3g} to {scale.vmax:.3g}.",
            width=wide * size[0] + 1.3,
            height=high * size[1] + 0.7,
        )
        grid = figure.subplots(high, wide, squeeze=False)
        for axes, (name, field) in zip(grid.flat, fields.items(), strict=False):
            image = axes.imshow(field, norm=scale, cmap=_map(), aspect="auto")
            _name_cells(axes, x_names[name], y_names[name], size)
            axes.set_title(name)
            axes.grid(False)
            if numbers:
                _print_numbers(axes, field, scale)
        for axes in list(grid.flat)[len(fields) :]:
            axes.remove()
        figure.supxlabel(x_label, fontsize=10)
        figure.supylabel(y_label, fontsize=10)
        extend = _beyond(fields, scale)
        bar = figure.colorbar(
            image, ax=list(grid.flat)[: len(fields)], label=value_label, extend=extend
        )
        bar.outline.set_visible(False)
        if log:
            bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    return figure


def _map() -> Colormap:
    return colormaps["cividis"]


def _matrix(name: str, values: ArrayLike, log: bool) -> NDArray[np.float64]:
    field = finite(values, f"panel {name!r}")
    if field.ndim != 2:
        raise ValueError(f"panel {name!r} has shape {field.shape}, expected (rows, columns)")
    if log and field.min() < 0:
        raise ValueError(
            f"panel {name!r} holds {field.min():g}, which a logarithmic scale cannot show; draw it "
            "with log=False"
        )
    return np.ma.masked_equal(field, 0.0) if log else field


def _names(given: Names | Mapping[str, Names] | None, what: str, panel: str, count: int) -> Names:
    if given is None:
        return range(1, count + 1)
    if isinstance(given, Mapping):
        if panel not in given:
            raise ValueError(f"{what} has no names for panel {panel!r}, only for {sorted(given)}")
        given = given[panel]
    if len(given) != count:
        raise ValueError(
            f"{what} has {len(given)} names for panel {panel!r}, expected {count}: one for each "
            f"{'column' if what == 'x' else 'row'}"
        )
    return given


def _scale(
    fields: Mapping[str, NDArray[np.float64]], limits: tuple[float, float] | None, log: bool
) -> Normalize:
    kind = LogNorm if log else Normalize
    if limits is not None:
        low, high = limits
        if not low < high or (log and low <= 0):
            least = "0 < " if log else ""
            raise ValueError(f"limits are {limits}, expected {least}low < high")
        return kind(low, high)
    present = [np.ma.compressed(field) for field in fields.values()]
    values = np.concatenate(present)
    if not len(values):
        raise ValueError("a logarithmic scale needs a value above zero, and there is none")
    low, high = float(values.min()), float(values.max())
    if low == high:
        low, high = (low / 2, high * 2) if log else (low - 0.5, high + 0.5)
    return kind(low, high)


def _beyond(fields: Mapping[str, NDArray[np.float64]], scale: Normalize) -> str:
    """At which ends of the scale there are values outside."""
    low, high = scale.vmin or 0.0, scale.vmax or 0.0
    below = any((field < low).any() for field in fields.values())
    above = any((field > high).any() for field in fields.values())
    return {(False, False): "neither", (True, False): "min", (False, True): "max"}.get(
        (below, above), "both"
    )


def _name_cells(axes: Axes, x: Names, y: Names, size: tuple[float, float]) -> None:
    longest = max(len(_text(name)) for name in x)
    for names, set_ticks, room in (
        (x, axes.set_xticks, size[0] / (LETTER * longest + GAP)),
        (y, axes.set_yticks, size[1] / LINE),
    ):
        places = range(0, len(names), _every(len(names) / max(room, 1.0)))
        set_ticks(list(places), [_text(names[i]) for i in places])
    axes.tick_params(length=2)


def _every(least: float) -> int:
    """The next of 1, 2, 5, 10, 20, 50, ... so that at most that share of the names is shown.

    Example:
        >>> [_every(least) for least in (0.4, 1.1, 3, 40)]
        [1, 2, 5, 50]
    """
    power = 1
    while True:
        for step in (power, 2 * power, 5 * power):
            if step >= least:
                return step
        power *= 10


def _text(name: object) -> str:
    return f"{name:g}" if isinstance(name, float) else str(name)


def _print_numbers(axes: Axes, field: NDArray[np.float64], scale: Normalize) -> None:
    for (row, column), value in np.ndenumerate(field):
        light = float(scale(value)) >= DARK
        axes.text(
            column,
            row,
            f"{value:.2f}",
            ha="center",
            va="center_baseline",
            fontsize=7.5,
            color=INK if light else "white",
            in_layout=False,
        )
