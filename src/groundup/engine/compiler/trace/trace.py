"""Tracing: calling a function once to see which primitives it calls, without computing anything.

While a trace runs, tensors hold a ``Phantom`` in the place of an array: a shape and a dtype, but no
values. Everything above the primitives works as always (layers, losses, the backward walk, the
optimizers' rules); each primitive notes its call and answers with a new phantom. A tensor that was
there before the trace is a *state*: the compiled function will read it, and write it where the
traced function assigned to it, at every call anew. Nothing is changed by tracing itself.

Whoever wants to know a value during the trace (``item()``, ``if x > 0``, a shape that depends on
values) gets a ``TraceError`` with the line that asked, because the answer would be frozen into the
compiled function.
"""

from __future__ import annotations

import os
import sys
import types
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...base import Array, Constant, TensorBase, mode, tick, wrap
from ...dtypes import FLOATING, DType, can_cast, float64, int64
from ...primitive import Node, Primitive
from ...primitives import elementwise, indexing, shape as shaping
from ..graph import Check, Draw, Graph, Shape, Value
from ..shapes import result_spec

if TYPE_CHECKING:
    from ...random import Generator
    from ...tensor import Tensor

_OWN = (
    *(
        str(Path(__file__).parents[3] / room) + os.sep
        for room in ("engine", "nn", "optim", "training", "data", "io")
    ),
    str(Path(np.__file__).parent) + os.sep,
)


class TraceError(RuntimeError):
    """A function does something that a compiled function cannot do.

    Example:
        >>> @gu.compile
        ... def f(x):
        ...     return x if x.sum() > 0 else -x
        >>> f(gu.ones(2))
        Traceback (most recent call last):
        ...
        groundup.engine.compiler.trace.trace.TraceError: <...>:3: the values of a tensor were...
    """


def user_line() -> str:
    """The innermost line outside of this library's machinery, as "file:line"."""
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_OWN):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else "?"


def refuse(what: str) -> TraceError:
    """The error for asking what is not known during a trace."""
    return TraceError(
        f"{user_line()}: {what} while the function was traced for compilation. The answer would be "
        "frozen into the compiled function. Use where() for a choice, return the tensor and look "
        "at it outside, or leave the function uncompiled"
    )


class Phantom:
    """What a tensor holds during a trace: shape and dtype of an array, and no values.

    Attributes:
        shape, dtype, ndim, size: of the array.
        value: what the program has there at the moment.
        changes: how often that was replaced.
        view: for a view (primitive, static arguments, array or phantom it looks at, its changes).
        tracer: of the trace that it belongs to.
    """

    __slots__ = ("base", "changes", "dtype", "ndim", "shape", "size", "tracer", "value", "view")

    def __init__(self, value: Value, tracer: Tracer) -> None:
        self.value = value
        self.tracer = tracer
        self.shape = value.shape
        self.dtype = value.dtype
        self.ndim = len(value.shape)
        self.size = value.size
        self.changes = 0
        self.base = None
        self.view: tuple[Primitive, dict[str, Any], Any, int] | None = None

    @property
    def flags(self) -> Any:
        """As of an array of its own memory."""
        return np.empty((), np.bool_).flags

    def copy(self) -> Phantom:
        """The same value in memory of its own."""
        return Phantom(self.value, self.tracer)

    def refusal(self, what: str = "the values of a tensor were asked for") -> TraceError:
        """The error for asking for the values, during the trace or after it."""
        return refuse(what) if mode.tracer is self.tracer else self.stale()

    def stale(self) -> TraceError:
        """The error for using what is left of a trace that is over."""
        return TraceError(
            f"{user_line()}: a tensor of shape {self.shape} was kept from inside of a compiled "
            f"function, where it was made at {self.value.line or 'its beginning'}. It has no "
            "values, because the function was only traced: return the tensor from the function, or "
            "assign() it to one that was there before"
        )

    def reshape(self, *_: Any) -> Any:
        """Refused: somebody takes this for an array."""
        raise self.refusal()

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise self.refusal()

    def __bool__(self) -> bool:
        raise self.refusal("the truth of a tensor was asked for")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise self.refusal(f"the values of a tensor were asked for ({name})")

    def __getitem__(self, key: Any) -> Any:
        raise self.refusal()


def _traced(x: TensorBase) -> bool:
    """Whether a tensor holds no values."""
    array: Any = x.array
    return type(array) is Phantom


class Tracer:
    """What notes a function's calls; ``mode.tracer`` while the trace runs.

    Attributes:
        graph: what was noted so far.
        states: the tensors that were there before, by the identity of their arrays, with whose
            gradient they are if they are one.
        gradients: what the program has set as the gradients of leaves.
        missing: leaves whose gradient was asked for and not there.
        draws: how many times each generator was drawn from.
        effects: what Python does before ("before") and after ("after") each call.
    """

    def __init__(self) -> None:
        self.graph = Graph()
        self.states: dict[int, tuple[Tensor, Tensor | None, Value]] = {}
        self.missing: set[Tensor] = set()
        self.effects: list[tuple[str, Callable[[], Any]]] = []
        self._current: dict[int, tuple[Value, int]] = {}
        self.gradients: dict[Tensor, Tensor | None] = {}
        self._places: dict[int, int] = {}
        self._draws: dict[tuple[int, int], tuple[Draw, Value]] = {}
        self._created: dict[int, tuple[Array, weakref.ref[Tensor]]] = {}
        self._constants: dict[tuple[bytes, DType], Value] = {}

    # Values

    def source(self, name: str, static: dict[str, Any], shape: Shape, dtype: DType) -> Value:
        """A value that no primitive computes."""
        value = Value(name, (), static, shape, dtype, None, user_line())
        self.graph.values.append(value)
        return value

    def record(
        self, primitive: Primitive, inputs: tuple[Value, ...], static: dict[str, Any]
    ) -> Value:
        """Note a call."""
        shape, dtype = result_spec(primitive, inputs, static)
        value = Value(primitive.name, inputs, static, shape, dtype, primitive, user_line())
        self.graph.values.append(value)
        return value

    def read(self, x: TensorBase) -> Value:
        """What the program has in a tensor at the moment."""
        if isinstance(x, Constant):
            return self.constant(x.array)
        return self._read(x.array, x)

    def _read(self, array: Any, x: TensorBase | None) -> Value:
        if type(array) is Phantom:
            if array.tracer is not self:
                raise array.stale()
            if array.view is not None:
                primitive, static, base, changes = array.view
                if self._changes(base) != changes:
                    array.value = self.record(primitive, (self._read(base, None),), static)
                    array.view = (primitive, static, base, self._changes(base))
            return array.value
        if id(array) not in self._current:
            self.state(x if x is not None else wrap(array))  # type: ignore[arg-type]
        return self._current[id(array)][0]

    def _changes(self, array: Any) -> int:
        if type(array) is Phantom:
            if array.view is not None:
                return array.changes + self._changes(array.view[2])
            return array.changes
        return self._current[id(array)][1]

    def state(self, x: Tensor, leaf: Tensor | None = None) -> Value:
        """The value of a tensor that was there before the trace."""
        if id(x.array) in self._created:
            x = wrap(x.array)  # so that the tensor itself goes when the function lets it go
        static = {"tensor": x, "leaf": leaf, "strides": x.array.strides}
        value = self.source("state", static, x.array.shape, x.array.dtype)
        self.states[id(x.array)] = (x, leaf, value)
        self._current[id(x.array)] = (value, 0)
        return value

    def constant(self, array: Array) -> Value:
        """The value of a number."""
        key = (array.tobytes(), array.dtype)
        if key not in self._constants:
            static = {"array": array}
            self._constants[key] = self.source("constant", static, array.shape, array.dtype)
        return self._constants[key]

    # What the engine asks for instead of computing

    def apply(
        self, primitive: Primitive, inputs: tuple[Tensor, ...], static: dict[str, Any]
    ) -> Tensor:
        """A primitive's call."""
        values = tuple([self.read(x) for x in inputs])
        try:
            value = self.record(primitive, values, static)
        except (ValueError, IndexError, TypeError) as error:
            given = ", ".join(f"{x.array.shape} {x.array.dtype.name}" for x in inputs)
            raise type(error)(f"{primitive.name}({given}): {error}") from error
        phantom = Phantom(value, self)
        out = wrap(phantom)  # type: ignore[arg-type]
        wanted = primitive.differentiable and mode.grad and value.dtype.kind in FLOATING
        if wanted and any(x.requires_grad for x in inputs):
            out.requires_grad = True
            out.node = Node(primitive, inputs, static, out)
        if primitive.view and not isinstance(inputs[0], Constant):
            out.version = inputs[0].shared_version()
            out.version.viewed = True
            base = inputs[0].array
            phantom.base = base  # type: ignore[assignment]
            phantom.view = (primitive, static, base, self._changes(base))
        return out

    def write(self, x: TensorBase, new: TensorBase) -> None:
        """The end of every change in place."""
        value = self.read(new)
        self._write(x.array, self._fitted(value, x.array.shape, x.array.dtype), x)
        x.shared_version().changed = tick()

    def _fitted(self, value: Value, shape: Shape, dtype: DType) -> Value:
        if value.dtype != dtype:
            if not can_cast(value.dtype, dtype):
                raise TypeError(
                    f"values of {value.dtype} do not fit in a tensor of {dtype}; convert them with "
                    "to() first"
                )
            value = self.record(elementwise.cast, (value,), {"dtype": dtype})
        if value.shape != shape:
            value = self.record(shaping.expand, (value,), {"shape": shape})
        return value

    def _write(self, array: Any, value: Value, x: TensorBase | None) -> None:
        if type(array) is not Phantom:
            self._read(array, x)
            self._current[id(array)] = (value, self._current[id(array)][1] + 1)
            return
        if array.view is None:
            array.value = value
            array.changes += 1
            return
        # Through a view: the positions that it looks at are known, so they can be overwritten.
        primitive, static, base, _ = array.view
        old = self._read(base, None)
        every = np.arange(old.size).reshape(old.shape)
        looked_at = np.ascontiguousarray(primitive.forward(every, **static)).reshape(-1)
        flat = self.record(shaping.reshape, (old,), {"shape": (-1,)})
        values = self.record(shaping.reshape, (value,), {"shape": (-1,)})
        positions = self.source("constant", {"array": looked_at}, looked_at.shape, looked_at.dtype)
        put = self.record(indexing.index_put, (flat, values, positions), {"dims": (0,)})
        self._write(base, self.record(shaping.reshape, (put,), {"shape": old.shape}), None)

    def gradient(self, x: TensorBase) -> Tensor | None:
        """``x.grad`` as the program has it at the moment."""
        if x in self.gradients:
            return self.gradients[x]  # type: ignore[index]
        before = x._grad
        if _traced(x):
            return before
        if before is None:
            self.missing.add(x)  # type: ignore[arg-type]
        elif id(before.array) not in self.states:
            self.state(before, x)  # type: ignore[arg-type]
        return before

    def set_gradient(self, x: TensorBase, new: Tensor | None) -> None:
        """``x.grad = new``."""
        self.gradients[x] = new  # type: ignore[index]

    # Randomness

    def draw(
        self,
        generator: Generator,
        method: str,
        arguments: tuple[Any, ...],
        shape: Shape,
        dtype: DType,
    ) -> Any:
        """Random numbers; the same place in a generator's stream gives the same ones."""
        place = self._places.get(id(generator), 0)
        self._places[id(generator)] = place + 1
        wanted = Draw(generator, method, arguments, place)
        known = self._draws.get((id(generator), place))
        if known is None:
            value = self.source("random", {"draw": wanted}, shape, dtype)
            self._draws[(id(generator), place)] = (wanted, value)
        else:
            draw, value = known
            if draw != wanted:
                raise refuse("other random numbers were drawn the second time")
        return Phantom(value, self)

    def place(self, generator: Generator) -> dict[str, Any]:
        """What stands for a generator's state."""
        return {"traced": self._places.get(id(generator), 0)}

    def return_to(self, generator: Generator, state: dict[str, Any]) -> None:
        """Continue a generator's stream from a place."""
        if "traced" not in state:
            raise refuse("a generator was given a state")
        self._places[id(generator)] = state["traced"]

    # Values that were asked for

    def created(self, x: Tensor) -> None:
        """A tensor that is made during the trace, of what is known."""
        if not _traced(x):
            self._created[id(x.array)] = (x.array, weakref.ref(x))

    def refuse_values(self, x: TensorBase) -> None:
        """Refuse to look into a tensor, unless it is made of constants."""
        if isinstance(x, Constant):
            return
        if id(x.array) in self._created and self._current.get(id(x.array), (None, 0))[1] == 0:
            return
        raise refuse("the values of a tensor were asked for")

    # Conditions and effects

    def positions(self, x: Tensor, size: int) -> Tensor:
        """Integer positions in a dimension, counted from its start."""
        self.check(x, -size, size - 1, None)
        if x.array.dtype.kind == "u":
            return x
        wide = elementwise.cast(x, dtype=int64)  # an int8 cannot count from the end of 200
        return elementwise.where(wide < 0, wide + size, wide)

    def check(self, x: TensorBase, low: float, high: float, ignored: float | None) -> None:
        """Values have to lie in [low, high] whenever the compiled function is called."""
        self.graph.checks.append(Check(self.read(x), low, high, ignored, user_line()))

    def rate(self, group: dict[str, Any], key: str) -> Tensor:
        """A hyper-parameter that is read at each call."""
        value = self.source("rate", {"group": group, "key": key}, (), float64)
        return wrap(Phantom(value, self))  # type: ignore[arg-type]

    def defer(self, effect: Callable[[], Any]) -> None:
        """Something that Python does at each call, such as advancing a schedule.

        It happens after the compiled step if a learning rate was read before it, else before.
        """
        read = any(x.name == "rate" for value in self.graph.values for x in value.inputs)
        self.effects.append(("after" if read else "before", effect))

    def changed_states(self) -> list[Value]:
        """The states that do not have, at the end of a call, the values of its beginning."""
        return [
            value
            for key, (_, leaf, value) in self.states.items()
            if leaf is not None or self._current[key][1]
        ]

    def generators(self) -> list[Generator]:
        """What random numbers were drawn from."""
        return list({key: draw.generator for (key, _), (draw, _) in self._draws.items()}.values())

    def finish(self) -> None:
        """Note what the states and gradients are at the end."""
        for key, (x, leaf, value) in self.states.items():
            new, changes = self._current[key]
            if leaf is not None and self.gradients.get(leaf, x) is not x:
                continue  # it has another gradient in the end
            if key in self._created:
                kept = self._created[key][1]()
                if kept is None:  # a temporary of the function: every call starts with it anew
                    value.name, value.static = "constant", {"array": self._created[key][0]}
                    continue
                value.static["tensor"] = kept
            if changes and new is not value:
                self.graph.writes.append((value, new))
        for leaf, g in self.gradients.items():
            if _traced(leaf):
                continue
            held = leaf._grad
            if g is not None and g is held:
                continue  # changed in place at most, which is a write to its state
            end = None if g is None else self.read(g)
            if end is not None and held is not None and id(held.array) in self.states:
                value = self.states[id(held.array)][2]
                if (value.shape, value.dtype) == (end.shape, end.dtype):
                    self.graph.writes.append((value, end))  # the gradient stays where it is
                    continue
            self.graph.gradients.append((leaf, end))
        self._refuse_overlaps()

    def _refuse_overlaps(self) -> None:
        written = {id(value.static["tensor"].array) for value, _ in self.graph.writes}
        every = [(x.array, value.line) for x, _, value in self.states.values() if x.array.size]
        bounds = [np.lib.array_utils.byte_bounds(array) for array, _ in every]
        reached: list[tuple[int, Array, str]] = []
        for i in sorted(range(len(every)), key=bounds.__getitem__):
            other, line = every[i]
            low, high = bounds[i]
            reached = [one for one in reached if one[0] > low]
            for _, array, first in reached:
                if other is not array and not written.isdisjoint((id(other), id(array))):
                    if id(other) in written:
                        array, other, line = other, array, first
                    raise TraceError(
                        f"{line}: a tensor of shape {other.shape} is used that shares memory with "
                        f"another one, of shape {array.shape}, and one of them is changed in "
                        "place. Use only one of them in the function, or a clone()"
                    )
            reached.append((high, other, line))
