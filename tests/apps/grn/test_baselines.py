"""Baselines and unsupervised methods against what they are defined to be. R13.3, R13.4."""

from dataclasses import replace

import numpy as np
import pytest

from groundup.apps.grn.baselines import BASELINES, clr, correlation, degree, logistic, neighbours
from groundup.apps.grn.data.expression import Expression
from groundup.apps.grn.errors import GRNError
from groundup.apps.grn.task.examples import example_problem
from groundup.apps.grn.task.metrics import auroc
from groundup.apps.grn.task.problem import Known
from groundup.apps.grn.task.splits import TRAIN, split_pairs
from groundup.apps.grn.unsupervised import UNSUPERVISED, importances, infer
from groundup.apps.grn.unsupervised.trees import Predictors

PROBLEM = example_problem(2)
SPLIT = split_pairs(PROBLEM.edges, "gene", np.random.default_rng(0))
KNOWN = PROBLEM.known(SPLIT)
FAST = [name for name in BASELINES if name != "trees"]


def _all(scorer: object) -> np.ndarray:
    pairs = np.argwhere(np.ones(PROBLEM.edges.shape, bool))
    return scorer.score(pairs).reshape(PROBLEM.edges.shape)  # type: ignore[attr-defined]


def test_degree_orders_as_the_product() -> None:
    k_tf, k_gene = 1 + KNOWN.edges.sum(axis=1), 1 + KNOWN.edges.sum(axis=0)
    np.testing.assert_allclose(np.exp(_all(degree(KNOWN, 0))), np.outer(k_tf, k_gene))


def test_correlation_is_numpys() -> None:
    whole = np.abs(np.corrcoef(PROBLEM.expression.values.astype(np.float64)))
    own = np.eye(len(whole), dtype=bool)[PROBLEM.tfs]
    found = _all(correlation(KNOWN, 0))
    np.testing.assert_allclose(found[~own], whole[PROBLEM.tfs][~own], atol=2e-6)
    assert (found[own] == 0).all()


def test_clr_pair_by_pair() -> None:
    r = _all(correlation(KNOWN, 0))
    information = -0.5 * np.log(1 - r**2)
    found = _all(clr(KNOWN, 0))
    for tf, gene in ((0, 5), (3, 40), (11, 79)):
        row, column = information[tf], information[:, gene]
        above = [(information[tf, gene] - x.mean()) / x.std() for x in (row, column)]
        assert found[tf, gene] == pytest.approx(np.hypot(*np.maximum(above, 0)), abs=1e-6)


def test_clr_survives_copies_and_constants() -> None:
    values = np.random.default_rng(0).normal(size=(6, 9)).astype(np.float32)
    values[4], values[5] = values[0], 3
    found = infer(Expression(values, "abcdef", "123456789"), ["a", "b"], "clr")
    assert np.isfinite(found).all()
    assert found[0].argmax() == 4
    assert (infer(Expression(values, "abcdef", "123456789"), ["f"], "clr") == 0).all()


def test_neighbours_pair_by_pair() -> None:
    r = np.corrcoef(PROBLEM.expression.values.astype(np.float64))
    voters = np.flatnonzero(KNOWN.edges.any(axis=0))
    found = _all(neighbours(KNOWN, 0, count=4))
    for gene in (0, 13, 55):
        others = voters[voters != gene]
        nearest = others[np.argsort(-r[gene, others])[:4]]
        vote = KNOWN.edges[:, nearest] @ np.maximum(r[gene, nearest], 0)
        expected = vote / (1 + KNOWN.edges.sum(axis=1))
        np.testing.assert_allclose(found[:, gene], expected, atol=1e-6)


def test_a_gene_does_not_vote_for_itself() -> None:
    """Taking a gene's own edges away changes its own scores by the degrees of the TFs alone."""
    gene = int(np.flatnonzero(KNOWN.edges.any(axis=0))[0])
    without = KNOWN.edges.copy()
    without[:, gene] = False
    fewer = replace(KNOWN, edges=without)
    one = _all(neighbours(KNOWN, 0))[:, gene] * (1 + KNOWN.edges.sum(axis=1))
    other = _all(neighbours(fewer, 0))[:, gene] * (1 + without.sum(axis=1))
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_logistic_finds_what_can_be_found() -> None:
    problem = example_problem(3, tfs=12, genes=300, samples=60, strength=2.0)
    split = split_pairs(problem.edges, "gene", np.random.default_rng(0))
    scorer = logistic(problem.known(split), 0)
    held = np.argwhere(split.parts != TRAIN)
    assert auroc(problem.edges[tuple(held.T)], scorer.score(held)) > 0.75


def test_logistic_without_edges_is_constant() -> None:
    known = Known.of_all(PROBLEM.expression, PROBLEM.tfs)
    assert np.unique(_all(logistic(known, 0))).size == 1


@pytest.mark.parametrize("name", FAST)
def test_same_seed_same_bits(name: str) -> None:
    one, other = (_all(BASELINES[name](KNOWN, 5)) for _ in range(2))
    assert one.tobytes() == other.tobytes()
    assert np.isfinite(one).all()


@pytest.mark.parametrize("name", ["pearson", "clr"])
def test_unsupervised_methods_do_not_care_for_units(name: str) -> None:
    given = PROBLEM.expression
    scaled = Expression(given.values * 8 + 3, given.genes, given.samples)
    tfs = PROBLEM.tf_names
    np.testing.assert_allclose(infer(scaled, tfs, name), infer(given, tfs, name), atol=1e-3)


def test_trees_find_the_regulator() -> None:
    random = np.random.default_rng(0)
    values = random.normal(size=(7, 60)).astype(np.float32)
    values[5] = 2 * values[2] + 0.3 * values[5]
    values[6] = 1
    expression = Expression(values, "abcdefg", [str(n) for n in range(60)])
    known = Known.of_all(expression, [0, 1, 2, 3])
    some = UNSUPERVISED["trees"](known, 0)
    assert some[:, 5].argmax() == 2
    assert (some[:, 6] == 0).all(), "nothing predicts a gene that never changes"
    assert (np.diag(some[:4, :4]) == 0).all(), "a TF does not predict itself"
    pairs = np.array([[2, 5], [0, 4]])
    asked = BASELINES["trees"](known, 0).score(pairs)
    np.testing.assert_array_equal(asked, some[tuple(pairs.T)])


@pytest.mark.parametrize("levels", [None, 4])
def test_a_split_is_scikit_learns(levels: int | None) -> None:
    """The best of all splits, also where many samples have the same value."""
    reference = pytest.importorskip("sklearn.tree")
    random = np.random.default_rng(0)
    for _ in range(20):
        x = random.normal(size=(5, 30))
        if levels is not None:
            x = np.round(levels * x / 4)
        y, inside = random.normal(size=30), random.random(30) < 0.8
        tree = reference.DecisionTreeRegressor(max_depth=1).fit(x[:, inside].T, y[inside]).tree_
        found = Predictors.of(x).split(y[None], inside[None], np.arange(5), np.array([-1]))
        fall = tree.n_node_samples[0] * tree.impurity[0] - (
            tree.n_node_samples[1:] @ tree.impurity[1:]
        )
        assert found[2][0] == pytest.approx(fall)
        if levels is None:  # else two TFs may part the samples alike
            assert found[0][0] == tree.feature[0]
            assert found[1][0] == pytest.approx(tree.threshold[0])


def test_trees_weigh_as_scikit_learns() -> None:
    """Boosting is random; on average over seeds the same TFs get the same share."""
    reference = pytest.importorskip("sklearn.ensemble")
    random = np.random.default_rng(1)
    x = random.normal(size=(20, 80)).astype(np.float32)
    y = x[3] + 0.7 * np.abs(x[5]) + 0.5 * x[7] + random.normal(size=80)
    values = np.concatenate([x, y[None]]).astype(np.float32)
    names = [str(n) for n in range(80)]
    known = Known.of_all(Expression(values, names[:21], names), range(20))
    ours = sum(UNSUPERVISED["trees"](known, seed)[:, 20] for seed in range(3))
    theirs = np.zeros(20)
    for seed in range(3):
        model = reference.GradientBoostingRegressor(
            learning_rate=0.01, n_estimators=200, max_features=0.1, subsample=0.9, random_state=seed
        )
        theirs += model.fit(x.T, y).feature_importances_
    assert np.corrcoef(ours, theirs)[0, 1] > 0.97


def test_the_trees_of_a_gene_do_not_depend_on_other_genes() -> None:
    known = Known.of_all(PROBLEM.expression.only(range(16)), range(6))
    alone = importances(known, 2, [9])
    among = importances(known, 2, [2, 9, 15])
    assert alone[:, 0].tobytes() == among[:, 1].tobytes()


def test_infer_names_what_is_wrong() -> None:
    given = PROBLEM.expression
    with pytest.raises(GRNError, match="method 'gini', expected one of pearson, clr, trees"):
        infer(given, ["gene1"], "gini")
    with pytest.raises(GRNError, match="2 of 3 TFs are not among the genes measured, such as x"):
        infer(given, ["x", "gene1", "y"], "clr")
    with pytest.raises(GRNError, match="no TF was given"):
        infer(given, [], "clr")
    with pytest.raises(GRNError, match="more than once: gene1"):
        infer(given, ["gene1", "gene1"], "clr")
    with pytest.raises(GRNError, match="2 samples; expected at least three"):
        infer(Expression(given.values[:, :2], given.genes, "ab"), ["gene1"], "clr")
