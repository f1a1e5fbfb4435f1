"""Single rows of packed weights as LLVM's intermediate code: an embedding reads no others.

In a panel (``groundup.engine.panels``) the bytes of a row are four bytes of every 32; put together
they are those that the row had in its block. Numbers come out as ``groundup.io.unpack`` gives them,
bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...dtypes import float32, int8, int16, int32, int64, uint8
from ...panels import ROWS, STEP, Packing, packing_of
from ..emit.code import Carried, Code, Index, Value, constant
from .emit_packed import argument, bitcast, from_half, load, size, store


def emit_rows(packing: str, name: str) -> str:
    """The text of a module with one function, of (panels, positions, rows in float32, sizes).

    Its extent is the positions; they and the sizes are int64: rows of the matrix, blocks of a row.
    Wherever a position points, it is a row of the matrix that is read.

    Example:
        >>> from groundup.engine.compiler.products.emit_packed_rows import emit_rows
        >>> print(emit_rows("Q4_0", "rows").partition("{")[0])
        define void @rows(ptr %arguments, i64 %begin, i64 %end, i64 %part) nounwind
    """
    writer = _Writer(packing_of(packing))
    writer.write()
    return writer.code.module(name)


class _Writer:
    def __init__(self, packing: Packing) -> None:
        self.packing = packing
        self.code = Code()

    def write(self) -> None:
        """Write the body of the function."""
        code, packing = self.code, self.packing
        panels, positions, out, sizes = (argument(code, i) for i in range(4))
        rows, blocks = (size(code, sizes, i) for i in range(2))
        last = Value(code.assign(f"sub nsw i64 {rows}, 1"), int64, 0)
        panel_nbytes = code.times(blocks, packing.panel_nbytes)
        columns = code.times(blocks, packing.weights)
        steps = packing.weights // STEP

        def row(index: Index, carried: Carried) -> Carried:
            at = load(code, positions, code.times(index, 8), int64, 0)
            at = code.intrinsic("llvm.smax", at, constant(0, int64))
            at = code.intrinsic("llvm.smin", at, last)
            panel = code.assign(f"lshr i64 {at.name}, 3")
            lane = code.assign(f"and i64 {at.name}, 7")
            source = code.move(panels, "i8", code.times(panel, panel_nbytes))
            target = code.move(out, "float", code.times(index, columns))

            def block(number: Index, carried: Carried) -> Carried:
                head = code.move(source, "i8", code.times(number, packing.panel_nbytes))
                scales = []
                for i in range(1 + packing.minimum):
                    place = code.add(code.times(lane, 2), 16 * i)
                    scales.append(from_half(code, load(code, head, place, int16, 0)))

                def step(s: Index, carried: Carried) -> Carried:
                    far = code.add(code.times(s, packing.step_nbytes), packing.head_nbytes)
                    data = code.move(head, "i8", code.add(far, code.times(lane, 4)))
                    steps_before = code.add(code.times(number, steps), s)
                    to = code.move(target, "float", code.times(steps_before, STEP))
                    self.step(head, data, to, s, lane, scales)
                    return carried

                return code.loop(0, steps, 1, carried, step)

            return code.loop(0, blocks, 1, carried, block)

        code.loop("%begin", "%end", 1, [], row)

    def step(
        self, head: str, data: str, to: str, s: Index, lane: str, scales: Sequence[Value]
    ) -> None:
        """32 weights."""
        code, packing = self.code, self.packing
        for half, weights in enumerate(self.weights(data)):
            factor = code.splat(self.scale(head, s, half, lane, scales, 0), 16)
            if packing.offset:
                weights = code.binary("sub", weights, constant(packing.offset, int32, 16))
            number = code.binary("fmul", code.convert("sitofp", weights, float32), factor)
            if packing.minimum:
                least = code.splat(self.scale(head, s, half, lane, scales, 1), 16)
                number = code.binary("fsub" if packing.scaled else "fadd", number, least)
            store(code, to, 64 * half, number)

    def scale(
        self, head: str, s: Index, half: int, lane: str, scales: Sequence[Value], kind: int
    ) -> Value:
        """The scale of 16 weights, or their minimum."""
        code, packing = self.code, self.packing
        if not packing.scaled:
            return scales[kind]
        groups = STEP // packing.group
        first = ROWS * 2 * (1 + packing.minimum) + ROWS * packing.groups * kind
        group = code.add(code.times(s, groups), half if groups == 2 else 0)
        at = code.add(code.add(code.times(group, ROWS), first), lane)
        signed = packing.bits == 6
        own = load(code, head, at, int8 if signed else uint8, 0)
        wide = code.convert("sext" if signed else "zext", own, int32)
        return code.binary("fmul", scales[kind], code.convert("sitofp", wide, float32))

    def fours(self, data: str, first: int) -> Value:
        """Four times four bytes of the row, 16 in all."""
        code = self.code
        found = Value("poison", int32, 4)
        for c in range(4):
            four = load(code, data, 32 * (first + c), int32, 0)
            found = code.value(f"insertelement {found}, {four}, i64 {c}", found)
        return found

    def weights(self, data: str) -> list[Value]:
        """The first 16 weights and the others, int32."""
        code, bits = self.code, self.packing.bits
        if bits == 8:
            return [
                code.convert("sext", bitcast(code, self.fours(data, first), int8, 16), int32)
                for first in (0, 4)
            ]
        packed = self.fours(data, 0)
        found = []
        for half in range(2):
            moved = code.binary("lshr", packed, constant(4 * half, int32, 4)) if half else packed
            q = code.binary("and", moved, constant(0x0F0F0F0F, int32, 4))
            if bits > 4:
                q = code.binary("or", q, self.high(data, half))
            found.append(code.convert("zext", bitcast(code, q, uint8, 16), int32))
        return found

    def high(self, data: str, half: int) -> Value:
        """The bits above the fourth of 16 weights, in their places."""
        code, bits = self.code, self.packing.bits
        at = 128 if bits == 5 else 128 + 32 * half
        own = code.splat(load(code, data, at, int32, 0), 4)
        shifts = [4 * half + c for c in range(4)] if bits == 5 else [2 * c for c in range(4)]
        by = ", ".join(f"i32 {shift}" for shift in shifts)
        down = code.binary("lshr", own, Value(f"<{by}>", int32, 4))
        mask = 0x01010101 if bits == 5 else 0x03030303
        kept = code.binary("and", down, constant(mask, int32, 4))
        return code.binary("shl", kept, constant(4, int32, 4))
