"""What a kernel means, in NumPy: slow, plain, and independent of the code that compiles kernels."""

from collections.abc import Sequence

import numpy as np

from groundup.engine.base import Array
from groundup.engine.compiler.kernel import (
    Accumulate,
    Apply,
    Constant,
    Gather,
    Index,
    Kernel,
    Load,
    Reduce,
    Store,
)
from groundup.engine.primitives import elementwise


def interpret(
    kernel: Kernel,
    arguments: Sequence[Array],
    begin: int = 0,
    end: int | None = None,
    part: int = 0,
) -> None:
    """Compute the share [begin, end) of a kernel; all of it unless told otherwise.

    Every value is an array with a dimension for each loop, of size 1 where it does not change. Sums
    of floats are taken in double precision.

    Args:
        kernel: what to compute.
        arguments: one-dimensional arrays, read and written.
        begin: first index of the share.
        end: the index after its last; ``kernel.extent`` if None.
        part: the number of the share.
    """
    loops = len(kernel.sizes)
    row = tuple(range(kernel.outer, loops))
    ranges = [np.arange(size) for size in kernel.sizes]
    if kernel.outer or kernel.extent == kernel.sizes[0]:
        ranges[0] = ranges[0][begin : kernel.extent if end is None else end]
    indices = [
        each.reshape([-1 if other == loop else 1 for other in range(loops)])
        for loop, each in enumerate(ranges)
    ]
    everywhere = tuple(len(each) for each in ranges)
    once_a_row = tuple(1 if loop in row else n for loop, n in enumerate(everywhere))

    def places(offset: int, strides: tuple[int, ...]) -> Array:
        place = np.full((1,) * loops, offset)
        for index, stride in zip(indices, strides, strict=True):
            place = place + (index * stride if stride else 0)
        return place

    def moves_along_row(shape: tuple[int, ...]) -> bool:
        return any(shape[loop] != 1 for loop in row)

    values: list[Array] = []
    with np.errstate(all="ignore"):
        for instruction in kernel.body:
            value = np.empty(0)
            match instruction:
                case Load(argument, offset, strides):
                    value = arguments[argument][places(offset, strides)]
                case Gather(argument, offset, strides, number):
                    value = arguments[argument][places(offset, strides) + values[number]]
                case Constant(number, dtype):
                    value = np.full((1,) * loops, number, dtype)
                case Index(loop):
                    value = indices[loop]
                case Apply(name, inputs, dtype, static):
                    forward = getattr(elementwise, name).forward
                    value = forward(*(values[i] for i in inputs), **dict(static)).astype(dtype)
                case Reduce(kind, number):
                    source = values[number]
                    shape = tuple(
                        everywhere[i] if i in row else n for i, n in enumerate(source.shape)
                    )
                    value = _reduce(kind, np.broadcast_to(source, shape), row)
            values.append(value)

        for instruction in kernel.body:
            match instruction:
                case Store(argument, offset, strides, number):
                    place = places(offset, strides)
                    arguments[argument][place] = np.broadcast_to(values[number], place.shape)
                case Accumulate(argument, offset, strides, number, size):
                    place, value = places(offset, strides), values[number]
                    full = moves_along_row(value.shape) or moves_along_row(place.shape)
                    shape = everywhere if full else once_a_row
                    exact = np.float64 if value.dtype.kind == "f" else value.dtype
                    sums = np.zeros(size, exact)
                    np.add.at(sums, np.broadcast_to(place, shape), np.broadcast_to(value, shape))
                    arguments[argument][part * size : (part + 1) * size] = sums


def _reduce(kind: str, value: Array, row: tuple[int, ...]) -> Array:
    if kind == "sum":
        exact = np.float64 if value.dtype.kind == "f" else value.dtype
        return value.sum(row, dtype=exact, keepdims=True).astype(value.dtype)
    return (np.max if kind == "max" else np.min)(value, axis=row, keepdims=True)
