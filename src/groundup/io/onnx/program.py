"""A module as a list of primitives, for all sizes of the dimensions that may vary.

The module is traced without values, once for each of a few samples of sizes. The traces must be the
same program: the same primitives, wired alike. One ``Step`` stands for a primitive in all of them,
and what differs between them (a length, a count, a range of positions) is a formula of the sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeGuard

from numpy.typing import NDArray

from ...engine.base import TensorBase, mode, wrap
from ...engine.compiler.graph import Graph, Value
from ...engine.compiler.trace.trace import Phantom, TraceError, Tracer, user_line
from ...engine.compiler.trace.tree import filled, leaves
from ...engine.dtypes import DType
from ...engine.primitive import Primitive
from ...engine.tensor import Tensor
from .shapes import known
from .sizes import Sample, Size, fit

Array = NDArray[Any]


class ExportError(ValueError):
    """A module that cannot be written as ONNX, or not with the sizes that were asked for.

    Example:
        >>> raise ExportError("model.py:3: ...")
        Traceback (most recent call last):
        ...
        groundup.io.onnx.program.ExportError: model.py:3: ...
    """


@dataclass(frozen=True)
class Input:
    """One tensor that the program gets.

    Attributes:
        name: of the input.
        dtype: of the tensor.
        shape: for each dimension its size, or the name of one that may vary.
    """

    name: str
    dtype: DType
    shape: tuple[int | str, ...]

    def at(self, sample: Sample) -> tuple[int, ...]:
        """The shape in one trace."""
        return tuple(sample[n] if isinstance(n, str) else n for n in self.shape)


@dataclass(eq=False)
class Step:
    """One primitive's call, or a source of values, in all traces.

    Attributes:
        values: what stands for it in each trace.
        inputs: what it is computed from.
        samples: the sizes in each trace.
        name: of the primitive; "input", "array" or "random" for a source.
    """

    values: tuple[Value, ...]
    inputs: tuple[Step, ...]
    samples: Sequence[Sample]
    name: str
    static: tuple[dict[str, Any], ...] = field(init=False)

    def __post_init__(self) -> None:
        self.static = tuple(value.static for value in self.values)

    @property
    def line(self) -> str:
        """Where in the code it was called."""
        return self.values[0].line

    @property
    def dtype(self) -> DType:
        """Of the result."""
        return self.values[0].dtype

    @property
    def ndim(self) -> int:
        """Dimensions of the result."""
        return len(self.values[0].shape)

    @cached_property
    def shape(self) -> tuple[Size, ...]:
        """Of the result."""
        shapes = [value.shape for value in self.values]
        return tuple(self.size("a size of its result", n) for n in zip(*shapes, strict=True))

    def size(self, what: str, numbers: Sequence[int]) -> Size:
        """The formula of a number that is known for each trace."""
        found = fit(self.samples, numbers)
        if found is None:
            raise self.refusal(f"{what} is {_listed(numbers)}")
        return found

    def sizes(self, what: str, numbers: Iterable[Sequence[int]]) -> list[Size]:
        """The formulas of the numbers in a tuple that is known for each trace."""
        return [self.size(what, each) for each in zip(*numbers, strict=True)]

    def fixed(self, key: str) -> Any:
        """A static argument that has to be the same in all traces."""
        found = [static[key] for static in self.static]
        if any(other != found[0] for other in found[1:]):
            raise self.refusal(f"{key} is {_listed(found)}")
        return found[0]

    def refusal(self, what: str) -> ExportError:
        """The error for something that has no formula."""
        at = "; ".join(", ".join(f"{k}={v}" for k, v in s.items()) for s in self.samples)
        return ExportError(
            f"{self.line}: {self.name}: {what} at the sizes {at}, which no sum of products of the "
            "sizes gives. Fix a dimension: leave it out of dynamic"
        )

    @property
    def arrays(self) -> list[Array]:
        """The values of a source that is known, in each trace."""
        return [s["array"] if "array" in s else s["tensor"].array for s in self.static]


def _listed(numbers: Iterable[Any]) -> str:
    return ", ".join(map(str, numbers))


class _Tracer(Tracer):
    """A tracer that finds the shapes of what would be large without asking for memory."""

    def record(
        self, primitive: Primitive, inputs: tuple[Value, ...], static: dict[str, Any]
    ) -> Value:
        found = known(primitive.name, inputs, static)
        if found is None:
            return super().record(primitive, inputs, static)
        value = Value(primitive.name, inputs, static, *found, primitive, user_line())
        self.graph.values.append(value)
        return value


def trace(
    function: Callable[[Any], Any], example: Any, inputs: Sequence[Input], sample: Sample
) -> tuple[Graph, list[str]]:
    """Call a function once without values.

    Args:
        function: of one structure that holds tensors.
        example: that structure.
        inputs: shape and dtype of each tensor in it.
        sample: sizes of the dimensions that may vary.

    Returns:
        The program, and names of its results after their places: "", "_0", "_0_1" and so on.
    """
    tracer = _Tracer()
    stand_ins = []
    for position, x in enumerate(inputs):
        value = Value("input", (), {"position": position}, x.at(sample), x.dtype)
        tracer.graph.values.append(value)
        stand_ins.append(wrap(Phantom(value, tracer)))  # type: ignore[arg-type]
    rest = iter(stand_ins)
    given = filled(example, lambda leaf: next(rest) if isinstance(leaf, TensorBase) else leaf)
    before = mode.grad, mode.autocast, mode.casts, mode.tracer
    mode.grad, mode.casts, mode.tracer = False, {} if mode.casts is not None else None, tracer
    try:
        result = function(given)
        found: list[Any] = []
        leaves(result, found)
        names = places(result)
        kept = [(x, name) for x, name in zip(found, names, strict=True) if is_tensor(x)]
        tracer.graph.outputs += [tracer.read(x) for x, _ in kept]
        del result, found
        tracer.finish()
    except TraceError as error:
        what, asked, _ = str(error).partition(" while the function was traced")
        advice = (
            " while the module was traced for export. The answer would be frozen into the model. "
            "Use where() for a choice, or decide outside"
        )
        raise ExportError(what + (advice if asked else "")) from error
    finally:
        mode.grad, mode.autocast, mode.casts, mode.tracer = before
    if tracer.graph.writes:
        state, _ = tracer.graph.writes[0]
        raise ExportError(
            f"{state.line}: the forward pass changes a tensor of shape {state.shape}, which an "
            "ONNX model cannot keep from one call to the next. Return the new value instead"
        )
    return tracer.graph, [name for _, name in kept]


def is_tensor(x: object) -> TypeGuard[Tensor]:
    """Whether a leaf is a tensor.

    Example:
        >>> is_tensor(gu.ones(1)), is_tensor(1.0)
        (True, False)
    """
    return isinstance(x, TensorBase)


def places(tree: Any, prefix: str = "") -> list[str]:
    """For each leaf where it is, in the order of ``leaves``.

    Example:
        >>> places(((1, 2), 3))
        ['_0_0', '_0_1', '_1']
    """
    if type(tree) in (tuple, list) or hasattr(tree, "_fields"):
        return [name for i, item in enumerate(tree) for name in places(item, f"{prefix}_{i}")]
    if type(tree) is dict:
        return [name for key, item in tree.items() for name in places(item, f"{prefix}_{key}")]
    found: list[Any] = []
    leaves(tree, found)
    return [prefix] if len(found) == 1 else [f"{prefix}_{i}" for i in range(len(found))]


def merge(graphs: Sequence[Graph], samples: Sequence[Sample]) -> tuple[list[Step], list[Step]]:
    """One program for all traces.

    Returns:
        The steps, each after those that it is computed from, and the results among them.

    Raises:
        ExportError: the traces are different programs.
    """
    steps: dict[tuple[int, ...], Step] = {}
    order: list[Step] = []
    roots = [tuple(values) for values in zip(*(g.outputs for g in graphs), strict=True)]
    stack = [(values, False) for values in reversed(roots)]
    while stack:
        values, ready = stack.pop()
        key = tuple(map(id, values))
        if key in steps:
            continue
        inputs = list(zip(*(value.inputs for value in values), strict=False))
        if not ready:
            _expect_alike(values, samples)
            stack.append((values, True))
            stack += [(x, False) for x in reversed(inputs) if tuple(map(id, x)) not in steps]
            continue
        source = "array" if values[0].name in ("state", "constant") else values[0].name
        step = Step(values, tuple(steps[tuple(map(id, x))] for x in inputs), samples, source)
        steps[key] = step
        order.append(step)
    return order, [steps[tuple(map(id, values))] for values in roots]


def _expect_alike(values: tuple[Value, ...], samples: Sequence[Sample]) -> None:
    first = values[0]
    for sample, other in zip(samples, values, strict=True):
        if (first.name, len(first.inputs), first.dtype, len(first.shape)) == (
            (other.name, len(other.inputs), other.dtype, len(other.shape))
        ):
            continue
        sizes = [", ".join(f"{k}={v}" for k, v in s.items()) for s in (samples[0], sample)]
        raise ExportError(
            f"{first.line or other.line}: the program is not the same at all sizes: {first!r} of "
            f"{len(first.inputs)} tensors at {sizes[0]}, {other!r} of {len(other.inputs)} at "
            f"{sizes[1]}. A dimension that is looped over (as time is in recurrent layers) cannot "
            "vary: leave it out of dynamic. Where the program asks only whether a size is large, "
            "give an example that is larger"
        )
