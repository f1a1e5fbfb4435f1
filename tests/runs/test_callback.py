"""What `Record` logs is what training did, once for each step, also after a resumption."""

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import groundup as gu
from groundup import nn, optim
from groundup.data import DataLoader, TensorDataset
from groundup.runs import Record, Run, Store, callback
from groundup.training import (
    Callback,
    Checkpoint,
    ClipGradients,
    GradientStatistics,
    History,
    Run as Training,
    accuracy,
    fit,
)

STEPS = 7  # an epoch


class StopAt(Callback):
    """Ctrl-C, or a crash, after a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, run: Training) -> None:
        if run.step == self.step:
            raise RuntimeError("deliberate")


def train(callbacks: Sequence[Callback], epochs: int, resume: Path | None = None) -> History:
    gu.manual_seed(0)
    x = gu.randn(28, 3)
    y = (x.sum(dim=1) > 0).long()
    model = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))
    return fit(
        model,
        nn.functional.cross_entropy,
        optim.Adam(model.parameters(), lr=0.01),
        DataLoader(TensorDataset(x, y), batch_size=4, shuffle=True),
        epochs=epochs,
        validation=[(x, y)],
        metrics={"accuracy": accuracy},
        callbacks=callbacks,
        resume=resume if resume is not None and resume.exists() else None,
    )


def curve(store: Store, run: Run, name: str) -> tuple[list[int], list[float]]:
    points = store.points(run.id, name)
    return points.steps.tolist(), points.values.tolist()


def test_what_is_logged(store: Store) -> None:
    statistics = GradientStatistics(every=5)
    with store.start("digits") as run:
        history = train([statistics, Record(run, every=5), ClipGradients(max_norm=0.01)], 3)
    every_step = list(range(1, 3 * STEPS + 1))
    assert curve(store, run, "loss") == (every_step, history.steps["loss"])
    assert curve(store, run, "lr") == (every_step, history.steps["lr"])
    ends = [STEPS, 2 * STEPS, 3 * STEPS]
    assert curve(store, run, "epoch") == (ends, [1, 2, 3])
    assert curve(store, run, "epoch_loss") == (ends, history.epochs["loss"])
    for name in ("validation_loss", "validation_accuracy"):
        assert curve(store, run, name) == (ends, history.epochs[name])
    looked = [step + 1 for step in statistics.steps]
    assert looked == [1, 6, 11, 16, 21]
    for layer in ("0.weight", "0.bias", "2.weight", "2.bias"):
        for measure in ("norm", "mean", "max"):
            expected = statistics.gradients[layer][measure]
            assert curve(store, run, f"gradient_{measure}/{layer}") == (looked, expected)
            expected = statistics.weights[layer][measure]
            assert curve(store, run, f"weight_{measure}/{layer}") == (looked, expected)
    infos = {series.name: series for series in store.series(run.id)}
    assert infos["examples_per_second"].low > 0
    assert infos["system/cpu"].low > 0
    assert infos["system/load"].low >= 0
    assert 10 < infos["system/peak_memory"].last_value < 1e6  # MB
    assert len(infos) == 2 + 4 + 24 + 4


def test_throughput_counts_examples(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = itertools.count()
    clock = SimpleNamespace(perf_counter=lambda: next(looks) / 4, process_time=lambda: 0.0)
    monkeypatch.setattr(callback, "time", clock)
    with store.start("digits") as run:
        train([Record(run)], 1)
    # A look at the start, one at each step of four examples, one more for each of the figures:
    # 16 examples until 1.25 s have passed, the other 12 in 1 s.
    assert curve(store, run, "examples_per_second") == ([4, 7], [12.8, 12.0])


def test_a_resumed_run_has_every_step_once(store: Store) -> None:
    with store.start("whole") as whole:
        history = train([Record(whole, every=3), Checkpoint(whole.checkpoint_path())], 4)
    with store.start("broken") as run:
        path = run.checkpoint_path()
        callbacks = [Record(run, every=3), Checkpoint(path, every=5, per="step"), StopAt(18)]
        with pytest.raises(RuntimeError, match="deliberate"):
            train(callbacks, 4)
    assert store.points(run.id, "loss").steps[-1] == 18
    with store.resume(run.id) as run:
        again = [Record(run, every=3), Checkpoint(path, every=5, per="step")]
        train(again, 4, resume=path)
    for series in store.series(whole.id):
        if not series.name.startswith(("system/", "examples")):
            assert curve(store, run, series.name) == curve(store, whole, series.name), series.name
    assert curve(store, run, "loss")[1] == history.steps["loss"]


def test_a_run_that_begins_again_from_nothing(store: Store) -> None:
    """Killed before the first checkpoint."""
    with pytest.raises(RuntimeError, match="deliberate"), store.start("broken") as run:
        train([Record(run), StopAt(3)], 1)
    with store.resume(run.id) as run:
        train([Record(run)], 1)
    assert curve(store, run, "loss")[0] == list(range(1, STEPS + 1))


def test_two_trainings_in_one_run(store: Store) -> None:
    with store.start("both") as run:
        train([Record(run, prefix="first/")], 1)
        train([Record(run, prefix="second/")], 2)
    with store.resume(run.id) as run:
        train([Record(run, prefix="second/")], 1)
    assert len(store.points(run.id, "first/loss")) == STEPS
    assert len(store.points(run.id, "second/loss")) == STEPS


def test_a_loss_that_is_not_a_number_is_logged(store: Store) -> None:
    model = nn.Linear(1, 1)
    batches = [(gu.ones(4, 1), gu.full((4, 1), math.nan))]
    with store.start("nan") as run:
        fit(
            model,
            nn.functional.mse_loss,
            optim.SGD(model.parameters(), lr=0.1),
            batches,
            epochs=2,
            callbacks=[Record(run)],
        )
    assert np.isnan(store.points(run.id, "loss").values).all()
    assert np.isnan(store.points(run.id, "gradient_norm/weight").values).all()


def test_recording_changes_nothing(store: Store) -> None:
    with store.start("digits") as run:
        with_record = train([Record(run, every=1)], 2)
    without = train([], 2)
    assert with_record.steps == without.steps
    assert with_record.epochs == without.epochs


def test_never_is_no_interval(store: Store) -> None:
    with store.start("digits") as run, pytest.raises(ValueError, match="every 0, expected"):
        Record(run, every=0)
