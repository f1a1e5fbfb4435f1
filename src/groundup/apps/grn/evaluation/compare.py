"""Methods compared pair by pair: the same questions, and how far the answers differ.

Each seed of an evaluation asks for the same test pairs of every method, and the same edges with the
same split give the same pairs again; so methods are compared on these pairs, seed by seed, and what
makes one seed harder than another falls out. The p-value is that of `permutation_test`, in which
TFs swap; after Holm's correction for all comparisons made at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from ..errors import GRNError
from .measure import METRICS
from .results import Evaluation
from .statistics import Difference, Scored, holm, permutation_test

Comparison = tuple[str, str]


@dataclass(frozen=True)
class Contrast:
    """How far a method is from another one.

    Attributes:
        method: of the first evaluation.
        against: the method of the second evaluation.
        one, other: their AUROC, the mean over the seeds.
        difference: of the AUROC, with the p-value of this comparison alone.
        adjusted: the p-value after Holm's correction.
        above: in how many of the seeds the first has the higher AUROC.
        seeds: how many there are.
        means: the difference of each of the `METRICS`, the mean over the seeds.

    Example:
        >>> Contrast("a", "b", 0.7, 0.6, Difference(0.1, 0.01), 0.02, 5, 5, {}).difference.value
        0.1
    """

    method: str
    against: str
    one: float
    other: float
    difference: Difference
    adjusted: float
    above: int
    seeds: int
    means: Mapping[str, float]


def compare(
    one: Evaluation,
    other: Evaluation,
    pairs: Sequence[Comparison] | None = None,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> list[Contrast]:
    """Compare methods of two evaluations, or of one with itself, on the seeds that both have.

    Args:
        one: with the first methods.
        other: with those that they are compared with.
        pairs: a method of each; every method that both have, with its namesake, if None.
        resamples: draws of the permutation test.
        seed: of these draws; each comparison has its own.

    Raises:
        GRNError: no method or no seed in common, a method that is not there, or other test pairs.

    Example:
        >>> from groundup.apps.grn.baselines import degree, neighbours
        >>> from groundup.apps.grn.evaluation.evaluate import evaluate
        >>> from groundup.apps.grn.task.examples import example_problem
        >>> methods = {"degree": degree, "neighbours": neighbours}
        >>> found = evaluate(example_problem(), methods, "gene", seeds=3)
        >>> only = compare(found, found, [("neighbours", "degree")], resamples=100)[0]
        >>> only.difference.value > 0, only.above, only.seeds
        (True, 3, 3)
    """
    seeds = [seed_ for seed_ in one.seeds if seed_ in other.asked]
    if not seeds:
        raise GRNError("the evaluations have no seed in common")
    if pairs is None:
        pairs = [(name, name) for name in one.methods if name in other.methods]
        if not pairs:
            raise GRNError(
                f"no method is in both evaluations: {', '.join(one.methods)}; "
                f"{', '.join(other.methods)}. Say which are to be compared"
            )
    for names, found in zip(zip(*pairs, strict=True), (one, other), strict=True):
        if unknown := [name for name in names if name not in found.methods]:
            raise GRNError(
                f"method {unknown[0]!r} is not in the evaluation, which has "
                f"{', '.join(found.methods)}"
            )
    _same_pairs(one, other, seeds)
    tests = {
        pair: permutation_test(
            _scored(one, pair[0], seeds),
            _scored(other, pair[1], seeds),
            np.random.default_rng(seed),
            permutations=resamples,
        )
        for pair in dict.fromkeys(pairs)
    }
    adjusted = holm({"\n".join(pair): test.p for pair, test in tests.items()})
    lines = []
    for (method, against), test in tests.items():
        first, second = (
            [found.runs[name, s].metrics for s in seeds]
            for found, name in ((one, method), (other, against))
        )
        auroc = [np.array([metrics["auroc"] for metrics in side]) for side in (first, second)]
        lines.append(
            Contrast(
                method,
                against,
                float(auroc[0].mean()),
                float(auroc[1].mean()),
                test,
                adjusted[f"{method}\n{against}"],
                int(np.count_nonzero(auroc[0] > auroc[1])),
                len(seeds),
                {
                    name: float(
                        np.mean([a[name] - b[name] for a, b in zip(first, second, strict=True)])
                    )
                    for name in METRICS
                },
            )
        )
    return sorted(lines, key=lambda line: -line.difference.value)


def _scored(found: Evaluation, method: str, seeds: Sequence[int]) -> list[Scored]:
    return [
        Scored(found.asked[s].pairs[:, 0], found.asked[s].labels, found.runs[method, s].scores)
        for s in seeds
    ]


def _same_pairs(one: Evaluation, other: Evaluation, seeds: Sequence[int]) -> None:
    for seed in seeds:
        a, b = one.asked[seed], other.asked[seed]
        if not np.array_equal(a.pairs, b.pairs) or not np.array_equal(a.labels, b.labels):
            here, there = asdict(one.protocol), asdict(other.protocol)
            # The hash of the data changes with what may differ, such as the expression.
            differ = [
                f"{name} {here[name]} and {there[name]}"
                for name in here
                if here[name] != there[name] and name != "data"
            ]
            raise GRNError(
                "the evaluations asked about other pairs, so that nothing can be paired: "
                + ("; ".join(differ) or "their data are others")
            )
