"""The whole system on one page: data, model, training, a file, the same prediction.

Read this first. Two interleaved half circles of points are told apart by a network with one hidden
layer; a straight line gets 88 % of them right. Shows R1.1, R1.2, R1.3, R1.5, R2.2, R2.3 and R2.9 at
work together.
"""

from __future__ import annotations

import math
from pathlib import Path

import groundup as gu
import groundup.nn.functional as F
from groundup import nn, optim


def half_circles(n: int) -> tuple[gu.Tensor, gu.Tensor]:
    """Points (2n, 2) of an upper and a lower half circle with noise, and their classes (2n,)."""
    angle = gu.rand(n) * math.pi
    upper = gu.stack([angle.cos(), angle.sin()], dim=1)
    lower = gu.stack([1 - angle.cos(), 0.5 - angle.sin()], dim=1)
    points = gu.cat([upper, lower]) + 0.1 * gu.randn(2 * n, 2)
    return points, gu.cat([gu.zeros(n), gu.ones(n)]).long()


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))


def train(model: nn.Module, steps: int) -> list[float]:
    points, classes = half_circles(100)
    optimizer = optim.Adam(model.parameters(), lr=0.03)
    losses = []
    for _ in range(steps):
        loss = F.cross_entropy(model(points), classes)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_the_whole_system(tmp_path: Path) -> None:
    gu.manual_seed(0)
    model = network()
    losses = train(model, steps=150)
    assert losses[-1] < 0.1 < 0.5 < losses[0]

    points, classes = half_circles(500)  # not seen in training
    with gu.no_grad():
        prediction = model(points)
    assert (prediction.argmax(dim=1) == classes).float().mean() > 0.97

    file = tmp_path / "model.safetensors"
    gu.save(model.state_dict(), file, metadata={"steps": len(losses)})
    again = network()  # with other initial weights
    assert not gu.allclose(again(points), prediction)
    weights, metadata = gu.load(file)
    again.load_state_dict(weights)
    assert metadata == {"steps": 150}
    with gu.no_grad():
        assert gu.equal(again(points), prediction)  # to the last bit

    gu.manual_seed(0)
    assert train(network(), steps=150) == losses  # the same seed: the same run
