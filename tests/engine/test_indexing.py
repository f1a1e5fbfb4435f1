"""Reading and writing at positions: values against NumPy and loops, gradients against counting.

The gradient of reading is known exactly: each element gets the sum of the weights of the places
where it was read. Reading ``arange`` with the same key tells which they are. Proves R1.1, R1.2.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

import groundup as gu
import groundup.nn.functional as F

from .drawing import Array, Shape, distinct, laid_out, positions, seeds, shapes, uniform


@st.composite
def keys(draw: st.DrawFn, shape: Shape) -> tuple[Any, ...]:
    """Integers, slices, None, ... and either integer arrays that broadcast or one mask."""
    parts: list[Any] = []
    d, ellipsis = 0, False
    common = draw(st.sampled_from([(2,), (3,), (2, 3), (0,), (1,), ()]))
    with_mask = masked = draw(st.booleans())
    while d < len(shape):
        n = shape[d]
        kinds = ["slice", "slice", "none"]
        kinds += [] if ellipsis else ["stop", "ellipsis"]  # what follows ... reaches to the end
        kinds += ["mask"] if masked else []
        kinds += ["int"] if n else []
        kinds += ["array"] if n and not with_mask else []
        kind = draw(st.sampled_from(kinds))
        if kind == "stop":
            break
        if kind == "none":
            parts.append(None)
        elif kind == "ellipsis":
            parts.append(Ellipsis)
            ellipsis = True
            d += draw(st.integers(0, len(shape) - d))
        elif kind == "slice":
            ends = st.none() | st.integers(-n - 1, n + 1)
            parts.append(slice(draw(ends), draw(ends), draw(st.none() | st.integers(1, 3))))
            d += 1
        elif kind == "int":
            parts.append(draw(st.integers(-n, n - 1)))
            d += 1
        elif kind == "array":
            size = draw(st.sampled_from([common, (1,) * len(common), common[1:]]))
            below = draw(positions(2, size)) * n  # half of them counted from the end
            parts.append(np.asarray(draw(positions(n, size)) - below))
            d += 1
        else:
            wide = shape[d : d + draw(st.integers(1, 2))]
            parts.append(np.random.default_rng(draw(seeds)).integers(0, 2, wide).astype(bool))
            d += len(wide)
            masked = False  # a second one need not have as many true elements
    return tuple(parts)


def _is_mask(part: Any) -> bool:
    return isinstance(part, np.ndarray) and part.dtype == bool


def _consumes(part: Any) -> bool:
    return part is not None and part is not Ellipsis


def read(x: Array, key: tuple[Any, ...]) -> Array:
    """PyTorch's order with NumPy's tools: numbers and slices first, then the arrays."""
    key = tuple(p.item() if isinstance(p, np.ndarray) and not p.ndim else p for p in key)
    first: list[Any] = []
    arrays: list[tuple[int, Array]] = []
    used = sum(part.ndim if _is_mask(part) else 1 for part in key if _consumes(part))
    full = key if Ellipsis in [p for p in key if not isinstance(p, np.ndarray)] else (*key, ...)
    d = 0
    for part in full:
        if part is Ellipsis:
            first += [slice(None)] * (x.ndim - used)
            d += x.ndim - used
        elif isinstance(part, np.ndarray):
            found = np.nonzero(part) if _is_mask(part) else (part,)
            arrays += [(d + i, position) for i, position in enumerate(found)]
            first += [slice(None)] * len(found)
            d += len(found)
        else:
            first.append(part)
            d += not isinstance(part, int)
    y = x[tuple(first)]
    second: list[Any] = [slice(None)] * y.ndim
    for place, position in arrays:
        second[place] = position
    return y[tuple(second)]


def as_key(key: tuple[Any, ...], as_lists: bool) -> Any:
    """The key as users write it: arrays as tensors or lists, one part without a tuple."""
    parts = tuple(
        (part.tolist() if as_lists and part.ndim and part.size else gu.tensor(part))
        if isinstance(part, np.ndarray)
        else part
        for part in key
    )
    return parts[0] if len(parts) == 1 else parts


@given(data=st.data(), as_lists=st.booleans())
def test_reading_agrees_with_numpy_and_its_gradient_with_counting(
    data: st.DataObject, as_lists: bool
) -> None:
    array = data.draw(laid_out(data.draw(uniform(data.draw(shapes())))))
    key = data.draw(keys(array.shape))
    expected = read(array, key)
    x = gu.as_tensor(array).requires_grad_()
    found = x[as_key(key, as_lists)]
    np.testing.assert_array_equal(found.array, expected)
    weight = data.draw(uniform(expected.shape))
    (g,) = gu.grad(found, x, gu.tensor(weight))
    where = read(np.arange(array.size).reshape(array.shape), key)
    counted = np.bincount(where.ravel(), weight.ravel(), array.size).reshape(array.shape)
    np.testing.assert_allclose(g.array, counted, rtol=1e-12, atol=1e-14)


@given(data=st.data(), as_lists=st.booleans())
def test_writing_agrees_with_numpy(data: st.DataObject, as_lists: bool) -> None:
    """A number, or values that broadcast; also through a view, and outside a graph as inside."""
    array = data.draw(uniform(data.draw(shapes())))
    key = data.draw(keys(array.shape))
    where = read(np.arange(array.size).reshape(array.shape), key)
    shape = tuple(data.draw(st.sampled_from([1, n])) for n in where.shape)
    shape = shape[data.draw(st.integers(0, len(shape))) :]
    values = data.draw(uniform(shape))
    expected = array.copy()
    expected.reshape(-1)[where] = values
    memory = np.zeros((*array.shape, 2))
    x = gu.as_tensor(memory)[..., 1]
    x.assign(gu.tensor(array))
    y = gu.tensor(array)
    x[as_key(key, as_lists)] = values.item() if not shape else gu.tensor(values)
    y[as_key(key, as_lists)] = gu.tensor(values, requires_grad=True)
    np.testing.assert_array_equal(x.array, expected)
    np.testing.assert_array_equal(memory[..., 1], expected)
    np.testing.assert_array_equal(y.array, expected)


@given(data=st.data())
def test_the_gradient_of_writing(data: st.DataObject) -> None:
    """What was overwritten gets none; each value gets the weights of the places it went to."""
    array = data.draw(uniform(data.draw(shapes())))
    key = data.draw(keys(array.shape))
    where = read(np.arange(array.size).reshape(array.shape), key)
    if len(np.unique(where)) < where.size:
        return  # of repeated positions the last is written: no derivative worth the name
    shape = tuple(data.draw(st.sampled_from([1, n])) for n in where.shape)
    x = gu.tensor(array, requires_grad=True)
    v = gu.tensor(data.draw(uniform(shape)), requires_grad=True)
    y = x.clone()
    y[as_key(key, False)] = v
    weight = data.draw(uniform(array.shape))
    dx, dv = gu.grad(y, (x, v), gu.tensor(weight))
    kept = weight.copy().reshape(-1)
    kept[where] = 0
    np.testing.assert_array_equal(dx.array.reshape(-1), kept)
    went = weight.reshape(-1)[where]
    dims = tuple(d for d, n in enumerate(shape) if n != where.shape[d])
    np.testing.assert_allclose(dv.array, went.sum(dims, keepdims=True), rtol=1e-12, atol=1e-14)


# Named cases


def test_a_number_beside_a_tensor_is_applied_first() -> None:
    """As in PyTorch; NumPy would move the indexed dimension to the front."""
    x = gu.arange(24).reshape(2, 3, 4)
    assert x[0, :, gu.tensor([0, 1])].shape == (3, 2)
    assert x[0, :, gu.tensor([0, 1])].tolist() == [[0, 1], [4, 5], [8, 9]]
    assert x[gu.tensor([0, 1]), :, 0].shape == (2, 3)
    assert x[gu.tensor([0, 1]), :, gu.tensor([0, 1])].shape == (2, 3)
    assert x[:, gu.tensor([0, 1]), gu.tensor([2, 3])].shape == (2, 2)


def test_basic_reading_gives_views_and_tensors_give_copies() -> None:
    x = gu.zeros(3, 4)
    for key in (0, slice(1, None), (Ellipsis, 2), None, (slice(None, None, 2), slice(1, 3))):
        assert np.shares_memory(x[key].array, x.array)
    for key in (gu.tensor([0]), gu.tensor([True, False, True]), [0, 1]):
        assert not np.shares_memory(x[key].array, x.array)
    x[1][2] = 5.0
    assert x[1, 2].item() == 5


def test_booleans_as_keys() -> None:
    x = gu.tensor([[1, 2], [3, 4]])
    assert x[x > 1].tolist() == [2, 3, 4]
    assert x[gu.tensor([False, True])].tolist() == [[3, 4]]
    assert x[:, gu.tensor([False, True])].tolist() == [[2], [4]]
    assert x[True].shape == x[gu.tensor(True)].shape == (1, 2, 2)
    assert x[False].shape == x[np.bool_(False)].shape == (0, 2, 2)


def test_empty_keys() -> None:
    x = gu.ones(3, 2)
    assert x[[]].shape == x[gu.zeros(0, dtype=gu.int64)].shape == (0, 2)
    assert x[()].shape == (3, 2)
    assert gu.tensor(5)[()].item() == gu.tensor(5)[...].item() == 5
    assert gu.tensor(5)[None].tolist() == [5]


def test_writing_with_masks() -> None:
    x = gu.arange(4).reshape(2, 2)
    x[x > 1] = 0
    assert x.tolist() == [[0, 1], [0, 0]]
    x[gu.tensor([True, False])] = 7
    assert x.tolist() == [[7, 7], [0, 0]]
    x[x == 7] = gu.tensor([1, 2])
    assert x.tolist() == [[1, 2], [0, 0]]


def test_writing_converts_to_the_dtype_of_the_tensor() -> None:
    x = gu.zeros(2, dtype=gu.int64)
    x[0] = 2.7
    x[1] = gu.tensor(3.2)
    assert x.tolist() == [2, 3]
    assert x.dtype == gu.int64


def test_positions_are_counted_from_the_end_of_more_than_their_type_counts_to() -> None:
    x, narrow = gu.arange(200), gu.tensor([-1, 5, -128], dtype=gu.int8)
    expected = [199, 5, 72]
    assert x[narrow].tolist() == x.gather(0, narrow).tolist() == expected
    assert x.index_select(0, narrow).tolist() == expected
    assert gu.zeros(200).scatter_add(0, narrow, gu.ones(3)).nonzero().tolist() == [[5], [72], [199]]
    x[narrow] = 0
    assert [x[position].item() for position in expected] == [0, 0, 0]
    with pytest.raises(IndexError, match="index -128 is out of range"):
        x[:127][narrow]
    assert F.one_hot(gu.tensor([1], dtype=gu.int8), 300).nonzero().tolist() == [[0, 1]]


def test_repeated_positions_add_up_in_the_gradient() -> None:
    x = gu.zeros(3, 2, requires_grad=True)
    x[gu.tensor([0, 2, 0, 0])].sum().backward()
    assert x.grad.tolist() == [[3, 3], [0, 0], [1, 1]]


def test_gradients_of_repeated_positions_in_two_dimensions() -> None:
    x = gu.zeros(2, 2, requires_grad=True)
    x[gu.tensor([0, 0, 1]), gu.tensor([1, 1, 0])].sum().backward()
    assert x.grad.tolist() == [[0, 2], [1, 0]]


def test_an_infinity_or_nan_does_not_spread_to_other_rows() -> None:
    """Adding rows is done with a sparse matrix; its zeros must not meet the infinities."""
    x = gu.zeros(3, requires_grad=True)
    y = x[gu.tensor([0, 2])]
    (g,) = gu.grad(y, x, gu.tensor([math.inf, math.nan]))
    assert g[0].item() == math.inf
    assert g[1].item() == 0
    assert g[2].isnan()


@pytest.mark.parametrize(
    ("key", "error", "message"),
    [
        (5, IndexError, "index 5 is out of range for dimension 0 of size 3"),
        ((0, -3), IndexError, "index -3 is out of range for dimension 1 of size 2"),
        ((0, 0, 0), IndexError, r"3 indices for a tensor of shape \(3, 2\); expected at most 2"),
        (gu.tensor([0, 3]), IndexError, "index 3 is out of range for dimension 0 of size 3"),
        (gu.tensor([-4]), IndexError, "index -4 is out of range for dimension 0 of size 3"),
        (gu.tensor([0.0]), TypeError, "must hold integers or booleans, got float32"),
        (gu.tensor([True]), IndexError, r"mask of shape \(1,\) does not fit .* \(3,\)"),
        (slice(None, None, -1), ValueError, r"slice step -1: .*use flip\(\)"),
        ("a", TypeError, "cannot index a tensor with str"),
        (1.5, TypeError, "cannot index a tensor with float"),
        ((gu.tensor([0, 1]), gu.tensor([0, 1, 1])), IndexError, "index.*broadcast"),
    ],
)
def test_keys_that_do_not_fit(key: Any, error: type[Exception], message: str) -> None:
    x = gu.zeros(3, 2)
    with pytest.raises(error, match=message):
        x[key]
    with pytest.raises(error):
        x[key] = 1.0
    assert not x.any()


def test_values_that_do_not_fit() -> None:
    x = gu.zeros(3, 2)
    for key in (0, gu.tensor([0, 1]), slice(None)):
        for grad in (False, True):
            with pytest.raises(ValueError, match=r"broadcast|shape|reshape"):
                x[key] = gu.ones(5, requires_grad=grad)
    assert not x.any()


# gather, scatter_add and their relatives


@st.composite
def gatherings(draw: st.DrawFn) -> tuple[Array, int, Array]:
    """An array, a dimension, and positions; the positions cover part of the other dimensions."""
    x = draw(laid_out(draw(uniform(draw(shapes(min_dims=1, min_side=1))))))
    dim = draw(st.integers(0, x.ndim - 1))
    shape = [draw(st.integers(0, n)) for n in x.shape]
    shape[dim] = draw(st.integers(0, 4))
    return x, dim, draw(positions(x.shape[dim], tuple(shape)))


@given(case=gatherings(), data=st.data())
def test_gather_agrees_with_a_loop(case: tuple[Array, int, Array], data: st.DataObject) -> None:
    array, dim, index = case
    expected = np.empty(index.shape)
    counted = np.zeros(array.shape)
    weight = data.draw(uniform(index.shape))
    for i in np.ndindex(index.shape):
        source = (*i[:dim], index[i], *i[dim + 1 :])
        expected[i] = array[source]
        counted[source] += weight[i]
    x = gu.as_tensor(array).requires_grad_()
    found = x.gather(dim - array.ndim, gu.tensor(index))
    np.testing.assert_array_equal(found.array, expected)
    (g,) = gu.grad(found, x, gu.tensor(weight))
    np.testing.assert_allclose(g.array, counted, rtol=1e-12, atol=1e-14)


@given(case=gatherings(), data=st.data())
def test_scatter_add_agrees_with_a_loop(
    case: tuple[Array, int, Array], data: st.DataObject
) -> None:
    array, dim, index = case
    source = data.draw(uniform(tuple(n + 1 for n in index.shape)))
    weight = data.draw(uniform(array.shape))
    expected = array.copy()
    read_back = np.zeros(source.shape)
    for i in np.ndindex(index.shape):
        target = (*i[:dim], index[i], *i[dim + 1 :])
        expected[target] += source[i]
        read_back[i] = weight[target]
    x, src = gu.tensor(array, requires_grad=True), gu.tensor(source, requires_grad=True)
    found = gu.scatter_add(x, dim, gu.tensor(index), src)
    np.testing.assert_allclose(found.array, expected, rtol=1e-12, atol=1e-14)
    used = (found * gu.tensor(weight)).sum() + src.sum() * 0
    dx, ds = gu.grad(used, (x, src))
    np.testing.assert_array_equal(dx.array, weight)
    np.testing.assert_array_equal(ds.array, read_back)


@given(data=st.data())
def test_take_along_dim_agrees_with_numpy(data: st.DataObject) -> None:
    array = data.draw(uniform(data.draw(shapes(min_dims=1, min_side=1))))
    dim = data.draw(st.integers(0, array.ndim - 1))
    shape = [data.draw(st.sampled_from([1, n])) for n in array.shape]
    shape[dim] = data.draw(st.integers(1, 3))
    index = data.draw(positions(array.shape[dim], tuple(shape)))
    found = gu.take_along_dim(gu.tensor(array), gu.tensor(index), dim)
    wide = np.broadcast_to(
        index, [n if d != dim else index.shape[dim] for d, n in enumerate(array.shape)]
    )
    np.testing.assert_array_equal(found.array, np.take_along_axis(array, wide, dim))
    flat = data.draw(positions(array.size, (3,)))
    found = gu.tensor(array).take_along_dim(gu.tensor(flat))
    np.testing.assert_array_equal(found.array, array.ravel()[flat])


@given(data=st.data())
def test_index_select_agrees_with_numpy(data: st.DataObject) -> None:
    array = data.draw(laid_out(data.draw(uniform(data.draw(shapes(min_dims=1, min_side=1))))))
    dim = data.draw(st.integers(-array.ndim, array.ndim - 1))
    index = data.draw(positions(array.shape[dim], (data.draw(st.integers(0, 4)),)))
    x = gu.as_tensor(array).requires_grad_()
    found = x.index_select(dim, gu.tensor(index))
    np.testing.assert_array_equal(found.array, np.take(array, index, dim))
    (g,) = gu.grad(found.sum(), x)
    counts = np.bincount(index, minlength=array.shape[dim])
    shape = [1] * array.ndim
    shape[dim] = -1
    np.testing.assert_array_equal(g.array, np.broadcast_to(counts.reshape(shape), array.shape))


def test_what_gather_and_its_relatives_refuse() -> None:
    x = gu.ones(2, 3)
    with pytest.raises(ValueError, match=r"gather: index \(2,\) and input \(2, 3\)"):
        x.gather(0, gu.tensor([0, 1]))
    with pytest.raises(ValueError, match=r"gather: the index \(3, 1\) exceeds \(2, 3\)"):
        x.gather(1, gu.zeros(3, 1, dtype=gu.int64))
    with pytest.raises(IndexError, match="index 3 is out of range for dimension 1 of size 3"):
        x.gather(1, gu.tensor([[3], [0]]))
    with pytest.raises(IndexError, match="dim 2 is out of range"):
        x.gather(2, gu.tensor([[0]]))
    with pytest.raises(TypeError, match="integers"):
        x.gather(1, gu.ones(2, 1))
    index = gu.zeros(2, 2, dtype=gu.int64)
    with pytest.raises(ValueError, match=r"index \(2, 2\) exceeds src \(1, 2\)"):
        x.scatter_add(1, index, gu.ones(1, 2))
    with pytest.raises(ValueError, match="index has shape"):
        x.index_select(0, index)
    with pytest.raises(IndexError, match="index 2 is out of range for dimension 0 of size 2"):
        x.index_select(0, gu.tensor([2]))
    with pytest.raises(ValueError, match="as many dimensions"):
        x.take_along_dim(gu.tensor([0]), 1)


@given(array=shapes().flatmap(lambda s: uniform(s)))
def test_nonzero_lists_the_positions_that_a_mask_selects(array: Array) -> None:
    x = gu.tensor(array)
    mask = x > 0
    where = mask.nonzero()
    assert where.shape == (int(mask.long().sum()), array.ndim)
    if array.ndim:
        assert x[mask].tolist() == x[tuple(where.unbind(1))].tolist()


def test_one_hot() -> None:
    found = F.one_hot(gu.tensor([[0, 2], [1, 1]]), 4)
    np.testing.assert_array_equal(found.array, np.eye(4, dtype=int)[[[0, 2], [1, 1]]])
    assert F.one_hot(gu.tensor([1])).shape == (1, 2)
    with pytest.raises(IndexError, match="expected 0 to 1"):
        F.one_hot(gu.tensor([2]), 2)


# Sorting


@st.composite
def with_ties(draw: st.DrawFn) -> tuple[Array, int]:
    """Small integers as floats, now and then a NaN or an infinity; a dimension."""
    shape = draw(shapes(min_dims=1))
    rng = np.random.default_rng(draw(seeds))
    array = rng.choice([-math.inf, -1, 0, 1, 2, math.inf, math.nan], shape)
    return array, draw(st.integers(-len(shape), len(shape) - 1))


@given(case=with_ties())
def test_sorting_is_stable_and_agrees_with_numpy(case: tuple[Array, int]) -> None:
    array, dim = case
    values, indices = gu.sort(gu.tensor(array), dim)
    order = np.argsort(array, axis=dim, kind="stable")
    np.testing.assert_array_equal(indices.array, order)
    np.testing.assert_array_equal(values.array, np.sort(array, axis=dim))
    assert indices.dtype == gu.int64


@given(case=with_ties())
def test_descending_order_is_stable_too(case: tuple[Array, int]) -> None:
    """Largest first (NaN counts as largest), equal elements in the order in which they stood."""
    array, dim = case
    values, indices = gu.sort(gu.tensor(array), dim, descending=True)
    np.testing.assert_array_equal(values.array, np.flip(np.sort(array, axis=dim), dim))
    for i in np.ndindex(*np.delete(array.shape, dim).tolist()):
        row = np.moveaxis(array, dim, -1)[i].tolist()
        ranks = [-math.inf if math.isnan(v) else -v for v in row]  # NaN above infinity:
        keys_ = [(not math.isnan(v), rank) for v, rank in zip(row, ranks, strict=True)]
        expected = sorted(range(len(row)), key=keys_.__getitem__)
        assert np.moveaxis(indices.array, dim, -1)[i].tolist() == expected


@given(data=st.data(), largest=st.booleans())
def test_topk_is_the_head_of_the_sorted_dimension(data: st.DataObject, largest: bool) -> None:
    array = data.draw(distinct(data.draw(shapes(min_dims=1))))
    dim = data.draw(st.integers(-array.ndim, array.ndim - 1))
    k = data.draw(st.integers(0, array.shape[dim]))
    x = gu.tensor(array, requires_grad=True)
    values, indices = x.topk(k, dim, largest)
    whole = x.sort(dim, descending=largest)
    np.testing.assert_array_equal(values.array, whole.values.narrow(dim, 0, k).array)
    np.testing.assert_array_equal(indices.array, whole.indices.narrow(dim, 0, k).array)
    (g,) = gu.grad(values.sum(), x)
    assert int(g.array.sum()) == values.numel(), "each chosen element gets a gradient of 1"
    assert set(np.unique(g.array)) <= {0, 1}
    with pytest.raises(ValueError, match=rf"k is {array.shape[dim] + 1}, but dimension"):
        x.topk(array.shape[dim] + 1, dim)


def test_sorting_a_scalar() -> None:
    x = gu.tensor(3.0)
    assert x.sort().values.item() == x.topk(1).values.item() == 3
    assert x.sort().indices.item() == x.argsort().item() == 0
