"""Kernels as machine code do what the interpreter in NumPy says that they mean."""  # R1.4

import re

import numpy as np
import pytest
from tests.compiler.interpreter import interpret
from tests.compiler.kernels import PARTS, Compiled, Composer, arguments_of

import groundup as gu
from groundup.engine.base import Array
from groundup.engine.compiler.emit.emit import emit
from groundup.engine.compiler.emit.schedule import Schedule
from groundup.engine.compiler.kernel import (
    Accumulate,
    Apply,
    Constant,
    Index,
    Instruction,
    Kernel,
    Load,
    Reduce,
    Store,
)
from groundup.engine.dtypes import DType, bool_
from groundup.engine.primitives import elementwise

FLOATS = [gu.float32, gu.float64]
INTEGERS = [gu.int32, gu.int64, gu.uint8]
WIDTHS = [128, 256, 512]


def check(
    kernel: Kernel,
    arguments: list[Array],
    bits: int | None = None,
    parts: int = 1,
    tolerance: float = 0.0,
) -> list[Array]:
    """Run a kernel in shares, compare every argument with the interpreter's, and return them."""
    compiled, expected = Compiled(kernel, bits), [x.copy() for x in arguments]
    for part in range(parts):
        begin, end = part * kernel.extent // parts, (part + 1) * kernel.extent // parts
        compiled(arguments, begin, end, part)
        interpret(kernel, expected, begin, end, part)
    for number, (found, wanted) in enumerate(zip(arguments, expected, strict=True)):
        np.testing.assert_allclose(
            found, wanted, rtol=tolerance, atol=tolerance, err_msg=f"argument {number}"
        )
    return arguments


def numbers(dtype: DType, generator: np.random.Generator, size: int = 157) -> Array:
    """Ordinary numbers and the borders of the dtype, each of which may meet each."""
    if dtype == bool_:
        return generator.random(size) < 0.5
    if dtype.kind == "f":
        info = np.finfo(dtype)
        special = [0.0, -0.0, np.inf, -np.inf, np.nan, 0.5, -0.5, 1.5, 2.5, -2.5, 1.0, -1.0]
        special += [info.max, info.min, info.tiny, -info.smallest_subnormal, 3.0, -7.0]
        ordinary = generator.normal(0, 3, size)
    else:
        limits = np.iinfo(dtype)
        special = [limits.min, limits.max, 0, 1, 2, 3, limits.max if dtype.kind == "u" else -1]
        ordinary = generator.integers(limits.min, limits.max, size, dtype=dtype)
    chosen = np.asarray(special, dtype)[generator.integers(len(special), size=size)]
    return np.where(generator.random(size) < 0.6, chosen, np.asarray(ordinary, dtype))


def expected(name: str, *arrays: Array, **static: object) -> Array:
    """What the primitive itself computes."""
    with np.errstate(all="ignore"):
        found: Array = getattr(elementwise, name).forward(*arrays, **static)
    return found


UNARY = ["abs", "sign", "floor", "ceil", "round", "trunc", "relu", "neg"]
BINARY = ["add", "sub", "mul", "maximum", "minimum", "floor_divide", "remainder"]
COMPARISONS = ["eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_xor"]
BITS = ["bitwise_and", "bitwise_or", "bitwise_xor", "maximum", "minimum", "lt", "ge"]
FUNCTIONS = ["exp", "expm1", "sin", "cos", "tanh", "erf", "sigmoid", "softplus"]
OF_POSITIVE = ["log", "log1p", "sqrt", "rsqrt"]

Case = tuple[str, list[int], dict[str, object]]
"""Name of a primitive, numbers of its inputs, its static arguments."""


def apply_all(inputs: list[Array], cases: list[Case], tolerance: float = 0.0) -> None:
    """Compute many primitives of the same arrays in one kernel, and compare with NumPy."""
    wanted = [
        expected(name, *(inputs[i] for i in which), **static) for name, which, static in cases
    ]
    count, size = len(inputs), inputs[0].size
    body: list[Instruction] = [Load(i, 0, (1,)) for i in range(count)]
    for (name, which, static), result in zip(cases, wanted, strict=True):
        body.append(Apply(name, tuple(which), result.dtype, tuple(static.items())))
    body += [Store(count + i, 0, (1,), count + i) for i in range(len(cases))]
    outputs = [np.empty_like(result) for result in wanted]
    kernel = Kernel((size,), 1, tuple(x.dtype for x in inputs + wanted), tuple(body))
    Compiled(kernel)([*inputs, *outputs])
    for case, found, result in zip(cases, outputs, wanted, strict=True):
        np.testing.assert_allclose(found, result, tolerance, tolerance, err_msg=str(case))


@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS], ids=str)
def test_arithmetic_is_numpys_to_the_last_bit(dtype: DType) -> None:
    generator = np.random.default_rng(1)
    cases: list[Case] = [(name, [0], {}) for name in UNARY]
    cases += [(name, [0, 1], {}) for name in BINARY + COMPARISONS]
    apply_all([numbers(dtype, generator), numbers(dtype, generator)], cases)


@pytest.mark.parametrize("dtype", [bool_, *INTEGERS], ids=str)
def test_bits_and_truth(dtype: DType) -> None:
    generator = np.random.default_rng(2)
    cases: list[Case] = [(name, [0, 1], {}) for name in BITS]
    cases += [("bitwise_not", [0], {}), ("logical_not", [0], {})]
    apply_all([numbers(dtype, generator), numbers(dtype, generator)], cases)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_functions_are_near_numpys(dtype: DType) -> None:
    x, y = np.random.default_rng(3).normal(0, 3, (2, 157)).astype(dtype)
    cases: list[Case] = [(name, [0], {}) for name in FUNCTIONS]
    cases += [(name, [2], {}) for name in OF_POSITIVE]
    cases += [("pow", [2, 1], {}), ("div", [0, 1], {}), ("lerp", [0, 1, 0], {})]
    cases += [("addcdiv", [0, 1, 2, 1], {})]
    apply_all([x, y, np.abs(x) + dtype.type(0.5)], cases, 8 * float(np.finfo(dtype).eps))


@pytest.mark.parametrize("old", [bool_, *FLOATS, *INTEGERS], ids=str)
def test_casts_are_those_of_astype(old: DType) -> None:
    x = numbers(old, np.random.default_rng(4))
    fits = x
    if old.kind == "f":  # what does not fit into an integer NumPy leaves open
        fits = np.where(np.abs(x) < 100, np.abs(x), 0).astype(old)
    apply_all(
        [x, fits],
        [("cast", [int(new.kind in "iu")], {"dtype": new}) for new in [bool_, *FLOATS, *INTEGERS]],
    )


def test_clamp_and_where_and_powers() -> None:
    generator = np.random.default_rng(5)
    x, y = numbers(gu.float32, generator), numbers(gu.float32, generator)
    bounds = [(-1.0, 1.0), (None, 0.5), (0.5, None), (float("nan"), None)]
    cases: list[Case] = [("clamp", [0], {"low": low, "high": high}) for low, high in bounds]
    cases.append(("where", [2, 0, 1], {}))
    apply_all([x, y, numbers(bool_, generator)], cases)

    apply_all([np.arange(-6, 7), np.arange(13) % 6], [("pow", [0, 1], {})])
    positive = generator.random(9) + 0.1
    for exponent in (1.0, 2.0, 3.0, 4.0, -0.5):
        power = Apply("pow", (0, 1), gu.float64)
        body = (Load(0, 0, (1,)), Constant(exponent, gu.float64), power, Store(1, 0, (1,), 2))
        check(Kernel((9,), 1, (gu.float64,) * 2, body), [positive, np.empty(9)], tolerance=1e-14)


def softmax(rows: int, columns: int, dtype: DType = gu.float32) -> Kernel:
    """Of each row of a matrix."""
    return Kernel(
        (rows, columns),
        1,
        (dtype, dtype),
        (
            Load(0, 0, (columns, 1)),
            Reduce("max", 0),
            Apply("sub", (0, 1), dtype),
            Apply("exp", (2,), dtype),
            Reduce("sum", 3),
            Apply("div", (3, 4), dtype),
            Store(1, 0, (columns, 1), 5),
        ),
    )


@pytest.mark.parametrize("columns", [1, 3, 8, 10, 33, 64, 127, 1000])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_softmax(columns: int, dtype: DType) -> None:
    x = np.random.default_rng(6).normal(0, 2, (5, columns)).astype(dtype)
    x[2, columns // 2] = np.inf  # exp(inf - inf) is NaN: in this row and in no other
    x[4, columns // 3] = np.nan
    out = np.empty_like(x)
    Compiled(softmax(5, columns, dtype))([x, out])
    with np.errstate(all="ignore"):
        e = np.exp(x - x.max(1, keepdims=True))
        wanted = e / e.sum(1, keepdims=True)
    np.testing.assert_allclose(out, wanted, 30 * np.finfo(dtype).eps, np.finfo(dtype).tiny * 8)


def test_a_row_too_long_for_the_scratch_is_computed_twice() -> None:
    kernel = softmax(2, 70_001)
    assert not any(each.kept for each in Schedule(kernel, 256).passes)
    assert any(each.kept for each in Schedule(softmax(2, 1000), 256).passes)
    x = np.random.default_rng(7).normal(size=140_002).astype(np.float32)
    check(kernel, [x, np.empty_like(x)], tolerance=1e-5)


def layer_norm_gradient(rows: int, columns: int) -> Kernel:
    """(x, g, weight, mean, rstd) -> (gradient of x, of the weight, of the bias)."""
    f = gu.float32
    body: list[Instruction] = [
        Load(0, 0, (columns, 1)),
        Load(1, 0, (columns, 1)),
        Load(2, 0, (0, 1)),
        Load(3, 0, (1, 0)),
        Load(4, 0, (1, 0)),
        Constant(1 / columns, f),
        Apply("sub", (0, 3), f),
        Apply("mul", (6, 4), f),  # 7: x normalised
        Apply("mul", (1, 2), f),
        Reduce("sum", 8),
        Apply("mul", (9, 5), f),
        Apply("mul", (8, 7), f),
        Reduce("sum", 11),
        Apply("mul", (12, 5), f),
        Apply("mul", (7, 13), f),
        Apply("sub", (8, 10), f),
        Apply("sub", (15, 14), f),
        Apply("mul", (16, 4), f),
        Apply("mul", (1, 7), f),
        Store(5, 0, (columns, 1), 17),
        Accumulate(6, 0, (0, 1), 18, columns),
        Accumulate(7, 0, (0, 1), 1, columns),
    ]
    return Kernel((rows, columns), 1, (f,) * 8, tuple(body))


@pytest.mark.parametrize("columns", [3, 8, 10, 64, 77, 128])
@pytest.mark.parametrize("parts", [1, 3])
def test_layer_norm_gradient(columns: int, parts: int) -> None:
    rows, generator = 11, np.random.default_rng(8)
    x, g = generator.normal(size=(2, rows, columns)).astype(np.float32)
    weight = generator.normal(size=columns).astype(np.float32)
    mean, rstd = x.mean(1), 1 / x.std(1)
    out = np.empty_like(x)
    of_weight, of_bias = np.full((2, PARTS, columns), np.nan, np.float32)
    arguments = [x, g, weight, mean, rstd, out, of_weight, of_bias]
    compiled = Compiled(layer_norm_gradient(rows, columns))
    for part in range(parts):
        compiled(arguments, part * rows // parts, (part + 1) * rows // parts, part)
    normal, scaled = (x - mean[:, None]) * rstd[:, None], g * weight
    inner = (scaled * normal).mean(1, keepdims=True)
    wanted = (scaled - scaled.mean(1, keepdims=True) - normal * inner) * rstd[:, None]
    np.testing.assert_allclose(out, wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(of_weight[:parts].sum(0), (g * normal).sum(0), 1e-4, 1e-5)
    np.testing.assert_allclose(of_bias[:parts].sum(0), g.sum(0), 1e-4, 1e-5)
    assert np.isnan(of_weight[parts:]).all(), "parts that no share has are left alone"


def adam(size: int) -> Kernel:
    """(parameter, gradient, mean, square), all updated in place but the gradient."""
    f = gu.float32
    body: list[Instruction] = [Load(i, 0, (1,)) for i in range(4)]
    body += [Constant(v, f) for v in (0.9, 0.1, 0.999, 0.001, 1e-8, 0.01)]
    body += [
        Apply("mul", (2, 4), f),
        Apply("mul", (1, 5), f),
        Apply("add", (10, 11), f),  # 12: the new mean
        Apply("mul", (3, 6), f),
        Apply("mul", (1, 1), f),
        Apply("mul", (14, 7), f),
        Apply("add", (13, 15), f),  # 16: the new square
        Apply("sqrt", (16,), f),
        Apply("add", (17, 8), f),
        Apply("div", (12, 18), f),
        Apply("mul", (9, 19), f),
        Apply("sub", (0, 20), f),
        Store(0, 0, (1,), 21),
        Store(2, 0, (1,), 12),
        Store(3, 0, (1,), 16),
    ]
    return Kernel((size,), 1, (f,) * 4, tuple(body))


@pytest.mark.parametrize("size", [0, 1, 5, 8, 31, 1003])
@pytest.mark.parametrize("bits", WIDTHS)
def test_adam_in_place(size: int, bits: int) -> None:
    generator = np.random.default_rng(9)
    arguments = [np.abs(generator.normal(size=max(size, 1))).astype(np.float32) for _ in range(4)]
    check(adam(size), arguments, bits, parts=min(3, max(size, 1)), tolerance=1e-5)


def test_a_store_waits_for_later_reads_of_its_place() -> None:
    f = gu.float32
    body = (
        Load(0, 0, (1000, 1)),
        Constant(2.0, f),
        Apply("mul", (0, 1), f),
        Store(0, 0, (1000, 1), 2),
        Reduce("sum", 0),
        Apply("sub", (0, 4), f),
        Store(1, 0, (1000, 1), 5),
    )
    x = np.random.default_rng(10).integers(-4, 5, 3000).astype(np.float32)
    before = x.copy().reshape(3, 1000)
    _, out = check(Kernel((3, 1000), 1, (f, f), body), [x, np.empty_like(x)])
    np.testing.assert_array_equal(out.reshape(3, 1000), before - before.sum(1, keepdims=True))


@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS, bool_], ids=str)
def test_steps_of_every_kind(dtype: DType) -> None:
    x = np.arange(2000).astype(dtype)
    for size in (1, 4, 8, 37, 64, 99):
        body: list[Instruction] = []
        arguments = [x]
        for step in (-3, -1, 1, 2, 3, 7):
            start = 3 + max(0, -step * (size - 1))
            count = len(arguments)
            body += [
                Load(0, start, (0, step)),
                Store(count, 1, (size, 1), len(body)),
                Store(count + 1, start, (2000, step), len(body)),
            ]
            arguments += [np.zeros(2 * size + 1, dtype), np.zeros(4000, dtype)]
        check(Kernel((2, size), 1, (dtype,) * len(arguments), tuple(body)), arguments)


def test_rows_side_by_side_and_sums_over_rows_of_several_loops() -> None:
    f = gu.float32
    generator = np.random.default_rng(11)
    x = generator.integers(-3, 4, 40 * 24).astype(np.float32)
    # Sum over the first dimension: lanes are neighbours in memory, the row is far apart.
    kernel = Kernel(
        (24, 40), 1, (f, f), (Load(0, 0, (1, 24)), Reduce("sum", 0), Store(1, 0, (1, 0), 1))
    )
    assert not Schedule(kernel, 256).inside
    _, sums = check(kernel, [x, np.empty(24, np.float32)], parts=3)
    np.testing.assert_array_equal(sums, x.reshape(40, 24).sum(0))
    # Channel statistics: (batch 4, channel 10, place 24) -> a mean for each channel.
    body = (
        Load(0, 0, (24, 240, 1)),
        Reduce("max", 0),
        Reduce("sum", 0),
        Store(1, 0, (1, 0, 0), 1),
        Store(2, 0, (1, 0, 0), 2),
    )
    check(Kernel((10, 4, 24), 2, (f,) * 3, body), [x, *np.empty((2, 10), np.float32)], parts=2)


def test_gradient_of_a_channel_bias() -> None:
    f = gu.float32
    x = np.random.default_rng(12).integers(-3, 4, (6, 5, 49)).astype(np.float32)
    for row in (1, 2):
        body = (Load(0, 0, (245, 49, 1)), Accumulate(1, 0, (0, 1, 0), 0, 5))
        sums = np.full((PARTS, 5), np.nan, np.float32)
        check(Kernel((6, 5, 49), row, (f, f), body), [x.reshape(-1), sums.reshape(-1)], parts=3)
        np.testing.assert_array_equal(sums[:3].sum(0), x.sum((0, 2)))


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_sum_of_everything(parts: int) -> None:
    body = (Load(0, 0, (1,)), Accumulate(1, 0, (0,), 0, 1))
    for size in (1, 9, 77, 1000):
        x = np.arange(size, dtype=np.float32)
        sums = np.zeros(PARTS, np.float32)
        check(Kernel((size,), 1, (gu.float32,) * 2, body), [x, sums], parts=min(parts, size))
        assert sums.sum() == x.sum()


def test_index_of_a_loop() -> None:
    whole = gu.int64
    body = (
        Index(0),
        Index(1),
        Constant(100, whole),
        Apply("mul", (0, 2), whole),
        Apply("add", (3, 1), whole),
        Store(0, 0, (13, 1), 4),
    )
    (out,) = check(Kernel((7, 13), 1, (whole,), body), [np.zeros(91, np.int64)], parts=3)
    np.testing.assert_array_equal(
        out.reshape(7, 13), np.add.outer(np.arange(7) * 100, np.arange(13))
    )


@pytest.mark.parametrize("first", range(0, 100, 20))
def test_random_kernels(first: int) -> None:
    for seed in range(first, first + 20):
        generator = np.random.default_rng(seed)
        kernel = Composer(generator).kernel()
        arguments = arguments_of(kernel, generator)
        parts = max(1, min(int(generator.integers(1, PARTS + 1)), kernel.extent))
        try:
            check(kernel, arguments, [None, *WIDTHS][seed % 4], parts)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {kernel}\n{error}") from error


@pytest.mark.slow
def test_many_random_kernels() -> None:
    for first in range(1000, 3000, 20):
        test_random_kernels(first)


def test_the_same_kernel_gives_the_same_text_and_the_same_bits() -> None:
    kernel = softmax(3, 1000)
    assert emit(kernel, "k", 256) == emit(softmax(3, 1000), "k", 256)
    x = np.random.default_rng(13).normal(size=3000).astype(np.float32)
    first, second = np.empty_like(x), np.empty_like(x)
    compiled = Compiled(kernel)
    compiled([x, first])
    compiled([x, second], 0, 2)  # shares do not change the sums of a row
    compiled([x, second], 2, 3, 1)
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("bits", WIDTHS)
def test_vectors_are_as_wide_as_asked_for(bits: int) -> None:
    text = emit(adam(1000), "k", bits)
    assert f"load <{bits // 32} x float>" in text
    assert not re.search(r"load float,", text), "neighbours are read together"


def test_an_unknown_primitive_is_refused() -> None:
    body = (Load(0, 0, (1,)), Apply("frobnicate", (0,), gu.float32), Store(1, 0, (1,), 1))
    kernel = Kernel((4,), 1, (gu.float32,) * 2, body)
    with pytest.raises(KeyError, match="frobnicate"):
        emit(kernel, "k", 256)
