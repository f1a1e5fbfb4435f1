"""What is shipped: whole, local, readable for everybody. R12.2."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from groundup.web.app import STATIC

FILES = sorted(path for path in STATIC.rglob("*") if path.is_file())
OWN = [path for path in FILES if "vendor" not in path.parts]
NAMES = ("http://www.w3.org/2000/svg",)


def test_nothing_is_loaded_from_elsewhere() -> None:
    for path in OWN:
        text = path.read_text(encoding="utf-8")
        found = set(re.findall(r"(?:https?:)?//[a-z0-9-]+\.[a-z]{2,}[^\s\"'`)]*", text))
        assert found <= set(NAMES), f"{path.name}: {found}"
    # The library has addresses in its comments, but nothing that could load them.
    for path in set(FILES) - set(OWN):
        words = r"\bfetch\(|XMLHttpRequest|WebSocket|EventSource|\bimport\b|@import|url\("
        if path.suffix in {".js", ".css"}:
            assert not re.search(words, path.read_text(encoding="utf-8")), path.name


def test_what_is_imported_is_there() -> None:
    for path in OWN:
        if path.suffix == ".js":
            text = path.read_text(encoding="utf-8")
            for name in re.findall(r'^import (?:[^"]* from )?"([^"]+)"', text, re.MULTILINE):
                assert (path.parent / name).is_file(), f"{path.name} imports {name}"
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    for name in re.findall(r'(?:src|href)="/static/([^"]+)"', page):
        assert (STATIC / name).is_file(), name


def test_the_page_has_no_inline_code() -> None:
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"\son\w+=|\sstyle=|<style|<script(?![^>]*\ssrc=)|javascript:", page)


def test_text_is_only_set_as_text() -> None:
    for path in OWN:
        if path.suffix == ".js":
            text = path.read_text(encoding="utf-8")
            assert not re.search(
                r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text
            )


def test_the_charting_library_is_whole() -> None:
    folder = STATIC / "vendor" / "uplot"
    assert {path.name for path in folder.iterdir()} == {
        "LICENSE", "README.md", "uPlot.esm.js", "uPlot.min.css",
    }  # fmt: skip
    assert "MIT" in (folder / "LICENSE").read_text()
    assert re.search(r"uPlot \d+\.\d+\.\d+", (folder / "README.md").read_text())


def test_files_are_one_idea_each() -> None:
    long = [path.name for path in OWN if len(path.read_bytes().splitlines()) > 600]
    assert not long


# Contrast (WCAG 2.2): 4.5 for text, 3 for lines and symbols.


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def tokens() -> dict[str, dict[str, str]]:
    text = (STATIC / "css" / "base.css").read_text(encoding="utf-8")
    blocks = re.findall(r"color-scheme: (light|dark);(.*?)\}", text, re.DOTALL)
    found: dict[str, dict[str, str]] = {}
    for scheme, block in blocks:
        colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))
        assert found.setdefault(scheme, colours) == colours, f"two {scheme} themes that differ"
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out(scheme: str) -> None:
    colours = tokens()[scheme]
    for ground in ("page", "card", "sunken", "hover", "chosen"):
        for ink in ("ink", "quiet", "accent", "good", "bad", "warn"):
            assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
        assert contrast(colours["strong-line"], colours[ground]) >= 2.7, ground
    for kind in ("good", "bad", "warn"):
        assert contrast(colours[kind], colours[f"{kind}-soft"]) >= 4.5
    assert contrast(colours["accent"], colours["on-accent"]) >= 4.5
    assert contrast(colours["strong-line"], colours["card"]) >= 3


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_lines_stand_out(scheme: str) -> None:
    text = (STATIC / "js" / "palette.js").read_text(encoding="utf-8")
    found = re.search(rf"{scheme}: (\[.*?\])", text)
    assert found is not None
    colours = json.loads(found[1])
    assert len(set(colours)) == 6
    for colour in colours:
        assert contrast(colour, tokens()[scheme]["card"]) >= 3, colour


def simulated(colour: str, kind: str) -> list[float]:
    """How it looks without red or green cones: Vienot, Brettel and Mollon (1999), equation 4."""
    linear = [((int(colour[i : i + 2], 16) / 255) ** 2.2) for i in (1, 3, 5)]
    lms = [
        17.8824 * linear[0] + 43.5161 * linear[1] + 4.11935 * linear[2],
        3.45565 * linear[0] + 27.1554 * linear[1] + 3.86714 * linear[2],
        0.0299566 * linear[0] + 0.184309 * linear[1] + 1.46709 * linear[2],
    ]
    if kind == "red":
        lms[0] = 2.02344 * lms[1] - 2.52581 * lms[2]
    else:
        lms[1] = 0.494207 * lms[0] + 1.24827 * lms[2]
    rgb = [
        0.080944 * lms[0] - 0.130504 * lms[1] + 0.116721 * lms[2],
        -0.0102485 * lms[0] + 0.0540194 * lms[1] - 0.113615 * lms[2],
        -0.000365294 * lms[0] - 0.00412163 * lms[1] + 0.693513 * lms[2],
    ]
    return [max(0.0, min(1.0, c)) ** (1 / 2.2) for c in rgb]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["red", "green"])
def test_lines_differ_without_a_kind_of_cone(scheme: str, kind: str) -> None:
    text = (STATIC / "js" / "palette.js").read_text(encoding="utf-8")
    found = re.search(rf"{scheme}: (\[.*?\])", text)
    assert found is not None
    seen = [simulated(colour, kind) for colour in json.loads(found[1])]
    distances = [
        sum((a - b) ** 2 for a, b in zip(first, second, strict=True)) ** 0.5
        for i, first in enumerate(seen)
        for second in seen[:i]
    ]
    assert min(distances) > 0.12


def test_everything_is_in_the_package() -> None:
    import groundup.web

    assert Path(groundup.web.__file__).parent / "static" == STATIC
    assert len(OWN) > 20
