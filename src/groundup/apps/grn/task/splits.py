"""Which pairs of a TF and a gene train, which choose settings, which test.

A split says for each pair of the whole matrix, edge or not, to which part it belongs, so that what
is drawn as unlabelled comes from the same TFs and genes as the edges beside it:

- ``edge``: every pair by itself. Both its TF and its gene are known from training, so how many
  edges they have there tells much (the easiest question, and the one most often reported);
- ``gene``: all pairs of a gene go together: does it find the regulators of genes that it knows
  nothing of?
- ``group``: all genes of a group, such as an operon, go together: genes of an operon are regulated
  and expressed together, so that a gene held out alone has its answer next door;
- ``tf``: all pairs of a TF go together: TFs of which no target is known;
- ``both``: TFs and genes are held out, and pairs of one from training and one from the test belong
  to no part.

(Park and Marcotte, 2012, on why pairs need such splits.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

Kind = Literal["edge", "gene", "group", "tf", "both"]
KINDS: tuple[Kind, ...] = get_args(Kind)
TRAIN, VALIDATION, TEST, NONE = 0, 1, 2, -1


@dataclass(frozen=True)
class Split:
    """Parts of all pairs.

    Attributes:
        kind: how it was made.
        parts: for each pair `TRAIN`, `VALIDATION`, `TEST`, or `NONE`.

    Shape:
        parts: (TFs, genes).

    Example:
        >>> split = split_pairs(np.eye(4, 10, dtype=bool), "gene", np.random.default_rng(0))
        >>> split.parts.shape, bool((split.parts == split.parts[0]).all())
        ((4, 10), True)
    """

    kind: Kind
    parts: NDArray[np.int8]

    def pairs(self, part: int, among: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Pairs of a part.

        Args:
            part: `TRAIN`, `VALIDATION` or `TEST`.
            among: which pairs are asked for.

        Shape:
            among: (TFs, genes) -> (pairs, 2), the number of a TF and of a gene.
        """
        return np.argwhere((self.parts == part) & among)


def split_pairs(
    edges: NDArray[np.bool_],
    kind: Kind,
    random: np.random.Generator,
    *,
    groups: ArrayLike | None = None,
    fractions: tuple[float, float] = (0.15, 0.2),
) -> Split:
    """Part all pairs of TFs and genes.

    Args:
        edges: which pairs are known to be edges.
        kind: what is held out.
        random: draws the parts.
        groups: the number of the group of each gene, for the kind ``group``; -1 is a group of the
            gene alone.
        fractions: of validation and test, of what is held out: of the edges, or of the genes,
            groups or TFs that have edges. For ``both``, of the TFs and of the genes.

    Shape:
        edges: (TFs, genes); groups: (genes,).

    Raises:
        ValueError: an unknown kind, fractions that leave nothing to train on, groups that are
            missing or of another length, or a part without edges.

    Example:
        >>> edges = np.random.default_rng(1).random((20, 50)) < 0.2
        >>> split = split_pairs(edges, "tf", np.random.default_rng(0))
        >>> [len(split.pairs(part, edges)) > 0 for part in (TRAIN, VALIDATION, TEST)]
        [True, True, True]
    """
    if kind not in KINDS:
        raise ValueError(f"split {kind!r}, expected one of {', '.join(KINDS)}")
    if min(fractions) <= 0 or sum(fractions) >= 1:
        raise ValueError(
            f"fractions {fractions}: expected two numbers above 0 whose sum is below 1"
        )
    tfs, genes = edges.shape
    parts = np.full(edges.shape, TRAIN, np.int8)
    if kind == "edge":
        # Edges and other pairs are drawn apart, so that each part has its share of both exactly.
        for kept in (edges, ~edges):
            rows, columns = np.nonzero(kept)
            parts[rows, columns] = _drawn(len(rows), fractions, random)
    elif kind in ("gene", "group"):
        parts[:] = _of_genes(edges, groups if kind == "group" else None, fractions, random, kind)
    elif kind == "tf":
        parts[:] = _of_units(edges.sum(axis=1), np.arange(tfs), fractions, random)[:, None]
    else:
        of_tf = _of_units(edges.sum(axis=1), np.arange(tfs), fractions, random)[:, None]
        of_gene = _of_units(edges.sum(axis=0), np.arange(genes), fractions, random)[None]
        parts = np.where(of_tf == of_gene, of_tf, np.int8(NONE))
    split = Split(kind, parts)
    for part, name in ((TRAIN, "training"), (VALIDATION, "validation"), (TEST, "test")):
        if not (edges & (parts == part)).any():
            raise ValueError(
                f"split by {kind}: no edge of {np.count_nonzero(edges):,} is in the {name} part; "
                "a larger prior or other fractions are needed"
            )
    return split


def _of_genes(
    edges: NDArray[np.bool_],
    groups: ArrayLike | None,
    fractions: Sequence[float],
    random: np.random.Generator,
    kind: Kind,
) -> NDArray[np.int8]:
    genes = edges.shape[1]
    own = np.arange(genes)
    if kind == "group":
        if groups is None:
            raise ValueError("split by group: the groups of the genes are missing, such as operons")
        given = np.asarray(groups)
        if given.shape != (genes,):
            raise ValueError(f"groups have shape {given.shape}, expected ({genes},)")
        own = np.where(given < 0, given.max() + 1 + own, given)
    return _of_units(edges.sum(axis=0), own, fractions, random)


def _of_units(
    known: NDArray[np.int64],
    unit: NDArray[np.int64],
    fractions: Sequence[float],
    random: np.random.Generator,
) -> NDArray[np.int8]:
    """The part of each row, of which `known` counts the edges; rows of one unit share it.

    Units without edges are drawn apart.
    """
    names, place = np.unique(unit, return_inverse=True)
    with_edges = np.bincount(place, known, minlength=len(names)) > 0
    found = np.empty(len(names), np.int8)
    for kept in (with_edges, ~with_edges):
        found[kept] = _drawn(int(np.count_nonzero(kept)), fractions, random)
    return found[place]


def _drawn(count: int, fractions: Sequence[float], random: np.random.Generator) -> NDArray[np.int8]:
    """Parts of this many, in random order."""
    validation, test = (round(count * fraction) for fraction in fractions)
    found = np.full(count, TRAIN, np.int8)
    found[:test] = TEST
    found[test : test + validation] = VALIDATION
    return random.permutation(found)
