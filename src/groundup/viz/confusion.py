"""Which classes are taken for which: a table of counts, rows true, columns predicted.

Cells are shaded by their share of the true class: on a square-root scale below one half, so that a
single mistake still shows, and in full depth above it. The counts themselves are printed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from .checks import finite, label
from .figure import INK, new_figure, style

SHADE = "#0060A0"
FULL = 0.85  # opacity from which a count is printed in white


def count_confusion(
    labels: ArrayLike, predictions: ArrayLike, classes: Sequence[object]
) -> NDArray[np.int64]:
    """Count how often each true class was given each prediction.

    Args:
        labels: true class of each example.
        predictions: predicted class of each example, in the same order.
        classes: all classes, in the order of the rows and columns: names, or numbers such as
            ``range(10)``.

    Shape:
        labels, predictions: ``(examples,)``; result: ``(classes, classes)``.

    Returns:
        Counts; row i, column j holds the examples of class i that were taken for class j.

    Raises:
        ValueError: lengths that differ, no example, a class twice, or a value that is no class.

    Example:
        >>> count_confusion([0, 0, 1, 1], [0, 1, 1, 1], range(2))
        array([[1, 1],
               [0, 2]])
    """
    truth, guess = np.asarray(labels), np.asarray(predictions)
    if truth.ndim != 1 or truth.shape != guess.shape:
        raise ValueError(
            f"labels have shape {truth.shape} and predictions {guess.shape}, expected the same "
            "(examples,) for both; take the argmax of scores first"
        )
    if not len(truth):
        raise ValueError("labels are empty, expected at least one example")
    index = {value: i for i, value in enumerate(classes)}
    if len(index) != len(classes):
        raise ValueError(f"a class is listed twice in {list(classes)}")
    counts = np.zeros((len(index), len(index)), dtype=np.int64)
    places = []
    for name, values in (("label", truth), ("prediction", guess)):
        found, inverse = np.unique(values, return_inverse=True)
        for value in found.tolist():
            if value not in index:
                raise ValueError(f"{name} {value!r} is not one of the classes {list(classes)}")
        places.append(np.array([index[value] for value in found.tolist()])[inverse])
    np.add.at(counts, (places[0], places[1]), 1)
    return counts


def confusion_matrix(
    counts: ArrayLike,
    classes: Sequence[object],
    *,
    x_label: str = "Predicted class",
    y_label: str = "True class",
    title: str = "",
) -> Figure:
    """Draw a confusion matrix with its counts.

    Args:
        counts: what `count_confusion` returns.
        classes: names of the classes, in the same order.
        x_label: under the columns.
        y_label: beside the rows.
        title: stands above; by default nothing does.

    Shape:
        counts: ``(classes, classes)``, rows true, columns predicted.

    Returns:
        The figure.

    Raises:
        ValueError: counts that are not square, negative or not whole, or another number of names.

    Example:
        >>> figure = confusion_matrix([[48, 2], [1, 49]], ["cat", "dog"])
        >>> [text.get_text() for text in figure.axes[0].texts]
        ['48', '2', '1', '49']
    """
    label(x_label, "x_label")
    label(y_label, "y_label")
    values = finite(counts, "counts")
    if values.ndim != 2 or values.shape[0] != values.shape[1]:
        raise ValueError(f"counts have shape {values.shape}, expected (classes, classes)")
    if (values < 0).any() or (values != np.round(values)).any():
        raise ValueError("counts must be whole numbers from 0, such as count_confusion returns")
    if len(classes) != len(values):
        raise ValueError(f"{len(classes)} class names for counts of shape {values.shape}")
    names = [str(name) for name in classes]
    right, total = int(np.trace(values)), int(values.sum())
    sums = values.sum(axis=1, keepdims=True)
    depth = _depth(np.divide(values, sums, out=np.zeros_like(values), where=sums > 0))

    longest, digits = max(map(len, names)), len(f"{values.max():.0f}")
    cell = max(0.36, 0.09 * digits + 0.12)
    side = max(1.8, cell * len(names))
    margin = 0.55 + 0.075 * longest
    with style():
        figure = new_figure(
            f"Confusion matrix of {len(names)} classes: {right} of {total} examples are predicted "
            "rightly.",
            side + margin,
            side + (margin if longest > 3 else 0.65) + (0.3 if title else 0),
        )
        axes = figure.subplots()
        # Depth is opacity, so an empty cell is the page itself, light or dark.
        shades = np.empty((*values.shape, 4))
        shades[..., :3] = to_rgb(SHADE)
        shades[..., 3] = depth
        axes.imshow(shades, aspect="equal")
        for (row, column), value in np.ndenumerate(values):
            axes.text(
                column,
                row,
                f"{value:.0f}",
                ha="center",
                va="center_baseline",
                fontsize=9,
                color="white" if depth[row, column] >= FULL else INK,
                alpha=1.0 if value else 0.55,
                in_layout=False,  # it lies inside its cell, so nothing has to make room for it
            )
        ticks = np.arange(len(names))
        axes.set_xticks(ticks, names, rotation=90 if longest > 3 else 0)
        axes.set_yticks(ticks, names)
        axes.set_xticks(ticks[1:] - 0.5, minor=True)
        axes.set_yticks(ticks[1:] - 0.5, minor=True)
        axes.grid(False)
        axes.grid(which="minor")
        axes.tick_params(which="both", length=0)
        axes.spines[["top", "right"]].set_visible(True)
        axes.spines[:].set_alpha(0.4)
        axes.set(xlabel=x_label, ylabel=y_label, title=title)
    return figure


def _depth(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Opacity of a cell; between 0.55 and 0.85 neither black nor white would be readable."""
    low = 0.15 + 0.4 * np.sqrt(2 * share)
    high = FULL + (1 - FULL) * (2 * share - 1)
    return np.where(share == 0, 0.0, np.where(share < 0.5, low, high))
