"""Primitives that combine elements, fused ones and products, as ONNX operators."""

from __future__ import annotations

import numpy as np

from .elementwise import Mapping, number
from .program import Step
from .writer import Writer, onnx_type


def _reduce(op: str) -> Mapping:
    def write(w: Writer, s: Step, x: list[str]) -> str:
        dims = s.fixed("dims")
        keepdim = int(s.fixed("keepdim"))
        whole = w.cast(x[0], s.inputs[0].dtype, s.dtype)
        if s.dtype.kind == "b":
            whole = w.node("Cast", x[0], to=onnx_type(np.int32))
        if not dims:
            return x[0]
        found = w.node(op, whole, w.axes(dims), keepdims=keepdim)
        return w.node("Cast", found, to=onnx_type(np.bool_)) if s.dtype.kind == "b" else found

    return write


def _truth(op: str) -> Mapping:
    def write(w: Writer, s: Step, x: list[str]) -> str:
        truth = w.cast(x[0], s.inputs[0].dtype, np.bool_)
        return _reduce(op)(w, s, [truth])

    return write


def _position(op: str) -> Mapping:
    def write(w: Writer, s: Step, x: list[str]) -> str:
        kind = s.inputs[0].dtype
        whole = w.cast(x[0], kind, np.int32) if kind.kind == "b" else x[0]
        return w.node(op, whole, axis=s.fixed("dim"), keepdims=1)

    return write


def _cumsum(w: Writer, s: Step, x: list[str]) -> str:
    whole = w.cast(x[0], s.inputs[0].dtype, s.dtype)
    return w.node("CumSum", whole, w.constant(np.array(s.fixed("dim"), np.int64)))


def _softmax(op: str) -> Mapping:
    def write(w: Writer, s: Step, x: list[str]) -> str:
        return w.node(op, x[0], axis=s.fixed("dim"))

    return write


def _label(w: Writer, s: Step, x: list[str]) -> tuple[str, str]:
    """Labels that are classes, with the class dimension, and whether each is ignored."""
    target = s.inputs[1]
    label = w.cast(x[1], target.dtype, np.int64)
    skip = w.node("Equal", label, w.constant(np.array(s.fixed("ignored"), np.int64)))
    known = w.node("Where", skip, w.constant(np.array(0, np.int64)), label)
    dim = [s.fixed("dim")]
    return w.unsqueeze(known, dim), skip


def _cross_entropy(w: Writer, s: Step, x: list[str]) -> str:
    dim = s.fixed("dim")
    label, skip = _label(w, s, x)
    logs = w.node("LogSoftmax", x[0], axis=dim)
    found = w.squeeze(w.node("GatherElements", logs, label, axis=dim), [dim])
    return w.node("Where", skip, number(w, 0, s), w.node("Neg", found))


def _class_residual(w: Writer, s: Step, x: list[str]) -> str:
    dim = s.fixed("dim")
    label, skip = _label(w, s, x)
    ones = w.node("Equal", label, _along(w, s, dim))
    hot = w.node("Cast", ones, to=onnx_type(s.dtype))
    found = w.node("Sub", w.node("Softmax", x[0], axis=dim), hot)
    return w.node("Where", w.unsqueeze(skip, [dim]), number(w, 0, s), found)


def _along(w: Writer, s: Step, dim: int) -> str:
    """0, 1, 2, ... along a dimension of the result."""
    shape = [1] * s.ndim
    shape[dim] = s.shape[dim].constant
    if not s.shape[dim].fixed:
        raise s.refusal("the number of classes may vary; it")
    return w.constant(np.arange(shape[dim]).reshape(shape))


def _logsumexp(w: Writer, s: Step, x: list[str]) -> str:
    dims = w.axes(s.fixed("dims"))
    top = w.node("ReduceMax", x[0], dims, keepdims=1)
    finite = w.node("Less", w.node("Abs", top), number(w, np.inf, s))
    top = w.node("Where", finite, top, number(w, 0, s))
    total = w.node("ReduceSum", w.node("Exp", w.node("Sub", x[0], top)), dims, keepdims=1)
    found = w.node("Add", w.node("Log", total), top)
    return found if s.fixed("keepdim") else w.squeeze(found, s.fixed("dims"))


def _standardize(w: Writer, s: Step, x: list[str]) -> str:
    dims = w.axes(s.fixed("dims"))
    eps = number(w, s.fixed("eps"), s)
    mean = x[1] if len(x) > 1 else w.node("ReduceMean", x[0], dims, keepdims=1)
    y = w.node("Sub", x[0], mean)
    variance = x[2] if len(x) > 1 else w.node("ReduceMean", w.node("Mul", y, y), dims, keepdims=1)
    return w.node("Div", y, w.node("Sqrt", w.node("Add", variance, eps)))


def _matmul(w: Writer, s: Step, x: list[str]) -> str:
    return w.node("MatMul", *x)


def _linear(w: Writer, s: Step, x: list[str]) -> str:
    if s.ndim == 2:
        return w.node("Gemm", *x, transB=1)
    found = w.node("MatMul", x[0], w.transpose(x[1], [1, 0]))
    return w.node("Add", found, x[2]) if len(x) > 2 else found


MAPPINGS: dict[str, Mapping] = {
    "sum": _reduce("ReduceSum"),
    "amax": _reduce("ReduceMax"),
    "amin": _reduce("ReduceMin"),
    "any": _truth("ReduceMax"),
    "all": _truth("ReduceMin"),
    "argmax": _position("ArgMax"),
    "argmin": _position("ArgMin"),
    "cumsum": _cumsum,
    "softmax": _softmax("Softmax"),
    "log_softmax": _softmax("LogSoftmax"),
    "cross_entropy": _cross_entropy,
    "class_residual": _class_residual,
    "logsumexp": _logsumexp,
    "standardize": _standardize,
    "matmul": _matmul,
    "linear": _linear,
}
"""Primitives that combine elements, by name."""
