"""`groundup animate`: its page, and what it says where there is nothing to play. R3.13."""

import json
import re
import shutil
import sys

import pytest
from typer.testing import CliRunner

from groundup.cli import app


@pytest.fixture(scope="module")
def made(laboratory, tmp_path_factory):
    """A folder with two seeds of a small experiment, and what running them printed."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(laboratory), *sys.path])
        words = "run line --set epochs=4 --seeds 2 --json --runs"
        found = CliRunner().invoke(app, [*words.split(), str(folder / "runs")])
    assert found.exit_code == 0, found.stderr
    return folder, json.loads(found.stdout)


@pytest.fixture
def ran(made, place):
    """These runs in the current folder."""
    shutil.copytree(made[0] / "runs", place / "runs")
    return made[1]


def films(path):
    text = path.read_text(encoding="utf-8")
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])["films"]


def test_what_was_run_can_be_replayed(groundup, place, ran):
    found = groundup("animate", ran["group"])
    assert found.exit_code == 0, found.stderr
    last = found.stdout.rstrip().splitlines()[-1]
    first = next(iter(ran["runs"].values()))
    assert last == f"runs/{first}/animation.html"
    shown = films(place / last)
    assert [film["name"] for film in shown] == ["plain", "steep"]
    assert shown[0]["steps"] == [0, 1, 2, 3, 4]
    titles = [chart["title"] for chart in shown[0]["charts"]]
    assert titles == ["Loss"]
    lines = {line["name"]: line for line in shown[0]["charts"][0]["lines"]}
    assert set(lines) == {"training", "validation"}
    assert lines["training"]["x"] == [1, 2, 3, 4]
    # The newest run, if none is named, and one with a beginning.
    for words in ([], [ran["group"][:-3]], [first]):
        assert groundup("animate", *words).exit_code == 0


def test_one_network_of_one_seed_to_a_file(groundup, place, ran):
    words = ["--condition", "steep", "--seed", 2, "--output", "a.html", "--json"]
    found = groundup("animate", ran["group"], *words)
    assert found.exit_code == 0, found.stderr
    told = json.loads(found.stdout)
    assert told["animation"] == "a.html"
    assert told["seed"] == 2
    assert told["run"] == ran["runs"]["2"]
    assert told["frames"] == {"steep": 5}
    assert told["bytes"] == (place / "a.html").stat().st_size
    assert [film["name"] for film in films(place / "a.html")] == ["steep"]


def test_mistakes_are_told(groundup, place, ran):
    assert groundup("animate", "nothing").exit_code == 2
    found = groundup("animate", ran["group"], "--condition", "stepe")
    assert found.exit_code == 2
    assert "no network 'stepe'; did you mean 'steep'? recorded are plain, steep" in found.stderr
    found = groundup("animate", ran["group"], "--seed", 9)
    assert found.exit_code == 2
    assert "has no seed 9; it has 1, 2" in found.stderr


def test_a_run_without_a_recording_says_what_to_do(groundup, place, ran):
    for run_id in ran["runs"].values():
        shutil.rmtree(place / "runs" / run_id / "recordings")
    found = groundup("animate", ran["group"])
    assert found.exit_code == 1
    assert "has no recording of a training" in found.stderr
    assert "has to be repeated: groundup run line --seed 1" in found.stderr
    assert groundup("animate", "--runs", place / "empty").exit_code == 2


def test_a_damaged_recording_is_told(groundup, place, ran):
    for run_id in ran["runs"].values():
        (place / "runs" / run_id / "recordings" / "plain.safetensors").write_bytes(b"x" * 50)
    found = groundup("animate", ran["group"])
    assert found.exit_code == 1
    assert "not a readable safetensors file" in found.stderr
    assert groundup("animate", ran["group"], "--condition", "steep").exit_code == 0


def test_help_has_examples(groundup):
    text = re.sub(r"[\s│╭╮╰╯─]+", " ", groundup("animate", "--help").stdout)
    assert "Examples: groundup animate" in text
