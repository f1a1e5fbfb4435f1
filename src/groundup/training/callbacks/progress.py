"""A progress bar: epoch, loss, learning rate, speed, time left."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress as Bar, TaskID, TextColumn, TimeRemainingColumn

from .base import Callback

if TYPE_CHECKING:
    from ..run import Run

REFRESH = 0.1
"""Seconds between two updates, so that watching does not slow down what is watched."""


class Progress(Callback):
    """Show how far training is; nothing where the output is neither terminal nor notebook.

    Args:
        console: where to show it; the standard error output if None.

    Example:
        >>> from groundup.training import fit
        >>> model = nn.Linear(1, 1)
        >>> batches = [(gu.ones(4, 1), gu.ones(4, 1))]
        >>> sgd = optim.SGD(model.parameters(), lr=0.1)
        >>> _ = fit(model, nn.functional.mse_loss, sgd, batches, epochs=2, callbacks=[Progress()])
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self._bar: Bar | None = None
        self._task = TaskID(0)
        self._first_step = 0
        self._began = self._shown = 0.0

    def on_fit_start(self, run: Run) -> None:
        """Open the bar."""
        if not (self.console.is_terminal or self.console.is_jupyter):
            return
        per_epoch = run.steps_per_epoch
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[numbers]}"),
            TimeRemainingColumn(compact=True),
            console=self.console,
            expand=True,
        )
        self._task = self._bar.add_task(
            "", total=None if per_epoch is None else run.epochs * per_epoch, numbers=""
        )
        self._first_step, self._began = run.step, perf_counter()
        self._show(run)
        self._bar.start()

    def on_step_end(self, run: Run) -> None:
        """Move the bar on, ten times a second at most."""
        if self._bar is not None and perf_counter() - self._shown > REFRESH:
            self._show(run)

    def on_epoch_end(self, run: Run) -> None:
        """Show the epoch's validation."""
        self._show(run)

    def on_exit(self, run: Run) -> None:
        """Show the last numbers and give the terminal back."""
        self._show(run)
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _show(self, run: Run) -> None:
        if self._bar is None:
            return
        self._shown = perf_counter()
        steps, epochs = run.history.steps, run.history.epochs
        numbers = []
        if steps:
            speed = (run.step - self._first_step) / max(self._shown - self._began, 1e-9)
            numbers = [f"loss {steps['loss'][-1]:.4g}", f"lr {steps['lr'][-1]:.3g}"]
            numbers += [f"{speed:.0f} steps/s"] if run.step > self._first_step else []
        if epochs:
            numbers += [
                f"{name.removeprefix('validation_')} {column[-1]:.4g} (validation)"
                for name, column in epochs.items()
                if name.startswith("validation_")
            ]
        self._bar.update(
            self._task,
            completed=run.step,
            description=f"epoch {min(run.epoch + 1, run.epochs)}/{run.epochs} step {run.step}",
            numbers="  ".join(numbers),
        )
