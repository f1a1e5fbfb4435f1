"""Dtypes: promotion after a table of PyTorch's rules, casts after NumPy, no silent float64.

Proves R1.1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

import groundup as gu
from groundup.engine.dtypes import SUPPORTED, is_floating

from .drawing import of_any_dtype

DTYPES = {d.name: d for d in SUPPORTED}

everything = of_any_dtype()


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        # Tensors with dimensions: the higher category wins, then the wider type.
        ("int64", "float32", "float32"),
        ("int64", "float16", "float16"),
        ("float16", "float32", "float32"),
        ("float32", "float64", "float64"),
        ("bool", "uint8", "uint8"),
        ("bool", "float16", "float16"),
        ("uint8", "int8", "int16"),
        ("int32", "int64", "int64"),
    ],
)
def test_promotion_between_tensors(a: str, b: str, expected: str) -> None:
    x, y = gu.ones(2, dtype=a), gu.ones(2, dtype=b)
    assert (x + y).dtype == (y + x).dtype == DTYPES[expected]
    assert gu.promote_types(DTYPES[a], DTYPES[b]) == DTYPES[expected]
    assert gu.where(gu.tensor([True, False]), x, y).dtype == DTYPES[expected]
    assert gu.cat([x, y]).dtype == DTYPES[expected]


@pytest.mark.parametrize(
    ("tensor", "other", "expected"),
    [
        # Numbers and zero-dimensional tensors change the dtype only by their category.
        ("float16", 1.5, "float16"),
        ("float64", 1.5, "float64"),
        ("int64", 1.5, "float32"),
        ("int8", 1000, "int8"),
        ("bool", 1, "int64"),
        ("bool", 1.5, "float32"),
        ("bool", True, "bool"),
        ("float32", gu.tensor(1.0, dtype=gu.float64), "float32"),
        ("int32", gu.tensor(1, dtype=gu.int64), "int32"),
        ("int32", gu.tensor(1.0, dtype=gu.float64), "float64"),
    ],
)
def test_promotion_with_scalars(tensor: str, other: Any, expected: str) -> None:
    x = gu.ones(2, dtype=tensor)
    other = other if other != 1000 else 100
    assert (x * other).dtype == (other * x).dtype == DTYPES[expected]


@pytest.mark.parametrize("dtype", SUPPORTED, ids=lambda d: d.name)
def test_no_silent_float64(dtype: np.dtype) -> None:
    """R1.1: floating in, the same out; integers that turn into fractions become float32."""
    x = gu.ones(4, dtype=dtype)
    wanted = dtype if is_floating(dtype) else gu.float32
    for f in (gu.exp, gu.log, gu.sqrt, gu.tanh, gu.sigmoid, gu.erf, gu.sin, gu.rsqrt, gu.log1p):
        assert f(x).dtype == wanted, f.__name__
    assert (x / 2).dtype == (x / x).dtype == (1 / x).dtype == wanted
    assert x.softmax(0).dtype == x.log_softmax(0).dtype == x.logsumexp(0).dtype == wanted
    assert (x > 0).dtype == gu.bool
    if is_floating(dtype):
        results = [x + 1, x * 2.5, x**2, x**0.5, x.sum(), x.mean(), x.std(), x.norm(), x.cumsum(0)]
        results += [x.prod(), x @ x, gu.einsum("i,i->", x, x), x.clamp(0, 1), x.round(), x.amax()]
        results += [gu.where(x > 0, x, 0.0), x.relu(), x.sort().values, gu.lerp(x, x, 0.5)]
        assert {r.dtype for r in results} == {dtype}
    else:
        assert x.sum().dtype == x.prod().dtype == x.cumsum(0).dtype == gu.int64


@given(array=everything, target=st.sampled_from(SUPPORTED))
def test_casts_are_those_of_numpy(array: np.ndarray, target: np.dtype) -> None:
    x = gu.tensor(array)
    with np.errstate(all="ignore"):
        expected = array.astype(target)
        found = x.to(target)
    assert found.dtype == target
    wide = np.float32 if target == gu.bfloat16 else target  # NumPy knows no NaN in bfloat16
    np.testing.assert_array_equal(found.array.astype(wide), expected.astype(wide))
    if target == array.dtype:
        assert found is x
        assert not np.shares_memory(x.to(target, copy=True).array, x.array)


def test_cast_methods() -> None:
    x = gu.tensor([1.7, 0.0])
    casts = (x.half(), x.float(), x.double(), x.int(), x.long(), x.bool(), x.type_as(gu.arange(1)))
    names = ["float16", "float32", "float64", "int32", "int64", "bool", "int64"]
    assert [c.dtype.name for c in casts] == names
    assert x.int().tolist() == [1, 0]
    assert x.bool().tolist() == [True, False]
    assert x.is_floating_point()
    assert not x.long().is_floating_point()


def test_there_is_one_device() -> None:
    x = gu.ones(1)
    assert x.to("cpu") is x.cpu() is x
    with pytest.raises(ValueError, match=r"device 'cuda:0': groundup computes on the CPU only"):
        x.to("cuda:0")
