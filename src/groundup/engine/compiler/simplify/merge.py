"""Dimensions that a layer only carries along: merged into one before the operations, not after.

A linear layer makes one matrix of (batch, time, features) and takes its result apart again. What
follows would then have other loops than what stood before, and share none with it. So a ``reshape``
that splits the first dimension is moved behind the operations that do not care:

    norm(x + reshape(y, (B, T, E)))  ->  reshape(norm(reshape(x, (B * T, E)) + y), (B, T, E))
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ...primitive import Primitive
from ...primitives import shape as s
from ..graph import Shape, Value
from ..shapes import ELEMENTWISE, result_spec

if TYPE_CHECKING:
    from .simplify import Builder

_REDUCTIONS = ("sum", "amax", "amin")


def merged(
    build: Builder, primitive: Primitive, inputs: tuple[Value, ...], static: dict[str, Any]
) -> Value | None:
    """The value with the split of a first dimension behind it; None if there is no such split.

    Args:
        build: what makes values.
        primitive: an elementwise one, or a reduction.
        inputs: its operands.
        static: its static arguments.
    """
    if primitive.name in _REDUCTIONS:
        return _reduced(build, primitive, inputs[0], static)
    if primitive.name not in ELEMENTWISE or not any(map(_split, inputs)):
        return None
    shape, _ = result_spec(primitive, inputs, static)
    for count in {_split(x) for x in inputs if x.shape == shape}:
        if count:
            found = [_joined(build, x, shape, count) for x in inputs]
            operands = [x for x in found if x is not None]
            if len(operands) == len(found):
                return build(s.reshape, build(primitive, *operands, **static), shape=shape)
    return None


def _split(x: Value) -> int:
    """How many dimensions a reshape makes of the first one; 0 if it does anything else."""
    if x.name != "reshape":
        return 0
    below = x.inputs[0].shape
    count = len(x.shape) - len(below) + 1
    fits = len(below) > 1 and count > 1 and x.shape[count:] == below[1:]
    return count if fits and math.prod(x.shape[:count]) == below[0] > 1 else 0


def _joined(build: Builder, x: Value, shape: Shape, count: int) -> Value | None:
    """An operand with the first ``count`` dimensions of the result as one."""
    while x.name == "expand":  # elementwise operations do that by themselves
        x = x.inputs[0]
    extra = len(shape) - len(x.shape)
    first, last = x.shape[: max(count - extra, 0)], x.shape[max(count - extra, 0) :]
    if math.prod(first) == 1:
        return build(s.reshape, x, shape=last)
    if extra == 0 and first == shape[:count] and _contiguous(x):
        return build(s.reshape, x, shape=(math.prod(first), *last))
    return None


def _contiguous(x: Value) -> bool:
    """Whether every reshape of a value is a view."""
    while x.name == "reshape":
        x = x.inputs[0]
    if x.name == "state":
        return _in_rows(x)
    return x.name not in ("permute", "expand", "slice", "flip", "windows", "constant", "positions")


def _in_rows(x: Value) -> bool:
    step = x.dtype.itemsize
    for size, stride in zip(reversed(x.shape), reversed(x.static["strides"]), strict=True):
        if size > 1 and stride != step:
            return False
        step *= size
    return True


def _reduced(
    build: Builder, primitive: Primitive, x: Value, static: dict[str, Any]
) -> Value | None:
    count, dims = _split(x), set(static["dims"])
    first = set(range(count))
    if not count or not (first <= dims or first.isdisjoint(dims)):
        return None
    inside = tuple(sorted({0} if first <= dims else set())) + tuple(
        sorted(d - count + 1 for d in dims - first)
    )
    out = build(primitive, x.inputs[0], **{**static, "dims": inside})
    kept = static["keepdim"]
    shape = tuple(1 if d in dims else n for d, n in enumerate(x.shape) if kept or d not in dims)
    return build(s.reshape, out, shape=shape)
