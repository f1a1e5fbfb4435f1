"""The benchmark of regulation: what its libraries do, and what its tables say follows (R13.5)."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
QUICK = {"model": "regulon", "data": None, "quick": True}


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")


@pytest.fixture
def report() -> Any:
    return importlib.import_module("grn_report")


@pytest.fixture
def problems() -> Any:
    return importlib.import_module("grn_problems")


@pytest.fixture
def worker() -> Any:
    return importlib.import_module("grn_worker")


def test_the_synthetic_problem_has_the_size_of_the_data_set(problems: Any) -> None:
    problem = problems.problem(None, problems.WHOLE)
    assert problem.edges.shape == (209, 3923)
    assert problem.expression.values.shape == (3923, 278)
    assert problem.edges.sum() == 7792
    assert not problem.edges[np.arange(209), problem.tfs].any(), "no TF regulates itself"
    targets = np.sort(problem.edges.sum(1))
    assert targets[-1] > 10 * np.median(targets), "some TFs have many targets and most a few"
    again = problems.problem(None, problems.WHOLE)
    np.testing.assert_array_equal(problem.expression.values, again.expression.values)


def test_targets_follow_their_tfs(problems: Any) -> None:
    problem = problems.synthetic(problems.QUICK)
    z = problem.expression.values - problem.expression.values.mean(1, keepdims=True)
    z /= z.std(1, keepdims=True)
    alike = np.abs(z[problem.tfs] @ z.T / z.shape[1])
    alike[np.arange(12), problem.tfs] = np.nan
    assert np.nanmean(alike[problem.edges]) > 1.2 * np.nanmean(alike[~problem.edges])


def test_all_pairs_are_scored_in_blocks(worker: Any, tmp_path: Path) -> None:
    work = worker.Scoring("groundup", 1, QUICK)
    found, trained = work.scores(), work.trained
    assert found.shape == (30, 17_000)
    some = np.array([[0, 0], [29, 16_999], [7, 5000]])
    np.testing.assert_allclose(found[tuple(some.T)], trained.score(some), atol=1e-5)
    assert work.do_check(str(tmp_path / "found.npz"))["seconds"] > 0
    with np.load(tmp_path / "found.npz") as kept:
        np.testing.assert_allclose(kept["scores"][:, 64:], found[:, -64:], atol=1e-6)


def test_an_epoch_trains_and_the_check_has_no_dropout(worker: Any, tmp_path: Path) -> None:
    work = worker.Training("groundup", 1, QUICK)
    weights = work.weights("")
    assert work.do_epoch()["seconds"] > 0
    assert any((weights[name] != value).any() for name, value in work.weights("").items())
    files = [tmp_path / f"{number}.npz" for number in (1, 2)]
    for file in files:
        work.do_check(str(file))
    with np.load(files[0]) as one, np.load(files[1]) as two:
        np.testing.assert_array_equal(one["losses"], two["losses"])
        np.testing.assert_array_equal(one["before tf_table.weight"], weights["tf_table.weight"])
    whole = work.do_train()
    assert whole["edges"] == 120
    assert 1 <= whole["epochs"] <= 60


def planted() -> tuple[Any, Any]:
    """TFs, and a gene that follows the first of them. Shape: (80, 10), (80,)."""
    random = np.random.default_rng(0)
    x = random.normal(size=(80, 10))
    return x, 2 * x[:, 0] + 0.3 * random.normal(size=80)


def test_trees_of_scikit_learn_end_by_either_rule(worker: Any) -> None:
    x, y = planted()
    installed, seconds = worker.grown(x, y, None, "installed")
    published, _ = worker.grown(x, y, None, "published")
    assert seconds > 0
    # Importances add up to the number of trees.
    assert 25 <= installed.sum() < published.sum() / 2
    assert published.argmax() == installed.argmax() == 0
    alone, _ = worker.grown(x, y, 0, "installed")
    assert alone[0] == 0, "a TF does not predict itself"


def test_the_published_rule_compares_the_same_samples(worker: Any) -> None:
    from sklearn.ensemble import GradientBoostingRegressor

    x, y = planted()
    told: list[tuple[Any, float, float]] = []

    def watch(number: int, regressor: Any, now: Any) -> bool:
        given = number, regressor, now
        told.append((~now["sample_mask"], worker.published(*given), worker.installed(*given)))
        return number == 9

    booster = GradientBoostingRegressor(learning_rate=0.1, subsample=0.8, random_state=0)
    booster.fit(x, y, monitor=watch)
    errors = [(y - y.mean()) ** 2, *((y - some) ** 2 for some in booster.staged_predict(x))]
    left, same, others = zip(*told, strict=True)
    expected = [
        (before - after)[out].mean()
        for before, after, out in zip(errors[:-1], errors[1:], left, strict=True)
    ]
    assert len(expected) == 10
    np.testing.assert_allclose(same, expected, rtol=1e-6)
    # What is installed compares with the samples that were left out before these.
    expected = [errors[n][left[n - 1]].mean() - errors[n + 1][left[n]].mean() for n in range(1, 10)]
    changed = "scikit-learn has changed its out-of-bag improvement; so must the report's words"
    np.testing.assert_allclose(others[1:], expected, rtol=1e-6, err_msg=changed)


def test_trees_of_some_genes_stand_for_all(worker: Any, tmp_path: Path) -> None:
    bench, work = importlib.import_module("bench_grn"), worker.Inference("scikit-learn", 1, QUICK)
    assert work.do_count() == {"genes": 80}
    file = tmp_path / "trees.npz"
    answer = work.do_trees([0, 50], str(file))
    with np.load(file) as kept:
        assert kept["importances"].shape == (12, 2)
        assert kept["importances"][0, 0] == 0
    assert len(answer["each"]) == 2
    assert min(answer["trees"]) >= 25
    made = {"seconds": 4.0, "each": [1.0, 3.0], "trees": [25, 35]}
    row = bench.of_trees("scikit-learn", 2, made, 100)
    assert (row.seconds, row.trees) == (200, 30)
    assert row.error == pytest.approx(1.96 * 2**0.5 / 2**0.5 * 100 / 2)
    assert bench.of_trees("groundup", 1, {**made, "each": None}, 100).error is None
    grown = np.array([[20.0, 30.0], [10.0, 0.0]])
    assert bench.alike(grown, -grown) == pytest.approx(-1)


def found(report: Any) -> Any:
    made = report.Found()
    for library, seconds in {"groundup": 0.2, "PyTorch": 0.1}.items():
        ratio = None if library == "groundup" else (0.5, 0.4, 0.6)
        made.scoring += [report.Row("regulon", 1, library, seconds, 0.7, *(ratio or ()))]
        work = "cross-encoder, 360 of the genes"
        made.scoring += [report.Row(work, 2, library, 3 * seconds)]
    made.training = [report.Row("regulon, an epoch", 2, "PyTorch", 0.5, None, 2.5, 2, 3)]
    made.whole = [{"threads": 2, "seconds": 12.5, "epochs": 20, "auroc": 0.7, "edges": 7792}]
    trees = report.Inferred("trees", 1, "arboreto", 300, error=12.3, trees=28.4)
    published = report.Inferred("trees", 1, report.PUBLISHED, 3000, error=99, trees=400)
    made.inference = [report.Inferred("clr", 1, "groundup", 0.06, 0.1), trees, published]
    made.alike = {"arboreto": 0.8123}
    return made


def test_tables_say_who_is_ahead_and_by_how_much(report: Any, problems: Any) -> None:
    text = report.document(found(report), problems.WHOLE, "the data set `ecoli`")
    assert "| regulon | 1 | PyTorch | 0.1 | 0.7 | 0.50 | 0.40 to 0.60 |" in text
    assert "55.6 times as long: 33.3 s in groundup (2 threads), 16.7 s in PyTorch" in text
    assert "| regulon, an epoch | 2 | PyTorch | 0.5 |  | 2.50 | 2.00 to 3.00 |" in text
    assert "with 7,792 edges (2 threads), compilation included: 12.5 s, 20 epochs" in text
    assert "| clr | 1 | groundup | 0.06 | 0.1 |  | 5,000 | 50,000 |" in text
    assert "| trees | 1 | arboreto | 300 ± 12.3 |  | 28 | 1 | 10 |" in text
    assert "0.81 for arboreto" in text
    assert "Ahead of groundup: PyTorch at regulon (1 thread)." in text
    assert max(map(len, text.splitlines())) < 200


def test_a_library_that_disagrees_drops_out(tmp_path: Path) -> None:
    bench = importlib.import_module("bench_grn")
    script = tmp_path / "liar.py"
    script.write_text(LIAR)
    made = bench.Found()
    every = {
        peer: bench.Worker([str(script), str(number)], {}, 1)
        for peer, number in {"groundup": 1, "honest": 1, "liar": 2}.items()
    }
    try:
        first = bench.checked(every, tmp_path, made)
        times = bench.in_turns(every, 0, do="work")
    finally:
        for one in every.values():
            one.stop()
    assert list(every) == list(times) == ["groundup", "honest"]
    assert first["honest"] == 3
    assert "liar is left out: scores is" in made.left[0]
    ours, honest = bench.rows("work", 1, times, first)
    assert (ours.ratio, honest.ratio) == (None, 1)


LIAR = """
import json, sys
import numpy as np
for line in sys.stdin:
    command = json.loads(line)
    if command["do"] == "check":
        np.savez(command["file"], scores=np.full(3, float(sys.argv[1])))
    print(json.dumps({"seconds": 3}), flush=True)
"""


@pytest.mark.slow
def test_the_whole_benchmark_with_tiny_sizes() -> None:
    script = [sys.executable, str(ROOT / "benchmarks" / "bench_grn.py"), "--quick"]
    words = ["--threads", "2", "--seconds", "0", "--peers", "scikit-learn"]
    told = subprocess.run([*script, *words], check=True, capture_output=True, text=True).stdout
    assert "| two-tower-self-supervised | 2 | groundup |" in told
    assert "| trees | 2 | scikit-learn, published |" in told
    assert "No other is faster." in told
