"""What a mind is compared with: forwarding everything, and caches that know no bound."""

from __future__ import annotations

from typing import Protocol

from ..mind.thought import Thought
from ..students.student import Student


class Policy(Protocol):
    """Whatever decides on requests and learns from those that were forwarded; a `Mind` is one."""

    def consider(self, query: str) -> Thought:
        """Say what would be answered and whether it is."""

    def learn(self, thought: Thought, answer: str) -> object:
        """Take in a forwarded request's answer."""


class Forward:
    """Answers nothing.

    Example:
        >>> Forward().consider("hi").serve
        False
    """

    def consider(self, query: str) -> Thought:
        """Forward."""
        return Thought(query, (), None, 0.0, False, False, 1.0, "everything is forwarded")

    def learn(self, thought: Thought, answer: str) -> None:
        """Nothing is learned."""


class Unguarded:
    """Serves whatever one student suggests: what a cache does by itself.

    Args:
        student: that has an answer or none.

    Example:
        >>> from groundup.apps.finch.students import Exact
        >>> policy = Unguarded(Exact())
        >>> policy.learn(policy.consider("hi"), "hello")
        >>> policy.consider("hi").serve
        True
    """

    def __init__(self, student: Student) -> None:
        self._student = student

    def consider(self, query: str) -> Thought:
        """Serve an answer if there is one."""
        said = self._student.suggest(query)
        serve = said.answer is not None
        reason = "stored" if serve else "not stored"
        return Thought(query, (said,), said.answer, said.score, serve, False, 1.0 - serve, reason)

    def learn(self, thought: Thought, answer: str) -> None:
        """The student learns."""
        self._student.learn(thought.query, answer)
