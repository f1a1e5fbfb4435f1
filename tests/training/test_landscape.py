"""Loss landscapes (R3.13): surfaces over two directions in the space of weights."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

import groundup as gu
import groundup.nn.functional as F
from groundup import nn, optim
from groundup.training import (
    Landscape,
    directions_of_path,
    evaluate,
    filter_normalised_direction,
    loss_landscape,
)


@given(st.integers(0, 100), st.integers(2, 5), st.floats(0.1, 3), st.integers(1, 4))
def test_a_quadratic(seed: int, points: int, span: float, size: int) -> None:
    """Of a linear model the surface is known: the mean of (x (w + a u + b v) - y)^2."""
    g = gu.Generator(seed)
    x, y = (gu.randn(4, n, generator=g, dtype=gu.float64) for n in (3, 1))
    model = nn.Linear(3, 1, bias=False).double()
    u, v = (gu.randn(1, 3, generator=g, dtype=gu.float64) for _ in range(2))
    batches = [(x[i : i + size], y[i : i + size]) for i in range(0, 4, size)]
    found = loss_landscape(
        model, F.mse_loss, batches, ({"weight": u}, {"weight": v}), span=span, points=points
    )
    steps = np.linspace(-span, span, points)
    weight = model.weight.detach().numpy()
    wanted = [
        [np.mean((x.numpy() @ (weight + a * u.numpy() + b * v.numpy()).T - y.numpy()) ** 2)
         for a in steps]
        for b in steps
    ]  # fmt: skip
    np.testing.assert_allclose(found.loss.numpy(), wanted, rtol=1e-9)
    np.testing.assert_allclose(found.x.numpy(), steps, rtol=1e-12)
    np.testing.assert_allclose(found.y.numpy(), steps, rtol=1e-12)


def test_the_middle_is_the_model_itself(task: Callable[..., Any]) -> None:
    task = task()
    batches = list(task.data)
    surface = loss_landscape(task.model, task.loss, batches, points=3, span=0.5).loss
    there = evaluate(task.model, batches, {"loss": task.loss})["loss"]
    assert surface[1, 1].item() == pytest.approx(there, rel=1e-6)
    assert surface.min().item() < surface.max().item()


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_left_as_found(task: Callable[..., Any], fails: bool) -> None:
    task = task()
    batches = list(task.data)
    task.model[3].eval()
    calls = [0]

    def loss(output: gu.Tensor, target: gu.Tensor) -> gu.Tensor:
        calls[0] += 1
        assert not output.requires_grad
        if fails and calls[0] == 20:
            raise ZeroDivisionError
        return task.loss(output, target)

    before = task.weights(), [m.training for m in task.model.modules()]
    own = [id(p) for p in task.model.parameters()]
    if fails:
        with pytest.raises(ZeroDivisionError):
            loss_landscape(task.model, loss, batches, points=3)
    else:
        loss_landscape(task.model, loss, batches, points=3)
    assert before == (task.weights(), [m.training for m in task.model.modules()])
    assert own == [id(p) for p in task.model.parameters()]


def test_filters_have_the_norms_of_the_models_own() -> None:
    gu.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 3, 2), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3, 2))
    way = filter_normalised_direction(model, gu.Generator(1))
    for name, weight in model.named_parameters():
        assert way[name].shape == weight.shape
        if weight.dim() == 1:  # biases, and the gain of the normalisation
            assert way[name].abs().max().item() == 0
            continue
        for own, new in zip(weight.detach().numpy(), way[name].numpy(), strict=True):
            assert np.linalg.norm(new) == pytest.approx(np.linalg.norm(own), rel=1e-5)
            assert not np.allclose(new, own)
    again = filter_normalised_direction(model, gu.Generator(1))
    other = filter_normalised_direction(model, gu.Generator(2))
    assert all(gu.equal(way[name], again[name]) for name in way)
    assert not gu.equal(way["0.weight"], other["0.weight"])


def test_rescaling_that_changes_nothing_changes_no_landscape() -> None:
    """Why filters are normalised: with ReLU, ten times here and a tenth there is the same network.

    The directions scale along, so the same random numbers give the same surface.
    """
    gu.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 8, bias=False), nn.ReLU(), nn.Linear(8, 2)).double()
    batch = (gu.randn(9, 3, dtype=gu.float64), gu.randint(0, 2, (9,)))

    def surface() -> np.ndarray:
        found = loss_landscape(model, F.cross_entropy, [batch], points=5, generator=gu.Generator(7))
        return found.loss.numpy()

    before = surface()
    state = {name: x.clone() for name, x in model.state_dict().items()}
    model.load_state_dict(state | {"0.weight": state["0.weight"] * 10,
                                   "2.weight": state["2.weight"] / 10})  # fmt: skip
    np.testing.assert_allclose(surface(), before, rtol=1e-9)


def trained_path() -> tuple[nn.Module, list[dict[str, gu.Tensor]], Any]:
    gu.manual_seed(3)
    model = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    batch = (gu.randn(20, 2, dtype=gu.float64), gu.randint(0, 2, (20,)))
    sgd = optim.SGD(model.parameters(), lr=0.5)
    path = []
    for _ in range(8):
        path.append({name: p.clone() for name, p in model.state_dict().items()})
        sgd.zero_grad()
        F.cross_entropy(model(batch[0]), batch[1]).backward()
        sgd.step()
    model.load_state_dict(path[-1])
    return model, path, batch


def test_principal_components_of_a_path() -> None:
    model, path, _ = trained_path()
    plane = directions_of_path(model, path)
    rows = np.stack([np.concatenate([x.numpy().ravel() for x in s.values()]) for s in path])
    values, vectors = np.linalg.eigh(np.cov(rows.T))
    assert plane.explained == pytest.approx(tuple(values[[-1, -2]] / values.sum()))
    for i, direction in enumerate(plane.directions):
        way = np.concatenate([x.numpy().ravel() for x in direction.values()])
        assert abs(way @ vectors[:, -1 - i]) == pytest.approx(1)
        along = (rows - rows[-1]) @ way
        np.testing.assert_allclose(plane.coordinates.numpy()[:, i], along, atol=1e-12)
    for (low, high), numbers in zip(plane.span, plane.coordinates.numpy().T, strict=True):
        assert low < min(0, *numbers) <= max(0, *numbers) < high


def test_the_surface_along_a_path_is_the_loss_of_training() -> None:
    """Of snapshots that lie in a plane the path is on the surface."""
    model, path, batch = trained_path()
    corner = [path[0], path[4], path[7]]  # three points are in a plane
    plane = directions_of_path(model, corner)
    assert sum(plane.explained) == pytest.approx(1)
    for snapshot, (a, b) in zip(corner, plane.coordinates.tolist(), strict=True):
        there = loss_landscape(
            model, F.cross_entropy, [batch], plane.directions, span=((a, a + 1), (b, b + 1)),
            points=2,
        )  # fmt: skip
        model.load_state_dict(snapshot)
        wanted = F.cross_entropy(model(batch[0]), batch[1]).item()
        model.load_state_dict(path[7])
        assert there.loss[0, 0].item() == pytest.approx(wanted, rel=1e-9)


def test_far_away_the_loss_may_be_no_number() -> None:
    model = nn.Linear(1, 1, bias=False)
    way = {"weight": gu.full((1, 1), 1e30)}
    found = loss_landscape(model, F.mse_loss, [(gu.ones(1, 1), gu.ones(1, 1))], (way, {}), points=2)
    assert isinstance(found, Landscape)
    assert math.isinf(found.loss[0, 0].item())


def test_errors_say_what_to_do() -> None:
    model, batch = nn.Linear(2, 1), (gu.ones(3, 2), gu.ones(3, 1))

    def surface(*directions: Any, batches: Any = (batch,), **options: Any) -> Any:
        return loss_landscape(model, F.mse_loss, batches, directions or None, **options)

    with pytest.raises(KeyError, match="Linear has no parameter 'x'; it has weight, bias"):
        surface({"x": gu.ones(1)}, {})
    with pytest.raises(ValueError, match=r"bias has shape \(2,\), expected \(1,\)"):
        surface({}, {"bias": gu.ones(2)})
    with pytest.raises(ValueError, match="points 1, expected at least 2"):
        surface(points=1)
    for span in (0.0, -1.0, ((0.0, 1.0), (2.0, 1.0))):
        with pytest.raises(ValueError, match="expected a number above 0 or"):
            surface(span=span)
    with pytest.raises(ValueError, match="no batch, expected at least one"):
        surface(batches=[])
    state = model.state_dict()
    with pytest.raises(ValueError, match="2 snapshots, expected at least 3"):
        directions_of_path(model, [state] * 2)
    with pytest.raises(ValueError, match="all snapshots are the same"):
        directions_of_path(model, [state] * 3)
    with pytest.raises(KeyError, match="snapshot 1 lacks bias"):
        directions_of_path(model, [state, {"weight": state["weight"]}, state])
    with pytest.raises(ValueError, match=r"weight has shape \(1,\), expected \(1, 2\)"):
        directions_of_path(model, [state, state | {"weight": gu.ones(1)}, state])
