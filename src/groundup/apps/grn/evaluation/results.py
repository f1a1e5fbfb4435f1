"""What came of an evaluation: who was asked what, the answers, and what was measured of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..task.negatives import Negatives
from ..task.problem import Pairs, Problem
from ..task.splits import Kind
from .measure import METRICS

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Protocol:
    """What was asked of whom, so that only like is compared with like.

    Attributes:
        kind: what was held out.
        negatives: how unlabelled pairs were drawn.
        ratio: unlabelled pairs for each edge.
        prior: the hash of the prior.
        data: the hash of the genes and their expression, of TFs, edges, groups and places.
        tfs, genes, samples, edges: how many.

    Example:
        >>> from groundup.apps.grn.task.examples import example_problem
        >>> protocol = Protocol.of(example_problem(), "gene", "matched", 1.0)
        >>> protocol.tfs, protocol.genes, protocol.samples
        (12, 80, 30)
    """

    kind: Kind
    negatives: Negatives
    ratio: float
    prior: str
    data: str
    tfs: int
    genes: int
    samples: int
    edges: int

    @classmethod
    def of(cls, problem: Problem, kind: Kind, negatives: Negatives, ratio: float) -> Protocol:
        """The protocol of a problem."""
        given = problem.expression
        digest = hashlib.sha256("\n".join(given.genes).encode())
        for array in (problem.tfs, problem.groups, problem.places, problem.edges, given.values):
            digest.update(np.ascontiguousarray(array).tobytes())
        tfs, genes = problem.edges.shape
        return cls(
            kind,
            negatives,
            float(ratio),
            problem.prior_digest,
            digest.hexdigest(),
            tfs,
            genes,
            len(given.samples),
            int(problem.edges.sum()),
        )


@dataclass(frozen=True, eq=False)
class Asked:
    """The test pairs of a seed.

    Attributes:
        pairs: the number of a TF and of a gene.
        labels: whether each is an edge of the prior.

    Shape:
        pairs: (pairs, 2); labels: (pairs,).

    Example:
        >>> Asked(np.array([[0, 3]]), np.array([True])).pairs.shape
        (1, 2)
    """

    pairs: Pairs
    labels: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Run:
    """What a method answered with one seed.

    Attributes:
        method: its name.
        seed: of questions and method.
        scores: of the test pairs.
        probabilities: the same, calibrated on validation pairs.
        metrics: by the names of `METRICS`, with ``prevalence`` and ``threshold``.

    Shape:
        scores, probabilities: (pairs,).

    Example:
        >>> Run("degree", 0, np.zeros(2), np.full(2, 0.5), {"auroc": 0.5}).metrics["auroc"]
        0.5
    """

    method: str
    seed: int
    scores: Numbers
    probabilities: Numbers
    metrics: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Runs of methods on the same questions.

    Attributes:
        protocol: what was asked.
        tf_names: of each TF.
        asked: the test pairs by seed.
        runs: by (method, seed).

    Example:
        >>> from groundup.apps.grn.baselines import degree, majority
        >>> from groundup.apps.grn.evaluation.evaluate import evaluate
        >>> from groundup.apps.grn.task.examples import example_problem
        >>> methods = {"majority": majority, "degree": degree}
        >>> found = evaluate(example_problem(), methods, "gene", "uniform", seeds=[0, 1])
        >>> found.methods, found.seeds, float(found.values("majority", "auroc").mean())
        (['majority', 'degree'], [0, 1], 0.5)
    """

    protocol: Protocol
    tf_names: Sequence[str]
    asked: Mapping[int, Asked] = field(default_factory=dict)
    runs: Mapping[tuple[str, int], Run] = field(default_factory=dict)

    @property
    def methods(self) -> list[str]:
        """Names, in the order in which they came."""
        return list(dict.fromkeys(method for method, _ in self.runs))

    @property
    def seeds(self) -> list[int]:
        """Seeds, in the order in which they came."""
        return list(self.asked)

    def of(self, method: str) -> list[Run]:
        """The runs of a method, by seed."""
        return [self.runs[method, seed] for seed in self.seeds]

    def values(self, method: str, metric: str) -> Numbers:
        """A metric of a method, by seed.

        Shape:
            returns: (seeds,).
        """
        return np.array([run.metrics[metric] for run in self.of(method)])

    def table(self) -> str:
        """Means over the seeds, with the deviation between seeds of the AUROC, as text."""
        names = [*METRICS]
        head = ["method", *names]
        rows = []
        for method in self.methods:
            means = [self.values(method, name).mean() for name in names]
            cells = [f"{mean:.3f}" for mean in means]
            if len(self.seeds) > 1:
                cells[0] += f" ± {self.values(method, names[0]).std(ddof=1):.3f}"
            rows.append([method, *cells])
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        lines = [
            "  ".join(
                cell.rjust(width) if place else cell.ljust(width)
                for place, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in [head, *rows]
        ]
        return "\n".join([self.title(), *lines])

    def title(self) -> str:
        """What was asked, in a line."""
        protocol = self.protocol
        count = len(self.seeds)
        return (
            f"held out by {protocol.kind}, {protocol.negatives} unlabelled pairs, "
            f"{count} seed{'' if count == 1 else 's'}; {protocol.edges:,} edges, "
            f"{protocol.tfs:,} TFs, {protocol.genes:,} genes, {protocol.samples:,} samples"
        )

    def to_json(self) -> str:
        """Protocol, seeds and metrics of all runs, without the scores of pairs; NaN is null."""
        runs = [
            {"method": run.method, "seed": run.seed, "metrics": _finite(run.metrics)}
            for run in self.runs.values()
        ]
        means = {
            method: _finite({name: float(self.values(method, name).mean()) for name in METRICS})
            for method in self.methods
        }
        content = {
            "format": 1,
            "protocol": asdict(self.protocol),
            "seeds": self.seeds,
            "methods": self.methods,
            "means": means,
            "runs": runs,
        }
        return json.dumps(content, indent=1, allow_nan=False)


def _finite(metrics: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if np.isfinite(value) else None for name, value in metrics.items()}
