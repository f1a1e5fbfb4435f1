"""Means, who is ahead, and the words for it (R1.4)."""

from __future__ import annotations

import math

import pytest

from groundup.bench.report import Row, Timing, ahead, behind, geometric_mean, mean_ratio, reason


def row(share: float = 1.0, **ratios: float) -> Row:
    found = Row("A step", "step", 1, share, "torch")
    for peer, ratio in ratios.items():
        name = peer.replace("_", "-")
        found.timings[name] = Timing(1 / ratio, ratio, ratio, ratio, 1.0, 1.0)
    return found


def test_a_mean_is_that_of_the_logarithms_with_shares() -> None:
    rows = [row(0.5, compiled=4.0), row(0.5, compiled=4.0), row(1.0, compiled=1.0)]
    mean, shares = mean_ratio(rows, "compiled")
    assert mean == pytest.approx(2.0)
    assert shares == 2.0


def test_a_mean_leaves_out_rows_without_a_time_and_says_so() -> None:
    mean, shares = mean_ratio([row(compiled=3.0, jax=2.0), row(compiled=3.0)], "jax")
    assert (mean, shares) == (pytest.approx(2.0), 1.0)
    mean, shares = geometric_mean([], lambda _: 1.0)
    assert math.isnan(mean)
    assert shares == 0


def test_ahead_is_of_the_better_of_the_other_compilers() -> None:
    rows = [
        row(0.5, torch=1.0, compiled=2.0, jax=1.5, torch_compile=1.9),
        row(1.0, torch=1.0, compiled=2.0, jax=2.5, torch_compile=1.0),
        row(1.0, torch=3.0, compiled=2.0, jax=1.0),  # eager PyTorch is none of them
        row(1.0, torch=1.0, compiled=2.0),
    ]
    assert ahead(rows) == (1.5, 2.5)
    assert [peer for _, peer in behind(rows)] == ["jax", "torch"]


def test_the_error_of_a_process_is_its_last_one() -> None:
    text = "Traceback (most recent call last):\n  line\nValueError: no\n  advice for it\n"
    assert reason(text) == "ValueError: no"
    assert reason("Killed") == "Killed"
    assert len(reason("RuntimeError: " + "x" * 1000)) == 200
    assert reason("") == "it ended"
