"""Thinning keeps what can be seen: nothing between the least and the greatest value is lost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays

from groundup.web.buckets import Grid, bucketed, rounded

values = st.floats(-1e6, 1e6, width=32) | st.sampled_from([np.nan, np.inf, -np.inf])


# R12.2: a million points stay smooth, and no peak is lost
@given(arrays(np.float64, st.integers(1, 200), elements=values), st.integers(1, 50), st.data())
def test_buckets_agree_with_a_loop(y: np.ndarray, parts: int, data: st.DataObject) -> None:
    steps = data.draw(arrays(np.int64, len(y), elements=st.integers(0, 300)))
    x = np.sort(steps).astype(np.float64)
    grid = Grid.over(float(x[0]), float(x[-1]), parts)
    found = bucketed(x, y, grid)

    groups: dict[int, list[float]] = {}
    for place, value in zip(x, y, strict=True):
        groups.setdefault(int(np.floor((place - grid.origin) / grid.width)), []).append(value)
    assert len(found.x) == len(groups)
    for i, part in enumerate(sorted(groups)):
        good = [v for v in groups[part] if np.isfinite(v)]
        assert found.bad[i] == len(groups[part]) - len(good)
        assert grid.part(found.x[i : i + 1])[0] == part
        if good:
            assert found.low[i] == min(good)
            assert found.high[i] == max(good)
            np.testing.assert_allclose(found.mean[i], np.mean(good), atol=1e-6)
        else:
            assert np.isnan([found.mean[i], found.low[i], found.high[i]]).all()


@given(st.floats(1e-3, 1e3), st.floats(1.01, 1e6), st.integers(1, 1000))
def test_a_logarithmic_grid_has_equal_ratios(low: float, ratio: float, parts: int) -> None:
    grid = Grid.over(low, low * ratio, parts, log=True)
    middles = grid.middle(np.arange(parts))
    np.testing.assert_allclose(middles[1:] / middles[:-1], ratio ** (1 / parts), rtol=1e-9)
    np.testing.assert_array_equal(grid.part(middles), np.arange(parts))


def test_one_place_is_one_bucket() -> None:
    found = bucketed(np.full(5, 3.0), np.arange(5.0), Grid.over(3.0, 3.0, 10))
    assert (found.low[0], found.high[0], found.mean[0], len(found.x)) == (0.0, 4.0, 2.0, 1)


@given(arrays(np.float64, 30, elements=st.floats(-1e300, 1e300)))
def test_rounding_keeps_seven_digits(x: np.ndarray) -> None:
    np.testing.assert_allclose(np.array(rounded(x), dtype=np.float64), x, rtol=5.1e-7)


def test_a_peak_among_a_million_is_kept() -> None:
    y = np.zeros(1_000_000)
    y[654_321] = 9.0
    x = np.arange(1e6)
    found = bucketed(x, y, Grid.over(0.0, 1e6, 600))
    assert found.high.max() == 9.0
    assert found.x[found.high.argmax()] == pytest.approx(654_321, abs=1e6 / 600)
