"""Whether the rows of a table are genes or samples.

Bulk data mostly has genes as rows; tables of single cells mostly have cells as rows, as arboreto
and pySCENIC read them. Taken the wrong way round, every result is nonsense that looks like a
result, so what cannot be told is asked.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ..errors import GRNError

GENE_LABELS = ("gene", "genes", "gene_id", "gene_name", "geneid", "symbol", "hgnc_symbol", "locus")
SAMPLE_LABELS = ("cell", "cells", "cellid", "cell_id", "barcode", "barcodes", "sample", "samples")
TIMES = 3
"""How much longer the longer side must be to be taken for that of the genes."""
FEW = 1000
"""So many samples or more: the longer side may be that of the cells."""

_BARCODE = re.compile(r"[ACGTN]{10,}([-_.]\w+)?$")


@dataclass(frozen=True)
class Orientation:
    """Which way round a table is.

    Attributes:
        transpose: whether its rows are samples.
        reason: how that was found, in words.

    Example:
        >>> Orientation(True, "as asked").transpose
        True
    """

    transpose: bool
    reason: str


def orientation(
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    known_genes: Collection[str] = (),
    corner: str = "",
    transpose: bool | None = None,
) -> Orientation:
    """Find whether rows are genes: by known names, then the corner, barcodes, and lengths.

    Args:
        rows: names of rows.
        columns: names of columns.
        known_genes: names that genes have, such as those of the prior.
        corner: what stands above the names of rows.
        transpose: whether rows are samples, if somebody said so; then names only contradict.

    Raises:
        GRNError: it cannot be told, or what was said contradicts the names.

    Example:
        >>> orientation(["fur", "entA"], ["wild type", "mutant"], known_genes={"fur"}).reason
        '1 of the 1 known genes is among the names of rows, 0 among those of columns'
    """
    known = set(known_genes)
    above, across = len(known.intersection(rows)), len(known.intersection(columns))
    clear = turned(rows, columns, known) or turned(columns, rows, known)
    counted = (
        f"{above:,} of the {len(known):,} known genes {'is' if above == 1 else 'are'} among the "
        f"names of rows, {across:,} among those of columns"
    )
    if transpose is not None:
        if clear and transpose != (across > above):
            advice = "without" if transpose else "with"
            raise GRNError(f"the wrong way round: {counted}; read it {advice} --transpose")
        return Orientation(transpose, "as asked")
    if clear:
        return Orientation(across > above, counted)
    label = corner.strip().lower()
    if label in GENE_LABELS + SAMPLE_LABELS:
        return Orientation(label in SAMPLE_LABELS, f"the column of names is called {corner!r}")
    coded = [sum(bool(_BARCODE.match(name)) for name in names) for names in (rows, columns)]
    if coded[0] > len(rows) / 2 or coded[1] > len(columns) / 2:
        by_rows = coded[0] > len(rows) / 2
        return Orientation(by_rows, f"{'rows' if by_rows else 'columns'} are called as cells are")
    short, long = sorted((len(rows), len(columns)))
    if long >= TIMES * short and short < FEW:
        return Orientation(
            len(columns) > len(rows),
            f"{long:,} names on one side and {short:,} on the other: the longer side has the genes",
        )
    raise GRNError(
        f"{len(rows):,} rows, such as {_some(rows)}, and {len(columns):,} columns, such as "
        f"{_some(columns)}: cannot tell which are genes; say so with --transpose (rows are "
        "samples) or --no-transpose (rows are genes)"
    )


def turned(genes: Sequence[str], samples: Sequence[str], known_genes: Collection[str]) -> bool:
    """Whether what are called samples has names of genes.

    Example:
        >>> turned(["wild type", "mutant"], ["fur", "entA"], {"fur"})
        True
    """
    known = set(known_genes)
    return len(known.intersection(samples)) > 5 * len(known.intersection(genes))


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:3]))
