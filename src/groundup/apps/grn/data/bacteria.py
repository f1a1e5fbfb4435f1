"""Expression and regulation of *E. coli* and *B. subtilis*, out of the files of pymodulon.

Log-TPM of genes x samples, a table of genes with their operons, and a table of regulators, genes
and effects. Regulators are given by what they are called (a protein, a complex, a small molecule,
a riboswitch), genes by their locus; here both become the gene's name, or its locus where several
genes have the same name.

A complex becomes one of its genes, not all: two regulators with the same targets would let a
method that has seen one of them in training know the other.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .expression import Expression
from .prior import Prior
from .wheels import member

ECOLI = "pymodulon/data/ecoli/"
BSUB = "pymodulon/data/objects/bsub_data.json.gz"

COMPLEXES = {"ihf": "ihfA", "hu": "hupA", "hipab": "hipB", "higb;higa": "higA"}
"""The gene that stands for a complex, where it is not the first that its name has."""

NEWER = {
    "hns": "hns", "bccp": "accB", "dpia": "citB", "gutm": "srlM", "ntrc": "glnG", "mata": "ecpR",
    "envr": "acrS", "hprr": "yedW", "cecr": "ybiH", "btsr": "yehT", "comr": "ycfQ",
    "csqr": "yihW", "nimr": "yeaM", "pdel": "yahA", "sutr": "ydcN",
}  # fmt: skip
"""Regulators whose gene has an older name, or another spelling, in the table of genes."""

SIGNS = {
    "+": 1, "-": -1,
    "sigma factor": 1, "activation": 1, "transcription activation": 1, "positive regulation": 1,
    "indirect positive regulation": 1, "antitermination": 1, "anti-termination": 1,
    "processive antitermination": 1, "transcription antitermination": 1,
    "transcriptional antitermination": 1,
    "repression": -1, "transcription repression": -1, "auto-repression": -1, "autorepression": -1,
    "negative regulation": -1, "negative autoregulation": -1, "anti-activation": -1,
    "termination": -1, "transcription termination": -1,
}  # fmt: skip
"""What a word of the tables says; all others say nothing, or both."""


@dataclass(frozen=True, eq=False)
class Bacterium:
    """What the files say of one organism.

    Attributes:
        expression: log-TPM.
        prior: edges whose regulator has a gene; its TF may be missing among those measured.
        genes: for each gene that is measured, its name, locus, operon, and where it comes along the
            genome, counted in genes.
        rows: of the table of regulation.
        left_out: regulators without a gene, and how many rows each has.
    """

    expression: Expression
    prior: Prior
    genes: Sequence[tuple[str, str, str, str]]
    rows: int
    left_out: Mapping[str, int]


def ecoli(files: zipfile.ZipFile) -> Bacterium:
    """*E. coli*: PRECISE, 278 samples, and RegulonDB's network as pymodulon has it."""
    table = _rows(files, "gene_table.csv")
    loci = {row[""]: row for row in table}
    header, *lines = csv.reader(io.StringIO(_text(files, "log_tpm.csv")))
    measured = [line[0] for line in lines]
    values = np.array([line[1:] for line in lines], np.float64).astype(np.float32)
    pairs = [(r["regulator"], r["gene_id"], r["effect"]) for r in _rows(files, "trn.csv")]
    names = {locus: row["gene_name"] for locus, row in loci.items()}
    operons = {locus: row["operon"] for locus, row in loci.items()}
    starts = {locus: row["start"] for locus, row in loci.items()}
    return _joined(measured, header[1:], values, names, operons, starts, pairs)


def bsubtilis(files: zipfile.ZipFile) -> Bacterium:
    """*B. subtilis*: the arrays of Nicolas et al. (2012), and SubtiWiki's network."""
    content = json.loads(gzip.decompress(member(files, BSUB)))
    columns = json.loads(content["log_tpm"])
    samples = list(columns)
    measured = list(columns[samples[0]])
    values = np.array([[columns[s][g] for s in samples] for g in measured], np.float32)
    table = json.loads(content["gene_table"])
    trn = json.loads(content["trn"])
    pairs = [
        (trn["regulator"][row], trn["gene_id"][row], trn["effect"][row]) for row in trn["regulator"]
    ]
    operons = {locus: operon or "" for locus, operon in table["operon"].items()}
    names, starts = table["gene_name"], table["start"]
    return _joined(measured, samples, values, names, operons, starts, pairs)


def _joined(
    measured: Sequence[str],
    samples: Sequence[str],
    values: np.ndarray,
    names: Mapping[str, str],
    operons: Mapping[str, str],
    starts: Mapping[str, Any],
    pairs: Sequence[tuple[str, str, str | None]],
) -> Bacterium:
    """Names in place of loci on both sides."""
    often = Counter(names.values())
    called = {
        locus: name if name and often[name] == 1 else locus
        for locus, name in {**dict.fromkeys(measured, ""), **names}.items()
    }
    by_name = {name.lower(): called[locus] for locus, name in names.items() if name}
    found = {regulator: _gene(regulator, by_name) for regulator in {pair[0] for pair in pairs}}
    left_out = Counter(regulator for regulator, _, _ in pairs if not found[regulator])
    edges = [
        (found[regulator], called.get(locus, locus), SIGNS.get((effect or "").strip().lower(), 0))
        for regulator, locus, effect in pairs
        if found[regulator]
    ]
    genes = [called[locus] for locus in measured]
    place = _places(starts)
    about = [
        (called[locus], locus, _word(operons.get(locus, "")), place.get(locus, ""))
        for locus in measured
    ]
    return Bacterium(
        Expression(values, genes, list(samples)),
        Prior.of(edges),
        about,
        len(pairs),
        dict(left_out.most_common()),
    )


def _gene(regulator: str, by_name: Mapping[str, str]) -> str:
    """The gene that a regulator is, or stands for it; empty if it is none."""
    key = regulator.lower().replace("-", "") if regulator.lower() == "h-ns" else regulator.lower()
    for name in [COMPLEXES.get(key), NEWER.get(key), *key.split(";")]:
        if name and name.lower() in by_name:
            return by_name[name.lower()]
    return ""


def _places(starts: Mapping[str, Any]) -> dict[str, str]:
    """Genes of the one chromosome counted from its origin, measured or not."""
    known = {locus: float(_word(str(start)) or "nan") for locus, start in starts.items()}
    order = sorted((start, locus) for locus, start in known.items() if start == start)
    return {locus: str(number) for number, (_, locus) in enumerate(order)}


def _word(text: str) -> str:
    return "" if text in ("", "nan", "None") else text


def _text(files: zipfile.ZipFile, name: str) -> str:
    return member(files, ECOLI + name).decode()


def _rows(files: zipfile.ZipFile, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(_text(files, name))))
