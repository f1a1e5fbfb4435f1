"""All pairs of a model, some genes at a time, through the compiled engine.

Two towers encode each TF and each gene once, and a block of the matrix is one product; a model that
looks at pairs is called for each.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ....engine.ops.creation import tensor
from ..task.problem import Pairs
from .pairs import pair_inputs
from .trained import BLOCK, Trained, in_blocks


def score_blocks(trained: Trained) -> Iterator[NDArray[np.float32]]:
    """Logits of all TFs with the genes from the first on, some genes at a time.

    Args:
        trained: a model.

    Shape:
        (TFs, some genes) each.

    Example:
        >>> from groundup.apps.grn.task.examples import example_problem
        >>> from groundup.apps.grn.training.recipes import Recipe
        >>> from groundup.apps.grn.task.splits import split_pairs
        >>> from groundup.apps.grn.training.train import train
        >>> problem = example_problem()
        >>> known = problem.known(split_pairs(problem.edges, "gene", np.random.default_rng(0)))
        >>> trained = train(known, "expression", Recipe(epochs=1, options={"sizes": (8, 4)}))
        >>> [block.shape for block in score_blocks(trained)]
        [(12, 80)]
    """
    model, tfs, genes = trained.model, len(trained.tf_names), len(trained.gene_names)
    if trained.encodings is not None:
        of_tf, of_gene = tensor(trained.encodings[0]), trained.encodings[1]
        found = in_blocks(
            model, lambda b: b @ of_tf.T, lambda rows: (tensor(of_gene[rows]),), genes
        )
    else:
        found = in_blocks(
            model,
            lambda *inputs: model(*inputs).reshape(-1, tfs),
            lambda rows: pair_inputs(_all_pairs(tfs, rows), trained.tfs, trained.x),
            genes,
            max(1, BLOCK // tfs),
        )
    for block in found:
        yield block.T


def _all_pairs(tfs: int, genes: NDArray[np.int64]) -> Pairs:
    """Each of these genes with every TF."""
    return np.stack([np.tile(np.arange(tfs), len(genes)), np.repeat(genes, tfs)], axis=1)
