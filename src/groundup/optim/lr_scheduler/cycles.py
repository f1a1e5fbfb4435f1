"""Schedules that set the rate of an epoch outright: any function, warm-up with cosine, cycles.

What the learning rate was before does not matter to them. Warm restarts: Loshchilov and Hutter
(2017), "SGDR: stochastic gradient descent with warm restarts", equation 5. One cycle: Smith and
Topin (2019), "Super-convergence: very fast training of neural networks using large learning rates".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ...engine.base import deferred
from ..optimizer import Optimizer
from .scheduler import LRScheduler


class LambdaLR(LRScheduler):
    """The starting learning rate times any function of the epoch.

    Args:
        optimizer: the optimizer whose groups' "lr" is set.
        lr_lambda: the function, or one for each group. It is not saved with the state.
        last_epoch: index of the last epoch that is over; -1 starts afresh.

    Raises:
        ValueError: the number of functions is not that of the groups.

    Example:
        >>> schedule = LambdaLR(optim.SGD([gu.ones(1)], lr=1.0), lambda epoch: 1 / (1 + epoch))
        >>> [schedule.get_last_lr()[0] for _ in range(3) if not schedule.step()]
        [0.5, 0.3333333333333333, 0.25]
    """

    _not_saved = ("optimizer", "lr_lambdas")

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        self._adopt(optimizer)
        self.lr_lambdas = _one_for_each_group(self, "lr_lambda", lr_lambda)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The starting learning rates times the function."""
        pairs = zip(self.base_lrs, self.lr_lambdas, strict=True)
        return [base * function(self.last_epoch) for base, function in pairs]


class WarmupCosineLR(LRScheduler):
    """A line up to the learning rate, then half a cosine down: what transformers are trained with.

    At step t = 0, 1, ..., with w warm-up steps of T in total::

        lr (t + 1) / (w + 1)                                                 t < w
        min_lr + (lr - min_lr) (1 + cos(pi (t - w) / (T - w))) / 2           w <= t <= T
        min_lr                                                               t > T

    The first step is not wasted on a learning rate of 0, and the full rate is reached at t = w.

    Args:
        optimizer: the optimizer whose groups' "lr" is set.
        warmup_steps: steps of the line; 0 leaves it out.
        total_steps: steps of the whole training.
        min_lr: learning rate at the end.
        last_epoch: index of the last step that is over; -1 starts afresh.

    Raises:
        ValueError: the warm-up is negative or not shorter than the whole.

    Example:
        >>> optimizer = optim.SGD([gu.ones(1)], lr=1.0)
        >>> schedule = WarmupCosineLR(optimizer, warmup_steps=1, total_steps=3)
        >>> schedule.get_last_lr()
        [0.5]
        >>> [round(schedule.get_last_lr()[0], 6) for _ in range(3) if not schedule.step()]
        [1.0, 0.5, 0.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        warmup_steps: int,
        total_steps: int,
        min_lr: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        if not 0 <= warmup_steps < total_steps:
            raise ValueError(
                f"WarmupCosineLR: {warmup_steps} warm-up steps of {total_steps} in total; "
                "expected at least 0, and fewer than the total"
            )
        self.warmup_steps = warmup_steps
        self.total_steps = total_steps
        self.min_lr = min_lr
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The line, the cosine, or the end."""
        t, warmup, low = self.last_epoch, self.warmup_steps, self.min_lr
        if t < warmup:
            return [base * (t + 1) / (warmup + 1) for base in self.base_lrs]
        progress = min(1.0, (t - warmup) / (self.total_steps - warmup))
        return [_cosine(base, low, progress) for base in self.base_lrs]


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half a cosine down, then back to the top and down again, each time ``T_mult`` times as long.

    Args:
        optimizer: the optimizer whose groups' "lr" is set.
        T_0: epochs of the first descent.
        T_mult: how much longer each descent is than the one before.
        eta_min: learning rate at the bottom.
        last_epoch: index of the last epoch that is over; -1 starts afresh.

    Attributes:
        T_cur: epochs since the last restart.
        T_i: epochs of the current descent.

    Raises:
        ValueError: ``T_0`` or ``T_mult`` is not a positive integer.

    Example:
        >>> optimizer = optim.SGD([gu.ones(1)], lr=1.0)
        >>> schedule = CosineAnnealingWarmRestarts(optimizer, T_0=2, T_mult=2)
        >>> [round(schedule.get_last_lr()[0], 3) for _ in range(6) if not schedule.step()]
        [0.5, 1.0, 0.854, 0.5, 0.146, 1.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        for name, value in (("T_0", T_0), ("T_mult", T_mult)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(
                    f"CosineAnnealingWarmRestarts: {name} is {value}, expected a positive integer"
                )
        self.T_0 = self.T_i = T_0
        self.T_mult = T_mult
        self.eta_min = eta_min
        self.T_cur: float = last_epoch
        self.position: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The cosine of the current descent."""
        return [_cosine(base, self.eta_min, self.T_cur / self.T_i) for base in self.base_lrs]

    @deferred
    def step(self, epoch: float | None = None) -> None:
        """Go to the next epoch, or to any moment.

        Args:
            epoch: the moment, which may lie between two epochs (``epoch + batch / batches``).

        Raises:
            ValueError: it is negative.
        """
        self.position = self.position + 1 if epoch is None else epoch
        if self.position < 0:
            raise ValueError(f"CosineAnnealingWarmRestarts: epoch is {epoch}, expected 0 or more")
        self.last_epoch = math.floor(self.position)
        if self.T_mult == 1:
            self.T_cur = self.position % self.T_0
        else:
            self.T_cur, self.T_i = self.position, self.T_0
            while self.T_cur >= self.T_i:
                self.T_cur -= self.T_i
                self.T_i *= self.T_mult
        self._set(self.get_lr())

    def rewind(self) -> None:
        """Go before epoch 0, without touching the learning rates."""
        super().rewind()
        self.position = -1


class OneCycleLR(LRScheduler):
    """Up to a large learning rate and down to almost nothing, with momentum the other way round.

    The learning rate starts at ``max_lr / div_factor``, rises to ``max_lr``, and falls to
    ``max_lr / (div_factor * final_div_factor)``; momentum (or the first of Adam's betas) goes from
    ``max_momentum`` to ``base_momentum`` and back. Call ``step`` after every batch.

    Args:
        optimizer: the optimizer whose groups' "lr" is set; what that was does not matter.
        max_lr: the top, one number or one for each group.
        total_steps: steps of the whole training; or give the next two.
        epochs: passes over the data.
        steps_per_epoch: steps of one pass.
        pct_start: share of the steps on the way up.
        anneal_strategy: "cos" or "linear".
        cycle_momentum: whether momentum moves too.
        base_momentum: momentum at the top of the learning rate, one number or one for each group.
        max_momentum: momentum at both ends, one number or one for each group.
        div_factor: how far below the top the learning rate starts.
        final_div_factor: how far below the start it ends.
        three_phase: up, down to the start in as many steps, then down to the end.
        last_epoch: index of the last step that is over; -1 starts afresh.

    Raises:
        ValueError: the steps are not given or not positive, a setting is out of range, the
            optimizer has no momentum to cycle, or ``step`` is called more than ``total_steps``
            times.

    Example:
        >>> optimizer = optim.SGD([gu.ones(1)], lr=0.1, momentum=0.9)
        >>> schedule = OneCycleLR(optimizer, max_lr=1.0, total_steps=5, pct_start=0.6, div_factor=4)
        >>> schedule.get_last_lr()
        [0.25]
        >>> [round(schedule.get_last_lr()[0], 3) for _ in range(4) if not schedule.step()]
        [0.625, 1.0, 0.5, 0.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.85,
        max_momentum: float | Sequence[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        self._adopt(optimizer)
        if total_steps is None and epochs is not None and steps_per_epoch is not None:
            total_steps = epochs * steps_per_epoch
        if total_steps is None or total_steps < 1:
            raise ValueError(
                "OneCycleLR: give total_steps, or epochs and steps_per_epoch, as positive "
                f"integers; got {total_steps}, {epochs} and {steps_per_epoch}"
            )
        if not 0 <= pct_start <= 1:
            raise ValueError(f"OneCycleLR: pct_start is {pct_start}, expected a number from 0 to 1")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"OneCycleLR: anneal_strategy is {anneal_strategy!r}, expected 'cos' or 'linear'"
            )
        if cycle_momentum and not {"momentum", "betas"} & set(optimizer.defaults):
            raise ValueError(
                f"OneCycleLR: {type(optimizer).__name__} has neither momentum nor betas to cycle; "
                "pass cycle_momentum=False"
            )
        self.total_steps = total_steps
        self.pct_start = pct_start
        self.anneal_strategy = anneal_strategy
        self.cycle_momentum = cycle_momentum
        self.three_phase = three_phase
        tops = _one_for_each_group(self, "max_lr", max_lr)
        slow = _one_for_each_group(self, "base_momentum", base_momentum)
        fast = _one_for_each_group(self, "max_momentum", max_momentum)
        if last_epoch == -1:
            for group, top in zip(optimizer.param_groups, tops, strict=True):
                group["initial_lr"] = top / div_factor
        starts = [top / div_factor for top in tops]
        ends = [start / final_div_factor for start in starts]
        self.lr_ends = [list(values) for values in zip(starts, tops, ends, strict=True)]
        self.momentum_ends = [list(values) for values in zip(fast, slow, fast, strict=True)]
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The learning rates on the way between start, top and end."""
        return [self._between(ends) for ends in self.lr_ends]

    @deferred
    def step(self) -> None:
        """Go to the next step of the cycle."""
        if self.last_epoch >= self.total_steps:
            raise ValueError(
                f"OneCycleLR: the cycle of {self.total_steps} steps is over; set total_steps "
                "to the number of calls of step()"
            )
        super().step()
        if self.cycle_momentum:
            for group, ends in zip(self.optimizer.param_groups, self.momentum_ends, strict=True):
                momentum = self._between(ends)
                if "betas" in group:
                    group["betas"] = (momentum, *group["betas"][1:])
                else:
                    group["momentum"] = momentum

    def _between(self, ends: list[float]) -> float:
        """The value now of what goes from the first of three ends to the second and the third."""
        start, top, end = ends
        t, up, last = self.last_epoch, self.pct_start * self.total_steps - 1, self.total_steps - 1
        phases = [(up, start, top), (last, top, end)]
        if self.three_phase:
            phases = [(up, start, top), (2 * up, top, start), (last, start, end)]
        since = 0.0
        for until, before, after in phases:
            if t <= until:
                share = (t - since) / (until - since) if until > since else 1.0
                if self.anneal_strategy == "linear":
                    return before + (after - before) * share
                return _cosine(before, after, share)
            since = until
        return end


def _cosine(start: float, end: float, share: float) -> float:
    """Half a cosine from one value (share 0) to another (share 1)."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def _one_for_each_group(owner: LRScheduler, name: str, value: Any) -> list[Any]:
    groups = len(owner.optimizer.param_groups)
    if not isinstance(value, list | tuple):
        return [value] * groups
    if len(value) != groups:
        raise ValueError(
            f"{type(owner).__name__}: {len(value)} values of {name} for {groups} groups; "
            "give one value, or one for each group"
        )
    return list(value)
