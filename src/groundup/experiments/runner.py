"""Running experiments: seeds one after another, kept in the runs folder, resumed, judged.

A group is a run without a seed of its own; the runs of its seeds are its parts. Its file
``group.json`` names them by seed, so that a verification may take over what is already there.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ..engine.files import write_atomically
from ..runs import Run, RunInfo, RunningError, StorageError, Store, Verdict
from ..runs.records import jsonable
from ..training import Callback
from .claims import Finding, judge
from .config import changed, from_json
from .experiment import Entry, Experiment, ExperimentError, load
from .trial import GivenUp, Outcome, Trial, outcome

GROUP = "group.json"
Watchers = Callable[[str], Sequence[Callback]]


@dataclass(frozen=True)
class Results:
    """The outcomes of some seeds of an experiment with one config.

    Attributes:
        experiment: what was run.
        config: with what.
        outcomes: by seed.
        group: the run that holds them together; of a single run that run itself.

    Example:
        >>> import tempfile
        >>> digits = load("digits")
        >>> with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
        ...     results = run_seeds(digits, digits.config(epochs=1, networks=("MLP",)), [0], store)
        >>> results.column("MLP/parameters"), results.changes
        ([9610.0], {'epochs': 1, 'networks': ['MLP']})
        >>> [finding.verdict for finding in results.findings][:2]
        ['undecided', 'not measured']
    """

    experiment: Experiment
    config: Any
    outcomes: Mapping[int, Outcome]
    group: RunInfo

    @property
    def metrics(self) -> dict[int, Mapping[str, float]]:
        """The metrics of each seed that came to its end."""
        return {seed: found.metrics for seed, found in self.outcomes.items() if found.done}

    @property
    def judged(self) -> dict[int, Mapping[str, float]]:
        """The metrics by which claims are judged: not of seeds on which settings were chosen."""
        tuning = self.experiment.tuning_seeds
        return {seed: found for seed, found in self.metrics.items() if seed not in tuning}

    @property
    def findings(self) -> list[Finding]:
        """The claims, judged by these seeds."""
        return judge(self.experiment.claims, self.judged, possible=self.experiment.possible)

    @property
    def changes(self) -> dict[str, Any]:
        """The settings that are not the experiment's own."""
        own, here = jsonable(self.experiment.config()), jsonable(self.config)
        return {name: value for name, value in here.items() if own.get(name) != value}

    def column(self, metric: str) -> list[float]:
        """A metric of every seed that has it."""
        return [m[metric] for m in self.metrics.values() if metric in m]


def run_seeds(
    experiment: Experiment,
    config: Any,
    seeds: Sequence[int],
    store: Store,
    *,
    group: str | None = None,
    reuse: bool = False,
    tags: Sequence[str] = (),
    console: Console | None = None,
    opened: Callable[[Run], object] = lambda _: None,
) -> Results:
    """Run an experiment with several seeds, and judge its claims by them.

    Args:
        experiment: what to run.
        config: an object of its config class.
        seeds: which; those of a group that is resumed and are done are not run again.
        store: where the runs go.
        group: id of a group to resume; a new one is made if None.
        reuse: take over runs of the same config, seed and version of the code, from anywhere in
            the store, and resume those of them that were not finished.
        tags: of the group.
        console: where bars are shown; nowhere if None, or if it is no terminal.
        opened: called with the group's run as soon as there is one.

    Returns:
        The results; their findings are in the store as verdicts of the group.

    Raises:
        KeyboardInterrupt: Ctrl-C; what was done is kept, and the running fit has a checkpoint.

    Example:
        >>> import tempfile
        >>> digits = load("digits")
        >>> config = digits.config(epochs=1, networks=("softmax",))
        >>> with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
        ...     results = run_seeds(digits, config, (0, 1), store)
        ...     sorted(results.metrics), results.group.status, len(store.runs())
        ([0, 1], 'done', 3)
    """
    begun = (
        store.start(experiment.name, config, tags=tags) if group is None else store.resume(group)
    )
    with begun as whole:
        opened(whole)
        parts = {} if group is None else _parts(store, group)
        done: dict[int, Outcome] = {}
        with bars(console) as progress:
            bar = progress.add_task(experiment.name, total=len(seeds)) if progress else None
            for number, seed in enumerate(seeds, 1):
                if progress and bar is not None:
                    words = f"{experiment.name}, seed {seed} ({number} of {len(seeds)})"
                    progress.update(bar, description=words, completed=number - 1)
                if reuse:  # asked anew for each seed: other processes may have come further
                    parts |= earlier(experiment, config, [seed], store)
                taken = seed in parts
                if not taken:
                    part = store.queue(experiment.name, config, seed=seed, parent=whole.id)
                    parts[seed] = part.id
                _write_group(whole, seeds, parts)
                found = outcome(store.get(parts[seed]))
                if not found.done:
                    try:
                        found = run_one(experiment, config, parts[seed], store, progress)
                    except RunningError:
                        if not (reuse and taken):
                            raise
                        # Another process was faster to go on with it; both are right.
                        part = store.queue(experiment.name, config, seed=seed, parent=whole.id)
                        parts[seed] = part.id
                        _write_group(whole, seeds, parts)
                        found = run_one(experiment, config, part.id, store, progress)
                done[seed] = found
        results = Results(experiment, config, done, store.get(whole.id))
        for finding in results.findings:
            whole.log_verdict(as_verdict(finding, list(results.judged)))
    return Results(experiment, config, done, store.get(whole.id))


def run_one(
    experiment: Experiment,
    config: Any,
    run_id: str,
    store: Store,
    progress: Progress | None = None,
    watchers: Watchers = lambda _: (),
    keep: Callable[[str], bool] = lambda _: True,
) -> Outcome:
    """Begin or continue one run.

    Args:
        experiment: what to run.
        config: with what.
        run_id: of a run that is queued or was not finished.
        store: where it is.
        progress: where bars are shown.
        watchers: gives more callbacks for a fit, by its name.
        keep: tells by name which metrics are kept.

    Raises:
        ExperimentError: its function did not return metrics, or one out of its range.
        GivenUp: a watcher ended it.
    """
    with store.resume(run_id) as run:
        code = experiment.code
        if run.resumed:
            code = _mixed(store.get(run.id), code)
            _take_back(run, store)
        trial = Trial(run, progress, watchers)
        trial.begin(code)
        assert run.seed is not None
        try:
            metrics = experiment.run(config, run.seed, trial)
        except GivenUp as reason:
            run.log_text(str(reason))
            run.finish("stopped")
            raise
        try:
            numbers = {str(name): float(value) for name, value in metrics.items()}
            if not numbers:
                raise ValueError("no metrics")
        except (AttributeError, TypeError, ValueError) as error:
            raise ExperimentError(
                f"{experiment.module.__name__}.run returned {metrics!r:.80}; expected a dictionary "
                "of numbers by name"
            ) from error
        for name, value in numbers.items():
            ends = experiment.possible(name)
            rounding = 1e-9 * max(1.0, abs(value))
            if value < ends.low - rounding or value > ends.high + rounding:
                raise ExperimentError(
                    f"{experiment.module.__name__}.run returned {value:g} as {name!r}; its RANGES "
                    f"say {ends.low:g} to {ends.high:g}"
                )
        trial.finish(code, {k: v for k, v in numbers.items() if keep(k)})
    return outcome(store.get(run.id))


def _mixed(info: RunInfo, code: str) -> str:
    """The version of a resumed run: those of all its parts, if they are not the same.

    A result that two versions have made is that of neither, and is not taken over by `earlier`.
    """
    before = outcome(info).code or ("unknown" if info.checkpoints else code)
    return "+".join(dict.fromkeys([*before.split("+"), code]))


def _take_back(run: Run, store: Store) -> None:
    """What an experiment logs itself it will log again; a fit goes on from its checkpoint."""
    fits = tuple(f"{path.stem}/" for path in store.get(run.id).checkpoints)
    for series in store.series(run.id):
        if not series.name.startswith(fits):
            run.rewind(-(2**62), series.name)


def try_out(name: str, seed: int = 0, **settings: Any) -> dict[str, float]:
    """Run one seed of an experiment at once, leaving nothing behind: for tests and for trying.

    Args:
        name: of the experiment.
        seed: any.
        **settings: fields of its config.

    Returns:
        Its metrics.

    Example:
        >>> metrics = try_out("digits", epochs=1, networks=["softmax"])
        >>> metrics["softmax/parameters"]
        650.0
    """
    experiment = load(name)
    config = changed(experiment.config(), settings)
    with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
        part = store.queue(experiment.name, config, seed=seed)
        return dict(run_one(experiment, config, part.id, store).metrics)


def results_of(store: Store, run_id: str) -> Results:
    """The results of a run or of a group that is in the store, however far it has come.

    Args:
        store: where it is.
        run_id: its id or a part of it.

    Raises:
        UnknownRunError: there is no such run.
    """
    info = store.get(run_id)
    try:
        experiment = load(info.experiment)
        config = from_json(experiment.config, info.config)
    except ValueError:  # the experiment is gone or has other settings: what was logged remains
        experiment, config = _anonymous(info.experiment), info.config
    ids = {info.seed: info.id} if info.seed is not None else _parts(store, info.id)
    if not ids:
        ids = {0: info.id}
    found = {seed: outcome(store.get(part)) for seed, part in ids.items()}
    return Results(experiment, config, found, info)


def _anonymous(name: str) -> Experiment:
    """An experiment of which only the name is known."""
    return Experiment(
        entry=Entry(name, name, ""),
        lesson="",
        config=dict,
        run=dict,
        claims=(),
        seeds=(),
        look=0,
        tuning_seeds=(),
        tuned=(),
        labels={},
        ranges={},
        objective=None,
        goal="maximize",
        sections=None,
        module=import_module(__package__),
    )


def as_verdict(finding: Finding, seeds: Sequence[int]) -> Verdict:
    """A finding as the store keeps it."""
    claim, interval = finding.claim, finding.interval
    ends = (interval.low, interval.high) if interval else (math.inf, math.inf)
    low, high = (value if math.isfinite(value) else None for value in ends)
    return Verdict(
        claim=claim.id,
        text=claim.text,
        source=claim.source,
        claimed=claim.claimed,
        comparison=claim.comparison,
        unit=claim.unit,
        measured=dict(zip(seeds, finding.values, strict=False)),
        low=low,
        high=high,
        verdict=finding.verdict,
    )


@contextmanager
def bars(console: Console | None) -> Iterator[Progress | None]:
    """Bars on a terminal, one below the other, gone when the block ends; None elsewhere."""
    if console is None or not console.is_terminal:
        yield None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield progress


def _parts(store: Store, group: str) -> dict[int, str]:
    """The runs of a group by seed, those that still exist."""
    info = store.get(group)
    try:
        content = json.loads((info.folder / GROUP).read_text(encoding="utf-8"))
        named = {int(seed): str(part) for seed, part in content["runs"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        named = {}
    known = {run.id for run in store.runs(experiment=info.experiment)}
    return {seed: part for seed, part in named.items() if part in known}


def planned_seeds(store: Store, group: str) -> list[int]:
    """The seeds that a group was to run."""
    try:
        text = (store.get(group).folder / GROUP).read_text(encoding="utf-8")
        return [int(seed) for seed in json.loads(text)["seeds"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _write_group(whole: Run, seeds: Sequence[int], parts: Mapping[int, str]) -> None:
    path = whole.folder / GROUP
    content = {"seeds": list(seeds), "runs": {str(seed): part for seed, part in parts.items()}}
    try:
        write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror or error}; it was not written") from error


def earlier(
    experiment: Experiment, config: Any, seeds: Sequence[int], store: Store
) -> dict[int, str]:
    """Runs of this config and version of the code by seed: done, or else to be continued."""
    wanted = jsonable(config)
    found: dict[int, str] = {}
    unfinished: dict[int, str] = {}
    for info in store.runs(experiment=experiment.name):  # the newest first
        if (
            info.seed is None
            or info.seed not in seeds
            or info.status == "running"
            or info.config != wanted
        ):
            continue
        result = outcome(info)
        if result.code == experiment.code and info.seed not in found:
            (found if result.done else unfinished).setdefault(info.seed, info.id)
    return unfinished | found
