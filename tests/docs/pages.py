"""Reading the written pages."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^(?P<fence>`{3,}|:{3,})\s*(?P<kind>\S*)(?P<rest>.*)$")


def blocks(page: Path) -> list[tuple[str, int, list[str]]]:
    """The fenced blocks of a page: kind, number of the first line inside, lines."""
    found: list[tuple[str, int, list[str]]] = []
    fence, kind, inside = "", "", []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if not fence and (match := FENCE.match(line)):
            fence, inside = match["fence"], []
            kind = (match["rest"].split() or [""])[0] if "{code" in match["kind"] else match["kind"]
            start = number + 1
        elif fence and line.strip() == fence:
            found.append((kind, start, inside))
            fence = ""
        elif fence:
            inside.append(line)
    assert not fence, f"{page.name}: a block is not closed"
    return found
