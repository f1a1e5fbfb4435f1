"""Writing and adding at positions as LLVM's intermediate code.

Values are rows (P, n, C), positions (P or 1, n) of int64, what is written P arrays (m, C). Each row
goes to where its position says, one after the other, so that sums are added up in the order of the
rows and of two rows with one position the later stays. A position outside of 0 to m - 1 is passed
over. Shares are ranges of the P arrays, or of the columns of the only one: no two write to the same
place, and what is written does not depend on how many there are.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...dtypes import DType, bool_, int64
from ..emit.code import Carried, Code, Index, Value
from ..emit.memory import Lanes, load, store
from ..emit.values import combine

_COLUMNS = 16
"""Columns of a share are a multiple of this."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What is written where.

    Attributes:
        dtype: of the values.
        arrays: P.
        rows: n.
        columns: C.
        places: m.
        own: whether each array has positions of its own.
        before: what is there before the first row: "zeros", a "copy" of the third argument, or
            what "is" there already.
        adds: whether values are added; else they replace.
    """

    dtype: DType
    arrays: int
    rows: int
    columns: int
    places: int
    own: bool
    before: str
    adds: bool

    @property
    def by_columns(self) -> bool:
        """Whether columns are shared out."""
        return self.arrays == 1 and self.columns >= 2 * _COLUMNS

    @property
    def extent(self) -> int:
        """How much there is to share out."""
        return -(-self.columns // _COLUMNS) if self.by_columns else self.arrays


def emit(shape: Shape, name: str, bits: int) -> str:
    """The text of a module with one function, of (values, positions, before, result).

    Example:
        >>> from groundup.engine.compiler.products.emit_index import Shape, emit
        >>> shape = Shape(gu.float32, 1, 8, 4, 10, False, "zeros", True)
        >>> print(emit(shape, "scatter", 256).partition("{")[0])
        define void @scatter(ptr %arguments, i64 %begin, i64 %end, i64 %part) nounwind
    """
    writer = _Writer(shape, bits)
    writer.write()
    return writer.code.module(name)


class _Writer:
    def __init__(self, shape: Shape, bits: int) -> None:
        self.shape = shape
        self.code = Code()
        self.width = max(bits // 8 // shape.dtype.itemsize, 1)
        self.kind = f"i{8 * shape.dtype.itemsize}"  # for addresses

    def write(self) -> None:
        """Write the body of the function."""
        code, shape = self.code, self.shape
        values, positions, before, result = (self.argument(i) for i in range(4))
        first: Index = 0
        last: Index = shape.columns
        if shape.by_columns:
            first = code.times("%begin", _COLUMNS)
            most = code.times("%end", _COLUMNS)
            last = code.assign(
                code.call("llvm.smin.i64", "i64", [f"i64 {most}", f"i64 {shape.columns}"])
            )

        def array(index: Index, carried: Carried) -> Carried:
            there = code.times(index, shape.places * shape.columns)
            target = code.move(result, self.kind, there)
            self.begin(target, code.move(before, self.kind, there), first, last)
            here = code.times(index, shape.rows * shape.columns)
            at = code.times(index, shape.rows) if shape.own else 0
            self.rows(
                code.move(values, self.kind, here),
                code.move(positions, "i64", at),
                target,
                first,
                last,
            )
            return carried

        if shape.arrays == 1:
            array(0, [])
        else:
            code.loop("%begin", "%end", 1, [], array)

    def argument(self, i: int) -> str:
        place = self.code.assign(f"getelementptr ptr, ptr %arguments, i64 {i}")
        return self.code.assign(f"load ptr, ptr {place}")

    def begin(self, target: str, before: str, first: Index, last: Index) -> None:
        """What is there before the first row."""
        code, shape = self.code, self.shape
        if shape.before == "is":
            return

        def fill(target: str, source: str, elements: Index) -> None:
            size = f"i64 {code.times(elements, shape.dtype.itemsize)}"
            if shape.before == "zeros":
                operands: list[Value | str] = [f"ptr {target}", "i8 0", size, "i1 false"]
                code.emit(code.call("llvm.memset.p0.i64", "void", operands))
            else:
                operands = [f"ptr {target}", f"ptr {source}", size, "i1 false"]
                code.emit(code.call("llvm.memcpy.p0.p0.i64", "void", operands))

        if not shape.by_columns:
            fill(target, before, shape.places * shape.columns)
            return
        count = code.assign(f"sub nsw i64 {last}, {first}")

        def row(index: Index, carried: Carried) -> Carried:
            start = code.add(code.times(index, shape.columns), first)
            fill(code.move(target, self.kind, start), code.move(before, self.kind, start), count)
            return carried

        code.loop(0, shape.places, 1, [], row)

    def rows(self, values: str, positions: str, target: str, first: Index, last: Index) -> None:
        """All rows of one array."""
        code, shape = self.code, self.shape

        def row(index: Index, carried: Carried) -> Carried:
            place = code.move(positions, "i64", index)
            at = load(code, place, int64, 1, None)
            inside = Value(code.assign(f"icmp ult {at}, {shape.places}"), bool_, 0)
            source = code.move(values, self.kind, code.times(index, shape.columns))

            def move(carried: Carried) -> Carried:
                there = code.move(target, self.kind, code.times(at.name, shape.columns))
                self.columns(source, there, first, last)
                return carried

            return code.when(inside, carried, move)

        code.loop(0, shape.rows, 1, [], row)

    def columns(self, source: str, target: str, first: Index, last: Index) -> None:
        """One row."""
        code, width = self.code, self.width

        def vectors(count: int, lanes: Lanes | None) -> None:
            nonlocal first
            step = (lanes.width if lanes else 1) * count

            def turn(index: Index, carried: Carried) -> Carried:
                for i in range(count):
                    self.one(source, target, code.add(index, i * (step // count)), lanes)
                return carried

            code.loop(first, last, step, [], turn)
            if isinstance(first, int) and isinstance(last, int):
                first += (last - first) // step * step
            else:
                rest = code.assign(f"sub nsw i64 {last}, {first}")
                first = code.add(first, code.assign(f"and i64 {rest}, {-step}"))

        vectors(4, Lanes(width, width))
        vectors(1, Lanes(width, width))
        vectors(1, None)

    def one(self, source: str, target: str, index: Index, lanes: Lanes | None) -> None:
        """A vector of a row, or a number."""
        code, dtype = self.code, self.shape.dtype
        place = code.move(target, self.kind, index)
        new = load(code, code.move(source, self.kind, index), dtype, 1, lanes)
        if self.shape.adds:
            new = combine(code, "sum", load(code, place, dtype, 1, lanes), new)
        store(code, place, new, 1, lanes)
