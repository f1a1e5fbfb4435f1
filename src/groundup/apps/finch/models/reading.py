"""A query as arrays: its tokens, and beside each word the hashed pieces of that word.

A model that starts from nothing and sees each request once has no time to learn how words are
spelled. So the first token of every word also brings the word itself, the pair with the word
before, and its stretches of three to five characters, each hashed to a row of a table whose mean is
added: the vectors of fastText (Bojanowski et al., 2017, section 3.2; Joulin et al., 2017). Words
that are spelled alike thus begin alike, and the features stay the same when the tokenizer grows.

Lengths are rounded up to a few, so that few programs are compiled.

Shapes: N queries of T tokens with K features of a token; row 0 of the table stands for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from .tokenizer import BOUNDARY, PAD, TrafficTokenizer

FEATURES = 24
"""K: hashed features of a word at the most."""
_PIECES = (3, 4, 5)
_KEPT = 300_000
"""Tokens of the readings that are remembered, about 30 megabytes."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A text as a model reads it.

    Attributes:
        ids: the tokens, (T,).
        features: of each token, (T, K); 0 where a word goes on.

    Example:
        >>> Reading(np.array([68], np.int32), np.zeros((1, FEATURES), np.int32)).ids.shape
        (1,)
    """

    ids: NDArray[np.int32]
    features: NDArray[np.int32]


BLANK = Reading(np.array([BOUNDARY], np.int32), np.zeros((1, FEATURES), np.int32))
"""What is read where it does not matter what."""


def rounded(length: int) -> int:
    """The length that a text of so many tokens is padded to: 16 times a power of two.

    Example:
        >>> [rounded(length) for length in (1, 16, 17, 700)]
        [16, 16, 32, 1024]
    """
    return max(16, 1 << (length - 1).bit_length())


def word_features(word: str, before: str, rows: int) -> tuple[int, ...]:
    """The rows of the table that stand for a word: from 1 to ``rows - 1``.

    Args:
        word: in small letters, without spaces.
        before: the word before it.
        rows: of the table.

    Example:
        >>> len(word_features("cat", "my", 100))  # cat, my cat, <ca cat at> <cat cat> <cat>
        8
    """
    marked = f"<{word}>"
    pieces = [marked[i : i + n] for n in _PIECES for i in range(len(marked) - n + 1)]
    names = [f"w{word}", f"b{before} {word}", *pieces][:FEATURES]
    return tuple(1 + crc32(name.encode("utf-8", "surrogatepass")) % (rows - 1) for name in names)


class Reader:
    """Turns texts into readings, and readings into arrays.

    Args:
        tokenizer: the tokens.
        rows: of the table of features.
        longest: tokens that a query may have.

    Example:
        >>> reader = Reader(TrafficTokenizer(260), rows=100, longest=16)
        >>> len(reader.read("to be").ids), reader.read("far too long a text to be read here")
        (5, None)
    """

    def __init__(self, tokenizer: TrafficTokenizer, rows: int, longest: int) -> None:
        self.tokenizer, self.rows, self.longest = tokenizer, rows, longest
        self._kept: dict[str, Reading | None] = {}
        self._tokens = 0
        self._grown = tokenizer.grown

    def read(self, text: str) -> Reading | None:
        """What the models see of a query; None if it is empty or has too many tokens."""
        if self._grown != self.tokenizer.grown or self._tokens >= _KEPT:
            self._kept.clear()
            self._grown, self._tokens = self.tokenizer.grown, 0
        try:
            return self._kept[text]
        except KeyError:  # another thread may have cleared it
            if len(text) > 16 * self.longest:
                return None
            found = self._kept[text] = self._read(text)
            self._tokens += 8 if found is None else 8 + len(found.ids)
            return found

    def _read(self, text: str) -> Reading | None:
        ids: list[int] = []
        found: list[tuple[int, tuple[int, ...]]] = []
        before = ""
        for word, tokens in zip(
            self.tokenizer.split(text), self.tokenizer.words(text), strict=True
        ):
            if plain := word.strip().lower():
                found.append((len(ids), word_features(plain, before, self.rows)))
                before = plain
            ids += tokens
            if len(ids) > self.longest:
                return None
        if not ids:
            return None
        features = np.zeros((len(ids), FEATURES), np.int32)
        for place, rows in found:
            features[place, : len(rows)] = rows
        return Reading(np.array(ids, np.int32), features)


def packed(
    readings: Sequence[Reading], length: int | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Readings as arrays, padded on the right.

    Args:
        readings: N of them.
        length: T; None: that of the longest, rounded up.

    Returns:
        Tokens (N, T) and features (N, T, K).

    Example:
        >>> reading = Reader(TrafficTokenizer(260), rows=100, longest=16).read("to be")
        >>> tokens, features = packed([reading])
        >>> tokens.shape, features.shape
        ((1, 16), (1, 16, 24))
    """
    t = length or rounded(max(len(one.ids) for one in readings))
    tokens = np.full((len(readings), t), PAD, np.int64)
    features = np.zeros((len(readings), t, FEATURES), np.int64)
    for row, one in enumerate(readings):
        tokens[row, : len(one.ids)] = one.ids
        features[row, : len(one.ids)] = one.features
    return tokens, features


def without_words(
    tokens: NDArray[np.int64], features: NDArray[np.int64], drop: NDArray[np.bool_]
) -> None:
    """Take tokens out of a batch, in place, but never all of a text.

    Args:
        tokens, features: as `packed` gave them.
        drop: (N, T), true where a token goes.

    Example:
        >>> tokens, features = np.array([[5, 6, 0]]), np.ones((1, 3, FEATURES), np.int64)
        >>> without_words(tokens, features, np.array([[True, False, False]]))
        >>> tokens.tolist()
        [[0, 6, 0]]
    """
    drop = drop & (tokens != PAD)
    drop[drop.sum(1) >= (tokens != PAD).sum(1)] = False
    tokens[drop] = PAD
    features[drop] = 0
