"""Races: the same results first, then turns; what fails or disagrees drops out (R1.4)."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from groundup.bench.race import LEAST, Race, Worker, compare, on_processors, processors
from groundup.bench.steps import WORKLOADS

# A worker whose peers are in this file: one that disagrees, one that fails, one that does not stop.
LIAR = """
import sys
from groundup.bench import worker

def shifted(job):
    build, tensor = worker.groundup(job, compiled=False)
    return build, lambda x: tensor(x + x.dtype.type(1) if x.dtype.kind == "f" else x)

def broken(job):
    print("words that are no answer")
    raise ValueError("this library is out of order")

worker.main({**worker.PEERS, "torch-compile": shifted, "jax": broken})
"""


@pytest.mark.parametrize("inference", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_race(inference: bool) -> None:
    peers = ["eager", "compiled"]
    with Race(WORKLOADS["mlp"], peers, threads=1, inference=inference, small=True) as race:
        assert race.wrong == {}
        row = race.row(0)
    assert list(row.timings) == peers
    assert row.timings["eager"].ratio == 1
    for timing in row.timings.values():
        assert timing.seconds > 0
        assert 0 < timing.low <= timing.ratio <= timing.high
        assert timing.start > 0
    assert row.timings["compiled"].start > row.timings["compiled"].seconds, "it compiles first"


def test_those_that_disagree_or_fail_drop_out(tmp_path: Path) -> None:
    script = tmp_path / "liar.py"
    script.write_text(LIAR)
    peers = ["eager", "torch-compile", "jax"]
    with Race(WORKLOADS["mlp"], peers, threads=1, small=True, worker=[str(script)]) as race:
        row = race.row(0)
    assert list(row.timings) == ["eager"]
    assert "away" in row.wrong["torch-compile"]
    assert "this library is out of order" in row.wrong["jax"]
    assert "FAILED: ValueError: this library is out of order" in row.line()


def test_without_the_first_there_are_times_but_no_ratios(tmp_path: Path) -> None:
    script = tmp_path / "liar.py"
    script.write_text(LIAR)
    with Race(WORKLOADS["xor"], ["jax", "eager"], 1, worker=[str(script)]) as race:
        row = race.row(0)
    assert list(row.timings) == ["eager"]
    assert np.isnan(row.timings["eager"].ratio)


def test_sizes_can_be_set_and_a_compiled_step_explained() -> None:
    sizes = {"width": 12, "depth": 1, "batch": 3}
    with Race(WORKLOADS["residual"], ["compiled"], threads=1, sizes=sizes) as race:
        programs = race.workers["compiled"].ask(do="explain")["programs"]
    products = [step for step in programs[-1]["steps"] if step["kind"] == "product"]
    assert max(step["multiply_adds"] for step in products) == 3 * 12 * 12


def test_rounds_are_turns_of_each() -> None:
    with Race(WORKLOADS["xor"], ["eager", "compiled"], threads=1) as race:
        found = race.time(0)
    assert {peer: len(times) for peer, times in found.items()} == {
        "eager": LEAST,
        "compiled": LEAST,
    }


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system cannot do that")
def test_a_process_keeps_to_as_many_processors_as_threads() -> None:
    before = os.sched_getaffinity(0)
    worker = Worker(
        ["-c", "import os, json; input(); print(json.dumps(len(os.sched_getaffinity(0))))"], {}, 1
    )
    assert worker.ask(do="tell") == 1
    worker.stop()
    assert os.sched_getaffinity(0) == before
    with pytest.raises(KeyError), on_processors(1):
        raise KeyError
    assert os.sched_getaffinity(0) == before
    assert processors() == len(before)


def test_a_process_that_ends_tells_why() -> None:
    worker = Worker(["-c", "import sys; input(); sys.exit('no more memory')"], {}, 1)
    with pytest.raises(RuntimeError, match="no more memory"):
        worker.ask(do="start")
    worker.stop()
    worker = Worker(["-c", "pass"], {}, 1)
    worker._process.wait()
    with pytest.raises(RuntimeError, match="the process ended"):
        worker.ask(do="start")
    worker.stop()


def test_the_way_of_a_weight_is_compared() -> None:
    before = {"weight": np.zeros(3)}
    step = {"weight": np.full(3, 1e-3), "output 0": np.ones(2)}
    compare(step, step, before)
    with pytest.raises(AssertionError, match="weight"):
        compare({**step, "weight": np.full(3, 1.1e-3)}, step, before)
    with pytest.raises(AssertionError, match="weight"):
        compare({**step, "weight": np.full(3, np.nan)}, step, before)
    with pytest.raises(AssertionError, match="output 0"):
        compare({**step, "output 0": np.full(2, 1.001)}, step, before)


def test_the_worker_answers_lines_of_json_only(tmp_path: Path) -> None:
    assert sys.executable
    weights = WORKLOADS["xor"].weights(WORKLOADS["xor"].sizes)
    np.savez(tmp_path / "weights.npz", **weights)  # type: ignore[arg-type]
    files = ("--weights", str(tmp_path / "weights.npz"), "--result", str(tmp_path / "result.npz"))
    script = ["-m", "groundup.bench.worker", "xor", "eager", "--threads", "1", *files]
    worker = Worker(script, {}, 1)
    started = worker.ask(do="start", count=2)
    assert len(started["seconds"]) == 2
    assert worker.ask(do="turn", seconds=0)["seconds"] > 0
    assert worker.ask(do="end")["left"] == []
    worker.stop()
    with np.load(tmp_path / "result.npz") as result:
        assert set(result) == {"output 0", *weights}
        assert json.dumps(result["output 0"].tolist())
        assert all(np.isfinite(result[name]).all() for name in result)
