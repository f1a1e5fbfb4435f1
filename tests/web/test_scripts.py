"""The functions behind the charts, called in the browser and compared with plain Python. R12.2."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from .browsing import Visit
from .conftest import Served

Call = Callable[..., Any]


@pytest.fixture(scope="module")
def call(browser: Any, served: Served) -> Iterator[Call]:
    """Call an expression with modules of the pages: `call("curves", "m.smooth(...a)", a)`."""
    one = Visit(browser, served.address)
    page = one.open()

    def run(module: str, expression: str, *values: Any) -> Any:
        program = f"""async (a) => {{
          const m = await import("/static/js/{module}.js");
          return {expression};
        }}"""
        return page.evaluate(program, list(values))

    yield run
    one.close()


def average(x: np.ndarray, y: np.ndarray, tau: float) -> np.ndarray:
    """The moving average as the sum that it stands for: weights exp(-distance / tau) times gaps."""
    gaps = np.concatenate([[1.0], 1 - np.exp(-np.diff(x) / tau)])
    found = []
    for i in range(len(x)):
        weights = gaps[: i + 1] * np.exp(-(x[i] - x[: i + 1]) / tau)
        found.append(float((weights * y[: i + 1]).sum() / weights.sum()))
    return np.array(found)


@pytest.mark.parametrize("tau", [0.5, 3.0, 40.0])
def test_smoothing_is_a_weighted_mean(call: Call, tau: float) -> None:
    random = np.random.default_rng(0)
    x = np.cumsum(random.exponential(1.0, 60))
    y = random.normal(size=60)
    found = call("curves", "m.smooth(...a)", x.tolist(), y.tolist(), tau)
    np.testing.assert_allclose(found, average(x, y, tau), rtol=1e-9)


def test_smoothing_keeps_what_is_constant_and_leaves_gaps(call: Call) -> None:
    x = list(range(50))
    assert call("curves", "m.smooth(...a)", x, [2.5] * 50, 7) == pytest.approx([2.5] * 50)
    y = [1.0, None, 3.0]
    found = call("curves", "m.smooth(...a)", [0, 1, 2], y, 1)
    assert found[1] is None
    assert 1 < found[2] < 3
    assert call("curves", "m.smooth(...a)", [0, 1, 2], y, 0) == y


# What is logged rarely is not flattened by what is logged often.
def test_rare_points_are_smoothed_less(call: Call) -> None:
    y = [0.0, 1.0] * 10
    dense = call("curves", "m.smooth(...a)", list(range(20)), y, 5)
    rare = call("curves", "m.smooth(...a)", [100 * i for i in range(20)], y, 5)
    assert rare == pytest.approx(y, abs=1e-6)
    assert max(dense[10:]) - min(dense[10:]) < 0.3


def test_smoothing_of_buckets_is_nearly_that_of_points(call: Call) -> None:
    random = np.random.default_rng(1)
    x = np.arange(20_000.0)
    y = np.exp(-x / 5000) + random.normal(size=len(x)) * 0.3
    tau = 400.0
    exact = call("curves", "m.smooth(...a)", x.tolist(), y.tolist(), tau)
    means, middles = y.reshape(500, 40).mean(axis=1), x.reshape(500, 40).mean(axis=1)
    coarse = call("curves", "m.smooth(...a)", middles.tolist(), means.tolist(), tau)
    at_ends = np.array(exact).reshape(500, 40)[:, -1]
    assert np.abs(np.array(coarse) - at_ends)[20:].max() < 0.03


# A closer look begins with the average that the whole curve has there.
def test_a_closer_look_is_smoothed_like_the_whole(call: Call) -> None:
    x, y = list(range(200)), [math.sin(i / 9) for i in range(200)]
    whole = call("curves", "m.smooth(...a)", x, y, 20)
    before = {"x": x, "y": y}
    part = call("curves", "m.smooth(...a)", x[120:160], y[120:160], 20, before)
    assert part == pytest.approx(whole[120:160], rel=1e-9)


APPEND = "(() => { const result = m.append(a[0], a[1]); return [result, a[0]]; })()"


def columns(count: int, **fields: Any) -> dict[str, Any]:
    return {"count": count, "grid": {"origin": 0, "width": 10, "log": False}, **fields}


def event(start: int, end: int, x: list[float] | None = None) -> dict[str, Any]:
    x = [float(i) for i in range(start, end)] if x is None else x
    return {"from": start, "to": end, "x": x, "y": [2 * i for i in x]}


@pytest.mark.parametrize(
    ("start", "end", "result", "count"),
    [(3, 5, "done", 5), (1, 5, "done", 5), (0, 3, "done", 3), (4, 6, "gap", 3), (2, 3, "done", 3)],
)
def test_new_points_are_appended_once(
    call: Call, start: int, end: int, result: str, count: int
) -> None:
    first = columns(3, x=[0.0, 1.0, 2.0], y=[0.0, 2.0, 4.0])
    found, after = call("curves", APPEND, first, event(start, end))
    assert (found, after["count"]) == (result, count)
    assert after["x"] == [float(i) for i in range(count)]
    assert after["y"] == [2.0 * i for i in range(count)]


def test_a_selection_is_not_cut(call: Call) -> None:
    first = columns(3, x=[0.0, 1.0, 2.0], y=[0.0, 2.0, 4.0])
    found, after = call("curves", APPEND, first, event(2, 50, [2.0, 20.0, 49.0]))
    assert found == "gap"
    assert after["count"] == 3


def test_points_are_appended_to_buckets(call: Call) -> None:
    first = columns(20, x=[5.0, 15.0], mean=[4.0, 14.0], low=[0.0, 10.0], high=[9.0, 19.0])
    found, after = call("curves", APPEND, first, event(20, 35))
    assert found == "done"
    assert after["x"] == [5.0, 15.0, 25.0, 35.0]
    assert after["low"] == [0.0, 10.0, 40.0, 60.0]
    assert after["high"] == [9.0, 19.0, 58.0, 68.0]
    assert after["mean"][2] == pytest.approx(np.mean([2 * i for i in range(20, 30)]))


def test_joined_runs_keep_their_values(call: Call) -> None:
    one = {"x": [0, 2, 4], "line": [1.0, 2.0, None], "raw": None, "low": None, "high": None}
    two = {"x": [1, 2], "line": [5.0, 6.0], "raw": None, "low": None, "high": None}
    program = """(() => { const { x, columns } = m.join(a, null);
      return [x, columns.map((c) => c.line.map((v) => v === undefined ? "none" : v))]; })()"""
    x, (first, second) = call("curves", program, one, two)
    assert x == [0, 1, 2, 4]
    assert first == [1.0, "none", 2.0, None]
    assert second == ["none", 5.0, 6.0, "none"]


def test_very_many_places_are_joined_on_a_grid(call: Call) -> None:
    places = range(1000)
    runs = [
        {
            "x": [i + k / 7 for i in places],
            "line": [float(i) for i in places],
            "raw": None,
            "low": [float(i) for i in places],
            "high": [i + 1.0 for i in places],
        }
        for k in range(7)
    ]
    program = "m.join(a[0], { origin: 0, width: 2, log: false })"
    found = call("curves", program, runs)
    assert len(found["x"]) == 500
    for run in found["columns"]:
        assert min(v for v in run["low"] if v is not None) == 0
        assert max(v for v in run["high"] if v is not None) == 1000


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0"), (1234567, "1,234,567"), (0.123456789, "0.12346"), (-0.5, "−0.5"), (1e-7, "1e-7"),
        (12345.678, "12,346"), (3.0e12, "3e+12"), (0.00012345678, "0.00012346"), (None, "–"),
    ],
)  # fmt: skip
def test_numbers_in_words(call: Call, value: float | None, words: str) -> None:
    assert call("format", "m.number(a[0])", value) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"), (0.25, "250 ms"), (5.04, "5.0 s"), (59, "59 s"), (61, "1 min 1 s"),
        (3600, "1 h"), (7325, "2 h 2 min"), (200_000, "2 d 7 h"), (None, "–"),
    ],
)  # fmt: skip
def test_durations_in_words(call: Call, seconds: float | None, words: str) -> None:
    assert call("format", "m.duration(a[0])", seconds) == words


@pytest.mark.parametrize("low", [1e-8, 0.003, 0.9, 7.0, 1234.0])
@pytest.mark.parametrize("ratio", [1.2, 3, 40, 1e5, 1e12])
def test_labels_of_axes(call: Call, low: float, ratio: float) -> None:
    for function in ("logTicks", "linearTicks"):
        found = call("axes", f"m.{function}(...a)", low, low * ratio, 6)
        assert 1 <= len(found) <= 20
        assert found == sorted(set(found))
        slack = low * ratio * 1e-6
        assert all(low - slack <= value <= low * ratio + slack for value in found)
        labels = call("format", "a[0].map((v, i) => m.tick(v, a[0][1] - a[0][0] || v))", found)
        if function == "linearTicks":
            assert len(set(labels)) == len(labels), (found, labels)


def test_an_address_is_read_as_it_was_written(call: Call) -> None:
    program = """(() => { const before = m.read(a[0]); Object.assign(m.state, before);
      return [before, m.read(m.address({}))]; })()"""
    hash_ = "#/curves?runs=a,b&x=time&logY=1&smoothing=0.02&range=1.5...20&text=a%20%26b&down=0"
    before, after = call("state", program, hash_)
    assert before == after
    assert before["selected"] == ["a", "b"]
    assert (before["range"], before["text"], before["down"]) == ([1.5, 20], "a &b", False)


@pytest.mark.parametrize("hash_", ["#", "#/nothing", "#/run", "#/curves?range=1&runs=%00,../x&x=é"])
def test_an_address_without_sense_is_the_first_view(call: Call, hash_: str) -> None:
    found = call("state", "m.read(a[0])", hash_)
    assert found["view"] in ("runs", "curves")
    assert found["range"] is None
    assert found["selected"] == []
