"""All methods by name: those that an evaluation can take, and that the test of leaks covers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .baselines import BASELINES
from .errors import GRNError
from .task.problem import Method
from .use.methods import METHODS as MODELS

METHODS: Mapping[str, Method] = {**BASELINES, **MODELS}
"""Baselines first, then models."""


def methods_named(names: Sequence[str]) -> dict[str, Method]:
    """Methods, in this order.

    Args:
        names: of `METHODS`.

    Raises:
        GRNError: a name that is not known.

    Example:
        >>> list(methods_named(["degree", "neighbours"]))
        ['degree', 'neighbours']
    """
    if unknown := [name for name in names if name not in METHODS]:
        raise GRNError(
            f"{', '.join(unknown)}: no such method; there are the baselines "
            f"{', '.join(BASELINES)} and the models {', '.join(MODELS)}"
        )
    return {name: METHODS[name] for name in names}
