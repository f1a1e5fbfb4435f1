"""Running averages of weights: the closed form, swapping in and out, saving.

Covers R2.8 (weight averaging).
"""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

import groundup as gu
from groundup import nn, optim


class Model(nn.Module):
    """Two parameters, running statistics and a counter."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(gu.tensor([[1.0, 2.0]]))
        self.frozen = nn.Parameter(gu.tensor(5.0), requires_grad=False)
        self.running = nn.Buffer(gu.zeros(2))
        self.batches = nn.Buffer(gu.tensor(0))

    def move(self, to: float) -> None:
        with gu.no_grad():
            self.weight.assign(to)
            self.running.assign(10 * to)
            self.batches.assign(self.batches + 1)


def snapshot(model: Model) -> dict[str, list[float]]:
    return {name: value.tolist() for name, value in model.state_dict().items()}


@given(decay=st.floats(0, 1), path=st.lists(st.floats(-3, 3), max_size=20))
def test_the_closed_form(decay: float, path: list[float]) -> None:
    model = Model()
    ema = optim.EMA(model, decay)
    for value in path:
        model.move(value)
        ema.update()
    n = len(path)
    shares = [(1 - decay) * decay ** (n - 1 - i) for i in range(n)]
    moved = float(np.dot(shares, path))
    expected = np.array([[1, 2]]) * decay**n + moved
    np.testing.assert_allclose(ema.averages["weight"].numpy(), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ema.averages["running"].numpy(), 10 * moved, rtol=1e-4, atol=1e-4)
    assert ema.averages["frozen"].item() == 5


def test_averages_are_there_inside_and_weights_come_back_bit_for_bit() -> None:
    model = Model()
    ema = optim.EMA(model, decay=0.75)
    model.move(1 / 3)
    ema.update()
    before = snapshot(model)
    with ema.average_parameters():
        inside = snapshot(model)
        assert inside["weight"] == ema.averages["weight"].tolist() != before["weight"]
        assert inside["batches"] == 1, "a count has no average"
        with ema.average_parameters():
            assert snapshot(model) == inside
        assert snapshot(model) == inside
    assert snapshot(model) == before


def test_weights_come_back_after_an_error() -> None:
    model = Model()
    ema = optim.EMA(model, decay=0.5)
    model.move(7)
    before = snapshot(model)
    with pytest.raises(KeyError), ema.average_parameters():
        raise KeyError("in evaluation")
    assert snapshot(model) == before


def test_buffers_may_be_left_out() -> None:
    model = Model()
    ema = optim.EMA(model, decay=0.5, use_buffers=False)
    model.move(3)
    ema.update()
    assert set(ema.averages) == {"weight", "frozen"}
    with ema.average_parameters():
        assert model.running.tolist() == [30, 30]


def test_averages_follow_an_optimizer_and_stay_out_of_its_graph() -> None:
    model = Model()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    ema = optim.EMA(model, decay=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        model.weight.square().sum().backward()
        optimizer.step()
        ema.update()
    assert not any(average.requires_grad for average in ema.averages.values())
    # 0.8 of the weight is left by each step: w (1/8 + 0.8/8 + 0.64/4 + 0.512/2).
    np.testing.assert_allclose(ema.averages["weight"].numpy(), [[0.641, 1.282]], rtol=1e-6)


def test_updates_stay_in_place() -> None:
    model = Model()
    ema = optim.EMA(model)
    memory = {name: average.array for name, average in ema.averages.items()}
    model.move(2)
    ema.update()
    ema.load_state_dict(optim.EMA(model).state_dict())
    assert all(ema.averages[name].array is array for name, array in memory.items())


def test_a_resumed_average_continues_bit_for_bit(tmp_path: Path) -> None:
    def run(ema: optim.EMA, model: Model, steps: range) -> None:
        for i in steps:
            model.move(1 / (i + 1))
            ema.update()

    straight = Model()
    average = optim.EMA(straight, decay=0.9)
    run(average, straight, range(10))

    first = Model()
    ema = optim.EMA(first, decay=0.9)
    run(ema, first, range(5))
    gu.save(ema.state_dict(), tmp_path / "ema.safetensors")

    second = Model()
    second.load_state_dict(first.state_dict())
    resumed = optim.EMA(second, decay=0.9)
    resumed.load_state_dict(gu.load(tmp_path / "ema.safetensors")[0])
    run(resumed, second, range(5, 10))
    for name, value in average.state_dict().items():
        assert resumed.state_dict()[name].tolist() == value.tolist()


def test_averages_fit_the_module() -> None:
    model, other = Model(), Model()
    ema = optim.EMA(model, decay=0)
    model.move(4)
    ema.update()
    other.load_state_dict(ema.state_dict(), strict=False)
    assert other.weight.tolist() == [[4, 4]]


def test_what_does_not_fit_is_refused_and_changes_nothing() -> None:
    ema = optim.EMA(Model())
    with pytest.raises(ValueError, match=r"decay is 1\.5"):
        optim.EMA(Model(), decay=1.5)
    wrong = {"weight": gu.zeros(3), "frozen": gu.zeros(()), "other": gu.zeros(1)}
    with pytest.raises(ValueError, match="nothing was changed") as caught:
        ema.load_state_dict(wrong)
    for problem in (
        "running is missing",
        "other is not known here",
        r"weight has shape (3,), expected (1, 2)",
    ):
        assert problem in str(caught.value)
    assert ema.averages["frozen"].item() == 5
