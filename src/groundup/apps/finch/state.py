"""What is saved of a part, and how pieces of it become the whole."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from numpy.typing import NDArray

State = tuple[dict[str, NDArray[Any]], dict[str, Any]]
"""All that a part knows: arrays, and what goes into JSON."""


def merged(pieces: Iterable[State]) -> State:
    """The state that was copied piece by piece.

    Args:
        pieces: no two of them have a name in common.

    Example:
        >>> arrays, facts = merged([({}, {"seen": 3}), ({}, {"next": 5})])
        >>> list(arrays), facts
        ([], {'seen': 3, 'next': 5})
    """
    arrays: dict[str, NDArray[Any]] = {}
    facts: dict[str, Any] = {}
    for some, others in pieces:
        arrays |= some
        facts |= others
    return arrays, facts
