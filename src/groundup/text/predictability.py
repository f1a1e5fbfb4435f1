r"""How predictable a text is to those who do not learn: n-grams that count, and compressors.

What they need for each symbol, in bits, is the least that a language model should do better. All
are given the training text first.

An **n-gram** counts what followed the last n - 1 symbols, and falls back on fewer where it has seen
little, $w_n$ chosen on the last tenth of the training text (MacKay and Peto, "A hierarchical
Dirichlet language model", 1995, equation 12):

$$P_n(x \mid c) = \frac{N(c x) + w_n\, P_{n-1}(x \mid c')}{N(c) + w_n}, \qquad
P_0(x) = \frac{1}{V}$$

with $c'$ the context without its first symbol, $N(c)$ how often c was followed by anything, and V
the number of different symbols. A **compressor** needs for a text what it needs for both texts in a
row less what it needs for the first (Cilibrasi and Vitanyi, "Clustering by compression", 2005).
"""

from __future__ import annotations

import gzip
import lzma
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

WEIGHTS = (0.3, 0.6, 1.0, 1.7, 3.0, 5.0, 9.0, 16.0, 30.0)
"""What is tried for each order."""
Counts = list[tuple[NDArray[np.int64], NDArray[np.int64]]]


def ngram_bits(train: ArrayLike, text: ArrayLike, order: int = 5) -> list[float]:
    """Bits for each symbol of a text under 1-grams, 2-grams and so on that have read another.

    Args:
        train: what is counted, whole numbers, at least 20.
        text: what is predicted; its first symbols have the end of `train` as their context.
        order: the longest.

    Returns:
        For each order from 1 on the mean of -log2 of the probability.

    Raises:
        ValueError: texts too short, or an order below 1.

    Example:
        >>> [round(bits, 2) for bits in ngram_bits([0, 1] * 50, [0, 1] * 10, order=2)]
        [1.0, 0.0]
    """
    ids, length = _numbered(train, text)
    if order < 1 or length < 20 or length == len(ids):
        raise ValueError(
            f"ngram_bits: order {order}, {length} symbols to count and {len(ids) - length} to "
            "predict; expected at least 1, 20 and 1"
        )
    symbols = int(ids.max()) + 1
    held = length - length // 10
    probabilities = np.full(length - held, 1 / symbols)
    weights = []
    for seen, context in ngram_counts(ids[:length], held, order):
        tried = [(seen + w * probabilities) / (context + w) for w in WEIGHTS]
        best = max(range(len(WEIGHTS)), key=lambda i: float(np.log(tried[i]).sum()))
        weights.append(WEIGHTS[best])
        probabilities = tried[best]
    found, probabilities = [], np.full(len(ids) - length, 1 / symbols)
    for (seen, context), w in zip(ngram_counts(ids, length, order), weights, strict=True):
        probabilities = (seen + w * probabilities) / (context + w)
        found.append(float(-np.log2(probabilities).mean()))
    return found


def _numbered(train: ArrayLike, text: ArrayLike) -> tuple[NDArray[np.int64], int]:
    """Both in a row with numbers from 0 on, and the length of the first."""
    first, second = np.asarray(train), np.asarray(text)
    both = np.concatenate([first, second])
    return np.unique(both, return_inverse=True)[1].astype(np.int64), len(first)


def ngram_counts(ids: NDArray[np.int64], length: int, order: int) -> Counts:
    """How often what stands at each place of a text stood in what precedes the text.

    Args:
        ids: what is counted and the text, in a row; from 0 on.
        length: of what is counted.
        order: the longest run; below `length`.

    Returns:
        For n from 1 to `order` the counts of the n symbols that end at each place of the text, and
        of the first n - 1 of these before any other symbol.

    Example:
        >>> ngram_counts(np.array([0, 1, 0, 0, 1]), length=4, order=2)[1]
        (array([1]), array([2]))
    """
    symbols = int(ids.max()) + 1
    runs = np.zeros(len(ids), np.int64)  # the number of the run of n - 1 symbols from each place
    found: Counts = []
    for n in range(1, order + 1):
        starts = len(ids) - n + 1
        longer = np.unique(runs[:starts] * symbols + ids[n - 1 :], return_inverse=True)[1]
        counted, first = length - n + 1, length - n + 1
        of_run = np.bincount(longer[:counted], minlength=int(longer.max()) + 1)
        of_context = np.bincount(runs[:counted], minlength=int(runs.max()) + 1)
        found.append((of_run[longer[first:]], of_context[runs[first:starts]]))
        runs = longer
    return found


def compressed_bits(train: bytes, text: bytes) -> dict[str, float]:
    """Bits that compressors need for a text after they have read another.

    Args:
        train: what is read before; gzip remembers the last 32 KiB of it, xz all.
        text: what is compressed.

    Returns:
        The bits of all of the text, for "gzip" (level 9) and "xz" (the highest preset, a dictionary
        that holds both texts).

    Example:
        >>> text = bytes(range(256)) * 10
        >>> bits = compressed_bits(text, text)
        >>> bits["xz"] < 8 * len(text) / 50
        True
    """
    filters = [
        {
            "id": lzma.FILTER_LZMA2,
            "preset": 9 | lzma.PRESET_EXTREME,
            "dict_size": min(max(len(train) + len(text), 2**16), 2**30),
        }
    ]

    def sizes(parts: Sequence[bytes]) -> dict[str, int]:
        content = b"".join(parts)
        return {
            "gzip": len(gzip.compress(content, 9, mtime=0)),
            "xz": len(lzma.compress(content, filters=filters)),
        }

    before, both = sizes([train]), sizes([train, text])
    return {name: 8.0 * (both[name] - before[name]) for name in both}
