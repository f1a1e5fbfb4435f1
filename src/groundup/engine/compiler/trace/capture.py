"""Calling a function once under a trace, and what becomes of its arguments and results.

The function is given a stand-in for each tensor among its arguments. What it returns is kept as a
tree with places where the tensors of each call will go. A stand-in that was changed in place, or
that was given a gradient, is a result too: the caller's tensor is changed after the call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...base import Array, TensorBase, mode, tick, wrap
from ...primitive import Spec
from ...tensor import Tensor
from ..graph import Graph, Value
from .guards import PLAIN
from .pullback import Call, Pullback, trace_back
from .trace import Phantom, TraceError, Tracer, user_line
from .tree import filled, leaves
from .watch import RATES, Watch


class Place:
    """Stands for a tensor among the results: its number in the program's results."""

    def __init__(self, place: int) -> None:
        self.place = place


class Given:
    """Stands for a result that is one of the arguments: its number among the tensors."""

    def __init__(self, position: int) -> None:
        self.position = position


@dataclass(slots=True)
class Capture:
    """One trace of a function.

    Attributes:
        watch: tells when the trace does not hold any more.
        graph: the program.
        missing: leaves that had no gradient.
        result: what the function returns, with a ``Place`` or ``Given`` for each tensor.
        effects: what Python does "before" or "after" each call.
        overwritten: for arguments (and after them their gradients) that are changed in place, the
            number of the result that they become.
        gradients: for arguments whose ``grad`` is set, the number of the result, None for none.
        pullback: how to differentiate the results; None if they do not require a gradient.
        changed: the arrays that the program changes, by identity.
    """

    watch: Watch
    graph: Graph
    missing: set[Tensor]
    result: Any
    effects: list[tuple[str, Callable[[], Any]]]
    overwritten: list[tuple[int, int]] = field(default_factory=list)
    gradients: list[tuple[int, int | None]] = field(default_factory=list)
    pullback: Pullback | None = None
    changed: dict[int, Array] = field(default_factory=dict)

    def call(self, call: Call, tensors: list[Tensor], run: Callable[[list[Array]], Any]) -> Any:
        """Run the program, and do what Python does before and after it.

        Args:
            call: the arguments.
            tensors: those of them that are tensors, each once.
            run: the program.
        """
        self._refuse_shared(tensors)
        for when, effect in self.effects:
            if when == "before":
                effect()
        back = self.pullback
        before = [] if back is None else [g.get_state() for g in back.generators]
        everything = [*tensors, *gradients_of(tensors)]
        results = run([x.array for x in everything])
        for position, place in self.overwritten:
            x = everything[position]
            np.copyto(x.array, results[place].array)
            x.shared_version().changed = tick()
        for position, where in self.gradients:
            tensors[position]._grad = None if where is None else results[where]
        for when, effect in self.effects:
            if when == "after":
                effect()
        if back is not None:
            back.attach(call, tensors, results, before)
        return self.given(tensors, results)

    def given(self, tensors: Sequence[Tensor], results: list[Tensor]) -> Any:
        """What the function returns, of the arguments and the program's results."""
        if isinstance(self.result, Place):
            return results[self.result.place]
        return filled(self.result, lambda x: _of_call(x, tensors, results))

    def _refuse_shared(self, tensors: list[Tensor]) -> None:
        if self.changed and any(id(x.array) in self.changed for x in tensors):
            raise TraceError(
                f"{user_line()}: an argument is a tensor that the compiled function also reaches "
                "by another way, and changes; use it one way, or pass a clone()"
            )
        for position, _ in self.overwritten:
            for i, x in enumerate(tensors):
                if i != position < len(tensors) and np.may_share_memory(
                    x.array, tensors[position].array
                ):
                    raise TraceError(
                        f"{user_line()}: two arguments share memory, and the compiled function "
                        "changes one of them in place; pass a clone()"
                    )


def _of_call(x: Any, tensors: Sequence[Tensor], results: list[Tensor]) -> Any:
    if isinstance(x, Place):
        return results[x.place]
    return tensors[x.position] if isinstance(x, Given) else x


def gradients_of(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The gradients that leaves among the arguments have."""
    return [x._grad for x in tensors if x.requires_grad and x._grad is not None and x.node is None]


def capture(
    function: Callable[..., Any], call: Call, given: list[Any], tensors: list[Tensor]
) -> Capture:
    """Trace a function.

    Args:
        function: to be called once.
        call: with these arguments.
        given: the leaves of the arguments.
        tensors: those of them that are tensors, each once.

    Raises:
        TraceError: the function does what a compiled function cannot do.
    """
    began = tick()
    tracer = Tracer()
    rates: list[tuple[dict[str, Any], str, Any, Tensor]] = []

    def on_group(group: dict[str, Any]) -> None:
        for key in RATES:
            if key in group:
                rate = tracer.rate(group, key)
                rates.append((group, key, group[key], rate))
                group[key] = rate

    others = tuple(x for x in given if not isinstance(x, (*PLAIN, TensorBase)))
    for x in others:
        if isinstance(x, np.ndarray):
            raise TraceError(
                f"{user_line()}: a NumPy array of shape {x.shape} is among the arguments of a "
                "compiled function; pass a tensor, such as gu.from_numpy(array), which shares its "
                "memory"
            )
    watch = Watch(function, others, on_group)
    stand_ins = _stand_ins(tracer, tensors)
    try:
        with watch, _traced(tracer):
            swaps = {id(x): s for x, s in zip(tensors, stand_ins, strict=False)}
            args, kwargs = filled(call, lambda x: swaps.get(id(x), x))
            result = function(*args, **kwargs)
            made = _finished(function, tracer, watch, result, stand_ins, len(tensors), began)
            del result
            for group, key, _, rate in rates:
                if group[key] is not rate:
                    raise TraceError(
                        f"{user_line()}: the compiled function sets the {key!r} of a group of an "
                        "optimizer; do that outside, or with the step() of a schedule"
                    )
    finally:
        for group, key, number, _ in reversed(rates):
            group[key] = number
    tracer.finish()
    _note_changed(made, tracer, tensors)
    return made


def _stand_ins(tracer: Tracer, tensors: list[Tensor]) -> list[Tensor]:
    """What the function is given for tensors, and after them what it finds as their gradients."""
    found: list[Tensor] = []
    for x in [*tensors, *gradients_of(tensors)]:
        value = Value("input", (), {"position": len(found)}, x.array.shape, x.array.dtype)
        tracer.graph.values.append(value)
        stand_in = wrap(Phantom(value, tracer))  # type: ignore[arg-type]
        stand_in.requires_grad = x.requires_grad
        found.append(stand_in)
    having = [i for i, x in enumerate(tensors) if gradients_of([x])]
    for i, g in zip(having, found[len(tensors) :], strict=True):
        found[i]._grad = g
    return found


@contextmanager
def _traced(tracer: Tracer) -> Iterator[None]:
    """Note operations inside instead of computing them."""
    before = mode.grad, mode.autocast, mode.casts
    mode.tracer = tracer
    if mode.casts is not None:
        mode.casts = {}  # copies that are made during the trace are of no use outside
    try:
        yield
    finally:
        mode.tracer = None
        mode.grad, mode.autocast, mode.casts = before


def _finished(
    function: Callable[..., Any],
    tracer: Tracer,
    watch: Watch,
    result: Any,
    stand_ins: list[Tensor],
    count: int,
    began: int,
) -> Capture:
    """What the function has left behind: results, changed arguments, gradients."""
    outputs = tracer.graph.outputs
    numbers = {id(x): i for i, x in enumerate(stand_ins[:count])}
    smooth: list[tuple[int, int, Tensor]] = []
    found: list[Any] = []
    leaves(result, found)
    order = iter(range(len(found)))

    def placed(x: Any) -> Any:
        leaf = next(order)
        if not isinstance(x, TensorBase):
            return x
        if id(x) in numbers:
            return Given(numbers[id(x)])
        if watch.knows(x):
            return x
        outputs.append(tracer.read(x))
        if x.requires_grad and mode.grad:
            smooth.append((len(outputs) - 1, leaf, x))  # type: ignore[arg-type]
        return Place(len(outputs) - 1)

    made = Capture(watch, tracer.graph, tracer.missing, filled(result, placed), tracer.effects)
    for i, x in enumerate(stand_ins):
        if x.node is not None:
            raise TraceError(
                f"{user_line()}: argument tensor {i} of the compiled function became the result of "
                "an operation by a change in place; compute a new tensor instead"
            )
        if x.array.changes:  # type: ignore[attr-defined]
            made.overwritten.append((i, len(outputs)))
            outputs.append(tracer.read(x))
        if i < count and x in tracer.gradients and (g := tracer.gradient(x)) is not x._grad:
            made.gradients.append((i, None if g is None else len(outputs)))
            if g is not None:
                outputs.append(tracer.read(g))
    if smooth:
        made.pullback = Pullback(
            function,
            mode.autocast,
            [(place, leaf) for place, leaf, _ in smooth],
            [Spec(x.array.shape, x.array.dtype) for _, _, x in smooth],
        )
        written = {i for i, _ in made.overwritten}
        results = [x for _, _, x in smooth]
        trace_back(tracer, made.pullback, results, stand_ins[:count], written, began)
    return made


def _note_changed(made: Capture, tracer: Tracer, tensors: list[Tensor]) -> None:
    """Which tensors must not be arguments of a call, because they are reached another way too."""
    arrays = [value.static["tensor"].array for value, _ in tracer.graph.writes]
    arrays += [leaf.array for leaf, _ in tracer.graph.gradients]
    arrays += [
        tensors[i].array
        for i, _ in made.overwritten
        if i < len(tensors) and id(tensors[i].array) in tracer.states
    ]
    made.changed = {id(array): array for array in arrays}
