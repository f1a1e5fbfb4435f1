"""Memory: where every value of a program lies.

Values that live only inside of a step of the program share one arena: each has a place there from
the step that computes it to the last that reads it. What a state becomes is written straight into
the state, if nobody reads the old values afterwards; gradients have memory of their own, because
``x.grad`` shows them after the step.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..base import Array
from ..tensor import Tensor
from .fuse import Fused, Group, Step, base_of, inputs_of, kind, owner
from .graph import Graph, Value
from .layout import Layouts, row_major

_ALIGNED = 64


@dataclass(slots=True)
class Plan:
    """Where values lie.

    Attributes:
        steps: the steps, with those that copy results to where they belong.
        stored: what is written to memory.
        arena: the memory that values share.
        offsets: for each value in the arena the place of its first byte.
        held: values that have an array of their own.
        placed: values that are written into the memory of a state.
        partial: where in the arena the shares of a group add up, by value.
        outputs: the results of the program, in order.
    """

    steps: list[Step]
    stored: set[Value]
    arena: Array
    offsets: dict[Value, int] = field(default_factory=dict)
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
    held: dict[Value, Array] = {}
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
            held[value] = np.empty(value.shape, value.dtype)
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
    kept = [*outputs, *(check.value for check in graph.checks)]
    offsets, size, partial = _arena(steps, stored, held, placed, kept, threads)
    arena = np.empty(size + _ALIGNED, np.uint8)
    start = -arena.ctypes.data % _ALIGNED
    result = Plan(
        steps, stored, arena[start : start + size], offsets, held, placed, partial, outputs
    )
    return result, gradients


def _computed(step: Step) -> list[Value]:
    return list(step.members) if isinstance(step, Group) else [step.value]


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
    if not isinstance(step, Group) or value in step.sums or kind(value) != "point":
        return False
    layout = layouts(state)
    if layout is None or (layout.strides != row_major(state.shape) and state.size > 1):
        return False
    last = last_read.get(state, -1)
    if last != made:
        return last < made
    # Read in the same step: only if every element is read just before it is written.
    own = step.members[value]
    for member, axes in step.members.items():
        for x in member.inputs:
            if base_of(x) is state:
                if x is not state or member.name in ("sum", "amax", "amin"):
                    return False
                if axes[len(axes) - len(x.shape) :] != own or x.shape != value.shape:
                    return False
    return True


def _arena(
    steps: list[Step],
    stored: set[Value],
    held: dict[Value, Array],
    placed: dict[Value, Value],
    kept: list[Value],
    threads: int,
) -> tuple[dict[Value, int], int, dict[Value, int]]:
    """Places in the arena: values that live at the same time do not overlap."""
    first: dict[Value, int] = {}
    last: dict[Value, int] = {}
    for i, step in enumerate(steps):
        for member in _computed(step):
            value = owner(member)
            if member in stored and value not in held and value not in placed:
                first.setdefault(value, i)
                last[value] = i
        for x in inputs_of(step):
            if base_of(x) in first:
                last[base_of(x)] = i
    for value in kept:
        if base_of(value) in first:
            last[base_of(value)] = len(steps)
    wanted = [
        (value, first[value], last[value], value.size * value.dtype.itemsize) for value in first
    ]
    offsets: dict[Value, int] = {}
    busy: list[tuple[int, int, int, int]] = []  # from, to, first step, last step
    top = 0
    for value, start, end, size in sorted(wanted, key=lambda w: -w[3]):
        place = 0
        for begin, stop, _, _ in sorted(b for b in busy if b[2] <= end and start <= b[3]):
            if begin - place >= size:
                break
            place = max(place, stop)
        stop = place + -(-size // _ALIGNED) * _ALIGNED
        offsets[value] = place
        busy.append((place, stop, start, end))
        top = max(top, stop)
    partial: dict[Value, int] = {}
    end = top
    for step in steps:
        if threads > 1 and isinstance(step, Group):
            place = top  # one group after another: they use the same room
            for value in sorted(step.sums, key=list(step.members).index):
                partial[value] = place
                size = value.size * value.dtype.itemsize * threads
                place += -(-size // _ALIGNED) * _ALIGNED
            end = max(end, place)
    return offsets, end, partial
