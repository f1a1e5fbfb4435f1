"""Sweeps: settings searched for with Optuna, on tuning seeds and by validation metrics only.

The search is the tree-structured Parzen estimator of J. Bergstra et al., "Algorithms for
hyper-parameter optimization" (2011); a trial that is worse than the median of the earlier ones at
the same epoch is given up (D. Golovin et al., "Google Vizier", 2017). The study is kept in SQLite
beside the runs, or in a database server, so that a sweep is resumed by asking for it again and many
machines can work on one. Each trial is a run in the runs folder.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING, Any

from rich.console import Console

from ..runs import Store
from ..training import Callback
from ..training.run import Run as Training
from .config import ConfigError, changed
from .experiment import Experiment, ExperimentError, not_of_test
from .runner import bars, run_one
from .trial import GivenUp
from .tuning import is_not_of_test

if TYPE_CHECKING:
    import optuna

HEARTBEAT = 30
"""Seconds between two signs of life of a trial; one that is silent for three times as long is
tried again by whoever works on the study."""


PATIENCE = 60
"""Seconds for which SQLite waits for other processes."""


@dataclass(frozen=True)
class Range:
    """What a setting is drawn from.

    Attributes:
        kind: "log" or "uniform" (numbers), "int", "logint", or "choice".
        low: the least number.
        high: the greatest.
        step: between whole numbers.
        choices: texts, read as the setting's type.

    Example:
        >>> Range.parse("lr", "log:1e-4:1e-1")
        Range(kind='log', low=0.0001, high=0.1, step=1, choices=())
        >>> Range.parse("lr", "1e-4")
        Traceback (most recent call last):
        ...
        groundup.experiments.config.ConfigError: lr=1e-4: expected log:LOW:HIGH, uniform:LOW:HIGH...
    """

    kind: str
    low: float = 0.0
    high: float = 0.0
    step: int = 1
    choices: tuple[str, ...] = ()

    @classmethod
    def parse(cls, name: str, text: str) -> Range:
        """The range that a text such as ``log:1e-4:1e-1`` describes.

        Raises:
            ConfigError: it describes none.
        """
        kind, _, rest = text.partition(":")
        parts = rest.split(":")
        try:
            if kind == "choice" and rest:
                return cls("choice", choices=tuple(part.strip() for part in rest.split(",")))
            if kind in ("log", "uniform") and len(parts) == 2:
                found = cls(kind, float(parts[0]), float(parts[1]))
            elif kind in ("int", "logint") and len(parts) in (2, 3):
                found = cls(kind, int(parts[0]), int(parts[1]), int("".join(parts[2:]) or 1))
            else:
                raise ValueError(kind)
            if not -math.inf < found.low < found.high < math.inf or found.step < 1:
                raise ValueError("not in order")
            if kind.startswith("log") and (found.low <= 0 or found.step != 1):
                raise ValueError("a logarithm of what is not positive")
            return found
        except ValueError as error:
            raise ConfigError(
                f"{name}={text}: expected log:LOW:HIGH, uniform:LOW:HIGH, int:LOW:HIGH or "
                "int:LOW:HIGH:STEP, logint:LOW:HIGH, or choice:A,B,C"
            ) from error

    def suggest(self, trial: optuna.Trial, name: str) -> float | int | str:
        """A value for one trial."""
        if self.kind == "choice":
            return str(trial.suggest_categorical(name, self.choices))
        if self.kind in ("int", "logint"):
            log = self.kind == "logint"
            return trial.suggest_int(name, int(self.low), int(self.high), step=self.step, log=log)
        return trial.suggest_float(name, self.low, self.high, log=self.kind == "log")

    def middle(self) -> float | int | str:
        """Some value of the range, to see whether the config takes it."""
        if self.kind == "choice":
            return self.choices[0]
        return int(self.low) if "int" in self.kind else self.low


@dataclass(frozen=True)
class Sweep:
    """What a sweep found.

    Attributes:
        study: its name in the storage.
        storage: where it is.
        metric: what was optimised.
        goal: "maximize" or "minimize".
        trials: for each trial its "number", "state", "value", "settings" and "runs".
        best: the best of the complete ones; None if none is complete.
        group: the id of the run that holds this part of the sweep together.
    """

    study: str
    storage: str
    metric: str
    goal: str
    trials: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, Any] | None = None
    group: str = ""


def sweep(
    experiment: Experiment,
    space: Mapping[str, Range],
    store: Store,
    *,
    trials: int = 20,
    seeds: int = 1,
    metric: str | None = None,
    goal: str | None = None,
    settings: Mapping[str, Any] | None = None,
    storage: str | None = None,
    study: str | None = None,
    console: Console | None = None,
    done: Callable[[dict[str, Any]], object] = lambda _: None,
) -> Sweep:
    """Search for settings.

    Args:
        experiment: whose.
        space: what each setting is drawn from.
        store: where the runs of the trials go.
        trials: how many in all, those of earlier parts of the sweep included.
        seeds: tuning seeds for each trial; their mean counts.
        metric: one that ``run`` returns; by default the experiment's ``OBJECTIVE``.
        goal: "maximize" or "minimize"; by default the experiment's ``GOAL``.
        settings: fields of the config that are not searched for.
        storage: URL of a database; by default SQLite in the runs folder.
        study: its name there; by default made from what is searched for, so that asking for the
            same again goes on with the same study.
        console: where bars are shown.
        done: called with each trial that ends.

    Raises:
        ConfigError: no such setting, or one that does not take the range's values.
        ExperimentError: no metric, or one of test data; too few tuning seeds; the storage cannot be
            reached.
        ImportError: Optuna is missing: install ``groundup[sweep]``.
    """
    import optuna

    metric, goal = metric or experiment.objective, goal or experiment.goal
    if metric is None:
        raise ExperimentError(f"{experiment.name} has no OBJECTIVE; say which metric to optimise")
    not_of_test(metric)
    if not 1 <= seeds <= len(experiment.tuning_seeds):
        raise ExperimentError(
            f"{seeds} seeds for each trial: {experiment.name} has {len(experiment.tuning_seeds)} "
            "tuning seeds, and others are not for choosing settings"
        )
    base = changed(experiment.config(), settings or {})
    for name, drawn in space.items():
        changed(base, {name: drawn.middle()})
    searched = repr((sorted(space.items()), sorted((settings or {}).items()), metric, goal, seeds))
    study = study or f"{experiment.name}-{zlib.crc32(searched.encode()):08x}"
    storage = storage or f"sqlite:///{store.folder / 'sweeps.sqlite'}"
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    search = _open(study, storage, goal)
    fixed = [experiment.name, sorted((settings or {}).items()), metric, goal, seeds]
    _same(search, repr(fixed))
    over = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    before = len(search.get_trials(deepcopy=False, states=over))

    with (
        store.start(experiment.name, base, tags=["sweep"], note=f"sweep {study}") as whole,
        bars(console) as progress,
    ):
        bar = progress.add_task(f"sweep {study}", total=trials) if progress else None
        if progress and bar is not None:
            progress.update(bar, completed=before)

        def objective(trial: optuna.Trial) -> float:
            values = {name: drawn.suggest(trial, name) for name, drawn in space.items()}
            config = changed(base, values)
            found = []
            for number, seed in enumerate(experiment.tuning_seeds[:seeds]):
                part = store.queue(experiment.name, config, seed=seed, parent=whole.id)
                ids = [*trial.user_attrs.get("runs", []), part.id]
                trial.set_user_attr("runs", ids)

                def watch(fitted: str, first: bool = number == 0) -> Sequence[Callback]:
                    condition, _, measure = metric.rpartition("/")
                    return [Prune(trial, measure)] if first and fitted == condition else []

                try:
                    outcome = run_one(
                        experiment, config, part.id, store, progress, watch, is_not_of_test
                    )
                except GivenUp as reason:
                    raise optuna.TrialPruned(str(reason)) from reason
                if metric not in outcome.metrics:
                    raise ExperimentError(
                        f"{experiment.name} gives no metric {metric!r}; it gives "
                        f"{', '.join(outcome.metrics)}"
                    )
                found.append(outcome.metrics[metric])
            return fmean(found)

        def ended(_: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
            row = _row(trial)
            whole.log_text(f"trial {row['number']}: {row['state']}, {row['value']}")
            if row["state"] == "complete" and row["value"] is not None:
                whole.log(row["number"], **{metric: row["value"]})
            if progress and bar is not None:
                progress.advance(bar)
            done(row)

        if before < trials:
            # Others may work on the same study, so all of its trials are counted after each.
            enough = optuna.study.MaxTrialsCallback(trials, states=over)
            with _plainly(storage):
                search.optimize(objective, n_trials=trials - before, callbacks=[ended, enough])

    rows = [_row(trial) for trial in search.get_trials(deepcopy=False)]
    complete = [r for r in rows if r["state"] == "complete" and r["value"] is not None]
    best = (max if goal == "maximize" else min)(complete, key=lambda r: r["value"], default=None)
    return Sweep(study, _without_password(storage), metric, goal, rows, best, whole.id)


def _open(study: str, storage: str, goal: str) -> optuna.Study:
    """The study, made if it is not there; trials of machines that went silent are tried again."""
    import warnings

    import optuna

    patient = {"connect_args": {"timeout": PATIENCE}} if storage.startswith("sqlite") else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        with _plainly(storage):
            kept = optuna.storages.RDBStorage(
                storage,
                engine_kwargs=patient,
                heartbeat_interval=HEARTBEAT,
                grace_period=3 * HEARTBEAT,
                heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(2),
            )
            found = optuna.create_study(
                storage=kept,
                study_name=study,
                direction=goal,  # type: ignore[arg-type]
                pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=2),
                load_if_exists=True,
            )
    # A resumed search must not draw the same numbers once more, nor two machines the same ones.
    seed = zlib.crc32(study.encode()) + len(found.get_trials(deepcopy=False))
    found.sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
    return found


def _same(search: optuna.Study, fixed: str) -> None:
    """Trials of one study have the same measure; only what is drawn may change between them."""
    before = search.user_attrs.setdefault("fixed", fixed)
    if before != fixed:
        raise ExperimentError(
            f"the study {search.study_name} is of {before}, not of {fixed} (experiment, settings, "
            "metric, goal, seeds for each trial); give another --study"
        )
    search.set_user_attr("fixed", fixed)


@contextmanager
def _plainly(storage: str) -> Iterator[None]:
    """Within it, errors of the database are told without where in its library they happened."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, StorageInternalError, ModuleNotFoundError) as error:
        reason = error.__cause__ if isinstance(error, StorageInternalError) else error
        raise ExperimentError(
            f"the storage {_without_password(storage)} cannot be used: "
            f"{str(reason or error).splitlines()[0]}"
        ) from error


def _without_password(url: str) -> str:
    start, at, end = url.rpartition("@")
    return f"{start.partition('://')[0]}://***@{end}" if at else url


def _row(trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
    value = None if trial.value is None or math.isnan(trial.value) else trial.value
    return {
        "number": trial.number,
        "state": trial.state.name.lower(),
        "value": value,
        "settings": dict(trial.params),
        "runs": list(trial.user_attrs.get("runs", [])),
    }


class Prune(Callback):
    """Tell Optuna the validation after each epoch, and give up where it says so.

    Args:
        trial: of Optuna.
        measure: column of ``history.epochs``.

    Raises:
        GivenUp: from the hook, when the trial is worse than the median of the others.
    """

    def __init__(self, trial: optuna.Trial, measure: str) -> None:
        self.trial = trial
        self.measure = measure

    def on_epoch_end(self, run: Training) -> None:
        """Report and ask."""
        column = run.history.epochs.get(self.measure)
        if not column or math.isnan(column[-1]):
            return
        self.trial.report(column[-1], run.epoch)
        if self.trial.should_prune():
            raise GivenUp(f"given up: worse than the median after epoch {run.epoch + 1}")
