"""Settings as texts, recipes without a technique, searches, comparisons, models for use (R13.4)."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from groundup.apps.grn.baselines import BASELINES
from groundup.apps.grn.errors import GRNError
from groundup.apps.grn.evaluation.compare import compare
from groundup.apps.grn.evaluation.evaluate import evaluate
from groundup.apps.grn.models import Ensemble
from groundup.apps.grn.networks.export import export
from groundup.apps.grn.networks.listed import read_network
from groundup.apps.grn.networks.network import Network
from groundup.apps.grn.task.examples import example_problem
from groundup.apps.grn.training.recipes import PLANS, Recipe, build
from groundup.apps.grn.tuning import search as searching
from groundup.apps.grn.tuning.ablate import WHOLE, variants
from groundup.apps.grn.tuning.search import Range, search
from groundup.apps.grn.tuning.settings import load_recipe, save_recipe, with_settings
from groundup.apps.grn.use.final import known_for_use, train_for_use

from .planted import quick


@pytest.mark.parametrize("name", list(PLANS))
def test_recipes_survive_a_file(name: str, tmp_path: Path) -> None:
    for recipe in variants(name).values():
        save_recipe(tmp_path / "r.json", name, recipe)
        assert load_recipe(tmp_path / "r.json") == (name, recipe)


def test_texts_mean_what_values_do() -> None:
    texts = {"learning_rate": "0.5", "epochs": "7", "patience": "none", "sizes": "4,2"}
    values = {"learning_rate": 0.5, "epochs": 7, "patience": None, "sizes": [4, 2]}
    assert with_settings("expression", texts) == with_settings("expression", values)
    for wrong in ({"epochs": 1.5}, {"epochs": True}, {"loss": 3}, {"epochs": None}, {"clip": "a"}):
        with pytest.raises(GRNError, match="expected"):
            with_settings("expression", wrong)


# R13.4: each loss and optimiser technique is removed alone.
def test_each_technique_is_removed_alone() -> None:
    found = variants("optimised")
    assert {"no-focal-loss", "no-momentum", "no-schedule", "no-warm-up", "no-clipping"} < {*found}
    assert {"no-early-stopping", "no-weight-decay", "no-dropout", "no-xavier"} < {*found}
    assert {"no-high-rate", "one-layer-fewer"} < {*found}
    contrasted = {"no-infonce", "no-masking", "no-log-q", "no-temperature"}
    assert contrasted < {*variants("two-tower")}
    assert contrasted | {"no-even-offers"} < {*variants("two-tower-mixed")}
    for name in PLANS:
        found = variants(name)
        whole = asdict(found[WHOLE])
        for title, recipe in found.items():
            changed = {key for key, value in asdict(recipe).items() if whole[key] != value}
            several = {"no-schedule": {1, 2}, "no-infonce": {1, 2}}
            allowed = {0} if title == WHOLE else several.get(title, {1})
            assert len(changed) in allowed, (name, title)
            build(name, 3, 5, 4, recipe.options)


def test_techniques_that_are_not_there_cannot_be_removed() -> None:
    bare = Recipe(optimizer="sgd", momentum=0, weight_decay=0, patience=None, negatives="uniform")
    none = with_settings("paired-early", {"dropout": 0.0}, bare)
    assert list(variants("paired-early", none)) == [WHOLE]


def test_a_recipe_without_a_newer_setting_has_it_as_usual() -> None:
    old = {key: value for key, value in asdict(Recipe(batch=9)).items() if key != "masked"}
    assert Recipe(batch=9).differences(old) == []
    assert Recipe(masked=False).differences(old) == [
        "masked was True, now False",
        "batch was 9, now 512",
    ]


@pytest.mark.parametrize("text", ["log:1e-3:1", "uniform:-1:2", "int:2:4", "logint:2:64"])
def test_ranges_are_kept_to(text: str) -> None:
    space, random = Range.parse("x", text), np.random.default_rng(0)
    drawn = [space.draw(random) for _ in range(500)]
    assert all(space.low <= value <= space.high for value in drawn)
    assert all(isinstance(value, int) for value in drawn) == ("int" in text)
    if text == "int:2:4":
        assert set(drawn) == {2, 3, 4}
    if text.startswith("log:"):
        assert np.mean(np.array(drawn) < 0.0316) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("text", ["log:0:1", "int:4:2", "uniform:1", "choice:", "normal:0:1", "3"])
def test_what_is_no_range(text: str) -> None:
    with pytest.raises(GRNError, match="expected log:LOW:HIGH"):
        Range.parse("x", text)


def test_a_search_goes_on_and_notes_failures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem, calls = example_problem(), []

    class Scores:
        def score(self, pairs: np.ndarray) -> np.ndarray:
            return np.random.default_rng(len(calls)).random(len(pairs))

    def fake(known: object, name: str, recipe: Recipe, *rest: object) -> Scores:
        calls.append(recipe)
        if recipe.batch == 3:
            raise GRNError("went to NaN")
        return Scores()

    monkeypatch.setattr(searching, "train", fake)
    ranges = {"batch": Range("int", 2, 3)}
    some = search(problem, "expression", ranges, trials=5, folder=tmp_path)
    more = search(problem, "expression", ranges, trials=8, folder=tmp_path)
    assert len(calls) == 8
    assert more.trials[:5] == some.trials
    failed = {trial.number for trial in more.trials if trial.settings.get("batch") == 3}
    assert failed
    assert {trial.number for trial in more.trials if trial.failed == "went to NaN"} == failed
    assert more.ranked[0].number not in failed
    assert more.best.batch == more.ranked[0].settings.get("batch", PLANS["expression"].recipe.batch)
    (tmp_path / "trial-0002.json").write_text("{")
    with pytest.raises(GRNError, match=r"trial-0002.json.*remove it"):
        search(problem, "expression", ranges, trials=8, folder=tmp_path)
    with pytest.raises(GRNError, match=r"another search \(seed differ\)"):
        search(problem, "expression", ranges, trials=8, folder=tmp_path, seed=1)


def test_comparisons_are_antisymmetric() -> None:
    methods = {name: BASELINES[name] for name in ("degree", "neighbours", "clr")}
    found = evaluate(example_problem(), methods, "gene", seeds=3)
    pairs = [("neighbours", "degree"), ("clr", "degree")]
    there = compare(found, found, pairs, resamples=200)
    back = compare(found, found, [(b, a) for a, b in pairs], resamples=200)
    for one, other in zip(there, reversed(back), strict=True):
        assert (one.method, one.against) == (other.against, other.method)
        assert one.difference.value == pytest.approx(-other.difference.value)
        assert one.difference.p == other.difference.p
        assert one.adjusted >= one.difference.p
    few = evaluate(example_problem(), methods, "gene", seeds=[2, 5])
    assert compare(found, few, resamples=50)[0].seeds == 1
    with pytest.raises(GRNError, match="no seed in common"):
        compare(found, evaluate(example_problem(), methods, "gene", seeds=[7]))
    with pytest.raises(GRNError, match="other pairs"):
        compare(found, evaluate(example_problem(1), methods, "gene", seeds=3))


@pytest.mark.parametrize("kind", ["edge", "gene", "group", "tf"])
def test_a_model_for_use_learns_from_all_but_validation(kind: str) -> None:
    problem = example_problem()
    known = known_for_use(problem, kind, 0)  # type: ignore[arg-type]
    assert not (known.edges & known.validation_edges).any()
    assert ((known.edges | known.validation_edges) == problem.edges).all()
    assert (known.allowed ^ known.validation_allowed).all()
    assert 0 < known.validation_edges.sum() < 0.4 * problem.edges.sum()


def test_an_ensemble_for_use() -> None:
    found = train_for_use(example_problem(), "expression", quick("expression"), members=2)
    assert isinstance(found, Ensemble)
    assert len(found.members) == 2


# R13.5: what is written is read again, by every table that can be.
@pytest.mark.parametrize("kind", ["tsv", "arboreto", "beeline", "decoupler"])
def test_tables_of_edges_are_read_again(kind: str, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    p = random.random((3, 7)).astype(np.float32)
    given = Network(
        ["a", "b", "c"], [f"g{i}" for i in range(7)], p, p, None,
        random.choice([-1, 1], (3, 7)).astype(np.int8), random.random((3, 7)) < 0.5,
    )  # fmt: skip
    export(given, tmp_path / "net", kind, 15)
    network, count = read_network(tmp_path / "net")
    assert count == 15
    for one, other in zip(given.ranked(15), network.ranked(15), strict=True):
        assert one[:3] == other[:3]
        if kind == "tsv":
            assert one == other
        if kind == "decoupler":
            assert one.sign == other.sign
    export(network, tmp_path / "again", kind, count)
    assert (tmp_path / "again").read_bytes() == (tmp_path / "net").read_bytes()
