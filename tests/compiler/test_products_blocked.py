"""Products that are cut into blocks and copied agree with NumPy's in float64. R1.4."""

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import groundup as gu
from groundup.engine.compiler.native import native, threads
from groundup.engine.compiler.native.tape import Record, Tape
from groundup.engine.compiler.products import small_products
from groundup.engine.compiler.products.emit_product import emit
from groundup.engine.compiler.products.products import product
from groundup.engine.compiler.products.small_products import Plan, Shape, extent

Array = npt.NDArray[Any]
LAYOUTS = ["NN", "NT", "TN", "TT"]


def operands(dtype: Any, m: int, n: int, k: int, layout: str, seed: int = 0) -> list[Array]:
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((m, k)), rng.standard_normal((k, n))
    a = np.asfortranarray(a) if layout[0] == "T" else a
    b = np.asfortranarray(b) if layout[1] == "T" else b
    return [a.astype(dtype), b.astype(dtype)]


def shape_of(a: Array, b: Array, **options: Any) -> Shape:
    (m, k), n, size = a.shape, b.shape[1], a.itemsize
    (d, e), (f, g) = ([stride // size for stride in x.strides] for x in (a, b))
    return Shape(a.dtype, m, n, k, (d, e), (f, g), (n, 1), **options)


def run(shape: Shape, plan: Plan, a: Array, b: Array, c: Array, shares: int) -> None:
    address = native.compile(emit(shape, plan, "product"), "product")
    pointers = [x.ctypes.data for x in (a, b, c)]
    Tape([Record(address, pointers, extent(shape, plan), 1)], threads=shares).run()


def agrees(found: Array, a: Array, b: Array, old: Array | float = 0.0, alpha: float = 1.0) -> None:
    exact = alpha * (a.astype(np.float64) @ b.astype(np.float64)) + old
    size = np.abs(a).astype(np.float64) @ np.abs(b) + np.abs(old)
    assert np.all(np.abs(found - exact) <= np.finfo(a.dtype).eps * (a.shape[1] + 8) * 2 * size)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [gu.float32, gu.float64])
def test_every_way_to_block_and_copy(dtype: Any, layout: str) -> None:
    """Blocks that do not divide their lengths, copied or not, of either orientation."""
    m, n, k = 23, 45, 37
    a, b = operands(dtype, m, n, k, layout)
    lanes = native.host().bits // (8 * a.itemsize)
    blocks = [(37, 2, 0), (10, 0, 1), (9, 2, 2), (16, 8, 1)]
    for i, (depth, block_a, block_b) in enumerate(blocks):
        accumulate, alpha, along_rows = i % 2 == 1, (1.0, -0.5)[i // 2], i in (1, 2)
        whole = shape_of(a, b, alpha=alpha, accumulate=accumulate)
        for shape in small_products.orientations(whole):
            block_b = block_b if shape.b[1] == 1 else max(block_b, 1)
            plan = Plan("tiles", 5, 2, lanes, depth, block_a, block_b, along_rows)
            results = []
            for shares in (1, 3):
                c = np.ones((m, n), dtype)
                run(shape, plan, a, b, c, shares)
                agrees(c, a, b, old=1.0 if accumulate else 0.0, alpha=alpha)
                results.append(c)
            assert np.array_equal(results[0], results[1])


SIZES = [(m, n, k) for m, n, k in itertools.product((1, 3, 16, 37, 70), (1, 10, 33, 64), (1, 70))]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_sizes_up_to_70(layout: str) -> None:
    rng = np.random.default_rng(1)
    more = [tuple(int(x) for x in rng.integers(1, 71, 3)) for _ in range(6)]
    for m, n, k in [*SIZES[LAYOUTS.index(layout) :: 4], *more]:
        a, b = operands(gu.float32, m, n, k, layout)
        shape = shape_of(a, b)
        found = product(gu.float32, m, n, k, shape.a, shape.b, shape.c)
        for shares in (1, 2):
            c = np.full((m, n), np.nan, np.float32)
            pointers = found.arguments(*(x.ctypes.data for x in (a, b, c)))
            Tape([Record(found.address, pointers, found.extent, 1)], threads=shares).run()
            agrees(c, a, b)


@pytest.mark.parametrize(
    ("m", "n", "k", "layout"),
    [(40, 700, 600, "NN"), (260, 30, 1030, "TN"), (30, 260, 1500, "NT"), (300, 200, 515, "TT")],
)
def test_long_sums_repeat(m: int, n: int, k: int, layout: str) -> None:
    """Several blocks of k: as near as one sum, and the same bits every time and on any thread."""
    a, b = operands(gu.float32, m, n, k, layout)
    shape = shape_of(a, b)
    found = product(gu.float32, m, n, k, shape.a, shape.b, shape.c, way="inline")
    before = threads.get_num_threads()
    threads.set_num_threads(2)
    try:
        results = []
        for shares in (1, 2, 2, 2):
            c = np.full((m, n), np.nan, np.float32)
            pointers = found.arguments(*(x.ctypes.data for x in (a, b, c)))
            Tape([Record(found.address, pointers, found.extent, 1)], threads=shares).run()
            agrees(c, a, b)
            results.append(c)
        assert all(np.array_equal(c, results[0]) for c in results)
    finally:
        threads.set_num_threads(before)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_nan_and_infinity_stay_in_their_rows_and_columns(layout: str) -> None:
    """What is copied around an edge never reaches a neighbour."""
    m, n, k = 19, 21, 600
    a, b = operands(gu.float32, m, n, k, layout)
    a[m - 1, 300], b[599, n - 1] = np.nan, np.inf
    shape = shape_of(a, b)
    found = product(gu.float32, m, n, k, shape.a, shape.b, shape.c, way="inline")
    c = np.full((m, n), np.nan, np.float32)
    pointers = found.arguments(*(x.ctypes.data for x in (a, b, c)))
    Tape([Record(found.address, pointers, found.extent, 1)]).run()
    assert np.isnan(c[m - 1]).all()
    assert np.isinf(c[: m - 1, n - 1]).all()
    assert np.isfinite(c[: m - 1, : n - 1]).all()


def test_a_batch_shares_operands_and_blocks() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((3, 20, 520)), rng.standard_normal((520, 30))
    for reading, batch in ((a, [(3, 20 * 520, 0, 600)]), (a[:1], [(3, 0, 0, 600)])):
        found = product(
            gu.float64, 20, 30, 520, (520, 1), (30, 1), (30, 1), batch=batch, way="inline"
        )
        c = np.full((3, 20, 30), np.nan)
        pointers = found.arguments(reading.ctypes.data, b.ctypes.data, c.ctypes.data)
        Tape([Record(found.address, pointers, found.extent, 1)], threads=2).run()
        np.testing.assert_allclose(c, np.broadcast_to(reading @ b, c.shape), rtol=1e-10, atol=1e-10)
