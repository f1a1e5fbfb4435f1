"""A network from expression alone, with what was known beforehand marked in it."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..data.expression import Expression
from ..data.prior import Prior
from ..errors import GRNError
from ..networks.network import Network
from ..progress import Progress
from ..unsupervised import infer as scores


def infer(
    expression: Expression,
    tfs: Sequence[str] | None = None,
    method: str = "clr",
    *,
    prior: Prior | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    folder: str | os.PathLike[str] | None = None,
) -> Network:
    """Infer a network without learning from a known edge.

    Args:
        expression: of all genes.
        tfs: which of them are TFs; those of the prior that are measured if None.
        method: ``pearson``, ``clr``, ``trees`` or ``two-tower-self-supervised``.
        prior: marks which pairs were known; it changes no score.
        seed: of the last two methods; the same seed gives the same bits.
        progress: told of what is done, of how much, and what it is.
        folder: of ``trees``, which take long: keeps what is done, and the same call goes on there.

    Raises:
        GRNError: neither TFs nor a prior, none of them measured, or as `unsupervised.infer`.

    Example:
        >>> from groundup.apps.grn.task.examples import example_problem
        >>> expression = example_problem().expression
        >>> network = infer(expression, ["gene0", "gene1"], "pearson")
        >>> network, network.in_prior is None
        (Network(2 TFs, 80 genes), True)
    """
    if tfs is None:
        if prior is None:
            raise GRNError("name the TFs, or give a prior that has them")
        measured = set(expression.genes)
        tfs = [tf for tf in sorted(set(prior.tfs)) if tf in measured]
        if not tfs:
            raise GRNError(
                f"no TF of the prior is among the {len(measured):,} genes measured, such as "
                f"{', '.join(expression.genes[:3])}; are the names of the same kind?"
            )
    found = scores(expression, tfs, method, seed=seed, progress=progress, folder=folder)
    known = None if prior is None else _marked(tfs, expression.genes, prior)
    return Network(tfs, expression.genes, found.astype(np.float32), in_prior=known)


def _marked(tfs: Sequence[str], genes: Sequence[str], prior: Prior) -> NDArray[np.bool_]:
    """Which pairs are edges of a prior. Shape: (TFs, genes)."""
    row = {tf: number for number, tf in enumerate(tfs)}
    column = {gene: number for number, gene in enumerate(genes)}
    marked = np.zeros((len(tfs), len(genes)), bool)
    for tf, gene in zip(prior.tfs, prior.targets, strict=True):
        if tf in row and gene in column:
            marked[row[tf], column[gene]] = True
    return marked
