"""Learning-rate schedules beside PyTorch's: the same rates over 100 steps.

Covers R2.8 (warm-up, cosine, step and exponential schedules).
"""

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup import optim
from groundup.engine.state import pack, unpack

torch = pytest.importorskip("torch")

# There is nothing to optimize here, so the peer finds that its optimizer makes no steps.
pytestmark = pytest.mark.filterwarnings("ignore:Detected call of:UserWarning")

STEPS = 100
# How a schedule is made: from the module of schedules of either library, and an optimizer.
Make = Callable[[Any, Any], Any]

FACTORS: dict[str, Make] = {
    "constant": lambda s, o: s.ConstantLR(o),
    "constant, long": lambda s, o: s.ConstantLR(o, factor=0.1, total_iters=40),
    "linear": lambda s, o: s.LinearLR(o),
    "linear, down": lambda s, o: s.LinearLR(o, 1.0, 0.01, total_iters=70),
    "linear, to 0": lambda s, o: s.LinearLR(o, 0.5, 0.0, total_iters=30),
    "linear, up": lambda s, o: s.LinearLR(o, start_factor=0.001, total_iters=99),
    "step": lambda s, o: s.StepLR(o, 30),
    "step, each": lambda s, o: s.StepLR(o, 1, gamma=0.97),
    "step, up": lambda s, o: s.StepLR(o, 7, gamma=1.5),
    "milestones": lambda s, o: s.MultiStepLR(o, [10, 50, 51, 80]),
    "milestones, twice": lambda s, o: s.MultiStepLR(o, [40, 20, 40], gamma=0.3),
    "milestones, none": lambda s, o: s.MultiStepLR(o, []),
    "exponential": lambda s, o: s.ExponentialLR(o, 0.9),
    "exponential, up": lambda s, o: s.ExponentialLR(o, 1.05),
    "polynomial": lambda s, o: s.PolynomialLR(o),
    "polynomial, square": lambda s, o: s.PolynomialLR(o, 60, power=2.0),
    "polynomial, root": lambda s, o: s.PolynomialLR(o, 100, power=0.5),
    "cosine": lambda s, o: s.CosineAnnealingLR(o, 100),
    "cosine, floor": lambda s, o: s.CosineAnnealingLR(o, 99, eta_min=0.003),
    "cosine, there and back": lambda s, o: s.CosineAnnealingLR(o, 13, eta_min=0.001),
    "cosine, to 0 and back": lambda s, o: s.CosineAnnealingLR(o, 7),
    "cosine, of one": lambda s, o: s.CosineAnnealingLR(o, 1, eta_min=0.001),
}
OUTRIGHT: dict[str, Make] = {
    "lambda": lambda s, o: s.LambdaLR(o, lambda t: 1 / (1 + t)),
    "lambda, of each group": lambda s, o: s.LambdaLR(o, [lambda t: 0.9**t, lambda t: t % 5]),
    "restarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 10),
    "restarts, longer": lambda s, o: s.CosineAnnealingWarmRestarts(o, 3, T_mult=2, eta_min=0.001),
    "restarts, much longer": lambda s, o: s.CosineAnnealingWarmRestarts(o, 1, T_mult=3),
    "one cycle": lambda s, o: s.OneCycleLR(o, 0.5, total_steps=STEPS),
    "one cycle, of each group": lambda s, o: s.OneCycleLR(
        o, [0.5, 0.2], epochs=10, steps_per_epoch=11, base_momentum=[0.7, 0.8]
    ),
    "one cycle, linear": lambda s, o: s.OneCycleLR(
        o, 0.5, total_steps=STEPS, anneal_strategy="linear", pct_start=0.45, div_factor=3.0
    ),
    "one cycle, three phases": lambda s, o: s.OneCycleLR(
        o, 0.5, total_steps=STEPS, three_phase=True, final_div_factor=10.0, max_momentum=0.99
    ),
    "one cycle, no momentum": lambda s, o: s.OneCycleLR(
        o, 0.5, total_steps=STEPS, cycle_momentum=False, pct_start=1.0
    ),
    "one cycle, no way up": lambda s, o: s.OneCycleLR(o, 0.5, total_steps=STEPS, pct_start=0.0),
}
COMPOSED: dict[str, Make] = {
    "chain of two": lambda s, o: s.ChainedScheduler(
        [s.ConstantLR(o, 0.1, total_iters=20), s.ExponentialLR(o, 0.98)]
    ),
    "chain of four": lambda s, o: s.ChainedScheduler(
        [
            s.LinearLR(o, 0.1, total_iters=9),
            s.StepLR(o, 25, gamma=0.5),
            s.MultiStepLR(o, [50], gamma=2.0),
            s.PolynomialLR(o, 90),
        ],
        o,
    ),
    "chain with a cosine": lambda s, o: s.ChainedScheduler(
        [s.CosineAnnealingLR(o, 17, eta_min=0.002), s.ExponentialLR(o, 0.99)]
    ),
    "sequence": lambda s, o: s.SequentialLR(
        o,
        [s.LinearLR(o, 0.05, total_iters=10), s.CosineAnnealingLR(o, 90, eta_min=0.001)],
        milestones=[10],
    ),
    "sequence of four": lambda s, o: s.SequentialLR(
        o,
        [
            s.ConstantLR(o, 0.5, total_iters=4),
            s.ExponentialLR(o, 0.9),
            s.PolynomialLR(o, 30),
            s.LinearLR(o, 0.3, total_iters=8),
        ],
        milestones=[6, 30, 60],
    ),
    "sequence with a function and restarts": lambda s, o: s.SequentialLR(
        o,
        [s.LambdaLR(o, lambda t: (t + 1) / 10), s.CosineAnnealingWarmRestarts(o, 8, T_mult=2)],
        milestones=[10],
    ),
    "sequence from 0": lambda s, o: s.SequentialLR(
        o, [s.ConstantLR(o), s.StepLR(o, 5, gamma=0.9)], milestones=[0]
    ),
    # Not with an ExponentialLR in the chain: there the peer's rate has one factor too many.
    "sequence that begins with a chain": lambda s, o: s.SequentialLR(
        o,
        [
            s.ChainedScheduler([s.LinearLR(o, 0.2, total_iters=10), s.StepLR(o, 3, gamma=0.9)]),
            s.CosineAnnealingLR(o, 80),
        ],
        milestones=[20],
    ),
    "chain with a sequence": lambda s, o: s.ChainedScheduler(
        [
            s.SequentialLR(
                o, [s.ConstantLR(o, 0.5, total_iters=9), s.StepLR(o, 20)], milestones=[9]
            ),
            s.ExponentialLR(o, 0.97),
        ]
    ),
}
ALL = {**FACTORS, **OUTRIGHT, **COMPOSED}


def optimizers() -> tuple[Any, Any]:
    """The same two groups in both libraries, with momentum to cycle."""
    ours = optim.SGD(
        [{"params": gu.ones(1)}, {"params": gu.ones(2), "lr": 0.02}], lr=0.1, momentum=0.9
    )
    theirs = torch.optim.SGD(
        [{"params": torch.ones(1)}, {"params": torch.ones(2), "lr": 0.02}], lr=0.1, momentum=0.9
    )
    return ours, theirs


def settings(optimizer: Any) -> list[float]:
    """What schedules may change: rate and momentum of each group."""
    groups = optimizer.param_groups
    return [group["lr"] for group in groups] + [group["momentum"] for group in groups]


def check_equal(ours: Any, theirs: Any, step: int) -> None:
    np.testing.assert_allclose(
        settings(ours), settings(theirs), rtol=1e-9, atol=1e-17, err_msg=f"step {step}"
    )


@pytest.mark.parametrize("name", ALL)
def test_same_rates(name: str) -> None:
    ours, theirs = optimizers()
    schedule = ALL[name](optim.lr_scheduler, ours)
    peer = ALL[name](torch.optim.lr_scheduler, theirs)
    check_equal(ours, theirs, 0)
    for step in range(1, STEPS):
        schedule.step()
        peer.step()
        check_equal(ours, theirs, step)
        np.testing.assert_allclose(
            schedule.get_last_lr(), peer.get_last_lr(), rtol=1e-9, atol=1e-17
        )


@pytest.mark.parametrize("stop", [1, 37])
@pytest.mark.parametrize("name", ALL)
def test_same_rates_through_a_file(name: str, stop: int) -> None:
    ours, theirs = optimizers()
    schedule = ALL[name](optim.lr_scheduler, ours)
    peer = ALL[name](torch.optim.lr_scheduler, theirs)
    for step in range(1, STEPS):
        if step == stop:
            written = json.dumps([schedule.state_dict(), pack(ours.state_dict(), "", {})])
            ours = optimizers()[0]
            schedule = ALL[name](optim.lr_scheduler, ours)
            position, groups = json.loads(written)
            schedule.load_state_dict(position)
            ours.load_state_dict(unpack(groups, {}))
        schedule.step()
        peer.step()
        check_equal(ours, theirs, step)


PAIRS = [(a, b) for i, a in enumerate(FACTORS) for b in list(FACTORS)[i + 1 :: 5]]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_two_on_one_optimizer(first: str, second: str) -> None:
    ours, theirs = optimizers()
    schedules = [FACTORS[name](optim.lr_scheduler, ours) for name in (first, second)]
    peers = [FACTORS[name](torch.optim.lr_scheduler, theirs) for name in (first, second)]
    for step in range(STEPS):
        check_equal(ours, theirs, step)
        for schedule in [*schedules, *peers]:
            schedule.step()


@pytest.mark.parametrize("name", ALL)
def test_rates_changed_by_hand_are_kept_or_replaced_alike(name: str) -> None:
    ours, theirs = optimizers()
    schedule = ALL[name](optim.lr_scheduler, ours)
    peer = ALL[name](torch.optim.lr_scheduler, theirs)
    for step in range(1, STEPS):
        if step == 23:
            for group in [*ours.param_groups, *theirs.param_groups]:
                group["lr"] *= 0.5
        schedule.step()
        peer.step()
        check_equal(ours, theirs, step)


def test_warm_up_and_cosine_is_a_line_and_a_cosine() -> None:
    warmup = 12
    ours, theirs = optimizers()
    schedule = optim.lr_scheduler.WarmupCosineLR(ours, warmup, STEPS)
    module = torch.optim.lr_scheduler
    line = module.LinearLR(theirs, 1 / (warmup + 1), total_iters=warmup)
    cosine = module.CosineAnnealingLR(theirs, STEPS - warmup)
    peer = module.SequentialLR(theirs, [line, cosine], milestones=[warmup])
    for step in range(STEPS):
        check_equal(ours, theirs, step)
        schedule.step()
        peer.step()


@pytest.mark.parametrize(("T_0", "T_mult"), [(4, 1), (3, 2)])
def test_restarts_between_epochs(T_0: int, T_mult: int) -> None:
    ours, theirs = optimizers()
    schedule = optim.lr_scheduler.CosineAnnealingWarmRestarts(ours, T_0, T_mult)
    peer = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(theirs, T_0, T_mult)
    for step in range(STEPS):
        epoch = step / 7
        schedule.step(epoch)
        peer.step(epoch)
        check_equal(ours, theirs, step)


def metric(step: int) -> float:
    """Falls, stalls, and jumps."""
    return 2 * math.exp(-step / 5) + 0.3 * math.cos(step) ** 2 * (step % 11 == 0) + 1e-5 * step


PLATEAU: dict[str, dict[str, Any]] = {
    "defaults": {},
    "impatient": {"patience": 0, "factor": 0.5},
    "patient": {"patience": 4, "factor": 0.3, "min_lr": [0.01, 0.001]},
    "absolute": {"patience": 3, "threshold": 0.05, "threshold_mode": "abs"},
    "relative": {"patience": 3, "threshold": 0.1},
    "cooldown": {"patience": 1, "cooldown": 5, "factor": 0.7},
    "largest": {"mode": "max", "patience": 2, "factor": 0.6},
    "largest, absolute": {"mode": "max", "patience": 2, "threshold_mode": "abs", "threshold": 0.2},
    "small reductions left out": {"patience": 1, "factor": 0.9, "eps": 0.004},
}


@pytest.mark.parametrize("stop", [None, 37])
@pytest.mark.parametrize("name", PLATEAU)
def test_plateau(name: str, stop: int | None) -> None:
    ours, theirs = optimizers()
    schedule = optim.lr_scheduler.ReduceLROnPlateau(ours, **PLATEAU[name])
    peer = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **PLATEAU[name])
    for step in range(STEPS):
        if step == stop:
            written = json.loads(json.dumps(schedule.state_dict()))
            schedule = optim.lr_scheduler.ReduceLROnPlateau(ours, **PLATEAU[name])
            schedule.load_state_dict(written)
        schedule.step(gu.tensor(metric(step), dtype=gu.float64))
        peer.step(metric(step))
        check_equal(ours, theirs, step)
        assert (schedule.best, schedule.num_bad_epochs) == (peer.best, peer.num_bad_epochs)
    if name != "small reductions left out":
        assert schedule.get_last_lr()[0] < 0.1, "the metric never stalled, so nothing was tested"
