"""What comes out: a network of TFs and genes, as a matrix and as a table of its best edges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import GRNError


class Row(NamedTuple):
    """An edge of a ranked table.

    Attributes:
        tf: its name.
        target: the name of the gene.
        importance: the probability, or the score where there is none.
        probability: that the pair is in the prior; None if it was not learned.
        spread: how far the members of an ensemble disagree on it; None for a single model.
        sign: 1 activates, -1 represses, 0 not known; None if it was not learned.
        in_prior: whether it was known beforehand; None if there was no prior.

    Example:
        >>> Row("fur", "entA", 0.9).sign is None
        True
    """

    tf: str
    target: str
    importance: float
    probability: float | None = None
    spread: float | None = None
    sign: int | None = None
    in_prior: bool | None = None


@dataclass(frozen=True, eq=False)
class Network:
    """A score for each pair of a TF and a gene.

    Attributes:
        tf_names: of the TFs.
        gene_names: of the genes.
        scores: the higher, the likelier an edge; finite.
        probability: that a pair is in the prior; None where there is no model of it.
        spread: the standard deviation of the probability over an ensemble.
        sign: 1 activates, -1 represses, 0 not known.
        in_prior: which pairs were known beforehand.

    Shape:
        All matrices (TFs, genes).

    Raises:
        GRNError: a matrix of another shape, or scores that are not finite.

    Example:
        >>> network = Network(["fur"], ["entA", "sodB"], np.array([[0.2, 0.7]], np.float32))
        >>> [(row.tf, row.target) for row in network.ranked()]
        [('fur', 'sodB'), ('fur', 'entA')]
    """

    tf_names: Sequence[str]
    gene_names: Sequence[str]
    scores: NDArray[np.float32]
    probability: NDArray[np.float32] | None = None
    spread: NDArray[np.float32] | None = None
    sign: NDArray[np.int8] | None = None
    in_prior: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        shape = len(self.tf_names), len(self.gene_names)
        for name in ("scores", "probability", "spread", "sign", "in_prior"):
            matrix = getattr(self, name)
            if matrix is not None and matrix.shape != shape:
                raise GRNError(
                    f"network: {name} of shape {matrix.shape}, names of {shape[0]:,} TFs and "
                    f"{shape[1]:,} genes"
                )
        if not np.isfinite(self.scores).all():
            wrong = np.count_nonzero(~np.isfinite(self.scores))
            raise GRNError(f"network: {wrong:,} scores are NaN or infinite")

    def __repr__(self) -> str:
        return f"Network({len(self.tf_names):,} TFs, {len(self.gene_names):,} genes)"

    def order(self, count: int | None = None) -> NDArray[np.int64]:
        """The best pairs, by descending score; of equal scores the first TF and gene come first.

        Args:
            count: how many; all if None.

        Shape:
            (pairs, 2), the number of the TF and the row of the gene.

        Raises:
            GRNError: a count below 1.

        Example:
            >>> network = Network(["a"], ["b", "c", "d"], np.array([[1, 3, 1]], np.float32))
            >>> network.order(2).tolist()
            [[0, 1], [0, 0]]
        """
        flat = self.scores.ravel()
        if count is not None and count < 1:
            raise GRNError(f"{count} edges asked for, expected at least 1")
        if count is None or count >= len(flat):
            best = np.argsort(-flat, kind="stable")
        else:
            least = np.partition(flat, len(flat) - count)[len(flat) - count]
            above = np.flatnonzero(flat > least)
            equal = np.flatnonzero(flat == least)[: count - len(above)]
            chosen = np.sort(np.concatenate([above, equal]))
            best = chosen[np.argsort(-flat[chosen], kind="stable")]
        return np.stack(np.divmod(best, len(self.gene_names)), axis=1).astype(np.int64)

    def ranked(self, count: int | None = None) -> Iterator[Row]:
        """The best pairs as rows of a table.

        Args:
            count: how many; all if None.

        Raises:
            GRNError: a count below 1.

        Example:
            >>> network = Network(["a"], ["b", "c"], np.array([[1, 3]], np.float32))
            >>> next(network.ranked(1))[:3]
            ('a', 'c', 3.0)
        """
        for tf, gene in self.order(count).tolist():
            probability = self._at(self.probability, tf, gene)
            score = _short(self.scores[tf, gene])
            yield Row(
                self.tf_names[tf],
                self.gene_names[gene],
                score if probability is None else probability,
                probability,
                self._at(self.spread, tf, gene),
                None if self.sign is None else int(self.sign[tf, gene]),
                None if self.in_prior is None else bool(self.in_prior[tf, gene]),
            )

    @staticmethod
    def _at(matrix: NDArray[np.float32] | None, tf: int, gene: int) -> float | None:
        return None if matrix is None else _short(matrix[tf, gene])


def _short(value: np.floating) -> float:
    """The number with the fewest digits that is the same in the precision of the value."""
    return float(str(value))
