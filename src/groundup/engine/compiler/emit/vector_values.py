"""Numbers and vectors in LLVM's intermediate code, written as formulas.

``Vector`` stands for a float, a double, a vector of either, or for integers as wide and as many.
Arithmetic on it adds instructions through ``llvmlite``; numbers of Python become constants. No
instruction carries fast-math flags, so the order of operations is the one written down, and
error-free steps (``x - (x - y)``) stay what they are.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Sequence
from typing import Any

from llvmlite import ir

FLOATS = {32: ir.FloatType(), 64: ir.DoubleType()}
FRACTION = {32: 23, 64: 52}
"""Bits of the fraction, by the width of the format."""
BIAS = {32: 127, 64: 1023}
"""What is added to the exponent."""
ROUNDER = {32: 1.5 * 2.0**23, 64: 1.5 * 2.0**52}
"""Added to a number that is not large, it leaves the nearest integer in the last bits."""


class Vector:
    """A value in the code, with the operators of arithmetic.

    ``<``, ``>`` and ``>=`` are false where a NaN takes part. On integers ``>>`` fills with zeros.

    Args:
        builder: where instructions are added.
        value: float, double, an integer as wide, or a vector of these.

    Example:
        >>> from llvmlite import ir
        >>> from groundup.engine.compiler.emit.vector_values import Vector
        >>> kind = ir.VectorType(ir.FloatType(), 8)
        >>> function = ir.Function(ir.Module(), ir.FunctionType(kind, [kind]), "double_and_one")
        >>> builder = ir.IRBuilder(function.append_basic_block())
        >>> result = builder.ret((Vector(builder, function.args[0]) * 2.0 + 1.0).value)
        >>> "fmul <8 x float>" in str(function), "splat (float 0x" in str(function)
        (True, True)
    """

    __slots__ = ("builder", "value")

    def __init__(self, builder: ir.IRBuilder, value: ir.Value) -> None:
        self.builder = builder
        self.value = value

    @property
    def count(self) -> int:
        """How many lanes; 0 for a value that is not a vector."""
        kind = self.value.type
        return kind.count if isinstance(kind, ir.VectorType) else 0

    @property
    def floating(self) -> bool:
        """Whether the lanes are floats, not integers."""
        return not isinstance(_element(self.value.type), ir.IntType)

    @property
    def bits(self) -> int:
        """Width of one lane."""
        element = _element(self.value.type)
        if isinstance(element, ir.IntType):
            return int(element.width)
        return 32 if isinstance(element, ir.FloatType) else 64

    def constant(self, number: float) -> Vector:
        """The same number in every lane."""
        kind = self.value.type
        return self._new(_constant(str(_element(kind)), self.count, self.bits, number))

    def _new(self, value: ir.Value) -> Vector:
        return Vector(self.builder, value)

    def _other(self, other: Vector | float) -> ir.Value:
        return other.value if isinstance(other, Vector) else self.constant(other).value

    def _apply(self, of_floats: str, of_integers: str, other: Vector | float) -> Vector:
        name = of_floats if self.floating else of_integers
        return self._new(getattr(self.builder, name)(self.value, self._other(other)))

    def __add__(self, other: Vector | float) -> Vector:
        return self._apply("fadd", "add", other)

    def __sub__(self, other: Vector | float) -> Vector:
        return self._apply("fsub", "sub", other)

    def __rsub__(self, other: float) -> Vector:
        return self.constant(other) - self

    def __mul__(self, other: Vector | float) -> Vector:
        return self._apply("fmul", "mul", other)

    def __truediv__(self, other: Vector | float) -> Vector:
        return self._new(self.builder.fdiv(self.value, self._other(other)))

    def __rtruediv__(self, other: float) -> Vector:
        return self.constant(other) / self

    def __neg__(self) -> Vector:
        return self._new(self.builder.fneg(self.value))

    def __and__(self, other: Vector | int) -> Vector:
        return self._new(self.builder.and_(self.value, self._other(other)))

    def __or__(self, other: Vector | int) -> Vector:
        return self._new(self.builder.or_(self.value, self._other(other)))

    def __xor__(self, other: Vector | int) -> Vector:
        return self._new(self.builder.xor(self.value, self._other(other)))

    def __lshift__(self, other: Vector | int) -> Vector:
        return self._new(self.builder.shl(self.value, self._other(other)))

    def __rshift__(self, other: Vector | int) -> Vector:
        return self._new(self.builder.lshr(self.value, self._other(other)))

    def _compare(self, condition: str, other: Vector | float) -> Vector:
        return self._new(self.builder.fcmp_ordered(condition, self.value, self._other(other)))

    def __lt__(self, other: Vector | float) -> Vector:
        return self._compare("<", other)

    def __gt__(self, other: Vector | float) -> Vector:
        return self._compare(">", other)

    def __ge__(self, other: Vector | float) -> Vector:
        return self._compare(">=", other)

    def equals(self, other: Vector | float) -> Vector:
        """Where both are the same number."""
        return self._compare("==", other)

    def ordered(self, other: Vector) -> Vector:
        """Where neither is NaN."""
        return self._compare("ord", other)

    def where(self, condition: Vector, other: Vector | float) -> Vector:
        """This value where the condition holds, else the other one."""
        return self._new(self.builder.select(condition.value, self.value, self._other(other)))

    def at_least(self, low: float) -> Vector:
        """The larger of this and a number; NaN stays NaN."""
        return self.constant(low).where(self < low, self)

    def at_most(self, high: float) -> Vector:
        """The smaller of this and a number; NaN stays NaN."""
        return self.constant(high).where(self > high, self)

    def times_plus(self, factor: Vector | float, addend: Vector | float) -> Vector:
        """``self * factor + addend``, rounded once if the processor does that in one step."""
        return self._intrinsic("llvm.fmuladd", self._other(factor), self._other(addend))

    def fused(self, factor: Vector | float, addend: Vector | float) -> Vector:
        """``self * factor + addend``, rounded once on every processor, if slowly on old ones."""
        return self._intrinsic("llvm.fma", self._other(factor), self._other(addend))

    def magnitude(self) -> Vector:
        """Without the sign."""
        return self._intrinsic("llvm.fabs")

    def signed_as(self, other: Vector) -> Vector:
        """This magnitude with the sign of another value."""
        return self._intrinsic("llvm.copysign", other.value)

    def root(self) -> Vector:
        """The square root, correctly rounded."""
        return self._intrinsic("llvm.sqrt")

    def polynomial(self, coefficients: Sequence[float]) -> Vector:
        """``c0 + c1 x + c2 x² + ...`` by Horner's rule."""
        total: Vector = self.constant(coefficients[-1])
        for c in reversed(coefficients[:-1]):
            total = total.times_plus(self, c)
        return total

    def pattern(self) -> Vector:
        """The bits of floats, as integers."""
        return self._new(self.builder.bitcast(self.value, self.pattern_type))

    @property
    def pattern_type(self) -> ir.Type:
        """Integers as wide, as many."""
        return self._retyped(ir.IntType(self.bits))

    def as_floats(self) -> Vector:
        """The floats whose bits these integers are."""
        return self._new(self.builder.bitcast(self.value, self._retyped(FLOATS[self.bits])))

    def _retyped(self, element: ir.Type) -> ir.Type:
        return ir.VectorType(element, self.count) if self.count else element

    def _intrinsic(self, name: str, *operands: ir.Value) -> Vector:
        kind = self.value.type
        width = f"v{self.count}f{self.bits}" if self.count else f"f{self.bits}"
        signature = ir.FunctionType(kind, [kind] * (1 + len(operands)))
        called = declare(self.builder.module, f"{name}.{width}", signature)
        return self._new(self.builder.call(called, [self.value, *operands]))


def declare(module: ir.Module, name: str, signature: ir.FunctionType) -> ir.Function:
    """The function of that name in the module, declared if it was not."""
    if name in module.globals:
        return module.globals[name]
    return ir.Function(module, signature, name)


def pattern(number: float, bits: int) -> int:
    """The bits of a number in a format of 32 or 64 bits."""
    return int.from_bytes(struct.pack(">f" if bits == 32 else ">d", number), "big")


def nearest(number: float, bits: int) -> float:
    """The number rounded to a format of 32 or 64 bits."""
    if bits == 64:
        return float(number)
    rounded: float = struct.unpack("f", struct.pack("f", number))[0]
    return rounded


def _element(kind: ir.Type) -> ir.Type:
    return kind.element if isinstance(kind, ir.VectorType) else kind


@functools.lru_cache(maxsize=4096)
def _constant(element: str, count: int, bits: int, number: float) -> Any:
    """A constant whose text is made once."""
    kinds = {"float": FLOATS[32], "double": FLOATS[64]}
    kind = kinds.get(element) or ir.IntType(bits)
    if isinstance(kind, ir.IntType):
        text = str(int(number))
    else:
        text = "0x" + struct.pack(">d", nearest(number, bits)).hex().upper()
    if not count:
        return ir.FormattedConstant(kind, text)
    constant = ir.FormattedConstant(ir.VectorType(kind, count), text)
    constant.constant = f"splat ({kind} {text})"  # the class would repeat the text for each lane
    return constant
