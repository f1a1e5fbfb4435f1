"""Shapes of results that would take much memory or time to be found by computing.

A module is traced at sizes far from the example's, at which the engine's own way, calling the
primitive with arrays that hold nothing, may need gigabytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...engine.compiler.graph import Value
from ...engine.dtypes import DType, bool_, int64

Shape = tuple[int, ...]
ALIKE = {"softmax", "log_softmax", "standardize", "cumsum"}
"""Their result has the shape of their input."""
REDUCTIONS = {"sum": None, "amax": None, "amin": None, "any": bool_, "all": bool_}
"""Reductions with the dtype of their result, None for that of the input."""
POSITIONS = {"argmax", "argmin"}


def known(name: str, inputs: Sequence[Value], static: dict[str, Any]) -> tuple[Shape, DType] | None:
    """Shape and dtype of a primitive's result; None where it is left to the engine.

    Args:
        name: of the primitive.
        inputs: what it is called with.
        static: its other arguments.

    Example:
        >>> x = Value("input", (), {}, (2, 3, 4), gu.float32)
        >>> known("sum", [x], {"dims": (1,), "keepdim": False})
        ((2, 4), dtype('float32'))
    """
    shape, dtype = inputs[0].shape, inputs[0].dtype
    others = [x.shape for x in inputs[1:]]
    found: Shape | None = None
    if name in ALIKE:
        found = shape
    elif name in REDUCTIONS:
        dtype = REDUCTIONS[name] or dtype
        found = _reduced(shape, static["dims"], static["keepdim"])
    elif name in POSITIONS:
        dtype, found = int64, _reduced(shape, (static["dim"],), True)
    elif name == "gather":
        found = others[0]
    elif name == "index" and len(others) == 1:
        d = static["dims"][0]
        found = (*shape[:d], *others[0], *shape[d + 1 :])
    elif all(x.dtype == dtype for x in inputs):
        if name == "matmul" and len(shape) > 1 < len(others[0]) and shape[-1] == others[0][-2]:
            lead = np.broadcast_shapes(shape[:-2], others[0][:-2])
            found = (*lead, shape[-2], others[0][-1])
        elif name == "linear" and shape[-1] == others[0][-1] and len(others[0]) == 2:
            found = (*shape[:-1], others[0][0])
    return None if found is None else (found, dtype)


def _reduced(shape: Shape, dims: Sequence[int], keepdim: bool) -> Shape:
    kept = tuple(1 if d in dims else n for d, n in enumerate(shape))
    return kept if keepdim else tuple(n for d, n in enumerate(shape) if d not in dims)
