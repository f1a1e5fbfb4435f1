"""What the server has done since it started, counted in bounded space.

`Metrics.snapshot` is all of it as JSON values: the live page and the Prometheus text are made from
that alone, so that they may be in another process than the counters.

Words: a request is *eligible* if a local answer might have served it (it was answered locally, or
forwarded, or audited); the *forward rate* is the share of the eligible ones that went upstream; the
*observed error* is the share of wrong local answers among audits, each weighted with the inverse of
the probability with which it was chosen (Horvitz and Thompson, 1952), so that it is the error of
what is served whatever the rate of audits was. A bound is of one task, so it is told beside that
task's error; the *worst* task is the one whose bound is the largest.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..store import DECISIONS
from .history import History
from .latency import Durations
from .prices import Prices

RECENT = 1000
"""Requests that a recent rate is of."""
MOST_STAGES = 40
MOST_TASKS = 200
"""Further ones are counted together, or not shown."""
OTHER = "other"


@dataclass(frozen=True, slots=True)
class TaskFigures:
    """What is shown of a task.

    Attributes:
        scope: of which scope.
        task: its name.
        model: that is asked for.
        state: in a few words, such as "cold start" or "serving".
        requests: that came.
        local: of them, those that were answered locally.
        audits: local answers that were compared.
        wrong: of them, those that were not as good.
        bound: what the error is below; None if it is not known yet.
        error: the observed one that the bound is of; None if it is not known yet.

    Example:
        >>> TaskFigures("0a", "0b", "large", "serving", 100, 60, 20, 1, 0.04, 0.02).state
        'serving'
    """

    scope: str
    task: str
    model: str
    state: str
    requests: int
    local: int
    audits: int
    wrong: int
    bound: float | None
    error: float | None = None


class Metrics:
    """Counts what happens; any thread may call any of it.

    Args:
        prices: for what was not sent upstream.
        limit: the error that the user allows (delta).
        version: of the program, to be shown.
        clock: seconds since 1970.

    Example:
        >>> metrics = Metrics()
        >>> metrics.request("local", model="large", input_tokens=90, output_tokens=3)
        >>> metrics.request("forward", latencies={"consider": 0.002})
        >>> found = metrics.snapshot()
        >>> found["recent"]["forward_rate"], found["saved"]["input_tokens"]
        (0.5, 90)
    """

    def __init__(
        self,
        prices: Prices | None = None,
        *,
        limit: float = 0.05,
        version: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._prices = prices or Prices()
        self._limit, self._version, self._clock = limit, version, clock
        self._lock = threading.Lock()
        self._started = clock()
        self._decisions: Counter[str] = Counter()
        self._recent: deque[str] = deque(maxlen=RECENT)
        self._judged: Counter[bool] = Counter()
        self._weight = {True: 0.0, False: 0.0}
        self._saved = {"requests": 0, "input_tokens": 0, "output_tokens": 0, "unpriced": 0}
        self._money = 0.0
        self._stages: dict[str, Durations] = {}
        self._history = History()
        self._tasks: dict[tuple[str, str], TaskFigures] = {}
        self._worst: TaskFigures | None = None
        self._learning = True
        self._queue = {"waiting": 0, "most": 0, "dropped": 0}
        self._troubles: tuple[str, ...] = ()

    def request(
        self,
        decision: str,
        *,
        model: str = "",
        input_tokens: int = 0,
        output_tokens: int = 0,
        latencies: Mapping[str, float] | None = None,
    ) -> None:
        """A request is over.

        Args:
            decision: one of `store.DECISIONS`.
            model: that was asked for.
            input_tokens: of a local answer, that would have been sent; an estimate.
            output_tokens: of a local answer, that would have come back; an estimate.
            latencies: seconds by stage.

        Raises:
            ValueError: the decision is another one.
        """
        if decision not in DECISIONS:
            raise ValueError(f"decision {decision!r}, expected one of {', '.join(DECISIONS)}")
        with self._lock:
            self._decisions[decision] += 1
            self._recent.append(decision)
            if decision == "local":
                self._save(model, input_tokens, output_tokens)
            self._history.add(
                eligible=decision != "pass",
                local=decision == "local",
                error=self._worst.error if self._worst else None,
                bound=self._worst.bound if self._worst else None,
            )
            for stage, seconds in (latencies or {}).items():
                self._took(stage, seconds)

    def took(self, stage: str, seconds: float) -> None:
        """A stage that is not a part of a request took so long."""
        with self._lock:
            self._took(stage, seconds)

    def audited(self, agreed: bool, propensity: float) -> None:
        """A local answer was compared with the remote one.

        Args:
            agreed: whether it was as good.
            propensity: the probability with which it was chosen.

        Raises:
            ValueError: the probability is not above 0 and at most 1.
        """
        if not 0 < propensity <= 1:
            raise ValueError(f"propensity {propensity}, expected above 0 and at most 1")
        with self._lock:
            self._judged[agreed] += 1
            self._weight[agreed] += 1 / propensity

    def task(self, figures: TaskFigures) -> None:
        """How a task stands now; of too many, the one that was told longest ago is not shown."""
        with self._lock:
            name = figures.scope, figures.task
            self._tasks.pop(name, None)
            self._tasks[name] = figures
            if len(self._tasks) > MOST_TASKS:
                del self._tasks[next(iter(self._tasks))]
            bounded = [one for one in self._tasks.values() if one.bound is not None]
            self._worst = max(bounded, key=lambda one: one.bound or 0.0, default=None)

    def state(
        self,
        *,
        learning: bool,
        waiting: int,
        most: int,
        dropped: int = 0,
        troubles: tuple[str, ...] = (),
    ) -> None:
        """How the learner stands now.

        Args:
            learning: False while it is paused.
            waiting: answers that wait to be learned.
            most: so many may wait.
            dropped: so many could not be learned, because too many waited.
            troubles: what the user should know, in sentences.
        """
        with self._lock:
            self._learning = learning
            self._queue = {"waiting": waiting, "most": most, "dropped": dropped}
            self._troubles = troubles

    def snapshot(self) -> dict[str, Any]:
        """All of it, as JSON values."""
        with self._lock:
            recent = Counter(self._recent)
            eligible = len(self._recent) - recent["pass"]
            audits = self._judged.total()
            return {
                "version": self._version,
                "time": self._clock(),
                "started": self._started,
                "learning": self._learning,
                "limit": self._limit,
                "requests": {decision: self._decisions[decision] for decision in DECISIONS},
                "recent": {
                    "requests": len(self._recent),
                    "eligible": eligible,
                    "forward_rate": _share(eligible - recent["local"], eligible),
                    "local_rate": _share(recent["local"], len(self._recent)),
                },
                "audits": {
                    "agreed": self._judged[True],
                    "disagreed": self._judged[False],
                    "agreement": _share(self._judged[True], audits),
                    "error": self._error(),
                },
                "worst": None if self._worst is None else asdict(self._worst),
                "saved": {
                    **self._saved,
                    "money": self._money if self._prices.table else None,
                    "currency": self._prices.currency,
                },
                "stages": {name: found.figures() for name, found in self._stages.items()},
                "queue": dict(self._queue),
                "tasks": [asdict(figures) for figures in reversed(self._tasks.values())],
                "history": self._history.columns(),
                "troubles": list(self._troubles),
            }

    def _error(self) -> float | None:
        total = sum(self._weight.values())
        return self._weight[False] / total if total else None

    def _save(self, model: str, input_tokens: int, output_tokens: int) -> None:
        self._saved["requests"] += 1
        self._saved["input_tokens"] += input_tokens
        self._saved["output_tokens"] += output_tokens
        price = self._prices.of(model)
        if price is None:
            self._saved["unpriced"] += 1
        else:
            self._money += price.of(input_tokens, output_tokens)

    def _took(self, stage: str, seconds: float) -> None:
        if stage not in self._stages and len(self._stages) >= MOST_STAGES:
            stage = OTHER
        self._stages.setdefault(stage, Durations()).add(seconds)


def _share(part: int, of: int) -> float | None:
    return part / of if of else None
