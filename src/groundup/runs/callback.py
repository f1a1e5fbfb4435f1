"""A training callback that logs what `fit` does to a run."""

from __future__ import annotations

import os
import resource
import sys
import time

from ..engine.autograd import no_grad
from ..training.callbacks.base import Callback
from ..training.callbacks.gradients import MEASURES
from ..training.run import Run as Training
from .run import Run

BYTES = 1 if sys.platform == "darwin" else 1024
"""What the system counts a process's memory in."""


class Record(Callback):
    """Log a training to a run, step by step.

    The series, each at the number of steps taken:

    - every step "loss" and "lr";
    - every epoch "epoch", "epoch_loss" (the mean of its steps), "validation_loss" and
      "validation_" with the name of each metric;
    - every ``every`` steps, for each parameter, "gradient_norm/0.weight" and likewise "mean" and
      "max" (of the magnitude), and the same of the "weight" before the step. They are measured
      before clipping if this callback stands before ``ClipGradients``, after it otherwise;
    - every second "examples_per_second", "system/load" (of the whole computer over a minute),
      "system/cpu" (cores that this process keeps busy) and "system/peak_memory" (the most that it
      has had so far, in MB).

    If the run was resumed, what was logged after the step from which training continues is taken
    back, so that no step is there twice.

    Args:
        run: an open run.
        every: steps between two looks at gradients and weights, at least 1.
        prefix: begins the names of all series. If a run trains more than once, each training needs
            one of its own.

    Raises:
        ValueError: ``every`` is below 1.

    Example:
        >>> import tempfile
        >>> from groundup.runs import Store
        >>> from groundup.training import fit
        >>> model = nn.Linear(1, 1)
        >>> sgd = optim.SGD(model.parameters(), lr=0.1)
        >>> batches = [(gu.ones(4, 1), gu.ones(4, 1))]
        >>> with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
        ...     with store.start("line") as run:
        ...         log = [Record(run)]
        ...         _ = fit(model, nn.functional.mse_loss, sgd, batches, epochs=5, callbacks=log)
        ...     found = store.points(run.id, "loss")
        >>> found.steps, bool(found.values[-1] < found.values[0])
        (array([1, 2, 3, 4, 5]), True)
    """

    def __init__(self, run: Run, every: int = 50, prefix: str = "") -> None:
        if every < 1:
            raise ValueError(f"Record: every {every}, expected at least 1")
        self.run = run
        self.every = every
        self.prefix = prefix
        self._statistics: dict[str, float] = {}
        self._last = (0.0, 0.0, 0)

    def on_fit_start(self, run: Training) -> None:
        """Take back what is going to be logged again; start the clocks."""
        if self.run.resumed:
            self.run.rewind(run.step, self.prefix)
        self._last = _clocks(run)

    def on_backward_end(self, run: Training) -> None:
        """Look at gradients and weights if it is time."""
        if run.step % self.every:
            return
        with no_grad():
            for name, parameter in run.model.named_parameters():
                gradient = parameter * 0 if parameter.grad is None else parameter.grad
                for measure, function in MEASURES.items():
                    self._statistics[f"gradient_{measure}/{name}"] = function(gradient).item()
                    self._statistics[f"weight_{measure}/{name}"] = function(parameter).item()

    def on_step_end(self, run: Training) -> None:
        """Log the step."""
        steps = run.history.steps
        values = {"loss": steps["loss"][-1], "lr": steps["lr"][-1], **self._statistics}
        self._statistics = {}
        if time.perf_counter() - self._last[0] >= 1.0:
            values |= self._load(run)
        self._log(run, values)

    def on_epoch_end(self, run: Training) -> None:
        """Log the epoch and its validation."""
        values = {"epoch": run.epoch + 1.0}
        for name, column in run.history.epochs.items():
            if name != "lr":
                values["epoch_loss" if name == "loss" else name] = column[-1]
        self._log(run, values)

    def on_fit_end(self, run: Training) -> None:
        """Log the throughput of what is left, which may be all."""
        self._log(run, self._load(run))

    def _log(self, run: Training, values: dict[str, float]) -> None:
        self.run.log(run.step, **{self.prefix + name: value for name, value in values.items()})

    def _load(self, run: Training) -> dict[str, float]:
        now = _clocks(run)
        seconds, busy, examples = (a - b for a, b in zip(now, self._last, strict=True))
        self._last = now
        if seconds <= 0 or not examples:
            return {}
        return {
            "examples_per_second": examples / seconds,
            "system/load": os.getloadavg()[0],
            "system/cpu": busy / seconds,
            "system/peak_memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * BYTES / 1e6,
        }


def _clocks(run: Training) -> tuple[float, float, int]:
    return time.perf_counter(), time.process_time(), run.examples
