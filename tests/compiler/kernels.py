"""Kernels for tests: by hand, and composed at random."""

import ctypes
from collections.abc import Sequence

import numpy as np

import groundup as gu
from groundup.engine.base import Array
from groundup.engine.compiler.emit.emit import emit
from groundup.engine.compiler.kernel import (
    Accumulate,
    Apply,
    Constant,
    Gather,
    Index,
    Instruction,
    Kernel,
    Load,
    Reduce,
    Store,
)
from groundup.engine.compiler.native import native
from groundup.engine.dtypes import DType, bool_

FARTHEST = 5
"""How much further than a load a gather may read."""
PARTS = 4
"""Into how many shares a test splits a kernel at most."""


class Compiled:
    """A kernel as machine code.

    Args:
        kernel: what to compute.
        bits: width of the vectors; the processor's if None.
    """

    def __init__(self, kernel: Kernel, bits: int | None = None) -> None:
        self.text = emit(kernel, "kernel", native.host().bits if bits is None else bits)
        address = native.compile(self.text, "kernel")
        whole = ctypes.c_int64
        self.call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, whole, whole, whole)(address)
        self.extent = kernel.extent

    def __call__(
        self, arguments: Sequence[Array], begin: int = 0, end: int | None = None, part: int = 0
    ) -> None:
        """Compute a share, as ``interpret`` does."""
        addresses = (ctypes.c_void_p * len(arguments))(*(x.ctypes.data for x in arguments))
        self.call(ctypes.addressof(addresses), begin, self.extent if end is None else end, part)


def arguments_of(kernel: Kernel, generator: np.random.Generator, smallest: int = -3) -> list[Array]:
    """Arrays as large as a kernel needs, filled with small integers."""
    arrays = []
    for number, dtype in enumerate(kernel.arguments):
        length = 1
        for each in kernel.body:
            if isinstance(each, Load | Gather | Store | Accumulate) and each.argument == number:
                steps = zip(kernel.sizes, each.strides, strict=True)
                reach = sum((size - 1) * stride for size, stride in steps if stride > 0)
                reach += FARTHEST if isinstance(each, Gather) else 0
                length = max(length, each.offset + reach + 1)
                if isinstance(each, Accumulate):
                    length = max(length, PARTS * each.size)
        low = max(smallest, 0) if dtype.kind in "ub" else smallest
        arrays.append(generator.integers(low, 4, length).astype(dtype))
    return arrays


class Composer:
    """A kernel composed at random.

    Its floats are small whole numbers, so that every order of addition gives the same sum, and
    interpreted and compiled results are equal to the last bit.

    Args:
        generator: where the choices come from.
        most: elements that the loops may have together.
    """

    def __init__(self, generator: np.random.Generator, most: int = 6000) -> None:
        self.random = generator
        self.main = (
            gu.float32
            if generator.random() < 0.5
            else self.pick([gu.float64, gu.int32, gu.int64, gu.uint8])
        )
        loops = int(generator.integers(1, 5))
        self.sizes = [self.size() for _ in range(loops)]
        while np.prod(self.sizes) > most:
            self.sizes[int(np.argmax(self.sizes))] //= 2
        self.row = int(generator.integers(1, loops + 1))
        self.body: list[Instruction] = []
        self.dtypes: list[DType | None] = []
        self.reach: list[float] = []  # the largest absolute value
        self.arguments: list[DType] = []

    def pick(self, choices: Sequence[object]) -> object:
        """One of several."""
        return choices[int(self.random.integers(len(choices)))]

    def size(self) -> int:
        """Of a loop: odd ones, and round ones."""
        return int(
            self.pick([0, 1, 1, 2, 3, 4, 5, 7, 8, 9, 10, 16, 17, 31, 32, 33, 64, 100, 130, 300])
        )

    def strides(self, dense: bool) -> tuple[tuple[int, ...], int]:
        """(strides, offset) of an access; a dense one has a place of its own for each point."""
        order = list(range(len(self.sizes)))
        if self.random.random() < 0.3:
            self.random.shuffle(order)
        strides, step, offset = [0] * len(order), 1, 0
        if self.random.random() < 0.15:
            step = int(self.pick([2, 3]))
        for loop in reversed(order):
            if not dense and self.random.random() < 0.3:
                continue
            backwards = self.random.random() < 0.05
            strides[loop] = -step if backwards else step
            offset += (max(self.sizes[loop], 1) - 1) * step if backwards else 0
            step *= max(self.sizes[loop], 1)
        return tuple(strides), offset + int(self.random.integers(3))

    def argument(self, dtype: DType) -> int:
        """A new argument."""
        self.arguments.append(dtype)
        return len(self.arguments) - 1

    def add(self, instruction: Instruction, dtype: DType, reach: float) -> int:
        """Add an instruction to the body."""
        self.body.append(instruction)
        self.dtypes.append(dtype)
        self.reach.append(reach)
        return len(self.body) - 1

    def value(self, dtype: DType) -> int:
        """An earlier value of a dtype, or a new load."""
        known = [i for i, d in enumerate(self.dtypes) if d == dtype]
        if known and self.random.random() < 0.8:
            return int(self.pick(known[-4:]))
        strides, offset = self.strides(False)
        kind = self.random.random()
        if kind < 0.15:
            bounds = (("high", FARTHEST), ("low", 0))
            whole = self.value(gu.int64)
            far = self.add(Apply("clamp", (whole,), gu.int64, bounds), gu.int64, FARTHEST)
            return self.add(Gather(self.argument(dtype), offset, strides, far), dtype, 4)
        if kind < 0.75:
            return self.add(Load(self.argument(dtype), offset, strides), dtype, 4)
        if kind < 0.9:
            return self.add(Constant(True if dtype == bool_ else 2, dtype), dtype, 2)
        loop = int(self.random.integers(len(self.sizes)))
        index = self.add(Index(loop), gu.int64, 300)
        return self.cast(index, dtype)

    def cast(self, i: int, dtype: DType) -> int:
        """A value in another dtype."""
        if self.dtypes[i] == dtype:
            return i
        return self.add(Apply("cast", (i,), dtype, (("dtype", dtype),)), dtype, self.reach[i])

    def step(self) -> None:
        """Add a few instructions."""
        dtype, limit = self.main, 2.0**22
        a, b = self.value(dtype), self.value(dtype)
        largest = self.reach[a] + self.reach[b]
        match self.pick(["sum", "mul", "choose", "where", "reduce", "one", "other"]):
            case "sum" if largest < limit:
                self.add(Apply(str(self.pick(["add", "sub"])), (a, b), dtype), dtype, largest)
            case "mul" if self.reach[a] * self.reach[b] < limit:
                self.add(Apply("mul", (a, b), dtype), dtype, self.reach[a] * self.reach[b])
            case "choose":
                name = str(self.pick(["maximum", "minimum"]))
                self.add(Apply(name, (a, b), dtype), dtype, largest)
            case "where":
                name = str(self.pick(["lt", "eq", "ge"]))
                condition = self.add(Apply(name, (a, b), bool_), bool_, 1)
                if self.random.random() < 0.5:
                    other = self.value(bool_)
                    condition = self.add(Apply("logical_and", (condition, other), bool_), bool_, 1)
                self.add(Apply("where", (condition, a, b), dtype), dtype, largest)
            case "reduce":
                kind = str(self.pick(["sum", "max", "min"]))
                row = np.prod(self.sizes[len(self.sizes) - self.row :])
                if kind != "sum" and row == 0:
                    kind = "sum"
                grown = self.reach[a] * max(row, 1) if kind == "sum" else self.reach[a]
                if grown < limit:
                    self.add(Reduce(kind, a), dtype, grown)
            case "one" if dtype.kind != "u":
                self.add(Apply(str(self.pick(["neg", "abs", "sign"])), (a,), dtype), dtype, largest)
            case "other":
                other = self.pick([gu.float32, gu.float64, gu.int32, gu.int64, gu.bool])
                self.cast(self.cast(a, other), dtype)

    def kernel(self) -> Kernel:
        """Compose one."""
        for _ in range(int(self.random.integers(1, 9))):
            self.step()
        loops = len(self.sizes)
        for _ in range(int(self.random.integers(1, 4))):
            i = int(self.pick([i for i, d in enumerate(self.dtypes) if d is not None][-4:]))
            dtype = self.dtypes[i]
            assert dtype is not None
            if self.random.random() < 0.3 and dtype.kind == "f" and loops > 1:
                sums = self.reach[i] * np.prod(self.sizes)
                if sums < 2**22:
                    self.accumulate(i, dtype)
                    continue
            strides, offset = self.strides(True)
            if self.only_rows(i) and self.random.random() < 0.7:
                inner = loops - self.row
                strides = (*strides[:inner], *[0] * self.row)
            self.body.append(Store(self.argument(dtype), offset, strides, i))
            self.dtypes.append(None)
            self.reach.append(0)
        return Kernel(tuple(self.sizes), self.row, tuple(self.arguments), tuple(self.body))

    def only_rows(self, i: int) -> bool:
        """Whether a value is the same all over a row."""
        instruction, outer = self.body[i], len(self.sizes) - self.row
        match instruction:
            case Load(strides=strides):
                return not any(strides[outer:])
            case Gather(strides=strides, input=far):
                return not any(strides[outer:]) and self.only_rows(far)
            case Index(loop=loop):
                return loop < outer
            case Apply(inputs=inputs):
                return all(self.only_rows(j) for j in inputs)
        return True

    def accumulate(self, i: int, dtype: DType) -> None:
        """Add up a value."""
        strides, offset = self.strides(False)
        strides = (0, *strides[1:])
        if self.random.random() < 0.3:
            strides = (0,) * len(strides)
        strides = tuple(abs(s) for s in strides)
        reach = sum((max(n, 1) - 1) * s for n, s in zip(self.sizes, strides, strict=True))
        size = offset + reach + 1
        self.body.append(Accumulate(self.argument(dtype), offset, strides, i, size))
        self.dtypes.append(None)
        self.reach.append(0)
