"""From a group of operations to a kernel: the order of the loops, loads, stores.

Loops that sums run over come first, loops of the row last. Neighbouring loops become one where
every access moves along them as along one, so that a contiguous array is one long loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...dtypes import int64
from ..graph import Value
from ..kernel import (
    Accumulate,
    Apply,
    Constant,
    Gather,
    Index,
    Instruction,
    Kernel,
    Load,
    Reduce,
    Store,
)
from ..layout import Layouts, row_major
from ..simplify.simplify import number
from .fuse import Axes, Group, base_of, member_axes, owner

_KINDS = {"sum": "sum", "amax": "max", "amin": "min"}
Strides = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Nest:
    """A kernel and what its arguments are.

    Attributes:
        kernel: the kernel.
        reads: for each argument that is read the value whose memory it is.
        writes: the values that the arguments after those are the memory of.
        sums: those of them that are sums over the outermost loops.
        starts: for each argument where in that memory the kernel begins, in elements. The kernel
            does not know: what is done for each time step, to one part of an array after the other,
            is the same kernel each time.
    """

    kernel: Kernel
    reads: tuple[Value, ...]
    writes: tuple[Value, ...]
    sums: frozenset[Value]
    starts: tuple[int, ...]


def nest(group: Group, stored: set[Value], layouts: Layouts) -> Nest:
    """Make a kernel of a group.

    Args:
        group: what is computed.
        stored: which values are written.
        layouts: where the elements of views lie.
    """
    writer = _Writer(group, layouts)
    for value in group.members:
        writer.add(value)
    writes = [value for value in group.members if value in stored and value not in group.again]
    reads = writer.reads
    for value in writes:
        writer.store(value, len(reads) + writes.index(value))
    order, row = _order(group)
    body = [_reordered(i, order) for i in writer.body]
    sizes = [group.sizes[loop] for loop in order]
    down = len(group.down or ())
    sizes, row, body = _collapsed(sizes, row, down, group.row is not None, body)
    dtypes = tuple(value.dtype for value in (*reads, *writes))
    starts, body = _from_start(len(dtypes), body)
    kernel = Kernel(tuple(sizes), row, dtypes, tuple(body))
    return Nest(kernel, tuple(reads), tuple(map(owner, writes)), frozenset(group.sums), starts)


def axes_of_input(value: Value, x: Value, group: Group) -> Axes:
    """The loops along the dimensions of what a reduction reads.

    Args:
        value: the reduction, a member of the group.
        x: what it reads.
        group: with its loops.

    Example:
        >>> from groundup.engine.primitives.reduction import sum
        >>> x = Value("input", (), {}, (2, 3), gu.float32)
        >>> static = {"dims": (1,), "keepdim": True}
        >>> total = Value("sum", (x,), static, (2, 1), gu.float32, sum)
        >>> axes_of_input(total, x, Group((2, 3), {total: (0, None)}, frozenset({1})))
        (0, 1)
    """
    known = member_axes(x, group)
    if isinstance(known, tuple) and all(
        loop is not None for n, loop in zip(x.shape, known, strict=True) if n > 1
    ):
        return known
    dims = value.static["dims"]
    result = list(group.members[value])
    if not value.static["keepdim"]:
        for d in sorted(dims):
            result.insert(d, None)
    over = group.down if value in group.sums else group.row
    rest = iter(sorted(over or ()))
    for d in sorted(dims):
        if x.shape[d] > 1:
            result[d] = next(loop for loop in rest if group.sizes[loop] == x.shape[d])
    return tuple(result)


class _Writer:
    """Writes the body of a kernel; strides are in the order of the group's loops."""

    def __init__(self, group: Group, layouts: Layouts) -> None:
        self.group = group
        self.layouts = layouts
        self.body: list[Instruction] = []
        self.reads: list[Value] = []
        self._place: dict[Any, int] = {}
        self._members: dict[Value, int] = {}

    def add(self, value: Value) -> None:
        """The instructions of a member."""
        axes = self.group.members[value]
        if value.name in _KINDS:
            x = value.inputs[0]
            inside = axes_of_input(value, x, self.group)
            i = self._input(x, inside)
            if value not in self.group.sums:
                i = self._put(Reduce(_KINDS[value.name], i))
            self._members[value] = i
            return
        if value.name == "pick":
            self._members[value] = self._picked(value, axes)
            return
        inputs = []
        for x in value.inputs:
            extra = len(axes) - len(x.shape)
            own = tuple(
                None if n == 1 else loop for n, loop in zip(x.shape, axes[extra:], strict=True)
            )
            inputs.append(self._input(x, own))
        if value.name in ("copy", "cast", "part") and value.dtype == value.inputs[0].dtype:
            self._members[value] = inputs[0]
            return
        inputs = self._of_one_dtype(value, inputs)
        static = tuple(sorted((k, v) for k, v in value.static.items() if k != "dtype"))
        self._members[value] = self._put(Apply(value.name, tuple(inputs), value.dtype, static))

    def _picked(self, value: Value, axes: tuple[int | None, ...]) -> int:
        """Read where positions say; those outside of their dimension are moved inside."""
        x, *positions = value.inputs
        layout = self.layouts(x)
        assert layout is not None, f"{x} cannot be read without a copy"
        strides = [0] * len(self.group.sizes)
        for loop, d in zip(axes, value.static["along"], strict=True):
            if loop is not None and d is not None:
                strides[loop] += layout.strides[d]
        far = -1
        for position, d in zip(positions, value.static["dims"], strict=True):
            extra = len(axes) - len(position.shape)
            pairs = zip(position.shape, axes[extra:], strict=True)
            at = self._input(position, tuple([None if n == 1 else loop for n, loop in pairs]))
            if position.dtype != int64:
                at = self._put(Apply("cast", (at,), int64))
            bounds = (("high", x.shape[d] - 1), ("low", 0))
            at = self._put(Apply("clamp", (at,), int64, bounds))
            if layout.strides[d] != 1:
                step = self._put(Constant(layout.strides[d], int64))
                at = self._put(Apply("mul", (at, step), int64))
            far = at if far < 0 else self._put(Apply("add", (far, at), int64))
        if layout.base not in self.reads:
            self.reads.append(layout.base)
        argument = self.reads.index(layout.base)
        return self._put(Gather(argument, layout.offset, tuple(strides), far))

    def _of_one_dtype(self, value: Value, inputs: list[int]) -> list[int]:
        """Cast operands of different dtypes as NumPy would."""
        operands = list(range(len(inputs)))[1 if value.name == "where" else 0 :]
        dtypes = {value.inputs[i].dtype for i in operands}
        if len(dtypes) < 2:
            return inputs
        common = np.result_type(*dtypes)
        return [
            self._put(Apply("cast", (at,), common))
            if i in operands and value.inputs[i].dtype != common
            else at
            for i, at in enumerate(inputs)
        ]

    def _input(self, x: Value, axes: tuple[int | None, ...]) -> int:
        """The instruction of what a member reads; ``axes`` are the loops along its dimensions."""
        n = number(x)
        if n is not None:
            return self._put(Constant(n, x.dtype))
        base = base_of(x)
        if base in self._members:
            return self._members[base]
        if base.name == "constant" and base.size == 1:
            return self._put(Constant(base.static["array"].item(), base.dtype))
        layout = self.layouts(x)
        assert layout is not None, f"{x} cannot be read without a copy"
        strides = [0] * len(self.group.sizes)
        for step, loop in zip(layout.strides, axes, strict=True):
            if loop is not None:
                strides[loop] += step
        if base.name == "positions":
            return self._index(base, x, axes)
        if base not in self.reads:
            self.reads.append(base)
        return self._put(Load(self.reads.index(base), layout.offset, tuple(strides)))

    def _index(self, base: Value, x: Value, axes: tuple[int | None, ...]) -> int:
        assert base is x, "positions are read without views"
        loop = axes[base.static["dim"]]
        return self._put(Constant(0, base.dtype) if loop is None else Index(loop))

    def store(self, value: Value, argument: int) -> None:
        """Write a member to memory."""
        strides, offset = [0] * len(self.group.sizes), 0
        steps = row_major(owner(value).shape)
        for d, (step, loop) in enumerate(zip(steps, self.group.members[value], strict=True)):
            if loop is not None:
                strides[loop] += step
            if value.name == "part":
                offset += step * value.static["box"][d][0]
        i = self._members[value]
        if value in self.group.sums:
            self.body.append(Accumulate(argument, 0, tuple(strides), i, value.size))
        else:
            self.body.append(Store(argument, offset, tuple(strides), i))

    def _put(self, instruction: Instruction) -> int:
        place = self._place.get(instruction)
        if place is None:
            place = self._place[instruction] = len(self.body)
            self.body.append(instruction)
        return place


def _order(group: Group) -> tuple[list[int], int]:
    """The loops from outermost to innermost, and how many form the row."""
    down = sorted(group.down or ())
    row = sorted(group.row) if group.row is not None else []
    rest = [loop for loop in range(len(group.sizes)) if loop not in (*down, *row)]
    if group.row is None:
        row = rest if down else rest[-1:]
        rest = rest[: len(rest) - len(row)]
    return [*down, *rest, *row], len(row)


def _reordered(instruction: Instruction, order: Sequence[int]) -> Instruction:
    if isinstance(instruction, Load | Gather | Store | Accumulate):
        strides = tuple([instruction.strides[loop] for loop in order])
        return replace(instruction, strides=strides)
    if isinstance(instruction, Index):
        return Index(order.index(instruction.loop))
    return instruction


def _collapsed(
    sizes: list[int], row: int, down: int, reduces: bool, body: list[Instruction]
) -> tuple[list[int], int, list[Instruction]]:
    """Make one loop of neighbours along which every access moves as along one."""
    i = len(sizes) - 2
    while i >= 0:
        outer = len(sizes) - row
        apart = (i + 1 == outer and (reduces or down)) or i + 1 == down
        if not apart and _as_one(i, sizes[i + 1], body):
            sizes = [*sizes[:i], sizes[i] * sizes[i + 1], *sizes[i + 2 :]]
            body = [_without(instruction, i) for instruction in body]
            if i >= outer:
                row -= 1
            if i + 1 < down:
                down -= 1
        i -= 1
    return sizes, max(row, 1), body


def _as_one(i: int, size: int, body: list[Instruction]) -> bool:
    return all(
        instruction.strides[i] == instruction.strides[i + 1] * size
        for instruction in body
        if isinstance(instruction, Load | Gather | Store | Accumulate)
    ) and not any(isinstance(x, Index) and x.loop in (i, i + 1) for x in body)


def _from_start(arguments: int, body: list[Instruction]) -> tuple[Strides, list[Instruction]]:
    """Where each argument begins, and the body with offsets counted from there."""
    offsets: list[list[int]] = [[] for _ in range(arguments)]
    for each in body:
        if isinstance(each, Load | Gather | Store | Accumulate):
            offsets[each.argument].append(each.offset)
    starts = tuple([min(found, default=0) for found in offsets])
    if not any(starts):
        return starts, body
    return starts, [
        replace(each, offset=each.offset - starts[each.argument])
        if isinstance(each, Load | Gather | Store) and starts[each.argument]
        else each
        for each in body
    ]


def _without(instruction: Instruction, i: int) -> Instruction:
    """The instruction when loops ``i`` and ``i + 1`` have become one."""
    if isinstance(instruction, Load | Gather | Store | Accumulate):
        strides = (*instruction.strides[:i], *instruction.strides[i + 1 :])
        return replace(instruction, strides=strides)
    if isinstance(instruction, Index) and instruction.loop > i:
        return Index(instruction.loop - 1)
    return instruction
