r"""Pairs that stand beside the edges: unlabelled, not negative, since no prior is complete.

- ``uniform``: any pair that is not in the prior. Most TFs and genes have few edges, so that such a
  pair is told from an edge by counting alone;
- ``matched``: each TF has as many such pairs as edges, and each gene is expected in as many as it
  has edges. The chance of a pair is $x_t w_g / (1 + x_t w_g)$, with numbers for TFs and genes that
  are fitted to this: of all ways to draw, the most random one (Park and Newman, 2004; Squartini and
  Garlaschelli, 2011, eq. 20). How many edges a TF or a gene has then says next to nothing, and what
  is left to go by is which gene goes with which TF. A gene that is an edge of nearly all TFs cannot
  come as often as it should;
- ``all``: every pair that is not in the prior, at the prevalence that is found.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .splits import Split

Negatives = Literal["uniform", "matched", "all"]
NEGATIVES: tuple[Negatives, ...] = get_args(Negatives)
ROUNDS = 50
"""Of fitting chances to numbers of edges."""


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
        edges: (TFs, genes) -> (pairs, 2). Pairs are different; ``matched`` gives fewer where too
        few are free.

    Raises:
        ValueError: an unknown kind, a ratio that is not positive, or nothing to draw from.

    Example:
        >>> from groundup.apps.grn.task.splits import TEST, split_pairs
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
    return Matched(known, free, ratio).draw(random)


class Matched:
    """Draws pairs that match edges in the number of each TF's and of each gene's.

    Args:
        known: the edges.
        free: which pairs may be drawn.
        ratio: pairs for each edge.

    Shape:
        known, free: (TFs, genes).

    Raises:
        ValueError: no TF with edges has a free gene with edges.

    Example:
        >>> known = np.array([[True, False, True], [False, True, False]])
        >>> Matched(known, ~known).draw(np.random.default_rng(0)).shape
        (2, 2)
    """

    def __init__(
        self, known: NDArray[np.bool_], free: NDArray[np.bool_], ratio: float = 1.0
    ) -> None:
        self.tfs, self.genes = np.flatnonzero(known.any(1)), np.flatnonzero(known.any(0))
        may = free[np.ix_(self.tfs, self.genes)].astype(np.float64)
        if not may.any():
            raise ValueError(
                "no TF of this part has a gene with edges left to pair it with; take uniform "
                "negatives"
            )
        self.of_tf = np.minimum(float(ratio) * known[self.tfs].sum(1), may.sum(1))
        of_gene = float(ratio) * known[:, self.genes].sum(0)
        scale = np.sqrt(max(of_gene.sum(), 1.0))
        x, w = self.of_tf / scale, of_gene / scale
        for _ in range(ROUNDS):
            w *= _step(of_gene, self._chances(may, x, w).sum(0))
            x *= _step(self.of_tf, self._chances(may, x, w).sum(1))
        found = self._chances(may, x, w)
        self.chances = np.stack([_summing(*row) for row in zip(found, self.of_tf, strict=True)])

    @staticmethod
    def _chances(
        may: NDArray[np.float64], x: NDArray[np.float64], w: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        odds = np.outer(x, w)
        return may * (odds / (1 + odds))

    def draw(self, random: np.random.Generator) -> NDArray[np.int64]:
        """Pairs, all different; each TF's by systematic sampling in a random order.

        Shape:
            returns: (pairs, 2).
        """
        found = []
        for tf, chances in zip(self.tfs, self.chances, strict=True):
            order = random.permutation(len(self.genes))
            # A ruler with marks one apart, laid down at random: a pair is drawn for each mark.
            marks = np.floor(np.cumsum(chances[order]) + random.random() + 1e-9)
            chosen = self.genes[order[np.diff(marks, prepend=0) > 0]]
            found.append(np.stack([np.full(len(chosen), tf), chosen], axis=1))
        return np.concatenate(found).astype(np.int64)


def _step(wanted: NDArray[np.float64], had: NDArray[np.float64]) -> NDArray[np.float64]:
    """Factors towards what is wanted; bounded, for what cannot be reached would grow for ever."""
    found = np.divide(wanted, had, out=np.ones_like(wanted), where=had > 0)
    bounded: NDArray[np.float64] = np.clip(found, 0.5, 2.0)
    return bounded


def _summing(chances: NDArray[np.float64], total: float) -> NDArray[np.float64]:
    """Chances that add up to a total, none above 1."""
    sure = np.zeros(len(chances), bool)
    while True:
        rest = chances[~sure].sum()
        scaled = chances * ((total - sure.sum()) / rest if rest else 0.0)
        over = ~sure & (scaled > 1)
        if not over.any():
            return np.where(sure, 1.0, scaled)
        sure |= over
