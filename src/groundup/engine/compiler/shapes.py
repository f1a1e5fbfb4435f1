"""Shape and dtype of a primitive's result, from those of its inputs.

The primitives say what they compute and nothing else, so the answer is found by asking them: an
elementwise primitive is called with one element, any other with arrays that have the right shape
and no memory of their own. Products and convolutions, which would be work, are asked with an inner
length of 0, or with one image of one channel; of packed weights the answer is in their primitives'
arguments. Answers are remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..dtypes import DType, float32, uint8
from ..panels import STEP, STEP_NBYTES
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
    if primitive.name in _PACKED:
        return _PACKED[primitive.name](*[shape for shape, _ in specs], static)
    small = primitive.name in ELEMENTWISE
    first: Shape = ()
    if primitive.name in ("matmul", "linear"):
        specs = _without_inner(primitive.name, specs)
    elif primitive.name in _CONVOLUTIONS and static["groups"] == 1:
        first, specs = _one_image(primitive.name, specs)
    arrays = [
        np.zeros((1,) * len(shape), dtype) if small else np.broadcast_to(np.zeros((), dtype), shape)
        for shape, dtype in specs
    ]
    with np.errstate(all="ignore"):
        out = np.asarray(primitive.forward(*arrays, **static))
    shape = np.broadcast_shapes(*[shape for shape, _ in specs]) if small else out.shape
    return first + shape[len(first) :], out.dtype


def _without_inner(name: str, specs: Sequence[tuple[Shape, DType]]) -> Sequence[Any]:
    """Operands of a product whose inner length is 0."""
    (a, a_dtype), (b, b_dtype), *more = specs
    if name == "matmul" and len(a) > 0 and len(b) > 1 and a[-1] == b[-2]:
        return [((*a[:-1], 0), a_dtype), ((*b[:-2], 0, b[-1]), b_dtype), *more]
    if name == "linear" and len(a) > 0 and len(b) == 2 and a[-1] == b[-1]:
        return [((*a[:-1], 0), a_dtype), ((b[0], 0), b_dtype), *more]
    return specs


_PACKED: dict[str, Callable[..., tuple[Shape, DType]]] = {
    "rounded": lambda x, _: ((x[0], x[1] // STEP * STEP_NBYTES), uint8),
    "packed_product": lambda q, _w, static: ((q[0], static["rows"]), float32),
    "packed_linear": lambda x, _w, static: ((x[0], static["rows"]), float32),
    "packed_rows": lambda _w, places, static: ((*places, static["columns"]), float32),
}
"""What the primitives of packed weights give, from the shapes of their inputs."""

_CONVOLUTIONS = {"conv": ("NC", "OC", "NO"), "conv_input": ("NO", "OC", "NC")}
_CONVOLUTIONS["conv_weight"] = ("NC", "NO", "OC")
"""What the first two dimensions of the operands and the result are: images and channels."""


def _one_image(name: str, specs: Sequence[tuple[Shape, DType]]) -> tuple[Shape, Sequence[Any]]:
    """The first two dimensions of a convolution's result; operands that have 1 there."""
    sizes: dict[str, int] = {}
    for (shape, _), letters in zip(specs, _CONVOLUTIONS[name], strict=False):
        for letter, n in zip(letters, shape, strict=False):
            if n == 0 or sizes.setdefault(letter, n) != n:
                return (), specs  # let it say itself what is wrong
    if len(specs) != 2 or len(sizes) != 3:
        return (), specs
    first = tuple([sizes[letter] for letter in _CONVOLUTIONS[name][2]])
    return first, [((1, 1, *shape[2:]), dtype) for shape, dtype in specs]
