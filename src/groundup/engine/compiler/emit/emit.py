"""From a kernel to LLVM's intermediate code: what goes in is ``kernel.py``, what comes out is text.

``schedule`` decides on loops and passes, ``loops`` opens loops, here they are walked;
``values`` and ``memory`` add the instructions of each value, ``code`` writes them
down. The same kernel gives the same text, and sums are added up in one order.
"""

from __future__ import annotations

from ...dtypes import bool_, int64
from .. import kernel as kernels
from ..kernel import Accumulate, Apply, Constant, Gather, Kernel, Load, Reduce, Store
from . import memory as memory
from .code import Carried, Index, Value, constant
from .loops import Loops, Place, Team
from .memory import Lanes
from .schedule import Access, Pass
from .values import apply, combine, neutral


def emit(kernel: Kernel, name: str, bits: int) -> str:
    """The text of a module with one function that computes a kernel.

    Args:
        kernel: what to compute.
        name: of the function.
        bits: width of the vectors, such as 256 for AVX2.

    Returns:
        LLVM's assembly language, for any processor; the function has the four arguments that
        ``kernel.py`` describes.

    Raises:
        KeyError: the kernel applies a primitive that has no rule.

    Example:
        >>> from groundup.engine.compiler.kernel import *
        >>> double = Kernel((8,), 1, (gu.float32,) * 2, (
        ...     Load(0, 0, (1,)), Constant(2.0, gu.float32),
        ...     Apply("mul", (0, 1), gu.float32), Store(1, 0, (1,), 2)))
        >>> print(emit(double, "double", 256).partition(" nounwind")[0])
        define void @double(ptr %arguments, i64 %begin, i64 %end, i64 %part)
    """
    writer = _Writer(kernel, bits)
    writer.write()
    return writer.code.module(name, writer.stack)


class _Writer(Loops):
    """Writes the function of a kernel."""

    def write(self) -> None:
        """Write the whole function."""
        plan, root = self.plan, Place()
        for i in sorted(plan.used):
            instruction = self.kernel.body[i]
            if isinstance(instruction, Load | Gather | Store | Accumulate):
                access = self.access(i)
                if access not in self.accesses:
                    root.pointers[access] = self.first_pointer(i, access)
        for i in sorted({i for each in plan.passes for i in each.kept if not plan.unrolled}):
            access = self.scratch(i)
            self.accesses[access] = kind = self.kind_of(i)
            size = plan.scratch_strides()[1]
            self.stack.append(f"  %kept{i} = alloca {kind}, i64 {size}, align 64")
            root.pointers[access] = f"%kept{i}"
        if 0 not in self.kernel.sizes[: self.kernel.outer]:
            self.outside(0, [root])

    def outside(self, depth: int, team: Team) -> None:
        """The loops outside the row, from one on."""
        plan = self.plan
        for i in plan.row_values:
            if plan.places[i] == depth and not plan.stages[i]:
                for place in team:
                    self.compute(i, place)
        if depth == self.kernel.outer:
            self.one_row(team)
            return
        loop = plan.order[depth]
        start: Index = 0
        stop: Index = self.kernel.sizes[loop]
        if loop == 0:
            start, stop = "%begin", "%end"

        def each(team: Team, carried: Carried) -> Carried:
            self.outside(depth + 1, team)
            return carried

        if loop == plan.lane:
            self.vectors(
                team[0], start, stop, plan.passes[0].unroll if plan.passes else 1, [], each
            )
        else:
            self.code.loop(
                start, stop, 1, [], lambda i, c: each([self.enter(p, loop, i) for p in team], c)
            )

    # The row

    def one_row(self, team: Team) -> None:
        """All passes over a row, and what is computed of their results."""
        plan = self.plan
        for number, each in enumerate(plan.passes):
            if plan.unrolled:
                for place in team:
                    self.unrolled(self.kernel.outer, place, each)
            else:
                self.walk(self.kernel.outer, team, each, [])
            for i in plan.row_values:
                if plan.stages[i] == number + 1:
                    for place in team:
                        self.compute(i, place)
        if not plan.row_sinks:
            return

        def once(carried: Carried) -> Carried:
            for i in plan.row_sinks:
                for place in team:
                    self.write_out(i, place)
            return carried

        if plan.split_row:
            first = Value(self.code.assign("icmp eq i64 %begin, 0"), bool_, 0)
            self.code.when(first, [], once)
        else:
            once([])

    def walk(self, depth: int, team: Team, each: Pass, carried: Carried) -> Carried:
        """The loops of a row, from one on, in a pass."""
        plan, code = self.plan, self.code
        started = [i for i in each.folds if self.fold_start(i) == depth]
        slots = each.unroll if plan.inside else len(team)
        before = len(carried)
        for i in started:
            carried = [*carried, *[self.nothing(i, team[0])] * slots]
        if depth == len(plan.order):
            carried = self.leaf(team, each, carried)
        else:
            for place in team:
                self.here(depth, place, each)
            loop = plan.order[depth]
            start: Index = 0
            stop: Index = self.kernel.sizes[loop]
            if loop == plan.lane:
                if plan.split:
                    start, stop = "%begin", "%end"
                carried = self.vectors(
                    team[0],
                    start,
                    stop,
                    each.unroll,
                    carried,
                    lambda team, carried: self.walk(depth + 1, team, each, carried),
                )
            else:
                carried = code.loop(
                    start,
                    stop,
                    1,
                    carried,
                    lambda index, carried: self.walk(
                        depth + 1, [self.enter(p, loop, index) for p in team], each, carried
                    ),
                )
        for number, i in enumerate(started):
            sums = carried[before + number * slots : before + (number + 1) * slots]
            if plan.inside:
                self.finish(i, team[0], sums)
            else:  # each vector holds sums of its own
                for place, total in zip(team, sums, strict=True):
                    place.values[i] = total
        return carried[:before]

    def here(self, depth: int, place: Place, each: Pass) -> None:
        """What a pass computes and writes right inside a loop."""
        plan = self.plan
        for i in each.values:
            if plan.places[i] != depth or i in place.values:
                continue
            recalled = i in each.recalled
            if not recalled:
                self.compute(i, place)
            if (recalled or i in each.kept) and not plan.unrolled:
                self.keep(i, place, recalled)
        for i in each.sinks:
            if plan.places[i] == depth:
                self.write_out(i, place)

    def keep(self, i: int, place: Place, recalled: bool) -> None:
        """Write a vector to the scratch, or read it back."""
        dtype, width = self.plan.dtypes[i], self.plan.lanes
        assert dtype is not None
        pointer, lanes = place.pointer(self.scratch(i)), Lanes(width, width)
        if recalled:
            place.values[i] = memory.load(self.code, pointer, dtype, 1, lanes)
        else:
            memory.store(self.code, pointer, place.values[i], 1, lanes)

    def leaf(self, team: Team, each: Pass, carried: Carried) -> Carried:
        """The innermost turn: one vector after the other."""
        carried = list(carried)
        slots = each.unroll if self.plan.inside else len(team)
        order = sorted(each.folds, key=self.fold_start)
        for number, place in enumerate(team):
            self.here(len(self.plan.order), place, each)
            for fold, i in enumerate(order):
                slot = fold * slots + number
                carried[slot] = self.fold(i, place, carried[slot])
        return carried

    # Sums, largest and smallest

    def kind(self, i: int) -> str:
        instruction = self.kernel.body[i]
        return instruction.kind if isinstance(instruction, Reduce) else "sum"

    def fold_start(self, i: int) -> int:
        """How many loops are around a reduction as a whole."""
        plan, instruction = self.plan, self.kernel.body[i]
        start = self.kernel.outer
        if isinstance(instruction, Accumulate):
            for loop in plan.moving(instruction.strides):
                start = max(start, plan.order.index(loop) + 1)
        return start

    def nothing(self, i: int, place: Place) -> Value:
        """A reduction before its first vector."""
        source = self.plan.inputs(i)[0]
        dtype = self.plan.dtypes[source]
        assert dtype is not None
        lanes = self.plan.lanes if self.plan.inside else 0
        if place.lanes is not None and self.plan.moves_by_lane(source):
            lanes = place.lanes.width
        return constant(neutral(self.kind(i), dtype), dtype, lanes)

    def fold(self, i: int, place: Place, so_far: Value) -> Value:
        """A reduction with one more vector."""
        code, kind = self.code, self.kind(i)
        new = self.read(self.plan.inputs(i)[0], place)
        lanes = place.lanes
        if not so_far.lanes:
            return combine(code, kind, so_far, new)
        assert lanes is not None
        if lanes.width != so_far.lanes:  # single numbers, added to the first lane
            one = code.lane(code.splat(new, lanes.width), 0)
            total = combine(code, kind, code.lane(so_far, 0), one)
            return code.value(f"insertelement {so_far}, {total}, i64 0", so_far)
        total = combine(code, kind, so_far, code.splat(new, lanes.width))
        if self.plan.inside and not lanes.whole:
            total = code.select(lanes.chosen(), total, so_far)
        return total

    def finish(self, i: int, place: Place, sums: Carried) -> None:
        """Several vectors into one, and that into one number: halves until one is left."""
        code, kind = self.code, self.kind(i)
        while len(sums) > 1:
            pairs = zip(sums[::2], sums[1::2], strict=False)
            odd = sums[-1:] if len(sums) % 2 else []
            sums = [combine(code, kind, a, b) for a, b in pairs] + odd
        (total,) = sums
        while self.plan.inside and total.lanes > 1:
            half = total.lanes // 2
            low, high = code.pick(total, range(half)), code.pick(total, range(half, 2 * half))
            total = combine(code, kind, low, high)
        place.values[i] = code.lane(total, 0) if self.plan.inside else total
        if isinstance(self.kernel.body[i], Accumulate):
            self.add_to(self.access(i), place, place.values[i], None)

    def unrolled(self, depth: int, place: Place, each: Pass) -> dict[int, Carried]:
        """A pass over a row without loops; values stay in registers from pass to pass.

        Returns:
            what is to be combined further out, for each reduction.
        """
        plan = self.plan
        self.here(depth, place, each)
        if depth == len(plan.order):
            return {i: [self.part(i, place)] for i in each.folds}
        if not place.children:
            loop = plan.order[depth]
            size, width = self.kernel.sizes[loop], plan.lanes
            if loop == plan.lane:
                place.children = [
                    self.enter(place, loop, start, Lanes(width, min(width, size - start)))
                    for start in range(0, size, width)
                ]
            else:
                place.children = [self.enter(place, loop, index) for index in range(size)]
        parts: dict[int, Carried] = {i: [] for i in each.folds}
        for child in place.children:
            for i, found in self.unrolled(depth + 1, child, each).items():
                parts[i] += found
        for i in each.folds:
            if self.fold_start(i) == depth:
                self.finish(i, place, parts.pop(i) or [self.nothing(i, place)])
        return parts

    def part(self, i: int, place: Place) -> Value:
        """What one vector of an unrolled row adds to a reduction."""
        value = self.read(self.plan.inputs(i)[0], place)
        if not self.plan.inside:
            return value
        assert place.lanes is not None
        value = self.code.splat(value, place.lanes.width)
        if place.lanes.whole:
            return value
        return self.code.select(place.lanes.chosen(), value, self.nothing(i, place))

    # Single instructions

    def read(self, i: int, place: Place) -> Value:
        """The value of an instruction that is computed already."""
        value = place.value(i)
        if value is None:
            raise KeyError(f"instruction {i} of {self.kernel} is read before it is computed")
        return value

    def compute(self, i: int, place: Place) -> None:
        """The value of an instruction."""
        code, plan = self.code, self.plan
        vector = plan.moves_by_lane(i)
        lanes = place.lanes if vector else None
        match self.kernel.body[i]:
            case Load(argument=argument, strides=strides):
                pointer, dtype = place.pointer(self.access(i)), self.kernel.arguments[argument]
                found = memory.load(code, pointer, dtype, strides[plan.lane], lanes)
            case Gather(argument=argument, strides=strides, input=input):
                pointer, dtype = place.pointer(self.access(i)), self.kernel.arguments[argument]
                far, step = self.read(input, place), strides[plan.lane]
                found = memory.gather(code, pointer, dtype, far, step, lanes)
            case Constant(value=number, dtype=dtype):
                found = constant(number, dtype)
            case kernels.Index(loop=loop):
                index = place.indices[loop] if self.kernel.sizes[loop] != 1 else 0
                found = Value(str(index), int64, 0)
                if lanes is not None:
                    numbers = code.lane_numbers(lanes.width)
                    found = code.binary("add", self.code.splat(found, lanes.width), numbers)
            case Apply(name=name, inputs=inputs, dtype=dtype, static=static):
                values = [self.read(j, place) for j in inputs]
                width = max(value.lanes for value in values)
                if width:
                    values = [self.code.splat(value, width) for value in values]
                found = apply(code, name, values, dtype, dict(static))
            case other:
                raise TypeError(f"{other} has no value of its own")
        place.values[i] = found

    def write_out(self, i: int, place: Place) -> None:
        """Store or add up a value."""
        instruction, plan = self.kernel.body[i], self.plan
        assert isinstance(instruction, Store | Accumulate)
        value = self.read(instruction.input, place)
        lanes = place.lanes if plan.lane in plan.moving(instruction.strides) else None
        if lanes is not None:
            value = self.code.splat(value, lanes.width)
        elif value.lanes:
            value = self.code.lane(value, 0)
        if isinstance(instruction, Accumulate):
            self.add_to(self.access(i), place, value, lanes)
        else:
            step = instruction.strides[plan.lane]
            memory.store(self.code, place.pointer(self.access(i)), value, step, lanes)

    def add_to(self, access: Access, place: Place, value: Value, lanes: Lanes | None) -> None:
        """Add a value to what is in memory."""
        pointer, step = place.pointer(access), access[2][self.plan.lane]
        before = memory.load(self.code, pointer, value.dtype, step, lanes)
        total = combine(self.code, "sum", before, value)
        memory.store(self.code, pointer, total, step, lanes)
