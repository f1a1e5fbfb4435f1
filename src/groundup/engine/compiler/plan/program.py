"""A program that is ready to run: machine code, memory, and where inputs and results go.

Everything up to a ``Call`` is one tape, which is one native call; most programs are one tape.
"""

from __future__ import annotations

import math
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from operator import attrgetter, is_
from typing import Any

import numpy as np

from ...base import Array, tick, wrap
from ...tensor import Tensor
from ..emit.emit import emit
from ..fuse.again import compute_again
from ..fuse.fuse import (
    Call,
    Group,
    Packed,
    Product,
    Scatter,
    Step,
    base_of,
    fuse,
    kind,
    owner,
    with_copies,
)
from ..fuse.nest import Nest, nest
from ..graph import Check, Graph, Value
from ..kernel import Apply, Kernel, Load, Store
from ..layout import Layouts, row_major
from ..native import native
from ..native.pool import get_num_threads
from ..native.tape import Record, Tape, parts
from ..products import contraction, packed, products, scatters
from ..simplify.simplify import simplify
from .conditions import condition
from .plan import plan

Owners = list[tuple[Value | None, int]]
"""For each argument of a record whose memory it points to, and how many bytes into it."""
Placed = tuple[Record, Owners]
Done = Nest | products.Product | scatters.Scatter | packed.Packed | None

_ARRAY = attrgetter("array")
_SMALL = 1 << 16
"""Bytes; smaller inputs are copied, which is quicker than telling the tape of another address."""
_WORTH = 40_000
"""Simple operations that are worth a thread."""


@dataclass(frozen=True, slots=True)
class Work:
    """A step and what does it; for ``explain``.

    Attributes:
        step: the step.
        done: the kernel of a group, the way of what has no loops of its own; None for a call.
        part: which part of the program does it.
        records: which records of the tape that the part is.
    """

    step: Step
    done: Done
    part: int
    records: range


class Program:
    """A compiled graph.

    Args:
        graph: the program as it was traced.
        missing: leaves that had no gradient when the function asked for it.
    """

    def __init__(self, graph: Graph, missing: set[Tensor]) -> None:
        self.traced = graph
        self.missing = tuple(missing)
        self.threads = get_num_threads()
        self._layouts = Layouts()
        self.graph = with_copies(simplify(graph))
        fused = fuse(self.graph)
        compute_again(self.graph, fused)
        self.plan, gradients = plan(self.graph, fused, self._layouts, self.threads)
        self._gradients = [
            (leaf, None if value is None else wrap(self.plan.held[value]))
            for leaf, value in gradients
        ]
        sources = [v for v in self.graph.values if kind(v) == "source"]
        self._states = [v for v in sources if v.name == "state"]
        self._inputs = [v for v in sources if v.name == "input"]
        self._rates = [(v, np.zeros((), v.dtype)) for v in sources if v.name == "rate"]
        draws = [v for v in graph.values if v.name == "random"]  # also those that nobody reads
        self._draws = sorted(draws, key=lambda v: v.static["draw"].place)
        self._arrays: dict[Value, Array] = dict(self._rates)
        for value in sources:
            if value.name == "constant":
                self._arrays[value] = _contiguous(value.static["array"])
            elif value.name == "state":
                self._arrays[value] = _state(value)
        self._written = {state for state, _ in self.graph.writes}
        self._versions = [v.static["tensor"].shared_version() for v, _ in self.graph.writes]
        self._lock = threading.Lock()
        self._flag = np.zeros(1, np.int64)  # raised when a condition does not hold
        self._uses: dict[Value, list[tuple[Tape, int, int, int]]] = defaultdict(list)
        self._checks: list[tuple[Check, Callable[[], Array]]] = []  # in the order of the tape
        self._parts: list[Callable[[], None]] = []
        self.tapes: dict[int, Tape] = {}
        self.work: list[Work] = []
        self._small: list[tuple[Array, int]] = []
        self._large: list[tuple[Value, int]] = []
        for value in self._inputs:
            if value.size * value.dtype.itemsize <= _SMALL:
                self._arrays[value] = np.empty(value.shape, value.dtype)
                self._small.append((self._arrays[value], value.static["position"]))
            else:
                self._large.append((value, value.static["position"]))
        self._build(self.plan.steps)
        self._watch()
        self._results = [self._view(value) for value in self.plan.outputs]

    # Making

    def _build(self, steps: list[Step]) -> None:
        nests = {s: nest(s, self.plan.stored, self._layouts) for s in steps if isinstance(s, Group)}
        self._products = {s: self._product(s.value) for s in steps if isinstance(s, Product)}
        self._scatters = {s: self._scatter(s.value) for s in steps if isinstance(s, Scatter)}
        self._packed = {s: packed.of_value(s.value) for s in steps if isinstance(s, Packed)}
        self._compile(dict.fromkeys(kernel for one in nests.values() for kernel in self._of(one)))
        checked = self._checked(steps)
        pending: list[Placed] = []
        for check in checked[None]:
            pending = self._look(check, pending)
        for step in steps:
            done: Done = None
            first = len(pending)
            if isinstance(step, Group):
                done = nests[step]
                pending += self._group(done)
            elif isinstance(step, Product):
                done = self._products[step]
                pending.append(self._placed_product(step.value, done))
            elif isinstance(step, Scatter):
                done = self._scatters[step]
                pending.append(self._placed_scatter(step.value, done))
            elif isinstance(step, Packed):
                done = self._packed[step]
                pending.append(self._placed_packed(step.value, done))
            else:
                self._flush(pending)
                pending, first = [], 0
                self._parts.append(self._call(step))
            part = len(self._parts) - (done is None)
            self.work.append(Work(step, done, part, range(first, len(pending))))
            for check in checked[step]:
                pending = self._look(check, pending)
        self._flush(pending)

    def _compile(self, kernels: Iterable[Kernel]) -> None:
        """Make machine code of everything at once."""
        named = {kernel: _named(kernel) for kernel in kernels}
        texts = dict(named.values())
        texts |= {each.name: each.text for each in self._products.values() if each.inline}
        texts |= {each.name: partial(str, each.text) for each in self._scatters.values()}
        texts |= {each.name: each.text for each in self._packed.values()}
        addresses = native.compile_many(texts)
        self._code = {kernel: addresses[name] for kernel, (name, _) in named.items()}

    def _checked(self, steps: list[Step]) -> dict[Step | None, list[Check]]:
        """The conditions on what a step completes; those on sources beside None."""
        made = {
            owner(value): step  # of an assembly, whose parts several steps may write, the last one
            for step in steps
            for value in (step.members if isinstance(step, Group) else [step.value])
        }
        found: dict[Step | None, list[Check]] = defaultdict(list)
        for check in self.graph.checks:
            found[made.get(base_of(check.value))].append(check)
        return found

    def _look(self, check: Check, pending: list[Placed]) -> list[Placed]:
        """Look whether a condition holds, after what is pending; what is pending then."""
        layout = self._layouts(check.value)
        assert layout is not None
        view = self._view(check.value)
        if layout.base.name == "constant" and _holds(check, view()):
            return pending
        self._checks.append((check, view))
        kernel = condition(check, layout)
        if kernel is None:
            self._flush(pending)
            self._parts.append(lambda: _verify(check, view()))
            return []
        arguments = [self._address(layout.base), self._flag.ctypes.data]
        record = Record(_code(kernel), arguments, kernel.extent, kernel.extent)
        return [*pending, (record, [(self._owner(layout.base), 0), (None, 0)])]

    def _flush(self, pending: list[Placed]) -> None:
        if not pending:
            return
        tape = Tape([record for record, _ in pending], self.threads, self._flag.ctypes.data)
        for i, (_, values) in enumerate(pending):
            for j, (value, shift) in enumerate(values):
                if value is not None and value.name in ("state", "input", "random"):
                    self._uses[value].append((tape, i, j, shift))
        self.tapes[len(self._parts)] = tape
        self._parts.append(tape.run)

    def _group(self, one: Nest) -> list[Placed]:
        kernel = one.kernel
        grain = _grain(kernel)
        shares = parts(kernel.extent, grain, self.threads)
        arguments: list[int] = []
        values: Owners = []
        after: list[Placed] = []
        starts = iter(one.starts)
        for value in one.reads:
            start = next(starts) * value.dtype.itemsize
            arguments.append(self._address(value) + start)
            values.append((self._owner(value), start))
        for value in one.writes:
            start = next(starts) * value.dtype.itemsize
            if value in one.sums and shares > 1:
                partial = self.plan.arena.ctypes.data + self.plan.partial[value]
                arguments.append(partial)
                values.append((None, 0))
                after.append(self._combined(value, partial, shares))
            else:
                arguments.append(self._address(value) + start)
                values.append((self._owner(value), start))
        return [(Record(self._code[kernel], arguments, kernel.extent, grain), values), *after]

    def _of(self, one: Nest) -> list[Kernel]:
        """The kernel of a group, and those that add up what its shares have summed."""
        shares = parts(one.kernel.extent, _grain(one.kernel), self.threads)
        return [one.kernel, *(_adder(value, shares) for value in one.sums if shares > 1)]

    def _combined(self, value: Value, partial: int, shares: int) -> Placed:
        """Add up what the shares of a kernel have summed."""
        kernel = _adder(value, shares)
        arguments = [partial, self._address(value)]
        record = Record(self._code[kernel], arguments, kernel.extent, _WORTH)
        return record, [(None, 0), (self._owner(value), 0)]

    def _product(self, value: Value) -> products.Product:
        a, b = value.inputs
        left, right = self._layouts(a), self._layouts(b)
        assert left is not None
        assert right is not None
        if value.name == "contract":
            return contraction.product(
                value.dtype, (a.shape, left.strides), (b.shape, right.strides)
            )
        n, k = a.shape[-2:]
        m = b.shape[-1]
        out = row_major(value.shape)
        batch = []
        for d, size in enumerate(value.shape[:-2]):
            steps = []
            for x, layout in ((a, left), (b, right)):
                own = d - (len(value.shape) - len(x.shape))
                steps.append(0 if own < 0 or x.shape[own] == 1 else layout.strides[own])
            if size > 1:
                batch.append((size, steps[0], steps[1], out[d]))
        rows = n
        # A batch of products with the same right operand is one product with more rows.
        while (
            batch
            and batch[-1][2] == 0
            and batch[-1][1] == rows * left.strides[-2]
            and (batch[-1][3] == rows * m)
        ):
            rows *= batch.pop()[0]
        return products.product(
            value.dtype, rows, m, k, _two(left.strides), _two(right.strides), (m, 1), batch
        )

    def _placed_product(self, value: Value, made: products.Product) -> Placed:
        left, right = [self._layouts(x) for x in value.inputs]
        assert left is not None
        assert right is not None
        size = value.dtype.itemsize
        arguments = made.arguments(
            self._address(left.base) + left.offset * size,
            self._address(right.base) + right.offset * size,
            self._address(value),
        )
        owners: Owners = [
            (self._owner(left.base), left.offset * size),
            (self._owner(right.base), right.offset * size),
            (self._owner(value), 0),
        ]
        return Record(made.address, arguments, made.extent, made.grain), owners

    def _scatter(self, value: Value) -> scatters.Scatter:
        whole = value.inputs[2] if len(value.inputs) > 2 else None
        return scatters.scatter(value, whole is not None and self._owner(value) is whole)

    def _placed_scatter(self, value: Value, made: scatters.Scatter) -> Placed:
        arguments: list[int] = []
        owners: Owners = []
        before = value.inputs[2:] or (value,)
        for x in (*value.inputs[:2], *before, value):
            layout = self._layouts(x)
            assert layout is not None
            shift = layout.offset * x.dtype.itemsize
            arguments.append(self._address(layout.base) + shift)
            owners.append((self._owner(layout.base), shift))
        return Record(made.address, arguments, made.shape.extent, made.grain), owners

    def _placed_packed(self, value: Value, made: packed.Packed) -> Placed:
        arguments: list[int] = []
        owners: Owners = []
        for x in (*value.inputs, value):
            layout = self._layouts(x)
            assert layout is not None
            shift = layout.offset * x.dtype.itemsize
            arguments.append(self._address(layout.base) + shift)
            owners.append((self._owner(layout.base), shift))
        return made.record(arguments), owners

    def _call(self, step: Call) -> Callable[[], None]:
        value = step.value
        views = [self._view(x) for x in value.inputs]
        target = self._view(value)
        forward, static = value.primitive.forward, value.static  # type: ignore[union-attr]

        def run() -> None:
            with np.errstate(all="ignore"):
                np.copyto(target(), forward(*[view() for view in views], **static))

        return run

    # Addresses

    def _owner(self, value: Value) -> Value:
        """The source whose memory a value lies in, or the value itself."""
        return self.plan.placed.get(value, value)

    def _array(self, value: Value) -> Array:
        """The memory of a value that is stored."""
        owner = self._owner(value)
        if owner in self._arrays:
            return self._arrays[owner]
        if owner in self.plan.held:
            return self.plan.held[owner]
        offset = self.plan.offsets[owner]
        size = owner.size * owner.dtype.itemsize
        return self.plan.arena[offset : offset + size].view(owner.dtype).reshape(owner.shape)

    def _address(self, value: Value) -> int:
        owner = self._owner(value)
        if owner.name in ("input", "random") and owner not in self._arrays:
            return 0
        return self._array(owner).ctypes.data

    def _view(self, x: Value) -> Callable[[], Array]:
        """What gives a value as NumPy sees it."""
        layout = self._layouts(x)
        assert layout is not None
        base, steps = layout.base, tuple(step * x.dtype.itemsize for step in layout.strides)
        owner = self._owner(base)
        if x is base and owner not in self._arrays:
            whole = self._array(base) if owner.name not in ("input", "random") else None
            if whole is not None:
                return lambda: whole

        def view() -> Array:
            array = self._array(base)
            if x is base:
                return array
            start = array.reshape(-1)[layout.offset :] if array.flags.c_contiguous else array
            return np.lib.stride_tricks.as_strided(start, x.shape, steps, writeable=False)

        return view

    # Running

    def misfit(self) -> str | None:
        """Why the state is not what the program was made for; None if it is."""
        for leaf in self.missing:
            if leaf._grad is not None:
                return "a gradient is there that was not"
        if self.threads != get_num_threads():
            return "another number of threads"
        if self._moved():
            for value in self._states:
                array = _state(value)
                if array is None or array.shape != value.shape or array.dtype != value.dtype:
                    return f"a state of shape {value.shape} has changed its shape or dtype"
                if array.strides != value.static["strides"]:
                    return f"a state of shape {value.shape} lies otherwise in memory"
        return None

    def _moved(self) -> bool:
        """Whether a state has other memory than at the last call."""
        if len(self._watched) < len(self._states):
            return True
        return not all(map(is_, map(_ARRAY, self._watched), self._seen))

    def _watch(self) -> None:
        """Note the memory of the states that are no gradients."""
        watched = [v for v in self._states if v.static["leaf"] is None]
        self._watched = [v.static["tensor"] for v in watched]
        self._seen = [self._arrays[v] for v in watched]

    def run(self, inputs: list[Array]) -> list[Tensor]:
        """Compute: results are returned, states and gradients set."""
        with self._lock:
            return self._run(inputs)

    def _run(self, inputs: list[Array]) -> list[Tensor]:
        if self._moved():
            if reason := self.misfit():
                raise RuntimeError(f"the program does not fit any more: {reason}")
            for value in self._states:
                array = _state(value)
                self._point(value, array if value in self._written else self._apart(array))
            self._watch()
        for own, position in self._small:
            own[...] = inputs[position]
        for value, position in self._large:
            self._point(value, self._apart(_contiguous(inputs[position])))
        for value, number in self._rates:
            number[...] = value.static["group"][value.static["key"]]
        for value in self._draws:
            draw = value.static["draw"]
            numbers = getattr(draw.generator, draw.method)(*draw.arguments)
            self._point(value, _contiguous(numbers))
        for part in self._parts:
            part()
            if self._flag[0]:
                self._refuse()
        now = tick()
        for version in self._versions:
            version.changed = now
        for leaf, g in self._gradients:
            leaf._grad = g
        return [wrap(view().copy()) for view in self._results]

    def _refuse(self) -> None:
        """Say which condition does not hold: the first, for what follows it is not computed."""
        self._flag[0] = 0
        for check, view in self._checks:
            _verify(check, view())

    def _apart(self, array: Array) -> Array:
        """An array, or a copy if it is a gradient of an earlier call of this very program."""
        within = array.ctypes.data - self.plan.arena.ctypes.data
        return array.copy() if 0 <= within < self.plan.arena.nbytes else array

    def _point(self, value: Value, array: Array) -> None:
        self._arrays[value] = array
        address = array.ctypes.data
        for tape, record, argument, shift in self._uses[value]:
            tape.set(record, argument, address + shift)


def _grain(kernel: Kernel) -> int:
    """How much of a kernel's extent is worth a thread."""
    each = math.prod(kernel.sizes) // max(kernel.extent, 1) * len(kernel.body)
    return max(1, -(-_WORTH // max(each, 1)))


def _adder(value: Value, shares: int) -> Kernel:
    """What adds up the sums of the shares of a kernel."""
    body: list[Any] = [Load(0, i * value.size, (1,)) for i in range(shares)]
    total = 0
    for i in range(1, shares):
        body.append(Apply("add", (total, i), value.dtype))
        total = len(body) - 1
    body.append(Store(1, 0, (1,), total))
    return Kernel((value.size,), 1, (value.dtype, value.dtype), tuple(body))


def _code(kernel: Kernel) -> int:
    """The address of a kernel's machine code."""
    name, text = _named(kernel)
    return native.compile_many({name: text})[name]


def _named(kernel: Kernel) -> tuple[str, Callable[[], str]]:
    """A name for the function that is the same in every process, and what writes the function."""
    name = f"kernel_{sha256(repr(kernel).encode()).hexdigest()[:16]}"
    return name, partial(emit, kernel, name, native.host().bits)


def _two(strides: tuple[int, ...]) -> tuple[int, int]:
    return strides[-2], strides[-1]


def _contiguous(array: Array) -> Array:
    return array if array.flags.c_contiguous else array.copy(order="C")


def _state(value: Value) -> Any:
    leaf = value.static["leaf"]
    if leaf is None:
        return value.static["tensor"].array
    return None if leaf._grad is None else leaf._grad.array


def _holds(check: Check, array: Array) -> bool:
    """Whether a condition on values holds, whatever is ignored."""
    return not array.size or bool(check.low <= array.min() and array.max() <= check.high)


def _verify(check: Check, array: Array) -> None:
    """Raise if a condition on values does not hold."""
    if _holds(check, array):
        return
    wrong = array[~((check.low <= array) & (array <= check.high))]
    if check.ignored is not None:
        wrong = wrong[wrong != check.ignored]
    if wrong.size:
        raise IndexError(f"{check.line}: found {wrong[0]}, expected {check.low} to {check.high}")
