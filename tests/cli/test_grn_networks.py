"""`groundup grn infer` and `export` (R13.5): what other programs read, and what is refused."""

import json

import numpy as np
import pytest
from tests.cli.grn_files import posed, write_files

from groundup.apps.grn.errors import GRNError
from groundup.apps.grn.networks.export import FORMATS
from groundup.apps.grn.unsupervised import infer, trees
from groundup.apps.grn.unsupervised.kept import Kept

pytest.importorskip("pandas")


@pytest.fixture
def files(place):
    write_files(place)
    return place


def rows(path, mark="\t"):
    return [line.split(mark) for line in path.read_text().splitlines()]


def test_a_network_is_inferred(groundup, files):
    words = ("grn", "infer", "--expression", "x.tsv")
    done = groundup(*words, "--tfs", "tfs.txt", "--top", "20")
    assert done.exit_code == 0, done.stderr
    assert done.stdout == "edges.tsv\n"
    assert "The 20 best of 960 pairs" in done.stderr
    found = rows(files / "edges.tsv")
    assert found[0] == ["TF", "target", "importance"]
    problem = posed(files)
    scores = infer(problem.expression, problem.tf_names, "clr").astype(np.float32)
    genes = problem.expression.index()
    best = sorted(scores.ravel(), reverse=True)[:20]
    for (tf, target, importance), value in zip(found[1:], best, strict=True):
        assert float(importance) == value
        assert scores[problem.tf_names.index(tf), genes[target]] == value

    marked = groundup(*words, "--prior", "net.tsv", "--method", "pearson", "--json")
    content = json.loads(marked.stdout)
    assert (content["edges"], content["method"]) == (960, "pearson")
    found = rows(files / "edges.tsv")
    assert found[0] == ["TF", "target", "importance", "in_prior"]
    assert sum(row[3] == "True" for row in found) == problem.edges.sum()


def test_names_of_tfs(groundup, files):
    words = ("grn", "infer", "--expression", "x.tsv")
    assert "name the TFs with --tfs FILE" in groundup(*words).stderr
    (files / "some.txt").write_text("gene1\nnone\n\ngene1\n")
    done = groundup(*words, "--tfs", "some.txt", "--top", "0")
    assert "1 of 2 TFs are not measured: none" in done.stderr
    assert len(rows(files / "edges.tsv")) == 81
    for content, told in (
        ("GENE1\n", "no TF is among the 80 genes measured; GENE1 and gene1 differ in capitals"),
        ("", "empty, expected names of TFs"),
        ("gene1\tx\n", "expected names of TFs, one a line and nothing else"),
    ):
        (files / "some.txt").write_text(content)
        done = groundup(*words, "--tfs", "some.txt", "-o", "none.tsv")
        assert done.exit_code == 2
        assert told in done.stderr
    assert not (files / "none.tsv").exists()
    assert groundup(*words, "--tfs", "tfs.txt", "--method", "magic").exit_code == 2
    assert groundup(*words, "--tfs", "no.txt").exit_code == 1


def test_trees(groundup, files):
    pytest.importorskip("sklearn")
    (files / "x.tsv").write_text("\n".join((files / "x.tsv").read_text().splitlines()[:7]) + "\n")
    (files / "two.txt").write_text("gene0\ngene1\n")
    words = ("--tfs", "two.txt", "--method", "trees", "--format", "arboreto", "--no-transpose")
    done = groundup("grn", "infer", "--expression", "x.tsv", *words)
    assert done.exit_code == 0, done.stderr
    assert rows(files / "edges.tsv")[0] == ["TF", "target", "importance"]


# R13.5: trees take long, so what is done is kept, and gone on with to the same bits.
def test_trees_that_are_stopped_go_on(groundup, files, monkeypatch):
    (files / "x.tsv").write_text("\n".join((files / "x.tsv").read_text().splitlines()[:9]) + "\n")
    (files / "two.txt").write_text("gene0\ngene1\n")
    monkeypatch.setattr(trees, "_AT_ONCE", 60)  # two genes at a time
    grown, made = [], trees._boosted

    def stopping(x, y, own, seed):
        if len(grown) == 2:
            grown.append(0)
            raise KeyboardInterrupt
        grown.append(len(y))
        return made(x, y, own, seed)

    words = ("grn", "infer", "--expression", "x.tsv", "--tfs", "two.txt", "--no-transpose")
    words += ("--method", "trees")
    whole = groundup(*words, "-o", "whole.tsv")
    assert whole.exit_code == 0, whole.stderr
    monkeypatch.setattr(trees, "_boosted", stopping)
    stopped = groundup(*words, "-o", "parts.tsv")
    assert stopped.exit_code == 130
    assert "is kept in parts.tsv.parts. Go on with the same command" in stopped.stderr
    assert not (files / "parts.tsv").exists()
    other = groundup(*words, "-o", "parts.tsv", "--seed", "1")
    assert other.exit_code == 1
    assert "another inference (seed differ)" in other.stderr
    done = groundup(*words, "-o", "parts.tsv")
    assert done.exit_code == 0, done.stderr
    assert grown == [2, 2, 0, 2, 2]
    assert (files / "parts.tsv").read_bytes() == (files / "whole.tsv").read_bytes()
    assert not (files / "parts.tsv.parts").exists()


def test_a_folder_that_keeps_something_else_is_named(tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(GRNError, match="a folder with other files"):
        Kept(tmp_path, {"seed": 0})
    Kept(tmp_path / "k", {"seed": 0})
    for content in ("{", "[]"):
        (tmp_path / "k" / "about.json").write_text(content)
        with pytest.raises(GRNError, match=r"about\.json: cannot be read.*remove the folder"):
            Kept(tmp_path / "k", {"seed": 0})
    (tmp_path / "k" / "about.json").unlink()
    Kept(tmp_path / "k", {"seed": 0})
    (tmp_path / "k" / "scores-000000.safetensors").write_bytes(b"no")
    with pytest.raises(GRNError, match="remove the file, and it is made again"):
        list(Kept(tmp_path / "k", {"seed": 0}).read())


@pytest.mark.parametrize(
    ("name", "format"),
    [("e.graphml", None), ("e.sif", None), ("rankedEdges.csv", None), ("e.csv", "decoupler"),
     ("e.tsv", "arboreto"), ("e.tsv", None)],
)  # fmt: skip
def test_networks_become_other_files(groundup, files, name, format):
    table = "TF\ttarget\timportance\tprobability\tsign\tin_prior\n"
    table += "a\tb\t0.9\t0.9\t-1\tTrue\na\tc\t0.5\t0.5\t1\tFalse\nb\ta\t0.25\t0.25\t0\tFalse\n"
    (files / "edges.tsv").write_text(table)
    words = () if format is None else ("--format", format)
    done = groundup("grn", "export", "edges.tsv", "-o", name, *words, "--top", "2")
    assert done.exit_code == 0, done.stderr
    text = (files / name).read_text()
    if name == "e.graphml":
        assert text.count("<edge ") == 2
        assert '<data key="in_prior">true</data>' in text
    else:
        expected = {
            ("e.sif", None): "a\trepresses\tb\na\tactivates\tc\n",
            ("rankedEdges.csv", None): "Gene1\tGene2\tEdgeWeight\na\tb\t0.9\na\tc\t0.5\n",
            ("e.csv", "decoupler"): "source,target,weight\na,b,-0.9\na,c,0.5\n",
            ("e.tsv", "arboreto"): "TF\ttarget\timportance\na\tb\t0.9\na\tc\t0.5\n",
            ("e.tsv", None): "".join(table.splitlines(keepends=True)[:3]),
        }
        assert text == expected[name, format]
    if name.endswith(("csv", "tsv")):  # and back
        back = groundup("grn", "export", name, "-o", "back.tsv")
        assert back.exit_code == 0, back.stderr
        assert [row[:2] for row in rows(files / "back.tsv")[1:]] == [["a", "b"], ["a", "c"]]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "empty"),
        ("TF\ttarget\timportance\n", "a first line and no edges"),
        ("x\ty\n1\t2\n", "expected TF, target, importance"),
        ("TF\ttarget\timportance\na\tb\n", "line 2 has 2 columns, expected 3"),
        ("TF\ttarget\timportance\na\tb\tnan\n", "line 2: importance is 'nan'"),
        ("TF\ttarget\timportance\na\t\t1\n", "line 2 has no name"),
        ("TF\ttarget\timportance\na\tb\t1\na\tc\t1\na\tb\t2\n", "line 4 has the edge a b again"),
        (b"\xff\xfe", "cannot be read"),
    ],
)
def test_what_is_no_network(groundup, files, content, told):
    kept = content if isinstance(content, bytes) else content.encode()
    (files / "edges.tsv").write_bytes(kept)
    done = groundup("grn", "export", "edges.tsv", "-o", "e.sif")
    assert done.exit_code == 1
    assert told in done.stderr
    assert not (files / "e.sif").exists()


def test_formats_are_those_of_the_help(groundup):
    text = " ".join(groundup("grn", "export", "--help").stdout.split())
    assert all(name in text for name in FORMATS)


def test_towers_infer_without_a_prior(groundup, files):
    words = ("--method", "two-tower-self-supervised", "--top", "10")
    for seed, name in ((1, "a.tsv"), (1, "b.tsv"), (2, "c.tsv")):
        asked = (*words, "--tfs", "tfs.txt", "--seed", seed, "-o", name)
        done = groundup("grn", "infer", "--expression", "x.tsv", *asked)
        assert done.exit_code == 0, done.stderr
    one, same, other = ((files / name).read_bytes() for name in ("a.tsv", "b.tsv", "c.tsv"))
    assert one == same != other
