"""Which pairs a method is asked about: edges of validation and test, with unlabelled pairs beside.

A function of the problem, the protocol and the seed alone, so that every method is asked the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .negatives import Negatives, draw_unlabelled
from .problem import Pairs, Problem
from .splits import TEST, VALIDATION, Kind, Split, split_pairs


@dataclass(frozen=True, eq=False)
class Questions:
    """Pairs to be scored, with what the prior says of them.

    Attributes:
        seed: of the split and of the unlabelled pairs.
        split: the parts of all pairs.
        validation, test: pairs.
        validation_labels, test_labels: whether each is an edge of the prior.

    Shape:
        validation, test: (pairs, 2), the number of a TF and of a gene; labels: (pairs,).

    Example:
        >>> from groundup.apps.grn.task.examples import example_problem
        >>> questions = draw_questions(example_problem(), "gene", "matched", 0)
        >>> len(questions.test) == len(questions.test_labels)
        True
    """

    seed: int
    split: Split
    validation: Pairs
    validation_labels: NDArray[np.bool_]
    test: Pairs
    test_labels: NDArray[np.bool_]


def draw_questions(
    problem: Problem, kind: Kind, negatives: Negatives, seed: int, *, ratio: float = 1.0
) -> Questions:
    """Split, and draw unlabelled pairs for validation and test in the same way.

    Args:
        problem: all that is known.
        kind: what is held out.
        negatives: how unlabelled pairs are drawn.
        seed: of both.
        ratio: unlabelled pairs for each edge; without meaning for ``all``.

    Raises:
        ValueError: as `split_pairs` and `draw_unlabelled`.

    Example:
        >>> from groundup.apps.grn.task.examples import example_problem
        >>> questions = draw_questions(example_problem(), "edge", "uniform", 0, ratio=3)
        >>> round(float(questions.test_labels.mean()), 2)
        0.25
    """
    random = np.random.default_rng(seed)
    split = split_pairs(problem.edges, kind, random, groups=problem.groups)

    def ask(part: int) -> tuple[Pairs, NDArray[np.bool_]]:
        edges = split.pairs(part, problem.edges)
        others = draw_unlabelled(problem.edges, split, part, negatives, random, ratio=ratio)
        return np.concatenate([edges, others]), np.arange(len(edges) + len(others)) < len(edges)

    return Questions(seed, split, *ask(VALIDATION), *ask(TEST))


def questions_of(
    problem: Problem,
    kind: Kind,
    negatives: Negatives,
    seeds: Sequence[int],
    *,
    ratio: float = 1.0,
) -> dict[int, Questions]:
    """The questions of all seeds; with them it is known that all can be asked.

    Args:
        problem: all that is known.
        kind: what is held out.
        negatives: how unlabelled pairs are drawn.
        seeds: of the questions.
        ratio: unlabelled pairs for each edge; without meaning for ``all``.

    Raises:
        ValueError: as `draw_questions`.

    Example:
        >>> from groundup.apps.grn.task.examples import example_problem
        >>> list(questions_of(example_problem(), "edge", "uniform", [0, 4]))
        [0, 4]
    """
    return {seed: draw_questions(problem, kind, negatives, seed, ratio=ratio) for seed in seeds}
