"""Networks from expression alone: no edge is known beforehand.

Each method gives a matrix of scores, (TFs, genes). Only their order counts, and a TF has the score
0 for itself: how alike a gene is to itself says nothing of whether it regulates itself.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..data.expression import Expression, repeats
from ..errors import GRNError
from ..progress import Progress
from ..task.problem import Known
from .clr import clr
from .pearson import correlations
from .trees import importances
from .two_tower import two_tower


class Inference(Protocol):
    """Scores all pairs of what is known, with a seed; progress is told where it takes time."""

    def __call__(
        self, known: Known, seed: int, /, *, progress: Progress | None = None
    ) -> NDArray[np.float64]:
        """Shape: (TFs, genes)."""


def _pearson(
    known: Known, seed: int, /, *, progress: Progress | None = None
) -> NDArray[np.float64]:
    return np.abs(correlations(known)).astype(np.float64)


def _clr(known: Known, seed: int, /, *, progress: Progress | None = None) -> NDArray[np.float64]:
    return clr(known)


UNSUPERVISED: Mapping[str, Inference] = {
    "pearson": _pearson,
    "clr": _clr,
    "trees": importances,
    "two-tower-self-supervised": two_tower,
}
"""By name: of what is known, and a seed; the scores of all pairs."""


def infer(
    expression: Expression,
    tfs: Sequence[str],
    method: str,
    *,
    seed: int = 0,
    progress: Progress | None = None,
    folder: str | os.PathLike[str] | None = None,
) -> NDArray[np.float64]:
    """Score all pairs of a TF and a gene, from expression alone.

    Args:
        expression: of all genes, at least three samples.
        tfs: which of them are TFs.
        method: ``pearson`` (absolute correlation), ``clr`` (Faith et al., 2007), ``trees``
            (gradient boosting as GRNBoost2, Moerman et al., 2019) or
            ``two-tower-self-supervised`` (trained on the best pairs of ``clr``).
        seed: for the last two; the others draw nothing.
        progress: told of what is done, of how much, and what it is.
        folder: of ``trees``, which take long: keeps what is done, and the same call goes on there.
            The others take seconds, and have no use for it.

    Shape:
        returns: (TFs, genes), in the order of `tfs` and of the genes.

    Raises:
        GRNError: an unknown method, TFs that are missing, repeated or not measured, fewer than
            three samples (five for ``trees``), no gene that changes, or a folder
            with something else.

    Example:
        >>> values = np.array([[1, 2, 3, 4], [2, 4, 6, 9], [1, -1, -1, 1]], np.float32)
        >>> infer(Expression(values, "abc", "wxyz"), ["a"], "pearson").round(2)
        array([[0.  , 0.99, 0.  ]])
    """
    if method not in UNSUPERVISED:
        raise GRNError(f"method {method!r}, expected one of {', '.join(UNSUPERVISED)}")
    row = expression.index()
    missing = [tf for tf in tfs if tf not in row]
    if missing:
        raise GRNError(
            f"{len(missing):,} of {len(tfs):,} TFs are not among the genes measured, such as "
            f"{', '.join(missing[:3])}; leave them out, or check that names are of the same kind"
        )
    if not tfs:
        raise GRNError("no TF was given; name those among the genes measured")
    if repeated := repeats(tfs):
        raise GRNError(f"TFs that are given more than once: {', '.join(repeated[:3])}")
    if len(expression.samples) < 3:
        raise GRNError(
            f"{len(expression.samples)} samples; expected at least three, since two points "
            "always lie on a line"
        )
    known = Known.of_all(expression, [row[tf] for tf in tfs])
    if not known.standardized.any():
        raise GRNError(f"no gene changes over the {len(expression.samples):,} samples")
    if method == "trees":
        return importances(known, seed, progress=progress, folder=folder)
    return UNSUPERVISED[method](known, seed, progress=progress)


__all__ = ["UNSUPERVISED", "clr", "correlations", "importances", "infer", "two_tower"]
