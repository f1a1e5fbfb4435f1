"""From a contraction and its plan to LLVM's intermediate code; see ``contraction``.

The loops go over the matrices and the boxes of columns, which are shared out, over the tiles of a
box, and over the inner dimensions, of which the last are unrolled. Every element of C is the sum of
the same products in the same order, however the work is split.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ...dtypes import bool_
from ..emit.code import KINDS, Carried, Code, Index, Value, constant, suffix
from .contraction import Contraction, Offsets, Plan, box, runs, vectors

_UNROLLED = 72
"""Products of vectors in one turn of the innermost loop."""


def emit(shape: Contraction, plan: Plan, name: str) -> str:
    """The text of a module with one function that computes the contraction.

    Example:
        >>> from groundup.engine.compiler.products.contraction import best_plan, contraction
        >>> from groundup.engine.compiler.products.emit_contraction import emit
        >>> shape = contraction(gu.float32, ((1, 4, 3), (12, 3, 1)), ((2, 1, 3, 5), (15, 15, 5, 1)))
        >>> print(emit(shape, best_plan(shape, 256), "sums").partition("{")[0])
        define void @sums(ptr %arguments, i64 %begin, i64 %end, i64 %part) nounwind
    """
    writer = _ByInner(shape, plan) if plan.way == "dot" else _ByColumns(shape, plan)
    writer.write()
    return writer.code.module(name, writer.stack)


def extent(shape: Contraction, plan: Plan) -> int:
    """What there is to share out: boxes of columns, or, for "dot", their tiles."""
    outside = [size for size, *_ in (*shape.batch, *shape.columns[: plan.axis])]
    boxes = -(-shape.columns[plan.axis][0] // plan.count)
    tiles = -(-shape.rows[0] // plan.rows) if plan.way == "dot" else 1
    return math.prod(outside) * boxes * tiles


class _Writer:
    """What both ways have in common."""

    def __init__(self, shape: Contraction, plan: Plan) -> None:
        self.shape, self.plan = shape, plan
        self.code = Code()
        self.kind = KINDS[shape.dtype]
        self.align = shape.dtype.itemsize
        self.stack: list[str] = []

    def argument(self, i: int) -> str:
        place = self.code.assign(f"getelementptr ptr, ptr %arguments, i64 {i}")
        return self.code.assign(f"load ptr, ptr {place}")

    def move(self, pointer: str, index: Index, stride: int) -> str:
        if not stride:
            return pointer
        return self.code.move(pointer, self.kind, self.code.times(index, stride))

    def divided(self, index: Index, size: int) -> tuple[Index, Index]:
        """(quotient, remainder)."""
        if size == 1:
            return index, 0
        quotient = self.code.assign(f"udiv i64 {index}, {size}")
        return quotient, self.code.assign(f"urem i64 {index}, {size}")

    def at_box(self, index: Index, a: str, b: str, c: str) -> tuple[str, str, str, Index]:
        """The operands of a box of columns, and its number along its dimension."""
        plan = self.plan
        size, step_b, step_c = self.shape.columns[plan.axis]
        rest, number = self.divided(index, -(-size // plan.count))
        b = self.move(b, number, plan.count * step_b)
        c = self.move(c, number, plan.count * step_c)
        for size, step_b, step_c in reversed(self.shape.columns[: plan.axis]):
            rest, along = self.divided(rest, size)
            b, c = self.move(b, along, step_b), self.move(c, along, step_c)
        for size, step_a, step_b, step_c in reversed(self.shape.batch):
            rest, along = self.divided(rest, size)
            a, b = self.move(a, along, step_a), self.move(b, along, step_b)
            c = self.move(c, along, step_c)
        return a, b, c, number

    def either(self, number: Index, full: int, whole: int, rest: int, body: _Body) -> None:
        """Do something of the size of all parts but the last, or of that of the last."""
        if not rest:
            body(whole)
            return
        code = self.code

        def of_size(size: int) -> Callable[[Carried], Carried]:
            def one(carried: Carried) -> Carried:
                body(size)
                return carried

            return one

        for condition, size in (("ne", whole), ("eq", rest)):
            here = Value(code.assign(f"icmp {condition} i64 {number}, {full}"), bool_, 0)
            code.when(here, [], of_size(size))

    def each(self, start: Index, stop: Index, body: Callable[[Index], None]) -> None:
        """A loop that carries nothing."""

        def turn(index: Index, carried: Carried) -> Carried:
            body(index)
            return carried

        self.code.loop(start, stop, 1, [], turn)

    def places(self, operand: int, count: int) -> Offsets:
        """Where the columns of a box lie, in B (1) or C (2)."""
        dims = self.shape.columns[self.plan.axis :]
        return box(tuple([(d[0], d[operand]) for d in dims]), count)

    # Vectors

    def at(self, pointer: str, place: int) -> str:
        return self.code.move(pointer, self.kind, place)

    def number(self, pointer: str) -> Value:
        like = constant(0.0, self.shape.dtype)
        return self.code.value(f"load {self.kind}, ptr {pointer}, align {self.align}", like)

    def row(self, pointer: str, lanes: int) -> Value:
        like = constant(0.0, self.shape.dtype, lanes)
        return self.code.value(f"load {like.type}, ptr {pointer}, align {self.align}", like)

    def load(self, pointer: str, places: Offsets, lanes: int) -> Value:
        """A vector of the elements at some places; 0 in lanes that are left."""
        code = self.code
        parts = runs(places)
        step = parts[0][2]
        if len(parts) == 1 and len(places) == lanes:
            if step == 1:
                return self.row(self.at(pointer, places[0]), lanes)
            if step == 0:
                return code.splat(self.number(self.at(pointer, places[0])), lanes)
            if step == 2:
                low = self.row(self.at(pointer, places[0]), lanes)
                high = self.row(self.at(pointer, places[0] + lanes - 1), lanes)
                odd = [lanes + 1 + 2 * i for i in range(lanes // 2)]
                return code.pick(low, [*range(0, lanes, 2), *odd], high)
        half = lanes // 2
        if half > 1 and len(places) == lanes:
            halves = [places[:half], places[half:]]
            if all(len(part := runs(one)) == 1 and 0 <= part[0][2] <= 2 for one in halves):
                low, high = (self.load(pointer, one, half) for one in halves)
                return code.pick(low, range(lanes), high)
        found = constant(0.0, self.shape.dtype, lanes)
        for first, count, step in parts:
            if step == 1 and count > 1:
                chosen = (int(first <= lane < first + count) for lane in range(lanes))
                mask = Value(f"<{', '.join(f'i1 {bit}' for bit in chosen)}>", bool_, lanes)
                name = f"llvm.masked.load.{suffix(self.kind, lanes)}.p0"
                place = self.at(pointer, places[first] - first)
                operands: list[Value | str] = [f"ptr {place}", f"i32 {self.align}", mask, found]
                found = code.value(code.call(name, found.type, operands), found)
                continue
            for lane in range(first, first + count):
                single = self.number(self.at(pointer, places[lane]))
                found = code.value(f"insertelement {found}, {single}, i64 {lane}", found)
        return found

    def store(self, value: Value, pointer: str, places: Offsets) -> None:
        """Write the lanes of a vector to some places."""
        code = self.code
        for first, count, step in runs(places):
            start = first
            while start < first + count:
                left = first + count - start
                size = 1 << (left.bit_length() - 1) if step == 1 else 1
                place = self.at(pointer, places[start])
                if size == value.lanes:
                    piece = value
                elif size == 1:
                    piece = code.lane(value, start)
                else:
                    piece = code.pick(value, range(start, start + size))
                code.emit(f"store {piece}, ptr {place}, align {self.align}")
                start += size

    def add(self, a: Value, b: Value, total: Value) -> Value:
        return self.code.intrinsic("llvm.fmuladd", a, b, total)


_Body = Callable[[int], None]


class _ByColumns(_Writer):
    """Vectors along the columns."""

    def write(self) -> None:
        shape, plan = self.shape, self.plan
        a, b, c = (self.argument(i) for i in range(3))
        whole, rest = divmod(shape.columns[plan.axis][0], plan.count)
        self.width = len(vectors(self.places(1, plan.count), plan.lanes)) * plan.lanes
        if plan.way == "packed":
            size = shape.sizes[3] * self.width
            self.stack.append(f"  %packed = alloca {self.kind}, i64 {size}, align 64")

        def one(index: Index) -> None:
            a_box, b_box, c_box, number = self.at_box(index, a, b, c)
            self.either(
                number, whole, plan.count, rest, lambda n: self.columns(a_box, b_box, c_box, n)
            )

        self.each("%begin", "%end", one)

    def columns(self, a: str, b: str, c: str, count: int) -> None:
        """All rows of a box of columns."""
        shape, plan = self.shape, self.plan
        pieces = vectors(self.places(1, count), plan.lanes)
        inner = list(shape.inner)
        if plan.way == "packed":
            steps = [
                math.prod(size for size, *_ in inner[d + 1 :]) * self.width
                for d in range(len(inner))
            ]
            self.pack(b, pieces, steps)
            b = "%packed"
            inner = [(size, to_a, step) for (size, to_a, _), step in zip(inner, steps, strict=True)]
            lanes = plan.lanes
            pieces = [tuple(range(i * lanes, (i + 1) * lanes)) for i in range(len(pieces))]
        size, to_a, to_c = shape.rows

        def tile(row: Index, rows: int) -> None:
            a_tile, c_tile = self.move(a, row, to_a), self.move(c, row, to_c)
            totals = [constant(0.0, shape.dtype, plan.lanes)] * (rows * len(pieces))
            totals = self.along(a_tile, b, inner, rows, pieces, totals)
            targets = vectors(self.places(2, count), plan.lanes)
            for i, total in enumerate(totals):
                row_, target = divmod(i, len(targets))
                self.store(total, self.at(c_tile, row_ * to_c), targets[target])

        steps_ = size // plan.rows
        self.each(0, steps_, lambda i: tile(self.code.times(i, plan.rows), plan.rows))
        if size % plan.rows:
            tile(steps_ * plan.rows, size % plan.rows)

    def pack(self, b: str, pieces: Sequence[Offsets], steps: Sequence[int]) -> None:
        """Copy the columns of a box to the stack."""
        lanes = self.plan.lanes

        def loops(d: int, from_: str, to: str) -> None:
            if d == len(steps):
                for i, places in enumerate(pieces):
                    found = self.load(from_, places, lanes)
                    target = self.at(to, i * lanes)
                    self.code.emit(f"store {found}, ptr {target}, align {self.align}")
                return
            size, _, stride = self.shape.inner[d]
            self.each(
                0,
                size,
                lambda i: loops(d + 1, self.move(from_, i, stride), self.move(to, i, steps[d])),
            )

        loops(0, b, "%packed")

    def along(
        self,
        a: str,
        b: str,
        inner: Sequence[tuple[int, int, int]],
        rows: int,
        pieces: Sequence[Offsets],
        totals: Carried,
    ) -> Carried:
        """Add up over the inner dimensions: loops, and inside of them what is unrolled."""
        code = self.code
        turns = max(1, _UNROLLED // (rows * len(pieces)))
        (size, to_a, to_b), *later = inner
        points = math.prod(n for n, *_ in inner)
        if points <= turns or (not later and size <= 2 * turns):
            left, right = box_of(inner, size, 1), box_of(inner, size, 2)
            return self.unrolled(a, b, left, right, rows, pieces, totals)
        if later:
            return code.loop(
                0,
                size,
                1,
                totals,
                lambda i, t: self.along(
                    self.move(a, i, to_a), self.move(b, i, to_b), later, rows, pieces, t
                ),
            )
        whole = size - size % turns

        def some(index: Index, totals: Carried, count: int) -> Carried:
            a_here, b_here = self.move(a, index, to_a), self.move(b, index, to_b)
            left, right = box_of(inner, count, 1), box_of(inner, count, 2)
            return self.unrolled(a_here, b_here, left, right, rows, pieces, totals)

        totals = code.loop(0, whole, turns, totals, lambda i, t: some(i, t, turns))
        return some(whole, totals, size - whole) if whole < size else totals

    def unrolled(
        self,
        a: str,
        b: str,
        left: Offsets,
        right: Offsets,
        rows: int,
        pieces: Sequence[Offsets],
        totals: Carried,
    ) -> Carried:
        """Add up over some inner indices, whose places in A and B are given."""
        lanes, down = self.plan.lanes, self.shape.rows[1]
        totals = list(totals)
        for at_a, at_b in zip(left, right, strict=True):
            here = self.at(b, at_b)
            found = [self.load(here, places, lanes) for places in pieces]
            for row in range(rows):
                factor = self.code.splat(self.number(self.at(a, at_a + row * down)), lanes)
                for i, vector in enumerate(found):
                    place = row * len(pieces) + i
                    totals[place] = self.add(factor, vector, totals[place])
        return totals


def box_of(inner: Sequence[tuple[int, int, int]], count: int, operand: int) -> Offsets:
    """The places of some inner indices in A (1) or B (2)."""
    return box(tuple([(d[0], d[operand]) for d in inner]), count)


class _ByInner(_Writer):
    """Vectors along the inner index."""

    def write(self) -> None:
        shape, plan = self.shape, self.plan
        a, b, c = (self.argument(i) for i in range(3))
        size, to_a, to_c = shape.rows
        tiles = -(-size // plan.rows)
        whole, rest = divmod(shape.columns[plan.axis][0], plan.count)

        def all_tiles(start: Index, stop: Index, first: Value | None) -> None:
            def one(index: Index) -> None:
                number, tile = self.divided(index, tiles)
                a_box, b_box, c_box, along = self.at_box(number, a, b, c)
                a_box = self.move(a_box, tile, plan.rows * to_a)
                c_box = self.move(c_box, tile, plan.rows * to_c)

                def columns(count: int) -> None:
                    self.either(
                        tile,
                        size // plan.rows,
                        plan.rows,
                        size % plan.rows,
                        lambda rows: self.tile(
                            a_box, b_box, c_box, (rows, count), (start, stop), first
                        ),
                    )

                self.either(along, whole, plan.count, rest, columns)

            self.each("%begin", "%end", one)

        images = shape.inner[0][0]
        if not plan.block:
            return all_tiles(0, images, None)

        def block(index: Index) -> None:
            code = self.code
            start = code.times(index, plan.block)
            end = code.add(start, plan.block)
            stop = code.assign(code.call("llvm.smin.i64", "i64", [f"i64 {end}", f"i64 {images}"]))
            all_tiles(start, stop, Value(code.assign(f"icmp eq i64 {index}, 0"), bool_, 0))

        return self.each(0, -(-images // plan.block), block)

    def tile(
        self,
        a: str,
        b: str,
        c: str,
        sizes: tuple[int, int],
        images: tuple[Index, Index],
        first: Value | None,
    ) -> None:
        """One tile, added up over some of the first inner dimension."""
        code, shape = self.code, self.shape
        rows, count = sizes
        columns = self.places(1, count)
        totals = [constant(0.0, shape.dtype, self.plan.lanes)] * (rows * len(columns))
        totals = self.along(a, b, 0, images, (rows, columns), totals)
        zero = constant(0.0, shape.dtype)
        targets = self.places(2, count)
        for i, total in enumerate(totals):
            row, column = divmod(i, len(columns))
            name = f"llvm.vector.reduce.fadd.{suffix(self.kind, self.plan.lanes)}"
            text = code.call(name, self.kind, [zero, total]).replace("call", "call reassoc", 1)
            found = code.value(text, zero)
            place = self.at(c, row * shape.rows[2] + targets[column])
            if first is not None:
                before = code.select(first, zero, self.number(place))
                found = code.binary("fadd", found, before)
            code.emit(f"store {found}, ptr {place}, align {self.align}")

    def along(
        self,
        a: str,
        b: str,
        d: int,
        bounds: tuple[Index, Index],
        tile: tuple[int, Offsets],
        totals: Carried,
    ) -> Carried:
        """The loops over the inner dimensions, from one on; the last form boxes."""
        code, shape, plan = self.code, self.shape, self.plan
        size, to_a, to_b = shape.inner[d]
        if d < plan.inner_axis:
            return code.loop(
                *bounds,
                1,
                totals,
                lambda i, t: self.along(
                    self.move(a, i, to_a),
                    self.move(b, i, to_b),
                    d + 1,
                    (0, shape.inner[d + 1][0]),
                    tile,
                    t,
                ),
            )

        def some(index: Index, totals: Carried, count: int) -> Carried:
            a_here, b_here = self.move(a, index, to_a), self.move(b, index, to_b)
            return self.unrolled(a_here, b_here, count, tile, totals)

        step = plan.inner_count
        whole = size - size % step
        totals = code.loop(0, whole, step, totals, lambda i, t: some(i, t, step))
        return some(whole, totals, size - whole) if whole < size else totals

    def unrolled(
        self, a: str, b: str, count: int, tile: tuple[int, Offsets], totals: Carried
    ) -> Carried:
        """Add up over a box of inner indices, vector by vector."""
        lanes = self.plan.lanes
        rows, columns = tile
        inner = self.shape.inner[self.plan.inner_axis :]
        pairs = zip(
            vectors(box_of(inner, count, 1), lanes),
            vectors(box_of(inner, count, 2), lanes),
            strict=True,
        )
        totals = list(totals)
        for at_a, at_b in pairs:
            left = [(self.at(a, row * self.shape.rows[1]), at_a) for row in range(rows)]
            right = [(self.at(b, column), at_b) for column in columns]
            # The fewer of both are held in registers while the others pass by.
            turned = len(columns) > rows
            held = [self.load(*one, lanes) for one in (left if turned else right)]
            for i, passing in enumerate(right if turned else left):
                factor = self.load(*passing, lanes)
                for j, other in enumerate(held):
                    place = j * len(columns) + i if turned else i * len(columns) + j
                    totals[place] = self.add(factor, other, totals[place])
        return totals
