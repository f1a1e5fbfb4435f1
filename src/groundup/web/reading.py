"""What the pages show of a run, as JSON values: the store's records with names made plain.

Series are of four kinds, told apart by their names, as `groundup.runs.Record` gives them (each may
have a prefix): "layer" (``gradient_norm/0.weight``), "system" (``system/cpu``,
``examples_per_second``), "epoch" (the clock of the epochs) and "metric" (all others).
"""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..runs import RunInfo, SeriesInfo, Store, Verdict

LAYER = re.compile(
    r"(?P<kind>(?:.*[^A-Za-z])?(?:gradient|weight|activation)_[a-z_]+)/(?P<layer>.+)"
)
SYSTEM = re.compile(r"(?:.*[^A-Za-z])?(?:system/.+|[a-z_]*_per_second|throughput)")
CLOCK = re.compile(r"(?P<prefix>(?:.*[^A-Za-z])?)epoch")

MOST_METRICS = 200
MOST_SETTINGS = 300
LONGEST_SETTING = 300
LONGEST_FILE = 1 << 20


def kind(name: str) -> str:
    """What a series is about.

    Example:
        >>> [kind(name) for name in ("loss", "mlp/weight_max/0.bias", "system/cpu", "epoch")]
        ['metric', 'layer', 'system', 'epoch']
    """
    if LAYER.fullmatch(name):
        return "layer"
    if SYSTEM.fullmatch(name):
        return "system"
    return "epoch" if CLOCK.fullmatch(name) else "metric"


def plain(value: float | None) -> float | None:
    """A number that JSON has."""
    return value if value is not None and math.isfinite(value) else None


def settings(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A config without nesting: names with dots, values that are numbers, texts, booleans or null.

    Example:
        >>> settings({"lr": 0.1, "model": {"sizes": [64, 10]}})
        {'lr': 0.1, 'model.sizes': '[64, 10]'}
    """
    found: dict[str, Any] = {}
    for key, value in config.items():
        if len(found) >= MOST_SETTINGS:
            break
        if isinstance(value, dict) and value:
            found |= settings(value, f"{prefix}{key}.")
        elif isinstance(value, bool | int | None):
            found[prefix + key] = value
        elif isinstance(value, float):
            found[prefix + key] = value if math.isfinite(value) else str(value)
        else:
            text = value if isinstance(value, str) else json.dumps(value)
            cut = len(text) > LONGEST_SETTING
            found[prefix + key] = text[: LONGEST_SETTING - 1] + "…" if cut else text
    return found


def summary(info: RunInfo, series: Iterable[SeriesInfo]) -> dict[str, Any]:
    """A run as the list shows it: who, when, with which settings, and the newest values."""
    every = list(series)
    metrics = [found for found in every if kind(found.name) == "metric"]
    clocks = [found.last_value for found in every if kind(found.name) == "epoch"]
    return {
        "id": info.id,
        "experiment": info.experiment,
        "status": info.status,
        "created": info.created,
        "started": info.started,
        "ended": info.ended,
        "heartbeat": info.heartbeat,
        "seconds": info.seconds,
        "seed": info.seed,
        "parent": info.parent,
        "host": info.host,
        "tags": list(info.tags),
        "note": info.note,
        "error": (info.error or "").strip().rsplit("\n", 1)[-1][:500] or None,
        "rewinds": info.rewinds,
        "step": max((found.last_step for found in every), default=None),
        "epoch": plain(max(clocks, default=None)),
        "config": settings(info.config),
        "metrics": {found.name: plain(found.last_value) for found in metrics[:MOST_METRICS]},
    }


def detail(store: Store, info: RunInfo) -> dict[str, Any]:
    """Everything about a run but its points."""
    series = store.series(info.id)
    return {
        **summary(info, series),
        "error": (info.error or "")[-20_000:] or None,
        "folder": str(info.folder),
        "pid": info.pid,
        "series": [
            {
                "name": found.name,
                "kind": kind(found.name),
                "count": found.count,
                "last_step": found.last_step,
                "last": plain(found.last_value),
                "low": plain(found.low),
                "high": plain(found.high),
            }
            for found in series
        ],
        "environment": _environment(info.folder),
        "checkpoints": [_checkpoint(path) for path in info.checkpoints[-100:]],
        "log": [
            {"number": line.number, "time": line.time, "text": line.text[:5000]}
            for line in store.texts(info.id)[-500:]
        ],
    }


def _environment(folder: Path) -> dict[str, Any]:
    """That of the last start; empty if the file is missing or makes no sense."""
    try:
        named = [path for path in folder.glob("environment*.json") if not path.is_symlink()]
        files = sorted(named, key=lambda path: path.stat().st_mtime_ns)
        if not files or files[-1].stat().st_size > LONGEST_FILE:
            return {}
        found = json.loads(files[-1].read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    words = found.get("command")
    if isinstance(words, list) and all(isinstance(word, str) for word in words):
        found["command"] = shlex.join(words)
    return settings(found)


def _checkpoint(path: Path) -> dict[str, Any]:
    state = path.stat()
    return {"name": path.name, "bytes": state.st_size, "time": state.st_mtime}


def verdict(found: Verdict) -> dict[str, Any]:
    """A claim and what was measured."""
    pairs = [[seed, plain(value)] for seed, value in sorted(found.measured.items())]
    numbers = {name: plain(getattr(found, name)) for name in ("claimed", "low", "high")}
    return {**found.to_json(), **numbers, "measured": pairs[:1000], "seeds": len(pairs)}
