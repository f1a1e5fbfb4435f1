"""How all figures look, and how they become files and parts of pages.

A figure is a plain ``matplotlib.figure.Figure``, made without pyplot, so nothing is kept open and
nothing is shared but Matplotlib's settings, which are held under a lock while a figure is built or
drawn. The same input gives the same bytes: a user's own settings, the date and random identifiers
have no part in them.

Series differ in colour, dash and marker at once, so they can be told apart in black and white. The
colours are those of M. Okabe and K. Ito, "Color Universal Design" (2008), as far as they stand out
from white and from black alike (contrast at least 3, WCAG 2.2, criterion 1.4.11).
"""

from __future__ import annotations

import io
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib.figure import Figure

from ..engine.files import write_atomically
from .svg import inline, legal, on_paper

INK = "#1d1e20"
"""Nearly black: text and axes; inside a page it becomes the page's text colour."""

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", INK)
DASHES = ("-", "--", "-.", (0, (1, 1.2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

STYLE: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "figure.facecolor": "none",
    "font.size": 10,
    "grid.alpha": 0.15,
    "grid.color": INK,
    "grid.linewidth": 0.8,
    "image.composite_image": False,
    "image.interpolation": "none",
    "legend.frameon": False,
    "legend.handlelength": 3,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "savefig.dpi": 200,
    "svg.fonttype": "none",  # text stays text: small, searchable, in a font that the reader has
    "svg.hashsalt": "groundup",
    "text.color": INK,
    "text.parse_math": False,  # a dollar sign in a label is a dollar sign
    "xtick.color": INK,
    "xtick.labelsize": 9,
    "ytick.color": INK,
    "ytick.labelsize": 9,
}

_settings = threading.RLock()


@contextmanager
def style() -> Iterator[None]:
    """Settings under which a figure of one's own looks like those of this package.

    Other threads that build or draw figures through this package wait until the block ends.

    Example:
        >>> from matplotlib.figure import Figure
        >>> with style():
        ...     figure = Figure()
        ...     axes = figure.subplots()
        >>> bool(axes.spines["top"].get_visible())
        False
    """
    with _settings, warnings.catch_warnings(), matplotlib.style.context(["default", STYLE]):
        # The reader's browser has fonts for scripts that the font used for measuring lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def new_figure(description: str, width: float = 4.6, height: float = 3.1) -> Figure:
    """An empty figure that lays itself out; call it inside `style`.

    Args:
        description: what it will show, in words; `to_svg` and `save` write it into the file.
        width: inches; 4.6 is wide enough for a column and still readable on a phone.
        height: inches.

    Returns:
        The figure, with a constrained layout.

    Example:
        >>> with style():
        ...     figure = new_figure("Nothing yet")
        >>> figure.get_label()
        'Nothing yet'
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.set_label(description)
    return figure


def line_style(index: int) -> dict[str, Any]:
    """Colour, dash and marker of a series, as arguments of ``Axes.plot``.

    Args:
        index: position of the series; 140 follow before a combination comes again.

    Returns:
        Keyword arguments ``color``, ``linestyle`` and ``marker``.

    Example:
        >>> line_style(1)
        {'color': '#D55E00', 'linestyle': '--', 'marker': 's'}
    """
    return {
        "color": PALETTE[index % len(PALETTE)],
        "linestyle": DASHES[index % len(DASHES)],
        "marker": MARKERS[index % len(MARKERS)],
    }


def _draw(figure: Figure, kind: str, **options: Any) -> bytes:
    """The bytes of a figure, in memory, so that a failure touches no file."""
    buffer = io.BytesIO()
    # Laying out starts from where the axes stand, so a second drawing would differ from the first.
    places = [(a, a.get_position(original=True), a.get_in_layout()) for a in figure.axes]
    try:
        with style():
            figure.savefig(buffer, format=kind, **options)
    finally:
        for axes, place, laid_out in places:
            axes.set_position(place)
            axes.set_in_layout(laid_out)
    return buffer.getvalue()


def _draw_svg(figure: Figure, **options: Any) -> str:
    metadata: dict[str, str | None] = {"Date": None, "Creator": None}
    if figure.get_label():
        metadata["Title"] = str(figure.get_label())
    return legal(_draw(figure, "svg", metadata=metadata, **options).decode())


def to_svg(figure: Figure, description: str | None = None, prefix: str | None = None) -> str:
    """A figure as an ``<svg>`` element for an HTML page.

    The background is transparent and text and axes take the page's text colour, so the figure
    follows a light or dark theme.

    Args:
        figure: any Matplotlib figure.
        description: what it shows, for readers who do not see it; by default what the function that
            made the figure wrote (``figure.get_label()``).
        prefix: begins every identifier inside, so that figures of one page do not clash; by default
            made from the content.

    Returns:
        The element as text; the same figure gives the same text.

    Raises:
        ValueError: neither `description` nor the figure's label says what is shown.

    Example:
        >>> from groundup import viz
        >>> figure = viz.curves({"CNN": [0.9, 0.5, 0.3]}, "Epoch", "Loss (nats)")
        >>> to_svg(figure)
        '<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="Loss (nats) against...'
    """
    description = description or str(figure.get_label())
    if not description:
        raise ValueError(
            "the figure has no description for readers who do not see it: pass description=, or "
            "call figure.set_label"
        )
    return inline(_draw_svg(figure), description, prefix, ink=INK)


def save(figure: Figure | str, path: str | os.PathLike[str]) -> Path:
    """Write a figure to a file, whole or not at all.

    Args:
        figure: any Matplotlib figure, or the text of an SVG file.
        path: ends in ``.svg`` or, for a Matplotlib figure, ``.png``; missing folders are made. The
            background is white.

    Returns:
        The path.

    Raises:
        ValueError: another ending, or a text that is not SVG.
        OSError: the file cannot be written; an old file of that name is untouched.

    Example:
        >>> import tempfile
        >>> from groundup import viz
        >>> figure = viz.curves({"CNN": [0.9, 0.5, 0.3]}, "Epoch", "Loss (nats)")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     print(save(figure, f"{folder}/loss.svg").name)
        loss.svg
    """
    suffix = Path(path).suffix.lower()
    if isinstance(figure, str):
        if suffix != ".svg":
            raise ValueError(f"cannot save SVG text as {suffix!r} ({path}): name it .svg")
        content = on_paper(figure).encode()
    elif suffix == ".svg":
        content = _draw_svg(figure, facecolor="white").encode()
    elif suffix == ".png":
        content = _draw(figure, "png", facecolor="white", metadata={"Software": None})
    else:
        raise ValueError(f"cannot save a figure as {suffix!r} ({path}): name it .svg or .png")
    write_atomically(path, content)
    return Path(path)
