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
from .statistics import Interval, Mean
from .tables import MEDIANS, VERDICTS, Table, claims_table, metrics_table, number, summary

MOST_POINTS = 400
"""Of a line; more cannot be told apart in print."""
MOST_PLOTS = 24
MOST_LINES = 16
"""In a plot; an experiment with more conditions draws what matters in its own sections."""

# What the training callback `Record` logs besides a measure of the learning itself.
_TECHNICAL = re.compile(
    r"(?:.*/)?(?:lr|loss|epoch|examples_per_second|system/\w+|(?:gradient|weight)_\w+/.*)"
)

Lines = tuple[NDArray[np.float64], NDArray[np.float64]]  # steps, and values of shape (seeds, steps)
Curves = list[tuple[str, Figure, str]]  # name of a file, figure, caption


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
    for title, blocks in sections(results, store, plots):
        page.section(title, *blocks)
    page.section("How it was run", *_how(results))
    path = results.group.folder / "report.html" if path is None else Path(path)
    try:
        for name, figure, _ in plots:
            viz.save(figure, path.parent / "figures" / f"{name}.svg")
        return page.write(path)
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror or error}; it was not written") from error


def sections(
    results: Results, store: Store, plots: Curves | None = None
) -> list[tuple[str, list[viz.Block]]]:
    """What there is to look at: curves, figures, and what the experiment itself adds.

    Args:
        results: of what.
        store: where its series are.
        plots: what `learning_curves` gave, if it was called already.

    Returns:
        Titles and blocks; none that is empty.
    """
    plots = learning_curves({"": results}, store) if plots is None else plots
    found: list[tuple[str, list[viz.Block]]] = [
        ("Learning", [viz.Plot(figure, text) for _, figure, text in plots]),
        ("Figures", _figures(results, store)),
    ]
    done = replace(results, outcomes={s: o for s, o in results.outcomes.items() if o.done})
    if results.experiment.sections is not None and done.outcomes:
        found += [(title, list(blocks)) for title, blocks in results.experiment.sections(done)]
    return [(title, blocks) for title, blocks in found if blocks]


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
    several = dict(zip(short_names(list(several)), several.values(), strict=True))
    names = list(several)
    page = viz.Report("Comparison", " – ".join(names))
    runs = [
        [name, r.experiment.name, ", ".join(map(str, r.outcomes)), r.group.status, r.group.id]
        for name, r in several.items()
    ]
    page.section("Runs", viz.Table(["run", "experiment", "seeds", "status", "whole name"], runs))
    differing = differences({name: r.group.config for name, r in several.items()})
    page.section(
        "Settings that differ",
        viz.Table(["setting", *names], differing) if differing else "None: all are the same.",
    )
    headers, rows = comparison_table(several)
    if rows:
        page.section("Metrics", viz.Table(headers, rows, caption=MEDIANS))
    if claims := _claims(several):
        page.section("Claims", viz.Table(["claim", "claimed", *names], claims))
    plots = learning_curves(several, store)
    if plots:
        page.section("Learning", *(viz.Plot(figure, text) for _, figure, text in plots))
    try:
        return page.write(path)
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror or error}; it was not written") from error


def short_names(names: Sequence[str]) -> list[str]:
    """The ends of names of runs, if they tell them apart.

    Example:
        >>> short_names(["digits-20260131-174501-3fa94c", "digits-20260201-091233-77ab01"])
        ['3fa94c', '77ab01']
        >>> short_names(["one", "two-one"])
        ['one', 'two-one']
    """
    ends = [name.rpartition("-")[2] for name in names]
    return ends if len(set(ends)) == len(ends) else list(names)


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
            found[f"{prefix}{name}"] = _shown(value)
    return found


def _shown(value: Any) -> str:
    """A setting in words; a list without brackets."""
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


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
        row = [
            metric,
            *(summary(r.column(metric), r.experiment.possible(metric)) for r in several.values()),
        ]
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
    possible = second.experiment.possible(metric).minus(first.experiment.possible(metric))
    interval = found.interval().within(possible)
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


def learning_curves(several: Mapping[str, Results], store: Store) -> Curves:
    """A plot for each measure, with a line for each condition.

    Of several results there is a plot for each condition and measure, with a line for each of them.
    A plot of more than `MOST_LINES` lines, which nobody could tell apart, is left out.

    Args:
        several: results by name; a single one may have an empty name.
        store: where their series are.

    Returns:
        For each plot the name of a file, the figure, and a caption.
    """
    found: dict[tuple[str, str], dict[str, Lines]] = {}
    labels: dict[tuple[str, str], str] = {}
    ranges: dict[tuple[str, str], Interval] = {}
    for owner, results in several.items():
        label = results.experiment.label
        order = [name.rpartition("/")[0] for m in results.metrics.values() for name in m]
        place = {condition: i for i, condition in reversed(list(enumerate(order)))}
        series_of = _series(results, store)
        for series in sorted(series_of, key=lambda s: place.get(s.rpartition("/")[0], len(order))):
            lines = series_of[series]
            condition, _, measure = series.rpartition("/")
            about = label(condition) if condition else ""
            # Of one run its conditions are lines of a plot; of several runs the runs are.
            plot, words = (about, [owner]) if len(several) > 1 else ("", [owner, about])
            if measure in ("epoch_loss", "validation_loss"):
                words.append("training" if measure == "epoch_loss" else "validation")
                measure = "epoch_loss"
            name = ", ".join(filter(None, words)) or label(measure)
            found.setdefault((plot, measure), {})[name] = lines
            words_of_loss = "loss" if measure == "epoch_loss" else measure
            key = plot, measure
            labels[key] = results.experiment.labels.get(measure, label(words_of_loss))
            ranges[key] = results.experiment.possible(series)
    plots = []
    readable = [(key, drawn) for key, drawn in found.items() if len(drawn) <= MOST_LINES]
    for (plot, measure), drawn in readable[:MOST_PLOTS]:
        epochs = measure.startswith(("epoch_", "validation_"))
        steps, values = ({n: pair[i] for n, pair in drawn.items()} for i in (0, 1))
        positive = min(float(v.min()) for v in values.values()) > 0
        words_of_unit = labels[plot, measure]
        unit = words_of_unit[:1].upper() + words_of_unit[1:]
        figure = viz.curves(
            values,
            "Epoch" if epochs else "Step",
            unit,
            x=steps,
            log_y=positive and measure == "epoch_loss",
            possible=(ranges[plot, measure].low, ranges[plot, measure].high),
        )
        along = "epoch" if epochs else "step"
        name = re.sub(r"[^\w.=+-]+", "-", "loss" if measure == "epoch_loss" else measure)
        about = f"{plot}: {words_of_unit}" if plot else unit
        plots.append((name, figure, f"{about} by {along}."))
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
        blocks.append(viz.Table(headers, rows, caption=MEDIANS, align="l" + "r" * len(rows[0][1:])))
    if results.experiment.claims:
        headers, rows = claims_table(results)
        sources = dict.fromkeys(claim.source for claim in results.experiment.claims)
        blocks.append(
            viz.Table(
                headers,
                rows,
                caption=f"Claims of: {'; '.join(sources)}. {VERDICTS}",
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
        rows = [[name, _shown(value)] for name, value in pairs.items()]
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
