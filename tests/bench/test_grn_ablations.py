"""The table of techniques on the page on regulation (R13.4)."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from groundup.apps.grn.task.examples import example_problem
from groundup.apps.grn.training.recipes import Recipe
from groundup.apps.grn.tuning.ablate import ablate

ROOT = Path(__file__).parents[2]


@pytest.fixture
def ablations(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("grn_ablations")


def test_each_technique_has_a_row_and_the_most_missed_comes_first(ablations: Any) -> None:
    recipe = Recipe(epochs=2, learning_rate=0.01, options={"sizes": (8, 4)})
    found = ablate(example_problem(), "expression", recipe, "group", "matched", 2, resamples=50)
    rows = [
        [cell.strip() for cell in row.split("|")[1:-1]]
        for row in ablations.table(found).splitlines()[2:]
    ]
    assert rows[0][1] == f"{found.evaluation.values('whole', 'auroc').mean():.3f}"
    assert {row[0] for row in rows[1:]} == {
        line.method.removeprefix("no-").replace("-", " ") for line in found.contrasts
    }
    differences = [float(row[2]) for row in rows[1:]]
    assert differences == sorted(differences)
    for row in rows[1:]:
        assert float(row[1]) - float(rows[0][1]) == pytest.approx(float(row[2]), abs=0.0011)
    told = ablations.document(found, "data/ecoli")
    assert told.startswith("`expression`, operons held out beside matched pairs, 2\nseeds: ")
    assert "--models expression --seeds 2" in told
