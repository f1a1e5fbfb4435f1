"""Answers that repeat: the classes of the students that classify, growing and bounded.

An answer becomes a class when it comes for the second time. Until then its query waits, so that
both are learned from. When there is no room, the class that came least recently gives way.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from .names import Names

WAITING = 1024
"""Answers seen once that are remembered."""


class Classes:
    """Numbers the answers that repeat.

    Args:
        most: classes at once.

    Example:
        >>> classes = Classes(most=2)
        >>> classes.meet("yes", "is it?"), classes.meet("yes", "is that so?")
        (None, (0, 'is it?', False))
        >>> classes.meet("yes", "really?")
        (0, None, False)
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.names = Names()
        self._last: dict[int, int] = {}  # when each class came last
        self._met = 0
        self._waiting: OrderedDict[str, str] = OrderedDict()

    def __len__(self) -> int:
        return len(self.names)

    def meet(self, answer: str, query: str) -> tuple[int, str | None, bool] | None:
        """Take note of an answer.

        Returns:
            None if it is no class yet; otherwise the number of its class, the query that waited for
            it if it has just become one, and whether it took another class's number.
        """
        self._met += 1
        number, first, instead = self.names.find(answer), None, False
        if number is None:
            first = self._waiting.pop(answer, None)
            if first is None:
                self._waiting[answer] = query
                if len(self._waiting) > WAITING:
                    self._waiting.popitem(last=False)
                return None
            instead = len(self) == self.most
            if instead:
                number = min(self._last, key=lambda one: self._last[one])
                self.names.replace(number, answer)
            else:
                number = self.names.number(answer)
        self._last[number] = self._met
        return number, first, instead

    def state(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "most": self.most,
            "answers": list(self.names),
            "last": [self._last[number] for number in range(len(self))],
            "met": self._met,
            "waiting": list(self._waiting.items()),
        }

    @classmethod
    def from_state(cls, facts: dict[str, Any]) -> Classes:
        """The classes whose state this is."""
        classes = cls(facts["most"])
        for answer, last in zip(facts["answers"], facts["last"], strict=True):
            classes._last[classes.names.number(answer)] = last
        classes._met = facts["met"]
        classes._waiting.update((answer, query) for answer, query in facts["waiting"])
        return classes
