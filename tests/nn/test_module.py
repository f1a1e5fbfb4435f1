"""Modules find their state in their attributes: names, sharing, modes, conversion, repr (R2.3)."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest

import groundup as gu
from groundup import nn


class Block(nn.Module):
    def __init__(self, n: int) -> None:
        self.scale = nn.Parameter(gu.ones(n))
        self.count = nn.Buffer(gu.tensor(0))
        self.scratch = nn.Buffer(gu.zeros(n), persistent=False)
        self.constant = gu.ones(n)  # a plain tensor is not state

    def forward(self, x: gu.Tensor) -> gu.Tensor:
        return x * self.scale


class Pair(NamedTuple):
    left: nn.Module
    right: nn.Module


class Nested(nn.Module):
    """State in every place where it is looked for."""

    def __init__(self) -> None:
        self.first = nn.Linear(2, 3)
        self.layers = [Block(3), [Block(3)]]
        self.pair = Pair(Block(1), Block(1))
        self.heads = {"a": nn.Linear(3, 1, bias=False), "weights": [nn.Parameter(gu.zeros(2))]}
        self.missing = None
        self.number = 3


NAMES = [
    "heads.weights.0",
    "first.weight",
    "first.bias",
    "layers.0.scale",
    "layers.1.0.scale",
    "pair.0.scale",
    "pair.1.scale",
    "heads.a.weight",
]


def test_names_follow_the_attributes() -> None:
    net = Nested()
    assert [name for name, _ in net.named_parameters()] == NAMES
    assert [name for name, _ in net.named_children()] == [
        "first",
        "layers.0",
        "layers.1.0",
        "pair.0",
        "pair.1",
        "heads.a",
    ]
    assert [name for name, _ in net.named_modules(prefix="net")][:2] == ["net", "net.first"]
    assert list(net.parameters(recurse=False)) == [net.heads["weights"][0]]
    buffers = [name for name, _ in net.named_buffers()]
    assert buffers == [f"{p}.{b}" for p in _blocks() for b in ("count", "scratch")]
    assert len(list(net.buffers())) == 8
    assert len(list(net.modules())) == 7
    assert len(list(net.children())) == 6


def _blocks() -> list[str]:
    return ["layers.0", "layers.1.0", "pair.0", "pair.1"]


def test_state_holds_parameters_and_persistent_buffers_only() -> None:
    state = Nested().state_dict()
    assert set(state) == {*NAMES, *[f"{p}.count" for p in _blocks()]}
    assert not any(x.requires_grad for x in state.values())


def test_what_is_attached_later_is_found() -> None:
    net = nn.Module()
    assert list(net.parameters()) == []
    net.extra = nn.Linear(1, 1)  # type: ignore[attr-defined]
    assert len(list(net.parameters())) == 2


class Tied(nn.Module):
    def __init__(self) -> None:
        self.encoder = nn.Linear(3, 3)
        self.decoder = nn.Linear(3, 3)
        self.decoder.weight = self.encoder.weight
        self.again = self.encoder


def test_shared_parameters_are_given_once_but_saved_under_every_name() -> None:
    net = Tied()
    assert [n for n, _ in net.named_parameters()] == [
        "encoder.weight",
        "encoder.bias",
        "decoder.bias",
    ]
    assert len(list(net.named_parameters(remove_duplicate=False))) == 6
    assert {"decoder.weight", "again.weight", "encoder.weight"} < set(net.state_dict())
    assert len(list(net.modules())) == 3
    assert len(list(net.children())) == 2


def test_a_child_may_know_its_parent() -> None:
    parent = Nested()
    parent.first.owner = parent  # type: ignore[attr-defined]
    assert [n for n, _ in parent.named_parameters()] == NAMES
    assert set(parent.state_dict()) == set(Nested().state_dict())


def test_modes_reach_every_module_and_need_no_constructor() -> None:
    net = Nested()
    assert net.training
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    net.train()
    assert all(m.training for m in net.modules())


def test_a_dataclass_can_be_a_module() -> None:
    @dataclass
    class Net(nn.Module):
        width: int
        layer: Any = None

        def __post_init__(self) -> None:
            self.layer = nn.Linear(self.width, self.width)

        def forward(self, x: gu.Tensor) -> gu.Tensor:
            return self.layer(x)

    net = Net(2)
    assert net(gu.ones(1, 2)).shape == (1, 2)
    assert len(list(net.parameters())) == 2


def test_freezing_and_forgetting_gradients() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    net(gu.ones(1, 2)).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad(set_to_none=False)
    assert all(p.grad is not None and not p.grad.any() for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    net.requires_grad_(False)
    assert not net(gu.ones(1, 2)).requires_grad


def test_apply_visits_children_before_parents() -> None:
    seen: list[str] = []
    net = nn.Sequential(nn.Sequential(nn.ReLU()), nn.Tanh())
    assert net.apply(lambda m: seen.append(type(m).__name__)) is net
    assert seen == ["ReLU", "Sequential", "Tanh", "Sequential"]


def test_conversion_keeps_the_parameters_the_same_objects() -> None:
    net = nn.BatchNorm1d(3)
    before = list(net.parameters())
    net(gu.randn(4, 3)).sum().backward()
    assert net.double() is net
    assert all(a is b for a, b in zip(before, net.parameters(), strict=True))
    assert {x.dtype for x in (*net.parameters(), net.running_mean)} == {gu.float64}
    assert all(p.grad.dtype == gu.float64 for p in net.parameters())
    assert net.num_batches_tracked.dtype == gu.int64  # whole numbers stay whole
    assert net(gu.randn(4, 3).double()).dtype == gu.float64
    assert net.float().weight.dtype == gu.float32
    assert net.to("cpu").to("cpu", gu.float64).to(device="cpu", dtype="float32") is net
    assert net.weight.dtype == gu.float32


def test_conversion_refuses_what_makes_no_sense() -> None:
    with pytest.raises(ValueError, match="computes on the CPU"):
        nn.Linear(1, 1).to("cuda:0")
    with pytest.raises(TypeError, match="not a floating dtype"):
        nn.Linear(1, 1).to(gu.int64)


def test_a_graph_from_before_a_conversion_is_refused() -> None:
    layer = nn.Linear(2, 2)
    out = layer(gu.ones(1, 2, requires_grad=True)).sum()
    layer.double()
    with pytest.raises(RuntimeError, match="changed in place"):
        out.backward()


def test_a_copy_shares_nothing() -> None:
    net = Tied()
    other = copy.deepcopy(net)
    assert other.decoder.weight is other.encoder.weight
    with gu.no_grad():
        other.encoder.weight.zero_()
    assert net.encoder.weight.any()
    other.encoder(gu.ones(1, 3)).sum().backward()
    assert net.encoder.weight.grad is None


def test_a_parameter_shares_the_memory_it_is_given() -> None:
    data = gu.zeros(2)
    parameter = nn.Parameter(data)
    with gu.no_grad():
        parameter.add_(1)
    assert data.tolist() == [1.0, 1.0]
    assert parameter.is_leaf
    assert nn.Parameter(data.requires_grad_() * 2).is_leaf
    assert nn.Parameter([1, 2.5]).dtype == gu.float32
    assert not nn.Parameter(data, requires_grad=False).requires_grad
    with pytest.raises(TypeError, match="only floating"):
        nn.Parameter(gu.arange(3))


def test_repr_is_pytorch_s() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.ReLU(), nn.Dropout(0.1)))
    assert repr(net) == (
        "Sequential(\n"
        "  (0): Linear(in_features=2, out_features=3, bias=True)\n"
        "  (1): Sequential(\n"
        "    (0): ReLU()\n"
        "    (1): Dropout(p=0.1)\n"
        "  )\n"
        ")"
    )
    assert repr(nn.Module()) == "Module()"
    assert repr(nn.Parameter(gu.ones(1))).startswith("Parameter containing:\ntensor([1.]")


def test_a_module_without_forward_says_so() -> None:
    class Empty(nn.Module):
        pass

    with pytest.raises(NotImplementedError, match=r"Empty has no forward\(\)"):
        Empty()(1)
