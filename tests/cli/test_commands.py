"""What each command prints and writes, and what it says when it is asked for wrongly."""

import json
import re

import pytest
from typer.testing import CliRunner

from groundup.cli import app, verify
from groundup.experiments import entries
from groundup.experiments.experiment import load
from groundup.runs import Store

COMMANDS = [
    "list",
    "run",
    "verify",
    "sweep",
    "report",
    "compare",
    "export",
    "dashboard",
    "animate",
    "bench",
]


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


def test_a_first_look_takes_some_of_the_seeds_and_says_so(groundup, monkeypatch):
    monkeypatch.setattr(load("line").module, "LOOK", 2, raising=False)
    found = groundup("run", "line", "--set", "epochs=1")
    assert "line, 2 seeds" in found.stdout
    assert "2 of 6 seeds; `groundup verify line` takes all of them." in found.stdout
    every = groundup("run", "line", "--set", "epochs=1", "--seeds", 6)
    assert "takes all of them" not in every.stdout


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
        (["report"], ["no runs", "groundup run EXPERIMENT"]),
        (["compare"], ["two different runs", "none yet"]),
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

    # Without a name: the newest group, and not one of its parts.
    assert json.loads(groundup("report", "--json").stdout)["group"] == second
    missing = groundup("compare", first)
    assert missing.exit_code == 2
    assert re.findall(r"line-[\d-]+-\w{6}", missing.stderr) == [second, first]

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
    assert re.search(r"the plain slope is at least 30 \| ≥ 30\.00 \|.*\*\*refuted\*\*", text)
    content = json.loads(first.stdout)["experiments"][0]
    before = content["runs"]
    assert content["figures"][0] == "docs/results/line/learning-1.svg"
    assert all((place / name).is_file() for name in content["figures"])
    again = groundup("verify", "line", "--json")
    assert json.loads(again.stdout)["experiments"][0]["runs"] == before
    assert page.read_text(encoding="utf-8") == text
    strict = groundup("verify", "line", "--strict")
    assert strict.exit_code == 3
    assert "refuted: the plain slope is at least 30" in strict.stderr


def test_foundations_are_the_lessons_in_their_order(groundup):
    chosen = verify._chosen([], False, True)
    lessons = {entry.name: entry.lesson for entry in entries()}
    assert chosen == sorted(
        (name for name, place in lessons.items() if place), key=lambda name: lessons[name]
    )
    assert {"forward_pass", "backpropagation", "digits"} <= set(chosen)
    assert groundup("verify", "line", "--foundations").exit_code == 2
    assert "say --foundations or --all" in groundup("verify").stderr


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
    assert found.exit_code == 1
    first, *lines = found.stderr.splitlines()
    assert first == "Traceback (most recent call last):"
    assert re.search(r'tinylab/broken\.py", line \d+, in run', lines[0]), "nothing of the runner"
    assert any("IndexError" in line for line in lines)
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


@pytest.fixture
def completed(groundup, monkeypatch):
    """What bash offers for the last word of a line."""

    def complete(line):
        words = ["groundup", *line.split(" ")]
        found = CliRunner().invoke(
            app,
            prog_name="groundup",
            env={
                "_GROUNDUP_COMPLETE": "complete_bash",
                "COMP_WORDS": " ".join(words),
                "COMP_CWORD": str(len(words) - 1),
            },
        )
        return found.stdout.split()

    return complete


def test_the_shell_completes_commands_experiments_runs_and_settings(groundup, completed, place):
    assert completed("ver") == ["verify"]
    assert "line" in completed("run li")
    assert completed("run zz") == []
    assert completed("report ") == []
    assert not (place / "runs").exists(), "asking makes nothing"
    content = json.loads(groundup("run", "line", "--set", "epochs=1", "--seed", 1, "--json").stdout)
    assert content["group"] in completed("run --resume line-")
    assert completed("report --runs elsewhere ") == []
    assert completed("run line --set ep") == ["epochs=12"]
    assert "lr.plain=0.1" in completed("sweep line --set ")
    assert completed("run --set ep") == [], "of which experiment?"


# What a demanding terminal, shell or script does


def test_seeds_and_seed_together_make_no_sense(groundup):
    found = groundup("run", "line", "--seeds", 2, "--seed", 1)
    assert found.exit_code == 2
    assert "leave out one of them" in found.stderr


def test_seeds_on_which_settings_were_chosen_are_run_but_judge_nothing(groundup):
    words = ("--set", "epochs=1", "--json")
    found = groundup("run", "line", "--seed", 100, *words)
    assert "Settings were chosen on seed 100" in found.stderr
    content = json.loads(found.stdout)
    assert sorted(content["metrics"]) == ["100"]
    assert {claim["verdict"] for claim in content["claims"]} == {"not measured"}


def test_a_terminal_of_ascii_gets_ascii(process):
    plain = {"PYTHONIOENCODING": "ascii"}
    begun = process("run", "line", "--set", "epochs=1", "--seeds", "1", variables=plain)
    out, err = begun.communicate(timeout=120)
    assert begun.returncode == 0, err
    assert ">= 30.00" in out


def test_the_way_to_go_on_can_be_pasted_into_a_shell():
    import shlex

    from groundup.cli.run import runs_option

    folder = "a folder/with 'odd' \"names\" – ü"
    assert shlex.split(runs_option(folder)) == ["--runs", folder]
    assert runs_option(None) == ""


def test_json_is_what_any_program_reads(capsys):
    from groundup.cli.messages import print_json

    print_json({"a": [float("inf"), float("nan"), 1.5], "≥": ("x", None)})
    out = capsys.readouterr().out
    assert out.isascii()
    assert json.loads(out, parse_constant=pytest.fail) == {
        "a": ["inf", "nan", 1.5],
        "≥": ["x", None],
    }


@pytest.mark.filterwarnings("default::groundup.runs.DamageWarning")
def test_a_damaged_database_is_a_sentence_on_the_way(groundup, two, place):
    (place / "runs" / "runs.sqlite").write_bytes(b"not a database" * 1000)
    found = groundup("list", "--history")
    assert found.exit_code == 0
    assert two[0] in found.stdout
    assert found.stderr.startswith("groundup: ")
    assert "is damaged" in found.stderr
    assert ".py" not in found.stderr, "no line of the program"


def test_ids_are_never_cut_off(two, place):
    """However narrow the terminal is, an id can be copied from it."""
    import io

    from rich.console import Console

    from groundup.cli.messages import grid

    table = grid("run", "status")
    table.add_row(two[0], "done")
    text = io.StringIO()
    Console(file=text, width=24).print(table)
    first = "".join(re.findall(r"│ (\S+) +│", text.getvalue()))
    assert first == two[0]


def test_a_page_of_results_that_is_damaged_is_not_written_over(groundup, place):
    (place / "page.json").write_text("{")
    found = groundup("verify", "line", "--page", "page.md")
    assert found.exit_code == 1
    assert "remove it to begin the page anew" in found.stderr.replace("\n", " ")
    assert (place / "page.json").read_text() == "{"
