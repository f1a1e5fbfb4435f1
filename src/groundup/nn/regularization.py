"""Penalties on the size of weights, to be added to a loss.

L2 pulls each weight towards zero in proportion to its size (Hoerl and Kennard, 1970); L1 pulls all
equally hard, so that many become zero (Tibshirani, 1996).
"""

from __future__ import annotations

from collections.abc import Iterable

from ..engine.ops.creation import zeros
from ..engine.tensor import Tensor


def l1_penalty(parameters: Iterable[Tensor]) -> Tensor:
    """The sum of the magnitudes of all elements.

    Args:
        parameters: tensors of any shapes.

    Example:
        >>> l1_penalty([gu.tensor([-1.0, 2.0]), gu.tensor([[3.0]])]).item()
        6.0
    """
    return _total([p.abs().sum() for p in parameters])


def l2_penalty(parameters: Iterable[Tensor]) -> Tensor:
    """The sum of the squares of all elements (no square root, no factor 1/2).

    Args:
        parameters: tensors of any shapes.

    Example:
        >>> l2_penalty([gu.tensor([-1.0, 2.0]), gu.tensor([[3.0]])]).item()
        14.0
    """
    return _total([p.square().sum() for p in parameters])


def _total(parts: list[Tensor]) -> Tensor:
    if not parts:
        return zeros(())
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total
