"""The measurement behind the page on regulation: asked once, kept, told and drawn (R13.4)."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from groundup.apps.grn.baselines import degree, neighbours
from groundup.apps.grn.evaluation.evaluate import evaluate
from groundup.apps.grn.task.examples import example_problem
from groundup.apps.grn.task.negatives import NEGATIVES
from groundup.apps.grn.task.splits import KINDS

ROOT = Path(__file__).parents[2]


@pytest.fixture
def protocols(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("grn_protocols")


def test_methods_learn_once_for_a_split_and_a_seed_and_answer_as_in_an_evaluation(
    protocols: Any, tmp_path: Path
) -> None:
    problem = example_problem(tfs=30, genes=200)
    learned = []

    def counted(known: Any, seed: int) -> Any:
        learned.append(seed)
        return degree(known, seed)

    methods = dict.fromkeys(protocols.NAMES, neighbours) | {"degree": counted}
    found = protocols.evaluations(problem, methods, range(2), tmp_path)
    assert sorted(found) == sorted((kind, negatives) for kind in KINDS for negatives in NEGATIVES)
    assert learned == [0, 1] * len(KINDS)
    for (kind, negatives), one in found.items():
        same = evaluate(problem, {"degree": degree}, kind, negatives, 2)
        assert (one.values("degree", "auroc") == same.values("degree", "auroc")).all()
    again = protocols.evaluations(problem, methods, range(2), tmp_path)
    assert learned == [0, 1] * len(KINDS)
    assert again["tf", "all"].to_json() == found["tf", "all"].to_json()

    rows = protocols.table(found).splitlines()
    assert len(rows) == 2 + len(found)
    assert rows[2].startswith("| edges | random pairs | 0.")
    assert rows[-1].endswith(") |"), "all other pairs have their AUPRC ratio too"
    text = protocols.document(found, "data/ecoli")
    assert "seeds (0, 1)" in text
    assert "--data data/ecoli --seeds 2 --write" in text
    figures = protocols.draw(found)
    page = (ROOT / "docs" / "grn.md").read_text(encoding="utf-8")
    assert all(f"(_static/{name}.svg)" in page for name in figures)
    assert len(figures["grn-protocols"].axes) == len(NEGATIVES)
