"""One network of a diagram: its connections, columns, blocks, and the legend that tells the scales.

The middle of the left edge is (0, 0).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from . import network_marks as marks
from .network_marks import number, short, write
from .network_plan import BAR, LETTER, LINE, SMALL, TEXT, Place, Plan
from .network_stages import Block, Column, Stage

SAMPLE = 84.0  # width of one line of the legend and its number
ROW = 24.0  # height of a row of the legend
TOLD = 600  # diagrams of at most so many lines tell each weight when the mouse is over it


@dataclass
class Look:
    """What all networks of one drawing share.

    Attributes:
        weight: the magnitude of the thickest line.
        values: for each stage, the magnitude of the strongest fill.
        inputs, outputs: names of nodes; empty where they have none.
    """

    weight: float
    values: list[float]
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)


def draw(stages: Sequence[Stage], plan: Plan, look: Look) -> str:
    """All stages and what connects them."""
    behind, front = [], []
    places = plan.places
    names = [_names(stages, i, look) for i in range(len(stages))]
    for i, (stage, place) in enumerate(zip(stages, places, strict=True)):
        if isinstance(stage, Column) and stage.weight is not None:
            behind.append(_lines(stage, plan, look, i, names))
        elif i:
            behind.append(_flow(stages[i - 1 : i + 1], places[i - 1 : i + 1]))
        if isinstance(stage, Column):
            front.append(_column(stage, place, look, look.values[i], names[i]))
        else:
            front.append(_block(stage, place, look, look.values[i]))
        under = list(place.under)
        if _shown(stage):
            under.append(f"limit {look.values[i]:.3g}")
        for line, text in enumerate(under):
            weight = ' font-weight="bold"' if line == 0 else ""
            y = plan.height / 2 + 6 + LINE * (line + 1)
            front.append(write(text, place.x, y, more=weight))
    for stage, place in zip(stages, places, strict=True):
        if isinstance(stage, Column) and stage.first and look.inputs:
            front.append(_labels(look.inputs, place, place.bars - 7, "end"))
    if look.outputs:
        front.append(_labels(look.outputs, places[-1], places[-1].right + 7, "start"))
    return "".join(behind + front)


def _labels(texts: Sequence[str], place: Place, x: float, anchor: str) -> str:
    """Words beside the nodes of a column."""
    size = min(TEXT, 2.3 * place.radius)
    return "".join(
        write(marks.clip(texts[j]), x, y + 0.35 * size, size=size, anchor=anchor)
        for j, y in place.ys.items()
    )


def _names(stages: Sequence[Stage], i: int, look: Look) -> list[str]:
    """What the nodes of a column are called when the mouse is over them."""
    stage = stages[i]
    if not isinstance(stage, Column):
        return []
    if stage.first and look.inputs:
        return look.inputs
    if i == len(stages) - 1 and look.outputs:
        return look.outputs
    return [f"node {j + 1}" for j in range(stage.size)]


def _lines(stage: Column, plan: Plan, look: Look, i: int, names: list[list[str]]) -> str:
    """The weights between a column and the one before it."""
    assert stage.weight is not None
    before, place = plan.places[i - 1], plan.places[i]
    starts = [(before.right, y, names[i - 1][j]) for j, y in before.ys.items()]
    ends = [(place.left, y, names[i][j]) for j, y in place.ys.items()]
    shown = stage.weight[list(place.ys)][:, list(before.ys)]
    drawn = marks.weights(
        starts,
        ends,
        shown,
        look.weight,
        plan.thick,
        lines=plan.lines,
        told=plan.lines <= TOLD,
    )
    if before.hidden or place.hidden:
        x = (before.right + place.left) / 2
        drawn += marks.histogram(stage.weight, look.weight, x, plan.height / 2 + 8)
    return drawn


def _flow(stages: Sequence[Stage], places: Sequence[Place]) -> str:
    """What stands for all values of one stage going to the next: an arrow or a fan."""
    before, after = places
    if isinstance(stages[0], Block) and isinstance(stages[1], Block):
        x, end = before.right + 4, after.left - 4
        return (
            f'<path d="M{short(x)} 0H{short(end)}m-6 -4l6 4l-6 4" fill="none" '
            'stroke="currentColor" stroke-width="1.3"/>'
        )
    tops = [_top(stage, place) for stage, place in zip(stages, places, strict=True)]
    x, end = before.right + 2, after.left - 2
    return (
        f'<path d="M{short(x)} {short(-tops[0])}L{short(end)} {short(-tops[1])}V{short(tops[1])}'
        f'L{short(x)} {short(tops[0])}z" fill-opacity=".08"/>'
    )


def _top(stage: Stage, place: Place) -> float:
    return max(place.ys.values()) + place.radius if isinstance(stage, Column) else place.height / 2


def _column(stage: Column, place: Place, look: Look, scale: float, names: list[str]) -> str:
    parts = [_bar(bar, k, place) for k, bar in enumerate(stage.bars)]
    circles, biases = [], []
    for j, y in place.ys.items():
        if stage.bars:
            x = place.bars + len(stage.bars) * (BAR + 7) - 7
            parts.append(
                f'<path d="M{short(x)} {short(y)}H{short(place.x - place.radius)}" '
                'stroke="currentColor" stroke-opacity=".5"/>'
            )
        value = None if stage.values is None else float(stage.values[j])
        told = names[j] if value is None else f"{names[j]}: {number(value)}"
        circles.append(marks.node(place.x, y, place.radius, value, scale, told))
        if stage.bias is not None:
            biases.append(marks.bias(place.x, y, place.radius, float(stage.bias[j]), look.weight))
    stroke = short(min(1.2, 0.15 * place.radius))
    parts.append(
        f'<g class="network-nodes" stroke="currentColor" stroke-width="{stroke}">'
        f"{''.join(circles)}</g>"
    )
    if any(biases):
        parts.append(f'<g class="network-biases">{"".join(biases)}</g>')
    if place.hidden:
        parts.append(_gap(stage, place, scale))
    return "".join(parts)


def _bar(text: str, k: int, place: Place) -> str:
    x, tall = place.bars + k * (BAR + 7), place.height
    return (
        f'<rect x="{short(x)}" y="{short(-tall / 2)}" width="{short(BAR)}" height="{short(tall)}" '
        'rx="4" fill-opacity=".06" stroke="currentColor" stroke-opacity=".5"/>'
        + write(text, 0, 0, more=f' transform="translate({short(x + BAR - 4)} 0) rotate(-90)"')
    )


def _gap(stage: Column, place: Place, scale: float) -> str:
    """The nodes that are left out: a cell for each value, or three dots."""
    columns, side = place.cells
    if stage.values is None or not columns:
        return (
            f'<path d="M{short(place.x)} -12v.01m0 12v.01m0 12v.01" stroke="currentColor" '
            'stroke-width="4.5" stroke-linecap="round"/>'
        )
    hidden = [stage.values[j] for j in range(stage.size) if j not in place.ys]
    rows = -(-len(hidden) // columns)
    cells = np.zeros(rows * columns)
    cells[: len(hidden)] = hidden
    left, top = place.x - columns * side / 2, -rows * side / 2
    picture = marks.picture(cells.reshape(rows, columns), side, left, top, scale)
    return f'<g class="network-hidden">{picture}</g>'


def _block(stage: Block, place: Place, look: Look, scale: float) -> str:
    left, top = place.left, -place.height / 2
    y = top + 18
    parts = [
        f'<rect x="{short(left)}" y="{short(top)}" width="{short(place.right - left)}" '
        f'height="{short(place.height)}" rx="7" fill-opacity=".04" stroke="currentColor" '
        'stroke-opacity=".6"/>',
        write(stage.kind, place.x, y, size=TEXT, more=' font-weight="bold"'),
    ]
    for text in stage.details:
        y += LINE
        parts.append(write(text, place.x, y))
    for values, grid, word, full in (
        (stage.kernels, place.pictures[0], "kernel", look.weight),
        (stage.maps, place.pictures[1], "map", scale),
    ):
        if values is None or grid is None:
            continue
        many = f"{len(values):,} {word}{'s' * (len(values) > 1)}"
        if word == "map":
            many = "values" if len(values) == 1 else many
        if grid.count < len(values):
            many = f"{grid.count} of {many}"
        y += LINE + 3
        parts.append(write(many, place.x, y, size=9))
        parts.append(marks.pictures(values, grid, place.x - grid.width / 2, y + 5, full))
        y += grid.height + 5
    return f'<g class="network-block">{"".join(parts)}</g>'


# The legend


def legend(stages: Sequence[Stage], plan: Plan, look: Look, width: float) -> tuple[str, float]:
    """What the marks mean, in rows that are not wider than `width`.

    Returns:
        (the rows from (0, 0) down, their height).
    """
    keys: list[tuple[str, float]] = []
    if plan.lines:
        keys = [(write("weight", 0, 3.5, anchor="start"), 46.0)]
        keys += [_sample(share * look.weight, plan, look) for share in (1, 0.5, -0.5, -1)]
    if any(isinstance(stage, Column) and stage.bias is not None for stage in stages):
        pair = marks.bias(25, 8.5, 10, look.weight, look.weight)
        pair += marks.bias(55, 8.5, 10, -look.weight, look.weight)
        words = write("bias", 0, 3.5, anchor="start") + write("+", 46, 3.5) + write("−", 76, 3.5)
        keys.append((words + pair, 104))
    if any(_shown(stage) for stage in stages):
        keys.append(_ramp("value", "−limit", "limit"))
    if any(isinstance(stage, Block) and stage.kernels is not None for stage in stages):
        keys.append(_ramp("kernel", number(-look.weight), number(look.weight)))
    rows: list[list[tuple[str, float]]] = [[]]
    for key in keys:
        if rows[-1] and sum(wide for _, wide in rows[-1]) + key[1] > width:
            rows.append([])
        rows[-1].append(key)
    parts = []
    for i, row in enumerate(rows):
        x = (width - sum(wide for _, wide in row)) / 2
        for drawn, wide in row:
            parts.append(moved(drawn, x, i * ROW))
            x += wide
    return f'<g class="network-legend">{"".join(parts)}</g>', len(rows) * ROW if keys else 0.0


def _shown(stage: Stage) -> bool:
    return (stage.values if isinstance(stage, Column) else stage.maps) is not None


def moved(drawn: str, x: float, y: float = 0.0) -> str:
    """A drawing shifted to the right and down."""
    return f'<g transform="translate({short(x)} {short(y)})">{drawn}</g>'


def _sample(value: float, plan: Plan, look: Look) -> tuple[str, float]:
    """A line as it is drawn for a weight, and the weight."""
    share = abs(value) / look.weight
    colour = f'stroke="{marks.NEGATIVE}" stroke-dasharray="{marks.dash(plan.thick)}"'
    if value > 0:
        colour = f'stroke="{marks.POSITIVE}"'
    line = (
        f'<path d="M0 0h32" {colour} stroke-width="{short(marks.width(share, plan.thick), 3)}" '
        f'opacity="{short(marks.opacity(share, plan.lines), 3)}"/>'
    )
    return line + write(number(value), 37, 3.5, anchor="start"), SAMPLE


def _ramp(word: str, least: str, most: str) -> tuple[str, float]:
    """Squares from the most negative to the most positive fill."""
    start = 8 + LETTER * SMALL * len(word)
    left = start + LETTER * SMALL * len(least) + 5
    cells = marks.cells(np.array([[-1.0, -0.5, 0.0, 0.5, 1.0]]), 1.0, 12.0)
    drawn = (
        write(word, 0, 3.5, anchor="start")
        + write(least, start, 3.5, anchor="start")
        + f'<g transform="translate({short(left)} -6) scale(12)">{cells}<rect width="5" height="1" '
        'fill="none" stroke="currentColor" stroke-opacity=".5" stroke-width=".06"/></g>'
        + write(most, left + 66, 3.5, anchor="start")
    )
    return drawn, left + 66 + LETTER * SMALL * len(most) + 20
