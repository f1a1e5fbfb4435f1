"""What goes wrong in compilers that trace: gradients, inside of a compiled function and through it.

Everything here is done twice, compiled and not, and must leave the same behind (R1.4).
"""

from __future__ import annotations

from typing import Any

import pytest

import groundup as gu
from groundup import nn, optim

from .footguns import both_ways


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


def test_leaves_and_states_without_elements() -> None:
    empty = gu.zeros(0, 3, requires_grad=True)
    state = gu.zeros(0, 2)

    @gu.compile
    def step(x: gu.Tensor) -> gu.Tensor:
        (empty * 2).sum().backward()
        return state.add_(x)

    assert step(gu.ones(2)).shape == (0, 2)
    assert empty.grad is not None
    assert empty.grad.shape == (0, 3)
