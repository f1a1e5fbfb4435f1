"""`finch status`, `why`, `export`, `import`, `reset`, `purge`. R14.5, R14.6."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import typer
from tests.apps.finch.store.sample import NOW, TASKS, bytes_of, learn, note, scope_of
from typer.testing import CliRunner, Result

from groundup.apps.finch.store import Store
from groundup.cli.finch_store import store_commands

app = typer.Typer()
app.add_typer(store_commands)


def run(*words: str | Path, input: str | None = None) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], input=input)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with two tasks, which the environment names."""
    monkeypatch.setenv("FINCH_HOME", str(tmp_path / "finch"))
    monkeypatch.setenv("COLUMNS", "200")
    with Store(tmp_path / "finch") as store:
        for number in range(10):
            note(store, number, decision="local")
            note(store, 100 + number, decision="audit", agreed=number > 0, said="PLANTEDA")
            note(store, 200 + number, task=TASKS[1], said="PLANTEDB", time=NOW - 86_400 * 5)
        learn(store, said="PLANTEDA")
        learn(store, task=TASKS[1], said="PLANTEDB")
    return tmp_path / "finch"


def test_status_tells_what_is_there(home: Path) -> None:
    found = run("status")
    assert found.exit_code == 0, found.output
    assert "no server is running" in found.output
    assert "30: 10 answered locally, 10 audited, 10 forwarded, 0 passed on" in found.output
    assert "10 compared, 90.0 % agreed" in found.output
    assert "1,070 tokens (estimated)" in found.output
    assert TASKS[0] in found.output
    (home / "finch.toml").write_text("[prices.remote]\ninput = 3\noutput = 15\n")
    as_json = json.loads(run("status", "--json").output)
    cost = (10 * 100 * 3 + 10 * 7 * 15) / 1e6
    assert as_json["saved"]["money"] == pytest.approx(cost)
    assert "about 0.00 USD" in run("status").output
    with Store(home):
        assert re.search(r"used by `finch serve` \(process \d+\)", run("status").output)
    (home / "finch.toml").write_text("delta = 7\n")
    assert "delta is 7 (the file " in run("status").output


def test_why_tells_what_each_stage_said(home: Path) -> None:
    for name in ("req_103", "up_103"):
        found = run("why", name)
        assert found.exit_code == 0, found.output
        for words in ("audited: cold start", "with probability 0.5", "as good as the remote one",
                      "'PLANTEDA maybe'", "'PLANTEDA query 103'", "consider 1.2 ms"):  # fmt: skip
            assert words in found.output
    assert "not as good" in run("why", "req_100").output
    assert json.loads(run("why", "last", "--json").output)["ident"] == "req_209"
    missing = run("why", "nothing")
    assert missing.exit_code == 2
    assert "there is no request 'nothing' in the log" in missing.output


def test_export_and_import_carry_it_over(home: Path, tmp_path: Path) -> None:
    archive = tmp_path / "finch.zip"
    made = run("export", archive)
    assert made.exit_code == 0, made.output
    assert made.stdout.endswith("finch.zip\n")
    assert "1 scope, 2 minds, 30 requests, 20 texts" in made.stderr
    assert run("export", archive).exit_code == 1
    taken = run("import", archive, "--home", tmp_path / "other")
    assert taken.exit_code == 0, taken.output
    with Store(tmp_path / "other") as store:
        scope = scope_of(store)
        assert store.minds.load(scope, TASKS[0]) is not None
    assert "learned here too" in run("import", archive).output
    missing = run("import", tmp_path / "none.zip", "--home", tmp_path / "new")
    assert missing.exit_code == 2
    assert "none.zip: there is no such file" in missing.output
    assert not (tmp_path / "new").exists()
    assert "there is no folder" in run("export", tmp_path / "no" / "one.zip").output
    assert run("import", archive, "--replace").exit_code == 0
    assert run("export", tmp_path / "one.zip", "--scope", scope[:6]).exit_code == 0
    assert run("export", tmp_path / "two.zip", "--scope", "zz").exit_code == 2


def test_purge_deletes_what_it_says_and_only_that(home: Path) -> None:
    found = run("purge", "--before", "2026-01-01", "--yes")
    assert found.output == "Deleted 0 stored texts and what 0 tasks had learned (0.0 MB).\n"
    assert run("purge", "--task", "ffff", "--yes").exit_code == 2
    assert run("purge", "--task", "0000", "--yes").exit_code == 2  # both begin so
    assert b"PLANTEDA" in bytes_of(home)
    found = run("purge", "--task", TASKS[0], "--yes")
    assert found.output.startswith("Deleted 10 stored texts and what 1 task had learned")
    raw = bytes_of(home)
    assert b"PLANTEDA" not in raw
    assert b"PLANTEDB" in raw
    assert run("purge", "--yes").exit_code == 0
    assert b"PLANTED" not in bytes_of(home)
    assert "'PLANTEDA maybe'" not in run("why", "req_103").output
    assert "- (or not kept)" in run("why", "req_103").output


def test_reset_begins_anew(home: Path) -> None:
    (home / "finch.toml").write_text("delta = 0.1\n")
    assert "20 stored texts, 30 rows of the log" in run("reset", "-y").output
    assert "0: 0 answered locally" in run("status").output
    assert (home / "finch.toml").exists()


@pytest.mark.parametrize("command", ["reset", "purge"])
def test_nothing_is_deleted_unasked(home: Path, command: str) -> None:
    before = run("status").output
    found = run(command, input="y\n")  # not from a terminal
    assert found.exit_code == 2
    assert "Say --yes; nothing was deleted" in found.output
    assert run("status").output == before


@pytest.mark.parametrize("command", [["reset", "--yes"], ["purge", "--yes"], ["import", "x.zip"]])
def test_a_running_server_is_not_disturbed(
    home: Path, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home.parent)
    Path("x.zip").touch()
    with Store(home):
        found = run(*command)
    assert found.exit_code == 1
    assert re.search(r"in use by `finch serve` \(process \d+\).*stop that one first", found.output)
    assert b"PLANTEDA" in bytes_of(home)


def test_a_home_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    for command in (["status"], ["why", "x"], ["purge", "--yes"], ["export", tmp_path / "x.zip"]):
        found = run(*command, "--home", tmp_path / "none")
        assert found.exit_code == 1
        assert "there is no such folder" in found.output
    assert not list(tmp_path.iterdir())
