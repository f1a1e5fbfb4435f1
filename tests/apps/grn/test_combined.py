"""Several kinds of evidence as one score: R13.2, R13.4."""

from dataclasses import replace

import numpy as np
import pytest

from groundup.apps.grn.data.expression import Expression
from groundup.apps.grn.errors import GRNError
from groundup.apps.grn.models.logistic import sigmoid
from groundup.apps.grn.task.controls import permuted_genes
from groundup.apps.grn.task.examples import example_problem
from groundup.apps.grn.task.metrics import auroc
from groundup.apps.grn.task.problem import Known
from groundup.apps.grn.task.questions import draw_questions
from groundup.apps.grn.training.pairs import features, mean_of_groups
from groundup.apps.grn.training.recipes import Recipe
from groundup.apps.grn.use.combined import Combined, tables_of, train_combined
from groundup.apps.grn.use.final import train_for_use
from groundup.apps.grn.use.predict import predict
from groundup.apps.grn.use.saved import load_trained, save_trained

PROBLEM = example_problem(3)
QUICK = Recipe(epochs=8, pooled=True, options={"hidden": 16, "width": 8})


@pytest.fixture(scope="module")
def known() -> Known:
    return PROBLEM.known(draw_questions(PROBLEM, "group", "matched", 0).split)


@pytest.fixture(scope="module")
def combined(known) -> Combined:
    return train_combined(known, QUICK, 1, members=2)


def test_the_mean_of_a_group_is_that_of_its_genes():
    x = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    groups = np.array([7, 7, -1, 2, 2, 2, -1, 7, 0])
    found = mean_of_groups(x, groups)
    for gene, group in enumerate(groups):
        mean = x[gene] if group < 0 else x[groups == group].mean(0)
        np.testing.assert_allclose(found[gene], mean, rtol=1e-6)


def test_pooled_expression_is_the_same_within_a_group(known):
    x = features(known, True, pooled=True)
    assert (x[0::2] == x[1::2]).all()  # groups are pairs of genes
    assert not (x[0] == x[2]).all()


def test_the_score_is_the_weighted_sum(combined):
    pairs = np.array([[0, 5], [3, 70], [11, 12]])
    evidence = np.zeros((3, 5))
    for row, (tf, gene) in enumerate(pairs):
        evidence[row, 0] = np.mean(
            [m.score(pairs[row : row + 1])[0] for m in combined.towers.members]
        )
        evidence[row, 1:] = [table[tf, gene] for table in combined.tables.values()]
    wanted = sum(
        w * (evidence[:, i] - m) / s
        for i, (w, m, s) in enumerate(
            zip(combined.weights, combined.middle, combined.width, strict=True)
        )
    )
    np.testing.assert_allclose(combined.score(pairs), wanted, rtol=1e-5)
    odds = combined.prevalence.log_odds(wanted, pairs)
    np.testing.assert_allclose(combined.probability(pairs), sigmoid(odds), rtol=1e-4)


def test_it_is_better_than_its_towers_where_the_rest_knows_more(known):
    """Places that say which genes have the same regulators are worth much to untrained towers."""
    questions = draw_questions(PROBLEM, "group", "matched", 0)
    order = np.lexsort(PROBLEM.edges[::-1])
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    placed = replace(known, places=places)
    found = train_combined(placed, replace(QUICK, epochs=1), 0, members=2)
    of_towers = auroc(questions.test_labels, found.evidence(questions.test)[:, 0])
    assert auroc(questions.test_labels, found.score(questions.test)) > of_towers + 0.05
    assert list(found.tables)[2] == "votes nearby"
    assert found.weights[3] > found.weights[0] + 0.2


def test_without_validation_edges_it_is_its_towers(known):
    blind = replace(
        known,
        validation_edges=np.zeros_like(known.edges),
        validation_allowed=np.zeros_like(known.edges),
    )
    found = train_combined(blind, replace(QUICK, epochs=1), 0, members=2)
    pairs = np.array([[0, 1], [2, 3]])
    np.testing.assert_allclose(found.score(pairs), found.evidence(pairs)[:, 0])
    assert found.prevalence is None


def test_tables_without_places_say_nothing(known):
    nowhere = replace(known, places=np.full_like(known.places, -1))
    tables = tables_of(nowhere, 0)
    assert np.ptp(tables["votes nearby"]) == 0
    assert np.ptp(tables["nearness"]) == 0


def test_kept_and_read_again_in_another_order(tmp_path, combined):
    save_trained(combined, tmp_path / "m", prior_digest="x")
    again = load_trained(tmp_path / "m", PROBLEM.expression)
    pairs = np.array([[0, 5], [3, 70], [11, 12]])
    assert isinstance(again, Combined)
    assert (again.score(pairs) == combined.score(pairs)).all()
    given = PROBLEM.expression
    order = np.random.default_rng(0).permutation(len(given.genes))
    columns = np.random.default_rng(1).permutation(len(given.samples))
    other = Expression(
        given.values[order][:, columns],
        [given.genes[row] for row in order],
        [given.samples[column] for column in columns],
    )
    back = np.argsort(order)
    moved = load_trained(tmp_path / "m", other).score(np.stack([pairs[:, 0], back[pairs[:, 1]]], 1))
    np.testing.assert_allclose(moved, combined.score(pairs), rtol=1e-4)


@pytest.mark.parametrize("name", ["weights", "votes", "places"])
def test_damage_is_named(tmp_path, combined, name):
    wrong = {"weights": np.ones(3), "votes": np.array([[99, 0]]), "places": np.arange(3)}
    save_trained(replace(combined, **{name: wrong[name]}), tmp_path / "m")
    with pytest.raises(GRNError, match=str(tmp_path / "m")):
        load_trained(tmp_path / "m", PROBLEM.expression)


def test_the_network_has_its_scores(combined):
    network = predict(combined)
    pairs = np.array([[0, 5], [3, 70], [11, 12]])
    np.testing.assert_allclose(
        network.scores[tuple(pairs.T)], combined.log_odds(pairs), rtol=1e-3, atol=1e-4
    )
    np.testing.assert_allclose(
        network.probability[tuple(pairs.T)], combined.probability(pairs), rtol=1e-3
    )
    assert network.spread.shape == network.scores.shape


def test_trained_for_use_by_name(tmp_path):
    one = train_for_use(PROBLEM, "combined", QUICK, members=2, folder=tmp_path)
    assert isinstance(one, Combined)
    assert len(one.towers.members) == 2
    other = train_for_use(PROBLEM, "combined", QUICK, members=2, folder=tmp_path)
    pairs = np.array([[0, 5], [3, 70]])
    assert (one.score(pairs) == other.score(pairs)).all()


def test_places_and_groups_stay_with_the_genes_when_expression_is_permuted():
    null = permuted_genes(PROBLEM, 0)
    assert (null.places == PROBLEM.places).all()
    assert (null.groups == PROBLEM.groups).all()
