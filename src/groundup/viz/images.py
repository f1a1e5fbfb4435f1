"""Pictures made of numbers: grids of images, and the filters of a convolution.

Every value is one square: nothing is smoothed. Filters share one scale centred on zero, the map
"cividis" (J. Nunez, C. Anderton, R. Renslow, "Optimizing colormaps with consideration for color
vision deficiency", 2018), which runs evenly from dark (negative) through grey (zero) to light
(positive), and so reads the same in black and white.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from .checks import finite
from .figure import new_figure, style

GAP = 0.12  # inches between images
POINTS = 8  # size of their titles


def image_grid(
    images: ArrayLike,
    titles: Sequence[str] | None = None,
    columns: int | None = None,
    *,
    limits: tuple[float, float] | None = None,
    ink: bool = False,
    title: str = "",
) -> Figure:
    """Draw images in rows, each with its title.

    Args:
        images: all of one size, grey or red-green-blue.
        titles: one for each image; long ones are broken into lines.
        columns: images in a row; by default at most 8.
        limits: the values drawn as black and as white; by default the least and the greatest of all
            images together.
        ink: draw high values dark on light, as ink on paper; grey images only.
        title: stands above; by default nothing does.

    Shape:
        images: ``(N, H, W)``, ``(N, 1, H, W)`` or ``(N, 3, H, W)``.

    Returns:
        The figure.

    Raises:
        ValueError: no image, sizes that differ, NaN, or another number of titles than of images.

    Example:
        >>> digits = np.arange(3 * 64).reshape(3, 8, 8)
        >>> figure = image_grid(digits, ["8, not 3", "1, not 7", "9, not 5"], ink=True)
        >>> len(figure.axes[0].images)
        3
    """
    pixels = _pixels(images, limits, ink)
    count, height, width = pixels.shape[:3]
    if titles is not None and len(titles) != count:
        raise ValueError(f"{len(titles)} titles for {count} images, expected one for each")
    if columns is None:
        columns = min(count, 8)
    elif columns < 1:
        raise ValueError(f"columns is {columns}, expected at least 1")
    rows = -(-count // columns)

    across = min(1.1, max(0.62, 5.0 / columns))
    down = across * height / width
    letters = max(4, int(across / (0.0085 * POINTS)))
    captions = [textwrap.fill(text, letters) for text in titles or [""] * count]
    lines = max(text.count("\n") + 1 if text else 0 for text in captions)
    head = lines * POINTS * 1.25 / 72 + (0.04 if lines else 0)
    top = 0.32 if title else 0.0
    total_width = columns * (across + GAP) - GAP
    total_height = top + rows * (head + down + GAP) - GAP

    said = f": {'; '.join(titles)}" if titles else ""
    with style():
        figure = new_figure(
            f"{count} images of {height} by {width} pixels{said}.", total_width, total_height
        )
        figure.set_layout_engine("none")
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        for i, picture in enumerate(pixels):
            left = (i % columns) * (across + GAP)
            upper = top + (i // columns) * (head + down + GAP) + head
            axes.imshow(picture, extent=(left, left + across, upper + down, upper), aspect="auto")
            axes.text(left + across / 2, upper - 0.04, captions[i], ha="center", fontsize=POINTS)
        axes.text(0, 0.02, title, va="top", fontsize=11)
        axes.set(xlim=(0, total_width), ylim=(total_height, 0))
    return figure


def filters(weights: ArrayLike, *, title: str = "") -> Figure:
    """Draw the filters of a convolution on one scale centred on zero.

    A layer with one input channel is drawn row by row; one with more as a table of input channels
    against filters (output channels), the longer of the two across.

    Args:
        weights: the layer's weight.
        title: stands above; by default nothing does.

    Shape:
        weights: ``(out_channels, in_channels, height, width)``, or without the height for `Conv1d`.

    Returns:
        The figure.

    Raises:
        ValueError: another number of dimensions, no filter, or a NaN.

    Example:
        >>> figure = filters(np.linspace(-1, 1, 16 * 9).reshape(16, 1, 3, 3))
        >>> figure.get_label()
        '16 filters of 3 by 3 weights over 1 input channel, between -1 and 1.'
    """
    values = finite(weights, "weights")
    if values.ndim == 3:
        values = values[:, :, None, :]
    if values.ndim != 4:
        raise ValueError(
            f"weights have shape {values.shape}, expected (out_channels, in_channels, height, "
            "width); reshape the weight of a Linear layer to such a shape first"
        )
    outs, ins, height, width = values.shape
    if ins == 1:
        columns = min(outs, 8 if outs <= 64 else 16)
        named = f"Filters 0 to {outs - 1}, row by row" if outs > 1 else "Filter 0"
        tiles, x_label, y_label = values[:, 0], named, ""
    elif outs >= ins:
        columns, x_label, y_label = outs, "Filter", "Input channel"
        tiles = values.swapaxes(0, 1).reshape(-1, height, width)
    else:
        columns, x_label, y_label = ins, "Input channel", "Filter"
        tiles = values.reshape(-1, height, width)
    rows = -(-len(tiles) // columns)
    largest = float(np.abs(values).max()) or 1.0
    scale, colours = Normalize(-largest, largest), matplotlib.colormaps["cividis"]
    mosaic = _mosaic(np.asarray(colours(scale(tiles), bytes=True)), columns)

    across = min(5.2, max(2.4, 0.42 * columns))
    down = across * mosaic.shape[0] / mosaic.shape[1]
    channels = f"{ins} input channel{'s' if ins > 1 else ''}"
    with style():
        figure = new_figure(
            f"{outs} filters of {height} by {width} weights over {channels}, between "
            f"{values.min():.3g} and {values.max():.3g}.",
            across + 1.4,
            max(1.35, down + 0.65) + (0.3 if title else 0),
        )
        axes = figure.subplots()
        axes.imshow(mosaic, extent=(-0.5, columns - 0.5, rows - 0.5, -0.5), aspect="auto")
        axes.set_box_aspect(mosaic.shape[0] / mosaic.shape[1])
        axes.grid(False)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        if ins == 1:
            axes.set(xticks=[], yticks=[])
        else:
            axes.set_xticks(_every(columns))
            axes.set_yticks(_every(rows))
        axes.set(xlabel=x_label, ylabel=y_label, title=title)
        side = axes.inset_axes((1 + 0.12 / across, 0, 0.12 / across, 1))
        key = ScalarMappable(scale, colours)
        bar = figure.colorbar(key, cax=side, label="Weight", ticks=[-largest, 0, largest])
        side.set_yticklabels([f"−{largest:.2g}", "0", f"{largest:.2g}"])
        bar.outline.set_visible(False)
    return figure


def _pixels(images: ArrayLike, limits: tuple[float, float] | None, ink: bool) -> NDArray[np.uint8]:
    """Images as ``(N, H, W, 3)`` bytes."""
    values = finite(images, "images")
    if values.ndim == 3:
        values = values[:, None]
    if values.ndim != 4 or values.shape[1] not in (1, 3):
        raise ValueError(
            f"images have shape {values.shape}, expected (N, H, W), (N, 1, H, W) or (N, 3, H, W)"
        )
    if ink and values.shape[1] == 3:
        raise ValueError("ink=True is for grey images, these have 3 channels")
    low, high = limits if limits is not None else (values.min(), values.max())
    if not low <= high:
        raise ValueError(f"limits are {limits}, expected (least, greatest)")
    share = np.clip((values - low) / ((high - low) or 1.0), 0, 1)
    levels = np.round(255 * (1 - share if ink else share)).astype(np.uint8)
    spread = np.broadcast_to(levels, (len(levels), 3, *levels.shape[2:]))
    return np.moveaxis(spread, 1, -1)


def _mosaic(tiles: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """Tiles ``(N, h, w, 4)`` side by side, a transparent gap around each."""
    zoom, gap = 4, 1
    tiles = tiles.repeat(zoom, axis=1).repeat(zoom, axis=2)
    missing = -len(tiles) % columns
    tiles = np.pad(tiles, ((0, missing), (gap, gap), (gap, gap), (0, 0)))
    _, height, width, _ = tiles.shape
    table = tiles.reshape(-1, columns, height, width, 4).swapaxes(1, 2)
    return table.reshape(-1, columns * width, 4)


def _every(count: int) -> range:
    """At most nine evenly spaced numbers from 0."""
    return range(
        0, count, next(step for step in (1, 2, 4, 5, 8, 10, 16, 32, 64, count) if count / step <= 9)
    )
