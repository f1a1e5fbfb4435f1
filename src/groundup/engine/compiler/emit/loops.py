"""Open loops: where the indices stand, and where the pointers of a kernel's accesses then point.

Each loop moves the pointers that its index moves, so that an address is the one further out and a
step. The loop over vectors has three parts: turns of several vectors, single vectors, and what is
left over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ...dtypes import bool_
from ..kernel import Accumulate, Gather, Kernel, Load, Store
from .code import KINDS, Carried, Code, Index, Value
from .memory import Lanes
from .schedule import Access, Schedule


@dataclass(slots=True)
class Place:
    """A turn of the loops that are open, for one vector.

    Attributes:
        parent: the turn of the loop around.
        lanes: of the vector; None outside the loop over vectors.
        values: of the instructions that are computed here.
        pointers: of the accesses that move along the innermost open loop.
        indices: of the loops.
        children: of an unrolled loop, the turns.
    """

    parent: Place | None = None
    lanes: Lanes | None = None
    values: dict[int, Value] = field(default_factory=dict)
    pointers: dict[Access, str] = field(default_factory=dict)
    indices: dict[int, Index] = field(default_factory=dict)
    children: list[Place] = field(default_factory=list)

    def value(self, i: int) -> Value | None:
        """The value of an instruction, if it is computed here or further out."""
        place: Place | None = self
        while place is not None:
            if i in place.values:
                return place.values[i]
            place = place.parent
        return None

    def pointer(self, access: Access) -> str:
        """The address that an access has here."""
        place: Place | None = self
        while place is not None:
            if access in place.pointers:
                return place.pointers[access]
            place = place.parent
        raise KeyError(access)


Team = list[Place]
"""Vectors that are computed in one turn."""

Body = Callable[[Team, Carried], Carried]


class Loops:
    """The loops of a kernel, and the code that is written inside them.

    Args:
        kernel: what is computed.
        bits: width of a vector register.

    Attributes:
        plan: in which order.
        code: what is written so far.
        accesses: what is read and written, to LLVM's name of the type of one element in memory.
        stack: the lines that reserve scratches.
    """

    def __init__(self, kernel: Kernel, bits: int) -> None:
        self.kernel = kernel
        self.plan = Schedule(kernel, bits)
        self.code = Code()
        self.stack: list[str] = []
        self.accesses: dict[Access, str] = {}

    def access(self, i: int) -> Access:
        """Where an instruction points."""
        instruction = self.kernel.body[i]
        assert isinstance(instruction, Load | Gather | Store | Accumulate)
        return (instruction.argument, instruction.offset, instruction.strides)

    def scratch(self, i: int) -> Access:
        """Where a value is kept between passes."""
        return (-1 - i, 0, self.plan.scratch_strides()[0])

    def kind_of(self, i: int) -> str:
        """LLVM's name of the type that a value has in memory."""
        dtype = self.plan.dtypes[i]
        assert dtype is not None
        return "i8" if dtype == bool_ else KINDS[dtype]

    def first_pointer(self, i: int, access: Access) -> str:
        """The address of an access outside all loops; the sums of a share are set to 0."""
        code, instruction = self.code, self.kernel.body[i]
        dtype = self.kernel.arguments[access[0]]
        kind = self.accesses[access] = "i8" if dtype == bool_ else KINDS[dtype]
        place = code.move("%arguments", "ptr", access[0])
        pointer = code.assign(f"load ptr, ptr {place}, align 8")
        if isinstance(instruction, Accumulate):
            pointer = code.move(pointer, kind, code.times("%part", instruction.size))
            earlier = self.kernel.body[:i]
            if not any(isinstance(j, Accumulate) and j.argument == access[0] for j in earlier):
                size = instruction.size * dtype.itemsize
                operands = [f"ptr {pointer}", "i8 0", f"i64 {size}", "i1 false"]
                code.emit(code.call("llvm.memset.p0.i64", "void", operands))
        return code.move(pointer, kind, access[1])

    def enter(self, outer: Place, loop: int, index: Index, lanes: Lanes | None = None) -> Place:
        """The turn of a loop at an index; the pointers that move are moved."""
        place = Place(outer, lanes or outer.lanes)
        place.indices = {**outer.indices, loop: index}
        for access, kind in self.accesses.items():
            step = access[2][loop]
            if step:
                steps = self.code.times(index, step)
                place.pointers[access] = self.code.move(outer.pointer(access), kind, steps)
        return place

    def vectors(
        self, outer: Place, start: Index, stop: Index, unroll: int, carried: Carried, body: Body
    ) -> Carried:
        """The loop over vectors: some in one turn, then single ones, then what is left."""
        code, width, loop = self.code, self.plan.lanes, self.plan.lane

        def some(count: int) -> Callable[[Index, Carried], Carried]:
            def turn(index: Index, carried: Carried) -> Carried:
                first = self.enter(outer, loop, index, Lanes(width, width))
                team = [first, *(self.beside(first, n) for n in range(1, count))]
                return body(team, carried)

            return turn

        if isinstance(start, int) and isinstance(stop, int):
            for count in dict.fromkeys((unroll, 1)):
                carried = code.loop(start, stop, count * width, carried, some(count))
                start += (stop - start) // (count * width) * (count * width)
            if start < stop:
                team = [self.enter(outer, loop, start, Lanes(width, stop - start))]
                carried = body(team, carried)
            return carried

        for count in dict.fromkeys((unroll, 1)):
            carried = code.loop(start, stop, count * width, carried, some(count))
            rest = code.assign(f"sub nsw i64 {stop}, {start}")
            done = code.assign(f"and i64 {rest}, {-count * width}")
            start = code.add(start, done)
        return self.tail(outer, start, stop, carried, body)

    def beside(self, first: Place, number: int) -> Place:
        """The vector that is a number of vectors after the first of a turn."""
        loop, ahead = self.plan.lane, number * self.plan.lanes
        place = Place(first.parent, first.lanes)
        place.indices = {**first.indices, loop: self.code.add(first.indices[loop], ahead)}
        for access, pointer in first.pointers.items():
            steps = ahead * access[2][loop]
            place.pointers[access] = self.code.move(pointer, self.accesses[access], steps)
        if not self.plan.inside:
            for access, kind in self.accesses.items():
                if access[0] < 0:
                    base = first.pointer(access)
                    place.pointers[access] = self.code.move(base, kind, ahead)
        return place

    def tail(
        self, outer: Place, start: Index, stop: Index, carried: Carried, body: Body
    ) -> Carried:
        """Less than a vector: a vector with a mask, or one by one where a mask is of no use."""
        code, width, loop = self.code, self.plan.lanes, self.plan.lane
        masked = all(
            access[2][loop] in (0, 1) and kind not in ("i8", "i16", "half")
            for access, kind in self.accesses.items()
        )
        if not masked:
            return code.loop(
                start,
                stop,
                1,
                carried,
                lambda index, c: body([self.enter(outer, loop, index, Lanes(1, 1))], c),
            )

        def rest(carried: Carried) -> Carried:
            left = code.assign(f"sub nsw i64 {stop}, {start}")
            left = code.assign(f"trunc i64 {left} to i32")
            numbers = ", ".join(f"i32 {lane}" for lane in range(width))
            one = code.assign(f"insertelement <{width} x i32> poison, i32 {left}, i64 0")
            every = code.assign(
                f"shufflevector <{width} x i32> {one}, <{width} x i32> poison, "
                f"<{width} x i32> zeroinitializer"
            )
            mask = code.assign(f"icmp sgt <{width} x i32> {every}, <{numbers}>")
            lanes = Lanes(width, width, Value(mask, bool_, width))
            return body([self.enter(outer, loop, start, lanes)], carried)

        some = Value(code.assign(f"icmp slt i64 {start}, {stop}"), bool_, 0)
        return code.when(some, carried, rest)
