"""From a matrix product and its plan to LLVM's intermediate code; see ``small_products``.

The loops go over the matrices of a batch, blocks of k, blocks of rows, blocks of columns, the
columns of tiles, the tiles of a column, and k. Every element of C is the sum of the same products
in the same order, however the work is split.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...dtypes import bool_
from ..emit.code import Carried, Code, Index, Value, constant, suffix
from .emit_packing import Memory, Vector
from .small_products import Plan, Shape, Strides, extent


def emit(shape: Shape, plan: Plan, name: str) -> str:
    """The text of a module with one function that computes the product.

    Example:
        >>> from groundup.engine.compiler.products.emit_product import emit
        >>> from groundup.engine.compiler.products.small_products import Shape, best_plan
        >>> shape = Shape(gu.float32, 4, 8, 16, (16, 1), (8, 1), (8, 1))
        >>> print(emit(shape, best_plan(shape, 256), "small").partition("{")[0])
        define void @small(ptr %arguments, i64 %begin, i64 %end, i64 %part) nounwind
    """
    writer = _Writer(shape, plan)
    writer.write()
    return writer.code.module(name, writer.stack)


Range = tuple[Index, Index]
"""Numbers of tiles, the end not included."""


class _Writer:
    def __init__(self, shape: Shape, plan: Plan) -> None:
        self.shape, self.plan = shape, plan
        self.code = Code()
        self.memory = Memory(self.code, shape.dtype, plan.lanes)
        self.kind = self.memory.kind
        self.stack: list[str] = []
        for name, size in (("a", plan.rows * plan.block_a), ("b", plan.width * plan.block_b)):
            if size:
                text = f"  %packed_{name} = alloca {self.kind}, i64 {size * plan.depth}, align 64"
                self.stack.append(text)

    def write(self) -> None:
        """Write the body of the function: the products of the batch that the share touches."""
        code, shape = self.code, self.shape
        a, b, c = (self.argument(i) for i in ((1, 0, 2) if shape.swapped else (0, 1, 2)))
        total = extent(shape, self.plan)
        if not total:
            return
        blocks = total // shape.matrices
        if shape.matrices == 1:
            self.matrix(a, b, c, ("%begin", "%end") if blocks > 1 else None)
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
            self.matrix(moved[0], moved[1], moved[2], share)
            return carried

        code.loop(first, stop, 1, [], one)

    def argument(self, i: int) -> str:
        place = self.code.assign(f"getelementptr ptr, ptr %arguments, i64 {i}")
        return self.code.assign(f"load ptr, ptr {place}")

    def least(self, a: Index, b: Index) -> Index:
        if isinstance(a, int) and isinstance(b, int):
            return min(a, b)
        call = self.code.call("llvm.smin.i64", "i64", [f"i64 {a}", f"i64 {b}"])
        return self.code.assign(call)

    def clamp(self, a: Index, most: int) -> Index:
        """An index, at least 0 and at most something."""
        call = self.code.call("llvm.smax.i64", "i64", [f"i64 {a}", "i64 0"])
        return self.least(self.code.assign(call), most)

    # Blocks

    def matrix(self, a: str, b: str, c: str, share: Range | None) -> None:
        """One product, or the share of it that lies in a range of its tiles."""
        code, shape, plan = self.code, self.shape, self.plan
        down: Range = (0, -(-shape.m // plan.rows))
        across: Range = (0, -(-shape.n // plan.width))
        if share is not None:
            down, across = (share, across) if plan.along_rows else (down, share)
        whole, rest = divmod(shape.k, plan.depth)

        def block(k: Index, depth: int, added: bool | Value) -> None:
            a_here = code.move(a, self.kind, code.times(k, shape.a[1]))
            b_here = code.move(b, self.kind, code.times(k, shape.b[0]))
            self.slab(a_here, b_here, c, down, across, depth, shape.accumulate or added)

        def one(index: Index, carried: Carried) -> Carried:
            added: bool | Value = False
            if isinstance(index, str):
                added = Value(code.assign(f"icmp ne i64 {index}, 0"), bool_, 0)
            block(code.times(index, plan.depth), plan.depth, added)
            return carried

        code.loop(0, whole, 1, [], one)
        if rest or not whole:
            block(whole * plan.depth, rest, whole > 0)

    def slab(
        self,
        a: str,
        b: str,
        c: str,
        down: Range,
        across: Range,
        depth: int,
        added: bool | Value,
    ) -> None:
        """The product of a block of columns of A and the same rows of B."""
        code, shape, plan = self.code, self.shape, self.plan

        def rows(from_row: Index, to_row: Index) -> None:
            if plan.block_a:
                self.pack(a, "a", (shape.a[1], shape.a[0]), (from_row, to_row), depth)

            def columns(from_column: Index, to_column: Index) -> None:
                if plan.block_b:
                    self.pack(b, "b", shape.b, (from_column, to_column), depth)

                def panel(across: Index, width: int) -> None:
                    b_here, b_strides = self.place(b, "b", shape.b, across, from_column, depth)
                    column = code.times(across, plan.width)
                    c_here = code.move(c, self.kind, code.times(column, shape.c[1]))

                    def tile(down: Index, rows: int) -> None:
                        turned = (shape.a[1], shape.a[0])
                        a_tile, a_strides = self.place(a, "a", turned, down, from_row, depth)
                        row = code.times(down, plan.rows)
                        c_tile = code.move(c_here, self.kind, code.times(row, shape.c[0]))
                        if plan.way == "dot":
                            self.dot_tile(a_tile, b_here, c_tile, rows, width)
                        else:
                            strides = (a_strides, b_strides)
                            self.tile(a_tile, b_here, c_tile, rows, width, strides, depth, added)

                    self.tiles(shape.m, plan.rows, (from_row, to_row), tile)

                self.tiles(shape.n, plan.width, (from_column, to_column), panel)

            self.blocks(across, -(-shape.n // plan.width), plan.block_b, columns)

        self.blocks(down, -(-shape.m // plan.rows), plan.block_a, rows)

    def blocks(
        self, share: Range, tiles: int, most: int, body: Callable[[Index, Index], None]
    ) -> None:
        """Cut a range of the tiles into ranges that are not longer than something, if not 0."""
        code = self.code
        low, high = share
        if not most or most >= tiles:
            body(low, high)
            return

        def one(index: Index, carried: Carried) -> Carried:
            body(index, self.least(code.add(index, most), high))
            return carried

        # The last turn may be shorter than a step.
        code.loop(low, code.add(high, most - 1), most, [], one)

    def tiles(
        self, length: int, step: int, share: Range, body: Callable[[Index, int], None]
    ) -> None:
        """Do the tiles of a range, by their numbers; the last along the length may be smaller."""
        code = self.code
        whole, rest = divmod(length, step)
        low, high = share

        def one(index: Index, carried: Carried) -> Carried:
            body(index, step)
            return carried

        def last(carried: Carried) -> Carried:
            body(whole, rest)
            return carried

        if not rest:
            code.loop(low, high, 1, [], one)
            return
        code.loop(low, self.least(high, whole), 1, [], one)
        if isinstance(low, int) and isinstance(high, int):
            if high > whole:
                last([])
            return
        low_enough = code.assign(f"icmp sle i64 {low}, {whole}")
        high_enough = code.assign(f"icmp sgt i64 {high}, {whole}")
        both = code.assign(f"and i1 {low_enough}, {high_enough}")
        code.when(Value(both, bool_, 0), [], last)

    # Packing

    def pack(self, source: str, name: str, strides: Strides, share: Range, depth: int) -> None:
        """Copy the part of an operand that belongs to a range of tiles."""
        code = self.code
        length, width = self.sizes(name)

        def groups(body: Callable[[Index, Index, int], None]) -> None:
            def group(number: Index, used: int) -> None:
                body(self.minus(number, share[0]), code.times(number, width), used)

            self.tiles(length, width, share, group)

        self.memory.pack(source, f"%packed_{name}", strides, width, depth, groups)

    def place(
        self, source: str, name: str, strides: Strides, number: Index, first: Index, depth: int
    ) -> tuple[str, Strides]:
        """Where a tile's part of an operand is, and its strides (along k, across)."""
        code = self.code
        _, width = self.sizes(name)
        if not (self.plan.block_a if name == "a" else self.plan.block_b):
            steps = code.times(code.times(number, width), strides[1])
            return code.move(source, self.kind, steps), strides
        steps = code.times(self.minus(number, first), width * depth)
        return code.move(f"%packed_{name}", self.kind, steps), (width, 1)

    def sizes(self, name: str) -> tuple[int, int]:
        """(rows of A, of a tile) or (columns of B, of a tile)."""
        if name == "a":
            return self.shape.m, self.plan.rows
        return self.shape.n, self.plan.width

    def minus(self, a: Index, b: Index) -> Index:
        if isinstance(a, int) and isinstance(b, int):
            return a - b
        return a if b == 0 else self.code.assign(f"sub nsw i64 {a}, {b}")

    # Tiles

    def vectors(self, width: int) -> list[Vector]:
        """The vectors across a tile; the last has no more lanes than columns, if a power of 2."""
        lanes = self.plan.lanes
        found = [Vector(start, lanes, lanes) for start in range(0, width - lanes + 1, lanes)]
        rest = width % lanes
        if rest:
            exact = rest & (rest - 1) == 0
            found.append(Vector(width - rest, (rest if rest > 1 else 0) if exact else lanes, rest))
        return found

    def tile(
        self,
        a: str,
        b: str,
        c: str,
        rows: int,
        width: int,
        strides: tuple[Strides, Strides],
        depth: int,
        added: bool | Value,
    ) -> None:
        """A tile of C; the strides of A and B are (along k, across)."""
        code, dtype = self.code, self.shape.dtype
        (a_along, a_across), (b_along, _) = strides
        vectors = self.vectors(width)
        tile = [(row, vector) for row in range(rows) for vector in vectors]
        unroll = max(1, min(4, 24 // len(tile)))

        def turn(index: Index, carried: Carried, steps: int) -> Carried:
            a_here = code.move(a, self.kind, code.times(index, a_along))
            b_here = code.move(b, self.kind, code.times(index, b_along))
            for step in range(steps):
                right = {}
                for vector in vectors:
                    place = code.move(b_here, self.kind, step * b_along + vector.start)
                    right[vector] = self.memory.load(place, vector.lanes, vector.used)
                left = []
                for row in range(rows):
                    offset = row * a_across + step * a_along
                    left.append(self.memory.load(code.move(a_here, self.kind, offset), 0, 1))
                carried = [
                    code.intrinsic(
                        "llvm.fmuladd", code.splat(left[row], vector.lanes), right[vector], old
                    )
                    for (row, vector), old in zip(tile, carried, strict=True)
                ]
            return carried

        totals = [constant(0.0, dtype, vector.lanes) for _, vector in tile]
        whole = depth - depth % unroll
        totals = code.loop(0, whole, unroll, totals, lambda i, t: turn(i, t, unroll))
        if whole < depth:
            totals = turn(whole, totals, depth - whole)
        self.finish(totals, c, rows, vectors, added)

    def dot_tile(self, a: str, b: str, c: str, rows: int, columns: int) -> None:
        """A tile of C, for each element of which k runs in a vector."""
        code, shape, lanes = self.code, self.shape, self.plan.lanes
        tile = [(row, column) for row in range(rows) for column in range(columns)]

        def turn(index: Index, carried: Carried, used: int) -> Carried:
            def part(pointer: str, offset: int) -> Value:
                return self.memory.load(code.move(pointer, self.kind, offset), lanes, used)

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
        name = f"llvm.vector.reduce.fadd.{suffix(self.kind, lanes)}"
        sums = []
        for total in totals:
            text = code.call(name, self.kind, [zero, total]).replace("call", "call reassoc", 1)
            sums.append(code.value(text, zero))
        vectors = [Vector(column, 0, 1) for column in range(columns)]
        self.finish(sums, c, rows, vectors, shape.accumulate)

    # Results

    def finish(
        self,
        totals: Sequence[Value],
        c: str,
        rows: int,
        vectors: Sequence[Vector],
        added: bool | Value,
    ) -> None:
        """Write what a tile has summed to C, or add it to what is there."""
        code, shape = self.code, self.shape
        down, across = shape.c
        if shape.alpha != 1.0:
            totals = [
                code.binary("fmul", x, constant(shape.alpha, shape.dtype, x.lanes)) for x in totals
            ]
        grid = [list(totals[i : i + len(vectors)]) for i in range(0, len(totals), len(vectors))]
        stored: list[tuple[Value, Index, int]] = []
        for i, vector in enumerate(vectors):
            column = [row[i] for row in grid]
            if across == 1 or vector.lanes == 0:
                for row, value in enumerate(column):
                    stored.append((value, row * down + vector.start * across, vector.used))
            elif down == 1 and vector.lanes == self.plan.lanes:
                stored += self.turned(column, vector)
            else:
                for row, value in enumerate(column):
                    for lane in range(vector.used):
                        place = row * down + (vector.start + lane) * across
                        stored.append((code.lane(value, lane), place, 1))
        if added is False:
            self.write_all(c, stored)
        elif added is True:
            self.write_all(c, self.increased(c, stored))
        else:
            old = [value for value, _, _ in stored]
            places = [(place, used) for _, place, used in stored]

            def increase(carried: Carried) -> Carried:
                triples = [(x, *place) for x, place in zip(carried, places, strict=True)]
                return [value for value, _, _ in self.increased(c, triples)]

            new = code.when(added, old, increase)
            self.write_all(c, [(x, *place) for x, place in zip(new, places, strict=True)])

    def turned(self, column: Sequence[Value], vector: Vector) -> list[tuple[Value, Index, int]]:
        """A column of vectors of a tile, as vectors that run down the tile."""
        lanes, found = vector.lanes, []
        zero = constant(0.0, self.shape.dtype, lanes)
        for start in range(0, len(column), lanes):
            rows = list(column[start : start + lanes])
            square = self.memory.transposed([*rows, *([zero] * (lanes - len(rows)))])
            for i, value in enumerate(square[: vector.used]):
                place: Index = start + (vector.start + i) * self.shape.c[1]
                found.append((value, place, len(rows)))
        return found

    def increased(
        self, c: str, stored: Sequence[tuple[Value, Index, int]]
    ) -> list[tuple[Value, Index, int]]:
        """What is to be stored, and what is there already, added up."""
        found = []
        for value, place, used in stored:
            there = self.memory.load(self.code.move(c, self.kind, place), value.lanes, used)
            found.append((self.code.binary("fadd", value, there), place, used))
        return found

    def write_all(self, c: str, stored: Sequence[tuple[Value, Index, int]]) -> None:
        for value, place, used in stored:
            self.memory.store(value, self.code.move(c, self.kind, place), used)
