"""What is thought of one query before anything is learned from it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..opinion import Opinion

__all__ = ["Opinion", "Thought"]


@dataclass(frozen=True, slots=True)
class Thought:
    """What all stages say, and what follows.

    Attributes:
        query: the user's text.
        opinions: of each stage.
        answer: what would be served; None if nothing.
        score: the estimated probability that it is right.
        serve: True to answer locally, False to send the request upstream.
        audit: it would be served, but is sent upstream all the same, to be compared.
        propensity: the probability with which it was to be sent upstream: 1 for what is not good
            enough to be served, the rate of audits for what is.
        reason: why, in plain words.

    Example:
        >>> thought = Thought("hi", (), None, 0.0, False, False, 1.0, "cold start")
        >>> thought.serve
        False
    """

    query: str
    opinions: tuple[Opinion, ...]
    answer: str | None
    score: float
    serve: bool
    audit: bool
    propensity: float
    reason: str

    def unserved(self) -> Thought:
        """The same thought of a request that was sent upstream whatever would be thought of it.

        Example:
            >>> thought = Thought("hi", (), "hello", 0.9, True, False, 0.1, "score 0.9 from 0.8")
            >>> thought.unserved().propensity, thought.unserved().reason
            (1.0, 'nobody waited for the thought')
        """
        good = self.serve or self.audit
        reason = "nobody waited for the thought" if good else self.reason
        return replace(self, serve=False, audit=False, propensity=1.0, reason=reason)
