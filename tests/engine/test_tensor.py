"""Tensors: creation, printing, conversion, operators, memory, and what errors say.

Proves R1.1. Values are compared with NumPy's; dtypes have ``test_dtypes.py``.
"""

from __future__ import annotations

import builtins
import math
import operator
import re
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given, strategies as st
from hypothesis.extra import numpy as hnp

import groundup as gu
from groundup.engine.dtypes import SUPPORTED, as_dtype

from .drawing import broadcastable, laid_out, of_any_dtype, shapes, uniform

FLOATS = (gu.float16, gu.float32, gu.float64)

everything = of_any_dtype()


# Creation


@pytest.mark.parametrize(
    ("data", "shape", "dtype"),
    [
        (1.5, (), gu.float32),
        (2, (), gu.int64),
        (True, (), gu.bool),
        ([1, 2.5], (2,), gu.float32),
        ([[1], [2]], (2, 1), gu.int64),
        ([True, False], (2,), gu.bool),
        ([], (0,), gu.float32),
        ([[], []], (2, 0), gu.float32),
        (range(3), (3,), gu.int64),
        (np.arange(3, dtype=np.int16), (3,), gu.int16),
        (np.float64(1), (), gu.float64),
        (np.zeros((2, 2)), (2, 2), gu.float64),
    ],
)
def test_the_dtype_of_data(data: object, shape: tuple, dtype: np.dtype) -> None:
    """Python floats have the default dtype; arrays keep their own."""
    x = gu.tensor(data)
    assert (x.shape, x.dtype) == (shape, dtype)


def test_tensor_copies_and_as_tensor_shares() -> None:
    array = np.zeros(2, np.float32)
    copy, shared, also = gu.tensor(array), gu.as_tensor(array), gu.from_numpy(array)
    array[0] = 1
    assert copy.tolist() == [0, 0]
    assert shared.tolist() == also.tolist() == [1, 0]
    x = gu.ones(2)
    assert gu.as_tensor(x) is x
    assert not np.shares_memory(gu.tensor(x).array, x.array)
    assert gu.as_tensor(x, dtype=gu.float64).dtype == gu.float64


def test_tensors_in_lists_become_one_tensor() -> None:
    assert gu.tensor([gu.tensor(1.0), gu.tensor(2.0)]).tolist() == [1, 2]


@pytest.mark.parametrize("dtype", SUPPORTED, ids=lambda d: d.name)
def test_constant_tensors(dtype: np.dtype) -> None:
    like = gu.ones(2, 3, dtype=dtype)
    for x, value in (
        (gu.zeros(2, 3, dtype=dtype), 0),
        (gu.zeros((2, 3), dtype=dtype), 0),
        (gu.ones([2, 3], dtype=dtype), 1),
        (gu.full((2, 3), 1, dtype=dtype), 1),
        (gu.zeros_like(like), 0),
        (gu.ones_like(like), 1),
        (gu.full_like(like, 1), 1),
    ):
        np.testing.assert_array_equal(x.array, np.full((2, 3), value, dtype))
        assert x.dtype == dtype
    for x in (gu.empty(2, 3, dtype=dtype), gu.empty_like(like)):
        assert (x.shape, x.dtype) == ((2, 3), dtype)
    np.testing.assert_array_equal(gu.eye(3, 2, dtype=dtype).array, np.eye(3, 2, dtype=dtype))


def test_regular_tensors() -> None:
    assert gu.arange(5).tolist() == [0, 1, 2, 3, 4]
    assert gu.arange(5).dtype == gu.int64
    assert gu.arange(1, 2, 0.25).tolist() == [1, 1.25, 1.5, 1.75]
    assert gu.arange(1, 2, 0.25).dtype == gu.float32
    assert gu.arange(5, 0, -2).tolist() == [5, 3, 1]
    assert gu.arange(3, 3).shape == (0,)
    assert gu.linspace(0, 1, 5).tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert gu.linspace(2, 3, 1).tolist() == [2]
    assert gu.full((), 7).shape == ()
    assert gu.full((2,), 0.5).dtype == gu.float32
    for wrong in ((0, 5, -1), (5, 0), (0, 5, 0)):
        with pytest.raises(ValueError, match=r"step does not lead to the end"):
            gu.arange(*wrong)


def test_requires_grad_at_creation() -> None:
    assert gu.zeros(2, requires_grad=True).requires_grad
    assert gu.tensor(1.0, requires_grad=True).is_leaf
    with pytest.raises(TypeError, match="int64"):
        gu.tensor(1, requires_grad=True)


def test_data_that_is_not_numeric() -> None:
    for data in ("text", None, [None], {"a": 1}, 1j, object()):
        with pytest.raises(TypeError, match=r"cannot make a tensor of .*; supported are bool, "):
            gu.tensor(data)
    with pytest.raises(ValueError, match="inhomogeneous"):
        gu.tensor([[1, 2], [3]])
    for dtype in (np.complex64, np.uint32, "datetime64[s]"):
        with pytest.raises(TypeError, match="not supported; use one of bool, "):
            gu.zeros(2, dtype=dtype)


def test_default_dtype() -> None:
    try:
        gu.set_default_dtype(gu.float64)
        made = (gu.tensor(1.0), gu.zeros(2), gu.rand(2), gu.tensor([1, 2]) / 2, gu.arange(2).exp())
        assert {x.dtype for x in made} == {gu.get_default_dtype()} == {gu.float64}
    finally:
        gu.set_default_dtype("float32")
    assert gu.tensor(1.0).dtype == gu.float32
    with pytest.raises(TypeError, match="must be a floating type, got int64"):
        gu.set_default_dtype(gu.int64)


def test_names_of_dtypes() -> None:
    assert (gu.half, gu.float, gu.double) == FLOATS
    assert (gu.int, gu.long, gu.bool) == (gu.int32, gu.int64, np.dtype(bool))
    assert as_dtype("float16") == gu.float16
    assert as_dtype(np.int8) == gu.int8
    assert (as_dtype(builtins.bool), as_dtype(builtins.int)) == (gu.bool, gu.int64)
    assert as_dtype(builtins.float) == gu.float32


# Printing


@pytest.mark.parametrize(
    ("x", "printed"),
    [
        (gu.tensor(1.5), "tensor(1.5000, shape=(), dtype=float32)"),
        (gu.tensor([1.0, 2.0]), "tensor([1., 2.], shape=(2,), dtype=float32)"),
        (gu.tensor([1, -20]), "tensor([  1, -20], shape=(2,), dtype=int64)"),
        (gu.tensor([True]), "tensor([ True], shape=(1,), dtype=bool)"),
        (gu.zeros(0, 3), "tensor([], shape=(0, 3), dtype=float32)"),
        (gu.tensor([0.1, 2.0]), "tensor([0.1000, 2.0000], shape=(2,), dtype=float32)"),
        (
            gu.tensor([math.nan, math.inf, -math.inf, 0.5]),
            "tensor([   nan,    inf,   -inf, 0.5000], shape=(4,), dtype=float32)",
        ),
        (gu.tensor([math.nan]), "tensor([nan], shape=(1,), dtype=float32)"),
        (gu.tensor([1e-8, 1.0]), "tensor([1.e-08, 1.e+00], shape=(2,), dtype=float32)"),
        (
            gu.ones(1).requires_grad_(),
            "tensor([1.], shape=(1,), dtype=float32, requires_grad=True)",
        ),
        (gu.ones(1).requires_grad_() * 2, "tensor([2.], shape=(1,), dtype=float32, node=mul)"),
        (
            gu.eye(2, dtype=gu.float64),
            "tensor([[1., 0.],\n        [0., 1.]], shape=(2, 2), dtype=float64)",
        ),
    ],
)
def test_repr(x: gu.Tensor, printed: str) -> None:
    assert repr(x) == str(x) == printed


@given(array=everything)
def test_repr_shows_values_shape_and_dtype_of_anything(array: np.ndarray) -> None:
    """Read back, the numbers are those of the tensor to four digits."""
    size = np.abs(array[np.isfinite(array)].astype(np.float64))
    assume(not (size > 1.79e308).any())  # four digits of it may be above the largest number
    text = repr(gu.tensor(array))
    found = re.fullmatch(r"tensor\((.*), shape=(\(.*\)), dtype=(\w+)\)", text, flags=re.DOTALL)
    assert found is not None
    assert found[2] == str(array.shape)
    assert found[3] == array.dtype.name
    body = eval(found[1], {"nan": math.nan, "inf": math.inf})  # its own output, read back
    exact = array.astype(np.float64)
    read = np.array(body, np.float64).reshape(array.shape)
    finite = np.isfinite(exact)
    np.testing.assert_array_equal(read[~finite], exact[~finite])
    np.testing.assert_allclose(read[finite], exact[finite], rtol=1e-4, atol=6e-5)


def test_repr_of_a_large_tensor_is_short() -> None:
    text = repr(gu.arange(1_000_000).reshape(1000, 1000))
    assert "..." in text
    assert "999999" in text
    assert len(text) < 1000
    assert text.endswith("shape=(1000, 1000), dtype=int64)")


def test_format() -> None:
    assert f"{gu.tensor(3.14159):.2f}" == "3.14"
    assert f"{gu.tensor([2])}" == "tensor([2], shape=(1,), dtype=int64)"
    with pytest.raises(ValueError, match="2 elements, expected 1"):
        f"{gu.ones(2):.2f}"


# Conversion to Python


@given(array=everything)
def test_tolist_and_numpy_give_the_values_back(array: np.ndarray) -> None:
    x = gu.tensor(array)
    assert x.numpy() is x.array
    np.testing.assert_array_equal(x.numpy(), array)
    np.testing.assert_array_equal(np.array(x.tolist(), array.dtype).reshape(array.shape), array)
    np.testing.assert_array_equal(np.asarray(x), array)
    assert x.numel() == array.size
    assert x.size() == x.shape == array.shape
    assert x.dim() == x.ndim == array.ndim


def test_numpy_shares_memory_both_ways() -> None:
    x = gu.zeros(2)
    array = x.numpy()
    array[0] = 1
    x.add_(1)
    assert x.tolist() == array.tolist() == [2, 1]
    with pytest.raises(RuntimeError, match=r"use \.detach\(\)\.numpy\(\)"):
        gu.zeros(2, requires_grad=True).numpy()


def test_array_protocol() -> None:
    x = gu.tensor([1.5, 2.5])
    assert np.asarray(x) is x.array
    assert np.asarray(x, dtype=np.float64).dtype == np.float64
    assert not np.shares_memory(np.array(x), x.array)
    assert np.array(x, copy=False) is x.array
    with pytest.raises(ValueError, match=r"avoid copy"):
        np.array(x, dtype=np.float64, copy=False)


def test_one_element_converts_to_a_number() -> None:
    for x in (gu.tensor(3), gu.tensor([[3]])):
        assert x.item() == int(x) == float(x) == 3
        assert isinstance(x.item(), int)
        assert bool(x)
    assert isinstance(gu.tensor(0.5).item(), float)
    assert gu.tensor(True).item() is True
    for x in (gu.ones(2), gu.ones(0)):
        for convert in (int, float, gu.Tensor.item):
            with pytest.raises(ValueError, match=rf"{x.numel()} elements, expected 1"):
                convert(x)
        with pytest.raises(ValueError, match=r"ambiguous; use \.any\(\) or \.all\(\)"):
            bool(x)
    assert not gu.tensor(0.0)


def test_an_integer_scalar_is_an_index() -> None:
    assert [10, 20, 30][gu.tensor(1)] == 20
    assert list(range(gu.tensor(2))) == [0, 1]
    for x in (gu.tensor(1.0), gu.tensor([1]), gu.tensor(True)):
        with pytest.raises(TypeError, match="only an integer scalar can be an index"):
            operator.index(x)


def test_length_iteration_and_membership() -> None:
    x = gu.arange(6).reshape(3, 2)
    assert len(x) == 3
    assert [row.tolist() for row in x] == [[0, 1], [2, 3], [4, 5]]
    a, b, c = x
    assert (a.shape, b.shape, c.shape) == ((2,),) * 3
    assert 5 in x
    assert 6 not in x
    assert gu.tensor(3) in x
    assert list(gu.zeros(0, 2)) == []
    for use in (len, iter):
        with pytest.raises(TypeError, match="zero-dimensional"):
            use(gu.tensor(1))


def test_tensors_are_hashed_by_identity() -> None:
    x = gu.ones(2)
    assert {x: 1}[x] == 1
    assert len({x, gu.ones(2)}) == 2


# Operators

Numbers = st.one_of(st.integers(-3, 3), st.floats(-3, 3, width=32))
ARITHMETIC = [operator.add, operator.sub, operator.mul, operator.truediv]
DIVISION = [operator.floordiv, operator.mod]
COMPARISON = [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]
BITS = [operator.and_, operator.or_, operator.xor]
UNARY: list[tuple[Callable, Callable]] = [
    (operator.neg, np.negative),
    (operator.abs, np.abs),
    (gu.exp, np.exp),
    (gu.expm1, np.expm1),
    (gu.log, np.log),
    (gu.log1p, np.log1p),
    (gu.sqrt, np.sqrt),
    (gu.rsqrt, lambda x: 1 / np.sqrt(x)),
    (gu.sin, np.sin),
    (gu.cos, np.cos),
    (gu.tanh, np.tanh),
    (gu.sign, np.sign),
    (gu.floor, np.floor),
    (gu.ceil, np.ceil),
    (gu.round, np.round),
    (gu.trunc, np.trunc),
    (gu.square, np.square),
    (gu.reciprocal, lambda x: 1 / x),
    (gu.sigmoid, lambda x: 1 / (1 + np.exp(-x))),
    (gu.relu, lambda x: np.maximum(x, 0)),
    (gu.erf, np.vectorize(math.erf, otypes=[np.float64])),
]


@pytest.mark.parametrize("op", ARITHMETIC + DIVISION + COMPARISON, ids=lambda op: op.__name__)
@given(data=st.data())
def test_operators_agree_with_numpy(op: Callable, data: st.DataObject) -> None:
    """Between tensors that broadcast, and with a number on either side; floats and integers."""
    left, right = data.draw(broadcastable(2))
    whole = data.draw(st.booleans())
    arrays = [data.draw(uniform(shape, -4, 4)) for shape in (left, right)]
    a, b = (np.array(x.round() if whole else x, np.int64 if whole else None) for x in arrays)
    if op in (*DIVISION, operator.truediv) and whole:
        b = np.where(b == 0, 1, b)
    a, b = (data.draw(laid_out(x)) for x in (a, b))
    x, y = gu.as_tensor(a), gu.as_tensor(b)
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(op(x, y).array, op(a, b), rtol=1e-6)
        number = data.draw(st.integers(1, 3)) if whole else data.draw(st.floats(0.5, 3))
        np.testing.assert_allclose(op(x, number).array, op(a, number), rtol=1e-6)
        nonzero = np.where(a == 0, 1, a)
        ours = op(number, gu.as_tensor(nonzero))
        np.testing.assert_allclose(ours.array, op(number, nonzero), rtol=1e-6)


@pytest.mark.parametrize("op", BITS, ids=lambda op: op.__name__)
@pytest.mark.parametrize("dtype", [np.bool_, np.int64, np.uint8])
def test_bit_operators_agree_with_numpy(op: Callable, dtype: type) -> None:
    a, b = np.array([0, 1, 1, 0], dtype), np.array([0, 1, 0, 1], dtype)
    assert op(gu.tensor(a), gu.tensor(b)).tolist() == op(a, b).tolist()
    assert op(gu.tensor(a), True).tolist() == op(a, np.array(True)).tolist()
    assert op(True, gu.tensor(a)).tolist() == op(np.array(True), a).tolist()
    assert (~gu.tensor(a)).tolist() == (~a).tolist()


@pytest.mark.parametrize(("ours", "numpy"), UNARY, ids=[f.__name__ for f, _ in UNARY])
@given(array=shapes().flatmap(lambda s: uniform(s, -3, 3)), single=st.booleans())
def test_functions_agree_with_numpy(
    ours: Callable, numpy: Callable, array: np.ndarray, single: bool
) -> None:
    """In float64 to rounding; float32 stays float32; NaN and infinity come where NumPy has them."""
    array = array.astype(np.float32 if single else np.float64)
    out = ours(gu.tensor(array))
    assert out.dtype == array.dtype
    with np.errstate(all="ignore"):
        expected = numpy(array.astype(np.float64))
    np.testing.assert_allclose(out.array, expected, rtol=2e-6 if single else 1e-13, atol=1e-7)


@given(data=st.data(), exponent=st.sampled_from([0, 1, 2, 3, -1, 0.5, -2.5, 2.0]))
def test_powers_agree_with_numpy(data: st.DataObject, exponent: float) -> None:
    array = data.draw(uniform(data.draw(shapes()), 0.1, 3))
    np.testing.assert_allclose((gu.tensor(array) ** exponent).array, array**exponent, rtol=1e-13)
    np.testing.assert_allclose((1.5 ** gu.tensor(array)).array, 1.5**array, rtol=1e-13)
    other = gu.tensor(array) * 0 + exponent
    np.testing.assert_allclose((gu.tensor(array) ** other).array, array**exponent, rtol=1e-13)


def test_integer_powers() -> None:
    assert (gu.tensor([-2, 3]) ** 3).tolist() == [-8, 27]
    assert (2 ** gu.tensor([0, 5])).tolist() == [1, 32]
    with pytest.raises(ValueError, match="negative"):
        gu.tensor([2]) ** -1


@given(
    a=hnp.arrays(np.int64, 5, elements=st.integers(-(2**60), 2**60)),
    b=st.integers(-(2**20), 2**20).filter(bool),
)
def test_division_with_rounding_is_exact_for_integers(a: np.ndarray, b: int) -> None:
    """Not by way of float32, which has 24 bits."""
    x = gu.tensor(a)
    assert x.div(b, rounding_mode="floor").tolist() == [int(v) // b for v in a]
    quotients = [abs(int(v)) // abs(b) * (1 if (v < 0) == (b < 0) else -1) for v in a]
    assert x.div(b, rounding_mode="trunc").tolist() == quotients
    assert (x // b * b + x % b).tolist() == a.tolist()


def test_division_with_rounding_of_floats() -> None:
    x = gu.tensor([-2.5, 2.5])
    assert x.div(1, rounding_mode="trunc").tolist() == [-2, 2]
    assert x.div(1, rounding_mode="floor").tolist() == [-3, 2]
    with pytest.raises(ValueError, match=r"rounding_mode 'up': expected None, 'floor' or 'trunc'"):
        x.div(1, rounding_mode="up")


def test_named_arithmetic() -> None:
    x, y = gu.tensor([1.0, 2.0]), gu.tensor([10.0, 20.0])
    assert gu.add(x, y, alpha=2).tolist() == [21, 42]
    assert gu.sub(y, x, alpha=2).tolist() == [8, 16]
    assert gu.rsub(x, 5).tolist() == [4, 3]
    assert gu.lerp(x, y, 0.5).tolist() == [5.5, 11]
    assert gu.lerp(x, y, gu.tensor([0.0, 1.0])).tolist() == [1, 20]
    assert gu.addcdiv(x, y, x, value=0.1).tolist() == pytest.approx([2, 3])
    assert gu.maximum(x, 1.5).tolist() == [1.5, 2]
    assert gu.minimum(gu.tensor([1, 2]), 1).tolist() == [1, 1]
    assert x.clamp(min=1.5).tolist() == [1.5, 2]
    assert x.clamp(gu.tensor([0.0, 3.0]), gu.tensor([0.5, 4.0])).tolist() == [0.5, 3]
    assert gu.where(x > 1, x, 0).tolist() == [0, 2]
    assert gu.where(gu.tensor([True]), 1, 2.5).dtype == gu.float32
    assert x.masked_fill(x > 1, -math.inf).tolist() == [1, -math.inf]
    with pytest.raises(ValueError, match="give min, max or both"):
        x.clamp()
    with pytest.raises(TypeError, match="condition is int64, expected bool"):
        gu.where(gu.tensor([1]), 1, 2)
    with pytest.raises(TypeError, match="mask is int64, expected bool"):
        x.masked_fill(gu.tensor([1, 0]), 0)


def test_nan_and_infinity() -> None:
    x = gu.tensor([math.nan, math.inf, -math.inf, 0.0])
    assert x.isnan().tolist() == [True, False, False, False]
    assert x.isinf().tolist() == [False, True, True, False]
    assert x.isfinite().tolist() == [False, False, False, True]
    assert gu.maximum(x, gu.zeros(4)).isnan().tolist() == [True, False, False, False]
    assert (x == x).tolist() == [False, True, True, True]
    for name in ("isnan", "isinf"):
        assert getattr(gu.arange(2), name)().tolist() == [False, False]
    assert gu.arange(2).isfinite().all()


def test_logic() -> None:
    a, b = gu.tensor([True, True, False]), gu.tensor([1.0, 0.0, 0.0])
    assert gu.logical_and(a, b).tolist() == [True, False, False]
    assert gu.logical_or(a, b).tolist() == [True, True, False]
    assert gu.logical_xor(a, b).tolist() == [False, True, False]
    assert gu.logical_not(b).tolist() == [False, True, True]


def test_whole_tensors_compared() -> None:
    x = gu.tensor([1.0, math.nan])
    assert gu.equal(gu.ones(2), gu.ones(2))
    assert not gu.equal(gu.ones(2), gu.ones(2, 1))
    assert not gu.equal(x, x)
    assert not x.allclose(x)
    assert x.allclose(x, equal_nan=True)
    assert not gu.allclose(gu.ones(1), gu.ones(1) + 1e-3)


@pytest.mark.parametrize(
    "op", [*ARITHMETIC, *DIVISION, *COMPARISON, operator.pow, operator.matmul, operator.and_]
)
@pytest.mark.parametrize("other", [np.ones((2, 2)), [1, 2], object(), 1j])
def test_operands_must_be_tensors_or_numbers(op: Callable, other: object) -> None:
    """R1.1: an array beside a tensor would silently change dtype or lose the gradient."""
    x = gu.ones(2, 2, requires_grad=True)
    for pair in ((x, other), (other, x)):
        with pytest.raises(TypeError, match=rf"got {type(other).__name__}; .*gu\.tensor\(\)"):
            op(*pair)


def test_a_numpy_number_is_a_number() -> None:
    x = gu.ones(2)
    for y in (x + np.float64(1), np.float64(1) + x, x * np.int64(2), np.float32(2) * x):
        assert y.tolist() == [2, 2]
        assert y.dtype == gu.float32


# Memory


@given(data=st.data())
def test_contiguous_keeps_the_values(data: st.DataObject) -> None:
    array = data.draw(laid_out(data.draw(uniform(data.draw(shapes())))))
    x = gu.as_tensor(array)
    c = x.contiguous()
    assert x.is_contiguous() == array.flags.c_contiguous
    assert c.is_contiguous()
    assert (c is x) == x.is_contiguous()
    np.testing.assert_array_equal(c.array, array)


def test_assign_writes_into_the_memory() -> None:
    x = gu.zeros(2, 2)
    view, array = x[0], x.numpy()
    assert x.assign(gu.tensor([1, 2])) is x
    assert view.tolist() == [1, 2]
    assert array.tolist() == [[1, 2], [1, 2]]
    assert x.dtype == gu.float32
    x.assign(3)
    assert view.tolist() == [3, 3]
    with pytest.raises(TypeError, match=r"float32 do not fit in a tensor of int64; .*to\(\)"):
        gu.zeros(1, dtype=gu.int64).assign(gu.ones(1))
    with pytest.raises(ValueError, match="broadcast"):
        x.assign(gu.ones(3))
