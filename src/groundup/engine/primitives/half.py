"""Half precision: computed in float32 and rounded once, as processors with float16 units do.

NumPy would round after every addition, and its products of float16 go through no fast library.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from ..base import Array
from ..dtypes import HALVES


def in_float32(forward: Callable[..., Array]) -> Callable[..., Array]:
    """A forward function that computes with float32 copies of float16 and bfloat16 arrays.

    Args:
        forward: function of arrays, and of static arguments by name. If the first array is one of
            the two the result is rounded to its dtype.

    Example:
        >>> import numpy as np
        >>> total = in_float32(lambda x: np.cumsum(x, dtype=x.dtype))
        >>> ones = np.ones(4000, np.float16)
        >>> np.cumsum(ones, dtype=np.float16)[-1].item(), total(ones)[-1].item()
        (2048.0, 4000.0)
    """

    @functools.wraps(forward)
    def inside(*arrays: Array, **static: Any) -> Array:
        if arrays[0].dtype.char not in HALVES:
            return forward(*arrays, **static)
        wide = [x.astype(np.float32) if x.dtype.char in HALVES else x for x in arrays]
        return forward(*wide, **static).astype(arrays[0].dtype)

    return inside
