"""Arrays that a program brings along: parameters, and what it makes of sizes.

An array that is made while the module runs may depend on the sizes: zeros for a first state, the
positions 0 to T - 1, a count that a mean divides by. It is recognised by comparing the traces.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .convolution import counted
from .elementwise import number
from .program import Step
from .sizes import Size, fit_ratio
from .writer import Writer, onnx_type

Array = NDArray[Any]


def write_array(w: Writer, s: Step, names: dict[int, str]) -> str:
    """A source of known values.

    Args:
        w: the writer.
        s: the step.
        names: of parameters and buffers, by the identity of their arrays.

    Raises:
        ExportError: it depends on the sizes in a way that has no formula.
    """
    arrays = s.arrays
    first = arrays[0]
    if all(a is first for a in arrays[1:]):
        name = names.get(id(first))
        return w.array(first, name) if name is not None else w.constant(first)
    if all(a.shape == first.shape and np.array_equal(a, first) for a in arrays[1:]):
        return w.constant(first)
    if all(a.size and bool((a == a.reshape(-1)[0]).all()) for a in arrays):
        value = _number(w, s, [a.reshape(-1)[0].item() for a in arrays])
        return w.expand(value, [], s.shape)
    if first.ndim == 1 and first.dtype.kind in "iuf" and all(a.size > 1 for a in arrays):
        found = _progression(w, s, arrays)
        if found is not None:
            return found
    raise s.refusal(f"values that are made on the way are {', '.join(map(_short, arrays))}")


def _short(array: Array) -> str:
    return f"{np.array2string(array, threshold=4, edgeitems=2)} of shape {array.shape}"


def _number(w: Writer, s: Step, values: list[Any]) -> str:
    """A number of its dtype that may depend on the sizes."""
    if len(set(values)) == 1:
        return number(w, values[0], s)
    if all(isinstance(v, int) or v.is_integer() for v in values):
        size = s.size("a number", [int(v) for v in values])
        return w.cast(w.number(size), np.int64, s.dtype)
    ratio = fit_ratio(s.samples, values)
    if ratio is None:
        raise s.refusal(f"a number is {', '.join(map(str, values))}")
    factor, product, divides = ratio
    size_ = w.node("Cast", w.number(Size(0, ((product, 1),))), to=onnx_type(s.dtype))
    return w.node("Div" if divides else "Mul", number(w, factor, s), size_)


def _progression(w: Writer, s: Step, arrays: list[Array]) -> str | None:
    """Numbers in equal steps, such as positions."""
    firsts = [a[0].item() for a in arrays]
    steps = [(a[1] - a[0]).item() for a in arrays]
    for a, first, step in zip(arrays, firsts, steps, strict=True):
        if not np.array_equal(a, (first + step * np.arange(a.size)).astype(a.dtype)):
            return None
    found = w.cast(counted(w, s.shape[0]), np.int64, s.dtype)
    if set(steps) != {1}:
        found = w.node("Mul", found, _number(w, s, steps))
    if set(firsts) != {0}:
        found = w.node("Add", found, _number(w, s, firsts))
    return found
