"""The command line: in this process for speed, in its own where signals or a pipe matter."""

import os
import subprocess
import sys

import pytest
from tests.experiments.laboratory import install
from typer.testing import CliRunner

from groundup.cli import app


@pytest.fixture(scope="session")
def laboratory(tmp_path_factory):
    return install(tmp_path_factory.mktemp("laboratory"))


@pytest.fixture
def place(laboratory, tmp_path, monkeypatch):
    """An empty current folder, with the small laboratory on the path."""
    monkeypatch.setattr(sys, "path", [str(laboratory), *sys.path])
    monkeypatch.delenv("GROUNDUP_RUNS", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def groundup(place):
    """Call a command here: its result has `exit_code`, `stdout` and `stderr`."""

    def call(*words):
        return CliRunner().invoke(app, [str(word) for word in words])

    return call


@pytest.fixture
def process(laboratory, place):
    """Begin a command in a process of its own."""
    started = []

    def start(*words, variables=None, **options):
        environment = {**os.environ, "PYTHONPATH": str(laboratory), "OMP_NUM_THREADS": "1"}
        environment |= variables or {}
        begun = subprocess.Popen(
            [sys.executable, "-m", "groundup.cli", *map(str, words)],
            text=True,
            cwd=place,
            env=environment,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
        )
        started.append(begun)
        return begun

    yield start
    for begun in started:
        if begun.poll() is None:
            begun.kill()
            begun.wait()
        for stream in filter(None, (begun.stdout, begun.stderr)):
            stream.close()
