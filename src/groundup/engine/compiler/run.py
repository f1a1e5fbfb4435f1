"""Calling a compiled function: which program belongs to these arguments, and running it.

For each signature (structure, shapes and dtypes of the tensors among the arguments, values of the
other arguments, whether gradients are recorded) and each state of what Python holds beside
(``watch``) there is one program. The first call of a kind traces and compiles it.
"""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from types import MethodType
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

from ..base import TensorBase, mode
from ..dtypes import get_default_dtype
from ..tensor import Tensor
from .trace.capture import Capture, capture, gradients_of
from .trace.guards import PLAIN
from .trace.pullback import Call
from .trace.tree import leaves

if TYPE_CHECKING:
    from .plan.program import Program

P = ParamSpec("P")
R = TypeVar("R")
_MOST_TRACES = 8
_MANY_SIGNATURES = 64


@dataclass(slots=True)
class Traced:
    """One trace of a function and the program made of it.

    Attributes:
        capture: the trace.
        program: what computes.
        why: the function was traced.
        seconds: that tracing and compiling took.
        key: says which graph the program is made of.
    """

    capture: Capture
    program: Program
    why: str
    seconds: float
    key: Any


@dataclass(slots=True, weakref_slot=True)
class Compiled(Generic[P, R]):
    """What ``compile`` gives: call it as the function.

    Attributes:
        function: the function itself.
        traces: by signature, the newest first.
    """

    function: Callable[P, R]
    traces: dict[Any, list[Traced]] = field(default_factory=dict)
    _lock: Any = field(default_factory=threading.RLock, repr=False)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """The function as a method of an object."""
        return self if instance is None else MethodType(self, instance)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the program that fits the arguments, which is made if there is none yet."""
        if mode.tracer is not None or mode.observers:
            return self.function(*args, **kwargs)
        given: list[Any] = []
        structure = leaves((args, kwargs), given)
        tensors = [x for x in given if isinstance(x, Tensor)]
        shared: Any = ()
        if len(tensors) > 1 and len(set(map(id, tensors))) < len(tensors):
            numbers = {id(x): i for i, x in enumerate({id(x): x for x in tensors}.values())}
            shared = tuple([numbers[id(x)] for x in tensors])
            tensors = list({id(x): x for x in tensors}.values())
        extra = structure, shared, get_default_dtype(), tuple([_has_gradient(x) for x in tensors])
        signature = (extra, mode.grad, mode.autocast, *[_kind(x) for x in given])
        with self._lock:
            traced = self._fitting(signature, (args, kwargs), given, tensors)
            result: R = traced.capture.call((args, kwargs), tensors, traced.program.run)
        return result

    def settled(self, *args: Tensor) -> Callable[..., R]:
        """A way to call the function that does not look for changes of Python's values.

        Comparing them takes longer than a small program. Where they stay as they are for many
        calls, as while a text is written, they are compared once, now.

        Args:
            args: such as all calls will be given, without gradients, each another tensor.

        Returns:
            The function, for tensors of these shapes and dtypes. State is read and written as ever,
            but must keep its shapes.

        Raises:
            TypeError: the arguments are others, or the function does more than compute: it sets
                gradients, changes an argument, or draws random numbers.

        Example:
            >>> f = gu.compile(lambda x: x + 1)
            >>> quick = f.settled(gu.zeros(2))
            >>> quick(gu.ones(2)).tolist()
            [2.0, 2.0]
        """
        different = len({id(x) for x in args}) == len(args)
        if not different or any(not isinstance(x, Tensor) or x.requires_grad for x in args):
            raise TypeError(
                "settled: expected tensors without gradients alone, each another one; call the "
                "compiled function itself"
            )
        extra = leaves((args, {}), []), (), get_default_dtype(), (False,) * len(args)
        signature = (extra, mode.grad, mode.autocast, *[_kind(x) for x in args])
        with self._lock:
            traced = self._fitting(signature, (args, {}), list(args), list(args))
        made, program = traced.capture, traced.program
        if made.effects or made.overwritten or made.gradients or made.pullback is not None:
            raise TypeError(
                "settled: the function changes more than tensors that it holds itself, or its "
                "results require a gradient; call the compiled function itself"
            )

        def call(*args: Tensor) -> R:
            return made.given(args, program.run([x.array for x in args]))  # type: ignore[no-any-return]

        return call

    def _fitting(
        self, signature: Any, call: Call, given: list[Any], tensors: list[Tensor]
    ) -> Traced:
        """The trace that fits a call, or a new one."""
        known = self.traces.get(signature)
        why = "first call of this signature"
        if known is None:
            if len(self.traces) == _MANY_SIGNATURES:
                self._warn(
                    "was given arguments of so many kinds", "one with other numbers or shapes"
                )
            elif len(self.traces) > _MANY_SIGNATURES:
                self.traces.pop(next(iter(self.traces)))
            known = self.traces[signature] = []
        for traced in known:
            reason = traced.capture.watch.changed() or traced.program.misfit()
            if reason is None:
                return traced
            why = reason if why == "first call of this signature" else why
        new = self._trace(call, given, tensors, why, known)
        known.insert(0, new)
        if len(known) > _MOST_TRACES:
            known.pop()
            self._warn("was traced so often", why)
        return new

    def _trace(
        self, call: Call, given: list[Any], tensors: list[Tensor], why: str, known: list[Traced]
    ) -> Traced:
        from .plan.program import Program  # LLVM is loaded when something is compiled

        start = time.perf_counter()
        made = capture(self.function, call, given, tensors)
        key = made.graph.key(), frozenset(made.missing)
        for traced in known:
            if traced.key == key and traced.program.misfit() is None:
                known.remove(traced)  # the same program in other circumstances
                program = traced.program
                break
        else:
            program = Program(made.graph, made.missing)
        return Traced(made, program, why, time.perf_counter() - start, key)

    def _warn(self, what: str, why: str) -> None:
        name = getattr(self.function, "__qualname__", type(self.function).__name__)
        warnings.warn(
            f"compiled {name} {what} that calls are slow; the last reason: {why}. Pass what "
            "changes as a tensor, keep it in one and assign() to it, or do not read it in the "
            "function",
            RuntimeWarning,
            stacklevel=5,
        )


def _has_gradient(x: Tensor) -> bool:
    return x.requires_grad and bool(gradients_of((x,)))


def _kind(x: Any) -> Any:
    """What of an argument a program depends on."""
    if isinstance(x, TensorBase):
        return x.array.shape, x.array.dtype.char, x.requires_grad
    return (type(x), x) if isinstance(x, PLAIN) else id(x)


def compile(function: Callable[P, R]) -> Compiled[P, R]:
    """Turn a function of tensors into machine code, at its first call with arguments of a kind.

    The function may be a forward pass, a loss with its gradient, or a whole training step with
    ``zero_grad``, ``backward``, clipping, ``optimizer.step()``, a schedule and a running average.
    State (parameters, buffers, moments, random generators) is read and changed as without
    compilation. Results that require a gradient are part of the graph of operations: their gradient
    is compiled too (that of a gradient is not).

    An argument or a parameter that is returned is that very tensor; a view of one comes back as a
    copy. The memory of a ``grad`` that the function sets is used again by the next call.

    Args:
        function: takes and returns tensors, also inside of lists, tuples and dictionaries, and
            other values, for each of which it is compiled anew.

    Raises:
        TraceError: at a call, when the function asks for the value of a tensor.

    Example:
        >>> @gu.compile
        ... def f(x):
        ...     return (x * 2 + 1).sum()
        >>> f(gu.ones(3))
        tensor(9., shape=(), dtype=float32)
    """
    return Compiled(function)
