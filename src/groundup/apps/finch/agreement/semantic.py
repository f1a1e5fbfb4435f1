"""Answers that are free text: near in words, with nothing that turns the sense round.

A text is a vector of its words, pairs of words and stretches of three characters, each hashed to
one of many places and counted (feature hashing: Weinberger et al., 2009), damped by the logarithm;
two texts are as near as the cosine of their vectors. Where a model's vector of a text is given,
that must be near too. The traps (`traps`) come first: whatever the vectors say, texts that differ
in a negation, a number, an opposite, a name, or the order of what they say are not near.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from .traps import trapped, words
from .vocabulary import COMMON

PLACES = 2**16
NEAR = 0.8
"""Cosine from which two texts are near."""
_LIGHT = 0.3
"""Weight of a common word."""

Vector = Callable[[str], "NDArray[np.float32] | None"]
"""A model's vector of a text; None if it cannot read it."""


def hashed(text: str) -> dict[int, float]:
    """The vector of a text: its places that are not 0, of length 1.

    Example:
        >>> round(sum(x * x for x in hashed("to be or not to be").values()), 6)
        1.0
    """
    found = words(text)
    counts: Counter[int] = Counter()
    weight: dict[int, float] = {}
    for word in found:
        light = _LIGHT if word in COMMON else 1.0
        marked = f"<{word}>"
        pieces = [marked[i : i + 3] for i in range(len(marked) - 2)]
        for name, share in [(f"w{word}", 1.0), *((f"c{p}", 1 / len(pieces)) for p in pieces)]:
            place = _place(name)
            counts[place] += 1
            weight[place] = max(weight.get(place, 0.0), light * share)
    for one, other in pairwise(found):
        place = _place(f"b{one} {other}")
        counts[place] += 1
        weight[place] = max(weight.get(place, 0.0), 0.3)
    vector = {place: weight[place] * (1 + math.log(n)) for place, n in counts.items()}
    length = math.sqrt(math.fsum(x * x for x in vector.values()))
    return {place: x / length for place, x in vector.items()} if length else {}


def _place(name: str) -> int:
    return crc32(name.encode("utf-8", "surrogatepass")) % PLACES


def cosine(one: str, other: str) -> float:
    """How near two texts are in their words, from 0 to 1.

    Example:
        >>> cosine("the card has arrived", "the card has arrived") > 0.999
        True
        >>> cosine("the card has arrived", "my rent is due") < 0.2
        True
    """
    a, b = hashed(one), hashed(other)
    return min(1.0, math.fsum(a[place] * b[place] for place in a.keys() & b.keys()))


def similarity(one: str, other: str, vector: Vector | None = None) -> tuple[float, str | None]:
    """How near two texts are, and what speaks against their meaning the same.

    Args:
        one, other: the texts.
        vector: of a model, such as the router's.

    Returns:
        From 0 to 1, the smaller of the two cosines if there is a model; and the reason, or None.

    Example:
        >>> similarity("You can enable it there.", "You can disable it there.")[1]
        'a word stands against its opposite'
    """
    near = cosine(one, other)
    if vector is not None:
        a, b = vector(one), vector(other)
        if a is not None and b is not None:
            near = min(near, max(0.0, float(a @ b)))
    return near, trapped(one, other)
