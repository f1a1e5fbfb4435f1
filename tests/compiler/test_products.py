"""Matrix products of every layout agree with NumPy's, however they are computed and split. R1.4."""

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, strategies as st

import groundup as gu
from groundup.engine.compiler.native import native, threads
from groundup.engine.compiler.native.tape import Record, Tape
from groundup.engine.compiler.products import blas, small_products
from groundup.engine.compiler.products.emit_product import emit
from groundup.engine.compiler.products.products import Product, product
from groundup.engine.compiler.products.small_products import Shape

Array = npt.NDArray[Any]
DTYPES = [gu.float32, gu.float64]


class Case:
    """Random operands of one layout."""

    def __init__(
        self,
        dtype: Any,
        m: int,
        n: int,
        k: int,
        turned: tuple[bool, bool, bool] = (False, False, False),
        pad: int = 0,
        batch: tuple[int, ...] = (),
        seed: int = 0,
    ) -> None:
        self.dtype, self.m, self.n, self.k, self.batch = np.dtype(dtype), m, n, k, batch
        self.generator = np.random.default_rng(seed)
        self.a = self.matrix(m, k, turned[0], pad)
        self.b = self.matrix(k, n, turned[1], pad)
        self.c = self.matrix(m, n, turned[2], pad)

    def matrix(self, rows: int, columns: int, turned: bool, pad: int) -> Array:
        """A batch of matrices, whose columns are contiguous if turned, with a gap after each."""
        if turned:
            return self.matrix(columns, rows, False, pad).swapaxes(-1, -2)
        whole = self.generator.standard_normal((*self.batch, rows, columns + pad))
        return whole.astype(self.dtype)[..., :columns]

    def strides(self, x: Array) -> list[int]:
        return [stride // self.dtype.itemsize for stride in x.strides]

    def product(self, **options: Any) -> Product:
        a, b, c = (self.strides(x) for x in (self.a, self.b, self.c))
        batch = list(zip(self.batch, a, b, c, strict=False))
        two = ((s[-2], s[-1]) for s in (a, b, c))
        return product(self.dtype, self.m, self.n, self.k, *two, batch, **options)

    def computed(self, p: Product, shares: int) -> Array:
        """What a product writes, into a copy of C with NaN around it."""
        base = self.c
        while isinstance(base.base, np.ndarray):
            base = base.base
        copy = np.full_like(base, np.nan)
        out = np.ndarray(self.c.shape, self.dtype, copy, 0, self.c.strides)
        out[...] = self.c
        pointers = p.arguments(self.a.ctypes.data, self.b.ctypes.data, copy.ctypes.data)
        tape = Tape([Record(p.address, pointers, p.extent, 1)], threads=shares)
        tape.run()
        assert np.isnan(copy).sum() == copy.size - out.size  # nothing else was written
        return out

    def expected(self, alpha: float = 1.0, accumulate: bool = False) -> Array:
        exact = alpha * (self.a.astype(np.float64) @ self.b.astype(np.float64))
        return exact + self.c if accumulate else exact

    def agrees(self, found: Array, expected: Array) -> None:
        """Within the error that sums of k products may have."""
        eps = np.finfo(self.dtype).eps
        size = np.abs(self.a).astype(np.float64) @ np.abs(self.b) + np.abs(self.c)
        assert np.all(np.abs(found - expected) <= eps * (self.k + 8) * 2 * size + 1e-300)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("turned", itertools.product([False, True], repeat=3))
@pytest.mark.parametrize("way", ["blas", "inline"])
def test_every_layout(dtype: Any, turned: tuple[bool, bool, bool], way: str) -> None:
    for m, n, k, pad, batch in [
        (17, 23, 9, 0, ()),
        (33, 10, 64, 3, (3,)),
        (1, 40, 12, 2, ()),
        (40, 1, 12, 0, (2, 3)),
        (5, 6, 1, 1, (20,)),
        (4, 5, 0, 0, ()),
    ]:
        case = Case(dtype, m, n, k, turned, pad, batch)
        found = case.product(way=way)
        assert (found.inline is None) == (way == "blas")
        one = case.computed(found, 1)
        case.agrees(one, case.expected())
        for shares in (2, 5):
            again = case.computed(found, shares)
            if way == "inline":  # does not depend on the shares at all
                assert np.array_equal(again, one)
            case.agrees(again, case.expected())


sizes = st.integers(1, 40)


@given(
    dtype=st.sampled_from(DTYPES),
    m=sizes,
    n=sizes,
    k=sizes,
    turned=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    pad=st.integers(0, 2),
    batch=st.sampled_from([(), (2,), (3, 2), (18,)]),
    alpha=st.sampled_from([1.0, -0.5]),
    accumulate=st.booleans(),
    way=st.sampled_from(["blas", "inline", None]),
    shares=st.integers(1, 4),
)
def test_any_product(
    dtype: Any,
    m: int,
    n: int,
    k: int,
    turned: tuple[bool, bool, bool],
    pad: int,
    batch: tuple[int, ...],
    alpha: float,
    accumulate: bool,
    way: str | None,
    shares: int,
) -> None:
    case = Case(dtype, m, n, k, turned, pad, batch)
    found = case.product(alpha=alpha, accumulate=accumulate, way=way)
    case.agrees(case.computed(found, shares), case.expected(alpha, accumulate))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["NN", "NT", "TN", "TT"])
def test_every_plan(dtype: Any, layout: str) -> None:
    """Whatever the estimate prefers, all ways and sizes of tiles compute the same."""
    m, n, k = 13, 21, 19
    case = Case(dtype, m, n, k, (layout[0] == "T", layout[1] == "T", False))
    a, b, c = (tuple(case.strides(x)) for x in (case.a, case.b, case.c))
    shape = Shape(case.dtype, m, n, k, a, b, c)
    plans = list(small_products.plans(shape, native.host().bits))
    # A dot product needs both operands to lie along k.
    assert {plan.way for plan in plans} == ({"tiles", "dot"} if layout == "NT" else {"tiles"})
    chosen = plans[:: max(len(plans) // 12, 1)]
    assert len({plan.rows for plan in chosen}) > 2
    assert any(plan.block_b for plan in plans), "none copies B"
    assert any(plan.block_a for plan in plans) or layout == "NT", "none copies A"
    for plan in chosen:
        address = native.compile(emit(shape, plan, "product"), "product")
        out = np.full((m, n), np.nan, case.dtype)
        pointers = [case.a.ctypes.data, case.b.ctypes.data, out.ctypes.data]
        extent = small_products.extent(shape, plan)
        Tape([Record(address, pointers, extent, 1)], threads=3).run()
        assert np.isfinite(out).all(), plan
        case.agrees(out, case.expected())


@pytest.mark.parametrize("way", ["blas", "inline"])
def test_an_operand_shared_by_the_batch(way: str) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((6, 8, 5)), rng.standard_normal((5, 7))
    out = np.empty((6, 8, 7))
    p = product(gu.float64, 8, 7, 5, (5, 1), (7, 1), (7, 1), [(6, 40, 0, 56)], way=way)
    pointers = p.arguments(a.ctypes.data, b.ctypes.data, out.ctypes.data)
    Tape([Record(p.address, pointers, p.extent, 1)], threads=4).run()
    np.testing.assert_allclose(out, a @ b, rtol=1e-13)


@pytest.mark.parametrize("way", ["blas", "inline"])
@pytest.mark.parametrize("shares", [1, 2])
def test_results_repeat(way: str, shares: int) -> None:
    case = Case(gu.float32, 96, 80, 70, (False, True, False))
    found = case.product(way=way)
    first = case.computed(found, shares)
    for _ in range(5):
        assert np.array_equal(case.computed(found, shares), first)


def test_nan_and_infinity_come_through_and_old_results_do_not() -> None:
    for way in ("blas", "inline"):
        case = Case(gu.float32, 12, 9, 11)
        case.a[3, 4], case.b[5, 6] = np.nan, np.inf
        case.c[...] = np.nan  # not read, as nothing is accumulated
        p = case.product(way=way)
        out = np.full((12, 9), np.nan, np.float32)
        pointers = p.arguments(case.a.ctypes.data, case.b.ctypes.data, out.ctypes.data)
        Tape([Record(p.address, pointers, p.extent, 1)]).run()
        with np.errstate(invalid="ignore"):
            assert np.array_equal(np.isnan(out), np.isnan(case.a @ case.b)), way


@pytest.mark.parametrize("shape", [(0, 3, 2), (3, 0, 2), (0, 0, 0)])
def test_nothing_to_do(shape: tuple[int, int, int]) -> None:
    m, n, k = shape
    p = product(gu.float32, m, n, k, (k, 1), (n, 1), (n, 1))
    assert p.extent == 0
    Tape([Record(p.address, p.arguments(0, 0, 0), p.extent, p.grain)], threads=2).run()


def test_small_ones_are_inline_and_large_ones_are_not() -> None:
    def way(m: int, n: int, k: int) -> str:
        p = product(gu.float32, m, n, k, (k, 1), (1, k), (n, 1))
        return "blas" if p.inline is None else "inline"

    assert way(4, 8, 2) == way(64, 128, 64) == way(1, 2048, 2048) == "inline"
    assert way(1024, 1024, 1024) == "blas"


def test_what_cannot_be_read_is_refused() -> None:
    with pytest.raises(ValueError, match=r"product: dtype int64; expected float32 or float64"):
        product(gu.int64, 2, 2, 2, (2, 1), (2, 1), (2, 1))
    with pytest.raises(ValueError, match=r"product: strides \(4000, 2\) .* copy the operand"):
        product(gu.float32, 2000, 2000, 2000, (4000, 2), (2000, 1), (2000, 1), way="blas")


def test_blas_is_left_as_it_was() -> None:
    """OpenBLAS has one thread while a tape runs, and as many as before afterwards."""
    words = blas.thread_control()
    if not words.size:
        pytest.skip("SciPy's BLAS is not OpenBLAS")
    import ctypes

    get = ctypes.CFUNCTYPE(ctypes.c_int)(int(words[3]))
    set_ = ctypes.CFUNCTYPE(None, ctypes.c_int)(int(words[4]))
    asked = """
    define void @ask(ptr %arguments, i64 %begin, i64 %end, i64 %part) {
      %out = load ptr, ptr %arguments
      %second = getelementptr ptr, ptr %arguments, i64 1
      %get = load ptr, ptr %second
      %threads = call i32 %get()
      store i32 %threads, ptr %out
      ret void
    }"""
    seen = np.zeros(1, np.int32)
    ask = Record(native.compile(asked, "ask"), [seen.ctypes.data, int(words[3])], 1, 1)
    case = Case(gu.float32, 8, 8, 8)
    p = case.product(way="blas")
    pointers = p.arguments(case.a.ctypes.data, case.b.ctypes.data, case.c.ctypes.data)
    multiply = Record(p.address, pointers, p.extent, p.grain)
    before = get()
    try:
        for count in (1, 2, 3):
            set_(count)
            Tape([ask]).run()
            assert seen[0] == count  # a tape without BLAS lets it be
            Tape([multiply, ask]).run()
            assert seen[0] == 1
            assert get() == count
    finally:
        set_(before)


def test_large_products_in_shares() -> None:
    before = threads.get_num_threads()
    threads.set_num_threads(2)
    try:
        for turned in itertools.product([False, True], repeat=2):
            case = Case(gu.float32, 300, 500, 260, (*turned, False))
            found = case.product(way="blas")
            first = case.computed(found, 2)
            case.agrees(first, case.expected())
            assert np.array_equal(case.computed(found, 2), first)
    finally:
        threads.set_num_threads(before)
