"""A kernel: one nest of loops over arrays, described rather than compiled.

The loops have the sizes ``sizes``, outermost first. The last ``row`` of them form a row; within a
row the innermost loop runs over vectors. The body is a list of instructions in order, each of which
may refer to earlier ones by their number. What they compute has one of two levels:

- full: a value for each point of the loops;
- row: one value for each row. Loads that do not move along the row, constants, reductions over the
  row, and what is computed of such values alone.

A full value that depends on a reduction over its row is computed in a later pass over the same row,
while the row is still in the cache: so softmax, layer normalisation and their gradients are one
kernel each.

    softmax of x (4, 10):   sizes (4, 10), row 1, arguments (float32, float32)
      0  Load(0, 0, (10, 1))
      1  Reduce("max", 0)
      2  Apply("sub", (0, 1))
      3  Apply("exp", (2,))
      4  Reduce("sum", 3)
      5  Apply("div", (3, 4))
      6  Store(1, 0, (10, 1), 5)

A kernel is compiled to a function of four arguments, the same for all kernels:

    void kernel(void **arguments, int64 begin, int64 end, int64 part)

It does the share [begin, end) of the kernel's ``extent``: of the outermost loop where there is a
loop outside the row, else of the row itself. ``part`` is the number of the share.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..dtypes import DType


@dataclass(frozen=True, slots=True)
class Load:
    """Read an argument at ``offset + sum(index * stride)``, counted in elements.

    Attributes:
        argument: which argument.
        offset: of the first element.
        strides: one for each loop; 0 where the value does not change.
    """

    argument: int
    offset: int
    strides: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Gather:
    """Read an argument where a ``Load`` would, and as many elements further on as a value says.

    Attributes:
        argument: which argument.
        offset: of the first element.
        strides: one for each loop; 0 where the loop leads nowhere by itself.
        input: number of an earlier value, int64. Whoever makes the kernel sees to it that the sum
            lies inside of the argument, whatever that value is computed from.
    """

    argument: int
    offset: int
    strides: tuple[int, ...]
    input: int


@dataclass(frozen=True, slots=True)
class Constant:
    """The same number everywhere."""

    value: bool | int | float
    dtype: DType


@dataclass(frozen=True, slots=True)
class Index:
    """The running index of a loop, as int64."""

    loop: int


@dataclass(frozen=True, slots=True)
class Apply:
    """An elementwise primitive of earlier values.

    Attributes:
        name: of the primitive; see ``groundup.engine.primitives.elementwise``.
        inputs: numbers of earlier instructions. Arithmetic and comparison need inputs of one dtype.
        dtype: of the result.
        static: its static arguments, such as the bounds of ``clamp``, by name.
    """

    name: str
    inputs: tuple[int, ...]
    dtype: DType
    static: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Reduce:
    """Combine a full value over the row into a row value: "sum", "max" or "min"."""

    kind: str
    input: int


@dataclass(frozen=True, slots=True)
class Store:
    """Write a value where ``Load`` with the same numbers would read.

    A row value whose strides along the row are 0 is written once for each row.
    """

    argument: int
    offset: int
    strides: tuple[int, ...]
    input: int


@dataclass(frozen=True, slots=True)
class Accumulate:
    """Add a value up over every loop whose stride is 0; such as the gradient of a bias.

    The argument holds ``size`` elements for each part that the kernel may be split into. A share
    first sets those of its own part to 0, then adds to them; adding up the parts is left to another
    kernel. The sums must not move along the outermost loop. A row value whose strides along the row
    are 0 is added once for each row.

    Attributes:
        size: elements of one part.
    """

    argument: int
    offset: int
    strides: tuple[int, ...]
    input: int
    size: int


Instruction = Load | Gather | Constant | Index | Apply | Reduce | Store | Accumulate


@dataclass(frozen=True, slots=True)
class Kernel:
    """A nest of loops; two that are equal are compiled once.

    Attributes:
        sizes: of the loops, outermost first; at least one.
        row: how many of the last loops form a row; at least one.
        arguments: the dtype of each argument.
        body: the instructions.

    Example:
        >>> from groundup.engine.compiler.kernel import *
        >>> double = Kernel((8,), 1, (gu.float32,) * 2, (
        ...     Load(0, 0, (1,)), Constant(2.0, gu.float32),
        ...     Apply("mul", (0, 1), gu.float32), Store(1, 0, (1,), 2)))
        >>> double.extent
        8
    """

    sizes: tuple[int, ...]
    row: int
    arguments: tuple[DType, ...]
    body: tuple[Instruction, ...]

    @property
    def outer(self) -> int:
        """How many loops are outside the row."""
        return len(self.sizes) - self.row

    @property
    def extent(self) -> int:
        """What may be split into shares: the outermost loop, or a row that is not reduced."""
        if self.outer:
            return self.sizes[0]
        if self.row > 1 or any(isinstance(i, Reduce) for i in self.body):
            return 1
        return self.sizes[0]
