"""Summaries: shapes, parameters and operations agree with what is counted by hand."""

from __future__ import annotations

from typing import Any

import pytest

import groundup as gu
from groundup import nn


def cnn() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 10),
    )


def test_rows_hold_shapes_parameters_and_multiply_adds() -> None:
    rows = {row.name: row for row in cnn().summary(gu.zeros(2, 1, 8, 8)).rows}
    assert rows["0"].output == ((2, 4, 8, 8),)
    assert rows["0"].parameters == 4 * 9 + 4
    convolution = 2 * 4 * 64 * 9
    bias = 2 * 4 * 64
    assert convolution <= rows["0"].operations <= convolution + bias
    assert rows["1"].operations == bias
    assert rows["2"].output == ((2, 4, 4, 4),)
    assert rows["3"].operations == 0  # only moves
    assert rows["4"].kind == "Linear"
    assert 2 * 64 * 10 <= rows["4"].operations <= 2 * 65 * 10
    assert rows[""].output == ((2, 10),)
    assert rows[""].operations == 0  # what is below it counts there


def test_totals_are_the_sums_of_the_rows() -> None:
    net = cnn()
    net[0].requires_grad_(False)
    found = net.summary(gu.zeros(2, 1, 8, 8))
    assert found.parameters == sum(p.numel() for p in net.parameters()) == 690
    assert found.parameters == sum(row.parameters for row in found.rows)
    assert found.operations == sum(row.operations for row in found.rows)
    assert found.trainable == 650


def test_it_prints_as_an_aligned_table() -> None:
    net = cnn()
    net[0].requires_grad_(False)
    lines = str(net.summary(gu.zeros(2, 1, 8, 8))).splitlines()
    assert lines[0].split() == ["name", "kind", "output", "parameters", "operations"]
    assert lines[-1] == "trainable: 650 of 690 parameters"
    assert lines[-2].split()[0] == "total"
    assert len({len(line) for line in lines[:-1]}) == 1
    assert repr(net.summary(gu.zeros(2, 1, 8, 8))) == "\n".join(lines)


class Branches(nn.Module):
    """A layer called twice, one never called, several outputs, work of its own."""

    def __init__(self) -> None:
        self.shared = nn.Linear(3, 3)
        self.unused = nn.Linear(5, 5)
        self.extra = nn.Parameter(gu.ones(3))

    def forward(self, x: gu.Tensor, *, scale: float) -> dict[str, Any]:
        y = self.shared(self.shared(x))
        return {"y": y * scale, "more": [y.sum(0), 1]}


def test_repeated_calls_add_up_and_own_work_is_counted() -> None:
    rows = {row.name: row for row in Branches().summary(gu.zeros(2, 3), scale=2.0).rows}
    assert rows["shared"].calls == 2
    assert rows["shared"].operations >= 2 * 18
    assert rows["unused"].calls == rows["unused"].operations == 0
    assert rows["unused"].output == ()
    assert rows["unused"].parameters == 30
    assert rows[""].parameters == 3
    assert rows[""].output == ((2, 3), (3,))
    assert rows[""].operations == 12  # y * scale and y.sum(0)


def test_shared_parameters_count_once() -> None:
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    net[1].weight = net[0].weight
    found = net.summary(gu.zeros(1, 3))
    assert found.parameters == 15
    assert [row.parameters for row in found.rows] == [0, 12, 3]


def test_nothing_is_changed_also_when_the_call_fails(seed: int) -> None:
    net = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(), nn.Linear(3, 2))
    net[1].eval()
    state = {name: x.clone() for name, x in net.state_dict().items()}
    generator = gu.default_generator.get_state()
    net.summary(gu.randn(4, 3))
    with pytest.raises(ValueError, match="expected"):
        net.summary(gu.randn(4, 7))
    assert all(gu.equal(x, state[name]) for name, x in net.state_dict().items())
    assert [m.training for m in net.modules()] == [True, True, False, True]
    assert all(m._hooks is None for m in net.modules())
    assert gu.is_grad_enabled()
    gu.randn(8, 3)
    after = gu.default_generator.get_state()
    gu.default_generator.set_state(generator)
    gu.randn(4, 3)
    gu.randn(4, 7)
    gu.randn(8, 3)
    assert gu.default_generator.get_state() == after
