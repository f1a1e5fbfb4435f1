"""Containers keep order, names and sharing (R2.3)."""

from __future__ import annotations

from collections import OrderedDict

import pytest

import groundup as gu
from groundup import nn


def test_sequential_is_the_composition_of_its_modules() -> None:
    layers = [nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)]
    x = gu.randn(4, 2)
    expected = layers[2](layers[1](layers[0](x)))
    assert gu.equal(nn.Sequential(*layers)(x), expected)
    assert gu.equal(nn.Sequential()(x), x)


def test_sequential_takes_names() -> None:
    named = OrderedDict([("first", nn.Linear(2, 3)), ("act", nn.ReLU()), ("last", nn.Linear(3, 1))])
    net = nn.Sequential(named)
    assert list(net.state_dict()) == ["first.weight", "first.bias", "last.weight", "last.bias"]
    assert net.act is named["act"]
    assert net[-1] is named["last"]
    assert list(net[1:].state_dict()) == ["last.weight", "last.bias"]
    net.act = nn.Tanh()  # takes its place
    assert isinstance(net[1], nn.Tanh)
    assert net(gu.ones(1, 2)).shape == (1, 1)


def test_indexing_slicing_and_changing() -> None:
    a, b, c = nn.ReLU(), nn.Tanh(), nn.Sigmoid()
    net = nn.Sequential(a, b).append(c)
    assert list(net) == [a, b, c]
    assert len(net) == 3
    assert isinstance(net[:2], nn.Sequential)
    assert list(net[:2]) == [a, b]
    assert list(net[1:].named_children()) == [("1", b), ("2", c)]  # names are kept, as in PyTorch
    net[0] = c
    assert list(net) == [c, b, c]
    del net[0]
    assert [name for name, _ in net.named_children()] == ["0", "1"]
    net.insert(1, a)
    assert list(net) == [b, a, c]
    assert net.pop() is c
    assert net.pop(0) is b
    assert list(net) == [a]
    with pytest.raises(IndexError, match="index 1 is out of range for a Sequential of 1"):
        net[1]


def test_wrong_elements_are_refused() -> None:
    with pytest.raises(TypeError, match="element '1' is function, expected a Module"):
        nn.Sequential(nn.ReLU(), gu.relu)
    with pytest.raises(TypeError, match="expected a Parameter"):
        nn.ParameterList([1.0])  # type: ignore[list-item]
    for name in ("train", "a.b", "", "keys"):
        with pytest.raises(KeyError, match="cannot name an element"):
            nn.ModuleDict({name: nn.ReLU()})


def test_module_list_keeps_one_name_for_each_position() -> None:
    layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))
    assert [name for name, _ in layers.named_children()] == ["0", "1", "2"]
    assert [name for name, _ in layers[1:].named_children()] == ["0", "1"]
    layers.extend([nn.Linear(2, 2)])
    assert len(list(layers.parameters())) == 8
    with pytest.raises(NotImplementedError):
        layers(1)


def test_module_dict() -> None:
    a, b = nn.Linear(1, 1), nn.ReLU()
    layers = nn.ModuleDict({"a": a})
    layers["b"] = b
    assert list(layers) == list(layers.keys()) == ["a", "b"]
    assert list(layers.values()) == [a, b]
    assert dict(layers.items()) == {"a": a, "b": b}
    assert "a" in layers
    assert "c" not in layers
    assert list(layers.state_dict()) == ["a.weight", "a.bias"]
    assert layers.pop("a") is a
    assert len(layers) == 1
    with pytest.raises(KeyError):
        layers["a"]


def test_parameters_in_containers_are_found_and_trained() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            self.list = nn.ParameterList([gu.ones(2), nn.Parameter(gu.zeros(1))])
            self.dict = nn.ParameterDict({"scale": gu.ones(2)})

        def forward(self, x: gu.Tensor) -> gu.Tensor:
            return (x * self.list[0] * self.dict["scale"] + self.list[1]).sum()

    net = Net()
    assert [name for name, _ in net.named_parameters()] == ["list.0", "list.1", "dict.scale"]
    net(gu.tensor([2.0, 3.0])).backward()
    assert net.list[0].grad.tolist() == [2.0, 3.0]
    assert repr(net.dict) == "ParameterDict(scale: (2,) float32)"
