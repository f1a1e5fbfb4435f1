"""Sine and cosine of vectors, right for every finite argument.

The argument is written as x = n π + r for the sine, x = (n + ½) π + r for the cosine, so that both
are sin(r) or -sin(r) with |r| <= π/2: one polynomial. Up to a bound, the multiple of π is taken off
in parts by fused multiply-adds, which are exact where it matters (W. J. Cody and W. Waite,
"Software Manual for the Elementary Functions", 1980). Beyond it, where models hardly go, a branch
leads to integers: x / π is multiplied out with those digits of 1/π that matter for the exponent
(M. H. Payne and R. N. Hanek, "Radian reduction for trigonometric functions", 1983). So these
functions add blocks, and the builder ends in another one than it began in.
"""

from __future__ import annotations

import functools
import math
from fractions import Fraction

from llvmlite import ir

from .vector_tables import SIN
from .vector_values import ROUNDER, Vector, declare, nearest

_NEAR = {32: 2.0**17, 64: 2.0**30}
_I64 = ir.IntType(64)
_WIDE = ir.IntType(192)
_DIGITS = 1168  # of 1/π; enough for the largest double
_WORDS = 19  # of 64 bits, the first zeros included


def sin(x: Vector) -> Vector:
    """The sine.

    Args:
        x: radians, any number.

    Returns:
        the sine, from -1 to 1; NaN of infinity.

    Example:
        >>> from llvmlite import ir
        >>> from groundup.engine.compiler.emit.vector_trig import sin
        >>> from groundup.engine.compiler.emit.vector_values import Vector
        >>> kind = ir.FloatType()
        >>> function = ir.Function(ir.Module(), ir.FunctionType(kind, [kind]), "sin")
        >>> builder = ir.IRBuilder(function.append_basic_block("near"))
        >>> result = sin(Vector(builder, function.args[0]))
        >>> [block.name for block in function.blocks]
        ['near', 'far', 'reduced']
    """
    size = x.magnitude()
    shifted = size.times_plus(1 / math.pi, ROUNDER[x.bits])
    parity, r = _sine(size, shifted, shifted - ROUNDER[x.bits], half=False)
    sign = x.pattern() & (1 << (x.bits - 1))
    return (r.pattern() ^ (parity << (x.bits - 1)) ^ sign).as_floats()


def cos(x: Vector) -> Vector:
    """The cosine.

    Args:
        x: radians, any number.

    Returns:
        the cosine, from -1 to 1; NaN of infinity.

    Example:
        >>> from llvmlite import ir
        >>> from groundup.engine.compiler.emit.vector_trig import cos
        >>> from groundup.engine.compiler.emit.vector_values import Vector
        >>> kind = ir.FloatType()
        >>> function = ir.Function(ir.Module(), ir.FunctionType(kind, [kind]), "cos")
        >>> builder = ir.IRBuilder(function.append_basic_block("near"))
        >>> result = cos(Vector(builder, function.args[0]))
        >>> [block.name for block in function.blocks]
        ['near', 'far', 'reduced']
    """
    size = x.magnitude()
    shifted = size.times_plus(1 / math.pi, -0.5) + ROUNDER[x.bits]
    parity, r = _sine(size, shifted, (shifted - ROUNDER[x.bits]) + 0.5, half=True)
    return (r.pattern() ^ ((parity ^ 1) << (x.bits - 1))).as_floats()


def _sine(x: Vector, shifted: Vector, turns: Vector, *, half: bool) -> tuple[Vector, Vector]:
    """Integers that are odd where n is, and sin(r).

    Args:
        x: the argument, not negative.
        shifted: floats that end in the bits of n.
        turns: n, with ½ added if ``half``: x = turns π + r.
        half: for the cosine.
    """
    near = (shifted.pattern(), *_minus_multiple(x, turns))
    parity, r, low = _where_far(x, near, half=half)
    square = r * r
    cube = square.polynomial(SIN[x.bits])
    if x.bits == 32:
        return parity, _bounded((r * square).times_plus(cube, r))
    # sin(r + low) = sin(r) + low cos(r), nearly
    tail = low.times_plus(square.times_plus(-0.5, 1.0), (r * square) * cube)
    return parity, _bounded(r + tail)


def _bounded(x: Vector) -> Vector:
    """A sine that rounding took past 1 or -1 is 1 or -1."""
    return x.at_least(-1.0).at_most(1.0)


def _minus_multiple(x: Vector, n: Vector) -> tuple[Vector, Vector]:
    """The rest x - n π and, in 64 bits, what its rounding lost."""
    first, second, third = _parts_of_pi(x.bits)
    rest = n.fused(-first, x)  # exact
    if x.bits == 32:
        return n.fused(-third, n.fused(-second, rest)), x.constant(0.0)
    product = n * second
    lost = n.fused(second, -product)
    r = rest - product
    part = r - rest
    off = (rest - (r - part)) - (product + part)
    return r, n.times_plus(-third, off - lost)


def _where_far(
    x: Vector, near: tuple[Vector, Vector, Vector], *, half: bool
) -> tuple[Vector, Vector, Vector]:
    """(parity, r, low) of any x, given what holds for x up to the bound."""
    builder = x.builder
    far = x > _NEAR[x.bits]
    start = builder.block
    reducing = builder.append_basic_block("far")
    joined = builder.append_basic_block("reduced")
    builder.cbranch(_rarely_any(far), reducing, joined)

    builder.position_at_end(reducing)
    found = _each(x.where(far, _NEAR[x.bits]), half)
    chosen = [new.where(far, old) for new, old in zip(found, near, strict=True)]
    chosen[1] = chosen[1] + (x - x)  # which makes infinity NaN
    end = builder.block
    builder.branch(joined)

    builder.position_at_end(joined)
    results = []
    for old, new in zip(near, chosen, strict=True):
        phi = builder.phi(old.value.type)
        phi.add_incoming(old.value, start)
        phi.add_incoming(new.value, end)
        results.append(Vector(builder, phi))
    return results[0], results[1], results[2]


def _rarely_any(condition: Vector) -> ir.Value:
    """Whether the condition holds in any lane, which is not to be expected."""
    builder, bit = condition.builder, ir.IntType(1)
    any_lane = condition.value
    if condition.count:
        mask = builder.bitcast(any_lane, ir.IntType(condition.count))
        any_lane = builder.icmp_unsigned("!=", mask, mask.type(0))
    expect = declare(builder.module, "llvm.expect.i1", ir.FunctionType(bit, [bit, bit]))
    return builder.call(expect, [any_lane, bit(0)])


def _each(x: Vector, half: bool) -> tuple[Vector, Vector, Vector]:
    """(parity, r, low) of large numbers, one lane after the other."""
    builder = x.builder
    if x.count:
        start, loop = builder.block, builder.append_basic_block("lane")
        after = builder.append_basic_block("lanes")
        builder.branch(loop)
        builder.position_at_end(loop)
        lane = builder.phi(_I64)
        lane.add_incoming(_I64(0), start)
        before = [builder.phi(kind) for kind in (x.pattern_type, x.value.type, x.value.type)]
        values = _far(builder, builder.extract_element(x.value, lane), half)
        found = [
            builder.insert_element(phi, value, lane)
            for phi, value in zip(before, values, strict=True)
        ]
        for phi, vector in zip(before, found, strict=True):
            phi.add_incoming(ir.Constant(phi.type, ir.Undefined), start)
            phi.add_incoming(vector, loop)
        following = builder.add(lane, _I64(1))
        lane.add_incoming(following, loop)
        builder.cbranch(builder.icmp_unsigned("<", following, _I64(x.count)), loop, after)
        builder.position_at_end(after)
    else:
        found = list(_far(builder, x.value, half))
    return Vector(builder, found[0]), Vector(builder, found[1]), Vector(builder, found[2])


def _far(builder: ir.IRBuilder, x: ir.Value, half: bool) -> tuple[ir.Value, ir.Value, ir.Value]:
    """(parity, r, low) of one number, float or double, from the bound up.

    With x = m 2^e, m an integer, x / π modulo 2 is m times those digits of 1/π that lie less than
    192 places behind the first that counts, modulo 2^192. They are read from the byte on where that
    place falls, up to 7 places early, and shifted back.
    """
    double = ir.DoubleType()
    single = x.type != double
    pattern = builder.bitcast(builder.fpext(x, double) if single else x, _I64)
    exponent = builder.lshr(pattern, _I64(52))
    mantissa = builder.or_(builder.and_(pattern, _I64((1 << 52) - 1)), _I64(1 << 52))
    # e = exponent - 1075. The lowest place read has the weight 2^(8 byte - digits + e) ...
    room = builder.sub(_I64(_DIGITS + 1075 - 191 + 7), exponent)
    byte = builder.lshr(room, _I64(3))
    early = builder.sub(_I64(7), builder.and_(room, _I64(7)))
    # ... so that the highest of 192 has 2^early, and 2^0 once the others are shifted out.
    where = builder.gep(_table(builder.module), [byte], source_etype=ir.IntType(8))
    digits = builder.load(where, align=1, typ=_WIDE)
    product = builder.mul(digits, builder.zext(mantissa, _WIDE))
    turns = builder.shl(product, builder.zext(early, _WIDE))
    if half:
        turns = builder.sub(turns, _WIDE(1 << 190))
    parity = builder.lshr(builder.add(turns, _WIDE(1 << 190)), _WIDE(191))
    fraction = builder.shl(turns, _WIDE(1))  # from -½ to ½, in units of 2^-192

    def piece(begin: int, mask: int) -> Vector:
        number = builder.trunc(builder.ashr(fraction, _WIDE(begin)), _I64)
        number = builder.and_(number, _I64(mask))
        return Vector(builder, builder.sitofp(number, double)) * 2.0 ** (begin - 192)

    digits_of_double = (1 << 53) - 1
    first, second, third = piece(139, -1), piece(86, digits_of_double), piece(33, digits_of_double)
    total = first + second
    total_low = (second - (total - first)) + third
    high = total + total_low
    low = total_low - (high - total)
    pi, pi_low, _ = _parts_of_pi(64)
    r = high * pi
    r_low = high.fused(pi, -r) + (high * pi_low + low * pi)
    if single:
        kind = ir.FloatType()
        return builder.trunc(parity, ir.IntType(32)), builder.fptrunc(r.value, kind), kind(0)
    return builder.trunc(parity, _I64), r.value, r_low.value


@functools.cache
def _scaled_pi(places: int) -> int:
    """π times 2^places, cut off: 16 atan(1/5) - 4 atan(1/239) (J. Machin, 1706)."""
    guard = 32

    def atan_of_inverse(n: int) -> int:
        term, total, k = (1 << (places + guard)) // n, 0, 1
        while term:
            total += term // k if k % 4 == 1 else -(term // k)
            term //= n * n
            k += 2
        return total

    return (16 * atan_of_inverse(5) - 4 * atan_of_inverse(239)) >> guard


@functools.cache
def _parts_of_pi(bits: int) -> tuple[float, float, float]:
    """Three numbers, each what is left of π rounded, that add up to it."""
    rest = Fraction(_scaled_pi(400), 1 << 400)
    parts = []
    for _ in range(3):
        parts.append(nearest(float(rest), bits))
        rest -= Fraction(parts[-1])
    return parts[0], parts[1], parts[2]


def _table(module: ir.Module) -> ir.Value:
    """The digits of 1/π after the point, the last ones first, as words in memory."""
    name = "digits_of_inverse_pi"
    if name not in module.globals:
        places = _DIGITS + 64
        digits = (1 << (places + _DIGITS)) // _scaled_pi(places)
        words = [(digits >> (64 * i)) % (1 << 64) for i in range(_WORDS)]
        kind = ir.ArrayType(_I64, _WORDS)
        table = ir.GlobalVariable(module, kind, name)
        table.linkage, table.global_constant = "internal", True
        table.initializer = ir.Constant(kind, [_I64(word) for word in words])
    return module.globals[name]
