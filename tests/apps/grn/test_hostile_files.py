"""Damaged files: each is refused with its name, or is read as what it still says (R13.3, R13.5).

Damage is what happens to files: cut short, bits flipped, stretches of zeros or of something else,
parts missing. Whatever it is, there is a `GRNError` that names the file, or a result that keeps its
own promises; never another error, and nothing is written.
"""

from __future__ import annotations

import copy
import gzip
import json
import tempfile
from collections.abc import Callable
from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from tests.apps.grn.planted import posed, quick

from groundup.apps.grn.data.datasets import gene_table, load_dataset, verify
from groundup.apps.grn.data.expression import Expression
from groundup.apps.grn.data.names import read_aliases
from groundup.apps.grn.data.preprocess import Preprocessing, cached
from groundup.apps.grn.data.prior import Prior, read_prior
from groundup.apps.grn.data.pseudobulk import pseudobulk
from groundup.apps.grn.data.read import read_expression
from groundup.apps.grn.errors import GRNError
from groundup.apps.grn.evaluation.evaluate import evaluate
from groundup.apps.grn.evaluation.record import Record
from groundup.apps.grn.evaluation.results import Evaluation
from groundup.apps.grn.networks.export import FORMATS, export
from groundup.apps.grn.networks.listed import read_network
from groundup.apps.grn.networks.network import Network
from groundup.apps.grn.training.recipes import PLANS
from groundup.apps.grn.training.train import train
from groundup.apps.grn.tuning.settings import load_recipe, save_recipe
from groundup.apps.grn.unsupervised.kept import Kept
from groundup.apps.grn.use.saved import load_trained, save_trained

pytest.importorskip("pandas", reason="pandas, of the extra `grn`, is missing")

Damage = Callable[[bytes], bytes]
ODD = [b"\0", b'"', b"'", b"\n", b"\r", b"\xff", b"\xef\xbb\xbf", b"\t", b",", b";", b" ", b"#",
       b"nan", b"inf", b"1e999", b"9" * 60, b"-", b"\xc3", b"\x1c", b"\xe2\x80\xa8", b"True",
       b"0x1", b"1_0", b"NA"]  # fmt: skip
"""What a table may hold and should not."""


@st.composite
def damages(draw: st.DrawFn) -> Damage:
    """A way to damage a file, as a function of its bytes; places are shares of its length."""
    kind = draw(st.sampled_from(["cut", "flip", "zeros", "other", "missing", "odd"]))
    where = [draw(st.floats(0, 1, exclude_max=True)) for _ in range(draw(st.integers(1, 3)))]
    length, seed = draw(st.integers(1, 60)), draw(st.integers(0, 2**32 - 1))
    odd = draw(st.sampled_from(ODD))

    def damage(content: bytes) -> bytes:
        found, random = bytearray(content), np.random.default_rng(seed)
        for share in where:
            place = int(share * len(found))
            if kind == "cut":
                del found[place:]
            elif kind == "flip" and found:
                found[place] ^= 1 << int(random.integers(8))
            elif kind == "zeros":
                found[place : place + length] = bytes(len(found[place : place + length]))
            elif kind == "other":
                found[place : place + length] = random.bytes(length)
            elif kind == "missing":
                del found[place : place + length]
            else:
                found[place : place + len(odd)] = odd
        return bytes(found)

    return damage


def check(
    folder: Path, name: str, content: bytes, read: Callable[[Path], Any], sane: Callable[[Any], Any]
) -> None:
    """Read a damaged file; it is refused by name or sane, and the folder stays as it is."""
    path = folder / name
    path.write_bytes(content)
    before = sorted(str(found) for found in folder.rglob("*"))
    words, result = refused(lambda: read(path))
    assert name in words if words else sane(result), words
    assert sorted(str(found) for found in folder.rglob("*")) == before
    assert path.read_bytes() == content


def refused(call: Callable[[], Any]) -> tuple[str, Any]:
    """What a `GRNError` says, or what there is without one."""
    try:
        return "", call()
    except GRNError as error:
        return str(error), None


def sane_expression(found: Expression) -> bool:
    shape = len(found.genes), len(found.samples)
    return bool(np.isfinite(found.values).all()) and found.values.shape == shape


def sane_prior(found: Prior) -> bool:
    return all([*found.tfs, *found.targets]) and set(found.signs.tolist()) <= {-1, 0, 1}


def sane_network(found: tuple[Network, int]) -> bool:
    network, count = found
    rows = list(network.ranked(count))
    return len(rows) == count and all(row.tf and row.sign in (None, -1, 0, 1) for row in rows)


@cache
def tables() -> dict[str, tuple[bytes, Callable[[Path], Any], Callable[[Any], Any]]]:
    random = np.random.default_rng(0)
    values = random.normal(size=(12, 8)).round(3).astype(str).tolist()
    lines = [["gene", *(f"s{n}" for n in range(8))]]
    lines += [[f"g{n}", *row] for n, row in enumerate(values)]
    prior = ["TF\ttarget\tsign"] + [f"g{n % 3}\tg{n}\t{'+-?'[n % 3]}" for n in range(20)]
    network = ["TF\ttarget\timportance\tprobability\tsign\tin_prior"]
    network += [f"g{n % 3}\tg{n}\t{9 - n / 7}\t{1 / (1 + n)}\t{n % 3 - 1}\tTrue" for n in range(20)]

    def table(mark: str) -> bytes:
        return "\n".join(mark.join(line) for line in lines).encode()

    expression = (read_expression, sane_expression)
    edges, ranked = "\n".join(prior).encode(), "\n".join(network).encode()
    return {
        "x.csv": (table(","), *expression),
        "x.tsv": (table("\t"), *expression),
        "x.txt": (table(" "), *expression),
        "x.tsv.gz": (gzip.compress(table("\t"), mtime=0), *expression),
        "prior.tsv": (edges, read_prior, sane_prior),
        "prior.csv.gz": (
            gzip.compress(edges.replace(b"\t", b","), mtime=0), read_prior, sane_prior
        ),
        "edges.tsv": (ranked, read_network, sane_network),
        "edges.csv.gz": (
            gzip.compress(ranked.replace(b"\t", b","), mtime=0), read_network, sane_network
        ),
        "aliases.tsv": (b"a1\tb1\na2\tb2\n", read_aliases, lambda found: all(found.values())),
        "genes.tsv": (b"gene\toperon\na1\tb1\na2\tb2\n", gene_table, lambda found: True),
    }  # fmt: skip


TABLES = ["x.csv", "x.tsv", "x.txt", "x.tsv.gz", "prior.tsv", "prior.csv.gz", "edges.tsv",
          "edges.csv.gz", "aliases.tsv", "genes.tsv"]  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_tables(name: str, tmp_path: Path) -> None:
    content, read, sane = tables()[name]
    check(tmp_path, name, content, read, sane)

    @given(damage=damages())
    def damaged(damage: Damage) -> None:
        check(tmp_path, name, damage(content), read, sane)

    damaged()


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLES)
def test_tables_for_long(name: str, tmp_path: Path) -> None:
    content, read, sane = tables()[name]

    @settings(max_examples=500, derandomize=False)
    @given(first=damages(), second=damages())
    def damaged(first: Damage, second: Damage) -> None:
        check(tmp_path, name, second(first(content)), read, sane)

    damaged()


def cells(path: Path, form: str) -> bytes:
    """30 cells of 12 genes as HDF5, of one of its forms; the words in it are of fixed length."""
    h5py = pytest.importorskip("h5py", reason="h5py, of the extra `grn`, is missing")
    counts = np.random.default_rng(0).poisson(2, (30, 12)).astype(np.float32)
    genes = np.array([b"g%d" % n for n in range(12)])
    names = np.array([b"c%d" % n for n in range(30)])
    with h5py.File(path, "w") as file:
        if form == "loom":
            file["matrix"] = counts.T
            file["row_attrs/Gene"], file["col_attrs/CellID"] = genes, names
            file["col_attrs/kind"] = np.array([b"B", b"T"] * 15)
        else:
            lines = counts.T if form == "csc" else counts
            if form == "dense":
                file["X"] = counts
            else:
                group = file.create_group("X")
                group.attrs["h5sparse_format"] = np.bytes_(form)
                group.attrs["h5sparse_shape"] = counts.shape
                group["data"], group["indices"] = lines[lines != 0], np.nonzero(lines)[1]
                group["indptr"] = np.append(0, np.cumsum((lines != 0).sum(axis=1)))
            kind = [("index", "S4"), ("kind", "i1")]
            file["obs"] = np.array([(name, n % 2) for n, name in enumerate(names)], kind)
            file["uns/kind_categories"] = np.array([b"B", b"T"])
            file["var"] = np.array([(gene,) for gene in genes], [("index", "S4")])
    return path.read_bytes()


READERS = {
    "whole": read_expression,
    "by state": lambda path: pseudobulk(path, "kind", least=1),
}


def hdf5(form: str, folder: Path, damage: Damage | None = None) -> int:
    """How many readers were asked; each either reads something sane or refuses by name."""
    name = "x.loom" if form == "loom" else "x.h5ad"
    content = cells(folder / name, form)
    for read in READERS.values():
        check(folder, name, content if damage is None else damage(content), read, sane_expression)
    return len(READERS)


@pytest.mark.parametrize("form", ["dense", "csr", "csc", "loom"])
def test_cells(form: str, tmp_path: Path) -> None:
    """A damaged matrix that is compressed can point anywhere; it must not be followed."""
    pytest.importorskip("anndata", reason="anndata, of the extra `grn`, is missing")
    assert hdf5(form, tmp_path) == 2

    @given(damage=damages())
    def damaged(damage: Damage) -> None:
        assert hdf5(form, tmp_path, damage) == 2

    damaged()


@pytest.mark.slow
@pytest.mark.parametrize("form", ["dense", "csr", "csc", "loom"])
def test_cells_for_long(form: str, tmp_path: Path) -> None:
    pytest.importorskip("anndata", reason="anndata, of the extra `grn`, is missing")

    @settings(max_examples=1000, derandomize=False)
    @given(damage=damages())
    def damaged(damage: Damage) -> None:
        assert hdf5(form, tmp_path, damage) == 2

    damaged()


def test_cells_that_are_cut_short(tmp_path: Path) -> None:
    """As anndata writes them today. Of a file cut anywhere, nothing is read.

    They hold words of any length in a heap, in whose zeros HDF5 itself can go round for ever, so
    that no other damage is tried on them.
    """
    anndata = pytest.importorskip("anndata", reason="anndata, of the extra `grn`, is missing")
    pandas = pytest.importorskip("pandas")
    obs = pandas.DataFrame({"kind": pandas.Categorical(["B", "T"] * 15)})
    obs.index = [f"c{n}" for n in range(30)]
    data = anndata.AnnData(np.ones((30, 12), np.float32), obs)
    with anndata.settings.override(allow_write_nullable_strings=True):
        data.write_h5ad(tmp_path / "x.h5ad")
    content = (tmp_path / "x.h5ad").read_bytes()
    for length in np.linspace(0, len(content) - 1, 40).astype(int):
        for read in READERS.values():
            (tmp_path / "x.h5ad").write_bytes(content[:length])
            with pytest.raises(GRNError, match=r"x\.h5ad"):
                read(tmp_path / "x.h5ad")


@cache
def model(name: str) -> tuple[Any, dict[str, bytes], np.ndarray]:
    """What a model says of all pairs, and the files that it is saved as."""
    trained = train(posed()[2], name, quick(name, epochs=1))
    with tempfile.TemporaryDirectory() as folder:
        save_trained(trained, folder, prior_digest="abc", preprocessing={"log1p": True})
        files = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
    pairs = np.argwhere(np.ones(posed()[2].edges.shape, bool))
    return pairs, files, trained.score(pairs)


def load_damaged(folder: Path, name: str, files: dict[str, bytes]) -> np.ndarray | None:
    """What the model of these files says of all pairs; None if it is refused, by its name."""
    for key, content in files.items():
        (folder / key).write_bytes(content)
    words, trained = refused(lambda: load_trained(folder, posed()[0].expression))
    assert {path.name for path in folder.iterdir()} == set(files)
    if words:
        assert str(folder) in words
        return None
    return trained.score(model(name)[0])


@pytest.mark.parametrize("name", ["regulon", "embedding"])
@pytest.mark.parametrize("file", ["weights.safetensors", "model.json"])
def test_models(name: str, file: str, tmp_path: Path) -> None:
    """Weights that were changed at all are refused."""
    _, files, scores = model(name)
    assert (load_damaged(tmp_path, name, files) == scores).all()

    @given(damage=damages())
    def damaged(damage: Damage) -> None:
        content = damage(files[file])
        found = load_damaged(tmp_path, name, files | {file: content})
        if file == "weights.safetensors" and content != files[file]:
            assert found is None

    damaged()


JUNK = st.sampled_from(
    [None, True, 0, -1, 3.5, float("nan"), 1e308, "", "x", [], {}, [1], ["a", "a"], {"a": 1},
     10**30, [[1]], "\ud800"]
)  # fmt: skip


def leaves(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Places in JSON; of a list the first three."""
    keys: list[Any] = list(content) if isinstance(content, dict) else []
    keys = list(range(min(len(content), 3))) if isinstance(content, list) else keys
    below = [leaf for key in keys for leaf in leaves(content[key], (*path, key))]
    return [path] * bool(path) + below


@pytest.mark.parametrize("name", ["regulon", "embedding"])
def test_descriptions_that_say_something_else(name: str, tmp_path: Path) -> None:
    """Each field of a model's JSON replaced by something odd, or missing."""
    _, files, _ = model(name)
    whole = json.loads(files["model.json"])
    places = leaves(whole)

    @settings(max_examples=4 * settings().max_examples)
    @given(place=st.sampled_from(places), junk=JUNK, missing=st.booleans())
    def damaged(place: tuple[Any, ...], junk: Any, missing: bool) -> None:
        content = copy.deepcopy(whole)
        inside = content
        for key in place[:-1]:
            inside = inside[key]
        if missing:
            del inside[place[-1]]
        else:
            inside[place[-1]] = junk
        changed = json.dumps(content).encode()
        found = load_damaged(tmp_path, name, files | {"model.json": changed})
        assert found is None or found.shape == model(name)[2].shape

    damaged()


@pytest.mark.parametrize("file", ["run.json", "checkpoint.safetensors"])
def test_a_training_to_go_on_with(file: str, tmp_path: Path) -> None:
    """A damaged checkpoint is not gone on with, and not written over."""
    known, recipe = posed()[2], quick("expression", epochs=1)
    train(known, "expression", recipe, folder=tmp_path)
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    @given(damage=damages())
    def damaged(damage: Damage) -> None:
        content = damage(files[file])
        for key, whole in files.items():
            (tmp_path / key).write_bytes(whole)
        (tmp_path / file).write_bytes(content)
        words, _ = refused(lambda: train(known, "expression", recipe, folder=tmp_path))
        if words:  # of a number that became huge, training says where it led
            assert str(tmp_path) in words or "training went to NaN" in words
            assert (tmp_path / file).read_bytes() == content
        assert {path.name for path in tmp_path.iterdir()} == set(files)

    damaged()


def test_data_sets(tmp_path: Path) -> None:
    """What was fetched is refused if a byte of it is another."""
    table = b"TF\ttarget\tsign\nfur\tentA\t-1\n"
    about = json.dumps({"title": "x", "files": {"prior.tsv": sha256(table).hexdigest()}}).encode()
    files = {"prior.tsv": table, "about.json": about}

    @given(damage=damages(), file=st.sampled_from(sorted(files)))
    def damaged(damage: Damage, file: str) -> None:
        changed = files | {file: damage(files[file])}
        for key, content in changed.items():
            (tmp_path / key).write_bytes(content)
        for read in (verify, load_dataset):
            words, _ = refused(partial(read, tmp_path))
            assert str(tmp_path) in words if words else changed["prior.tsv"] == table

    damaged()


@pytest.mark.parametrize("kind", FORMATS)
@given(name=st.text(min_size=1, max_size=6), other=st.text(min_size=1, max_size=6))
def test_odd_names_are_written_so_that_they_can_be_read(kind: str, name: str, other: str) -> None:
    """Or refused; then no file is there."""
    if name.strip() == other.strip():
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"edges.{kind}")
        network = Network([name], [name, other], np.array([[0.5, 0.25]], np.float32))
        try:
            export(network, path, kind)
        except GRNError:
            assert not list(Path(folder).iterdir())
            return
        if kind in ("sif", "graphml"):
            assert name in path.read_text("utf-8") or kind == "graphml"
            return
        again, count = read_network(path)
        assert count == 2
        assert [row[:2] for row in again.ranked(2)] == [(name, name), (name, other)]


def test_preprocessed_expression_that_is_kept(tmp_path: Path) -> None:
    """A kept file that was damaged is made anew: what is read is what was made, to the bit."""
    (tmp_path / "x.csv").write_bytes(tables()["x.csv"][0])
    made, place = cached(tmp_path / "x.csv", Preprocessing(variable_genes=8), tmp_path / "kept")
    content = place.read_bytes()

    @given(damage=damages())
    def damaged(damage: Damage) -> None:
        place.write_bytes(damage(content))
        again, where = cached(
            tmp_path / "x.csv", Preprocessing(variable_genes=8), tmp_path / "kept"
        )
        assert where == place
        assert again.values.tobytes() == made.values.tobytes()
        assert [*again.genes, *again.samples] == [*made.genes, *made.samples]

    damaged()


def test_evaluations_that_are_kept(tmp_path: Path) -> None:
    """What was kept of an evaluation, damaged, is refused by the name of its folder, or read."""
    problem = posed()[0]
    evaluate(problem, ["degree", "correlation"], "gene", seeds=1, folder=tmp_path)
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    @settings(max_examples=3 * settings().max_examples)
    @given(damage=damages(), path=st.sampled_from(sorted(files)))
    def damaged(damage: Damage, path: Path) -> None:
        for key, whole in files.items():
            key.write_bytes(whole)
        path.write_bytes(damage(files[path]))
        for read in (
            lambda: Record(tmp_path).read(),
            lambda: evaluate(problem, ["degree", "correlation"], "gene", seeds=1, folder=tmp_path),
        ):
            words, found = refused(read)
            assert str(tmp_path) in words if words else isinstance(found, Evaluation)

    damaged()


def test_trees_that_are_kept(tmp_path: Path) -> None:
    """What was kept of trees that were ended in the middle."""
    about = {"seed": 0, "genes": 2}
    kept = Kept(tmp_path, about)
    kept.add(np.array([4, 7]), np.array([[0.5, 0.25]]))
    kept.flush()
    files = {path: path.read_bytes() for path in tmp_path.iterdir()}

    @given(damage=damages(), path=st.sampled_from(sorted(files)))
    def damaged(damage: Damage, path: Path) -> None:
        for key, whole in files.items():
            key.write_bytes(whole)
        path.write_bytes(damage(files[path]))
        words, _ = refused(lambda: list(Kept(tmp_path, about).read()))
        assert not words or str(tmp_path) in words

    damaged()


def test_recipes(tmp_path: Path) -> None:
    """Settings of a model in a file of their own."""
    save_recipe(tmp_path / "mine.json", "expression", quick("expression"))
    content = (tmp_path / "mine.json").read_bytes()

    @given(damage=damages())
    def damaged(damage: Damage) -> None:
        check(tmp_path, "mine.json", damage(content), load_recipe, lambda found: found[0] in PLANS)

    damaged()
