"""The report on expression and prior, and its notes (R13.3)."""

import json

import numpy as np
import pytest

from groundup.apps.grn.data.expression import Expression
from groundup.apps.grn.data.prior import Prior
from groundup.apps.grn.data.quality import quality


@pytest.fixture
def expression() -> Expression:
    values = np.random.default_rng(0).normal(5, 1, (30, 25)).astype(np.float32)
    values[3] = 2  # never changes
    values[4, :5] = 0
    return Expression(
        values, ["Fur", "fur", *(f"g{i}" for i in range(28))], [f"s{i}" for i in range(25)]
    )


def test_what_is_counted(expression):
    edges = [("fur", f"g{i}", 1) for i in range(12)] + [("g1", f"g{i}", -1) for i in range(4)]
    prior = Prior.of([*edges, ("g1", "g1", -1), ("G2", "g5", 0), ("sigZ", "g6", 0)])
    report = quality(expression, prior)
    assert (report.genes, report.samples) == (30, 25)
    assert report.zeros == 5 / 750
    assert report.constant_genes == ["g1"]
    assert report.case_twins == [("Fur", "fur")]
    assert report.names.usable == 16
    assert report.edges_per_tf == {
        "least": 4, "quarter": 6, "median": 8, "three quarters": 10, "most": 12, "mean": 8,
    }  # fmt: skip
    assert report.signs == {"activates": 12, "represses": 4, "unknown": 2}
    assert report.self_edges == 1
    text = str(report)
    assert "Usable: 16 edges (88.9%), 2 TFs (50%), 12 targets (100%)" in text
    assert "TFs that are not measured: 2: G2, sigZ" in text
    assert "would be found if capitals did not count: 1: G2 as g2" in text
    assert "differ in capitals only: 1: Fur and fur" in text
    content = json.loads(json.dumps(report.to_json()))
    assert content["names"]["usable"] == 16
    assert content["notes"] == list(report.notes)


def test_good_data_have_no_notes(expression):
    good = Expression(
        np.maximum(expression.values, 0.5),
        [f"g{i}" for i in range(30)],
        expression.samples,
    )
    tfs = [(f"g{i}", f"g{10 + (i + j) % 14}", 1) for i in range(6) for j in range(4)]
    assert list(quality(good, Prior.of(tfs)).notes) == []
    assert quality(good).names is None
    assert "Prior" not in str(quality(good))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: v[:, :6], "6 samples: correlations are mostly chance"),
        (lambda v: np.round(v * 100), "values are counts: normalise"),
        (lambda v: np.exp(v * 2), "look unlogged"),
        (lambda v: v * (np.arange(25) != 3), "samples in which all is 0: 1: s3"),
        (lambda v: np.where(np.arange(30)[:, None] < 9, 1, v), "30% of the genes never change"),
    ],
)
def test_notes_on_values(expression, change, words):
    values = change(np.maximum(expression.values, 0.5)).astype(np.float32)
    found = quality(Expression(values, expression.genes, expression.samples[: values.shape[1]]))
    assert any(words in note for note in found.notes), found.notes


def test_notes_on_priors(expression):
    hub = [("g0", f"g{i}", 1) for i in range(10, 28)]
    others = [(f"g{i}", "g9", 1) for i in range(1, 6)]
    notes = quality(expression, Prior.of(hub + others)).notes
    assert any("more than a quarter of the usable edges" in note for note in notes)
    twins = [(tf, f"g{i}", 1) for tf in ("g1", "g2") for i in range(3, 13)]
    report = quality(expression, Prior.of([*twins, ("g1", "g20", 1), ("g3", "g5", 1)]))
    assert report.twin_tfs == [("g2", "g1")]
    assert any("nearly the same targets: 1: g2 and g1" in note for note in report.notes)
    assert (
        quality(expression, Prior.of([*twins, ("g1", "g20", 1), ("g1", "g21", 1)])).twin_tfs == []
    )
    elsewhere = [(f"ENSG{i}", "g9", 1) for i in range(40)]
    notes = quality(expression, Prior.of(hub + elsewhere)).notes
    assert any("less than half of the prior is measured" in note for note in notes)
    notes = quality(expression, Prior.of(elsewhere)).notes
    assert any("0 usable edges, at least 10" in note for note in notes)
