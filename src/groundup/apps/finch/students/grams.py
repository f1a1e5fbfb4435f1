"""A text as a set of hashed word and character n-grams, what all students read.

Words, pairs of neighbouring words, pairs with one word between them, the first word, and the
character n-grams of each word with its edges marked (Cavnar and Trenkle 1994; subwords as in
Bojanowski et al. 2017), each hashed into ``2**bits`` buckets (Weinberger et al. 2009). How often
a gram occurs in one text is not counted: queries are short.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import pairwise
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

Buckets = NDArray[np.int64]

SHORTEST = 3
LONGEST = 5
"""Lengths of the character n-grams."""
MOST = 2048
"""Buckets kept of one text: those with the smallest numbers, which is a fair sample."""

_WORD = re.compile(r"\w+|[^\w\s]")


def normalised(text: str) -> str:
    r"""The text without what people do not mean by it: case, width, runs of white space.

    Args:
        text: any Unicode.

    Example:
        >>> normalised("  What IS\tmy balance? ")
        'what is my balance?'
    """
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


@lru_cache(maxsize=1024)
def grams(text: str, bits: int = 16) -> Buckets:
    """The buckets of a text's n-grams, each once, in rising order.

    Args:
        text: any Unicode.
        bits: ``2**bits`` buckets.

    Shape:
        - Output: ``(grams,)``, at most `MOST`; read-only

    Example:
        >>> a, b = grams("freeze my card"), grams("Freeze  MY card")
        >>> bool((a == b).all()), len(a)
        (True, 34)
    """
    words = _WORD.findall(normalised(text))
    mask = (1 << bits) - 1
    pairs = [f"2 {a} {b}" for a, b in pairwise(words)]
    pairs += [f"3 {a} {b}" for a, b in zip(words, words[2:], strict=False)]
    pairs += [f"1 {word}" for word in words[:1]]
    parts = [np.array([_hash(pair) for pair in pairs], dtype=np.int64)]
    parts += [_grams_of_word(word) for word in words]
    found = np.concatenate(parts) & mask
    found.sort()
    first = np.ones(len(found), bool)
    np.not_equal(found[1:], found[:-1], out=first[1:])
    found = found[first][:MOST]
    found.flags.writeable = False
    return found


def clear() -> None:
    """Drop the texts that `grams` remembers, when stored prompts are purged.

    Example:
        >>> clear()
        >>> grams.cache_info().currsize
        0
    """
    grams.cache_clear()
    _grams_of_word.cache_clear()


@lru_cache(maxsize=32768)
def _grams_of_word(word: str) -> Buckets:
    marked = f"<{word}>"
    found = [f"0 {word}"]
    for n in range(SHORTEST, LONGEST + 1):
        found += [marked[i : i + n] for i in range(len(marked) - n + 1)]
    return np.array([_hash(gram) for gram in found], dtype=np.int64)


def _hash(gram: str) -> int:
    # CRC-32 is quick and the same everywhere; its low bits alone are not mixed well.
    value = crc32(gram.encode("utf-8", "surrogatepass"))
    return (value * 0x9E3779B1 >> 8) & 0xFFFFFF
