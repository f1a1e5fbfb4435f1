"""What all schedules share: counting epochs, setting learning rates, starting again, saving.

An "epoch" is one call of ``step``; call it after each optimizer step or after each pass over the
data, whichever the schedule counts in. Learning rates are plain numbers in the optimizer's groups.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from ...engine.base import deferred
from ..optimizer import Optimizer


class LRScheduler:
    """Base class of schedules; by itself it leaves the learning rates alone.

    A subclass defines ``get_lr``. Making a schedule already sets the learning rates of epoch 0.

    Args:
        optimizer: the optimizer whose groups' "lr" is set.
        last_epoch: index of the last epoch that is over, for a schedule that is alone on its
            optimizer; -1 starts afresh, from the groups' learning rates. To resume any schedule,
            make it afresh, then call its ``load_state_dict`` and that of the optimizer.

    Attributes:
        base_lrs: the learning rate of each group from which the schedule starts ("initial_lr").
        last_epoch: the epoch whose learning rates are set, counted from 0.

    Raises:
        TypeError: the first argument is not an optimizer.
        KeyError: ``last_epoch`` is given, but a group has no "initial_lr".

    Example:
        >>> class Halving(LRScheduler):
        ...     def get_lr(self):
        ...         return [lr / 2**self.last_epoch for lr in self.base_lrs]
        >>> optimizer = optim.SGD([gu.ones(1)], lr=1.0)
        >>> schedule = Halving(optimizer)
        >>> schedule.step()
        >>> optimizer.param_groups[0]["lr"]
        0.5
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self._adopt(optimizer)
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(
                    f'{type(self).__name__}: group {i} has no "initial_lr", which last_epoch='
                    f"{last_epoch} needs; load the optimizer's state first, or leave it at -1"
                )
            else:
                group["lr"] = group["initial_lr"]
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self.step()

    def _adopt(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(
                f"{type(self).__name__}: expected an optimizer, got {type(optimizer).__name__}"
            )
        self.optimizer = optimizer

    def get_lr(self) -> list[float]:
        """The learning rate of each group in the epoch ``last_epoch``."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group as this schedule last set it."""
        return self._last_lr

    @deferred
    def step(self) -> None:
        """Go to the next epoch."""
        self.last_epoch += 1
        self._set(self.get_lr())

    def _set(self, rates: list[float]) -> None:
        groups = self.optimizer.param_groups
        if len(rates) != len(groups):
            raise ValueError(
                f"{type(self).__name__}: {len(rates)} learning rates for {len(groups)} groups; "
                "add all groups to the optimizer before making the schedule"
            )
        for group, lr in zip(groups, rates, strict=True):
            group["lr"] = lr
        self._last_lr = rates

    def rewind(self) -> None:
        """Go before epoch 0, without touching the learning rates."""
        self.last_epoch = -1

    def restart(self) -> None:
        """Begin again at epoch 0, from the learning rates of the very start."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        self.rewind()
        self.step()

    def state_dict(self) -> dict[str, Any]:
        """Position and settings, as a JSON value; functions are left out.

        The learning rates themselves are in the optimizer's state.
        """
        return {name: value for name, value in vars(self).items() if name not in self._not_saved}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over position and settings.

        Raises:
            ValueError: names are missing or unknown; nothing was changed.
        """
        self._check_names(state_dict)
        vars(self).update(state_dict)

    _not_saved: tuple[str, ...] = ("optimizer",)

    def _check_names(self, state_dict: Mapping[str, Any]) -> None:
        own = self.state_dict().keys()
        if own != state_dict.keys():
            raise ValueError(
                f"{type(self).__name__}: the state does not fit; nothing was changed. "
                f"Missing: {sorted(own - state_dict.keys())}, "
                f"unknown: {sorted(state_dict.keys() - own)}"
            )


class FactorLR(LRScheduler, ABC):
    """Base class of schedules that multiply the learning rate by a factor of the epoch.

    With f the ``factor`` and m the ``floor`` (0 for most), each step sets::

        lr <- m + (lr - m) f(t) / f(t - 1)        so alone: lr = m + (base - m) f(t)

    The ratio leaves room for other schedules: several on one optimizer multiply their factors.
    After a factor of 0 the schedule cannot know what it multiplied, and adds ``(base - m) f(t)``.

    Args:
        optimizer: the optimizer whose groups' "lr" is set.
        last_epoch: index of the last epoch that is over; -1 starts afresh.

    Example:
        >>> class Reciprocal(FactorLR):
        ...     def factor(self, epoch):
        ...         return 1 / (1 + epoch)
        >>> schedule = Reciprocal(optim.SGD([gu.ones(1)], lr=1.0))
        >>> schedule.step()
        >>> schedule.get_last_lr()
        [0.5]
    """

    floor: float = 0.0

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.applied = 1.0  # the factor that the current learning rates contain
        super().__init__(optimizer, last_epoch)

    @abstractmethod
    def factor(self, epoch: int) -> float:
        """What multiplies the learning rate in this epoch."""

    def get_lr(self) -> list[float]:
        """The current learning rates with the factor exchanged."""
        now, floor = self.factor(self.last_epoch), self.floor
        if self.applied == 0:
            return [
                group["lr"] + (base - floor) * now
                for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True)
            ]
        ratio = now / self.applied
        return [floor + (group["lr"] - floor) * ratio for group in self.optimizer.param_groups]

    @deferred
    def step(self) -> None:
        """Go to the next epoch."""
        super().step()
        self.applied = self.factor(self.last_epoch)

    def rewind(self) -> None:
        """Go before epoch 0, without touching the learning rates."""
        super().rewind()
        self.applied = 1.0
