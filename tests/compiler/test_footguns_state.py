"""What goes wrong in compilers that trace: tensors that are changed, shared, differentiated (R1.4).

Everything here is done twice, compiled and not, and must leave the same behind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import groundup as gu
import groundup.nn.functional as F
from groundup import nn, optim
from groundup.engine.compiler.trace import TraceError


def near(a: Any, b: Any) -> None:
    """Whether two results agree, tensor by tensor."""
    if isinstance(a, gu.Tensor):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=2e-5, atol=1e-6)
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            near(x, y)
    else:
        assert a == b


def both_ways(make: Callable[[Callable[..., Any]], Any]) -> Any:
    """What a test body leaves behind with ``gu.compile``, which must be what it leaves without."""
    gu.manual_seed(3)
    compiled = make(gu.compile)
    state = gu.default_generator.get_state()
    gu.manual_seed(3)
    near(compiled, make(lambda f: f))
    assert gu.default_generator.get_state() == state
    return compiled


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


# Gradients


def test_gradients_accumulate_or_not() -> None:
    for zero in ("never", "none", "zeros"):

        def body(wrap: Any, zero: str = zero) -> Any:
            layer = nn.Linear(3, 2)
            rule = optim.SGD(layer.parameters(), lr=0.1, momentum=0.5)

            def step(x: gu.Tensor) -> None:
                if zero != "never":
                    rule.zero_grad(set_to_none=zero == "none")
                layer(x).square().sum().backward()
                rule.step()

            call = wrap(step)
            for _ in range(4):
                call(gu.randn(4, 3))
            return [*layer.parameters(), *(p.grad for p in layer.parameters())]

        both_ways(body)


def test_retain_graph_and_several_backward_passes() -> None:
    def body(wrap: Any) -> Any:
        w = gu.ones(3, requires_grad=True)

        def f(x: gu.Tensor) -> gu.Tensor:
            loss = (w * x).exp().sum()
            loss.backward(retain_graph=True)
            loss.backward()
            (w.sin() * x).sum().backward()
            return loss.detach()

        call = wrap(f)
        return [call(gu.randn(3)), call(gu.randn(3)), w.grad]

    both_ways(body)


def test_backward_twice_is_refused_as_without_compilation() -> None:
    w = gu.ones(3, requires_grad=True)

    def f() -> None:
        loss = (w * w).sum()
        loss.backward()
        loss.backward()

    with pytest.raises(RuntimeError, match="freed by an earlier backward"):
        gu.compile(f)()
    assert w.grad is None


def test_gradient_from_before_is_read_and_replaced() -> None:
    def body(wrap: Any) -> Any:
        w = gu.ones(2, requires_grad=True)

        def f(x: gu.Tensor) -> Any:
            old = gu.zeros(2) if w.grad is None else w.grad.clone()
            (w * x).sum().backward()
            return old, old.sum(), w.grad.norm(), (old * 2).flip(0)

        call = wrap(f)
        return [*[call(gu.full((2,), float(i))) for i in range(4)], w.grad]

    both_ways(body)


def test_gradient_of_an_argument_inside() -> None:
    def body(wrap: Any) -> Any:
        def f(x: gu.Tensor) -> gu.Tensor:
            loss = x.sin().sum()
            loss.backward()
            return loss.detach()

        call = wrap(f)
        x = gu.randn(3, requires_grad=True)
        out = [call(x), call(x), x.grad.clone()]
        x.grad = None
        return [*out, call(x), x.grad]

    both_ways(body)


@pytest.mark.parametrize("shape", [(4, 3), (3,)])
def test_gradients_through_a_compiled_forward_pass(shape: tuple[int, ...]) -> None:
    def body(wrap: Any) -> Any:
        model = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Dropout(0.3), nn.Linear(5, 2))
        call = wrap(model)
        x = gu.randn(*shape, requires_grad=True)
        for _ in range(3):
            loss = (call(x * 2) - 0.5).square().mean() + call(x.detach()).mean()
            loss.backward()
        return [loss, x.grad, *(p.grad for p in model.parameters())]

    both_ways(body)


def test_gradients_through_several_results() -> None:
    def body(wrap: Any) -> Any:
        w = gu.randn(3, requires_grad=True)
        outside = w * 2  # what was computed before is differentiated too

        def f(x: gu.Tensor) -> Any:
            y = x * outside
            return {
                "a": y.exp(),
                "b": [y.sum(), (y > 0).sum()],
                "c": y.double() * w,
                "d": y.detach(),
            }

        call = wrap(f)
        x = gu.randn(2, 3, requires_grad=True)
        out = call(x)
        assert not out["d"].requires_grad
        assert not out["b"][1].requires_grad
        total = out["a"].sum() + out["b"][0].square() + out["c"].square().sum().float()
        return [total, *gu.grad(total, [x, w, outside])]

    both_ways(body)


def test_second_order_through_a_compiled_forward_pass() -> None:
    def body(wrap: Any) -> Any:
        model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Dropout(0.5), nn.Linear(4, 1))
        call = wrap(model)
        x = gu.randn(5, 3, requires_grad=True)
        (slope,) = gu.grad(call(x).sum(), [x], create_graph=True)
        penalty = (slope.square().sum(1) - 1).square().mean()
        penalty.backward()
        weights = [model[0].weight, model[3].weight]
        return [penalty, slope, x.grad, *(w.grad for w in weights)]

    both_ways(body)


def test_gradients_through_batch_norm_change_its_statistics_once() -> None:
    def body(wrap: Any) -> Any:
        model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
        call = wrap(model)
        x = gu.randn(6, 3, requires_grad=True)
        call(x).sin().sum().backward()
        (slope,) = gu.grad(call(x).sin().sum(), [x], create_graph=True)
        slope.square().sum().backward()
        return [x.grad, *model.state_dict().values()]

    both_ways(body)


def test_gradient_of_what_was_changed_meanwhile_is_refused() -> None:
    layer = nn.Linear(2, 1)
    out = gu.compile(layer)(gu.ones(3, 2, requires_grad=True)).sum()
    layer.bias.detach().fill_(3)  # no gradient reads it
    out.backward(retain_graph=True)
    layer.weight.detach().fill_(3)
    with pytest.raises(RuntimeError, match=r"compiled Linear.* changed in place"):
        out.backward()


def test_result_of_a_step_that_has_freed_its_graph() -> None:
    w = gu.ones(2, requires_grad=True)

    def step() -> gu.Tensor:
        loss = w.square().sum()
        loss.backward()
        return loss

    loss = gu.compile(step)()
    assert loss.item() == 2
    with pytest.raises(RuntimeError, match="freed by an earlier backward"):
        loss.backward()


def test_no_grad_around_and_inside() -> None:
    w = gu.ones(2, requires_grad=True)

    def f(x: gu.Tensor) -> tuple[gu.Tensor, gu.Tensor]:
        with gu.no_grad():
            a = x * w
        return a, x * w

    call = gu.compile(f)
    a, b = call(gu.ones(2))
    assert (a.requires_grad, b.requires_grad) == (False, True)
    with gu.no_grad():
        assert not call(gu.ones(2))[1].requires_grad
    assert call(gu.ones(2))[1].requires_grad
    assert len(call.traces) == 2


def test_checkpoint_functional_call_and_hessian_products_inside() -> None:
    def body(wrap: Any) -> Any:
        model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Dropout(0.2), nn.Linear(4, 1))

        def f(x: gu.Tensor) -> Any:
            params = dict(model.named_parameters())
            loss = gu.checkpoint(model, x).square().mean()
            slopes = gu.grad(loss, list(params.values()))
            faster = {n: p - 0.1 * g for (n, p), g in zip(params.items(), slopes, strict=True)}
            after = gu.functional_call(model, faster, x).square().mean()
            _, product = gu.hvp(lambda x: (x**3).sum(), x, gu.ones(5, 3))
            return loss.detach(), after.detach(), product, gu.jacobian(lambda x: x.sin(), x[0])

        call = wrap(f)
        return [call(gu.randn(5, 3)), call(gu.randn(5, 3))]

    both_ways(body)


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


def test_seeding_inside_is_refused() -> None:
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
