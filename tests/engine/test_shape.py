"""Operations that move elements: values against NumPy, memory, and gradients by moving them back.

Such an operation only moves, repeats or drops elements, so its gradient is known exactly: each
element gets the weights of its copies, added up. ``check`` verifies both. R1.1, R1.2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

import groundup as gu
import groundup.nn.functional as F

from .drawing import Array, dimensions, laid_out, reshaped, seeds, shapes, uniform

Move = Callable[[gu.Tensor], gu.Tensor]


def check(array: Array, ours: Move, numpy: Callable[[Array], Array], filled: float = 0.0) -> None:
    """The same elements in the same places, and the weights brought back to them.

    ``numpy`` is applied to the positions 1, 2, ...; where it puts 0, the operation puts ``filled``.
    """
    x = gu.as_tensor(array).requires_grad_()
    found = ours(x)
    where = numpy(np.arange(1, array.size + 1).reshape(array.shape))
    source = np.append(filled, array.ravel())
    assert found.shape == where.shape
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found.array, source[where])
    weight = np.random.default_rng(0).uniform(size=where.shape)
    (g,) = gu.grad(found, x, gu.tensor(weight))
    back = np.bincount(where.ravel(), weight.ravel(), array.size + 1)[1:]
    np.testing.assert_allclose(g.array, back.reshape(array.shape), rtol=1e-12)


@st.composite
def arrays(draw: st.DrawFn, min_dims: int = 0, min_side: int = 0) -> Array:
    return draw(laid_out(draw(uniform(draw(shapes(min_dims=min_dims, min_side=min_side))))))


def dim_of(array: Array, extra: int = 0) -> st.SearchStrategy[int]:
    """A dimension counted from the front or from the back."""
    n = array.ndim + extra
    return st.integers(-n, n - 1)


@given(data=st.data())
def test_reshape_view_and_flatten(data: st.DataObject) -> None:
    array = data.draw(arrays())
    shape = data.draw(reshaped(array.shape))
    check(array, lambda x: x.reshape(shape), lambda a: a.reshape(shape))
    check(array, lambda x: x.view(*shape), lambda a: a.reshape(shape))
    check(array, lambda x: gu.reshape(x, -1), lambda a: a.reshape(-1))
    if array.ndim:
        start = data.draw(st.integers(0, array.ndim - 1))
        end = data.draw(st.integers(start, array.ndim - 1))
        merged = (*array.shape[:start], int(np.prod(array.shape[start : end + 1])))
        merged = (*merged, *array.shape[end + 1 :])
        check(array, lambda x: x.flatten(start, end), lambda a: a.reshape(merged))
        check(
            array,
            lambda x: x.flatten(start, end).unflatten(start, array.shape[start : end + 1]),
            lambda a: a,
        )
    else:
        check(array, lambda x: x.flatten(), lambda a: a.reshape(1))


@given(data=st.data())
def test_permute_transpose_and_movedim(data: st.DataObject) -> None:
    array = data.draw(arrays(min_dims=1))
    order = data.draw(st.permutations(range(array.ndim)))
    signed = [d - array.ndim if data.draw(st.booleans()) else d for d in order]
    check(array, lambda x: x.permute(signed), lambda a: a.transpose(order))
    check(array, lambda x: x.permute(*order), lambda a: a.transpose(order))
    a, b = data.draw(dim_of(array)), data.draw(dim_of(array))
    check(array, lambda x: x.transpose(a, b), lambda x: np.swapaxes(x, a, b))
    check(array, lambda x: x.movedim(a, b), lambda x: np.moveaxis(x, a, b))
    check(array, lambda x: x.T, lambda x: x.T)
    if array.ndim >= 2:
        check(array, lambda x: x.mT, lambda x: np.swapaxes(x, -1, -2))
    if array.ndim <= 2:
        check(array, lambda x: x.t(), lambda x: x.T)


@given(data=st.data())
def test_squeeze_and_unsqueeze(data: st.DataObject) -> None:
    array = data.draw(arrays())
    check(array, lambda x: x.squeeze(), np.squeeze)
    place = data.draw(dim_of(array, extra=1))
    check(array, lambda x: x.unsqueeze(place), lambda a: np.expand_dims(a, place))
    if array.ndim:
        dims = data.draw(dimensions(array.ndim))
        ones = tuple(d for d in dims if array.shape[d] == 1)
        check(array, lambda x: x.squeeze(dims), lambda a: np.squeeze(a, ones))
        dim = data.draw(dim_of(array))
        found = gu.as_tensor(array).squeeze(dim)
        assert found.ndim == array.ndim - (array.shape[dim] == 1)


@given(data=st.data())
def test_expand_and_repeat(data: st.DataObject) -> None:
    array = data.draw(arrays())
    lead = data.draw(st.lists(st.integers(0, 2), max_size=2))
    wide = (*lead, *(data.draw(st.integers(0, 3)) if n == 1 else n for n in array.shape))
    own = zip(array.shape, wide[len(lead) :], strict=True)
    signed = [*lead, *(-1 if n == m else m for n, m in own)]
    check(array, lambda x: x.expand(wide), lambda a: np.broadcast_to(a, wide))
    check(array, lambda x: x.expand(*signed), lambda a: np.broadcast_to(a, wide))
    check(array, lambda x: x.expand_as(gu.zeros(wide)), lambda a: np.broadcast_to(a, wide))
    counts = [data.draw(st.integers(0, 2)) for _ in range(array.ndim + len(lead))]
    check(array, lambda x: x.repeat(counts), lambda a: np.tile(a, counts))
    times = data.draw(st.integers(0, 3))
    check(array, lambda x: x.repeat_interleave(times), lambda a: np.repeat(a, times))
    if array.ndim:
        d = data.draw(dim_of(array))
        check(array, lambda x: x.repeat_interleave(times, d), lambda a: np.repeat(a, times, d))


@given(data=st.data())
def test_narrow_select_split_chunk_and_unbind(data: st.DataObject) -> None:
    array = data.draw(arrays(min_dims=1))
    d = data.draw(dim_of(array))
    n = array.shape[d]
    start = data.draw(st.integers(0, n))
    length = data.draw(st.integers(0, n - start))
    check(
        array,
        lambda x: x.narrow(d, start, length),
        lambda a: np.take(a, range(start, start + length), d),
    )
    if n:
        i = data.draw(st.integers(-n, n - 1))
        check(array, lambda x: x.select(d, i), lambda a: np.take(a, i, d))
    x = gu.as_tensor(array)
    step = data.draw(st.integers(1, 4))
    pieces = x.split(step, d)
    assert [p.shape[d] for p in pieces[:-1]] == [step] * (len(pieces) - 1)
    np.testing.assert_array_equal(gu.cat(pieces, d).array, array)
    cut = data.draw(st.integers(0, n))
    left, right = x.split([cut, n - cut], d)
    assert (left.shape[d], right.shape[d]) == (cut, n - cut)
    chunks = data.draw(st.integers(1, 4))
    pieces = x.chunk(chunks, d)
    assert len(pieces) <= chunks
    np.testing.assert_array_equal(gu.cat(pieces, d).array, array)
    assert len(x.unbind(d)) == n
    if n:
        np.testing.assert_array_equal(gu.stack(x.unbind(d), d).array, array)
        check(array, lambda x: gu.stack(x.unbind(d)), lambda a: np.moveaxis(a, d, 0))


@given(data=st.data())
def test_cat_and_stack(data: st.DataObject) -> None:
    shape = data.draw(shapes(min_dims=1))
    d = data.draw(st.integers(-len(shape), len(shape) - 1))
    sizes = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=3))
    given = [
        data.draw(uniform(tuple(m if i == d % len(shape) else n for i, n in enumerate(shape))))
        for m in sizes
    ]
    found = gu.cat([gu.tensor(a) for a in given], d)
    np.testing.assert_array_equal(found.array, np.concatenate(given, d))
    same = [data.draw(uniform(shape)) for _ in sizes]
    place = data.draw(st.integers(-len(shape) - 1, len(shape)))
    found = gu.stack([gu.tensor(a) for a in same], place)
    np.testing.assert_array_equal(found.array, np.stack(same, place))


@given(data=st.data())
def test_flip_and_roll(data: st.DataObject) -> None:
    array = data.draw(arrays())
    dims = data.draw(dimensions(array.ndim, min_size=0))
    check(array, lambda x: x.flip(dims), lambda a: np.flip(a, dims))
    shift = data.draw(st.integers(-5, 5))
    check(array, lambda x: x.roll(shift), lambda a: np.roll(a, shift))
    if dims:
        shifts = [data.draw(st.integers(-4, 4)) for _ in dims]
        check(array, lambda x: x.roll(shifts, dims), lambda a: np.roll(a, shifts, dims))


@given(data=st.data())
def test_triangles_and_diagonals(data: st.DataObject) -> None:
    array = data.draw(arrays(min_dims=2))
    k = data.draw(st.integers(-4, 4))
    check(array, lambda x: x.tril(k), lambda a: np.tril(a, k))
    check(array, lambda x: x.triu(k), lambda a: np.triu(a, k))
    a, b = data.draw(st.permutations(range(array.ndim)))[:2]
    check(array, lambda x: x.diagonal(k, a, b), lambda x: np.diagonal(x, k, a, b))
    check(array, lambda x: gu.diagonal(x, k), lambda x: np.diagonal(x, k))


@given(data=st.data())
def test_unfold_gives_sliding_windows(data: st.DataObject) -> None:
    array = data.draw(arrays(min_dims=1, min_side=1))
    d = data.draw(dim_of(array))
    size = data.draw(st.integers(1, array.shape[d]))
    step = data.draw(st.integers(1, 3))

    def windows(a: Array) -> Array:
        every = np.lib.stride_tricks.sliding_window_view(a, size, d)
        place = d % a.ndim
        return np.take(every, range(0, every.shape[place], step), place)

    check(array, lambda x: x.unfold(d, size, step), windows)


@given(data=st.data(), value=st.sampled_from([None, 0, 1.5, -np.inf]))
def test_padding_and_cropping_with_a_constant(data: st.DataObject, value: float | None) -> None:
    array = data.draw(arrays(min_dims=1))
    count = data.draw(st.integers(0, array.ndim))
    widths = [(data.draw(st.integers(-1, 2)), data.draw(st.integers(-1, 2))) for _ in range(count)]
    shape = array.shape[array.ndim - count :]
    for n, (a, b) in zip(shape, widths[::-1], strict=True):
        if min(a, 0) + min(b, 0) + n < 0:
            return  # crops more than there is
    flat = [w for pair in widths for w in pair]
    all_widths = [(0, 0)] * (array.ndim - count) + widths[::-1]

    def padded(a: Array) -> Array:
        pairs = zip(a.shape, all_widths, strict=True)
        key = tuple(slice(max(-i, 0), n - max(-j, 0)) for n, (i, j) in pairs)
        return np.pad(a[key], [(max(i, 0), max(j, 0)) for i, j in all_widths])

    check(array, lambda x: F.pad(x, flat, value=value), padded, filled=value or 0.0)


@pytest.mark.parametrize(
    ("mode", "numpy"), [("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")]
)
@given(data=st.data())
def test_padding_from_the_values(mode: str, numpy: str, data: st.DataObject) -> None:
    array = data.draw(arrays(min_dims=1, min_side=1))
    widths: list[tuple[int, int]] = []
    for n in array.shape[::-1][: data.draw(st.integers(1, array.ndim))]:
        limit = {"reflect": n - 1, "replicate": 3, "circular": n}[mode]
        widths.append((data.draw(st.integers(0, limit)), data.draw(st.integers(0, limit))))
    flat = [w for pair in widths for w in pair]
    full = [(0, 0)] * (array.ndim - len(widths)) + widths[::-1]
    check(array, lambda x: F.pad(x, flat, mode=mode), lambda a: np.pad(a, full, mode=numpy))


# Memory


@given(data=st.data())
def test_moving_without_copying_is_a_view(data: st.DataObject) -> None:
    """A change through either side is seen on the other."""
    shape = data.draw(shapes(min_dims=2, min_side=1))
    x = gu.tensor(data.draw(uniform(shape)))
    views: Sequence[gu.Tensor] = [
        x.reshape(-1),
        x.T,
        x.transpose(0, 1),
        x.unsqueeze(0),
        x.squeeze(),
        x.flip(0),
        x.narrow(0, 0, 1),
        x.select(1, 0),
        x.expand(2, *shape),
        x.unfold(0, 1, 1),
        x.split(1)[0],
        x[:, ::2],
        x.detach(),
    ]
    x.fill_(7)
    for view in views:
        assert np.shares_memory(view.array, x.array)
        assert (view == 7).all()
    views[1].zero_()
    assert not x.any()


def test_what_copies() -> None:
    x = gu.zeros(2, 3)
    copies = [x.clone(), x.repeat(1, 1), gu.cat([x]), F.pad(x, (0, 1)), x.T.reshape(-1)]
    copies += [x.roll(1), x.roll(0), x.repeat(2, 1, 1), x.repeat_interleave(1), x.tril()]
    for y in copies:
        assert not np.shares_memory(y.array, x.array)
        y.add_(1)
    assert not x.any()


# What is refused


@pytest.mark.parametrize(
    ("move", "error", "message"),
    [
        (lambda x: x.reshape(4), ValueError, r"reshape\(\(2, 3\) float32\): cannot reshape"),
        (lambda x: x.permute(0, 0), ValueError, r"expected each of the 2 dimensions"),
        (lambda x: x.permute(0), ValueError, r"expected each of the 2 dimensions"),
        (lambda x: x.transpose(0, 2), IndexError, r"dim 2 is out of range .* expected -2 to 1"),
        (lambda x: x.unsqueeze(3), IndexError, r"dim 3 is out of range, expected -3 to 2"),
        (lambda x: x.squeeze(2), IndexError, r"dim 2 is out of range"),
        (lambda x: x.squeeze((0, 0)), ValueError, r"names a dimension twice"),
        (lambda x: x.expand(4, 3), ValueError, r"expand\(\(2, 3\) float32\): .*broadcast"),
        (lambda x: x.repeat(2), ValueError, r"repeat\(2,\): expected at least 2 numbers"),
        (lambda x: x.narrow(1, 2, 2), IndexError, r"2 to 4 leaves dimension 1 of size 3"),
        (lambda x: x.select(0, 2), IndexError, r"leaves dimension 0 of size 2|out of range"),
        (lambda x: x.split([1, 1], 1), ValueError, r"\[1, 1\] add up to 2, not 3"),
        (lambda x: x.chunk(0), ValueError, r"at least 1 chunk, got 0"),
        (lambda x: gu.cat([]), ValueError, r"at least one tensor"),
        (lambda x: gu.cat([x, gu.ones(2, 4)]), ValueError, r"cat\(.*\(2, 4\) float32\)"),
        (lambda x: gu.stack([x, gu.ones(3, 2)]), ValueError, r"equal shapes, got \[\(2, 3\), "),
        (lambda x: x.flatten(1, 0), ValueError, r"start_dim 1 comes after end_dim 0"),
        (lambda x: x.unfold(1, 4, 1), ValueError, r"windows of 4 .* size 3"),
        (lambda x: x[0].tril(), ValueError, r"at least 2 dimensions, got shape \(3,\)"),
        (lambda x: x.diagonal(0, 1, -1), ValueError, r"dim1 and dim2 are both 1"),
        (lambda x: gu.ones(1, 2, 3).t(), ValueError, r"at most 2 dimensions"),
        (lambda x: F.pad(x, (1,)), ValueError, r"even count of at most 4 numbers, got 1"),
        (lambda x: F.pad(x, (3, 0), mode="reflect"), ValueError, r"reflect by \(3, 0\).*size 3"),
        (lambda x: F.pad(x, (1, 0), mode="mirror"), ValueError, r"mode 'mirror'; expected 'const"),
    ],
)
def test_errors_name_what_was_given(move: Move, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        move(gu.ones(2, 3))


@given(seed=seeds)
def test_a_walk_of_moves_can_be_walked_back(seed: int) -> None:
    """Random chains of invertible moves, undone one by one, give the tensor and its gradient."""
    rng = np.random.default_rng(seed)
    x = gu.tensor(rng.uniform(size=(2, 3, 4)), requires_grad=True)
    moves: list[tuple[Move, Move]] = [
        (lambda y: y.transpose(0, 2), lambda y: y.transpose(0, 2)),
        (lambda y: y.flip(1), lambda y: y.flip(1)),
        (lambda y: y.roll(1, 0), lambda y: y.roll(-1, 0)),
        (lambda y: y.permute(1, 2, 0), lambda y: y.permute(2, 0, 1)),
        (lambda y: y.unsqueeze(0).squeeze(0), lambda y: y),
        (lambda y: gu.cat(y.chunk(2)[::-1]), lambda y: gu.cat(y.flip(0).chunk(1)).flip(0)),
    ]
    chosen: list[Any] = [moves[i] for i in rng.integers(0, 5, 6)]
    y = x
    for there, _ in chosen:
        y = there(y)
    for _, back in chosen[::-1]:
        y = back(y)
    np.testing.assert_array_equal(y.array, x.array)
    (g,) = gu.grad(y, x, x.detach())
    np.testing.assert_array_equal(g.array, x.array)
