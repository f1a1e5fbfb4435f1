"""A log sent through a mind again: what would have been answered locally, and how well.

The remote answer of each request is known here, so that the error of local answers is counted and
not only estimated. The mind is told it only for what it forwards.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any, Self

from ..mind.mind import Agrees, Mind, same
from .policies import Policy

PART = 1000
"""Requests that are counted together."""


@dataclass(frozen=True, slots=True)
class Step:
    """One request.

    Attributes:
        number: from 0.
        decision: ``local``, ``audit`` or ``forward``.
        right: whether the local answer agrees with the remote one; None if there was none.
        score: of the local answer.
        reason: for the decision, in plain words.

    Example:
        >>> Step(0, "forward", None, 0.0, "cold start").decision
        'forward'
    """

    number: int
    decision: str
    right: bool | None
    score: float
    reason: str


@dataclass(slots=True)
class Counts:
    """Requests by what became of them.

    Attributes:
        requests: all.
        local: answered locally.
        errors: of these, answers that do not agree with the remote one.
        audits: sent upstream to compare.
        right: requests for which the local answer agreed, served or not.

    Example:
        >>> counts = Counts()
        >>> counts.add(Step(0, "local", False, 0.9, "score"))
        >>> counts.forwarded, counts.local_share, counts.error
        (0, 1.0, 1.0)
    """

    requests: int = 0
    local: int = 0
    errors: int = 0
    audits: int = 0
    right: int = 0

    def add(self, step: Step) -> None:
        """Count a request."""
        self.requests += 1
        self.right += step.right is True
        self.audits += step.decision == "audit"
        if step.decision == "local":
            self.local += 1
            self.errors += not step.right

    @property
    def forwarded(self) -> int:
        """Requests sent upstream, audits among them."""
        return self.requests - self.local

    @property
    def local_share(self) -> float:
        """Local answers among requests."""
        return self.local / max(self.requests, 1)

    @property
    def error(self) -> float:
        """Errors among local answers; 0 if there were none."""
        return self.errors / max(self.local, 1)


@dataclass(slots=True)
class Tally:
    """Counts of a whole replay and by the thousand, and how far it has come.

    Attributes:
        all: of the whole.
        parts: of each thousand.
        bounds: the mind's own bound on the error of its local answers, after each thousand.

    Example:
        >>> from groundup.apps.finch.mind.settings import MindSettings
        >>> mind, tally = Mind(MindSettings(models=False)), Tally()
        >>> for step in replay(mind, [("hi", "hello")] * 3, tally):
        ...     print(step.decision, step.right)
        forward None
        forward True
        forward True
        >>> Tally.from_json(tally.to_json()) == tally
        True
    """

    all: Counts = field(default_factory=Counts)
    parts: list[Counts] = field(default_factory=list)
    bounds: list[float] = field(default_factory=list)

    def add(self, step: Step, bound: float) -> None:
        """Count a request.

        Args:
            step: what became of it.
            bound: of the mind, after it.
        """
        if self.all.requests % PART == 0:
            self.parts.append(Counts())
            self.bounds.append(bound)
        self.all.add(step)
        self.parts[-1].add(step)
        self.bounds[-1] = bound

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> Self:
        """The tally that `to_json` gave."""
        parts = [Counts(**part) for part in facts["parts"]]
        return cls(Counts(**facts["all"]), parts, list(facts["bounds"]))


def replay(
    policy: Policy,
    log: Iterable[tuple[str, str]],
    tally: Tally | None = None,
    agrees: Agrees = same,
    work: float = math.inf,
) -> Iterator[Step]:
    """Send a log through a mind, or through what it is compared with.

    Args:
        policy: a `Mind`, which learns.
        log: queries and their remote answers.
        tally: is added to. One from before, together with the mind's state from then, goes on where
            that replay stopped.
        agrees: whether a local answer is as good as the remote one.
        work: seconds of background training that a mind is given after each forwarded request;
            without a limit it learns all that it can, so that what comes out is the same each time.

    Yields:
        What becomes of each request.

    Example:
        >>> from groundup.apps.finch.mind.settings import MindSettings
        >>> mind = Mind(MindSettings(models=False))
        >>> [step.reason for step in replay(mind, [("hi", "hello")])]
        ['no stage has an answer']
    """
    tally = Tally() if tally is None else tally
    start = tally.all.requests
    bound = tally.bounds[-1] if tally.bounds else 1.0
    for number, (query, answer) in enumerate(islice(log, start, None), start):
        thought = policy.consider(query)
        right = None if thought.answer is None else agrees(thought.answer, answer)
        decision = "local" if thought.serve else "audit" if thought.audit else "forward"
        if not thought.serve:
            policy.learn(thought, answer)
        if isinstance(policy, Mind) and not thought.serve:
            if thought.audit:  # nothing else changes it
                bound = policy.guard.bound.upper
            if work:
                policy.work(work)
        step = Step(number, decision, right, thought.score, thought.reason)
        tally.add(step, bound)
        yield step
