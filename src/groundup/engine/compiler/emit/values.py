"""The elementwise primitives as LLVM's instructions, with NumPy's meaning for every dtype.

A value is a number or a vector; the inputs of a primitive have as many lanes as each other. Where
LLVM leaves a case open that NumPy decides (division of integers by 0, the NaN of a maximum), the
instructions decide it as NumPy does.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llvmlite import ir

from ...dtypes import DType, bool_, float32, int32
from .code import Code, Value, constant, suffix
from .vector_math import FUNCTIONS

Static = Mapping[str, Any]
Rule = Callable[[Code, Sequence[Value], Static], Value]


def apply(code: Code, name: str, inputs: Sequence[Value], dtype: DType, static: Static) -> Value:
    """Add the instructions of a primitive.

    Args:
        code: where to.
        name: of the primitive.
        inputs: its operands, all with the same number of lanes.
        dtype: of the result.
        static: its static arguments.

    Raises:
        KeyError: there is no rule for the primitive.
    """
    if name == "cast":
        return cast(code, inputs[0], dtype)
    if name in _INEXACT:  # NumPy computes these of integers in floating point
        inputs = [cast(code, x, dtype) for x in inputs]
    if name in FUNCTIONS and dtype.kind == "f" and name not in _RULES:
        return _function(code, name, inputs)
    return _RULES[name](code, inputs, static)


_INEXACT = {"div", *FUNCTIONS} - {"pow"}


def truth(code: Code, x: Value) -> Value:
    """Whether a number is not 0; NaN is not."""
    if x.dtype == bool_:
        return x
    return code.compare("fcmp une" if x.dtype.kind == "f" else "icmp ne", x, _number(x, 0))


def cast(code: Code, x: Value, dtype: DType) -> Value:
    """The number in another dtype, as ``astype`` converts it."""
    old, new = x.dtype, dtype
    if old == new:
        return x
    if new == bool_:
        return truth(code, x)
    if old.kind == "f" and new.kind == "f":
        return code.convert("fpext" if new.itemsize > old.itemsize else "fptrunc", x, new)
    if old.kind == "f":
        if new.itemsize < 4:  # by way of int32, so that what does not fit wraps
            return code.convert("trunc", code.convert("fptosi", x, int32), new)
        return code.convert("fptosi", x, new)
    signed = old.kind == "i"
    if new.kind == "f":
        return code.convert("sitofp" if signed else "uitofp", x, new)
    if new.itemsize == old.itemsize and old != bool_:
        return Value(x.name, new, x.lanes)
    if new.itemsize < old.itemsize:
        return code.convert("trunc", x, new)
    return code.convert("sext" if signed else "zext", x, new)


def _number(like: Value, number: bool | int | float) -> Value:
    return constant(number, like.dtype, like.lanes)


# Arithmetic


def _arithmetic(of_floats: str, of_integers: str, of_bools: str) -> Rule:
    def rule(code: Code, inputs: Sequence[Value], _: Static) -> Value:
        a, b = inputs
        if a.dtype.kind == "f":
            return code.binary(of_floats + " contract", a, b)
        return code.binary(of_bools if a.dtype == bool_ else of_integers, a, b)

    return rule


_add = _arithmetic("fadd", "add", "or")
_sub = _arithmetic("fsub", "sub", "xor")
_mul = _arithmetic("fmul", "mul", "and")


def _div(code: Code, inputs: Sequence[Value], _: Static) -> Value:
    return code.binary("fdiv", *inputs)


def _neg(code: Code, inputs: Sequence[Value], _: Static) -> Value:
    (x,) = inputs
    if x.dtype.kind == "f":
        return code.value(f"fneg {x}", x)
    return code.binary("sub", _number(x, 0), x)


def _lerp(code: Code, inputs: Sequence[Value], _: Static) -> Value:
    a, b, w = inputs
    return _add(code, [a, _mul(code, [_sub(code, [b, a], {}), w], {})], {})


def _addcdiv(code: Code, inputs: Sequence[Value], _: Static) -> Value:
    a, b, c, w = inputs
    return _add(code, [a, _mul(code, [w, code.binary("fdiv", b, c)], {})], {})


def _divide_floats(code: Code, a: Value, b: Value) -> tuple[Value, Value]:
    """(quotient, remainder) of floats."""
    zero = _number(a, 0)
    rest = code.binary("frem", a, b)
    exact = code.compare("fcmp oeq", rest, zero)
    opposite = code.binary(
        "xor", code.compare("fcmp olt", rest, zero), code.compare("fcmp olt", b, zero)
    )
    inexact = code.binary("xor", exact, constant(True, bool_, a.lanes))
    wraps = code.binary("and", opposite, inexact)
    remainder = code.select(wraps, code.binary("fadd", rest, b), rest)
    remainder = code.select(exact, code.intrinsic("llvm.copysign", zero, b), remainder)

    ratio = code.binary("fdiv", a, b)
    turns = code.binary("fdiv", code.binary("fsub", a, rest), b)
    turns = code.select(wraps, code.binary("fsub", turns, _number(a, 1)), turns)
    down = code.intrinsic("llvm.floor", turns)
    above = code.compare("fcmp ogt", code.binary("fsub", turns, down), _number(a, 0.5))
    down = code.select(above, code.binary("fadd", down, _number(a, 1)), down)
    none = code.compare("fcmp oeq", turns, zero)
    down = code.select(none, code.intrinsic("llvm.copysign", zero, ratio), down)
    return code.select(code.compare("fcmp oeq", b, zero), ratio, down), remainder


def _divide_integers(code: Code, a: Value, b: Value) -> tuple[Value, Value]:
    """(quotient, remainder) of integers; both are 0 for a divisor of 0."""
    zero, one = _number(a, 0), _number(a, 1)
    by_zero = code.compare("icmp eq", b, zero)
    if a.dtype.kind == "u":
        divisor = code.select(by_zero, one, b)
        quotient = code.select(by_zero, zero, code.binary("udiv", a, divisor))
        return quotient, code.select(by_zero, zero, code.binary("urem", a, divisor))
    # The processor traps for the smallest number by -1 as it does for a divisor of 0.
    by_minus = code.compare("icmp eq", b, _number(a, -1))
    divisor = code.select(code.binary("or", by_zero, by_minus), one, b)
    quotient = code.binary("sdiv", a, divisor)
    rest = code.binary("sub", a, code.binary("mul", quotient, divisor))
    opposite = code.compare("icmp slt", code.binary("xor", rest, divisor), zero)
    wraps = code.binary("and", opposite, code.compare("icmp ne", rest, zero))
    quotient = code.select(wraps, code.binary("sub", quotient, one), quotient)
    quotient = code.select(by_minus, code.binary("sub", zero, a), quotient)
    remainder = code.select(wraps, code.binary("add", rest, divisor), rest)
    return code.select(by_zero, zero, quotient), remainder


def _divide(code: Code, a: Value, b: Value) -> tuple[Value, Value]:
    return (_divide_floats if a.dtype.kind == "f" else _divide_integers)(code, a, b)


def _pow(code: Code, inputs: Sequence[Value], _: Static) -> Value:
    base, exponent = inputs
    if base.dtype.kind == "f":
        if exponent.known in (1, 2, 3, 4):
            square = base if exponent.known == 1 else _mul(code, [base, base], {})
            other = base if exponent.known == 3 else square
            return square if exponent.known < 3 else _mul(code, [square, other], {})
        return _function(code, "pow", inputs)
    if base.dtype == bool_:  # a <= b turned round: only 0 ** 1 is 0
        return code.binary("or", base, code.binary("xor", exponent, _number(exponent, True)))
    one = _number(base, 1)

    def turn(_: Any, carried: list[Value]) -> list[Value]:
        power, left, result = carried
        odd = code.compare("icmp ne", code.binary("and", left, one), _number(base, 0))
        times = code.binary("mul", result, power)
        return [
            code.binary("mul", power, power),
            code.binary("lshr", left, one),
            code.select(odd, times, result),
        ]

    return code.loop(0, 8 * base.dtype.itemsize, 1, [base, exponent, one], turn)[2]


# Comparison and selection


def _comparison(of_floats: str, signed: str, unsigned: str) -> Rule:
    def rule(code: Code, inputs: Sequence[Value], _: Static) -> Value:
        a, b = inputs
        if a.dtype.kind == "f":
            return code.compare("fcmp " + of_floats, a, b)
        return code.compare("icmp " + (signed if a.dtype.kind == "i" else unsigned), a, b)

    return rule


def _extreme(intrinsic: str, signed: str, unsigned: str, of_bools: str) -> Rule:
    def rule(code: Code, inputs: Sequence[Value], _: Static) -> Value:
        a, b = inputs
        if a.dtype == bool_:
            return code.binary(of_bools, a, b)
        if a.dtype.kind != "f":
            condition = signed if a.dtype.kind == "i" else unsigned
            return code.select(code.compare("icmp " + condition, a, b), a, b)
        # NaN if either is; which of two zeros is left open.
        return code.intrinsic(intrinsic, a, b, flags="nsz ")

    return rule


maximum = _extreme("llvm.maximum", "sgt", "ugt", "or")
minimum = _extreme("llvm.minimum", "slt", "ult", "and")


def _clamp(code: Code, inputs: Sequence[Value], static: Static) -> Value:
    (x,) = inputs
    if static["low"] is not None:
        x = maximum(code, [x, _number(x, static["low"])], {})
    if static["high"] is not None:
        x = minimum(code, [x, _number(x, static["high"])], {})
    return x


def _relu(code: Code, inputs: Sequence[Value], _: Static) -> Value:
    return maximum(code, [inputs[0], _number(inputs[0], 0)], {})


def _where(code: Code, inputs: Sequence[Value], _: Static) -> Value:
    condition, a, b = inputs
    return code.select(truth(code, condition), a, b)


def _logical(instruction: str) -> Rule:
    return lambda code, inputs, _: code.binary(instruction, *(truth(code, x) for x in inputs))


def _bitwise(instruction: str) -> Rule:
    return lambda code, inputs, _: code.binary(instruction, *inputs)


def _logical_not(code: Code, inputs: Sequence[Value], _: Static) -> Value:
    return code.binary("xor", truth(code, inputs[0]), constant(True, bool_, inputs[0].lanes))


def _bitwise_not(code: Code, inputs: Sequence[Value], _: Static) -> Value:
    (x,) = inputs
    return code.binary("xor", x, _number(x, -1))


# Sign and rounding


def _sign(code: Code, inputs: Sequence[Value], _: Static) -> Value:
    (x,) = inputs
    zero = _number(x, 0)
    floating, unsigned = x.dtype.kind == "f", x.dtype.kind == "u"
    above = "fcmp ogt" if floating else "icmp ugt" if unsigned else "icmp sgt"
    result = x
    if not unsigned:
        below = code.compare("fcmp olt" if floating else "icmp slt", x, zero)
        result = code.select(below, _number(x, -1), x)  # which leaves 0 and NaN as they are
    return code.select(code.compare(above, x, zero), _number(x, 1), result)


def _abs(code: Code, inputs: Sequence[Value], _: Static) -> Value:
    (x,) = inputs
    if x.dtype.kind == "f":
        return code.intrinsic("llvm.fabs", x)
    if x.dtype.kind != "i":
        return x
    zero = _number(x, 0)
    return code.select(code.compare("icmp slt", x, zero), code.binary("sub", zero, x), x)


def _rounding(intrinsic: str) -> Rule:
    return lambda code, inputs, _: (
        code.intrinsic(intrinsic, inputs[0]) if inputs[0].dtype.kind == "f" else inputs[0]
    )


# Functions


@functools.cache
def _definition(name: str, kind: str, lanes: int, operands: int) -> tuple[str, str, str]:
    """(name, declarations, text) of a function of vectors, to be inlined where it is called."""
    element = {"float": ir.FloatType(), "double": ir.DoubleType()}[kind]
    of = ir.VectorType(element, lanes) if lanes else element
    module = ir.Module()
    called = f"{name}.{suffix(kind, lanes)}"
    function = ir.Function(module, ir.FunctionType(of, [of] * operands), called)
    function.linkage = "internal"
    function.attributes.add("alwaysinline")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    builder.ret(FUNCTIONS[name](builder, *function.args))
    others = [g for g in module.global_values if g is not function]
    return called, "\n".join(str(g) for g in others), str(function)


def _function(code: Code, name: str, inputs: Sequence[Value]) -> Value:
    """Call one of the functions of ``vector_math``."""
    first = inputs[0]
    if first.dtype.itemsize == 2:
        wide = [cast(code, x, float32) for x in inputs]
        return cast(code, _function(code, name, wide), first.dtype)
    called, declarations, text = _definition(name, first.kind, first.lanes, len(inputs))
    code.defined[called] = text
    for line in declarations.splitlines():
        code.declared.setdefault(line.partition("@")[2].partition("(")[0].strip('"'), line)
    operands = ", ".join(str(x) for x in inputs)
    return code.value(f'call {first.type} @"{called}"({operands})', first)


def combine(code: Code, kind: str, a: Value, b: Value) -> Value:
    """Two parts of a reduction of the kind "sum", "max" or "min" in one."""
    return {"sum": _add, "max": maximum, "min": minimum}[kind](code, [a, b], {})


def neutral(kind: str, dtype: DType) -> bool | int | float:
    """What a reduction of nothing gives."""
    if kind == "sum":
        return 0
    if dtype == bool_:
        return kind == "min"
    if dtype.kind == "f":
        return float("-inf") if kind == "max" else float("inf")
    bits = 8 * dtype.itemsize - (dtype.kind == "i")
    smallest = -(2**bits) if dtype.kind == "i" else 0
    return smallest if kind == "max" else 2**bits - 1


_RULES: dict[str, Rule] = {
    "neg": _neg,
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "div": _div,
    "floor_divide": lambda code, inputs, _: _divide(code, *inputs)[0],
    "remainder": lambda code, inputs, _: _divide(code, *inputs)[1],
    "pow": _pow,
    "maximum": maximum,
    "minimum": minimum,
    "barrier": lambda _code, inputs, _: inputs[0],
    "lerp": _lerp,
    "addcdiv": _addcdiv,
    "eq": _comparison("oeq", "eq", "eq"),
    "ne": _comparison("une", "ne", "ne"),
    "lt": _comparison("olt", "slt", "ult"),
    "le": _comparison("ole", "sle", "ule"),
    "gt": _comparison("ogt", "sgt", "ugt"),
    "ge": _comparison("oge", "sge", "uge"),
    "logical_and": _logical("and"),
    "logical_or": _logical("or"),
    "logical_xor": _logical("xor"),
    "logical_not": _logical_not,
    "bitwise_and": _bitwise("and"),
    "bitwise_or": _bitwise("or"),
    "bitwise_xor": _bitwise("xor"),
    "bitwise_not": _bitwise_not,
    "where": _where,
    "clamp": _clamp,
    "sign": _sign,
    "floor": _rounding("llvm.floor"),
    "ceil": _rounding("llvm.ceil"),
    "round": _rounding("llvm.rint"),
    "trunc": _rounding("llvm.trunc"),
    "abs": _abs,
    "relu": _relu,
}
