"""Choosing settings: each value tried on seeds that are not reported, judged by validation data.

`tune` repeats how an experiment's own settings were chosen, the same number of trials for each, so
that a comparison is not won by the condition that was tuned longest.
"""

from __future__ import annotations

import math
from statistics import fmean
from typing import Any

from rich.console import Console

from ..runs import Store
from .config import changed
from .experiment import Experiment, ExperimentError
from .runner import bars, earlier, run_one
from .trial import outcome


def tune(
    experiment: Experiment, store: Store, console: Console | None = None, **settings: Any
) -> list[dict[str, Any]]:
    """Repeat how the experiment's settings were chosen, on seeds that are not reported.

    Args:
        experiment: with ``TUNED`` and ``TUNING_SEEDS``.
        store: where the runs go; those that are there already are taken over.
        console: where bars are shown.
        **settings: fields of the config for all of them.

    Returns:
        A row for each value of each setting: "setting", "value", "metric", "mean" over the tuning
        seeds, "best" (whether it is the best of its setting) and "used" (whether the experiment has
        it).

    Raises:
        ExperimentError: the experiment does not say how its settings were chosen.
    """
    if not experiment.tuned or not experiment.tuning_seeds:
        raise ExperimentError(
            f"{experiment.name} does not say how its settings were chosen: its module has no TUNED "
            "or no TUNING_SEEDS"
        )
    base = changed(experiment.config(), settings)
    seeds = experiment.tuning_seeds
    rows: list[dict[str, Any]] = []
    with store.start(experiment.name, base, tags=["tune"]) as whole, bars(console) as progress:
        total = sum(len(tuned.values) for tuned in experiment.tuned) * len(seeds)
        bar = progress.add_task("tuning", total=total) if progress else None
        for tuned in experiment.tuned:
            means = []
            for value in tuned.values:
                config = changed(base, {**tuned.given, tuned.setting: value})
                parts = earlier(experiment, config, seeds, store)
                found = []
                for seed in seeds:
                    if seed not in parts:
                        part = store.queue(experiment.name, config, seed=seed, parent=whole.id)
                        parts[seed] = part.id
                    result = outcome(store.get(parts[seed]))
                    if not result.done:
                        result = run_one(
                            experiment, config, parts[seed], store, progress, keep=is_not_of_test
                        )
                    found.append(result.metrics.get(tuned.metric, math.nan))
                    if progress and bar is not None:
                        progress.advance(bar)
                means.append(fmean(found))
            best = (max if tuned.goal == "maximize" else min)(means)
            for value, mean in zip(tuned.values, means, strict=True):
                rows.append(
                    {
                        "setting": tuned.setting,
                        "value": value,
                        "metric": tuned.metric,
                        "mean": mean,
                        "best": mean == best,
                        "used": changed(base, {tuned.setting: value}) == base,
                    }
                )
                line = f"{tuned.setting}={value}: {tuned.metric} {mean:.4f}"
                whole.log_text(line + (", the best" if mean == best else ""))
    return rows


def is_not_of_test(metric: str) -> bool:
    """Whether a metric may be looked at while settings are chosen."""
    return "test" not in metric.lower()
