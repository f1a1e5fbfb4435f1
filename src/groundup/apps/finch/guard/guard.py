"""May this answer be served? What holds the error of local answers under delta."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from .audits import Audits
from .bounds import RunningBound
from .cold_start import ColdStart
from .drift import Drift
from .thresholds import NEVER, Thresholds


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a request.

    Attributes:
        serve: True to answer locally.
        audit: sent upstream although it could be served.
        propensity: the probability with which it was to be sent upstream.
        reason: why, in plain words.

    Example:
        >>> Decision(False, False, 1.0, "cold start").serve
        False
    """

    serve: bool
    audit: bool
    propensity: float
    reason: str


class Guard:
    """Decides by score, and learns from outcomes what a score is worth.

    Args:
        delta: largest error wanted among local answers.
        confidence: of the tests against it.
        cold_start: how many requests are forwarded first.
        audits: how often answers are checked.
        minimum: outcomes that it takes to trust a threshold.
        window: outcomes that are remembered.

    Example:
        >>> guard = Guard(delta=0.05)
        >>> guard.decide(0.99, draw=0.7).reason
        'cold start: 0 of 50 requests forwarded'
        >>> for _ in range(400):
        ...     changed = guard.note(0.99, 0.99, wrong=False, audit=False, propensity=1.0)
        >>> guard.decide(0.99, draw=0.7).serve, guard.decide(0.5, draw=0.7).serve
        (True, False)
    """

    def __init__(
        self,
        delta: float = 0.05,
        confidence: float = 0.95,
        cold_start: ColdStart | None = None,
        audits: Audits | None = None,
        minimum: int = 100,
        window: int = 2000,
    ) -> None:
        self.cold_start = cold_start or ColdStart()
        self.audits = audits or Audits()
        self.thresholds = Thresholds(delta, confidence, minimum, window)
        self.drift = Drift()
        self.bound = RunningBound(confidence)
        self.forwarded = 0
        self.audited = 0

    @property
    def serving(self) -> bool:
        """Whether any score is served by now."""
        return self.forwarded >= self.cold_start.always and self.thresholds.value != NEVER

    def decide(self, score: float, draw: float) -> Decision:
        """Say what becomes of a request; changes nothing.

        Args:
            score: the estimated probability that the local answer is right.
            draw: evenly distributed from 0 to 1.
        """
        if self.forwarded < self.cold_start.always:
            reason = f"cold start: {self.forwarded} of {self.cold_start.always} requests forwarded"
            return Decision(False, False, 1.0, reason)
        threshold = self.thresholds.value
        if threshold == NEVER:
            return Decision(False, False, 1.0, "no score has been shown to be safe")
        if score < threshold:
            return Decision(False, False, 1.0, f"score {score:.3f} under {threshold:.3f}")
        propensity = self.audits.propensity(score)
        if draw < propensity:
            return Decision(False, True, propensity, f"audit, one of {1 / propensity:.1f}")
        return Decision(True, False, propensity, f"score {score:.3f} from {threshold:.3f}")

    def note(
        self, score: float, sureness: float, wrong: bool, audit: bool, propensity: float
    ) -> bool:
        """Take in the outcome of a forwarded request for which there was a local answer.

        Args:
            score: that it had.
            sureness: of the stages, before it was combined.
            wrong: whether it was.
            audit: whether it could have been served.
            propensity: with which the request was forwarded.

        Returns:
            Whether answers have changed.
        """
        self.forwarded += 1
        if audit:
            self.audited += 1
            self.bound.update(wrong, propensity, min(self.audits.least, propensity))
            self.audits.note(score, propensity)
        self.thresholds.share = self.cold_start.share(self.forwarded)
        # A time counts by how closely it was looked at, not by how many were served meanwhile.
        closeness = 1.0 if self.thresholds.value == NEVER else self.audits.rate
        self.thresholds.note(score, wrong, closeness / propensity)
        changed = self.drift.note(sureness, wrong)
        if changed:
            self.thresholds.clear()
            self.audits.again()
            self.bound = RunningBound(self.thresholds.confidence)
        return changed

    def limit(
        self,
        delta: float,
        confidence: float,
        cold_start: ColdStart,
        audits: Audits,
        minimum: int,
    ) -> None:
        """Use other limits from now on, with what was found so far.

        Args:
            delta, confidence, cold_start, audits, minimum: as at the start.
        """
        if confidence != self.thresholds.confidence:
            self.bound = RunningBound(confidence)
        made = self.audits.state() | {
            "start": audits.start, "floor": audits.floor, "half": audits.half,
        }  # fmt: skip
        self.audits = Audits.from_state(made)
        self.cold_start = cold_start
        self.thresholds.delta, self.thresholds.confidence = delta, confidence
        self.thresholds.minimum = minimum
        self.thresholds.test()

    def status(self) -> dict[str, Any]:
        """What there is to tell, as JSON; the error and its bound are since answers last changed.

        Example:
            >>> Guard().status()["threshold"] is None
            True
        """
        never = self.thresholds.value == NEVER
        return {
            "forwarded": self.forwarded,
            "audited": self.audited,
            "audit_rate": self.audits.rate,
            "delta": self.thresholds.delta,
            "threshold": None if never else self.thresholds.value,
            "error": self.bound.estimate if self.bound.upper < 1 else None,
            "bound": self.bound.upper,
            "changes": self.drift.alarms,
        }

    def pass_over(self) -> None:
        """Count a forwarded request that tells nothing of a local answer."""
        self.forwarded += 1

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """All that it knows."""
        of_thresholds, thresholds = self.thresholds.state()
        of_bound, bound = self.bound.state()
        facts = {
            "cold_start": [self.cold_start.always, self.cold_start.conservative],
            "audits": self.audits.state(), "drift": self.drift.state(),
            "thresholds": thresholds, "bound": bound,
            "forwarded": self.forwarded, "audited": self.audited,
        }  # fmt: skip
        return {**of_thresholds, **of_bound}, facts

    @classmethod
    def from_state(cls, arrays: dict[str, NDArray[Any]], facts: dict[str, Any]) -> Guard:
        """The guard whose state this is."""
        guard = cls()
        guard.cold_start = ColdStart(*facts["cold_start"])
        guard.audits = Audits.from_state(facts["audits"])
        guard.drift = Drift.from_state(facts["drift"])
        guard.thresholds = Thresholds.from_state(arrays, facts["thresholds"])
        guard.bound = RunningBound.from_state(arrays, facts["bound"])
        guard.forwarded, guard.audited = facts["forwarded"], facts["audited"]
        return guard
