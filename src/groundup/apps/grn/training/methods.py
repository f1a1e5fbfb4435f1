"""Models as an evaluation takes them: functions of what is known and a seed."""

from __future__ import annotations

from collections.abc import Mapping

from ..task.problem import Method
from .combined import train_combined
from .recipes import PLANS, Recipe, plan_of
from .train import train, train_ensemble


def method(name: str, recipe: Recipe | None = None) -> Method:
    """A model as an evaluation takes it: a function of what is known and a seed.

    Args:
        name: of the model, ``ensemble`` or ``combined``.
        recipe: the settings; the model's own if None. Those of the towers for the last two.

    Raises:
        GRNError: there is no such model.

    Example:
        >>> callable(method("two-tower"))
        True
    """
    if name == "ensemble":
        return lambda known, seed: train_ensemble(known, recipe=recipe, seed=seed)
    if name == "combined":
        return lambda known, seed: train_combined(known, recipe, seed)
    plan_of(name)
    return lambda known, seed: train(known, name, recipe, seed)


METHODS: Mapping[str, Method] = {name: method(name) for name in (*PLANS, "ensemble", "combined")}
"""All models, each with its own recipe."""
