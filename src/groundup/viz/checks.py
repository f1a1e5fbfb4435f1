"""What every figure asks of its input: numbers, at least one, all finite.

A NaN would be drawn as a gap or a blank cell that nobody notices, so it is refused by name.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def finite(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """An array of finite float64 numbers, or an error that says what is wrong with it.

    Args:
        values: numbers, an array, or anything with ``__array__``.
        name: what the error calls it.

    Returns:
        The values as a float64 array of the same shape.

    Raises:
        ValueError: empty, ragged, not numbers, or holding a NaN or an infinity.

    Example:
        >>> finite([1, 2], "loss")
        array([1., 2.])
        >>> finite([1.0, float("nan")], "loss")
        Traceback (most recent call last):
        ...
        ValueError: loss: 1 of 2 values is not finite, the first is nan at index 1; remove or...
    """
    try:
        raw: NDArray[Any] = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name}: parts differ in size, expected all of one shape") from error
    if raw.size == 0:
        raise ValueError(f"{name}: empty (shape {raw.shape}), expected at least one number")
    if raw.dtype.kind not in "biuf":
        raise ValueError(f"{name}: expected real numbers, got values of dtype {raw.dtype}")
    array = raw.astype(np.float64)
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        where = tuple(int(i) for i in bad[0])
        index = where[0] if len(where) == 1 else where
        raise ValueError(
            f"{name}: {len(bad)} of {array.size} values {'is' if len(bad) == 1 else 'are'} not "
            f"finite, the first is {array[where]} at index {index}; remove or replace such values"
        )
    return array


def label(text: str, name: str) -> str:
    """A text that says something, or an error.

    Args:
        text: the label.
        name: what the error calls it.

    Returns:
        The text.

    Raises:
        ValueError: nothing but spaces.

    Example:
        >>> label("Loss (nats)", "y_label")
        'Loss (nats)'
    """
    if not text.strip():
        raise ValueError(
            f"{name} is empty: say what is drawn and its unit, for example 'Time (s)' or 'Epoch'"
        )
    return text
