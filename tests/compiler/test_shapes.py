"""Shapes that are found without the work are those that the work gives. R1.4."""

from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup.engine.compiler.graph import Value
from groundup.engine.compiler.shapes import result_spec
from groundup.engine.primitives import convolution, linalg

_PLAIN: dict[str, Any] = {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2)}


@pytest.mark.parametrize("dtype", [gu.float16, gu.float32, gu.float64])
@pytest.mark.parametrize("groups", [1, 2])
def test_convolutions(dtype: Any, groups: int) -> None:
    x = np.ones((3, 4, 9, 8), dtype)
    w = np.ones((6, 4 // groups, 3, 2), dtype)
    how = {**_PLAIN, "groups": groups}
    y = convolution.conv.forward(x, w, **how)
    for primitive, arrays, more in (
        (convolution.conv, (x, w), {}),
        (convolution.conv_input, (y, w), {"size": (9, 8)}),
        (convolution.conv_weight, (x, y), {"kernel": (3, 2)}),
    ):
        expected = primitive.forward(*arrays, **how, **more)
        values = [Value("input", (), {}, a.shape, a.dtype) for a in arrays]
        assert result_spec(primitive, values, {**how, **more}) == (expected.shape, expected.dtype)


@pytest.mark.parametrize(
    ("a", "b"), [((2, 3), (3, 4)), ((5, 1, 2, 3), (7, 3, 4)), ((3,), (3, 4)), ((2, 3), (3,))]
)
def test_products(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    arrays = np.ones(a, np.float32), np.ones(b, np.float64)
    expected = np.matmul(*arrays)
    values = [Value("input", (), {}, x.shape, x.dtype) for x in arrays]
    assert result_spec(linalg.matmul, values, {}) == (expected.shape, expected.dtype)


def test_what_does_not_fit_is_refused() -> None:
    def value(*shape: int) -> Value:
        return Value("input", (), {}, shape, gu.float32)

    with pytest.raises(ValueError, match="mismatch"):
        result_spec(linalg.matmul, [value(2, 3), value(4, 5)], {})
    with pytest.raises(ValueError, match="mismatch"):
        result_spec(linalg.linear, [value(2, 3), value(4, 5), value(4)], {})
    with pytest.raises(ValueError, match=r"mismatch|reshape|broadcast"):
        result_spec(
            convolution.conv, [value(1, 3, 8, 8), value(4, 2, 3, 3)], {**_PLAIN, "groups": 1}
        )
