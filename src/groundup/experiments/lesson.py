"""An experiment's docstring as blocks of a report: Markdown's paragraphs, lists, headings, code.

Formulas on lines of their own, between double dollar signs, are set. Those within a line stay TeX,
as does what is beyond `viz.Formula`; the documentation site sets them all.
"""

from __future__ import annotations

import re
import textwrap

from ..viz import Block, Code, Formula

_HEADING = re.compile(r"#{1,6} +(?P<words>.+?) *#*")
_INLINE = (
    (re.compile(r"`([^`]+)`"), r"\1"),
    (re.compile(r"\*\*([^*]+)\*\*"), r"\1"),
    (re.compile(r"\[([^\]]+)\]\(([^)]+)\)"), r"\1 (\2)"),
    (re.compile(r"\$([^$\n]+)\$"), r"\1"),
)


def blocks(lesson: str) -> list[Block]:
    r"""The blocks of a lesson, without its first line, which is the title.

    Example:
        >>> blocks("Title\n\nSome *words*\non two lines:\n\n    y = f(x)\n")
        ['Some *words* on two lines:', Code(text='y = f(x)', caption='')]
    """
    _, _, body = lesson.partition("\n")
    found: list[Block] = []
    code: list[str] = []
    for paragraph in re.split(r"\n\s*\n", body.strip("\n")):
        fence = paragraph.strip().startswith("```")
        if paragraph.startswith("    ") or fence:
            text = (
                re.sub(r"^ *```\w*\n?|\n? *```$", "", paragraph.strip("\n")) if fence else paragraph
            )
            code.append(textwrap.dedent(text).rstrip())
            continue
        if code:
            found.append(Code("\n\n".join(code)))
            code = []
        if (formula := paragraph.strip()).startswith("$$") and formula.endswith("$$"):
            found.append(_formula(formula.strip("$").strip()))
            continue
        if paragraph.strip():
            found.append(_words(paragraph))
    if code:
        found.append(Code("\n\n".join(code)))
    return found


def _formula(tex: str) -> Block:
    try:
        return Formula(tex)
    except ValueError:
        return Code(tex)


def _words(paragraph: str) -> str:
    """A paragraph as running text; the lines of a list or a formula stay apart."""
    if heading := _HEADING.fullmatch(paragraph.strip()):
        return heading["words"]
    lines = [line.strip() for line in paragraph.strip().splitlines()]
    if lines[0].startswith(("- ", "* ", "1. ", "|")):
        text, joined = "", []
        for line in lines:
            if re.match(r"([-*]|\d+\.) |\|", line) and text:
                joined.append(text)
                text = line
            else:
                text = f"{text} {line}".strip()
        text = "\n\n".join([*joined, text])
    else:
        text = " ".join(lines)
    for pattern, plain in _INLINE:
        text = pattern.sub(plain, text)
    return text
