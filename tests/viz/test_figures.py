"""Figures: what is drawn, that it can be read by everyone, and that it never changes by itself."""

from __future__ import annotations

import base64
import io
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image
from scipy import stats

from groundup import viz
from groundup.viz import confusion, figure as looks
from groundup.viz.svg import legal

SVG = "{http://www.w3.org/2000/svg}"
PAPER = {"light": ("#ffffff", "#1d1e20"), "dark": ("#15171b", "#e7e8ea")}


class Arrayish:
    """Stands for a tensor: all that is known of it is ``__array__``."""

    def __init__(self, values: object) -> None:
        self.values = values

    def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
        return np.asarray(self.values, dtype)


def examples() -> dict[str, Figure]:
    rng = np.random.default_rng(0)
    return {
        "curves": viz.curves(
            {"MLP": rng.random((5, 12)), "CNN": rng.random(12)}, "Epoch", "Loss (nats)", log_y=True
        ),
        "confusion": viz.confusion_matrix([[9, 1], [0, 7]], ["cat", "dog"]),
        "grid": viz.image_grid(rng.random((5, 8, 8)), list("abcde")),
        "filters": viz.filters(rng.normal(size=(6, 4, 3, 3))),
    }


def texts(svg: str) -> list[str]:
    return ["".join(e.itertext()) for e in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def luminance(colour: tuple[float, ...]) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


# ------------------------------------------------------------------------------------ all figures


@pytest.mark.parametrize("name", examples())
def test_svg_is_xml_described_and_self_contained(name: str) -> None:
    svg = viz.to_svg(examples()[name])
    root = ElementTree.fromstring(svg)
    assert root.tag == f"{SVG}svg"
    assert root.get("role") == "img"
    assert len(root.get("aria-label", "")) > 10
    identifiers = [e.get("id") for e in root.iter() if e.get("id")]
    assert len(identifiers) == len(set(identifiers))
    pointed = {v[1:] for e in root.iter() if (v := e.get("href", "")).startswith("#")}
    pointed |= set(re.findall(r"url\(#([^)]+)\)", svg))
    assert pointed == set(identifiers)
    for element in root.iter():
        assert element.get("href", "#").startswith(("#", "data:image/png;base64,"))
    assert "http" not in svg.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert looks.INK not in svg, "ink that would not follow the theme"


@pytest.mark.parametrize("name", examples())
def test_same_input_same_bytes(name: str, tmp_path) -> None:
    one, two = examples()[name], examples()[name]
    assert viz.to_svg(one) == viz.to_svg(two) == viz.to_svg(one)
    for suffix in ("svg", "png"):
        paths = [viz.save(f, tmp_path / f"{i}.{suffix}") for i, f in enumerate((one, two))]
        assert paths[0].read_bytes() == paths[1].read_bytes()


def test_users_settings_have_no_part_and_come_back() -> None:
    plain = viz.to_svg(examples()["curves"])
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.hashsalt": "x"}):
        before = dict(matplotlib.rcParams)
        assert viz.to_svg(examples()["curves"]) == plain
        assert dict(matplotlib.rcParams) == before


def test_threads_draw_the_same_as_one() -> None:
    def draw(size: int) -> str:
        return viz.to_svg(viz.confusion_matrix(np.eye(size), range(size)))

    with ThreadPoolExecutor(4) as pool:
        drawn = list(pool.map(draw, [2, 3, 4, 5] * 2))
    assert drawn == [draw(size) for size in (2, 3, 4, 5)] * 2


def test_prefixes_keep_figures_of_one_page_apart() -> None:
    figure = examples()["curves"]
    ids = [set(re.findall(r' id="([^"]+)"', viz.to_svg(figure, prefix=p))) for p in ("a-", "b-")]
    assert ids[0]
    assert not ids[0] & ids[1]
    # Without a prefix, different figures still do not share identifiers.
    other = viz.curves({"MLP": [1.0, 2.0]}, "Epoch", "Loss (nats)")
    found = [set(re.findall(r' id="([^"]+)"', viz.to_svg(f))) for f in (figure, other)]
    assert not found[0] & found[1]


def test_pyplot_stays_out() -> None:
    code = "import sys, groundup.viz; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@given(st.text(max_size=30))
@settings(max_examples=15)
def test_any_text_survives_as_text(text: str) -> None:
    """Hostile, foreign or mathematical text is shown as it is and stays inside its element."""
    svg = viz.to_svg(viz.curves({"x": [1, 2]}, f"a{text}", "b", title=f"c{text}"))
    root = ElementTree.fromstring(svg)
    assert not [e for e in root.iter() if e.tag not in {f"{SVG}{n}" for n in ALLOWED}]
    shown = without_spaces("".join(texts(svg)))
    assert without_spaces(f"a{text}") in shown
    assert without_spaces(f"c{text}") in shown


def without_spaces(text: str) -> str:
    """Lines are drawn one by one, so what parts them is lost; control characters are replaced."""
    return re.sub(r"\s", "", legal(text))


ALLOWED = ("svg", "g", "defs", "path", "use", "clipPath", "rect", "text", "tspan")


@pytest.mark.parametrize("hostile", ["<script>alert(1)</script>", '"><b>', "$x_$ & $", "_hidden"])
def test_hostile_labels_are_shown_as_text(hostile: str, tmp_path) -> None:
    drawn = {
        "series": viz.curves({hostile: [1, 2]}, hostile, hostile),
        "classes": viz.confusion_matrix(np.eye(2), [hostile, "b"]),
        "titles": viz.image_grid(np.ones((1, 2, 2)), [hostile], title=hostile),
    }
    for name, figure in drawn.items():
        svg = viz.to_svg(figure, description=hostile)
        assert "<script" not in svg
        squeezed = [re.sub(r"[\s\u200b]", "", text) for text in texts(svg)]
        whole = "".join(squeezed) if name == "titles" else squeezed
        assert hostile.replace(" ", "") in whole, name
        assert ElementTree.fromstring(svg).get("aria-label") == hostile
        ElementTree.parse(viz.save(figure, tmp_path / "hostile.svg"))


def test_control_characters_do_not_break_the_file(tmp_path) -> None:
    figure = viz.confusion_matrix([[1]], ["a"], x_label="bell\x07 and end")
    assert any("bell\ufffd and" in text for text in texts(viz.to_svg(figure)))
    ElementTree.parse(viz.save(figure, tmp_path / "control.svg"))


def test_palette_stands_out_in_both_themes_and_in_black_and_white() -> None:
    for paper, ink in PAPER.values():
        for colour in looks.PALETTE:
            shown = ink if colour == looks.INK else colour
            assert contrast(to_rgb(shown), to_rgb(paper)) >= 3
    styles = [looks.line_style(i) for i in range(140)]
    assert len({str(s) for s in styles}) == 140
    for i in range(136):
        for key in ("color", "linestyle", "marker"):
            assert len({str(s[key]) for s in styles[i : i + 4]}) == 4, "four in a row differ in all"


def test_a_figure_without_description_is_refused() -> None:
    with pytest.raises(ValueError, match="description"):
        viz.to_svg(Figure())
    assert 'aria-label="Nothing"' in viz.to_svg(Figure(), "Nothing")


# -------------------------------------------------------------------------------------------- save


def test_save_leaves_the_old_file_when_drawing_fails(tmp_path, monkeypatch) -> None:
    path = tmp_path / "loss.svg"
    viz.save(examples()["curves"], path)
    old = path.read_bytes()
    broken = examples()["grid"]
    monkeypatch.setattr(broken.axes[0], "draw", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        viz.save(broken, path)
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_save_leaves_the_old_file_when_the_disk_fails(step, tmp_path, monkeypatch) -> None:
    path = tmp_path / "loss.png"
    path.write_bytes(b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"os.{step}", full)
    with pytest.raises(OSError, match="No space"):
        viz.save(examples()["grid"], path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_save_makes_folders_and_gives_the_usual_permissions(tmp_path) -> None:
    path = viz.save(examples()["confusion"], tmp_path / "new" / "folder" / "a.svg")
    usual = tmp_path / "usual"
    usual.write_bytes(b"")
    assert path.stat().st_mode == usual.stat().st_mode


def test_save_writes_what_the_ending_says(tmp_path) -> None:
    figure = examples()["curves"]
    png = Image.open(viz.save(figure, tmp_path / "a.PNG"))
    assert png.format == "PNG"
    assert png.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
    root = ElementTree.parse(viz.save(figure, tmp_path / "a.svg")).getroot()
    assert root.findtext(f"{SVG}title") == figure.get_label()
    with pytest.raises(ValueError, match=r"'\.gif'.*\.svg or \.png"):
        viz.save(figure, tmp_path / "a.gif")
    assert not (tmp_path / "a.gif").exists()


# ------------------------------------------------------------------------------------------ curves


def test_curves_draw_the_mean_and_students_interval() -> None:
    runs = np.random.default_rng(1).normal(size=(5, 7))
    axes = viz.curves({"MLP": runs}, "Epoch", "Loss (nats)", confidence=0.9).axes[0]
    np.testing.assert_allclose(axes.lines[0].get_xdata(), np.arange(1, 8))
    np.testing.assert_allclose(axes.lines[0].get_ydata(), runs.mean(0))
    low, high = stats.t.interval(0.9, 4, runs.mean(0), stats.sem(runs, axis=0))
    (outline,) = axes.collections[0].get_paths()
    for i in range(7):
        ys = outline.vertices[outline.vertices[:, 0] == i + 1, 1]
        np.testing.assert_allclose([ys.min(), ys.max()], [low[i], high[i]])


def test_bands_are_cut_to_what_is_possible() -> None:
    runs = np.array([[60.0, 99.0], [80.0, 99.9], [99.0, 100.0]])
    axes = viz.curves({"CNN": runs}, "Epoch", "Accuracy (%)", possible=(0, 100)).axes[0]
    (outline,) = axes.collections[0].get_paths()
    low, _ = stats.t.interval(0.95, 2, runs.mean(0), stats.sem(runs, axis=0))
    assert outline.vertices[:, 1].max() == 100
    assert outline.vertices[:, 1].min() == pytest.approx(low.min())


def test_long_names_leave_room_for_the_drawing() -> None:
    names = [f"digits-20261122-131052-2fee7{i}, Softmax regression, training" for i in range(12)]
    figure = viz.curves({name: [1.0, 2.0] for name in names}, "Epoch", "Loss (nats)")
    viz.to_svg(figure)
    figure.draw_without_rendering()
    box = figure.axes[0].get_position()
    assert box.height * figure.get_figheight() > 1.3
    assert box.width * figure.get_figwidth() > 2.5


def test_curves_say_what_they_show() -> None:
    series = {"MLP": np.ones((3, 4)), "CNN": np.ones((5, 4)), "one run": Arrayish([1.0, 2, 3, 4])}
    figure = viz.curves(series, "Epoch", "Loss (nats)", title="Training")
    shown = texts(viz.to_svg(figure))
    band = "mean of 3 to 5 runs, band: 95 % interval of the mean"
    for text in ("Epoch", "Loss (nats)", "Training", "MLP", "CNN", "one run", band):
        assert text in shown
    assert len(figure.axes[0].collections) == 2, "one run has no interval"


def test_logarithmic_axes_use_plain_digits_and_keep_bands_positive() -> None:
    runs = np.array([[1e-4, 1.0], [2.0, 1.0], [1e-3, 1.0]])
    figure = viz.curves({"a": runs}, "Step", "Loss", x=[1, 1000], log_x=True, log_y=True)
    (outline,) = figure.axes[0].collections[0].get_paths()
    assert outline.vertices[:, 1].min() == pytest.approx(1e-4)
    shown = texts(viz.to_svg(figure))
    assert {"0.001", "0.1", "10", "1000"} <= set(shown)
    assert not [text for text in shown if "mathdefault" in text or "$" in text]


def test_curves_take_positions_by_name() -> None:
    places = {"a": [10, 20], "b": Arrayish([1, 2, 3])}
    axes = viz.curves({"a": [1, 2], "b": [1, 2, 3]}, "Step", "Loss", x=places).axes[0]
    assert [list(line.get_xdata()) for line in axes.lines] == [[10, 20], [1, 2, 3]]


@pytest.mark.parametrize(
    ("series", "options", "message"),
    [
        ({}, {}, "no series"),
        ({"a": []}, {}, r"series 'a': empty \(shape \(0,\)\)"),
        ({"a": np.ones((0, 3))}, {}, "series 'a': empty"),
        ({"a": [1.0, np.nan]}, {}, "series 'a': 1 of 2 values is not finite.*nan at index 1"),
        ({"a": [[1.0, 2], [np.inf, np.nan]]}, {}, r"2 of 4 values are.*inf at index \(1, 0\)"),
        ({"a": [[1.0, 2], [3]]}, {}, "series 'a': parts differ in size"),
        ({"a": ["x"]}, {}, "series 'a': expected real numbers"),
        ({"a": [1 + 2j]}, {}, "series 'a': expected real numbers"),
        ({"a": np.ones((1, 1, 1))}, {}, r"shape \(1, 1, 1\), expected \(points,\)"),
        ({"a": [1.0, 0.0]}, {"log_y": True}, "series 'a' holds 0.*log_y=False"),
        ({"a": [1.0, 2]}, {"x": [0, 1], "log_x": True}, "x of series 'a' holds 0.*log_x=False"),
        ({"a": [1.0, 2]}, {"x": [1, 2, 3]}, r"x of series 'a' has shape \(3,\), expected \(2,\)"),
        ({"a": [1.0, 2]}, {"x": {"b": [1, 2]}}, r"no positions for series 'a', only for \['b'\]"),
        ({"a": [1.0, 2]}, {"confidence": 95}, "confidence is 95"),
    ],
)
def test_curves_refuse_what_they_cannot_show(series, options, message) -> None:
    with pytest.raises(ValueError, match=message):
        viz.curves(series, "Epoch", "Loss", **options)


@pytest.mark.parametrize("labels", [("", "Loss"), ("Epoch", "  ")])
def test_axes_must_have_labels(labels) -> None:
    with pytest.raises(ValueError, match="label is empty"):
        viz.curves({"a": [1.0]}, *labels)


# --------------------------------------------------------------------------------------- confusion


@given(st.lists(st.tuples(st.integers(-2, 4), st.integers(-2, 4)), min_size=1, max_size=60))
def test_counts_agree_with_scikit_learn(pairs) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    labels, predictions = map(list, zip(*pairs, strict=True))
    classes = [4, -2, 0, 1, 2, 3, -1]
    counts = viz.count_confusion(Arrayish(labels), np.array(predictions), classes)
    expected = metrics.confusion_matrix(labels, predictions, labels=classes)
    np.testing.assert_array_equal(counts, expected)


def test_counts_of_names_agree_with_a_loop() -> None:
    rng = np.random.default_rng(2)
    classes = ["cat", "dog", "eel"]
    labels, predictions = rng.choice(classes, 200), rng.choice(classes, 200)
    expected = np.zeros((3, 3), int)
    for label, prediction in zip(labels, predictions, strict=True):
        expected[classes.index(label), classes.index(prediction)] += 1
    np.testing.assert_array_equal(viz.count_confusion(labels, predictions, classes), expected)


def test_confusion_matrix_prints_every_count_in_its_cell() -> None:
    counts = np.arange(9).reshape(3, 3) * 101
    axes = viz.confusion_matrix(counts, ["a", "b", "c"]).axes[0]
    shown = {text.get_position(): text.get_text() for text in axes.texts}
    assert shown == {(j, i): str(counts[i, j]) for i in range(3) for j in range(3)}
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["a", "b", "c"]
    assert axes.get_xlabel() == "Predicted class"
    assert axes.get_ylabel() == "True class"


@pytest.mark.parametrize("theme", PAPER)
def test_counts_can_be_read_on_every_shade(theme: str) -> None:
    """Contrast of at least 4.5 (WCAG 2.2, criterion 1.4.3) for every share of a class."""
    paper, page_ink = (np.array(to_rgb(c)) for c in PAPER[theme])
    shares = np.linspace(0.001, 1, 500)
    previous = 0.0
    for opacity in confusion._depth(shares):
        assert opacity >= previous, "a greater share must not look like a smaller one"
        previous = opacity
        ground = opacity * np.array(to_rgb(confusion.SHADE)) + (1 - opacity) * paper
        ink = np.ones(3) if opacity >= confusion.FULL else page_ink
        assert contrast(tuple(ink), tuple(ground)) >= 4.5


@pytest.mark.parametrize(
    ("labels", "predictions", "classes", "message"),
    [
        ([], [], [0], "labels are empty"),
        ([0], [0, 1], [0, 1], r"shape \(1,\) and predictions \(2,\)"),
        ([[0]], [[0]], [0], r"shape \(1, 1\)"),
        ([0, 7], [0, 0], [0, 1], r"label 7 is not one of the classes \[0, 1\]"),
        ([0], [2], [0, 1], "prediction 2 is not one"),
        ([float("nan")], [0], [0, 1], "label nan is not one"),
        ([0], [0], [0, 0], "listed twice"),
    ],
)
def test_counting_refuses_bad_input(labels, predictions, classes, message) -> None:
    with pytest.raises(ValueError, match=message):
        viz.count_confusion(labels, predictions, classes)


@pytest.mark.parametrize(
    ("counts", "classes", "message"),
    [
        ([], [], "counts: empty"),
        ([[1, 2]], ["a"], r"shape \(1, 2\), expected \(classes, classes\)"),
        ([[-1]], ["a"], "whole numbers"),
        ([[0.5]], ["a"], "whole numbers"),
        ([[np.nan]], ["a"], "not finite"),
        ([[1]], ["a", "b"], "2 class names for counts of shape"),
    ],
)
def test_confusion_matrix_refuses_bad_input(counts, classes, message) -> None:
    with pytest.raises(ValueError, match=message):
        viz.confusion_matrix(counts, classes)


# ------------------------------------------------------------------------------------------ images


def embedded(figure: Figure) -> list[np.ndarray]:
    """The pixels of all pictures in a figure's SVG, as drawn: undoing a flip of the axis."""
    found = []
    for element in ElementTree.fromstring(viz.to_svg(figure)).iter(f"{SVG}image"):
        data = base64.b64decode(element.get("href", "").partition(",")[2])
        pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))
        matrix = re.findall(r"[-\d.]+", element.get("transform", "").partition("matrix")[2])
        found.append(pixels[::-1] if matrix and float(matrix[3]) < 0 else pixels)
    return found


@pytest.mark.parametrize("shape", [(5, 8, 8), (5, 1, 4, 6), (3, 3, 5, 4)])
def test_grid_holds_every_pixel_as_it_is(shape) -> None:
    images = np.random.default_rng(3).integers(0, 256, shape).astype(np.uint8)
    colour = np.broadcast_to(
        images.reshape(len(images), -1, *shape[-2:]), (len(images), 3, *shape[-2:])
    )
    figure = viz.image_grid(Arrayish(images), limits=(0, 255), columns=2)
    drawn = embedded(figure)
    assert len(drawn) == len(images)
    for picture, expected in zip(drawn, colour, strict=True):
        np.testing.assert_array_equal(picture[..., :3], np.moveaxis(expected, 0, -1))


def test_ink_is_dark_on_light_and_limits_are_shared() -> None:
    images = np.zeros((2, 2, 2))
    images[1, 0, 0] = 16
    blank, dotted = embedded(viz.image_grid(images, ink=True))
    assert (blank[..., :3] == 255).all()
    assert (dotted[0, 0, :3] == 0).all()
    assert (embedded(viz.image_grid(images))[1][0, 0, :3] == 255).all()


def test_grid_shows_titles_and_lays_out_rows() -> None:
    figure = viz.image_grid(np.ones((5, 8, 8)), [f"image {i}" for i in range(5)], columns=2)
    assert {f"image {i}" for i in range(5)} <= set(texts(viz.to_svg(figure)))
    corners = [tuple(np.round(i.get_extent(), 6)) for i in figure.axes[0].images]
    assert len({c[0] for c in corners}) == 2
    assert len({c[3] for c in corners}) == 3
    for left, right, bottom, top in corners:
        assert right - left == pytest.approx(bottom - top), "square images stay square"


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        (np.ones((0, 8, 8)), {}, "images: empty"),
        ([np.ones((2, 2)), np.ones((3, 2))], {}, "images: parts differ in size"),
        (np.ones((8, 8)), {}, r"shape \(8, 8\), expected \(N, H, W\)"),
        (np.ones((2, 8, 8, 3)), {}, r"shape \(2, 8, 8, 3\), expected"),
        (np.full((1, 2, 2), np.nan), {}, "images: 4 of 4 values are not finite"),
        (np.ones((2, 8, 8)), {"titles": ["a"]}, "1 titles for 2 images"),
        (np.ones((2, 8, 8)), {"columns": 0}, "columns is 0"),
        (np.ones((2, 8, 8)), {"limits": (1, 0)}, "limits are"),
        (np.ones((2, 3, 8, 8)), {"ink": True}, "3 channels"),
    ],
)
def test_grid_refuses_bad_input(images, options, message) -> None:
    with pytest.raises(ValueError, match=message):
        viz.image_grid(images, **options)


@pytest.mark.parametrize("shape", [(16, 1, 3, 3), (32, 16, 3, 3), (4, 9, 5, 5), (6, 2, 7)])
def test_filters_show_every_weight_in_its_place(shape) -> None:
    # R3.8: learned filters drawn.
    weights = np.random.default_rng(4).normal(size=shape)
    mosaic = np.asarray(viz.filters(Arrayish(weights)).axes[0].images[0].get_array()) / 255
    weights = weights.reshape(*shape[:2], -1, shape[-1])
    outs, ins, height, width = weights.shape
    columns = min(outs, 8) if ins == 1 else max(outs, ins)
    down, across = mosaic.shape[0] * columns // (outs * ins), mosaic.shape[1] // columns
    brightness = np.array(
        [
            luminance(mosaic[_pixel(r, y, down, height), _pixel(c, x, across, width), :3])
            for o in range(outs)
            for i in range(ins)
            for r, c in [divmod(o, columns) if ins == 1 else (i, o) if outs >= ins else (o, i)]
            for y in range(height)
            for x in range(width)
        ]
    )
    order = np.argsort(weights.ravel())
    steps = np.diff(brightness[order])
    assert (steps >= -1e-9).all(), "in black and white, a greater weight is never darker"
    assert len(np.unique(brightness)) > 50


def _pixel(tile: int, index: int, size: int, cells: int) -> int:
    """Middle of a weight's square: the tile's margin is one pixel, a weight's side four."""
    assert size == 4 * cells + 2
    return tile * size + 1 + 4 * index + 2


def test_filters_are_centred_on_zero() -> None:
    weights = np.zeros((3, 1, 1, 1))
    weights[1], weights[2] = 0.01, -2.0
    figure = viz.filters(weights)
    mosaic = np.asarray(figure.axes[0].images[0].get_array())
    zero, small, low = (mosaic[3, 3 + 6 * i, :3].astype(int) for i in range(3))
    assert np.ptp(zero) < 10, "zero is grey"
    assert np.abs(zero - small).max() <= 3
    assert luminance(tuple(low / 255)) < luminance(tuple(zero / 255)) / 4
    assert {"−2", "0", "2", "Weight"} <= set(texts(viz.to_svg(figure)))
    viz.to_svg(viz.filters(np.zeros((2, 2, 3, 3))))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones((64, 10)), r"shape \(64, 10\), expected \(out_channels.*reshape"),
        (np.ones((0, 1, 3, 3)), "weights: empty"),
        (np.full((1, 1, 1, 1), np.inf), "inf at index"),
    ],
)
def test_filters_refuse_bad_input(weights, message) -> None:
    with pytest.raises(ValueError, match=message):
        viz.filters(weights)
