"""Trees beside scikit-learn's gradient boosting with GRNBoost2's settings; CLR beside its formula.

arboreto's GRNBoost2 is `GradientBoostingRegressor` with the settings below, for each gene, and its
importances times the number of trees; it needs dask and is not installed here. It ends when
`oob_improvement_` has a negative mean over 25 trees. That was the improvement on the samples that a
tree did not see, until scikit-learn 1.3 made it the difference to what the tree before reached on
other samples: mostly noise, at which arboreto now ends after 25 trees or little more. Here and in
`given` it is what it was. R13.4.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr, zscore

from groundup.apps.grn.data.expression import Expression
from groundup.apps.grn.task.examples import example_problem
from groundup.apps.grn.task.metrics import auroc
from groundup.apps.grn.task.problem import Known
from groundup.apps.grn.unsupervised import clr, correlations, importances, trees

sklearn = pytest.importorskip("sklearn", reason="scikit-learn, of the extra `data`, is missing")
from sklearn.ensemble import GradientBoostingRegressor  # noqa: E402
from sklearn.feature_selection import mutual_info_regression  # noqa: E402


def expression(values: np.ndarray) -> Expression:
    names = [str(number) for number in range(max(values.shape))]
    return Expression(values.astype(np.float32), names[: len(values)], names[: values.shape[1]])


def given(problem: Known, gene: int, seed: int, **settings: object) -> tuple[np.ndarray, int]:
    """Importances of the TFs for a gene, by scikit-learn, and the number of trees."""
    values = problem.expression.values.astype(np.float64)
    others = np.flatnonzero(problem.tfs != gene)
    x, y = values[problem.tfs[others]].T, values[gene]
    model = GradientBoostingRegressor(random_state=seed, **settings)
    gained: list[float] = []

    def ended(number: int, fitted: GradientBoostingRegressor, running: dict) -> bool:
        unseen = ~running["sample_mask"]
        after = (y - running["raw_predictions"][:, 0])[unseen]
        step = model.learning_rate * fitted.estimators_[number, 0].predict(x[unseen])
        gained.append(((after + step) ** 2).mean() - (after**2).mean())
        return len(gained) >= trees.WINDOW and np.mean(gained[-trees.WINDOW :]) < 0

    model.fit(x, y, monitor=ended if model.subsample < 1 else None)
    found = np.zeros(len(problem.tfs))
    found[others] = model.feature_importances_ * len(model.estimators_)
    return found, len(model.estimators_)


@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:invalid value encountered")
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_same_importances_where_nothing_is_drawn(
    monkeypatch: pytest.MonkeyPatch, depth: int
) -> None:
    """All TFs for each split and all samples for each tree leave nothing to chance but ties.

    Genes step up where a TF does, so that nodes keep many samples: a few can be parted alike by
    several TFs, and which of them is taken would be the library's choice.
    """
    all_of_it = {"FEATURES": 1.0, "SAMPLES": 1.0, "TREES": 12, "RATE": 0.1, "DEPTH": depth}
    for name, value in all_of_it.items():
        monkeypatch.setattr(trees, name, value)
    random = np.random.default_rng(0)
    tfs = random.normal(size=(6, 500))
    steps = np.sign(tfs - random.uniform(-0.5, 0.5, (6, 1)))
    genes = random.uniform(0.5, 2, (4, 6)) @ steps + 0.1 * random.normal(size=(4, 500))
    problem = Known.of_all(expression(np.concatenate([tfs, genes])), range(6))
    found = importances(problem, 0)
    for gene in range(6, 10):
        settings = {"learning_rate": 0.1, "n_estimators": 12, "max_depth": depth}
        expected, _ = given(problem, gene, 0, **settings)
        np.testing.assert_allclose(found[:, gene], expected, rtol=1e-9)


GRNBOOST2 = {
    "learning_rate": trees.RATE,
    "n_estimators": trees.TREES,
    "max_features": trees.FEATURES,
    "subsample": trees.SAMPLES,
    "max_depth": trees.DEPTH,
}


def test_grnboost2_on_a_planted_network() -> None:
    """Splits and samples are drawn, so that two seeds of either differ as both differ."""
    random = np.random.default_rng(1)
    tfs = random.normal(size=(8, 60))
    edges = random.random((8, 6)) < 0.4
    genes = (edges * random.uniform(0.5, 2, edges.shape)).T @ tfs + random.normal(size=(6, 60))
    problem = Known.of_all(expression(np.concatenate([tfs, genes])), range(8))
    asked = np.arange(8, 14)
    ours = [importances(problem, seed, asked) for seed in range(3)]
    theirs = []
    for seed in range(3):
        columns = [given(problem, int(gene), seed, **GRNBOOST2) for gene in asked]
        theirs.append(np.stack([column for column, _ in columns], axis=1))
        for column, count in columns:
            assert column.sum() == pytest.approx(count)
    alike = [spearmanr(one.ravel(), other.ravel()).statistic for one in ours for other in theirs]
    among = [spearmanr(one.ravel(), two.ravel()).statistic for one, two in combinations(theirs, 2)]
    assert np.mean(alike) > np.mean(among) - 0.03
    of_gene = [np.mean([found / found.sum(axis=0) for found in some], 0) for some in (ours, theirs)]
    assert np.corrcoef(of_gene[0].ravel(), of_gene[1].ravel())[0, 1] > 0.95
    # The sum over the TFs of a gene is the number of its trees.
    assert 0.8 < np.sum(ours) / np.sum(theirs) < 1.25
    mine, other = (auroc(edges.ravel(), np.sum(some, 0).ravel()) for some in (ours, theirs))
    assert mine == pytest.approx(other, abs=0.06)
    assert mine > 0.85


def test_clr_from_its_paper() -> None:
    """Faith et al., 2007: f(z_i, z_j) = sqrt(z_i^2 + z_j^2) of the scores above their means."""
    example = example_problem(0, tfs=6, genes=30, samples=50)
    problem = Known.of_all(example.expression, example.tfs)
    values = problem.expression.values.astype(np.float64)
    r = np.array([[pearsonr(values[tf], x).statistic for x in values] for tf in problem.tfs])
    own = np.eye(6, 30, dtype=bool)
    np.testing.assert_allclose(correlations(problem)[~own], r[~own], atol=1e-6)
    information = -0.5 * np.log(1 - np.where(own, 0, r) ** 2)
    above = (np.maximum(zscore(information, axis=axis), 0) for axis in (0, 1))
    expected = np.sqrt(sum(part**2 for part in above))
    np.testing.assert_allclose(clr(problem), expected, atol=1e-4)


def test_information_of_gaussian_expression() -> None:
    """-log(1 - r^2) / 2 is what is found without supposing that expression is Gaussian."""
    random = np.random.default_rng(0)
    share = np.array([0.9, 0.6, 0.3, 0.0])
    tf = random.normal(size=4000)
    genes = share[:, None] * tf + np.sqrt(1 - share**2)[:, None] * random.normal(size=(4, 4000))
    problem = Known.of_all(expression(np.concatenate([tf[None], genes])), [0])
    r = correlations(problem)[0, 1:].astype(np.float64)
    estimated = mutual_info_regression(genes.T, tf, random_state=0)
    np.testing.assert_allclose(-0.5 * np.log(1 - r**2), estimated, atol=0.05)
