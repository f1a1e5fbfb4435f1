"""Tiny wheels laid out as the real ones, for tests of what reads them."""

import gzip
import hashlib
import json
import zipfile
from pathlib import Path

import numpy as np

from groundup.apps.grn.data import datasets as module
from groundup.apps.grn.data.datasets import datasets
from groundup.apps.grn.data.wheels import Wheel

TARGETS = [f"b{n:04}" for n in range(10, 22)]
GENE_TABLE = "\n".join(
    [
        ",start,gene_name,operon",
        "b0001,1,ihfA,ihfA",
        "b0002,2,ihfB,ihfB",
        "b0003,3,flhC,flhDC",
        "b0004,4,flhD,flhDC",
        "b0005,5,hns,hns",
        "b0006,6,insA,nan",
        "b0007,7,insA,nan",
        *(f"{locus},{9 + n},tar{n},op{n // 2}" for n, locus in enumerate(TARGETS)),
    ]
)
LOCI = [f"b000{n}" for n in range(1, 8)] + TARGETS
TRN = "\n".join(
    [
        "regulator,gene_id,effect",
        *(f"ihf,{locus},+" for locus in TARGETS),
        "h-NS,b0010,-",
        "h-NS,b0006,+-",
        "flhD;flhC,b0011,?",
        "FMN,b0012,+",
    ]
)


def written(path: Path, package: str, files: dict[str, bytes]) -> Wheel:
    with zipfile.ZipFile(path, "w") as file:
        for name, content in files.items():
            file.writestr(name, content)
        about = f"{package}-1.0.dist-info"
        file.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0")
        file.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any")
        file.writestr(f"{about}/RECORD", "")
    return Wheel(package, "1.0", hashlib.sha256(path.read_bytes()).hexdigest(), "MIT")


def ask_for(wheel: Wheel, has: str, monkeypatch) -> None:
    """Let the table of data sets have this wheel alone."""
    sources = [
        module.Source(s.name, s.title, wheel, s.has, s.licence, s.citation)
        for s in datasets()
        if s.has == has
    ]
    monkeypatch.setattr(module, "_SOURCES", tuple(sources))


def bacteria(tmp_path, monkeypatch) -> Path:
    """A wheel with both bacteria; the table of data sets asks for it."""
    values = np.arange(len(LOCI) * 3, dtype=float).reshape(-1, 3) / 7
    lines = [",".join([locus, *map(str, row)]) for locus, row in zip(LOCI, values, strict=True)]
    columns = dict(zip("xyz", values.T.tolist(), strict=True))
    bsub = {
        "log_tpm": json.dumps({s: dict(zip(LOCI, c, strict=True)) for s, c in columns.items()}),
        "gene_table": json.dumps(
            {
                "gene_name": {locus: f"gene{n}" for n, locus in enumerate(LOCI)},
                "operon": {locus: "a->b" if n < 3 else None for n, locus in enumerate(LOCI)},
                "start": {locus: 1000 - n if n else None for n, locus in enumerate(LOCI)},
            }
        ),
        "trn": json.dumps(
            {
                "regulator": {"0": "Gene1", "1": "T-box", "2": "Gene1"},
                "gene_id": {"0": LOCI[4], "1": LOCI[5], "2": LOCI[6]},
                "effect": {"0": "sigma factor", "1": "termination", "2": None},
            }
        ),
    }
    path = tmp_path / "pymodulon-1.0-py3-none-any.whl"
    found = written(
        path,
        "pymodulon",
        {
            "pymodulon/__init__.py": b"raise RuntimeError('this was run')",
            "pymodulon/data/ecoli/gene_table.csv": GENE_TABLE.encode(),
            "pymodulon/data/ecoli/log_tpm.csv": "\n".join([",x,y,z", *lines]).encode(),
            "pymodulon/data/ecoli/trn.csv": TRN.encode(),
            "pymodulon/data/objects/bsub_data.json.gz": gzip.compress(json.dumps(bsub).encode()),
        },
    )
    ask_for(found, "expression and prior", monkeypatch)
    return path
