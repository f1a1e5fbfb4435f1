"""Added tokens: strings that are found in a text before anything else and are one token each.

Special ones (ends of texts, turns of a chat, padding) steer a model, so a text that merely contains
their characters must not become them: they are looked for only where the caller allows it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .model import highest_id


@dataclass(frozen=True)
class AddedToken:
    """A token that is a string of its own.

    Args:
        content: its characters.
        special: whether it steers the model rather than being text.
        lstrip: whether it takes in the spaces before it.
        rstrip: whether it takes in the spaces behind it.
        single_word: whether it counts only where no letter, digit or "_" touches it.
        normalized: whether it is looked for in the normalised text rather than in the original.
        id: its number. None: that of the vocabulary, or the next that is free.

    Example:
        >>> AddedToken("<pad>").special
        True
    """

    content: str
    special: bool = True
    lstrip: bool = False
    rstrip: bool = False
    single_word: bool = False
    normalized: bool = False
    id: int | None = None

    def __post_init__(self) -> None:
        if not self.content:
            raise ValueError("AddedToken: the content is empty; expected at least one character")

    def as_json(self) -> dict[str, Any]:
        """How ``tokenizer.json`` describes it."""
        return {
            "id": self.id,
            "content": self.content,
            "single_word": self.single_word,
            "lstrip": self.lstrip,
            "rstrip": self.rstrip,
            "normalized": self.normalized,
            "special": self.special,
        }


@dataclass(frozen=True)
class Found:
    """Where in a text an added token stands.

    Args:
        token: which one.
        start: the place of its first character, spaces that it takes in among them.
        end: the place behind its last.

    Example:
        >>> Found(AddedToken("<s>"), 0, 3).end
        3
    """

    token: AddedToken
    start: int
    end: int


class AddedSearch:
    """Looks for added tokens in texts.

    Args:
        tokens: what to look for.

    Attributes:
        tokens: the same by their content.

    Example:
        >>> search = AddedSearch([AddedToken("<s>", rstrip=True)])
        >>> [(found.start, found.end) for found in search("a<s> b")]
        [(1, 5)]
    """

    def __init__(self, tokens: Iterable[AddedToken]) -> None:
        self.tokens = {token.content: token for token in tokens}
        longest_first = sorted(self.tokens, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def __call__(self, text: str) -> list[Found]:
        """The added tokens in a text, from left to right; where several fit, the longest."""
        found: list[Found] = []
        for match in self._pattern.finditer(text) if self.tokens else ():
            token = self.tokens[match.group()]
            start, end = match.span()
            around = text[max(start - 1, 0) : start] + text[end : end + 1]
            if token.single_word and any(c.isalnum() or c == "_" for c in around):
                continue
            least = found[-1].end if found else 0
            if token.lstrip:
                start = max(least, len(text[:start].rstrip()))
            if token.rstrip:
                end = len(text) - len(text[end:].lstrip())
            found.append(Found(token, start, end))
        return found


def numbered(added: Iterable[AddedToken | str], tokens: Sequence[str]) -> dict[int, AddedToken]:
    """Added tokens by their numbers.

    Args:
        added: the tokens; a string is a special one.
        tokens: those of the model, by their ids.

    Raises:
        ValueError: one is given twice, or its number is taken, or differs from that which the
            vocabulary has for it.

    Example:
        >>> list(numbered(["b", "<s>"], ["a", "b"]))
        [1, 2]
    """
    ids = {token: i for i, token in enumerate(tokens) if token}
    given = [AddedToken(one) if isinstance(one, str) else one for one in added]
    taken = {token.id for token in given if token.id is not None}
    out: dict[int, AddedToken] = {}
    contents: set[str] = set()
    following = len(tokens)
    for token in given:
        if token.content in contents:
            raise ValueError(f"added token {token.content!r} is given twice")
        contents.add(token.content)
        number = ids.get(token.content, token.id)
        if number is None:
            while following in taken:
                following += 1
            number = following
            following += 1
        if token.id not in (None, number):
            raise ValueError(
                f"added token {token.content!r} has the id {token.id}, but the vocabulary has "
                f"{number} for it"
            )
        holder = out[number].content if number in out else None
        if holder is None and number < len(tokens) and tokens[number] not in ("", token.content):
            holder = tokens[number]
        if holder is not None or not 0 <= number <= highest_id(len(tokens) + len(given)):
            raise ValueError(
                f"added token {token.content!r} cannot have the id {number}: "
                + (f"it is that of {holder!r}" if holder else "it is out of range")
            )
        out[number] = AddedToken(
            token.content,
            token.special,
            token.lstrip,
            token.rstrip,
            token.single_word,
            token.normalized,
            number,
        )
    return out
