r"""Pairs that stand beside the edges: unlabelled, not negative, since no prior is complete.

- ``uniform``: any pair that is not in the prior. Most TFs and genes have few edges, so that such a
  pair is told from an edge by counting alone;
- ``matched``: for each edge $(t, g)$ a pair $(t, g')$, with $g'$ drawn by its number of edges
  among those that are no edges of $t$. How many edges a TF or a gene has then says next to nothing,
  and what is left to go by is which gene goes with which TF;
- ``all``: every pair that is not in the prior, at the prevalence that is found.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .splits import Split

Negatives = Literal["uniform", "matched", "all"]
NEGATIVES: tuple[Negatives, ...] = get_args(Negatives)


def draw_unlabelled(
    edges: NDArray[np.bool_],
    split: Split,
    part: int,
    kind: Negatives,
    random: np.random.Generator,
    *,
    ratio: float = 1.0,
) -> NDArray[np.int64]:
    """Unlabelled pairs of a part.

    Args:
        edges: which pairs are known to be edges, in any part: none of them is drawn.
        split: the parts.
        part: `TRAIN`, `VALIDATION` or `TEST`.
        kind: how they are drawn. ``matched`` counts the edges of this part alone, so that test
            edges tell nothing about training pairs.
        random: draws them.
        ratio: pairs for each edge; without meaning for ``all``.

    Shape:
        edges: (TFs, genes) -> (pairs, 2). Pairs are different, except where ``matched`` finds too
        few.

    Raises:
        ValueError: an unknown kind, a ratio that is not positive, or nothing to draw from.

    Example:
        >>> from groundup.apps.grn.splits import TEST, split_pairs
        >>> edges = np.random.default_rng(1).random((20, 50)) < 0.2
        >>> split = split_pairs(edges, "gene", np.random.default_rng(0))
        >>> pairs = draw_unlabelled(edges, split, TEST, "matched", np.random.default_rng(0))
        >>> len(pairs) == len(split.pairs(TEST, edges)), bool(edges[tuple(pairs.T)].any())
        (True, False)
    """
    if kind not in NEGATIVES:
        raise ValueError(f"negatives {kind!r}, expected one of {', '.join(NEGATIVES)}")
    if not ratio > 0:
        raise ValueError(f"ratio is {ratio}, expected a positive number")
    free = ~edges & (split.parts == part)
    if not free.any():
        raise ValueError("every pair of this part is an edge: there is nothing to draw from")
    if kind == "all":
        return np.argwhere(free)
    known = edges & (split.parts == part)
    count = round(np.count_nonzero(known) * ratio)
    if kind == "uniform":
        places = np.flatnonzero(free)
        chosen = random.choice(places, min(count, len(places)), replace=False)
        return np.stack(np.unravel_index(chosen, edges.shape), axis=1).astype(np.int64)
    return _matched(known, free, ratio, random)


def _matched(
    known: NDArray[np.bool_],
    free: NDArray[np.bool_],
    ratio: float,
    random: np.random.Generator,
) -> NDArray[np.int64]:
    weights = known.sum(axis=0).astype(np.float64)
    found = []
    for tf in np.flatnonzero(known.any(axis=1)):
        wanted = known[tf].sum() * ratio
        count = int(wanted) + (random.random() < wanted % 1)
        genes = np.flatnonzero(free[tf] & (weights > 0))
        if count == 0 or len(genes) == 0:
            continue
        chances = weights[genes] / weights[genes].sum()
        # Gumbel's trick: the largest of log p + noise are a draw without replacement.
        keys = np.log(chances) + random.gumbel(size=len(genes))
        best = np.argsort(-keys)[:count]
        chosen = genes[best]
        if count > len(genes):
            more = random.choice(genes, count - len(genes), p=chances)
            chosen = np.concatenate([chosen, more])
        found.append(np.stack([np.full(count, tf), chosen], axis=1))
    if not found:
        raise ValueError(
            "no TF of this part has a gene with edges left to pair it with; take uniform negatives"
        )
    return np.concatenate(found).astype(np.int64)
