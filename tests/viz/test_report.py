"""Reports: one file, whole, safe, usable by everyone; the last tests look at one in a browser."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st
from matplotlib.colors import to_rgb
from PIL import Image

from groundup import viz
from groundup.viz import page

HOSTILE = "<script>alert(1)</script> & \"quotes\" 'n' </title></style>"
VOID = {"meta", "link", "br", "img", "hr", "input"}


class Page(HTMLParser):
    """Elements, their text and attributes; fails where a tag is not closed as it should be."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text: dict[str, list[str]] = {}
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs) -> None:
        self.elements.append((tag, {k: v or "" for k, v in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.elements.append((tag, {k: v or "" for k, v in attrs}))

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        if self.open:
            self.text.setdefault(self.open[-1], []).append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


@functools.cache
def loss() -> viz.Plot:
    return viz.Plot(viz.curves({"CNN": [0.9, 0.4]}, "Epoch", "Loss (nats)"), "Loss by epoch.")


def report() -> viz.Report:
    digits = np.arange(128).reshape(2, 8, 8)
    return (
        viz.Report("Digits", "Two networks")
        .section(
            "Results",
            "First paragraph.\n\nSecond.",
            viz.Table(
                ["Model", "Accuracy (%)"], [["CNN", 98.1], ["MLP", 96.4]], caption="Test set"
            ),
        )
        .section("Training", loss(), loss(), "Between.", loss())
        .section("Images", viz.Plot(viz.image_grid(digits, ["3", "8"], ink=True), "Two mistakes."))
        .section(HOSTILE, HOSTILE, viz.Code(HOSTILE, HOSTILE), viz.Table([HOSTILE], [[HOSTILE]]))
    )


# ----------------------------------------------------------------------------------------- content


def test_page_is_well_formed_and_says_everything() -> None:
    parsed = Page(report().to_html())
    assert parsed.text["h1"] == ["Digits"]
    assert parsed.text["p"][:3] == ["Two networks", "First paragraph.", "Second."]
    assert parsed.text["h2"] == ["Contents", "Results", "Training", "Images", HOSTILE]
    assert parsed.text["th"] == ["Model", "Accuracy (%)", "CNN", "MLP", HOSTILE, HOSTILE]
    assert parsed.text["td"] == ["98.1", "96.4"]
    assert parsed.text["figcaption"] == ["Loss by epoch."] * 3 + ["Two mistakes."]
    assert parsed.text["code"] == [HOSTILE]
    assert len(parsed.all("svg")) == 4


def test_paragraphs_with_dashes_are_lists() -> None:
    text = "Before.\n\n- one\n\n- two & more\n\nBetween.\n\n- three"
    parsed = Page(viz.Report("Lists").section("A", text).to_html())
    assert [name for name, _ in parsed.elements].count("ul") == 2
    assert parsed.text["li"] == ["one", "two & more", "three"]
    assert parsed.text["p"] == ["Before.", "Between."]


def test_a_formula_is_a_drawing_with_its_tex_as_name() -> None:
    tex = r"y_{o,p} = b_o + \sum_{c,k} \frac{w_{o,c,k}}{2} < 3"
    html = viz.Report("F").section("A", viz.Formula(tex)).to_html()
    (drawing,) = Page(html).all("svg")
    assert drawing["aria-label"] == tex
    assert drawing["role"] == "img"
    (path,) = Page(html).all("path")
    assert path["fill"] == "currentColor", "so that it can be read in both themes"
    left, top, width, height = (float(x) for x in drawing["viewbox"].split())
    commands = re.findall("[MLQCZ][^MLQCZ]*", path["d"])
    points = [float(x) for command in commands for x in command[1:].split()]
    x, y = np.array(points).reshape(-1, 2).T
    assert left <= x.min() < x.max() <= left + width
    assert top <= -y.max() < -y.min() <= top + height


@pytest.mark.parametrize("tex", ["", "  ", r"\begin{cases} 1 \end{cases}", "x^", "a $ b"])
def test_formulas_refuse_what_they_cannot_set(tex: str) -> None:
    with pytest.raises(ValueError, match=r"^(the formula is empty|formula .* cannot be set)"):
        viz.Formula(tex)


def test_what_stands_in_parentheses_keeps_together_where_there_is_room() -> None:
    table = viz.Table(["a", "b"], [["x", "95.3 (94.0 to 96.9)"], ["y (see below)", "f(1) (2)"]])
    whole = re.findall(r"<span class=whole>(.*?)</span>", table.to_html())
    assert whole == ["(94.0 to 96.9)", "(2)"]


def test_neighbouring_plots_share_a_row() -> None:
    rows = [a for a in Page(report().to_html()).all("div") if a.get("class") == "plots"]
    assert len(rows) == 3


@given(st.text(min_size=1, max_size=40).filter(str.strip))
def test_any_text_is_only_ever_text(text: str) -> None:
    html = (
        viz.Report(text, text)
        .section(text, f"a{text}", viz.Code(text, text), viz.Table([text], [[text]], text))
        .section("More", viz.Plot(CIRCLE, text))
        .to_html()
    )
    parsed, plain = Page(html), Page(html_of("plain"))
    assert [tag for tag, _ in parsed.elements if tag != "p"] == [
        tag for tag, _ in plain.elements if tag != "p"
    ]
    assert [sorted(a) for t, a in parsed.elements if t != "p"] == [
        sorted(a) for t, a in plain.elements if t != "p"
    ]
    html.encode()


CIRCLE = '<svg xmlns="http://www.w3.org/2000/svg"><circle r="1"/></svg>'


def html_of(text: str) -> str:
    return (
        viz.Report(text, text)
        .section(text, f"a{text}", viz.Code(text, text), viz.Table([text], [[text]], text))
        .section("More", viz.Plot(CIRCLE, text))
        .to_html()
    )


def test_nothing_runs_and_nothing_is_loaded() -> None:
    html = report().to_html()
    parsed = Page(html)
    assert not parsed.all("script")
    for _, attributes in parsed.elements:
        assert not [key for key in attributes if key.startswith("on")]
        for key in ("src", "href", "xlink:href", "srcset", "action", "data"):
            assert attributes.get(key, "#").startswith(("#", "data:"))
    assert "url(http" not in html
    assert "@import" not in html
    policy = [a["content"] for a in parsed.all("meta") if "http-equiv" in a]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_same_report_same_bytes(tmp_path: Path) -> None:
    paths = [report().write(tmp_path / f"{i}.html") for i in range(2)]
    assert paths[0].read_bytes() == paths[1].read_bytes()


# ----------------------------------------------------------------------------------- accessibility


def test_every_identifier_is_unique_and_every_anchor_has_its_target() -> None:
    parsed = Page(report().to_html())
    ids = [a["id"] for _, a in parsed.elements if "id" in a]
    assert len(ids) == len(set(ids)), "the same figure stands on the page three times"
    for tag, attributes in parsed.elements:
        if attributes.get("href", "").startswith("#"):
            assert attributes["href"][1:] in ids
        for name in attributes.get("aria-labelledby", "").split():
            assert name in ids, tag


def test_headings_landmarks_and_names() -> None:
    parsed = Page(report().to_html())
    assert parsed.all("html") == [{"lang": "en"}]
    assert len(parsed.all("h1")) == len(parsed.all("main")) == len(parsed.all("nav")) == 1
    links = [a["href"] for a in parsed.all("a")]
    assert links == ["#main", *(f"#section-{i}" for i in range(1, 5))], "the skip link is first"
    for drawing in parsed.all("svg"):
        assert drawing["role"] == "img"
        assert drawing["aria-label"]
    for frame in [a for a in parsed.all("div") if a.get("class") == "scroll"] + parsed.all("pre"):
        assert frame["tabindex"] == "0", "what scrolls must be reachable with the keyboard"
        assert frame["role"] == "region"
        assert frame["aria-label"]
    assert {a["scope"] for a in parsed.all("th")} == {"row", "col"}


def test_colours_of_the_page_have_enough_contrast_in_both_themes() -> None:
    def luminance(colour: str) -> float:
        c = np.array(to_rgb(colour))
        linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    themes = re.findall(r"--paper:[^}]*", page.STYLE)
    assert len(themes) == 2
    for theme in themes:
        value = {k: luminance(v) for k, v in re.findall(r"--(\w+): (#\w{6})", theme)}
        for front in ("ink", "quiet", "link"):
            for back in ("paper", "tint"):
                low, high = sorted((value[front], value[back]))
                assert (high + 0.05) / (low + 0.05) >= 4.5, (front, back)


# ------------------------------------------------------------------------------------------ blocks


def test_columns_of_numbers_are_set_right() -> None:
    rows = [["a", 1, 0.5, "x", np.float32(0.1)], ["b", 12345678, 1 / 3, 2, np.float64(2)]]
    html = viz.Table(list("ABCDE"), rows).to_html()
    assert re.findall(r"<th scope=col class=(\w)>", html) == ["l", "r", "r", "l", "r"]
    cells = re.findall(r"<td class=(\w)>([^<]*)</td>", html)
    assert cells[:4] == [("r", "1"), ("r", "0.5"), ("l", "x"), ("r", "0.1")]
    assert cells[4:] == [("r", "12345678"), ("r", "0.333333"), ("l", "2"), ("r", "2")]
    html = viz.Table(["A", "B"], [["a", None]], align="rc").to_html()
    assert "<td class=c></td>" in html
    assert "<th scope=row class=r>a</th>" in html


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], []), "table: no headers"),
        ((["A"], []), "table: no rows"),
        ((["A", "B"], [[1, 2], [3]], "Cap"), "table 'Cap': row 2 of 2 has 1 cell, expected 2"),
        ((["A"], [[1, 2]]), "table: row 1 of 1 has 2 cells, expected 1"),
        ((["A", "B"], ["ab"]), "row 1 is the text 'ab'"),
        ((["A", "B"], [[1, 2]], "", "lx"), "align is 'lx', expected 2 letters"),
        ((["A", "B"], [[1, 2]], "", "l"), "align is 'l', expected 2 letters"),
    ],
)
def test_tables_refuse_bad_input(arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        viz.Table(*arguments)


def test_reports_refuse_bad_input() -> None:
    with pytest.raises(ValueError, match="title of a report is empty"):
        viz.Report(" ")
    with pytest.raises(ValueError, match="report 'A' has no section"):
        viz.Report("A").to_html()
    with pytest.raises(ValueError, match="section 'B' is empty"):
        viz.Report("A").section("B")
    with pytest.raises(TypeError, match="section 'B': block 2 is of type int"):
        viz.Report("A").section("B", "text", 3)
    with pytest.raises(ValueError, match="caption of a plot"):
        viz.Plot(CIRCLE, "")


def test_an_svg_text_is_a_plot_too() -> None:
    html = viz.Plot(CIRCLE.replace("<svg ", '<svg width="80pt" '), "A <disc>").to_html()
    assert html.startswith('<figure style="width: 80pt"><svg ')
    assert 'aria-label="A &lt;disc&gt;"' in html


# ------------------------------------------------------------------------------------------- files


def test_old_report_stays_when_a_plot_cannot_be_drawn(tmp_path: Path) -> None:
    path = report().write(tmp_path / "a.html")
    old = path.read_bytes()
    bad = viz.Report("New").section("Bad", viz.Plot("<svg", "Broken"))
    with pytest.raises(ValueError, match="not an SVG document"):
        bad.write(path)
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


def test_old_report_stays_when_the_disk_is_full(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "a.html"
    path.write_text("old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        report().write(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


# ----------------------------------------------------------------------------------------- browser

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH")


def browse(folder: Path, file: Path, *options: str) -> str:
    assert CHROMIUM is not None
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--hide-scrollbars", f"--user-data-dir={folder / 'profile'}", *options, file.as_uri(),
    ]  # fmt: skip
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


@needs_browser
def test_browser_builds_the_page_as_meant(tmp_path: Path) -> None:
    file = report().write(tmp_path / "a.html")
    written, shown = Page(file.read_text()), Page(browse(tmp_path, file, "--dump-dom"))
    assert len(shown.all("svg")) == 4
    assert not shown.all("script")
    assert shown.text["h2"] == written.text["h2"]
    assert shown.text["text"] == written.text["text"], "axis labels and counts"
    for _, attributes in shown.elements:
        for key in ("src", "href", "srcset"):
            assert attributes.get(key, "#").startswith(("#", "data:"))


@needs_browser
@pytest.mark.parametrize(("theme", "paper"), [(1, "#ffffff"), (0, "#15171b")])
def test_browser_paints_the_page_in_both_themes(theme: int, paper: str, tmp_path: Path) -> None:
    """On a narrow screen nothing reaches past the edge, and figures are drawn in the page's ink."""
    # A frame as narrow as a phone, on a ground that no page has: what shows of it is counted.
    file = viz.Report("Digits").section("Training", loss()).write(tmp_path / "a.html")
    outer = tmp_path / "outer.html"
    outer.write_text(
        '<body style="margin:0;background:#ff00ff"><iframe src="a.html" '
        'style="border:0;width:375px;height:640px;display:block"></iframe></body>'
    )
    picture = tmp_path / "shot.png"
    browse(
        tmp_path, outer, f"--screenshot={picture}", "--window-size=500,640",
        f"--blink-settings=preferredColorScheme={theme}",
    )  # fmt: skip
    assert file.exists()
    pixels = np.asarray(Image.open(picture).convert("RGB")).astype(int)[:, :375]
    ground = np.round(255 * np.array(to_rgb(paper))).astype(int)
    away = np.abs(pixels - ground).sum(-1)
    assert (away == 0).mean() > 0.6, "mostly paper"
    assert (away > 500).sum() > 1000, "text that stands out"
    assert (away[:, 360:] == 0).all(), "a margin on the right"
    blue = np.abs(pixels - [0, 114, 178]).sum(-1) < 12
    assert blue.sum() > 50, "the series of the figure"
