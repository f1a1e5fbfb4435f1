r"""Several trained models as one: the mean of their probabilities, and how far they disagree.

$$\bar p = \frac1M \sum_m p_m, \qquad
u = \sqrt{\frac1M \sum_m (p_m - \bar p)^2}$$

Members differ by their seed alone: initial weights, order of the pairs, pairs drawn as unlabelled
(Lakshminarayanan et al., 2017). It has the parameters of all of its members.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import GRNError
from ..task.problem import Pairs


class Member(Protocol):
    """Anything that gives scores and probabilities."""

    def probability(self, pairs: Pairs) -> NDArray[np.float64]:
        """Of an edge, for each pair (pairs, 2) -> (pairs,)."""

    def score(self, pairs: Pairs) -> NDArray[np.float64]:
        """The logit, for each pair (pairs, 2) -> (pairs,)."""


M = TypeVar("M", bound=Member)


class Ensemble(Generic[M]):
    """Members that speak with one voice.

    Args:
        members: at least two.

    Raises:
        GRNError: fewer.

    Example:
        >>> class Sure:
        ...     def __init__(self, p):
        ...         self.p = p
        ...     def probability(self, pairs):
        ...         return np.full(len(pairs), self.p)
        ...     def score(self, pairs):
        ...         return np.log(self.probability(pairs))
        >>> both = Ensemble([Sure(0.5), Sure(1.0)])
        >>> pairs = np.array([[0, 1]])
        >>> both.probability(pairs).tolist(), both.spread(pairs).tolist()
        ([0.75], [0.25])
    """

    def __init__(self, members: Sequence[M]) -> None:
        if len(members) < 2:
            raise GRNError(f"an ensemble of {len(members)}, expected at least 2 members")
        self.members = tuple(members)

    def probability(self, pairs: Pairs) -> NDArray[np.float64]:
        """The mean over the members.

        Shape:
            pairs: (pairs, 2) -> (pairs,).
        """
        return np.mean([member.probability(pairs) for member in self.members], axis=0)

    def score(self, pairs: Pairs) -> NDArray[np.float64]:
        """The mean of the members' scores.

        Shape:
            pairs: (pairs, 2) -> (pairs,).
        """
        return np.mean([member.score(pairs) for member in self.members], axis=0)

    def spread(self, pairs: Pairs) -> NDArray[np.float64]:
        """The standard deviation over the members.

        Shape:
            pairs: (pairs, 2) -> (pairs,).
        """
        return np.std([member.probability(pairs) for member in self.members], axis=0)
