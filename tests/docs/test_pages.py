"""What the written pages show is true: examples run, commands exist, pictures have right numbers.

Fenced blocks with ``>>>`` are doctests, a page long; other Python blocks of the first pages are
programs; lines that begin with ``groundup`` or ``make`` are commands. Covers the documentation that
R1.3 asks for.
"""

from __future__ import annotations

import ast
import doctest
import json
import re
import shlex
import textwrap
from collections import Counter
from pathlib import Path
from typing import Any

import click
import pytest
import typer
from tests.docs.pages import ROOT, blocks

import groundup as gu
import groundup.nn.functional as F
from groundup import nn, optim
from groundup.cli import app
from groundup.experiments import entries

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
EACH = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
PROGRAMS = ["README.md", "index.md", "start.md"]
"""Pages whose Python blocks stand alone."""


def names() -> dict[str, Any]:
    return {"gu": gu, "nn": nn, "F": F, "optim": optim, "__name__": "__main__"}


@EACH
def test_examples_give_what_the_page_says(page: Path) -> None:
    lines = [""] * (len(page.read_text(encoding="utf-8").splitlines()) + 1)
    for _, start, inside in blocks(page):
        if any(line.startswith(">>>") for line in inside):
            lines[start - 1 : start - 1 + len(inside)] = inside
    test = doctest.DocTestParser().get_doctest("\n".join(lines), names(), page.name, str(page), 0)
    wrong: list[str] = []
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    doctest.DocTestRunner(optionflags=flags).run(test, out=wrong.append)
    assert not wrong, "".join(wrong)


@EACH
def test_python_is_python(page: Path) -> None:
    wrong = []
    for kind, start, inside in blocks(page):
        if kind == "python" and not any(line.startswith(">>>") for line in inside):
            code = "\n".join(line for line in inside if not line.startswith(":"))
            try:
                ast.parse(textwrap.dedent(code))
            except SyntaxError as error:
                wrong.append(f"block at line {start}: {error}")
    assert not wrong


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_of_the_first_pages_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # they write files
    page = next(page for page in PAGES if page.name == name)
    programs = [
        "\n".join(inside)
        for kind, _, inside in blocks(page)
        if kind == "python" and not any(line.startswith(">>>") for line in inside)
    ]
    assert programs
    for program in programs:
        exec(compile(program, name, "exec"), {"__name__": "__main__"})


def commands(page: Path) -> list[tuple[int, list[str]]]:
    """Lines of shell blocks, and code in the text that begins with a command of this project."""
    found = []
    fenced: set[int] = set()
    for kind, start, inside in blocks(page):
        fenced |= set(range(start - 1, start + len(inside) + 1))
        if kind in ("sh", "console", "shell"):
            lines = "\n".join(inside).replace("\\\n", " ").splitlines()
            words = [line.removeprefix("$ ").removeprefix(".venv/bin/") for line in lines]
            found += [(start, shlex.split(line, comments=True)) for line in words]
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if number not in fenced:
            inline = re.findall(r"`((?:groundup|make) [^`|]+)`", line)
            found += [(number, shlex.split(text)) for text in inline]
    return [(n, words) for n, words in found if words and words[0] in ("groundup", "make")]


@EACH
def test_commands_exist_with_their_options(page: Path) -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, click.Group) or hasattr(group, "commands")
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    known = {entry.name for entry in entries()}
    known |= set(re.findall(r"experiments/(\w+)\.py`, new", page.read_text(encoding="utf-8")))
    for number, (program, *words) in commands(page):
        where = f"{page.name}, line {number}: {program} {' '.join(words)}"
        if program == "make":
            unknown = {word for word in words if "=" not in word} - targets
            assert not unknown, f"{where}: no such target"
            continue
        if not words or words[0].startswith("-") or words == ["COMMAND", "--help"]:
            continue
        command, rest = group, list(words)
        while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
            name = rest.pop(0)
            command = command.commands.get(name)
            assert command is not None, f"{where}: no such command"
        if hasattr(command, "commands"):  # a group is named, or asked for its help
            continue
        try:
            context = command.make_context(name, rest)
        except Exception as error:
            pytest.fail(f"{where}: {getattr(error, 'message', error)}")
        given = context.params.get("experiment")
        assert given is None or given.isupper() or given in known, f"{where}: no such experiment"


def test_numbers_in_the_picture_of_the_graph_are_computed() -> None:
    """`docs/_static/backward.svg` shows the network of engine.md."""
    layer = nn.Linear(2, 1)
    with gu.no_grad():
        layer.weight.assign(gu.tensor([[0.5, -0.25]]))
        layer.bias.assign(gu.tensor([0.25]))
    x, target = gu.tensor([[1.0, 2.0], [-1.0, 1.0]]), gu.tensor([[1.0], [0.0]])
    z = layer(x)
    y = gu.tanh(z)
    error = y - target
    square = error * error
    total = square.sum()
    loss = total / 2
    values = [z, y, error, square, total, loss]
    gradients = gu.grad(loss, [*values, layer.weight, layer.bias])
    shown = (ROOT / "docs" / "_static" / "backward.svg").read_text().replace("−", "-")
    for tensor in (*values, *gradients):
        text = ", ".join(f"{value:.4f}" for value in tensor.flatten().tolist())
        assert re.search(rf">[^<]*{re.escape(text)}", shown), f"{text} is not in the picture"
    numbers = set(re.findall(r"-?\d\.\d{4}", re.sub(r"<[^>]*>", " ", shown)))
    known = {f"{v:.4f}" for t in (*values, *gradients) for v in t.flatten().tolist()}
    assert numbers <= known, f"in the picture, but computed nowhere: {numbers - known}"


def test_the_first_table_has_the_figures_of_the_last_verification() -> None:
    """The README shows what `groundup verify digits` wrote."""
    shown = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## ")[0]
    results = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    rows = [line for line in shown.splitlines() if re.search(r"\d \(\d+\.\d+ to", line)]
    assert len(rows) == 3
    for row in rows:
        figure = row.split("|")[2].strip()
        assert f"| {figure} |" in results, f"{figure} is not on the page of results"
    verdicts = re.findall(r"\*\*(holds in part|holds|refuted|undecided|not measured)\*\*", shown)
    section = results.split("groundup verify digits")[-1].split("\n## ")[0]
    table = re.findall(r"\*\*(holds in part|holds|refuted|undecided|not measured)\*\* \|", section)
    assert sorted(verdicts) == sorted(table)


def test_the_readme_says_what_was_measured() -> None:
    found = json.loads((ROOT / "docs/results.json").read_text(encoding="utf-8"))["experiments"]
    known = {
        (item["experiment"], claim["text"], claim["measured_text"], claim["verdict"])
        for item in found
        for claim in item["claims"]
    }
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    row = re.compile(r"^\| `(\w+)` \| (.+?) \| (.+?) \| ([\w ]+) \|$", re.M)
    course = text.partition("## The course")[2].partition("\n## ")[0]
    assert len(row.findall(course)) >= 10
    assert not set(row.findall(text)) - known
    lessons = {entry.name for entry in entries() if entry.lesson is not None}
    counts = Counter(
        claim["verdict"]
        for item in found
        if item["experiment"] in lessons
        for claim in item["claims"]
    )
    numbers = tuple(map(int, re.findall(r"\d+", course.partition("Of ")[2].partition(":")[0])))
    kinds = ("holds", "holds in part", "refuted", "undecided")
    assert numbers == (counts.total(), *(counts[kind] for kind in kinds))
