"""`groundup grn data` and `groundup grn prior`: what they show, write and refuse (R13.3)."""

import json

import numpy as np
import pytest
from tests.apps.grn.fake_wheels import bacteria

from groundup.apps.grn.data.prior import read_prior
from groundup.apps.grn.data.read import read_expression

pytest.importorskip("pandas")


@pytest.fixture
def files(place):
    """Expression of 12 genes in 24 samples, and a prior in which some names are capitals."""
    random = np.random.default_rng(0)
    genes = ["fur", *(f"g{i}" for i in range(11))]
    lines = ["gene\t" + "\t".join(f"s{i}" for i in range(24))]
    lines += ["\t".join([gene, *map(str, random.normal(5, 1, 24).round(3))]) for gene in genes]
    (place / "x.tsv").write_text("\n".join(lines) + "\n")
    edges = [f"fur,g{i},{'+' if i % 2 else '-'}" for i in range(9)] + ["fur,G9,+", "fur,none,+"]
    (place / "net.csv").write_text("\n".join(["regulator,gene,effect", *edges]) + "\n")
    return place


@pytest.mark.parametrize("words", [("data", "list"), ("prior", "list")])
def test_lists(groundup, words):
    done = groundup("grn", *words)
    assert done.exit_code == 0
    assert "pymodulon==0.2.1" in done.stdout
    content = json.loads(groundup("grn", *words, "--json").stdout)
    assert [source["name"] for source in content][:2] == ["ecoli", "bsubtilis"]
    assert content[0]["licence"] == "MIT"


@pytest.mark.parametrize(
    "words",
    [("data", "list"), ("data", "get"), ("data", "check"), ("data", "pseudobulk"),
     ("prior", "list"), ("prior", "import")],
)  # fmt: skip
def test_help_has_examples(groundup, words):
    text = groundup("grn", *words, "--help").stdout
    assert "Examples:" in text
    assert f"groundup grn {' '.join(words)}" in " ".join(text.split())


def test_a_data_set_is_fetched_and_checked(groundup, place, monkeypatch):
    wheel = bacteria(place, monkeypatch)
    done = groundup("grn", "data", "get", "ecoli", "--wheel", wheel)
    assert done.exit_code == 0, done.stderr
    assert done.stdout == "data/ecoli\n"
    assert "16 rows" in done.stderr
    assert "1 rows are left out: FMN" in done.stderr
    assert "Licence: MIT. Cite Sastry" in done.stderr
    content = json.loads(groundup("grn", "data", "get", "ecoli", "--wheel", wheel, "--json").stdout)
    assert content["counts"]["usable_edges"] == 15
    text = groundup("grn", "data", "check", "data/ecoli")
    assert text.exit_code == 0
    assert "Usable: 15 edges (100%), 3 TFs (100%)" in text.stdout
    assert groundup("grn", "data", "get", "yeast").exit_code == 2
    (place / "data" / "ecoli" / "prior.tsv").write_text("x")
    changed = groundup("grn", "data", "check", "data/ecoli")
    assert changed.exit_code == 1
    assert "prior.tsv: changed since it was fetched" in changed.stderr
    damaged = groundup("grn", "data", "get", "bsubtilis", "--wheel", "data/ecoli/prior.tsv")
    assert damaged.exit_code == 1
    assert "its SHA-256 is" in damaged.stderr


def test_own_files_are_checked(groundup, files):
    done = groundup("grn", "data", "check", "x.tsv", "net.csv")
    assert done.exit_code == 1  # nine edges are too few
    assert "Expression: 12 genes x 24 samples" in done.stdout
    assert "rows are taken for genes: 10 of the 12 known genes are among" in done.stderr
    assert "only 9 of 11 edges have their TF and their target" in done.stderr
    assert "1 names differ in capitals only, as G9 and g9" in done.stderr
    alone = groundup("grn", "data", "check", "x.tsv", "--json")
    assert alone.exit_code == 0
    assert json.loads(alone.stdout)["genes"] == 12
    turned = groundup("grn", "data", "check", "x.tsv", "net.csv", "--transpose")
    assert turned.exit_code == 1
    assert "the wrong way round" in turned.stderr
    (files / "x.tsv").write_text("gene\ta\nfur\tlow\n")
    bad = groundup("grn", "data", "check", "x.tsv")
    assert bad.exit_code == 1
    assert bad.stderr.startswith("groundup: x.tsv: 'low' in row 'fur'")
    assert groundup("grn", "data", "check", "x.tsv", "--duplicates", "max").exit_code == 2


def test_a_prior_is_brought_in(groundup, files):
    plain = groundup("grn", "prior", "import", "net.csv", "--output", "plain.tsv")
    assert plain.exit_code == 0, plain.stderr
    assert plain.stdout == "plain.tsv\n"
    assert "Prior(11 edges, 1 TFs, 11 targets)" in plain.stderr
    found = read_prior(files / "plain.tsv")
    assert found.signs.tolist() == [-1, 1, -1, 1, -1, 1, -1, 1, -1, 1, 1]

    few = groundup("grn", "prior", "import", "net.csv", "--expression", "x.tsv")
    assert few.exit_code == 1
    assert not (files / "prior.tsv").exists()
    words = ("--expression", "x.tsv", "--match-case", "--json")
    content = json.loads(groundup("grn", "prior", "import", "net.csv", *words).stdout)
    assert content["file"] == "prior.tsv"
    assert content["names"]["usable"] == 10
    assert "g9" in read_prior(files / "prior.tsv").targets
    assert groundup("grn", "prior", "import", "net.csv", "--match-case").exit_code == 2
    (files / "names.csv").write_text("none,g10\nG9,g9\n")
    named = groundup(
        "grn", "prior", "import", "net.csv", "--expression", "x.tsv", "--aliases", "names.csv"
    )
    assert "Usable: 11 edges, 1 TFs, 11 targets" in named.stderr
    check = groundup("grn", "data", "check", "x.tsv", "net.csv", "--aliases", "names.csv")
    assert "leads to genes that are measured: 2: G9 as g9, none as g10; bring it in" in check.stdout
    (files / "names.csv").write_text("none,g10\nG9\n")
    half = groundup("grn", "prior", "import", "net.csv", "--aliases", "names.csv")
    assert half.exit_code == 1
    assert "names.csv: line 2 is 'G9', expected another name" in half.stderr
    odd = groundup("grn", "prior", "import", "net.csv", "--tf-column", "x")
    assert odd.exit_code == 1
    assert "there is no column 'x'; it has regulator, gene, effect" in odd.stderr


def test_cells_are_joined(groundup, place):
    h5py = pytest.importorskip("h5py")
    values = np.arange(60, dtype=np.float32).reshape(3, 20)
    with h5py.File(place / "cells.loom", "w") as file:
        file["matrix"] = values
        words = h5py.string_dtype()
        file.create_dataset("row_attrs/Gene", data=["a", "b", "c"], dtype=words)
        file.create_dataset("col_attrs/type", data=["t"] * 12 + ["u"] * 8, dtype=words)
    done = groundup("grn", "data", "pseudobulk", "cells.loom", "--by", "type", "--least", "8")
    assert done.exit_code == 0, done.stderr
    assert done.stdout == "cells-states.tsv\n"
    assert "2 states of 20 cells, 3 genes" in done.stderr
    found = read_expression(place / "cells-states.tsv")
    assert list(found.samples) == ["t", "u"]
    np.testing.assert_allclose(found.values[0], [values[0, :12].mean(), values[0, 12:].mean()])
    wrong = groundup("grn", "data", "pseudobulk", "cells.loom", "--by", "sex")
    assert wrong.exit_code == 1
    assert "cells have no annotation 'sex'; they have type" in wrong.stderr
