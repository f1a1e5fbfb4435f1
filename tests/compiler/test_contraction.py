"""Sums over windows: every way to compute them gives what NumPy's ``einsum`` gives. R1.4."""

from __future__ import annotations

import ctypes
import itertools
import random
from typing import Any

import numpy as np
import pytest

from groundup.engine.base import Array
from groundup.engine.compiler.native import cache, native
from groundup.engine.compiler.native.tape import Record, Tape
from groundup.engine.compiler.products.contraction import (
    Contraction,
    Plan,
    best_plan,
    contraction,
    plans,
    product,
    runs,
)
from groundup.engine.compiler.products.emit_contraction import emit, extent

DTYPES = [np.float32, np.float64]


def described(x: Array) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return x.shape, tuple(step // x.itemsize for step in x.strides)


def windows(x: Array, kernel: tuple[int, int], stride: int, dilation: int) -> Array:
    """(N, G, C, H, W) -> (N, G, C, *K, *P), a view."""
    reach = tuple(dilation * (k - 1) + 1 for k in kernel)
    seen = np.lib.stride_tricks.sliding_window_view(x, reach, axis=(3, 4))
    seen = seen[:, :, :, ::stride, ::stride, ::dilation, ::dilation]
    return seen.transpose(0, 1, 2, 5, 6, 3, 4)


def drawn(seed: int, dtype: Any) -> tuple[Array, Array, Array]:
    """Operands and result of a convolution, or of the gradient of its kernel."""
    rng, draw = np.random.default_rng(seed), random.Random(seed)
    count, groups, channels = draw.randint(1, 4), draw.choice([1, 1, 2]), draw.randint(1, 5)
    kernel = (draw.randint(1, 3), draw.randint(1, 4))
    stride, dilation = draw.randint(1, 3), draw.randint(1, 2)
    size = tuple(dilation * (k - 1) + draw.randint(1, 19) for k in kernel)
    x = rng.standard_normal((count, groups, channels, *size)).astype(dtype)
    seen = windows(x, kernel, stride, dilation)
    rows = draw.randint(1, 14)
    if draw.random() < 0.5:
        w = rng.standard_normal((groups, rows, channels, *kernel)).astype(dtype)
        w = w[:, :, :, ::-1] if draw.random() < 0.5 else w
        return w, seen, np.einsum("gmcij,ngcijpq->ngmpq", w, seen)
    g = rng.standard_normal((count, groups, rows, *seen.shape[5:])).astype(dtype)
    a, b = g.transpose(1, 2, 0, 3, 4), seen.transpose(1, 0, 5, 6, 2, 3, 4)[None]
    return a, b, np.einsum("gmnpq,xgnpqcij->xgmcij", a, b)


def computed(a: Array, b: Array, wanted: Array, plan: Plan | None, cuts: list[int]) -> Array:
    """The result of kernels for the shares between the cuts."""
    shape = contraction(a.dtype, described(a), described(b))
    if plan is None:
        plan = best_plan(shape, native.host().bits)
    name = "test_" + cache.key(repr(shape), repr(plan))[:16]
    address = native.compile(emit(shape, plan, name), name)
    shares = extent(shape, plan)
    out = np.full(wanted.shape, np.nan, a.dtype)
    pointers = [a.ctypes.data, b.ctypes.data, out.ctypes.data]
    bounds = sorted({0, shares, *(cut % (shares + 1) for cut in cuts)})
    for begin, end in itertools.pairwise(bounds):
        run(address, pointers, begin, end)
    return out


def run(address: int, pointers: list[int], begin: int, end: int) -> None:
    kernel = ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_int64] * 3)(address)
    arguments = (ctypes.c_void_p * len(pointers))(*pointers)
    kernel(ctypes.addressof(arguments), begin, end, 0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seed", range(12))
def test_the_best_way_agrees_with_einsum(seed: int, dtype: Any) -> None:
    a, b, wanted = drawn(seed, dtype)
    found = computed(a, b, wanted, None, [])
    tolerance = 1e-4 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * (1 + np.abs(wanted).max()))


@pytest.mark.parametrize("seed", range(6))
def test_every_way_agrees_with_einsum(seed: int) -> None:
    a, b, wanted = drawn(100 + seed, np.float64)
    shape = contraction(a.dtype, described(a), described(b))
    every = list(plans(shape, native.host().bits))
    draw = random.Random(seed)
    for way in ("direct", "packed", "dot"):
        some = [plan for plan in every if plan.way == way]
        for plan in draw.sample(some, min(3, len(some))):
            found = computed(a, b, wanted, plan, [])
            np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-11, err_msg=str(plan))


@pytest.mark.parametrize("seed", range(6))
def test_shares_make_no_difference(seed: int) -> None:
    a, b, wanted = drawn(200 + seed, np.float32)
    whole = computed(a, b, wanted, None, [])
    np.testing.assert_array_equal(computed(a, b, wanted, None, [1, 5, 77]), whole)


def test_many_images_are_summed_block_by_block() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((9, 1, 40, 18, 18)).astype(np.float32)
    g = rng.standard_normal((9, 1, 24, 16, 16)).astype(np.float32)
    a = g.transpose(1, 2, 0, 3, 4)
    b = windows(x, (3, 3), 1, 1).transpose(1, 0, 5, 6, 2, 3, 4)[None]
    plan = best_plan(contraction(a.dtype, described(a), described(b)), native.host().bits)
    assert plan.way == "dot"
    assert 0 < plan.block < 9
    wanted = np.einsum("gmnpq,xgnpqcij->xgmcij", a, b, optimize=True)
    found = computed(a, b, wanted, None, [3])
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


def test_neighbouring_dimensions_become_one() -> None:
    x = np.zeros((5, 1, 6, 4, 3), np.float32)  # (N, G, K, *P), contiguous
    w = np.zeros((1, 7, 6), np.float32)
    found = contraction(w.dtype, described(w), described(x))
    assert found == Contraction(w.dtype, (), (7, 6, 12), ((5, 72, 84), (12, 1, 1)), ((6, 1, 12),))
    assert found.sizes == (1, 7, 60, 6)


def test_runs_cover_a_vector() -> None:
    places = (4, 5, 6, 30, 31, 32, 33, 50)
    lanes = [first + i for first, count, _ in runs(places) for i in range(count)]
    assert lanes == list(range(8))
    assert [
        places[first] + i * step for first, count, step in runs(places) for i in range(count)
    ] == list(places)


def test_a_product_for_a_tape() -> None:
    a, b, wanted = drawn(3, np.float64)
    made = product(a.dtype, described(a), described(b))
    out = np.full(wanted.shape, np.nan)
    pointers = made.arguments(a.ctypes.data, b.ctypes.data, out.ctypes.data)
    Tape([Record(made.address, pointers, made.extent, made.grain)]).run()
    np.testing.assert_allclose(out, wanted, rtol=0, atol=1e-11)
