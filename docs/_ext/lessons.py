"""A page for each experiment, made of its module and of what `groundup verify` found last.

Before a build, ``course/NAME.md`` is written for every experiment of groundup; nothing about an
experiment stands in the documentation itself. Two directives serve these pages: ``lessons`` is the
list of them, ``result-figure`` puts a figure of ``results/`` into the page, in its colours. Another
one, ``verdicts``, is for pages on a subject: it puts the claims of an experiment there.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from annotate import Part, parts
from docutils import nodes  # type: ignore[import-untyped]
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from groundup.experiments import results_page
from groundup.experiments.experiment import Entry, entries
from groundup.viz.figure import INK
from groundup.viz.svg import inline

logger = logging.getLogger(__name__)

VERDICTS = ("holds", "holds in part", "refuted", "undecided", "not measured")
# Matplotlib's sheet of paper; without it the drawing stands on the page.
PAPER = re.compile(r'<g id="patch_1">\s*<path [^>]*style="fill: #ffffff[^>]*/>\s*</g>')
WIDTH = re.compile(r'\bwidth="([\d.]+(?:pt|px|in|cm|mm)?)"')

Record = Mapping[str, Any]
Reference = Mapping[int, str]


def own(found: Iterable[Entry]) -> list[Entry]:
    """The experiments of groundup itself, without those that other packages offer."""
    return [entry for entry in found if entry.module.startswith("groundup.")]


def short(entry: Entry) -> str:
    """The name of a lesson: its title up to the colon."""
    return entry.title.partition(":")[0]


def counted(record: Record | None) -> str:
    """How many claims have each verdict, as Markdown."""
    if record is None:
        return "**not measured**"
    counts = Counter(claim["verdict"] for claim in record["claims"])
    found = [
        f"**{verdict}**\N{NO-BREAK SPACE}{counts[verdict]}"
        for verdict in VERDICTS
        if counts[verdict]
    ]
    return ", ".join(found) or "no claims"


def reference(index: Path) -> dict[int, str]:
    """The public names that the reference documents, by the identity of what they name.

    Args:
        index: the page that lists the modules of the reference.
    """
    found: dict[int, str] = {}
    for name in re.findall(r"^ +(groundup[\w.]*)$", index.read_text(encoding="utf-8"), re.M):
        module = importlib.import_module(name)
        for public in module.__all__:
            value = getattr(module, public)
            if inspect.isclass(value) or inspect.isroutine(value):
                found.setdefault(id(value), f"{name}.{public}")
    return found


# The page of an experiment


def page(entry: Entry, record: Record | None, known: Reference) -> str:
    """The page of an experiment, as Markdown.

    Args:
        entry: the experiment.
        record: what its last verification found; None if there was none.
        known: what the reference documents, see `reference`.
    """
    module = importlib.import_module(entry.module)
    lesson = inspect.cleandoc(module.__doc__ or "").partition("\n")[2].strip()
    place = "" if entry.lesson is None else f"Lesson {entry.lesson}. "
    found = [
        "---\nhide-toc: true\n---",
        f"# {entry.title}",
        f"{{.lesson-facts}}\n{place}Claims: {counted(record)}. On this page: {_contents(record)}.",
        lesson,
        "## The code",
        f"The module `{entry.module}` from top to bottom.",
        *(_part(part, vars(module), known) for part in parts(inspect.getsource(module))),
    ]
    if record is not None:
        if record.get("sections"):
            found.append("## What it shows")
            found += [_section(entry, section) for section in record["sections"]]
        found.append("## Claims and verdicts")
        found.append(results_page.claims(record) or "This experiment makes no claim.")
        found.append(f"[How verdicts are found](../results.md).\n\n{results_page.metrics(record)}")
    found += ["## Run it", _run(entry, record)]
    return "\n\n".join(part.strip("\n") for part in found if part) + "\n"


def _contents(record: Record | None) -> str:
    titles = ["The code"]
    if record is not None:
        titles += ["What it shows"] if record.get("sections") else []
        titles.append("Claims and verdicts")
    titles.append("Run it")
    return " · ".join(f"[{title}](#{title.lower().replace(' ', '-')})" for title in titles)


def _part(part: Part, names: Mapping[str, Any], known: Reference) -> str:
    links = [
        f"{{py:obj}}`{dotted} <{known[id(value)]}>`"
        for dotted in part.used
        if (value := _value(dotted, names)) is not None and id(value) in known
    ]
    note = [
        *([f"{{.part-name}}\n`{part.name}`"] if part.name else []),
        part.note,
        *([f"{{.part-uses}}\n{', '.join(links)}"] if links else []),
    ]
    said = "\n\n".join(filter(None, note))
    row = (
        ":::::{container} part\n"
        + (f"::::{{container}} part-note\n{said}\n::::\n" if said else "")
        + f"::::{{container}} part-code\n{_fenced('python', part.code)}\n::::\n:::::"
    )
    return f"### {part.heading}\n\n{row}" if part.heading else row


def _value(dotted: str, names: Mapping[str, Any]) -> Any:
    """What a dotted name stands for in a module; None if that is not known."""
    first, *others = dotted.split(".")
    value = names.get(first)
    for name in others:
        value = inspect.getattr_static(value, name, None) if value is not None else None
    return value


def _fenced(language: str, text: str) -> str:
    longest = max([2, *(len(ticks) for ticks in re.findall("`+", text))])
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _section(entry: Entry, section: Record) -> str:
    """A section of the last report; figures that follow one another share a row."""
    found = [f"### {section['title']}"]
    figures: list[str] = []
    for block in [*section["blocks"], {"kind": "end"}]:
        if block["kind"] == "figure":
            path = f"{entry.name}/{block['file']}"
            figures.append(f":::{{result-figure}} {path}\n{block['caption']}\n:::")
            continue
        if figures:
            inside = "\n".join(figures)
            found.append(f"::::{{container}} result-figures\n{inside}\n::::")
            figures = []
        if block["kind"] == "table":
            found += [block["caption"], results_page.table(block["headers"], block["rows"])]
        elif block["kind"] == "code":
            found += [block["caption"], _fenced("text", block["text"])]
        elif block["kind"] == "text":
            found.append(block["text"])
    return "\n\n".join(part.strip("\n") for part in found if part)


def _run(entry: Entry, record: Record | None) -> str:
    words = [
        _fenced(
            "sh",
            f"groundup run {entry.name}       # once, with a report\n"
            f"groundup verify {entry.name}    # all seeds, and judge the claims",
        )
    ]
    if record is None:
        words.append("It has not been verified yet.")
    else:
        words.append(f"What stands above was measured by {results_page.how(entry, record)}")
    return "\n\n".join(words)


# The list of them


def listing(found: Iterable[Entry], records: Mapping[str, Record]) -> str:
    """The list of lessons with what became of their claims, as Markdown."""
    rows, tree = [], []
    for entry in found:
        number = "" if entry.lesson is None else str(entry.lesson)
        question = entry.title.partition(":")[2].strip()
        link = f"[{short(entry)}](course/{entry.name}.md)"
        rows.append([number, link, question, counted(records.get(entry.name))])
        tree.append(f"{short(entry)} <course/{entry.name}>")
    table = results_page.table(["", "lesson", "question", "claims"], rows, "rlll")
    return f"{table}\n```{{toctree}}\n:hidden:\n\n" + "\n".join(tree) + "\n```\n"


class Lessons(SphinxDirective):
    """``{lessons}``: the list of experiments, in the order of the course."""

    def run(self) -> list[nodes.Node]:
        """Make it."""
        results = Path(self.env.srcdir) / "results.md"
        self.env.note_dependency(str(results.with_suffix(".json")))
        self.env.note_reread()
        return self.parse_text_to_nodes(listing(own(entries()), results_page.read(results)))


def verdicts(name: str, records: Mapping[str, Record]) -> str:
    """What became of the claims of an experiment, as Markdown.

    Args:
        name: of the experiment.
        records: of the last verification of each.
    """
    record = records.get(name)
    if record is None:
        return f"Not measured yet: `groundup verify {name}`.\n"
    seeds = len(record["seeds"])
    return (
        f"{results_page.claims(record)}\n\n`groundup verify {name}`, {seeds} seeds; "
        f"[how verdicts are found](results.md), [the experiment](course/{name}.md).\n"
    )


class Verdicts(SphinxDirective):
    """``{verdicts} documents``: the claims of an experiment, beside what was measured."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Make it."""
        results = Path(self.env.srcdir) / "results.md"
        self.env.note_dependency(str(results.with_suffix(".json")))
        return self.parse_text_to_nodes(verdicts(self.arguments[0], results_page.read(results)))


class ResultFigure(SphinxDirective):
    """``{result-figure} digits/learning-1.svg``: a figure of a verification, with its caption."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Put the drawing into the page."""
        path = Path(self.env.srcdir) / "results" / self.arguments[0]
        self.env.note_dependency(str(path))
        caption = " ".join(self.content)
        try:
            drawing = themed(path.read_text(encoding="utf-8"), caption)
        except (OSError, ValueError) as error:
            logger.warning("figure %s: %s", path, error, location=self.get_location())
            return []
        width = WIDTH.search(drawing)
        style = f' style="width: {width[1]}"' if width else ""
        begin = nodes.raw("", f"<figure{style}>{drawing}<figcaption>", format="html")
        end = nodes.raw("", "</figcaption></figure>", format="html")
        return [begin, *self.parse_text_to_nodes(caption), end]


def themed(document: str, caption: str) -> str:
    """An SVG document as an element that takes its colours from the page.

    Raises:
        ValueError: it is not SVG, or holds what could run or load something.
    """
    bare, on_paper = PAPER.subn("", document, count=1)
    return inline(bare, caption, ink=INK if on_paper else None)


# In the build


def write_pages(app: Sphinx) -> None:
    """Write the pages of all experiments, remove those of others, touch no file that is right."""
    source = Path(app.srcdir)
    records = results_page.read(source / "results.md")
    known = reference(source / "api" / "index.md")
    folder = source / "course"
    folder.mkdir(exist_ok=True)
    wanted = {
        folder / f"{entry.name}.md": page(entry, records.get(entry.name), known)
        for entry in own(entries())
    }
    for path in folder.glob("*.md"):
        if path not in wanted:
            path.unlink()
    for path, text in wanted.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def link_results(app: Sphinx, docname: str, text: list[str]) -> None:
    """On the page of results, name the page of a lesson instead of the files of its figures."""
    if docname == "results":
        text[0] = re.sub(
            r"^Figures: \[[^\]]*\]\(results/(\w+)/.*$",
            r"[The lesson, with its code and its figures](course/\1.md)",
            text[0],
            flags=re.M,
        )


def mark_verdicts(app: Sphinx, doctree: nodes.document) -> None:
    """Let the style sheet know a verdict by its name."""
    for node in doctree.findall(nodes.strong):
        if node.astext() in VERDICTS:
            node["classes"] += ["verdict", node.astext().replace(" ", "-")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Make the pages before they are read."""
    app.add_directive("lessons", Lessons)
    app.add_directive("result-figure", ResultFigure)
    app.add_directive("verdicts", Verdicts)
    app.connect("builder-inited", write_pages)
    app.connect("source-read", link_results)
    app.connect("doctree-read", mark_verdicts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
