"""R1.1, R1.3: 16-bit floating types in compiled functions: moved by kernels, computed by NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import groundup as gu
import groundup.nn.functional as F

FUNCTIONS: dict[str, Callable[[gu.Tensor], Any]] = {
    "cat": lambda x: gu.cat([x, gu.zeros(2, 4, dtype=x.dtype), x * 2]),
    "copies of views": lambda x: x.unsqueeze(0).expand(2, 6, 4).transpose(1, 2).reshape(-1),
    "constants": lambda x: gu.full((3,), 1.5, dtype=x.dtype) + x[:3, 0],
    "rows": lambda x: x[gu.tensor([4, 0, 4])],
    "sort": lambda x: x.sort(1).values,
    "argmax": lambda x: x.argmax(1),
    "softmax": lambda x: x.softmax(1),
    "cross_entropy": lambda x: F.cross_entropy(x, gu.tensor([0, 1, 2, 3, 0, 1])),
    "layer_norm": lambda x: F.layer_norm(x, (4,)),
    "products": lambda x: x @ x.T,
    "there and back": lambda x: (x.float() * 3).to(x.dtype),
    "long sum": lambda x: x.abs().expand(500, 6, 4).sum(0),
}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_numbers_are_those_of_the_eager_function(name: str, dtype: str) -> None:
    x = gu.randn(6, 4, generator=gu.Generator(0)).to(dtype)
    found, expected = gu.compile(FUNCTIONS[name])(x), FUNCTIONS[name](x)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    np.testing.assert_array_equal(found.double().numpy(), expected.double().numpy())
