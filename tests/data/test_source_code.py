"""Words of real source code. R3.10."""

from __future__ import annotations

import ast
import heapq
import keyword
from pathlib import Path

import pytest

from groundup.data import code_words, standard_library


def test_the_library_is_there_sorted_without_tests_and_without_repetition() -> None:
    files = standard_library()
    assert len(files) > 200
    assert files == sorted(set(files))
    assert Path(heapq.__file__) in files
    assert not any({"test", "site-packages", "encodings"} & set(path.parts[-3:]) for path in files)


def test_words_are_names_and_keywords_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "small.py"
    path.write_text(
        '"""Text."""\n\ndef add(a, b=1):  # sum of both\n    return a + b + len("c d")\n'
    )
    assert code_words(path) == ("def", "add", "a", "b", "return", "a", "b", "len")


def test_words_of_a_module_contain_what_its_syntax_tree_names() -> None:
    path = Path(heapq.__file__)
    words = code_words(path)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    named = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    named |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert named <= set(words)
    assert words.count("def") == sum(isinstance(n, ast.FunctionDef) for n in ast.walk(tree))
    assert {"def", "return", "while"} <= set(words) & set(keyword.kwlist)


def test_what_is_no_python_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("f(")
    with pytest.raises(SyntaxError, match=r"broken\.py: cannot be cut"):
        code_words(path)
    with pytest.raises(FileNotFoundError):
        code_words(tmp_path / "none.py")
