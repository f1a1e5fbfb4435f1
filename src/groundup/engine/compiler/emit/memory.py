"""Reading and writing vectors: one after the other, backwards, with steps, or only some lanes.

A vector that reaches past the end of its loop counts only with its first lanes: ``Lanes.count`` of
them where that is known while compiling, else those of a mask.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...dtypes import DType, bool_, uint8
from .code import KINDS, Code, Value, constant, suffix, vector_of
from .values import cast


@dataclass(frozen=True, slots=True)
class Lanes:
    """The lanes of a vector that count.

    Attributes:
        width: how many the vector has.
        count: how many count.
        mask: which count; None if that is the first ``count``.
    """

    width: int
    count: int
    mask: Value | None = None

    @property
    def whole(self) -> bool:
        """Whether all count."""
        return self.count == self.width and self.mask is None

    def chosen(self) -> Value:
        """The mask."""
        if self.mask is not None:
            return self.mask
        bits = ", ".join(f"i1 {int(lane < self.count)}" for lane in range(self.width))
        return Value(f"<{bits}>", bool_, self.width)


def _in_memory(dtype: DType) -> DType:
    return uint8 if dtype == bool_ else dtype


def load(code: Code, pointer: str, dtype: DType, step: int, lanes: Lanes | None) -> Value:
    """Read a number, or a vector whose neighbours are ``step`` elements apart.

    Args:
        code: where the instructions go.
        pointer: to the first element.
        dtype: of the elements.
        step: from one lane to the next.
        lanes: None for a single number. Lanes that do not count are 0.
    """
    kept = _in_memory(dtype)
    kind, size = KINDS[kept], kept.itemsize
    if lanes is None:
        found = Value(code.assign(f"load {kind}, ptr {pointer}, align {size}"), kept, 0)
    elif step == 1:
        found = _load_row(code, pointer, kept, lanes)
    elif step == -1 and lanes.whole:
        last = code.move(pointer, kind, 1 - lanes.width)
        row = _load_row(code, last, kept, lanes)
        found = code.pick(row, range(lanes.width - 1, -1, -1))
    elif step == 2 and lanes.whole and lanes.width > 1:
        half = lanes.width // 2
        first = _load_row(code, pointer, kept, lanes)
        second = _load_row(code, code.move(pointer, kind, lanes.width - 1), kept, lanes)
        even = [*range(0, lanes.width, 2), *(lanes.width + 1 + 2 * i for i in range(half))]
        found = code.pick(first, even, second)
    else:
        found = constant(0, kept, lanes.width)
        for lane in range(lanes.count):
            place = code.move(pointer, kind, lane * step)
            one = code.assign(f"load {kind}, ptr {place}, align {size}")
            text = f"insertelement {found}, {kind} {one}, i64 {lane}"
            found = Value(code.assign(text), kept, lanes.width)
    return cast(code, found, dtype)


def gather(
    code: Code, pointer: str, dtype: DType, far: Value, step: int, lanes: Lanes | None
) -> Value:
    """Read a number, or a vector, further on by as many elements as a value says.

    Args:
        code: where the instructions go.
        pointer: to what the first lane would read if that value were 0.
        dtype: of the elements.
        far: int64; where it is a vector, each lane has a place of its own.
        step: from one lane to the next, beside that.
        lanes: None for a single number. Lanes that do not count are 0, and are not read.
    """
    kept = _in_memory(dtype)
    kind, size = KINDS[kept], kept.itemsize
    if lanes is None or not far.lanes:
        return load(code, code.move(pointer, kind, far.name), dtype, step, lanes)
    far = code.splat(far, lanes.width)
    found = constant(0, kept, lanes.width)
    if lanes.mask is not None:
        steps = ", ".join(f"i64 {lane * step}" for lane in range(lanes.width))
        far = code.binary("add", far, Value(f"<{steps}>", far.dtype, lanes.width))
        places = code.assign(f"getelementptr {kind}, ptr {pointer}, {far}")
        name = f"llvm.masked.gather.{suffix(kind, lanes.width)}.v{lanes.width}p0"
        pointers = f"<{lanes.width} x ptr> {places}"
        operands: list[Value | str] = [pointers, f"i32 {size}", lanes.mask, found]
        found = Value(code.assign(code.call(name, found.type, operands)), kept, lanes.width)
        return cast(code, found, dtype)
    for lane in range(lanes.count):
        place = code.move(pointer, kind, lane * step)
        place = code.move(place, kind, code.lane(far, lane).name)
        one = code.assign(f"load {kind}, ptr {place}, align {size}")
        text = f"insertelement {found}, {kind} {one}, i64 {lane}"
        found = Value(code.assign(text), kept, lanes.width)
    return cast(code, found, dtype)


def _load_row(code: Code, pointer: str, dtype: DType, lanes: Lanes) -> Value:
    kind = KINDS[dtype]
    if lanes.whole:
        text = f"load {vector_of(kind, lanes.width)}, ptr {pointer}, align {dtype.itemsize}"
        return Value(code.assign(text), dtype, lanes.width)
    zero = constant(0, dtype, lanes.width)
    if lanes.mask is None and (lanes.count.bit_count() == 1 or dtype.itemsize < 4):
        return _load_pieces(code, pointer, dtype, lanes)
    name = f"llvm.masked.load.{suffix(kind, lanes.width)}.p0"
    operands: list[Value | str] = [f"ptr {pointer}", f"i32 {dtype.itemsize}", lanes.chosen(), zero]
    return Value(code.assign(code.call(name, zero.type, operands)), dtype, lanes.width)


def _load_pieces(code: Code, pointer: str, dtype: DType, lanes: Lanes) -> Value:
    """A few elements, read as a vector of each power of 2 that their number has."""
    found = constant(0, dtype, lanes.width)
    for start, size in _pieces(lanes.count):
        place = code.move(pointer, found.kind, start)
        text = f"load {vector_of(found.kind, size)}, ptr {place}, align {dtype.itemsize}"
        piece = Value(code.assign(text), dtype, size)
        zero = constant(0, dtype, size)
        wide = code.pick(piece, [min(lane, size) for lane in range(lanes.width)], zero)
        if start == 0:
            found = wide
            continue
        ends = range(start, start + size)
        order = [lanes.width + i - start if i in ends else i for i in range(lanes.width)]
        found = code.pick(found, order, wide)
    return found


def _pieces(count: int) -> list[tuple[int, int]]:
    """(start, size) of the powers of 2 that a number is the sum of, largest first."""
    pieces, start = [], 0
    for bit in range(count.bit_length() - 1, -1, -1):
        if count >> bit & 1:
            pieces.append((start, 1 << bit))
            start += 1 << bit
    return pieces


def store(code: Code, pointer: str, value: Value, step: int, lanes: Lanes | None) -> None:
    """Write a number, or the lanes of a vector that count, ``step`` elements apart."""
    value = cast(code, value, _in_memory(value.dtype))
    kind, size = value.kind, value.dtype.itemsize
    if lanes is None:
        code.emit(f"store {value}, ptr {pointer}, align {size}")
    elif step == 1 and lanes.mask is not None:
        name = f"llvm.masked.store.{suffix(kind, lanes.width)}.p0"
        operands: list[Value | str] = [value, f"ptr {pointer}", f"i32 {size}", lanes.mask]
        code.emit(code.call(name, "void", operands))
    elif step == 1:
        for start, count in _pieces(lanes.count):
            place = code.move(pointer, kind, start)
            whole = count == lanes.width
            piece = value if whole else code.pick(value, range(start, start + count))
            code.emit(f"store {piece}, ptr {place}, align {size}")
    elif step == -1 and lanes.whole:
        last = code.move(pointer, kind, 1 - lanes.width)
        turned = code.pick(value, range(lanes.width - 1, -1, -1))
        code.emit(f"store {turned}, ptr {last}, align {size}")
    else:
        for lane in range(lanes.count):
            place = code.move(pointer, kind, lane * step)
            code.emit(f"store {code.lane(value, lane)}, ptr {place}, align {size}")
