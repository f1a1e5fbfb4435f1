"""Diagrams of networks: nodes in columns, a line for each weight, values on the nodes.

What is drawn is found in `network_stages`, where it stands in `network_plan`, and how each mark
looks in `network_marks`. The result is the text of an SVG file without a style sheet, a script or a
font: it follows the colour of the text around it, so it can stand in a light or dark page, and the
same model gives the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from .. import nn
from . import network_marks as marks
from .network_drawing import Look, draw, legend, moved
from .network_plan import TEXT, Plan, plan
from .network_stages import Block, Column, Stage, stages
from .svg import FONTS, SVG, legal

EDGE = 12.0  # free space around the drawing
BETWEEN = 48.0  # between the two networks of before_and_after
HEADING = 14.0  # height of the letters of the title


def network(
    model: nn.Module,
    input: Any = None,
    *,
    labels: Sequence[str] | None = None,
    output_labels: Sequence[str] | None = None,
    title: str = "",
    max_nodes: int = 64,
) -> str:
    """Draw a model whose layers run one after the other.

    Linear layers are drawn as lines between columns of nodes: blue and solid for positive weights,
    orange and dashed for negative ones, wider and stronger with the magnitude, a triangle for each
    bias. Other layers are blocks with their shapes; a convolution shows its kernels. With an input,
    the nodes are filled by what they give to the next layer, after activation and in evaluation
    mode. Fills are strongest at 1, or at the largest magnitude of a layer that goes beyond 1.

    Args:
        model: a ``Sequential``, or any module that calls its layers in one chain.
        input: one example, numbers in the shape that the model takes, with or without a batch
            dimension of 1. Default: no values are drawn; a model that does not begin with
            ``Linear`` needs it for its shapes.
        labels: names of the inputs. Default: none.
        output_labels: names of the outputs. Default: none.
        title: stands above; by default nothing does.
        max_nodes: a layer of more nodes is summarised: its first and last nodes, and a histogram of
            its weights.

    Returns:
        The text of an SVG file, for `save` or `Plot`.

    Raises:
        TypeError: the model is not a Module.
        ValueError: the model holds a layer that cannot be drawn or is not a chain, the input does
            not fit, numbers are not finite, or there are more or fewer labels than nodes.

    Example:
        >>> from groundup import viz
        >>> net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1), nn.Sigmoid())
        >>> svg = viz.network(net, [0, 1], labels=["x1", "x2"], output_labels=["x1 xor x2"])
        >>> svg.count("<circle")
        7
        >>> viz.network(net, [0, 1, 1])
        Traceback (most recent call last):
        ...
        ValueError: the model cannot take an input of shape (1, 3) (a batch of one): Linear(2,...
    """
    return document([stages(model, input)], [], labels, output_labels, title, max_nodes)


def before_and_after(
    before: nn.Module,
    after: nn.Module,
    input: Any = None,
    *,
    names: tuple[str, str] = ("before training", "after training"),
    labels: Sequence[str] | None = None,
    output_labels: Sequence[str] | None = None,
    title: str = "",
    max_nodes: int = 64,
) -> str:
    """Draw two models of the same structure side by side, with the same scales.

    Training changes a model in place, so keep a copy: ``before = copy.deepcopy(model)``.

    Args:
        before: drawn on the left.
        after: drawn on the right.
        input: as for `network`; both get it.
        names: stand above the two.
        labels, output_labels, title, max_nodes: as for `network`.

    Returns:
        The text of an SVG file, for `save` or `Plot`.

    Raises:
        TypeError, ValueError: as for `network`, or the two differ in structure.

    Example:
        >>> from groundup import viz
        >>> before, after = nn.Linear(2, 1), nn.Linear(2, 1)
        >>> "after training" in viz.before_and_after(before, after)
        True
    """
    if isinstance(names, str) or len(names) != 2:
        raise ValueError(f"names is {names!r}, expected two, for the left and the right network")
    pair = [stages(before, input), stages(after, input)]
    for number, (one, other) in enumerate(zip(*pair, strict=False)):
        if _structure(one) != _structure(other):
            raise ValueError(
                f"before and after differ in stage {number}: {_structure(one)} and "
                f"{_structure(other)}; draw two models of the same layers"
            )
    if len(pair[0]) != len(pair[1]):
        raise ValueError(
            f"before has {len(pair[0])} stages and after {len(pair[1])}; draw two models of the "
            "same layers"
        )
    return document(pair, list(names), labels, output_labels, title, max_nodes)


def _structure(stage: Stage) -> str:
    if isinstance(stage, Column):
        return " ".join([f"{stage.size} nodes", *stage.bars, *stage.functions])
    return " ".join([stage.kind, str(stage.shape), *stage.details, *stage.functions])


# The document


def document(
    panels: list[list[Stage]],
    names: Sequence[str],
    labels: Sequence[str] | None,
    output_labels: Sequence[str] | None,
    title: str,
    max_nodes: int,
) -> str:
    """The whole drawing of stages that are found already: title, networks, legend.

    Args:
        panels: the stages of each network; all have the same structure.
        names: stand above the networks; none if empty.
        labels, output_labels, title, max_nodes: as for `network`.

    Raises:
        ValueError: there are more or fewer labels than nodes, or ``max_nodes`` is below 2.

    Example:
        >>> document([stages(nn.Linear(2, 1), None)], [], None, None, "", 64)[:4]
        '<svg'
    """
    if not isinstance(max_nodes, int) or max_nodes < 2:
        raise ValueError(f"max_nodes is {max_nodes!r}, expected a whole number of at least 2")
    stages = panels[0]
    first = next((s for s in stages if isinstance(s, Column) and s.first), stages[0])
    look = Look(
        _largest(panels),
        [max(1.0, *map(_strongest, alike)) for alike in zip(*panels, strict=True)],
        _labels(labels, first, "labels", "begin"),
        _labels(output_labels, stages[-1], "output_labels", "end"),
    )
    layout = planned(stages, look.inputs, look.outputs, max_nodes)

    width = len(panels) * layout.width + (len(panels) - 1) * BETWEEN
    across = max(width, marks.wide([title], HEADING), 340.0)
    keys, tall = legend(stages, layout, look, across)
    x = EDGE + (across - width) / 2
    top = EDGE + (28 if title else 0) + (24 if names else 0)
    middle = top + layout.height / 2
    parts = []
    if title:
        more = ' font-weight="bold"'
        parts.append(marks.write(title, EDGE + across / 2, EDGE + 13, size=HEADING, more=more))
    for name, panel in zip(names or [""], panels, strict=True):
        if name:
            parts.append(marks.write(name, x + layout.width / 2, top - 12, size=TEXT))
        parts.append(moved(draw(panel, layout, look), x, middle))
        x += layout.width + BETWEEN
    end = middle + layout.height / 2 + layout.foot
    parts.append(moved(keys, EDGE, end + 20))
    name = title or "Network " + "-".join(map(_size, stages))
    words = _words(panels, names, look)
    return _framed("".join(parts), across + 2 * EDGE, end + 10 + tall + EDGE, name, words)


def planned(
    stages: Sequence[Stage], inputs: Sequence[str], outputs: Sequence[str], max_nodes: int
) -> Plan:
    """Where everything stands, with room for the names of inputs and outputs.

    Example:
        >>> planned(stages(nn.Linear(2, 1), None), [], ["a"], 64).lines
        2
    """
    rooms = [marks.wide(map(marks.clip, texts), TEXT) + 10 for texts in (inputs, outputs)]
    return plan(stages, max_nodes, (rooms[0], rooms[1]))


def _labels(labels: Sequence[str] | None, stage: Stage, name: str, place: str) -> list[str]:
    """Labels as texts, one for each node of a stage."""
    if labels is None:
        return []
    if not isinstance(stage, Column) or (place == "begin" and not stage.first):
        kind = stage.kind if isinstance(stage, Block) else "nodes"
        raise ValueError(
            f"{name}: the network does not {place} with nodes that could be labelled, but with "
            f"{kind}; leave {name} out"
        )
    if isinstance(labels, str) or len(labels) != stage.size:
        given = f"the text {labels!r}" if isinstance(labels, str) else f"{len(labels)} names"
        raise ValueError(f"{name}: {given}, expected a sequence of {stage.size} names, one a node")
    return [str(text) for text in labels]


def _largest(panels: Sequence[Sequence[Stage]]) -> float:
    """The largest magnitude among all weights, biases and kernels; 1 if all are zero."""
    found = [0.0]
    for panel in panels:
        for stage in panel:
            arrays = (
                (stage.weight, stage.bias) if isinstance(stage, Column) else (stage.kernels, None)
            )
            found += [float(np.abs(array).max()) for array in arrays if array is not None]
    return max(found) or 1.0


def _strongest(stage: Stage) -> float:
    values = stage.values if isinstance(stage, Column) else stage.maps
    return 0.0 if values is None else float(np.abs(values).max())


def _size(stage: Stage) -> str:
    return str(stage.size) if isinstance(stage, Column) else stage.kind


def _words(panels: Sequence[Sequence[Stage]], names: Sequence[str], look: Look) -> str:
    """The drawing in words."""
    parts = []
    for stage in panels[0]:
        if isinstance(stage, Column):
            text = f"{stage.size} node{'s' * (stage.size > 1)}"
            more = [*stage.bars, *stage.functions]
        else:
            text = f"{stage.kind} giving {'×'.join(map(str, stage.shape))}"
            more = stage.functions
        parts.append(", ".join([text, *more]))
    text = "From left to right: " + "; ".join(parts) + ". "
    text += f"The largest magnitude of a weight is {marks.number(look.weight)}."
    for name, panel in zip(names or ["the input shown"], panels, strict=True):
        last = panel[-1]
        if isinstance(last, Column) and last.values is not None and last.size <= 16:
            outputs = [
                f"{look.outputs[i]} {marks.number(value)}" if look.outputs else marks.number(value)
                for i, value in enumerate(map(float, last.values))
            ]
            text += f" Outputs, {name}: {', '.join(outputs)}."
    return text


def _framed(drawing: str, width: float, height: float, title: str, words: str) -> str:
    """An SVG document around a drawing."""
    key = f"n{hashlib.sha256((drawing + title + words).encode()).hexdigest()[:8]}"
    size = f"{marks.short(width)} {marks.short(height)}"
    return (
        f'<svg xmlns="{SVG}" width="{marks.short(width)}px" height="{marks.short(height)}px" '
        f'viewBox="0 0 {size}" fill="currentColor" font-family="{FONTS}" role="img" '
        f'aria-labelledby="{key}-title {key}-words">'
        f'<title id="{key}-title">{escape(legal(title))}</title>'
        f'<desc id="{key}-words">{escape(legal(words))}</desc>{drawing}</svg>\n'
    )
