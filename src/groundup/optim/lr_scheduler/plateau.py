"""A schedule that watches a metric and lowers the rate when it has stopped improving."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import SupportsFloat

from ..optimizer import Optimizer
from .scheduler import LRScheduler


class ReduceLROnPlateau(LRScheduler):
    """The learning rate times a factor whenever a metric has not improved for some epochs.

    Args:
        optimizer: the optimizer whose groups' "lr" is set.
        mode: "min" where smaller is better, "max" where larger is.
        factor: what multiplies the learning rate, below 1.
        patience: epochs without improvement that are tolerated.
        threshold: the smallest change that counts as improvement.
        threshold_mode: whether the threshold is a share of the best value ("rel") or a difference
            from it ("abs").
        cooldown: epochs after a reduction in which nothing is counted.
        min_lr: the learning rate goes no lower; one number or one for each group.
        eps: a reduction by no more than this is left out.

    Attributes:
        best: the best value so far.
        num_bad_epochs: epochs without improvement.

    Raises:
        ValueError: the factor, a mode or the number of ``min_lr`` is wrong.

    Example:
        >>> optimizer = optim.SGD([gu.ones(1)], lr=1.0)
        >>> schedule = ReduceLROnPlateau(optimizer, patience=1, factor=0.5)
        >>> for loss in (3.0, 2.0, 2.0, 2.0):
        ...     schedule.step(loss)
        >>> schedule.get_last_lr()
        [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0,
        eps: float = 1e-8,
    ) -> None:
        self._adopt(optimizer)
        if not 0 <= factor < 1:
            raise ValueError(f"ReduceLROnPlateau: factor is {factor}, expected a number in [0, 1)")
        if mode not in ("min", "max"):
            raise ValueError(f"ReduceLROnPlateau: mode is {mode!r}, expected 'min' or 'max'")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(
                f"ReduceLROnPlateau: threshold_mode is {threshold_mode!r}, expected 'rel' or 'abs'"
            )
        groups = len(optimizer.param_groups)
        if isinstance(min_lr, Sequence) and len(min_lr) != groups:
            raise ValueError(f"ReduceLROnPlateau: {len(min_lr)} values of min_lr, {groups} groups")
        self.mode = mode
        self.reduction = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.cooldown = cooldown
        self.min_lrs = list(min_lr) if isinstance(min_lr, Sequence) else [min_lr] * groups
        self.eps = eps
        self.last_epoch = 0
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = 0
        self.cooldown_counter = 0
        self._last_lr = self.get_lr()

    def step(self, metrics: SupportsFloat) -> None:  # type: ignore[override]
        """Take in the metric of an epoch, a number or a tensor with one element."""
        value = float(metrics)
        self.last_epoch += 1
        if self._improves(value):
            self.best, self.num_bad_epochs = value, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = self.get_lr()

    def _improves(self, value: float) -> bool:
        sign = -1 if self.mode == "min" else 1
        change = sign * self.threshold
        bound = self.best * (1 + change) if self.threshold_mode == "rel" else self.best + change
        return value < bound if self.mode == "min" else value > bound

    def _reduce(self) -> None:
        for group, low in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
            lr = max(group["lr"] * self.reduction, low)
            if group["lr"] - lr > self.eps:
                group["lr"] = lr
