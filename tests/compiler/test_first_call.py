"""A first call: kernels are shared, time grows as the program does, memory is packed. R1.4."""

import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

import groundup as gu
from groundup import nn, optim
from groundup.engine.compiler.native import native
from groundup.engine.compiler.plan import program
from groundup.engine.compiler.plan.plan import arrange
from groundup.nn import functional as F

Step = Callable[..., Any]


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Any) -> Any:
        q, k, v = self.qkv(self.norm(x)).chunk(3, dim=-1)
        x = x + F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return x + self.down(F.gelu(self.up(x)))


def training(model: nn.Module) -> Any:
    optimizer = optim.AdamW(model.parameters(), lr=1e-3)

    @gu.compile
    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.detach()

    return step


def deep(layers: int, width: int = 12) -> Any:
    gu.manual_seed(0)
    return training(nn.Sequential(*[Block(width) for _ in range(layers)], Last(width)))


class Last(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.head = nn.Linear(width, 5)

    def forward(self, x: Any) -> Any:
        return self.head(x[:, -1])


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(6, 8, batch_first=True), nn.Linear(8, 5)

    def forward(self, x: Any) -> Any:
        return self.head(self.lstm(x)[0][:, -1])


def kernels(step: Any, *shape: int) -> int:
    """How many different kernels the first call needs."""
    step(gu.randn(*shape), gu.randint(0, 5, (shape[0],)))
    [report] = gu.explain(step).programs
    return report.kernels


def test_time_steps_share_kernels() -> None:
    """Where in an array a step of time begins is no part of a kernel; how many there are may be."""
    few, many = (kernels(training(Recurrent()), 3, steps, 6) for steps in (7, 27))
    assert abs(many - few) < 5


def test_layers_share_kernels() -> None:
    few, many = (kernels(deep(layers), 2, 7, 12) for layers in (3, 5))
    assert many == few


@pytest.mark.slow
def test_time_grows_as_the_program_does() -> None:
    """Four times the layers take about four times the time, not sixteen times."""
    x, y = gu.randn(2, 7, 12), gu.randint(0, 5, (2,))
    deep(2)(x, y)  # the kernels are compiled here
    taken = []
    for layers in (24, 96):
        step = deep(layers)
        began = time.process_time()
        step(x, y)
        taken.append(time.process_time() - began)
    assert taken[1] < 8 * taken[0]


def test_what_the_disk_has_is_not_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path))
    monkeypatch.setattr(native, "_functions", {})
    x = gu.randn(5, 7)

    def f(x: Any) -> Any:
        return (x.exp() + 3.0625).sum()

    first = gu.compile(f)(x)
    monkeypatch.setattr(native, "_functions", {})
    monkeypatch.setattr(program, "emit", unwanted)
    assert gu.compile(f)(x).item() == first.item()


def unwanted(*_: Any) -> str:
    raise AssertionError("a kernel is written that is on the disk")


# Memory


def plainly(wanted: list[tuple[int, int, int]]) -> list[int]:
    """The same rule, word for word: the largest first, each in the first gap."""
    places: dict[int, int] = {}
    for i in sorted(range(len(wanted)), key=lambda i: -wanted[i][2]):
        start, end, size = wanted[i]
        place = 0
        others = [j for j in places if wanted[j][0] <= end and start <= wanted[j][1]]
        for j in sorted(others, key=lambda j: (places[j], wanted[j][2])):
            if places[j] - place >= size:
                break
            place = max(place, places[j] + wanted[j][2])
        places[i] = place
    return [places[i] for i in range(len(wanted))]


things = st.tuples(st.integers(0, 30), st.integers(0, 10), st.integers(1, 20)).map(
    lambda t: (t[0], t[0] + t[1], t[2])
)


@given(st.lists(things, max_size=40))
def test_things_do_not_overlap(wanted: list[tuple[int, int, int]]) -> None:
    places, top = arrange(wanted)
    assert places == plainly(wanted)
    assert top == max((p + w[2] for p, w in zip(places, wanted, strict=True)), default=0)
    for t in range(42):
        now = sorted(
            (p, p + w[2]) for p, w in zip(places, wanted, strict=True) if w[0] <= t <= w[1]
        )
        assert all(a[1] <= b[0] for a, b in pairwise(now))


def test_the_arena_is_hardly_larger_than_what_lives_at_once() -> None:
    step = deep(4, width=48)
    step(gu.randn(4, 33, 48), gu.randint(0, 5, (4,)))
    [[traced]] = step.traces.values()
    plan = traced.program.plan
    live = np.zeros(len(plan.steps) + 1)
    for value, (first, last) in plan.lives.items():
        live[first : last + 1] += value.size * value.dtype.itemsize
    assert live.max() <= plan.arena.nbytes <= 1.05 * live.max() + 64 * len(plan.offsets)


def with_gradients(model: nn.Module) -> Step:
    def f(x: Any, y: Any) -> Any:
        model.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        return loss.detach()

    return f


def grads(model: nn.Module) -> list[Any]:
    found = [p.grad for p in model.parameters()]
    return [g.numpy() for g in found if g is not None]


def mlp() -> nn.Sequential:
    gu.manual_seed(1)
    return nn.Sequential(nn.Linear(90, 120), nn.Tanh(), nn.Linear(120, 5))


def test_gradients_stay_until_the_next_call() -> None:
    """They lie where the next call puts other values first, and nobody sees that."""
    model, twin = mlp(), mlp()
    f = gu.compile(with_gradients(model))
    for seed in range(3):
        gu.manual_seed(seed)
        x, y = gu.randn(200, 90), gu.randint(0, 5, (200,))
        f(x, y)
        with_gradients(twin)(x, y)
        gu.compile(lambda x: (x @ x.transpose(0, 1)).exp().sum())(x * 0.01)
        for g, expected in zip(grads(model), grads(twin), strict=True):
            np.testing.assert_allclose(g, expected, rtol=1e-4, atol=1e-6)


def test_a_refused_call_leaves_gradients_as_they_were() -> None:
    model = mlp()
    f = gu.compile(with_gradients(model))
    x, y = gu.randn(200, 90), gu.randint(0, 5, (200,))
    f(x, y)
    before = [g.copy() for g in grads(model)]
    assert len(before) == 4
    y[17] = 5
    with pytest.raises(IndexError, match="found 5"):
        f(x, y)
    for g, expected in zip(grads(model), before, strict=True):
        np.testing.assert_array_equal(g, expected)


def test_a_gradient_may_be_an_argument_of_the_next_call() -> None:
    model, twin = mlp(), mlp()

    def make(model: nn.Sequential) -> Step:
        weight: Any = model[0].weight

        def f(x: Any, y: Any, past: Any) -> Any:
            model.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            return (past * 2).sum() + weight.grad.sum(), past + 1

        return f

    f, eager = gu.compile(make(model)), make(twin)
    past: list[Any] = [gu.zeros(120, 90), gu.zeros(120, 90)]
    for seed in range(3):
        gu.manual_seed(seed)
        x, y = gu.randn(200, 90), gu.randint(0, 5, (200,))
        found, expected = f(x, y, past[0]), eager(x, y, past[1])
        np.testing.assert_allclose(found[0].item(), expected[0].item(), rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(found[1].numpy(), expected[1].numpy(), rtol=1e-4, atol=1e-6)
        past = [each[0].weight.grad for each in (model, twin)]
