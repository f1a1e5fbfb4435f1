"""Matrix products.

Those of float16 and bfloat16 are computed and added up in float32 and rounded once: NumPy has no
fast product of either, and processors that have one add up in float32 too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..base import Array
from ..primitive import Primitive
from .half import in_float32
from .shape import permute

if TYPE_CHECKING:
    from ..tensor import Tensor


def swap(x: Tensor) -> Tensor:
    """Transpose the last two dimensions."""
    n = x.array.ndim
    return permute(x, order=(*range(n - 2), n - 1, n - 2))


matmul: Primitive = Primitive(
    "matmul",
    in_float32(np.matmul),
    lambda g, _y, _a, b: matmul(g, swap(b)),
    lambda g, _y, a, _b: matmul(swap(a), g),
    work=lambda inputs, out, **_: out.array.size * inputs[0].array.shape[-1],
)
"""(..., n, k) @ (..., k, m) -> (..., n, m); leading dimensions broadcast."""


@in_float32
def _linear(x: Array, w: Array, *bias: Array) -> Array:
    y: Array = np.matmul(x, w.T)
    for b in bias:
        y += b
    return y


linear: Primitive = Primitive(
    "linear",
    _linear,
    lambda g, _y, _x, w, *_b: matmul(g, w),
    lambda g, _y, x, _w, *_b: matmul(swap(g), x),
    lambda g, _y, _x, _w, _b: g,
    work=lambda inputs, out, **_: out.array.size * inputs[0].array.shape[-1],
)
"""x (n, k), w (m, k), b (m,) -> x @ w.T + b (n, m); the bias may be left out."""
