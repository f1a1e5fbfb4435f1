"""Forward hooks: what they see, what they may change, and that they go away."""

from __future__ import annotations

from typing import Any

import pytest

import groundup as gu
from groundup import nn


def test_hooks_see_arguments_and_output_in_order() -> None:
    seen: list[Any] = []
    layer = nn.ReLU()
    layer.register_forward_pre_hook(lambda m, args: seen.append(("before", m, args[0].tolist())))
    layer.register_forward_hook(lambda m, args, out: seen.append(("after", m, out.tolist())))
    layer.register_forward_hook(lambda m, args, out: seen.append("last"))
    layer(gu.tensor([-1.0]))
    assert seen == [("before", layer, [-1.0]), ("after", layer, [0.0]), "last"]


def test_hooks_may_replace_arguments_and_output() -> None:
    class Add(nn.Module):
        def forward(self, a: gu.Tensor, b: gu.Tensor, *, c: float) -> gu.Tensor:
            return a + b + c

    layer = Add()
    layer.register_forward_pre_hook(lambda _m, args: (args[0] * 10, args[1]))
    layer.register_forward_hook(lambda _m, _args, out: -out)
    assert layer(gu.tensor(1.0), gu.tensor(2.0), c=3.0).item() == -15.0
    single = nn.ReLU()
    single.register_forward_pre_hook(lambda _m, _args: gu.tensor(5.0))
    assert single(gu.tensor(-1.0)).item() == 5.0


def test_a_handle_removes_only_its_own_hook_and_can_be_removed_twice() -> None:
    layer = nn.ReLU()
    first = layer.register_forward_hook(lambda _m, _a, out: out + 1)
    second = layer.register_forward_hook(lambda _m, _a, out: out * 10)
    assert layer(gu.zeros(1)).item() == 10.0
    first.remove()
    first.remove()
    assert layer(gu.ones(1)).item() == 10.0
    second.remove()
    assert layer(gu.ones(1)).item() == 1.0
    assert layer._hooks is None  # so that a call costs what it did before


def test_a_handle_is_a_context_and_leaves_after_an_error() -> None:
    layer = nn.Linear(2, 1)
    with (
        pytest.raises(ValueError, match="expected 2"),
        layer.register_forward_hook(lambda _m, _a, out: out * 0),
    ):
        layer(gu.ones(1, 3))
    assert layer._hooks is None


def test_hooks_are_no_state() -> None:
    layer = nn.Linear(2, 1)
    other = nn.Linear(5, 5)
    layer.register_forward_hook(lambda _m, _a, out: other and out)
    assert set(layer.state_dict()) == {"weight", "bias"}
