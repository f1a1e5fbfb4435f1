"""The generated pages: each experiment has one, complete, and every link leads somewhere.

R1.3 (documentation with examples) and the promise that a further experiment needs no documentation
of its own.
"""

import importlib
import json
import re
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx", reason="Sphinx is not installed")
pytest.importorskip("math_core", reason="math-core is not installed")

DOCS = Path(__file__).parents[2] / "docs"
if str(DOCS / "_ext") not in sys.path:
    sys.path.append(str(DOCS / "_ext"))

annotate, lessons, links, mathml = map(
    importlib.import_module, ("annotate", "lessons", "links", "mathml")
)
from sphinx.application import Sphinx  # noqa: E402

from groundup.experiments.experiment import Entry, entries  # noqa: E402
from groundup.experiments.results_page import read  # noqa: E402

MODULE = '''"""Title."""

from __future__ import annotations

import os

# The first section

SIZE = 1
# Twice $n$,
# exactly.
DOUBLE = 2 * SIZE  # noqa: E501


class Model(Base):
    """A model.

    Args:
        size: how many
            units.

    Example:
        >>> 1
        1
    """

    def forward(self, x):
        """What it computes."""
        for layer in self.layers:
            # apply it
            x = layer(x)
        return x


def bare():
    """Only this."""
'''


# Modules cut into parts


def test_a_module_is_cut_where_something_is_said():
    found = annotate.parts(MODULE)
    assert [(p.heading, p.name, p.code.splitlines()[0].strip()) for p in found] == [
        ("", "", "import os"),
        ("The first section", "", "SIZE = 1"),
        ("", "", "DOUBLE = 2 * SIZE"),
        ("", "Model", "class Model(Base):"),
        ("", "forward", "def forward(self, x):"),
        ("", "", "x = layer(x)"),
        ("", "bare", "def bare():"),
    ]
    notes = [part.note for part in found]
    assert notes[2] == "Twice $n$,\nexactly."
    assert notes[3] == (
        "A model.\n\n**Args**\n\n- `size`: how many\n  units.\n\n```pycon\n>>> 1\n1\n```"
    )
    assert notes[4:6] == ["What it computes.", "apply it"]
    assert found[3].used == ("Base",)


@pytest.mark.parametrize("entry", lessons.own(entries()), ids=lambda entry: entry.name)
def test_no_line_of_an_experiment_is_lost_or_repeated(entry):
    source = Path(importlib.import_module(entry.module).__file__).read_text(encoding="utf-8")
    found = annotate.parts(source)
    shown = [line for part in found for line in part.code.splitlines() if line.strip()]
    code = [annotate.FOR_TOOLS.sub("", line) for line in source.splitlines() if line.strip()]
    for line in shown:
        assert line in code, "shown twice, or not of the module"
        code.remove(line)
    words = " ".join(" ".join(f"{part.heading} {part.note}" for part in found).split())
    for line in code[code.index("from __future__ import annotations") + 1 :]:
        said = re.sub(r'^\s*(?:# ?|r?"""|)|"""$', "", line).strip()
        ways = [said, said.partition(": ")[2]]
        assert not said or any(way and way in words for way in ways) or said.endswith(":"), line


# The pages of experiments


@pytest.fixture(scope="module")
def digits():
    (entry,) = [entry for entry in entries() if entry.name == "digits"]
    known = lessons.reference(DOCS / "api" / "index.md")
    return entry, read(DOCS / "results.md")["digits"], known


def test_a_page_has_lesson_code_figures_claims_and_commands(digits):
    entry, record, known = digits
    text = lessons.page(entry, record, known)
    places = [
        text.index(words)
        for words in (
            f"# {entry.title}",
            "$$y_{o,p}",
            "## The code",
            "def cnn() -> nn.Sequential:",
            "## What it shows",
            ":::{result-figure} digits/learning-1.svg",
            "## Claims and verdicts",
            "| the CNN has 1,234 parameters | 1,234 | 5,130 | **refuted** |",
            "| Nearest neighbour |",
            "## Run it",
            "groundup verify digits",
        )
    ]
    assert places == sorted(places)
    assert "{py:obj}`nn.Conv2d <groundup.nn.Conv2d>`" in text
    assert "{py:obj}`optim.AdamW <groundup.optim.AdamW>`" in text


def test_an_experiment_that_was_not_verified_has_a_page(digits):
    entry, _, known = digits
    text = lessons.page(entry, None, known)
    assert "Claims: **not measured**" in text
    assert "It has not been verified yet." in text
    assert "## What it shows" not in text


def test_every_kind_of_block_is_shown(digits):
    entry, record, known = digits
    blocks = [
        {"kind": "text", "text": "Some words."},
        {"kind": "table", "headers": ["a", "b"], "rows": [["x", "1"]], "caption": "T."},
        {"kind": "code", "text": "a ``` b", "caption": "C."},
    ]
    text = lessons.page(entry, {**record, "sections": [{"title": "S", "blocks": blocks}]}, known)
    assert "### S\n\nSome words.\n\nT.\n\n| a | b |" in text
    assert "C.\n\n````text\na ``` b\n````" in text


def test_the_list_has_every_experiment_in_order_with_its_verdicts(digits):
    _, record, _ = digits
    found = [Entry("first", "One: two?", "groundup.first", lesson=1), digits[0]]
    text = lessons.listing(found, {"digits": record})
    assert "| 1 | [One](course/first.md) | two? | **not measured** |" in text
    assert "| 8 | [Convolution](course/digits.md) | does a CNN" in text
    assert "**refuted**\N{NO-BREAK SPACE}3" in text
    tree = text[text.index("toctree") :]
    assert tree.index("One <course/first>") < tree.index("Convolution <course/digits>")


def test_a_page_on_a_subject_shows_what_became_of_claims(digits):
    _, record, _ = digits
    text = lessons.verdicts("digits", {"digits": record})
    assert "| the CNN has 1,234 parameters | 1,234 | 5,130 | **refuted** |" in text
    assert f"{len(record['seeds'])} seeds" in text
    assert "(course/digits.md)" in text
    assert "groundup verify digits" in lessons.verdicts("digits", {})


def test_figures_of_the_last_verification_are_there_and_small(digits):
    for name, record in read(DOCS / "results.md").items():
        folder = DOCS / "results" / name
        named = {
            block["file"]
            for section in record["sections"]
            for block in section["blocks"]
            if block["kind"] == "figure"
        }
        assert {path.name for path in folder.glob("*")} == named
        assert all(path.stat().st_size <= 150_000 for path in folder.glob("*"))


def test_a_figure_takes_its_colours_from_the_page(digits):
    drawn = (DOCS / "results" / "digits" / "learning-1.svg").read_text(encoding="utf-8")
    assert "fill: #ffffff" in drawn, "on white where it stands alone"
    inside = lessons.themed(drawn, "Loss")
    assert "currentColor" in inside
    assert "#ffffff" not in inside
    assert "background: white" not in inside
    foreign = '<svg xmlns="http://www.w3.org/2000/svg"><circle r="1"/></svg>'
    assert "background: white" in lessons.themed(foreign, "A disc")


# Formulas


def test_a_formula_is_mathml_that_remembers_its_tex():
    text = mathml.mathml(r"\hat{m}_t / (\sqrt{\hat{v}_t} + \epsilon)", block=True)
    assert text.startswith('<math display="block">')
    assert "<msqrt>" in text
    assert r"\hat{m}_t" in text


@pytest.mark.parametrize("wrong", [r"\frac{a", "a}", r"\unknown", r"\left( a"])
def test_a_wrong_formula_is_refused(wrong):
    with pytest.raises(mathml.LatexError):
        mathml.mathml(wrong, block=False)


# Links


def test_dead_links_are_found_and_good_ones_are_not(tmp_path):
    (tmp_path / "a.html").write_text(
        '<p id="top"><a href="b.html#there">x</a><a href="b.html#gone">x</a><a href="#top">x</a>'
        '<a href="https://example.org/x#y">x</a><a href="c.html">x</a><img src="d%20e.svg">'
        '<a href="../out.html">x</a><a href="#here%20">x</a>'
    )
    (tmp_path / "b.html").write_text('<p id="there"><a href="a.html?q=1#">x</a>')
    (tmp_path / "d e.svg").write_text("<svg/>")
    found = [text.split(": ", 1)[1] for text in links.dead(tmp_path)]
    assert found == [
        "b.html#gone: there is no such anchor",
        "c.html: there is no such file",
        "../out.html leads out of the site",
        "#here%20: there is no such anchor",
    ]


# A small site through Sphinx


@pytest.fixture
def site(tmp_path):
    """Build a site of one page with our own extensions; its HTML and the warnings."""

    def build(page, lesson="# Lesson\n"):
        source = tmp_path / "source"
        (source / "results" / "x").mkdir(parents=True)
        (source / "course").mkdir()
        for entry in lessons.own(entries()):
            (source / "course" / f"{entry.name}.md").write_text(lesson)
        drawing = (DOCS / "results" / "digits" / "learning-1.svg").read_text(encoding="utf-8")
        (source / "results" / "x" / "a.svg").write_text(drawing)
        (source / "index.md").write_text(page)
        warnings = tmp_path / "warnings"
        settings = {
            "extensions": ["myst_parser", "mathml", "links"],
            "myst_enable_extensions": ["dollarmath", "colon_fence"],
            "html_theme": "basic",
        }
        with warnings.open("w") as stream:
            app = Sphinx(
                source, None, tmp_path / "html", tmp_path / "trees", "html", settings,
                status=None, warning=stream,
            )  # fmt: skip
            app.add_directive("lessons", lessons.Lessons, override=True)
            app.add_directive("result-figure", lessons.ResultFigure, override=True)
            app.connect("doctree-read", lessons.mark_verdicts)
            app.build()
        html = (tmp_path / "html" / "index.html").read_text(encoding="utf-8")
        return html, warnings.read_text(encoding="utf-8")

    return build


def test_directives_formulas_and_verdicts_in_a_page(site):
    html, warnings = site(
        "# Page\n\nInline $x^2$ and\n\n$$a &= b \\\\ &= c$$\n\n"
        ":::{result-figure} x/a.svg\nLoss by **epoch**.\n:::\n\n```{lessons}\n```\n\n"
        "A claim **refuted**.\n"
    )
    assert not warnings
    assert html.count("<math") == 2
    assert "<mtable" in html, "lines are aligned"
    assert "<figcaption><p>Loss by <strong>epoch</strong>" in html
    assert re.search(r"<figure[^>]*><svg ", html)
    assert 'class="verdict refuted">refuted<' in html
    assert 'class="verdict not-measured">' in html, "this site has no results"
    assert 'href="course/digits.html"' in html
    assert not re.search(r"<script[^>]*src=[\"']https?:", html), "nothing from the network"


def test_what_is_wrong_in_a_page_is_a_warning(site):
    _, warnings = site(
        "# Page\n\n$\\frac{a$\n\n:::{result-figure} x/gone.svg\nGone.\n:::\n\n"
        '<a href="gone.html">x</a>\n\n```{lessons}\n```\n'
    )
    for words in ("formula", "gone.svg", "dead link: index.html"):
        assert words in warnings


def test_pages_are_written_once_and_those_of_others_are_removed(tmp_path):
    class App:
        srcdir = tmp_path

    (tmp_path / "api").mkdir()
    (tmp_path / "api" / "index.md").write_text("   groundup.nn\n")
    (tmp_path / "results.json").write_text(json.dumps({"format": 1, "experiments": []}))
    (tmp_path / "course").mkdir()
    (tmp_path / "course" / "gone.md").write_text("# Gone")
    lessons.write_pages(App)
    names = {f"{entry.name}.md" for entry in lessons.own(entries())}
    assert {path.name for path in (tmp_path / "course").iterdir()} == names
    path = tmp_path / "course" / "digits.md"
    before = path.stat().st_mtime_ns
    lessons.write_pages(App)
    assert path.stat().st_mtime_ns == before
