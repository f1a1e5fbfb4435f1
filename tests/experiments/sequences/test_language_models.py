"""The experiment on language models at reduced size (R4.2, R2.4)."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import groundup as gu
import groundup.nn.functional as F
from groundup.data import TextDataset
from groundup.experiments import judge
from groundup.experiments.experiment import load
from groundup.experiments.runner import run_seeds
from groundup.experiments.sequences import language_models as lesson
from groundup.runs import Store

SMALL = {"layers": 1, "width": 16, "context": 16, "steps": 30}


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """Words in random order: within a word all is certain."""
    random = np.random.default_rng(0)
    words = random.choice(["nothing ", "between ", "language ", "zebra "], 500)
    file = tmp_path_factory.mktemp("text") / "book.txt"
    file.write_text("".join(words))
    return str(file)


def test_a_reduced_run_measures_and_reports(book, tmp_path):
    loaded = load("language_models")
    config = loaded.config(text=book, networks=("GPT-rotary",), lr={"GPT-rotary": 0.01}, **SMALL)
    with Store(tmp_path) as store:
        results = run_seeds(loaded, config, [1], store)
        metrics = results.metrics[1]
        sections = dict(lesson.sections(results))
    assert metrics["5-gram/bits_test"] < metrics["2-gram/bits_test"] < metrics["1-gram/bits_test"]
    assert metrics["GPT-rotary/bits_test"] < metrics["1-gram/bits_test"]
    assert "GPT-rotary/nats_reference" not in metrics
    assert list(sections) == ["Learning", "What they write", "Learning rates"]
    assert len(sections["What they write"][0].text) > 100
    assert "seed 1" in sections["What they write"][0].caption
    words = {claim.id: judge([claim], results.metrics)[0] for claim in lesson.CLAIMS}
    assert words["reference"].verdict == "not measured"


@pytest.mark.parametrize(("gap", "verdict"), [(0.1, "holds"), (-0.1, "refuted")])
def test_verdicts_go_by_the_bits(gap, verdict):
    claim = next(claim for claim in lesson.CLAIMS if claim.id == "GPT-rotary-5-gram")
    runs = {
        seed: {"5-gram/bits_test": 2.0, "GPT-rotary/bits_test": 2.0 - gap + 0.01 * seed}
        for seed in range(3)
    }
    assert judge([claim], runs)[0].verdict == verdict


def test_bits_are_those_of_the_late_half_of_every_window(book):
    config, parts = lesson.Config(text=book, **SMALL), lesson.split(book, "test")
    for name in lesson.NETWORKS[1:]:
        gu.manual_seed(0)
        model = lesson.network(name, config, len(parts.vocabulary))
        bits, nats = lesson.measure(model, parts.held, 16)
        windows = TextDataset(parts.held, 16, 8)
        x, y = windows.batch(range(len(windows)))
        with gu.no_grad():
            scores = model(x)
        late = F.cross_entropy(scores[:, 8:].flatten(0, 1), y[:, 8:].flatten()).item()
        assert bits == pytest.approx(late / math.log(2), abs=1e-4)
        whole = F.cross_entropy(scores.flatten(0, 1), y.flatten()).item()
        assert nats == pytest.approx(whole, abs=1e-4)


def test_the_test_is_never_trained_on_and_validation_never_touches_it(book):
    text = Path(book).read_text()
    test, tuning = lesson.split(book, "test"), lesson.split(book, "validation")
    tenth = len(text) // 10

    def read(ids):
        return test.vocabulary.decode(ids)

    assert read(test.train) + read(test.held) == text
    assert read(tuning.train) + read(tuning.held) == text[:-tenth]
    assert len(test.held) == len(tuning.held) == tenth
    assert test.content == (text[:-tenth].encode(), text[-tenth:].encode())


def test_all_networks_have_as_many_weights():
    config = lesson.Config()
    sizes = [
        sum(p.numel() for p in lesson.network(name, config, 90).parameters())
        for name in lesson.NETWORKS
    ]
    assert max(sizes) / min(sizes) < 1.03


def test_the_reference_is_judged_with_its_settings_alone():
    known = lesson.Config(layers=4, steps=2_000, lr=dict.fromkeys(lesson.NETWORKS, 0.001))
    assert lesson.reference(known, "GPT-learned")
    for change in ({"layers": 3}, {"steps": 1_000}, {"held": "validation"}, {"batch": 13}):
        assert not lesson.reference(replace(known, **change), "GPT-learned")
    assert not lesson.reference(replace(known, lr={"GPT-learned": 0.003}), "GPT-learned")


@pytest.mark.slow
def test_the_documentation_is_long_and_each_paragraph_once():
    text = lesson.documentation()
    paragraphs = text.split("\n\n")
    assert len(text) > 500_000
    assert text.isascii()
    assert len(set(paragraphs)) == len(paragraphs)


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0}, {"layers": 0}, {"batch": 0}, {"context": 1}, {"width": 30},
        {"networks": ("RNN",)}, {"held": "train"},
    ],
)  # fmt: skip
def test_bad_settings_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        lesson.Config(**wrong)


def test_short_texts_are_refused(tmp_path):
    (tmp_path / "short.txt").write_text("to be or not to be")
    with pytest.raises(ValueError, match="18 characters; expected at least a thousand"):
        lesson.split(str(tmp_path / "short.txt"), "test")
