"""A small problem with a network planted in it, and what a method may see of it."""

from functools import cache

import numpy as np

from groundup.apps.grn.task.examples import example_problem
from groundup.apps.grn.task.problem import Known, Problem
from groundup.apps.grn.task.splits import Kind, Split, split_pairs
from groundup.apps.grn.training.recipes import Recipe

SMALL = {
    "regulon": {"width": 8, "hidden": 16},
    "expression": {"sizes": (16, 8)},
    "embedding": {"sizes": (8, 16, 8)},
    "optimised": {"sizes": (8, 16, 12, 8, 4)},
}
"""Options that make models small."""


@cache
def posed(kind: Kind = "gene") -> tuple[Problem, Split, Known]:
    problem = example_problem()
    split = split_pairs(problem.edges, kind, np.random.default_rng(0), groups=problem.groups)
    return problem, split, problem.known(split)


def quick(name: str, **settings: object) -> Recipe:
    """A recipe of few epochs for a small model of this name."""
    given = {"epochs": 3, "batch": 64, "options": SMALL.get(name, {})} | settings
    return Recipe(**given)  # type: ignore[arg-type]
