"""Schedules made of schedules: one after the other, or all at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from ...engine.base import deferred
from ..optimizer import Optimizer
from .plateau import ReduceLROnPlateau
from .scheduler import LRScheduler


class _Composed(LRScheduler):
    """What the two have in common: their parts, which they save with themselves."""

    _not_saved = ("optimizer", "schedulers")

    def _gather(self, optimizer: Optimizer, schedulers: Sequence[LRScheduler]) -> None:
        name = type(self).__name__
        self._adopt(optimizer)
        for i, schedule in enumerate(schedulers):
            if not isinstance(schedule, LRScheduler) or isinstance(schedule, ReduceLROnPlateau):
                raise TypeError(
                    f"{name}: schedule {i} is {type(schedule).__name__}, expected one whose step() "
                    "takes no argument"
                )
            if schedule.optimizer is not optimizer:
                raise ValueError(f"{name}: schedule {i} belongs to another optimizer")
        self.schedulers = list(schedulers)

    def rewind(self) -> None:
        """Go before epoch 0, without touching the learning rates."""
        super().rewind()
        for schedule in self.schedulers:
            schedule.rewind()

    def state_dict(self) -> dict[str, Any]:
        """Position and settings of this schedule and of its parts."""
        parts = [schedule.state_dict() for schedule in self.schedulers]
        return {**super().state_dict(), "schedulers": parts}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over position and settings of this schedule and of its parts.

        Raises:
            ValueError: the state does not fit; nothing was changed.
        """
        self._check_names(state_dict)
        for schedule, state in zip(self.schedulers, state_dict["schedulers"], strict=True):
            schedule.load_state_dict(state)
        vars(self).update({k: v for k, v in state_dict.items() if k != "schedulers"})

    def _check_names(self, state_dict: Mapping[str, Any]) -> None:
        super()._check_names(state_dict)
        parts = state_dict["schedulers"]
        if len(parts) != len(self.schedulers):
            raise ValueError(
                f"{type(self).__name__}: the state has {len(parts)} schedules, expected "
                f"{len(self.schedulers)}; nothing was changed"
            )
        for schedule, state in zip(self.schedulers, parts, strict=True):
            schedule._check_names(state)


class SequentialLR(_Composed):
    """One schedule after the other, each from its own epoch 0.

    Args:
        optimizer: the optimizer that all of them belong to.
        schedulers: in the order of their turns.
        milestones: the epochs at which the second, the third, ... take over.

    Raises:
        ValueError: there is not one milestone fewer than schedules, they do not ascend, or a
            schedule belongs to another optimizer.
        TypeError: a schedule's ``step`` needs an argument.

    Example:
        >>> optimizer = optim.SGD([gu.ones(1)], lr=1.0)
        >>> warmup = optim.lr_scheduler.LinearLR(optimizer, start_factor=0.25, total_iters=3)
        >>> decay = optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
        >>> schedule = SequentialLR(optimizer, [warmup, decay], milestones=[3])
        >>> [schedule.get_last_lr()[0] for _ in range(5) if not schedule.step()]
        [0.5, 0.75, 1.0, 0.5, 0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
    ) -> None:
        self._gather(optimizer, schedulers)
        if len(milestones) != len(schedulers) - 1 or sorted(set(milestones)) != list(milestones):
            raise ValueError(
                f"SequentialLR: milestones {list(milestones)} for {len(schedulers)} schedules; "
                f"expected {max(0, len(schedulers) - 1)} ascending epochs"
            )
        self.milestones = list(milestones)
        self.restart()

    @deferred
    def step(self) -> None:
        """Go to the next epoch."""
        self.last_epoch += 1
        turn = bisect_right(self.milestones, self.last_epoch)
        schedule = self.schedulers[turn]
        if turn and self.milestones[turn - 1] == self.last_epoch:
            schedule.restart()
        else:
            schedule.step()
        self._last_lr = schedule.get_last_lr()


class ChainedScheduler(_Composed):
    """Several schedules at once: their factors multiply.

    Args:
        schedulers: stepped in this order.
        optimizer: the optimizer that all of them belong to; default: that of the first.

    Raises:
        ValueError: there are no schedules, or one belongs to another optimizer.
        TypeError: a schedule's ``step`` needs an argument.

    Example:
        >>> optimizer = optim.SGD([gu.ones(1)], lr=1.0)
        >>> constant = optim.lr_scheduler.ConstantLR(optimizer, 0.5, total_iters=2)
        >>> decay = optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
        >>> schedule = ChainedScheduler([constant, decay])
        >>> schedule.get_last_lr()
        [0.5]
        >>> [schedule.get_last_lr()[0] for _ in range(3) if not schedule.step()]
        [0.25, 0.25, 0.125]
    """

    def __init__(
        self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None
    ) -> None:
        if not schedulers:
            raise ValueError("ChainedScheduler: expected at least one schedule, got none")
        self._gather(optimizer or schedulers[0].optimizer, schedulers)
        self.last_epoch = 0
        self._last_lr = self.get_lr()

    @deferred
    def step(self) -> None:
        """Go to the next epoch."""
        self.last_epoch += 1
        for schedule in self.schedulers:
            schedule.step()
        self._last_lr = self.get_lr()
