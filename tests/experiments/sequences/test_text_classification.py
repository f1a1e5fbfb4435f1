"""Text classification: texts, bags of words and encoders at reduced size. R4.1, R4.2."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

import groundup as gu
from groundup.experiments import Claim, judge
from groundup.experiments.experiment import load
from groundup.experiments.runner import run_seeds
from groundup.experiments.sequences import docstrings, text_classification, word_counts
from groundup.experiments.sequences.docstrings import Text
from groundup.models import TextClassifier
from groundup.runs import Store

TOPICS = {
    "sea": ["ship", "harbour", "wave", "sailor", "anchor", "storm", "island", "tide", "whale"],
    "farm": ["cow", "barn", "field", "harvest", "tractor", "wheat", "sheep", "fence", "plough"],
}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two labels with words of their own among words that both have."""
    random = np.random.default_rng(0)
    lines = []
    for i in range(240):
        label = ("sea", "farm")[i % 2]
        text = [
            *random.choice(TOPICS[label], 4, replace=False),
            *map(str, random.integers(99, size=4)),
        ]
        lines.append(f"{label}\t{' '.join(text)}")
    path = tmp_path_factory.mktemp("texts") / "texts.tsv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


# Texts


def test_no_two_texts_are_alike_as_a_comparison_of_all_says() -> None:
    random = np.random.default_rng(1)
    texts = [
        Text(" ".join(map(str, random.integers(0, 12, random.integers(3, 9)))), "a", str(i))
        for i in range(300)
    ]
    expected: list[Text] = []
    for text in texts:
        one = set(text.text.split())
        if all(
            len(one & set(o.text.split())) < 0.6 * len(one | set(o.text.split())) for o in expected
        ):
            expected.append(text)
    assert docstrings.without_likes(texts) == expected
    assert 20 < len(expected) < 250


def test_docstrings_are_grouped_by_the_outermost_definition() -> None:
    import ast

    tree = ast.parse("class A:\n  def f(self):\n    def g(): pass\nif 1:\n  def h(): pass\n")
    found = [(getattr(n, "name", ""), outer) for n, outer in docstrings.documented(tree)]
    assert found == [("A", "A"), ("f", "A"), ("g", "A"), ("h", "h")]


def test_a_file_is_read_in_both_forms_and_errors_name_the_line(tmp_path: Path) -> None:
    path = tmp_path / "texts"
    lines = [json.dumps({"label": "a", "text": "one two three"}), "b\tfour five six", ""]
    path.write_text("\n".join(lines), encoding="utf-8")
    found = docstrings.labelled_file(path)
    assert (found.texts, found.names) == (["one two three", "four five six"], ["a", "b"])
    assert found.labels.tolist() == [0, 1]
    for bad in ("no tab", '{"label": "a"}', "a\t", '{"label": "a", "text": '):
        path.write_text(f"a\tone\n{bad}\n", encoding="utf-8")
        with pytest.raises(ValueError, match=r"line 2: .*expected"):
            docstrings.labelled_file(path)
    path.write_text("a\tone two\na\tthree four\n", encoding="utf-8")
    with pytest.raises(ValueError, match="fewer than two labels"):
        docstrings.labelled_file(path)


def test_parts_are_apart_and_the_test_is_always_the_same(file: Path) -> None:
    data = text_classification.texts_of(str(file))
    one, other = (text_classification.parts_of(data, seed) for seed in (1, 2))
    assert one.test.tolist() == other.test.tolist()
    assert one.train.tolist() != other.train.tolist()
    whole = np.concatenate([one.train, one.validation, one.test])
    assert sorted(whole) == list(range(len(data.texts)))
    few, more = one.few(10, 1), one.few(30, 1)
    assert set(few) < set(more) < set(one.train)
    assert len(more) == round(0.3 * len(one.train))


@pytest.mark.slow
def test_the_standard_library_has_enough_and_nothing_leaks() -> None:
    data = docstrings.docstrings()
    assert len(data.names) == 16
    assert np.bincount(data.labels).min() >= 40
    parts = text_classification.parts_of(data, 1)
    assert not set(data.groups[parts.test]) & set(data.groups[parts.train])
    train = [frozenset(docstrings.words(data.texts[i])) for i in parts.train]
    for i in parts.test[::10]:
        one = frozenset(docstrings.words(data.texts[i]))
        assert all(len(one & other) < 0.6 * len(one | other) for other in train)


# Bags of words


def test_naive_bayes_agrees_with_fractions_by_hand() -> None:
    counts = gu.tensor([[2.0, 0.0], [1.0, 1.0], [0.0, 3.0]])
    model = word_counts.naive_bayes(counts, gu.tensor([0, 0, 1]), 2, 0.5)
    p = [(3 / 5) * (3.5 / 5) ** 2 * (1.5 / 5), (2 / 5) * (0.5 / 4) ** 2 * (3.5 / 4)]
    logits = model(gu.tensor([[2.0, 1.0]]))[0].tolist()
    assert logits[0] - logits[1] == pytest.approx(math.log(p[0] / p[1]), abs=1e-5)


def test_tf_idf_agrees_with_the_formula() -> None:
    seen = np.array([[2, 0, 1], [1, 1, 0]], np.float32)
    found = word_counts.tf_idf(np.array([[3, 1, 0], [0, 0, 0]], np.float32), seen)
    row = np.array([(1 + math.log(3)) * 1, 1 * (1 + math.log(3 / 2)), 0])
    np.testing.assert_allclose(found[0], row / np.linalg.norm(row), rtol=1e-6)
    assert not found[1].any()


# The encoder


def test_hiding_takes_three_tenths_and_tells_what_they_were() -> None:
    ids = np.random.default_rng(0).integers(3, 50, (400, 30))
    ids[:, 0], ids[:, 25:] = text_classification.CLS, text_classification.PAD
    shown, target = text_classification.hide(ids, np.random.default_rng(1), 50)
    chosen = target >= 0
    assert (target[chosen] == ids[chosen]).all()
    assert (shown[~chosen] == ids[~chosen]).all()
    assert not chosen[:, 0].any()
    assert not chosen[:, 25:].any()
    assert chosen[:, 1:25].mean() == pytest.approx(0.3, abs=0.02)
    assert (shown[chosen] == text_classification.MASK).mean() == pytest.approx(0.8, abs=0.03)
    assert (shown[chosen] == ids[chosen]).mean() == pytest.approx(0.1, abs=0.02)


def test_looking_sees_the_weights_that_the_encoder_uses() -> None:
    gu.manual_seed(0)
    model = TextClassifier(text_classification.sizes(20), 3).eval()
    text_classification.spread(model)
    ids = np.zeros((1, text_classification.CONTEXT), np.int64)
    ids[0, :4] = [1, 5, 6, 7]
    weights = text_classification.look(model, ids)
    assert weights.shape == (2, 1, text_classification.CONTEXT)
    np.testing.assert_allclose(weights.sum(axis=2), 1, rtol=1e-5)
    assert not weights[:, :, 4:].any()
    # A piece that nothing is taken from cannot matter; one that is taken from does.
    block = model.bert.blocks[0]
    with gu.no_grad():
        x = model.bert.norm(
            model.bert.position(model.bert.token(gu.tensor(ids)))
            + model.bert.type(gu.zeros_like(gu.tensor(ids)))
        )
        q, k = (part(x)[0].reshape(-1, 4, 16).numpy() for part in (block.query, block.key))
    score = np.einsum("hd,shd->hs", q[0], k[:4]) / 4
    expected = (np.exp(score) / np.exp(score).sum(axis=1, keepdims=True)).mean(axis=0)
    np.testing.assert_allclose(weights[0, 0, :4], expected, rtol=1e-4)


# The experiment


def test_a_short_run_on_a_file(file: Path, tmp_path: Path) -> None:
    loaded = load("text_classification")
    config = loaded.config(file=str(file), steps=20, guessing=5, shares=(100,))
    with Store(tmp_path) as store:
        results = run_seeds(loaded, config, (0,), store)
        titles = [title for title, _ in text_classification.sections(results)]
    metrics = results.metrics[0]
    needed = {m for claim in loaded.claims for m in claim.metrics if "0" not in m or "100" in m}
    assert needed <= set(metrics)
    for method in ("bayes", "logistic"):
        assert metrics[f"{method}-100/accuracy_test"] > 95  # the words tell it
    assert metrics["majority/accuracy_test"] < 60
    assert "Where it looks" in titles


def test_a_false_claim_is_refuted() -> None:
    claim = Claim("c", "the commonest class is enough", "a test", 90, "majority/accuracy_test")
    measured = {seed: {"majority/accuracy_test": 12.0 + 0.1 * seed} for seed in range(6)}
    assert judge([claim], measured)[0].verdict == "refuted"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"steps": 1}, "expected at least 2"),
        ({"methods": ("oracle",)}, "expected some of"),
        ({"shares": (0,)}, "expected percentages"),
        ({"shares": ()}, "expected percentages"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        text_classification.Config(**settings)  # type: ignore[arg-type]
