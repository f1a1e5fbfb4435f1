"""What expression and prior are like, before anything is trained on them.

A report in words and as JSON: sizes, zeros, genes that never change, names that agree, edges per
TF, signs; and notes on what is likely to spoil results.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..errors import GRNError
from .expression import Expression
from .names import LEAST_EDGES, NameReport, match_names
from .prior import Prior

LEAST_SAMPLES = 20
"""With fewer, correlations of independent genes beyond 0.4 are common."""
NAMED = 5
"""Names that are shown of a list."""


@dataclass(frozen=True)
class QualityReport:
    """What was found.

    Attributes:
        genes, samples: how many.
        zeros: the part of the values that are 0.
        lowest, highest: values.
        counts: whether all values are whole and none is below 0.
        constant_genes: genes with the same value in every sample.
        empty_samples: samples in which every value is 0.
        case_twins: genes whose names differ in capitals only.
        names: what of the prior is measured; None without a prior.
        edges_per_tf: of usable edges, the least, the quartiles, the mean and the most of a TF.
        signs: how many edges of the prior activate, repress, or are not told.
        self_edges: TFs of the prior that regulate themselves.
        twin_tfs: pairs of TFs of five targets or more, of which nine in ten are the same.
        notes: what is likely to spoil results, in sentences.

    Example:
        >>> expression = Expression(np.ones((2, 3), np.float32), ["fur", "Fur"], "xyz")
        >>> report = quality(expression)
        >>> list(report.constant_genes), report.case_twins
        (['fur', 'Fur'], [('fur', 'Fur')])
    """

    genes: int
    samples: int
    zeros: float
    lowest: float
    highest: float
    counts: bool
    constant_genes: Sequence[str]
    empty_samples: Sequence[str]
    case_twins: Sequence[tuple[str, ...]]
    names: NameReport | None
    edges_per_tf: Mapping[str, float]
    signs: Mapping[str, int]
    self_edges: int
    twin_tfs: Sequence[tuple[str, str]]
    notes: Sequence[str]

    def require(self) -> None:
        """Refuse what nothing can be learned from.

        Raises:
            GRNError: no gene ever changes, or too little of the prior is measured.

        Example:
            >>> quality(Expression(np.ones((2, 3), np.float32), ["fur", "entA"], "xyz")).require()
            Traceback (most recent call last):
            ...
            groundup.apps.grn.errors.GRNError: no gene changes over the 3 samples: ...
        """
        if len(self.constant_genes) == self.genes:
            raise GRNError(
                f"no gene changes over the {self.samples:,} samples: there is nothing to learn "
                "from; are they the right file and layer?"
            )
        if self.names is not None:
            self.names.require()

    def to_json(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        return asdict(self)

    def __str__(self) -> str:
        """All of it, in lines."""
        kind = "counts" if self.counts else "values"
        lines = [
            f"Expression: {self.genes:,} genes x {self.samples:,} samples; {kind} from "
            f"{self.lowest:.4g} to {self.highest:.4g}, {self.zeros:.1%} are 0",
            f"Genes that never change: {_listed(self.constant_genes)}",
        ]
        if self.names is not None:
            names, edges = self.names, self.edges_per_tf
            lines += [
                f"Prior: {names.edges:,} edges of {names.tfs:,} TFs to {names.targets:,} targets; "
                f"{self.signs['activates']:,} activate, {self.signs['represses']:,} repress, "
                f"{self.signs['unknown']:,} are not told; {self.self_edges:,} TFs regulate "
                "themselves",
                f"Usable: {names.usable:,} edges ({_part(names.usable, names.edges)}), "
                f"{names.measured_tfs:,} TFs ({_part(names.measured_tfs, names.tfs)}), "
                f"{names.measured_targets:,} targets "
                f"({_part(names.measured_targets, names.targets)})",
                f"TFs that are not measured: {_listed(names.missing_tfs)}",
                f"Targets that are not measured: {_listed(names.missing_targets)}",
            ]
            if names.idle_tfs:
                lines.append(f"TFs without a target that is measured: {_listed(names.idle_tfs)}")
            if edges:
                lines.append(
                    f"Edges of a TF: {edges['least']:g} to {edges['most']:g}, median "
                    f"{edges['median']:g}, mean {edges['mean']:.1f}, the middle half "
                    f"{edges['quarter']:g} to {edges['three quarters']:g}"
                )
        return "\n".join([*lines, *(f"Note: {note}" for note in self.notes)])


def quality(
    expression: Expression, prior: Prior | None = None, aliases: Mapping[str, str] | None = None
) -> QualityReport:
    """Look at expression, and at what of a prior can be used with it.

    Args:
        expression: as it was read.
        prior: edges, if there are some.
        aliases: other names of genes, and which they mean; of `read_aliases`.

    Example:
        >>> expression = Expression(np.eye(3, dtype=np.float32), ["fur", "entA", "sodB"], "xyz")
        >>> print(quality(expression, Prior.of([("fur", "entA", -1), ("fur", "sodC", 1)])))
        Expression: 3 genes x 3 samples; counts from 0 to 1, 66.7% are 0
        Genes that never change: none
        Prior: 2 edges of 1 TFs to 2 targets; 1 activate, 1 repress, 0 are not told; 0 TFs ...
        Usable: 1 edges (50%), 1 TFs (100%), 1 targets (50%)
        TFs that are not measured: none
        Targets that are not measured: 1: sodC
        Edges of a TF: 1 to 1, median 1, mean 1.0, the middle half 1 to 1
        Note: 3 samples: correlations are mostly chance; 20 or more are needed
        Note: 1 usable edges, at least 10 are needed
    """
    values = expression.values
    lowest, highest = float(values.min()), float(values.max())
    constant = np.flatnonzero(values.min(axis=1) == values.max(axis=1))
    empty = np.flatnonzero(~values.any(axis=0))
    names, edges, signs, own, twins = None, dict[str, float](), dict[str, int](), 0, []
    if prior is not None:
        names = match_names(expression, prior, aliases)
        measured = set(expression.genes)
        pairs = list(zip(prior.tfs, prior.targets, strict=True))
        degree = list(Counter(a for a, b in pairs if a in measured and b in measured).values())
        if degree:
            quarter, median, three = np.percentile(degree, [25, 50, 75])
            edges = {
                "least": float(min(degree)), "quarter": float(quarter), "median": float(median),
                "three quarters": float(three), "most": float(max(degree)),
                "mean": float(np.mean(degree)),
            }  # fmt: skip
        words = ((1, "activates"), (-1, "represses"), (0, "unknown"))
        signs = {word: int((prior.signs == sign).sum()) for sign, word in words}
        own = sum(tf == target for tf, target in pairs)
        twins = twin_tfs(prior)
    report = QualityReport(
        genes=len(expression.genes),
        samples=len(expression.samples),
        zeros=float(np.mean(values == 0)),
        lowest=lowest,
        highest=highest,
        counts=lowest >= 0 and bool((values == np.floor(values)).all()),
        constant_genes=[expression.genes[row] for row in constant.tolist()],
        empty_samples=[expression.samples[column] for column in empty.tolist()],
        case_twins=case_twins(expression.genes),
        names=names,
        edges_per_tf=edges,
        signs=signs,
        self_edges=own,
        twin_tfs=twins,
        notes=[],
    )
    return QualityReport(**{**vars(report), "notes": _notes(report)})


def case_twins(names: Sequence[str]) -> list[tuple[str, ...]]:
    """Names that are the same but for capitals.

    Example:
        >>> case_twins(["fur", "Tp53", "TP53"])
        [('Tp53', 'TP53')]
    """
    alike: dict[str, list[str]] = {}
    for name in names:
        alike.setdefault(name.lower(), []).append(name)
    return [tuple(group) for group in alike.values() if len(set(group)) > 1]


def twin_tfs(prior: Prior, least: int = 5, alike: float = 0.9) -> list[tuple[str, str]]:
    """Pairs of TFs that have nearly the same targets, such as two subunits of a complex.

    Args:
        prior: edges.
        least: targets that a TF must have.
        alike: the part of the targets of either that both have (Jaccard's index).

    Example:
        >>> edges = [(tf, gene, 1) for tf in ("NFYA", "NFYB") for gene in "abcdef"]
        >>> twin_tfs(Prior.of([*edges, ("SP1", "a", 1)]))
        [('NFYA', 'NFYB')]
    """
    targets: dict[str, set[str]] = {}
    for tf, target in zip(prior.tfs, prior.targets, strict=True):
        targets.setdefault(tf, set()).add(target)
    large = sorted(
        (tf for tf in targets if len(targets[tf]) >= least), key=lambda t: len(targets[t])
    )
    found = []
    for place, one in enumerate(large):
        for other in large[place + 1 :]:
            if len(targets[one]) < alike * len(targets[other]):
                break  # the next have more targets still
            both = len(targets[one] & targets[other])
            if both >= alike * (len(targets[one]) + len(targets[other]) - both):
                found.append((one, other))
    return found


def _notes(report: QualityReport) -> list[str]:
    notes = []
    if report.samples < LEAST_SAMPLES:
        notes.append(
            f"{report.samples:,} samples: correlations are mostly chance; {LEAST_SAMPLES} or more "
            "are needed"
        )
    if report.counts and report.highest > 50:
        notes.append("values are counts: normalise the depth of samples and take logarithms")
    elif report.lowest >= 0 and report.highest > 1000:
        notes.append(f"values up to {report.highest:,.0f} look unlogged: take logarithms")
    if report.empty_samples:
        notes.append(f"samples in which all is 0: {_listed(report.empty_samples)}")
    if len(report.constant_genes) > report.genes / 10:
        notes.append(
            f"{_part(len(report.constant_genes), report.genes)} of the genes never change; nothing "
            "can be told of them"
        )
    if report.case_twins:
        twins = [" and ".join(group) for group in report.case_twins]
        notes.append(f"genes that differ in capitals only: {_listed(twins)}")
    names = report.names
    if names is None:
        return notes
    if names.usable < LEAST_EDGES:
        notes.append(f"{names.usable:,} usable edges, at least {LEAST_EDGES} are needed")
    if names.by_case:
        notes.append(
            "names of the prior that would be found if capitals did not count: "
            + _listed([f"{one} as {other}" for one, other in names.by_case.items()])
        )
    if names.by_alias:
        notes.append(
            "names of the prior that the table of aliases leads to genes that are measured: "
            + _listed([f"{one} as {other}" for one, other in names.by_alias.items()])
            + "; bring it in with `groundup grn prior import FILE --aliases TABLE`"
        )
    notes += names.hints()
    if names.usable and names.usable < names.edges / 2:
        notes.append("less than half of the prior is measured: are the names of the same kind?")
    if report.twin_tfs:
        pairs = [" and ".join(pair) for pair in report.twin_tfs]
        notes.append(
            f"TFs with nearly the same targets: {_listed(pairs)}; where one is trained on, the "
            "other is known, so take held-out TFs among them for what they are"
        )
    if report.edges_per_tf.get("most", 0) > names.usable / 4 and names.measured_tfs > 4:
        notes.append(
            "one TF has more than a quarter of the usable edges: methods that count edges will "
            "look good; compare with degree-matched pairs"
        )
    return notes


def _part(some: int, all_: int) -> str:
    return f"{some / all_:.1%}".replace(".0%", "%") if all_ else "0%"


def _listed(names: Sequence[str]) -> str:
    if not names:
        return "none"
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return f"{len(names):,}: {', '.join(names[:NAMED])}{more}"
