"""Real source code without a download: the standard library of the Python that runs this.

About 400 modules with 400,000 names and keywords; the exact text depends on Python's version.
"""

from __future__ import annotations

import os
import sysconfig
import tokenize
from pathlib import Path

LEFT_OUT = {
    "test", "tests", "encodings", "pydoc_data", "distutils", "ensurepip", "idlelib", "lib2to3",
    "tkinter", "turtledemo", "site-packages", "dist-packages", "lib-dynload", "__phello__",
}  # fmt: skip
"""Tests, tables, and what not every installation has."""

GENERATED = ("_sysconfigdata", "config-")
"""How names begin at the top that were made when Python was built."""


def standard_library() -> list[Path]:
    """The Python files of the standard library, sorted by their place in it.

    Left out are tests, tables of characters, what was generated when Python was built, and the
    parts that many installations lack (tkinter, idlelib, distutils, lib2to3, ensurepip).

    Returns:
        The paths; the same for every installation of one version.

    Raises:
        FileNotFoundError: this Python came without the source of its library.

    Example:
        >>> [path.name for path in standard_library() if path.name == "heapq.py"]
        ['heapq.py']
    """
    root = Path(sysconfig.get_path("stdlib"))
    kept = []
    for folder, inner, names in os.walk(root):
        top = Path(folder) == root
        inner[:] = [name for name in inner if not _left_out(name, top)]
        files = [name for name in names if name.endswith(".py") and not _left_out(name, top)]
        kept += [Path(folder, name) for name in files]
    if not kept:
        raise FileNotFoundError(
            f"{root} holds no Python file: the standard library of this Python came without its "
            "source; use a Python installation that has it"
        )
    return sorted(kept)


def _left_out(name: str, top: bool) -> bool:
    return name in LEFT_OUT or (top and name.startswith(GENERATED))


def code_words(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """The names and keywords of a Python file in their order, without strings and comments.

    From Python 3.12 on, names inside of f-strings count.

    Args:
        path: the file, in the encoding that it declares.

    Raises:
        FileNotFoundError: there is no such file.
        SyntaxError: the file cannot be cut into tokens, or not be decoded.

    Example:
        >>> [path] = [path for path in standard_library() if path.name == "this.py"]
        >>> code_words(path)[-6:]
        ('c', 'c', 'for', 'c', 'in', 's')
    """
    try:
        with tokenize.open(path) as file:
            tokens = tokenize.generate_tokens(file.readline)
            return tuple(token.string for token in tokens if token.type == tokenize.NAME)
    except tokenize.TokenError as error:
        raise SyntaxError(f"{os.fspath(path)}: cannot be cut into tokens: {error}") from error
