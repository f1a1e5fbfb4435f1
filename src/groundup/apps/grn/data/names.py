"""Do the prior and the expression speak of the same genes?

Most failures of network inference on somebody's own data are names: symbols in one file and
identifiers in the other, human capitals against mouse's, aliases, complexes of several genes.
`match_names` says how many agree and gives hints, before anything is trained.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import GRNError
from .expression import Expression
from .kinds import IDENTIFIERS, kind_of
from .prior import Prior

LEAST_EDGES = 10
"""With fewer usable edges nothing can be trained or told."""
FEW_NAMES = 3
"""Some symbols, such as P2RY10, look like accessions: so many names or more are told of."""

_PARTS = re.compile(r"COMPLEX:|::|[_;:/+&|,-]")


_TABLE = "`groundup grn prior import FILE --aliases TABLE`, a table of both names"


@dataclass(frozen=True)
class NameReport:
    """What of a prior can be used with an expression matrix.

    Attributes:
        edges: of the prior.
        usable: edges whose TF and target are both measured.
        tfs, measured_tfs: TFs of the prior, and those that are measured.
        targets, measured_targets: the same of targets.
        missing_tfs, missing_targets: names that are not measured, those with most edges first.
        idle_tfs: TFs that are measured, and none of whose targets is.
        by_case: names that would be found if capitals did not count, with what they would be.
        by_alias: names that a table of aliases leads to a measured gene.
        identifiers: of the names that are not measured, those that are no symbols, by kind.
        complexes: of these, those of several genes, such as ``JUN_FOS`` or ``COMPLEX:P01100``.
        unnamed_edges: edges with a name of either.
        measured_as: the kind of most of the names that are measured; empty for symbols.

    Example:
        >>> import numpy as np
        >>> expression = Expression(np.ones((2, 1), np.float32), ["fur", "entA"], ["s"])
        >>> report = match_names(expression, Prior.of([("Fur", "entA", 1), ("fur", "sodB", 1)]))
        >>> report.usable, report.by_case
        (0, {'Fur': 'fur'})
    """

    edges: int
    usable: int
    tfs: int
    measured_tfs: int
    targets: int
    measured_targets: int
    missing_tfs: Sequence[str]
    missing_targets: Sequence[str]
    by_case: Mapping[str, str] = field(default_factory=dict)
    by_alias: Mapping[str, str] = field(default_factory=dict)
    identifiers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    complexes: Sequence[str] = ()
    unnamed_edges: int = 0
    idle_tfs: Sequence[str] = ()
    measured_as: str = ""

    def hints(self) -> list[str]:
        """What is wrong with names that are not measured, and what to do, in sentences.

        Example:
            >>> import numpy as np
            >>> expression = Expression(np.ones((2, 1), np.float32), ["JUN", "FOS"], ["s"])
            >>> prior = Prior.of([("JUN_FOS", "JUN", 1)])
            >>> match_names(expression, prior).hints()
            ['1 names of the prior are complexes of several genes, such as JUN_FOS: name ...']
        """
        found = []
        if self.measured_as and self.usable < self.edges / 2:
            found.append(
                f"the genes of the expression are {self.measured_as}: if its file has a column of "
                f"symbols, give --gene-column, else bring the prior to the same with {_TABLE}"
            )
        for kind, names in self.identifiers.items():
            if kind != self.measured_as:
                found.append(
                    f"{len(names):,} names of the prior are {kind}, such as {names[0]}, which no "
                    f"symbol fits: lead them to symbols with {_TABLE}"
                )
        if self.complexes:
            found.append(
                f"{len(self.complexes):,} names of the prior are complexes of several genes, such "
                f"as {self.complexes[0]}: name an edge for each gene of them, or do without"
            )
        if found and self.unnamed_edges:
            found[-1] += f" ({self.unnamed_edges:,} of {self.edges:,} edges are lost by such names)"
        return found

    def require(self) -> None:
        """Refuse a prior of which too little is measured.

        Raises:
            GRNError: fewer than `LEAST_EDGES` usable edges.
        """
        if self.usable < LEAST_EDGES:
            hint = "are the names of the same kind (symbols or identifiers, the same species)?"
            if len(self.by_case) * 20 > self.tfs + self.targets:
                one, other = next(iter(self.by_case.items()))
                hint = f"{len(self.by_case):,} names differ in capitals only, as {one} and {other}"
            elif hints := self.hints():
                hint = "; ".join(hints)
            elif self.missing_targets:
                hint = f"the prior has names such as {', '.join(self.missing_targets[:3])}: {hint}"
            raise GRNError(
                f"only {self.usable:,} of {self.edges:,} edges have their TF and their target "
                f"among the genes measured, expected at least {LEAST_EDGES}; {hint}"
            )


def match_names(
    expression: Expression, prior: Prior, aliases: Mapping[str, str] | None = None
) -> NameReport:
    """Compare the names of a prior with those that are measured.

    Args:
        expression: with the genes that are measured.
        prior: with TFs and targets.
        aliases: other names of genes, and which they mean.

    Example:
        >>> import numpy as np
        >>> expression = Expression(np.ones((2, 1), np.float32), ["fur", "entA"], ["s"])
        >>> match_names(expression, Prior.of([("fur", "entA", -1)])).usable
        1
    """
    measured = set(expression.genes)
    lower = {gene.lower(): gene for gene in reversed(list(expression.genes))}
    weight: dict[str, int] = {}
    for name in [*prior.tfs, *prior.targets]:
        weight[name] = weight.get(name, 0) + 1

    def missing(names: set[str]) -> list[str]:
        return sorted(names - measured, key=lambda name: (-weight[name], name))

    tfs, targets = set(prior.tfs), set(prior.targets)
    absent = missing(tfs | targets)
    other = aliases or {}
    pairs = list(zip(prior.tfs, prior.targets, strict=True))
    identifiers = {
        kind: some
        for kind, form in IDENTIFIERS.items()
        if len(some := [name for name in absent if form.fullmatch(name)]) >= FEW_NAMES
    }
    complexes = [name for name in absent if _is_complex(name, measured)]
    unnamed = {*complexes, *(name for some in identifiers.values() for name in some)}
    return NameReport(
        edges=len(prior.tfs),
        usable=sum(tf in measured and target in measured for tf, target in pairs),
        tfs=len(tfs),
        measured_tfs=len(tfs & measured),
        targets=len(targets),
        measured_targets=len(targets & measured),
        missing_tfs=missing(tfs),
        missing_targets=missing(targets),
        by_case={name: lower[name.lower()] for name in absent if name.lower() in lower},
        by_alias={name: other[name] for name in absent if other.get(name) in measured},
        identifiers=identifiers,
        complexes=complexes,
        idle_tfs=sorted((tfs & measured) - {tf for tf, target in pairs if target in measured}),
        unnamed_edges=sum(tf in unnamed or target in unnamed for tf, target in pairs),
        measured_as=kind_of(expression.genes),
    )


def _is_complex(name: str, measured: Collection[str]) -> bool:
    """Whether a name is that of several genes: it says so, or all of its parts are measured."""
    parts = [part for part in _PARTS.split(name) if part]
    return name.startswith("COMPLEX:") or (len(parts) > 1 and all(p in measured for p in parts))


def read_aliases(path: str | os.PathLike[str]) -> dict[str, str]:
    r"""Other names of genes, from a table.

    Args:
        path: two columns with a tab or a comma between: another name, and the name that is
            measured.

    Raises:
        GRNError: the file cannot be read, or a line has not two names.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "names.tsv").write_text("WAF1\tCDKN1A\nP04637\tTP53\n")
        ...     read_aliases(Path(folder, "names.tsv"))
        {'WAF1': 'CDKN1A', 'P04637': 'TP53'}
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise GRNError(f"{path}: cannot be read: {error}") from error
    names = {}
    for number, line in enumerate(lines, 1):
        parts = [part.strip() for part in line.split("\t" if "\t" in line else ",")]
        if len(parts) < 2 or not all(parts[:2]):
            raise GRNError(
                f"{path}: line {number} is {line[:40]!r}, expected another name and the name that "
                "is measured, with a tab or a comma between"
            )
        names[parts[0]] = parts[1]
    return names


def renamed(prior: Prior, names: Mapping[str, str]) -> Prior:
    """A prior with other names, such as those of `NameReport.by_case`.

    Args:
        prior: edges.
        names: what a name is to become; others stay.

    Example:
        >>> list(renamed(Prior.of([("Fur", "entA", 1)]), {"Fur": "fur"}).tfs)
        ['fur']
    """
    rows = zip(prior.tfs, prior.targets, prior.signs.tolist(), strict=True)
    return Prior.of([(names.get(a, a), names.get(b, b), sign) for a, b, sign in rows])
