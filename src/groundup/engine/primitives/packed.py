"""Products with weights of four to eight bits, which stay packed.

W has n rows of k weights and lies in panels (``groundup.engine.panels``). The rows of x are rounded
to eight bits, 32 numbers at a time, so that whole numbers are multiplied. With b the largest
magnitude of x among 32 numbers, each is off by at most b / 254, and the result by no more than

    sum over steps of  b / 254  sum over the step of |w|

and what adding up in float32 costs. The gradient is that of x @ W.T: rounding counts as if there
were none. W has no gradient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..base import Array, fresh
from ..primitive import Primitive
from .linalg import matmul

if TYPE_CHECKING:
    from ..tensor import Tensor


def _rounded(x: Array) -> Array:
    from ..compiler.products import packed

    return packed.round_now(x)


def _product(q: Array, w: Array, packing: str, rows: int, columns: int) -> Array:
    from ..compiler.products import packed

    return packed.multiply_now(q, w, packing, rows, columns)


def _rows(w: Array, positions: Array, packing: str, rows: int, columns: int) -> Array:
    from ..compiler.products import packed

    return packed.read_now(w, positions, packing, rows, columns)


def _linear(x: Array, w: Array, **static: Any) -> Array:
    return _product(_rounded(x), w, **static)


def _linear_rule(g: Tensor, _y: Any, _x: Any, w: Tensor, **static: Any) -> Tensor:
    every = fresh(np.arange(static["rows"]))
    return matmul(g, packed_rows(w, every, **static))


rounded: Primitive = Primitive("rounded", _rounded, work=0)
"""x (m, k) float32 -> (m, k / 32 * 48) bytes: whole numbers, their scales, their sums."""

packed_product: Primitive = Primitive("packed_product", _product)
"""x rounded, W (panels, bytes) -> x @ W.T (m, n) float32."""

packed_rows: Primitive = Primitive("packed_rows", _rows, work=0)
"""W (panels, bytes), positions (*) int64 -> (*, k) float32."""

packed_linear: Primitive = Primitive(
    "packed_linear",
    _linear,
    _linear_rule,
    work=lambda inputs, out, **_: out.array.size * inputs[0].array.shape[-1],
)
"""x (m, k) float32, W (panels, bytes) -> x @ W.T (m, n) float32."""
