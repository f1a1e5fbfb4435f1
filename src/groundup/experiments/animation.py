"""The page that replays what a run trained: its recordings, with its curves beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..runs import RunInfo, StorageError, Store
from ..viz.animation import Chart, Film, Recording, write_animation
from .experiment import Experiment
from .runner import Results
from .trial import recording_path

LARGEST_PAGE = 24_000_000
"""Bytes of recordings on one page, if no networks are named."""
MOST_POINTS = 400
"""Of a curve."""
MOST_CHARTS = 3
TECHNICAL = {"lr", "loss", "epoch", "examples_per_second"}
"""What is logged of every fit besides a measure of the learning itself."""
LOSSES = {"epoch_loss": "training", "validation_loss": "validation", "loss": "each step"}
"""Names of their lines; they share a chart."""


def recorded(info: RunInfo) -> list[str]:
    """The fits of a run that have a recording, in the order in which they ended.

    Example:
        >>> import tempfile
        >>> from groundup.runs import Store
        >>> with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
        ...     recorded(store.queue("digits"))
        []
    """
    paths = recording_path(info.folder, "any").parent.glob("*.safetensors")
    return [path.stem for path in sorted(paths, key=lambda p: (p.stat().st_mtime_ns, p.name))]


def fitting(info: RunInfo, names: Sequence[str]) -> list[str]:
    """As many of some fits as one page holds without being slow to open; the first in any case."""
    sizes = [recording_path(info.folder, name).stat().st_size for name in names]
    total = np.cumsum(sizes)
    return [n for n, size in zip(names, total, strict=True) if n == names[0] or size < LARGEST_PAGE]


def write_page(
    results: Results, seed: int, names: Sequence[str], store: Store, path: Path
) -> dict[str, int]:
    """Write the page.

    Args:
        results: the seed's, and perhaps others.
        seed: whose networks are shown.
        names: of fits that have a recording.
        store: where their series are.
        path: the file.

    Returns:
        How many frames each has.

    Raises:
        CheckpointError: a recording cannot be read.
        StorageError: the disk is full.
    """
    experiment, info = results.experiment, results.outcomes[seed].info
    films = []
    for name in names:
        recording = Recording.load(recording_path(info.folder, name))
        charts = _charts(experiment, info, name, store)
        films.append(Film(experiment.label(name), recording, charts))
    title, _, _ = experiment.title.partition(":")
    if len(films) == 1:
        title = f"{title}: {films[0].name}"
    subtitle = f"How it was trained. {experiment.name}, seed {seed}, run {info.id}"
    try:
        write_animation(films, path, title=title, subtitle=subtitle)
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror or error}; it was not written") from error
    return {name: len(film.recording) for name, film in zip(names, films, strict=True)}


def _charts(experiment: Experiment, info: RunInfo, name: str, store: Store) -> list[Chart]:
    """Losses in one chart, each other measure of the validation in one of its own."""
    charts: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]] = {}
    prefix = f"{name}/"
    counts = {
        one.name.removeprefix(prefix): one.count
        for one in store.series(info.id)
        if one.name.startswith(prefix)
    }
    if counts.get("loss") == counts.get("epoch_loss"):  # an epoch is a step
        counts.pop("loss", None)
    own = [measure for measure in counts if "/" not in measure and measure not in TECHNICAL]
    for measure in dict.fromkeys(["epoch_loss", "validation_loss", *own, "loss"]):
        if counts.get(measure, 0) < 2:
            continue
        usual = measure in LOSSES
        full = prefix + measure
        points = store.points(info.id, full, most=MOST_POINTS)
        words = experiment.label("epoch_loss" if usual else measure)
        title = "loss" if words == "epoch loss" else words
        line = LOSSES.get(measure, words)
        plot = charts.setdefault(title[:1].upper() + title[1:], {})
        plot[line] = (points.steps, points.values)
    return [Chart(title, lines, faint=[LOSSES["loss"]]) for title, lines in charts.items()][
        :MOST_CHARTS
    ]
