"""The lesson on embeddings at reduced size. R3.10, R2.7."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import groundup as gu
import groundup.nn.functional as F
from groundup.experiments import Claim, judge
from groundup.experiments.experiment import load
from groundup.experiments.foundations import embeddings, word_questions as ask
from groundup.experiments.report import write_report
from groundup.experiments.runner import run_seeds
from groundup.runs import Store


def test_words_near_each_other_are_pairs_and_modules_stay_apart() -> None:
    texts = [np.arange(0, 50), np.arange(50, 90)]
    words, near = embeddings.company(texts, np.random.default_rng(0))
    distance = np.abs(words - near)
    assert distance.min() == 1
    assert ((words < 50) == (near < 50)).all()
    # Frequent words were skipped (each is 1/90 of the text), so words that were further apart meet.
    assert embeddings.WINDOW < distance.max() < 50
    assert len(np.unique(words)) < 60
    # Near company is seen more often than far one, since each word draws how far it looks.
    assert (distance == 1).sum() > 0


def test_a_window_is_drawn_for_each_word_up_to_its_limit() -> None:
    rare = [np.arange(2000)]  # none makes up more than a thousandth, so none is skipped
    words, near = embeddings.company(rare, np.random.default_rng(1))
    found = np.bincount(np.abs(words - near), minlength=7) / 4000
    np.testing.assert_allclose(found, [0, 1, 0.8, 0.6, 0.4, 0.2, 0], atol=0.03)


def test_mutual_information_is_that_of_a_count_by_hand() -> None:
    words, near = np.array([0, 0, 0, 1]), np.array([1, 1, 2, 2])
    found = embeddings.information(words, near, 3)
    chance = np.array([0, 2**0.75, 2**0.75]) / (2 * 2**0.75)
    assert found[0, 1] == pytest.approx(np.log((2 / 3) / chance[1]))
    assert found[0, 2] == pytest.approx(np.log((1 / 3) / chance[2]))
    assert found[1, 2] == pytest.approx(np.log(1 / chance[2]))
    assert np.isneginf(found[[0, 1, 1, 2], [0, 0, 1, 1]]).all()


def test_the_gradient_is_that_of_the_lesson_and_a_look_up_is_a_product_with_one_hot() -> None:
    gu.manual_seed(0)
    model = embeddings.SkipGram(7, 4).double()
    with gu.no_grad():
        model.near.weight.assign(gu.randn(7, 4).double())
    word, near = gu.tensor([3]), gu.tensor([[1, 5, 6]])  # 1 is true, 5 and 6 are drawn
    one_hot = F.one_hot(word, 7).double()
    np.testing.assert_allclose(
        (one_hot @ model.word.weight).tolist(), model.word(word).tolist(), rtol=1e-12
    )
    truth = gu.tensor([[1.0, 0.0, 0.0]]).double()
    logits = model(word, near)
    F.binary_cross_entropy_with_logits(logits, truth, reduction="sum").backward()

    v, u = model.word.weight.detach().numpy()[3], model.near.weight.detach().numpy()[[1, 5, 6]]
    np.testing.assert_allclose(logits.tolist(), [(u @ v).tolist()])
    error = 1 / (1 + np.exp(-(u @ v))) - [1, 0, 0]
    assert model.word.weight.grad is not None
    assert model.near.weight.grad is not None
    np.testing.assert_allclose(model.word.weight.grad.numpy()[3], error @ u)
    np.testing.assert_allclose(model.near.weight.grad.numpy()[[1, 5, 6]], np.outer(error, v))
    assert not model.word.weight.grad.numpy()[[0, 1, 2, 4, 5, 6]].any()


@pytest.mark.parametrize("vectors", ["own", "random"])
def test_the_share_of_the_same_group_is_all_for_own_axes_and_chance_for_random(
    vectors: str,
) -> None:
    groups = {"a": "a0 a1 a2 a3", "b": "b0 b1 b2 b3 b4", "few": "x y z"}
    number = {w: i for i, w in enumerate(w for words in groups.values() for w in words.split())}
    assert list(ask.members(groups, number)) == ["a", "b"]
    if vectors == "own":
        table = np.repeat(np.eye(3), [4, 5, 3], axis=0) + 0.01 * np.arange(12)[:, None]
        assert ask.same_group(table, groups, number) == 100
    else:
        random = np.random.default_rng(0)
        found = [ask.same_group(random.normal(size=(12, 8)), groups, number) for _ in range(300)]
        expected = 100 * (4 * 3 / 8 + 5 * 4 / 8) / 9
        assert ask.by_chance(groups, number) == pytest.approx(expected)
        assert np.mean(found) == pytest.approx(expected, abs=2.5)


def test_analogies_are_asked_of_known_and_different_words_and_answered_by_arithmetic() -> None:
    # min and max, lower and upper differ by the same step; other and step are there to mislead.
    words = {"min": [1, 0, 0], "max": [1, 0, 2], "lower": [0, 1, 0], "upper": [0, 1, 2],
             "other": [0, 3, 1], "step": [0, 0, 1]}  # fmt: skip
    number = {word: i for i, word in enumerate(words)}
    table = np.array(list(words.values()), dtype=float)
    asked = ask.questions("opposites", number)
    assert asked.tolist() == [[0, 1, 2, 3], [2, 3, 0, 1]]
    assert ask.ranks(table, asked[:1]).tolist() == [1]
    assert ask.ranks(table, asked[:1], arithmetic=False).tolist() == [2]  # `other` is nearer
    shared = {"append": 0, "pop": 1, "push": 2}  # push : pop = append : pop would repeat a word
    assert not len(ask.questions("opposites", shared))


def test_cosines_of_the_documented_pairs_and_how_many_pairs_are_less_alike() -> None:
    number = {"int": 0, "str": 1, "def": 2}
    found = ask.likeness(np.array([[2.0, 0.0], [1.0, 1.0], [-1.0, 0.0]]), number)
    assert found["int and str/cosine"] == pytest.approx(np.sqrt(0.5))
    assert found["int and str/closer"] == pytest.approx(200 / 3)
    assert np.isnan(found["function and def/cosine"])


# R2.7
def test_products_of_positions_depend_on_the_distance() -> None:
    found = embeddings.positions(dim=16, length=40)
    for table in found.values():
        assert embeddings.spread(table) < 1e-5
    frequencies = 10_000.0 ** (-np.arange(8) / 8)
    np.testing.assert_allclose(
        found["sines"][0], np.cos(np.outer(np.arange(40), frequencies)).mean(axis=1), atol=1e-5
    )
    assert embeddings.spread(np.arange(9.0).reshape(3, 3)) == 8  # what does not depend on it


def text(group: str, random: np.random.Generator) -> str:
    """Source in which the words of a group have a company of their own."""
    words = ask.GROUPS[group].split() + [f"{group[:3]}{i}" for i in range(6)] * 4
    return " + ".join(random.choice(words, 600)) + "\n"


@pytest.mark.slow
def test_vectors_of_words_with_the_same_company_come_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(0)
    files = [tmp_path / f"module{i}.py" for i in range(40)]
    for i, path in enumerate(files):
        group = ("types", "exceptions", "str methods")[i % 3]
        path.write_text(text(group, random), encoding="utf-8")
    monkeypatch.setattr(embeddings, "FREQUENT", 1.0)  # few words, so all of them are frequent
    monkeypatch.setattr(embeddings, "standard_library", lambda: files)
    loaded = load("embeddings")
    with Store(tmp_path / "runs") as store:
        results = run_seeds(loaded, loaded.config(dim=16, epochs=6, lr=0.03), (0,), store)
        page = write_report(results, store).read_text(encoding="utf-8")
    metrics = results.metrics[0]
    assert metrics["text/words"] == 32 * 600
    assert metrics["skip-gram/same_group"] > 90
    assert metrics["counts/same_group"] > 90
    assert metrics["random/same_group"] < 60
    assert metrics["chance/same_group"] == pytest.approx(100 / 3, abs=3)
    assert metrics["skip-gram/correlation"] > 0.2
    assert page.count("<svg") >= 3

    source = {claim.id: claim for claim in embeddings.CLAIMS}
    right = Claim("right", "more than by chance", "the lesson", 1.0, "skip-gram/same_group",
                  over="chance/same_group", digits=1)  # fmt: skip
    false = Claim("false", "random vectors find groups", "nobody", 80, "random/same_group")
    # The same figures ten times over stand for ten seeds that agree.
    found = judge([right, false, source["int-str"]], dict.fromkeys(range(10), metrics))
    assert [finding.verdict for finding in found[:2]] == ["holds", "refuted"]
    assert found[2].values[0] == pytest.approx(metrics["int and str/cosine"])


def test_a_text_without_the_words_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "small.py").write_text("def f(x):\n    return x\n")
    monkeypatch.setattr(embeddings, "standard_library", lambda: [tmp_path / "small.py"])
    loaded = load("embeddings")
    with Store(tmp_path) as store, pytest.raises(ValueError, match="less than two groups"):
        run_seeds(loaded, loaded.config(), (0,), store)


@pytest.mark.parametrize(
    "settings",
    [{"conditions": ("bag of words",)}, {"epochs": 0}, {"shift": 0.0}, {"modules": -1}, {"dim": 0}],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        embeddings.Config(**settings)  # type: ignore[arg-type]
