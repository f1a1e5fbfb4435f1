"""Shape and dtype of a primitive's result, from those of its inputs.

The primitives say what they compute and nothing else, so the answer is found by asking them: an
elementwise primitive is called with one element, any other with arrays that have the right shape
and no memory of their own. Answers are remembered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..dtypes import DType
from ..primitive import Primitive
from ..primitives import elementwise
from .graph import Shape, Value

ELEMENTWISE = {p.name: p for p in vars(elementwise).values() if isinstance(p, Primitive)}
"""The primitives that work on each element alone, by name."""

_known: dict[Any, tuple[Shape, DType]] = {}


def result_spec(
    primitive: Primitive, inputs: Sequence[Value], static: dict[str, Any]
) -> tuple[Shape, DType]:
    """Shape and dtype of what a primitive computes.

    Raises:
        ValueError: the inputs do not fit together.

    Example:
        >>> from groundup.engine.compiler.graph import Value
        >>> x = Value("input", (), {}, (2, 1), gu.float32)
        >>> y = Value("input", (), {}, (3,), gu.float32)
        >>> result_spec(elementwise.add, [x, y], {})
        ((2, 3), dtype('float32'))
    """
    specs = tuple([(x.shape, x.dtype) for x in inputs])
    key = (primitive.name, specs, repr(static))
    found = _known.get(key)
    if found is None:
        found = _known[key] = _find(primitive, specs, static)
    return found


def _find(
    primitive: Primitive, specs: Sequence[tuple[Shape, DType]], static: dict[str, Any]
) -> tuple[Shape, DType]:
    small = primitive.name in ELEMENTWISE
    arrays = [
        np.zeros((1,) * len(shape), dtype) if small else np.broadcast_to(np.zeros((), dtype), shape)
        for shape, dtype in specs
    ]
    with np.errstate(all="ignore"):
        out = np.asarray(primitive.forward(*arrays, **static))
    shape = np.broadcast_shapes(*[shape for shape, _ in specs]) if small else out.shape
    return shape, out.dtype
