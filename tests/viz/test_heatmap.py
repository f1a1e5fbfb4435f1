"""Matrices as shaded fields: every value in its place, one scale, readable in grey. R3.13."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.image import AxesImage

from groundup import viz

FIELDS = {"a": [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]], "b": [[-1.0, 7.0]]}


def images(figure) -> list[AxesImage]:
    return [axes.images[0] for axes in figure.axes if axes.images]


def test_every_value_is_in_its_place_on_one_scale() -> None:
    figure = viz.heatmaps(FIELDS, "Step", "Layer", "Norm")
    for image, values in zip(images(figure), FIELDS.values(), strict=True):
        np.testing.assert_array_equal(image.get_array(), values)
        assert (image.norm.vmin, image.norm.vmax) == (-1.0, 7.0)
    assert [axes.get_title(loc="left") for axes in figure.axes[:2]] == ["a", "b"]
    assert figure.axes[-1].get_ylabel() == "Norm"


def test_the_order_of_values_survives_without_colour() -> None:
    figure = viz.heatmaps({"": [np.arange(50.0)]}, "Step", "Layer", "Norm")
    (image,) = images(figure)
    red, green, blue, _ = image.cmap(image.norm(np.arange(50.0))).T
    assert (np.diff(0.2126 * red + 0.7152 * green + 0.0722 * blue) > 0).all()


def test_a_logarithmic_scale_has_equal_steps_and_leaves_zeros_blank() -> None:
    figure = viz.heatmaps({"": [[0.0, 1e-4, 1e-2, 1.0]]}, "Step", "Layer", "Norm", log=True)
    (image,) = images(figure)
    assert image.get_array().mask.tolist() == [[True, False, False, False]]
    np.testing.assert_allclose(image.norm([1e-4, 1e-2, 1.0]), [0, 0.5, 1])


def test_names_stand_at_their_cells_and_are_thinned_where_many() -> None:
    names = {"a": ["x", "=", "y"], "b": ["u", "v"]}
    figure = viz.heatmaps(FIELDS, "Read", "Written", "Weight", x=names)
    for axes, expected in zip(figure.axes, names.values(), strict=False):
        assert [t.get_text() for t in axes.get_xticklabels()] == expected
    many = viz.heatmaps({"": np.ones((2, 300))}, "Step", "Layer", "Norm", x=range(0, 3000, 10))
    shown = [int(t.get_text()) for t in many.axes[0].get_xticklabels()]
    assert 3 <= len(shown) <= 12
    assert [10 * place for place in many.axes[0].get_xticks()] == shown


def test_numbers_can_be_read_on_their_cells() -> None:
    figure = viz.heatmaps({"": [[0.0, 0.5, 1.0]]}, "Read", "Written", "Weight", numbers=True)
    (image,) = images(figure)
    texts = figure.axes[0].texts
    assert [text.get_text() for text in texts] == ["0.00", "0.50", "1.00"]
    for text, value in zip(texts, (0.0, 0.5, 1.0), strict=True):
        cell = luminance(image.cmap(float(image.norm(value)))[:3])
        ink = 1.0 if text.get_color() == "white" else 0.02
        assert (max(cell, ink) + 0.05) / (min(cell, ink) + 0.05) > 3.5


def luminance(rgb) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def test_what_lies_beyond_the_limits_is_marked_at_the_scale() -> None:
    drawn = viz.to_svg(viz.heatmaps(FIELDS, "Step", "Layer", "Norm", limits=(0, 5)))
    assert "<svg" in drawn
    (_, last) = images(viz.heatmaps(FIELDS, "Step", "Layer", "Norm", limits=(0, 5)))
    assert last.colorbar.extend == "both"


@pytest.mark.parametrize(
    ("panels", "options", "message"),
    [
        ({}, {}, "no panels given"),
        ({"a": [1.0]}, {}, r"shape \(1,\), expected \(rows, columns\)"),
        ({"a": [[np.nan]]}, {}, "not finite"),
        ({"a": [[1.0]]}, {"x": "ab"}, "x has 2 names for panel 'a', expected 1"),
        ({"a": [[1.0]]}, {"y": {"b": "a"}}, "y has no names for panel 'a'"),
        ({"a": [[-1.0]]}, {"log": True}, "logarithmic scale cannot show"),
        ({"a": [[0.0]]}, {"log": True}, "needs a value above zero"),
        ({"a": [[1.0]]}, {"limits": (2, 1)}, "expected low < high"),
        ({"a": [[1.0]]}, {"limits": (0, 1), "log": True}, "expected 0 < low < high"),
        ({"a": [[1.0]]}, {"columns": 0}, "columns is 0"),
    ],
)
def test_what_cannot_be_drawn_is_refused(panels, options, message) -> None:
    with pytest.raises(ValueError, match=message):
        viz.heatmaps(panels, "Step", "Layer", "Norm", **options)
