r"""One score from what all stages say.

Each distinct answer is a candidate. What speaks for or against it: for each stage, that it agrees
and how sure it is (the log-odds of its score), or that it says something else and how sure it is of
that (a stage with a score but no answer, such as a router, speaks for all alike); and how often
this answer was right lately when it was the candidate. A logistic regression
tells the probability that the candidate is right,

$$P(\text{right}) = \sigma(w \cdot x)$$

and the best one is served. Its weights are a Gaussian belief, updated with each judged candidate by
a step of the extended Kalman filter (Penny and Roberts 1999): with $p = \sigma(w \cdot x)$,

$$K = \frac{\Sigma x}{1 + p(1-p)\, x^\top \Sigma x}, \qquad
  \Sigma \leftarrow \Sigma - p(1-p)\, K (\Sigma x)^\top + q I, \qquad
  w \leftarrow w + K\,(y - p)$$

so that few examples suffice, and the drift $q$ lets it follow stages that get better. Learned from
forwarded requests only, each judged before a stage learns from it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..opinion import Opinion
from ..students.grams import normalised

Numbers = NDArray[np.float64]

EACH = 4
"""Numbers that say what one stage says."""
DRIFT = 1e-5
LARGEST = 7.0
"""Log-odds that a stage's score is held within."""
FORGET = 0.03
"""Weight of the newest outcome in an answer's record."""
RECORDS = 4096
"""Answers whose record is kept."""


class Combine:
    """Weighs stages by what they were worth.

    Args:
        stages: their names.

    Example:
        >>> combine = Combine(["linear", "neighbours"])
        >>> said = (Opinion("linear", "a", 0.9), Opinion("neighbours", "b", 0.4))
        >>> for _ in range(50):
        ...     combine.learn(said, lambda answer: answer == "b")
        >>> answer, score = combine.weigh(said)
        >>> answer, score > 0.9
        ('b', True)
    """

    def __init__(self, stages: Sequence[str]) -> None:
        self.stages = tuple(stages)
        self._places = {stage: EACH * place + 2 for place, stage in enumerate(self.stages)}
        size = EACH * len(self.stages) + 2
        self._mean = np.zeros(size)
        self._mean[0] = -1.0
        for place in self._places.values():
            self._mean[place : place + EACH] = 0.5, 0.5, -0.5, -0.2
        self._covariance = np.eye(size)
        self._records: OrderedDict[str, tuple[float, float]] = OrderedDict()  # right, all

    def weigh(self, opinions: Sequence[Opinion]) -> tuple[str | None, float]:
        """The best candidate and the probability that it is right; None and 0 without any."""
        best: str | None = None
        most = 0.0
        for answer, features in self._candidates(opinions):
            score = _sigmoid(float(self._mean @ features))
            if best is None or score > most:
                best, most = answer, score
        return best, most

    def learn(self, opinions: Sequence[Opinion], right: Callable[[str], bool]) -> None:
        """Take in how a forwarded request was answered.

        Args:
            opinions: from before it was.
            right: tells whether an answer agrees with the remote one.
        """
        chosen, _ = self.weigh(opinions)
        for answer, features in self._candidates(opinions):
            outcome = right(answer)
            p = _sigmoid(float(self._mean @ features))
            spread = self._covariance @ features
            slope = p * (1 - p)
            gain = spread / (1 + slope * float(features @ spread))
            self._covariance -= slope * np.outer(gain, spread)
            self._covariance.flat[:: len(gain) + 1] += DRIFT
            self._mean += gain * (outcome - p)
            if answer == chosen:
                self._record(answer, outcome)

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """The belief, and the records."""
        arrays = {"mean": self._mean.copy(), "covariance": self._covariance.copy()}
        records = [[key, *record] for key, record in self._records.items()]
        return arrays, {"stages": list(self.stages), "records": records}

    @classmethod
    def from_state(cls, arrays: dict[str, NDArray[Any]], facts: dict[str, Any]) -> Combine:
        """The combination whose state this is."""
        combine = cls(facts["stages"])
        combine._mean = arrays["mean"].copy()
        combine._covariance = arrays["covariance"].copy()
        for key, right, count in facts["records"]:
            combine._records[key] = (right, count)
        return combine

    def _candidates(self, opinions: Sequence[Opinion]) -> list[tuple[str, Numbers]]:
        said = [
            (self._places[one.stage], normalised(one.answer), one.answer, _odds(one.score))
            for one in opinions
            if one.answer is not None
        ]
        unsaid = [
            (self._places[one.stage], _odds(one.score))
            for one in opinions
            if one.answer is None and one.score > 0
        ]
        found: dict[str, tuple[str, Numbers]] = {}
        for _, key, answer, _ in said:
            if key in found:
                continue
            features = np.zeros(len(self._mean))
            right, count = self._records.get(_key(answer), (0.0, 0.0))
            features[0] = 1.0
            features[1] = np.log((right + 1.6) / (count - right + 0.4)) - np.log(4)
            for place, odds in unsaid:
                features[place + 1] = odds
            for place, other, _, odds in said:
                start = place if other == key else place + 2
                features[start : start + 2] = 1.0, odds
            found[key] = (answer, features)
        return list(found.values())

    def _record(self, answer: str, outcome: bool) -> None:
        key = _key(answer)
        right, count = self._records.pop(key, (0.0, 0.0))
        self._records[key] = ((1 - FORGET) * right + outcome, (1 - FORGET) * count + 1)
        if len(self._records) > RECORDS:
            self._records.popitem(last=False)


def sureness(opinions: Sequence[Opinion], answer: str) -> float:
    """How sure the stages are of an answer, each as much heard as any other.

    Args:
        opinions: of all stages.
        answer: of one or more of them.

    Example:
        >>> said = (Opinion("linear", "a", 0.9), Opinion("neighbours", "b", 0.4))
        >>> round(sureness(said, "a"), 2)
        0.79
    """
    key = normalised(answer)
    odds = [
        _odds(one.score) * (1 if normalised(one.answer) == key else -1)
        for one in opinions
        if one.answer is not None
    ]
    return _sigmoid(float(np.mean(odds))) if odds else 0.0


def _sigmoid(x: float) -> float:
    return float(1 / (1 + np.exp(-min(max(x, -30.0), 30.0))))


def _odds(score: float) -> float:
    score = min(max(score, 1e-6), 1 - 1e-6)
    return min(max(float(np.log(score / (1 - score))), -LARGEST), LARGEST)


def _key(answer: str) -> str:
    return blake2b(answer.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
