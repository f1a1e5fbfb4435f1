"""Functions of vectors: instructions for exp, log, tanh, erf, pow and their kin.

Each takes a builder and a value (float, double, or a vector of either, of any width) and adds
instructions that compute the function in every lane. The argument is reduced to a short interval, a
polynomial or a ratio of two is evaluated there (see ``vector_tables``), and the result is put
together with powers of 2 made from integers. There are no branches, but for very large arguments
of ``sin`` and ``cos`` (see ``vector_trig``). No function of a library is called, but where the
processor has no fused multiply-add, which ``sin``, ``cos`` and ``pow`` then take from there.

Infinities, NaN, zeros of both signs, subnormal numbers and the borders of overflow come out as
NumPy gives them; no tanh, erf, sine or cosine is beyond 1. Largest errors in units of the last
place, as the tests hold them, for float and double:

    exp, log, pow 1    expm1, log1p, erf, softplus, tanh, sin, cos 2    sigmoid 2.5
    sqrt ½ (rounded correctly)    rsqrt 1.5

Reduction to a short interval: W. J. Cody and W. Waite, "Software Manual for the Elementary
Functions" (1980). Sums and products in twice the digits: T. J. Dekker, "A floating-point technique
for extending the available precision" (1971).

Example:
    >>> from llvmlite import ir
    >>> from groundup.engine.compiler.emit.vector_math import FUNCTIONS
    >>> kind = ir.VectorType(ir.FloatType(), 8)
    >>> function = ir.Function(ir.Module(), ir.FunctionType(kind, [kind]), "tanh_of_8")
    >>> builder = ir.IRBuilder(function.append_basic_block())
    >>> result = builder.ret(FUNCTIONS["tanh"](builder, *function.args))
    >>> str(function).count("fdiv <8 x float>")
    1
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

from llvmlite import ir

from .vector_tables import ERF, ERFC, EXP, LOG, POW, TANH
from .vector_trig import cos, sin
from .vector_values import BIAS, FRACTION, ROUNDER, Vector, nearest, pattern

# log(2) in two parts. The first has so few digits that its product with an exponent is exact.
_LN2 = {
    32: (float.fromhex("0x1.62e4p-1"), float.fromhex("0x1.7f7d1cf79abcap-20")),
    64: (float.fromhex("0x1.62e42fefa38p-1"), float.fromhex("0x1.ef35793c7673p-45")),
}
# Below this exp is 0, above it has overflowed.
_UNDERFLOW = {32: -104.0, 64: -746.0}
_OVERFLOW = {32: 89.0, 64: 710.0}
# Where tanh and erf round to 1.
_FLAT = {32: 9.1, 64: 19.07}
_ERF_FLAT = {32: 3.92, 64: 5.93}
# So large that with it as exponent every number but 1 gives 0 or overflows.
_HUGE = {32: 2.0**32, 64: 2.0**64}


# The exponential


def _reduced(x: Vector, offset: int) -> tuple[Vector, Vector]:
    """Integers that end in n + offset, and r: x = n log(2) + r, n an integer."""
    rounder = ROUNDER[x.bits] + offset
    high, low = _LN2[x.bits]
    shifted = x.times_plus(1 / math.log(2), rounder)
    n = shifted - rounder
    return shifted.pattern(), n.times_plus(-low, n.times_plus(-high, x))


def _near_0(r: Vector) -> Vector:
    return r.polynomial((1.0, 1.0, *EXP[r.bits]))


def _power_of_2(biased: Vector) -> Vector:
    """2ⁿ, of integers that end in n + bias."""
    return (biased << FRACTION[biased.bits]).as_floats()


def _times_power_of_2(x: Vector, twice_biased: Vector) -> Vector:
    """Times 2ⁿ, of the integers n + 2 bias, in two steps, so that a subnormal may come out."""
    half = twice_biased >> 1
    return x * _power_of_2(half) * _power_of_2(twice_biased - half)


def _exp(x: Vector) -> Vector:
    # Where 0 comes out, as of masked scores, 1 is computed: an underflow takes as long as the rest.
    gone = x < _UNDERFLOW[x.bits]
    n, r = _reduced(x.constant(0.0).where(gone, x).at_most(_OVERFLOW[x.bits]), 2 * BIAS[x.bits])
    return x.constant(0.0).where(gone, _times_power_of_2(_near_0(r), n))


def _exp_of_negative(x: Vector) -> Vector:
    """exp(x) for x <= 0, which does not overflow."""
    n, r = _reduced(x.at_least(_UNDERFLOW[x.bits]), BIAS[x.bits] + 64)
    return _near_0(r) * _power_of_2(n) * 2.0**-64


def _expm1(x: Vector) -> Vector:
    digits = FRACTION[x.bits] + 3
    bounded = x.at_least(-digits * math.log(2)).at_most(_OVERFLOW[x.bits])
    n, r = _reduced(bounded, BIAS[x.bits] - 1)
    bend = r * r * r.polynomial(EXP[x.bits])
    half = _power_of_2(n)  # of 2ⁿ, which may overflow
    result = half.times_plus(bend, half.times_plus(r, half - 0.5)) * 2.0
    return x.where(x.magnitude() < 2.0**-digits, result)


def _sigmoid(x: Vector) -> Vector:
    t = _exp_of_negative(-x.magnitude())
    return t.where(x < 0.0, 1.0) / (t + 1.0)


# The logarithm


def _exponent(x: Vector) -> tuple[Vector, Vector]:
    """Integers k and f: x = 2^(k - bias) (1 + f), with 1 + f from √½ to √2; x is normal."""
    fraction = FRACTION[x.bits]
    root = pattern(math.sqrt(0.5), x.bits)
    moved = x.pattern() + ((BIAS[x.bits] << fraction) - root)
    mantissa = (moved & ((1 << fraction) - 1)) + root
    return moved >> fraction, mantissa.as_floats() - 1.0


def _exponent_of_any(x: Vector) -> tuple[Vector, Vector]:
    """e, as a float, and f: x = 2^e (1 + f), with 1 + f from √½ to √2; x may be subnormal."""
    shift = FRACTION[x.bits]
    tiny = x < 2.0 ** (1 - BIAS[x.bits])
    k, f = _exponent((x * 2.0**shift).where(tiny, x))
    bias = x.constant(BIAS[x.bits] + shift).where(tiny, BIAS[x.bits])
    return _number(k) - bias, f


def _number(k: Vector) -> Vector:
    """Integers that are not large or negative as floats."""
    shift = 2.0 ** FRACTION[k.bits]
    return (k | pattern(shift, k.bits)).as_floats() - shift


def _tail(f: Vector) -> Vector:
    """log(1 + f) - f for 1 + f from √½ to √2."""
    if f.bits == 32:
        return (f * f) * f.polynomial((-0.5, *LOG[32]))
    s = f / (f + 2.0)
    z = s * s
    half = f * f * 0.5
    return s.times_plus(z.times_plus(z.polynomial(LOG[64]), half), -half)


def _log_of_product(e: Vector, f: Vector) -> Vector:
    """log(2^e (1 + f)), with 1 + f from √½ to √2."""
    high, low = _LN2[e.bits]
    return e.times_plus(high, f + e.times_plus(low, _tail(f)))


def _with_borders(x: Vector, log: Vector) -> Vector:
    """log(x) of any x, given that of positive finite ones."""
    log = log.where(x < math.inf, x)
    log = log.constant(math.nan).where(x < 0.0, log)
    return log.constant(-math.inf).where(x.equals(0.0), log)


def _log(x: Vector) -> Vector:
    return _with_borders(x, _log_of_product(*_exponent_of_any(x)))


def _log_of_1_plus(x: Vector) -> Vector:
    """log(1 + x) for 1 + x > 0: what 1 + x loses in rounding is added to f."""
    fraction = FRACTION[x.bits]
    y = x + 1.0
    part = y - x
    lost = (x - (y - part)) + (1.0 - part)
    k, f = _exponent(y)
    inverse = _power_of_2(k.constant(2 * BIAS[x.bits]) - k)
    inverse = inverse.where(x < 2.0 ** (fraction + 2), 0.0)  # nothing was lost
    return _log_of_product(_number(k) - BIAS[x.bits], lost.times_plus(inverse, f))


def _log1p(x: Vector) -> Vector:
    result = _with_borders(x + 1.0, _log_of_1_plus(x))
    return x.where(x.magnitude() < 2.0 ** -(FRACTION[x.bits] + 3), result)


def _softplus(x: Vector) -> Vector:
    return x.at_least(0.0) + _log_of_1_plus(_exp_of_negative(-x.magnitude()))


# Functions from -1 to 1


def _tanh(x: Vector) -> Vector:
    """1 - 2 / (exp(2 x) + 1), or a polynomial where that would cancel."""
    size, square = x.magnitude(), x * x
    near_0 = (x * square).times_plus(square.polynomial(TANH[x.bits]), x)
    # Here n and r are those of 2 x: half of r is left of x, and no lower part of log(2) is missed.
    rounder = ROUNDER[x.bits] + BIAS[x.bits]
    bounded = size.at_most(_FLAT[x.bits])
    n = bounded.times_plus(2 / math.log(2), rounder)
    half = (n - rounder).times_plus(-math.log(2) / 2, bounded)
    exp = half.polynomial([c * 2.0**k for k, c in enumerate((1.0, 1.0, *EXP[x.bits]))])
    far = 1.0 - 2.0 / _power_of_2(n.pattern()).times_plus(exp, 1.0)
    return near_0.where(size < 0.5, far).signed_as(x)


def _erf(x: Vector) -> Vector:
    """1 - erfc(|x|), by its logarithm or with exp(-x²) as a factor; from 0 to 1 a polynomial."""
    size = x.magnitude().at_most(_ERF_FLAT[x.bits])
    p, q = ERFC[x.bits]
    if x.bits == 32:
        erfc = _exp_of_negative(size.polynomial(p))
    else:
        erfc = _exp_of_negative(-(size * size)) * size.polynomial(p) / size.polynomial(q)
    near_0 = x.times_plus((x * x).polynomial(ERF[x.bits]), x)
    return near_0.where(size < 1.0, 1.0 - erfc).signed_as(x)


# Powers


def _sum(a: Vector, b: Vector) -> tuple[Vector, Vector]:
    """The sum and what its rounding lost, for |a| >= |b| or a = 0."""
    total = a + b
    return total, b - (total - a)


def _product(a: Vector, b: Vector) -> tuple[Vector, Vector]:
    """The product and what its rounding lost."""
    product = a * b
    return product, a.fused(b, -product)


def _log_in_two(x: Vector) -> tuple[Vector, Vector]:
    """log(x) as the sum of a number and a small one, for positive finite x.

    With s = f / (2 + f), log(1 + f) = 2 s + s z (2/3 + z POW(z)), z = s².
    """
    e, f = _exponent_of_any(x)
    below, below_low = _sum(x.constant(2.0), f)
    inverse = 1.0 / below
    s = f * inverse
    s_low = (s.fused(-below, f) - s * below_low) * inverse
    z, z_low = _product(s, s)
    z_low = (s * 2.0).times_plus(s_low, z_low)
    cube, cube_low = _product(s, z)
    cube_low = cube_low + s.times_plus(z_low, s_low * z)
    third = nearest(2 / 3, x.bits)
    third_low = float(Fraction(2, 3) - Fraction(third))
    factor, factor_low = _sum(x.constant(third), z * z.polynomial(POW[x.bits]))
    factor_low = factor_low + third_low
    rest, rest_low = _product(cube, factor)
    rest_low = rest_low + cube.times_plus(factor_low, cube_low * factor)
    high, low = _LN2[x.bits]
    total, lost = _sum(e * high, s * 2.0)
    total, lost_too = _sum(total, rest)
    small = e.times_plus(low, (s_low * 2.0) + rest_low)
    return total, lost + lost_too + small


def _exp_of_two(x: Vector, x_low: Vector) -> Vector:
    """exp(x + x_low), rounded nearly as well as can be, so that 3² is 9."""
    rounder = ROUNDER[x.bits] + 2 * BIAS[x.bits]
    high, low = _LN2[x.bits]
    shifted = x.times_plus(1 / math.log(2), rounder)
    n = shifted - rounder
    r, r_low = _sum(n.times_plus(-high, x), n.times_plus(-low, x_low))
    above, above_low = _sum(r, r * r * r.polynomial(EXP[x.bits]))
    exp, exp_low = _sum(x.constant(1.0), above)
    exp = exp + (exp_low + r_low.times_plus(exp, above_low))
    return _times_power_of_2(exp, shifted.pattern())


def _power(a: Vector, b: Vector) -> Vector:
    bits, fraction = a.bits, FRACTION[a.bits]
    size = a.magnitude()
    log, log_low = _log_in_two(size)
    bounded = b.at_least(-_HUGE[bits]).at_most(_HUGE[bits])
    y, y_low = _product(log, bounded)
    y_low = log_low.times_plus(bounded, y_low)
    within = y.at_least(_UNDERFLOW[bits]).at_most(_OVERFLOW[bits])
    power = _exp_of_two(within, y_low.where(within.equals(y), 0.0))

    # Of 0 and infinity.
    zero = size.equals(0.0)
    end = zero | size.equals(math.inf)
    power = power.constant(0.0).where(zero ^ (b < 0.0), math.inf).where(end, power)

    # Of negative numbers: adding 2^fraction moves a fraction out and the last digit of an integer
    # to the last bit. From there on all numbers are integers, and soon all are even.
    exponent = b.magnitude()
    small = exponent < 2.0**fraction
    moved = (exponent + 2.0**fraction).where(small, exponent)
    integer = (moved - 2.0**fraction).where(small, exponent).equals(exponent)
    odd = (moved.pattern() & 1).where(integer & (exponent < 2.0 ** (fraction + 1)), 0)
    power = power.where(integer | end | (size.equals(a)), math.nan)
    power = (power.pattern() | (a.pattern() & (odd << (bits - 1)))).as_floats()

    power = power.where(a.ordered(b), a + b)
    return power.constant(1.0).where(b.equals(0.0) | a.equals(1.0), power)


def power(builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
    """Add instructions for a to the power of b, with the borders of C and NumPy.

    1 for b = 0 and for a = 1; NaN for negative a unless b is an integer. Powers of integers that
    the format holds are exact.

    Args:
        builder: where instructions are added.
        a: base.
        b: exponent, of the same type.

    Returns:
        the power, of the same type.

    Example:
        >>> from llvmlite import ir
        >>> from groundup.engine.compiler.emit.vector_math import power
        >>> kind = ir.DoubleType()
        >>> function = ir.Function(ir.Module(), ir.FunctionType(kind, [kind, kind]), "power")
        >>> builder = ir.IRBuilder(function.append_basic_block())
        >>> str(power(builder, *function.args).type)
        'double'
    """
    return _power(Vector(builder, a), Vector(builder, b)).value


def _function(formula: Callable[[Vector], Vector]) -> Callable[[ir.IRBuilder, ir.Value], ir.Value]:
    """The formula as a function from a builder and a value to a value."""
    return lambda builder, x: formula(Vector(builder, x)).value


FUNCTIONS: dict[str, Callable[..., ir.Value]] = {
    "exp": _function(_exp),
    "expm1": _function(_expm1),
    "log": _function(_log),
    "log1p": _function(_log1p),
    "tanh": _function(_tanh),
    "sigmoid": _function(_sigmoid),
    "softplus": _function(_softplus),
    "erf": _function(_erf),
    "sin": _function(sin),
    "cos": _function(cos),
    "sqrt": _function(Vector.root),
    "rsqrt": _function(lambda x: 1.0 / x.root()),
    "pow": power,
}
"""The functions by the names of the primitives: each takes a builder and one value, ``pow`` two,
and returns the value of the function in every lane."""
