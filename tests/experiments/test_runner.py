"""Running seeds: kept, resumed without a difference, taken over where nothing has changed."""

import json

import pytest

from groundup.experiments.config import changed
from groundup.experiments.experiment import ExperimentError, load
from groundup.experiments.runner import (
    earlier,
    planned_seeds,
    results_of,
    run_one,
    run_seeds,
    try_out,
)
from groundup.experiments.tuning import tune
from groundup.runs import RunningError
from groundup.training import Callback


def test_a_group_holds_a_run_for_each_seed_with_its_result(line, store):
    results = run_seeds(line, line.config(epochs=60), (1, 2, 3), store)
    assert {seed: found.info.seed for seed, found in results.outcomes.items()} == {1: 1, 2: 2, 3: 3}
    parts = store.runs(parent=results.group.id)
    assert {part.id for part in parts} == {found.info.id for found in results.outcomes.values()}
    assert {part.status for part in parts} == {"done"}
    assert results.metrics[2]["plain/slope"] == pytest.approx(2.0, abs=0.4)
    assert results.metrics[2] == results_of(store, results.group.id).metrics[2]
    names = [series.name for series in store.series(parts[0].id)]
    assert {"plain/loss", "steep/validation_loss", "thought"} <= set(names)
    assert [media.name for media in store.media(parts[0].id)] == ["slope"]


def test_findings_are_kept_as_verdicts_of_the_group(line, store):
    results = run_seeds(line, line.config(epochs=60), line.seeds, store)
    kept = {found.claim: found for found in store.verdicts(results.group.id)}
    assert {name: found.verdict for name, found in kept.items()} == {
        "right": "holds",
        "wrong": "refuted",
    }
    assert kept["wrong"].seeds == (1, 2, 3, 4, 5, 6)
    assert kept["wrong"].low < 2.1 < kept["wrong"].high + 0.2


def test_the_same_seed_gives_the_same_numbers_and_another_one_others():
    assert try_out("line", 4) == try_out("line", 4)
    assert try_out("line", 4) != try_out("line", 5)


class StopAt(Callback):
    """Ctrl-C, or an error, in the middle of the second fit."""

    def __init__(self, step, error):
        self.step, self.error = step, error

    def on_step_end(self, run):
        if run.step == self.step:
            raise self.error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("boom")])
@pytest.mark.parametrize("fit", ["plain", "steep"])
def test_a_run_that_was_stopped_and_resumed_ends_like_one_that_was_not(line, store, error, fit):
    whole = store.queue("line", line.config(), seed=1)
    expected = run_one(line, line.config(), whole.id, store)
    part = store.queue("line", line.config(), seed=1)

    def watch(name):
        return [StopAt(5, error)] if name == fit else []

    with pytest.raises(type(error)):
        run_one(line, line.config(), part.id, store, watchers=watch)
    assert store.get(part.id).status == ("failed" if isinstance(error, RuntimeError) else "stopped")
    found = run_one(line, line.config(), part.id, store)
    assert found.metrics == expected.metrics
    for series in store.series(whole.id):
        if "second" in series.name or "system" in series.name:
            continue
        one, other = (store.points(run, series.name) for run in (whole.id, part.id))
        assert one.steps.tolist() == other.steps.tolist(), series.name
        assert one.values.tolist() == other.values.tolist(), series.name


def test_a_resumed_group_runs_only_what_is_missing(line, store):
    failing = changed(line.config(), {"fail_at": 3})
    with pytest.raises(RuntimeError):
        run_seeds(line, failing, (1, 2, 3, 4), store)
    (group,) = [info for info in store.runs() if info.seed is None]
    assert group.status == "failed"
    assert planned_seeds(store, group.id) == [1, 2, 3, 4]
    before = {info.seed: info for info in store.runs(parent=group.id)}
    assert sorted(before) == [1, 2, 3]
    results = run_seeds(line, line.config(), (1, 2, 3, 4), store, group=group.id)
    assert sorted(results.metrics) == [1, 2, 3, 4]
    after = {info.seed: info for info in store.runs(parent=group.id)}
    assert {s: after[s].id for s in (1, 2, 3)} == {s: before[s].id for s in (1, 2, 3)}
    assert after[1].ended == before[1].ended
    assert after[3].ended > before[3].ended


def test_runs_are_taken_over_only_if_config_and_code_are_the_same(line, store, monkeypatch):
    first = run_seeds(line, line.config(), (1, 2), store, reuse=True)
    again = run_seeds(line, line.config(), (1, 2, 3), store, reuse=True)
    assert [again.outcomes[s].info.id for s in (1, 2)] == [
        first.outcomes[s].info.id for s in (1, 2)
    ]
    assert again.outcomes[3].info.id not in {found.info.id for found in first.outcomes.values()}
    assert earlier(line, line.config(epochs=3), (1, 2, 3), store) == {}
    monkeypatch.setattr(type(line), "code", property(lambda _: "anothercode1"))
    assert earlier(line, line.config(), (1, 2, 3), store) == {}


def test_a_result_that_two_versions_have_made_is_taken_over_by_neither(line, store, monkeypatch):
    part = store.queue("line", line.config(), seed=1)

    def watch(name):
        return [StopAt(5, KeyboardInterrupt())] if name == "steep" else []

    with pytest.raises(KeyboardInterrupt):
        run_one(line, line.config(), part.id, store, watchers=watch)
    own = line.code
    assert earlier(line, line.config(), (1,), store) == {1: part.id}
    with monkeypatch.context() as patch:
        patch.setattr(type(line), "code", property(lambda _: "anothercode1"))
        assert earlier(line, line.config(), (1,), store) == {}
        found = run_one(line, line.config(), part.id, store)
        assert found.done
        assert found.code == f"{own}+anothercode1"
        assert earlier(line, line.config(), (1,), store) == {}
    assert earlier(line, line.config(), (1,), store) == {}


def test_what_another_process_goes_on_with_is_run_anew(line, store):
    """Two verifications at once: both want the seed that was not finished."""
    part = store.queue("line", line.config(), seed=1)
    with pytest.raises(KeyboardInterrupt):
        run_one(
            line,
            line.config(),
            part.id,
            store,
            watchers=lambda _: [StopAt(5, KeyboardInterrupt())],
        )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "resume", refuse_once(store.resume, part.id))
        results = run_seeds(line, line.config(), (1,), store, reuse=True)
    assert results.metrics[1] == try_out("line", 1)
    assert results.outcomes[1].info.id != part.id
    assert store.get(results.group.id).status == "done"
    group = json.loads((results.group.folder / "group.json").read_text())
    assert group["runs"] == {"1": results.outcomes[1].info.id}


def refuse_once(resume, run_id):
    def refusing(name):
        if name == run_id:
            raise RunningError(f"{name} is running")
        return resume(name)

    return refusing


def test_a_seed_that_another_process_has_done_meanwhile_is_taken_over(line, store):
    """`earlier` is asked before each seed, not once for all."""
    other = store.queue("line", line.config(), seed=2)

    def meanwhile(whole):
        run_one(line, line.config(), other.id, store)

    results = run_seeds(line, line.config(), (1, 2), store, reuse=True, opened=meanwhile)
    assert results.outcomes[2].info.id == other.id


def test_no_claim_is_judged_by_seeds_on_which_settings_were_chosen(line, store):
    results = run_seeds(line, line.config(), (100, 1, 101, 2), store)
    assert sorted(results.metrics) == [1, 2, 100, 101]
    assert all(len(finding.values) == 2 for finding in results.findings)
    kept = {found.claim: found.measured for found in store.verdicts(results.group.id)}
    slopes = results.metrics
    assert kept["wrong"] == {s: slopes[s]["plain/slope"] for s in (1, 2)}
    alone = run_seeds(line, line.config(), (100,), store)
    assert {finding.verdict for finding in alone.findings} == {"not measured"}


def test_a_damaged_result_is_measured_again(line, store):
    first = run_seeds(line, line.config(), (1,), store, reuse=True)
    path = first.outcomes[1].info.folder / "result.json"
    path.write_text(path.read_text()[:30])
    assert not results_of(store, first.group.id).metrics
    again = run_seeds(line, line.config(), (1,), store, reuse=True)
    assert again.metrics[1] == first.metrics[1]


def test_what_is_no_metric_is_refused(store):
    broken = load("broken")
    config = broken.config(numbers=True)
    part = store.queue("broken", config, seed=0)
    with pytest.raises(ExperimentError, match="dictionary of numbers"):
        run_one(broken, config, part.id, store)
    assert store.get(part.id).status == "failed"


def test_tuning_tries_every_value_on_tuning_seeds_and_keeps_no_test_metric(line, store):
    rows = tune(line, store)
    assert [(row["value"], row["best"], row["used"]) for row in rows] == [
        (1e-4, False, False),
        (0.1, True, True),
    ]
    tried = [info for info in store.runs() if info.seed is not None]
    assert {info.seed for info in tried} == {100, 101}
    for info in tried:
        kept = json.loads((info.folder / "result.json").read_text())["metrics"]
        assert "plain/validation_loss" in kept
        assert "plain/test_loss" not in kept
    assert tune(line, store) == rows
    assert len([i for i in store.runs() if i.seed is not None]) == len(tried), "taken over"
