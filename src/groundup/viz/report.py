"""A report in one HTML file: text, tables, figures and listings, nothing to load from elsewhere.

The file works from a disk without a network, on a phone, on paper, in a light or a dark theme, and
with a keyboard or a screen reader alone. It holds no script, and its own policy
(``Content-Security-Policy``) forbids loading anything. All text is escaped; a report is a function
of its input, byte for byte.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from numbers import Integral, Real
from pathlib import Path

from matplotlib.figure import Figure

from ..engine.files import write_atomically
from .checks import label
from .figure import to_svg
from .formula import Formula
from .page import HEAD, STYLE
from .svg import inline, legal

WHOLE = re.compile(r"(?<= )\([^()]*\d[^()]*\)")
"""Such as an interval in parentheses: of one line where there is room."""
WIDTH = re.compile(r'<svg [^>]*?\bwidth="([\d.]+(?:pt|px|in|cm|mm))"')


@dataclass(frozen=True)
class Table:
    """A table; the first cell of each row names the row.

    Args:
        headers: one for each column.
        rows: cells; a number that is not whole is printed with six digits at most, None leaves its
            cell empty, anything else is printed by ``str``.
        caption: stands above.
        align: a letter for each column, ``l`` (left), ``r`` (right) or ``c`` (centre); by default
            columns of numbers are set right and all others left.

    Raises:
        ValueError: no header, no row, or a row or `align` whose length is not that of `headers`.

    Example:
        >>> table = Table(["Model", "Accuracy (%)"], [["CNN", 98.1], ["MLP", 96.4]])
        >>> Table(["Model", "Accuracy (%)"], [["CNN", 98.1], ["MLP"]], caption="Results")
        Traceback (most recent call last):
        ...
        ValueError: table 'Results': row 2 of 2 has 1 cell, expected 2 as there are headers
    """

    headers: Sequence[str]
    rows: Sequence[Sequence[object]]
    caption: str = ""
    align: str = ""

    def __post_init__(self) -> None:
        name = f"table {self.caption!r}" if self.caption else "table"
        columns = len(self.headers)
        if not columns:
            raise ValueError(f"{name}: no headers, expected one for each column")
        if not len(self.rows):
            raise ValueError(f"{name}: no rows; leave the table out or say so in a paragraph")
        for number, row in enumerate(self.rows, 1):
            if isinstance(row, str):
                raise ValueError(f"{name}: row {number} is the text {row!r}, expected its cells")
            if len(row) != columns:
                raise ValueError(
                    f"{name}: row {number} of {len(self.rows)} has {len(row)} "
                    f"cell{'' if len(row) == 1 else 's'}, expected {columns} as there are headers"
                )
        if self.align and (len(self.align) != columns or set(self.align) - set("lrc")):
            raise ValueError(
                f"{name}: align is {self.align!r}, expected {columns} letters of l, r and c"
            )

    def to_html(self) -> str:
        """The table as HTML, in a frame that scrolls sideways where it is too narrow.

        Example:
            >>> "<td class=r>7</td>" in Table(["Layer", "Parameters"], [["fc", 7]]).to_html()
            True
        """
        align = self.align or "".join(
            "r" if all(_is_number(row[i]) for row in self.rows) else "l"
            for i in range(len(self.headers))
        )
        head = "".join(
            f"<th scope=col class={side}>{_text(header)}</th>"
            for header, side in zip(self.headers, align, strict=True)
        )
        body = "\n".join(f"<tr>{self._row(row, align)}</tr>" for row in self.rows)
        # A caption inside the table would scroll with it.
        return (
            f'{_caption(self.caption)}<div class="scroll" tabindex="0" role="region" '
            f'aria-label="{_text(self.caption or "Table")}"><table>\n'
            f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>"
        )

    def _row(self, row: Sequence[object], align: str) -> str:
        first, *others = (
            WHOLE.sub(r"<span class=whole>\g<0></span>", _text(_cell(v))) for v in row
        )
        cells = [f"<th scope=row class={align[0]}>{first}</th>"]
        cells += [
            f"<td class={side}>{cell}</td>" for cell, side in zip(others, align[1:], strict=True)
        ]
        return "".join(cells)


@dataclass(frozen=True)
class Plot:
    """A figure with its caption. Plots that follow one another stand side by side where they fit.

    Args:
        figure: a Matplotlib figure, or the text of an SVG file.
        caption: stands below; it also describes an SVG text to readers who do not see it.

    Example:
        >>> from groundup import viz
        >>> plot = Plot(viz.curves({"CNN": [0.9, 0.5]}, "Epoch", "Loss (nats)"), "Loss by epoch.")
    """

    figure: Figure | str
    caption: str

    def __post_init__(self) -> None:
        label(self.caption, "caption of a plot")

    def to_html(self, prefix: str | None = None) -> str:
        """The figure as HTML with inline SVG.

        Args:
            prefix: begins the identifiers inside, as for `to_svg`.

        Raises:
            ValueError: `figure` is a text that is not SVG or that could run or load something.

        Example:
            >>> disc = '<svg xmlns="http://www.w3.org/2000/svg"><circle r="1"/></svg>'
            >>> Plot(disc, "A disc").to_html().startswith("<figure><svg ")
            True
        """
        if isinstance(self.figure, str):
            svg = inline(self.figure, self.caption, prefix)
        else:
            svg = to_svg(self.figure, str(self.figure.get_label()) or self.caption, prefix)
        # The caption is as wide as the drawing, which the style sheet cannot ask for by itself.
        width = WIDTH.match(svg)
        style = f' style="width: {width[1]}"' if width else ""
        return f"<figure{style}>{svg}\n<figcaption>{_text(self.caption)}</figcaption></figure>"


@dataclass(frozen=True)
class Code:
    """Text in which every space counts: a listing, a summary of layers, the output of a command.

    Args:
        text: the lines.
        caption: stands above; by default nothing does.

    Example:
        >>> Code("loss.backward()").to_html()
        '<pre tabindex="0" role="region" aria-label="Listing"><code>loss.backward()</code></pre>'
    """

    text: str
    caption: str = ""

    def to_html(self) -> str:
        """The listing as HTML, in a frame that scrolls sideways where it is too narrow.

        Example:
            >>> "a &lt; b" in Code("a < b").to_html()
            True
        """
        name = _text(self.caption or "Listing")
        return (
            f'{_caption(self.caption)}<pre tabindex="0" role="region" aria-label="{name}">'
            f"<code>{_text(self.text)}</code></pre>"
        )


Block = str | Table | Plot | Code | Formula


class Report:
    """A report that grows section by section and is written once.

    Args:
        title: heading of the page and name of its tab.
        subtitle: a line under it, such as what was run and on what data.

    Example:
        >>> import tempfile
        >>> report = Report("Handwritten digits", "Two networks, five seeds each")
        >>> report = report.section(
        ...     "Results",
        ...     "Both networks pass 95 %.",
        ...     Table(["Model", "Accuracy (%)"], [["CNN", 98.1], ["MLP", 96.4]]),
        ... ).section("Layers", Code("Linear(64, 10)"))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     print(report.write(f"{folder}/digits.html").name)
        digits.html
    """

    def __init__(self, title: str, subtitle: str = "") -> None:
        self.title = label(title, "title of a report")
        self.subtitle = subtitle
        self.sections: list[tuple[str, tuple[Block, ...]]] = []

    def section(self, title: str, *blocks: Block) -> Report:
        """Add a section.

        Args:
            title: its heading, also listed in the contents.
            *blocks: in order: a text (blank lines part its paragraphs; those that begin with
                a dash are the entries of a list), a `Table`, a `Plot`, a `Code` or a `Formula`.

        Returns:
            The report itself, so that calls can be chained.

        Raises:
            ValueError: an empty title or no block.
            TypeError: a block of another kind.

        Example:
            >>> len(Report("Digits").section("Data", "1,797 images of 8 by 8 pixels.").sections)
            1
        """
        label(title, "title of a section")
        if not blocks:
            raise ValueError(f"section {title!r} is empty, expected at least one block")
        for number, block in enumerate(blocks, 1):
            if not isinstance(block, Block):
                raise TypeError(
                    f"section {title!r}: block {number} is of type {type(block).__name__}, "
                    "expected a text, Table, Plot, Code or Formula"
                )
        self.sections.append((title, blocks))
        return self

    def to_html(self) -> str:
        """The whole page.

        Returns:
            An HTML document.

        Raises:
            ValueError: the report has no section, or a plot cannot be drawn.

        Example:
            >>> Report("Digits").section("Data", "Small images.").to_html()[:15]
            '<!DOCTYPE html>'
        """
        if not self.sections:
            raise ValueError(f"report {self.title!r} has no section: call section(...) first")
        entries = "\n".join(
            f'<li><a href="#section-{number}">{_text(title)}</a></li>'
            for number, (title, _) in enumerate(self.sections, 1)
        )
        contents = (
            f'<nav aria-labelledby="contents"><h2 id="contents">Contents</h2>\n'
            f"<ol>\n{entries}\n</ol></nav>"
            if len(self.sections) > 1
            else ""
        )
        subtitle = f'<p class="subtitle">{_text(self.subtitle)}</p>\n' if self.subtitle else ""
        sections = "\n".join(
            f'<section aria-labelledby="section-{number}">\n'
            f'<h2 id="section-{number}">{_text(title)}</h2>\n'
            f"{_blocks(blocks, f'f{number}')}\n</section>"
            for number, (title, blocks) in enumerate(self.sections, 1)
        )
        return (
            f'<!DOCTYPE html>\n<html lang="en">\n<head>\n{HEAD}\n'
            f"<title>{_text(self.title)}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n"
            f'<a class="skip" href="#main">Skip to the content</a>\n'
            f"<header>\n<h1>{_text(self.title)}</h1>\n{subtitle}</header>\n{contents}\n"
            f'<main id="main" tabindex="-1">\n{sections}\n</main>\n</body>\n</html>\n'
        )

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the page to a file, whole or not at all.

        Args:
            path: the file; missing folders are made.

        Returns:
            The path.

        Raises:
            ValueError: as for `to_html`; an old file of that name is untouched.
            OSError: the file cannot be written; likewise.

        Example:
            >>> import tempfile
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     path = Report("Digits").section("Data", "Small.").write(f"{folder}/a.html")
            ...     path.exists()
            True
        """
        write_atomically(path, self.to_html().encode())
        return Path(path)


def _text(value: str) -> str:
    return escape(legal(value))


def _caption(text: str) -> str:
    return f'<p class="caption">{_text(text)}</p>\n' if text else ""


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, Real) and not isinstance(value, Integral):
        return f"{float(value):.6g}"
    return str(value)


def _blocks(blocks: Sequence[Block], prefix: str) -> str:
    """Blocks in order; plots that follow one another share a row."""
    parts: list[str] = []
    in_row = False
    for number, block in enumerate(blocks, 1):
        plot = isinstance(block, Plot)
        if plot != in_row:
            parts.append('<div class="plots">' if plot else "</div>")
            in_row = plot
        if isinstance(block, str):
            parts += _paragraphs(block)
        elif isinstance(block, Plot):
            parts.append(block.to_html(f"{prefix}-{number}-"))
        else:
            parts.append(block.to_html())
    return "\n".join([*parts, *(["</div>"] if in_row else [])])


def _paragraphs(text: str) -> list[str]:
    """Paragraphs, and lists of those that begin with a dash."""
    parts: list[str] = []
    for paragraph in filter(None, (p.strip() for p in text.split("\n\n"))):
        if not paragraph.startswith("- "):
            parts.append(f"<p>{_text(paragraph)}</p>")
            continue
        entry = f"<li>{_text(paragraph[2:].strip())}</li>"
        if parts and parts[-1].endswith("</ul>"):
            parts[-1] = f"{parts[-1].removesuffix('</ul>')}{entry}</ul>"
        else:
            parts.append(f"<ul>{entry}</ul>")
    return parts
