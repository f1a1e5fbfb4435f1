"""Evaluation: the same questions for all, resumed runs, files that are whole. R13.4, R13.5."""

import importlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import isotonic_regression

from groundup.apps.grn.baselines import BASELINES, TableScorer, degree, majority, neighbours
from groundup.apps.grn.errors import GRNError
from groundup.apps.grn.evaluation.calibrate import isotonic
from groundup.apps.grn.evaluation.evaluate import evaluate
from groundup.apps.grn.evaluation.measure import METRICS
from groundup.apps.grn.evaluation.record import Record
from groundup.apps.grn.progress import listener
from groundup.apps.grn.task.examples import example_problem
from groundup.apps.grn.task.metrics import auprc, auroc
from groundup.apps.grn.task.problem import Known, Method, Scorer
from groundup.apps.grn.task.questions import draw_questions
from groundup.apps.grn.task.splits import KINDS, TEST, VALIDATION
from groundup.apps.grn.training.train import train_ensemble

from .planted import quick

PROBLEM = example_problem(4)
LARGER = example_problem(4, tfs=24, genes=150)
SOME = {"majority": majority, "degree": degree, "neighbours": neighbours}


def _refuses(known: Known, seed: int) -> TableScorer:
    raise AssertionError("this run is kept already")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("negatives", ["uniform", "matched", "all"])
def test_questions_are_of_their_part_and_labels_right(kind: str, negatives: str) -> None:
    asked = draw_questions(LARGER, kind, negatives, 3)  # type: ignore[arg-type]
    for part, pairs, labels in (
        (VALIDATION, asked.validation, asked.validation_labels),
        (TEST, asked.test, asked.test_labels),
    ):
        place = tuple(pairs.T)
        assert (asked.split.parts[place] == part).all()
        assert (LARGER.edges[place] == labels).all()
        assert labels.sum() == (LARGER.edges & (asked.split.parts == part)).sum()


def test_metrics_are_those_of_the_kept_scores() -> None:
    found = evaluate(PROBLEM, SOME, "edge", "all", seeds=2)
    for run in found.runs.values():
        labels = found.asked[run.seed].labels
        assert run.metrics["auroc"] == auroc(labels, run.scores)
        ratio = auprc(labels, run.scores) / labels.mean()
        assert run.metrics["auprc_ratio"] == pytest.approx(ratio)
        assert set(METRICS) <= set(run.metrics)
    assert (found.values("majority", "auroc") == 0.5).all()
    np.testing.assert_allclose(found.values("majority", "auprc_ratio"), 1)
    assert found.values("degree", "auroc").min() > 0.6, "degrees tell among all pairs"


def test_degree_tells_nothing_of_matched_pairs_of_held_out_genes() -> None:
    problem = example_problem(4, genes=400)
    found = evaluate(problem, {"degree": degree}, "gene", "matched", seeds=2)
    np.testing.assert_allclose(found.values("degree", "auroc"), 0.5, atol=0.03)


def test_the_threshold_and_probabilities_come_from_validation() -> None:
    """Labels of the test may be anything: threshold and probabilities stay."""
    one = draw_questions(PROBLEM, "gene", "matched", 0)
    other = replace(one, test_labels=~one.test_labels)
    from groundup.apps.grn.evaluation.measure import measure

    scorer = neighbours(PROBLEM.known(one.split), 0)
    scores = scorer.score(one.validation), scorer.score(one.test)
    (a, p), (b, q) = measure(one, *scores), measure(other, *scores)
    assert a["threshold"] == b["threshold"]
    assert p.tobytes() == q.tobytes()
    assert a["auroc"] == pytest.approx(1 - b["auroc"])


def test_a_method_gets_nothing_of_the_test() -> None:
    seen: list[Known] = []

    def spy(known: Known, seed: int) -> TableScorer:
        seen.append(known)
        return majority(known, seed)

    evaluate(PROBLEM, {"spy": spy}, "gene", seeds=[4])
    parts = draw_questions(PROBLEM, "gene", "matched", 4).split.parts
    assert not (seen[0].edges & (parts == TEST)).any()
    assert not (seen[0].validation_edges & (parts == TEST)).any()


def test_runs_that_are_kept_are_not_made_again(tmp_path: Path) -> None:
    first = evaluate(PROBLEM, SOME, "gene", seeds=2, folder=tmp_path)
    told: list[tuple[int, int, str]] = []
    again = evaluate(
        PROBLEM,
        {**dict.fromkeys(SOME, _refuses), "clr": BASELINES["clr"]},
        "gene",
        seeds=2,
        folder=tmp_path,
        progress=lambda *words: told.append(words),
    )
    assert [what for _, _, what in told] == ["clr, seed 0", "clr, seed 1", "evaluated"]
    assert [done for done, _, _ in told] == [3000, 7000, 8000]
    assert {of for _, of, _ in told} == {8000}
    for key, run in first.runs.items():
        assert again.runs[key].scores.tobytes() == run.scores.tobytes()
        assert again.runs[key].metrics == run.metrics
    fresh = evaluate(PROBLEM, {**SOME, "clr": BASELINES["clr"]}, "gene", seeds=2)
    assert again.to_json() == fresh.to_json()
    read = Record(tmp_path).read()
    assert read.methods == ["clr", "degree", "majority", "neighbours"]
    assert read.asked[1].pairs.tobytes() == fresh.asked[1].pairs.tobytes()
    assert json.loads(read.to_json())["means"] == json.loads(fresh.to_json())["means"]


def test_an_evaluation_that_was_ended_can_be_read(tmp_path: Path) -> None:
    def ends(known: Known, seed: int) -> TableScorer:
        if seed == 1:
            raise KeyboardInterrupt
        return majority(known, seed)

    methods: dict[str, Method] = {"degree": degree, "ends": ends}
    with pytest.raises(KeyboardInterrupt):
        evaluate(PROBLEM, methods, "gene", seeds=2, folder=tmp_path)
    read = Record(tmp_path).read()
    assert (read.methods, read.seeds) == (["degree", "ends"], [0])


def test_another_protocol_needs_another_folder(tmp_path: Path) -> None:
    evaluate(PROBLEM, {"degree": degree}, "gene", seeds=1, folder=tmp_path)
    with pytest.raises(GRNError, match=r"another protocol \(negatives: matched there, all here"):
        evaluate(PROBLEM, {"degree": degree}, "gene", "all", seeds=1, folder=tmp_path)
    with pytest.raises(GRNError, match=r"another protocol .*data"):
        evaluate(example_problem(5), {"degree": degree}, "gene", seeds=1, folder=tmp_path)


def test_runs_that_answered_other_questions_are_not_mixed_in(tmp_path: Path) -> None:
    evaluate(PROBLEM, {"degree": degree}, "gene", seeds=2, folder=tmp_path)
    pairs = tmp_path / "pairs"
    (pairs / "0.safetensors").write_bytes((pairs / "1.safetensors").read_bytes())
    with pytest.raises(GRNError, match="seed 0 asks about other pairs now"):
        evaluate(PROBLEM, {"degree": degree}, "gene", seeds=1, folder=tmp_path)


def test_damaged_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(GRNError, match="there is no evaluation in this folder"):
        Record(tmp_path).read()
    evaluate(PROBLEM, {"degree": degree}, "gene", seeds=1, folder=tmp_path)
    run = tmp_path / "runs" / "degree-0.safetensors"
    run.write_bytes(run.read_bytes()[:50])
    with pytest.raises(GRNError, match=r"degree-0\.safetensors.*remove the file"):
        evaluate(PROBLEM, {"degree": degree}, "gene", seeds=1, folder=tmp_path)
    (tmp_path / "protocol.json").write_text("[]")
    with pytest.raises(GRNError, match="is not an evaluation's"):
        evaluate(PROBLEM, {"degree": degree}, "gene", seeds=1, folder=tmp_path)


def test_bad_methods_are_named() -> None:
    def short(known: Known, seed: int) -> TableScorer:
        class Short(TableScorer):
            def score(self, pairs: np.ndarray) -> np.ndarray:
                return np.zeros(3)

        return Short(np.zeros(1))

    def broken(known: Known, seed: int) -> TableScorer:
        return TableScorer(np.full(known.edges.shape, np.nan))

    with pytest.raises(GRNError, match=r"short, seed 0: scores of shape \(3,\)"):
        evaluate(PROBLEM, {"short": short}, "gene", seeds=1)
    with pytest.raises(GRNError, match=r"broken, seed 0: .* scores are NaN or infinite"):
        evaluate(PROBLEM, {"broken": broken}, "gene", seeds=1)
    with pytest.raises(GRNError, match="0 methods"):
        evaluate(PROBLEM, {}, "gene")
    with pytest.raises(GRNError, match="expected a name of letters"):
        evaluate(PROBLEM, {"a/b": degree}, "gene")


def test_the_table_has_a_line_for_each_method() -> None:
    lines = evaluate(PROBLEM, SOME, "gene", seeds=2).table().splitlines()
    assert lines[0].startswith("held out by gene, matched unlabelled pairs, 2 seeds")
    assert [line.split()[0] for line in lines[1:]] == ["method", *SOME]


def test_isotonic_is_scipys() -> None:
    random = np.random.default_rng(0)
    scores = random.integers(0, 60, 400).astype(float)
    labels = random.random(400) < scores / 60
    found = isotonic(labels, scores)
    levels, place = np.unique(scores, return_inverse=True)
    counts = np.bincount(place)
    expected = isotonic_regression(np.bincount(place, labels) / counts, weights=counts).x
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-12)
    assert found(levels).sum() > 0
    assert (np.diff(found(np.linspace(-5, 70, 300))) >= 0).all()
    assert found(scores).mean() == pytest.approx(labels.mean()), "its mean is the prevalence"


def test_long_methods_are_heard_while_they_run() -> None:
    told: list[tuple[int, int, str]] = []

    def quickly(known: Known, seed: int) -> Scorer:
        return train_ensemble(known, "expression", quick("expression", epochs=2), seed, 2)

    methods = {"trees": BASELINES["trees"], "two": quickly}
    evaluate(PROBLEM, methods, "gene", seeds=1, progress=lambda *words: told.append(words))
    assert listener() is None
    done = [done for done, _, _ in told]
    assert done == sorted(done)
    assert set(done) > {0, 1000, 2000}
    for low, what in ((0, "trees, seed 0"), (1000, "two, seed 0")):
        within = [d for d, _, name in told if name == what]
        assert within[0] == low
        assert within[-1] == low + 1000
    assert 1500 in done  # the first of two members is trained


def test_trees_are_grown_once_for_all_seeds(tmp_path, monkeypatch):
    module = importlib.import_module("groundup.apps.grn.baselines.trees")
    problem, grown = example_problem(), []
    real = module.importances

    def counted(known, seed, genes):
        grown.extend(genes)
        assert seed == 0
        return real(known, seed, genes)

    monkeypatch.setattr(module, "importances", counted)
    found = evaluate(problem, ["trees"], "gene", seeds=3)
    assert len(grown) == len(set(grown))
    # Each seed alone, and a seed that is added later, give the same.
    alone = evaluate(problem, ["trees"], "gene", seeds=[2], folder=tmp_path)
    assert (alone.runs["trees", 2].scores == found.runs["trees", 2].scores).all()
    again = evaluate(problem, {"trees": BASELINES["trees"]}, "gene", seeds=[1, 2], folder=tmp_path)
    assert (again.runs["trees", 1].scores == found.runs["trees", 1].scores).all()
