"""Reports: one self-contained HTML page about a run, a group of seeds, or several side by side.

What an experiment returns and logs is enough for a page: tables of metrics and claims, a plot of
each measure with a line for each condition and a band over the seeds, and the figures that it drew.
``sections(results)`` in its module adds what only it knows how to show.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .. import viz
from ..runs import StorageError, Store
from . import lesson
from .config import settings
from .runner import Results
from .statistics import Mean
from .tables import NOTE, Table, claims_table, metrics_table, number, summary

MOST_POINTS = 400
"""Of a line; more cannot be told apart in print."""
MOST_PLOTS = 24

# What the training callback `Record` logs besides a measure of the learning itself.
_TECHNICAL = re.compile(
    r"(?:.*/)?(?:lr|loss|epoch|examples_per_second|system/\w+|(?:gradient|weight)_\w+/.*)"
)

Lines = tuple[NDArray[np.float64], NDArray[np.float64]]  # steps, and values of shape (seeds, steps)


def write_report(results: Results, store: Store, path: Path | None = None) -> Path:
    """Write the page about a run or a group.

    Args:
        results: what to show.
        store: where its series are.
        path: the file; by default ``report.html`` in the folder of the run or group. The curves are
            also written as SVG files to ``figures`` there.

    Returns:
        The path.

    Raises:
        StorageError: the disk is full.
    """
    experiment = results.experiment
    page = viz.Report(_title(results), _subtitle(results))
    words = lesson.blocks(experiment.lesson)
    if words:
        page.section("The question", *words)
    if blocks := _result(results):
        page.section("Result", *blocks)
    plots = learning_curves({"": results}, store)
    if plots:
        page.section("Learning", *(viz.Plot(figure, text) for _, figure, text in plots))
    if figures := _figures(results, store):
        page.section("Figures", *figures)
    done = replace(results, outcomes={s: o for s, o in results.outcomes.items() if o.done})
    if experiment.sections is not None and done.outcomes:
        for title, blocks in experiment.sections(done):
            page.section(title, *blocks)
    page.section("How it was run", *_how(results))
    path = results.group.folder / "report.html" if path is None else Path(path)
    try:
        for name, figure, _ in plots:
            viz.save(figure, path.parent / "figures" / f"{name}.svg")
        return page.write(path)
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror or error}; it was not written") from error


def write_comparison(several: Mapping[str, Results], store: Store, path: Path) -> Path:
    """Write a page about several runs or groups side by side.

    Args:
        several: results by the name that they are shown under.
        store: where their series are.
        path: the file.

    Returns:
        The path.

    Raises:
        StorageError: the disk is full.
    """
    names = list(several)
    page = viz.Report("Comparison", " – ".join(names))
    runs = [
        [name, r.experiment.name, ", ".join(map(str, r.outcomes)), r.group.status]
        for name, r in several.items()
    ]
    page.section("Runs", viz.Table(["run", "experiment", "seeds", "status"], runs))
    differing = differences({name: r.group.config for name, r in several.items()})
    page.section(
        "Settings that differ",
        viz.Table(["setting", *names], differing) if differing else "None: all are the same.",
    )
    headers, rows = comparison_table(several)
    if rows:
        page.section("Metrics", viz.Table(headers, rows, caption=NOTE.partition(" Verdicts")[0]))
    if claims := _claims(several):
        page.section("Claims", viz.Table(["claim", "claimed", *names], claims))
    plots = learning_curves(several, store)
    if plots:
        page.section("Learning", *(viz.Plot(figure, text) for _, figure, text in plots))
    try:
        return page.write(path)
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror or error}; it was not written") from error


def differences(configs: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """Rows of the settings that are not the same in all configs: the setting, then each value.

    Example:
        >>> differences({"a": {"epochs": 5, "lr": {"CNN": 0.1}}, "b": {"epochs": 5, "lr": {}}})
        [['lr.CNN', '0.1', '–']]
    """
    flat = [_flat(config) for config in configs.values()]
    names = dict.fromkeys(name for config in flat for name in config)
    rows = [[name, *(config.get(name, "–") for config in flat)] for name in names]
    return [row for row in rows if len(set(row[1:])) > 1]


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = str(value)
    return found


def comparison_table(several: Mapping[str, Results]) -> Table:
    """Metrics down, runs across; of two runs with common seeds also the paired difference."""
    names = list(several)
    metrics = dict.fromkeys(
        metric for r in several.values() for found in r.metrics.values() for metric in found
    )
    headers = ["metric", *names]
    paired = len(names) == 2
    if paired:
        headers.append("second minus first (95 % interval)")
    rows = []
    for metric in metrics:
        row = [metric, *(summary(r.column(metric)) for r in several.values())]
        if paired:
            first, second = several.values()
            row.append(_difference(first, second, metric))
        rows.append(row)
    return headers, rows


def _difference(first: Results, second: Results, metric: str) -> str:
    """The mean difference over the seeds that both have, with its interval."""
    a, b = first.metrics, second.metrics
    pairs = [
        b[seed][metric] - a[seed][metric]
        for seed in a
        if seed in b and metric in a[seed] and metric in b[seed]
    ]
    if not pairs or not np.isfinite(pairs).all():
        return "–"
    found = Mean(pairs)
    if len(pairs) == 1 or len(set(pairs)) == 1:
        return number(found.value)
    interval = found.interval()
    return f"{number(found.value)} ({number(interval.low)} to {number(interval.high)})"


def _claims(several: Mapping[str, Results]) -> list[list[str]]:
    first = next(iter(several.values()))
    if any(r.experiment.claims != first.experiment.claims for r in several.values()):
        return []
    found = [r.findings for r in several.values()]
    return [
        [claim.text, claim.claimed_text, *(f"{f[i].measured_text}: {f[i].verdict}" for f in found)]
        for i, claim in enumerate(first.experiment.claims)
    ]


# Curves


def learning_curves(several: Mapping[str, Results], store: Store) -> list[tuple[str, Figure, str]]:
    """A plot for each measure, with a line for each condition of each of the results.

    Args:
        several: results by name; a single one may have an empty name.
        store: where their series are.

    Returns:
        For each plot the name of a file, the figure, and a caption.
    """
    found: dict[str, dict[str, Lines]] = {}
    labels: dict[str, str] = {}
    for owner, results in several.items():
        label = results.experiment.label
        order = [name.rpartition("/")[0] for m in results.metrics.values() for name in m]
        place = {condition: i for i, condition in reversed(list(enumerate(order)))}
        series_of = _series(results, store)
        for series in sorted(series_of, key=lambda s: place.get(s.rpartition("/")[0], len(order))):
            lines = series_of[series]
            condition, _, measure = series.rpartition("/")
            words = [owner, label(condition) if condition else ""]
            if measure in ("epoch_loss", "validation_loss"):
                words.append("training" if measure == "epoch_loss" else "validation")
                measure = "epoch_loss"
            name = ", ".join(filter(None, words)) or label(measure)
            found.setdefault(measure, {})[name] = lines
            words_of_loss = "loss" if measure == "epoch_loss" else measure
            labels[measure] = results.experiment.labels.get(measure, label(words_of_loss))
    plots = []
    for measure, drawn in list(found.items())[:MOST_PLOTS]:
        epochs = measure.startswith(("epoch_", "validation_"))
        steps, values = ({n: pair[i] for n, pair in drawn.items()} for i in (0, 1))
        positive = min(float(v.min()) for v in values.values()) > 0
        unit = labels[measure][:1].upper() + labels[measure][1:]
        figure = viz.curves(
            values,
            "Epoch" if epochs else "Step",
            unit,
            x=steps,
            log_y=positive and measure == "epoch_loss",
        )
        along = "epoch" if epochs else "step"
        name = re.sub(r"[^\w.=+-]+", "-", "loss" if measure == "epoch_loss" else measure)
        plots.append((name, figure, f"{unit} by {along}."))
    return plots


def _series(results: Results, store: Store) -> dict[str, Lines]:
    """The series that are worth a plot, those of all seeds together, as far as all of them go."""
    columns: dict[str, list[tuple[NDArray[Any], NDArray[Any]]]] = {}
    for found in results.outcomes.values():
        for info in store.series(found.info.id):
            if _TECHNICAL.fullmatch(info.name) or info.count < 2:
                continue
            points = store.points(found.info.id, info.name)
            columns.setdefault(info.name, []).append((points.steps, points.values))
    lines = {}
    for name, column in columns.items():
        finite = [int(np.argmin(np.append(np.isfinite(values), False))) for _, values in column]
        length = min(finite)
        if length < 2:
            continue
        per_epoch = name.rpartition("/")[2].startswith(("epoch_", "validation_"))
        steps = np.arange(1, length + 1) if per_epoch else column[0][0][:length]
        kept = np.unique(np.linspace(0, length - 1, min(length, MOST_POINTS)).round().astype(int))
        values = np.array([values[:length][kept] for _, values in column])
        lines[name] = (steps[kept].astype(np.float64), values)
    return lines


# Sections of a page


def _title(results: Results) -> str:
    return results.experiment.title or results.experiment.name


def _subtitle(results: Results) -> str:
    seeds = len(results.outcomes)
    text = f"{results.experiment.name}: {seeds} seed{'' if seeds == 1 else 's'}"
    done = len(results.metrics)
    if done < seeds:
        text += f", {done} of them complete"
    if results.changes:
        text += "; changed settings: " + ", ".join(f"{k} {v}" for k, v in results.changes.items())
    return text


def _result(results: Results) -> list[viz.Block]:
    headers, rows = metrics_table(results)
    blocks: list[viz.Block] = []
    if rows:
        caption = NOTE.partition(" Verdicts")[0]
        blocks.append(viz.Table(headers, rows, caption=caption, align="l" + "r" * len(rows[0][1:])))
    if results.experiment.claims:
        headers, rows = claims_table(results)
        sources = dict.fromkeys(claim.source for claim in results.experiment.claims)
        blocks.append(
            viz.Table(
                headers,
                rows,
                caption=f"Claims of: {'; '.join(sources)}. {NOTE.partition('differ. ')[2]}",
            )
        )
        notes = [f"{f.claim.text}: {f.verdict}, {f.note}." for f in results.findings if f.note]
        if notes:
            blocks.append("\n\n".join(notes))
    return blocks


def _figures(results: Results, store: Store) -> list[viz.Block]:
    """The figures of the first seed that has any, the newest of each name."""
    for found in results.outcomes.values():
        newest = {media.name: media for media in store.media(found.info.id)}
        if newest:
            plots = []
            for name, media in newest.items():
                caption = found.figures.get(name, name.replace("_", " "))
                if len(results.outcomes) > 1:
                    caption = f"{caption.rstrip('.')} (seed {found.seed})."
                plots.append(viz.Plot(media.path.read_text(encoding="utf-8"), caption))
            return list(plots)
    return []


def _how(results: Results) -> list[viz.Block]:
    config = results.config
    pairs = _flat(config) if isinstance(config, Mapping) else settings(config)
    blocks: list[viz.Block] = []
    if pairs:
        rows = [[name, str(value)] for name, value in pairs.items()]
        blocks.append(viz.Table(["setting", "value"], rows, caption="Settings."))
    runs = [
        [found.info.id, found.info.seed, found.info.status, found.code or "–"]
        for found in results.outcomes.values()
    ]
    blocks.append(
        viz.Table(["run", "seed", "status", "version of the code"], runs, caption="Runs.")
    )
    if rows := _environment(results):
        blocks.append(viz.Table(["what", "value"], rows, caption="Software and computer."))
    return blocks


def _environment(results: Results) -> list[list[str]]:
    """What the first run noted of its surroundings, but for the computer's name."""
    first = next(iter(results.outcomes.values()), None)
    if first is None:
        return []
    try:
        text = (first.info.folder / "environment.json").read_text(encoding="utf-8")
        found = json.loads(text)
    except (OSError, ValueError):
        return []
    command = found.get("command")
    if isinstance(command, Sequence) and not isinstance(command, str) and command:
        found["command"] = " ".join([Path(command[0]).name, *map(str, command[1:])])
    left_out = ("host", "seed", "versions")
    rows = {**found.get("versions", {}), **{k: v for k, v in found.items() if k not in left_out}}
    return [[str(name), str(value)] for name, value in rows.items() if value is not None]
