r"""Where a text is cut into words before merges: the patterns of public models, and how they run.

Merges never cross a cut (Radford et al., GPT-2, 2019, section 2.2), so that "dog" does not become
one token with the "." behind it. The patterns of public models are written for other engines, with
classes of Unicode (``\p{L}``: letters) that Python's ``re`` lacks; `compile_pattern` writes them
out as ranges of characters, after Python's own table of Unicode. ``re`` looks characters up to
U+FFFF up in a bit map and goes through the ranges above one by one, so a text without characters
above is searched by a pattern without ranges above, four times faster.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterator
from functools import cache, cached_property
from itertools import groupby

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""GPT-2 (2019), also RoBERTa, BART, OPT and GPT-NeoX."""

CL100K = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""GPT-4's cl100k (2023) and Llama 3 (2024): numbers in groups of three digits."""

QWEN2 = CL100K.replace(r"\p{N}{1,3}", r"\p{N}")
"""Qwen 2 and later (2024): each digit alone."""

O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""GPT-4o's o200k (2024): a cut between a small and a large letter, marks belong to letters."""

DIGITS_THEN_GPT2 = (
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?![^\s\p{N}])|\s+"
)
"""SmolLM2 (2024): every digit by itself, then GPT-2's pattern on what is between; in one pass."""

PATTERNS = {
    "gpt2": GPT2,
    "cl100k": CL100K,
    "llama3": CL100K,
    "qwen2": QWEN2,
    "o200k": O200K,
    "smollm": DIGITS_THEN_GPT2,
}
"""The patterns by name."""

_SPACES = "\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
r"""``\s``: White_Space of Unicode, which unlike ``str.isspace`` leaves out U+001C to U+001F."""

_SHORTHANDS = {"d": ("Nd",), "w": ("L", "M", "Nd", "Nl", "Pc")}
_HIGH = re.compile("[^\0-\uffff]")
_HIGHEST = {False: 0xFFFF, True: sys.maxunicode}


@cache
def _categories(full: bool) -> dict[str, list[tuple[int, int]]]:
    """General category -> ranges of code points, first and last, up to U+FFFF or all."""
    found: dict[str, list[tuple[int, int]]] = {}
    start = 0
    names = map(unicodedata.category, map(chr, range(_HIGHEST[full] + 1)))
    for name, group in groupby(names):
        end = start + sum(1 for _ in group)
        found.setdefault(name, []).append((start, end - 1))
        start = end
    return found


def _ranges(names: tuple[str, ...], negated: bool, full: bool) -> str:
    """Characters of these general categories, or all others, as the inside of a class of ``re``."""
    table = _categories(full)
    chosen = sorted(
        span for name, spans in table.items() if name.startswith(names) for span in spans
    )
    if not chosen:
        raise ValueError(
            f"\\p{{{'|'.join(names)}}} is no general category of Unicode; patterns may use those, "
            "such as \\p{L} and \\p{Nd}, but not scripts"
        )
    if negated:
        firsts = [0, *(last + 1 for _, last in chosen)]
        lasts = [*(first - 1 for first, _ in chosen), _HIGHEST[full]]
        chosen = [(a, b) for a, b in zip(firsts, lasts, strict=True) if a <= b]
    merged: list[list[int]] = []
    for first, last in chosen:
        if merged and merged[-1][1] + 1 == first:
            merged[-1][1] = last
        else:
            merged.append([first, last])
    return "".join(f"\\U{a:08x}-\\U{b:08x}" for a, b in merged)


_PIECE = re.compile(
    r"\\[pP]\{\^?\w+\}|\\[pP]\w|\\x\{[0-9A-Fa-f]+\}|\\.|\[\^?\]?|\]|&&|\(\?|\(|\$|.", re.DOTALL
)


def _translate(pattern: str, full: bool) -> Iterator[str]:
    """The parts of a pattern in the words of ``re``."""
    inside = False
    for piece in _PIECE.findall(pattern):
        if piece[0] == "\\":
            yield _translate_escape(piece, inside, full)
        elif inside and (piece[0] == "[" or piece == "&&"):
            raise ValueError(f"{piece!r} inside of a class (classes in classes) is not supported")
        elif piece[0] == "[":
            inside = True
            yield piece
        elif piece == "]":
            inside = False
            yield piece
        elif piece == "(" and not inside:
            yield "(?:"  # nothing refers to groups, and `findall` would give them instead of all
        elif piece == "$" and not inside:
            yield r"\Z"
        else:
            yield piece


def _translate_escape(piece: str, inside: bool, full: bool) -> str:
    letter = piece[1]
    if letter == "x" and len(piece) > 2:
        return f"\\U{int(piece[3:-1], 16):08x}"
    if letter in "sS":
        if not inside:
            return f"[{'^' * (letter == 'S')}{_SPACES}]"
        if letter == "s":
            return _SPACES
        raise ValueError(r"\S inside of a class is not supported")
    if letter in "pP":
        name = piece[2:].strip("{}")
        negated = (letter == "P") != name.startswith("^")
        names: tuple[str, ...] = (name.removeprefix("^"),)
    elif letter in "dDwW":
        negated = letter.isupper()
        names = _SHORTHANDS[letter.lower()]
    else:
        return {r"\z": r"\Z"}.get(piece, piece)
    ranges = _ranges(names, negated, full)
    return ranges if inside else f"[{ranges}]"


class Pattern:
    r"""A pattern as tokenizers write it, ready to search.

    Args:
        source: the pattern, with ``\p{..}`` for general categories of Unicode. ``$`` is the end of
            the text; groups only group.

    Raises:
        ValueError: it uses what is not supported here, or is no pattern at all.

    Example:
        >>> compile_pattern(GPT2).words("You're 42 years old!")
        ['You', "'re", ' 42', ' years', ' old', '!']
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self._low = self._compile(full=False)

    def _compile(self, *, full: bool) -> re.Pattern[str]:
        try:
            return re.compile("".join(_translate(self.source, full)))
        except (re.error, ValueError, OverflowError) as error:
            raise ValueError(f"the pattern {self.source!r} cannot be used: {error}") from error

    @cached_property
    def _full(self) -> re.Pattern[str]:
        return self._compile(full=True)

    def _for(self, text: str) -> re.Pattern[str]:
        return self._low if text.isascii() or not _HIGH.search(text) else self._full

    def words(self, text: str) -> list[str]:
        r"""What the pattern finds, from left to right.

        Example:
            >>> compile_pattern(r"\p{Lu}").words("aBcÉ")
            ['B', 'É']
        """
        return self._for(text).findall(text)

    def spans(self, text: str) -> list[tuple[int, int]]:
        r"""The places of what the pattern finds: of the first character and behind the last.

        Example:
            >>> compile_pattern(r"\p{Lu}").spans("aBcÉ")
            [(1, 2), (3, 4)]
        """
        return [match.span() for match in self._for(text).finditer(text)]


@cache
def compile_pattern(source: str) -> Pattern:
    r"""A `Pattern`, made once for each source.

    Raises:
        ValueError: as for `Pattern`.

    Example:
        >>> compile_pattern(CL100K).words("in 12345 days\n\n")
        ['in', ' ', '123', '45', ' days', '\n\n']
    """
    return Pattern(source)
