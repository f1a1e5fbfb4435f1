"""One line for each method: what it reached, how sure that is, and whether it beats degree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..task.metrics import auroc
from .measure import METRICS
from .results import Evaluation
from .statistics import (
    Difference,
    Interval,
    Scored,
    bootstrap,
    holm,
    permutation_test,
)

AGAINST = "degree"


@dataclass(frozen=True)
class Line:
    """What a method reached.

    Attributes:
        method: its name.
        auroc: the mean over the seeds, with an interval of 95 % clustered by TF.
        auprc: likewise.
        means: of all `METRICS` over the seeds.
        difference: of the AUROC from that of degree, by a paired permutation test; None if degree
            was not evaluated, and of degree itself.
        adjusted: its p-value after Holm's correction for all methods of the evaluation.

    Example:
        >>> Line("degree", Interval(0.5, 0.4, 0.6), Interval(0.5, 0.4, 0.6), {}).adjusted is None
        True
    """

    method: str
    auroc: Interval
    auprc: Interval
    means: Mapping[str, float]
    difference: Difference | None = None
    adjusted: float | None = None


def scored(evaluation: Evaluation, method: str) -> list[Scored]:
    """The scores of a method, by seed.

    Args:
        evaluation: has the method.
        method: its name.

    Example:
        >>> from groundup.apps.grn.baselines import degree
        >>> from groundup.apps.grn.evaluation.evaluate import evaluate
        >>> from groundup.apps.grn.task.examples import example_problem
        >>> found = evaluate(example_problem(), {"degree": degree}, "gene", seeds=2)
        >>> len(scored(found, "degree"))
        2
    """
    return [
        Scored(
            evaluation.asked[run.seed].pairs[:, 0], evaluation.asked[run.seed].labels, run.scores
        )
        for run in evaluation.of(method)
    ]


def summarize(evaluation: Evaluation, *, resamples: int = 2000, seed: int = 0) -> list[Line]:
    """Summarize an evaluation.

    Args:
        evaluation: of any methods.
        resamples: draws of the bootstrap and of the permutation test; a quarter of it for the
            AUPRC, of which each draw takes longer.
        seed: of these draws; each method has its own, so that its line does not depend on which
            others there are.

    Returns:
        Lines, the highest AUROC first.

    Example:
        >>> from groundup.apps.grn.baselines import degree, neighbours
        >>> from groundup.apps.grn.evaluation.evaluate import evaluate
        >>> from groundup.apps.grn.task.examples import example_problem
        >>> methods = {"degree": degree, "neighbours": neighbours}
        >>> found = evaluate(example_problem(), methods, "gene", seeds=2)
        >>> [line.method for line in summarize(found, resamples=100)]
        ['neighbours', 'degree']
    """
    tests: dict[str, Difference] = {}
    intervals: dict[str, tuple[Interval, Interval]] = {}
    for method in evaluation.methods:
        own = scored(evaluation, method)
        random = np.random.default_rng(seed)
        intervals[method] = (
            bootstrap(own, "auroc", random, resamples=resamples),
            bootstrap(own, "auprc", random, resamples=max(resamples // 4, 50)),
        )
        if AGAINST in evaluation.methods and method != AGAINST:
            other = scored(evaluation, AGAINST)
            tests[method] = permutation_test(
                own, other, np.random.default_rng(seed), permutations=resamples
            )
    adjusted = holm({name: test.p for name, test in tests.items()})
    lines = [
        Line(
            method,
            *intervals[method],
            {name: float(evaluation.values(method, name).mean()) for name in METRICS},
            tests.get(method),
            adjusted.get(method),
        )
        for method in evaluation.methods
    ]
    return sorted(lines, key=lambda line: -line.auroc.value)


def hidden_degree(evaluation: Evaluation) -> float:
    """The mean AUROC of how many edges a gene has among the test pairs themselves.

    No method is told. It says how much would be left to one that guessed which genes are regulated
    much: 0.5 if unlabelled pairs were matched perfectly, which cannot be for genes that nearly all
    large TFs regulate.

    Args:
        evaluation: any.

    Example:
        >>> from groundup.apps.grn.baselines import degree
        >>> from groundup.apps.grn.evaluation.evaluate import evaluate
        >>> from groundup.apps.grn.task.examples import example_problem
        >>> matched, every = (
        ...     evaluate(example_problem(), {"degree": degree}, "gene", negatives, seeds=2)
        ...     for negatives in ("matched", "all")
        ... )
        >>> hidden_degree(matched) < hidden_degree(every)
        True
    """
    found = []
    for asked in evaluation.asked.values():
        genes = asked.pairs[:, 1]
        edges = np.bincount(genes, asked.labels, minlength=evaluation.protocol.genes)
        found.append(auroc(asked.labels, edges[genes]))
    return float(np.mean(found))
