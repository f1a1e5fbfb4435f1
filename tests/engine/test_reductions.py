"""Operations that combine elements: values against NumPy and SciPy, shapes, nothing, extremes.

Their derivatives are tested with the primitives; composed ones (``mean``, ``var``, ``std``,
``norm``, ``prod``) are differentiated here, against closed forms. Proves R1.1, R1.2.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import special

import groundup as gu

from .drawing import Array, dimensions, distinct, laid_out, seeds, shapes, uniform

CLOSE = {"rtol": 1e-12, "atol": 1e-14}


@st.composite
def reductions(draw: st.DrawFn, min_side: int = 0) -> tuple[Array, Any, tuple[int, ...], bool]:
    """An array, dimensions as users write them and as NumPy wants them, and ``keepdim``."""
    array = draw(laid_out(draw(uniform(draw(shapes(min_side=min_side))))))
    dims = draw(dimensions(array.ndim, min_size=0))
    if not dims:
        written, dims = draw(st.sampled_from([None, ()])), tuple(range(array.ndim))
    elif len(dims) == 1 and draw(st.booleans()):
        written = dims[0]
    else:
        written = tuple(d - array.ndim if draw(st.booleans()) else d for d in dims)
    return array, written, dims, draw(st.booleans())


SIMPLE: dict[str, Callable[..., Array]] = {
    "sum": np.sum,
    "mean": np.mean,
    "any": np.any,
    "all": np.all,
    "logsumexp": lambda x, axis, keepdims: np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims)),
    "norm": lambda x, axis, keepdims: np.sqrt(np.sum(x * x, axis=axis, keepdims=keepdims)),
}


@pytest.mark.parametrize("name", SIMPLE)
@given(case=reductions())
def test_reductions_agree_with_numpy(name: str, case: tuple) -> None:
    array, written, dims, keepdim = case
    x = gu.as_tensor(array > 0 if name in ("any", "all") else array)
    args = {} if name != "norm" else {"p": 2}
    found = getattr(x, name)(dim=written, keepdim=keepdim, **args)
    with warnings.catch_warnings(action="ignore"):  # NumPy warns of a mean of nothing
        expected = SIMPLE[name](x.array, axis=dims, keepdims=keepdim)
    assert found.shape == np.shape(expected)
    assert found.dtype == np.asarray(expected).dtype
    np.testing.assert_allclose(found.array, expected, **CLOSE)
    function = getattr(gu, name)
    np.testing.assert_array_equal(function(x, dim=written, keepdim=keepdim).array, found.array)


@given(case=reductions(min_side=1))
def test_extremes_agree_with_numpy(case: tuple) -> None:
    array, written, dims, keepdim = case
    x = gu.as_tensor(array)
    for ours, numpy in ((gu.amax, np.max), (gu.amin, np.min)):
        expected = numpy(array, axis=dims, keepdims=keepdim)
        np.testing.assert_array_equal(ours(x, written, keepdim).array, expected)


@given(case=reductions(min_side=2), correction=st.sampled_from([0, 1, 0.5]))
def test_variance_agrees_with_numpy(case: tuple, correction: float) -> None:
    array, written, dims, keepdim = case
    if not array.ndim:
        return
    x = gu.as_tensor(array)
    how = {"keepdim": keepdim, "correction": correction}
    for ours, numpy in ((gu.var, np.var), (gu.std, np.std)):
        expected = numpy(array, axis=dims, keepdims=keepdim, ddof=correction)
        np.testing.assert_allclose(ours(x, written, **how).array, expected, **CLOSE)
    assert gu.allclose(x.var(unbiased=False), x.var(correction=0))
    assert gu.allclose(x.std(), x.std(correction=1))


@given(data=st.data(), descend=st.booleans())
def test_positions_of_extremes(data: st.DataObject, descend: bool) -> None:
    """``argmax`` finds what ``max`` returns; equal elements: the first."""
    shape = data.draw(shapes(min_dims=1, min_side=1))
    array = np.random.default_rng(data.draw(seeds)).integers(0, 3, shape).astype(float)
    x = gu.as_tensor(data.draw(laid_out(array)))
    d = data.draw(st.integers(-array.ndim, array.ndim - 1))
    keepdim = data.draw(st.booleans())
    pairs = (gu.min, gu.argmin, np.argmin) if descend else (gu.max, gu.argmax, np.argmax)
    extreme, position, numpy = pairs
    values, indices = extreme(x, d, keepdim)
    expected = numpy(x.array, axis=d, keepdims=keepdim)
    np.testing.assert_array_equal(indices.array, expected)
    np.testing.assert_array_equal(position(x, d, keepdim).array, expected)
    assert indices.dtype == gu.int64
    whole = np.max if not descend else np.min
    np.testing.assert_array_equal(values.array, whole(x.array, axis=d, keepdims=keepdim))
    assert position(x).item() == numpy(x.array)
    assert position(x, keepdim=True).shape == (1,) * x.ndim
    assert extreme(x).item() == whole(x.array)
    np.testing.assert_array_equal(extreme(x, x + 1).array, (x if descend else x + 1).array)


@given(data=st.data())
def test_product_and_running_sum_agree_with_numpy(data: st.DataObject) -> None:
    array = data.draw(laid_out(data.draw(uniform(data.draw(shapes())))))
    x = gu.as_tensor(array)
    np.testing.assert_allclose(x.prod().array, np.prod(array), rtol=1e-12)
    assert x.prod().shape == ()
    if array.ndim:
        d = data.draw(st.integers(-array.ndim, array.ndim - 1))
        keepdim = data.draw(st.booleans())
        found = x.prod(d, keepdim)
        expected = np.prod(array, axis=d, keepdims=keepdim)
        assert found.shape == expected.shape
        np.testing.assert_allclose(found.array, expected, rtol=1e-12)
        np.testing.assert_allclose(x.cumsum(d).array, np.cumsum(array, d), **CLOSE)


@given(data=st.data())
def test_the_gradient_of_a_product_is_the_product_of_the_others(data: st.DataObject) -> None:
    """Also where elements are 0: no division by the element."""
    array = data.draw(uniform((data.draw(st.integers(1, 6)),)))
    zeros = data.draw(st.sets(st.integers(0, len(array) - 1), max_size=2))
    array[list(zeros)] = 0
    x = gu.tensor(array, requires_grad=True)
    (g,) = gu.grad(x.prod(), x)
    others = [np.prod(np.delete(array, i)) for i in range(len(array))]
    np.testing.assert_allclose(g.array, others, **CLOSE)


@given(data=st.data())
def test_norms_agree_with_numpy(data: st.DataObject) -> None:
    array = data.draw(uniform(data.draw(shapes(min_dims=1, max_dims=2, min_side=1))))
    x, d = gu.tensor(array), data.draw(st.integers(-array.ndim, array.ndim - 1))
    for p in (0, 0.5, 1, 2, 3, math.inf, -math.inf, -1):
        expected = np.linalg.norm(array, p, axis=d)
        np.testing.assert_allclose(x.norm(p, d).array, expected, rtol=1e-10, err_msg=str(p))
    assert x.norm("fro").item() == pytest.approx(np.linalg.norm(array.ravel()))


@given(data=st.data(), p=st.sampled_from([1, 1.5, 2, 3]))
def test_the_gradient_of_a_norm(data: st.DataObject, p: float) -> None:
    """|x|_p has the gradient sign(x) (|x| / |x|_p)^(p - 1)."""
    array = data.draw(distinct((4,))) + 0.05
    x = gu.tensor(array, requires_grad=True)
    y = x.norm(p)
    (g,) = gu.grad(y, x)
    expected = np.sign(array) * (np.abs(array) / y.item()) ** (p - 1)
    np.testing.assert_allclose(g.array, expected, rtol=1e-10)


@given(data=st.data())
def test_gradients_of_mean_and_variance(data: st.DataObject) -> None:
    array = data.draw(distinct((data.draw(st.integers(2, 6)),)))
    n, x = len(array), gu.tensor(array, requires_grad=True)
    (g,) = gu.grad(x.mean(), x)
    np.testing.assert_allclose(g.array, np.full(n, 1 / n), rtol=1e-12)
    (g,) = gu.grad(x.var(), x)
    centred = array - array.mean()
    np.testing.assert_allclose(g.array, 2 * centred / (n - 1), **CLOSE)
    (g,) = gu.grad(x.std(), x)
    np.testing.assert_allclose(g.array, centred / (n - 1) / array.std(ddof=1), **CLOSE)


@given(data=st.data())
def test_softmax_is_a_distribution_that_shifts_do_not_change(data: st.DataObject) -> None:
    array = data.draw(
        laid_out(data.draw(uniform(data.draw(shapes(min_dims=1, min_side=1)), -9, 9)))
    )
    x, d = gu.as_tensor(array), data.draw(st.integers(-array.ndim, array.ndim - 1))
    p = x.softmax(d)
    np.testing.assert_allclose(p.array, special.softmax(array, d), rtol=1e-12)
    np.testing.assert_allclose(p.sum(d).array, 1, rtol=1e-12)
    np.testing.assert_allclose((x + 700).softmax(d).array, p.array, rtol=1e-9)
    np.testing.assert_allclose(x.log_softmax(d).array, special.log_softmax(array, d), rtol=1e-12)
    shifted = (x + 700).logsumexp(d) - 700
    np.testing.assert_allclose(x.logsumexp(d).array, shifted.array, rtol=1e-9, atol=1e-9)


# Nothing, scalars, extremes


def test_reductions_of_nothing() -> None:
    x = gu.zeros(0, 3)
    assert x.sum(0).tolist() == [0, 0, 0]
    assert x.prod(0).tolist() == [1, 1, 1]
    assert x.prod().item() == 1
    assert x.logsumexp(0).tolist() == [-math.inf] * 3
    assert x.mean(0).isnan().all()
    assert x.norm(dim=0).tolist() == [0, 0, 0]
    assert not x.any()
    assert x.all()
    assert x.sum(1).shape == x.amax(1).shape == x.argmax(1).shape == (0,)
    assert x.softmax(0).shape == x.cumsum(1).shape == (0, 3)
    for empty in (lambda: x.amax(), lambda: x.amin(0), lambda: x.argmax(), lambda: x.max(0)):
        with pytest.raises(ValueError, match=r"\(0, 3\)|\(0,\)"):
            empty()


def test_reductions_of_a_scalar() -> None:
    x = gu.tensor(2.5)
    for dim in (0, -1, None):
        for found in (x.sum(dim), x.mean(dim), x.amax(dim), x.prod(dim), x.logsumexp(dim)):
            assert found.shape == ()
            assert found.item() == 2.5
    assert x.cumsum(0).item() == 2.5
    assert x.max(0).values.item() == 2.5
    assert x.max(0).indices.item() == x.argmax().item() == x.argmin(0).item() == 0
    assert x.softmax(0).item() == 1
    assert x.log_softmax(0).item() == 0
    assert x.var(correction=0).item() == 0
    assert x.var().isnan()


def test_integers_and_booleans_add_up_as_int64() -> None:
    """Three times 127 does not fit in int8."""
    x = gu.tensor([127, 127, 127], dtype=gu.int8)
    assert x.sum().item() == 381
    assert x.cumsum(0).tolist() == [127, 254, 381]
    assert x.prod().item() == 127**3
    assert gu.tensor([True, True]).sum().item() == 2
    assert x.sum(dtype=gu.float64).dtype == gu.float64
    assert x.mean(dtype=gu.float32).item() == 127
    with pytest.raises(TypeError, match=r"mean: the dtype is int8.*\.float\(\)"):
        x.mean()


def test_sums_in_float32_keep_their_digits() -> None:
    """Pairwise summation: a running sum of 0.1 a million times would be off by 1 %."""
    x = gu.full((1_000_000,), 0.1)
    assert x.sum().item() == pytest.approx(100_000, rel=1e-5)
    assert x.mean().item() == pytest.approx(0.1, rel=1e-5)
    shifted = gu.randn(10_000, generator=gu.Generator(0)) + 1000
    assert shifted.var().item() == pytest.approx(shifted.double().var().item(), rel=1e-3)


def test_nan_wins_every_extreme() -> None:
    x = gu.tensor([1.0, math.nan, 3.0])
    assert x.amax().isnan()
    assert x.amin().isnan()
    assert x.max(0).indices.item() == x.argmin().item() == 1


def test_dimensions_that_do_not_exist() -> None:
    x = gu.ones(2, 3)
    for reduce in (x.sum, x.mean, x.amax, x.argmax, x.logsumexp, x.any, x.prod, x.std, x.max):
        for dim in (2, -3):
            with pytest.raises(
                IndexError, match=rf"dim {dim} is out of range .*\(2, 3\).* -2 to 1"
            ):
                reduce(dim)
    with pytest.raises(ValueError, match=r"dim \(0, -2\) names a dimension twice"):
        x.sum((0, -2))
    for along in (x.softmax, x.log_softmax, x.cumsum):
        with pytest.raises(IndexError, match="dim 5 is out of range"):
            along(5)
