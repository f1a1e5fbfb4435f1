"""Learning-rate schedules: closed forms, ends, combinations, saving.

Covers R2.8 (warm-up, cosine, step and exponential schedules).
"""

import json
import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, strategies as st

import groundup as gu
from groundup import optim
from groundup.optim.lr_scheduler import (
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    FactorLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
    WarmupCosineLR,
)


def sgd(*rates: float) -> optim.SGD:
    groups = [{"params": gu.ones(1), "lr": lr} for lr in rates or (1.0,)]
    return optim.SGD(groups, momentum=0.9)


def rates(schedule: LRScheduler, steps: int, group: int = 0) -> list[float]:
    """The learning rates of epochs 0 to ``steps - 1``, as the optimizer sees them."""
    found = []
    for i in range(steps):
        if i:
            schedule.step()
        found.append(schedule.optimizer.param_groups[group]["lr"])
    return found


def close(expected: Any, tolerance: float = 1e-12) -> Any:
    return pytest.approx(expected, rel=1e-9, abs=tolerance)


whole = st.integers(1, 30)
shares = st.floats(0.01, 1)
factors: st.SearchStrategy[Callable[[optim.Optimizer], FactorLR]] = st.one_of(
    st.builds(lambda f, n: lambda o: ConstantLR(o, f, n), shares, whole),
    st.builds(lambda a, b, n: lambda o: LinearLR(o, a, b, n), shares, shares, whole),
    st.builds(lambda n, g: lambda o: StepLR(o, n, g), whole, shares),
    st.builds(lambda m, g: lambda o: MultiStepLR(o, m, g), st.lists(whole), shares),
    st.builds(lambda g: lambda o: ExponentialLR(o, g), st.floats(0.7, 1.1)),
    st.builds(lambda n, p: lambda o: PolynomialLR(o, n, p), whole, st.floats(0.5, 3)),
    st.builds(lambda n: lambda o: CosineAnnealingLR(o, n), whole),
)


# Formulas


@given(make=factors, base=st.floats(1e-4, 1))
def test_alone_a_factor_multiplies_the_starting_rate(
    make: Callable[[optim.Optimizer], FactorLR], base: float
) -> None:
    schedule = make(sgd(base, 2 * base))
    expected = [base * schedule.factor(t) for t in range(40)]
    assert rates(schedule, 40) == close(expected)
    assert schedule.get_last_lr()[1] == close(2 * expected[-1])


@given(first=factors, second=factors)
def test_together_factors_multiply_in_any_order(first: Any, second: Any) -> None:
    optimizer = sgd()
    one, other = first(optimizer), second(optimizer)
    for t in range(40):
        if one.factor(t) == 0 or other.factor(t) == 0:
            break  # from 0 a factor cannot know what the other one did
        product = one.factor(t) * other.factor(t)
        assert optimizer.param_groups[0]["lr"] == close(product)
        for schedule in (one, other) if t % 2 else (other, one):
            schedule.step()


def test_each_formula_by_hand() -> None:
    assert rates(ConstantLR(sgd(), 0.5, 2), 4) == [0.5, 0.5, 1, 1]
    assert rates(LinearLR(sgd(), 0.2, 1.0, 4), 6) == close([0.2, 0.4, 0.6, 0.8, 1, 1])
    assert rates(StepLR(sgd(), 2, 0.5), 6) == [1, 1, 0.5, 0.5, 0.25, 0.25]
    assert rates(MultiStepLR(sgd(), [3, 1], 0.5), 5) == [1, 0.5, 0.5, 0.25, 0.25]
    assert rates(ExponentialLR(sgd(), 0.5), 4) == [1, 0.5, 0.25, 0.125]
    assert rates(PolynomialLR(sgd(), 2, 2), 4) == [1, 0.25, 0, 0]
    assert rates(CosineAnnealingLR(sgd(), 3, 0.2), 7) == close([1, 0.8, 0.4, 0.2, 0.4, 0.8, 1])
    assert rates(LambdaLR(sgd(2.0), lambda t: t), 4) == [0, 2, 4, 6]


@given(n=whole, low=st.floats(0, 0.5), top=st.floats(0.5, 2))
def test_cosine_goes_from_the_top_to_the_floor(n: int, low: float, top: float) -> None:
    found = rates(CosineAnnealingLR(sgd(top), n, low), n + 1)
    assert (found[0], found[-1]) == close((top, low))
    assert found == sorted(found, reverse=True)
    for t, lr in enumerate(found):
        assert lr == close(low + (top - low) * (1 + math.cos(math.pi * t / n)) / 2)


@given(warmup=st.integers(0, 20), more=st.integers(1, 50), low=st.floats(0, 0.1))
def test_warm_up_and_cosine(warmup: int, more: int, low: float) -> None:
    total = warmup + more
    found = rates(WarmupCosineLR(sgd(0.5), warmup, total, low), total + 3)
    assert found[0] > 0, "a step with a rate of 0 would be wasted"
    assert found[warmup] == 0.5 == max(found)
    rises = [b - a for a, b in pairwise(found[: warmup + 1])]
    assert rises == close([0.5 / (warmup + 1)] * warmup)
    assert found[warmup:] == sorted(found[warmup:], reverse=True)
    assert found[total:] == close([low] * 3)
    middle = (found[warmup] + found[total]) / 2
    if more % 2 == 0:
        assert found[warmup + more // 2] == close(middle)


@given(first=st.integers(1, 6), longer=st.integers(1, 3), low=st.floats(0, 0.5))
def test_restarts_begin_at_the_top(first: int, longer: int, low: float) -> None:
    schedule = CosineAnnealingWarmRestarts(sgd(), first, longer, low)
    found = rates(schedule, 60)
    start, length = 0, first
    while start + length < 60:
        piece = rates(CosineAnnealingLR(sgd(), length, low), length)
        assert found[start : start + length] == close(piece)
        start, length = start + length, length * longer
    assert (schedule.T_cur, schedule.T_i) == (59 - start, length)


@pytest.mark.parametrize("anneal", ["cos", "linear"])
@pytest.mark.parametrize("three_phase", [False, True])
def test_one_cycle(anneal: str, three_phase: bool) -> None:
    optimizer = sgd(0.123)
    schedule = OneCycleLR(
        optimizer,
        max_lr=1.0,
        epochs=10,
        steps_per_epoch=10,
        pct_start=0.4,
        anneal_strategy=anneal,
        div_factor=10,
        final_div_factor=100,
        three_phase=three_phase,
    )
    group, found, momenta = optimizer.param_groups[0], [], []
    for _ in range(100):
        found.append(group["lr"])
        momenta.append(group["momentum"])
        schedule.step()
    assert (found[0], found[39], found[99]) == close((0.1, 1.0, 0.001))
    assert (momenta[0], momenta[39], momenta[99]) == close((0.95, 0.85, 0.95))
    assert found.index(max(found)) == momenta.index(min(momenta)) == 39
    if three_phase:
        assert found[78] == close(0.1)
    assert group["lr"] == close(0.001)  # the step after the last keeps the end
    with pytest.raises(ValueError, match="cycle of 100 steps is over"):
        schedule.step()


def test_one_cycle_moves_adams_first_beta() -> None:
    optimizer = optim.Adam(gu.ones(1))
    OneCycleLR(optimizer, max_lr=1.0, total_steps=10)
    assert optimizer.param_groups[0]["betas"] == (0.95, 0.999)


def test_one_cycle_whose_way_up_is_one_step() -> None:
    assert rates(OneCycleLR(sgd(), 1.0, total_steps=10, pct_start=0.1), 2)[0] == 1


# Plateaus


def feed(schedule: ReduceLROnPlateau, metrics: list[float]) -> list[float]:
    found = []
    for value in metrics:
        schedule.step(value)
        found.append(schedule.get_last_lr()[0])
    return found


def test_plateau_waits_for_its_patience() -> None:
    schedule = ReduceLROnPlateau(sgd(), factor=0.5, patience=1)
    assert feed(schedule, [3, 3, 3, 3, 3, 2, 2, 2]) == [1, 1, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125]


def test_plateau_counts_nothing_while_it_cools_down() -> None:
    schedule = ReduceLROnPlateau(sgd(), factor=0.5, patience=0, cooldown=2)
    assert feed(schedule, [3, 3, 3, 3, 3]) == [1, 0.5, 0.5, 0.5, 0.25]


@pytest.mark.parametrize(
    ("mode", "threshold_mode", "enough", "too_little"),
    [("min", "rel", 8.9, 9.1), ("min", "abs", 9.8, 9.95), ("max", "rel", 11.1, 10.9),
     ("max", "abs", 10.2, 10.05)],
)  # fmt: skip
def test_plateau_takes_small_changes_for_none(
    mode: str, threshold_mode: str, enough: float, too_little: float
) -> None:
    for value, expected in ((enough, 1), (too_little, 0.1)):
        schedule = ReduceLROnPlateau(
            sgd(), mode, patience=0, threshold=0.1, threshold_mode=threshold_mode
        )
        assert feed(schedule, [10, value])[-1] == expected


def test_plateau_stops_at_the_smallest_rate() -> None:
    schedule = ReduceLROnPlateau(sgd(1.0, 1.0), patience=0, min_lr=[0.05, 0.5])
    feed(schedule, [1.0] * 5)
    assert schedule.get_last_lr() == [0.05, 0.5]


def test_plateau_reads_a_tensor() -> None:
    schedule = ReduceLROnPlateau(sgd(), patience=0)
    for _ in range(2):
        schedule.step(gu.tensor(1.0, requires_grad=True))
    assert schedule.get_last_lr() == [0.1]


# Combinations


def test_a_sequence_gives_each_schedule_its_own_epoch_0() -> None:
    optimizer = sgd(2.0)
    parts: list[Any] = [
        LinearLR(optimizer, 0.25, total_iters=3),
        ExponentialLR(optimizer, 0.5),
        LambdaLR(optimizer, lambda t: 10 + t),
    ]
    schedule = SequentialLR(optimizer, parts, [3, 6])
    assert rates(schedule, 9) == close([0.5, 1, 1.5, 2, 1, 0.5, 20, 22, 24])


def test_a_chain_in_a_sequence_begins_with_all_its_factors() -> None:
    optimizer = sgd()
    chain = ChainedScheduler([ConstantLR(optimizer, 0.5, 2), ExponentialLR(optimizer, 0.5)])
    inner = SequentialLR(optimizer, [ConstantLR(optimizer, 0.1, 9), StepLR(optimizer, 1, 0.5)], [2])
    for parts, expected in (
        ([chain, inner], [0.5, 0.25, 0.25, 0.1, 0.1, 1, 0.5, 0.25]),
        ([inner, chain], [0.1, 0.1, 1, 0.5, 0.25, 0.25, 0.125, 0.0625]),
    ):
        assert rates(SequentialLR(optimizer, parts, [3]), 8) == close(expected)


def test_schedules_of_another_kind_or_optimizer_are_refused() -> None:
    optimizer = sgd()
    plateau, other = ReduceLROnPlateau(optimizer), StepLR(sgd(), 1)
    for wrong, error in ((plateau, TypeError), (other, ValueError), (3, TypeError)):
        with pytest.raises(error, match="schedule 1"):
            SequentialLR(optimizer, [StepLR(optimizer, 1), wrong], [3])  # type: ignore[list-item]
        with pytest.raises(error, match="schedule 1"):
            ChainedScheduler([StepLR(optimizer, 1), wrong])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="at least one"):
        ChainedScheduler([])
    for milestones in ([], [1, 2], [-1, -2]):
        with pytest.raises(ValueError, match="expected 1 ascending"):
            SequentialLR(optimizer, [StepLR(optimizer, 1)] * 2, milestones)


# Position


SCHEDULES: dict[str, Callable[[optim.Optimizer], LRScheduler]] = {
    "constant": lambda o: ConstantLR(o, 0.5, 12),
    "linear": lambda o: LinearLR(o, 0.1, total_iters=15),
    "step": lambda o: StepLR(o, 4, 0.5),
    "milestones": lambda o: MultiStepLR(o, [3, 11], 0.5),
    "exponential": lambda o: ExponentialLR(o, 0.9),
    "polynomial": lambda o: PolynomialLR(o, 18, 2),
    "cosine": lambda o: CosineAnnealingLR(o, 6, 0.01),
    "function": lambda o: LambdaLR(o, lambda t: 1 / (1 + t)),
    "warm-up and cosine": lambda o: WarmupCosineLR(o, 5, 20, 0.01),
    "restarts": lambda o: CosineAnnealingWarmRestarts(o, 2, 2),
    "one cycle": lambda o: OneCycleLR(o, 0.5, total_steps=40),
    "sequence": lambda o: SequentialLR(
        o, [LinearLR(o, 0.1, total_iters=4), CosineAnnealingLR(o, 9)], [4]
    ),
    "chain": lambda o: ChainedScheduler([LinearLR(o, 0.1, total_iters=8), ExponentialLR(o, 0.9)]),
}
EACH = pytest.mark.parametrize("make", SCHEDULES.values(), ids=SCHEDULES)


@EACH
@pytest.mark.parametrize("stop", [0, 7])
def test_a_resumed_schedule_continues_exactly(
    make: Callable[[optim.Optimizer], LRScheduler], stop: int
) -> None:
    straight = rates(make(sgd(0.1, 0.2)), 20, group=1)
    first = make(sgd(0.1, 0.2))
    rates(first, stop + 1)
    saved = json.dumps([first.state_dict(), first.optimizer.state_dict()["param_groups"]])
    second = make(sgd(0.1, 0.2))
    position, groups = json.loads(saved)
    second.load_state_dict(position)
    second.optimizer.load_state_dict({"state": {}, "param_groups": groups})
    assert second.get_last_lr() == first.get_last_lr()
    assert rates(second, 20 - stop, group=1) == straight[stop:]


@EACH
def test_restart_is_a_new_beginning(make: Callable[[optim.Optimizer], LRScheduler]) -> None:
    schedule = make(sgd())
    first = rates(schedule, 20)
    schedule.restart()
    assert rates(schedule, 20) == first


@pytest.mark.parametrize(
    "rule",
    [
        lambda o, last: StepLR(o, 4, 0.5, last),
        lambda o, last: LinearLR(o, 0.1, 1.0, 15, last),
        lambda o, last: CosineAnnealingLR(o, 6, 0.01, last),
        lambda o, last: LambdaLR(o, lambda t: 1 / (1 + t), last),
        lambda o, last: CosineAnnealingWarmRestarts(o, 2, 2, 0.0, last),
        lambda o, last: WarmupCosineLR(o, 5, 20, 0.01, last),
    ],
)
def test_last_epoch_continues_from_an_epoch(rule: Any) -> None:
    straight = rates(rule(sgd(0.1), -1), 20)
    optimizer = sgd(0.1)
    with pytest.raises(KeyError, match="initial_lr"):
        rule(optimizer, 6)
    optimizer.param_groups[0].update(initial_lr=0.1, lr=99)
    assert rates(rule(optimizer, 6), 13) == close(straight[7:])


@EACH
def test_a_state_that_does_not_fit_changes_nothing(
    make: Callable[[optim.Optimizer], LRScheduler],
) -> None:
    schedule = make(sgd())
    before = schedule.state_dict()
    wrong = dict(before, extra=1)
    del wrong["last_epoch"]
    with pytest.raises(ValueError, match=r"Missing: \['last_epoch'\], unknown: \['extra'\]"):
        schedule.load_state_dict(wrong)
    assert schedule.state_dict() == before


def test_a_part_that_does_not_fit_changes_nothing() -> None:
    schedule = SCHEDULES["chain"](sgd())
    before = schedule.state_dict()
    one, other = before["schedulers"]
    moved = {**one, "last_epoch": 9}
    for parts, message in (
        ([moved], "1 schedules, expected 2"),
        ([moved, {**other, "x": 1}], "unknown: .'x'"),
    ):
        with pytest.raises(ValueError, match=message):
            schedule.load_state_dict({**before, "last_epoch": 5, "schedulers": parts})
        assert schedule.state_dict() == before


# What is refused


def test_settings_out_of_range_are_refused() -> None:
    for make, message in (
        (lambda o: ConstantLR(o, 1.5), "factor is 1.5"),
        (lambda o: LinearLR(o, 0.0), "start_factor is 0"),
        (lambda o: LinearLR(o, 0.5, 2.0), "end_factor is 2"),
        (lambda o: StepLR(o, 0), "step_size is 0"),
        (lambda o: PolynomialLR(o, 0), "total_iters is 0"),
        (lambda o: CosineAnnealingLR(o, 0), "T_max is 0"),
        (lambda o: CosineAnnealingWarmRestarts(o, 0), "T_0 is 0"),
        (lambda o: CosineAnnealingWarmRestarts(o, 1, 1.5), "T_mult is 1.5"),
        (lambda o: CosineAnnealingWarmRestarts(o, 1).step(-2), "epoch is -2"),
        (lambda o: WarmupCosineLR(o, 5, 5), "5 warm-up steps of 5"),
        (lambda o: LambdaLR(o, [abs, abs]), "2 values of lr_lambda for 1 groups"),
        (lambda o: OneCycleLR(o, 1.0), "give total_steps"),
        (lambda o: OneCycleLR(o, 1.0, total_steps=0), "give total_steps"),
        (lambda o: OneCycleLR(o, 1.0, 10, pct_start=1.5), "pct_start is 1.5"),
        (lambda o: OneCycleLR(o, 1.0, 10, anneal_strategy="sin"), "anneal_strategy is 'sin'"),
        (lambda o: OneCycleLR(o, [1.0, 2.0], 10), "2 values of max_lr for 1 groups"),
        (lambda o: ReduceLROnPlateau(o, factor=1.0), "factor is 1.0"),
        (lambda o: ReduceLROnPlateau(o, "mean"), "mode is 'mean'"),
        (lambda o: ReduceLROnPlateau(o, threshold_mode="x"), "threshold_mode is 'x'"),
        (lambda o: ReduceLROnPlateau(o, min_lr=[0.1, 0.2]), "2 values of min_lr, 1 groups"),
    ):
        with pytest.raises(ValueError, match=message):
            make(sgd())
    with pytest.raises(ValueError, match="Adagrad has neither momentum nor betas"):
        OneCycleLR(optim.Adagrad(gu.ones(1)), 1.0, 10)
    for schedule in (StepLR, ReduceLROnPlateau, LambdaLR):
        with pytest.raises(TypeError, match="expected an optimizer, got float"):
            schedule(0.1, 3)  # type: ignore[arg-type]


def test_a_group_that_comes_after_the_schedule_is_pointed_out() -> None:
    optimizer = sgd()
    schedule = LambdaLR(optimizer, lambda t: 1.0)
    optimizer.add_param_group({"params": gu.ones(1)})
    with pytest.raises(ValueError, match="1 learning rates for 2 groups"):
        schedule.step()


def test_a_schedule_without_a_formula_changes_nothing() -> None:
    assert rates(LRScheduler(sgd(0.3)), 3) == [0.3] * 3
