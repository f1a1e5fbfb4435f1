"""Points in the plane with names beside them, as far as names have room.

A name is put at the first of eight places around its point where it covers no point and no other
name; if there is none, the point stays without a name. To place n labels so that most are readable
is NP-hard (J. Marks and S. Shieber, 1991); going through the points once is enough for a picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from numpy.typing import ArrayLike, NDArray

from .checks import finite, label
from .figure import INK, MARKERS, PALETTE, new_figure, style

Numbers = NDArray[np.float64]

FONT = 7.5
"""Size of the names, points."""
MARK = 5.0
"""Diameter of the marks, points."""
LEGEND_FONT = 9.0
PLACES = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))
"""Where a name may stand: to the right of its point, to the left, above, below, in the corners."""


def scatter(
    points: ArrayLike,
    labels: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
    *,
    x_label: str,
    y_label: str,
    title: str = "",
    width: float = 6.0,
    height: float = 4.6,
) -> Figure:
    """Draw points, each with its name if there is room, groups by marker and colour.

    Args:
        points: where they are, (N, 2).
        labels: a name for each point; an empty one is not drawn. Earlier points are served first.
        groups: the group of each point; the legend lists them in the order of their first points.
        x_label: what the horizontal axis is, with its unit if it has one.
        y_label: what the vertical axis is.
        title: stands above; by default nothing does.
        width: inches.
        height: inches, without the legend.

    Returns:
        The figure; the names that had room are ``figure.axes[0].texts``.

    Raises:
        ValueError: points of another shape or not finite, another number of labels or groups than
            of points, more groups than can be told apart without colour, or an empty axis label.

    Example:
        >>> points = [[0.0, 0.0], [0.1, 0.9], [5.0, 5.0]]
        >>> figure = scatter(
        ...     points, ["int", "str", "if"], ["types", "types", "keywords"], x_label="First",
        ...     y_label="Second",
        ... )
        >>> [text.get_text() for text in figure.axes[0].texts]
        ['int', 'str', 'if']
    """
    label(x_label, "x_label")
    label(y_label, "y_label")
    places = finite(points, "points")
    if places.ndim != 2 or places.shape[1] != 2:
        raise ValueError(f"points have shape {places.shape}, expected (points, 2)")
    for name, given in (("labels", labels), ("groups", groups)):
        if given is not None and len(given) != len(places):
            raise ValueError(
                f"{len(given)} {name} for {len(places)} points, expected one for each point"
            )
    kinds = list(dict.fromkeys(groups)) if groups is not None else []
    most = 2 * len(MARKERS)
    if len(kinds) > most:
        raise ValueError(
            f"{len(kinds)} groups, expected at most {most}: more cannot be told apart without "
            "colour; draw some of them, or put several together"
        )
    said = f"{len(places)} points by {x_label} and {y_label}"
    columns = _columns(kinds, width)
    rows = -(-len(kinds) // columns) if columns else 0
    with style():
        figure = new_figure(
            f"{said}, in {len(kinds)} groups: {', '.join(kinds)}." if kinds else f"{said}.",
            width=width,
            height=height + 0.2 * rows,
        )
        axes = figure.subplots()
        axes.set(xlabel=x_label, ylabel=y_label, title=title)
        axes.margins(0.06)
        if groups is None:
            axes.plot(*places.T, linestyle="", **_mark(0))
        else:
            of = np.array(groups, dtype=object)
            handles = [
                axes.plot(*places[of == kind].T, linestyle="", **_mark(index))[0]
                for index, kind in enumerate(kinds)
            ]
            figure.legend(
                handles,
                kinds,
                loc="outside lower center",
                ncols=columns,
                fontsize=LEGEND_FONT,
                handlelength=1,
            )
        if labels is not None:
            _write_names(figure, axes, places, labels)
    return figure


def _columns(kinds: Sequence[str], width: float) -> int:
    """Columns of the legend: what fits the width, shared evenly between the rows."""
    letters = max(map(len, kinds), default=1) + 4
    most = max(1, int(width * 72 / (0.55 * LEGEND_FONT * letters)))
    rows = -(-len(kinds) // most)
    return -(-len(kinds) // max(rows, 1))


def _mark(index: int) -> dict[str, Any]:
    """Marker and colour of a group; from the eighth on the markers are hollow."""
    colour = PALETTE[index % len(PALETTE)]
    return {
        "marker": MARKERS[index % len(MARKERS)],
        "markersize": MARK,
        "markeredgewidth": 1.0,
        "color": colour,
        "markerfacecolor": colour if index < len(MARKERS) else "none",
    }


def _write_names(figure: Figure, axes: Axes, places: Numbers, labels: Sequence[str]) -> None:
    """Put names where they cover nothing. All boxes are (left, bottom, right, top) in points."""
    before = axes.get_position(original=True)
    figure.draw_without_rendering()  # only then it is known where the axes are
    scale = 72 / figure.dpi
    frame = np.array(axes.get_window_extent().extents) * scale
    at = axes.transData.transform(places) * scale
    axes.set_position(before)  # so that a later drawing lays out from the same place
    axes.set_in_layout(True)

    taken = np.concatenate([at - MARK / 2, at + MARK / 2], axis=1)
    font = FontProperties(size=FONT)
    for i in range(len(places)):
        if not labels[i].strip():
            continue
        # Readers' fonts differ; a tenth is left for wider ones.
        size, _, _ = text_to_path.get_text_width_height_descent(labels[i], font, ismath=False)
        for right, up in PLACES:
            box = _box(at[i], 1.1 * size, right, up)
            inside = (box[:2] >= frame[:2]).all() and (box[2:] <= frame[2:]).all()
            apart = (taken[:, :2] >= box[2:]).any(axis=1) | (taken[:, 2:] <= box[:2]).any(axis=1)
            if inside and apart.all():
                taken = np.concatenate([taken, box[None]])
                text = axes.annotate(
                    labels[i],
                    places[i],
                    xytext=(right * (MARK / 2 + 1), up * (MARK / 2 + 1)),
                    textcoords="offset points",
                    ha=("center", "left", "right")[right],
                    va=("center", "bottom", "top")[up],
                    fontsize=FONT,
                    color=INK,
                )
                text.set_in_layout(False)
                break


def _box(point: Numbers, length: float, right: int, up: int) -> Numbers:
    """What a name beside a point covers."""
    tall, away = 1.15 * FONT, MARK / 2 + 0.5
    left = point[0] + (-length / 2, away, -away - length)[right]
    low = point[1] + (-tall / 2, away, -away - tall)[up]
    return np.array([left, low, left + length, low + tall])
