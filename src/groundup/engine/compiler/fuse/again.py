"""What is cheaper to compute twice than to write to memory and read again.

A value that one group computes and others read is written once and read by each. Where all of them
can compute it anew, of what is in memory anyway, and that costs less than the traffic, it joins
them as well and is not written at all: the mask of a relu, a bias that was added, the normalised
input of a layer norm, what the derivative of GELU needs.

    forward:   h = x @ W;  y = relu(h + b)               stored: h @ W and y, not the mask
    backward:  g * (y > 0)                               the mask is computed here
"""

from __future__ import annotations

from collections import defaultdict

from ..emit.schedule import weight
from ..graph import Graph, Value
from ..layout import VIEWS
from .fuse import Axes, Fused, Group, base_of, inputs_of, kind, moved_dims, needed_in_memory
from .nest import axes_of_input

_TRAFFIC = 4.0
"""What a vector that is read or written costs, in simple operations."""
_LARGE = 4 << 20
"""Bytes of a value that leaves the caches before it is read."""
_FAR_TRAFFIC = 12.0
"""What a vector of such a value costs."""
_SMALL = 8
"""So many times smaller is a value that may be stored in place of another one."""
_EXACT = frozenset({"cast", "gt", "ge", "lt", "le", "relu", "neg", "abs", "where", "logical_not"})


def compute_again(graph: Graph, fused: Fused) -> None:
    """Let groups compute what they would read, where that is cheaper.

    Args:
        graph: the program.
        fused: its steps; members are added to groups among them.

    Example:
        >>> compute_again(Graph(), Fused([], set()))
    """
    steps = fused.steps
    fixed = needed_in_memory(graph, [s for s in steps if not isinstance(s, Group)])
    readers: dict[Value, list[Group]] = defaultdict(list)
    home: dict[Value, Group] = {}
    for step in steps:
        if isinstance(step, Group):
            fixed |= step.sums
            home |= dict.fromkeys(step.members, step)
            for base in {b for x in inputs_of(step) if (b := base_of(x)) not in step.members}:
                readers[base].append(step)
    kept = set(fused.stored)
    for value in graph.values:
        if value in kept and value not in fixed and value in home and kind(value) == "point":
            found = _everywhere(value, readers[value], home, kept)
            if found:
                kept.discard(value)
                for group, members in zip(readers[value], found, strict=True):
                    _insert(group, members)
                    for base in {b for one in members for x in one.inputs if (b := base_of(x))}:
                        if base not in group.members and group not in readers[base]:
                            readers[base].append(group)
                            if base in home:
                                kept.add(base)
    fused.stored = needed_in_memory(graph, steps)


def _everywhere(
    value: Value, groups: list[Group], home: dict[Value, Group], kept: set[Value]
) -> list[dict[Value, Axes]] | None:
    """For each group what is to be computed there; None if it is not worth it, or impossible."""
    traffic = _FAR_TRAFFIC if _bytes(value) >= _LARGE else _TRAFFIC
    gain = traffic * _bytes(value)
    found = []
    for group in groups:
        axes = _axes_in(value, group)
        if axes is None:
            return None
        cone = _cone(value, axes, group, home, kept)
        if cone is None:
            return None
        exact = cone.keys() <= {one for one in cone if one.name in _EXACT}
        if not exact and any(m.name in ("eq", "ne") for m in group.members):
            return None  # what was equal before might be rounded otherwise
        reads = {b for one in cone for x in one.inputs if (b := base_of(x)) not in cone}
        read = {base_of(x) for x in inputs_of(group)}
        new = sum(_bytes(b) for b in reads if b not in group.members and b not in read)
        work = sum(weight(one.name) * one.size * 4 for one in cone)
        gain += traffic * (_bytes(value) - new) - work
        found.append(cone)
    return found if gain > 0 else None


def _bytes(x: Value) -> int:
    return x.size * x.dtype.itemsize


def _cone(
    value: Value, axes: Axes, group: Group, home: dict[Value, Group], kept: set[Value]
) -> dict[Value, Axes] | None:
    """What a group has to compute for a value, each after what it is computed from."""
    found: dict[Value, Axes] = {}

    def visit(one: Value, axes: Axes) -> bool:
        if one in group.members or one in found:
            return (group.members | found)[one] == axes and one not in group.sums
        if one.name in ("copy", "part", "pick") or len(found) > 12:
            return False
        for x in one.inputs:
            extra = len(axes) - len(x.shape)
            own = tuple(
                [None if n == 1 else loop for n, loop in zip(x.shape, axes[extra:], strict=True)]
            )
            base = base_of(x)
            known = base in group.members or base in found
            if not known and _is_there(base, value, home, kept):
                continue
            if kind(base) != "point" and base not in group.members:
                return False
            there = _below(x, own)
            if there is None or not visit(base, there):
                return False
        found[one] = axes
        return True

    return found if visit(value, axes) else None


def _is_there(base: Value, value: Value, home: dict[Value, Group], kept: set[Value]) -> bool:
    """Whether a value can be read from memory."""
    if base is value:
        return False
    return base not in home or base in kept or _bytes(base) * _SMALL <= _bytes(value)


def _axes_in(value: Value, group: Group) -> Axes | None:
    """The loops of a group along the dimensions of a value that it reads."""
    found: Axes | None = None
    for member, axes in group.members.items():
        for x in member.inputs:
            if base_of(x) is not value:
                continue
            if member.name == "pick" and x is member.inputs[0]:
                return None
            if member.name in ("sum", "amax", "amin"):
                own = axes_of_input(member, x, group)
            else:
                extra = len(axes) - len(x.shape)
                pairs = zip(x.shape, axes[extra:], strict=True)
                own = tuple([None if n == 1 else loop for n, loop in pairs])
            there = _below(x, own)
            if there is None or (found is not None and there != found):
                return None
            found = there
    if found is None:
        return None
    loops = {loop for loop in found if loop is not None}
    by_row = group.row is not None and loops == group.all - group.row
    return found if loops == group.all or by_row else None


def _below(x: Value, axes: Axes) -> Axes | None:
    """The loops along the dimensions of what a view looks at; None if elements change places."""
    while x.name in VIEWS:
        under = x.inputs[0]
        moved = moved_dims(x, under)
        if moved is None:
            return None
        found: list[int | None] = [None] * len(under.shape)
        for d, loop in zip(moved, axes, strict=True):
            if d is not None and under.shape[d] > 1:
                found[d] = loop
        x, axes = under, tuple(found)
    return axes


def _insert(group: Group, new: dict[Value, Axes]) -> None:
    """Add members; each member comes after those that it reads."""
    group.again |= new.keys() - group.members.keys()
    every = new | group.members
    members: dict[Value, Axes] = {}

    def put(one: Value) -> None:
        if one in every and one not in members:
            for x in one.inputs:
                put(base_of(x))
            members[one] = every[one]

    for member in group.members:
        put(member)
    group.members = members
