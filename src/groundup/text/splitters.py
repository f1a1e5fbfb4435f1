"""Cutting a text into the words that are then encoded one by one ("pre-tokenisation").

A splitter takes pieces of text and cuts them further: `Split` at what a pattern finds, `Digits` at
numbers, `ByteLevel` with GPT-2's pattern, `BertWords` at spaces and punctuation, `SplitSequence`
one after the other. ``words`` gives the words alone and is fast; ``spans`` gives their places.
The names and choices are those of ``tokenizer.json``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal, Protocol, get_args

from .patterns import DIGITS_THEN_GPT2, GPT2, PATTERNS, compile_pattern

Behavior = Literal["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]


class Splitter(Protocol):
    """What a splitter can do.

    Example:
        >>> splitter: Splitter = Digits()
        >>> splitter.words("a10b"), splitter.spans("a10b")
        (['a', '1', '0', 'b'], [(0, 1), (1, 2), (2, 3), (3, 4)])
    """

    def words(self, text: str) -> list[str]:
        """The words of a text in their order."""
        ...

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where they begin and end."""
        ...

    def as_json(self) -> dict[str, Any]:
        """How ``tokenizer.json`` describes it."""
        ...


class Split:
    r"""Cuts at what a pattern finds.

    Args:
        pattern: the pattern, or with ``literal`` the very characters.
        behavior: what becomes of what it finds: "Isolated" (a word of its own), "Removed",
            "MergedWithPrevious", "MergedWithNext" (part of the word before or behind), "Contiguous"
            (neighbours together are one word).
        invert: whether the pattern finds what is between the cuts, rather than the cuts.
        literal: whether the pattern is plain characters.

    Raises:
        ValueError: the pattern or the behaviour is not supported.

    Example:
        >>> Split(r"\s+", "Removed").words("to be or")
        ['to', 'be', 'or']
        >>> Split(" ", "MergedWithNext", literal=True).words("to be or")
        ['to', ' be', ' or']
    """

    def __init__(
        self,
        pattern: str,
        behavior: Behavior = "Isolated",
        *,
        invert: bool = False,
        literal: bool = False,
    ) -> None:
        if behavior not in get_args(Behavior):
            raise ValueError(
                f"Split: behavior {behavior!r}; expected one of {', '.join(get_args(Behavior))}"
            )
        self.pattern = pattern
        self.behavior = behavior
        self.invert = invert
        self.literal = literal
        self._search = compile_pattern(re.escape(pattern) if literal else pattern)
        # The public patterns leave nothing out between two finds.
        self._tiles = not invert and behavior == "Isolated" and pattern in PATTERNS.values()

    def words(self, text: str) -> list[str]:
        """The words of a text in their order."""
        if self._tiles:
            return self._search.words(text)
        return [text[a:b] for a, b in self.spans(text)]

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where they begin and end."""
        marked: list[tuple[int, int, bool]] = []
        end = 0
        for a, b in self._search.spans(text):
            marked += [(end, a, self.invert), (a, b, not self.invert)]
            end = b
        marked = [mark for mark in [*marked, (end, len(text), self.invert)] if mark[0] < mark[1]]
        if self.behavior == "Removed":
            return [(a, b) for a, b, cut in marked if not cut]
        out: list[tuple[int, int]] = []
        before = self.behavior != "MergedWithPrevious"  # was what stands before a cut?
        for a, b, cut in marked:
            joined = {
                "Isolated": False,
                "MergedWithPrevious": cut and not before,
                "MergedWithNext": before and not cut,
                "Contiguous": cut == before,
            }[self.behavior]
            if joined and out:
                out[-1] = (out[-1][0], b)
            else:
                out.append((a, b))
            before = cut
        return out

    def as_json(self) -> dict[str, Any]:
        """How ``tokenizer.json`` describes it."""
        return {
            "type": "Split",
            "pattern": {"String" if self.literal else "Regex": self.pattern},
            "behavior": self.behavior,
            "invert": self.invert,
        }


class Digits(Split):
    """Cuts around numbers.

    Args:
        individual_digits: whether each digit is a word, rather than all in a row.

    Example:
        >>> Digits(individual_digits=False).words("a10b")
        ['a', '10', 'b']
    """

    def __init__(self, individual_digits: bool = True) -> None:
        super().__init__(r"\p{N}", "Isolated" if individual_digits else "Contiguous")
        self.individual_digits = individual_digits

    def as_json(self) -> dict[str, Any]:
        """How ``tokenizer.json`` describes it."""
        return {"type": "Digits", "individual_digits": self.individual_digits}


class ByteLevel:
    """GPT-2's cuts, or none, before the bytes of each word are encoded.

    Args:
        add_prefix_space: whether a text that does not begin with a space gets one, so that its
            first word is encoded as it would be elsewhere. The tokenizer does that.
        trim_offsets: written to ``tokenizer.json`` and else without effect.
        use_regex: whether to cut with GPT-2's pattern.

    Example:
        >>> ByteLevel().words("Hello there!")
        ['Hello', ' there', '!']
    """

    def __init__(
        self, add_prefix_space: bool = False, trim_offsets: bool = True, use_regex: bool = True
    ) -> None:
        self.add_prefix_space = add_prefix_space
        self.trim_offsets = trim_offsets
        self.use_regex = use_regex
        self._search = compile_pattern(GPT2)

    def words(self, text: str) -> list[str]:
        """The words of a text in their order."""
        if self.use_regex:
            return self._search.words(text)
        return [text] if text else []

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where they begin and end."""
        if self.use_regex:
            return self._search.spans(text)
        return [(0, len(text))] if text else []

    def as_json(self) -> dict[str, Any]:
        """How ``tokenizer.json`` describes it."""
        return {
            "type": "ByteLevel",
            "add_prefix_space": self.add_prefix_space,
            "trim_offsets": self.trim_offsets,
            "use_regex": self.use_regex,
        }


class BertWords:
    """BERT's words: cut at spaces, which go, and around each sign of punctuation, which stay.

    Signs of punctuation are Unicode's and all of ASCII that are neither letter, digit nor space
    (Devlin et al. 2019, the published code's BasicTokenizer).

    Example:
        >>> BertWords().words("don't $5 stop")
        ['don', "'", 't', '$', '5', 'stop']
    """

    _search = compile_pattern(r"[^\s\p{P}!-/:-@\[-`{-~]+|[\p{P}!-/:-@\[-`{-~]")

    def words(self, text: str) -> list[str]:
        """The words of a text in their order."""
        return self._search.words(text)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where they begin and end."""
        return self._search.spans(text)

    def as_json(self) -> dict[str, Any]:
        """How ``tokenizer.json`` describes it."""
        return {"type": "BertPreTokenizer"}


class SplitSequence:
    """One splitter after the other, each on the words of the one before.

    Args:
        parts: the splitters; none leaves the text in one piece.

    Example:
        >>> SplitSequence([Digits(), ByteLevel()]).words("in 42 days")
        ['in', ' ', '4', '2', ' days']
    """

    def __init__(self, parts: Sequence[Splitter]) -> None:
        self.parts = list(parts)
        if any(getattr(part, "add_prefix_space", False) for part in self.parts[1:]):
            raise ValueError(
                "SplitSequence: a ByteLevel with add_prefix_space that is not the first would put "
                "a space before each word; put it first, or leave the space out"
            )
        # Digits, then GPT-2's pattern, is one pattern in one pass.
        kinds = [part.as_json() for part in self.parts]
        names = [kind["type"] for kind in kinds]
        one_pass = (
            names == ["Digits", "ByteLevel"]
            and kinds[0]["individual_digits"]
            and kinds[1]["use_regex"]
        )
        self._one_pass = compile_pattern(DIGITS_THEN_GPT2) if one_pass else None

    def words(self, text: str) -> list[str]:
        """The words of a text in their order."""
        if self._one_pass is not None:
            return self._one_pass.words(text)
        found = [text]
        for part in self.parts:
            if not (isinstance(part, ByteLevel) and not part.use_regex):
                found = [word for piece in found for word in part.words(piece)]
        return found if text else []

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where they begin and end."""
        found = [(0, len(text))] if text else []
        for part in self.parts:
            found = [(a + i, a + j) for a, b in found for i, j in part.spans(text[a:b])]
        return found

    def as_json(self) -> dict[str, Any]:
        """How ``tokenizer.json`` describes it."""
        return {"type": "Sequence", "pretokenizers": [part.as_json() for part in self.parts]}
