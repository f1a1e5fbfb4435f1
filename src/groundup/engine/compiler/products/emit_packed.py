"""Products with packed weights as LLVM's intermediate code.

The rows of x are rounded to eight bits first, 32 numbers at a time (as llama.cpp's Q8_0): a step is
48 bytes, the 32 whole numbers and, in float32, their scale, the sum of the first 16, of the others
and of all. So the sum over 32 weights is one of whole numbers, exact in any order,

    sum of s (q - o) x + m x  =  d (s (sum of q i - o sum of i) + m sum of i),    x = d i

with q, s, o, m of the weights and d, i of x. Weights come in panels of eight rows
(``groundup.engine.panels``), so eight such sums are one vector, and every place in it belongs to
one row. A tile of a few rows of x is multiplied by a panel while it is in registers.

Whatever the number of rows, the tile or the shares, each element of the result is the same sum in
the same order; with AVX2 or without, too, where the processor has products and sums in one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from ...dtypes import DType, bool_, float32, int8, int16, int32, int64, uint8
from ...panels import ROWS, STEP, STEP_NBYTES, Packing, packing_of
from ..emit.code import Carried, Code, Index, Value, constant

_SCALE, _SUMS, _TOTAL = STEP, STEP + 4, STEP + 12
TILE = 4
"""Rows of x in a tile, at most."""
_SMALLEST = 2.0**-100
_ROUNDER = 1.5 * 2.0**23  # a float32 plus this has no digits behind the point


def emit(packing: str, avx2: bool, name: str) -> str:
    """The text of a module with one function, of (rounded x, panels of W, result, sizes).

    Its extent is the panels of W. The sizes are int64: rows of x, how many of them are gone through
    for one panel (a multiple of a tile), rows of W, blocks of a row of W.

    Args:
        packing: of W.
        avx2: whether AVX2's products of bytes are used.
        name: of the function.

    Example:
        >>> from groundup.engine.compiler.products.emit_packed import emit
        >>> print(emit("Q8_0", False, "packed").partition("{")[0])
        define void @packed(ptr %arguments, i64 %begin, i64 %end, i64 %part) nounwind
    """
    writer = _Writer(packing_of(packing), avx2)
    writer.write()
    return writer.code.module(name)


def emit_rounding(name: str) -> str:
    """The text of a module with one function, of (x, rounded x, steps of a row in int64).

    Its extent is the rows of x. A step whose largest magnitude is below 2^-100 becomes zeros; one
    with a NaN or an infinity has such a scale, so that what is computed of it is not finite either.

    Example:
        >>> from groundup.engine.compiler.products.emit_packed import emit_rounding
        >>> print(emit_rounding("rounding").partition("{")[0])
        define void @rounding(ptr %arguments, i64 %begin, i64 %end, i64 %part) nounwind
    """
    code = Code()
    source, target, sizes = (argument(code, i) for i in range(3))
    steps = size(code, sizes, 0)
    first, last = code.times("%begin", steps), code.times("%end", steps)

    def step(number: Index, carried: Carried) -> Carried:
        _round_step(
            code,
            code.move(source, "float", code.times(number, STEP)),
            code.move(target, "i8", code.times(number, STEP_NBYTES)),
        )
        return carried

    code.loop(first, last, 1, [], step)
    return code.module(name)


def _round_step(code: Code, x: str, q: str) -> None:
    numbers = [load(code, x, 32 * i, float32, 8) for i in range(4)]
    # The magnitudes in order as whole numbers, a NaN above all.
    largest: Value | None = None
    for number in numbers:
        bits = bitcast(code, number, int32, 8)
        bits = code.binary("and", bits, constant(0x7FFFFFFF, int32, 8))
        largest = bits if largest is None else code.intrinsic("llvm.umax", largest, bits)
    assert largest is not None
    name = "llvm.vector.reduce.umax.v8i32"
    top = Value(code.assign(code.call(name, "i32", [largest])), int32, 0)
    top = Value(code.assign(f"bitcast {top} to float"), float32, 0)
    scale = code.binary("fdiv", top, constant(127.0, float32))
    inverse = code.binary("fdiv", constant(127.0, float32), top)
    enough = code.compare("fcmp oge", top, constant(_SMALLEST, float32))
    inverse = code.select(enough, inverse, constant(0.0, float32))
    factor, rounder = code.splat(inverse, 8), constant(_ROUNDER, float32, 8)
    sums = []
    for i, number in enumerate(numbers):
        shifted = code.binary("fadd", code.binary("fmul", number, factor), rounder)
        whole = bitcast(code, shifted, int32, 8)
        whole = code.binary("sub", whole, constant(_bits(_ROUNDER), int32, 8))
        store(code, q, 8 * i, code.convert("trunc", whole, int8))
        sums.append(whole)
    store(code, q, _SCALE, scale)
    totals = []
    for i in range(2):
        both = code.binary("add", sums[2 * i], sums[2 * i + 1])
        name = "llvm.vector.reduce.add.v8i32"
        totals.append(Value(code.assign(code.call(name, "i32", [both])), int32, 0))
    totals.append(code.binary("add", *totals))
    for i, total in enumerate(totals):
        store(code, q, _SUMS + 4 * i, code.convert("sitofp", total, float32))


def _bits(number: float) -> int:
    return int(np.float32(number).view(np.int32))


# What the kernels of packed weights share


def argument(code: Code, i: int) -> str:
    """The i-th argument of a kernel."""
    place = code.assign(f"getelementptr ptr, ptr %arguments, i64 {i}")
    return code.assign(f"load ptr, ptr {place}")


def size(code: Code, sizes: str, i: int) -> str:
    """The i-th of the sizes that a kernel is given."""
    place = code.move(sizes, "i64", i)
    return code.assign(f"load i64, ptr {place}, align 8")


def load(code: Code, pointer: str, offset: Index, dtype: DType, lanes: int) -> Value:
    """A number or a vector so many bytes further on, wherever that is."""
    like = Value("", dtype, lanes)
    place = code.move(pointer, "i8", offset)
    return code.value(f"load {like.type}, ptr {place}, align 1", like)


def store(code: Code, pointer: str, offset: Index, value: Value) -> None:
    """Write a number or a vector so many bytes further on."""
    place = code.move(pointer, "i8", offset)
    code.emit(f"store {value}, ptr {place}, align 1")


def bitcast(code: Code, value: Value, dtype: DType, lanes: int) -> Value:
    """The same bits as another type."""
    like = Value("", dtype, lanes)
    return code.value(f"bitcast {value} to {like.type}", like)


def from_half(code: Code, bits: Value) -> Value:
    """Numbers in half precision, given by their bits as int16, as float32.

    Their bits are shifted to where float32 has exponent and fraction, which makes them 2^112 times
    too small, subnormal ones included.
    """
    lanes = bits.lanes
    wide = code.convert("zext", bits, int32)
    magnitude = code.binary("and", wide, constant(0x7FFF, int32, lanes))
    moved = code.binary("shl", magnitude, constant(13, int32, lanes))
    scaled = code.binary(
        "fmul", bitcast(code, moved, float32, lanes), constant(2.0**112, float32, lanes)
    )
    finite = code.compare("icmp ult", magnitude, constant(0x7C00, int32, lanes))
    special = code.binary("or", moved, constant(0x7F800000, int32, lanes))
    found = code.select(finite, bitcast(code, scaled, int32, lanes), special)
    sign = code.binary("lshr", wide, constant(15, int32, lanes))
    sign = code.binary("shl", sign, constant(31, int32, lanes))
    return bitcast(code, code.binary("or", found, sign), float32, lanes)


class _Writer:
    def __init__(self, packing: Packing, avx2: bool) -> None:
        self.packing, self.avx2 = packing, avx2
        self.most = TILE if avx2 else 2  # rows of a tile; without AVX2 each is more code
        self.code = Code()

    def write(self) -> None:
        """Write the body of the function: blocks of rows of x, panels, tiles."""
        code, packing = self.code, self.packing
        x, w, y, sizes = (argument(code, i) for i in range(4))
        m, together, n, blocks = (size(code, sizes, i) for i in range(4))
        x_nbytes = code.times(blocks, packing.weights // STEP * STEP_NBYTES)
        w_nbytes = code.times(blocks, packing.panel_nbytes)
        self.n, self.blocks, self.x_nbytes = n, blocks, x_nbytes

        def rows(number: Index, carried: Carried) -> Carried:
            first = code.times(number, together)
            left = code.assign(f"sub nsw i64 {m}, {first}")
            count = code.assign(
                code.call("llvm.smin.i64", "i64", [f"i64 {left}", f"i64 {together}"])
            )
            whole = code.assign(f"and i64 {count}, {-self.most}")
            rest = code.assign(f"and i64 {count}, {self.most - 1}")
            x_here = code.move(x, "i8", code.times(first, x_nbytes))
            y_here = code.move(y, "float", code.times(first, n))

            def panel(number: Index, carried: Carried) -> Carried:
                w_here = code.move(w, "i8", code.times(number, w_nbytes))

                def tile(at: Index, carried: Carried, count: int = self.most) -> Carried:
                    self.tile(x_here, w_here, y_here, number, at, count)
                    return carried

                code.loop(0, whole, self.most, [], tile)
                for short in range(1, self.most):
                    here = Value(code.assign(f"icmp eq i64 {rest}, {short}"), bool_, 0)
                    code.when(here, [], partial(tile, whole, count=short))
                return carried

            code.loop("%begin", "%end", 1, [], panel)
            return carried

        turns = code.assign(f"add nsw i64 {m}, {together}")
        turns = code.assign(f"sub nsw i64 {turns}, 1")
        turns = code.assign(f"sdiv i64 {turns}, {together}")
        code.loop(0, turns, 1, [], rows)

    def tile(self, x: str, w: str, y: str, panel: Index, at: Index, count: int) -> None:
        """A few rows of x times a panel."""
        code, packing = self.code, self.packing
        steps = packing.weights // STEP
        rows = [
            code.move(x, "i8", code.times(code.add(at, i), self.x_nbytes)) for i in range(count)
        ]

        def block(number: Index, sums: Carried) -> Carried:
            head = code.move(w, "i8", code.times(number, packing.panel_nbytes))
            scales = [self.halves(head, 16 * i) for i in range(1 + packing.minimum)]

            def step(s: Index, sums: Carried) -> Carried:
                far = code.times(code.add(code.times(number, steps), s), STEP_NBYTES)
                here = [code.move(each, "i8", far) for each in rows]
                quants = packing.head_nbytes
                data = code.move(head, "i8", code.add(code.times(s, packing.step_nbytes), quants))
                return self.step(here, head, data, s, scales, sums)

            return code.loop(0, steps, 1, sums, step)

        zero = [constant(0.0, float32, ROWS)] * count
        sums = code.loop(0, self.blocks, 1, zero, block)
        column = code.times(panel, ROWS)
        left = code.splat(Value(code.assign(f"sub nsw i64 {self.n}, {column}"), int64, 0), ROWS)
        mask = code.compare("icmp slt", code.lane_numbers(ROWS), left)
        name = f"llvm.masked.store.v{ROWS}f32.p0"
        for i, total in enumerate(sums):
            far = code.add(code.times(code.add(at, i), self.n), column)
            place = code.move(y, "float", far)
            code.emit(code.call(name, "void", [total, f"ptr {place}", "i32 4", mask]))

    def step(
        self,
        rows: Sequence[str],
        head: str,
        data: str,
        s: Index,
        scales: Sequence[Value],
        sums: Carried,
    ) -> Carried:
        """Add 32 weights of each row of the panel times those of x."""
        code, packing = self.code, self.packing
        halves = STEP // packing.group
        found = self.dots(rows, data)
        factors = [self.scale(head, s, half, scales[0], 0) for half in range(halves)]
        minima = self.scale(head, s, 0, scales[1], 1) if packing.minimum else None
        added = []
        for i, row in enumerate(rows):
            total = sums[i]
            scale = self.spread(row, _SCALE)
            for half in range(halves):
                dot = code.convert("sitofp", found[i][half], float32)
                at = _TOTAL if halves == 1 else _SUMS + 4 * half
                if packing.offset:
                    less = constant(-float(packing.offset), float32, ROWS)
                    dot = self.fused(self.spread(row, at), less, dot)
                if minima is None:
                    part = code.binary("fmul", dot, factors[half])
                else:
                    part = code.binary("fmul", self.spread(row, at), minima)
                    part = self.fused(dot, factors[half], part)
                total = self.fused(part, scale, total)
            added.append(total)
        return added

    def scale(self, head: str, s: Index, half: int, scale: Value, kind: int) -> Value:
        """The scales of a group, or its minima, of each row of the panel."""
        code, packing = self.code, self.packing
        if not packing.scaled:
            return scale
        groups = STEP // packing.group
        first = ROWS * 2 * (1 + packing.minimum) + ROWS * packing.groups * kind + ROWS * half
        at = code.add(code.times(s, ROWS * groups), first)
        signed = packing.bits == 6
        own = load(code, head, at, int8 if signed else uint8, ROWS)
        wide = code.convert("sext" if signed else "zext", own, int32)
        found = code.binary("fmul", code.convert("sitofp", wide, float32), scale)
        if kind == 0:
            return found
        return code.value(f"fneg {found}", found)

    def halves(self, head: str, offset: int) -> Value:
        code = self.code
        if self.avx2:
            found = code.assign(
                f"load <{ROWS} x half>, ptr {code.move(head, 'i8', offset)}, align 1"
            )
            text = f"fpext <{ROWS} x half> {found} to <{ROWS} x float>"
            return Value(code.assign(text), float32, ROWS)
        return from_half(code, load(code, head, offset, int16, ROWS))

    def spread(self, pointer: str, offset: int) -> Value:
        """A number of x in every place."""
        return self.code.splat(load(self.code, pointer, offset, float32, 0), ROWS)

    def fused(self, a: Value, b: Value, c: Value) -> Value:
        return self.code.intrinsic("llvm.fmuladd", a, b, c)

    # Whole numbers

    def quants(self, data: str) -> Callable[[int], Value]:
        """What gives the weights 4c to 4c + 3 of each row as the bytes of int32."""
        code, bits = self.code, self.packing.bits
        if bits == 8:
            return lambda c: load(code, data, 32 * c, int32, ROWS)
        kept: dict[int, Value] = {}

        def part(offset: int) -> Value:
            if offset not in kept:
                kept[offset] = load(code, data, offset, int32, ROWS)
            return kept[offset]

        def moved(x: Value, left: int, mask: int) -> Value:
            if left:
                way = "shl" if left > 0 else "lshr"
                x = code.binary(way, x, constant(abs(left), int32, ROWS))
            return code.binary("and", x, constant(mask * 0x01010101, int32, ROWS))

        def quant(c: int) -> Value:
            low = moved(part(32 * (c % 4)), -4 * (c // 4), 15)
            if bits == 5:
                return code.binary("or", low, moved(part(128), 4 - c, 16))
            if bits == 6:
                high = moved(part(128 + 32 * (c // 4)), 4 - 2 * (c % 4), 48)
                return code.binary("or", low, high)
            return low

        return quant

    def dots(self, rows: Sequence[str], data: str) -> list[list[Value]]:
        """For each row of x the sums of the products of each group, int32."""
        quant = self.quants(data)
        groups = STEP // self.packing.group
        way = self.by_bytes if self.avx2 else self.by_shifts
        if groups == 1:
            return way(rows, quant, [[0, 4, 1, 5, 2, 6, 3, 7]])
        return way(rows, quant, [[0, 1, 2, 3], [4, 5, 6, 7]])

    def by_shifts(
        self, rows: Sequence[str], quant: Callable[[int], Value], groups: list[list[int]]
    ) -> list[list[Value]]:
        """One byte of each int32 after the other."""
        code, signed = self.code, self.packing.bits == 8
        found: list[list[Value]] = [[] for _ in rows]
        for places in groups:
            totals: list[Value | None] = [None] * len(rows)
            for c in places:
                whole = quant(c)
                for i in range(4):
                    if signed:
                        up = code.binary("shl", whole, constant(24 - 8 * i, int32, ROWS))
                        weight = code.binary("ashr", up, constant(24, int32, ROWS))
                    else:
                        down = code.binary("lshr", whole, constant(8 * i, int32, ROWS))
                        weight = code.binary("and", down, constant(255, int32, ROWS))
                    for j, row in enumerate(rows):
                        one = code.convert("sext", load(code, row, 4 * c + i, int8, 0), int32)
                        product = code.binary("mul", weight, code.splat(one, ROWS))
                        before = totals[j]
                        totals[j] = (
                            product if before is None else code.binary("add", before, product)
                        )
            for j, total in enumerate(totals):
                assert total is not None
                found[j].append(total)
        return found

    def by_bytes(
        self, rows: Sequence[str], quant: Callable[[int], Value], groups: list[list[int]]
    ) -> list[list[Value]]:
        """AVX2's products of unsigned and signed bytes, neighbours added up in int16.

        Unsigned weights of b bits times at most 127: so many such sums fit into int16 as are added
        there; then neighbours are added in int32. Of signed weights the magnitudes are multiplied,
        and their signs given to x.
        """
        code, signed = self.code, self.packing.bits == 8
        fits = {4: 8, 5: 4, 6: 2, 8: 1}[self.packing.bits]
        ones = constant(1, int16, 16)
        found: list[list[Value]] = [[] for _ in rows]
        for places in groups:
            totals: list[Value | None] = [None] * len(rows)
            for first in range(0, len(places), fits):
                short: list[Value | None] = [None] * len(rows)
                for c in places[first : first + fits]:
                    weights = bitcast(code, quant(c), int8, 32)
                    magnitude = weights
                    if signed:
                        text = code.call("llvm.abs.v32i8", "<32 x i8>", [weights, "i1 false"])
                        magnitude = code.value(text, weights)
                    for j, row in enumerate(rows):
                        four = code.splat(load(code, row, 4 * c, int32, 0), ROWS)
                        x = bitcast(code, four, int8, 32)
                        if signed:
                            name = "llvm.x86.avx2.psign.b"
                            x = code.value(code.call(name, "<32 x i8>", [x, weights]), x)
                        text = code.call("llvm.x86.avx2.pmadd.ub.sw", "<16 x i16>", [magnitude, x])
                        pairs = Value(code.assign(text), int16, 16)
                        before = short[j]
                        short[j] = pairs if before is None else code.binary("add", before, pairs)
                for j, pairs_of in enumerate(short):
                    assert pairs_of is not None
                    text = code.call("llvm.x86.avx2.pmadd.wd", "<8 x i32>", [pairs_of, ones])
                    fours = Value(code.assign(text), int32, ROWS)
                    before = totals[j]
                    totals[j] = fours if before is None else code.binary("add", before, fours)
            for j, total in enumerate(totals):
                assert total is not None
                found[j].append(total)
        return found
