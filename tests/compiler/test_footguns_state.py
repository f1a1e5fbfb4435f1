"""What goes wrong in compilers that trace: tensors that are changed, shared, or random (R1.4).

Everything here is done twice, compiled and not, and must leave the same behind.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import groundup as gu
import groundup.nn.functional as F
from groundup import nn, optim
from groundup.engine.compiler.trace.trace import TraceError

from .footguns import both_ways, near

# State


def test_state_that_is_replaced() -> None:
    holder = nn.Module()
    holder.mask = gu.ones(3)
    f = gu.compile(lambda x: x * holder.mask)
    x = gu.arange(3, dtype=gu.float32)
    assert f(x).tolist() == [0, 1, 2]
    holder.mask = gu.full((3,), 2.0)
    assert f(x).tolist() == [0, 2, 4]
    holder.mask.mul_(2)
    assert f(x).tolist() == [0, 4, 8]
    holder.mask = gu.tensor(5.0)
    assert f(x).tolist() == [0, 5, 10]


def test_state_read_before_and_after_it_is_written() -> None:
    def body(wrap: Any) -> Any:
        s = gu.ones(2, 3)

        def f(x: gu.Tensor) -> Any:
            before = s.clone()
            s.add_(x)
            between = s * 2
            s.mul_(s)
            return before, between, s.clone(), s.t().clone()

        call = wrap(f)
        return [call(gu.full((2, 3), 2.0)), call(gu.ones(2, 3)), s]

    both_ways(body)


def test_views_of_state_are_written() -> None:
    def body(wrap: Any) -> Any:
        s = gu.arange(12, dtype=gu.float32).reshape(3, 4)

        def f(x: gu.Tensor) -> Any:
            row = s[1]
            row.add_(x)
            s[:, 1:3].mul_(2)
            s.t()[0].fill_(7)
            s[2, 3] = 100.0
            s[gu.tensor([0, 2])] = s[gu.tensor([2, 0])] * 1
            return row.clone(), s.sum()

        call = wrap(f)
        return [call(gu.ones(4)), call(gu.ones(4)), s]

    both_ways(body)


def test_temporary_that_is_filled_step_by_step() -> None:
    def body(wrap: Any) -> Any:
        def f(x: gu.Tensor) -> gu.Tensor:
            out = gu.zeros(3, 2)
            for i in range(3):
                out[i] = x * i
            return out

        call = wrap(f)
        x = gu.ones(2, requires_grad=True)
        with gu.no_grad():
            plain = call(x)
        call(x).square().sum().backward()
        return [plain, call(gu.full((2,), 3.0)), x.grad]

    both_ways(body)


def test_two_tensors_that_share_memory() -> None:
    s = gu.ones(4)
    part = s[:2]

    def f() -> gu.Tensor:
        s.add_(1)
        return part * 1

    with pytest.raises(TraceError, match=r"test_footguns_state.*shares memory .* clone\(\)"):
        gu.compile(f)()
    assert s.tolist() == [1] * 4
    g = gu.compile(lambda: s.sum() + part.sum())  # reading is no problem
    assert g().item() == 6


def test_argument_that_is_changed_in_place() -> None:
    def body(wrap: Any) -> Any:
        def f(x: gu.Tensor, y: gu.Tensor) -> Any:
            x.mul_(2)
            y[0] = x[1]
            return x, x + y

        call = wrap(f)
        x, y = gu.ones(2), gu.zeros(3, 2).t()[:2, :2].t()
        out = call(x, y)
        assert out[0] is x
        return [out, call(x, y), x, y]

    both_ways(body)
    x = gu.ones(4)
    with pytest.raises(TraceError, match="two arguments share memory"):
        gu.compile(lambda a, b: a.add_(b))(x[:2], x[1:3])


def test_argument_that_is_also_state() -> None:
    w = gu.ones(2)

    def f(x: gu.Tensor) -> gu.Tensor:
        w.add_(1)
        return x * w

    call = gu.compile(f)
    call(gu.ones(2))
    with pytest.raises(TraceError, match=r"also reaches by another way.*pass a clone\(\)"):
        call(w)
    assert w.tolist() == [2, 2]


def test_returned_argument_and_parameter_are_the_very_same() -> None:
    layer = nn.Linear(1, 1)
    f = gu.compile(lambda x: (x, layer.weight, x * 1, layer.weight.detach()))
    x = gu.ones(1)
    same, weight, copy, view = f(x)
    assert same is x
    assert weight is layer.weight
    layer.weight.detach().fill_(9)
    assert copy is not x
    assert view.item() != 9  # views of arguments and state come back as copies


def test_results_are_not_overwritten_by_the_next_call() -> None:
    f = gu.compile(lambda x: (x * 2, (x * 3)[1:]))
    first = f(gu.ones(4))
    f(gu.zeros(4))
    assert first[0].tolist() == [2] * 4
    assert first[1].tolist() == [3] * 3


# Randomness


def test_generators() -> None:
    def body(wrap: Any) -> Any:
        own = gu.Generator(3)

        def f(x: gu.Tensor) -> Any:
            gu.rand(5)  # drawn, though nobody reads it
            noise = gu.randn(3, generator=own)
            order = gu.randperm(4, generator=own)
            return F.dropout(x, 0.5), gu.rand(2) + noise[:2], order, gu.randint(0, 9, (3,))

        call = wrap(f)
        out = [call(gu.ones(8)), gu.rand(2), call(gu.ones(8))]
        gu.manual_seed(7)
        first = call(gu.ones(8))
        gu.manual_seed(7)
        own.manual_seed(3)
        near(first[0], call(gu.ones(8))[0])
        return [*out, first, gu.rand(1, generator=own)]

    both_ways(body)


def test_seeding_inside_starts_the_stream_anew_at_each_call() -> None:
    def body(wrap: Any) -> Any:
        own = gu.Generator(3)

        def f(x: gu.Tensor) -> Any:
            before = gu.rand(3)
            gu.manual_seed(11)
            again = gu.rand(3, generator=gu.Generator(5))
            own.manual_seed(own.initial_seed())
            return before, gu.rand(3), F.dropout(x, 0.5), again, gu.rand(2, generator=own)

        call = wrap(f)
        gu.manual_seed(1)
        return [*call(gu.ones(8)), gu.rand(2), *call(gu.ones(8)), gu.rand(2, generator=own)]

    both_ways(body)


def test_a_state_given_to_a_generator_inside_is_refused() -> None:
    state = gu.default_generator.get_state()
    with pytest.raises(TraceError, match="generator was given a state"):
        gu.compile(lambda: gu.default_generator.set_state(state))()


# Exceptions


def test_exception_in_the_middle_of_the_function() -> None:
    layer = nn.Linear(2, 1)
    rule = optim.Adam(layer.parameters(), lr=0.1)
    before = layer.weight.tolist()
    fail = True

    def step(x: gu.Tensor) -> None:
        rule.zero_grad()
        layer(x).sum().backward()
        rule.step()
        with gu.no_grad():
            if fail:
                raise KeyError("on purpose")

    call = gu.compile(step)
    with pytest.raises(KeyError, match="on purpose"):
        call(gu.ones(1, 2))
    assert layer.weight.tolist() == before
    assert layer.weight.grad is None
    assert rule.param_groups[0]["lr"] == 0.1
    assert gu.is_grad_enabled()
    assert "__getattribute__" not in vars(nn.Linear)
    fail = False
    call(gu.ones(1, 2))
    assert layer.weight.tolist() != before


def test_index_out_of_range_changes_nothing() -> None:
    table = nn.Embedding(4, 2)
    counts = gu.zeros(())

    def f(i: gu.Tensor) -> gu.Tensor:
        counts.add_(1)
        return table(i).sum() + F.one_hot(i, 5).sum()

    call = gu.compile(f)
    call(gu.tensor([0, 3]))
    for wrong in (4, -1):
        with pytest.raises(IndexError, match=rf"found {wrong}, expected 0 to 3"):
            call(gu.tensor([0, wrong]))
    assert counts.item() == 1
    call(gu.tensor([1, 2]))
    assert counts.item() == 2


def test_computed_index_out_of_range() -> None:
    call = gu.compile(lambda x, i: x[i + 1])
    assert call(gu.arange(3), gu.tensor([0, 1])).tolist() == [1, 2]
    with pytest.raises(IndexError, match="expected -3 to 2"):
        call(gu.arange(3), gu.tensor([0, 2]))


# Calls that do not look for changes


def test_settled_reads_and_writes_state_and_does_not_look_at_python() -> None:
    class Box:
        scale = 2.0

    total, box = gu.zeros(2), Box()

    @gu.compile
    def step(x: Any) -> Any:
        total.assign(total + x * box.scale)
        return total * 1

    x = gu.ones(2)
    quick = step.settled(x)
    assert total.tolist() == [0, 0]  # nothing ran
    assert quick(x).tolist() == [2, 2]
    box.scale = 3.0
    assert quick(x).tolist() == [4, 4]
    assert step(x).tolist() == [7, 7]
    total.array = np.full(2, 10, np.float32)  # other memory of the same shape
    assert quick(x).tolist() == [12, 12]
    assert total.tolist() == [12, 12]
    total.array = np.zeros(3, np.float32)
    with pytest.raises(RuntimeError, match="has changed its shape"):
        quick(x)


def test_settled_refuses_what_it_would_not_do() -> None:
    weight = nn.Parameter(gu.ones(2))
    x = gu.ones(2)
    with pytest.raises(TypeError, match="tensors without gradients alone"):
        gu.compile(lambda a: a).settled(2)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="each another one"):
        gu.compile(lambda a, b: a + b).settled(x, x)
    with pytest.raises(TypeError, match="require a gradient"):
        gu.compile(lambda a: a * weight).settled(x)
    with pytest.raises(TypeError, match="changes more than tensors"):
        gu.compile(lambda a: a.add_(1)).settled(x)


# Modes


def test_autocast_around() -> None:
    layer = nn.Linear(3, 2)
    call = gu.compile(layer)
    x = gu.randn(4, 3)
    full = call(x)
    with gu.autocast():
        half = call(x)
        again = call(x)
        same = layer(x)  # the copies that the trace has made are not left behind
    assert (full.dtype, half.dtype) == (gu.float32, gu.float16)
    near(half, again)
    np.testing.assert_allclose(half.detach().numpy(), same.detach().numpy(), rtol=1e-2, atol=1e-3)
    near(full, call(x))
    assert len(call.traces) == 2


def test_detect_anomaly_looks_at_every_operation() -> None:
    call = gu.compile(lambda x: x.log() * 0)
    call(gu.zeros(2))
    with gu.detect_anomaly(), pytest.raises(FloatingPointError, match="log"):
        call(gu.zeros(2))
