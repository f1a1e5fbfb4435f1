"""Memory: where every value of a program lies.

Values that live only inside of a step of the program share one arena: each has a place there from
the step that computes it to the last that reads it. What a state becomes is written straight into
the state, if nobody reads the old values afterwards. Gradients, which ``x.grad`` shows after the
step, keep their places until the next call, in which other values may have them first.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, field

import numpy as np

from ...base import Array
from ...tensor import Tensor
from ..fuse.fuse import Fused, Group, Scatter, Step, base_of, inputs_of, kind, owner
from ..graph import Graph, Value
from ..layout import Layouts, row_major

_ALIGNED = 64


@dataclass(slots=True)
class Plan:
    """Where values lie.

    Attributes:
        steps: the steps, with those that copy results to where they belong.
        stored: what is written to memory.
        arena: the memory that values share.
        offsets: for each value in the arena the place of its first byte.
        held: the arrays of the values that ``x.grad`` shows.
        placed: values that are written into the memory of a state.
        lives: for each value in the arena the first and the last step that need it.
        partial: where in the arena the shares of a group add up, by value.
        outputs: the results of the program, in order.
    """

    steps: list[Step]
    stored: set[Value]
    arena: Array
    offsets: dict[Value, int] = field(default_factory=dict)
    lives: dict[Value, tuple[int, int]] = field(default_factory=dict)
    held: dict[Value, Array] = field(default_factory=dict)
    placed: dict[Value, Value] = field(default_factory=dict)
    partial: dict[Value, int] = field(default_factory=dict)
    outputs: list[Value] = field(default_factory=list)


def plan(
    graph: Graph, fused: Fused, layouts: Layouts, threads: int
) -> tuple[Plan, list[tuple[Tensor, Value | None]]]:
    """Give every value a place.

    Args:
        graph: the program.
        fused: its steps.
        layouts: where the elements of views lie.
        threads: into how many shares a group may be split.

    Returns:
        The plan, and for each leaf the value that holds its gradient.
    """
    steps, stored = list(fused.steps), set(fused.stored)
    made = {owner(v): i for i, step in enumerate(steps) for v in _computed(step)}
    held: set[Value] = set()
    placed: dict[Value, Value] = {}
    gradients: list[tuple[Tensor, Value | None]] = []
    tail: list[Step] = []

    def copied(x: Value) -> Value:
        value = Value("copy", (x,), {}, x.shape, x.dtype, None, x.line)
        group = Group(tuple(n for n in x.shape if n > 1) or (1,))
        loops = iter(range(len(x.shape)))
        group.members[value] = tuple([None if n == 1 else next(loops) for n in x.shape])
        tail.append(group)
        stored.add(value)
        return value

    for leaf, value in graph.gradients:
        if value is not None:
            if value.size and (value not in made or value in held):
                value = copied(value)
            held.add(value)
        gradients.append((leaf, value))
    last_read = _last_reads(graph, steps)
    overwritten = {state for state, _ in graph.writes}
    moves: list[tuple[Value, Value]] = []
    for state, value in graph.writes:
        if not value.size:
            continue
        if (
            value in made
            and value not in held
            and value not in placed
            and _in_place(state, value, steps[made[value]], made[value], last_read, layouts)
        ):
            placed[value] = state
        else:
            moves.append((state, copied(value) if base_of(value) in overwritten else value))
    outputs = [copied(x) if x.size and base_of(x) in overwritten else x for x in graph.outputs]
    for state, value in moves:
        placed[copied(value)] = state
    steps += tail
    # A call that is refused when some of it is done leaves gradients as they were.
    apart = held if any(base_of(check.value) in made for check in graph.checks) else set()
    kept = [*outputs, *held, *(check.value for check in graph.checks)]
    lives = _lives(steps, stored, apart | placed.keys(), kept)
    offsets, size, partial = _arena(steps, lives, threads)
    whole = np.empty(size + _ALIGNED, np.uint8)
    start = -whole.ctypes.data % _ALIGNED
    arena = whole[start : start + size]
    arrays = {}
    for value in held:
        if value in offsets:
            end = offsets[value] + value.size * value.dtype.itemsize
            part = arena[offsets[value] : end].view(value.dtype)
        else:
            part = np.empty(value.size, value.dtype)
        arrays[value] = part.reshape(value.shape)
    result = Plan(steps, stored, arena, offsets, lives, arrays, placed, partial, outputs)
    return result, gradients


def _computed(step: Step) -> list[Value]:
    if isinstance(step, Group):
        return [value for value in step.members if value not in step.again]
    return [step.value]


def _last_reads(graph: Graph, steps: list[Step]) -> dict[Value, int]:
    last: dict[Value, int] = {}
    for i, step in enumerate(steps):
        for x in inputs_of(step):
            last[base_of(x)] = i
    for value in graph.roots():
        last[base_of(value)] = len(steps)
    for check in graph.checks:
        last.setdefault(base_of(check.value), -1)
    return last


def _in_place(
    state: Value,
    value: Value,
    step: Step,
    made: int,
    last_read: dict[Value, int],
    layouts: Layouts,
) -> bool:
    """Whether a value may be written over the state that it becomes."""
    if isinstance(step, Scatter):
        beside = any(base_of(x) is state for x in value.inputs[:2])
        if beside or (base_of(value.inputs[-1]) is state and value.inputs[-1] is not state):
            return False
    elif not isinstance(step, Group) or value in step.sums or kind(value) != "point":
        return False
    layout = layouts(state)
    if layout is None or (layout.strides != row_major(state.shape) and state.size > 1):
        return False
    last = last_read.get(state, -1)
    if last != made:
        return last < made
    if isinstance(step, Scatter):
        return True
    # Read in the same step: only if every element is read just before it is written.
    own = step.members[value]
    for member, axes in step.members.items():
        for x in member.inputs:
            if base_of(x) is state:
                if x is not state or member.name in ("sum", "amax", "amin", "pick"):
                    return False
                if axes[len(axes) - len(x.shape) :] != own or x.shape != value.shape:
                    return False
    return True


def arrange(wanted: Sequence[tuple[int, int, int]]) -> tuple[list[int], int]:
    """Places on a line such that no two things overlap in place and in time.

    The largest come first, and each goes where the first gap is (Pisarchyk & Lee, 2020).

    Args:
        wanted: for each thing the first and the last moment of its time, and its length.

    Returns:
        Where each thing begins, and where the last one ends.

    Example:
        >>> arrange([(0, 1, 64), (2, 3, 128), (1, 2, 64)])
        ([0, 0, 128], 192)
    """
    places = [0] * len(wanted)
    busy = np.empty((4, len(wanted)), np.int64)  # from, to, first and last moment; by place
    top = 0
    for count, i in enumerate(sorted(range(len(wanted)), key=lambda i: -wanted[i][2])):
        start, end, size = wanted[i]
        known = busy[:, :count]
        meet = known[:2, (known[2] <= end) & (start <= known[3])]
        reach = np.maximum.accumulate(np.concatenate(([0], meet[1])))
        fits = np.flatnonzero(meet[0] - reach[:-1] >= size)
        place = int(reach[fits[0]] if fits.size else reach[-1])
        at = int(np.searchsorted(known[0], place))
        busy[:, at + 1 : count + 1] = busy[:, at:count].copy()
        busy[:, at] = place, place + size, start, end
        places[i] = place
        top = max(top, place + size)
    return places, top


def _rounded(size: int) -> int:
    return -(-size // _ALIGNED) * _ALIGNED


def _lives(
    steps: list[Step], stored: set[Value], elsewhere: Set[Value], kept: list[Value]
) -> dict[Value, tuple[int, int]]:
    """The first and the last step that need a value, for those that the arena is for."""
    first: dict[Value, int] = {}
    last: dict[Value, int] = {}
    for i, step in enumerate(steps):
        for member in _computed(step):
            value = owner(member)
            if member in stored and value not in elsewhere:
                first.setdefault(value, i)
                last[value] = i
        for x in inputs_of(step):
            if base_of(x) in first:
                last[base_of(x)] = i
    for value in kept:
        if base_of(value) in first:
            last[base_of(value)] = len(steps)
    return {value: (start, last[value]) for value, start in first.items()}


def _arena(
    steps: list[Step], lives: dict[Value, tuple[int, int]], threads: int
) -> tuple[dict[Value, int], int, dict[Value, int]]:
    """Places in the arena: values that live at the same time do not overlap."""
    wanted = [(*live, _rounded(v.size * v.dtype.itemsize)) for v, live in lives.items()]
    places, top = arrange(wanted)
    offsets = dict(zip(lives, places, strict=True))
    partial: dict[Value, int] = {}
    end = top
    for step in steps:
        if threads > 1 and isinstance(step, Group):
            place = top  # one group after another: they use the same room
            for value in sorted(step.sums, key=list(step.members).index):
                partial[value] = place
                place += _rounded(value.size * value.dtype.itemsize * threads)
            end = max(end, place)
    return offsets, end, partial
