"""Learning-rate schedules.

For example::

    optimizer = optim.AdamW(model.parameters(), lr=3e-4)
    schedule = optim.lr_scheduler.WarmupCosineLR(optimizer, warmup_steps=100, total_steps=2000)
    for batch in batches:
        ...
        optimizer.step()
        schedule.step()

Schedules that are a factor of the epoch may be combined on one optimizer; the others set the rate
outright.
"""

from .composed import ChainedScheduler, SequentialLR
from .cycles import CosineAnnealingWarmRestarts, LambdaLR, OneCycleLR, WarmupCosineLR
from .factors import (
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LinearLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from .plateau import ReduceLROnPlateau
from .scheduler import FactorLR, LRScheduler

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "ExponentialLR",
    "FactorLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
    "WarmupCosineLR",
]
