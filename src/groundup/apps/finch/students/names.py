"""Answers by number."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


class Names:
    """Gives each distinct text the next number.

    Example:
        >>> names = Names()
        >>> names.number("yes"), names.number("no"), names.number("yes"), names[1]
        (0, 1, 0, 'no')
    """

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._numbers: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._texts)

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __getitem__(self, number: int) -> str:
        return self._texts[number]

    def find(self, text: str) -> int | None:
        """The number of a text, if it has one."""
        return self._numbers.get(text)

    def number(self, text: str) -> int:
        """The number of a text, a new one if need be."""
        found = self._numbers.setdefault(text, len(self._texts))
        if found == len(self._texts):
            self._texts.append(text)
        return found

    def replace(self, number: int, text: str) -> None:
        """Give a number to another text, which has none yet."""
        del self._numbers[self._texts[number]]
        self._texts[number] = text
        self._numbers[text] = number

    def keep(self, numbers: NDArray[np.int64]) -> None:
        """Number the texts anew, in this order; others are forgotten."""
        self._texts = [self._texts[number] for number in numbers.tolist()]
        self._numbers = {text: number for number, text in enumerate(self._texts)}
