"""Pseudobulk against sums of cells that are in memory, for every kind of matrix (R13.3)."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from groundup.apps.grn.data import pseudobulk as module
from groundup.apps.grn.data.expression import Expression
from groundup.apps.grn.data.pseudobulk import pseudobulk
from groundup.apps.grn.data.read import read_expression
from groundup.apps.grn.errors import GRNError

COLUMNS = ["region", "cell_type"]


def synthetic_cells(
    path: Path,
    cells: int,
    genes: int,
    *,
    states: tuple[int, int] = (4, 5),
    density: float = 0.05,
    seed: int = 0,
    rows: int = 10_000,
) -> Path:
    """A sparse .h5ad file of made-up counts, written a part at a time."""
    h5py, anndata, pandas = map(pytest.importorskip, ("h5py", "anndata.io", "pandas"))
    random = np.random.default_rng(seed)
    region, kind = (random.integers(0, count, cells) for count in states)
    each = max(1, round(density * genes))
    with h5py.File(path, "w") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        obs = pandas.DataFrame(
            {
                "region": pandas.Categorical.from_codes(
                    region, [f"r{i}" for i in range(states[0])]
                ),
                "cell_type": pandas.Categorical.from_codes(
                    kind, [f"t{i}" for i in range(states[1])]
                ),
            },
            index=pandas.Index([f"c{i}" for i in range(cells)], dtype=object),
        )
        names = pandas.Index([f"g{i}" for i in range(genes)], dtype=object)
        anndata.write_elem(file, "obs", obs)
        anndata.write_elem(file, "var", pandas.DataFrame(index=names))
        group = file.create_group("X")
        group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0"})
        group.attrs["shape"] = (cells, genes)
        group["indptr"] = np.arange(0, cells * each + 1, each, dtype=np.int64)
        size = (cells * each,)
        data = group.create_dataset("data", size, np.float32, chunks=True)
        indices = group.create_dataset("indices", size, np.int32, chunks=True)
        for start in range(0, cells, rows):
            count = min(rows, cells - start)
            first = random.integers(0, genes, (count, 1))
            places = np.sort((first + np.arange(each) * (genes // each)) % genes, axis=1)
            part = slice(start * each, (start + count) * each)
            indices[part] = places.ravel()
            data[part] = random.poisson(2, count * each) + 1
    return path


@pytest.fixture
def small(tmp_path):
    return synthetic_cells(tmp_path / "cells.h5ad", 300, 40, states=(2, 3), density=0.2, rows=64)


def again(path: Path, place: Path, change) -> Path:
    """The same file with another matrix."""
    anndata = pytest.importorskip("anndata")
    data = anndata.read_h5ad(path)
    change(data)
    with anndata.settings.override(allow_write_nullable_strings=True):
        data.write_h5ad(place)
    return place


class Said(list):
    def __call__(self, *words) -> None:
        self.append(words)


def by_hand(cells: Expression, least: int, how: str) -> dict[str, np.ndarray]:
    words = list(zip(*(cells.annotations[column] for column in COLUMNS), strict=True))
    found = {}
    for state in sorted(set(words)):
        own = [number for number, word in enumerate(words) if word == state]
        if len(own) >= least and all(state):
            found["|".join(state)] = getattr(cells.values[:, own].astype(float), how)(axis=1)
    return found


@pytest.mark.parametrize("how", ["mean", "sum"])
def test_every_kind_of_matrix_gives_the_sums_by_hand(small, tmp_path, monkeypatch, how):
    cells = read_expression(small)
    wanted = by_hand(cells, 45, how)
    assert 1 < len(wanted) < 6  # some states have too few cells
    files = {
        "in memory": cells,
        "by rows": small,
        "by columns": again(
            small, tmp_path / "csc.h5ad", lambda data: setattr(data, "X", data.X.tocsc())
        ),
        "dense": again(
            small, tmp_path / "dense.h5ad", lambda data: setattr(data, "X", data.X.toarray())
        ),
    }
    monkeypatch.setattr(module, "PART", 333)  # so that there are many parts
    for kind, source in files.items():
        said = Said()
        found = pseudobulk(source, COLUMNS, how, least=45, progress=said)
        assert list(found.samples) == list(wanted), kind
        np.testing.assert_allclose(found.values.T, list(wanted.values()), rtol=1e-6, err_msg=kind)
        assert list(found.genes) == list(cells.genes)
        assert found.annotations["region"] == [name.split("|")[0] for name in wanted]
        assert all(int(count) >= 45 for count in found.annotations["cells"])
        assert said[-1][0] == said[-1][1]
        if kind != "in memory":
            assert len(said) > 3
            assert [done for done, *_ in said] == sorted(done for done, *_ in said)


def test_loom_layers_raw_and_joined_genes(small, tmp_path):
    h5py = pytest.importorskip("h5py")
    cells = read_expression(small)
    with h5py.File(tmp_path / "x.loom", "w") as file:
        file["matrix"] = cells.values
        words = h5py.string_dtype()
        file.create_dataset("row_attrs/Gene", data=list(cells.genes), dtype=words)
        for name in COLUMNS:
            file.create_dataset(
                f"col_attrs/{name}", data=list(cells.annotations[name]), dtype=words
            )
    wanted = list(by_hand(cells, 45, "mean").values())
    found = pseudobulk(tmp_path / "x.loom", COLUMNS, least=45)
    np.testing.assert_allclose(found.values.T, wanted, rtol=1e-6)

    def change(data):
        data.raw = data.copy()
        data.layers["twice"] = data.X * 2
        data.var_names = ["g1", *data.var_names[1:]]

    other = again(small, tmp_path / "y.h5ad", change)
    raw = pseudobulk(other, COLUMNS, least=45, layer="raw")
    np.testing.assert_allclose(raw.values.T, wanted, rtol=1e-6)
    with pytest.raises(GRNError, match="1 genes occur more than once, such as g1"):
        pseudobulk(other, COLUMNS, least=45)
    twice = pseudobulk(other, COLUMNS, least=45, layer="twice", duplicates="sum")
    assert len(twice.genes) == 39
    np.testing.assert_allclose(
        twice.values[0], 2 * (np.array(wanted)[:, 0] + np.array(wanted)[:, 1]), rtol=1e-6
    )


def test_cells_without_a_word_are_left_out():
    cells = Expression(
        np.array([[1, 2, 3, 4]], np.float32), ["a"], "wxyz", {"type": ["t", "", "t", "u"]}
    )
    found = pseudobulk(cells, ["type"], least=1)
    assert found.values.tolist() == [[2.0, 4.0]]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"by": "sex"}, "cells have no annotation 'sex'; they have region, cell_type"),
        ({"by": []}, "expected one or several columns"),
        ({"by": "region", "how": "median"}, "expected mean or sum"),
        ({"by": "region", "least": 0}, "at least 1 cell"),
        ({"by": "region", "least": 500}, "no state of region has 500 cells; the largest of 2 has"),
        ({"by": "region", "layer": "x"}, "there is no layer 'x'"),
    ],
)
def test_what_cannot_be_joined_is_said(small, options, words):
    with pytest.raises(GRNError, match=words):
        pseudobulk(small, **options)


def test_damaged_files(small, tmp_path):
    h5py = pytest.importorskip("h5py")
    (tmp_path / "x.csv").write_text("gene,a\nfur,1\n")
    with pytest.raises(GRNError, match=r"expected a file \.h5ad or \.loom"):
        pseudobulk(tmp_path / "x.csv", "region")
    with h5py.File(small, "r+") as file:
        file["X/data"][7] = np.nan
    with pytest.raises(GRNError, match="NaN or infinite"):
        pseudobulk(small, "region")
    with h5py.File(small, "r+") as file:
        file["X/data"][7] = 1
        file["X/indices"][7] = 40
    with pytest.raises(GRNError, match="places past 40"):
        pseudobulk(small, "region")
    (tmp_path / "y.h5ad").write_bytes(small.read_bytes()[:2000])
    with pytest.raises(GRNError, match="truncated or damaged"):
        pseudobulk(tmp_path / "y.h5ad", "region")


@pytest.mark.slow
def test_half_a_million_cells_within_four_gibibytes(tmp_path):
    path = synthetic_cells(tmp_path / "large.h5ad", 500_000, 2_000)
    program = (
        "import json, resource, sys; from groundup.apps.grn.data.pseudobulk import pseudobulk; "
        "made = pseudobulk(sys.argv[1], ['region', 'cell_type']); "
        "peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; "
        "print(json.dumps([*made.values.shape, float(made.values.mean()), peak]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    genes, states, mean, peak = json.loads(done.stdout)
    assert (genes, states) == (2_000, 20)
    assert mean == pytest.approx(3 * 0.05, rel=0.01)  # a twentieth of the counts, 1 + Poisson(2)
    assert peak * 1024 < 4 * 2**30 / 4
