"""What is asked, and what a method may see of it.

A `Problem` holds everything that is known. A method never gets one: it is given `Known`, in which
only the edges of the training part are left, and which says of which pairs it may speak as
unlabelled. So nothing that is counted, averaged or learned can depend on an edge that is tested.
Expression has no labels, and is seen whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..data.expression import Expression
from ..data.names import match_names
from ..data.prior import Prior
from ..errors import GRNError
from .splits import TRAIN, VALIDATION, Split

Pairs = NDArray[np.int64]
"""(pairs, 2): the number of a TF, and the row of a gene."""


@dataclass(frozen=True, eq=False)
class Problem:
    """Expression, and edges whose TF and target are both measured.

    Attributes:
        expression: of all genes.
        tfs: the row of each TF.
        edges: which pairs are in the prior.
        signs: 1 activates, -1 represses, 0 not known or no edge.
        groups: the number of the group of each gene, such as its operon; -1 for a gene alone.
        prior_digest: the hash of the prior.
        places: where each gene comes along the genome, counted in genes; -1 where not known.

    Shape:
        tfs: (TFs,); edges, signs: (TFs, genes); groups, places: (genes,).
    """

    expression: Expression
    tfs: NDArray[np.int64]
    edges: NDArray[np.bool_]
    signs: NDArray[np.int8]
    groups: NDArray[np.int64]
    prior_digest: str
    places: NDArray[np.int64]

    @property
    def tf_names(self) -> list[str]:
        """The name of each TF."""
        return [self.expression.genes[row] for row in self.tfs]

    def known(self, split: Split) -> Known:
        """What a method may see if pairs are split so."""
        training = split.parts == TRAIN
        validation = self.edges & (split.parts == VALIDATION)
        return Known(
            self.expression,
            self.tfs,
            self.edges & training,
            np.where(training, self.signs, 0).astype(np.int8),
            training,
            validation,
            split.parts == VALIDATION,
            self.groups,
            self.places,
        )


@dataclass(frozen=True, eq=False)
class Known:
    """What a method may learn from.

    Attributes:
        expression: of all genes.
        tfs: the row of each TF.
        edges: pairs of the training part that are in the prior; nothing is told of others.
        signs: those of `edges`.
        allowed: pairs of the training part: those that may be taken for unlabelled.
        validation_edges: pairs of the validation part that are in the prior. When to stop, which
            settings to take and where the threshold lies may depend on them, and nothing else.
        validation_allowed: pairs of the validation part.
        groups: the number of the group of each gene; -1 for a gene alone.
        places: where each gene comes along the genome, counted in genes; -1 where not known.

    Shape:
        tfs: (TFs,); groups, places: (genes,); all else (TFs, genes).

    Example:
        >>> from groundup.apps.grn.task.problem import Known
        >>> known = Known.of_all(Expression(np.ones((3, 2), np.float32), "abc", "xy"), [0])
        >>> known.edges.shape, int(known.edges.sum())
        ((1, 3), 0)
    """

    expression: Expression
    tfs: NDArray[np.int64]
    edges: NDArray[np.bool_]
    signs: NDArray[np.int8]
    allowed: NDArray[np.bool_]
    validation_edges: NDArray[np.bool_]
    validation_allowed: NDArray[np.bool_]
    groups: NDArray[np.int64]
    places: NDArray[np.int64]

    @classmethod
    def of_all(cls, expression: Expression, tfs: ArrayLike) -> Known:
        """Expression without a single edge: what is left to methods that learn from no prior."""
        rows = np.asarray(tfs, np.int64)
        shape = len(rows), len(expression.genes)
        none = np.zeros(shape, bool)
        alone = np.full(shape[1], -1, np.int64)
        signs = np.zeros(shape, np.int8)
        return cls(expression, rows, none, signs, ~none, none, none, alone, alone)

    @cached_property
    def standardized(self) -> NDArray[np.float32]:
        """Expression of each gene with mean 0 and deviation 1; 0 where it never changes."""
        values = self.expression.values.astype(np.float64)
        values -= values.mean(axis=1, keepdims=True)
        scale = values.std(axis=1, keepdims=True)
        return np.divide(values, scale, out=np.zeros_like(values), where=scale > 1e-8).astype(
            np.float32
        )


class Scorer(Protocol):
    """Anything that tells how likely pairs are to be edges."""

    def score(self, pairs: Pairs) -> NDArray[np.float64]:
        """A number for each pair; more is likelier. Only its order counts.

        Shape:
            pairs: (pairs, 2) -> (pairs,).
        """


Method = Callable[[Known, int], Scorer]
"""Learns from what is known, with a seed."""


def pose(
    expression: Expression,
    prior: Prior,
    *,
    groups: ArrayLike | None = None,
    places: ArrayLike | None = None,
) -> Problem:
    """Join expression and prior.

    Args:
        expression: of all genes that are asked about.
        prior: edges; those of which the TF or the target is not measured are left out.
        groups: the group of each gene, as words or numbers; an empty word, a NaN or a negative
            number is a gene alone.
        places: where each gene comes along the genome, counted in genes; negative where not known.
            Chromosomes are far apart.

    Shape:
        groups, places: (genes,).

    Raises:
        GRNError: fewer than ten edges are left, or groups or places of another length.

    Example:
        >>> expression = Expression(np.ones((12, 2), np.float32), [*"abcdefghijkl"], ["x", "y"])
        >>> problem = pose(expression, Prior.of([("a", gene, 1) for gene in "bcdefghijkl"]))
        >>> problem.edges.shape, int(problem.edges.sum())
        ((1, 12), 11)
    """
    match_names(expression, prior).require()
    row = expression.index()
    usable = [
        (row[tf], row[target], sign)
        for tf, target, sign in zip(prior.tfs, prior.targets, prior.signs.tolist(), strict=True)
        if tf in row and target in row
    ]
    tfs = np.unique([tf for tf, _, _ in usable])
    place = {int(tf): number for number, tf in enumerate(tfs)}
    edges = np.zeros((len(tfs), len(expression.genes)), bool)
    signs = np.zeros(edges.shape, np.int8)
    for tf, target, sign in usable:
        edges[place[tf], target] = True
        signs[place[tf], target] = sign
    numbered, placed = _numbered(groups, expression), _placed(places, expression)
    return Problem(expression, tfs, edges, signs, numbered, prior.digest(), placed)


def _numbered(groups: ArrayLike | None, expression: Expression) -> NDArray[np.int64]:
    """Groups as numbers from 0, and -1 for a gene alone."""
    count = len(expression.genes)
    if groups is None:
        return np.full(count, -1, np.int64)
    given = np.asarray(groups)
    if given.shape != (count,):
        raise GRNError(f"groups have shape {given.shape}, expected one for each of {count:,} genes")
    place: dict[str, int] = {}
    found = np.full(count, -1, np.int64)
    for number, word in enumerate(map(str, given.tolist())):
        if word not in ("", "nan", "None") and not word.startswith("-"):
            found[number] = place.setdefault(word, len(place))
    return found


def _placed(places: ArrayLike | None, expression: Expression) -> NDArray[np.int64]:
    """Places as whole numbers, -1 where not known."""
    count = len(expression.genes)
    if places is None:
        return np.full(count, -1, np.int64)
    given = np.asarray(places)
    if given.shape != (count,):
        raise GRNError(f"places have shape {given.shape}, expected one for each of {count:,} genes")
    return np.maximum(given.astype(np.int64), -1)
