"""Products with packed weights are those with the unpacked ones, within what is rounded. R1.6."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from tests.engine.packed_blocks import Array, halves_at, random_blocks, rounded, unpacked

import groundup as gu
from groundup.engine.compiler.products import packed
from groundup.engine.ops.packed import pack_panels, packed_linear, packed_rows
from groundup.engine.panels import PACKINGS, panels

NAMES = list(PACKINGS)
SIZES = [(1, 256, 1), (19, 512, 3), (40, 768, 9)]  # rows of W, columns, rows of x


@pytest.fixture(params=[1, 2], ids=["1 thread", "2 threads"])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = gu.get_num_threads()
    gu.set_num_threads(request.param)
    yield request.param
    gu.set_num_threads(before)


def run(one: packed.Packed, *arrays: Array) -> None:
    packed.Tape([one.record([array.ctypes.data for array in arrays])]).run()


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_what_the_blocks_hold(name: str) -> None:
    """Bit for bit, whichever are asked for."""
    for n, k, _ in SIZES:
        blocks = random_blocks(name, n, k)
        at = np.random.default_rng(1).integers(0, n, (2, 5))
        weight = pack_panels(gu.from_numpy(blocks), name)
        found = packed_rows(weight, gu.from_numpy(at), name, n, k).numpy()
        np.testing.assert_array_equal(found, unpacked(blocks, name)[at])


@pytest.mark.parametrize("name", NAMES)
def test_products_are_off_by_what_is_rounded(name: str) -> None:
    """|error| <= sum over steps of (largest magnitude of x / 254) * sum |w|, and float32's own."""
    for n, k, m in SIZES:
        blocks = random_blocks(name, n, k)
        w = unpacked(blocks, name).astype(np.float64)
        x = np.random.default_rng(2).normal(size=(m, k)).astype(np.float32)
        y = packed_linear(
            gu.from_numpy(x), pack_panels(gu.from_numpy(blocks), name), name, n, k
        ).numpy()
        own, half = rounded(x)
        float_error = 2.0**-20 * np.abs(x) @ np.abs(w).T
        bound = half @ np.abs(w).T
        assert (np.abs(y - x @ w.T) <= bound + float_error).all()
        # What is left beside rounding is float32's.
        assert (np.abs(y - own @ w.T) <= float_error).all()


@pytest.mark.parametrize("name", NAMES)
def test_whole_numbers_are_exact(name: str) -> None:
    """X of whole numbers up to 127, scales of 1/4, sums far below 2^24: no rounding anywhere."""
    n, k, m = 11, 256, 5
    blocks = random_blocks(name, n, k, scale=0.25).reshape(n, -1, PACKINGS[name].nbytes)
    if name == "Q6_K":  # its scales are signed bytes of any size
        blocks[..., 192:208] = np.random.default_rng(3).integers(0, 8, blocks[..., 192:208].shape)
    blocks = blocks.reshape(n, -1)
    x = np.random.default_rng(4).integers(-127, 128, (m, k)).astype(np.float32)
    x[:, ::32] = 127
    y = packed_linear(
        gu.from_numpy(x), pack_panels(gu.from_numpy(blocks), name), name, n, k
    ).numpy()
    exact = x.astype(np.float64) @ unpacked(blocks, name).astype(np.float64).T
    np.testing.assert_array_equal(y, exact)


@pytest.mark.parametrize("avx2", [None, False], ids=["of this processor", "without AVX2"])
@pytest.mark.parametrize("name", NAMES)
def test_the_largest_weights_do_not_overflow(name: str, avx2: bool | None) -> None:
    """All bits of all weights set, or only the highest, times 127 or -127 everywhere."""
    n, k = 8, 256
    for byte in (0xFF, 0x7F, 0x80, 0xF0, 0x0F):
        blocks = random_blocks(name, n, k).reshape(n, -1, PACKINGS[name].nbytes)
        scales = [blocks[..., at : at + 2].copy() for at in halves_at(name)]
        blocks[...] = byte
        for at, scale in zip(halves_at(name), scales, strict=True):
            blocks[..., at : at + 2] = scale
        blocks = blocks.reshape(n, -1)
        w = unpacked(blocks, name).astype(np.float64)
        for number in (127.0, -127.0):
            x = np.full((1, k), number, np.float32)
            y = np.empty((1, n), np.float32)
            panel = panels(blocks, PACKINGS[name])
            run(packed.product(name, 1, n, k, avx2), packed.round_now(x), panel, y)
            np.testing.assert_allclose(y, x @ w.T, rtol=1e-5, atol=1e-4 * np.abs(w).max())


@pytest.mark.parametrize("name", NAMES)
def test_every_way_gives_the_same_bits(name: str, threads: int) -> None:
    """Rows alone or together, with AVX2 or without, on one thread or two."""
    n, k, m = 43, 512, 11
    blocks = random_blocks(name, n, k)
    panel = panels(blocks, PACKINGS[name])
    x = np.random.default_rng(5).normal(size=(m, k)).astype(np.float32)
    q = packed.round_now(x)
    together = packed.multiply_now(q, panel, name, n, k)
    for i in range(m):
        alone = packed.multiply_now(packed.round_now(x[i : i + 1]), panel, name, n, k)
        np.testing.assert_array_equal(alone[0], together[i])
    without = np.full((m, n), np.nan, np.float32)
    run(packed.product(name, m, n, k, avx2=False), q, panel, without)
    np.testing.assert_array_equal(without, together)
    shared = packed.product(name, m, n, k)
    split = np.full((m, n), np.nan, np.float32)
    run(replace(shared, grain=1), q, panel, split)
    np.testing.assert_array_equal(split, together)


def test_many_rows_of_x_are_gone_through_in_blocks() -> None:
    name, n, k, m = "Q4_1", 9, 2048, 150
    blocks = random_blocks(name, n, k)
    x = np.random.default_rng(6).normal(size=(m, k)).astype(np.float32)
    panel = panels(blocks, PACKINGS[name])
    found = packed.multiply_now(packed.round_now(x), panel, name, n, k)
    w = unpacked(blocks, name).astype(np.float64)
    own, _ = rounded(x)
    assert (np.abs(found - own @ w.T) <= 2.0**-18 * np.abs(x) @ np.abs(w).T).all()


def test_nothing_is_written_beside_the_result() -> None:
    name, n, k, m = "Q5_1", 13, 64, 3
    panel = panels(random_blocks(name, n, k), PACKINGS[name])
    q = packed.round_now(np.ones((m, k), np.float32))
    whole = np.full(m * n + 16, np.nan, np.float32)
    run(packed.product(name, m, n, k), q, panel, whole[8:])
    assert np.isnan(whole[:8]).all()
    assert np.isnan(whole[8 + m * n :]).all()
    assert np.isfinite(whole[8 : 8 + m * n]).all()


def test_extreme_inputs() -> None:
    name, n, k = "Q4_0", 8, 64
    weight = pack_panels(gu.from_numpy(random_blocks(name, n, k)), name)

    def product(x: Array) -> Array:
        found = packed_linear(gu.from_numpy(x.astype(np.float32)), weight, name, n, k)
        return np.asarray(found.numpy())

    assert (product(np.zeros((1, k))) == 0).all()
    for wrong in (np.nan, np.inf, -np.inf):
        x = np.ones((2, k))
        x[0, 40] = wrong
        found = product(x)
        assert not np.isfinite(found[0]).any()
        assert np.isfinite(found[1]).all()
    tiny = product(np.full((1, k), 1e-40))
    assert (np.abs(tiny) < 1e-36).all()
    large = product(np.full((1, k), 1e36))
    expected = product(np.ones((1, k))).astype(np.float64) * 1e36
    np.testing.assert_allclose(large, expected, rtol=1e-4)


def test_scales_of_every_size() -> None:
    """Half precision's normal, subnormal and infinite numbers, in both ways to read them."""
    name, k = "Q8_0", 32
    bits = np.array([0, 1, 0x3FF, 0x400, 0x3C00, 0x7BFF, 0x8001, 0xFBFF], np.uint16)
    blocks = np.zeros((8, 34), np.uint8)
    blocks[:, :2] = bits.view(np.uint8).reshape(8, 2)
    blocks[:, 2] = 1
    panel = panels(blocks, PACKINGS[name])
    x = np.zeros((1, k), np.float32)
    x[0, 0] = 127
    expected = bits.view(np.float16).astype(np.float32) * 127
    for avx2 in (None, False):
        y = np.empty((1, 8), np.float32)
        run(packed.product(name, 1, 8, k, avx2), packed.round_now(x), panel, y)
        np.testing.assert_array_equal(y[0], expected)


@pytest.mark.parametrize("name", ["Q4_1", "Q6_K"])
def test_the_gradient_is_that_of_unpacked_weights(name: str) -> None:
    n, k, m = 10, 256, 4
    blocks = random_blocks(name, n, k)
    weight = pack_panels(gu.from_numpy(blocks), name)
    x = gu.randn(2, m // 2, k, requires_grad=True)
    g = gu.randn(2, m // 2, n)
    packed_linear(x, weight, name, n, k).backward(g)
    assert x.grad is not None
    expected = g.numpy() @ unpacked(blocks, name)
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-4, atol=1e-5)


def test_other_dtypes_are_computed_in_float32() -> None:
    name, n, k = "Q4_0", 8, 64
    weight = pack_panels(gu.from_numpy(random_blocks(name, n, k)), name)
    x = gu.randn(3, k, dtype=gu.float64)
    found = packed_linear(x, weight, name, n, k)
    assert found.dtype == gu.float64
    same = packed_linear(x.to(gu.float32), weight, name, n, k)
    np.testing.assert_array_equal(found.numpy(), same.numpy())
    assert packed_linear(gu.zeros(0, k), weight, name, n, k).shape == (0, n)


WEIGHT = gu.zeros(2, 2 * 144, dtype=gu.uint8)  # 9 rows of 64 weights, Q4_0


@pytest.mark.parametrize(
    ("x", "weight", "arguments", "message"),
    [
        (gu.ones(1, 64), WEIGHT, ("Q4_0", 17, 64), r"take \(3, 288\)"),
        (gu.ones(1, 64), WEIGHT, ("Q4_0", 9, 2**60), r"take \(2, "),
        (gu.ones(1, 64), WEIGHT, ("Q4_0", 9, 63), "multiple of 32"),
        (gu.ones(1, 64), WEIGHT, ("Q4_0", 0, 64), "at least 1"),
        (gu.ones(1, 64), WEIGHT, ("Q4_0", 9, -64), "multiple of 32"),
        (gu.ones(1, 64), WEIGHT, ("Q4_K", 9, 64), "multiple of 256"),
        (gu.ones(1, 64), WEIGHT, ("Q3_K", 9, 64), "expected one of"),
        (gu.ones(1, 64), WEIGHT.float(), ("Q4_0", 9, 64), "float32"),
        (gu.ones(1, 32), WEIGHT, ("Q4_0", 9, 64), r"expected \(\*, 64\)"),
        (gu.tensor(1.0), WEIGHT, ("Q4_0", 9, 64), r"expected \(\*, 64\)"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(x, weight, arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        packed_linear(x, weight, *arguments)


def test_what_is_no_packed_weight_is_refused() -> None:
    with pytest.raises(TypeError, match="floating"):
        packed_linear(gu.ones(1, 64, dtype=gu.int64), WEIGHT, "Q4_0", 9, 64)
    with pytest.raises(TypeError, match="integers"):
        packed_rows(WEIGHT, gu.ones(1), "Q4_0", 9, 64)
    for position in (-1, 9):
        with pytest.raises(IndexError, match=f"position {position} is outside of 9 rows"):
            packed_rows(WEIGHT, gu.tensor([position]), "Q4_0", 9, 64)
    with pytest.raises(TypeError, match="uint8"):
        pack_panels(gu.zeros(1, 18), "Q4_0")
    for shape in ((18,), (0, 18), (1, 0), (1, 17)):
        with pytest.raises(ValueError, match="multiple of 18 bytes"):
            pack_panels(gu.zeros(*shape, dtype=gu.uint8), "Q4_0")
