"""Reading, writing and adding at positions in compiled functions, beside the eager engine (R1.4).

All of it is native: programs are checked to hold no call of NumPy. Positions that leave their
dimension stop the program before anything is computed of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup import nn, optim
from groundup.engine.compiler.plan import program as compiler
from groundup.engine.compiler.products import scatters
from groundup.nn import functional as F

DTYPES = (gu.int32, gu.int64, gu.uint8)


@pytest.fixture(autouse=True)
def two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The smallest kernels are split over two threads, unless a test says otherwise."""
    monkeypatch.setattr(compiler, "_WORTH", 1)
    monkeypatch.setattr(scatters, "_WORTH", 1)
    before = gu.get_num_threads()
    gu.set_num_threads(2)
    yield
    gu.set_num_threads(before)


def calls(compiled: Any) -> int:
    """How many steps NumPy computes; there has to be one native call."""
    reports = gu.explain(compiled).programs
    assert all(report.native == 1 for report in reports)
    return sum(step.kind == "call" for report in reports for step in report.steps)


def same(
    function: Callable[..., Any], *arguments: Any, times: int = 2, tolerance: float = 0
) -> Any:
    """Compile a function, compare results and gradients with those of the eager engine.

    The gradient is that of the results' products with fixed numbers.
    """

    def with_gradients(*given: Any) -> Any:
        leaves = [x for x in given if x.dtype.kind == "f"]
        for x in leaves:
            x.requires_grad_()
        y = function(*given)
        if not leaves or not y.requires_grad:
            return [y]
        g = (gu.arange(y.numel()) % 7 - 3).reshape(y.shape).to(y.dtype)
        found = gu.grad((y * g).sum(), leaves, allow_unused=True)
        return [y.detach(), *[one for one in found if one is not None]]

    wanted = with_gradients(*[x.clone() for x in arguments])
    compiled = gu.compile(with_gradients)
    for _ in range(times):
        found = compiled(*[x.clone() for x in arguments])
        for a, b in zip(found, wanted, strict=True):
            assert a.shape == b.shape
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a.numpy(), b.numpy(), tolerance, tolerance)
    return compiled


def whole(*shape: int, dtype: Any = gu.float32, seed: int = 0) -> gu.Tensor:
    """Small whole numbers, so that sums are exact in every order."""
    numbers = np.random.default_rng(seed).integers(-9, 10, shape)
    return gu.tensor(numbers.astype(dtype))


def places(size: int, *shape: int, dtype: Any = gu.int64, negative: bool = True) -> gu.Tensor:
    """Positions in a dimension, repeated ones and its ends among them."""
    low = -size if negative and dtype != gu.uint8 else 0
    numbers = np.random.default_rng(1).integers(low, size, shape)
    flat = numbers.reshape(-1)
    flat[:4] = [low, size - 1, low, 0][: flat.size]
    return gu.tensor(numbers.astype(dtype))


# One index array


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(5,), (3, 4), (1,), (2, 1, 3)])
def test_rows(dtype: Any, shape: tuple[int, ...]) -> None:
    compiled = same(lambda x, i: x[i], whole(7, 33), places(7, *shape, dtype=dtype))
    assert not calls(compiled)


def test_more_rows_than_the_type_of_the_positions_counts_to() -> None:
    narrow = gu.tensor([-1, 5, -128, 127], dtype=gu.int8)
    same(lambda x, i: x[i], whole(200, 33), narrow)
    same(lambda i: F.one_hot(i // 2 + 64, 300), narrow)


@pytest.mark.parametrize("dim", [0, 1, 2])
@pytest.mark.parametrize("columns", [1, 3, 40, 100])
def test_any_dimension(dim: int, columns: int) -> None:
    x = whole(6, 5, columns)
    position = places(x.shape[dim], 9)
    assert not calls(same(lambda x, i: x.index_select(dim, i), x, position))


@pytest.mark.parametrize("dtype", [gu.float64, gu.int32, gu.int64, gu.uint8, gu.bool])
def test_dtypes_of_values(dtype: Any) -> None:
    x = whole(7, 19).abs().to(dtype)
    assert not calls(same(lambda x, i: x[i], x, places(7, 11)))
    assert not calls(same(lambda x, i: x[:, i], x, places(19, 11)))


def test_a_value_that_is_computed() -> None:
    compiled = same(lambda x, i: (x * 2 + 1)[i] * 3 + x[i], whole(7, 20), places(7, 6))
    assert not calls(compiled)


def test_positions_that_are_computed() -> None:
    def function(x: Any, i: Any) -> Any:
        return x[(i * 3 + 1) % 7]

    assert not calls(same(function, whole(7, 20), places(7, 6)))


def test_a_position_for_each_row_of_the_result() -> None:
    """Positions found by a reduction are read at in the same step or a later one."""
    compiled = same(lambda x, y: y[x.argmax(1)] + x.sum(1, keepdim=True), whole(40, 9), whole(9, 1))
    assert not calls(compiled)


def test_views_are_read_through() -> None:
    def function(x: Any, i: Any) -> Any:
        return x.t()[i] + x.flip(1).t()[i] + x[:, 1:].t()[0] + x[:, ::2].t()[i // 2]

    assert not calls(same(function, whole(30, 8), places(4, 5, negative=False)))


def test_positions_that_follow_each_other_cost_nothing() -> None:
    """Neither the row of an arange nor its gradient is looked up (positions of tokens)."""

    def function(x: Any, y: Any) -> Any:
        return x[gu.arange(2, 6)] * y + x[gu.arange(8)][:4] + x[gu.arange(4).reshape(2, 2)].sum()

    compiled = same(function, whole(8, 3), whole(4, 3))
    steps = [step for report in gu.explain(compiled).programs for step in report.steps]
    assert not any("pick" in step.operations for step in steps)
    assert not any(step.kind in ("scatter", "call") for step in steps)


# Several


@pytest.mark.parametrize(
    "key",
    [
        lambda i, j: (i, j),
        lambda i, j: (i.unsqueeze(1), j),
        lambda i, j: (slice(None), i, j),
        lambda i, j: (i, slice(None), j),
        lambda i, j: (i, 2, j),
        lambda i, j: (slice(1, 5), i, slice(None), j),
        lambda i, j: (..., i, j),
        lambda i, j: (i, None, slice(0, 3), j),
        lambda i, j: (i, i, j, j),
        lambda i, j: (slice(None), slice(None), i.reshape(3, 2), slice(0, 5, 2)),
    ],
)
def test_several_index_arrays_with_slices(key: Callable[[Any, Any], Any]) -> None:
    x = whole(6, 6, 6, 6)
    i, j = places(6, 6), places(6, 6, dtype=gu.int32).flip(0)
    assert not calls(same(lambda x, i, j: x[key(i, j)], x, i, j))

    def written(x: Any, i: Any, j: Any) -> Any:
        y = x * 1
        y[key(i, j)] = 5.0
        return y

    assert not calls(same(written, x.detach(), i, j))


# Along another dimension


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dim", [0, 1, 2])
@pytest.mark.parametrize("count", [1, 4])
def test_gather(dtype: Any, dim: int, count: int) -> None:
    x = whole(4, 5, 18)
    shape = [*x.shape]
    shape[dim] = count
    position = places(x.shape[dim], *shape, dtype=dtype)
    assert not calls(same(lambda x, i: x.gather(dim, i), x, position))
    assert not calls(same(lambda x, i: (x * x).gather(dim, i), x, position))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dim", [0, 1])
def test_scatter_add(dtype: Any, dim: int) -> None:
    x, values = whole(6, 17), whole(6, 17, seed=2)
    position = places(x.shape[dim], 6, 17, dtype=dtype)
    compiled = same(lambda x, i, v: x.scatter_add(dim, i, v), x, position, values)
    assert not calls(compiled)


def test_a_small_dtype_of_many_classes() -> None:
    """uint8 positions in a dimension that is longer than they can say."""
    x, position = whole(5, 300), places(250, 5, 1, dtype=gu.uint8)
    same(lambda x, i: (x * 2).gather(1, i), x, position)
    logits, target = gu.randn(5, 300), places(250, 5, dtype=gu.uint8)
    same(lambda x, t: F.cross_entropy(x, t, ignore_index=255), logits, target, tolerance=1e-5)


# Adding and writing


@pytest.mark.parametrize("columns", [1, 7, 16, 31, 32, 100, 260])
def test_repeats_add_up_in_order(columns: int) -> None:
    """To the last bit what the eager engine gives, on any number of threads."""
    table, position, weight = gu.randn(9, columns), places(9, 500), gu.randn(500, columns)

    def gradient(table: Any, i: Any, weight: Any) -> Any:
        table.requires_grad_()
        return gu.grad((table[i] * weight).sum(), [table])[0]

    wanted = gradient(table.clone(), position, weight).numpy()
    compiled = gu.compile(gradient)
    for threads in (1, 2, 3):
        gu.set_num_threads(threads)
        for _ in range(3):
            found = compiled(table.clone(), position, weight)
            np.testing.assert_array_equal(found.numpy(), wanted)
    assert not calls(compiled)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_large_scatter_is_shared_out(threads: int) -> None:
    gu.set_num_threads(threads)
    x, position = whole(64, 512), places(64, 300)
    compiled = same(lambda x, i: x[i], x, position)
    [step] = [s for r in gu.explain(compiled).programs for s in r.steps if s.kind == "scatter"]
    assert step.shares == threads


def test_the_last_of_repeated_writings_stays() -> None:
    def function(x: Any, i: Any, v: Any) -> Any:
        y = x * 1
        y[i] = v
        return y

    compiled = same(function, whole(5, 6), gu.tensor([1, 3, 1, -2]), whole(4, 6, seed=3))
    assert not calls(compiled)
    same(function, whole(5, 6), gu.tensor([1, 3, 1, -2]), whole(6, seed=3))


@pytest.mark.parametrize("columns", [1, 40])
def test_a_state_is_written_in_its_own_memory(columns: int) -> None:
    """Such as a store of keys that grows by a row a call."""
    store, eager = gu.zeros(10, columns), gu.zeros(10, columns)
    array = store.array

    def put(store: Any, i: Any, v: Any) -> Any:
        store[i] = v
        return store.sum()

    compiled = gu.compile(lambda i, v: put(store, i, v))
    for k in range(4):
        i, v = gu.tensor([k, 2 * k]), gu.full((2, columns), float(k + 1))
        assert compiled(i, v).item() == put(eager, i, v).item()
    np.testing.assert_array_equal(store.numpy(), eager.numpy())
    assert store.array is array
    assert not calls(compiled)


def test_a_state_that_is_reordered_by_itself() -> None:
    """What is read at other places is not written over too early."""
    store = whole(8, 50)
    before = store.numpy().copy()
    order = gu.tensor([3, 1, 0, 7, 7, 2, 5, -2])

    @gu.compile
    def step() -> None:
        store.assign(store[order] + 1)

    step()
    np.testing.assert_array_equal(store.numpy(), before[order.numpy()] + 1)

    @gu.compile
    def swap(i: Any) -> None:
        store[i] = store[i.flip(0)]

    before = store.numpy().copy()
    swap(gu.tensor([0, 4, 2]))
    wanted = before.copy()
    wanted[[0, 4, 2]] = before[[2, 4, 0]]
    np.testing.assert_array_equal(store.numpy(), wanted)


# Nothing, and too far


def test_nothing_is_read_or_written() -> None:
    none = gu.tensor(np.empty(0, np.int64))
    same(lambda x, i: x[i], whole(5, 3), none)
    same(lambda x, i: x.index_select(1, i), whole(5, 3), none)
    same(lambda x, i: x[i, :, i], whole(5, 3, 5), none)
    same(lambda x, i: x[i], gu.zeros(5, 0), places(5, 4))
    same(lambda x, i: x[i] + 1, gu.zeros(0, 4), none)


@pytest.mark.parametrize("size", [3, 40_000])
@pytest.mark.parametrize(
    ("dtype", "wrong"),
    [
        (gu.uint8, (7, 255)),
        (gu.int32, (-1, 7, -(2**31), 2**31 - 1)),
        (gu.int64, (-1, 7, 2**62, -(2**63))),
    ],
)
def test_a_position_outside(dtype: Any, size: int, wrong: tuple[int, ...]) -> None:
    table = nn.Embedding(7, 5)
    optimizer = optim.SGD(table.parameters(), lr=0.1, momentum=0.9)

    @gu.compile
    def step(i: Any) -> Any:
        loss = table(i).square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    good = np.arange(size).astype(dtype) % np.asarray(7, dtype)
    step(gu.tensor(good))
    before = table.weight.detach().numpy().copy()
    for number in wrong:
        bad = good.copy()
        bad[size // 2] = number
        with pytest.raises(IndexError, match=rf":\d+: found {number}, expected 0 to 6"):
            step(gu.tensor(bad))
        np.testing.assert_array_equal(table.weight.detach().numpy(), before)
    step(gu.tensor(good))
    assert np.any(table.weight.detach().numpy() != before)


def test_a_computed_position_outside() -> None:
    """Found while the program runs: nothing outside is read, what follows is not computed."""
    x, state = whole(7, 20), gu.zeros(3)

    @gu.compile
    def function(i: Any, shift: Any) -> Any:
        at = i + shift
        y = x[at].sum() + x.gather(0, at.unsqueeze(1).expand(4, 20)).sum()
        state.add_(y)
        return y

    i = gu.tensor([0, 1, 2, 3])
    wanted = function(i, gu.tensor(2)).item()
    assert wanted == 2 * x.numpy()[2:6].sum()
    assert not calls(function)
    before = state.numpy().copy()
    for shift in (4, -12, 2**40, -(2**62)):
        with pytest.raises(IndexError, match=r"expected -7 to 6"):
            function(i, gu.tensor(shift))
        np.testing.assert_array_equal(state.numpy(), before)
    assert function(i, gu.tensor(2)).item() == wanted


@pytest.mark.parametrize(
    ("dtype", "made"),
    [
        (gu.uint8, lambda x, k: gu.cat([k, x])),
        (gu.int16, lambda x, k: gu.cat([x, k])),  # looked at by NumPy
        (gu.int32, lambda x, k: gu.cat([k, x])),
        (gu.int64, lambda x, k: gu.cat([gu.full((1,), 3, dtype=k.dtype), x])),
        (gu.int64, lambda x, k: gu.cat([gu.cat([k, x]), gu.cat([x, k])])),
        (gu.int64, lambda x, k: gu.stack([k, x], dim=1)),
        (gu.int64, lambda x, k: gu.cat([x[2:], k[:2], x[:2]])),
        (gu.int64, lambda x, k: gu.roll(gu.flip(gu.cat([k, x]), (0,)), 1, 0)[1:]),
        (gu.int64, lambda x, k: F.pad(x, (1, 2), value=5)),
        (gu.int32, lambda x, k: gu.cat([k, x]).to(gu.int64)),
        (gu.int64, lambda x, k: gu.cat([k, (x > 7).to(k.dtype) * 25])),
        (gu.int64, lambda x, k: gu.where(x > 7, x, k)),
        (gu.int64, lambda x, k: gu.cat([x, (gu.ones(3, 5) @ gu.ones(5, 2))[:, 0].to(k.dtype)])),
    ],
)
def test_positions_that_are_put_together(made: Callable[[Any, Any], Any], dtype: Any) -> None:
    """The condition is looked at when they are there, not in what an earlier call has left."""
    table = whole(8, 2)
    known = gu.tensor(np.array([0, 4, 6], dtype))
    good, bad = [gu.tensor(np.array(each, dtype)) for each in ([1, 2, 3], [1, 2, 25])]
    compiled = gu.compile(lambda x: F.embedding(made(x, known), table))
    for _ in range(2):
        wanted = table.numpy()[made(good, known).numpy()]
        np.testing.assert_array_equal(compiled(good).numpy(), wanted)
        with pytest.raises(IndexError, match="found 25, expected 0 to 7"):
            compiled(bad)


def test_the_condition_that_stops_the_program_is_named() -> None:
    """Not a later one, whose values are those of an earlier call."""
    many, few = nn.Embedding(100, 2), nn.Embedding(5, 2)

    @gu.compile
    def function(i: Any, k: Any) -> Any:
        return many(i * 10).sum() + few(k).sum()

    good, bad = gu.tensor([1, 2]), gu.tensor([1, 70])
    function(good, good)
    with pytest.raises(IndexError, match="found 700, expected 0 to 99"):
        function(bad, good)
    with pytest.raises(IndexError, match="found 70, expected 0 to 4"):
        function(good, bad)


def test_a_constant_position_outside() -> None:
    embedding = nn.Embedding(5, 2)
    wrong = gu.compile(lambda: embedding(gu.tensor([1, 7])))
    for _ in range(2):
        with pytest.raises(IndexError, match="found 7, expected 0 to 4"):
            wrong()


def test_labels_that_are_ignored_are_no_error() -> None:
    logits, target = gu.randn(6, 5), gu.tensor([0, -100, 4, 3, -100, 1])
    compiled = same(lambda x, t: F.cross_entropy(x, t), logits, target, tolerance=1e-5)
    bad = gu.tensor([0, -99, 4, 3, -100, 1])
    with pytest.raises(IndexError, match="found -99, expected 0 to 4"):
        compiled(logits, bad)


# Second derivatives, and where it is used


def test_the_gradient_of_a_gradient() -> None:
    def second(x: Any, i: Any) -> Any:
        x.requires_grad_()
        g = gu.grad((x[i] ** 3).sum(), [x], create_graph=True)[0]
        return gu.grad((g * g).sum(), [x])[0]

    x, i = whole(6, 4), places(6, 9)
    wanted = second(x.clone(), i).numpy()
    compiled = gu.compile(second)
    np.testing.assert_allclose(compiled(x.clone(), i).numpy(), wanted, 1e-6)
    assert not calls(compiled)


def test_a_gradient_from_outside() -> None:
    table, position = whole(6, 40).requires_grad_(), places(6, 9)
    gu.compile(lambda x, i: x[i] * 2)(table, position).sum().backward()
    wanted = 2.0 * np.bincount(position.numpy() % 6, minlength=6)
    np.testing.assert_array_equal(table.grad.numpy(), np.tile(wanted[:, None], 40))


@pytest.mark.parametrize("tied", [False, True])
def test_a_language_model_is_one_native_call(tied: bool) -> None:
    """Token and position embeddings, layer norm, cross-entropy, AdamW (R1.4)."""

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token = nn.Embedding(11, 24, padding_idx=0)
            self.place = nn.Embedding(8, 24)
            self.norm = nn.LayerNorm(24)
            self.head = nn.Linear(24, 11, bias=False)
            if tied:
                self.head.weight = self.token.weight

        def forward(self, i: Any) -> Any:
            x = self.token(i) + self.place(gu.arange(i.shape[1]))
            return self.head(self.norm(x))

    def trained(compile: bool) -> tuple[list[float], Any, Any]:
        gu.manual_seed(3)
        model = Model()
        optimizer = optim.AdamW(model.parameters(), lr=0.01)

        def step(i: Any, target: Any) -> Any:
            loss = F.cross_entropy(model(i).flatten(0, 1), target.flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss.detach()

        run = gu.compile(step) if compile else step
        numbers = np.random.default_rng(0)
        batches = [gu.tensor(numbers.integers(0, 11, (2, 4, 8))) for _ in range(10)]
        return [run(b[0], b[1]).item() for b in batches], model, run

    losses, model, compiled = trained(True)
    wanted, eager, _ = trained(False)
    np.testing.assert_allclose(losses, wanted, 2e-5)
    for a, b in zip(model.parameters(), eager.parameters(), strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), 2e-3, 2e-5)
    assert not calls(compiled)


# In order


def numbers(shape: tuple[int, ...], dtype: Any) -> gu.Tensor:
    """Small whole numbers with repeats, and of floats some NaN and infinities."""
    rng = np.random.default_rng(5)
    array = rng.integers(-5, 6, shape).astype(dtype)
    if array.dtype.kind == "f":
        array[rng.random(shape) < 0.1] = np.nan
        array[rng.random(shape) < 0.1] = np.inf
    return gu.tensor(array)


@pytest.mark.parametrize("dtype", [gu.float32, gu.float64, gu.int32, gu.int64])
@pytest.mark.parametrize(
    ("shape", "dim"),
    [((5,), 0), ((1,), 0), ((3, 40), 1), ((17, 3), 0), ((2, 33, 4), 1), ((2, 64), 1)],
)
def test_sorting(shape: tuple[int, ...], dim: int, dtype: Any) -> None:
    x = numbers(shape, dtype)
    assert not calls(same(lambda x: x.argsort(dim), x))
    assert not calls(same(lambda x: x.sort(dim, descending=True).indices, x))
    assert not calls(same(lambda x: x.topk(1, dim).values, x))


@pytest.mark.parametrize("dtype", [gu.float32, gu.float64, gu.int32, gu.int64])
@pytest.mark.parametrize(
    ("shape", "dim"),
    [((5,), 0), ((3, 40), 1), ((40, 3), 0), ((2, 1100), 1), ((2, 33, 4), 1), ((3, 64), 1)],
)
def test_running_sums(shape: tuple[int, ...], dim: int, dtype: Any) -> None:
    assert not calls(same(lambda x: x.cumsum(dim), whole(*shape, dtype=dtype)))


def test_long_rows_are_sorted_by_numpy() -> None:
    same(lambda x: x.sort(0).values * 2, gu.randn(5000))


# Beside


@pytest.mark.parametrize("step", [2, 3, 7])
def test_the_gradient_of_a_slice_with_steps(step: int) -> None:
    assert not calls(same(lambda x: x[1::step, :, ::2] * 2, whole(9, 3, 5)))


def test_an_outer_product_of_a_vector_with_itself() -> None:
    """Both dimensions have the length of the one loop that computes the vector."""

    def outer(x: Any) -> Any:
        y = x * 2 + 1
        return y.unsqueeze(1) * y.unsqueeze(0)

    same(outer, whole(5))
    same(lambda x: outer(x).sum(1), whole(5))
    same(lambda x: (x * 2).t() + x * 2, whole(4, 4))
