"""Networks as ranked tables, and the files that other tools read."""

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from groundup.apps.grn.errors import GRNError
from groundup.apps.grn.networks.export import FORMATS, export
from groundup.apps.grn.networks.network import Network

pd = pytest.importorskip("pandas")


def made(**fields: object) -> Network:
    scores = np.array([[0.5, -1.0, 2.0], [0.5, 3.0, 0.25]], np.float32)
    return Network(["crp", "fur"], ["entA", "fur", "sodB"], scores, **fields)  # type: ignore[arg-type]


def full() -> Network:
    p = np.array([[0.5, 0.1, 0.75], [0.5, 0.875, 0.25]], np.float32)
    return made(
        probability=p,
        spread=p / 8,
        sign=np.array([[0, 1, -1], [1, -1, 1]], np.int8),
        in_prior=np.array([[1, 0, 0], [0, 1, 0]], bool),
    )


def test_order() -> None:
    order = made().order().tolist()
    assert order == [[1, 1], [0, 2], [0, 0], [1, 0], [1, 2], [0, 1]]
    for count in range(1, 9):
        assert made().order(count).tolist() == order[:count]
    with pytest.raises(GRNError, match="0 edges"):
        made().order(0)


def test_many_equal_scores() -> None:
    random = np.random.default_rng(0)
    scores = random.integers(0, 4, (20, 30)).astype(np.float32)
    network = Network([f"t{i}" for i in range(20)], [f"g{i}" for i in range(30)], scores)
    everything = network.order()
    for count in (1, 17, 200, 599):
        assert (network.order(count) == everything[:count]).all()


@pytest.mark.parametrize("name", ["probability", "spread", "sign", "in_prior"])
def test_matrices_of_another_shape(name: str) -> None:
    with pytest.raises(GRNError, match=name):
        made(**{name: np.zeros((2, 2), np.float32)})


def test_scores_that_are_not_finite() -> None:
    with pytest.raises(GRNError, match="1 scores"):
        Network(["a"], ["b", "c"], np.array([[np.nan, 1]], np.float32))


# R13.5: the tables that the field's tools read.
def test_tsv(tmp_path: Path) -> None:
    export(full(), tmp_path / "all.tsv")
    table = pd.read_csv(tmp_path / "all.tsv", sep="\t")
    assert list(table.columns) == [
        "TF", "target", "importance", "probability", "spread", "sign", "in_prior",
    ]  # fmt: skip
    assert table.TF.tolist() == ["fur", "crp", "crp", "fur", "fur", "crp"]
    assert table.importance.tolist() == [0.875, 0.75, 0.5, 0.5, 0.25, np.float32(0.1)]
    assert (table.importance == table.probability).all()
    assert table.sign.tolist() == [-1, -1, 0, 1, 1, 1]
    assert table.in_prior.tolist() == [True, False, True, False, False, False]


def test_arboreto_has_three_columns(tmp_path: Path) -> None:
    export(made(), tmp_path / "a.tsv", "arboreto", 2)
    table = pd.read_csv(tmp_path / "a.tsv", sep="\t", float_precision="round_trip")
    assert table.columns.tolist() == ["TF", "target", "importance"]
    assert table.values.tolist() == [["fur", "fur", 3.0], ["crp", "sodB", 2.0]]


def test_beeline(tmp_path: Path) -> None:
    export(full(), tmp_path / "rankedEdges.csv", "beeline")
    table = pd.read_csv(tmp_path / "rankedEdges.csv", sep="\t", header=0)
    assert table.columns.tolist() == ["Gene1", "Gene2", "EdgeWeight"]
    assert table.EdgeWeight.is_monotonic_decreasing
    assert table.iloc[0].tolist() == ["fur", "fur", 0.875]


def test_decoupler(tmp_path: Path) -> None:
    export(full(), tmp_path / "net.csv", "decoupler")
    table = pd.read_csv(tmp_path / "net.csv")
    assert table.columns.tolist() == ["source", "target", "weight"]
    assert table.weight.tolist()[:4] == [-0.875, -0.75, 0.5, 0.5]


def test_sif(tmp_path: Path) -> None:
    export(full(), tmp_path / "net.sif", "sif", 4)
    assert (tmp_path / "net.sif").read_text().splitlines() == [
        "fur\trepresses\tfur",
        "crp\trepresses\tsodB",
        "crp\tregulates\tentA",
        "fur\tactivates\tentA",
    ]


def test_graphml(tmp_path: Path) -> None:
    network = full()
    names = ["entA", "fur", 'so<d&"B']
    export(
        Network(["crp", "fur"], names, network.scores, network.probability, None, network.sign),
        tmp_path / "net.graphml",
        "graphml",
        3,
    )
    space = {"g": "http://graphml.graphdrawing.org/xmlns"}
    root = ET.parse(tmp_path / "net.graphml").getroot()
    keys = {key.get("id"): key.get("attr.type") for key in root.findall("g:key", space)}
    assert keys == {
        "is_tf": "boolean", "importance": "double", "probability": "double", "sign": "int",
    }  # fmt: skip
    nodes = root.findall("g:graph/g:node", space)
    assert [node.get("id") for node in nodes] == ["fur", "crp", 'so<d&"B', "entA"]
    assert [node[0].text for node in nodes] == ["true", "true", "false", "false"]
    edges = root.findall("g:graph/g:edge", space)
    assert [(e.get("source"), e.get("target")) for e in edges][1] == ("crp", 'so<d&"B')
    assert [data.text for data in edges[0]] == ["0.875", "0.875", "-1"]


@pytest.mark.parametrize("kind", FORMATS)
def test_written_whole_or_not_at_all(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "edges"
    export(full(), path, kind)
    before = path.read_bytes()
    broken = Network(["crp"], ["ent\nA", "sodB"], np.array([[0.1, 0.2]], np.float32))
    with pytest.raises(GRNError, match=r"'ent\\nA'"):
        export(broken, path, kind)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_more_lines_than_are_joined_at_once(tmp_path: Path) -> None:
    scores = np.random.default_rng(0).random((50, 200)).astype(np.float32)
    network = Network([f"t{i}" for i in range(50)], [f"g{i}" for i in range(200)], scores)
    export(network, tmp_path / "a.tsv", "arboreto")
    table = pd.read_csv(tmp_path / "a.tsv", sep="\t", float_precision="round_trip")
    assert len(table) == 10_000
    back = table.pivot(index="TF", columns="target", values="importance")
    again = back.loc[list(network.tf_names), list(network.gene_names)].to_numpy("f4")
    assert (again == scores).all()


def test_an_unknown_format(tmp_path: Path) -> None:
    with pytest.raises(GRNError, match="graphml"):
        export(made(), tmp_path / "x", "xlsx")
