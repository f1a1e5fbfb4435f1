"""What the benchmark of growth says follows from what it measured (R1.4)."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def growth(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("growth_report")


@pytest.fixture
def machine(growth: Any) -> Any:
    return importlib.import_module("machine").Machine({16: 1e9, 256: 16e9}, {1000: 8e9, 4000: 2e9})


def test_speeds_between_measured_sizes_lie_on_a_line_of_logarithms(machine: Any) -> None:
    assert machine.product_speed(64) == pytest.approx(4e9)
    assert machine.product_speed(8) == pytest.approx(1e9)
    assert machine.product_speed(1000) == pytest.approx(16e9)
    assert machine.memory_speed(2000) == pytest.approx(4e9)


def test_an_exponent_is_that_of_the_largest_sizes(growth: Any) -> None:
    sizes = [16, 32, 64, 128, 256, 512]
    assert growth.exponent(sizes, [7.0, 7.0, *(n**1.5 for n in sizes[2:])]) == pytest.approx(1.5)


def points(growth: Any) -> list[Any]:
    found = []
    for series in growth.WORDS:
        for n in (16, 64, 256):
            seconds = n**2 / 1e7
            every = {"flops": n**3, "moved": n**2, "products_limit": n**3 / 16e9}
            one = {"ours": seconds, "torch": 3 * seconds, "ratio": 3.0, "memory_limit": 1e-9}
            found.append(growth.Point(series=series, size=n, **every, **one))
    return found


def test_the_section_has_every_size_and_both_pictures(growth: Any, machine: Any) -> None:
    text = growth.document(points(growth), machine, "one thread")
    assert "| depth 64 | 1.23 | 0.41 | 3.00 |" in text
    assert "layers^2.00, in PyTorch as layers^2.00 (the 3 largest sizes)" in text
    assert "(_static/growth.svg)" in text
    assert "(_static/roofline.svg)" in text


def test_pictures_name_their_axes_and_units(growth: Any, machine: Any) -> None:
    figure = growth.times(points(growth))
    assert [axes.get_xlabel() for axes in figure.axes] == ["width", "layers", "length"]
    assert figure.axes[0].get_ylabel() == "time of a step, ms"
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels[:2] == ["PyTorch: size^2.0", "groundup: size^2.0"]
    (axes,) = growth.roofline(points(growth), machine, "one thread").axes
    assert axes.get_xlabel() == "arithmetic intensity, FLOP/byte"
    assert axes.get_ylabel() == "speed, GFLOP/s"
    looks = [
        (line.get_marker(), line.get_linestyle(), line.get_markerfacecolor()) for line in axes.lines
    ]
    assert len(set(looks)) == len(looks), "lines are told apart without their colours"


def test_the_tables_of_races_say_who_is_ahead(growth: Any) -> None:
    report = importlib.import_module("races_report")
    from groundup.bench.report import Row, Timing

    row = Row("U-Net, small", "unet", 2, 1.0, "torch", wrong={"eager": "RuntimeError: no"})
    for peer, ratio in {"torch": 1.0, "compiled": 2.0, "torch-compile": 1.5, "jax": 2.5}.items():
        row.timings[peer] = Timing(0.01 / ratio, ratio, ratio, ratio, 0.1, 1.0)
    row.left["torch-compile"] = "no GRU"
    text = report.tables(report.STEPS, [row])
    assert "| U-Net, small | 10 | 2.00 (2.00 to 2.00) | failed |" in text
    assert "| geometric mean |  | 2.00 |  | 1.50 | 2.50 |" in text
    assert "ahead of the better of torch.compile and JAX at 0 of 1" in text
    assert "- JAX at U-Net, small, 1.25 times as fast" in text
    assert "- groundup, eager at U-Net, small: `RuntimeError: no`" in text
    assert "- torch.compile at U-Net, small: `no GRU`" in text


def test_a_mean_that_leans_on_one_row_is_shown_without_it() -> None:
    report = importlib.import_module("races_report")
    from groundup.bench.report import Row, Timing

    rows = []
    for title, ratio in {"A, x": 1.0, "B, x": 2.0, "C, x": 4.0, "MAML, x": 64.0}.items():
        row = Row(title, title, 2, 1.0, "torch")
        row.timings["torch"] = Timing(0.01, 1.0, 1.0, 1.0, 0.1, 1.0)
        row.timings["compiled"] = Timing(0.01 / ratio, ratio, ratio, ratio, 0.1, 1.0)
        rows.append(row)
    text = report.tables(report.STEPS, rows)
    assert "| geometric mean |  | 4.76 |" in text
    assert "| geometric mean without MAML |  | 2.00 |" in text
