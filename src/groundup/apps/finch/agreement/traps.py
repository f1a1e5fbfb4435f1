"""Words that turn a sentence round though it looks almost the same.

Two texts that share nearly all their words may say the opposite: "enable" and "disable", "is" and
"is not", 12.50 and 125.0, Monday and Tuesday. Embeddings hardly see it. So what decides is taken
out of both texts and compared by itself: negations, numbers with their units and dates, words of
which the other text has the opposite, names, and the order of what is said.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

from .vocabulary import (
    CALENDAR,
    COMMON,
    LETTERS,
    NEGATIONS,
    NUMBERS,
    OPPOSITES,
    TURNING,
    UNITS,
)

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_NUMBER = re.compile(
    r"(?<![\w.,])[-+]?(?:\d[\d,.:/\-]*\d|\d)(?:[eE][-+]?\d+)?\s*(%|°?[a-zA-Z€$£¥]+)?"
)
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?:\D|$))")
_CURRENCY = re.compile(r"[€$£¥]")
_MIXED = re.compile(r"(?=.*\d)(?=.*[^\W\d]).*")
_NAME = re.compile(r"\w(?:[\w@./\\'-]*\w)?")


def folded(text: str) -> str:
    """A text in Unicode's compatible form: small letters, straight apostrophes, 1250 for 1,250.

    Example:
        >>> folded("Don’t pay 1,250.")
        "don't pay 1250."
    """
    plain = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    return _THOUSANDS.sub("", plain)


def words(text: str) -> list[str]:
    """The words and numbers of a text, in small letters, without apostrophes.

    Example:
        >>> words("It isn't 5 o'clock.")
        ['it', 'isnt', '5', 'oclock']
    """
    return [word.replace("'", "") for word in _WORD.findall(folded(text))]


def negations(text: str) -> int:
    """How many words turn what they belong to round.

    Example:
        >>> negations("It is not here, and nobody knows."), negations("It's fine.")
        (2, 0)
    """
    return sum(word in NEGATIONS for word in words(text))


def quantities(text: str) -> Counter[str]:
    """Numbers with their units, dates, words for them, and names of parts with digits in them.

    Example:
        >>> sorted(quantities("Pay $12.50 by Monday, in 3 days.").elements())
        ['$', '12.50', '3days', 'days', 'monday']
    """
    plain = folded(text)
    found: Counter[str] = Counter(_CURRENCY.findall(plain))
    for match in _NUMBER.finditer(plain):
        unit = match.group(1) or ""
        number = match.group(0).removesuffix(unit).strip() if unit else match.group(0).strip()
        found[number + (unit if unit in UNITS or unit == "%" else "")] += 1
    for word in words(text):
        if word in NUMBERS:
            found[NUMBERS[word]] += 1
        elif word in CALENDAR or (word in UNITS - LETTERS) or _MIXED.fullmatch(word):
            found[word] += 1
    return found


def opposed(one: str, other: str) -> bool:
    """Whether a word of one text stands against its opposite in the other.

    Example:
        >>> opposed("Enable the alarm.", "Disable the alarm."), opposed("Go up.", "Go up the hill.")
        (True, False)
    """
    a, b = Counter(words(one)), Counter(words(other))
    only_a, only_b = a - b, b - a
    return any(_opposite(word, found) for word in only_a for found in _against(word, only_b))


def _against(word: str, others: Counter[str]) -> set[str]:
    """Words among others that may be the opposite of one: listed, or it with a syllable before."""
    found = OPPOSITES.get(word, frozenset()) & others.keys()
    built = {f"{syllable}{word}" for syllable in TURNING} & others.keys()
    cut = {word.removeprefix(s) for s in TURNING if word.startswith(s)} & others.keys()
    return set(found) | built | cut


def _opposite(one: str, other: str) -> bool:
    """Whether two words are opposites, and not a short word that stands in another by chance."""
    return other in OPPOSITES.get(one, frozenset()) or min(len(one), len(other)) > 3


def names(text: str) -> set[str]:
    """Words with a capital letter, acronyms, and words with marks inside, in small letters.

    Common words that begin a sentence are left out.

    Example:
        >>> sorted(names("Send it to Anna at NASA. Then wait."))
        ['anna', 'nasa', 'send']
    """
    found = set()
    for match in _NAME.finditer(unicodedata.normalize("NFKC", text)):
        word = match.group()
        capital = any(c.isupper() for c in word)
        if (capital or any(c in "@/\\." for c in word)) and word.casefold() not in COMMON:
            found.add(word.casefold())
    return found


def reordered(one: str, other: str) -> bool:
    """Whether the words that both texts have, but for common ones, come in another order.

    Example:
        >>> reordered("from Rome to Oslo", "from Oslo to Rome")
        True
        >>> reordered("a red car", "the red car")
        False
    """
    a = [word for word in words(one) if word not in COMMON]
    b = [word for word in words(other) if word not in COMMON]
    shared = Counter(a) & Counter(b)
    return _kept(a, shared) != _kept(b, shared)


def _kept(found: list[str], allowed: Counter[str]) -> list[str]:
    left = Counter(allowed)
    out = []
    for word in found:
        if left[word] > 0:
            left[word] -= 1
            out.append(word)
    return out


def trapped(one: str, other: str) -> str | None:
    """Why two texts may not mean the same, in plain words; None if nothing speaks against it.

    Example:
        >>> trapped("The door is open.", "The door is not open.")
        'a negation differs'
        >>> trapped("The door is open.", "That door is open.") is None
        True
    """
    if negations(one) != negations(other):
        return "a negation differs"
    if quantities(one) != quantities(other):
        return "a number, a unit or a date differs"
    if opposed(one, other):
        return "a word stands against its opposite"
    ours, theirs = set(words(one)), set(words(other))
    if any(not set(words(name)) <= ours & theirs for name in names(one) ^ names(other)):
        return "a name differs"
    if reordered(one, other):
        return "the words come in another order"
    return None
