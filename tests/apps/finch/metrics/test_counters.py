"""What is counted, in bounded space, and what is said of it. R14.6."""

from __future__ import annotations

import json
import random
import threading

import numpy as np
import pytest
from hypothesis import given, strategies as st

from groundup.apps.finch.errors import FinchError
from groundup.apps.finch.metrics import Metrics, Price, Prices, TaskFigures, counters
from groundup.apps.finch.metrics.history import SPAN, History
from groundup.apps.finch.metrics.latency import LEAST, Durations


@given(
    st.lists(st.floats(2e-6, 900.0), min_size=1, max_size=300), st.sampled_from([0.5, 0.9, 0.99])
)
def test_quantiles_are_within_five_percent(durations: list[float], share: float) -> None:
    found = Durations()
    for seconds in durations:
        found.add(seconds)
    expected = float(np.quantile(durations, share, method="inverted_cdf"))
    assert found.quantile(share) == pytest.approx(expected, rel=0.051)
    assert found.count == len(durations)
    assert found.total == pytest.approx(sum(durations))


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=50))
def test_cumulative_buckets_grow_to_the_count(durations: list[float]) -> None:
    found = Durations()
    for seconds in durations:
        found.add(seconds)
    counts = [count for _, count in found.figures()["buckets"]]
    assert counts == sorted(counts)
    assert counts[-1] <= found.count == len(durations)
    finite = [max(s, LEAST) if np.isfinite(s) else LEAST for s in durations]
    for bound, count in found.figures()["buckets"]:
        assert count == sum(seconds <= bound for seconds in finite)


def test_quantiles_are_of_the_last_minutes() -> None:
    now = 0.0
    durations = Durations(lambda: now)
    for _ in range(1000):
        durations.add(1.0)
    now = 310.0
    for _ in range(1000):
        durations.add(0.001)
    assert durations.quantile(0.9) == pytest.approx(1.0, rel=0.05)
    now = 620.0
    assert durations.quantile(0.9) == pytest.approx(0.001, rel=0.05)
    now = 1e6
    assert durations.quantile(0.9) is None
    assert durations.count == 2000
    assert Durations().quantile(0.5) is None


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=300), st.sampled_from([2, 4, 10]))
def test_history_is_bounded_and_loses_no_request(
    requests: list[tuple[bool, bool]], most: int
) -> None:
    history = History(most)
    for eligible, local in requests:
        history.add(eligible=eligible, local=eligible and local, error=None, bound=0.5)
    columns = history.columns()
    points = history._points
    assert {len(column) for column in columns.values()} == {len(points)}
    assert len(points) <= most
    assert sum(point.eligible for point in points) == sum(e for e, _ in requests)
    assert sum(point.local for point in points) == sum(e and s for e, s in requests)
    ends = columns["requests"]
    assert ends == sorted(set(ends))
    assert not requests or ends[-1] == len(requests)
    assert not requests or columns["bound"][-1] == 0.5


def test_the_forward_rate_is_of_the_last_points() -> None:
    history = History(most=100)
    for number in range(100):
        history.add(eligible=True, local=number >= 50, error=None, bound=None)
    forward = history.columns()["forward"]
    assert forward[:50] == [1.0] * 50
    assert forward[50] == 1 - 1 / SPAN
    assert forward[60:] == [0.0] * 40


def test_what_is_told_is_what_happened() -> None:
    draw = random.Random(0)
    metrics = Metrics(Prices({"large": Price(3.0, 15.0)}))
    seen: list[str] = []
    for _ in range(2500):
        seen.append(draw.choice(["pass", "forward", "audit", "local", "local"]))
        metrics.request(seen[-1], model="large-1", input_tokens=100, output_tokens=10)
    found = metrics.snapshot()
    assert found["requests"] == {name: seen.count(name) for name in found["requests"]}
    recent = seen[-counters.RECENT :]
    eligible = [one for one in recent if one != "pass"]
    assert found["recent"]["eligible"] == len(eligible)
    assert found["recent"]["local_rate"] == recent.count("local") / len(recent)
    assert found["recent"]["forward_rate"] == 1 - eligible.count("local") / len(eligible)
    local = seen.count("local")
    assert found["saved"] == {
        "requests": local,
        "input_tokens": 100 * local,
        "output_tokens": 10 * local,
        "unpriced": 0,
        "money": pytest.approx(local * (300 + 150) / 1e6),
        "currency": "USD",
    }
    json.dumps(found, allow_nan=False)


def test_nothing_yet_is_told_as_nothing() -> None:
    found = Metrics().snapshot()
    assert found["recent"]["forward_rate"] is None
    assert found["audits"]["error"] is None
    assert found["worst"] is None
    assert found["saved"]["money"] is None  # no prices are set, so nothing is claimed
    assert found["history"]["requests"] == []
    json.dumps(found, allow_nan=False)


def test_the_observed_error_is_unbiased_whatever_the_rate_of_audits() -> None:
    """Answers that are wrong in a third of the time when audits are rare, and never before."""
    draw = random.Random(1)
    metrics = Metrics()
    wrong = 0
    for number in range(40_000):
        propensity = 0.5 if number < 20_000 else 0.05
        bad = number >= 20_000 and draw.random() < 1 / 3
        wrong += bad
        if draw.random() < propensity:
            metrics.audited(not bad, propensity)
    audits = metrics.snapshot()["audits"]
    assert audits["error"] == pytest.approx(wrong / 40_000, rel=0.1)
    assert 1 - audits["agreement"] < wrong / 40_000 / 3  # the plain share would say far less


def test_a_bound_is_told_beside_the_error_of_the_same_task() -> None:
    metrics = Metrics()
    metrics.request("forward")
    for name, bound, error in (("good", 0.02, 0.01), ("bad", 0.3, 0.2), ("new", None, None)):
        metrics.task(TaskFigures("0a", name, "m", "serving", 9, 9, 9, 0, bound, error))
    metrics.audited(True, 0.5)
    metrics.request("local")
    found = metrics.snapshot()
    assert found["worst"] == next(one for one in found["tasks"] if one["task"] == "bad")
    assert (found["history"]["error"], found["history"]["bound"]) == ([None, 0.2], [None, 0.3])
    assert found["audits"]["error"] == 0.0  # over all tasks, which no bound is of
    metrics.task(TaskFigures("0a", "bad", "m", "learning", 9, 9, 9, 0, None))
    assert metrics.snapshot()["worst"]["task"] == "good"


def test_memory_is_bounded_against_names_that_never_end() -> None:
    metrics = Metrics()
    for number in range(500):
        metrics.took(f"stage {number}", 0.1)
        metrics.task(TaskFigures("0a", f"{number}", "m", "", 1, 0, 0, 0, None))
        metrics.request("local", model=f"model {number}")
    found = metrics.snapshot()
    assert len(found["stages"]) == counters.MOST_STAGES + 1
    assert sum(stage["count"] for stage in found["stages"].values()) == 500
    assert len(found["tasks"]) == counters.MOST_TASKS
    assert found["tasks"][0]["task"] == "499"  # the newest first
    assert found["saved"]["unpriced"] == 500


def test_threads_may_count_at_once() -> None:
    metrics = Metrics()

    def work() -> None:
        for _ in range(100):
            metrics.request("local", latencies={"a": 0.1})
            metrics.snapshot()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = metrics.snapshot()
    assert found["requests"]["local"] == found["stages"]["a"]["count"] == 400


def test_wrong_figures_are_refused() -> None:
    with pytest.raises(ValueError, match="decision 'remote', expected one of"):
        Metrics().request("remote")
    for propensity in (0.0, 1.5, float("nan")):
        with pytest.raises(ValueError, match="expected above 0 and at most 1"):
            Metrics().audited(True, propensity)
    for cost in (-1.0, float("nan"), float("inf")):
        with pytest.raises(FinchError, match="expected 0 or more"):
            Price(cost, 1.0)


def test_a_price_is_that_of_the_longest_fitting_name() -> None:
    prices = Prices({"a": Price(1, 1), "a-large": Price(2, 2), "a-large-4.5": Price(3, 3)})
    for model, expected in (
        ("a", 1), ("a-small", 1), ("a-large", 2), ("a-large-20270101", 2), ("a-large-4.5", 3),
        ("a-large-4", 2), ("a-larger", 1), ("ab", None), ("", None), ("b-a", None),
    ):  # fmt: skip
        found = prices.of(model)
        assert (found and found.input) == expected, model
