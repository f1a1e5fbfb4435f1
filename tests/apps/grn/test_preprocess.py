"""Preprocessing against closed forms, and files of what was preprocessed (R13.3)."""

import json
import statistics
from math import log, log1p

import numpy as np
import pytest

from groundup.apps.grn.data import preprocess
from groundup.apps.grn.data.expression import Expression
from groundup.apps.grn.data.preprocess import (
    Preprocessing,
    cached,
    dispersion,
    load_expression,
    save_expression,
)
from groundup.apps.grn.errors import GRNError


def counts(genes=200, samples=30, seed=0) -> Expression:
    random = np.random.default_rng(seed)
    rates = random.gamma(1, 5, (genes, 1)) * random.gamma(2, 0.5, (genes, samples))
    values = random.poisson(rates).astype(np.float32) + 1
    return Expression(
        values, [f"g{i}" for i in range(genes)], [f"s{i}" for i in range(samples)],
        {"kind": ["a"] * samples},
    )  # fmt: skip


def test_depth_and_logarithm_are_the_closed_forms():
    given = counts()
    found = Preprocessing(normalize=1e4, log1p=True).apply(given)
    columns = given.values.T.tolist()
    wanted = [[log1p(1e4 * value / sum(column)) for value in column] for column in columns]
    np.testing.assert_array_equal(found.values, np.array(wanted).T.astype(np.float32))
    assert list(found.genes) == list(given.genes)
    assert found.annotations == given.annotations
    np.testing.assert_array_equal(Preprocessing().apply(given).values, given.values)


def test_variable_genes_are_those_of_the_equation():
    values = counts().values + np.random.default_rng(1).random((200, 30))
    values[7] = 3.0  # never changes
    means = {g: statistics.fmean(row) for g, row in enumerate(values.tolist()) if g != 7}
    order = sorted(means, key=lambda g: means[g])
    ratio = {g: log(statistics.variance(values[g].tolist()) / means[g]) for g in order}
    wanted = {7: -np.inf}
    long = len(order) % 20  # as many bins have one gene more
    start = 0
    for number in range(20):
        end = start + len(order) // 20 + (number < long)
        inside = [ratio[g] for g in order[start:end]]
        middle, spread = statistics.fmean(inside), statistics.pstdev(inside)
        wanted |= {g: (ratio[g] - middle) / spread for g in order[start:end]}
        start = end
    np.testing.assert_allclose(
        dispersion(values), [wanted[g] for g in range(len(values))], rtol=1e-9
    )


def test_variable_genes_with_tfs_kept_in_the_order_of_the_file():
    given = counts()
    calm = [f"g{g}" for g in np.argsort(dispersion(given.values.astype(np.float64)))[:3]]
    settings = Preprocessing(variable_genes=20)
    assert len(settings.apply(given).genes) == 20
    found = settings.apply(given, keep=[*calm, "not measured"])
    assert len(found.genes) == 23
    assert set(calm) <= set(found.genes)
    assert list(found.genes) == sorted(found.genes, key=lambda name: int(name[1:]))
    same = Preprocessing(variable_genes=20, log1p=True).apply(given, keep=calm)
    assert list(same.genes) == list(found.genes)  # chosen before the logarithm
    constant = Expression(np.ones((4, 3), np.float32), "abcd", "xyz")
    assert list(Preprocessing(variable_genes=4).apply(constant, keep="c").genes) == ["c"]


@pytest.mark.parametrize(
    ("values", "settings", "words"),
    [
        ([[1, 0], [2, 0]], {"normalize": 1e4}, "sample 'y' has no counts"),
        ([[1, 1], [2, -1]], {"normalize": 1e4}, "values below 0 are no counts"),
        ([[1, 1], [2, -1]], {"log1p": True}, "there is no log"),
    ],
)
def test_what_cannot_be_preprocessed_is_said(values, settings, words):
    given = Expression(np.array(values, np.float32), "ab", "xy")
    with pytest.raises(GRNError, match=words):
        Preprocessing(**settings).apply(given)


def test_settings_are_checked_and_go_through_json():
    settings = Preprocessing(1e4, True, 2000)
    assert Preprocessing.from_json(json.loads(json.dumps(settings.to_json()))) == settings
    with pytest.raises(GRNError, match="preprocessing has no scale; it has normalize"):
        Preprocessing.from_json({"scale": 1})
    with pytest.raises(GRNError, match="expected a positive sum"):
        Preprocessing(normalize=0)
    with pytest.raises(GRNError, match="expected at least 1"):
        Preprocessing(variable_genes=0)


def test_a_file_is_made_once_for_each_content_and_setting(tmp_path, monkeypatch):
    pytest.importorskip("pandas")
    file = tmp_path / "x.tsv"
    file.write_text("gene\ta\tb\nfur\t1\t2\nentA\t3\t9\n")
    made, place = cached(file, Preprocessing(log1p=True), tmp_path / "kept")
    np.testing.assert_array_equal(made.values, np.log1p([[1, 2], [3, 9]]).astype(np.float32))

    reading = preprocess.read_expression
    monkeypatch.setattr(preprocess, "read_expression", None)  # would fail if it were read
    again, same = cached(file, Preprocessing(log1p=True), tmp_path / "kept")
    assert same == place
    np.testing.assert_array_equal(again.values, made.values)
    assert list(again.genes) == ["fur", "entA"]

    monkeypatch.setattr(preprocess, "read_expression", reading)
    other = cached(file, Preprocessing(), tmp_path / "kept")[1]
    file.write_text("gene\ta\tb\nfur\t1\t2\nentA\t3\t8\n")
    changed = cached(file, Preprocessing(log1p=True), tmp_path / "kept")[1]
    assert len({place, other, changed}) == 3

    whole = changed.read_bytes()
    changed.write_bytes(whole[:-3])
    assert cached(file, Preprocessing(log1p=True), tmp_path / "kept")[0].values[1, 1] > 0
    assert changed.read_bytes() == whole
    file.write_text("gene\ta\tb\nfur\t1\tlow\n")
    with pytest.raises(GRNError, match="'low' in row 'fur'"):
        cached(file, Preprocessing(), tmp_path / "kept")
    assert len(list((tmp_path / "kept").iterdir())) == 3


def test_files_of_another_kind_are_refused(tmp_path):
    given = counts(5, 3)
    save_expression(given, tmp_path / "x.safetensors", {"seed": 1})
    found = load_expression(tmp_path / "x.safetensors")
    np.testing.assert_array_equal(found.values, given.values)
    assert found.annotations == given.annotations
    with pytest.raises(GRNError, match="no such file"):
        load_expression(tmp_path / "none")
    from groundup import ones, save

    save({"values": ones(2)}, tmp_path / "y.safetensors")
    with pytest.raises(GRNError, match="not a file of preprocessed expression"):
        load_expression(tmp_path / "y.safetensors")
