"""Cells whose genes are called by identifiers, with symbols in a column beside (R13.3)."""

import json

import numpy as np
import pytest
from tests.cli.grn_files import SMALL, write_files

from groundup.apps.grn.data.pseudobulk import pseudobulk
from groundup.apps.grn.data.read import read_expression
from groundup.apps.grn.errors import GRNError

anndata = pytest.importorskip("anndata")
h5py = pytest.importorskip("h5py")
GIVEN = ("--expression", "cells.h5ad", "--prior", "net.tsv")


@pytest.fixture
def files(place):
    """The example as cells of two types; of one gene no symbol is told."""
    write_files(place)
    plain = read_expression(place / "x.tsv")
    data = anndata.AnnData(plain.values.T.copy())
    data.obs_names, data.obs["type"] = list(plain.samples), ["t", "u"] * 15
    data.var_names = [f"ENSG{number:011}" for number in range(80)]
    data.var["feature_name"] = [*plain.genes[:79], None]
    data.var["length"] = np.arange(80)
    data.write_h5ad(place / "cells.h5ad")
    with h5py.File(place / "cells.loom", "w") as file:
        file["matrix"] = plain.values
        for name, words in (("Gene", data.var_names), ("symbol", plain.genes)):
            file.create_dataset(f"row_attrs/{name}", data=list(words), dtype=h5py.string_dtype())
    return place


def test_genes_by_a_column(files):
    plain = read_expression(files / "x.tsv")
    told = []
    own = read_expression(files / "cells.h5ad", tell=told.append)
    assert own.genes[5] == "ENSG00000000005"
    assert told == [
        "genes are called by Ensembl identifiers; --gene-column feature_name takes other names"
    ]
    named = read_expression(files / "cells.h5ad", gene_column="feature_name", tell=told.append)
    assert list(named.genes) == [*plain.genes[:79], "ENSG00000000079"]
    assert (named.values == plain.values).all()
    assert len(told) == 1
    loom = read_expression(files / "cells.loom", gene_column="symbol")
    assert list(loom.genes) == list(plain.genes)
    states = pseudobulk(files / "cells.h5ad", "type", gene_column="feature_name")
    assert list(states.genes) == list(named.genes)


def test_columns_that_are_not_there(files):
    with pytest.raises(GRNError, match="no column 'name'; they have feature_name, length"):
        read_expression(files / "cells.h5ad", gene_column="name")
    with pytest.raises(GRNError, match="no row attribute is called 'name'; it has Gene, symbol"):
        read_expression(files / "cells.loom", gene_column="name")
    with pytest.raises(GRNError, match="a table has no columns on genes, such as 'name'"):
        read_expression(files / "x.tsv", gene_column="name")


def test_commands_take_it_and_a_model_remembers_it(groundup, files):
    bare = groundup("grn", "train", *GIVEN, *SMALL, "m")
    assert bare.exit_code == 1
    assert "--gene-column feature_name takes other names" in bare.stderr
    assert "the genes of the expression are Ensembl identifiers" in bare.stderr
    assert not (files / "m").exists()
    words = ("--gene-column", "feature_name")
    done = groundup("grn", "train", *GIVEN, *SMALL, *words, "--cache", "kept", "m")
    assert done.exit_code == 0, done.stderr
    told = json.loads((files / "m" / "model.json").read_text())["preprocessing"]
    assert told["gene_column"] == "feature_name"
    again = groundup("grn", "predict", "m", "-o", "a.tsv", "--top", "9")
    assert again.exit_code == 0, again.stderr
    assert "gene" in (files / "a.tsv").read_text().splitlines()[1]
    check = groundup("grn", "data", "check", "cells.h5ad", "net.tsv", *words)
    assert check.exit_code == 0, check.stderr
    joined = groundup(
        "grn", "data", "pseudobulk", "cells.h5ad", "--by", "type", *words, "-o", "s.tsv"
    )
    assert joined.exit_code == 0, joined.stderr
    assert read_expression(files / "s.tsv").genes[5] == "gene5"
    brought = groundup("grn", "prior", "import", "net.tsv", *GIVEN[:2], *words, "-o", "p.tsv")
    assert brought.exit_code == 0, brought.stderr
