"""Fusion: which operations of a program share a kernel.

Every elementwise operation and every reduction becomes a member of a ``Group``: one nest of loops.
A value joins the group that computes what it needs, if it runs over the same loops, or over the
rows of them; else it starts a group of its own. Only what leaves its group is ever written to
memory. Views are not computed at all but read through.

Groups, matrix products and calls (whatever has no kernel yet and is computed by NumPy) form a list
of steps in the order in which they run. A value never joins a group that stands before a step it
depends on, so there are no cycles to look for.

    softmax(x + b) @ v     ->  [group: add, amax, sub, exp, sum, div, mul], [product]
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from ..graph import Graph, Value
from ..layout import VIEWS, Layouts, row_major
from ..shapes import ELEMENTWISE
from ..simplify.boxes import Box, rest

Axes = tuple[int | None, ...]
"""For each dimension of a value the loop that runs along it; None where there is one element."""

_KERNEL_TYPES = frozenset(map(np.dtype, ("f4", "f8", "i4", "i8", "u1", "?")))
_REDUCTIONS = {"sum": "sum", "amax": "max", "amin": "min"}
_OWN_KINDS = ("copy", "part", "pick")
"""Elementwise values that are no primitive's."""
_PACKED = ("rounded", "packed_product", "packed_rows")
_LOOK_BACK = 12
_MOST_MEMBERS = 160


@dataclass(eq=False, slots=True)
class Group:
    """One nest of loops.

    Attributes:
        sizes: of the loops.
        members: what it computes, and along which loops.
        row: the loops that a reduction runs over; None as long as there is no reduction.
        down: the loops that sums over rows run over (gradients of biases); None if there are none.
        sums: the members that are such sums; their values are there when the group is done.
        reads: values from outside.
        again: the members that another group computes too; they are not written from here.
    """

    sizes: tuple[int, ...]
    members: dict[Value, Axes] = field(default_factory=dict)
    row: frozenset[int] | None = None
    down: frozenset[int] | None = None
    sums: set[Value] = field(default_factory=set)
    reads: set[Value] = field(default_factory=set)
    again: set[Value] = field(default_factory=set)

    @property
    def all(self) -> frozenset[int]:
        """All loops."""
        return frozenset(range(len(self.sizes)))


@dataclass(eq=False, slots=True)
class Product:
    """A matrix product."""

    value: Value


@dataclass(eq=False, slots=True)
class Scatter:
    """Values written or added at positions."""

    value: Value


@dataclass(eq=False, slots=True)
class Packed:
    """A product with packed weights, rows of them, or the rounding of the other operand."""

    value: Value


@dataclass(eq=False, slots=True)
class Call:
    """A primitive that NumPy computes."""

    value: Value


Step = Group | Product | Scatter | Packed | Call
_APART: dict[str, type[Product | Scatter | Packed | Call]] = {
    "product": Product,
    "scatter": Scatter,
    "packed": Packed,
    "call": Call,
}


@dataclass(slots=True)
class Fused:
    """A program as steps.

    Attributes:
        steps: in the order in which they run.
        stored: what is written to memory.
    """

    steps: list[Step]
    stored: set[Value]


def kind(x: Value) -> str:
    """How a value is computed: "source", "view", "point", "reduce", or its name; or by a "call".

    Names of their own have "product", "scatter", "packed" and "assembly".

    Example:
        >>> kind(Value("input", (), {}, (2, 3), gu.float32))
        'source'
    """
    if x.name in ("assembly", "scatter"):
        return x.name
    if x.name == "contract":
        return "product"
    if x.name in _PACKED:
        return "packed"
    if x.primitive is None and x.name not in _OWN_KINDS:
        return "source"
    if x.name in VIEWS:
        return "view"
    fits = x.dtype in _KERNEL_TYPES and all(i.dtype in _KERNEL_TYPES for i in x.inputs)
    if x.size and (x.name in _OWN_KINDS or (fits and x.name in ELEMENTWISE)):
        return "point"  # kernels move numbers of any type
    if fits and x.name in _REDUCTIONS and x.inputs[0].size and x.dtype.kind != "b":
        return "reduce"
    matrices = min((len(i.shape) for i in x.inputs), default=0) >= 2
    if x.name == "matmul" and x.dtype.kind == "f" and x.dtype.itemsize > 2 and matrices:
        return "product" if all(i.size for i in x.inputs) else "call"
    return "call"


def base_of(x: Value) -> Value:
    """What a view looks at in the end; the value itself if it is none.

    Example:
        >>> x = Value("input", (), {}, (2, 3), gu.float32)
        >>> base_of(x) is x
        True
    """
    while x.name in VIEWS:
        x = x.inputs[0]
    return x


def fuse(graph: Graph) -> Fused:
    """Make steps of a program.

    Args:
        graph: simplified, and with a copy wherever a view needs one (``with_copies``).

    Example:
        >>> fuse(Graph()).steps
        []
    """
    builder = _Builder()
    for value in graph.values:
        builder.add(value)
    for value in graph.roots():
        builder.settle(base_of(value))
    steps = [*builder.early, *builder.steps]
    return Fused(steps, needed_in_memory(graph, steps))


class _Builder:
    """Puts values into steps.

    Attributes:
        steps: so far.
        early: groups of numbers that depend on sources alone; they run before the steps.
        place: for each value the step that computes it.
        floating: values that depend on sources alone, or on steps long done; each is computed where
            it is first needed.
    """

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.early: list[Group] = []
        self.place: dict[Value, int] = {}
        self.floating: set[Value] = set()

    def add(self, value: Value) -> None:
        """Put a value into a step; all that it is computed from was added before."""
        match kind(value):
            case "product" | "scatter" | "packed" | "call" as name:
                for x in value.inputs:
                    self.settle(base_of(x))
                self.place[value] = len(self.steps)
                self.steps.append(_APART[name](value))
            case "point":
                bases = [base_of(x) for x in value.inputs]
                if value.name == "pick":
                    self.settle(bases[0])
                if all(map(self._waits_for_nothing, bases)):
                    self.floating.add(value)
                else:
                    self.join(value, may_wait=True)
            case "reduce":
                self.join(value)
            case "assembly":
                for part in _parts(value):
                    self.join(part)
                    self.place[value] = max(self.place.get(value, 0), self.place[part])

    def _waits_for_nothing(self, value: Value) -> bool:
        return kind(value) == "source" or value in self.floating or self.place.get(value, 0) < 0

    def settle(self, value: Value) -> None:
        """Give a value that floats a place."""
        if value in self.floating:
            self.join(value)

    def join(self, value: Value, may_wait: bool = False) -> None:
        """Put a value, and what floats below it, into a group that fits, or into a new one.

        Args:
            value: to be computed.
            may_wait: whether it may float instead of starting a group that would not read what the
                last step has written.
        """
        crew = self._crew(value)
        if value in self.floating and self._are_numbers(crew):
            return self._first(crew)
        for one in reversed(crew[:-1]):
            if one.size == 1 and one in self.floating:
                numbers = self._crew(one)
                if self._are_numbers(numbers):
                    self._first(numbers)
        crew = [one for one in crew if one is value or one in self.floating]
        bases = {base_of(x) for one in crew for x in one.inputs} - set(crew)
        latest = max((self.place.get(base, -1) for base in bases), default=-1)
        for i in range(max(latest, len(self.steps) - _LOOK_BACK, 0), len(self.steps)):
            group = self.steps[i]
            if not isinstance(group, Group) or len(group.members) >= _MOST_MEMBERS:
                continue
            if i > latest and not any(b in group.reads for b in bases if b.size > 1):
                continue
            if any(self.place.get(b) == i and b not in group.members for b in bases):
                continue  # an assembly, which is complete when the group is done
            if _fit_all(crew, group):
                return self._placed(crew, i)
        if may_wait and latest < len(self.steps) - 1:
            self.floating.add(value)
            return None
        group = _new_group(value)
        self.steps.append(group)
        if not _fit_all(crew, group):
            self.steps.pop()
            for one in crew[:-1]:
                if one in self.floating:
                    self.join(one)
            return self.join(value) if len(crew) > 1 else self._alone(value)
        return self._placed(crew, len(self.steps) - 1)

    def _are_numbers(self, crew: list[Value]) -> bool:
        """Whether values have one element each and wait for no step."""
        return all(one.size == 1 for one in crew) and all(
            self.place.get(base_of(x), -1) < 0 for one in crew for x in one.inputs
        )

    def _first(self, crew: list[Value]) -> None:
        """Compute numbers that depend on sources alone before everything else."""
        if not self.early or not _fit_all(crew, self.early[-1]):
            self.early.append(Group((1,)))
            fits = _fit_all(crew, self.early[-1])
            assert fits, f"{crew} do not fit a group of numbers"
        for value in crew:
            self.place[value] = -1
            self.floating.discard(value)

    def _alone(self, value: Value) -> None:
        group = _new_group(value)
        fits = _fit_all([value], group)
        assert fits, f"{value} does not fit a group of its own"
        self.steps.append(group)
        self._placed([value], len(self.steps) - 1)

    def _placed(self, crew: list[Value], i: int) -> None:
        group = self.steps[i]
        assert isinstance(group, Group)
        for value in crew:
            self.place[value] = i
            self.floating.discard(value)
            group.reads.update(b for x in value.inputs if (b := base_of(x)) not in group.members)

    def _crew(self, value: Value) -> list[Value]:
        """What floats below a value, in order, and the value."""
        found: list[Value] = []
        stack: list[tuple[Value, bool]] = [(value, False)]
        seen: set[Value] = set()
        while stack:
            one, ready = stack.pop()
            if ready:
                found.append(one)
            elif one not in seen:
                seen.add(one)
                stack.append((one, True))
                stack += [(b, False) for x in one.inputs if (b := base_of(x)) in self.floating]
        return found


def _fit_all(values: list[Value], group: Group) -> bool:
    """Make all of some values members of a group, or none."""
    before = dict(group.members), group.row, group.down, set(group.sums)
    # The last value decides on the loops; what floats below it follows.
    if all(_fit(value, group) for value in values):
        return True
    group.members, group.row, group.down, group.sums = before
    return False


def _parts(whole: Value) -> Iterator[Value]:
    """What writes the boxes of an assembly, each its own: no matter in which order."""
    boxes = whole.static["boxes"]
    for x, box in zip(whole.inputs, boxes, strict=True):
        yield _part(whole, x, box)
    fill = np.asarray(whole.static["fill"], whole.dtype)
    number = Value("constant", (), {"array": fill}, (), whole.dtype)
    for box in rest(whole.shape, boxes):
        yield _part(whole, number, box)


def _part(whole: Value, x: Value, box: Box) -> Value:
    shape = tuple(end - start for start, end in box)
    return Value("part", (x,), {"of": whole, "box": box}, shape, whole.dtype, None, whole.line)


def owner(x: Value) -> Value:
    """The value in whose memory another is written: the assembly of a part, else the value itself.

    Example:
        >>> x = Value("input", (), {}, (2, 3), gu.float32)
        >>> owner(x) is x
        True
    """
    whole: Value = x.static["of"] if x.name == "part" else x
    return whole


def _new_group(value: Value) -> Group:
    domain = value if kind(value) == "point" else value.inputs[0]
    sizes = tuple(n for n in domain.shape if n > 1) or (1,)
    return Group(sizes)


def _fit(value: Value, group: Group) -> bool:
    """Make a value a member of a group if it can be one."""
    if value.name in _REDUCTIONS:
        return _fit_reduction(value, group)
    axes = _axes(value, group)
    if axes is None or (value.name == "pick" and base_of(value.inputs[0]) in group.members):
        return False
    loops = {loop for loop in axes if loop is not None}
    whole = loops == group.all or group.sizes == (1,)
    by_row = group.row is not None and loops == group.all - group.row
    if not (whole or by_row):
        return False
    group.members[value] = axes
    return True


def _axes(value: Value, group: Group) -> Axes | None:
    """The loops along the dimensions of an elementwise value, or None if it does not fit."""
    n = len(value.shape)
    axes: list[int | None] = [None] * n
    for x in value.inputs[value.name == "pick" :]:
        found = member_axes(x, group)
        if found is False:
            return None
        if found is None:
            continue
        for d, loop in enumerate(found, n - len(found)):
            if loop is None:
                continue
            if axes[d] is not None and axes[d] != loop:
                return None
            axes[d] = loop
    taken = [loop for loop in axes if loop is not None]
    if len(taken) != len(set(taken)):
        return None  # such as an outer product of a vector with itself: one loop is not two
    return _completed(value.shape, axes, group)


def _completed(shape: tuple[int, ...], axes: list[int | None], group: Group) -> Axes | None:
    """Give the dimensions that have no loop yet the loops that are left, in order."""
    left = [loop for loop in range(len(group.sizes)) if loop not in axes]
    for d, size in enumerate(shape):
        if size == 1 or axes[d] is not None:
            continue
        match = next((loop for loop in left if group.sizes[loop] == size), None)
        if match is None:
            return None
        left = left[left.index(match) + 1 :]
        axes[d] = match
    return tuple(axes)


def member_axes(x: Value, group: Group) -> Axes | Literal[False] | None:
    """The loops along the dimensions of an input that the group computes.

    Returns:
        None for a value from outside; False for one from inside that cannot be read here, because
        a view moves its elements or it is complete only when the group is done.
    """
    dims: list[int | None] = list(range(len(x.shape)))  # for each dimension that of the value below
    while x.name in VIEWS:
        below = x.inputs[0]
        if base_of(below) not in group.members:
            return None
        moved = moved_dims(x, below)
        if moved is None:
            return False
        dims = [None if d is None else moved[d] for d in dims]
        x = below
    if x not in group.members:
        return None
    if x in group.sums:
        return False
    own = group.members[x]
    return tuple([None if d is None else own[d] for d in dims])


def moved_dims(view: Value, below: Value) -> list[int | None] | None:
    """For each dimension of a view that of what it looks at; None if elements change places.

    Example:
        >>> x = Value("input", (), {}, (2, 3), gu.float32)
        >>> moved_dims(Value("permute", (x,), {"order": (1, 0)}, (3, 2), gu.float32), x)
        [1, 0]
    """
    if below.size == 1:
        return [None] * len(view.shape)
    if view.name == "permute":
        return list(view.static["order"])
    if view.name == "expand":
        extra = len(view.shape) - len(below.shape)
        return [
            None if d < extra or below.shape[d - extra] == 1 else d - extra
            for d in range(len(view.shape))
        ]
    if view.name == "reshape":
        real = [d for d, n in enumerate(below.shape) if n != 1]
        sizes = [below.shape[d] for d in real]
        if sizes != [n for n in view.shape if n != 1]:
            return None
        rest = iter(real)
        return [None if n == 1 else next(rest) for n in view.shape]
    return None


def _fit_reduction(value: Value, group: Group) -> bool:
    x = value.inputs[0]
    found = member_axes(x, group)
    if found is False:
        return False
    axes: list[int | None] = list(found) if isinstance(found, tuple) else [None] * len(x.shape)
    completed = _completed(x.shape, axes, group)
    if completed is None:
        return False
    dims = value.static["dims"]
    over = frozenset(completed[d] for d in dims) - {None}
    loops = frozenset(completed) - {None}
    kept = [loop for d, loop in enumerate(completed) if d not in dims]
    if value.static["keepdim"]:
        result: Axes = tuple(None if d in dims else loop for d, loop in enumerate(completed))
    else:
        result = tuple(kept)
    if group.sizes == (1,):
        over = loops = group.all
    if loops == group.all and _may_be_row(over, group, value.name == "sum"):
        group.row = over
        group.members[value] = result
        return True
    outside = group.all - group.row if group.row is not None else group.all
    if value.name != "sum" or not over or not over <= outside or loops not in (group.all, outside):
        return False
    if group.down in (None, over):
        if group.row is None and over == group.all:
            return False
        group.down = over
        group.sums.add(value)
        group.members[value] = result
        return True
    return False


def _may_be_row(over: frozenset[int | None], group: Group, may_add: bool) -> bool:
    """Whether a reduction may run along the row; sums may be added up over rows instead."""
    if group.row is not None:
        return over == group.row
    if group.down is not None and over & group.down:
        return False
    return not may_add or len(group.sizes) - 1 in over


def inputs_of(step: Step) -> Iterator[Value]:
    """The values that a step reads, views as views."""
    if isinstance(step, Group):
        for member in step.members:
            yield from member.inputs
    else:
        yield from step.value.inputs


def needed_in_memory(graph: Graph, steps: list[Step]) -> set[Value]:
    """What has to be in memory: what leaves its group.

    Example:
        >>> needed_in_memory(Graph(), [])
        set()
    """
    stored = {base_of(value) for value in graph.roots()}
    for step in steps:
        if isinstance(step, Group):
            stored |= step.sums
            stored |= {member for member in step.members if member.name == "part"}
            own = step.members
            stored |= {b for x in inputs_of(step) if (b := base_of(x)) not in own}
        else:
            stored.add(step.value)
            stored |= {base_of(x) for x in step.value.inputs}
    return {value for value in stored if kind(value) != "source"}


def with_copies(graph: Graph) -> Graph:
    """The same program with a copy wherever a reshape or a product cannot read its operand.

    Example:
        >>> with_copies(Graph()).values
        []
    """
    layouts = Layouts()
    new: dict[Value, Value] = {}
    for value in graph.values:
        inputs = tuple([new[x] for x in value.inputs])
        if value.name == "reshape":
            made = _with(value, inputs)
            if layouts(made) is None:
                made = _with(value, (_copy(inputs[0]),))
        elif value.name == "contract":
            made = _with(value, tuple([x if layouts(x) else _copy(x) for x in inputs]))
        elif kind(value) == "product":
            made = _with(value, tuple([_operand(x, layouts) for x in inputs]))
        elif kind(value) in ("scatter", "packed"):
            made = _with(value, tuple([_in_rows(x, layouts) for x in inputs]))
        elif value.name == "pick" and base_of(inputs[0]).name == "positions":
            made = _with(value, (_copy(inputs[0]), *inputs[1:]))
        else:
            made = _with(value, inputs)
        new[value] = made
    return graph.replaced(new)


def _with(value: Value, inputs: tuple[Value, ...]) -> Value:
    if all(a is b for a, b in zip(inputs, value.inputs, strict=True)):
        return value
    return Value(
        value.name, inputs, value.static, value.shape, value.dtype, value.primitive, value.line
    )


def _in_rows(x: Value, layouts: Layouts) -> Value:
    """A contiguous value in memory, or a copy that is one."""
    layout = layouts(x)
    if layout is None or base_of(x).name == "positions":
        return _copy(x)
    steps = zip(x.shape, layout.strides, row_major(x.shape), strict=True)
    return x if all(step == own for n, step, own in steps if n > 1) else _copy(x)


def _copy(x: Value) -> Value:
    return Value("copy", (x,), {}, x.shape, x.dtype, None, x.line)


def _operand(x: Value, layouts: Layouts) -> Value:
    """The operand of a product: a matrix of contiguous rows or columns, or a copy."""
    layout = layouts(x)
    if layout is None:
        return _copy(x)
    rows, columns = x.shape[-2:]
    down, across = layout.strides[-2:]
    by_rows = (across == 1 or columns == 1) and (down >= columns or rows == 1)
    by_columns = (down == 1 or rows == 1) and (across >= rows or columns == 1)
    return x if by_rows or by_columns else _copy(x)
