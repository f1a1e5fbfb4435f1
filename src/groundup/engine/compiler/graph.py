"""The program that a trace finds: which primitive is called with which values, in order.

A ``Value`` stands for one array: an input of the program, or the result of a primitive. A ``Graph``
is a list of values, each after those that it is computed from, with what becomes of them: results,
changes of state, checks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ..dtypes import DType
from ..primitive import Primitive
from ..random import Generator
from ..tensor import Tensor

Shape = tuple[int, ...]


@dataclass(eq=False, slots=True)
class Value:
    """One array of the program.

    Attributes:
        name: of the primitive, or for a source "input", "state", "constant" or "random".
        inputs: the values that it is computed from.
        static: the primitive's static arguments; what a source is.
        shape, dtype: of the array.
        primitive: what computes it; None for a source.
        line: where in the user's code, "file:line".

    Example:
        >>> Value("input", (), {"position": 0}, (2, 3), gu.float32)
        input (2, 3) float32
    """

    name: str
    inputs: tuple[Value, ...]
    static: dict[str, Any]
    shape: Shape
    dtype: DType
    primitive: Primitive | None = None
    line: str = ""

    def __repr__(self) -> str:
        return f"{self.name} {self.shape} {self.dtype.name}"

    @property
    def size(self) -> int:
        """The number of elements."""
        count = 1
        for n in self.shape:
            count *= n
        return count


@dataclass(frozen=True, slots=True)
class Draw:
    """Random numbers of a generator: which method, called how, after how many other draws."""

    generator: Generator
    method: str
    arguments: tuple[Any, ...]
    place: int


@dataclass(frozen=True, slots=True)
class Check:
    """A condition on values that the program may only go on under.

    Attributes:
        value: integers, or probabilities.
        low, high: every element lies in [low, high],
        ignored: or is equal to this.
    """

    value: Value
    low: float
    high: float
    ignored: float | None
    line: str


@dataclass(slots=True)
class Graph:
    """A program.

    Attributes:
        values: in an order in which they can be computed.
        outputs: what is returned, in order.
        writes: pairs of a state and the value that it has at the end.
        gradients: pairs of a leaf and the value that its ``grad`` has at the end; None for none.
        checks: conditions.
    """

    values: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    writes: list[tuple[Value, Value]] = field(default_factory=list)
    gradients: list[tuple[Tensor, Value | None]] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)

    def roots(self) -> list[Value]:
        """All values that something becomes of.

        Example:
            >>> Graph().roots()
            []
        """
        return [
            *(check.value for check in self.checks),
            *self.outputs,
            *(value for _, value in self.writes),
            *(value for _, value in self.gradients if value is not None),
        ]

    def key(self) -> Any:
        """Equal for two graphs that compute the same of the same states.

        Example:
            >>> Graph().key() == Graph().key()
            True
        """
        values = ordered([*(state for state, _ in self.writes), *self.roots()])
        numbers = {value: i for i, value in enumerate(values)}
        return (
            tuple([(_source(v), tuple([numbers[x] for x in v.inputs])) for v in values]),
            tuple([numbers[v] for v in self.outputs]),
            tuple([(numbers[a], numbers[b]) for a, b in self.writes]),
            tuple([(id(x), -1 if v is None else numbers[v]) for x, v in self.gradients]),
            tuple([(numbers[c.value], c.low, c.high, c.ignored) for c in self.checks]),
        )

    def replaced(self, new: dict[Value, Value]) -> Graph:
        """The same program with other values in the places of some; what is not needed is left out.

        The order stays as it is.

        Args:
            new: for each value that is needed, what stands for it.

        Example:
            >>> Graph().replaced({}).values
            []
        """
        graph = Graph(
            outputs=[new[value] for value in self.outputs],
            writes=[(new[state], new[value]) for state, value in self.writes],
            gradients=[(leaf, new[v] if v is not None else None) for leaf, v in self.gradients],
            checks=[Check(new[c.value], c.low, c.high, c.ignored, c.line) for c in self.checks],
        )
        found = ordered([*(state for state, _ in graph.writes), *graph.roots()])
        needed = set(found)
        graph.values = ordered([*(x for v in self.values if (x := new.get(v)) in needed), *found])
        return graph


def _source(value: Value) -> Any:
    """What a value is, beside what it is computed from."""
    static = value.static
    if value.name == "state":
        return id(static["tensor"].array), id(static["leaf"]), static["strides"]
    if value.name == "constant":
        return value.shape, value.dtype, static["array"].tobytes()
    if value.name == "rate":
        return id(static["group"]), static["key"]
    return value.name, value.shape, value.dtype, repr(static)


def ordered(roots: Iterable[Value]) -> list[Value]:
    """The roots and all that they are computed from, each after what it is computed from.

    Example:
        >>> x = Value("input", (), {}, (), gu.float32)
        >>> ordered([Value("neg", (x,), {}, (), gu.float32)])
        [input () float32, neg () float32]
    """
    found: list[Value] = []
    seen: set[Value] = set()
    stack: list[tuple[Value, bool]] = [(root, False) for root in reversed(list(roots))]
    while stack:
        value, ready = stack.pop()
        if ready:
            found.append(value)
        elif value not in seen:
            seen.add(value)
            stack.append((value, True))
            stack += [(x, False) for x in reversed(value.inputs) if x not in seen]
    return found
