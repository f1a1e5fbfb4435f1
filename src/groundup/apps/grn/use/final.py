"""A model for use, rather than one to be tested: no edge is held back but those of validation.

A part of the edges is kept for validation: on it training is ended and scores are made into
probabilities. Nothing is tested, so how good the model is has to be asked of `evaluate`, which
trains others like it on less.
"""

from __future__ import annotations

import os

import numpy as np

from ..errors import GRNError
from ..models import Ensemble
from ..progress import Progress
from ..task.problem import Known, Problem
from ..task.splits import TRAIN, VALIDATION, Kind, Split, split_pairs
from ..training.recipes import Recipe, plan_of
from ..training.train import MEMBERS, train, train_ensemble
from ..training.trained import Trained
from .combined import Combined, train_combined


def known_for_use(problem: Problem, kind: Kind, seed: int) -> Known:
    """Everything, of which a part is for validation and nothing for a test.

    Args:
        problem: all that is known.
        kind: how the validation part is held out, as in `split_pairs`.
        seed: draws it.

    Raises:
        GRNError: no edge would be left for validation, or groups are missing.

    Example:
        >>> from groundup.apps.grn.task.examples import example_problem
        >>> problem = example_problem()
        >>> known = known_for_use(problem, "gene", 0)
        >>> bool(((known.edges | known.validation_edges) == problem.edges).all())
        True
    """
    random = np.random.default_rng([seed, 4])
    groups = problem.groups if (problem.groups >= 0).any() else None
    try:
        split = split_pairs(problem.edges, kind, random, groups=groups)
    except ValueError as error:
        raise GRNError(str(error)) from error
    parts = np.where(split.parts == VALIDATION, VALIDATION, TRAIN).astype(np.int8)
    return problem.known(Split(kind, parts))


def usual_kind(problem: Problem, name: str) -> Kind:
    """How validation is held out if nothing is said.

    By edge for a model with a vector for each gene, which can say nothing of genes that it never
    saw; else by group where genes have groups, and by gene where not.

    Args:
        problem: all that is known.
        name: of the model.

    Example:
        >>> from groundup.apps.grn.task.examples import example_problem
        >>> usual_kind(example_problem(), "regulon"), usual_kind(example_problem(), "two-tower")
        ('group', 'edge')
    """
    if name != "combined" and getattr(plan_of(name).build, "knows_genes", False):
        return "edge"
    return "group" if (problem.groups >= 0).any() else "gene"


def train_for_use(
    problem: Problem,
    name: str = "regulon",
    recipe: Recipe | None = None,
    seed: int = 0,
    *,
    kind: Kind | None = None,
    members: int = 1,
    folder: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Trained | Ensemble[Trained] | Combined:
    """Train a model on all edges that are known, but for a part to validate it on.

    Args:
        problem: all that is known.
        name: of the model, as in `PLANS`, or ``combined``.
        recipe: the settings; the model's own if None, or that of the towers.
        seed: of everything that is drawn; the same seed gives the same bits.
        kind: how the validation part is held out; `usual_kind` if None.
        members: of an ensemble; 1 is a single model. Of towers in a combined model, `MEMBERS` if 1.
        folder: keeps where training is; the same call goes on there.
        progress: told of steps done, of steps at most, and of what is done.

    Raises:
        GRNError: as `train`, or no edge would be left for validation.

    Example:
        >>> from groundup.apps.grn.task.examples import example_problem
        >>> recipe = Recipe(epochs=1, options={"sizes": (8, 4)})
        >>> train_for_use(example_problem(), "expression", recipe)
        Trained('expression', 568 parameters, 12 TFs, 80 genes)
    """
    known = known_for_use(problem, kind or usual_kind(problem, name), seed)
    if name == "combined":
        return train_combined(
            known, recipe, seed, MEMBERS if members == 1 else members, progress, folder
        )
    if members == 1:
        return train(known, name, recipe, seed, progress, folder)
    return train_ensemble(known, name, recipe, seed, members, progress, folder)
