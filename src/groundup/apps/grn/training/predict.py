"""A trained model's scores of all pairs of a TF and a gene, as a network.

Two towers encode each TF and each gene once, and a block of the matrix is one product; a model that
looks at pairs is called for each. Blocks go through the compiled engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ....engine.ops.creation import tensor
from ..models import Ensemble
from ..networks.network import Network
from ..task.problem import Pairs
from .pairs import pair_inputs
from .trained import BLOCK, Trained, in_blocks

Progress = Callable[[int, int, str], None]


def predict(trained: Trained | Ensemble[Trained], progress: Progress | None = None) -> Network:
    """Score every TF with every gene.

    Args:
        trained: a model, or an ensemble of models of the same TFs and genes; an ensemble's scores
            are its mean probabilities, and it knows their spread.
        progress: told of pairs done, of pairs in all, and of what is done.

    Example:
        >>> from groundup.apps.grn.task.examples import example_problem
        >>> from groundup.apps.grn.training.recipes import Recipe
        >>> from groundup.apps.grn.task.splits import split_pairs
        >>> from groundup.apps.grn.training.train import train
        >>> problem = example_problem()
        >>> known = problem.known(split_pairs(problem.edges, "gene", np.random.default_rng(0)))
        >>> trained = train(known, "expression", Recipe(epochs=2, options={"sizes": (8, 4)}))
        >>> predict(trained)
        Network(12 TFs, 80 genes)
    """
    if isinstance(trained, Ensemble):
        return _of_ensemble(trained, progress)
    shape = len(trained.tf_names), len(trained.gene_names)
    scores, probability = np.empty(shape, np.float32), np.empty(shape, np.float32)
    sign, start = np.zeros(shape, np.int8), 0
    head, z = trained.signs, trained.standardized
    for block in score_blocks(trained):
        genes = slice(start, start + block.shape[1])
        scores[:, genes], probability[:, genes] = block, trained.calibrated(block)
        if head is not None and z is not None:
            sign[:, genes] = np.where(head.activates(trained.tfs, z, genes), 1, -1)
        start = genes.stop
        if progress is not None:
            progress(shape[0] * start, shape[0] * shape[1], f"scoring by {trained.name}")
    in_prior = np.zeros(shape, bool)
    in_prior[tuple(trained.edges.T)] = True
    return Network(
        trained.tf_names,
        trained.gene_names,
        scores,
        probability,
        sign=None if head is None or z is None else sign,
        in_prior=in_prior,
    )


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


def _of_ensemble(ensemble: Ensemble[Trained], progress: Progress | None) -> Network:
    """The mean of the probabilities and their deviation, without keeping all of them."""
    count = len(ensemble.members)
    for number, member in enumerate(ensemble.members):
        network = predict(member, progress and part_of(progress, number, count))
        assert network.probability is not None
        p = network.probability.astype(np.float64)
        if not number:
            mean, squares = np.zeros(p.shape), np.zeros(p.shape)
        # Welford (1962).
        gap = p - mean
        mean += gap / (number + 1)
        squares += gap * (p - mean)
    found = mean.astype(np.float32)
    spread = np.sqrt(squares / count).astype(np.float32)
    return replace(network, scores=found, probability=found, spread=spread)


def part_of(progress: Progress, number: int, members: int) -> Progress:
    """Progress of all members of an ensemble, told of that of one.

    Args:
        progress: told of the whole.
        number: of the member, from 0.
        members: how many there are.

    Example:
        >>> part_of(lambda *told: print(told), 1, 2)(3, 10, "training")
        (13, 20, 'member 2 of 2: training')
    """

    def tell(done: int, of: int, what: str) -> None:
        progress(number * of + done, members * of, f"member {number + 1} of {members}: {what}")

    return tell
