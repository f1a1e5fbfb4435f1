"""The experiments on regulation in short: questions, controls, and every metric a claim needs."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from groundup.apps.grn.baselines import BASELINES, degree, neighbours
from groundup.apps.grn.data.prior import Prior, prior_table
from groundup.apps.grn.data.read import expression_table
from groundup.apps.grn.errors import GRNError
from groundup.apps.grn.evaluation.evaluate import evaluate
from groundup.apps.grn.task.examples import example_problem
from groundup.experiments.regulation import documents, held_out, replication, without_prior
from groundup.experiments.regulation.asking import problem_of

pytest.importorskip("pandas")


class Quiet:
    """A trial that shows nothing."""

    def track(self, items: Iterable[Any], description: str) -> Iterable[Any]:
        return items


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two made-up data sets, as they lie after fetching."""
    place = tmp_path_factory.mktemp("data")
    for seed, name in enumerate(("ecoli", "bsubtilis")):
        problem = example_problem(seed, tfs=30, genes=240, samples=40)
        names, tfs = problem.expression.genes, problem.tf_names
        edges = [
            (tfs[tf], names[gene], int(problem.signs[tf, gene]))
            for tf, gene in zip(*problem.edges.nonzero(), strict=True)
        ]
        rows = [f"{gene}\tb{n}\top{n // 2}\t{n}" for n, gene in enumerate(names)]
        files = {
            "expression.tsv.gz": gzip.compress(expression_table(problem.expression)),
            "prior.tsv": prior_table(Prior.of(edges)),
            "genes.tsv": "\n".join(["gene\tlocus\toperon\tplace", *rows, ""]).encode(),
        }
        (place / name).mkdir()
        for file, content in files.items():
            (place / name / file).write_bytes(content)
        about = {"files": {f: hashlib.sha256(content).hexdigest() for f, content in files.items()}}
        (place / name / "about.json").write_text(json.dumps(about))
    return place


def claimed(module: ModuleType) -> set[str]:
    names = {name for claim in module.CLAIMS for name in (claim.metric, claim.minus)}
    return {name for name in names if isinstance(name, str)}


def quick(names: Iterable[str]) -> dict[str, Any]:
    """Neighbours in place of what trains for minutes."""
    return {name: BASELINES.get(name, neighbours) for name in names}


@pytest.mark.parametrize("module", [held_out, replication])
def test_methods_are_asked_of_all_splits_and_of_controls(
    module: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_out, "methods_named", quick)
    assert module.Config().data == f"data/{'ecoli' if module is held_out else 'bsubtilis'}"
    config = module.Config(data=str(folder / module.Config().data.removeprefix("data/")))
    found = module.run(config, 1, Quiet())
    assert claimed(module) <= set(found)
    assert found["genes-neighbours/auroc_test"] > 0.6
    assert found["genes-neighbours/auroc_test"] == found["genes-combined/auroc_test"]
    assert abs(found["rewired-neighbours/auroc_test"] - 0.5) < 0.12
    assert found["tfs-neighbours/auroc_test"] == 0.5
    assert all(0 <= found[name] <= 100 for name in found)


def test_the_figures_are_those_of_an_evaluation(folder: Path) -> None:
    config = held_out.Config(
        data=str(folder / "ecoli"), methods=("degree",), splits=("operons",), controls=False
    )
    found = held_out.run(config, 3, Quiet())
    problem = problem_of(config.data)
    same = evaluate(problem, {"degree": degree}, "group", "matched", [3])
    assert found["operons-degree/auroc_test"] == same.values("degree", "auroc")[0]
    assert found["operons-degree/accuracy_test"] == 100 * same.values("degree", "accuracy")[0]


def test_the_documents_models_are_asked_by_their_rules(folder: Path) -> None:
    models = ("embedding", "optimised", "three-layers", "bce")
    config = documents.Config(data=str(folder / "ecoli"), models=models, epochs=1)
    found = documents.run(config, 1, Quiet())
    assert {name for name in claimed(documents) if name.split("/")[0] in models} <= set(found)
    assert found["degree/auroc_test"] > 0.54, "beside random pairs, counting tells much"
    assert found["majority/accuracy_test"] == 50
    plan, recipe = documents.recipe("bce", 0)
    assert (plan, recipe.loss, recipe.negatives) == ("optimised", "bce", "uniform")
    assert documents.recipe("three-layers", 0)[1].options == {"sizes": (512, 128, 64)}
    every = set(documents.Config().models) | {"degree"}
    assert {name.split("/")[0] for name in claimed(documents)} <= every


def test_without_a_prior_all_methods_score_the_same_genes(folder: Path) -> None:
    config = without_prior.Config(folder=str(folder), genes=20)
    found = without_prior.run(config, 2, Quiet())
    assert claimed(without_prior) <= set(found)
    assert len(found) == 2 * 4 * 2
    problem = problem_of(str(folder / "ecoli"))
    genes = np.sort(np.random.default_rng(2).choice(240, 20, replace=False))
    z = problem.expression.values - problem.expression.values.mean(axis=1, keepdims=True)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    scores = np.abs(z[problem.tfs] @ z[genes].T)
    scores[problem.tfs[:, None] == genes] = 0
    labels = problem.edges[:, genes]
    above = scores[labels][:, None] - scores[~labels]
    wanted = (above > 0).mean() + (above == 0).mean() / 2
    assert found["ecoli-pearson/auroc_test"] == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize(
    ("module", "settings", "words"),
    [
        (held_out, {"splits": ("cells",)}, "no split cells"),
        (documents, {"models": ("gpt",)}, "no model gpt"),
        (documents, {"epochs": -1}, "epochs -1"),
        (without_prior, {"bacteria": ("yeast",)}, "no data set yeast"),
        (without_prior, {"genes": 3}, "genes 3"),
    ],
)
def test_settings_that_cannot_be(module: ModuleType, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        module.Config(**settings)


def test_a_prior_alone_is_no_data_set_to_ask_of(tmp_path: Path) -> None:
    table = b"TF\ttarget\nfur\tentA\n"
    (tmp_path / "prior.tsv").write_bytes(table)
    about = {"files": {"prior.tsv": hashlib.sha256(table).hexdigest()}}
    (tmp_path / "about.json").write_text(json.dumps(about))
    with pytest.raises(GRNError, match="a prior without expression"):
        problem_of(str(tmp_path))
