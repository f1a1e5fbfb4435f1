"""What one stage of the cascade says of a query."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one stage says.

    Attributes:
        stage: its name.
        answer: what it would answer; None if nothing.
        score: from 0 to 1, its own estimate that this is right.

    Example:
        >>> Opinion("linear", "balance", 0.9).answer
        'balance'
    """

    stage: str
    answer: str | None
    score: float
