"""Where the parts of a network diagram stand: sizes in pixels, from the shapes of the layers alone.

Two models of the same structure get the same plan, whatever their weights are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from .network_stages import Block, Column, Stage

NARROW, WIDE = 10.5, 46.0  # distance between the centres of nodes, at least and at most
TALL = 640.0  # height that a column keeps to, as long as its nodes are not closer than NARROW
ENDS = 8  # nodes drawn at either end of a column that is summarised
BAR = 15.0  # width of a bar
LETTER = 0.64  # width of a letter in units of its height, about
SMALL, TEXT = 10.0, 12.0  # heights of letters
LINE = 13.0  # from one line of small text to the next
HISTOGRAM = (92.0, 34.0)


@dataclass(frozen=True)
class Pictures:
    """A grid of small pictures.

    Attributes:
        count: how many are drawn.
        columns: how many stand side by side.
        side: of one cell.
        width, height: of the whole grid.
    """

    count: int
    columns: int
    side: float
    width: float
    height: float


@dataclass
class Place:
    """Where one stage stands; y is measured from the middle of the diagram.

    Attributes:
        x: its centre.
        left: where what comes from the left ends.
        right: where what goes to the right begins.
        bars: where the first bar of a column begins.
        height: from top to bottom.
        ys: of a column, the centre of each node that is drawn, by its index.
        radius: of these nodes.
        hidden: of a column, how many nodes are left out in its middle.
        cells: (columns, side) of the cells that stand for these nodes.
        pictures: of a block, the grids of its kernels and of its maps.
        under: lines of text below; the first is the size or the shape.
    """

    x: float = 0.0
    left: float = 0.0
    right: float = 0.0
    bars: float = 0.0
    height: float = 0.0
    ys: dict[int, float] = field(default_factory=dict)
    radius: float = 0.0
    hidden: int = 0
    cells: tuple[int, float] = (0, 0.0)
    pictures: list[Pictures | None] = field(default_factory=list)
    under: list[str] = field(default_factory=list)


@dataclass
class Plan:
    """The places of all stages.

    Attributes:
        width: of the drawing without margins.
        height: of the nodes and blocks; what stands under them has ``foot`` more.
        thick: width of the line of the largest weight.
        lines: how many weights are drawn as lines.
    """

    places: list[Place]
    width: float
    height: float
    foot: float
    thick: float
    lines: int


def plan(stages: Sequence[Stage], max_nodes: int, rooms: tuple[float, float] = (0, 0)) -> Plan:
    """Place all stages of a diagram from left to right.

    Args:
        stages: what is drawn.
        max_nodes: columns of more nodes than this are summarised.
        rooms: widths that the labels of inputs and of outputs need.

    Example:
        >>> plan([Column(2), Column(1)], 64).places[0].ys
        {0: -23.0, 1: 23.0}
    """
    places = [
        _column(stage, max_nodes) if isinstance(stage, Column) else _block(stage)
        for stage in stages
    ]
    height = max(place.height for place in places)
    for stage, place in zip(stages, places, strict=True):
        if isinstance(stage, Column) and (stage.first or stage is stages[-1]):
            word = "input" if stage.first else "output"
            place.under[0] += f" {word}{'s' * (stage.size > 1)}"
        if isinstance(stage, Column) and stage.first:
            place.bars += rooms[0]
            place.x += rooms[0]
            place.right += rooms[0]
    x, lines, histograms = 0.0, 0, False
    for i, (stage, place) in enumerate(zip(stages, places, strict=True)):
        if i:
            x += _distance(stages[i - 1], stage, height)
        wide = place.right - place.left
        place.x += x
        place.left += x
        place.bars += x
        place.right += x
        x += wide
        if isinstance(stage, Column) and stage.weight is not None:
            lines += len(place.ys) * len(places[i - 1].ys)
            histograms |= places[i - 1].hidden + place.hidden > 0
    chosen = any(isinstance(stage, Column) and stage.values is not None for stage in stages)
    foot = (max(len(place.under) for place in places) + chosen) * LINE + 6
    if histograms:
        foot = max(foot, HISTOGRAM[1] + 2 * LINE + 6)
    closest = min((place.radius for place in places if place.ys), default=16.0)
    thick = min(5.0, max(1.6, 0.32 * closest))
    return Plan(places, x + rooms[1], height, foot, thick, lines)


def _distance(before: Stage, after: Stage, height: float) -> float:
    """From the right edge of one stage to the left edge of the next."""
    if isinstance(before, Column) and isinstance(after, Column):
        return min(230.0, 84.0 + 0.28 * height)
    if isinstance(before, Block) and isinstance(after, Block):
        return 26.0
    return 46.0


def _column(column: Column, max_nodes: int) -> Place:
    place = Place(under=[f"{column.size:,}", *column.functions, *filter(None, [column.note])])
    if column.size <= max_nodes:
        spacing = min(WIDE, max(NARROW, TALL / column.size))
        place.height = column.size * spacing
        place.ys = {i: (i + 0.5) * spacing - place.height / 2 for i in range(column.size)}
    else:
        ends = min(ENDS, max_nodes // 2)
        place.hidden = hidden = column.size - 2 * ends
        gap = 60.0
        if column.values is not None and hidden <= 4096:
            columns = max(4, round(0.6 * math.sqrt(hidden)))
            side = 5.0 if hidden <= 256 else 4.0 if hidden <= 1024 else 3.0
            place.cells = (columns, side)
            gap = math.ceil(hidden / columns) * side + 16
        spacing = 26.0
        place.height = 2 * ends * spacing + gap
        for i in range(ends):
            y = (i + 0.5) * spacing - place.height / 2
            place.ys[i] = y
            place.ys[column.size - 1 - i] = -y
        place.ys = dict(sorted(place.ys.items()))
        place.under.insert(1, f"{2 * ends} drawn")
    place.radius = min(16.0, 0.4 * spacing)
    if column.bars:
        longest = max(len(bar) for bar in column.bars)
        place.height = max(place.height, longest * LETTER * SMALL + 14)
    # The cells of nodes that are left out must not cover the bars.
    half = max(place.radius, place.cells[0] * place.cells[1] / 2 if column.bars else 0.0)
    place.x = len(column.bars) * (BAR + 7) + half
    place.right = place.x + place.radius
    return place


def _block(block: Block) -> Place:
    shape = "×".join(map(str, block.shape)) or "1"
    place = Place(under=[shape, *block.functions])
    place.pictures = [_pictures(block.kernels), _pictures(block.maps)]
    bold = 1.1 * LETTER * TEXT * len(block.kind)
    width = max([bold, *(LETTER * SMALL * len(text) for text in block.details)]) + 16
    height = 24 + LINE * len(block.details)
    for pictures in place.pictures:
        if pictures is not None:
            width = max(width, pictures.width + 20, 13 * LETTER * SMALL)
            height += pictures.height + LINE + 8
    place.height = height + 6
    place.right = width
    place.x = width / 2
    return place


def _pictures(values: object) -> Pictures | None:
    """At most sixteen pictures, fewer where they are large."""
    shape = getattr(values, "shape", None)
    if shape is None:
        return None
    number, height, width = shape
    height, width = (math.ceil(n / shrink(n)) for n in (height, width))
    count = min(number, 16, max(1, 1600 // (height * width)))
    columns = math.ceil(math.sqrt(count))
    side = max(2.0, min(7.0, 90.0 / (columns * width)))
    rows = math.ceil(count / columns)
    return Pictures(
        count,
        columns,
        side,
        columns * (width * side + 4) - 4,
        rows * (height * side + 4) - 4,
    )


def shrink(length: int) -> int:
    """How many pixels are averaged into one cell, so that a picture has at most 32 of them.

    Example:
        >>> shrink(28), shrink(224)
        (1, 7)
    """
    return math.ceil(length / 32)
