"""Jacobians, Hessians, their products, and recomputation: against closed forms and each other.

Proves R1.2.
"""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, strategies as st

import groundup as gu

from .drawing import shapes, uniform

CLOSE = {"rtol": 1e-10, "atol": 1e-12}


def smooth(x: gu.Tensor) -> gu.Tensor:
    """A function of any shape to vectors in which every output depends on every input."""
    flat = x.reshape(-1)
    mixed = flat.sin().cumsum(0) if flat.shape[0] else flat
    return gu.cat([mixed * flat.exp().sum(), (flat * flat).sum().tanh().reshape(1)])


def scalar(x: gu.Tensor) -> gu.Tensor:
    return (smooth(x) ** 2).sum() + (x**3).sum()


def points(min_side: int = 0) -> st.SearchStrategy[np.ndarray]:
    return shapes(max_dims=2, min_side=min_side).flatmap(uniform)


# Closed forms


def test_jacobian_of_a_linear_map_is_its_matrix() -> None:
    a, x = gu.randn(3, 4, dtype=gu.float64), gu.randn(4, dtype=gu.float64)
    np.testing.assert_array_equal(gu.jacobian(lambda x: a @ x, x).array, a.array)


def test_jacobian_of_an_elementwise_function_is_diagonal() -> None:
    x = gu.randn(2, 3, dtype=gu.float64)
    expected = np.zeros((2, 3, 2, 3))
    for i in np.ndindex(2, 3):
        expected[i + i] = np.cos(x.array[i])
    np.testing.assert_allclose(gu.jacobian(gu.sin, x).array, expected, **CLOSE)


def test_jacobian_with_several_inputs_has_a_block_for_each() -> None:
    x, y = gu.tensor([1.0, 2.0]), gu.tensor(3.0)
    dx, dy = gu.jacobian(lambda x, y: x * y, (x, y))
    assert dx.tolist() == [[3, 0], [0, 3]]
    assert dy.tolist() == [1, 2]


def test_hessian_of_a_quadratic_form() -> None:
    a, x = gu.randn(3, 3, dtype=gu.float64), gu.randn(3, dtype=gu.float64)
    found = gu.hessian(lambda x: x @ a @ x, x)
    np.testing.assert_allclose(found.array, (a + a.T).array, **CLOSE)


def test_hessian_of_the_rosenbrock_function() -> None:
    x = gu.tensor([-1.2, 1.0], dtype=gu.float64)
    found = gu.hessian(lambda x: 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2, x)
    expected = [[1200 * 1.44 - 400 + 2, 480], [480, 200]]
    np.testing.assert_allclose(found.array, expected, rtol=1e-12)


def test_hessian_of_logsumexp_is_diag_p_minus_p_p() -> None:
    x = gu.randn(4, dtype=gu.float64)
    p = x.softmax(0).array
    found = gu.hessian(lambda x: x.logsumexp(0), x)
    np.testing.assert_allclose(found.array, np.diag(p) - np.outer(p, p), **CLOSE)


# Each other


@given(x0=points(), data=st.data())
def test_products_agree_with_the_jacobian(x0: np.ndarray, data: st.DataObject) -> None:
    """vjp(u) = u J, jvp(v) = J v, and both give the function's value."""
    x = gu.tensor(x0)
    y, j = smooth(x), gu.jacobian(smooth, x)
    assert j.shape == y.shape + x.shape
    u, v = gu.tensor(data.draw(uniform(y.shape))), gu.tensor(data.draw(uniform(x.shape)))
    matrix = j.array.reshape(y.numel(), x.numel())
    out, uj = gu.vjp(smooth, x, u)
    np.testing.assert_array_equal(out.array, y.array)
    np.testing.assert_allclose(uj.array.ravel(), u.array @ matrix, **CLOSE)
    out, jv = gu.jvp(smooth, x, v)
    np.testing.assert_array_equal(out.array, y.array)
    np.testing.assert_allclose(jv.array, matrix @ v.array.ravel(), **CLOSE)


@given(x0=points(), data=st.data())
def test_the_hessian_is_symmetric_and_hvp_multiplies_by_it(
    x0: np.ndarray, data: st.DataObject
) -> None:
    x = gu.tensor(x0)
    h = gu.hessian(scalar, x)
    assert h.shape == x.shape + x.shape
    matrix = h.array.reshape(x.numel(), x.numel())
    np.testing.assert_allclose(matrix, matrix.T, rtol=1e-8, atol=1e-10)
    v = gu.tensor(data.draw(uniform(x.shape)))
    out, hv = gu.hvp(scalar, x, v)
    assert out.item() == scalar(x).item()
    np.testing.assert_allclose(hv.array.ravel(), matrix @ v.array.ravel(), rtol=1e-8, atol=1e-10)


def test_hvp_with_several_inputs() -> None:
    """For f = sum(x^2 y), H [v, w] = [2 y v + 2 x w, 2 x v]."""
    x, y = gu.tensor([1.0, 2.0]), gu.tensor([3.0, 4.0])
    v, w = gu.tensor([1.0, 0.5]), gu.tensor([-1.0, 2.0])
    _, (hx, hy) = gu.hvp(lambda x, y: (x * x * y).sum(), (x, y), (v, w))
    assert hx.tolist() == (2 * y * v + 2 * x * w).tolist()
    assert hy.tolist() == (2 * x * v).tolist()


def test_results_can_be_differentiated_again() -> None:
    x = gu.tensor([0.5, -1.5], dtype=gu.float64, requires_grad=True)
    ones = gu.ones(2, dtype=gu.float64)
    j = gu.jacobian(gu.sin, x, create_graph=True)
    np.testing.assert_allclose(gu.grad(j.sum(), x)[0].array, -np.sin(x.array), **CLOSE)
    h = gu.hessian(lambda x: (x**4).sum(), x, create_graph=True)
    np.testing.assert_allclose(gu.grad(h.sum(), x)[0].array, 24 * x.array, **CLOSE)
    _, p = gu.hvp(lambda x: (x**4).sum(), x, ones, create_graph=True)
    np.testing.assert_allclose(gu.grad(p.sum(), x)[0].array, 24 * x.array, **CLOSE)
    _, p = gu.vjp(lambda x: x**3, x, ones, create_graph=True)
    np.testing.assert_allclose(gu.grad(p.sum(), x)[0].array, 6 * x.array, **CLOSE)
    _, p = gu.jvp(lambda x: x**3, x, ones, create_graph=True)
    np.testing.assert_allclose(gu.grad(p.sum(), x)[0].array, 6 * x.array, **CLOSE)


def test_the_point_is_left_alone() -> None:
    """No gradient is left at the point, and no graph grows from it unless asked for."""
    x = gu.tensor([1.0, 2.0], requires_grad=True)
    for result in (
        gu.jacobian(gu.sin, x),
        gu.hessian(lambda x: (x**3).sum(), x),
        gu.hvp(lambda x: (x**3).sum(), x, gu.ones(2))[1],
        gu.vjp(gu.sin, x, gu.ones(2))[1],
        gu.jvp(gu.sin, x, gu.ones(2))[1],
    ):
        assert not result.requires_grad
    assert x.grad is None


def test_functions_that_do_not_depend_on_their_input() -> None:
    x, c = gu.tensor([1.0, 2.0]), gu.tensor([5.0])
    assert gu.jacobian(lambda x: c, x).tolist() == [[0, 0]]
    assert gu.hessian(lambda x: c, x).tolist() == [[0, 0]] * 2
    assert gu.hvp(lambda x: (3 * x).sum(), x, x)[1].tolist() == [0, 0]
    assert gu.vjp(lambda x: c, x)[1].tolist() == [0, 0]
    assert gu.jvp(lambda x: c, x, x)[1].tolist() == [0]
    used, unused = gu.jacobian(lambda x, y: x * 2, (x, c))
    assert used.tolist() == [[2, 0], [0, 2]]
    assert unused.tolist() == [[0], [0]]


def test_derivatives_inside_no_grad() -> None:
    with gu.no_grad():
        assert gu.jacobian(gu.square, gu.tensor([3.0])).tolist() == [[6]]
        assert gu.hvp(lambda x: (x**3).sum(), gu.tensor([2.0]), gu.ones(1))[1].tolist() == [12]


# Recomputation


CALLS: list[Callable[..., gu.Tensor]] = [lambda f, *args: f(*args), gu.checkpoint]
"""A function called as it is, and through ``checkpoint``."""


def layer(x: gu.Tensor, w: gu.Tensor) -> gu.Tensor:
    return (x @ w).tanh().exp()


@given(data=st.data(), segments=st.integers(1, 3))
def test_checkpoint_changes_no_gradient(data: st.DataObject, segments: int) -> None:
    """Arguments, closed-over parameters, a parameter shared by several segments, data."""
    x0 = data.draw(uniform((2, 3)))
    w0 = data.draw(uniform((3, 3)))
    results = []
    for call in CALLS:
        x, w, b = (gu.tensor(a, requires_grad=True) for a in (x0, w0, w0[0]))

        def segment(h: gu.Tensor, w: gu.Tensor, b: gu.Tensor = b) -> gu.Tensor:
            return layer(h, w) + b * w.sum()

        h = x
        for _ in range(segments):
            h = call(segment, h, w)
        results.append([h, *gu.grad((h * h).sum(), [x, w, b])])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours.array, theirs.array, rtol=1e-12)


@pytest.mark.parametrize("closed_over", [False, True])
def test_second_order_through_checkpoint(closed_over: bool) -> None:
    """Also where an argument was computed from a tensor that the function reads itself."""
    results = []
    for call in CALLS:
        w = gu.tensor([[0.3, -0.2], [0.5, 0.1]], dtype=gu.float64, requires_grad=True)
        x = gu.tensor([[1.0, 2.0]], dtype=gu.float64, requires_grad=True) @ w
        h = call(lambda h, w=w: layer(h, w), x) if closed_over else call(layer, x, w)
        (g,) = gu.grad((h**2).sum(), w, create_graph=True)
        (gg,) = gu.grad((g**2).sum(), w, create_graph=True)
        (ggg,) = gu.grad(gg.sum(), w)
        results.append([g, gg, ggg])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours.array, theirs.array, rtol=1e-10)


def test_checkpoint_of_what_was_computed_outside() -> None:
    """A closed-over result keeps its own graph: it can be used, and walked, outside too."""
    w = gu.tensor(2.0, requires_grad=True)
    h = w * w
    y = gu.checkpoint(lambda x: x * h, gu.tensor(3.0))
    (y + h * h).backward()
    assert w.grad.item() == 3 * 4 + 4 * 8


def test_checkpoint_of_an_argument_that_is_also_closed_over() -> None:
    w = gu.tensor(3.0, requires_grad=True)
    gu.checkpoint(lambda a: a * w, w).backward()
    assert w.grad.item() == 6
    w.grad = None
    gu.checkpoint(lambda a: a * w, w.detach()).backward()
    assert w.grad.item() == 3


def test_checkpoint_of_several_outputs() -> None:
    x = gu.tensor([1.0, 2.0], requires_grad=True)
    a, b = gu.checkpoint(lambda x: (x * x, x.sum()), x)
    assert a.shape == (2,)
    assert b.shape == ()
    (a.sum() + 10 * b).backward()
    assert x.grad.tolist() == [12, 14]


def test_checkpoints_nest() -> None:
    x = gu.tensor(0.5, requires_grad=True)
    inner = lambda x: gu.checkpoint(gu.sin, x).exp()  # noqa: E731
    y = gu.checkpoint(lambda x: inner(x) * x, x)
    (g,) = gu.grad(y, x, create_graph=True)
    (gg,) = gu.grad(g, x)
    plain = gu.tensor(0.5, requires_grad=True)
    (e,) = gu.grad(plain.sin().exp() * plain, plain, create_graph=True)
    (ee,) = gu.grad(e, plain)
    assert g.item() == pytest.approx(e.item(), rel=1e-6)
    assert gg.item() == pytest.approx(ee.item(), rel=1e-6)


def dropout(x: gu.Tensor) -> gu.Tensor:
    return x * (gu.rand(x.shape) < 0.5)


def test_random_numbers_repeat_in_the_second_run(seed: int) -> None:
    x = gu.ones(1000, requires_grad=True)
    y = gu.checkpoint(dropout, x)
    after = gu.default_generator.get_state()
    gu.rand(7)
    drawn = gu.default_generator.get_state()
    y.sum().backward()
    assert x.grad.tolist() == y.tolist()
    assert gu.default_generator.get_state() == drawn, "the backward pass draws nothing"
    gu.manual_seed(seed)
    dropout(gu.ones(1000))
    assert gu.default_generator.get_state() == after, "the forward pass draws once"


def test_random_numbers_may_be_left_alone(seed: int) -> None:
    x = gu.ones(1000, requires_grad=True)
    y = gu.checkpoint(dropout, x, preserve_rng_state=False)
    y.sum().backward()
    assert x.grad.tolist() != y.tolist()


def test_the_generator_is_put_back_when_the_second_run_fails(seed: int) -> None:
    calls = []

    def fails_twice(x: gu.Tensor) -> gu.Tensor:
        calls.append(1)
        if len(calls) > 1:
            raise KeyError("second run")
        return dropout(x)

    y = gu.checkpoint(fails_twice, gu.ones(3, requires_grad=True))
    before = gu.default_generator.get_state()
    with pytest.raises(KeyError):
        y.sum().backward()
    assert gu.default_generator.get_state() == before


def test_checkpoint_without_gradients_just_calls() -> None:
    calls = []
    with gu.no_grad():
        y = gu.checkpoint(lambda x: calls.append(1) or x * 2, gu.ones(1, requires_grad=True))
    assert not y.requires_grad
    y = gu.checkpoint(lambda x: x * 2, gu.ones(1))
    assert not y.requires_grad
    assert calls == [1]


def test_checkpoint_refuses_what_any_graph_refuses() -> None:
    x, data = gu.tensor([1.0, 2.0], requires_grad=True), gu.tensor([3.0, 4.0])
    y = gu.checkpoint(lambda x, data: x * data, x, data).sum()
    y.backward()
    with pytest.raises(RuntimeError, match=r"^checkpoint: .*freed"):
        y.backward()
    y = gu.checkpoint(lambda x, data: x * data, x, data).sum()
    data.zero_()
    with pytest.raises(RuntimeError, match=r"^checkpoint: .*changed in place"):
        y.backward()
    with pytest.raises(TypeError, match="floating tensors of one dtype"):
        gu.checkpoint(lambda x: x.argmax(), x)


def test_only_the_segment_that_runs_is_in_memory() -> None:
    """Of four segments of four results each, the arrays of one at most are alive in the walk."""
    alive: weakref.WeakSet = weakref.WeakSet()
    peak = 0

    class Kept:
        """Stands for an intermediate array: lives as long as the array does."""

    def segment(x: gu.Tensor) -> gu.Tensor:
        nonlocal peak
        for _ in range(4):
            x = x * 1.01
            mark = Kept()
            weakref.finalize(x.array, lambda _: None, mark)
            alive.add(mark)
            peak = max(peak, len(alive))
            x = x.sin()
        return x

    peaks = []
    for call in CALLS:
        gc.collect()
        alive.clear()
        peak = 0
        x = gu.ones(3, requires_grad=True)
        y = x
        for _ in range(4):
            y = call(segment, y)
        y.sum().backward()
        peaks.append(peak)
        del x, y
    assert peaks[0] >= 12
    assert peaks[1] <= 6


def peak_memory(run: Callable[[], None]) -> int:
    gc.collect()
    tracemalloc.start()
    run()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def test_checkpoint_really_needs_less_memory() -> None:
    """Eight segments of eight results of 80 kB: about 64 arrays without, 8 + 8 with."""

    def train(call: Callable) -> None:
        def segment(h: gu.Tensor) -> gu.Tensor:
            for _ in range(8):
                h = h.sin()
            return h

        x = gu.ones(20_000, requires_grad=True)
        h = x
        for _ in range(8):
            h = call(segment, h)
        h.sum().backward()

    plain = peak_memory(lambda: train(CALLS[0]))
    saved = peak_memory(lambda: train(CALLS[1]))
    assert saved < plain / 2
