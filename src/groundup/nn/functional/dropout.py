"""Dropout: random zeros during training (Srivastava et al., 2014).

What is kept is divided by the probability of being kept, so the expectation stays and evaluation
needs no change.
"""

from __future__ import annotations

from ...engine.ops.creation import rand
from ...engine.random import Generator
from ...engine.tensor import Tensor


def _drop(
    name: str,
    x: Tensor,
    shape: tuple[int, ...],
    p: float,
    training: bool,
    generator: Generator | None,
) -> Tensor:
    """Multiply by a random mask of ``shape``, which broadcasts."""
    if not 0 <= p <= 1:
        raise ValueError(f"{name}: p is {p}, expected a probability between 0 and 1")
    if not training or p == 0:
        return x
    if p == 1:
        return x * 0
    kept = rand(shape, generator=generator) >= p
    return x * (kept.to(x.dtype) / (1 - p))


def dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Each element set to 0 with probability ``p``, else divided by ``1 - p``.

    Args:
        p: probability of a zero.
        training: false returns the input.
        inplace: accepted so that scripts run; the result is always a new tensor.
        generator: where the random numbers come from; default: the one that ``manual_seed`` seeds.

    Raises:
        ValueError: ``p`` is no probability.

    Example:
        >>> sorted(set(F.dropout(gu.ones(100), 0.75).tolist()))
        [0.0, 4.0]
    """
    return _drop("dropout", input, input.shape, p, training, generator)


def dropout1d(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Whole channels of sequences set to 0 (Tompson et al., 2015). Arguments as for ``dropout``.

    Shape:
        (N, C, L) or (C, L), the same out.

    Example:
        >>> F.dropout1d(gu.ones(1, 4, 3), 0.5).std(dim=2).tolist()
        [[0.0, 0.0, 0.0, 0.0]]
    """
    return _drop_channels("dropout1d", 1, input, p, training, generator)


def dropout2d(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Whole channels of images set to 0. Arguments as for ``dropout``.

    Shape:
        (N, C, H, W) or (C, H, W), the same out.

    Example:
        >>> F.dropout2d(gu.ones(4, 3, 3), 0.5).std(dim=(1, 2)).tolist()
        [0.0, 0.0, 0.0, 0.0]
    """
    return _drop_channels("dropout2d", 2, input, p, training, generator)


def _drop_channels(
    name: str, n: int, x: Tensor, p: float, training: bool, generator: Generator | None
) -> Tensor:
    if x.ndim not in (n + 1, n + 2):
        raise ValueError(f"{name}: input {x.shape}, expected {n + 1} or {n + 2} dimensions")
    return _drop(name, x, (*x.shape[:-n], *(1,) * n), p, training, generator)
