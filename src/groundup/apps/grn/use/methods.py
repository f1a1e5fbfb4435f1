"""Models as an evaluation takes them: functions of what is known and a seed.

Those with ``+degree`` score by log-odds at natural prevalence, which `predict` writes: what the
model says of a pair, and how many edges its TF and its gene have. They are for questions in which
all pairs are asked about; matched in degree, the second says next to nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from ..task.problem import Method, Pairs, Scorer
from ..training.recipes import PLANS, Recipe, plan_of
from ..training.train import train, train_ensemble
from .combined import train_combined

SUFFIX = "+degree"
COUNTED = ("regulon+degree", "combined+degree")
"""Models that are registered with their degrees, too."""


class Likely(Scorer, Protocol):
    """A scorer that knows log-odds at natural prevalence."""

    def log_odds(self, pairs: Pairs) -> NDArray[np.float64]:
        """Of an edge, for each pair (pairs, 2) -> (pairs,)."""


@dataclass(frozen=True)
class ByLogOdds:
    """Scores by the log-odds of another scorer.

    Attributes:
        of: the other.

    Example:
        >>> class Sure:
        ...     def score(self, pairs):
        ...         return np.zeros(len(pairs))
        ...     def log_odds(self, pairs):
        ...         return np.ones(len(pairs))
        >>> ByLogOdds(Sure()).score(np.array([[0, 1]])).tolist()
        [1.0]
    """

    of: Likely

    def score(self, pairs: Pairs) -> NDArray[np.float64]:
        """Log-odds.

        Shape:
            pairs: (pairs, 2) -> (pairs,).
        """
        return self.of.log_odds(pairs)


def method(name: str, recipe: Recipe | None = None) -> Method:
    """A model as an evaluation takes it: a function of what is known and a seed.

    Args:
        name: of the model, ``ensemble`` or ``combined``, or one of `COUNTED`.
        recipe: the settings; the model's own if None. Those of the towers for the last two.

    Raises:
        GRNError: there is no such model.

    Example:
        >>> callable(method("two-tower"))
        True
    """
    if name in COUNTED:
        inner = method(name.removesuffix(SUFFIX), recipe)
        return lambda known, seed: ByLogOdds(cast(Likely, inner(known, seed)))
    if name == "ensemble":
        return lambda known, seed: train_ensemble(known, recipe=recipe, seed=seed)
    if name == "combined":
        return lambda known, seed: train_combined(known, recipe, seed)
    plan_of(name)
    return lambda known, seed: train(known, name, recipe, seed)


METHODS: Mapping[str, Method] = {
    name: method(name) for name in (*PLANS, "ensemble", "combined", *COUNTED)
}
"""All models, each with its own recipe."""
