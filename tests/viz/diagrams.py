"""Reading a network diagram back: its nodes, lines and values, and the models that are drawn."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np

import groundup as gu
from groundup import nn
from groundup.viz import network_marks as marks

SVG = "{http://www.w3.org/2000/svg}"
Element = ElementTree.Element


def parse(svg: str) -> Element:
    return ElementTree.fromstring(svg)


def parts(root: Element, kind: str) -> list[Element]:
    return [element for element in root.iter() if element.get("class") == f"network-{kind}"]


def texts(root: Element) -> list[str]:
    return ["".join(e.itertext()) for e in root.iter(f"{SVG}text")]


def columns(root: Element) -> list[list[Element]]:
    return [list(group.iter(f"{SVG}circle")) for group in parts(root, "nodes")]


def place(circle: Element) -> tuple[float, float, float]:
    x, y, radius = (float(circle.get(key, "")) for key in ("cx", "cy", "r"))
    return x, y, radius


@dataclass
class Line:
    """A line as it stands in the file, and the nodes at its ends, found by where they stand."""

    source: int
    target: int
    width: float
    opacity: float
    colour: str
    dashed: bool


def lines(root: Element) -> Iterator[list[Line]]:
    """For each pair of columns, the lines between them."""
    nodes = [[place(circle) for circle in column] for column in columns(root)]
    for number, group in enumerate(parts(root, "weights")):
        found = []
        for look in group:
            for path in look:
                x1, y1, x2, y2 = map(float, re.findall(r"-?[\d.]+", path.get("d", "")))
                ends = []
                for x, y, side in ((x1, y1, 0), (x2, y2, 1)):
                    column = nodes[number + side]
                    node = int(np.argmin([abs(y - cy) for _, cy, _ in column]))
                    cx, cy, radius = column[node]
                    assert abs(y - cy) < 0.06
                    assert abs(x - (cx - radius if side else cx + radius)) < 0.06
                    ends.append(node)
                found.append(
                    Line(
                        *ends,
                        float(path.get("stroke-width", "")),
                        float(look.get("stroke-opacity", "")),
                        look.get("stroke", ""),
                        look.get("stroke-dasharray") is not None,
                    )
                )
        yield found


def value(mark: Element, limit: float) -> float:
    """The value that a fill stands for."""
    sign = -1 if mark.get("fill") == marks.NEGATIVE else 1
    return sign * float(mark.get("fill-opacity", "")) / marks.FULL * limit


def limits(root: Element) -> list[float]:
    return [float(text.split()[1]) for text in texts(root) if re.fullmatch(r"limit [\d.e+]+", text)]


def mlp(*sizes: int, scale: float = 1.0) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i, o in itertools.pairwise(sizes):
        layers += [nn.Linear(i, o), nn.Tanh()]
    model = nn.Sequential(*layers[:-1])
    for parameter in model.parameters():
        put(parameter, parameter.detach() * scale)
    return model


def put(parameter: nn.Parameter, values: object) -> None:
    with gu.no_grad():
        parameter.assign(values)


def numpy_mlp(model: nn.Sequential, x: np.ndarray) -> list[np.ndarray]:
    """What each column holds, computed from the weights with NumPy alone."""
    found = [x]
    linear = [layer for layer in model if isinstance(layer, nn.Linear)]
    for layer in linear:
        x = layer.weight.detach().numpy() @ x + layer.bias.detach().numpy()
        found.append(x := np.tanh(x) if layer is not linear[-1] else x)
    return found


def digits_cnn() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32, 10),
    )
