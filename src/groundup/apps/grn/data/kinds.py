"""What names of genes are that are no symbols."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

IDENTIFIERS: Mapping[str, re.Pattern[str]] = {
    "Ensembl identifiers": re.compile(r"ENS[A-Z]{0,4}[GTP]\d{11}(\.\d+)?"),
    "UniProt accessions": re.compile(
        r"([OPQ]\d[A-Z\d]{3}\d|[A-NR-Z]\d[A-Z][A-Z\d]{2}\d([A-Z][A-Z\d]{2}\d)?)(-\d+)?"
    ),
    "Entrez numbers": re.compile(r"\d+"),
}
"""What names of genes may be that are no symbols, and what these look like."""


def kind_of(genes: Sequence[str]) -> str:
    """What most of some names are; the empty word for symbols.

    Example:
        >>> kind_of(["ENSG00000141510", "ENSG00000118513", "TP53"]), kind_of(["TP53", "MYB"])
        ('Ensembl identifiers', '')
    """
    for kind, form in IDENTIFIERS.items():
        if 2 * sum(form.fullmatch(gene) is not None for gene in genes) > len(genes):
            return kind
    return ""
