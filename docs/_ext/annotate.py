"""A module cut into parts that can be read side by side: what is said, and the code that does it.

What is said comes from the module itself: docstrings, the comment right above a statement (of the
module, or inside a function), and, as a heading, a comment that stands alone between blank lines.
All of it is Markdown. The code keeps every line but these.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef

# What comments tell to tools, not to readers.
FOR_TOOLS = re.compile(r"\s*# (?:fmt|noqa|ruff|type: ignore|pragma)\b.*$", re.MULTILINE)
SECTION = re.compile(r"(Args|Attributes|Returns|Raises|Shape|Yields|Example|Examples):")


@dataclass(frozen=True)
class Part:
    """A piece of a module.

    Attributes:
        code: its lines, without what is said.
        note: what is said of it, as Markdown.
        heading: of the section that it begins; empty within a section.
        name: of the function or class that it begins.
        used: names that the code reads, with their dots, in order.
    """

    code: str
    note: str = ""
    heading: str = ""
    name: str = ""
    used: tuple[str, ...] = ()


def parts(source: str) -> list[Part]:
    """The parts of a module after its docstring, in order.

    Args:
        source: the text of the module.

    Raises:
        SyntaxError: it is not Python.
    """
    tree = ast.parse(source)
    cut = _Cut(source.splitlines())
    cut.suite(tree.body, top=True)
    names = sorted(
        (node.lineno, node.col_offset, name)
        for node in ast.walk(tree)
        if isinstance(node, ast.Name | ast.Attribute) and (name := _dotted(node))
    )
    found: list[Part] = []
    bounds = [*sorted(cut.parts), len(cut.lines) + 1]
    for start, stop in itertools.pairwise(bounds):
        kept = [cut.lines[i - 1] for i in range(start, stop) if i not in cut.said]
        used = dict.fromkeys(name for line, _, name in names if start <= line < stop)
        code = FOR_TOOLS.sub("", "\n".join(kept)).strip("\n")
        found.append(replace(cut.parts[start], code=code, used=tuple(used)))
    return found


class _Cut:
    """Where the parts of a module begin, and which of its lines say something instead of doing.

    Attributes:
        lines: of the module.
        parts: by the number of their first line, as yet without code.
        said: numbers of the lines that go into notes and headings.
    """

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = lines
        self.parts: dict[int, Part] = {}
        self.said: set[int] = set()

    def suite(self, body: Sequence[ast.stmt], top: bool = False) -> None:
        """Look at statements that follow one another, and into them."""
        before: ast.stmt | None = None
        for node in body:
            if _is_text(node) and node is body[0]:
                self._hide(node.lineno, node.end_lineno or 0)
                continue
            if isinstance(node, ast.ImportFrom) and node.module == "__future__":
                self._hide(node.lineno, node.end_lineno or 0)
                continue
            self._statement(node, before, top)
            before = node

    def _statement(self, node: ast.stmt, before: ast.stmt | None, top: bool) -> None:
        decorators = node.decorator_list if isinstance(node, Definition) else []
        start = min([node.lineno, *(decorator.lineno for decorator in decorators)])
        heading, note = self._comments(start, top)
        name = ""
        if isinstance(node, Definition):
            text = ast.get_docstring(node) if len(node.body) > 1 else None
            name = node.name if top or text else ""
            note = "\n\n".join(filter(None, [note, markdown(text or "")]))
        if heading or note or name or (top and _unlike(before, node)):
            self.parts[start] = Part("", note, heading, name)
        if isinstance(node, Definition):
            self.suite(node.body if len(node.body) > 1 else [])
        else:
            for inner in ("body", "orelse", "finalbody"):
                self.suite(getattr(node, inner, []))
            for handler in [*getattr(node, "handlers", []), *getattr(node, "cases", [])]:
                self.suite(handler.body)

    def _comments(self, start: int, top: bool) -> tuple[str, str]:
        """Heading and note that stand in the lines above a statement."""
        first = start
        while first > 1 and re.fullmatch(r"\s*(?:#.*)?", self.lines[first - 2]):
            first -= 1
        text = "\n".join(line.strip() for line in self.lines[first - 1 : start - 1])
        *alone, above = re.split(r"\n\s*\n|\n\Z", text) if text else [""]
        heading = " ".join(filter(None, map(_comment, alone)))
        note = _comment(above)
        if heading or note:
            self._hide(first, start - 1)
        return (heading, note) if top else ("", "\n\n".join(filter(None, [heading, note])))

    def _hide(self, first: int, last: int) -> None:
        """Keep lines out of the code, with the blank line that follows a text."""
        following = last < len(self.lines) and not self.lines[last].strip()
        self.said |= set(range(first, last + 1 + following))


def _is_text(node: ast.stmt) -> bool:
    value = node.value if isinstance(node, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def _unlike(before: ast.stmt | None, node: ast.stmt) -> bool:
    """Whether two statements of a module, of which nothing is said, stand better apart."""
    imports = [isinstance(n, ast.Import | ast.ImportFrom) for n in (before, node)]
    return before is None or isinstance(before, Definition) or imports[0] != imports[1]


def _comment(text: str) -> str:
    words = FOR_TOOLS.sub("", text)
    return "\n".join(re.sub(r"^# ?", "", line) for line in words.splitlines()).strip()


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (owner := _dotted(node.value)):
        return f"{owner}.{node.attr}"
    return ""


def markdown(docstring: str) -> str:
    """A docstring with sections (``Args:`` and so on) as Markdown.

    Args:
        docstring: as Python has it.
    """
    text = inspect.cleandoc(docstring)
    found: list[str] = []
    lines = text.splitlines()
    i = 0
    while i < len(lines):
        section = SECTION.fullmatch(lines[i].rstrip())
        i += 1
        if section is None:
            found.append(lines[i - 1])
            continue
        begin = i
        while i < len(lines) and (not lines[i].strip() or lines[i].startswith(" ")):
            i += 1
        block = textwrap.dedent("\n".join(lines[begin:i])).strip("\n")
        if section[1].startswith("Example"):
            found += ["", "```pycon", block, "```", ""]
        else:
            found += ["", f"**{section[1]}**", "", *_items(block), ""]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(found)).strip()


def _items(block: str) -> Iterator[str]:
    """The lines of a section as a list, if each of its items has a name."""
    named = re.compile(r"(\*{0,2}[\w.,()\[\] *]+): +(.*)")
    starts = [line for line in block.splitlines() if line and not line.startswith(" ")]
    if not starts or not all(named.match(line) for line in starts):
        yield block
        return
    for line in block.splitlines():
        match = named.match(line)
        yield f"- `{match[1]}`: {match[2]}" if match else f"  {line.strip()}"
