"""Several primitives that are one operator of ONNX.

A fusion stands for a step and says what it needs instead of the step's inputs, which are then
written only if something else needs them:

- the largest and the sum of windows are pooling,
- a sum that is divided by the number of what was added up is a mean,
- products with packed weights, and rows of them, are those of unpacked weights.

The last are exact only up to rounding: ONNX has no operators for blocks of packed weights, and the
products here round their other operand to eight bits, which those of the exported model do not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...engine.dtypes import is_floating
from ...engine.primitives.packed import packed_rows
from .elementwise import number
from .program import Step
from .writer import Writer

Array = NDArray[Any]
WEIGHT = {"packed_linear": 1, "packed_product": 1, "packed_rows": 0}
"""Primitives that read packed weights, and which of their inputs those are."""


@dataclass(frozen=True)
class Fusion:
    """What is written in the place of a step.

    Attributes:
        inputs: what it is computed from.
        write: called with the writer and their names; gives the name of the result.
    """

    inputs: tuple[Step, ...]
    write: Callable[[Writer, list[str]], str]


def find(s: Step, names: dict[int, str]) -> Fusion | None:
    """The fusion that a step is the end of; None if it is none.

    Args:
        s: the step.
        names: of parameters and buffers, by the identity of their arrays.

    Raises:
        ExportError: packed weights that are no parameter.
    """
    if s.name in WEIGHT:
        return _packed(s, names)
    if s.name == "gather":
        return _largest(s)
    if s.name == "sum":
        windows = _pooled(s)
        if windows is not None:
            return Fusion(windows.inputs, partial(_sum_pool, s, windows))
    if s.name == "div" and _counts(s):
        added = s.inputs[0]
        windows = _pooled(added)
        if windows is not None:
            return Fusion(windows.inputs, partial(_average_pool, windows))
        return Fusion(added.inputs, partial(_mean, added))
    return None


# Windows


def _windows_of_images(windows: Step) -> int:
    """How many dimensions behind the first two have windows, if all of them have; else 0."""
    if windows.name != "windows" or not is_floating(windows.dtype):
        return 0
    n = len(windows.fixed("dims"))
    every = windows.fixed("dims") == tuple(range(2, 2 + n)) and windows.ndim == 2 + 2 * n
    return n if every and n <= 3 else 0


def _largest(s: Step) -> Fusion | None:
    """The largest of each window: it is read where ``argmax`` says, from windows laid out flat."""
    flat, position = s.inputs
    if position.name != "argmax" or position.inputs[0] is not flat:
        return None
    windows = flat.inputs[0] if flat.name == "reshape" else flat
    n = _windows_of_images(windows)
    if not n or not s.fixed("dim") == position.fixed("dim") == 2 + n:
        return None
    for laid, seen in zip(flat.values, windows.values, strict=True):
        if laid.shape != (*seen.shape[: 2 + n], math.prod(seen.shape[2 + n :])):
            return None
    return Fusion(windows.inputs, partial(_max_pool, windows, 2 + n))


def _max_pool(windows: Step, behind: int, w: Writer, x: list[str]) -> str:
    found = w.node(
        "MaxPool",
        *x,
        kernel_shape=windows.fixed("size"),
        strides=windows.fixed("step"),
        dilations=windows.fixed("dilation"),
    )
    return w.unsqueeze(found, [behind])


def _pooled(s: Step) -> Step | None:
    """The windows that a step adds up."""
    windows = s.inputs[0]
    n = _windows_of_images(windows)
    if s.name != "sum" or not n or s.fixed("keepdim") or set(windows.fixed("dilation")) != {1}:
        return None
    return windows if tuple(s.fixed("dims")) == tuple(range(2 + n, 2 + 2 * n)) else None


def _average_pool(windows: Step, w: Writer, x: list[str]) -> str:
    size, step = windows.fixed("size"), windows.fixed("step")
    return w.node("AveragePool", *x, kernel_shape=size, strides=step)


def _sum_pool(s: Step, windows: Step, w: Writer, x: list[str]) -> str:
    count = number(w, math.prod(windows.fixed("size")), s)
    return w.node("Mul", _average_pool(windows, w, x), count)


# Means


def _counts(s: Step) -> bool:
    """Whether a sum is divided by the number of elements that were added up."""
    added, count = s.inputs
    if added.name != "sum" or count.name != "array" or count.ndim or not is_floating(s.dtype):
        return False
    return added.dtype == added.inputs[0].dtype == s.dtype and all(
        int(array) == math.prod(value.shape[d] for d in static["dims"])
        for array, value, static in zip(
            count.arrays, added.inputs[0].values, added.static, strict=True
        )
    )


def _mean(added: Step, w: Writer, x: list[str]) -> str:
    dims = w.axes(added.fixed("dims"))
    if not added.fixed("dims"):
        return x[0]
    return w.node("ReduceMean", x[0], dims, keepdims=int(added.fixed("keepdim")))


# Packed weights


def _packed(s: Step, names: dict[int, str]) -> Fusion:
    weight, other = s.inputs[WEIGHT[s.name]], s.inputs[1 - WEIGHT[s.name]]
    if weight.name != "array" or any(a is not weight.arrays[0] for a in weight.arrays):
        raise s.refusal("packed weights are no parameter; they")
    packed: Array = weight.arrays[0]
    operand = other.inputs[0] if other.name == "rounded" else other

    def write(w: Writer, x: list[str]) -> str:
        if id(packed) not in w.unpacked:
            found = packed_rows.forward(packed, np.arange(s.fixed("rows")), **s.static[0])
            w.unpacked[id(packed)] = w.array(found, names.get(id(packed), "weight"))
        if s.name == "packed_rows":
            return w.node("Gather", w.unpacked[id(packed)], *x, axis=0)
        return w.node("Gemm", *x, w.unpacked[id(packed)], transB=1)

    return Fusion((operand,), write)
