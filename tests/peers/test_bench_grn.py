"""What the benchmark of regulation runs in PyTorch is what it runs here (R13.5)."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from groundup.bench.race import compare  # noqa: E402

ROOT = Path(__file__).parents[2]
LIBRARIES = ("groundup", "PyTorch")


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("grn_worker")


def checked(work: Any, file: Path) -> dict[str, Any]:
    work.do_check(str(file))
    with np.load(file) as found:
        return dict(found)


@pytest.mark.parametrize("model", ["regulon", "cross-encoder"])
def test_scores(model: str, worker: Any, tmp_path: Path) -> None:
    what = {"model": model, "data": None, "quick": True}
    ours, theirs = (
        checked(worker.Scoring(library, 1, what), tmp_path / f"{library}.npz")
        for library in LIBRARIES
    )
    assert ours["scores"].std() > 0.01
    np.testing.assert_allclose(ours["scores"], theirs["scores"], atol=1e-5)


def test_blocks_that_are_filled_up_give_the_same_scores(worker: Any) -> None:
    what = {"model": "regulon", "data": None, "quick": True}
    trained = worker.Scoring("groundup", 1, what).trained
    plain, filled = (worker.TorchScoring(torch, trained, compiled=False) for _ in range(2))
    filled.compiled = True  # blocks as for torch.compile, which needs a C++ compiler itself
    some, others = (np.concatenate(list(work.blocks()), axis=1) for work in (plain, filled))
    np.testing.assert_allclose(some, others, atol=1e-6)


@pytest.mark.parametrize("model", ["regulon", "optimised"])
def test_training(model: str, worker: Any, tmp_path: Path) -> None:
    what = {"model": model, "data": None, "quick": True}
    works = [worker.Training(library, 1, what) for library in LIBRARIES]
    ours, theirs = (
        checked(work, tmp_path / f"{library}.npz")
        for work, library in zip(works, LIBRARIES, strict=True)
    )
    before = {k.removeprefix("before "): v for k, v in ours.items() if k.startswith("before ")}
    assert len(before) == len(works[0].weights(""))
    compare(theirs, ours, before)
    assert any((ours[name] != start).any() for name, start in before.items())
    for batch, twin in zip(works[0].batches(3), works[1].batches(3), strict=True):
        for a, b in zip(batch, twin, strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())
