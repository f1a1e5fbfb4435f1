"""Labelled texts: what the standard library says of itself, or a file of the user's.

The docstrings of Python's standard library (PSF licence) are labelled with the module or package at
the top that they come from. The texts differ a little between versions of Python.
"""

from __future__ import annotations

import ast
import json
import math
import os
import re
import sysconfig
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from groundup.data.source_code import standard_library
from groundup.data.text import read_text

CLASSES, SMALLEST, FEWEST_GROUPS = 16, 5, 12
"""Modules that are taken, words of a text at least, and definitions of a module at least."""
LONGEST = 20
"""Words that are kept of a text."""
ALIKE = 0.6
"""Of two texts that share so much of their different words, the later one is dropped."""

Definition = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class Text(NamedTuple):
    """A text, its label, and the group that must not be torn apart by a split."""

    text: str
    label: str
    group: str


@dataclass(frozen=True)
class Labelled:
    """A data set.

    Attributes:
        texts: all that have a label.
        labels: the number of each one's label, (N,).
        groups: the number of each one's group, (N,).
        names: the labels.
        others: texts without a label.
    """

    texts: list[str]
    labels: np.ndarray
    groups: np.ndarray
    names: list[str]
    others: list[str]


def words(text: str) -> list[str]:
    """The words of a text in small letters, numbers too."""
    return re.findall(r"\w+", text.lower())


def documented(node: ast.AST, outer: str = "") -> Iterator[tuple[Definition, str]]:
    """Definitions in a tree, each with the name of the outermost one that it is part of."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            name = outer or child.name
            yield child, name
            yield from documented(child, name)
        elif not isinstance(child, ast.expr):
            yield from documented(child, outer)


def library() -> Iterator[Text]:
    """All docstrings of the standard library, with module and definition."""
    root = Path(sysconfig.get_path("stdlib"))
    for path in standard_library():
        place = path.relative_to(root)
        tree = ast.parse(path.read_bytes())
        for node, name in [(tree, ""), *documented(tree)]:
            if text := ast.get_docstring(node):
                yield Text(text, place.parts[0].removesuffix(".py"), f"{place.as_posix()}:{name}")


def without_likes(texts: Iterable[Text], alike: float = ALIKE) -> list[Text]:
    """Texts of which no two share much, the first of each kind; cut to their first words.

    Two sets of words whose intersection is at least ``alike`` of their union have one of their
    rarest words in common, so only those that share one are compared (Chaudhuri, Ganti and Kaushik,
    2006).
    """
    short = [t._replace(text=" ".join(t.text.split()[:LONGEST])) for t in texts]
    sets = [frozenset(words(t.text)) for t in short]
    count = Counter(word for one in set(sets) for word in one)
    holders: defaultdict[str, list[int]] = defaultdict(list)
    kept: list[Text] = []
    kept_sets: list[frozenset[str]] = []
    for text, one in zip(short, sets, strict=True):
        if not one:
            continue
        rare = sorted(one, key=lambda word: (count[word], word))
        rare = rare[: len(one) - math.ceil(alike * len(one)) + 1]
        near = {i for word in rare for i in holders[word]}
        if any(len(one & kept_sets[i]) >= alike * len(one | kept_sets[i]) for i in near):
            continue
        for word in rare:
            holders[word].append(len(kept))
        kept.append(text)
        kept_sets.append(one)
    return kept


def assembled(texts: list[Text], others: list[str]) -> Labelled:
    """A data set of labelled texts."""
    names = sorted({t.label for t in texts})
    groups = {g: i for i, g in enumerate(dict.fromkeys(t.group for t in texts))}
    return Labelled(
        [t.text for t in texts],
        np.array([names.index(t.label) for t in texts]),
        np.array([groups[t.group] for t in texts]),
        names,
        others,
    )


@cache
def docstrings() -> Labelled:
    """The modules with the most docstrings, and those of all other modules without labels."""
    texts = [t for t in without_likes(library()) if len(words(t.text)) >= SMALLEST]
    count = Counter(t.label for t in texts)
    groups = Counter(label for label, _ in {(t.label, t.group) for t in texts})
    enough = [label for label, _ in count.most_common() if groups[label] >= FEWEST_GROUPS]
    chosen = set(enough[:CLASSES])
    return assembled(
        [t for t in texts if t.label in chosen], [t.text for t in texts if t.label not in chosen]
    )


def labelled_file(path: str | os.PathLike[str]) -> Labelled:
    """Labelled texts of a file in UTF-8, each its own group.

    Args:
        path: lines of JSON objects with "label" and "text", or of a label, a tab and a text.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a line is neither, or there are fewer than two labels.
    """
    found = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if line.strip():
            label, text = _read_line(line, f"{os.fspath(path)}, line {number}")
            found.append(Text(text, label, str(number)))
    texts = without_likes(found)
    if len({t.label for t in texts}) < 2:
        raise ValueError(
            f"{os.fspath(path)}: fewer than two labels; expected texts of at least two"
        )
    return assembled(texts, [])


def _read_line(line: str, place: str) -> tuple[str, str]:
    if line.lstrip().startswith("{"):
        try:
            content = json.loads(line)
            return str(content["label"]), str(content["text"])
        except (ValueError, KeyError):
            pass
    label, tab, text = line.partition("\t")
    if not (tab and label.strip() and text.strip()):
        raise ValueError(
            f'{place}: {line[:60]!r}; expected {{"label": ..., "text": ...}} or a label, a tab and '
            "a text"
        )
    return label.strip(), text.strip()
