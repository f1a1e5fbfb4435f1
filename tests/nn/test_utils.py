"""Clipping, parameter vectors, penalties (R2.3, R2.8)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

import groundup as gu
from groundup import nn
from groundup.nn.utils import (
    clip_grad_norm_,
    clip_grad_value_,
    parameters_to_vector,
    vector_to_parameters,
)


def with_gradients(*gradients: list[float]) -> list[nn.Parameter]:
    parameters = [nn.Parameter(gu.zeros(len(g))) for g in gradients]
    for p, g in zip(parameters, gradients, strict=True):
        p.grad = gu.tensor(g)
    return parameters


numbers = st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=4)


@given(numbers, numbers, st.sampled_from([1.0, 2.0, 3.0, math.inf]), st.floats(0.1, 10))
def test_the_common_norm_is_bounded_and_the_direction_kept(
    a: list[float], b: list[float], p: float, bound: float
) -> None:
    parameters = with_gradients(a, b)
    before = np.array(a + b)
    norm = np.linalg.norm(before, p)
    assert clip_grad_norm_(parameters, bound, p).item() == pytest.approx(norm, rel=1e-5, abs=1e-30)
    after = np.concatenate([q.grad.numpy() for q in parameters])
    assert np.linalg.norm(after, p) <= bound * (1 + 1e-5)
    factor = min(1.0, bound / (norm + 1e-6))
    np.testing.assert_allclose(after, before * factor, rtol=1e-4, atol=1e-5)


def test_gradients_are_clipped_in_their_own_memory() -> None:
    (p,) = with_gradients([30.0, 40.0])
    gradient = p.grad
    clip_grad_norm_(p, 5.0)
    assert p.grad is gradient
    clip_grad_value_([p], 3.5)
    assert p.grad is gradient
    np.testing.assert_allclose(gradient.numpy(), [3.0, 3.5], rtol=1e-6)


def test_what_has_no_gradient_is_left_out() -> None:
    p = nn.Parameter(gu.zeros(2))
    assert clip_grad_norm_([p], 1.0).item() == 0.0
    clip_grad_value_([p], 1.0)
    assert p.grad is None
    assert clip_grad_norm_(iter([p, *with_gradients([3.0, 4.0])]), 1.0).item() == 5.0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_norm_that_is_not_finite_is_refused_if_asked(bad: float) -> None:
    parameters = with_gradients([1.0, bad])
    with pytest.raises(RuntimeError, match="detect_anomaly"):
        clip_grad_norm_(parameters, 1.0, error_if_nonfinite=True)
    assert parameters[0].grad[0].item() == 1.0
    assert not math.isfinite(clip_grad_norm_(parameters, 1.0).item())


def test_a_vector_holds_all_parameters_and_goes_back() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    vector = parameters_to_vector(net.parameters())
    assert vector.shape == (13,)
    vector.square().sum().backward()
    assert gu.equal(net[0].weight.grad, 2 * net[0].weight)
    held = list(net.parameters())
    vector_to_parameters(gu.arange(13.0), net.parameters())
    assert net[0].weight.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert net[1].bias.tolist() == [12]
    assert all(a is b for a, b in zip(held, net.parameters(), strict=True))
    before = parameters_to_vector(net.parameters()).detach().clone()
    with pytest.raises(ValueError, match=r"shape \(12,\), expected \(13,\)"):
        vector_to_parameters(gu.zeros(12), net.parameters())
    assert gu.equal(parameters_to_vector(net.parameters()), before)


def test_penalties_and_their_gradients() -> None:
    layer = nn.Linear(2, 2)
    flat = parameters_to_vector(layer.parameters()).detach()
    assert nn.l1_penalty(layer.parameters()).item() == pytest.approx(flat.abs().sum().item())
    assert nn.l2_penalty(layer.parameters()).item() == pytest.approx(flat.square().sum().item())
    (nn.l1_penalty(layer.parameters()) + nn.l2_penalty(layer.parameters())).backward()
    assert gu.allclose(layer.weight.grad, layer.weight.sign() + 2 * layer.weight)
    assert nn.l1_penalty([]).item() == 0


def test_l1_makes_weights_zero_where_l2_makes_them_small(seed: int) -> None:
    """Two of ten inputs matter; L1 finds them (Tibshirani, 1996)."""
    x = gu.randn(200, 10)
    y = x[:, :1] * 2 - x[:, 1:2]
    weights = {}
    for penalty in (nn.l1_penalty, nn.l2_penalty):
        layer = nn.Linear(10, 1, bias=False)
        for _ in range(400):
            loss = (layer(x) - y).square().mean() + 0.5 * penalty(layer.parameters())
            (g,) = gu.grad(loss, layer.weight)
            with gu.no_grad():
                layer.weight.sub_(g, alpha=0.02)
        weights[penalty] = np.abs(layer.weight.detach().numpy()[0])
    assert (weights[nn.l1_penalty][2:] < 0.02).all()
    assert (weights[nn.l1_penalty][:2] > 0.5).all()
    assert weights[nn.l2_penalty][2:].max() > 0.02
