r"""How large an error can be, from what audits found.

`upper_bound` is exact for counts (Clopper and Pearson 1934): the error $u$ at which so few errors
have probability $\alpha$, a quantile of a beta distribution. `weighted_upper_bound` is the same
with the number of trials that a weighted sample is worth (Korn and Graubard 1998). `RunningBound`
holds at all times at once, however often one looks (Waudby-Smith and Ramdas 2024, betting; with
weights, Waudby-Smith et al. 2022).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv

Numbers = NDArray[np.float64]

BETS = np.array([0.05, 0.15, 0.4, 0.8])
"""Shares of what may be bet, a quarter of the capital on each."""
CHECKED = np.concatenate([np.arange(1, 200) / 1000, np.arange(20, 100) / 100])
"""Errors that `RunningBound` decides on."""


def upper_bound(errors: ArrayLike, trials: ArrayLike, confidence: float = 0.95) -> Numbers:
    """The one-sided Clopper-Pearson bound.

    Args:
        errors: found; need not be whole.
        trials: in which they were found; the bound is 1 if there were none.
        confidence: that the error is not above the bound.

    Shape:
        - Input and output: any that broadcast

    Example:
        >>> upper_bound([0, 0, 1], [10, 59, 59]).round(3)
        array([0.259, 0.05 , 0.078])
    """
    k, n = np.broadcast_arrays(np.asarray(errors, float), np.asarray(trials, float))
    some = n > k
    bound = betaincinv(np.where(some, k + 1, 1), np.where(some, n - k, 1), confidence)
    return np.where(some, bound, 1.0)


def weighted_upper_bound(sums: ArrayLike, confidence: float = 0.95) -> Numbers:
    r"""The bound for a sample whose members stand for different numbers of requests.

    The share of errors is $\hat e = \sum w_i e_i / \sum w_i$, its variance, linearised,
    $v = \sum w_i^2 (e_i - \hat e)^2 / (\sum w_i)^2$. So many trials are worth as much:
    $n = \hat e (1 - \hat e) / v$, but no more than there were, and $(\sum w)^2 / \sum w^2$
    where no error or nothing else was found.

    Args:
        sums: of all weights, of their squares, of the weights of errors, of the squares of these,
            and how many trials there were.
        confidence: that the error is not above the bound.

    Shape:
        - Input: ``(5, *)``
        - Output: ``(*)``

    Example:
        >>> weighted_upper_bound([[59], [59], [0], [0], [59]]).round(3)
        array([0.05])
    """
    weight, squares, wrong, wrong_squares, trials = np.asarray(sums, float)
    weight = np.maximum(weight, 1e-12)
    share = wrong / weight
    variance = wrong_squares * (1 - share) ** 2 + (squares - wrong_squares) * share**2
    variance /= weight**2
    kish = weight**2 / np.maximum(squares, 1e-12)
    worth = np.where(variance > 0, share * (1 - share) / np.maximum(variance, 1e-300), kish)
    worth = np.minimum(worth, trials)
    return upper_bound(share * worth, worth, confidence)


class RunningBound:
    r"""A bound on the error of the answers served, valid at all times at once.

    For each candidate error $m$ a gambler starts with capital 1 and bets that the error is less:
    with each audit it is multiplied by $1 + \lambda\, r\, (m - e)$, where $e$ is 1 for an error and
    $r$ the number $(1 - p) / p$ of served answers for which an audit of propensity $p$ stands,
    relative to the largest that there may be at the time. If the error of what is served is $m$ or
    more the capital does not grow on average, so that it ever reaches $1 / \alpha$ with probability
    at most $\alpha$ (Ville). The bound is the smallest candidate that is refuted with all above it.
    The error that it bounds is the mean over all times, each counting by the rate of audits then.

    Args:
        confidence: that the error is never above the bound.

    Example:
        >>> bound = RunningBound()
        >>> for _ in range(200):
        ...     bound.update(False, 0.5, least=0.5)
        >>> bound.upper
        0.026
    """

    def __init__(self, confidence: float = 0.95) -> None:
        self._confidence = confidence
        self._bets = BETS[:, None] / (1 - CHECKED)  # of each error checked
        self._logs = np.zeros(self._bets.shape)
        self._weight = self._wrong = 0.0

    @property
    def estimate(self) -> float:
        """The share of errors among served answers; 0 before the first audit."""
        return self._wrong / self._weight if self._weight else 0.0

    @property
    def upper(self) -> float:
        """The bound; 1 before there is evidence."""
        capital = np.logaddexp.reduce(self._logs, axis=0) - np.log(len(BETS))
        kept = np.flatnonzero(capital < -np.log(1 - self._confidence))
        if len(kept) == 0:
            return float(CHECKED[0])
        return float(CHECKED[kept[-1] + 1]) if kept[-1] + 1 < len(CHECKED) else 1.0

    def update(self, wrong: bool, propensity: float, least: float) -> None:
        """Take in an audit.

        Args:
            wrong: whether the local answer was.
            propensity: with which it was audited.
            least: that any audit might have had then.
        """
        stands_for = (1 - propensity) / propensity
        self._weight += stands_for
        self._wrong += stands_for * wrong
        if stands_for:
            relative = stands_for * least / (1 - least)
            self._logs += np.log1p(self._bets * relative * (CHECKED - wrong))

    def state(self) -> tuple[dict[str, Numbers], dict[str, Any]]:
        """The capitals, and the sums."""
        facts = {
            "confidence": self._confidence, "weight": self._weight, "wrong": self._wrong,
        }  # fmt: skip
        return {"logs": self._logs.copy()}, facts

    @classmethod
    def from_state(cls, arrays: dict[str, NDArray[Any]], facts: dict[str, Any]) -> RunningBound:
        """The bound whose state this is."""
        bound = cls(facts["confidence"])
        bound._weight, bound._wrong = facts["weight"], facts["wrong"]
        bound._logs = arrays["logs"].copy()
        return bound
