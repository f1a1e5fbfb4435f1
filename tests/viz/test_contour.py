"""Contour figures (R3.13): lines where they belong, readable without colour."""

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from matplotlib.colors import to_rgb
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure

from groundup import viz
from groundup.viz import contour

SIDE = np.linspace(-2, 2, 41)
BOWL = 0.05 + SIDE**2 + SIDE[:, None] ** 2


def figure(values: Any = BOWL, x: Any = SIDE, y: Any = SIDE, **options: Any) -> Figure:
    return viz.contours(x, y, values, "First", "Second", "Loss (nats)", **options)


def lines(drawn: Figure) -> ContourSet:
    found = [c for c in drawn.axes[0].get_children() if isinstance(c, ContourSet) and not c.filled]
    (only,) = found
    return only


def test_lines_are_where_the_values_are() -> None:
    """Of a round bowl they are circles around its middle."""
    drawn = lines(figure(levels=[0.3, 1.05, 2.0]))
    for height, path in zip(drawn.levels, drawn.get_paths(), strict=True):
        radii = np.hypot(*path.vertices.T)
        assert len(radii) > 20
        np.testing.assert_allclose(radii, np.sqrt(height - 0.05), atol=0.01)


def test_first_row_is_at_the_bottom() -> None:
    slope = np.repeat([[1.0], [2.0], [3.0]], 2, axis=1)  # rises with y
    drawn = lines(figure(slope, [0.0, 1.0], [0.0, 1.0, 2.0], levels=[1.5, 2.5], log=False))
    heights = [set(path.vertices[:, 1].round(6)) for path in drawn.get_paths()]
    assert heights == [{0.5}, {1.5}]


def test_every_line_tells_its_value_in_ink() -> None:
    drawn = figure()
    written = [text.get_text() for text in drawn.axes[0].texts]
    assert set(written) == {f"{level:g}" for level in lines(drawn).levels}
    svg = viz.to_svg(drawn)
    assert all(f">{text}<" in svg for text in written)
    assert all(label in svg for label in ("First", "Second", "Loss (nats)"))
    assert svg == viz.to_svg(drawn) == viz.to_svg(figure())


def test_shades_rise_in_lightness_and_carry_black_text() -> None:
    shades = contour._light()(np.linspace(0, 1, 20))[:, :3]
    linear = np.where(shades <= 0.04045, shades / 12.92, ((shades + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance) > 0).all()
    assert ((luminance + 0.05) / 0.05 > 4.5).all()  # contrast of black on it, WCAG 2.2
    drawn = figure()
    assert {to_rgb(text.get_color()) for text in drawn.axes[0].texts} == {(0, 0, 0)}


@given(st.floats(1e-8, 1e3), st.floats(1.01, 1e9), st.booleans())
def test_levels_are_round_and_inside(low: float, factor: float, log: bool) -> None:
    high = low * factor
    found = contour._levels(low, high, log)
    assert (np.diff(found) > 0).all()
    assert low <= found[0] <= found[-1] <= high
    assert 2 <= len(found) <= 40
    if log and factor > 100:
        assert len(found) >= contour.FEWEST
        assert all(re.fullmatch(r"[12357]|1\.5", f"{x:.1e}".split("e")[0].removesuffix(".0"))
                   for x in found)  # fmt: skip


def test_path_and_its_ends() -> None:
    path = [[-1.5, 1.0], [-0.5, 0.5], [0.0, 0.0]]
    drawn = figure(path=path, path_ends=("untrained", "trained"))
    line, start, end = drawn.axes[0].lines
    np.testing.assert_array_equal(line.get_xydata(), path)
    assert start.get_xydata().tolist() == path[:1]
    assert end.get_xydata().tolist() == path[-1:]
    assert [text.get_text() for text in drawn.legends[0].texts] == ["untrained", "trained"]
    (single,) = figure(path=path[-1:], path_ends=("", "weights")).axes[0].lines
    assert single.get_label() == "weights"


def test_what_cannot_be_drawn() -> None:
    with pytest.raises(ValueError, match=r"shape \(41, 41\), expected \(41, 2\)"):
        figure(x=[0.0, 1.0])
    with pytest.raises(ValueError, match="cannot show; draw it with log=False"):
        figure(BOWL - 1)
    assert figure(BOWL - 1, log=False).axes
    with pytest.raises(ValueError, match="a flat surface has no lines"):
        figure(np.ones((41, 41)))
    with pytest.raises(ValueError, match="values: 1 of 1681 values is not finite"):
        figure(np.where(np.arange(BOWL.size).reshape(BOWL.shape) == 7, np.nan, BOWL))
    with pytest.raises(ValueError, match="x: expected at least 2 ascending numbers"):
        figure(x=SIDE[::-1])
    with pytest.raises(ValueError, match="levels: expected at least 2 ascending"):
        figure(levels=[1.0])
    with pytest.raises(ValueError, match=r"path has shape \(2,\), expected \(points, 2\)"):
        figure(path=[0.0, 0.0])
    with pytest.raises(ValueError, match="x_label is empty"):
        viz.contours(SIDE, SIDE, BOWL, " ", "b", "c")
