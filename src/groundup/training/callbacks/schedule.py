"""Moving a learning-rate schedule on while training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from .base import Callback

if TYPE_CHECKING:
    from ..run import Run


class Schedule(Callback):
    """Take a step of a schedule after each step or each epoch of training.

    Args:
        scheduler: of the optimizer that ``fit`` was given.
        per: "step" or "epoch", whichever the schedule's numbers count.
        monitor: column of ``history.epochs`` for a schedule that watches one
            (``ReduceLROnPlateau``), which counts epochs; None for all others.

    Raises:
        ValueError: ``per`` is something else, or ``monitor`` and the kind of schedule do not fit.
        KeyError: the history has no such column.

    Example:
        >>> from groundup.training import fit
        >>> model = nn.Linear(1, 1)
        >>> sgd = optim.SGD(model.parameters(), lr=0.8)
        >>> halve = Schedule(optim.lr_scheduler.StepLR(sgd, step_size=1, gamma=0.5), per="epoch")
        >>> batches = [(gu.ones(4, 1), gu.ones(4, 1))]
        >>> history = fit(model, nn.functional.mse_loss, sgd, batches, epochs=3, callbacks=[halve])
        >>> history.epochs["lr"]
        [0.8, 0.4, 0.2]
    """

    def __init__(
        self, scheduler: LRScheduler, per: str = "step", monitor: str | None = None
    ) -> None:
        if per not in ("step", "epoch"):
            raise ValueError(f"Schedule: per {per!r}, expected 'step' or 'epoch'")
        watches = isinstance(scheduler, ReduceLROnPlateau)
        if watches != (monitor is not None) or (watches and per != "epoch"):
            raise ValueError(
                f"Schedule: {type(scheduler).__name__} with per {per!r} and monitor {monitor!r}; "
                "ReduceLROnPlateau takes per='epoch' and a column of the history to monitor, other "
                "schedules take no monitor"
            )
        self.scheduler = scheduler
        self.per = per
        self.monitor = monitor

    def on_step_end(self, run: Run) -> None:
        """One step of a schedule that counts steps."""
        if self.per == "step":
            self.scheduler.step()

    def on_epoch_end(self, run: Run) -> None:
        """One step of a schedule that counts epochs."""
        if isinstance(self.scheduler, ReduceLROnPlateau) and self.monitor is not None:
            self.scheduler.step(run.latest(self.monitor))
        elif self.per == "epoch":
            self.scheduler.step()

    def state_dict(self) -> dict[str, Any]:
        """The schedule's state, with its class, so that another schedule is refused.

        Example:
            >>> sgd = optim.SGD(nn.Linear(1, 1).parameters(), lr=0.8)
            >>> schedule = Schedule(optim.lr_scheduler.ExponentialLR(sgd, gamma=0.9))
            >>> schedule.state_dict()["class"]
            'ExponentialLR'
        """
        return {"class": type(self.scheduler).__name__, "state": self.scheduler.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what ``state_dict`` gave.

        Raises:
            ValueError: it is the state of another kind of schedule.

        Example:
            >>> sgd = optim.SGD(nn.Linear(1, 1).parameters(), lr=0.8)
            >>> schedule = Schedule(optim.lr_scheduler.ExponentialLR(sgd, gamma=0.9))
            >>> schedule.load_state_dict(schedule.state_dict())
        """
        kind = type(self.scheduler).__name__
        if state["class"] != kind:
            raise ValueError(f"the schedule was {state['class']}, here it is {kind}")
        self.scheduler.load_state_dict(state["state"])
