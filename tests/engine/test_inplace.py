"""Change in place: refused where a graph needs the old values, followed where it can be.

Proves R1.2.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, strategies as st

import groundup as gu

from .drawing import uniform


def leaf(*values: float) -> gu.Tensor:
    return gu.tensor(values, dtype=gu.float64, requires_grad=True)


# Refused: what a graph needs


def changes() -> Iterator[tuple[str, str, Callable[[], gu.Tensor]]]:
    """Name, the operation to blame, and a graph whose kept values were changed."""

    def saved_input() -> gu.Tensor:
        y = leaf(1.0, 2.0) * 2
        z = y.sin()
        y.add_(1)
        return z

    def saved_output() -> gu.Tensor:
        z = (leaf(1.0, 2.0) * 2).exp()
        z.mul_(2)
        return z

    def through_a_view() -> gu.Tensor:
        y = leaf(1.0, 2.0) * 2
        view = y.reshape(2, 1)[0]
        z = y.sin()
        with gu.no_grad():
            view.zero_()
        return z

    def view_saved_and_base_changed() -> gu.Tensor:
        y = leaf(1.0, 2.0) * 2
        z = y[1:].sin()
        with gu.no_grad():
            y.zero_()
        return z

    def through_detach() -> gu.Tensor:
        y = leaf(1.0, 2.0) * 2
        z = y.sin()
        y.detach().fill_(7)
        return z

    def by_index() -> gu.Tensor:
        y = leaf(1.0, 2.0) * 2
        z = y.sin()
        y[0] = 5.0
        return z

    def by_mask() -> gu.Tensor:
        y = leaf(1.0, 2.0) * 2
        z = y.sin()
        y[gu.tensor([True, False])] = 5.0
        return z

    def a_parameter() -> gu.Tensor:
        w = leaf(1.0, 2.0)
        z = w * w
        with gu.no_grad():
            w.sub_(0.1)
        return z

    def data_without_gradient() -> gu.Tensor:
        x, w = gu.tensor([1.0, 2.0], dtype=gu.float64), leaf(1.0, 2.0)
        z = w * x
        x.assign(0.0)
        return z

    def an_index() -> gu.Tensor:
        where = gu.tensor([0, 1])
        z = leaf(1.0, 2.0)[where]
        where.assign(0)
        return z

    def a_condition() -> gu.Tensor:
        mask = gu.tensor([True, False])
        z = gu.where(mask, leaf(1.0, 2.0), 0.0)
        mask.fill_(True)
        return z

    def a_state_updated_by_assign() -> gu.Tensor:
        mean = gu.zeros(2, dtype=gu.float64)
        z = leaf(1.0, 2.0) / (mean + 1).assign(gu.ones(2)) * mean
        mean.assign(gu.ones(2))
        return z

    blame = {
        saved_output: "exp",
        a_parameter: "mul",
        data_without_gradient: "mul",
        an_index: "index",
        a_condition: "where",
        a_state_updated_by_assign: "mul",
    }
    for make in [v for v in locals().values() if inspect.isfunction(v)]:
        yield make.__name__, blame.get(make, "sin"), make


@pytest.mark.parametrize(
    ("operation", "make"), [c[1:] for c in changes()], ids=[c[0] for c in changes()]
)
def test_a_change_under_the_graph_is_refused_and_names_the_operation(
    operation: str, make: Callable[[], gu.Tensor]
) -> None:
    z = make()
    with pytest.raises(RuntimeError, match=rf"^{operation}: .*changed in place.*clone\(\)"):
        z.sum().backward()


def test_a_change_between_two_orders_is_refused() -> None:
    x = leaf(1.0, 2.0)
    w = gu.tensor([3.0, 4.0], dtype=gu.float64)
    (g,) = gu.grad((w * x * x).sum(), x, create_graph=True)
    w.zero_()
    with pytest.raises(RuntimeError, match=r"^mul: "):
        gu.grad(g.sum(), x)


def test_a_change_after_backward_is_allowed() -> None:
    w = leaf(1.0, 2.0)
    for _ in range(3):
        w.grad = None
        (w * w).sum().backward()
        with gu.no_grad():
            w.sub_(w.grad, alpha=0.25)
    assert w.tolist() == [0.125, 0.25]


# Followed: a tensor becomes the result of the operation

IN_PLACE: dict[str, tuple[Callable, Callable]] = {
    "add_": (lambda y, w: y.add_(w, alpha=2), lambda y, w: y.add(w, alpha=2)),
    "sub_": (lambda y, w: y.sub_(w), lambda y, w: y - w),
    "mul_": (lambda y, w: y.mul_(w), lambda y, w: y * w),
    "div_": (lambda y, w: y.div_(w), lambda y, w: y / w),
    "pow_": (lambda y, w: y.pow_(3), lambda y, w: y**3),
    "clamp_": (lambda y, w: y.clamp_(-1, 1), lambda y, w: y.clamp(-1, 1)),
    "masked_fill_": (
        lambda y, w: y.masked_fill_(w > 1, 0.5),
        lambda y, w: gu.where(w > 1, 0.5, y),
    ),
    "copy_": (lambda y, w: y.copy_(w), lambda y, w: w.expand_as(y)),
    "fill_": (lambda y, w: y.fill_(2), lambda y, w: y * 0 + 2),
    "setitem": (
        lambda y, w: y.__setitem__((slice(None), 0), w[0]) or y,
        lambda y, w: gu.cat([w[0].expand(y.shape[0], 1), y[:, 1:]], 1),
    ),
    "+=": (lambda y, w: y.__iadd__(w), lambda y, w: y + w),
    "*=": (lambda y, w: y.__imul__(y.clone()), lambda y, w: y * y),
}


@given(names=st.lists(st.sampled_from(sorted(IN_PLACE)), min_size=1, max_size=4), data=st.data())
def test_operations_in_place_compute_and_differentiate_like_the_others(
    names: list[str], data: st.DataObject
) -> None:
    """A tensor that was changed in place is the result of the operation, gradients included."""
    x0, w0 = data.draw(uniform((3, 2))), data.draw(uniform((2,), 0.5, 1.5))
    results = []
    for which in (0, 1):
        x, w = gu.tensor(x0, requires_grad=True), gu.tensor(w0, requires_grad=True)
        y = x * 1.5
        for name in names:
            y = IN_PLACE[name][which](y, w)
        results.append((y, *gu.grad((y * y).sum() + x.sum() + w.sum(), [x, w])))
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours.array, theirs.array, rtol=1e-12, atol=1e-12)


def test_a_buffer_filled_piece_by_piece_passes_gradients_to_the_pieces() -> None:
    w = leaf(1.0, 2.0)
    buffer = gu.zeros(3, 2, dtype=gu.float64)
    buffer[0] = 7.0
    buffer[0] = w
    buffer[gu.tensor([1, 2])] = gu.stack([w * 10, w * 100])
    buffer[2, 0] = w[1] * 5
    assert buffer.tolist() == [[1, 2], [10, 20], [10, 200]]
    buffer.sum().backward()
    assert w.grad.tolist() == [1 + 10, 1 + 10 + 100 + 5]


def test_what_is_overwritten_gets_no_gradient() -> None:
    x = leaf(1.0, 2.0, 3.0)
    y = x * 2
    y[1] = 0.0
    y[gu.tensor([False, False, True])] = 0.0
    y.sum().backward()
    assert x.grad.tolist() == [2, 0, 0]


# Refused: what gradients could not follow


def test_a_leaf_that_requires_a_gradient_is_not_changed_in_place() -> None:
    x = leaf(1.0, 2.0)
    for change in (
        lambda: x.add_(1),
        lambda: x.zero_(),
        lambda: x.__setitem__(0, 1.0),
        lambda: x.masked_fill_(x > 1, 0.0),
    ):
        with pytest.raises(RuntimeError, match=r"leaf that requires a gradient.*no_grad\(\)"):
            change()
    with pytest.raises(RuntimeError, match=r"assign: .*no_grad\(\)"):
        x.assign(0.0)
    with pytest.raises(RuntimeError, match="assign: "):
        gu.zeros(2).assign(x)
    assert x.tolist() == [1, 2]
    with gu.no_grad():
        x.add_(1)
    assert x.tolist() == [2, 3]
    assert x.requires_grad
    assert x.is_leaf


def test_a_tensor_with_a_view_is_not_changed_inside_a_graph() -> None:
    y = leaf(1.0, 2.0) * 2
    view = y[0]
    with pytest.raises(RuntimeError, match=r"^add_: .*shares its memory with a view"):
        y.add_(1)
    with pytest.raises(RuntimeError, match=r"^mul_: .*shares its memory with a view"):
        view.mul_(2)
    assert y.tolist() == [2, 4]


def test_values_that_do_not_fit_are_refused_and_change_nothing() -> None:
    x = gu.tensor([1, 2])
    with pytest.raises(TypeError, match=r"float32 do not fit in a tensor of int64"):
        x.add_(1.5)
    with pytest.raises(
        ValueError, match=r"^add_: the result has shape \(3, 2\), the tensor \(2,\)"
    ):
        x.add_(gu.ones(3, 2, dtype=gu.int64))
    with pytest.raises(RuntimeError, match="read-only or expanded"):
        gu.ones(1).expand(3).add_(1)
    assert x.tolist() == [1, 2]
