"""Network diagrams: what is drawn is what the model holds and computes, for every reader."""

# R3.13

from __future__ import annotations

import copy
import os
import re
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, strategies as st
from tests.viz.diagrams import (
    SVG,
    Element,
    columns,
    limits,
    lines,
    mlp,
    numpy_mlp,
    parse,
    parts,
    place,
    put,
    texts,
    value,
)
from tests.viz.test_figures import PAPER, contrast

import groundup as gu
import groundup.nn.functional as F
from groundup import nn, optim, viz
from groundup.viz import network_marks as marks

# ------------------------------------------------------------------------------ weights as lines


@given(
    st.lists(st.integers(1, 9), min_size=2, max_size=4),
    st.sampled_from([0.01, 1.0, 300.0]),
    st.integers(0, 99),
)
def test_a_line_for_every_weight_as_wide_as_it_is_large(
    sizes: list[int], scale: float, seed: int
) -> None:
    gu.manual_seed(seed)
    model = mlp(*sizes, scale=scale)
    linear = [layer for layer in model if isinstance(layer, nn.Linear)]
    most = max(float(np.abs(p.detach().numpy()).max()) for p in model.parameters())
    drawn = list(lines(parse(viz.network(model))))
    assert len(drawn) == len(linear)
    everything = []
    for layer, found in zip(linear, drawn, strict=True):
        weight = layer.weight.detach().numpy()
        assert sorted((line.target, line.source) for line in found) == [*np.ndindex(weight.shape)]
        for line in found:
            w = float(weight[line.target, line.source])
            everything.append((abs(w), line.width, line.opacity))
            assert line.colour == (marks.POSITIVE if w > 0 else marks.NEGATIVE)
            assert line.dashed == (w < 0), "the sign must not rest on colour alone"
    # Width is linear in the magnitude, from a thin line for 0 to the thickest of the diagram.
    sizes_, widths, opacities = np.array(sorted(everything)).T
    assert (np.diff(widths) >= 0).all()
    assert (np.diff(opacities) >= 0).all()
    thick = marks.width(1.0, 1.0) * 5.0
    np.testing.assert_allclose(widths, thick * (0.12 + 0.88 * sizes_ / most), atol=2e-3)


def test_a_weight_of_zero_has_a_line_without_a_sign() -> None:
    model = nn.Linear(2, 1, bias=False)
    put(model.weight, [[0.0, 2.0]])
    zero, other = sorted(next(lines(parse(viz.network(model)))), key=lambda line: line.width)
    assert (zero.source, zero.colour, zero.dashed) == (0, "currentColor", True)
    assert (other.source, other.colour, other.dashed) == (1, marks.POSITIVE, False)


def test_all_weights_zero_can_be_drawn() -> None:
    model = nn.Linear(2, 3)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    root = parse(viz.network(model, [1, 2]))
    assert len(next(lines(root))) == 6
    assert not list(parts(root, "biases"))


def test_the_legend_tells_the_numbers_of_the_lines() -> None:
    model = mlp(2, 2, 1)
    put(model[0].weight, [[0.5, -0.25], [-3.5, 1.0]])
    root = parse(viz.network(model))
    legend = parts(root, "legend")[0]
    assert [t for t in texts(legend) if t.lstrip("−").replace(".", "").isdigit()] == [
        "3.50",
        "1.75",
        "−1.75",
        "−3.50",
    ]
    widest = max(line.width for found in lines(root) for line in found)
    drawn = [float(p.get("stroke-width", "0")) for p in legend.iter(f"{SVG}path")]
    assert max(drawn) == widest


def test_biases_point_up_or_down_and_grow() -> None:
    model = nn.Linear(1, 4)
    put(model.weight, gu.ones(4, 1))
    put(model.bias, [2.0, -2.0, 0.0, 0.5])
    triangles = list(parts(parse(viz.network(model)), "biases")[0])
    assert [t.get("fill") for t in triangles] == [marks.POSITIVE, marks.NEGATIVE, marks.POSITIVE]
    sides, tips = [], []
    for triangle in triangles:
        side, _, tip = re.findall(r"h(-?[\d.]+)l(-?[\d.]+) (-?[\d.]+)z", triangle.get("d", ""))[0]
        sides.append(float(side))
        tips.append(float(tip))
    assert tips[0] < 0 < tips[1]
    assert sides[0] == sides[1] > sides[2]


# ------------------------------------------------------------------------------ values on nodes


@given(st.lists(st.floats(-3, 3), min_size=3, max_size=3), st.integers(0, 99))
def test_fills_are_the_values(x: list[float], seed: int) -> None:
    gu.manual_seed(seed)
    model = mlp(3, 5, 2, scale=2.0)
    root = parse(viz.network(model, x))
    expected = numpy_mlp(model, np.array(x, np.float32))
    assert len(columns(root)) == len(expected) == len(limits(root))
    for column, values, limit in zip(columns(root), expected, limits(root), strict=True):
        assert limit == pytest.approx(max(1.0, np.abs(values).max()), rel=6e-3)
        exact = max(1.0, float(np.abs(values).max()))
        drawn = [value(circle, exact) for circle in column]
        np.testing.assert_allclose(drawn, values, atol=1e-3 * exact)


def test_numbers_stand_in_the_nodes() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    put(model[0].weight, [[1.0, 0.0], [0.0, -3.25]])
    nn.init.zeros_(model[0].bias)
    root = parse(viz.network(model, [-0.5, -2.0]))
    inside = [texts(group) for group in parts(root, "nodes")]
    assert inside == [["−0.50", "−2"], ["0", "6.50"]]


def test_small_negative_nodes_have_a_minus_instead_of_a_number() -> None:
    model = nn.Linear(40, 1)
    signs = np.where(np.arange(40) % 3 == 0, -1.0, 1.0)
    first = parts(parse(viz.network(model, signs)), "nodes")[0]
    assert not texts(first)
    nodes = [place(c) for c in first.iter(f"{SVG}circle")]
    minus = [float(p.get("d", "").split()[1].split("h")[0]) for p in first.iter(f"{SVG}path")]
    np.testing.assert_allclose(
        minus, [y for (_, y, _), s in zip(nodes, signs, strict=True) if s < 0]
    )


def test_without_an_input_nodes_are_empty() -> None:
    root = parse(viz.network(mlp(2, 3, 1)))
    assert {c.get("fill") for column in columns(root) for c in column} == {"none"}
    assert not limits(root)


@pytest.mark.parametrize("shape", [(3,), (1, 3)])
@pytest.mark.parametrize("kind", [list, np.array, gu.tensor])
def test_an_example_may_be_a_list_an_array_or_a_tensor(shape: tuple[int, ...], kind) -> None:
    gu.manual_seed(0)
    model = mlp(3, 2, 1)
    given_ = np.array([1.0, -1.0, 0.5]).reshape(shape)
    assert viz.network(model, kind(given_.tolist())) == viz.network(model, [1.0, -1.0, 0.5])


# ------------------------------------------------------------------------------ wide layers


def test_64_nodes_are_drawn_one_by_one() -> None:
    svg = viz.network(mlp(64, 64, 10), np.linspace(-1, 1, 64))
    root = parse(svg)
    assert [len(column) for column in columns(root)] == [64, 64, 10]
    assert [len(found) for found in lines(root)] == [64 * 64, 64 * 10]
    assert len(svg) < 400_000
    for column in columns(root):
        ys = [place(circle)[1] for circle in column]
        assert min(np.diff(ys)) > 2 * place(column[0])[2], "nodes do not overlap"
    assert not parts(root, "histogram")


def test_500_nodes_are_summarised() -> None:
    model = mlp(6, 500, 3)
    x = np.linspace(-1, 1, 6)
    svg = viz.network(model, x)
    root = parse(svg)
    assert [len(column) for column in columns(root)] == [6, 16, 3]
    assert [len(found) for found in lines(root)] == [6 * 16, 16 * 3]
    assert {"500", "16 drawn", "3,000 weights", "1,500 weights"} <= set(texts(root))
    assert len(svg) < 80_000
    hidden = numpy_mlp(model, x.astype(np.float32))[1]
    shown = [*hidden[:8], *hidden[-8:]]
    np.testing.assert_allclose([value(c, 1.0) for c in columns(root)[1]], shown, atol=1e-3)
    # The lines belong to the nodes that are drawn, the histogram to all.
    weight = model[2].weight.detach().numpy()
    most = max(float(np.abs(p.detach().numpy()).max()) for p in model.parameters())
    for line in list(lines(root))[1]:
        j = line.source if line.source < 8 else 500 - 16 + line.source
        assert line.dashed == (weight[line.target, j] < 0)
    counts, _ = np.histogram(weight, 24, (-most, most))
    bars = [float(r.get("height", "")) for r in parts(root, "histogram")[1].iter(f"{SVG}rect")]
    assert len(bars) == (counts > 0).sum()
    np.testing.assert_allclose(max(bars) / sum(bars), counts.max() / counts.sum(), rtol=0.1)


def test_max_nodes_decides_what_is_summarised() -> None:
    model = mlp(9, 5)
    assert [len(c) for c in columns(parse(viz.network(model, max_nodes=8)))] == [8, 5]
    assert [len(c) for c in columns(parse(viz.network(model, max_nodes=9)))] == [9, 5]
    assert [len(c) for c in columns(parse(viz.network(model, max_nodes=2)))] == [2, 2]


# ------------------------------------------------------------------------------ before and after


def xor() -> tuple[gu.Tensor, gu.Tensor]:
    x = gu.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    return x, gu.tensor([[0.0], [1.0], [1.0], [0.0]])


def trained_xor() -> tuple[nn.Sequential, nn.Sequential]:
    gu.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1), nn.Sigmoid())
    before = copy.deepcopy(model)
    x, y = xor()
    optimizer = optim.Adam(model.parameters(), lr=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        F.binary_cross_entropy(model(x), y).backward()
        optimizer.step()
    return before, model


def panels(root: Element) -> list[Element]:
    return [group for group in root if parts(group, "nodes")]


def test_xor_before_and_after_training() -> None:
    before, after = trained_xor()
    most = max(float(np.abs(p.detach().numpy()).max()) for p in after.parameters())
    for x, y in zip(*xor(), strict=True):
        root = parse(viz.before_and_after(before, after, x, labels=["x1", "x2"]))
        assert {"before training", "after training"} <= set(texts(root))
        left, right = panels(root)
        [end] = columns(right)[-1]
        assert value(end, 1.0) == pytest.approx(y.item(), abs=0.1)
        for panel, model in ((left, before), (right, after)):
            output = model(x.unsqueeze(0)).item()
            assert value(columns(panel)[-1][0], 1.0) == pytest.approx(output, abs=1e-3)
            for layer, found in zip((model[0], model[2]), lines(panel), strict=True):
                for line in found:
                    w = abs(layer.weight[line.target, line.source].item())
                    assert line.width == pytest.approx(5 * (0.12 + 0.88 * w / most), abs=2e-3)
    assert len(parts(root, "legend")) == 1


def test_values_before_and_after_share_their_limits() -> None:
    before, after = nn.Linear(1, 1), nn.Linear(1, 1)
    for model, weight in ((before, 2.0), (after, -8.0)):
        put(model.weight, [[weight]])
        nn.init.zeros_(model.bias)
    root = parse(viz.before_and_after(before, after, [1.0]))
    assert limits(root) == [1.0, 8.0] * 2
    drawn = [value(columns(panel)[1][0], 8.0) for panel in panels(root)]
    assert drawn == pytest.approx([2.0, -8.0], abs=0.01)


def test_the_same_model_twice_gives_the_same_picture_twice() -> None:
    model = mlp(2, 3, 1)
    left, right = panels(parse(viz.before_and_after(model, model, [1, 0])))
    del left.attrib["transform"], right.attrib["transform"]
    assert ElementTree.tostring(left) == ElementTree.tostring(right)


@pytest.mark.parametrize(
    ("after", "message"),
    [
        (mlp(2, 4, 1), "3 nodes Tanh and 4 nodes Tanh"),
        (mlp(2, 3, 1, 1), "differ in stage 2|stages"),
        (nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)), "Tanh and 3 nodes ReLU"),
    ],
)
def test_networks_of_another_structure_are_not_compared(after: nn.Module, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        viz.before_and_after(mlp(2, 3, 1), after)


# ------------------------------------------------------------------------------ for every reader


def test_the_document_is_described_and_self_contained() -> None:
    model = mlp(2, 3, 1)
    svg = viz.network(model, [0, 1], output_labels=["x1 xor x2"], title="XOR")
    root = parse(svg)
    assert root.get("role") == "img"
    named = {e.get("id"): e for e in root if e.get("id")}
    title, words = (named[key] for key in root.get("aria-labelledby", "").split())
    assert (title.tag, title.text, words.tag) == (f"{SVG}title", "XOR", f"{SVG}desc")
    assert "2 nodes; 3 nodes, Tanh; 1 node" in (words.text or "")
    output = numpy_mlp(model, np.array([0, 1], np.float32))[-1][0]
    assert f"x1 xor x2 {marks.number(float(output))}" in (words.text or "")
    assert not list(root.iter(f"{SVG}style"))
    assert not list(root.iter(f"{SVG}script"))
    assert "http" not in svg.replace('xmlns="http://www.w3.org/2000/svg"', "")


def test_identifiers_differ_between_diagrams() -> None:
    ids = [set(re.findall(r' id="([^"]+)"', viz.network(mlp(2, 2), [0, i]))) for i in range(2)]
    assert ids[0]
    assert not ids[0] & ids[1]


def test_in_a_page_it_follows_the_theme_and_in_a_file_it_stands_on_white(tmp_path) -> None:
    svg = viz.network(mlp(2, 2, 1))
    page = viz.Plot(svg, "A network").to_html("p-")
    assert "background" not in page
    assert 'fill="currentColor"' in page
    assert "<figure style=" in page, "the caption is as wide as the drawing"
    saved = viz.save(svg, tmp_path / "a.svg").read_text()
    assert parse(saved).get("style") == "background: white; color: black"
    assert len(saved) < len(svg) + 60
    with pytest.raises(ValueError, match=r"name it \.svg"):
        viz.save(svg, tmp_path / "a.png")
    with pytest.raises(ValueError, match="not an SVG document"):
        viz.save("a circle", tmp_path / "b.svg")
    assert [path.name for path in tmp_path.iterdir()] == ["a.svg"]


def test_hostile_labels_are_only_text() -> None:
    hostile = "</text><script>alert('1')</script>&\"" + chr(0)
    svg = viz.network(
        mlp(1, 1), [0], labels=[hostile], output_labels=["<b>"], title=f"{hostile}<!--"
    )
    root = parse(svg)
    assert "<script" not in svg
    assert {e.tag.removeprefix(SVG) for e in root.iter()} <= {
        "svg", "g", "title", "desc", "text", "path", "circle", "rect",
    }  # fmt: skip
    assert "<b>" in texts(root)
    assert any(text.startswith("</text><script>") for text in texts(root))
    assert chr(0) not in svg
    viz.Plot(svg, "A network").to_html()


def test_long_labels_are_cut_and_make_room() -> None:
    short, long = (parse(viz.network(mlp(1, 1), labels=[label])) for label in ("x", "a name " * 20))
    assert any(text.endswith("…") and len(text) <= 24 for text in texts(long))
    assert float(long.get("width", "")[:-2]) < float(short.get("width", "")[:-2]) + 250


@pytest.mark.parametrize("colour", [marks.POSITIVE, marks.NEGATIVE])
@pytest.mark.parametrize("theme", PAPER)
def test_colours_can_be_read_in_both_themes(theme: str, colour: str) -> None:
    paper, ink = (np.array([int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)]) for c in PAPER[theme])
    full = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    assert contrast(tuple(full), tuple(paper)) >= 3, "lines"
    for share in np.linspace(0, 1, 11):
        behind = paper + (full - paper) * marks.FULL * share
        assert contrast(tuple(ink), tuple(behind)) >= 4.5, "numbers in nodes"


def test_another_process_gives_the_same_bytes() -> None:
    program = (
        "import groundup as gu; from groundup import nn, viz; gu.manual_seed(3);"
        "m = nn.Sequential(nn.Linear(3, 70), nn.ReLU(), nn.Linear(70, 2));"
        "print(viz.before_and_after(m, m, [1, 2, 3], labels=list('abc')), end='')"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "1", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, check=True
    )
    gu.manual_seed(3)
    model = nn.Sequential(nn.Linear(3, 70), nn.ReLU(), nn.Linear(70, 2))
    svg = viz.before_and_after(model, model, [1, 2, 3], labels=list("abc"))
    assert done.stdout.decode() == svg
