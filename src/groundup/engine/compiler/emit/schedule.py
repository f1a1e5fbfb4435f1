"""In which order a kernel is computed: which loop runs over vectors, which pass computes what.

A row is passed over as often as reductions depend on each other. A value that several passes need
is computed anew in each where that is cheap, else it is kept: in registers if the row is so short
that its loops are unrolled, in a scratch on the stack if not.

The vectors run along the innermost loop, or along another one where that saves strided accesses:
along the innermost loop outside the row each lane has a row of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from ...dtypes import DType, int64
from ..kernel import Accumulate, Apply, Constant, Gather, Index, Kernel, Load, Reduce, Store

Access = tuple[int, int, tuple[int, ...]]
"""Where an instruction points: argument (-1 - n: scratch of value n), offset, strides."""

SCRATCH_BYTES = 1 << 18
UNROLLED_POINTS = 16
UNROLLED_COST = 200.0
_STRIDED = 12.0
_WEIGHTS = {
    "div": 3.0,
    "addcdiv": 5.0,
    "lerp": 2.0,
    "sqrt": 4.0,
    "rsqrt": 6.0,
    "floor_divide": 30.0,
    "remainder": 30.0,
    "pow": 40.0,
} | dict.fromkeys(
    ("exp", "expm1", "log", "log1p", "tanh", "sigmoid", "erf", "sin", "cos", "softplus"), 15.0
)


def weight(name: str) -> float:
    """What an elementwise primitive costs, in simple operations.

    Example:
        >>> weight("add"), weight("exp")
        (1.0, 15.0)
    """
    return _WEIGHTS.get(name, 1.0)


@dataclass(slots=True)
class Pass:
    """One walk over a row.

    Attributes:
        values: full values to compute or to read from the scratch, in order.
        recalled: those of them that an earlier pass has kept.
        kept: those of them that a later pass wants.
        folds: reductions, and sums of ``Accumulate`` that stay in registers for a while.
        sinks: what is written at the places where it is computed.
        unroll: how many vectors are computed in one turn of the innermost loop.
    """

    values: list[int] = field(default_factory=list)
    recalled: set[int] = field(default_factory=set)
    kept: set[int] = field(default_factory=set)
    folds: list[int] = field(default_factory=list)
    sinks: list[int] = field(default_factory=list)
    unroll: int = 1


class Schedule:
    """The order of computation of a kernel.

    Args:
        kernel: what to compute.
        bits: width of a vector register.

    Attributes:
        dtypes: of each instruction's value; None where it has none.
        lanes: numbers in a vector.
        lane: the loop that runs over vectors.
        inside: whether that loop is part of the row.
        order: the loops, outermost first.
        places: how many loops of ``order`` are around each instruction.
        moves: the loops along which each instruction's value changes.
        stages: how many reductions of the row each instruction waits for, one after the other.
        passes: over the row.
        row_values: what is computed once for each row or further out, without the reductions.
        row_sinks: what is written once for each row.
        unrolled: whether the loops of the row are unrolled.
        split: whether the loop over vectors is the one that is split into shares.
    """

    def __init__(self, kernel: Kernel, bits: int) -> None:
        self.kernel = kernel
        self.dtypes = dtypes_of(kernel)
        self.used = self._find_used()
        self.lanes = self._count_lanes(bits)
        self.row = range(kernel.outer, len(kernel.sizes))
        self._follow()
        self._choose_lane()
        last = self.lane if self.inside else -1
        outside = [loop for loop in range(kernel.outer) if loop != self.lane]
        within = [loop for loop in self.row if loop != last]
        self.order = (
            *outside,
            *([] if self.inside else [self.lane]),
            *within,
            *([self.lane] if self.inside else []),
        )
        self._place = {loop: i + 1 for i, loop in enumerate(self.order)}
        self.places = [self._place_of(i) for i in range(len(kernel.body))]
        whole = not kernel.outer and kernel.row == 1 and not self._reduces()
        self.split = whole if self.inside else self.lane == 0
        self.split_row = whole

        vectors = -(-kernel.sizes[self.lane] // self.lanes)
        points = math.prod(kernel.sizes[loop] for loop in within) * (vectors if self.inside else 1)
        cost = sum(
            self._weight(i) + isinstance(kernel.body[i], Load | Gather | Store) for i in self.used
        )
        self.unrolled = not (self.inside and self.split) and (
            points <= 1 or (points <= UNROLLED_POINTS and points * cost <= UNROLLED_COST)
        )
        self.row_values = [
            i
            for i in sorted(self.used)
            if isinstance(kernel.body[i], Load | Gather | Constant | Index | Apply)
            and not self.full(i)
        ]
        self.passes = self._plan_passes()
        if self.unrolled and len(self.passes) > 1:
            between = max(
                sum(
                    any(i in later.recalled for later in self.passes[number:])
                    for each in self.passes[:number]
                    for i in each.kept
                )
                for number in range(1, len(self.passes))
            )
            if points * between > (16 if bits > 256 else 8):  # half of the registers
                self.unrolled = False
                self.passes = self._plan_passes()
        for each in self.passes:
            each.unroll = self._unroll(each, vectors)
        if not self.inside:
            unroll = 2 if vectors > 1 and cost <= 40 and not self.unrolled else 1
            for each in self.passes:
                each.unroll = unroll

    # What depends on what

    def _find_used(self) -> set[int]:
        used: set[int] = set()
        body = self.kernel.body
        for i in reversed(range(len(body))):
            if i in used or isinstance(body[i], Store | Accumulate):
                used.add(i)
                used.update(self.inputs(i))
        return used

    def inputs(self, i: int) -> tuple[int, ...]:
        """Numbers of the instructions that an instruction reads."""
        match self.kernel.body[i]:
            case Apply(inputs=inputs):
                return inputs
            case Gather(input=one) | Reduce(input=one) | Store(input=one) | Accumulate(input=one):
                return (one,)
        return ()

    def _count_lanes(self, bits: int) -> int:
        sizes = {d.itemsize for i, d in enumerate(self.dtypes) if d is not None and i in self.used}
        size = 4 if 4 in sizes else 8 if 8 in sizes else 2 if 2 in sizes else 1
        return max(bits // 8 // size, 1)

    def _steps(self, strides: tuple[int, ...]) -> list[int]:
        sizes = self.kernel.sizes
        return [step for step, size in zip(strides, sizes, strict=True) if size != 1]

    def _reduces(self) -> bool:
        return any(isinstance(i, Reduce) for i in self.kernel.body)

    def moving(self, strides: tuple[int, ...]) -> frozenset[int]:
        """The loops along which an access moves."""
        sizes = self.kernel.sizes
        return frozenset(i for i, step in enumerate(strides) if step and sizes[i] != 1)

    def _follow(self) -> None:
        self.moves: list[frozenset[int]] = []
        self.stages: list[int] = []
        row = frozenset(self.row)
        for i, instruction in enumerate(self.kernel.body):
            inputs = self.inputs(i)
            moves = frozenset[int]().union(*(self.moves[j] for j in inputs))
            stage = max((self.stages[j] for j in inputs), default=0)
            match instruction:
                case Load(strides=strides):
                    moves = self.moving(strides)
                case Index(loop=loop):
                    moves = frozenset({loop} if self.kernel.sizes[loop] != 1 else ())
                case Reduce():
                    moves, stage = moves - row, stage + 1
                case Gather(strides=strides) | Store(strides=strides) | Accumulate(strides=strides):
                    moves |= self.moving(strides)
            self.moves.append(moves)
            self.stages.append(stage)

    def full(self, i: int) -> bool:
        """Whether an instruction has a value for each point of the row."""
        return not self.moves[i].isdisjoint(self.row)

    def _place_of(self, i: int) -> int:
        place = max((self._place[loop] for loop in self.moves[i]), default=0)
        return max(place, self.kernel.outer) if self.stages[i] else place

    def moves_by_lane(self, i: int) -> bool:
        """Whether the value of an instruction is a vector."""
        return self.lane in self.moves[i] or (
            self.inside and isinstance(self.kernel.body[i], Accumulate) and self.full(i)
        )

    # The loop over vectors

    def _choose_lane(self) -> None:
        sizes = self.kernel.sizes
        candidates = [loop for loop in self.row if sizes[loop] != 1] or [self.row[-1]]
        self.lane = candidates.pop()
        self.inside = True
        if not any(isinstance(i, Accumulate) for i in self.kernel.body):
            candidates += [loop for loop in range(self.kernel.outer) if sizes[loop] != 1]
        best = 0.75 * self._cost_along(self.lane)
        for loop in reversed(candidates):
            cost = self._cost_along(loop)
            if cost < best:
                self.lane, self.inside, best = loop, loop >= self.kernel.outer, cost

    def _cost_along(self, loop: int) -> float:
        """Estimated cost of a vector, for each number in it that counts."""
        cost = 0.0
        for i in self.used:
            instruction = self.kernel.body[i]
            cost += self._weight(i)
            if isinstance(instruction, Load | Gather | Store | Accumulate):
                scattered = (
                    isinstance(instruction, Gather) and loop in self.moves[instruction.input]
                )
                step = 3 if scattered else instruction.strides[loop]
                cost += {0: 0.5, 1: 1.0, -1: 2.0, 2: 3.0}.get(step, _STRIDED)
        size = self.kernel.sizes[loop]
        if not size:
            return cost
        cost *= -(-size // self.lanes) * self.lanes / size
        if loop in self.row:  # adding up lanes at the end of a row
            elements = math.prod(self.kernel.sizes[i] for i in self.row)
            sums = sum(isinstance(self.kernel.body[i], Reduce) for i in self.used)
            cost += 8.0 * self.lanes * sums / max(elements, 1)
        return cost

    def _weight(self, i: int) -> float:
        match self.kernel.body[i]:
            case Apply(name=name):
                return weight(name)
            case Constant() | Load() | Gather() | Store():
                return 0.0
            case Accumulate():
                return 2.0
        return 1.0

    # Passes over the row

    def _plan_passes(self) -> list[Pass]:
        body = self.kernel.body
        home: dict[int, int] = {}
        self.row_sinks: list[int] = []
        for i in sorted(self.used):
            match body[i]:
                case Reduce():
                    home[i] = self.stages[i] - 1
                case Store() | Accumulate():
                    if self.full(i):
                        home[i] = self.stages[i]
                    else:
                        self.row_sinks.append(i)
        while True:
            passes = self._fill(home)
            late = self._overwritten(passes, home)
            if not late:
                return passes
            home.update(late)

    def _fill(self, home: dict[int, int]) -> list[Pass]:
        passes = [Pass() for _ in range(max(home.values(), default=-1) + 1)]
        room = SCRATCH_BYTES
        first: dict[int, int] = {}
        for number, each in enumerate(passes):
            wanted: set[int] = set()
            for i, where in home.items():
                if where == number:
                    folds = isinstance(self.kernel.body[i], Reduce) or self.folds(i)
                    (each.folds if folds else each.sinks).append(i)
                    wanted.update(self.inputs(i))
            for i in range(len(self.kernel.body) - 1, -1, -1):
                if i not in wanted or not self.full(i):
                    continue
                each.values.append(i)
                if i in first and self._worth_keeping(i):
                    kept = passes[first[i]].kept
                    room -= 0 if self.unrolled or i in kept else self._size(i)
                    if room >= 0:
                        kept.add(i)
                        each.recalled.add(i)
                        continue
                    room += self._size(i)
                first.setdefault(i, number)
                wanted.update(self.inputs(i))
            each.values.reverse()
        return passes

    def folds(self, i: int) -> bool:
        """Whether sums are held in registers along the loop over vectors."""
        instruction = self.kernel.body[i]
        return isinstance(instruction, Accumulate) and not (
            instruction.strides[self.lane] and self.kernel.sizes[self.lane] != 1
        )

    def _size(self, i: int) -> int:
        """Bytes of the scratch that keeps a value."""
        dtype = self.dtypes[i]
        assert dtype is not None
        return self.scratch_strides()[1] * dtype.itemsize

    def scratch_strides(self) -> tuple[tuple[int, ...], int]:
        """(strides, elements) of a value of the row that is kept on the stack."""
        strides = [0] * len(self.kernel.sizes)
        elements = 1 if self.inside else 2 * self.lanes
        for loop in reversed(self.order[self.kernel.outer :]):
            size = self.kernel.sizes[loop]
            strides[loop] = elements
            elements *= -(-size // self.lanes) * self.lanes if loop == self.lane else size
        return tuple(strides), elements

    def _worth_keeping(self, i: int) -> bool:
        """Whether computing a value once more costs more than keeping it."""
        if self.unrolled or not self.moves_by_lane(i):
            return self.unrolled and self.moves_by_lane(i)
        seen, cost, left = {i}, 0.0, [i]
        while left:
            j = left.pop()
            instruction = self.kernel.body[j]
            cost += self._weight(j)
            if isinstance(instruction, Load):
                step = instruction.strides[self.lane]
                cost += {0: 0.0, 1: 1.0, -1: 2.0, 2: 3.0}.get(step, _STRIDED)
            elif isinstance(instruction, Gather):
                cost += _STRIDED
            new = {k for k in self.inputs(j) if self.full(k)} - seen
            seen |= new
            left += new
        return cost > 6

    def _overwritten(self, passes: list[Pass], home: dict[int, int]) -> dict[int, int]:
        """Stores that must wait, since a later pass reads what they may write over."""
        late: dict[int, int] = {}
        for number, each in enumerate(passes):
            for i in each.values:
                read = self.kernel.body[i]
                if not isinstance(read, Load) or i in each.recalled:
                    continue
                for j, where in home.items():
                    written = self.kernel.body[j]
                    if (
                        isinstance(written, Store)
                        and where < number
                        and self._steps(written.strides) == self._steps(read.strides)
                    ):
                        late[j] = max(number, late.get(j, 0))
        return late

    def _unroll(self, each: Pass, vectors: int) -> int:
        """Vectors in one turn: enough to hide the latency of sums, few enough for the registers."""
        cost = sum(1.0 + self._weight(i) for i in each.values if i not in each.recalled)
        cost += len(each.recalled) + len(each.sinks)
        if each.folds and cost <= 3 and vectors >= 16:
            return 8
        most = 4 if cost <= 8 else 2 if cost <= 20 else 1
        if self.split:  # powers of 2, for a division without dividing
            return most if vectors >= most else 1
        most = next((n for n in (most, most - 1) if n > 1 and vectors % n == 0), most)
        return max(min(most, vectors), 1)


def dtypes_of(kernel: Kernel) -> list[DType | None]:
    """The dtype of each instruction's value; None for those that have none."""
    dtypes: list[DType | None] = []
    for instruction in kernel.body:
        match instruction:
            case Load(argument=argument) | Gather(argument=argument):
                dtypes.append(kernel.arguments[argument])
            case Constant(dtype=dtype) | Apply(dtype=dtype):
                dtypes.append(dtype)
            case Index():
                dtypes.append(int64)
            case Reduce(input=number):
                dtypes.append(dtypes[number])
            case _:
                dtypes.append(None)
    return dtypes
