"""Saving and loading a module's state (R1.5): all of it or nothing, and every misfit is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import groundup as gu
from groundup import nn


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def same(a: dict[str, gu.Tensor], b: dict[str, gu.Tensor]) -> bool:
    return list(a) == list(b) and all(gu.equal(a[name], b[name]) for name in a)


def copied(module: nn.Module) -> dict[str, gu.Tensor]:
    return {name: x.clone() for name, x in module.state_dict().items()}


def test_loading_makes_two_modules_equal() -> None:
    a, b = net(), net()
    a(gu.randn(5, 3))  # moves the running statistics
    assert not same(a.state_dict(), b.state_dict())
    parameters = list(b.parameters())
    assert b.load_state_dict(a.state_dict()) == ([], [])
    assert same(a.state_dict(), b.state_dict())
    assert all(p is q for p, q in zip(parameters, b.parameters(), strict=True))
    x = gu.randn(5, 3)
    assert gu.equal(a.eval()(x), b.eval()(x))


def test_the_state_follows_the_parameters_and_loading_copies() -> None:
    a, b = net(), net()
    state = a.state_dict()
    b.load_state_dict(state)
    with gu.no_grad():
        a[0].weight.fill_(7)
    assert (state["0.weight"] == 7).all()
    assert not (b[0].weight == 7).any()


def test_every_misfit_is_listed_and_nothing_is_changed() -> None:
    a = net()
    before = copied(a)
    state = {name: x + 1 for name, x in before.items()}
    del state["0.bias"], state["1.weight"]
    state["3.weight"] = gu.zeros(2)
    state["2.bias"] = gu.zeros(5)
    state["2.weight"] = gu.zeros(4, 2)
    with pytest.raises(RuntimeError) as error:
        a.load_state_dict(state)
    message = str(error.value)
    assert message == (
        "load_state_dict: the state does not fit Sequential; nothing was changed\n"
        "  missing: 0.bias, 1.weight\n"
        "  unexpected: 3.weight\n"
        "  wrong shapes: 2.weight has shape (4, 2), expected (2, 4); "
        "2.bias has shape (5,), expected (2,)"
    )
    assert same(before, a.state_dict())


def test_names_may_differ_when_not_strict_but_shapes_may_not() -> None:
    a = net()
    found = a.load_state_dict({"0.bias": gu.ones(4), "other": gu.ones(1)}, strict=False)
    assert (a[0].bias == 1).all()
    assert found.unexpected_keys == ["other"]
    assert "0.weight" in found.missing_keys
    assert "0.bias" not in found.missing_keys
    before = copied(a)
    with pytest.raises(RuntimeError, match=r"wrong shapes: 0\.bias"):
        a.load_state_dict({"0.bias": gu.ones(1), "2.bias": gu.ones(2)}, strict=False)
    assert same(before, a.state_dict())


def test_values_are_converted_to_the_dtype_that_is_there() -> None:
    layer = nn.Linear(1, 1)
    layer.load_state_dict({"weight": np.array([[2.0]]), "bias": gu.tensor([3.0]).double()})
    assert (layer.weight.dtype, layer.bias.dtype) == (gu.float32, gu.float32)
    assert (layer.weight.item(), layer.bias.item()) == (2.0, 3.0)


def test_loading_into_a_graph_s_parameters_is_noticed() -> None:
    layer = nn.Linear(2, 2)
    out = layer(gu.ones(1, 2, requires_grad=True)).sum()
    layer.load_state_dict(nn.Linear(2, 2).state_dict())
    with pytest.raises(RuntimeError, match="changed in place"):
        out.backward()


def test_a_state_goes_through_a_file(tmp_path: Path) -> None:
    a, b = net(), net()
    gu.save(a.state_dict(), tmp_path / "net.safetensors")
    tensors, _ = gu.load(tmp_path / "net.safetensors")
    b.load_state_dict(tensors)
    assert same(a.state_dict(), b.state_dict())
