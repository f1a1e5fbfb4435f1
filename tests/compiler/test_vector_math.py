"""The functions of vectors, against NumPy and SciPy in double and mpmath in more digits.

An error is counted in units of the last place of the true result. ``-m slow`` tries a float32 in 37
instead of one in 3989, which takes some minutes.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable

import numpy as np
import pytest
from llvmlite import ir
from numpy.typing import NDArray
from scipy import special

from groundup.engine.compiler.emit import vector_tables
from groundup.engine.compiler.emit.vector_math import FUNCTIONS
from groundup.engine.compiler.emit.vector_values import FLOATS, FRACTION
from groundup.engine.compiler.native import native

Array = NDArray[np.floating]
DTYPES = {32: np.dtype(np.float32), 64: np.dtype(np.float64)}

# The true function in double, and the largest error that is allowed.
TRUTH: dict[str, tuple[Callable[[Array], Array], float]] = {
    "exp": (np.exp, 1),
    "expm1": (np.expm1, 2),
    "log": (np.log, 1),
    "log1p": (np.log1p, 2),
    "tanh": (np.tanh, 2),
    # SciPy's expit gives 0 where the result is subnormal.
    "sigmoid": (lambda x: np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x))), 2.5),
    "softplus": (lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))), 2),
    "erf": (special.erf, 2),
    "sin": (np.sin, 2),
    "cos": (np.cos, 2),
    "sqrt": (np.sqrt, 0.501),
    "rsqrt": (lambda x: 1 / np.sqrt(x), 1.5),
}
ODD = ("tanh", "erf", "sin")
BOUNDED = {"tanh": -1, "erf": -1, "sin": -1, "cos": -1, "sigmoid": 0}

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def module(name: str, bits: int, lanes: int) -> ir.Module:
    """A module with ``apply(result, a, [b,] count)``, a loop over vectors of so many lanes."""
    element, count = FLOATS[bits], ir.IntType(64)
    kind = ir.VectorType(element, lanes) if lanes else element
    operands = 2 if name == "pow" else 1
    result = ir.Module()
    signature = ir.FunctionType(ir.VoidType(), [ir.PointerType()] * (operands + 1) + [count])
    function = ir.Function(result, signature, "apply")
    begin = function.append_basic_block("begin")
    loop, end = function.append_basic_block("loop"), function.append_basic_block("end")
    builder = ir.IRBuilder(begin)
    builder.branch(loop)
    builder.position_at_end(loop)
    index = builder.phi(count)
    index.add_incoming(count(0), begin)
    places = [builder.gep(p, [index], source_etype=element) for p in function.args[:-1]]
    values = [builder.load(place, align=bits // 8, typ=kind) for place in places[1:]]
    builder.store(FUNCTIONS[name](builder, *values), places[0], align=bits // 8)
    following = builder.add(index, count(lanes or 1))
    index.add_incoming(following, builder.block)
    builder.cbranch(builder.icmp_signed("<", following, function.args[-1]), loop, end)
    builder.position_at_end(end)
    builder.ret_void()
    return result


@functools.cache
def compiled(name: str, bits: int, lanes: int = 8) -> Callable[..., Array]:
    """The function on arrays."""
    address = native.compile(str(module(name, bits, lanes)), "apply")
    operands = 2 if name == "pow" else 1
    pointers = [ctypes.c_void_p] * (operands + 1)
    call = ctypes.CFUNCTYPE(None, *pointers, ctypes.c_int64)(address)

    def apply(*values: Array) -> Array:
        size = values[0].size
        padded = -(-size // (lanes or 1)) * (lanes or 1)
        inputs = [np.resize(np.asarray(v, DTYPES[bits]), padded) for v in values]
        out = np.empty(padded, DTYPES[bits])
        call(out.ctypes.data, *(x.ctypes.data for x in inputs), padded)
        return out[:size]

    return apply


def from_patterns(patterns: NDArray[np.integer], bits: int) -> Array:
    return patterns.astype(np.uint32 if bits == 32 else np.uint64).view(DTYPES[bits])


def neighbours(values: Array, bits: int, reach: int) -> Array:
    """The values rounded to the format, with the numbers next to them, and their negatives."""
    patterns = np.abs(values).astype(DTYPES[bits]).view(f"i{bits // 8}").astype(np.int64)
    near = (patterns[:, None] + np.arange(-reach, reach + 1)).ravel()
    near = from_patterns(np.maximum(near, 0), bits)
    return np.concatenate([near, -near])


def borders(bits: int, reach: int = 40) -> Array:
    """Where formulas change or end: 0, subnormals, infinity, NaN, overflow, multiples of π/2."""
    info = np.finfo(DTYPES[bits])
    places = [0, info.smallest_subnormal, info.tiny, info.max, info.eps, info.eps**2, 2**17, 2**30]
    places += [0.25, 0.3465, 0.5, 0.7071, 1, 1.4142, 1.5, 2, 3.92, 5.93, 9.01, 19.07, 36, 1e4, 1e22]
    places += [16, 24, 37, 88, 87.3366, 88.7228, 103.28, 103.97, 708.3964, 709.7827, 745.1332, 746]
    exponents = 2.0 ** np.arange(info.minexp - info.nmant, info.maxexp)
    turns = np.concatenate([np.arange(1, 70000), 2 ** np.arange(17, 40)]) * (np.pi / 2)
    ends = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0])
    nans = np.array([1, 2, 0x80, 0x155, 0x3FFFFF], np.int64) + (ends[:1].astype(info.dtype)).view(
        f"i{bits // 8}"
    )
    return np.concatenate(
        [
            ends.astype(info.dtype),
            from_patterns(nans, bits),
            neighbours(np.array(places), bits, reach),
            neighbours(exponents, bits, 2),
            neighbours(turns, bits, 1),
        ]
    )


def errors(found: Array, true: Array) -> Array:
    """Of float32, in units of the last place; infinite where only one is NaN, 0 where both are.

    An infinity counts as the number that would follow the largest.
    """
    beyond = 2.0**128
    clipped = np.clip(true, -beyond, beyond)
    unit = np.ldexp(1.0, np.maximum(np.frexp(clipped)[1] - 24, -149))
    error = np.abs(np.clip(found.astype(np.float64), -beyond, beyond) - clipped) / unit
    both = np.isnan(found) & np.isnan(true)
    return np.where(both, 0, np.where(np.isnan(error), np.inf, error))


def check(name: str, x: Array) -> None:
    """A float32 function against the true one."""
    true, limit = TRUTH[name]
    found, expected = compiled(name, 32)(x), true(x.astype(np.float64))
    error = errors(found, expected)
    worst = int(error.argmax())
    assert error[worst] <= limit, (name, x[worst], found[worst], expected[worst])
    signed = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(found[signed]), np.signbit(expected[signed]))
    if name in BOUNDED:
        assert np.nanmax(found) <= 1
        assert np.nanmin(found) >= BOUNDED[name]


@pytest.mark.parametrize("name", TRUTH)
def test_float32_is_accurate(name: str) -> None:
    check(name, from_patterns(np.arange(0, 2**32, 3989), 32))
    check(name, borders(32))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", TRUTH)
def test_float32_is_accurate_everywhere(name: str) -> None:
    step = 2**27
    for begin in range(0, 2**32, step):
        check(name, from_patterns(np.arange(begin + begin // step, begin + step, 37), 32))


def samples(bits: int, count: int) -> Array:
    """Any patterns, and numbers of usual sizes."""
    rng = np.random.default_rng(3)
    usual = rng.standard_normal(count) * 10.0 ** rng.uniform(-3, 3, count)
    anything = rng.integers(0, 2**bits, count, dtype=np.uint64)
    return np.concatenate([from_patterns(anything, bits), usual.astype(DTYPES[bits])])


@pytest.mark.parametrize("name", TRUTH)
def test_float64_is_accurate(name: str) -> None:
    mp = pytest.importorskip("mpmath")
    true = {
        "rsqrt": lambda x: 1 / mp.sqrt(x),
        "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
        "softplus": lambda x: mp.log1p(mp.exp(x)),
    }.get(name) or getattr(mp, name)
    rng = np.random.default_rng(5)
    near = borders(64, 2)
    x = np.concatenate([samples(64, 700), rng.choice(near[np.isfinite(near)], 1500)])
    ranges = {"log": (0, np.inf), "log1p": (-1, np.inf), "sqrt": (0, np.inf), "rsqrt": (0, np.inf)}
    low, high = ranges.get(name, (-800, 800) if name not in ("sin", "cos") else (-np.inf, np.inf))
    x = x[(x > low) & (x < high)]
    found = compiled(name, 64)(x)
    limit = TRUTH[name][1]
    with mp.workdps(60 if name not in ("exp", "expm1", "softplus") else 400):
        for value, result in zip(x.tolist(), found.tolist(), strict=True):
            expected = true(mp.mpf(value))
            unit = mp.ldexp(1, max(mp.frexp(expected)[1] - 53, -1074))
            beyond = mp.ldexp(1, 1024)
            error = abs(min(mp.mpf(result), beyond) - min(expected, beyond)) / unit
            assert error <= limit, (name, value, result, mp.nstr(expected, 20))


@pytest.mark.parametrize("name", TRUTH)
def test_float64_ends_as_numpy(name: str) -> None:
    """NaN, infinities, zeros with their signs, and no gross error at any border."""
    x = borders(64)
    found, expected = compiled(name, 64)(x), TRUTH[name][0](x)
    np.testing.assert_allclose(found, expected, rtol=2e-15, atol=0)
    signed = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(found[signed]), np.signbit(expected[signed]))
    if name in BOUNDED:
        assert np.nanmax(found) <= 1
        assert np.nanmin(found) >= BOUNDED[name]


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("name", [*ODD, "cos"])
def test_symmetry(name: str, bits: int) -> None:
    x = samples(bits, 5000)
    apply = compiled(name, bits)
    np.testing.assert_array_equal(apply(-x), -apply(x) if name in ODD else apply(x))


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_width_does_not_matter(name: str, bits: int) -> None:
    x = samples(bits, 500)
    inputs = (x, samples(bits, 500)[::-1]) if name == "pow" else (x,)
    expected = compiled(name, bits)(*inputs)
    for lanes in (0, 3, 16):
        np.testing.assert_array_equal(compiled(name, bits, lanes)(*inputs), expected)


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_library_is_called(name: str, bits: int) -> None:
    called = {g.name for g in module(name, bits, 8).functions if g.is_declaration}
    called -= {f"llvm.{intrinsic}.v8f{bits}" for intrinsic in ("fabs", "sqrt", "copysign")}
    called -= {f"llvm.{intrinsic}.v8f{bits}" for intrinsic in ("fmuladd", "fma")}
    assert called <= {"llvm.fma.f64", "llvm.expect.i1"}


def powers(bits: int, count: int) -> tuple[Array, Array]:
    """Bases and exponents whose powers are mostly finite, and any."""
    rng = np.random.default_rng(11)
    size = 1 if bits == 32 else 8
    spread = rng.uniform(-80, 80, count)
    bases = [np.exp(spread), 1 + rng.standard_normal(count) * 10.0 ** rng.integers(-7, -1, count)]
    exponents = [rng.uniform(-100, 100, count) / np.abs(spread) * size]
    exponents += [rng.uniform(-1, 1, count) * 10.0 ** rng.integers(0, 8, count)]
    bases += [rng.uniform(-3, 3, count), samples(bits, count)[:count]]
    exponents += [np.round(rng.uniform(-20, 20, count)), samples(bits, count)[count - 1 :: -1]]
    a, b = np.concatenate(bases), np.concatenate(exponents)
    return a.astype(DTYPES[bits]), b.astype(DTYPES[bits])


def test_pow_in_float32_is_accurate() -> None:
    a, b = powers(32, 200_000)
    found, expected = compiled("pow", 32)(a, b), np.power(a.astype(float), b.astype(float))
    error = errors(found, expected)
    worst = int(error.argmax())
    assert error[worst] <= 1, (a[worst], b[worst], found[worst], expected[worst])


def test_pow_in_float64_is_accurate() -> None:
    mp = pytest.importorskip("mpmath")
    a, b = powers(64, 1200)
    found = compiled("pow", 64)(a, b)
    positive = (a > 0) & np.isfinite(a) & np.isfinite(b) & (np.abs(b * np.log(a)) < 800)
    assert positive.sum() > 3000
    with mp.workdps(60):
        for x, y, result in zip(*(v[positive].tolist() for v in (a, b, found)), strict=True):
            expected = mp.power(x, y)
            unit = mp.ldexp(1, max(mp.frexp(expected)[1] - 53, -1074))
            beyond = mp.ldexp(1, 1024)
            assert abs(min(mp.mpf(result), beyond) - min(expected, beyond)) <= unit, (x, y, result)


@pytest.mark.parametrize("bits", [32, 64])
def test_pow_has_the_borders_of_numpy(bits: int) -> None:
    info, digits = np.finfo(DTYPES[bits]), FRACTION[bits]
    sizes = [0, 0.5, 1, 1.5, 2, 3, 4, 1e10, np.inf, np.nan, info.max, info.smallest_subnormal]
    sizes += [
        1 - info.epsneg,
        1 + info.eps,
        2.0**digits - 0.5,
        2.0**digits + 1,
        2.0 ** (digits + 1),
    ]
    sizes += [2.0 ** (digits + 1) - 1, 2.0 ** (digits + 2), 2.0**100]
    values = np.concatenate([sizes, np.negative(sizes)]).astype(DTYPES[bits])
    a, b = (grid.ravel() for grid in np.meshgrid(values, values))
    found, expected = compiled("pow", bits)(a, b), np.power(a, b)
    np.testing.assert_allclose(found, expected, rtol=3 * info.eps, atol=0)
    signed = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(found[signed]), np.signbit(expected[signed]))


@pytest.mark.parametrize("bits", [32, 64])
def test_powers_of_integers_are_exact(bits: int) -> None:
    pairs = [
        (base, exponent, base**exponent)
        for base in range(-300, 1000)
        for exponent in range(40)
        if abs(base**exponent) <= 2 ** (FRACTION[bits] + 1)
    ]
    base, exponent, expected = (np.array(v, float) for v in zip(*pairs, strict=True))
    np.testing.assert_array_equal(compiled("pow", bits)(base, exponent), expected)


def test_tables_are_what_their_script_derives() -> None:
    pytest.importorskip("mpmath")
    from tests.compiler.fits import FITS

    for fit in FITS:
        p, q = fit.coefficients()
        table = getattr(vector_tables, fit.name)[fit.bits]
        expected = (p, q) if isinstance(table[0], tuple) else p
        found = np.asarray(np.concatenate(table) if isinstance(table[0], tuple) else table)
        derived = np.asarray(np.concatenate(expected) if isinstance(table[0], tuple) else expected)
        np.testing.assert_array_equal(
            found.astype(DTYPES[fit.bits]), derived.astype(DTYPES[fit.bits]), err_msg=fit.name
        )
