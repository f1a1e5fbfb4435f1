"""What stands in one loop, in which order, and what is never written to memory (R1.4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import groundup as gu
import groundup.nn.functional as F
from groundup import nn, optim
from groundup.engine.compiler.fuse.fuse import Group, Product, base_of
from groundup.engine.compiler.graph import Value
from groundup.engine.compiler.plan.program import Program


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUNDUP_CACHE", "")


def compiled(f: Callable[..., Any], *inputs: gu.Tensor) -> tuple[Any, Program]:
    """What a function gives compiled, and its program."""
    once = gu.compile(f)
    found = once(*inputs)
    [traced] = [each for every in once.traces.values() for each in every]
    return found, traced.program


def groups(program: Program) -> list[Group]:
    return [step for step in program.plan.steps if isinstance(step, Group)]


def stored(program: Program) -> list[str]:
    """The operations whose results are written to memory."""
    return sorted(value.name for value in program.plan.stored)


def names(group: Group) -> list[str]:
    return [value.name for value in group.members]


def with_gradients(f: Callable[..., gu.Tensor]) -> Callable[..., Any]:
    """The result and the gradients of its inputs."""

    def both(*inputs: gu.Tensor) -> tuple[gu.Tensor, ...]:
        y = f(*inputs)
        return y.detach(), *gu.grad(y, list(inputs))

    return both


def agree(found: Any, expected: Any) -> None:
    for a, b in zip(found, expected, strict=True):
        size = float(np.abs(b.numpy()).max())
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=2e-5, atol=3e-6 * size)


def leaves(*shapes: tuple[int, ...]) -> list[gu.Tensor]:
    return [gu.randn(*shape).requires_grad_() for shape in shapes]


def mlp_step(depth: int, width: int = 32) -> tuple[Callable[..., gu.Tensor], nn.Module]:
    layers = [each for _ in range(depth) for each in (nn.Linear(width, width), nn.ReLU())]
    model = nn.Sequential(*layers, nn.Linear(width, 4))
    optimizer = optim.AdamW(model.parameters(), lr=1e-3)

    def step(x: gu.Tensor, y: gu.Tensor) -> gu.Tensor:
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
        optimizer.step()
        return loss.detach()

    return step, model


def test_each_weight_gradient_is_made_while_what_it_needs_is_new() -> None:
    step, _ = mlp_step(depth=6)
    _, program = compiled(step, gu.randn(64, 32), gu.randint(0, 4, (64,)))
    place: dict[Value, int] = {}
    for i, each in enumerate(program.plan.steps):
        for value in each.members if isinstance(each, Group) else [each.value]:
            place[value] = i
    backward = [s.value for s in program.plan.steps if isinstance(s, Product)][7:]
    assert len(backward) == 13
    for value in backward:
        newest = max(place.get(base_of(x), -1) for x in value.inputs)
        assert place[value] - newest <= 10


def test_gradients_do_not_wait_for_the_end() -> None:
    def arena(depth: int) -> int:
        step, _ = mlp_step(depth, width=64)
        _, program = compiled(step, gu.randn(2048, 64), gu.randint(0, 4, (2048,)))
        return program.plan.arena.nbytes

    # Of each layer the result is kept for the backward pass, and the product that made it, not
    # the gradient.
    assert (arena(9) - arena(5)) / 4 <= 2.1 * 2048 * 64 * 4


def test_a_bias_gradient_is_summed_where_the_gradient_is_made() -> None:
    step, _ = mlp_step(depth=4)
    _, program = compiled(step, gu.randn(64, 32), gu.randint(0, 4, (64,)))
    assert not [g for g in groups(program) if set(names(g)) == {"sum"}]


def test_clipping_and_updating_a_parameter_is_one_kernel() -> None:
    step, model = mlp_step(depth=2)
    _, program = compiled(step, gu.randn(64, 32), gu.randint(0, 4, (64,)))
    updates = [
        g for g in groups(program) if {"div", "sub"} <= set(names(g)) and "exp" not in names(g)
    ]
    updates = [g for g in updates if g.sizes != (1,)]
    written = [sum(v in program.plan.stored for v in group.members) for group in updates]
    # The parameter, two moments, and the gradient, which is shown afterwards.
    assert written == [4] * len(list(model.parameters()))


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_a_layer_on_texts_has_the_kernels_of_one_on_rows(approximate: str) -> None:
    up, down, norm = nn.Linear(16, 64), nn.Linear(64, 16), nn.LayerNorm(16)

    def f(x: gu.Tensor) -> gu.Tensor:
        for _ in range(2):
            x = norm(x + down(F.gelu(up(x), approximate=approximate)))
        return (x * x * x).sum()

    x = gu.randn(6, 10, 16).requires_grad_()
    found, program = compiled(with_gradients(f), x)
    agree(found, with_gradients(f)(x))
    rows = x.detach().reshape(60, 16).requires_grad_()
    _, of_rows = compiled(with_gradients(f), rows)
    assert len(program.plan.steps) <= len(of_rows.plan.steps) + 1


@pytest.mark.parametrize(
    "f",
    [
        lambda x, w, y: (x @ w).reshape(3, 4, 5) + y,
        lambda x, w, y: ((x @ w).reshape(3, 4, 5) * y[:, :1]).sum((0, 1)),
        lambda x, w, y: ((x @ w).reshape(3, 4, 5) - y[:1, :1]).sum(2, keepdim=True),
        lambda x, w, y: ((x @ w).reshape(3, 4, 5) * y.permute(0, 2, 1).permute(0, 2, 1)).amax(
            (1, 2)
        ),
        lambda x, w, y: (x @ w).reshape(3, 4, 5).sum((0, 2)) * y[:, 1].sum(),
        lambda x, w, y: (x @ w).reshape(3, 4, 5) * y.flip(0) + (x @ w).reshape(3, 4, 1, 5)[:, :, 0],
        lambda x, w, y: (x @ w).reshape(2, 6, 5) * y.reshape(2, 6, 5) + y.sum(),
    ],
)
def test_first_dimensions_are_merged_only_where_all_go_together(
    f: Callable[..., gu.Tensor],
) -> None:
    def loss(*inputs: gu.Tensor) -> gu.Tensor:
        return (f(*inputs) ** 2).sum()

    inputs = leaves((12, 7), (7, 5), (3, 4, 5))
    agree(compiled(with_gradients(loss), *inputs)[0], with_gradients(loss)(*inputs))


def test_the_derivative_of_gelu_is_one_kernel_and_keeps_two_values() -> None:
    def f(x: gu.Tensor, w: gu.Tensor, v: gu.Tensor) -> gu.Tensor:
        for _ in range(6):
            x = F.gelu(x @ w + 1.0, approximate="tanh") @ v * 0.02
        return (x * x).sum()

    inputs = leaves((64, 32), (32, 64), (64, 32))
    found, program = compiled(with_gradients(f), *inputs)
    agree(found, with_gradients(f)(*inputs))
    *_, last = [g for g in groups(program) if g.sizes == (64, 64)]
    read = {base_of(x) for value in last.members for x in value.inputs} - last.members.keys()
    # The gradient, what the layer computes, and tanh.
    assert sorted(x.name for x in read if x.size > 1) == ["matmul", "matmul", "tanh"]


def test_the_mask_of_a_relu_is_not_written() -> None:
    def f(x: gu.Tensor, w: gu.Tensor, v: gu.Tensor) -> gu.Tensor:
        for _ in range(8):
            x = (x @ w).relu() @ v * 0.02
        return (x * x).sum()

    inputs = leaves((64, 32), (32, 64), (64, 32))
    found, program = compiled(with_gradients(f), *inputs)
    agree(found, with_gradients(f)(*inputs))
    assert "gt" not in stored(program)
    assert "cast" not in stored(program)


def test_what_equality_depends_on_is_not_computed_twice() -> None:
    # Computed a second time, in another loop, x * y + z might be rounded otherwise, and none of
    # its elements be equal to the largest.
    def f(x: gu.Tensor, y: gu.Tensor, z: gu.Tensor) -> gu.Tensor:
        a = x * y + z
        top = a.amax(1)
        return ((a @ a.T).sum(1) * top).sum()

    inputs = leaves((40, 24), (40, 24), (40, 24))
    agree(compiled(with_gradients(f), *inputs)[0], with_gradients(f)(*inputs))


def test_compiled_steps_repeat_bit_for_bit() -> None:
    def losses() -> list[float]:
        gu.manual_seed(3)
        step, _ = mlp_step(depth=3)
        numbers = gu.Generator().manual_seed(1)
        x = gu.randn(64, 32, generator=numbers)
        y = gu.randint(0, 4, (64,), generator=numbers)
        once = gu.compile(step)
        return [once(x, y).item() for _ in range(5)]

    assert losses() == losses()


def test_exp_of_masked_scores_is_0() -> None:
    low = [-103.9, -104.1, -1e4, -1e30, -np.inf, np.nan, 0.0, 89.5, np.inf]
    x = gu.tensor(np.array(low * 3, np.float32))
    found, _ = compiled(lambda x: gu.exp(x), x)
    with np.errstate(over="ignore", under="ignore"):
        expected = np.exp(np.array(low * 3, np.float64)).astype(np.float32)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6, atol=2e-45)


def test_tanh_becomes_1() -> None:
    x = gu.tensor(np.array([9.2, 10, 20, 1e30, np.inf] * 4, np.float32))
    found, _ = compiled(lambda x: gu.tanh(x), x)
    assert (found.numpy() == 1).all()


def test_softmax_with_a_mask_agrees() -> None:
    mask = gu.tensor(np.tril(np.ones((24, 24), bool)))

    def f(q: gu.Tensor, k: gu.Tensor, v: gu.Tensor) -> gu.Tensor:
        return (F.scaled_dot_product_attention(q, k, v, mask) ** 2).sum()

    inputs = leaves((2, 3, 24, 8), (2, 3, 24, 8), (2, 3, 24, 8))
    agree(compiled(with_gradients(f), *inputs)[0], with_gradients(f)(*inputs))
