"""Batches: what the three models are shown of some examples, as arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .reading import Reading, packed, without_words
from .tokenizer import BOUNDARY, END, PAD

DROPPED = 0.3
"""Words that are left out of a query in learning: a share from 0 to this, drawn for each query."""

Array = NDArray[np.generic]


def answer_length(tokens: int, most: int) -> int:
    """The length that an answer of so many tokens, with its end, is padded to.

    Args:
        tokens: of the answer.
        most: tokens that an answer may have.

    Example:
        >>> [answer_length(n, 64) for n in (1, 2, 7, 8, 30, 32, 64)]
        [2, 8, 8, 32, 32, 65, 65]
    """
    return min(next(2 * 4**i for i in range(20) if 2 * 4**i > tokens), most + 1)


def thinned(readings: Sequence[Reading], random: np.random.Generator) -> tuple[Array, Array]:
    """Queries as arrays, each without some of its words: what is left must do."""
    tokens, features = packed(readings)
    share = random.random((len(readings), 1)) * DROPPED
    without_words(tokens, features, random.random(tokens.shape) < share)
    return tokens, features


def followed(answers: Sequence[Sequence[int]], most: int) -> tuple[Array, Array, Array]:
    """Answers as a decoder reads them, what it should write, and the weight of each token.

    Example:
        >>> [x.tolist() for x in followed([[7], [8]], 64)]
        [[[1, 7], [1, 8]], [[7, 2], [8, 2]], [[1.0, 1.0], [1.0, 1.0]]]
    """
    shape = len(answers), answer_length(max(map(len, answers)), most)
    shown, wanted = np.full(shape, PAD, np.int64), np.full(shape, PAD, np.int64)
    weight = np.zeros(shape, np.float32)
    for row, ids in enumerate(answers):
        shown[row, : len(ids) + 1] = [BOUNDARY, *ids]
        wanted[row, : len(ids) + 1] = [*ids, END]
        weight[row, : len(ids) + 1] = 1
    return shown, wanted, weight


def given(answers: Sequence[Sequence[int]], most: int) -> Array:
    """Answers as an encoder reads them.

    Example:
        >>> given([[7], [8]], 64).tolist()
        [[1, 7], [1, 8]]
    """
    return followed(answers, most)[0]
