"""The marks of a network diagram as SVG text: lines, nodes, biases, cells, histograms, words.

    weight       a line: blue and solid if positive, orange and dashed if negative;
                 width and opacity grow with the magnitude
    bias         a triangle at the node, up if positive, down if negative; its size is the magnitude
    value        the fill of a node or a cell: blue or orange, opacity is the magnitude; inside is
                 the number, or a minus sign where it is negative and there is no room

The sign never rests on colour alone, so a diagram reads in black and white. Words take the colour
of the surrounding text, and fills stay light enough for them in light and dark.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from .network_plan import HISTOGRAM, LETTER, LINE, SMALL, Pictures, shrink
from .svg import legal

Numbers = NDArray[np.float64]

POSITIVE, NEGATIVE = "#0072B2", "#D55E00"
FULL = 0.75  # opacity of the strongest fill: text on it keeps a contrast of 4.5
THIN = 0.12  # width of the line of the smallest weight, as a share of the thickest
TIERS = 16  # of opacity among lines
LEVELS = 12  # of opacity, in pictures


def number(value: float) -> str:
    """A value in at most six letters.

    Example:
        >>> [number(x) for x in (0.5, -1.234, 56.78, 1234.5, 0.0001, -1.0, 0.999)]
        ['0.50', '−1.23', '56.8', '1.2e3', '1e-4', '−1', '1.00']
    """
    size = abs(value)
    if size < 999.5 and value == int(value):
        text = f"{value:.0f}"
    elif 0.0005 <= size < 999.5:
        digits = 3 if size < 0.005 else 2 if size < 9.995 else 1 if size < 99.95 else 0
        text = f"{value:.{digits}f}"
    else:
        text = f"{value:.{int(size >= 1)}e}"
        text = text.replace("e+0", "e").replace("e-0", "e-").replace("e+", "e")
    return text.replace("-", "−", 1) if value < 0 else text


def short(value: float, digits: int = 2) -> str:
    """A coordinate or an opacity without zeros at its end.

    Example:
        >>> short(1.50), short(-0.001), short(-0.25)
        ('1.5', '0', '-.25')
    """
    text = f"{value:.{digits}f}".rstrip("0").rstrip(".")
    if text in ("-0", ""):
        return "0"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def write(
    text: str, x: float, y: float, *, size: float = SMALL, anchor: str = "middle", more: str = ""
) -> str:
    """One line of text; y is its base line."""
    where = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return (
        f'<text x="{short(x)}" y="{short(y)}" font-size="{short(size)}"{where}{more}>'
        f"{escape(legal(text))}</text>"
    )


def title(text: str) -> str:
    """What is told when the mouse is over the element around it."""
    return f"<title>{escape(legal(text))}</title>"


def clip(text: str, letters: int = 24) -> str:
    """A text that is not longer than so many letters.

    Example:
        >>> clip("a quite long name", 8)
        'a quite…'
    """
    return text if len(text) <= letters else text[: letters - 1].rstrip() + "…"


# Weights


def weights(
    starts: Sequence[tuple[float, float, str]],
    ends: Sequence[tuple[float, float, str]],
    weight: Numbers,
    scale: float,
    thick: float,
    lines: int,
    told: bool,
) -> str:
    """A line for each weight, the strong ones over the faint ones.

    Args:
        starts: (x, y, name) of the nodes where lines begin.
        ends: likewise, where they lead.
        weight: (ends, starts).
        scale: the magnitude that is drawn thickest.
        thick: its width.
        lines: how many there are in the whole diagram.
        told: whether each line tells its weight.
    """
    looks = {
        0: 'stroke="currentColor" stroke-dasharray="1 4"',
        -1: f'stroke="{NEGATIVE}" stroke-dasharray="{dash(thick)}"',
        1: f'stroke="{POSITIVE}"',
    }
    tiers: dict[tuple[int, int], list[str]] = {
        (tier, sign): [] for tier in range(TIERS) for sign in looks
    }
    for flat in np.argsort(np.abs(weight), axis=None, kind="stable"):
        i, j = divmod(int(flat), weight.shape[1])
        value = float(weight[i, j])
        share = abs(value) / scale
        words = title(f"{starts[j][2]} → {ends[i][2]}: {number(value)}") if told else ""
        tiers[min(TIERS - 1, int(TIERS * share)), int(np.sign(value))].append(
            f'<path d="M{short(starts[j][0], 1)} {short(starts[j][1], 1)}'
            f'L{short(ends[i][0], 1)} {short(ends[i][1], 1)}" '
            f'stroke-width="{short(width(share, thick), 3)}"'
            + (f">{words}</path>" if told else "/>")
        )
    groups = []
    for (tier, sign), paths in tiers.items():
        if paths:
            # Dashes that all began in one place would align to stripes across the lines.
            shift = f' stroke-dashoffset="{3 * tier % 7}"' if sign < 0 else ""
            strength = short(opacity((tier + 0.5) / TIERS, lines), 3)
            look = f'{looks[sign]}{shift} stroke-opacity="{strength}"'
            groups.append(f"<g {look}>{''.join(paths)}</g>")
    return f'<g class="network-weights" fill="none">{"".join(groups)}</g>'


def width(relative: float, thick: float) -> float:
    """Width of the line of a weight, given its magnitude as a share of the scale."""
    return thick * (THIN + (1 - THIN) * relative)


def opacity(relative: float, lines: int) -> float:
    """Opacity of the line of a weight, given its magnitude as a share of the scale.

    The more lines there are, the fainter are all but the strongest.
    """
    faint = min(0.35, 30 / lines)
    return faint + (1 - faint) * relative ** min(2.5, max(1.0, lines / 1600))


def dash(thick: float) -> str:
    """Dashes of negative weights."""
    return f"{short(2.5 + thick)} {short(1.5 + 0.5 * thick)}"


# Nodes


def fill(value: float, scale: float) -> str:
    """Attributes of the fill of a node; opacity / FULL * scale is the magnitude."""
    share = min(1.0, abs(value) / scale)
    colour = NEGATIVE if value < 0 else POSITIVE
    return f'fill="{colour}" fill-opacity="{short(FULL * share, 3)}"'


def node(x: float, y: float, radius: float, value: float | None, scale: float, told: str) -> str:
    """A circle with its value, if there is one."""
    look = 'fill="none"' if value is None else fill(value, scale)
    parts = [
        f'<circle cx="{short(x)}" cy="{short(y)}" r="{short(radius)}" {look}>{title(told)}</circle>'
    ]
    if value is not None and radius >= 12:
        size = min(9.5, 1.75 * radius / (LETTER * len(number(value))))
        parts.append(write(number(value), x, y + 0.35 * size, size=size, more=' stroke="none"'))
    elif value is not None and value < -0.1 * scale:
        parts.append(f'<path d="M{short(x - radius / 2)} {short(y)}h{short(radius)}"/>')
    return "".join(parts)


def bias(x: float, y: float, radius: float, value: float, scale: float) -> str:
    """A triangle at the upper right of a node: up if positive, down if negative."""
    if value == 0:
        return ""
    side = max(2.4, min(1.1 * radius, 11.0)) * (0.5 + 0.5 * abs(value) / scale)
    x, y = x + 0.85 * radius, y - 0.85 * radius
    up = -1 if value > 0 else 1
    colour = POSITIVE if value > 0 else NEGATIVE
    return (
        f'<path d="M{short(x - side / 2)} {short(y - up * side * 0.43)}h{short(side)}'
        f'l{short(-side / 2)} {short(up * side * 0.87)}z" fill="{colour}">'
        f"{title(f'bias {number(value)}')}</path>"
    )


# Pictures


def cells(picture: Numbers, scale: float, side: float) -> str:
    """The cells of one picture (H, W) from (0, 0), in units of a cell; neighbours are joined."""
    share = np.clip(picture / scale, -1, 1)
    levels = np.rint(share * LEVELS).astype(int)
    runs: dict[int, list[str]] = {}
    minus: list[str] = []
    for y, row in enumerate(levels):
        breaks = [0, *(np.flatnonzero(np.diff(row)) + 1), len(row)]
        for x, end in itertools.pairwise(breaks):
            runs.setdefault(int(row[x]), []).append(f"M{x} {y}h{end - x}v1h{x - end}z")
        if side >= 4:
            minus += [f"M{x}.25 {y}.5h.5" for x in np.flatnonzero(row <= -LEVELS // 5)]
    parts = [
        f'<path d="{"".join(paths)}" fill="{POSITIVE if level > 0 else NEGATIVE}" '
        f'fill-opacity="{short(FULL * abs(level) / LEVELS, 3)}"/>'
        for level, paths in sorted(runs.items())
        if level
    ]
    if minus:
        parts.append(f'<path d="{"".join(minus)}" stroke="currentColor" stroke-width=".16"/>')
    return "".join(parts)


def picture(values: Numbers, side: float, x: float, y: float, scale: float) -> str:
    """The cells of one picture (H, W) in a frame; (x, y) is the upper left corner."""
    height, width = values.shape
    return (
        f'<g transform="translate({short(x)} {short(y)}) scale({short(side, 3)})">'
        f'{cells(values, scale, side)}<rect width="{width}" height="{height}" fill="none" '
        f'stroke="currentColor" stroke-opacity=".5" stroke-width="{short(0.6 / side)}"/></g>'
    )


def pictures(values: Numbers, grid: Pictures, x: float, y: float, scale: float) -> str:
    """As many of the pictures (N, H, W) as the grid holds; (x, y) is its upper left corner."""
    parts = []
    for i in range(grid.count):
        shown = reduced(values[i])
        row, column = divmod(i, grid.columns)
        left = x + column * (shown.shape[1] * grid.side + 4)
        top = y + row * (shown.shape[0] * grid.side + 4)
        parts.append(picture(shown, grid.side, left, top, scale))
    return f'<g class="network-pictures">{"".join(parts)}</g>'


def reduced(pictures: Numbers) -> Numbers:
    """The means of squares of pixels, where there are more pixels than cells to show them.

    Shape:
        (..., height, width) -> (..., at most 32, at most 32)

    Example:
        >>> reduced(np.ones((8, 8))).shape, reduced(np.ones((3, 64, 28))).shape
        ((8, 8), (3, 32, 28))
    """
    for axis in (-2, -1):
        length = pictures.shape[axis]
        starts = np.arange(0, length, shrink(length))
        if len(starts) < length:
            sizes = np.diff([*starts, length])
            sums = np.add.reduceat(pictures, starts, axis=axis)
            pictures = sums / (sizes[:, None] if axis == -2 else sizes)
    return pictures


def histogram(values: Numbers, scale: float, x: float, y: float) -> str:
    """How the weights of one layer are distributed, between -scale and scale; x is the middle."""
    wide, high = HISTOGRAM
    counts, _ = np.histogram(values, bins=24, range=(-scale, scale))
    step, most = wide / len(counts), counts.max()
    parts = []
    for i, count in enumerate(counts):
        if count:
            colour = NEGATIVE if i < len(counts) / 2 else POSITIVE
            tall = max(0.6, high * count / most)
            parts.append(
                f'<rect x="{short(x - wide / 2 + i * step)}" y="{short(y + high - tall)}" '
                f'width="{short(step - 0.6)}" height="{short(tall)}" fill="{colour}"/>'
            )
    axis = (
        f'<path d="M{short(x - wide / 2)} {short(y + high + 0.5)}h{short(wide)}" '
        'stroke="currentColor" stroke-width="1"/>'
    )
    limits = (
        write(number(-scale), x - wide / 2, y + high + LINE - 2, size=9)
        + write(number(scale), x + wide / 2, y + high + LINE - 2, size=9)
        + write(f"{values.size:,} weights", x, y + high + 2 * LINE - 2, size=9)
    )
    return f'<g class="network-histogram">{"".join(parts)}{axis}{limits}</g>'


def wide(texts: Iterable[str], size: float = SMALL) -> float:
    """About how wide the widest of some texts is."""
    return max((LETTER * size * len(text) for text in texts), default=0.0)
