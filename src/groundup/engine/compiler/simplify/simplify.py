"""Making a program smaller and simpler before kernels are made of it.

One pass from inputs to results rebuilds every value. On the way

- operations that were fused by hand for the sake of NumPy (softmax, cross-entropy, linear, ...) are
  taken apart into elementwise operations, reductions and products, so that they can be fused with
  whatever stands beside them;
- what is computed twice is computed once;
- algebra: ``x * 1``, ``x + 0``, ``--x``, a cast to the same dtype, ``x ** 2``, a view of a view;
- what is computed of numbers alone becomes a number.

The numbers that come out are those of the eager engine up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...base import Array
from ...dtypes import HALVES, DType, int64
from ...primitive import Primitive
from ...primitives import elementwise as e, shape as s
from ..graph import Graph, Value
from ..shapes import ELEMENTWISE, result_spec
from .boxes import assembly, overlap
from .lower import LOWERED, WIDE
from .merge import merged
from .order import arranged


class Builder:
    """Makes values, each only once, with what is known about them applied.

    Example:
        >>> from groundup.engine.primitives import elementwise
        >>> build = Builder()
        >>> x = Value("input", (), {}, (2,), gu.float32)
        >>> build(elementwise.mul, x, build.number(1.0, x.dtype)) is x
        True
    """

    def __init__(self) -> None:
        self.made: dict[Any, Value] = {}
        self.line = ""

    def __call__(self, primitive: Primitive, *inputs: Value, **static: Any) -> Value:
        """The value of a primitive's call, or a simpler one that is the same."""
        lowered = LOWERED.get(primitive.name)
        empty = [x for x in inputs if not x.size]
        if primitive.name in WIDE and inputs[0].dtype.char in HALVES:
            lowered = None  # computed in float32 and rounded once, which its parts would not be
        if lowered is not None and (not empty or primitive.name in ("cat", "index_put")):
            simpler = lowered(self, *inputs, **static)
            if simpler is not None:
                return simpler
        if primitive.name in ELEMENTWISE and all(number(x) is not None for x in inputs):
            return self._folded(primitive, inputs, static)
        rule = ALGEBRA.get(primitive.name)
        if rule is not None and (found := rule(self, *inputs, **static)) is not None:
            return found
        if (found := merged(self, primitive, inputs, static)) is not None:
            return found
        key = (primitive.name, inputs, _frozen(static))
        value = self.made.get(key)
        if value is None:
            shape, dtype = result_spec(primitive, inputs, static)
            if 0 in shape:
                return self.array(np.empty(shape, dtype))
            if empty and len(empty) == len(inputs):
                nothing = [np.empty(x.shape, x.dtype) for x in inputs]
                return self.array(np.asarray(primitive.forward(*nothing, **static)))
            value = Value(primitive.name, inputs, static, shape, dtype, primitive, self.line)
            self.made[key] = value
        return value

    def _folded(
        self, primitive: Primitive, inputs: tuple[Value, ...], static: dict[str, Any]
    ) -> Value:
        with np.errstate(all="ignore"):
            array = np.asarray(primitive.forward(*[x.static["array"] for x in inputs], **static))
        return self.array(array)

    def array(self, array: Array) -> Value:
        """A value that is known; equal ones are one value."""
        key = (
            "constant",
            array.shape,
            array.dtype,
            array.tobytes() if array.size < 64 else id(array),
        )
        if key not in self.made:
            self.made[key] = Value("constant", (), {"array": array}, array.shape, array.dtype)
        return self.made[key]

    def number(self, value: float, dtype: DType) -> Value:
        """A number."""
        return self.array(np.asarray(value, dtype))

    def index(self, dim: int, shape: tuple[int, ...], dtype: DType = int64) -> Value:
        """For each element its position along a dimension."""
        key = ("positions", dim, shape)
        if key not in self.made:
            self.made[key] = Value("positions", (), {"dim": dim}, shape, int64, None, self.line)
        found = self.made[key]
        return found if dtype == int64 else self(e.cast, found, dtype=dtype)


def number(x: Value) -> Any:
    """The number that a value is known to be everywhere, if it has one element; else None."""
    if x.name == "constant" and x.static["array"].size == 1 and not x.shape:
        return x.static["array"].item()
    return None


def _frozen(static: dict[str, Any]) -> Any:
    return tuple([(key, repr(value)) for key, value in static.items()])


def simplify(graph: Graph) -> Graph:
    """The same program, simpler.

    Example:
        >>> simplify(Graph()).values
        []
    """
    build = Builder()
    new: dict[Value, Value] = {}
    for value in graph.replaced({v: v for v in graph.values}).values:
        build.line = value.line
        if value.primitive is None:
            known = value.name == "constant"
            new[value] = build.array(value.static["array"]) if known else value
        else:
            new[value] = build(value.primitive, *[new[x] for x in value.inputs], **value.static)
    made = graph.replaced(new)
    made.writes = [(state, value) for state, value in made.writes if state.size]
    return arranged(made)


# Algebra: each rule gives a simpler value, or None


def _add(build: Builder, a: Value, b: Value) -> Value | None:
    for x, other in ((a, b), (b, a)):
        if number(x) == 0 and other.dtype == x.dtype:
            return other
    empty = a.name == b.name == "assembly" and not a.static["fill"] and not b.static["fill"]
    if empty and a.shape == b.shape and a.dtype == b.dtype:
        mine, others = a.static["boxes"], b.static["boxes"]
        if not any(overlap(one, other) for one in mine for other in others):
            return assembly(build, a.inputs + b.inputs, mine + others, a.shape)
    return build(e.sub, a, b.inputs[0]) if b.name == "neg" else None


def _sub(build: Builder, a: Value, b: Value) -> Value | None:
    return a if number(b) == 0 and a.dtype == b.dtype else None


def _mul(build: Builder, a: Value, b: Value) -> Value | None:
    for x, other in ((a, b), (b, a)):
        if other.dtype == x.dtype:
            if number(x) == 1:
                return other
            if number(x) == -1:
                return build(e.neg, other)
    return None


def _div(build: Builder, a: Value, b: Value) -> Value | None:
    n = number(b)
    if n is None or a.dtype != b.dtype or a.dtype.kind != "f":
        return None
    if n == 1:
        return a
    if n and np.isfinite(n) and np.frexp(n)[0] in (0.5, -0.5):  # a power of two: exact
        return build(e.mul, a, build.number(1 / n, b.dtype))
    return None


def _neg(build: Builder, x: Value) -> Value | None:
    return x.inputs[0] if x.name == "neg" else None


def _pow(build: Builder, a: Value, b: Value) -> Value | None:
    n = number(b)
    if n is None or a.dtype != b.dtype or a.dtype.kind != "f":
        return None
    if n == 0.5:
        return None  # pow(-0., .5) and pow(-inf, .5) are not their square roots
    if n in (1, 2, 3):
        out = a
        for _ in range(int(n) - 1):
            out = build(e.mul, out, a)
        return out
    return build(e.div, build.number(1, a.dtype), a) if n == -1 else None


def _cast(build: Builder, x: Value, dtype: DType) -> Value | None:
    return x if x.dtype == dtype else None


def _reshape(build: Builder, x: Value, shape: tuple[int, ...]) -> Value | None:
    wanted = result_spec(s.reshape, [x], {"shape": shape})[0]
    if wanted == x.shape:
        return x
    if x.name == "reshape":
        return build(s.reshape, x.inputs[0], shape=wanted)
    return build(s.reshape, x, shape=wanted) if wanted != shape else None


def _expand(build: Builder, x: Value, shape: tuple[int, ...]) -> Value | None:
    if x.shape == shape:
        return x
    return build(s.expand, x.inputs[0], shape=shape) if x.name == "expand" else None


def _permute(build: Builder, x: Value, order: tuple[int, ...]) -> Value | None:
    if order == tuple(range(len(order))):
        return x
    if x.name == "permute":
        first = x.static["order"]
        return build(s.permute, x.inputs[0], order=tuple(first[d] for d in order))
    return None


def _where(build: Builder, condition: Value, a: Value, b: Value) -> Value | None:
    return a if a is b and condition.shape == a.shape else None


def _reduction(build: Builder, x: Value, dims: tuple[int, ...], keepdim: bool) -> Value | None:
    if all(x.shape[d] == 1 for d in dims):
        kept = tuple(n for d, n in enumerate(x.shape) if d not in dims)
        return x if keepdim else build(s.reshape, x, shape=kept)
    return None


def _unslice(
    build: Builder, x: Value, shape: tuple[int, ...], key: tuple[slice, ...]
) -> Value | None:
    bounds = [k.indices(n) for k, n in zip(key, shape, strict=True)]
    if not x.size:
        return None
    for d, (start, _, step) in enumerate(bounds):
        if step > 1:  # zeros beside each element, and what is too much at the end cut off
            count, n = x.shape[d], shape[d]
            length = min(count * step, n - start)
            wide = (*x.shape[: d + 1], 1, *x.shape[d + 1 :])
            x = build(s.reshape, x, shape=wide)
            box = tuple([(0, size) for size in wide])
            x = assembly(build, (x,), (box,), (*wide[: d + 1], step, *wide[d + 2 :]))
            x = build(s.reshape, x, shape=(*wide[:d], count * step, *wide[d + 2 :]))
            cut = tuple([slice(0, length if i == d else size) for i, size in enumerate(x.shape)])
            x = build(s.slice_, x, key=cut)
            bounds[d] = (start, start + length, 1)
    return assembly(build, (x,), (tuple((a, b) for a, b, _ in bounds),), shape)


def _pad(
    build: Builder, x: Value, widths: tuple[tuple[int, int], ...], value: float
) -> Value | None:
    if not x.size:
        return None
    shape = tuple(a + n + b for n, (a, b) in zip(x.shape, widths, strict=True))
    box = tuple((a, a + n) for n, (a, _) in zip(x.shape, widths, strict=True))
    return assembly(build, (x,), (box,), shape, value)


ALGEBRA: dict[str, Callable[..., Value | None]] = {
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "div": _div,
    "neg": _neg,
    "pow": _pow,
    "cast": _cast,
    "reshape": _reshape,
    "expand": _expand,
    "permute": _permute,
    "where": _where,
    "sum": _reduction,
    "amax": _reduction,
    "amin": _reduction,
    "unslice": _unslice,
    "pad": _pad,
}
