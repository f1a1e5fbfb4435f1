"""Update rules: what each optimizer does to numbers, from the equations alone.

Covers R2.2.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from numpy.typing import NDArray

import groundup as gu
from groundup import optim
from groundup.engine.base import mode

Make = Callable[[Any], optim.Optimizer]

RULES: dict[str, Make] = {
    "SGD": lambda p: optim.SGD(p, lr=0.3),
    "SGD, momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.8),
    "SGD, dampening": lambda p: optim.SGD(p, lr=0.3, momentum=0.8, dampening=0.5),
    "SGD, Nesterov": lambda p: optim.SGD(p, lr=0.1, momentum=0.8, nesterov=True),
    "RMSprop": lambda p: optim.RMSprop(p, lr=0.02, alpha=0.9),
    "RMSprop, momentum": lambda p: optim.RMSprop(p, lr=0.005, alpha=0.9, momentum=0.8),
    "RMSprop, centred": lambda p: optim.RMSprop(p, lr=0.01, alpha=0.9, eps=0.1, centered=True),
    "Adam": lambda p: optim.Adam(p, lr=0.05),
    "Adam, AMSGrad": lambda p: optim.Adam(p, lr=0.05, amsgrad=True),
    "AdamW": lambda p: optim.AdamW(p, lr=0.05, weight_decay=0),
    "Adagrad": lambda p: optim.Adagrad(p, lr=0.5),
}
EACH = pytest.mark.parametrize("make", RULES.values(), ids=RULES)
sizes = st.floats(1e-3, 1e3)
signs = st.sampled_from([-1.0, 1.0])


def parameter(values: Any, dtype: Any = gu.float32) -> gu.Tensor:
    return gu.tensor(values, dtype=dtype, requires_grad=True)


def descend(optimizer: optim.Optimizer, loss: Callable[[], gu.Tensor], steps: int) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()


def values(x: gu.Tensor) -> NDArray[Any]:
    return x.detach().numpy().copy()


@EACH
def test_minimizes_convex_quadratics(make: Make, seed: int) -> None:
    # 64 at once, of 4 variables each, turned at random.
    random = np.random.default_rng(seed)
    turns = np.linalg.qr(random.normal(size=(64, 4, 4)))[0]
    curvatures = random.uniform(0.5, 2, (64, 4, 1))
    A = gu.tensor(turns @ (curvatures * turns.transpose(0, 2, 1)), dtype=gu.float32)
    centre = gu.tensor(random.uniform(-1, 1, (64, 4, 1)), dtype=gu.float32)
    x = parameter(random.uniform(-2, 2, (64, 4, 1)))

    def losses() -> gu.Tensor:
        d = x - centre
        return (d * (A @ d)).sum(dim=(1, 2)) / 2

    before = values(losses())
    descend(make([x]), lambda: losses().sum(), 300)
    assert (values(losses()) < 0.01 * np.maximum(before, 0.01)).all()


@pytest.mark.parametrize("nesterov", [False, True])
@given(a=st.floats(0.1, 2), lr=st.floats(0.01, 0.5), mu=st.floats(0.1, 0.95), x0=st.floats(-3, 3))
def test_momentum_on_a_parabola_is_a_linear_map(
    nesterov: bool, a: float, lr: float, mu: float, x0: float
) -> None:
    # b' = mu b + a x and x' = x - lr b' is one matrix for (x, b); t steps are its t-th power.
    if nesterov:  # x' = x - lr (a x + mu b')
        one_step = np.array([[1 - lr * a * (1 + mu), -lr * mu * mu], [a, mu]])
    else:
        one_step = np.array([[1 - lr * a, -lr * mu], [a, mu]])
    x = parameter(x0, gu.float64)
    optimizer = optim.SGD([x], lr=lr, momentum=mu, nesterov=nesterov)
    descend(optimizer, lambda: x.square() * (a / 2), 40)
    expected = np.linalg.matrix_power(one_step, 40) @ [x0, 0]
    np.testing.assert_allclose(x.item(), expected[0], rtol=1e-9, atol=1e-12)
    buffer = optimizer.state[x]["momentum_buffer"].item()
    np.testing.assert_allclose(buffer, expected[1], rtol=1e-9, atol=1e-12)


def test_dampening_spares_the_first_gradient() -> None:
    x = parameter([0.0])
    optimizer = optim.SGD([x], lr=1, momentum=0.5, dampening=0.75)
    x.grad = gu.tensor([8.0])
    optimizer.step()
    assert x.tolist() == [-8.0]
    optimizer.step()  # velocity 0.5 * 8 + 0.25 * 8
    assert x.tolist() == [-14.0]


@pytest.mark.parametrize("dtype", [gu.float32, gu.float64])
@pytest.mark.parametrize("rule", [optim.Adam, optim.AdamW])
@given(size=sizes, sign=signs, lr=st.floats(1e-4, 1), betas=st.tuples(*[st.floats(0, 0.9999)] * 2))
def test_adams_first_step_is_lr_whatever_the_gradient(
    rule: Any, dtype: Any, size: float, sign: float, lr: float, betas: tuple[float, float]
) -> None:
    x = parameter([0.0], dtype)
    x.grad = gu.tensor([sign * size], dtype=dtype)
    rule([x], lr=lr, betas=betas, eps=0).step()
    np.testing.assert_allclose(x.item(), -sign * lr, rtol=2e-6 if dtype == gu.float32 else 1e-11)


@given(
    size=sizes,
    sign=signs,
    beta1=st.floats(0, 0.99),
    beta2=st.floats(0, 0.9999),
    eps=st.sampled_from([0.0, 0.5]),
)
def test_adams_bias_corrections_are_exact(
    size: float, sign: float, beta1: float, beta2: float, eps: float
) -> None:
    # Under a constant gradient g both corrected means are exact: each step is lr g / (|g| + eps).
    x = parameter([0.0])
    x.grad = gu.tensor([sign * size])
    optimizer = optim.Adam([x], lr=0.125, betas=(beta1, beta2), eps=eps)
    for t in range(1, 101):
        optimizer.step()
        expected = -sign * 0.125 * size / (size + eps) * t
        np.testing.assert_allclose(x.item(), expected, rtol=1e-5)


@pytest.mark.parametrize(
    "make",
    [
        lambda p: optim.Adam(p, lr=0.1, eps=0),
        lambda p: optim.Adam(p, lr=0.1, eps=0, amsgrad=True),
        lambda p: optim.RMSprop(p, lr=0.1, eps=0),
        lambda p: optim.RMSprop(p, lr=0.1, eps=0, momentum=0.9, centered=True),
        lambda p: optim.Adagrad(p, lr=0.1, eps=0, lr_decay=0.1),
    ],
    ids=["Adam", "AMSGrad", "RMSprop", "RMSprop, centred", "Adagrad"],
)
@given(scale=st.floats(1e-3, 1e3), seed=st.integers(0, 1000))
def test_adaptive_steps_ignore_the_scale_of_the_loss(make: Make, scale: float, seed: int) -> None:
    gradients = np.random.default_rng(seed).normal(size=(20, 3))
    small, large = parameter([1.0, 2.0, 3.0], gu.float64), parameter([1.0, 2.0, 3.0], gu.float64)
    optimizers = make([small]), make([large])
    for g in gradients:
        small.grad, large.grad = gu.tensor(g), gu.tensor(g * scale)
        for optimizer in optimizers:
            optimizer.step()
    np.testing.assert_allclose(values(small), values(large), rtol=1e-9)


def test_rmsprop_divides_by_the_root_of_the_mean_square() -> None:
    x = parameter([0.0])
    optimizer = optim.RMSprop([x], lr=1, alpha=0.75, eps=0)
    x.grad = gu.tensor([4.0])
    optimizer.step()  # mean square 0.25 * 16 = 4
    assert x.tolist() == [-2.0]
    x.grad = gu.tensor([2.0])
    optimizer.step()  # mean square 0.75 * 4 + 0.25 * 4 = 4
    assert x.tolist() == [-3.0]


def test_centred_rmsprop_survives_a_constant_gradient() -> None:
    # The mean square and the squared mean come to agree; rounding must not make their difference
    # negative, and its root not a number.
    x = parameter(np.full(100, 1.0))
    x.grad = gu.tensor(np.linspace(0.1, 10, 100), dtype=gu.float32)
    optimizer = optim.RMSprop([x], lr=1e-6, alpha=0.5, centered=True)
    for _ in range(100):
        optimizer.step()
    assert gu.isfinite(x).all()


def test_adagrad_divides_by_the_root_of_the_sum_of_squares() -> None:
    x = parameter([0.0])
    optimizer = optim.Adagrad([x], lr=1, lr_decay=1, eps=0)
    x.grad = gu.tensor([3.0])
    optimizer.step()
    assert x.tolist() == [-1.0]
    x.grad = gu.tensor([4.0])
    optimizer.step()  # half the rate, 4 / sqrt(9 + 16)
    np.testing.assert_allclose(x.item(), -1.4, rtol=1e-6)


def test_amsgrad_keeps_the_largest_mean_square() -> None:
    x = parameter([0.0])
    optimizer = optim.Adam([x], lr=0.1, amsgrad=True)
    for i in range(20):
        x.grad = gu.tensor([100.0 if i == 3 else 0.1])
        optimizer.step()
        state = optimizer.state[x]
        if i == 3:
            peak = state["exp_avg_sq"].item()
    assert state["exp_avg_sq"].item() < peak
    assert state["max_exp_avg_sq"].item() == peak


# Weight decay


@given(x0=st.floats(0.1, 10), decay=st.floats(0.01, 0.5), lr=st.floats(0.01, 0.5))
def test_adamw_shrinks_weights_whatever_their_gradient(x0: float, decay: float, lr: float) -> None:
    x = parameter([x0], gu.float64)
    x.grad = gu.zeros_like(x)
    optimizer = optim.AdamW([x], lr=lr, weight_decay=decay)
    for _ in range(10):
        optimizer.step()
    np.testing.assert_allclose(x.item(), x0 * (1 - lr * decay) ** 10, rtol=1e-12)


def test_adams_penalty_goes_through_the_scaling() -> None:
    # As a gradient, a small penalty moves the weight as far as a large one: the reason for AdamW.
    moved = []
    for decay in (0.001, 0.1):
        x = parameter([2.0], gu.float64)
        x.grad = gu.zeros_like(x)
        optim.Adam([x], lr=0.1, weight_decay=decay, eps=0).step()
        moved.append(2 - x.item())
    np.testing.assert_allclose(moved, 0.1, rtol=1e-12)


def test_adamw_is_adam_apart_from_the_shrinking() -> None:
    g = np.random.default_rng(0).normal(size=(30, 4))
    one, other = parameter(np.ones(4), gu.float64), parameter(np.ones(4), gu.float64)
    adam = optim.Adam([one], lr=0.1)
    adamw = optim.AdamW([other], lr=0.1, weight_decay=0.2)
    for row in g:
        before = values(one), values(other)
        one.grad, other.grad = gu.tensor(row), gu.tensor(row)
        adam.step()
        adamw.step()
        step = values(one) - before[0]
        np.testing.assert_allclose(values(other), before[1] * (1 - 0.1 * 0.2) + step, rtol=1e-12)


L2 = {
    "SGD": lambda p, **more: optim.SGD(p, lr=0.1, momentum=0.9, **more),
    "RMSprop": lambda p, **more: optim.RMSprop(p, lr=0.01, **more),
    "Adam": lambda p, **more: optim.Adam(p, lr=0.1, **more),
    "Adagrad": lambda p, **more: optim.Adagrad(p, lr=0.1, **more),
}


@pytest.mark.parametrize("make", L2.values(), ids=L2)
def test_weight_decay_is_an_l2_penalty(make: Any) -> None:
    one, other = parameter([1.0, -2.0], gu.float64), parameter([1.0, -2.0], gu.float64)
    descend(make([one], weight_decay=0.3), lambda: (one - 3).pow(4).sum(), 20)
    descend(make([other]), lambda: (other - 3).pow(4).sum() + 0.3 / 2 * other.square().sum(), 20)
    np.testing.assert_allclose(values(one), values(other), rtol=1e-10)


@pytest.mark.parametrize("make", [*L2.values(), lambda p, **more: optim.AdamW(p, **more)])
def test_maximize_ascends(make: Any) -> None:
    one, other = parameter([1.0, -2.0]), parameter([1.0, -2.0])
    descend(make([one], maximize=True, weight_decay=0.1), lambda: one.sin().sum(), 20)
    descend(make([other], weight_decay=0.1), lambda: -(other.sin().sum()), 20)
    assert one.tolist() == other.tolist()


# What all rules have in common


@EACH
def test_groups_do_not_touch_each_other(make: Make) -> None:
    random = np.random.default_rng(5)
    start = random.normal(size=(2, 4))
    together = [parameter(x) for x in start]
    apart = [parameter(x) for x in start]
    both = make([{"params": [together[0]]}, {"params": [together[1]], "lr": 0.007}])
    first, second = make([apart[0]]), make([{"params": [apart[1]], "lr": 0.007}])
    for _ in range(20):
        for x, y in zip(together, apart, strict=True):
            x.grad = gu.tensor(random.normal(size=4), dtype=gu.float32)
            y.grad = x.grad
        for optimizer in (both, first, second):
            optimizer.step()
    assert [x.tolist() for x in together] == [x.tolist() for x in apart]


@EACH
def test_a_step_without_a_gradient_is_no_step(make: Make) -> None:
    random = np.random.default_rng(6)
    x, y, never = parameter([1.0, 2.0]), parameter([1.0, 2.0]), parameter([5.0])
    alone = parameter([1.0, 2.0])
    optimizer, lonely = make([x, y, never]), make([alone])
    for i in range(30):
        x.grad = gu.tensor(random.normal(size=2), dtype=gu.float32)
        y.grad = gu.tensor(random.normal(size=2), dtype=gu.float32) if i % 3 else None
        before = y.tolist()
        optimizer.step()
        if y.grad is None:
            assert y.tolist() == before
        else:
            alone.grad = y.grad
            lonely.step()
    assert y.tolist() == alone.tolist()
    assert never.tolist() == [5.0]
    assert never not in optimizer.state


@EACH
def test_a_step_stays_in_place_and_reads_no_value(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What a compiler relies on: memory that stays, and no Python decision on a number.
    x, y = parameter([[1.0, 2.0]]), parameter(3.0)
    optimizer = make([x, y])
    for p in (x, y):
        p.grad = gu.ones_like(p)
    optimizer.step()
    state = {p: dict(optimizer.state.get(p, {})) for p in (x, y)}
    memory = [p.array for p in (x, y)]

    def refuse(*_: Any) -> Any:
        raise AssertionError("a step read a value")

    for name in ("item", "tolist", "numpy", "__bool__", "__float__", "__int__", "__array__"):
        monkeypatch.setattr(gu.Tensor, name, refuse)
    optimizer.step()
    assert all(p.array is before for p, before in zip((x, y), memory, strict=True))
    for p in (x, y):
        now = optimizer.state.get(p, {})
        assert now.keys() == state[p].keys()
        assert all(now[name] is before for name, before in state[p].items())


@EACH
@pytest.mark.parametrize("dtype", [gu.float16, gu.float32, gu.float64])
def test_dtypes_stay(make: Make, dtype: Any) -> None:
    x, wide = parameter([1.0, 2.0], dtype), parameter([1.0], gu.float64)
    optimizer = make([x, wide])
    for _ in range(2):
        x.grad, wide.grad = gu.full_like(x, 0.5), gu.ones_like(wide)
        optimizer.step()
    assert x.dtype == dtype
    assert not x.isnan().any()
    for name, value in optimizer.state.get(x, {}).items():
        assert value.dtype == (gu.float32 if name == "step" else dtype)


@EACH
def test_empty_and_scalar_parameters(make: Make) -> None:
    empty, scalar = parameter(np.zeros((0, 3))), parameter(1.0)
    descend(make([empty, scalar]), lambda: scalar.square() + empty.sum(), 3)
    assert empty.shape == (0, 3)
    assert abs(scalar.item()) < 1


def test_bias_corrections_are_computed_once_for_all_parameters() -> None:
    calls: list[str] = []
    params = [parameter([1.0]) for _ in range(10)]
    optimizer = optim.Adam(params)
    for p in params:
        p.grad = gu.ones_like(p)
    optimizer.step()
    mode.observers = (lambda primitive, *_: calls.append(primitive.name),)
    try:
        optimizer.step()
    finally:
        mode.observers = ()
    assert calls.count("expm1") == 2


def test_counters_part_where_steps_differ() -> None:
    x, y = parameter([1.0]), parameter([1.0])
    optimizer = optim.Adam([x, y])
    steps = []
    for i in range(6):
        x.grad = gu.ones_like(x)
        y.grad = gu.ones_like(y) if i in (0, 1, 4) else None
        optimizer.step()
        steps.append([optimizer.state[p]["step"].item() for p in (x, y)])
    assert steps == [[1, 1], [2, 2], [3, 2], [4, 2], [5, 3], [6, 3]]


def test_float32_counts_do_not_blur_the_bias_correction() -> None:
    # 1 - 0.9999**t in float32 would be off by 1e-4 of itself in the first steps.
    x = parameter([0.0])
    x.grad = gu.tensor([1.0])
    optim.Adam([x], lr=1, betas=(0.9999, 0.99999), eps=0).step()
    assert math.isclose(x.item(), -1, rel_tol=1e-6)
