"""The network of a recording: the drawing in which the page moves things, and its numbers.

The drawing is that of `viz.network`, with the same places, words and legend. What changes from
frame to frame is taken out of it: lines, values on nodes, cells of pictures, histograms. The page's
script puts these back for the frame that it shows; how wide and strong a line is it looks up in a
table.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from .. import network_marks as marks
from ..network import document, planned
from ..network_plan import HISTOGRAM, Place, Plan
from ..network_stages import Column, Stage
from ..svg import SVG, inline
from .frame import MAX_NODES, rebuilt
from .recording import Recording

Numbers = NDArray[Any]

TABLE = 64
"""Steps from the faintest to the strongest line."""
BARS = 24
"""Of a histogram, as in the diagram."""


def scene(recording: Recording, classes: Sequence[str]) -> tuple[str, dict[str, Any]] | None:
    """The drawing, and what the script must know about it.

    Args:
        recording: of a model that can be drawn, or not.
        classes: names of the outputs, as many as there are, or none.

    Returns:
        (an ``<svg>`` element, the stages and scales as JSON), or None where nothing is drawn.

    Example:
        >>> scene(Recording({"camera": {"stages": []}}), []) is None
        True
    """
    described = recording.about["camera"]["stages"]
    if not described:
        return None
    weight = _largest(recording, ("weight", "bias", "kernels", "quantiles")) or 1.0
    limits = [
        max(1.0, _largest(recording, (f"values.{i}", f"maps.{i}"))) for i in range(len(described))
    ]
    stages: list[Stage] = []
    for one, limit in zip(described, limits, strict=True):
        before = stages[-1].size if stages and isinstance(stages[-1], Column) else 0
        stages.append(rebuilt(one, before, weight, limit))
    last = stages[-1]
    names = list(classes) if isinstance(last, Column) and len(classes) == last.size else []
    layout = planned(stages, [], names, MAX_NODES)
    drawn = document([stages], [], None, names or None, "", MAX_NODES)
    shares = np.linspace(0, 1, TABLE + 1)
    told = {
        "stages": [
            _told(stage, place, layout, layout.places[i - 1] if i else None)
            for i, (stage, place) in enumerate(zip(stages, layout.places, strict=True))
        ],
        "names": names,
        "weight": weight,
        "limits": limits,
        "full": marks.FULL,
        "dash": marks.dash(layout.thick),
        "widths": [round(marks.width(s, layout.thick), 3) for s in shares],
        "opacities": [round(marks.opacity(s, max(1, layout.lines)), 3) for s in shares],
    }
    return _emptied(drawn), told


def _largest(recording: Recording, names: Sequence[str]) -> float:
    """The largest magnitude among arrays of these names, or of names that begin so."""
    found = [
        float(np.abs(values).max())
        for name, values in recording.frames.items()
        if values.size and (name in names or name.partition(".")[0] in names)
    ]
    return max(found, default=0.0)


def _told(stage: Stage, place: Place, layout: Plan, before: Place | None) -> dict[str, Any]:
    """The places of a stage that the drawing itself does not tell."""
    if not isinstance(stage, Column):
        return {"block": stage.kind}
    told: dict[str, Any] = {
        "left": round(place.left, 2),
        "right": round(place.right, 2),
        "nodes": list(place.ys),
        "size": stage.size,
    }
    if before is not None and stage.weight is not None and (place.hidden or before.hidden):
        x = (before.right + place.left) / 2 - HISTOGRAM[0] / 2
        told["histogram"] = [round(x, 2), round(layout.height / 2 + 8, 2), *HISTOGRAM]
    return told


def _emptied(drawn: str) -> str:
    """The drawing without what the script draws, as a part of a page."""
    root = ElementTree.fromstring(drawn)
    words = " ".join(text for text in (_text(root, "title"), _text(root, "desc")) if text)
    for group in root.iter(f"{{{SVG}}}g"):
        kind = (group.get("class") or "").removeprefix("network-")
        if kind in ("weights", "biases"):
            _clear(group, keep=())
        elif kind == "nodes":
            _clear(group, keep=("circle",))
        elif kind == "histogram":
            _clear(group, keep=("path", "text"))
        elif kind in ("pictures", "hidden"):
            for picture in group:
                for child in list(picture)[:-1]:  # the last one is the frame
                    picture.remove(child)
    return inline(ElementTree.tostring(root, encoding="unicode"), words)


def _clear(group: ElementTree.Element, keep: Sequence[str]) -> None:
    for child in list(group):
        if child.tag.removeprefix(f"{{{SVG}}}") not in keep:
            group.remove(child)
        for title in child.findall(f"{{{SVG}}}title"):
            child.remove(title)


def _text(root: ElementTree.Element, name: str) -> str:
    return (root.findtext(f"{{{SVG}}}{name}") or "").strip()


def heights(quantiles: Numbers, scale: float) -> Numbers:
    """Histograms of weights from their quantiles, each with 1 as its highest bar.

    Args:
        quantiles: (frames, n) at equal distances, ascending.
        scale: bars lie between -scale and scale.

    Shape:
        (frames, n) -> (frames, BARS)

    Example:
        >>> found = heights(np.linspace([-1], [1], 129, axis=1), 1.0)
        >>> found.shape, bool((found > 0.99).all())
        ((1, 24), True)
    """
    levels = np.linspace(0, 1, quantiles.shape[1])
    ends = np.linspace(-scale, scale, BARS + 1)
    below = np.stack([np.interp(ends, row, levels, left=0, right=1) for row in quantiles])
    below[:, -1] = 1.0
    counts = np.diff(below, axis=1)
    return counts / counts.max(axis=1, keepdims=True)
