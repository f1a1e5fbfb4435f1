"""Gradients of a compiled call: what ``backward`` finds where a compiled function gave a result.

A function that is called where operations are recorded gives results that require a gradient, as
without compilation. Behind them stands one node for the whole call. It keeps the arguments and what
cannot be computed again (random numbers, what was overwritten); when it is asked for gradients, a
second program computes the forward pass anew and walks back through it, fused like any other. That
program is found in the same trace, and compiled when it is first needed.

Where the gradient itself is to be differentiated, the node calls the function uncompiled instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...autocast import restored
from ...autograd import Vertex, enable_grad, walk
from ...base import Array, mode, tick, wrap
from ...dtypes import DType
from ...ops.conversion import to
from ...primitive import NOTHING, Node, Primitive, Spec
from ...primitives import shape as shaping
from ...random import Generator
from ...tensor import Tensor
from ..graph import Graph, Value, ordered
from .trace import Phantom, TraceError, Tracer
from .tree import filled, leaves

if TYPE_CHECKING:
    from ..plan.program import Program

Call = tuple[Any, Any]
"""The arguments of a call, by position and by name."""


@dataclass(slots=True)
class Pullback:
    """How to differentiate calls of one trace.

    Attributes:
        function: what is called.
        autocast: the dtype of products in it.
        places: of the results that are differentiated: their number among the program's results,
            and among the leaves of what the function returns.
        specs: their shapes and dtypes.
        targets: for each argument whether a gradient is wanted, then what else the results depend
            on: leaves and operations from before the trace.
        reads: for each target whether its values are needed.
        specs_of_targets: their shapes and dtypes.
        others: tensors whose values are needed beside those of arguments.
        saved: numbers of the program's results that are kept for the gradient.
        written: the states that the function changes.
        earlier: those of them whose value from before the call is kept, and which one that is.
        graph: computes the gradients of the targets.
        found: for each target the number of its gradient among that program's results.
        generators: what random numbers were drawn from.
        error: why there is no gradient.
    """

    function: Callable[..., Any]
    autocast: DType | None
    places: list[tuple[int, int]]
    specs: list[Spec]
    targets: list[bool | Vertex] = field(default_factory=list)
    reads: list[bool] = field(default_factory=list)
    specs_of_targets: list[Spec] = field(default_factory=list)
    others: list[Tensor] = field(default_factory=list)
    saved: list[int] = field(default_factory=list)
    written: list[Value] = field(default_factory=list)
    earlier: list[tuple[Value, int]] = field(default_factory=list)
    graph: Graph = field(default_factory=Graph)
    found: list[int | None] = field(default_factory=list)
    generators: list[Generator] = field(default_factory=list)
    error: str = ""
    _program: Program | None = None

    def program(self) -> Program:
        """What computes the gradients, compiled at the first need."""
        from ..plan.program import Program

        if self._program is None or self._program.misfit() is not None:
            self._program = Program(self.graph, set())
        return self._program

    def attach(self, call: Call, tensors: list[Tensor], results: list[Tensor], before: Any) -> None:
        """Give results of a call their place in the graph of operations.

        Args:
            call: the arguments.
            tensors: those of them that are tensors.
            results: of the program.
            before: states of the generators before the call.
        """
        saved = [results[i].array for i in self.saved]
        node = _Call(self, call, tensors, saved, before)
        if len(self.places) == 1:
            out = results[self.places[0][0]]
            out.requires_grad, out.node = True, node
            return
        dtype = np.result_type(*[spec.dtype for spec in self.specs])
        size = sum(int(np.prod(spec.shape)) for spec in self.specs)
        packed = wrap(np.broadcast_to(np.zeros((), dtype), (size,)))
        packed.requires_grad, packed.node = True, node
        start = 0
        for (place, _), spec in zip(self.places, self.specs, strict=True):
            out = results[place]
            stop = start + int(np.prod(spec.shape))
            out.requires_grad = True
            out.node = Node(_PART, (packed,), {"start": start, "stop": stop}, out)
            start = stop


def _unpart(g: Tensor, _y: Any, packed: Spec, start: int, stop: int) -> Tensor:
    whole = to(shaping.reshape(g, shape=(-1,)), packed.dtype)
    return shaping.pad(whole, widths=((start, packed.shape[0] - stop),), value=0.0)


_PART = Primitive("result", lambda packed, start, stop: packed[start:stop], _unpart)
_PART.needs[3] = _PART.find_needs([True])._replace(inputs=(False,), anything=False)


def trace_back(
    tracer: Tracer,
    pullback: Pullback,
    results: list[Tensor],
    stand_ins: list[Tensor],
    written: set[int],
    began: int,
) -> None:
    """Find out, at the end of a trace, how its results depend on arguments and on other tensors.

    Args:
        tracer: of the trace that is ending.
        pullback: where it is written down.
        results: those that require a gradient.
        stand_ins: what the function was given for each tensor.
        written: numbers of the arguments that are changed in place.
        began: when the trace began.
    """
    outputs = tracer.graph.outputs
    try:
        outside, specs = _outside(results, began, stand_ins)
        seeds = []
        for i, spec in enumerate(pullback.specs):
            static = {"position": ("seed", i)}
            seed = Value("input", (), static, spec.shape, spec.dtype)
            seeds.append(wrap(Phantom(seed, tracer)))  # type: ignore[arg-type]
        targets: list[Vertex | None] = [x if x.requires_grad else None for x in stand_ins]
        targets += outside
        wanted = {target for target in targets if target is not None}
        found = walk(results, seeds, wanted, retain_graph=True, create_graph=False, beyond=False)
    except RuntimeError as error:
        pullback.error = str(error)
        return
    gradients = [None if target is None else found.get(target) for target in targets]
    back = [tracer.read(g) for g in gradients if g is not None]
    places = iter(range(len(back)))
    pullback.found = [None if g is None else next(places) for g in gradients]
    changed = {id(state) for state in tracer.changed_states()}
    swaps: dict[Value, Value] = {}
    for value in ordered(back):
        position = value.static.get("position")
        if value.primitive is None and (
            value.name in ("random", "rate")
            or id(value) in changed
            or (isinstance(position, int) and (position in written or position >= len(stand_ins)))
        ):
            static = {"position": ("saved", len(swaps))}
            swaps[value] = Value("input", (), static, value.shape, value.dtype)
            pullback.saved.append(len(outputs))
            if value.name == "state":
                pullback.earlier.append((value, len(swaps) - 1))
            outputs.append(value)
    kept = _replaced(back, swaps)
    graph = pullback.graph = Graph(outputs=kept)
    graph.values = ordered(kept)
    numbers = {"seed": len(stand_ins), "saved": len(stand_ins) + len(seeds)}
    read: set[Any] = set()
    for value in graph.values:
        position = value.static.get("position")
        if isinstance(position, tuple):
            value.static["position"] = numbers[position[0]] + position[1]
        elif value.name == "input":
            read.add(position)
        elif value.name == "state":
            read.add(id(value.static["tensor"].array))
            pullback.others.append(value.static["tensor"])
    pullback.targets = [x.requires_grad for x in stand_ins]
    pullback.targets += outside
    pullback.reads = [i in read for i in range(len(stand_ins))] + [False] * len(outside)
    pullback.specs_of_targets = [Spec(x.array.shape, x.array.dtype) for x in stand_ins] + specs
    pullback.generators = tracer.generators()
    pullback.written = tracer.changed_states()


def _outside(
    results: list[Tensor], began: int, stand_ins: list[Tensor]
) -> tuple[list[Vertex], list[Spec]]:
    """What was there before the trace and the results depend on: leaves and older operations."""
    found: dict[Vertex, Spec] = {}
    seen: set[Node] = set()
    given = set(map(id, stand_ins))
    stack: list[tuple[Vertex, Spec]] = [
        (out.node or out, Spec(out.array.shape, out.array.dtype)) for out in results
    ]
    while stack:
        vertex, spec = stack.pop()
        if isinstance(vertex, Tensor) or vertex.time < began:
            if id(vertex) not in given:
                found[vertex] = spec
        elif vertex not in seen:
            seen.add(vertex)
            vertex.check()
            for edge, x in zip(vertex.edges, vertex.inputs or (), strict=False):
                if edge is not None:
                    known = x if isinstance(x, Spec) else Spec(x.array.shape, x.array.dtype)
                    stack.append((edge, known))
    return list(found), list(found.values())


def _replaced(values: list[Value], swaps: dict[Value, Value]) -> list[Value]:
    """The values computed from others than some of their sources."""
    new = dict(swaps)
    for value in ordered(values):
        if value in new:
            continue
        inputs = tuple([new[x] for x in value.inputs])
        if all(a is b for a, b in zip(inputs, value.inputs, strict=True)):
            new[value] = value
        else:
            new[value] = Value(
                value.name, inputs, value.static, value.shape, value.dtype, value.primitive,
                value.line,
            )  # fmt: skip
    return [new[value] for value in values]


class _Call(Node):
    """A call of a compiled function.

    Attributes:
        pullback: how to differentiate it.
        call: the arguments.
        tensors: those of them that are tensors.
        saved: arrays that were handed on.
        before: states of the generators before the call.
    """

    __slots__ = ("before", "call", "pullback", "saved", "tensors")

    def __init__(
        self,
        pullback: Pullback,
        call: Call,
        tensors: list[Tensor],
        saved: list[Array],
        before: Any,
    ) -> None:
        name = getattr(pullback.function, "__name__", type(pullback.function).__name__)
        self.primitive = Primitive(f"compiled {name}()", lambda *_: None)
        self.static = {}
        self.time = tick()
        self.pullback, self.call, self.tensors = pullback, call, tensors
        self.saved, self.before = saved, before
        self.edges = []
        self.inputs = []
        for i, target in enumerate(pullback.targets):
            if isinstance(target, bool):
                given = tensors[i]
                self.edges.append((given.node or given) if target else None)
                self.inputs.append(given if pullback.reads[i] else pullback.specs_of_targets[i])
            else:
                self.edges.append(target)
                self.inputs.append(pullback.specs_of_targets[i])
        self.edges += [None] * len(pullback.others)
        self.inputs += pullback.others
        if pullback.error:  # somewhere to go, so that whoever goes there is told
            self.edges, self.inputs = [wrap(np.zeros(()))], [NOTHING]
        self.output, self.keeps = NOTHING, True

    def pull(self, g: Tensor, wanted: list[bool]) -> list[Tensor | None]:
        """Gradients of the arguments and of what else the function read."""
        if self.pullback.error:
            raise RuntimeError(f"{self.primitive.name}: {self.pullback.error}")
        self.check()
        seeds = self._seeds(g)
        if mode.grad or mode.tracer is not None:
            return self._uncompiled(seeds)
        arrays = [x.array for x in self.tensors] + [x.array for x in seeds] + self.saved
        results = self.pullback.program().run(arrays)
        rest = len(wanted) - len(self.pullback.found)
        return [None if i is None else results[i] for i in self.pullback.found] + [None] * rest

    def _seeds(self, g: Tensor) -> list[Tensor]:
        """The gradient of each result, from that of all of them together."""
        specs = self.pullback.specs
        if len(specs) == 1:
            return [g]
        seeds, start = [], 0
        for spec in specs:
            stop = start + int(np.prod(spec.shape))
            part = shaping.slice_(g, key=(slice(start, stop),))
            seeds.append(to(shaping.reshape(part, shape=spec.shape), spec.dtype))
            start = stop
        return seeds

    def _uncompiled(self, seeds: list[Tensor]) -> list[Tensor | None]:
        """Call the function again, recording what it does; nothing is changed in the end."""
        pullback = self.pullback
        if mode.tracer is not None and pullback.written:
            raise TraceError(
                f"{self.primitive.name} was called outside of the function that is being compiled, "
                "and changed its state; call it inside"
            )
        opened = {
            id(x): x.view(x.shape) if mode.grad else x.detach().requires_grad_()
            for x in self.tensors
            if x.requires_grad
        }
        args, kwargs = filled(self.call, lambda x: opened.get(id(x), x))
        written = [v.static["tensor"] for v in pullback.written if v.name == "state"]
        now = [x.array.copy() for x in written]
        states = [generator.get_state() for generator in pullback.generators]
        try:
            for value, i in pullback.earlier:
                np.copyto(value.static["tensor"].array, self.saved[i])
            for generator, state in zip(pullback.generators, self.before, strict=True):
                generator.set_state(state)
            with enable_grad(), restored(pullback.autocast):
                found: list[Any] = []
                leaves(pullback.function(*args, **kwargs), found)
            outputs = [found[leaf] for _, leaf in pullback.places]
        finally:
            for x, values in zip(written, now, strict=True):
                np.copyto(x.array, values)
            for generator, state in zip(pullback.generators, states, strict=True):
                generator.set_state(state)
        targets: list[Vertex | None] = []
        for i, target in enumerate(pullback.targets):
            if isinstance(target, bool):
                given = opened.get(id(self.tensors[i])) if target else None
                targets.append(None if given is None else given.node or given)
            else:
                targets.append(target)
        wanted = {target for target in targets if target is not None}
        again = mode.grad
        grads = walk(outputs, seeds, wanted, retain_graph=again, create_graph=again, beyond=False)
        rest: list[Tensor | None] = [None] * len(pullback.others)
        return [None if target is None else grads.get(target) for target in targets] + rest

    def free(self) -> None:
        """Drop what was kept and refuse another walk."""
        self.inputs, self.call, self.tensors, self.saved = None, ((), {}), [], []
