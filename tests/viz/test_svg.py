"""SVG inside a page: nothing that runs, loads, clashes or reaches the rest of the page."""

from __future__ import annotations

import pytest

from groundup import viz
from groundup.viz.figure import INK
from groundup.viz.svg import inline


def wrap(content: str) -> str:
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
        f"{content}</svg>"
    )


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("", "not an SVG document"),
        ("<svg>", "not an SVG document"),
        ("<html/>", "outermost element is 'html'"),
        (wrap("<script>alert(1)</script>"), "<script>"),
        (wrap("<style>p{color:red}</style>"), "<style>"),
        (wrap("<foreignObject/>"), "<foreignObject>"),
        (wrap('<rect onclick="a()"/>'), "onclick"),
        (wrap('<image href="http://example.org/a.png"/>'), "http://example.org"),
        (wrap('<use xlink:href="other.svg#a"/>'), "other.svg"),
        (wrap('<use href="data:image/svg+xml,x"/>'), "data:image"),
        (wrap('<rect style="fill: url(http://example.org/a)"/>'), "loads a file"),
        (wrap('<rect fill="URL( a.svg )"/>'), "loads a file"),
    ],
)
def test_svg_that_could_run_or_load_something_is_refused(document, message) -> None:
    with pytest.raises(ValueError, match=message):
        inline(document, "x")


def test_references_follow_their_identifiers() -> None:
    document = wrap(
        '<defs><path id="a"/><mask id="b"/></defs><g id="c" mask="url(#b)"/><use xlink:href="#a"/>'
    )
    svg = inline(document, "x", prefix="p-")
    assert 'id="p-a"' in svg
    assert 'mask="url(#p-b)"' in svg
    assert 'href="#p-a"' in svg
    assert '"c"' not in svg, "nothing refers to it"


def test_a_saved_figure_can_go_into_a_page(tmp_path) -> None:
    figure = viz.curves({"CNN": [0.9, 0.4]}, "Epoch", "Loss (nats)")
    saved = viz.save(figure, tmp_path / "a.svg").read_text()
    svg = inline(saved, "Loss")
    assert "background: white" in svg
    assert INK in svg, "on white paper in either theme, so its ink stays dark"
    assert "currentColor" not in svg
