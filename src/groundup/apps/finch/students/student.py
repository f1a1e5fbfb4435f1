"""What every student is: it suggests an answer at once and learns from each remote answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, Self

from numpy.typing import NDArray

from ..opinion import Opinion
from ..state import State, merged


class Student(Protocol):
    """A quick learner of one task.

    A student is deterministic, and after `from_state` goes on exactly as the one whose state it
    was.

    Example:
        >>> from groundup.apps.finch.students import Exact
        >>> student: Student = Exact()
        >>> student.learn("hi", "hello")
        >>> student.suggest("hi").answer
        'hello'
    """

    name: str
    """That its opinions bear."""

    def suggest(self, query: str) -> Opinion:
        """Say what the answer would be; changes nothing."""

    def learn(self, query: str, answer: str) -> None:
        """Take in a remote answer."""

    def let_go(self, recent: int) -> None:
        """Keep only the ``recent`` last examples in memory, for answers have changed."""

    def parts(self) -> Iterator[State]:
        """All that it knows, piece by piece; none takes long to copy."""

    def state(self) -> State:
        """All that it knows."""
        return merged(self.parts())

    @classmethod
    def from_state(cls, arrays: dict[str, NDArray[Any]], facts: dict[str, Any]) -> Self:
        """The student whose `state` this is."""
