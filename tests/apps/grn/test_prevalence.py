"""Log-odds at natural prevalence: what a model says, and numbers of edges (R13.4, R13.5)."""

from dataclasses import replace

import numpy as np
import pytest

from groundup.apps.grn.registry import METHODS
from groundup.apps.grn.task.examples import example_problem
from groundup.apps.grn.task.metrics import auprc
from groundup.apps.grn.task.problem import Known
from groundup.apps.grn.task.questions import draw_questions
from groundup.apps.grn.training.prevalence import MOST, fit_prevalence
from groundup.apps.grn.training.train import train
from groundup.apps.grn.use.methods import COUNTED, ByLogOdds, method

from .planted import posed, quick


class Planted:
    """Log-odds that are known, but for the degrees."""

    def __init__(self, scores: np.ndarray) -> None:
        self.scores = scores

    def score(self, pairs: np.ndarray) -> np.ndarray:
        return self.scores[pairs[:, 0], pairs[:, 1]]


def drawn_from_its_own_law(seed: int, degree: float) -> tuple[Known, Planted]:
    """Edges whose log-odds are 2 s + c (log(1 + k_t) + log(1 + k_g)) - 6."""
    random = np.random.default_rng(seed)
    tfs, genes = 60, 400
    learned = random.random((tfs, genes)) < random.beta(0.5, 6, tfs)[:, None]
    scores = random.normal(size=(tfs, genes))
    counted = np.log1p(learned.sum(1))[:, None] + np.log1p(learned.sum(0))[None]
    odds = 2 * scores + degree * counted - 6
    held = random.random((tfs, genes)) < 0.5
    edges = random.random((tfs, genes)) < 1 / (1 + np.exp(-odds))
    problem = example_problem()
    known = Known(
        problem.expression,
        np.arange(tfs),
        learned & ~held,
        np.zeros((tfs, genes), np.int8),
        ~held,
        edges & held,
        held,
        np.full(genes, -1),
        np.full(genes, -1),
    )
    # Degrees are those of the training part: the law is made of the same.
    counted = np.log1p(known.edges.sum(1))[:, None] + np.log1p(known.edges.sum(0))[None]
    odds = 2 * scores + degree * counted - 6
    edges = random.random((tfs, genes)) < 1 / (1 + np.exp(-odds))
    return replace(known, validation_edges=edges & held), Planted(scores)


@pytest.mark.parametrize("degree", [0.0, 1.0])
def test_it_finds_the_law_that_edges_were_drawn_from(degree: float) -> None:
    known, scorer = drawn_from_its_own_law(0, degree)
    found = fit_prevalence(scorer, known, 0)
    assert found is not None
    assert found.slope == pytest.approx(2, abs=0.2)
    assert found.degree == pytest.approx(degree, abs=0.15)
    assert found.bias == pytest.approx(-6, abs=0.5)
    assert known.validation_allowed.sum() < MOST


def test_the_mean_probability_is_the_prevalence() -> None:
    known, scorer = drawn_from_its_own_law(1, 0.7)
    found = fit_prevalence(scorer, known, 0)
    assert found is not None
    pairs = np.argwhere(known.validation_allowed)
    p = 1 / (1 + np.exp(-found.log_odds(scorer.score(pairs), pairs)))
    share = known.validation_edges.sum() / known.validation_allowed.sum()
    assert p.mean() == pytest.approx(share, rel=0.01)


def test_one_pair_and_all_pairs_agree() -> None:
    known, scorer = drawn_from_its_own_law(2, 1.0)
    found = fit_prevalence(scorer, known, 0)
    assert found is not None
    pairs = np.argwhere(np.ones(known.edges.shape, bool))
    one = found.log_odds(scorer.score(pairs), pairs).reshape(known.edges.shape)
    np.testing.assert_allclose(found.of_all(scorer.scores), one)
    some = slice(100, 130)
    np.testing.assert_allclose(found.of_all(scorer.scores[:, some], some), one[:, some])


def test_nothing_is_fitted_without_validation_edges() -> None:
    known, scorer = drawn_from_its_own_law(3, 1.0)
    assert fit_prevalence(scorer, replace(known, validation_edges=known.edges & False), 0) is None


def test_counting_is_put_back_where_all_pairs_are_asked_about() -> None:
    """A model that learned from matched pairs is better with the degrees."""
    problem, _, known = posed("edge")
    questions = draw_questions(problem, "edge", "all", 0)
    trained = train(known, "regulon", quick("regulon", epochs=10))
    counted = ByLogOdds(trained)
    one, other = trained.score(questions.test), counted.score(questions.test)
    assert auprc(questions.test_labels, other) > auprc(questions.test_labels, one)


@pytest.mark.parametrize("name", COUNTED)
def test_it_is_a_method_like_others(name: str) -> None:
    assert name in METHODS
    _, _, known = posed("edge")
    recipe = quick("regulon", epochs=1)
    found = method(name, recipe)(known, 0)
    inner = method(name.removesuffix("+degree"), recipe)(known, 0)
    pairs = np.array([[0, 1], [5, 60]])
    np.testing.assert_allclose(found.score(pairs), inner.log_odds(pairs))
