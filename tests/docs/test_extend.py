"""docs/extend.md, followed to the letter in a copy of the repository (R1.3)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.docs.pages import ROOT, blocks

PAGE = ROOT / "docs" / "extend.md"
PLACE = re.compile(r":caption: '`(?P<file>[^`]+)`, (?:before `(?P<line>[^`]+)`|(?P<new>new))'")


def follow(copy: Path) -> list[str]:
    """Put every block of the page where its title says; the files that are new or changed."""
    touched = []
    for _, start, inside in blocks(PAGE):
        place = PLACE.fullmatch(inside[0]) if inside else None
        if place is None:
            continue
        path = copy / place["file"]
        text = "\n".join(inside[1:]) + "\n"
        if place["new"]:
            assert not path.exists(), f"line {start}: {place['file']} is there already"
            path.write_text(text, encoding="utf-8")
        else:
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            at = [i for i, line in enumerate(lines) if line.strip().startswith(place["line"])]
            assert len(at) == 1, f"line {start}: {len(at)} places in {place['file']}"
            lines.insert(at[0], text)
            path.write_text("".join(lines), encoding="utf-8")
        touched.append(place["file"])
    return list(dict.fromkeys(touched))


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("extended")
    for name in ("src", "tests", "docs", "Makefile", "conftest.py", "pyproject.toml"):
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "_build", "generated")
            shutil.copytree(source, target / name, ignore=ignored)
        else:
            shutil.copy(source, target / name)
    follow(target)
    return target


def call(copy: Path, *words: str) -> str:
    """A command in the copy, with the copy's sources; what it printed."""
    there = {"PYTHONPATH": str(copy / "src"), "OMP_NUM_THREADS": "1", "COLUMNS": "120"}
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=copy,
        env={**os.environ, **there},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def passed(output: str) -> int:
    return int(re.search(r"(\d+) passed", output)[1])  # type: ignore[index]


@pytest.mark.slow
def test_the_operation(copy: Path) -> None:
    output = call(
        copy,
        "pytest",
        "-q",
        "tests/engine/test_primitives.py",
        "src/groundup/engine/ops",
        "-k",
        "logaddexp",
    )
    assert passed(output) == 5  # as many as the page says
    call(copy, "pytest", "-q", "tests/engine/test_primitives.py", "-k", "has_a_case")


@pytest.mark.slow
@pytest.mark.peers
def test_the_operation_and_the_layer_beside_pytorch(copy: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("expecttest")
    assert passed(call(copy, "pytest", "-q", "tests/peers/test_op_db.py", "-k", "logaddexp"))
    assert passed(call(copy, "pytest", "-q", "tests/peers/test_nn_layers.py", "-k", "PReLU")) >= 4


@pytest.mark.slow
def test_the_layer(copy: Path) -> None:
    words = ["tests/nn", "src/groundup/nn", "tests/test_house.py"]
    assert passed(call(copy, "pytest", "-q", *words, "-k", "PReLU or prelu or examples")) > 10


@pytest.mark.slow
def test_the_experiment(copy: Path) -> None:
    call(copy, "pytest", "-q", "tests/experiments/test_half_circles.py")
    assert "half_circles" in call(copy, "groundup.cli", "list")
    output = call(copy, "groundup.cli", "run", "half_circles", "--seeds", "2")
    assert "16 hidden units get more than 97 % right" in output


@pytest.mark.slow
def test_what_was_added_is_in_the_style_of_the_house(copy: Path) -> None:
    pytest.importorskip("ruff")
    files = follow_files(copy)
    call(copy, "ruff", "check", *files)
    call(copy, "ruff", "format", "--check", *files)


def follow_files(copy: Path) -> list[str]:
    found = [PLACE.fullmatch(inside[0]) for _, _, inside in blocks(PAGE) if inside]
    return list(dict.fromkeys(place["file"] for place in found if place))
