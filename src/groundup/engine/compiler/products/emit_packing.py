"""Code that copies blocks of matrices so that a product reads them one element after the other.

What is copied is cut into groups of neighbouring rows of A or columns of B, as many as a tile has.
A group is stored for each k in turn: (groups, k, neighbours). Vectors carry neighbours where these
are contiguous, and squares of numbers are transposed in registers where k is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...dtypes import DType, bool_
from ..emit.code import KINDS, Carried, Code, Index, Value, constant, suffix

_TOGETHER = 8
"""Steps of k copied for one group before the next group."""


@dataclass(frozen=True)
class Vector:
    """Some neighbours.

    Attributes:
        start: the first of them.
        lanes: of the vector; 0 for a single number.
        used: how many lanes hold one.
    """

    start: int
    lanes: int
    used: int


class Memory:
    """Loads, stores and copies of the elements of matrices.

    Args:
        code: what is written.
        dtype: of the elements.
        lanes: of a whole vector.
    """

    def __init__(self, code: Code, dtype: DType, lanes: int) -> None:
        self.code, self.dtype, self.lanes = code, dtype, lanes
        self.kind, self.align = KINDS[dtype], dtype.itemsize

    def load(self, pointer: str, lanes: int, used: int) -> Value:
        """Neighbouring elements; 0 in the lanes that are not used."""
        zero = constant(0.0, self.dtype, lanes)
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

    def transposed(self, rows: Sequence[Value]) -> list[Value]:
        """A square of numbers, its columns from its rows; the lanes are a power of 2."""
        rows = list(rows)
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

    def pack(
        self,
        source: str,
        target: str,
        strides: tuple[int, int],
        width: int,
        depth: int,
        groups: Callable[[Callable[[Index, Index, int], None]], None],
    ) -> None:
        """Copy groups of neighbours.

        Args:
            source: where the first group's first element is.
            target: where it goes.
            strides: (from one k to the next, from neighbour to neighbour) in the source.
            width: neighbours in a group.
            depth: how many k.
            groups: calls a function with what every group is: the number of its place, its first
                neighbour and how many neighbours it has.
        """
        along, across = strides
        if across == 1:
            step, copy = _TOGETHER, self._rows
        elif along == 1 and depth >= self.lanes:
            step, copy = self.lanes, self._square
        else:
            step, copy = 1, self._rows

        def some(k: Index, count: int) -> None:
            def group(number: Index, first: Index, used: int) -> None:
                code = self.code
                where = code.add(code.times(k, along), code.times(first, across))
                place = code.add(code.times(number, width * depth), code.times(k, width))
                from_ = code.move(source, self.kind, where)
                to = code.move(target, self.kind, place)
                copy(from_, to, strides, width, used, count)

            groups(group)

        def one(k: Index, carried: Carried) -> Carried:
            some(k, step)
            return carried

        self.code.loop(0, depth, step, [], one)
        if depth % step:
            if copy == self._square:
                some(depth - step, step)  # some once more
            else:
                some(depth - depth % step, depth % step)

    def _rows(
        self, source: str, target: str, strides: tuple[int, int], width: int, used: int, count: int
    ) -> None:
        """For some k, neighbours that need not be contiguous."""
        along, across = strides
        for k in range(count):
            if across != 1:
                for i in range(used):
                    place = self.code.move(source, self.kind, k * along + i * across)
                    value = self.load(place, 0, 1)
                    self.store(value, self.code.move(target, self.kind, k * width + i), 1)
                continue
            for start in range(0, used, self.lanes):
                lanes = min(self.lanes, width - start)
                held = min(lanes, used - start)
                place = self.code.move(source, self.kind, k * along + start)
                to = self.code.move(target, self.kind, k * width + start)
                if lanes == self.lanes:
                    self.code.emit(
                        f"store {self.load(place, lanes, held)}, ptr {to}, align {self.align}"
                    )
                else:
                    value = self.load(place, held if held > 1 else 0, held)
                    self.code.emit(f"store {value}, ptr {to}, align {self.align}")

    def _square(
        self, source: str, target: str, strides: tuple[int, int], width: int, used: int, count: int
    ) -> None:
        """As many k as there are lanes, contiguous for each neighbour."""
        across = strides[1]
        zero = constant(0.0, self.dtype, self.lanes)
        for start in range(0, used, self.lanes):
            held = [
                self.load(self.code.move(source, self.kind, (start + i) * across), count, count)
                if start + i < used
                else zero
                for i in range(self.lanes)
            ]
            stored = min(self.lanes, width - start)
            for k, row in enumerate(self.transposed(held)):
                to = self.code.move(target, self.kind, k * width + start)
                self.store(row, to, stored)
