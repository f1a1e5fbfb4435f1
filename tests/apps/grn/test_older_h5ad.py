"""``.h5ad`` of before anndata 0.7, as many published files still are (R13.3)."""

import numpy as np
import pytest

from groundup.apps.grn.data.pseudobulk import pseudobulk
from groundup.apps.grn.data.read import read_expression
from groundup.apps.grn.errors import GRNError

h5py = pytest.importorskip("h5py")
pytest.importorskip("anndata")

KINDS = ["B", "B", None, "T", "T", "B"]


def older(path, form="csr"):
    """Six cells of four genes: a scaled matrix, and counts as its raw one."""
    counts = np.arange(24, dtype=np.float32).reshape(6, 4) % 5
    lines = counts if form == "csr" else counts.T
    with h5py.File(path, "w") as file:
        file["X"] = counts - counts.mean(axis=0)
        raw = file.create_group("raw.X")
        raw.attrs.update({"h5sparse_format": form, "h5sparse_shape": (6, 4)})
        raw["data"], raw["indices"] = lines[lines != 0], np.nonzero(lines)[1]
        raw["indptr"] = np.append(0, np.cumsum((lines != 0).sum(axis=1)))
        codes = [-1 if kind is None else "BT".index(kind) for kind in KINDS]
        kind = [("index", "S8"), ("kind", "i1"), ("cluster", "<i8"), ("share", "<f4")]
        cells = [(b"cell%d" % n, code, n // 3, n / 6) for n, code in enumerate(codes)]
        file["obs"] = np.array(cells, kind)
        file["uns/kind_categories"] = np.array([b"B", b"T"])
        genes = np.array([(b"g%d" % n,) for n in range(4)], [("index", "S8")])
        file["var"] = file["raw.var"] = genes
    return path, counts


@pytest.mark.parametrize("form", ["csr", "csc"])
def test_states_are_those_of_the_cells(tmp_path, form):
    path, counts = older(tmp_path / "cells.h5ad", form)
    states = pseudobulk(path, ["kind", "cluster"], least=1, layer="raw")
    assert list(states.samples) == ["B|0", "B|1", "T|1"]
    assert list(states.genes) == ["g0", "g1", "g2", "g3"]
    means = [counts[[0, 1]].mean(0), counts[5], counts[[3, 4]].mean(0)]
    np.testing.assert_allclose(states.values.T, means, rtol=1e-6)
    scaled = pseudobulk(path, "kind", least=1).values.T
    np.testing.assert_allclose(scaled[1], (counts - counts.mean(0))[[3, 4]].mean(0), atol=1e-6)


def test_read_whole_it_is_the_same(tmp_path):
    path, counts = older(tmp_path / "cells.h5ad")
    found = read_expression(path, layer="raw")
    np.testing.assert_array_equal(found.values, counts.T)
    assert found.annotations["kind"] == ["B", "B", "", "T", "T", "B"]
    with pytest.raises(GRNError, match=r"there is no layer 'counts'; its layers: raw"):
        read_expression(path, layer="counts")
    with pytest.raises(GRNError, match=r"no annotation 'donor'; they have kind, cluster, share"):
        pseudobulk(path, "donor")
