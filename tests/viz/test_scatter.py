"""Scatter: points where they belong, names that cover nothing, groups told apart without colour."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from groundup import viz
from groundup.viz.scatter import MARK


def crowd(count: int = 60, spread: float = 1.0) -> Figure:
    random = np.random.default_rng(0)
    points = random.normal(scale=spread, size=(count, 2))
    names = [f"name{i}" for i in range(count)]
    groups = [f"group {i % 3}" for i in range(count)]
    return viz.scatter(points, names, groups, x_label="First", y_label="Second")


def boxes(figure: Figure) -> list[Bbox]:
    figure.draw_without_rendering()
    return [text.get_window_extent() for text in figure.axes[0].texts]


@pytest.mark.parametrize("count", [5, 60, 200])
def test_names_cover_neither_names_nor_points_and_stay_inside(count: int) -> None:
    figure = crowd(count)
    found = boxes(figure)
    for one, other in itertools.combinations(found, 2):
        assert not one.overlaps(other)
    axes = figure.axes[0]
    at = axes.transData.transform(np.concatenate([line.get_xydata() for line in axes.lines]))
    radius = 0.4 * MARK * figure.dpi / 72
    for box in found:
        clear = (
            (at[:, 0] < box.x0 - radius) | (at[:, 0] > box.x1 + radius)
            | (at[:, 1] < box.y0 - radius) | (at[:, 1] > box.y1 + radius)
        )  # fmt: skip
        assert clear.all()
        assert axes.get_window_extent().expanded(1.001, 1.001).containsx(box.x0)
        assert axes.get_window_extent().expanded(1.001, 1.001).containsx(box.x1)
    assert len(found) == count if count == 5 else 10 < len(found) < count


def test_a_name_stands_beside_its_own_point() -> None:
    figure = crowd(40)
    figure.draw_without_rendering()
    axes = figure.axes[0]
    for text in axes.texts:
        at = axes.transData.transform(text.xy)  # type: ignore[attr-defined]
        box = text.get_window_extent()
        nearest = np.clip(at, (box.x0, box.y0), (box.x1, box.y1))
        assert np.linalg.norm(at - nearest) < 2 * MARK * figure.dpi / 72


def test_points_at_one_place_are_named_to_the_right_and_left_and_then_no_more() -> None:
    figure = viz.scatter(
        np.zeros((20, 2)), [f"the same {i}" for i in range(20)], x_label="x", y_label="y"
    )
    found = [text.get_text() for text in figure.axes[0].texts]
    assert found == ["the same 0", "the same 1"]
    left, right = sorted(boxes(figure), key=lambda box: box.x0)
    assert left.x1 < right.x0


def test_drawing_again_changes_nothing() -> None:
    figure = crowd()
    assert viz.to_svg(figure) == viz.to_svg(figure) == viz.to_svg(crowd())


def test_groups_differ_by_marker_and_by_filling_beyond_seven() -> None:
    groups = [f"g{i}" for i in range(14)]
    figure = viz.scatter(np.eye(14, 2), groups=groups, x_label="x", y_label="y")
    marks = [(line.get_marker(), line.get_fillstyle(), line.get_markerfacecolor() == "none")
             for line in figure.axes[0].lines]  # fmt: skip
    assert len(set(marks)) == 14
    [legend] = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == groups
    assert not figure.axes[0].texts
    for kind, line in zip(groups, figure.axes[0].lines, strict=True):
        assert kind in figure.get_label()
        assert len(line.get_xydata()) == 1  # type: ignore[arg-type]


def test_an_empty_name_is_not_drawn() -> None:
    figure = viz.scatter([[0, 0], [1, 1]], ["", "one"], x_label="x", y_label="y")
    assert [text.get_text() for text in figure.axes[0].texts] == ["one"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"points": [[1.0, 2.0, 3.0]]}, "expected \\(points, 2\\)"),
        ({"points": [[1.0, float("nan")]]}, "not finite"),
        ({"labels": ["a", "b", "c"]}, "3 labels for 2 points"),
        ({"groups": ["a"]}, "1 groups for 2 points"),
        ({"x_label": " "}, "x_label is empty"),
        (
            {"points": np.zeros((15, 2)), "groups": [str(i) for i in range(15)]},
            "15 groups, expected at most 14",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused(arguments: dict[str, object], message: str) -> None:
    usual: dict[str, object] = {"points": [[0.0, 0.0], [1.0, 1.0]], "x_label": "x", "y_label": "y"}
    with pytest.raises(ValueError, match=message):
        viz.scatter(**usual | arguments)  # type: ignore[arg-type]
