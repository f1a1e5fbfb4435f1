"""Sweeps: on tuning seeds, by validation metrics, resumed, pruned."""

import json

import pytest

from groundup.experiments.config import ConfigError
from groundup.experiments.experiment import ExperimentError
from groundup.experiments.sweep import Range, sweep

optuna = pytest.importorskip("optuna")
pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

SPACE = {"lr.plain": Range.parse("lr.plain", "log:1e-4:0.3")}


def test_the_best_setting_is_found_on_tuning_seeds_alone(line, store):
    found = sweep(line, SPACE, store, trials=8, settings={"epochs": 15})
    assert len(found.trials) == 8
    complete = [row for row in found.trials if row["state"] == "complete"]
    assert found.best["value"] == min(row["value"] for row in complete)
    assert found.best["settings"]["lr.plain"] > 0.02
    runs = [store.get(run) for row in found.trials for run in row["runs"]]
    assert {info.seed for info in runs} == {100}
    assert {info.parent for info in runs} == {found.group}
    for info in runs:
        metrics = json.loads((info.folder / "result.json").read_text())["metrics"]
        assert not any("test" in name for name in metrics or {})


def test_asking_again_goes_on_with_the_same_study(line, store):
    first = sweep(line, SPACE, store, trials=2)
    second = sweep(line, SPACE, store, trials=4)
    assert second.study == first.study
    assert [row["settings"] for row in second.trials[:2]] == [r["settings"] for r in first.trials]
    assert len({row["settings"]["lr.plain"] for row in second.trials}) == 4
    assert len(sweep(line, SPACE, store, trials=4).trials) == 4
    other = sweep(line, SPACE, store, trials=1, settings={"epochs": 3})
    assert other.study != first.study


@pytest.mark.slow
def test_trials_worse_than_the_median_are_given_up(line, store):
    wide = {"lr.plain": Range.parse("lr.plain", "log:1e-6:0.3")}
    found = sweep(line, wide, store, trials=14)
    pruned = [row for row in found.trials if row["state"] == "pruned"]
    assert pruned, "of learning rates over five powers of ten some are hopeless"
    info = store.get(pruned[0]["runs"][0])
    assert info.status == "stopped"
    assert info.error is None
    assert "given up" in store.texts(info.id)[-1].text
    assert store.series(info.id)[0].count < 12


def test_several_seeds_count_by_their_mean(line, store):
    found = sweep(
        line, SPACE, store, trials=1, seeds=2, study="two", metric="steep/validation_loss"
    )
    (trial,) = found.trials
    values = [
        json.loads((store.get(run).folder / "result.json").read_text())["metrics"][found.metric]
        for run in trial["runs"]
    ]
    assert trial["value"] == pytest.approx(sum(values) / 2)
    assert found.study == "two"


def test_a_sweep_that_was_stopped_goes_on(line, store):
    def stop(row):
        if row["number"] == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(line, SPACE, store, trials=4, done=stop)
    assert len([r for r in sweep(line, SPACE, store, trials=4).trials if r["value"]]) == 4


def test_a_study_of_another_measure_is_not_gone_on_with(line, store):
    words = {"trials": 1, "study": "mine", "settings": {"epochs": 1}}
    sweep(line, SPACE, store, **words)
    for other in ({"metric": "plain/slope"}, {"goal": "maximize"}, {"settings": {"epochs": 2}}):
        with pytest.raises(ExperimentError, match="give another --study"):
            sweep(line, SPACE, store, **{**words, **other})
    narrower = {"lr.plain": Range.parse("lr.plain", "log:1e-2:1e-1")}
    assert len(sweep(line, narrower, store, **{**words, "trials": 2}).trials) == 2


def test_sweeps_at_once_make_so_many_trials_together(line, store):
    """While one of two is at its first trial, the other one makes all that were asked for."""
    words = {"trials": 4, "settings": {"epochs": 1}}
    inner = []

    def done(_row):
        if not inner:
            inner.append(None)
            sweep(line, SPACE, store, **words)

    assert len(sweep(line, SPACE, store, done=done, **words).trials) == 4


def test_a_database_that_fails_on_the_way_is_said_plainly(line, store):
    from sqlalchemy.exc import OperationalError

    def done(_row):
        raise OperationalError("INSERT", {}, Exception("server closed the connection"))

    words = {"trials": 2, "settings": {"epochs": 1}, "done": done}
    with pytest.raises(ExperimentError, match=r"cannot be used: .*server closed the connection"):
        sweep(line, SPACE, store, **words)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"metric": "plain/test_loss"}, ExperimentError, "test data"),
        ({"metric": "plain/nothing"}, ExperimentError, "gives no metric"),
        ({"seeds": 3}, ExperimentError, "tuning seeds"),
        ({"settings": {"epoch": 1}}, ConfigError, "did you mean epochs"),
        ({"space": {"lr.plane": SPACE["lr.plain"]}}, ConfigError, "did you mean plain"),
        ({"space": {"epochs": SPACE["lr.plain"]}}, ConfigError, "whole number"),
        ({"storage": "nonsense"}, ExperimentError, "cannot be used"),
        ({"storage": "sqlite:///no/such/folder/x.db"}, ExperimentError, "cannot be used"),
    ],
)
def test_what_cannot_be_searched_is_refused_plainly(line, store, changes, error, words):
    with pytest.raises(error, match=words):
        sweep(line, changes.pop("space", SPACE), store, trials=1, **changes)


@pytest.mark.parametrize(
    "text",
    ["", "log", "log:1", "log:0:1", "log:2:1", "int:1.5:2", "choice:", "normal:0:1", "log:a:b"],
)
def test_a_range_that_is_none_is_refused(text):
    with pytest.raises(ConfigError, match="expected log:LOW:HIGH"):
        Range.parse("lr", text)


def test_ranges_give_what_they_say():
    trial = optuna.trial.FixedTrial({"a": 0.5, "b": 12, "c": "gelu", "d": 64})
    assert Range.parse("a", "uniform:0:1").suggest(trial, "a") == 0.5
    assert Range.parse("b", "int:0:20:4").suggest(trial, "b") == 12
    assert Range.parse("c", "choice:relu, gelu").suggest(trial, "c") == "gelu"
    assert Range.parse("d", "logint:1:100").suggest(trial, "d") == 64
