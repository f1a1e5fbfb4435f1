"""Methods compared over seeds (R14.6), and the aims on CLINC150."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from tests.apps.finch.traffic import some_traffic

from groundup import viz
from groundup.apps.finch.errors import FinchError
from groundup.apps.finch.mind.settings import MindSettings
from groundup.apps.finch.rehearsal.clinc150 import load_clinc150
from groundup.apps.finch.rehearsal.evaluate import Evaluation, evaluate
from groundup.apps.finch.rehearsal.streams import changed

SETTINGS = MindSettings(bits=12, replay=1, minimum=60, audit_half=30)
STUDENTS = ["forward all", "exact cache", "semantic cache", "linear", "students"]


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return evaluate(lambda seed: some_traffic(600, seed, noise=0.05), STUDENTS, [0, 1], SETTINGS)


def test_every_method_meets_every_seed(evaluation: Evaluation) -> None:
    assert evaluation.methods == STUDENTS
    assert [(run.method, run.seed) for run in evaluation.runs] == [
        (method, seed) for seed in (0, 1) for method in STUDENTS
    ]
    assert all(run.tally.all.requests == 600 for run in evaluation.runs)


def test_methods_are_what_their_names_say(evaluation: Evaluation) -> None:
    def local(method: str) -> float:
        return float(np.mean([run.tally.all.local_share for run in evaluation.of(method)]))

    assert local("forward all") == 0
    assert 0 < local("exact cache") < 0.1
    assert local("semantic cache") > local("exact cache")
    assert local("students") > 0.4
    for method in ("linear", "students"):
        assert all(run.tally.all.error < 0.05 for run in evaluation.of(method))


def test_the_table_has_a_row_for_each(evaluation: Evaluation) -> None:
    lines = evaluation.table().splitlines()
    assert [line.split("  ")[0] for line in lines[1:-1]] == STUDENTS
    assert lines[-1] == "2 seeds, delta 5 %"
    assert "±" in lines[-2]


def test_an_evaluation_survives_json(evaluation: Evaluation) -> None:
    again = Evaluation.from_json(evaluation.to_json())
    assert again.to_json() == evaluation.to_json()
    assert again.table() == evaluation.table()


def test_figures_show_all_methods_and_the_bound(evaluation: Evaluation, tmp_path: Path) -> None:
    viz.save(evaluation.figure(), tmp_path / "forwarded.svg")
    text = (tmp_path / "forwarded.svg").read_text()
    ET.fromstring(text)
    assert all(method in text for method in STUDENTS)
    figure = evaluation.error_figure("students")
    labels = figure.legends[0].get_texts() if figure.legends else []
    assert {"delta", "bound told by the audits"} <= {label.get_text() for label in labels}
    with pytest.raises(FinchError, match="exact cache has no bound"):
        evaluation.error_figure("exact cache")


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(FinchError, match="expected one of forward all"):
        evaluate(lambda seed: [], ["oracle"], [0])
    with pytest.raises(FinchError, match="no seed"):
        evaluate(lambda seed: [], ["linear"], [])


@pytest.mark.slow
@pytest.mark.parametrize("seed", [100, 101])
def test_clinc150_is_mostly_answered_locally_within_the_bound(seed: int) -> None:
    result = evaluate(load_clinc150, ["linear", "students"], [seed])
    linear, students = (run.tally.all for run in result.runs)
    assert students.error < 0.05
    assert students.local_share > 0.6
    assert students.local_share > linear.local_share
    assert result.runs[1].alarms == 0, "nothing changes in this log"


@pytest.mark.slow
def test_clinc150_whose_labels_change_goes_upstream_and_comes_back() -> None:
    first = 0

    def log(seed: int) -> list[tuple[str, str]]:
        nonlocal first
        pairs, first = changed(load_clinc150(seed), seed)
        return pairs

    run = evaluate(log, ["students"], [100]).runs[0]
    at = first // 1000
    parts = run.tally.parts
    assert run.tally.all.error < 0.05
    assert run.alarms >= 1
    assert parts[at - 1].local_share > 0.5
    assert parts[at + 1].local_share < 0.3
    assert parts[-2].local_share > 0.5
