"""Traffic made from a labelled set: each request once, often repeated, or with a change midway."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Log = Sequence[tuple[str, str]]
"""Queries and their remote answers, in order."""


def shuffled(pairs: Log, seed: int) -> list[tuple[str, str]]:
    """Each pair once, in an order drawn by the seed.

    Example:
        >>> shuffled([("a", "1"), ("b", "2"), ("c", "3")], seed=0)
        [('c', '3'), ('a', '1'), ('b', '2')]
    """
    return [pairs[place] for place in np.random.default_rng(seed).permutation(len(pairs))]


def repeated(pairs: Log, count: int, seed: int, exponent: float = 1.0) -> list[tuple[str, str]]:
    r"""Requests drawn with replacement, the one of rank r with probability $\propto r^{-s}$.

    Args:
        pairs: ranked in an order drawn by the seed.
        count: requests drawn.
        seed: of ranks and draws.
        exponent: s; queries to search engines are near 1 (Breslau et al. 1999 for the web's).

    Example:
        >>> [query for query, _ in repeated([("a", "1"), ("b", "2"), ("c", "3")], 6, seed=1)]
        ['a', 'c', 'a', 'a', 'c', 'a']
    """
    random = np.random.default_rng(seed)
    ranked = random.permutation(len(pairs))
    chances = np.arange(1, len(pairs) + 1) ** -exponent
    drawn = random.choice(len(pairs), size=count, p=chances / chances.sum())
    return [pairs[ranked[rank]] for rank in drawn]


def changed(
    pairs: Log, seed: int, share: float = 0.3, start: float = 0.5
) -> tuple[list[tuple[str, str]], int]:
    """A log in whose middle some answers come to mean others.

    The answers that change go round in a circle: each becomes the next one.

    Args:
        pairs: in order.
        seed: which answers change.
        share: of the distinct answers.
        start: where, as a share of the log.

    Returns:
        The log, and the place of the first request after the change.

    Example:
        >>> changed([("a", "1"), ("b", "2"), ("a", "1"), ("b", "2")], seed=0, share=1.0)
        ([('a', '1'), ('b', '2'), ('a', '2'), ('b', '1')], 2)
    """
    answers = sorted({answer for _, answer in pairs})
    random = np.random.default_rng(seed)
    some = random.permutation(len(answers))[: max(2, round(share * len(answers)))].tolist()
    becomes = {answers[a]: answers[b] for a, b in zip(some, some[1:] + some[:1], strict=True)}
    first = round(start * len(pairs))
    after = [(query, becomes.get(answer, answer)) for query, answer in pairs[first:]]
    return [*pairs[:first], *after], first
