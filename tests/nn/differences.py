"""Derivatives by differences: what automatic ones are compared with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import groundup as gu

Function = Callable[..., gu.Tensor]


def assert_derivatives(f: Function, *points: Any, order: int = 2, step: float = 1e-5) -> None:
    """Compare derivatives of a scalar function along random directions with central differences.

    Args:
        f: takes float64 tensors, returns a tensor with one element.
        points: where to differentiate; the function is smooth there.
        order: 1, or 2 for the derivative of the derivative too.
        step: half the distance between the two points of a difference.
    """
    rng = np.random.default_rng(0)
    arrays = [np.asarray(x, np.float64) for x in points]
    along = [rng.standard_normal(x.shape) for x in arrays]
    other = [rng.standard_normal(x.shape) for x in arrays]

    def value(shifted: list[Any]) -> float:
        return f(*[gu.tensor(x) for x in shifted]).item()

    def slope(shifted: list[Any]) -> float:
        return _slope(f, [gu.tensor(x, requires_grad=True) for x in shifted], along).item()

    _assert_near(slope(arrays), _difference(value, arrays, along, step))
    if order == 2:
        leaves = [gu.tensor(x, requires_grad=True) for x in arrays]
        first = _slope(f, leaves, along)
        second = _slope(lambda *_: first, leaves, other).item() if first.requires_grad else 0.0
        _assert_near(second, _difference(slope, arrays, other, step))


def _slope(f: Function, leaves: list[gu.Tensor], direction: list[Any]) -> gu.Tensor:
    found = gu.grad(f(*leaves), leaves, create_graph=True, allow_unused=True)
    terms = [
        (g * gu.tensor(v)).sum() for g, v in zip(found, direction, strict=True) if g is not None
    ]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def _difference(
    f: Callable[[list[Any]], float], points: list[Any], direction: list[Any], step: float
) -> float:
    up = [x + step * v for x, v in zip(points, direction, strict=True)]
    down = [x - step * v for x, v in zip(points, direction, strict=True)]
    return (f(up) - f(down)) / (2 * step)


def _assert_near(found: float, expected: float) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
