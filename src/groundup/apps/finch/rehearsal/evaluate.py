"""Several seeds of a replay, with intervals: the cascade against what it has to be better than.

Shares are means over the seeds with Student's t interval. Of the error of local answers the worst
seed is told too, for that is what delta bounds.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.special import stdtrit

from .... import viz
from ..errors import FinchError
from ..mind.mind import Agrees, Mind, same
from ..mind.settings import MindSettings
from ..students import Exact, Semantic
from .policies import Forward, Policy, Unguarded
from .replay import PART, Tally, replay

Log = Sequence[tuple[str, str]]
Method = Callable[[MindSettings, int], Policy]
"""Makes a policy from settings and a seed."""

METHODS: Mapping[str, Method] = {
    "forward all": lambda settings, seed: Forward(),
    "exact cache": lambda settings, seed: Unguarded(Exact(settings.entries)),
    "semantic cache": lambda settings, seed: Unguarded(Semantic(most=settings.entries)),
    "neighbours": lambda settings, seed: _alone("neighbours", settings, seed),
    "bayes": lambda settings, seed: _alone("bayes", settings, seed),
    "linear": lambda settings, seed: _alone("linear", settings, seed),
    "students": lambda settings, seed: Mind(replace(settings, models=False), seed),
    "transformers": lambda settings, seed: Mind(replace(settings, students=(), models=True), seed),
    "cascade": lambda settings, seed: Mind(replace(settings, models=True), seed),
}
"""By name. The two caches serve whatever they find; all after them are guarded in the same way."""


@dataclass(frozen=True)
class Run:
    """One method on one log.

    Attributes:
        method: its name.
        seed: of the log and of the method.
        tally: what became of the requests.
        seconds: that it took.
        alarms: changes of answers that were noticed.

    Example:
        >>> Run("linear", 0, Tally(), 1.0, 0).method
        'linear'
    """

    method: str
    seed: int
    tally: Tally
    seconds: float
    alarms: int


@dataclass(frozen=True)
class Evaluation:
    """Runs of some methods on the same seeds.

    Attributes:
        delta: the error that was allowed.
        runs: in the order in which they were made.

    Example:
        >>> runs = evaluate(lambda seed: [("hi", "hello")] * 300, ["exact cache"], [0, 1])
        >>> print(runs.table())  # doctest: +NORMALIZE_WHITESPACE
        method       local, %  error, %  worst, %  audits, %  last thousand local, %
        exact cache  99.7      0.00      0.00      0.0        99.7
        2 seeds, delta 5 %
    """

    delta: float
    runs: tuple[Run, ...]

    @property
    def methods(self) -> list[str]:
        """Names, in order."""
        return list(dict.fromkeys(run.method for run in self.runs))

    def of(self, method: str) -> list[Run]:
        """The runs of a method, a seed each."""
        return [run for run in self.runs if run.method == method]

    def table(self) -> str:
        """All methods as text, each mean with half its 95 % interval where there are seeds."""
        rows = [
            ("method", "local, %", "error, %", "worst, %", "audits, %", "last thousand local, %")
        ]
        for method in self.methods:
            runs = self.of(method)
            counts = [run.tally.all for run in runs]
            last = [_last(run.tally).local_share for run in runs]
            errors = [count.error for count in counts]
            served = any(count.local for count in counts)
            rows.append(
                (
                    method,
                    _interval([count.local_share for count in counts], 1),
                    _interval(errors, 2) if served else "-",
                    f"{100 * max(errors):.2f}" if served else "-",
                    _interval([count.audits / max(count.requests, 1) for count in counts], 1),
                    _interval(last, 1),
                )
            )
        widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        seeds = len({run.seed for run in self.runs})
        return "\n".join([*lines, f"{seeds} seeds, delta {100 * self.delta:g} %"])

    def figure(self) -> Figure:
        """Forwarded requests by method, and local errors of the last one with its bounds.

        The errors are cumulative: of all local answers so far.
        """
        forwarded = {
            method: np.array([[100 * (1 - part.local_share) for part in run.tally.parts] for run in
                              self.of(method)])
            for method in self.methods
        }  # fmt: skip
        end = max(values.shape[1] for values in forwarded.values())
        figure = viz.curves(
            forwarded,
            "Requests (thousands)",
            "Forwarded (%)",
            x={name: np.arange(1, values.shape[1] + 1) for name, values in forwarded.items()},
            possible=(0, 100),
        )
        figure.axes[0].set(ylim=(0, 103), xlim=(0, end + 1))
        return figure

    def error_figure(self, method: str) -> Figure:
        """The error of local answers so far, with the mind's bound on it and delta.

        Args:
            method: whose.
        """
        runs = self.of(method)
        so_far = np.array([_cumulative_error(run.tally) for run in runs])
        bounds = np.array([run.tally.bounds for run in runs])
        served = np.flatnonzero((bounds < 0.2).all(axis=0) & (so_far > 0).all(axis=0))
        if len(served) == 0:
            raise FinchError(f"{method} has no bound in any thousand, so there is nothing to draw")
        start = int(served[0])
        figure = viz.curves(
            {
                "errors among local answers so far": 100 * so_far[:, start:],
                "bound told by the audits": 100 * bounds[:, start:],
                "delta": np.full(so_far.shape[1] - start, 100 * self.delta),
            },
            "Requests (thousands)",
            "Wrong answers (%)",
            x=np.arange(start + 1, so_far.shape[1] + 1),
            possible=(0, 100),
        )
        figure.axes[0].set_ylim(bottom=0)
        return figure

    def to_json(self) -> str:
        """All runs, as JSON text."""
        runs = [
            {
                "method": run.method, "seed": run.seed, "seconds": round(run.seconds, 2),
                "alarms": run.alarms, **run.tally.to_json(),
            }
            for run in self.runs
        ]  # fmt: skip
        return json.dumps({"delta": self.delta, "runs": runs}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The evaluation that `to_json` gave."""
        facts: dict[str, Any] = json.loads(text)
        runs = [
            Run(run["method"], run["seed"], Tally.from_json(run), run["seconds"], run["alarms"])
            for run in facts["runs"]
        ]
        return cls(facts["delta"], tuple(runs))


def evaluate(
    log: Callable[[int], Log],
    methods: Sequence[str] | None = None,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    settings: MindSettings | None = None,
    agrees: Agrees = same,
    more: Mapping[str, Method] | None = None,
    tell: Callable[[Run], None] | None = None,
) -> Evaluation:
    """Replay a log for each seed and method.

    Args:
        log: gives queries and remote answers for a seed.
        methods: names, of `METHODS` and of ``more``; all of them if None.
        seeds: of logs and methods.
        settings: of minds; their delta is the one that is told.
        agrees: whether a local answer is as good as the remote one.
        more: other methods.
        tell: is given each run when it is done.

    Raises:
        FinchError: a method that is not known, or no seed.

    Example:
        >>> pairs = [("hi", "hello"), ("bye", "goodbye")] * 200
        >>> evaluation = evaluate(lambda seed: pairs, ["exact cache", "students"], [0])
        >>> [run.tally.all.errors for run in evaluation.runs]
        [0, 0]
    """
    known = {**METHODS, **(more or {})}
    methods = list(known) if methods is None else list(methods)
    if unknown := [name for name in methods if name not in known]:
        raise FinchError(f"method {unknown[0]}: expected one of {', '.join(known)}")
    if not seeds:
        raise FinchError("no seed given, expected one or more")
    settings = settings or MindSettings()
    runs = []
    for run in _runs(log, methods, known, seeds, settings, agrees):
        runs.append(run)
        if tell is not None:
            tell(run)
    return Evaluation(settings.delta, tuple(runs))


def _runs(
    log: Callable[[int], Log],
    methods: Sequence[str],
    known: Mapping[str, Method],
    seeds: Sequence[int],
    settings: MindSettings,
    agrees: Agrees,
) -> Iterator[Run]:
    for seed in seeds:
        pairs = log(seed)
        for method in methods:
            policy = known[method](settings, seed)
            tally = Tally()
            start = time.perf_counter()
            for _ in replay(policy, pairs, tally, agrees):
                pass
            alarms = policy.guard.drift.alarms if isinstance(policy, Mind) else 0
            yield Run(method, seed, tally, time.perf_counter() - start, alarms)


def _alone(student: str, settings: MindSettings, seed: int) -> Mind:
    return Mind(replace(settings, students=(student,), models=False), seed)


def _last(tally: Tally) -> Any:
    """The last thousand that is whole, or the only part there is."""
    whole = [part for part in tally.parts if part.requests == PART]
    return (whole or tally.parts)[-1]


def _cumulative_error(tally: Tally) -> NDArray[np.float64]:
    errors = np.cumsum([part.errors for part in tally.parts])
    return errors / np.maximum(np.cumsum([part.local for part in tally.parts]), 1)


def _interval(shares: Sequence[float], digits: int) -> str:
    values = 100 * np.asarray(shares)
    text = f"{values.mean():.{digits}f}"
    if len(values) < 2 or not values.std():
        return text
    half = stdtrit(len(values) - 1, 0.975) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{text} ± {half:.{digits}f}"
