"""Schedules that multiply: constant, linear, steps, exponential, polynomial, cosine.

Each class is a formula (``factor``); ``FactorLR`` applies it. Linear warm-up: Goyal et al. (2017),
"Accurate, large minibatch SGD", section 2.2. Cosine annealing: Loshchilov and Hutter (2017), "SGDR:
stochastic gradient descent with warm restarts", equation 5, without its restarts.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable

from ..optimizer import Optimizer
from .scheduler import FactorLR


class ConstantLR(FactorLR):
    """The learning rate times a constant for some epochs, then unchanged.

    Args:
        optimizer: the optimizer whose groups' "lr" is set.
        factor: from 0 to 1.
        total_iters: for how many epochs.
        last_epoch: index of the last epoch that is over; -1 starts afresh.

    Raises:
        ValueError: the factor is out of range.

    Example:
        >>> schedule = ConstantLR(optim.SGD([gu.ones(1)], lr=1.0), factor=0.5, total_iters=2)
        >>> [schedule.get_last_lr()[0] for _ in range(4) if not schedule.step()]
        [0.5, 1.0, 1.0, 1.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 1 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 <= factor <= 1:
            raise ValueError(f"ConstantLR: factor is {factor}, expected a number from 0 to 1")
        self.constant = factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def factor(self, epoch: int) -> float:
        """The constant, then 1."""
        return self.constant if epoch < self.total_iters else 1.0


class LinearLR(FactorLR):
    """A factor that goes from one value to another along a line: warm-up.

    Args:
        optimizer: the optimizer whose groups' "lr" is set.
        start_factor: factor at epoch 0, above 0, at most 1.
        end_factor: factor from epoch ``total_iters`` on, from 0 to 1.
        total_iters: epochs from the one to the other.
        last_epoch: index of the last epoch that is over; -1 starts afresh.

    Raises:
        ValueError: a factor is out of range.

    Example:
        >>> schedule = LinearLR(optim.SGD([gu.ones(1)], lr=1.0), start_factor=0.25, total_iters=3)
        >>> [schedule.get_last_lr()[0] for _ in range(4) if not schedule.step()]
        [0.5, 0.75, 1.0, 1.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 < start_factor <= 1:
            raise ValueError(
                f"LinearLR: start_factor is {start_factor}, expected a number above 0, at most 1"
            )
        if not 0 <= end_factor <= 1:
            raise ValueError(f"LinearLR: end_factor is {end_factor}, expected a number from 0 to 1")
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def factor(self, epoch: int) -> float:
        """A line from the start to the end, then level."""
        if epoch >= self.total_iters:
            return self.end_factor
        return self.start_factor + (self.end_factor - self.start_factor) * epoch / self.total_iters


class StepLR(FactorLR):
    """The learning rate times gamma after every ``step_size`` epochs.

    Args:
        optimizer: the optimizer whose groups' "lr" is set.
        step_size: epochs between two drops.
        gamma: factor of each drop.
        last_epoch: index of the last epoch that is over; -1 starts afresh.

    Raises:
        ValueError: ``step_size`` is not positive.

    Example:
        >>> schedule = StepLR(optim.SGD([gu.ones(1)], lr=1.0), step_size=2, gamma=0.5)
        >>> [schedule.get_last_lr()[0] for _ in range(4) if not schedule.step()]
        [1.0, 0.5, 0.5, 0.25]
    """

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        _positive("StepLR", "step_size", step_size)
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def factor(self, epoch: int) -> float:
        """Gamma for each drop so far."""
        return self.gamma ** (epoch // self.step_size)


class MultiStepLR(FactorLR):
    """The learning rate times gamma at each milestone.

    Args:
        optimizer: the optimizer whose groups' "lr" is set.
        milestones: epochs; one that is named twice counts twice.
        gamma: factor of each drop.
        last_epoch: index of the last epoch that is over; -1 starts afresh.

    Example:
        >>> schedule = MultiStepLR(optim.SGD([gu.ones(1)], lr=1.0), milestones=[1, 3], gamma=0.5)
        >>> [schedule.get_last_lr()[0] for _ in range(4) if not schedule.step()]
        [0.5, 0.5, 0.25, 0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        self.milestones = sorted(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def factor(self, epoch: int) -> float:
        """Gamma for each milestone so far."""
        return self.gamma ** bisect_right(self.milestones, epoch)


class ExponentialLR(FactorLR):
    """The learning rate times gamma after every epoch.

    Args:
        optimizer: the optimizer whose groups' "lr" is set.
        gamma: factor of each epoch.
        last_epoch: index of the last epoch that is over; -1 starts afresh.

    Example:
        >>> schedule = ExponentialLR(optim.SGD([gu.ones(1)], lr=1.0), gamma=0.5)
        >>> [schedule.get_last_lr()[0] for _ in range(3) if not schedule.step()]
        [0.5, 0.25, 0.125]
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def factor(self, epoch: int) -> float:
        """Gamma for each epoch so far."""
        return self.gamma**epoch


class PolynomialLR(FactorLR):
    """The learning rate falls to 0 along a power of the time that is left.

    Args:
        optimizer: the optimizer whose groups' "lr" is set.
        total_iters: epochs until 0; it stays there.
        power: 1 is a line.
        last_epoch: index of the last epoch that is over; -1 starts afresh.

    Raises:
        ValueError: ``total_iters`` is not positive.

    Example:
        >>> schedule = PolynomialLR(optim.SGD([gu.ones(1)], lr=1.0), total_iters=4, power=2)
        >>> [schedule.get_last_lr()[0] for _ in range(5) if not schedule.step()]
        [0.5625, 0.25, 0.0625, 0.0, 0.0]
    """

    def __init__(
        self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1
    ) -> None:
        _positive("PolynomialLR", "total_iters", total_iters)
        self.total_iters = total_iters
        self.power = power
        super().__init__(optimizer, last_epoch)

    def factor(self, epoch: int) -> float:
        """The share of the time that is left, to a power."""
        return (1 - min(epoch, self.total_iters) / self.total_iters) ** self.power


class CosineAnnealingLR(FactorLR):
    """The learning rate falls along half a cosine, and rises again if training goes on.

    Args:
        optimizer: the optimizer whose groups' "lr" is set.
        T_max: epochs from the top to the bottom.
        eta_min: learning rate at the bottom.
        last_epoch: index of the last epoch that is over; -1 starts afresh.

    Raises:
        ValueError: ``T_max`` is not positive.

    Example:
        >>> schedule = CosineAnnealingLR(optim.SGD([gu.ones(1)], lr=1.0), T_max=2, eta_min=0.5)
        >>> [round(schedule.get_last_lr()[0], 6) for _ in range(3) if not schedule.step()]
        [0.75, 0.5, 0.75]
    """

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        _positive("CosineAnnealingLR", "T_max", T_max)
        self.T_max = T_max
        self.floor = eta_min
        super().__init__(optimizer, last_epoch)

    def factor(self, epoch: int) -> float:
        """Half a cosine from 1 to 0."""
        return (1 + math.cos(math.pi * epoch / self.T_max)) / 2


def _positive(owner: str, name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{owner}: {name} is {value}, expected at least 1")
