"""Primitives that work on each element alone, and those that choose, as ONNX operators.

A mapping is called with the writer, the step, and the names of the step's inputs; it returns the
name of the result. ONNX's operators want inputs of one dtype, and few know bool.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...engine.dtypes import is_floating
from .program import Step
from .writer import Writer, onnx_type

Mapping = Callable[[Writer, Step, list[str]], str]


def together(w: Writer, s: Step, x: list[str]) -> list[str]:
    """The inputs in the dtype that they have together; bool as int32."""
    dtype = np.result_type(*[i.dtype for i in s.inputs])
    if dtype.kind == "b":
        dtype = np.dtype(np.int32)
    return [w.cast(name, i.dtype, dtype) for name, i in zip(x, s.inputs, strict=True)]


def arithmetic(op: str) -> Mapping:
    """An operator on the dtype of the result.

    Example:
        >>> arithmetic("Add").__name__
        'write'
    """

    def write(w: Writer, s: Step, x: list[str]) -> str:
        same = [w.cast(name, i.dtype, s.dtype) for name, i in zip(x, s.inputs, strict=True)]
        return w.node(op, *same)

    return write


def floating(op: str) -> Mapping:
    """An operator that leaves whole numbers as they are.

    Example:
        >>> floating("Floor").__name__
        'write'
    """

    def write(w: Writer, s: Step, x: list[str]) -> str:
        return w.node(op if is_floating(s.inputs[0].dtype) else "Identity", *x)

    return write


def comparison(op: str, negated: bool = False) -> Mapping:
    """A comparison.

    Example:
        >>> comparison("Less").__name__
        'write'
    """

    def write(w: Writer, s: Step, x: list[str]) -> str:
        found = w.node(op, *together(w, s, x))
        return w.node("Not", found) if negated else found

    return write


def logical(op: str) -> Mapping:
    """An operator on truth values.

    Example:
        >>> logical("And").__name__
        'write'
    """

    def write(w: Writer, s: Step, x: list[str]) -> str:
        truth = [w.cast(name, i.dtype, np.bool_) for name, i in zip(x, s.inputs, strict=True)]
        return w.node(op, *truth)

    return write


def bitwise(op: str) -> Mapping:
    """An operator on bits; on truth values the logical one.

    Example:
        >>> bitwise("And").__name__
        'write'
    """

    def write(w: Writer, s: Step, x: list[str]) -> str:
        return arithmetic(op if s.dtype.kind == "b" else f"Bitwise{op}")(w, s, x)

    return write


def number(w: Writer, value: float, s: Step) -> str:
    """A number of the dtype of a step's result."""
    return w.constant(np.array(value, s.dtype))


def _cast(w: Writer, s: Step, x: list[str]) -> str:
    return w.cast(x[0], s.inputs[0].dtype, s.fixed("dtype"))


def _floor_divide(w: Writer, s: Step, x: list[str]) -> str:
    a, b = (w.cast(name, i.dtype, s.dtype) for name, i in zip(x, s.inputs, strict=True))
    if is_floating(s.dtype):
        return w.node("Floor", w.node("Div", a, b))
    return w.node("Div", w.node("Sub", a, w.node("Mod", a, b)), b)


def _remainder(w: Writer, s: Step, x: list[str]) -> str:
    a, b = (w.cast(name, i.dtype, s.dtype) for name, i in zip(x, s.inputs, strict=True))
    if is_floating(s.dtype):
        return w.node("Sub", a, w.node("Mul", b, w.node("Floor", w.node("Div", a, b))))
    return w.node("Mod", a, b)


def _extreme(op: str) -> Mapping:
    def write(w: Writer, s: Step, x: list[str]) -> str:
        if s.dtype.kind == "b":
            return w.node("Or" if op == "Max" else "And", *x)
        return arithmetic(op)(w, s, x)

    return write


def _lerp(w: Writer, s: Step, x: list[str]) -> str:
    a, b, share = (w.cast(name, i.dtype, s.dtype) for name, i in zip(x, s.inputs, strict=True))
    return w.node("Add", a, w.node("Mul", w.node("Sub", b, a), share))


def _addcdiv(w: Writer, s: Step, x: list[str]) -> str:
    a, b, c, share = (w.cast(n, i.dtype, s.dtype) for n, i in zip(x, s.inputs, strict=True))
    return w.node("Add", a, w.node("Mul", share, w.node("Div", b, c)))


def _where(w: Writer, s: Step, x: list[str]) -> str:
    condition = w.cast(x[0], s.inputs[0].dtype, np.bool_)
    a, b = (w.cast(n, i.dtype, s.dtype) for n, i in zip(x[1:], s.inputs[1:], strict=True))
    if s.dtype.kind == "b":
        chosen = w.node("And", condition, a)
        return w.node("Or", chosen, w.node("And", w.node("Not", condition), b))
    return w.node("Where", condition, a, b)


def _clamp(w: Writer, s: Step, x: list[str]) -> str:
    low, high = s.fixed("low"), s.fixed("high")
    bounds = [number(w, bound, s) if bound is not None else "" for bound in (low, high)]
    return w.node("Clip", x[0], *bounds)


def _barrier(_w: Writer, _s: Step, x: list[str]) -> str:
    return x[0]


def _trunc(w: Writer, s: Step, x: list[str]) -> str:
    if not is_floating(s.dtype):
        return x[0]
    return w.node("Mul", w.node("Sign", x[0]), w.node("Floor", w.node("Abs", x[0])))


def _expm1(w: Writer, s: Step, x: list[str]) -> str:
    return w.node("Sub", w.node("Exp", x[0]), number(w, 1, s))


def _log1p(w: Writer, s: Step, x: list[str]) -> str:
    return w.node("Log", w.node("Add", x[0], number(w, 1, s)))


def _rsqrt(w: Writer, _s: Step, x: list[str]) -> str:
    return w.node("Reciprocal", w.node("Sqrt", x[0]))


def _in_float32(op: str) -> Mapping:
    """A function that runtimes know for float32 only."""

    def write(w: Writer, s: Step, x: list[str]) -> str:
        narrow = w.node("Cast", x[0], to=onnx_type(np.float32)) if s.dtype.itemsize == 8 else x[0]
        return w.cast(w.node(op, narrow), np.float32 if narrow != x[0] else s.dtype, s.dtype)

    return write


MAPPINGS: dict[str, Mapping] = {
    "cast": _cast,
    "neg": arithmetic("Neg"),
    "add": arithmetic("Add"),
    "sub": arithmetic("Sub"),
    "mul": arithmetic("Mul"),
    "div": arithmetic("Div"),
    "floor_divide": _floor_divide,
    "remainder": _remainder,
    "pow": arithmetic("Pow"),
    "maximum": _extreme("Max"),
    "minimum": _extreme("Min"),
    "lerp": _lerp,
    "addcdiv": _addcdiv,
    "eq": comparison("Equal"),
    "ne": comparison("Equal", negated=True),
    "lt": comparison("Less"),
    "le": comparison("LessOrEqual"),
    "gt": comparison("Greater"),
    "ge": comparison("GreaterOrEqual"),
    "logical_and": logical("And"),
    "logical_or": logical("Or"),
    "logical_xor": logical("Xor"),
    "logical_not": logical("Not"),
    "bitwise_and": bitwise("And"),
    "bitwise_or": bitwise("Or"),
    "bitwise_xor": bitwise("Xor"),
    "bitwise_not": bitwise("Not"),
    "where": _where,
    "clamp": _clamp,
    "barrier": _barrier,
    "sign": arithmetic("Sign"),
    "floor": floating("Floor"),
    "ceil": floating("Ceil"),
    "round": floating("Round"),
    "trunc": _trunc,
    "abs": arithmetic("Abs"),
    "exp": arithmetic("Exp"),
    "expm1": _expm1,
    "log": arithmetic("Log"),
    "log1p": _log1p,
    "sqrt": arithmetic("Sqrt"),
    "rsqrt": _rsqrt,
    "sin": arithmetic("Sin"),
    "cos": arithmetic("Cos"),
    "tanh": arithmetic("Tanh"),
    "erf": _in_float32("Erf"),
    "sigmoid": arithmetic("Sigmoid"),
    "relu": arithmetic("Relu"),
    "softplus": arithmetic("Softplus"),
}
"""Elementwise primitives by name."""
