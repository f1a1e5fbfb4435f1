"""Primitives: the closed set of operations that everything else is made of.

A primitive has a ``forward`` on arrays and, for each input, a rule that turns the gradient of the
output into the gradient of that input. The rules are written with tensor operations, so a
derivative is itself made of primitives: it can be differentiated again, observed, and compiled.

    mul = Primitive(
        "mul",
        np.multiply,
        lambda g, _y, _a, b: g * b,
        lambda g, _y, a, _b: g * a,
    )

A rule is called as ``rule(g, output, *inputs, **static)``. A parameter whose name begins with an
underscore stands for a tensor whose values the rule does not read: only its shape and dtype are
kept for the backward pass, and its memory may be freed or changed in place meanwhile.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .base import Array, Version, describe, mode, tick, wrap
from .dtypes import FLOATING, DType

if TYPE_CHECKING:
    from .tensor import Tensor

Rule = Callable[..., "Tensor"]


class Spec(NamedTuple):
    """Shape and dtype of a tensor whose values were not kept."""

    shape: tuple[int, ...]
    dtype: DType

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self.shape)


class Primitive:
    """One operation: its name, its values, and its derivatives.

    Args:
        name: what error messages, summaries and traces call it.
        forward: ``forward(*arrays, **static) -> array``.
        *rules: a rule for each input, in order; inputs beyond the last rule are not differentiable,
            and a primitive without rules is not differentiable at all.
        rule_for: for a variable number of inputs, ``rule_for(i)`` makes the rule of input ``i``.
        view: whether the result may share its input's memory.
        work: multiply-adds of one call, ``work(inputs, output, **static)``; None counts one
            operation for each output element, 0 marks data movement.

    Example:
        >>> import numpy as np, groundup as gu
        >>> cube = Primitive("cube", lambda x: x**3, lambda g, _y, x: g * 3 * x * x)
        >>> x = gu.tensor(2.0, requires_grad=True)
        >>> cube(x).backward()
        >>> x.grad
        tensor(12., shape=(), dtype=float32)
    """

    def __init__(
        self,
        name: str,
        forward: Callable[..., Any],
        *rules: Rule,
        rule_for: Callable[[int], Rule] | None = None,
        view: bool = False,
        work: Callable[..., int] | int | None = None,
    ) -> None:
        self.name = name
        self.forward = forward
        self.rules = rules
        self.rule_for = rule_for
        self.differentiable = bool(rules) or rule_for is not None
        self.view = view
        self.work = work
        self.needs: dict[int, Needs] = {}

    def __repr__(self) -> str:
        return f"Primitive({self.name!r})"

    def __call__(self, *inputs: Tensor, **static: Any) -> Tensor:
        """Compute the output, and record the call if a gradient will be wanted."""
        if mode.tracer is not None:
            return mode.tracer.apply(self, inputs, static)
        try:
            array = self.forward(*[x.array for x in inputs], **static)
        except (ValueError, IndexError, TypeError) as error:
            given = ", ".join(describe(x) for x in inputs)
            kinds = (IndexError, ValueError, TypeError)  # NumPy's own kinds take other arguments.
            kind = next(kind for kind in kinds if isinstance(error, kind))
            raise kind(f"{self.name}({given}): {error}") from error
        out = wrap(array if type(array) is np.ndarray else np.asarray(array))
        if self.differentiable and mode.grad:
            for x in inputs:
                if x.requires_grad and out.array.dtype.kind in FLOATING:
                    out.requires_grad = True
                    out.node = Node(self, inputs, static, out)
                    break
        if self.view:
            out.version = inputs[0].shared_version()
            out.version.viewed = True
        if mode.observers:
            for observe in mode.observers:
                observe(self, inputs, static, out)
        return out

    def rule(self, i: int) -> Rule:
        """The rule that gives the gradient of input ``i``."""
        return self.rule_for(i) if self.rule_for is not None else self.rules[i]

    def find_needs(self, wanted: list[bool]) -> Needs:
        """Which values the wanted gradients read, from the names of their rules' parameters.

        Args:
            wanted: for each input, whether its gradient is wanted.
        """
        inputs, output = [False] * len(wanted), False
        for i, asked in enumerate(wanted):
            if not asked:
                continue
            if self.rule_for is None and i >= len(self.rules):
                raise TypeError(f"{self.name} cannot be differentiated with respect to input {i}")
            names: list[str] = []
            for parameter in inspect.signature(self.rule(i)).parameters.values():
                many = parameter.kind is inspect.Parameter.VAR_POSITIONAL
                names += [parameter.name] * (len(wanted) + 2 - len(names) if many else 1)
            output |= not names[1].startswith("_")
            for j, name in enumerate(names[2 : 2 + len(wanted)]):
                inputs[j] |= not name.startswith("_")
        return Needs(tuple(inputs), output, any(inputs) or output)


class Needs(NamedTuple):
    """What a node must keep: for each input whether, whether the output, and whether anything."""

    inputs: tuple[bool, ...]
    output: bool
    anything: bool


class Node:
    """One recorded operation: what the backward walk needs of it.

    Attributes:
        primitive, static: what was called.
        edges: for each input the ``Node`` that made it, the leaf tensor itself, or None where no
            gradient is wanted.
        inputs: for each input the tensor if a rule reads its values, else its ``Spec``; None once
            the graph is freed.
        output: the output's array and history if a rule reads it, else its ``Spec``. (The output
            tensor holds its node; a reference back would be a cycle that only the garbage collector
            could free.)
        keeps: whether any values are kept.
        time: when it ran. Inputs always come before outputs, and what was kept must not have been
            changed in place since.
    """

    __slots__ = ("edges", "inputs", "keeps", "output", "primitive", "static", "time")

    def __init__(
        self,
        primitive: Primitive,
        inputs: tuple[Tensor, ...],
        static: dict[str, Any],
        out: Tensor,
    ) -> None:
        self.primitive = primitive
        self.static = static
        self.time = tick()
        self.edges: list[Node | Tensor | None] = []
        # Which gradients are wanted, as the bits of a number below a leading 1: a quick key.
        wanted = 1
        for x in inputs:
            if x.requires_grad:
                self.edges.append(x.node or x)
                wanted = wanted * 2 + 1
            else:
                self.edges.append(None)
                wanted *= 2
        needs = primitive.needs.get(wanted)
        if needs is None:
            needs = primitive.find_needs([edge is not None for edge in self.edges])
            primitive.needs[wanted] = needs
        keep, keep_output, self.keeps = needs
        self.inputs: list[Tensor | Spec] | None = [
            x if kept else _spec(Spec, (x.array.shape, x.array.dtype))
            for x, kept in zip(inputs, keep)  # noqa: B905 (one flag for each input)
        ]
        self.output: tuple[Array, Version] | Spec = (
            (out.array, out.shared_version())
            if keep_output
            else _spec(Spec, (out.array.shape, out.array.dtype))
        )

    def pull(self, g: Tensor, wanted: list[bool]) -> list[Tensor | None]:
        """Gradients of the inputs that ``wanted`` names, given the gradient ``g`` of the output."""
        self.check()
        assert self.inputs is not None
        output: Tensor | Spec
        if isinstance(self.output, Spec):
            output = self.output
        else:
            array, version = self.output
            output = wrap(array)
            output.requires_grad, output.node, output.version = True, self, version
        rule = self.primitive.rule
        try:
            return [
                rule(i)(g, output, *self.inputs, **self.static) if want else None
                for i, want in enumerate(wanted)
            ]
        except FloatingPointError as error:  # raised by detect_anomaly
            name = self.primitive.name
            raise FloatingPointError(f"in the gradient of {name}: {error}") from error

    def check(self) -> None:
        """Refuse to differentiate with what is no longer there.

        Raises:
            RuntimeError: the graph was freed by an earlier backward pass, or a kept tensor was
                changed in place since the operation ran.
        """
        if self.inputs is None:
            raise RuntimeError(
                f"{self.primitive.name}: the graph was freed by an earlier backward(); "
                "pass retain_graph=True to that first call to go through it again"
            )
        if not self.keeps:
            return
        kept = [x.version for x in self.inputs if not isinstance(x, Spec)]
        if not isinstance(self.output, Spec):
            kept.append(self.output[1])
        for version in kept:
            if version is not None and version.changed > self.time:
                raise RuntimeError(
                    f"{self.primitive.name}: a tensor that its gradient needs was changed in place "
                    "after the operation ran; change a clone() instead, or change it after "
                    "backward()"
                )

    def free(self) -> None:
        """Drop the tensors kept for the backward pass; a node that kept none can serve again."""
        if self.keeps:
            self.inputs = None
            self.output = NOTHING


_spec = tuple.__new__  # skips the named tuple's own constructor: this is the hot path
NOTHING = Spec((), np.dtype(np.bool_))
