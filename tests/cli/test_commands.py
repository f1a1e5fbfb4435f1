"""What each command prints and writes, and what it says when it is asked for wrongly."""

import json
import re

import pytest

from groundup.runs import Store

COMMANDS = ["list", "run", "verify", "sweep", "report", "compare", "export", "dashboard"]


def flat(text):
    """Without the frames and line breaks of a terminal."""
    return re.sub(r"[\s│╭╮╰╯─]+", " ", text)


def test_help_has_every_command_in_order_and_the_exit_codes(groundup):
    found = groundup("--help")
    assert found.exit_code == 0
    places = [found.stdout.index(f"│ {name} ") for name in COMMANDS]
    assert places == sorted(places)
    assert "130 stopped by Ctrl-C" in flat(found.stdout)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_has_examples(groundup, name):
    text = flat(groundup(name, "--help").stdout)
    assert re.search(rf"Examples: groundup {name}\b", text)


def test_without_a_command_help_is_shown(groundup):
    assert "Usage: groundup" in flat(groundup().output)


def test_list(groundup):
    found = groundup("list")
    assert found.exit_code == 0
    assert re.search(r"line .*Lines: is a slope learned\?", found.stdout)
    names = [entry["name"] for entry in json.loads(groundup("list", "--json").stdout)]
    assert names.index("line") < names.index("digits")


# Running


def test_run_shows_results_and_ends_with_the_path_of_the_report(groundup, place):
    found = groundup("run", "line", "--set", "epochs=4", "--set", "lr.plain=0.2", "--seeds", 2)
    assert found.exit_code == 0, found.stderr
    lines = found.stdout.rstrip().splitlines()
    assert lines[0] == "Lines: is a slope learned?"
    assert "- the plain slope is at least 30 (a book)" in lines
    assert "with epochs = 4" in found.stdout
    assert "Holm" in found.stdout
    path = place / lines[-1]
    assert re.fullmatch(r"runs/line-[\d-]+-\w{6}/report.html", lines[-1])
    assert "the plain slope" in path.read_text(encoding="utf-8")
    assert found.stderr == "", "no bars where there is no terminal"


def test_run_as_json(groundup, place):
    found = groundup("run", "line", "--set", "epochs=4", "--seeds", 2, "--json")
    content = json.loads(found.stdout)
    assert content["experiment"] == "line"
    assert sorted(content["metrics"]) == ["1", "2"]
    assert [claim["id"] for claim in content["claims"]] == ["right", "wrong"]
    assert content["config"]["epochs"] == 4
    with Store(place / "runs") as store:
        assert store.get(content["group"]).status == "done"


def test_seeds_beyond_the_reported_ones_are_none_of_tuning():
    from groundup.cli.run import reporting_seeds
    from groundup.experiments.experiment import load

    digits = load("digits")
    found = reporting_seeds(digits, 101)
    assert found[:5] == [0, 1, 2, 3, 4]
    assert len(set(found)) == 101
    assert not set(found) & set(digits.tuning_seeds)


def test_the_runs_folder_is_an_option_or_a_variable(groundup, place, monkeypatch):
    small = ("--set", "epochs=1", "--seed", 7)
    assert groundup("run", "line", *small, "--runs", "here").exit_code == 0
    monkeypatch.setenv("GROUNDUP_RUNS", str(place / "there"))
    assert groundup("run", "line", *small).exit_code == 0
    for name in ("here", "there"):
        with Store(place / name) as store:
            assert sorted(str(info.seed) for info in store.runs()) == ["7", "None"]
    assert not (place / "runs").exists()


def test_tuning_is_a_table_with_the_best_value_marked(groundup):
    found = groundup("run", "line", "--tune", "--set", "epochs=8")
    assert found.exit_code == 0, found.stderr
    assert re.search(r"lr\.plain .* 0\.1 .* best .* used", found.stdout)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["run", "lnie"], ["no experiment 'lnie'", "did you mean 'line'?"]),
        (["run"], ["which experiment?"]),
        (["run", "line", "--set", "epochs=many"], ["epochs=many", "whole number (int)"]),
        (["run", "line", "--set", "epoch=3"], ["epoch", "did you mean epochs?"]),
        (["run", "line", "--set", "epochs"], ["'epochs'", "FIELD=VALUE"]),
        (["run", "line", "--set", "epochs=0"], ["epochs=0", "at least one epoch"]),
        (["run", "line", "--seeds", "0"], ["--seeds", "0"]),
        (["run", "line", "--seeds", "few"], ["--seeds", "few"]),
        (["run", "line", "--sedes", "3"], ["--sedes", "--seeds"]),
        (["run", "--resume", "line-1"], ["no run 'line-1'"]),
        (["run", "--resume", "x", "--seeds", "3"], ["--resume", "leave out"]),
        (["run", "broken", "--tune"], ["broken", "TUNED"]),
        (["run", "wordless"], ["lacks Config, SEEDS, a docstring"]),
        (["rnu", "line"], ["rnu", "run"]),
        (["verify"], ["--all"]),
        (["verify", "line", "--all"], ["--all"]),
        (["verify", "lnie"], ["did you mean 'line'?"]),
        (["report", "nothing"], ["no run 'nothing'"]),
        (["compare", "one"], ["two different runs"]),
        (["export", "nothing"], ["--csv FILE or --tensorboard FOLDER"]),
        (["export", "nothing", "--csv", "a.csv"], ["no run 'nothing'"]),
        (["sweep", "line"], ["--space lr=log:1e-4:1e-1"]),
        (["sweep", "line", "--space", "lr.plain=1"], ["expected log:LOW:HIGH"]),
        (["sweep", "line", "--space", "lrr=log:1:2"], ["did you mean lr?"]),
        (
            ["sweep", "line", "--space", "lr.plain=log:1:2", "--metric", "plain/test_loss"],
            ["test data"],
        ),
    ],
)
def test_what_is_asked_for_wrongly_is_said_plainly(groundup, words, expected):
    found = groundup(*words)
    assert found.exit_code == 2, found.output
    text = flat(found.stderr)
    assert "Traceback" not in text
    for part in expected:
        assert part in text


# What is there afterwards


@pytest.fixture
def two(groundup):
    """The ids of two groups of the same experiment with different settings."""
    found = [
        json.loads(groundup("run", "line", "--set", f"epochs={n}", "--seeds", 2, "--json").stdout)
        for n in (3, 5)
    ]
    return [content["group"] for content in found]


def test_history_report_compare_and_export(groundup, place, two):
    first, second = two
    history = groundup("list", "--history")
    assert history.stdout.index(second) < history.stdout.index(first), "the newest first"
    assert len(json.loads(groundup("list", "--history", "--json").stdout)) == 6

    written = groundup("report", first[-6:], "--output", "one.html")
    assert written.stdout.strip() == "one.html"
    assert "Lines: is a slope learned?" in (place / "one.html").read_text(encoding="utf-8")

    path = groundup("compare", *two).stdout.strip()
    assert "epochs" in (place / path).read_text(encoding="utf-8")
    content = json.loads(groundup("compare", *two, "--json").stdout)
    assert content["settings"] == [{"setting": "epochs", first: "3", second: "5"}]
    assert "plain/slope" in {row["metric"] for row in content["metrics"]}

    assert groundup("export", first, "--csv", "points.csv").stdout.strip() == "points.csv"
    rows = (place / "points.csv").read_text().splitlines()
    assert rows[0] == "run,series,step,time,value"
    assert sum(",plain/loss," in row for row in rows) == 2 * 3
    pytest.importorskip("tensorboardX")
    folders = groundup("export", first, "--tensorboard", "events").stdout.split()
    assert len(folders) == 3


def test_verify_writes_the_page_and_runs_nothing_twice(groundup, place):
    (place / "docs").mkdir()
    first = groundup("verify", "line", "--json")
    assert first.exit_code == 0, first.stderr
    page = place / "docs" / "results.md"
    text = page.read_text(encoding="utf-8")
    assert re.search(
        r"the plain slope is at least 30 \| a book \| ≥ 30\.00 \|.*\*\*refuted\*\*", text
    )
    before = json.loads(first.stdout)["experiments"][0]["runs"]
    again = groundup("verify", "line", "--json")
    assert json.loads(again.stdout)["experiments"][0]["runs"] == before
    assert page.read_text(encoding="utf-8") == text
    strict = groundup("verify", "line", "--strict")
    assert strict.exit_code == 3
    assert "refuted: the plain slope is at least 30" in strict.stderr


def test_an_experiment_that_fails_does_not_keep_others_from_being_verified(groundup, place):
    found = groundup("verify", "broken", "line", "--page", "page.md")
    assert found.exit_code == 1
    assert "broken failed: IndexError" in found.stderr
    assert "failed: broken" in found.stderr
    text = (place / "page.md").read_text(encoding="utf-8")
    assert "## Lines" in text
    assert "- `broken`" in text


def test_an_error_in_an_experiment_shows_where_it_is_and_how_to_go_on(groundup, place):
    found = groundup("run", "broken")
    assert isinstance(found.exception, IndexError)
    assert found.exit_code == 1
    with Store(place / "runs") as store:
        (group,) = [info for info in store.runs() if info.parent is None]
    assert f"groundup run broken --resume {group.id}" in found.stderr


def test_a_failed_seed_alone_is_resumed_and_a_finished_one_is_shown(groundup, place):
    words = ("--set", "fail_at=2", "--set", "epochs=3")
    assert groundup("run", "line", *words, "--seed", 1, "--seed", 2).exit_code == 1
    with Store(place / "runs") as store:
        runs = {info.seed: info for info in store.runs()}
    done = groundup("run", "line", "--resume", runs[1].id, "--json")
    assert sorted(json.loads(done.stdout)["metrics"]) == ["1"]
    again = groundup("run", "--resume", runs[2].id)
    assert again.exit_code == 1, "it fails at the same place"
    assert f"--resume {runs[2].id}" in again.stderr
    other = groundup("run", "digits", "--resume", runs[1].id)
    assert other.exit_code == 2
    assert "is a run of line, not of digits" in other.stderr


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_sweep_prints_the_best_trial_and_the_command_for_it(groundup):
    pytest.importorskip("optuna")
    words = ("sweep", "line", "--space", "lr.plain=log:1e-3:0.2", "--set", "epochs=4")
    found = groundup(*words, "--trials", 3)
    assert found.exit_code == 0, found.stderr
    *_, best, command = found.stdout.rstrip().splitlines()
    assert re.match(r"Best: trial \d, plain/validation_loss [\d.e-]+", best)
    assert re.match(r"groundup run line --set lr\.plain=0\.\d+", command)
    content = json.loads(groundup(*words, "--trials", 4, "--json").stdout)
    assert len(content["trials"]) == 4


# Trouble


def test_a_full_disk_is_said_plainly(groundup, monkeypatch):
    import errno

    from groundup.engine import files
    from groundup.experiments import trial

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(trial, "write_atomically", full)
    found = groundup("run", "line", "--set", "epochs=1")
    assert found.exit_code == 1
    assert "No space left" in found.stderr
    assert "Traceback" not in found.output
    assert files.write_atomically is not full


def test_a_full_disk_while_a_checkpoint_is_written(groundup, monkeypatch):
    import errno

    from groundup.experiments import trial

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device", "last.safetensors")

    monkeypatch.setattr(trial, "save_checkpoint", full)
    found = groundup("run", "line", "--set", "epochs=1")
    assert found.exit_code == 1
    assert "last.safetensors: the disk is full; make room and resume" in found.stderr


def test_a_missing_extra_says_what_to_install(groundup, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "optuna", None)
    found = groundup("sweep", "line", "--space", "lr.plain=log:1e-3:0.2")
    assert found.exit_code == 1
    assert "pip install 'groundup[sweep]'" in found.stderr


def test_the_shell_completes_names(groundup, monkeypatch):
    from groundup.cli.app import complete_experiment, complete_run

    assert ("line", "Lines: is a slope learned?") in complete_experiment("li")
    assert complete_experiment("zz") == []
    assert complete_run("") == []
    groundup("run", "line", "--set", "epochs=1", "--seed", 1)
    assert {status for _, status in complete_run("line")} == {"done"}
