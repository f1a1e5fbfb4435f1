"""Calls with other parameters (R1.2): restored afterwards, differentiable to any order."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

import groundup as gu
from groundup import nn


class Two(NamedTuple):
    a: nn.Parameter
    b: nn.Parameter


class Odd(nn.Module):
    """Parameters in a list, a tuple and a dictionary, and one shared."""

    def __init__(self) -> None:
        self.listed = [nn.Parameter(gu.ones(1))]
        self.two = Two(nn.Parameter(gu.ones(1) * 2), nn.Parameter(gu.ones(1) * 3))
        self.named = {"p": nn.Parameter(gu.ones(1) * 5), "deep": [(self.two.a,)]}
        self.offset = nn.Buffer(gu.zeros(1))

    def forward(self, x: gu.Tensor) -> gu.Tensor:
        (shared,) = self.named["deep"][0]
        product = self.listed[0] * self.two.b * self.named["p"] * self.two.a * shared
        return product * x + self.offset


def test_parameters_are_replaced_wherever_they_stand() -> None:
    net = Odd()
    x = gu.ones(1)
    assert net(x).item() == 60.0
    call = gu.functional_call
    assert call(net, {"listed.0": gu.tensor([7.0])}, (x,)).item() == 420.0
    assert call(net, {"two.0": gu.tensor([1.0])}, x).item() == 15.0  # in both its places
    assert call(net, {"named.deep.0.0": gu.tensor([1.0])}, x).item() == 15.0
    assert call(net, {"two.1": gu.tensor([1.0])}, (), {"x": x}).item() == 20.0
    assert call(net, {"offset": gu.tensor([1.0]), "named.p": gu.zeros(1)}, x).item() == 1.0
    assert net(x).item() == 60.0
    assert isinstance(net.two, Two)
    assert set(dict(net.named_parameters())) == set(dict(Odd().named_parameters()))


def test_the_module_is_restored_after_an_error() -> None:
    layer = nn.Linear(2, 1)
    weight = layer.weight
    with pytest.raises(ValueError, match="expected 2"):
        gu.functional_call(layer, {"weight": gu.zeros(1, 2)}, gu.ones(1, 3))
    assert layer.weight is weight


def test_wrong_names_and_contradictions_are_refused() -> None:
    net = Odd()
    with pytest.raises(KeyError, match="no parameter or buffer 'nothing'"):
        gu.functional_call(net, {"nothing": gu.ones(1)}, gu.ones(1))
    both = {"two.0": gu.ones(1), "named.deep.0.0": gu.ones(1)}
    with pytest.raises(ValueError, match="another name of a parameter"):
        gu.functional_call(net, both, gu.ones(1))
    same = gu.ones(1)
    both = {"two.0": same, "named.deep.0.0": same}
    assert gu.functional_call(net, both, gu.ones(1)).item() == 15.0


def test_gradients_flow_through_the_given_tensors_only() -> None:
    layer = nn.Linear(2, 1)
    x = gu.randn(3, 2)
    weight = gu.randn(1, 2, requires_grad=True)
    gu.functional_call(layer, {"weight": weight * 2}, x).sum().backward()
    assert gu.allclose(weight.grad, 2 * x.sum(0, keepdim=True))
    assert layer.weight.grad is None
    assert layer.bias.grad is not None  # was not replaced


def test_a_step_of_learning_can_be_differentiated() -> None:
    """The gradient of a loss after one step of SGD, by MAML and by finite differences."""
    gu.manual_seed(3)
    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)).double()
    support, query = gu.randn(4, 2, dtype="float64"), gu.randn(4, 2, dtype="float64")

    def after_one_step(parameters: dict[str, gu.Tensor]) -> gu.Tensor:
        loss = gu.functional_call(net, parameters, support).square().sum()
        gradients = gu.grad(loss, list(parameters.values()), create_graph=True)
        fast = {n: p - 0.1 * g for (n, p), g in zip(parameters.items(), gradients, strict=True)}
        return (gu.functional_call(net, fast, query) - 1).square().sum()

    parameters: dict[str, gu.Tensor] = dict(net.named_parameters())
    gradients = gu.grad(after_one_step(parameters), list(parameters.values()))
    step = 1e-6
    for parameter, gradient in zip(parameters.values(), gradients, strict=True):
        flat = parameter.detach().numpy().reshape(-1)
        for i in range(flat.size):
            value = flat[i]
            flat[i] = value + step
            up = after_one_step(parameters).item()
            flat[i] = value - step
            down = after_one_step(parameters).item()
            flat[i] = value
            slope = (up - down) / (2 * step)
            np.testing.assert_allclose(gradient.numpy().reshape(-1)[i], slope, rtol=1e-5, atol=1e-7)
