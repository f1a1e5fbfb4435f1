"""What `groundup grn` says while it works, where there is no terminal (R13.5)."""

import subprocess
import sys

import pytest

from groundup.cli import grn
from groundup.cli.grn import Steps


@pytest.fixture
def clock(monkeypatch):
    """A clock that is set by hand."""
    now = [100.0]
    monkeypatch.setattr(grn.time, "monotonic", lambda: now[0])
    return now


def said(capsys):
    return capsys.readouterr().err.splitlines()


def test_a_line_where_something_new_begins(capsys, clock):
    with Steps() as steps:
        for done, what in enumerate(["reading", "reading", "writing"]):
            steps(done, 3, what)
    assert said(capsys) == ["reading", "writing"]


def test_long_work_is_told_again_with_an_estimate(capsys, clock):
    with Steps() as steps:
        for done in range(101):  # two seconds each
            steps(done, 100, "trees")
            clock[0] += 2
    lines = said(capsys)
    assert lines[0] == "trees"
    assert lines[1] == "trees (16% done, about 3 min left)"  # 84 * 2 s
    assert lines[2] == "trees (32% done, about 2 min left)"
    assert lines[-1] == "trees (96% done, about 10 s left)"
    assert len(lines) == 7


def test_what_was_done_before_does_not_make_it_look_fast(capsys, clock):
    with Steps() as steps:
        steps(0, 1, "inferring")
        clock[0] += 600  # reading, say
        steps(90, 100, "trees")
        clock[0] += 100
        steps(95, 100, "trees")
    assert said(capsys) == ["inferring", "trees", "trees (95% done, about 2 min left)"]


def test_help_loads_nothing_heavy():
    code = "import sys, groundup.cli; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    heavy = {"matplotlib", "pandas", "sklearn", "anndata", "h5py", "groundup.apps.grn.training"}
    assert not heavy & set(done.stdout.split())
