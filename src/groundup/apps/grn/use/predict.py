"""A trained model's scores of all pairs of a TF and a gene, as a network.

Two towers encode each TF and each gene once, and a block of the matrix is one product; a model that
looks at pairs is called for each. Blocks go through the compiled engine.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..models import Ensemble
from ..models.logistic import sigmoid
from ..networks.network import Network
from ..progress import Progress, part_of
from ..training.blocks import score_blocks
from ..training.trained import Trained
from .combined import Combined


def predict(
    trained: Trained | Ensemble[Trained] | Combined, progress: Progress | None = None
) -> Network:
    """Score every TF with every gene.

    Args:
        trained: a model, whose scores are log-odds; or an ensemble of models of the same TFs and
            genes, whose scores are mean probabilities, and which knows their spread. Of a combined
            model the spread is that of its towers.
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
    if isinstance(trained, Combined):
        return _of_combined(trained, progress)
    shape = len(trained.tf_names), len(trained.gene_names)
    scores, probability = np.empty(shape, np.float32), np.empty(shape, np.float32)
    sign, start = np.zeros(shape, np.int8), 0
    head, z = trained.signs, trained.standardized
    for block in score_blocks(trained):
        genes = slice(start, start + block.shape[1])
        if trained.prevalence is not None:
            block = trained.prevalence.of_all(block, genes)
        scores[:, genes], probability[:, genes] = block, sigmoid(block)
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


def _of_combined(combined: Combined, progress: Progress | None) -> Network:
    """The towers' network with scores under all of the evidence."""
    network = _of_ensemble(combined.towers, progress)
    scores = np.zeros(network.scores.shape, np.float32)
    for tower in combined.towers.members:
        start = 0
        for block in score_blocks(tower):
            scores[:, start : start + block.shape[1]] += block / len(combined.towers.members)
            start += block.shape[1]
    each = zip(
        [scores, *combined.tables.values()],
        combined.middle,
        combined.width,
        combined.weights,
        strict=True,
    )
    total = np.zeros(scores.shape, np.float32)
    for evidence, middle, width, weight in each:
        total += np.float32(weight / width) * (evidence - np.float32(middle))
    if combined.prevalence is not None:
        total = combined.prevalence.of_all(total)
    return replace(network, scores=total, probability=sigmoid(total))
