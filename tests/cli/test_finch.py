"""`finch serve`, `replay`, `evaluate`, `train`, `demo`: what is asked for wrongly is told."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from groundup.apps.finch.models import memory
from groundup.cli.finch import app

UP = ["--upstream", "https://api.example.com"]


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FINCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ANTHROPIC_API_KEY", "key")
    monkeypatch.setenv("COLUMNS", "200")
    for name, content in (("empty", b""), ("wrong", b'{"query": 1}\n'), ("binary", b"\xff\xfe")):
        Path(name).write_bytes(content)


def run(*words: str) -> Result:
    return CliRunner().invoke(app, words)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["serve"], 2, "upstream is not set, expected"),
        (
            ["serve", "--upstream", "x"],
            2,
            "upstream is not shown, as it may hold a secret",
        ),
        (["serve", *UP, "--delta", "7"], 2, "delta is 7.0 (the flag --delta), expected a number"),
        (["serve", *UP, "--port", "x"], 2, "Invalid value for '--port'"),
        (["serve", *UP, "--allow-host", "a:1"], 2, "names without port and address"),
        (["serve", *UP, "--settings", "none"], 2, "none: No such file"),
        (["serve", *UP, "--port", "0", "--home", "empty"], 1, "empty is a file, expected a folder"),
        (["demo", "--delta", "3"], 2, "delta is 3.0 (the flag --delta), expected a number"),
        (["demo", "--requests", "0"], 2, "'0'; expected a whole number of at least 1"),
        (["replay", "none"], 1, "groundup: none: No such file or directory\n"),
        (["replay", "."], 1, "groundup: .: Is a directory\n"),
        (["replay", "empty"], 1, 'empty is empty, expected lines of {"query": "..."'),
        (["replay", "wrong"], 1, """wrong, line 1: '{"query": 1}', expected {"query": "..."""),
        (["replay", "binary"], 1, "binary, after line 0: no text in UTF-8"),
        (["replay", "wrong", "--work", "-1"], 2, "Invalid value for '--work'"),
        (["evaluate", "--log", "empty"], 1, "empty is empty"),
        (["evaluate", "--requests", "0"], 2, "expected a whole number of at least 1"),
        (["evaluate", "--log", "wrong", "--methods", "x"], 1, "wrong, line 1"),
        (["train", "none"], 1, "groundup: none: No such file or directory\n"),
        (["train", "wrong"], 1, 'wrong, line 1: \'{"query": 1}\', expected {"request"'),
        (["train", "empty"], 0, "0 requests learned"),
        (["train", "empty", "--delta", "7"], 2, "delta is 7.0 (the flag --delta)"),
    ],
)
def test_what_is_asked_for_wrongly_is_told(words: list[str], code: int, told: str) -> None:
    found = run(*words)
    assert told in found.output
    assert found.exit_code == code, found.output
    assert found.exception is None or isinstance(found.exception, SystemExit)


def test_a_port_in_use_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        found = run("serve", *UP, "--port", port)
    assert found.exit_code == 2
    assert f"port {port} of 127.0.0.1 cannot be used: " in found.output
    assert "give another --port (0 takes a free one)" in found.output


def test_models_that_do_not_fit_are_refused_before_anything_is_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "memory_free", lambda: 2**30)
    found = run("serve", *UP, "--port", "0", "--models", "--preset", "document")
    assert found.exit_code == 1
    assert "preset 'document' needs " in found.output
    assert "1.0 GiB can be had; choose a smaller preset" in found.output
    assert "Ready" not in found.output
