"""What the benchmark of regulation works on: a problem to train on, and a model to score with.

The model has random weights, and as many TFs and genes as a human has.

Where no data set is given, the problem is synthetic, with as many TFs, genes, samples and edges as
"ecoli". Some TFs have hundreds of targets and most a few, as there, and the expression of a gene is
a noisy sum of that of its TFs: neither training nor trees end at once, as they would on noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

import groundup as gu
from groundup.apps.grn.data.datasets import load_dataset
from groundup.apps.grn.data.expression import Expression
from groundup.apps.grn.data.prior import Prior
from groundup.apps.grn.task.problem import Problem, pose
from groundup.apps.grn.training.pairs import LIMIT
from groundup.apps.grn.training.recipes import build, plan_of
from groundup.apps.grn.training.trained import Trained


@dataclass(frozen=True)
class Sizes:
    """How much there is.

    Attributes:
        tfs, genes, samples, edges: of the problem that is trained on.
        scored_tfs, scored_genes: that are scored by two towers.
        pair_genes: of the scored genes, those that a model of pairs scores.
        tree_genes: genes that trees are grown for.
    """

    tfs: int = 209
    genes: int = 3923
    samples: int = 278
    edges: int = 7792
    scored_tfs: int = 1176
    scored_genes: int = 20_000
    pair_genes: int = 360
    tree_genes: int = 24


WHOLE = Sizes()
QUICK = Sizes(12, 80, 20, 120, scored_tfs=30, scored_genes=17_000, pair_genes=600, tree_genes=3)
"""Enough blocks to be compiled, and nothing else."""


def problem(folder: Path | None, sizes: Sizes) -> Problem:
    """A data set that `groundup grn data get` made, or the synthetic problem.

    Raises:
        SystemExit: the data set has no expression.
    """
    if folder is None:
        return synthetic(sizes)
    data = load_dataset(folder)
    if data.expression is None:
        raise SystemExit(f"{folder}: no expression, which training needs; take ecoli")
    return pose(data.expression, data.prior, groups=data.groups, places=data.places)


def synthetic(sizes: Sizes) -> Problem:
    """A problem of these sizes, always the same."""
    random = np.random.default_rng(0)
    tfs, genes = sizes.tfs, sizes.genes
    wanted = np.outer(1 / np.arange(1, tfs + 1), random.gamma(1.0, size=genes))
    wanted[np.arange(tfs), np.arange(tfs)] = 0  # no TF regulates itself
    with np.errstate(divide="ignore"):
        drawn = np.log(wanted) + random.gumbel(size=wanted.shape)
    edges = np.zeros(wanted.shape, bool)
    edges.ravel()[np.argsort(-drawn, axis=None)[: sizes.edges]] = True
    effects = np.where(random.random(edges.shape) < 0.6, 1, -1) * edges
    activity = random.normal(size=(tfs, sizes.samples))
    values = effects.T @ activity / np.sqrt(np.maximum(edges.sum(0), 1))[:, None]
    values += random.normal(size=values.shape)
    values[:tfs] += 2 * activity
    names = [f"gene{number}" for number in range(genes)]
    samples = [f"sample{number}" for number in range(sizes.samples)]
    listed = [(names[tf], names[gene], int(effects[tf, gene])) for tf, gene in np.argwhere(edges)]
    return pose(Expression(values.astype(np.float32), names, samples), Prior.of(listed))


def scorer(name: str, sizes: Sizes) -> Trained:
    """A model as it is before training; it scores like any other, in the same time."""
    gu.manual_seed(0)
    tfs, genes = sizes.scored_tfs, sizes.scored_genes
    model = build(name, tfs, genes, sizes.samples, {})
    count = sizes.samples if model.reads_expression else 0
    x = np.random.default_rng(0).normal(size=(genes, count)).astype(np.float32)
    names = [f"gene{number}" for number in range(genes)]
    towers = hasattr(model, "encode_gene")
    return Trained(
        model=model.eval(),
        name=name,
        recipe=plan_of(name).recipe,
        seed=0,
        tf_names=names[:tfs],
        gene_names=names if towers else names[: sizes.pair_genes],
        samples=[f"sample{number}" for number in range(count)],
        tfs=np.arange(tfs),
        x=np.clip(x, -LIMIT, LIMIT),
        standardized=None,
        edges=np.zeros((0, 2), np.int64),
        prevalence=None,
        signs=None,
        groups=None,
    )
