"""From a small matrix product and its plan to LLVM's intermediate code; see ``small_products``.

The loops go over the matrices of a batch, the columns of tiles, the tiles of a column, and k. Every
element of C is the sum of the same products in the same order, however the work is split.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..dtypes import bool_
from .emit_code import KINDS, Carried, Code, Index, Value, constant, suffix
from .small_products import Plan, Shape, Strides, extent


def emit(shape: Shape, plan: Plan, name: str) -> str:
    """The text of a module with one function that computes the product.

    Example:
        >>> from groundup.engine.compiler.emit_product import emit
        >>> from groundup.engine.compiler.small_products import Shape, best_plan
        >>> shape = Shape(gu.float32, 4, 8, 16, (16, 1), (8, 1), (8, 1))
        >>> print(emit(shape, best_plan(shape, 256), "small").partition("{")[0])
        define void @small(ptr %arguments, i64 %begin, i64 %end, i64 %part) nounwind
    """
    writer = _Writer(shape, plan)
    writer.write()
    code = writer.code
    lines = [
        f"define void @{name}(ptr %arguments, i64 %begin, i64 %end, i64 %part) nounwind {{",
        "entry:",
        *writer.stack,
        *code.lines,
        "  ret void",
        "}",
        *code.declared.values(),
    ]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class _Vector:
    """Some neighbouring columns of a tile; not all lanes hold one in the last."""

    start: int
    lanes: int
    used: int


class _Writer:
    def __init__(self, shape: Shape, plan: Plan) -> None:
        self.shape, self.plan = shape, plan
        self.code = Code()
        self.kind = KINDS[shape.dtype]
        self.align = shape.dtype.itemsize
        self.stack: list[str] = []
        if plan.way == "packed":
            size = shape.k * plan.width
            self.stack.append(f"  %packed = alloca {self.kind}, i64 {size}, align 64")

    def write(self) -> None:
        """Write the body of the function: the products of the batch that the share touches."""
        code, shape = self.code, self.shape
        a, b, c = (self.argument(i) for i in ((1, 0, 2) if shape.swapped else (0, 1, 2)))
        total, along_rows = extent(shape, self.plan)
        if not total:
            return
        blocks = total // shape.matrices
        if shape.matrices == 1:
            self.matrix(a, b, c, ("%begin", "%end") if blocks > 1 else None, along_rows)
            return
        first: Index = "%begin"
        stop: Index = "%end"
        if blocks > 1:
            first = code.assign(f"sdiv i64 %begin, {blocks}")
            stop = code.assign(f"sdiv i64 {code.add('%end', blocks - 1)}, {blocks}")

        def one(index: Index, carried: Carried) -> Carried:
            places: list[Index] = [0, 0, 0]
            rest = index
            for size, *strides in reversed(shape.batch):
                along = code.assign(f"srem i64 {rest}, {size}")
                rest = code.assign(f"sdiv i64 {rest}, {size}")
                for i, stride in enumerate(strides):
                    if stride:
                        places[i] = code.add(places[i], code.times(along, stride))
            moved = [
                code.move(p, self.kind, place) for p, place in zip((a, b, c), places, strict=True)
            ]
            share = None
            if blocks > 1:
                start = code.times(index, blocks)
                low = self.clamp(code.assign(f"sub i64 %begin, {start}"), blocks)
                high = self.clamp(code.assign(f"sub i64 %end, {start}"), blocks)
                share = (low, high)
            self.matrix(moved[0], moved[1], moved[2], share, along_rows)
            return carried

        code.loop(first, stop, 1, [], one)

    def argument(self, i: int) -> str:
        place = self.code.assign(f"getelementptr ptr, ptr %arguments, i64 {i}")
        return self.code.assign(f"load ptr, ptr {place}")

    def clamp(self, a: Index, most: int) -> str:
        """An index, at least 0 and at most something."""
        code = self.code
        positive = code.assign(code.call("llvm.smax.i64", "i64", [f"i64 {a}", "i64 0"]))
        return code.assign(code.call("llvm.smin.i64", "i64", [f"i64 {positive}", f"i64 {most}"]))

    def matrix(
        self, a: str, b: str, c: str, share: tuple[Index, Index] | None, along_rows: bool
    ) -> None:
        """One product, or the share of it that lies in a range of its blocks."""
        code, shape, plan = self.code, self.shape, self.plan

        def panel(column: Index, width: int) -> None:
            b_here = code.move(b, self.kind, code.times(column, shape.b[1]))
            c_here = code.move(c, self.kind, column)
            vectors = self.vectors(width)
            strides = shape.b
            if plan.way == "packed":
                self.pack(b_here, vectors)
                b_here, strides = "%packed", (plan.width, 1)

            def tile(row: Index, rows: int) -> None:
                a_tile = code.move(a, self.kind, code.times(row, shape.a[0]))
                c_tile = code.move(c_here, self.kind, code.times(row, shape.c[0]))
                if plan.way == "dot":
                    self.dot_tile(a_tile, b_here, c_tile, rows, width)
                else:
                    self.outer_tile(a_tile, b_here, c_tile, rows, vectors, strides)

            self.blocks(shape.m, plan.rows, share if along_rows else None, tile)

        self.blocks(shape.n, plan.width, None if along_rows else share, panel)

    def blocks(
        self,
        length: int,
        step: int,
        share: tuple[Index, Index] | None,
        body: Callable[[Index, int], None],
    ) -> None:
        """Cut a length into blocks, and do those whose numbers lie in a share."""
        code = self.code
        whole, rest = divmod(length, step)

        def one(index: Index, carried: Carried) -> Carried:
            body(code.times(index, step), step)
            return carried

        def last(carried: Carried) -> Carried:
            body(whole * step, rest)
            return carried

        low, high = share or (0, whole + (rest > 0))
        if not rest:
            code.loop(low, high, 1, [], one)
        elif isinstance(high, int):
            code.loop(low, whole, 1, [], one)
            last([])
        else:
            code.loop(low, self.clamp(high, whole), 1, [], one)
            low_enough = code.assign(f"icmp sle i64 {low}, {whole}")
            high_enough = code.assign(f"icmp sgt i64 {high}, {whole}")
            both = code.assign(f"and i1 {low_enough}, {high_enough}")
            code.when(Value(both, bool_, 0), [], last)

    def vectors(self, width: int) -> list[_Vector]:
        """The vectors across a tile; the last has no more lanes than columns, if a power of 2."""
        lanes = self.plan.lanes
        found = [_Vector(start, lanes, lanes) for start in range(0, width - lanes + 1, lanes)]
        rest = width % lanes
        if rest:
            exact = rest & (rest - 1) == 0
            found.append(_Vector(width - rest, (rest if rest > 1 else 0) if exact else lanes, rest))
        return found

    # Registers

    def load(self, pointer: str, lanes: int, used: int) -> Value:
        """Neighbouring elements; 0 in the lanes that are not used."""
        zero = constant(0.0, self.shape.dtype, lanes)
        if used == max(lanes, 1):
            text = f"load {zero.type}, ptr {pointer}, align {self.align}"
            return self.code.value(text, zero)
        mask = ", ".join(f"i1 {'true' if lane < used else 'false'}" for lane in range(lanes))
        chosen = Value(f"<{mask}>", bool_, lanes)
        operands: list[Value | str] = [f"ptr {pointer}", f"i32 {self.align}", chosen, zero]
        name = f"llvm.masked.load.{suffix(self.kind, lanes)}.p0"
        return self.code.value(self.code.call(name, zero.type, operands), zero)

    def store(self, value: Value, pointer: str, used: int) -> None:
        """Write the lanes that are used, in pieces whose lengths are powers of 2."""
        code, start = self.code, 0
        while start < used:
            size = 1 << ((used - start).bit_length() - 1)
            piece = (
                value
                if size == max(value.lanes, 1)
                else code.pick(value, range(start, start + size))
            )
            place = code.move(pointer, self.kind, start)
            code.emit(f"store {piece}, ptr {place}, align {self.align}")
            start += size

    def finish(self, total: Value, pointer: str, used: int) -> None:
        """Write what a tile has added up to C."""
        code, shape = self.code, self.shape
        if shape.alpha != 1.0:
            factor = constant(shape.alpha, shape.dtype, total.lanes)
            total = code.binary("fmul", total, factor)
        if shape.accumulate:
            total = code.binary("fadd", total, self.load(pointer, total.lanes, used))
        self.store(total, pointer, used)

    # Tiles

    def outer_tile(
        self, a: str, b: str, c: str, rows: int, vectors: Sequence[_Vector], strides: Strides
    ) -> None:
        code, shape = self.code, self.shape
        tile = [(row, vector) for row in range(rows) for vector in vectors]
        unroll = max(1, min(4, 24 // len(tile)))

        def turn(index: Index, carried: Carried, steps: int) -> Carried:
            a_here = code.move(a, self.kind, code.times(index, shape.a[1]))
            b_here = code.move(b, self.kind, code.times(index, strides[0]))
            for step in range(steps):
                right = {}
                for vector in vectors:
                    place = code.move(b_here, self.kind, step * strides[0] + vector.start)
                    right[vector] = self.load(place, vector.lanes, vector.used)
                left = []
                for row in range(rows):
                    offset = row * shape.a[0] + step * shape.a[1]
                    left.append(self.load(code.move(a_here, self.kind, offset), 0, 1))
                carried = [
                    code.intrinsic(
                        "llvm.fmuladd", code.splat(left[row], vector.lanes), right[vector], old
                    )
                    for (row, vector), old in zip(tile, carried, strict=True)
                ]
            return carried

        totals = [constant(0.0, shape.dtype, vector.lanes) for _, vector in tile]
        whole = shape.k - shape.k % unroll
        totals = code.loop(0, whole, unroll, totals, lambda i, t: turn(i, t, unroll))
        if whole < shape.k:
            totals = turn(whole, totals, shape.k - whole)
        for (row, vector), total in zip(tile, totals, strict=True):
            place = code.move(c, self.kind, row * shape.c[0] + vector.start)
            self.finish(total, place, vector.used)

    def dot_tile(self, a: str, b: str, c: str, rows: int, columns: int) -> None:
        code, shape, lanes = self.code, self.shape, self.plan.lanes
        tile = [(row, column) for row in range(rows) for column in range(columns)]

        def turn(index: Index, carried: Carried, used: int) -> Carried:
            def part(pointer: str, offset: int) -> Value:
                return self.load(code.move(pointer, self.kind, offset), lanes, used)

            a_here, b_here = code.move(a, self.kind, index), code.move(b, self.kind, index)
            left = [part(a_here, row * shape.a[0]) for row in range(rows)]
            right = [part(b_here, column * shape.b[1]) for column in range(columns)]
            return [
                code.intrinsic("llvm.fmuladd", left[row], right[column], old)
                for (row, column), old in zip(tile, carried, strict=True)
            ]

        totals = [constant(0.0, shape.dtype, lanes) for _ in tile]
        totals = code.loop(0, shape.k, lanes, totals, lambda i, t: turn(i, t, lanes))
        if shape.k % lanes:
            totals = turn(shape.k - shape.k % lanes, totals, shape.k % lanes)
        zero = constant(0.0, shape.dtype)
        for (row, column), total in zip(tile, totals, strict=True):
            name = f"llvm.vector.reduce.fadd.{suffix(self.kind, lanes)}"
            text = code.call(name, self.kind, [zero, total]).replace("call", "call reassoc", 1)
            place = code.move(c, self.kind, row * shape.c[0] + column)
            self.finish(code.value(text, zero), place, 1)

    # Transposing

    def pack(self, b: str, vectors: Sequence[_Vector]) -> None:
        """Copy some columns of B into the stack, row by row."""
        code, shape, lanes = self.code, self.shape, self.plan.lanes
        down, across = shape.b

        def block(index: Index, carried: Carried) -> Carried:
            """As many rows as there are lanes."""
            from_ = code.move(b, self.kind, index)
            to = code.move("%packed", self.kind, code.times(index, self.plan.width))
            zero = constant(0.0, shape.dtype, lanes)
            for vector in vectors:
                columns = [
                    self.load(
                        code.move(from_, self.kind, (vector.start + i) * across), lanes, lanes
                    )
                    if i < vector.used
                    else zero
                    for i in range(lanes)
                ]
                for i, row in enumerate(self.transposed(columns)):
                    place = code.move(to, self.kind, i * self.plan.width + vector.start)
                    code.emit(f"store {row}, ptr {place}, align {self.align}")
            return carried

        def single(index: Index, carried: Carried) -> Carried:
            """One row."""
            from_ = code.move(b, self.kind, code.times(index, down))
            to = code.move("%packed", self.kind, code.times(index, self.plan.width))
            for vector in vectors:
                for i in range(vector.start, vector.start + vector.used):
                    value = self.load(code.move(from_, self.kind, i * across), 0, 1)
                    place = code.move(to, self.kind, i)
                    code.emit(f"store {value}, ptr {place}, align {self.align}")
            return carried

        def copy(index: Index, carried: Carried) -> Carried:
            """One row whose elements are neighbours."""
            from_ = code.move(b, self.kind, code.times(index, down))
            to = code.move("%packed", self.kind, code.times(index, self.plan.width))
            for vector in vectors:
                place = code.move(from_, self.kind, vector.start)
                row = self.load(place, vector.lanes, vector.used)
                self.store(row, code.move(to, self.kind, vector.start), max(vector.lanes, 1))
            return carried

        if across == 1:
            code.loop(0, shape.k, 1, [], copy)
        elif down == 1 and shape.k >= lanes:
            code.loop(0, shape.k, lanes, [], block)
            if shape.k % lanes:
                block(shape.k - lanes, [])
        else:
            code.loop(0, shape.k, 1, [], single)

    def transposed(self, rows: list[Value]) -> list[Value]:
        """A square of numbers, its columns from its rows; the lanes are a power of 2."""
        lanes = len(rows)
        step = 1
        while step < lanes:
            for i in range(lanes):
                if i & step == 0:
                    a, b = rows[i], rows[i + step]
                    low = [lanes + j - step if j & step else j for j in range(lanes)]
                    high = [lanes + j if j & step else j + step for j in range(lanes)]
                    rows[i], rows[i + step] = self.code.pick(a, low, b), self.code.pick(a, high, b)
            step *= 2
        return rows
