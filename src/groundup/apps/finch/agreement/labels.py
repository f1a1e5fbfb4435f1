"""Answers that are labels: the same words, whatever the case, the quotes and the spaces around."""

from __future__ import annotations

import re
import unicodedata

LONGEST = 64
"""Characters of a label at most."""
_AROUND = " \t\r\n\"'`*_.:;,!\u201c\u201d\u2018\u2019\u00ab\u00bb"
_BETWEEN = re.compile(r"[\s_\-]+")
_SHAPE = re.compile(r"[^\W\d_][\w \-/&]*")


def normalised(text: str) -> str:
    """A label as it is compared.

    Letters are folded (Unicode's compatible form, small), quotes, emphasis and full stops around
    it left out, and a space stands for spaces, hyphens and underscores between words.

    Example:
        >>> normalised(' "Transfer_Money". '), normalised("transfer-money")
        ('transfer money', 'transfer money')
    """
    plain = unicodedata.normalize("NFKC", text).casefold().strip(_AROUND)
    return _BETWEEN.sub(" ", plain)


def is_label(text: str) -> bool:
    """Whether a text looks like a label: a few words on one line, no sentence, no number.

    Example:
        >>> is_label("card_arrival"), is_label("Your card is here, Sir."), is_label("42")
        (True, False, False)
    """
    core = text.strip().strip(_AROUND)
    if not 0 < len(core) <= LONGEST or "\n" in core or len(core.split()) > 5:
        return False
    return _SHAPE.fullmatch(core) is not None


def same_label(one: str, other: str) -> bool:
    """Whether two labels are the same; an empty one equals nothing but an empty one.

    Example:
        >>> same_label("Positive", "positive."), same_label("positive", "negative")
        (True, False)
    """
    return normalised(one) == normalised(other)
