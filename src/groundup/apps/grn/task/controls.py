"""Null controls: the same problem without what a method is supposed to find.

- `permuted_genes`: expression no longer belongs to its gene. What is still found comes from the
  edges alone;
- `rewired`: other edges, in which every TF and every gene has as many as before (Maslov and
  Sneppen, 2002). What is still found comes from degrees alone.

With degree-matched unlabelled pairs a sound method comes down to an AUROC of about 0.5 in both.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..data.expression import Expression
from ..data.prior import Prior
from .problem import Problem


def permuted_genes(problem: Problem, seed: int) -> Problem:
    """Give each gene the expression of another one drawn at random.

    Args:
        problem: stays as it is.
        seed: draws the order.

    Example:
        >>> from groundup.apps.grn.task.examples import example_problem
        >>> problem = example_problem()
        >>> control = permuted_genes(problem, 0)
        >>> bool((control.edges == problem.edges).all())
        True
    """
    given = problem.expression
    order = np.random.default_rng(seed).permutation(len(given.genes))
    return replace(
        problem,
        expression=Expression(given.values[order], given.genes, given.samples, given.annotations),
    )


def rewired(problem: Problem, seed: int, *, swaps: int = 10) -> Problem:
    """Swap the targets of pairs of edges, so that all degrees stay.

    Two edges (a, x) and (b, y) become (a, y) and (b, x) unless one of these is there already; a
    sign stays with its TF.

    Args:
        problem: stays as it is.
        seed: draws the edges.
        swaps: tried, for each edge.

    Returns:
        The problem with other edges; how far it differs is for the caller to see: where nearly all
        pairs are edges, little can be swapped.

    Example:
        >>> from groundup.apps.grn.task.examples import example_problem
        >>> problem = example_problem()
        >>> control = rewired(problem, 0)
        >>> bool((control.edges.sum(axis=0) == problem.edges.sum(axis=0)).all())
        True
        >>> bool((control.edges != problem.edges).any())
        True
    """
    random = np.random.default_rng(seed)
    tfs, genes = (index.tolist() for index in np.nonzero(problem.edges))
    count = len(tfs)
    taken = set(zip(tfs, genes, strict=True))
    for one, other in random.integers(count, size=(swaps * count, 2)).tolist():
        new = (tfs[one], genes[other]), (tfs[other], genes[one])
        if new[0] in taken or new[1] in taken:
            continue
        taken -= {(tfs[one], genes[one]), (tfs[other], genes[other])}
        taken.update(new)
        genes[one], genes[other] = genes[other], genes[one]
    edges, signs = np.zeros_like(problem.edges), np.zeros_like(problem.signs)
    edges[tfs, genes] = True
    signs[tfs, genes] = problem.signs[problem.edges]
    return replace(
        problem, edges=edges, signs=signs, prior_digest=edges_digest(problem, edges, signs)
    )


def edges_digest(problem: Problem, edges: NDArray[np.bool_], signs: NDArray[np.int8]) -> str:
    """The hash of edges, as `Prior.digest` gives it.

    Args:
        problem: the names.
        edges: which pairs are edges.
        signs: of each edge.

    Shape:
        edges, signs: (TFs, genes).

    Example:
        >>> from groundup.apps.grn.task.examples import example_problem
        >>> problem = example_problem()
        >>> edges_digest(problem, problem.edges, problem.signs) == problem.prior_digest
        True
    """
    names, tfs = problem.expression.genes, problem.tf_names
    return Prior.of(
        [(tfs[tf], names[gene], int(signs[tf, gene])) for tf, gene in np.argwhere(edges)]
    ).digest()
