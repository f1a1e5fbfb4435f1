"""What is thought of one query before anything is learned from it."""

from __future__ import annotations

from dataclasses import dataclass

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
