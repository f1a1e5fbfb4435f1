"""A made-up problem, small enough to try anything on."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from ....engine.files import write_atomically
from ..data.expression import Expression
from ..data.prior import Prior, write_prior
from ..data.read import write_expression
from .controls import edges_digest
from .problem import Problem


def example_problem(
    seed: int = 0, *, tfs: int = 12, genes: int = 80, samples: int = 30, strength: float = 1.0
) -> Problem:
    """A small synthetic problem in which a gene is a noisy sum of its TFs.

    Genes come in operons of two, which share their regulators, as some TFs have many targets.

    Args:
        seed: draws everything.
        tfs: how many of the genes, the first ones, are TFs.
        genes: how many.
        samples: how many.
        strength: of regulation, beside noise of deviation 1; 0 makes expression worthless.

    Example:
        >>> problem = example_problem()
        >>> problem.expression, problem.edges.shape
        (Expression(80 genes, 30 samples), (12, 80))
    """
    random = np.random.default_rng(seed)
    groups = np.arange(genes) // 2
    activity = random.normal(size=(tfs, samples))
    chance = np.linspace(0.35, 0.05, tfs)[:, None]
    edges = (random.random((tfs, groups[-1] + 1)) < chance)[:, groups]
    effects = np.where(random.random((tfs, groups[-1] + 1)) < 0.6, 1, -1)[:, groups] * edges
    values = strength * effects.T @ activity + random.normal(size=(genes, samples))
    values[:tfs] += 3 * strength * activity
    names = [f"gene{number}" for number in range(genes)]
    expression = Expression(
        values.astype(np.float32), names, [f"sample{number}" for number in range(samples)]
    )
    problem = Problem(
        expression,
        np.arange(tfs),
        edges,
        effects.astype(np.int8),
        groups.astype(np.int64),
        "",
        np.arange(genes),
    )
    return replace(problem, prior_digest=edges_digest(problem, problem.edges, problem.signs))


def write_example(folder: str | os.PathLike[str], seed: int = 0) -> Path:
    """Write the example as the files that one brings: expression, known edges, operons.

    Args:
        folder: is made if missing; gets ``expression.tsv``, ``prior.tsv`` and ``genes.tsv``.
        seed: draws everything.

    Returns:
        the folder.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     sorted(path.name for path in write_example(folder).iterdir())
        ['expression.tsv', 'genes.tsv', 'prior.tsv']
    """
    place, problem = Path(folder), example_problem(seed)
    names, tfs = problem.expression.genes, problem.tf_names
    write_expression(problem.expression, place / "expression.tsv")
    edges = [
        (tfs[tf], names[gene], int(problem.signs[tf, gene]))
        for tf, gene in np.argwhere(problem.edges).tolist()
    ]
    write_prior(Prior.of(edges), place / "prior.tsv")
    rows = [f"{name}\toperon{group}" for name, group in zip(names, problem.groups, strict=True)]
    write_atomically(place / "genes.tsv", ("\n".join(["gene\toperon", *rows]) + "\n").encode())
    return place
