"""LLVM's assembly language, written line by line: values, loops, branches, calls.

LLVM wants every value to be assigned once, so what a loop changes is carried from one turn to the
next: a loop's body is a function that takes the carried values and returns the new ones.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ...dtypes import (
    DType,
    bfloat16,
    bool_,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
)

KINDS: dict[DType, str] = {
    bool_: "i1",
    uint8: "i8",
    int8: "i8",
    int16: "i16",
    int32: "i32",
    int64: "i64",
    float16: "half",
    bfloat16: "i16",
    float32: "float",
    float64: "double",
}
"""LLVM's name of the type of one element, by dtype; a bool is a byte in memory.

A bfloat16 is its bits: kernels move it, and what is computed with it is NumPy's.
"""

_SUFFIXES = {"half": "f16", "float": "f32", "double": "f64"}

Index = int | str
"""An integer that is known, or the name of one that is not."""


def vector_of(kind: str, lanes: int) -> str:
    """LLVM's name of a vector type; with 0 lanes, of the type of one element."""
    return f"<{lanes} x {kind}>" if lanes else kind


def suffix(kind: str, lanes: int) -> str:
    """A type as it stands in the name of an intrinsic: ``v8f32``."""
    return (f"v{lanes}" if lanes else "") + _SUFFIXES.get(kind, kind)


def literal(number: bool | int | float, dtype: DType) -> str:
    """A number as LLVM writes it: floats by their bits."""
    if dtype == bfloat16:
        return str(int(np.asarray(number, dtype).view(np.uint16)[()]))
    if dtype.kind != "f":
        return str(int(np.asarray(number).astype(dtype)[()]))
    with np.errstate(over="ignore"):
        rounded = np.asarray(number, dtype)
    if dtype == float16:
        return f"0xH{int(rounded.view(np.uint16)[()]):04X}"
    return "0x" + struct.pack(">d", float(rounded[()])).hex().upper()


@dataclass(frozen=True, slots=True)
class Value:
    """A number or a vector of numbers in a register.

    Attributes:
        name: what LLVM calls it, or the constant itself.
        dtype: of the numbers.
        lanes: how many; 0 for a single number.
        known: the number, where it is the same constant in every lane.
    """

    name: str
    dtype: DType
    lanes: int
    known: bool | int | float | None = None

    @property
    def kind(self) -> str:
        """LLVM's name of the type of one element."""
        return KINDS[self.dtype]

    @property
    def type(self) -> str:
        """LLVM's name of the type."""
        return vector_of(self.kind, self.lanes)

    def __str__(self) -> str:
        return f"{self.type} {self.name}"


def constant(number: bool | int | float, dtype: DType, lanes: int = 0) -> Value:
    """A number, in every lane."""
    text = literal(number, dtype)
    kind = KINDS[dtype]
    return Value(f"splat ({kind} {text})" if lanes else text, dtype, lanes, number)


Carried = list[Value]


class Code:
    """The body of one function, growing."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.declared: dict[str, str] = {}
        self.defined: dict[str, str] = {}
        self.block = "entry"
        self._names = 0

    def emit(self, line: str) -> None:
        """Add a line."""
        self.lines.append("  " + line)

    def assign(self, text: str) -> str:
        """Add an instruction and name its result."""
        self._names += 1
        name = f"%v{self._names}"
        self.lines.append(f"  {name} = {text}")
        return name

    def value(self, text: str, like: Value) -> Value:
        """Add an instruction whose result has the type of another value."""
        return Value(self.assign(text), like.dtype, like.lanes)

    def binary(self, instruction: str, a: Value, b: Value) -> Value:
        """Add an instruction of two operands of one type."""
        return self.value(f"{instruction} {a.type} {a.name}, {b.name}", a)

    def compare(self, condition: str, a: Value, b: Value) -> Value:
        """Add a comparison such as ``fcmp olt``."""
        return Value(self.assign(f"{condition} {a.type} {a.name}, {b.name}"), bool_, a.lanes)

    def select(self, condition: Value, a: Value, b: Value) -> Value:
        """``a`` where the condition holds, else ``b``."""
        return self.value(f"select {condition}, {a}, {b}", a)

    def convert(self, instruction: str, a: Value, dtype: DType) -> Value:
        """Add a conversion such as ``fptosi``."""
        to = vector_of(KINDS[dtype], a.lanes)
        return Value(self.assign(f"{instruction} {a} to {to}"), dtype, a.lanes)

    def intrinsic(self, name: str, *operands: Value, flags: str = "") -> Value:
        """Call an intrinsic whose operands and result have one type: ``llvm.fabs``."""
        a = operands[0]
        name = f"{name}.{suffix(a.kind, a.lanes)}"
        return self.value(self.call(name, flags + a.type, operands), a)

    def call(self, name: str, result: str, operands: Sequence[Value | str]) -> str:
        """The text of a call; the function is declared.

        Args:
            name: of the function.
            result: its type, after flags that the call has.
            operands: values, or texts that end in a name or number.
        """
        arguments = [str(operand) for operand in operands]
        types = ", ".join(
            operand.type if isinstance(operand, Value) else operand.rpartition(" ")[0]
            for operand in operands
        )
        plain = result.removeprefix("nsz ")
        self.declared[name] = f"declare {plain} @{name}({types})"
        return f"call {result} @{name}({', '.join(arguments)})"

    def splat(self, a: Value, lanes: int) -> Value:
        """A number in every lane of a vector."""
        if a.lanes == lanes:
            return a
        if a.known is not None:
            return constant(a.known, a.dtype, lanes)
        if a.lanes:  # a vector of one lane, as short rows have it
            return self.pick(a, [0] * lanes)
        to = vector_of(a.kind, lanes)
        one = self.assign(f"insertelement {to} poison, {a}, i64 0")
        text = f"shufflevector {to} {one}, {to} poison, <{lanes} x i32> zeroinitializer"
        return Value(self.assign(text), a.dtype, lanes)

    def pick(self, a: Value, lanes: Sequence[int], b: Value | None = None) -> Value:
        """Some lanes of a vector, or of two counted on, in the given order."""
        mask = ", ".join(f"i32 {lane}" for lane in lanes)
        other = "poison" if b is None else b.name
        text = f"shufflevector {a}, {a.type} {other}, <{len(lanes)} x i32> <{mask}>"
        return Value(self.assign(text), a.dtype, len(lanes))

    def lane(self, a: Value, lane: int) -> Value:
        """One lane of a vector."""
        return Value(self.assign(f"extractelement {a}, i64 {lane}"), a.dtype, 0)

    # Integers that count

    def add(self, a: Index, b: Index) -> Index:
        """The sum of two indices, computed now if both are known."""
        if isinstance(a, int) and isinstance(b, int):
            return a + b
        if b == 0:
            return a
        return b if a == 0 else self.assign(f"add nsw i64 {a}, {b}")

    def times(self, a: Index, b: Index) -> Index:
        """The product of two indices, computed now if both are known."""
        if isinstance(a, int) and isinstance(b, int):
            return a * b
        return a if b == 1 else self.assign(f"mul nsw i64 {a}, {b}")

    def move(self, pointer: str, kind: str, steps: Index) -> str:
        """A pointer so many elements further on."""
        if steps == 0:
            return pointer
        return self.assign(f"getelementptr {kind}, ptr {pointer}, i64 {steps}")

    # Blocks

    def begin_block(self, name: str) -> None:
        """Start a block."""
        self.lines.append(name + ":")
        self.block = name

    def block_name(self, hint: str) -> str:
        """A new name for a block."""
        self._names += 1
        return f"{hint}{self._names}"

    def loop(
        self,
        start: Index,
        stop: Index,
        step: int,
        carried: Carried,
        body: Callable[[Index, Carried], Carried],
    ) -> Carried:
        """Repeat for ``start, start + step, ...`` as long as a whole step fits before ``stop``.

        Args:
            start: the first index.
            stop: the end.
            step: from one index to the next.
            carried: what the first turn gets.
            body: takes the index and the carried values, adds the code of one turn, and returns
                what the next turn gets.

        Returns:
            what the last turn returned.
        """
        if isinstance(start, int) and isinstance(stop, int):
            turns = (stop - start) // step
            if turns <= 0:
                return carried
            if turns == 1:
                return body(start, carried)
            return self._repeat(start, start + (turns - 1) * step, step, carried, body)
        last = self.add(stop, -step)
        fits = Value(self.assign(f"icmp sle i64 {start}, {last}"), bool_, 0)
        return self.when(fits, carried, lambda c: self._repeat(start, last, step, c, body))

    def _repeat(
        self,
        start: Index,
        last: Index,
        step: int,
        carried: Carried,
        body: Callable[[Index, Carried], Carried],
    ) -> Carried:
        before, head, after = self.block, self.block_name("loop"), self.block_name("after")
        self.emit(f"br label %{head}")
        self.begin_block(head)
        index = self.assign("phi")
        place = len(self.lines) - 1
        turn = [self.value("phi", value) for value in carried]
        results = body(index, turn)
        latch = self.block
        following = self.assign(f"add nsw i64 {index}, {step}")
        again = self.assign(f"icmp sle i64 {following}, {last}")
        self.emit(f"br i1 {again}, label %{head}, label %{after}")
        self.lines[place] += f" i64 [ {start}, %{before} ], [ {following}, %{latch} ]"
        for i, (first, result) in enumerate(zip(carried, results, strict=True), start=1):
            self.lines[place + i] += (
                f" {first.type} [ {first.name}, %{before} ], [ {result.name}, %{latch} ]"
            )
        self.begin_block(after)
        return results

    def when(
        self, condition: Value, carried: Carried, body: Callable[[Carried], Carried]
    ) -> Carried:
        """Do something only if a condition holds; otherwise the carried values stay."""
        before, then, after = self.block, self.block_name("then"), self.block_name("after")
        self.emit(f"br i1 {condition.name}, label %{then}, label %{after}")
        self.begin_block(then)
        results = body(carried)
        end = self.block
        self.emit(f"br label %{after}")
        self.begin_block(after)
        return [
            self.value(f"phi {old.type} [ {old.name}, %{before} ], [ {new.name}, %{end} ]", old)
            for old, new in zip(carried, results, strict=True)
        ]

    def lane_numbers(self, lanes: int) -> Value:
        """0, 1, 2, ... as int64."""
        numbers = ", ".join(f"i64 {lane}" for lane in range(lanes))
        return Value(f"<{numbers}>", int64, lanes)

    def module(self, name: str, stack: Sequence[str] = ()) -> str:
        """The text of a module with this function, as a tape calls it, and with what it needs.

        Args:
            name: of the function.
            stack: lines that reserve memory on the stack, before all others.
        """
        lines = [
            f"define void @{name}(ptr %arguments, i64 %begin, i64 %end, i64 %part) nounwind {{",
            "entry:",
            *stack,
            *self.lines,
            "  ret void",
            "}",
            *self.defined.values(),
            *self.declared.values(),
        ]
        return "\n".join(lines) + "\n"
