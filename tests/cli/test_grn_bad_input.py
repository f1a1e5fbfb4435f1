"""Bad input of every kind is named, by each command that reads it, and nothing is written."""

from pathlib import Path

import numpy as np
import pytest
from tests.cli.grn_files import FILES, SMALL, write_files

pytest.importorskip("pandas")


def lines(name: str = "x.tsv") -> list[list[str]]:
    return [line.split("\t") for line in Path(name).read_text().splitlines()]


def write(rows: list[list[str]], name: str = "x.tsv") -> None:
    Path(name).write_text("\n".join("\t".join(row) for row in rows) + "\n")


def put(row: int, column: int, word: str) -> None:
    rows = lines()
    rows[row][column] = word
    write(rows)


def rename(change) -> None:
    rows = lines()
    write([rows[0], *([change(row[0]), *row[1:]] for row in rows[1:])])


def turn() -> None:
    write([list(column) for column in zip(*lines(), strict=True)])


def as_h5ad(share: float = 1.0, transpose: bool = False, wrong: float | None = None) -> None:
    anndata = pytest.importorskip("anndata")
    rows = lines()
    values = np.array([row[1:] for row in rows[1:]], np.float32).T
    if wrong is not None:
        values[3, 5] = wrong
    data = anndata.AnnData(values)
    data.var_names, data.obs_names = [row[0] for row in rows[1:]], rows[0][1:]
    (data.T if transpose else data).write_h5ad("x.h5ad")
    content = Path("x.h5ad").read_bytes()
    Path("x.tsv").write_bytes(content[: int(len(content) * share)])
    Path("x.tsv").rename("x.h5ad")


def as_loom(share: float = 1.0, genes: str = "Gene") -> None:
    h5py = pytest.importorskip("h5py")
    rows = lines()
    with h5py.File("x.loom", "w") as file:
        file["matrix"] = np.array([row[1:] for row in rows[1:]], np.float32)
        names = [row[0] for row in rows[1:]]
        file.create_dataset(f"row_attrs/{genes}", data=names, dtype=h5py.string_dtype())
    content = Path("x.loom").read_bytes()
    Path("x.loom").write_bytes(content[: int(len(content) * share)])
    Path("x.tsv").unlink()


def prior(*edges: str) -> None:
    Path("net.tsv").write_text("TF\ttarget\tsign\n" + "".join(f"{edge}\n" for edge in edges))


MANY = [f"gene0\tgene{number}\t1" for number in range(1, 30)]

BAD = {
    "empty": (lambda: Path("x.tsv").write_text(""), "x.tsv: empty"),
    "a header alone": (lambda: write(lines()[:1]), "x.tsv: one line alone"),
    "names alone": (
        lambda: write([row[:1] for row in lines()]),
        "x.tsv: one column, which has names; expected numbers",
    ),
    "a word": (lambda: put(4, 3, "low"), "x.tsv: 'low' in row 'gene3', column 'sample2' (line 5)"),
    "a comma": (lambda: put(4, 3, "1,5"), "write decimals with a point"),
    "NaN": (lambda: put(4, 3, "nan"), "NaN or infinite, the first of gene 'gene3' in sample"),
    "a blank": (lambda: put(4, 3, ""), "NaN or infinite, the first of gene 'gene3' in sample"),
    "infinity": (lambda: put(4, 3, "-inf"), "NaN or infinite, the first of gene 'gene3' in sample"),
    "zeros": (
        lambda: write([lines()[0], *([row[0], *["0"] * 30] for row in lines()[1:])]),
        "x.tsv: every value is 0",
    ),
    "constants": (
        lambda: write([lines()[0], *([row[0], *["2.5"] * 30] for row in lines()[1:])]),
        "no gene changes over the 30 samples",
    ),
    "duplicated genes": (
        lambda: rename(lambda name: "gene3" if name == "gene7" else name),
        "1 genes occur more than once, such as gene3",
    ),
    "capitals": (lambda: rename(str.upper), "names differ in capitals only, as gene"),
    "no overlap": (
        lambda: rename(lambda name: f"AT{name[4:]}G"),
        "only 0 of 174 edges have their TF and their target among the genes measured",
    ),
    "identifiers": (
        lambda: rename(lambda name: f"ENSG{int(name[4:]):011}"),
        "the genes of the expression are Ensembl identifiers",
    ),
    "a truncated h5ad": (lambda: as_h5ad(0.6), "x.h5ad: truncated or damaged"),
    "an h5ad the wrong way round": (
        lambda: as_h5ad(transpose=True),
        "x.h5ad: the wrong way round: names of genes are among those of the cells",
    ),
    "an h5ad with NaN": (lambda: as_h5ad(wrong=np.nan), "x.h5ad: 1 values are NaN or infinite"),
    "a truncated loom": (lambda: as_loom(0.5), "x.loom: truncated or damaged"),
    "a loom without genes": (lambda: as_loom(genes="what"), "x.loom: no row attribute is called"),
    "an empty prior": (lambda: Path("net.tsv").write_text(""), "net.tsv: empty"),
    "a prior without edges": (prior, "net.tsv: a header and no edges"),
    "a TF without a target": (
        lambda: prior(*MANY, "gene1\t\t1"),
        "net.tsv: line 31 has no name of a TF or of a target",
    ),
    "signs": (lambda: prior(*MANY, "gene1\tgene2\tmaybe"), "the sign 'maybe' is not understood"),
    "a prior that is no table": (
        lambda: Path("net.tsv").write_bytes(b"PK\x03\x04\xff\xfe"),
        "net.tsv: not text in UTF-8; expected edges",
    ),
    "expression for a prior": (
        lambda: Path("net.tsv").write_text(Path("x.tsv").read_text()),
        "net.tsv: no column is called tf, source",
    ),
}


# R13.3: bad input is named, and nothing is half written.
@pytest.mark.parametrize("kind", list(BAD))
def test_bad_input_is_named_and_nothing_written(groundup, place, kind):
    write_files(place)
    spoil, told = BAD[kind]
    spoil()
    file = next(name for name in ("x.h5ad", "x.loom", "x.tsv") if Path(name).exists())
    given = ("--expression", file, "--prior", "net.tsv")
    before = sorted(place.iterdir())
    for words in (
        ("evaluate", *given, "--methods", "degree", "--folder", "out"),
        ("train", *given, *SMALL, "out"),
        ("data", "check", file, "net.tsv"),
    ):
        done = groundup("grn", *words)
        assert done.exit_code == 1, (words, done.stderr)
        assert told in done.stderr, words
        assert done.stderr.splitlines()[-1].startswith("groundup: ")
        assert sorted(place.iterdir()) == before, words


def test_a_table_the_wrong_way_round_is_turned_or_refused(groundup, place):
    write_files(place)
    turn()
    words = ("evaluate", *FILES, "--methods", "degree", "--seeds", 1, "--resamples", 50)
    done = groundup("grn", *words)
    assert done.exit_code == 0, done.stderr
    assert (
        "columns are taken for genes: 0 of the 76 known genes are among the names of rows, 76"
        in done.stderr
    )
    wrong = groundup("grn", *words, "--no-transpose", "--folder", "out")
    assert wrong.exit_code == 1
    assert "x.tsv: the wrong way round" in wrong.stderr
    assert "--transpose" in wrong.stderr
    assert not (place / "out").exists()


def test_what_can_be_used_in_part_is_told_before_anything_is_trained(groundup, place):
    write_files(place)
    rename(lambda name: "GENE8" if name == "gene9" else name)  # gene8 and GENE8
    known = Path("net.tsv").read_text()
    Path("net.tsv").write_text(known + "gene1\tnowhere\t1\nghost\tgene3\t1\ngene70\tnone\t1\n")
    done = groundup("grn", "train", *FILES, *SMALL, "out")
    assert done.exit_code == 0, done.stderr
    begun = done.stderr.index("training expression")
    for told in (
        "genes that differ in capitals only: 1: gene8 and GENE8",
        "TFs that are not measured: ",
        "ghost",
        "nowhere",
        "TFs without a target that is measured: 1: gene70",
    ):
        assert told in done.stderr[:begun], told


def test_a_data_set_without_edges_says_what_to_give(groundup, place):
    folder = place / "cells"
    folder.mkdir()
    (folder / "about.json").write_text('{"files": {}}')
    for words in (("evaluate",), ("train", "out")):
        done = groundup("grn", *words, "--data", str(folder))
        assert done.exit_code == 2
        assert "has no known edges: give them with --prior FILE" in " ".join(done.stderr.split())
