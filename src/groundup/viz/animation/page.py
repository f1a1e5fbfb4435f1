"""The page that plays recordings: one HTML file with its script, style and data inside.

It loads nothing: its own policy (``Content-Security-Policy``) allows the one script that is in it,
by its hash, and no ``eval``. The script is made of the files beside this one, in `SCRIPTS`' order.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...engine.files import write_atomically
from ..network_marks import NEGATIVE, POSITIVE, number
from ..svg import legal
from .recording import Recording
from .scene import heights, scene

Numbers = NDArray[Any]

SCRIPTS = ("tools.js", "network.js", "charts.js", "outputs.js", "surface.js", "player.js")
MOST_POINTS = 400
"""Of a line of a chart."""
WHOLE = {"weight", "bias", "values", "outputs", "surface"}
"""Arrays that are read as numbers, and get 16 bits; the others are colours and get 8."""


@dataclass(frozen=True)
class Chart:
    """Curves over the steps of a training.

    Args:
        title: what is drawn and its unit.
        lines: (steps, values) by name; values that are not finite are left out.
        faint: names of lines that stand in the background.

    Example:
        >>> Chart("Loss", {"training": ([1, 2], [0.5, 0.25])}).title
        'Loss'
    """

    title: str
    lines: Mapping[str, tuple[ArrayLike, ArrayLike]]
    faint: Sequence[str] = ()


@dataclass(frozen=True)
class Film:
    """One training on the page.

    Args:
        name: what it is called where there are several.
        recording: its moments.
        charts: its curves.
        classes: names of the classes; by default numbers.

    Example:
        >>> Film("CNN", Recording({})).charts
        ()
    """

    name: str
    recording: Recording
    charts: Sequence[Chart] = ()
    classes: Sequence[str] = ()


def write_animation(
    films: Sequence[Film], path: str | os.PathLike[str], *, title: str, subtitle: str = ""
) -> Path:
    """Write the page.

    Args:
        films: what it plays, at least one, each of at least one frame; the reader chooses.
        path: the file; an old one is replaced.
        title: of the page.
        subtitle: stands below the title.

    Returns:
        The path.

    Raises:
        ValueError: no film, or one without frames.
        OSError: the file cannot be written; an old one is untouched.

    Example:
        >>> import tempfile
        >>> from groundup.training import fit
        >>> from groundup.viz.animation import Recorder
        >>> x, y = gu.randn(20, 2), gu.arange(20) % 2
        >>> model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 2))
        >>> adam = optim.Adam(model.parameters())
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     filming = [Recorder(f"{folder}/a.safetensors")]
        ...     _ = fit(model, F.cross_entropy, adam, [(x, y)], epochs=9, callbacks=filming)
        ...     film = Film("noise", Recording.load(f"{folder}/a.safetensors"))
        ...     page = write_animation([film], f"{folder}/a.html", title="Noise").read_text()
        >>> page.startswith("<!doctype html>"), page.count("<svg")
        (True, 1)
    """
    if not films or not all(len(film.recording) for film in films):
        raise ValueError(
            "write_animation: expected at least one film, and in each at least a frame"
        )
    folder = files(__package__)
    script = "\n".join((folder / name).read_text(encoding="utf-8") for name in SCRIPTS)
    script = f'(() => {{\n"use strict";\n{script}\n}})();\n'
    style = (folder / "player.css").read_text(encoding="utf-8")
    drawings, told = [], []
    for number_, film in enumerate(films):
        drawn = scene(film.recording, _classes(film))
        drawings.append(
            f'<div class="drawing" data-film="{number_}" hidden>{drawn[0] if drawn else ""}</div>'
        )
        told.append(_told(film, drawn[1] if drawn else None))
    data = {"films": told, "colours": [NEGATIVE, POSITIVE]}
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    parts = {
        "title": escape(legal(title)),
        "subtitle": escape(legal(subtitle)),
        "policy": f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'",
        "style": style,
        "drawings": "\n".join(drawings),
        "data": json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"),
        "script": script,
    }
    page = (folder / "page.html").read_text(encoding="utf-8")
    page = re.sub(r"\[\[(\w+)\]\]", lambda match: parts[match[1]], page)
    write_atomically(path, page.encode())
    return Path(path)


def _told(film: Film, drawn: Mapping[str, Any] | None) -> dict[str, Any]:
    """Everything about a film that the script needs, as JSON."""
    recording = film.recording
    camera = recording.about["camera"]
    notes = []
    if "not drawn" in camera:
        notes.append(f"The network is not drawn: {camera['not drawn']}.")
    if "ended" in recording.about:
        notes.append(
            f"The recording ends before step {recording.about['ended']:,}: a number was not finite."
        )
    arrays = {}
    for name, values in recording.frames.items():
        kind, _, stage = name.partition(".")
        if drawn is not None and kind == "quantiles":
            arrays[f"histogram.{stage}"] = _packed(heights(values, drawn["weight"]), 1.0, 8)
        elif drawn is not None and kind in ("weight", "bias", "kernels"):
            arrays[name] = _packed(values, drawn["weight"], 16 if kind in WHOLE else 8)
        elif drawn is not None and kind in ("values", "maps"):
            arrays[name] = _packed(values, drawn["limits"][int(stage)], 16 if kind in WHOLE else 8)
        elif kind in ("outputs", "surface"):
            arrays[name] = _packed(values, float(np.abs(values).max()) or 1.0, 16)
        elif kind == "winner":
            arrays[name] = _packed(values, 127.0, 8)
    epochs = [None if np.isnan(e) else round(float(e), 3) for e in recording.epochs]
    return {
        "name": legal(film.name),
        "steps": recording.steps.tolist(),
        "epochs": epochs,
        "arrays": arrays,
        "network": drawn,
        "notes": [legal(note) for note in notes],
        "meaning": camera.get("meaning"),
        "classes": _classes(film),
        "examples": _examples(film),
        "surface": _surface(film),
        "charts": [_chart(chart) for chart in film.charts],
    }


def _packed(values: Numbers, scale: float, bits: int) -> dict[str, Any]:
    """An array as whole numbers; times `scale` / the largest of them they are the values."""
    most = 2 ** (bits - 1) - 1
    whole = np.rint(np.clip(np.asarray(values, np.float64) / scale, -1, 1) * most)
    content = whole.astype(f"<i{bits // 8}").tobytes()
    shape = list(values.shape)
    return {
        "shape": shape,
        "bits": bits,
        "scale": scale,
        "data": base64.b64encode(content).decode(),
    }


def _classes(film: Film) -> list[str]:
    camera = film.recording.about.get("camera", {})
    count = camera.get("outputs", 0)
    if len(film.classes) == count:
        return [legal(str(name)) for name in film.classes]
    return [str(k) for k in range(count)] if camera.get("meaning") in ("classes", "logits") else []


def _examples(film: Film) -> list[dict[str, Any]]:
    """The inputs that are followed: a name, what they should give, and a picture or a text."""
    fixed = film.recording.fixed
    if "inputs" not in fixed:
        return []
    found: list[dict[str, Any]] = []
    for k, (x, y) in enumerate(zip(fixed["inputs"], fixed["targets"], strict=True)):
        target = [round(float(value), 6) for value in np.ravel(y)[:10]]
        picture = _picture(np.asarray(x, np.float64))
        packed, text = None, ""
        if picture is not None:
            low, high = float(picture.min()), float(picture.max())
            packed = _packed((picture - low) / (high - low or 1.0), 1.0, 8)
        elif x.ndim <= 1 and x.size <= 4:
            text = f"({', '.join(number(float(value)) for value in np.ravel(x))})"
        name = f"Example {k + 1}"
        found.append({"name": name, "text": text, "target": target, "picture": packed})
    return found


def _picture(x: Numbers) -> Numbers | None:
    """An input as a picture (height, width), if it is one."""
    if x.ndim == 3 and x.shape[0] in (1, 3):
        x = x.mean(axis=0)
    side = round(float(np.sqrt(x.size)))
    if x.ndim == 1 and side >= 4 and side * side == x.size:
        x = x.reshape(side, side)
    return x if x.ndim == 2 and min(x.shape) >= 4 and max(x.shape) <= 64 else None


def _surface(film: Film) -> dict[str, Any] | None:
    recording = film.recording
    if "surface" not in recording.frames:
        return None
    camera, fixed = recording.about["camera"], recording.fixed
    targets = fixed["point_targets"].reshape(len(fixed["points"]), -1)[:, 0].astype(np.float64)
    probability = camera["meaning"] != "values"
    values = np.unique(targets)
    middle = 0.5 if probability else float(values[0] + values[-1]) / 2
    spread = 0.5 if probability else max(float(values[-1] - values[0]) / 2, 1e-9)
    return {
        "range": camera["range"],
        "points": np.round(fixed["points"].astype(np.float64), 4).tolist(),
        "targets": targets.round(4).tolist(),
        "chosen": np.round(fixed["inputs"].astype(np.float64), 4).tolist(),
        "labelled": len(values) <= 10,
        "middle": middle,
        "spread": spread,
        "probability": probability,
    }


def _chart(chart: Chart) -> dict[str, Any]:
    lines = []
    for name, (steps, values) in chart.lines.items():
        x, y = np.asarray(steps, np.float64), np.asarray(values, np.float64)
        finite = np.isfinite(y)
        x, y = x[finite], y[finite]
        if len(x) > MOST_POINTS:
            kept = np.unique(np.linspace(0, len(x) - 1, MOST_POINTS).astype(int))
            x, y = x[kept], y[kept]
        if len(x):
            points = {"x": x.tolist(), "y": [float(f"{value:.5g}") for value in y]}
            lines.append({"name": legal(name), "faint": name in chart.faint, **points})
    return {"title": legal(chart.title), "lines": lines}
