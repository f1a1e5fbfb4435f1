"""The backward walk: accumulation, ``grad``, any order, depth, memory, modes, dtypes.

That each primitive's derivative is right is shown in ``test_primitives.py``; here is what happens
between them, except for change in place, which has ``test_inplace.py``. Proves R1.2.
"""

from __future__ import annotations

import gc
import inspect
import math
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

import groundup as gu

from .drawing import shapes, uniform

Function = Callable[[gu.Tensor], gu.Tensor]


def leaf(*values: float) -> gu.Tensor:
    return gu.tensor(values, dtype=gu.float64, requires_grad=True)


# Accumulation


def test_a_tensor_used_twice_gets_the_sum() -> None:
    x = leaf(2.0, 3.0)
    (x * x + 5 * x).sum().backward()
    assert x.grad.tolist() == [9, 11]


def test_backward_adds_to_grad() -> None:
    x = leaf(2.0)
    (3 * x).sum().backward()
    (4 * x).sum().backward()
    assert x.grad.tolist() == [7]
    x.grad = None
    (5 * x).sum().backward()
    assert x.grad.tolist() == [5]


def test_gradients_meet_where_paths_meet() -> None:
    """Both factors of f(a) g(a) lead to a; their gradients are summed before the walk goes on."""
    x = leaf(0.7)
    a = x.sin()
    (a.exp() * a.cos()).sum().backward()
    at = math.sin(0.7)
    outer = math.exp(at) * (math.cos(at) - math.sin(at))
    assert x.grad.item() == pytest.approx(outer * math.cos(0.7), rel=1e-14)


def test_every_grad_has_its_own_memory() -> None:
    """An addition hands the same gradient to both sides; changing one must not change the other."""
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    given = gu.ones(2, dtype=gu.float64)
    (a + b).backward(given)
    a.grad.zero_()
    assert b.grad.tolist() == [1, 1]
    assert given.tolist() == [1, 1]
    x = leaf(1.0, 2.0)
    x.sum().backward()
    assert x.grad.array.flags.writeable
    assert not np.shares_memory(x.grad.array, x.array)


def test_gradients_of_a_leaf_itself() -> None:
    x = leaf(2.0)
    x.backward()
    assert x.grad.tolist() == [1]
    assert gu.grad(x, x)[0].tolist() == [1]


@given(data=st.data())
def test_a_graph_of_views_gives_each_element_its_weight(data: st.DataObject) -> None:
    """Pieces of one tensor, weighted and joined in many ways, return exactly their weights."""
    shape = data.draw(shapes(min_dims=2, max_dims=2, min_side=1))
    x = gu.tensor(data.draw(uniform(shape)), requires_grad=True)
    w = gu.tensor(data.draw(uniform(shape)))
    y = gu.stack([row * weight for row, weight in zip(x.unbind(), w.unbind(), strict=True)])
    y = y.T.reshape(-1).flip(0)
    (x.permute(1, 0).sum() + y.sum()).backward()
    np.testing.assert_allclose(x.grad.array, 1 + w.array, rtol=1e-15)


# Several outputs, and ``grad``


def test_gradients_of_several_outputs_are_added() -> None:
    x = leaf(1.0, 2.0)
    y, z = x * 2, (x * x).sum()
    (g,) = gu.grad([y, z], x, [gu.tensor([10.0, 20.0]), None])
    assert g.tolist() == [22, 44]


def test_an_output_may_be_computed_from_another_output() -> None:
    x = leaf(3.0)
    y = x * x
    z = y * y
    dx, dy = gu.grad([y, z], [x, y])
    assert dy.tolist() == [1 + 2 * 9]
    assert dx.tolist() == [19 * 6]


def test_the_same_output_twice_counts_twice() -> None:
    x = leaf(3.0)
    y = x * x
    assert gu.grad([y, y], x)[0].tolist() == [12]


def test_grad_with_respect_to_intermediate_results() -> None:
    x = leaf(3.0)
    y = x * x
    z = y.exp() + y
    dy, dx = gu.grad(z, (y, x))
    assert dy.item() == pytest.approx(math.exp(9) + 1)
    assert dx.item() == pytest.approx(6 * (math.exp(9) + 1))


def test_grad_returns_and_does_not_accumulate() -> None:
    x = leaf(3.0)
    assert isinstance(gu.grad(x * x, x), tuple)
    assert x.grad is None


def test_grad_of_the_same_input_twice() -> None:
    x = leaf(3.0)
    first, second = gu.grad(x * x, [x, x])
    assert first.tolist() == second.tolist() == [6]


def test_unused_inputs() -> None:
    x, unused = leaf(3.0), leaf(1.0)
    later = unused * 2
    g, nothing, neither = gu.grad(x * x, [x, unused, later], allow_unused=True)
    assert g.tolist() == [6]
    assert nothing is neither is None
    with pytest.raises(RuntimeError, match=r"input 1; pass allow_unused=True"):
        gu.grad(x * x, [x, unused])


def test_grad_walks_only_towards_its_inputs() -> None:
    """A branch that leads nowhere asked for is neither walked nor freed."""
    x, w = leaf(3.0), leaf(2.0)
    branch = w.exp()
    assert gu.grad((x * branch).sum(), x)[0].item() == pytest.approx(math.exp(2))
    branch.backward()
    assert w.grad.item() == pytest.approx(math.exp(2))


def test_what_grad_refuses() -> None:
    x, data = leaf(1.0, 2.0), gu.tensor([1.0, 2.0])
    with pytest.raises(RuntimeError, match=r"input 1 \(\(2,\) float32\) does not require"):
        gu.grad((x * data).sum(), [x, data])
    with pytest.raises(RuntimeError, match="output does not require a gradient"):
        gu.grad(data.sum(), x)
    with pytest.raises(RuntimeError, match=r"shape \(2,\).*one element.*Reduce it"):
        gu.grad(x * 2, x)
    with pytest.raises(ValueError, match=r"gradient has shape \(3,\).*output has shape \(2,\)"):
        gu.grad(x * 2, x, gu.ones(3))
    with pytest.raises(ValueError, match="1 grad_outputs for 2 outputs"):
        gu.grad([x.sum(), x.sum()], x, [None])
    with pytest.raises(RuntimeError, match=r"backward\(\): the output does not require"):
        data.sum().backward()
    with pytest.raises(RuntimeError, match=r"backward\(\): the output has shape \(2,\)"):
        (x * 2).backward()


def test_an_empty_tensor_has_an_empty_gradient() -> None:
    x = gu.zeros(0, 3, requires_grad=True)
    (x.exp().sum() + 1).backward()
    assert x.grad.shape == (0, 3)


# Any order

DERIVATIVES: list[tuple[str, Function, list[Callable[[float], float]]]] = [
    ("sin", gu.sin, [math.cos, lambda x: -math.sin(x), lambda x: -math.cos(x), math.sin]),
    ("exp", lambda x: (2 * x).exp(), [lambda x, n=n: 2**n * math.exp(2 * x) for n in range(1, 5)]),
    (
        "log",
        gu.log,
        [lambda x: 1 / x, lambda x: -1 / x**2, lambda x: 2 / x**3, lambda x: -6 / x**4],
    ),
    (
        "power",
        lambda x: x**4,
        [lambda x: 4 * x**3, lambda x: 12 * x**2, lambda x: 24 * x, lambda x: 24.0],
    ),
    (
        "tanh",
        gu.tanh,
        [
            lambda x: 1 - math.tanh(x) ** 2,
            lambda x: -2 * math.tanh(x) * (1 - math.tanh(x) ** 2),
            lambda x: (6 * math.tanh(x) ** 2 - 2) * (1 - math.tanh(x) ** 2),
        ],
    ),
    (
        "reciprocal",
        lambda x: 1 / x,
        [lambda x: -1 / x**2, lambda x: 2 / x**3, lambda x: -6 / x**4],
    ),
    (
        "sigmoid",
        gu.sigmoid,
        [
            lambda x: (s := 1 / (1 + math.exp(-x))) * (1 - s),
            lambda x: (s := 1 / (1 + math.exp(-x))) * (1 - s) * (1 - 2 * s),
            lambda x: (s := 1 / (1 + math.exp(-x))) * (1 - s) * (1 - 6 * s + 6 * s * s),
        ],
    ),
    (
        "relu of a square",
        lambda x: gu.relu(x) ** 3,
        [lambda x: 3 * x**2, lambda x: 6 * x, lambda x: 6.0, lambda x: 0.0],
    ),
]


@pytest.mark.parametrize(("function", "expected"), [d[1:] for d in DERIVATIVES], ids=lambda d: None)
def test_derivatives_up_to_the_fourth(
    function: Function, expected: list[Callable[[float], float]]
) -> None:
    at = 0.6
    x = leaf(at)
    y = function(x).sum()
    for nth in expected:
        (y,) = gu.grad(y.sum(), x, create_graph=True)
        assert y.item() == pytest.approx(nth(at), rel=1e-12, abs=1e-12)


def test_mixed_partial_derivatives_commute() -> None:
    x, y = leaf(0.3), leaf(1.7)
    f = (x * y.exp()).sin() + x**3 * y**2
    (fx, fy) = gu.grad(f, (x, y), create_graph=True)
    (fxy,) = gu.grad(fx, y, retain_graph=True)
    (fyx,) = gu.grad(fy, x)
    assert fxy.item() == pytest.approx(fyx.item(), rel=1e-14)


def test_backward_through_a_gradient_penalty() -> None:
    """The loss |d(a . x^2)/dx|^2 = 4 sum a^2 x^2 has the gradient 8 a x^2 in a and 8 a^2 x in x."""
    x, a = leaf(1.0, -2.0), leaf(0.5, 3.0)
    (g,) = gu.grad((a * x * x).sum(), x, create_graph=True)
    (g * g).sum().backward()
    assert a.grad.tolist() == [4, 96]
    assert x.grad.tolist() == [2, -144]


def test_backward_with_create_graph_makes_grad_differentiable() -> None:
    x = leaf(2.0)
    (x**3).sum().backward(create_graph=True)
    assert x.grad.requires_grad
    assert gu.grad(x.grad.sum(), x)[0].tolist() == [12]
    x.grad = None


def test_without_create_graph_gradients_end_the_graph() -> None:
    x = leaf(2.0)
    (g,) = gu.grad((x**3).sum(), x)
    assert not g.requires_grad
    (x**3).sum().backward()
    assert not x.grad.requires_grad


# A graph is walked once


def test_a_second_backward_is_refused_and_names_the_operation() -> None:
    x = leaf(2.0)
    y = x.sin().sum()
    y.backward()
    with pytest.raises(RuntimeError, match=r"^sin: .*freed.*retain_graph=True"):
        y.backward()
    assert x.grad.item() == pytest.approx(math.cos(2)), "the refusal changed nothing"


def test_retain_graph_keeps_the_graph() -> None:
    x = leaf(2.0)
    y = x.sin().sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == pytest.approx(2 * math.cos(2))
    with pytest.raises(RuntimeError, match=r"^sin: "):
        gu.grad(y, x)


def test_a_part_shared_by_two_graphs_is_walked_once() -> None:
    x = leaf(2.0)
    shared = x.exp()
    first, second = (shared * 2).sum(), (shared * 3).sum()
    first.backward()
    with pytest.raises(RuntimeError, match=r"^exp: "):
        second.backward()


def test_operations_that_kept_nothing_can_be_walked_again() -> None:
    x = leaf(2.0)
    y = (x + 1).sum()
    y.backward()
    y.backward()
    assert x.grad.tolist() == [2]


# Depth


def chain(length: int) -> tuple[gu.Tensor, gu.Tensor, weakref.ref]:
    """A leaf, what is computed from it in many steps, and an array that the first step keeps."""
    x = leaf(0.0)
    y = x.exp()
    kept = weakref.ref(y.array)
    for _ in range(length):
        y = y * 0.999999
    return x, y, kept


@pytest.fixture
def shallow_stack() -> Iterator[None]:
    """Hardly more stack than the test itself needs: recursion by the graph's depth would fail."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 60)
    yield
    sys.setrecursionlimit(before)


@pytest.mark.parametrize("length", [100_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
@pytest.mark.usefixtures("shallow_stack")
def test_a_deep_graph_is_built_walked_and_dropped_without_recursion(length: int) -> None:
    x, y, kept = chain(length)
    assert kept() is not None
    y.backward()
    assert x.grad.item() == pytest.approx(0.999999**length, rel=1e-9)
    assert kept() is None
    last = weakref.ref(y.array)
    del y
    assert last() is None


@pytest.mark.usefixtures("shallow_stack")
def test_a_deep_graph_that_was_never_walked_is_dropped_without_recursion() -> None:
    _, y, kept = chain(30_000)
    assert kept() is not None
    del y
    assert kept() is None


@pytest.mark.usefixtures("shallow_stack")
def test_a_deep_graph_of_diamonds_is_walked_once_for_each_node() -> None:
    """There are 2**2000 paths; a walk along each would never end."""
    x = leaf(1.0)
    y = x
    for _ in range(2_000):
        y = (y + y) * 0.5
    y.backward()
    assert x.grad.tolist() == [1]


@pytest.mark.usefixtures("shallow_stack")
def test_a_second_order_graph_may_be_deep() -> None:
    """With f = c^n x^2 by n multiplications, f'' = 2 c^n."""
    x = leaf(1.0)
    y = x * x
    for _ in range(2_000):
        y = y * 0.9999
    (g,) = gu.grad(y, x, create_graph=True)
    (gg,) = gu.grad(g, x)
    assert gg.item() == pytest.approx(2 * 0.9999**2000, rel=1e-9)


# Memory


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Only reference counts free memory; what a cycle holds would stay."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def small_network(x: gu.Tensor, w: gu.Tensor, kernel: gu.Tensor) -> gu.Tensor:
    """Something of each kind: convolution, views, products, fused operations, indices, in place."""
    h = gu.conv2d(x, kernel, padding=1).relu().flatten(1) @ w
    h = h + h.softmax(-1) * h.log_softmax(1).exp()
    h = gu.cat([h, h.tanh().clamp(-0.5, 0.5)], 1)[:, gu.tensor([0, 1, 1, 5])]
    h = gu.where(h > 0, h, h.sigmoid()).sort(1).values.cumsum(1).square().sqrt() * 2
    h += 1
    h[:, 0] = 2.0
    return h.std() + h.logsumexp((0, 1)) + gu.einsum("ij,ij->", h, h).log()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("create_graph", [False, True])
def test_graphs_hold_no_reference_cycles(create_graph: bool) -> None:
    gu.manual_seed(0)
    x, w, kernel = gu.randn(2, 1, 3, 3), gu.randn(18, 3), gu.randn(2, 1, 3, 3)
    w.requires_grad_()
    kernel.requires_grad_()
    loss = small_network(x, w, kernel)
    g = gu.grad(loss, [w, kernel], create_graph=create_graph)
    if create_graph:
        gu.grad(g[0].sum() + g[1].sum(), [w, kernel])
    held = [weakref.ref(t.array) for t in (loss, *g)]
    del loss, g
    assert [ref() for ref in held] == [None] * len(held)
    assert gc.collect() == 0


@pytest.mark.usefixtures("no_collector")
def test_intermediate_values_are_dropped_as_early_as_possible() -> None:
    x = gu.zeros(1000, requires_grad=True)
    y = x + 1
    not_needed = weakref.ref(y.array)
    y = (y + 1).exp()
    assert not_needed() is None, "an addition keeps nothing"
    needed = weakref.ref(y.array)
    y = y.sum()
    assert needed() is not None, "exp keeps its result"
    y.backward()
    assert needed() is None, "backward frees the graph, even while the output lives"
    with gu.no_grad():
        z = x.exp()
        unrecorded = weakref.ref(z.array)
        z = z.sum()
    assert unrecorded() is None


# Modes


def test_no_grad_and_enable_grad_nest() -> None:
    x = leaf(1.0)
    assert gu.is_grad_enabled()
    with gu.no_grad():
        assert not (x * 2).requires_grad
        with gu.enable_grad():
            assert (x * 2).requires_grad
            with gu.set_grad_enabled(False):
                assert not gu.is_grad_enabled()
        assert not gu.is_grad_enabled()
    assert (x * 2).requires_grad


def test_modes_end_with_an_exception() -> None:
    with pytest.raises(KeyError), gu.no_grad():
        raise KeyError
    assert gu.is_grad_enabled()


def test_modes_as_decorators() -> None:
    @gu.no_grad()
    def countdown(x: gu.Tensor, n: int) -> list[bool]:
        """Calls itself, so one context object is entered several times."""
        return [(x * 2).requires_grad, *(countdown(x, n - 1) if n else [])]

    x = leaf(1.0)
    assert countdown(x, 2) == [False] * 3
    assert gu.is_grad_enabled()
    assert countdown.__name__ == "countdown"
    with gu.no_grad():
        assert gu.enable_grad()(lambda: x * 2)().requires_grad


def test_one_context_object_can_be_entered_again() -> None:
    off = gu.no_grad()
    with off, off:
        assert not gu.is_grad_enabled()
    assert gu.is_grad_enabled()


def test_each_thread_has_its_own_mode() -> None:
    x = leaf(1.0)
    seen: list[bool] = []
    with gu.no_grad(), gu.detect_anomaly():
        thread = threading.Thread(
            target=lambda: seen.extend([(x * 2).requires_grad, bool((x / 0).isinf().all())])
        )
        thread.start()
        thread.join()
    assert seen == [True, True]


def test_graphs_of_two_threads_do_not_meet() -> None:
    x = gu.randn(50, dtype=gu.float64)
    found: dict[int, list[float]] = {}

    def work(k: int) -> None:
        w = leaf(float(k))
        for _ in range(20):
            w.grad = None
            (x * w).sin().sum().backward()
        found[k] = w.grad.tolist()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k in range(4):
        expected = (x * (x * k).cos()).sum().item()
        assert found[k] == [pytest.approx(expected, rel=1e-12)]


def test_results_require_gradients_only_where_one_can_flow() -> None:
    x = leaf(1.5, -2.5)
    for y in (x > 0, x.long(), x.bool(), x.argmax(), x.isnan(), x.detach(), x // 1):
        assert not y.requires_grad
        assert y.is_leaf
    assert not (gu.ones(2) * 2).requires_grad
    assert (gu.ones(2) * x).requires_grad


# Detached


def test_detach_shares_memory_and_stops_gradients() -> None:
    x = leaf(3.0)
    d = x.detach()
    assert d.is_leaf
    assert not d.requires_grad
    assert np.shares_memory(d.array, x.array)
    (x * d).sum().backward()
    assert x.grad.tolist() == [3]
    d.requires_grad_()
    (d * d).sum().backward()
    assert d.grad.tolist() == [6]
    assert x.grad.tolist() == [3]


def test_clone_copies_memory_and_passes_gradients() -> None:
    x = leaf(3.0)
    c = x.clone()
    assert not np.shares_memory(c.array, x.array)
    (c * c).sum().backward()
    assert x.grad.tolist() == [6]


def test_requires_grad_of_a_leaf_is_a_choice_and_of_a_result_a_fact() -> None:
    x = leaf(1.0)
    y = x * 2
    with pytest.raises(RuntimeError, match=r"not a leaf; use detach\(\)"):
        y.requires_grad_(False)
    x.requires_grad_(False)
    assert not (x * 2).requires_grad
    with pytest.raises(TypeError, match="only floating tensors have gradients, this one is int64"):
        gu.tensor([1]).requires_grad_()


# Dtypes


@pytest.mark.parametrize("parameter", [gu.float16, gu.float32, gu.float64])
@pytest.mark.parametrize("data", [gu.float16, gu.float32, gu.float64, gu.int64, gu.bool])
def test_a_gradient_has_the_dtype_of_its_tensor(parameter: np.dtype, data: np.dtype) -> None:
    """R1.1: whatever the dtypes mixed on the way, and in place too."""
    w = gu.ones(3, dtype=parameter, requires_grad=True)
    x = gu.ones(2, 3).to(data)
    y = (x * w + w.double() / 3).float() @ w.float()
    y = y * gu.tensor(2.0, dtype=gu.float64) + w.half().sum()
    z = gu.zeros(3, dtype=gu.float32) * 1
    z += w
    (y.sum() + z.sum()).backward()
    assert w.grad.dtype == parameter
    assert gu.grad((w * x).sum().double(), w)[0].dtype == parameter


@pytest.mark.parametrize("context", [gu.no_grad, gu.enable_grad])
def test_a_decorator_without_parentheses_is_refused(context: Any) -> None:
    with pytest.raises(TypeError, match=r"as a decorator, write @\w+\(\)"):
        context(lambda x: x)
