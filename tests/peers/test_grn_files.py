"""Networks that are written here, read by the tools that people go on with. R13.5."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from groundup.apps.grn.networks.export import export
from groundup.apps.grn.networks.listed import read_network
from groundup.apps.grn.networks.network import Network

pandas = pytest.importorskip("pandas", reason="pandas, of the extra `grn`, is missing")

TFS, GENES = ["fur", "h-NS", "lacI"], ["fur", "entA", "a&b <c'>", "sodB", "lacI"]


def network() -> Network:
    random = np.random.default_rng(0)
    probability = random.random((3, 5)).astype(np.float32)
    return Network(
        TFS,
        GENES,
        np.log(probability / (1 - probability)),
        probability=probability,
        spread=0.1 * random.random((3, 5)).astype(np.float32),
        sign=random.integers(-1, 2, (3, 5)).astype(np.int8),
        in_prior=random.random((3, 5)) < 0.4,
    )


def written(folder: Path, kind: str, name: str, count: int | None = None) -> Path:
    export(network(), folder / name, kind, count)
    return folder / name


def test_networkx_reads_graphml(tmp_path: Path) -> None:
    networkx = pytest.importorskip("networkx", reason="networkx is missing")
    given = network()
    graph = networkx.read_graphml(written(tmp_path, "graphml", "x.graphml"))
    assert graph.is_directed()
    assert {name for name, of in graph.nodes(data=True) if of["is_tf"]} == set(TFS)
    assert graph.number_of_edges() == 15
    for row in given.ranked():
        edge = graph.edges[row.tf, row.target]
        assert edge["importance"] == edge["probability"] == row.probability
        assert (edge["sign"], edge["in_prior"]) == (row.sign, row.in_prior)
        assert edge["spread"] == row.spread
        assert (type(edge["sign"]), type(edge["in_prior"])) == (int, bool)
    best = networkx.read_graphml(written(tmp_path, "graphml", "best.graphml", 4))
    expected = {(row.tf, row.target) for row in given.ranked(4)}
    assert set(best.edges) == expected
    assert set(best.nodes) == {name for edge in expected for name in edge}


@pytest.mark.parametrize("kind", ["tsv", "arboreto"])
def test_adjacencies_as_pyscenic_reads_them(tmp_path: Path, kind: str) -> None:
    """Its step `ctx` takes the separator from the ending and the types by place."""
    table = pandas.read_csv(
        written(tmp_path, kind, "adjacencies.tsv"),
        sep="\t",
        dtype={0: str, 1: str, 2: np.float64},
        keep_default_na=False,
    )
    assert list(table.columns[:3]) == ["TF", "target", "importance"]
    assert (len(table.columns) == 3) == (kind == "arboreto")
    rows = list(network().ranked())
    assert list(zip(table["TF"], table["target"], strict=True)) == [row[:2] for row in rows]
    expected = [row.importance for row in rows]
    np.testing.assert_allclose(table["importance"], expected, rtol=1e-12)
    # As modules are made of it there: the targets of a TF by importance, the best of them.
    of_fur = table[table["TF"] == "fur"].nlargest(2, "importance")
    assert list(of_fur["target"]) == [row.target for row in rows if row.tf == "fur"][:2]


def test_ranked_edges_as_beeline_reads_them(tmp_path: Path) -> None:
    """It drops edges of a gene with itself, and takes those whose absolute weight is largest."""
    table = pandas.read_csv(written(tmp_path, "beeline", "rankedEdges.csv"), sep="\t", header=0)
    assert list(table.columns) == ["Gene1", "Gene2", "EdgeWeight"]
    others = table.loc[table["Gene1"] != table["Gene2"]]
    assert len(others) == 15 - 2
    assert others["EdgeWeight"].abs().is_monotonic_decreasing
    assert not others.duplicated(["Gene1", "Gene2"]).any()


def test_a_net_of_decoupler(tmp_path: Path) -> None:
    """Columns source, target and weight, each edge once, and a weight with the sign."""
    net = pandas.read_csv(written(tmp_path, "decoupler", "net.csv"), keep_default_na=False)
    assert list(net.columns) == ["source", "target", "weight"]
    assert not net.duplicated(["source", "target"]).any()
    for row, weight in zip(network().ranked(), net["weight"], strict=True):
        assert weight == pytest.approx(-row.importance if row.sign == -1 else row.importance)


def test_decoupler_finds_the_activity_that_is_there(tmp_path: Path) -> None:
    decoupler = pytest.importorskip("decoupler", reason="decoupler is missing")
    random = np.random.default_rng(0)
    genes = [f"g{number}" for number in range(30)]
    sign = np.where(np.arange(30) % 3, 1, -1).astype(np.int8)
    belongs = np.stack([np.arange(30) < 15, np.arange(30) >= 15])
    scores = np.where(belongs, 0.9, 0.1).astype(np.float32)
    export(
        Network(["a", "b"], genes, scores, probability=scores, sign=np.stack([sign, sign])),
        tmp_path / "net.csv",
        "decoupler",
        30,
    )
    net = pandas.read_csv(tmp_path / "net.csv")
    activity = random.normal(size=(8, 2))
    values = activity @ (belongs * sign) + 0.1 * random.normal(size=(8, 30))
    cells = pandas.DataFrame(values, columns=genes, index=[f"c{n}" for n in range(8)])
    found, _ = decoupler.mt.ulm(cells, net, tmin=3)
    for column, name in enumerate("ab"):
        assert np.corrcoef(found[name], activity[:, column])[0, 1] > 0.8


@pytest.mark.parametrize("kind", ["arboreto", "beeline", "decoupler"])
def test_what_pandas_writes_is_read_back(tmp_path: Path, kind: str) -> None:
    """Tables of those tools themselves are what pandas makes of such columns."""
    mark = "," if kind == "decoupler" else "\t"
    read = {"sep": mark, "keep_default_na": False}
    table = pandas.read_csv(written(tmp_path, kind, "x.tsv"), **read)
    table.to_csv(tmp_path / "again.tsv", sep=mark, index=False)
    found, count = read_network(tmp_path / "again.tsv")
    assert count == 15
    assert [row[:2] for row in found.ranked(15)] == [row[:2] for row in network().ranked()]
