"""How much of each gene there is in each sample: a matrix with names on both sides.

A sample is a cell, a pseudobulk of cells, or a bulk measurement. Genes are rows here, whatever the
file had.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import GRNError

Duplicates = Literal["error", "mean", "sum", "first"]


@dataclass(frozen=True, eq=False)
class Expression:
    """Expression of genes in samples.

    Attributes:
        values: in whatever unit; finite.
        genes: names of the rows, all different.
        samples: names of the columns.
        annotations: for each column of annotation, such as ``cell_type``, a word for each sample.

    Shape:
        values: (genes, samples).

    Raises:
        GRNError: no gene or sample, names that are too many or too few or that repeat, or values
            that are NaN or infinite.

    Example:
        >>> Expression(np.ones((2, 3), np.float32), ["a", "b"], ["x", "y", "z"])
        Expression(2 genes, 3 samples)
    """

    values: NDArray[np.float32]
    genes: Sequence[str]
    samples: Sequence[str]
    annotations: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = np.shape(self.values)
        if shape != (len(self.genes), len(self.samples)):
            raise GRNError(
                f"expression: values of shape {shape}, names of {len(self.genes):,} genes and "
                f"{len(self.samples):,} samples; expected one name for each row and each column"
            )
        if 0 in shape:
            raise GRNError(
                f"expression: {shape[0]:,} genes and {shape[1]:,} samples, expected at least one"
            )
        if repeated := repeats(self.genes):
            raise GRNError(
                f"expression: {len(repeated):,} genes occur more than once, such as "
                f"{', '.join(repeated[:3])}; say how to join them, with duplicates "
                "(--duplicates): mean, sum or first"
            )
        wrong = ~np.isfinite(self.values)
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise GRNError(
                f"expression: {np.count_nonzero(wrong):,} values are NaN or infinite, the first of "
                f"gene {self.genes[row]!r} in sample {self.samples[column]!r}; remove such genes "
                "or samples, or fill them in"
            )
        for name, words in self.annotations.items():
            if len(words) != shape[1]:
                raise GRNError(
                    f"annotation {name!r} has {len(words):,} entries for {shape[1]:,} samples"
                )

    def __repr__(self) -> str:
        return f"Expression({len(self.genes):,} genes, {len(self.samples):,} samples)"

    def index(self) -> dict[str, int]:
        """The row of each gene."""
        return {gene: row for row, gene in enumerate(self.genes)}

    def only(self, rows: Sequence[int]) -> Expression:
        """Some genes, in this order."""
        chosen = np.asarray(rows, np.int64)
        genes = [self.genes[row] for row in chosen]
        return Expression(self.values[chosen], genes, self.samples, self.annotations)


def repeats(names: Sequence[str]) -> list[str]:
    """Names that occur more than once, in the order in which they come first.

    Example:
        >>> repeats(["a", "b", "a", "c", "c"])
        ['a', 'c']
    """
    return [name for name, count in Counter(names).items() if count > 1]


def joined(
    values: NDArray[np.float32], names: Sequence[str], how: Duplicates
) -> tuple[NDArray[np.float32], list[str]]:
    """Rows of the same name as one row; with ``how="error"`` they stay, and are refused later.

    Args:
        values: of rows.
        names: of rows.
        how: the mean of such rows, their sum, or the first of them.

    Shape:
        values: (rows, samples) -> (names, samples).

    Example:
        >>> joined(np.array([[1.0], [2.0], [4.0]], np.float32), ["a", "b", "a"], "mean")[0].tolist()
        [[2.5], [2.0]]
    """
    if how == "error" or not repeats(names):
        return values, list(names)
    place: dict[str, int] = {}
    rows = np.array([place.setdefault(name, len(place)) for name in names])
    if how == "first":
        return values[np.unique(rows, return_index=True)[1]], list(place)
    total = np.zeros((len(place), values.shape[1]), np.float64)
    np.add.at(total, rows, values)
    if how == "mean":
        total /= np.bincount(rows)[:, None]
    return total.astype(np.float32), list(place)
