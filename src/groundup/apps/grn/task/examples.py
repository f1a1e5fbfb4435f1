"""A made-up problem, small enough to try anything on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..data.expression import Expression
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
        expression, np.arange(tfs), edges, effects.astype(np.int8), groups.astype(np.int64), ""
    )
    return replace(problem, prior_digest=edges_digest(problem, problem.edges, problem.signs))
