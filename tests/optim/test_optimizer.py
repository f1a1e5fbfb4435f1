"""The optimizer around the rule: groups, gradients, closures, saving and loading.

Covers R2.2 (parameter groups) and R1.5 (state that is saved; what does not fit is refused).
"""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

import groundup as gu
from groundup import optim
from groundup.engine.state import pack, unpack

CONFIGURED: dict[str, tuple[Any, dict[str, Any]]] = {
    "SGD": (optim.SGD, {}),
    "SGD, momentum": (optim.SGD, {"momentum": 0.9, "dampening": 0.2, "weight_decay": 0.1}),
    "SGD, Nesterov": (optim.SGD, {"momentum": 0.9, "nesterov": True}),
    "RMSprop": (optim.RMSprop, {}),
    "RMSprop, all": (optim.RMSprop, {"momentum": 0.9, "centered": True, "weight_decay": 0.1}),
    "Adam": (optim.Adam, {}),
    "Adam, AMSGrad": (optim.Adam, {"amsgrad": True, "weight_decay": 0.1}),
    "AdamW": (optim.AdamW, {}),
    "Adagrad": (optim.Adagrad, {"lr_decay": 0.1, "initial_accumulator_value": 0.1}),
}
EACH = pytest.mark.parametrize("configured", CONFIGURED.values(), ids=CONFIGURED)


def parameter(*shape: int) -> gu.Tensor:
    return gu.ones(*shape, requires_grad=True)


class Training:
    """Three parameters in two groups, with gradients that depend on the weights and on the step."""

    def __init__(self, configured: tuple[Any, dict[str, Any]], seed: int) -> None:
        random = np.random.default_rng(seed)
        self.params = [
            gu.tensor(random.normal(size=shape), dtype=gu.float32, requires_grad=True)
            for shape in ((3, 2), (2,), ())
        ]
        rule, options = configured
        self.optimizer = rule(
            [{"params": self.params[:2]}, {"params": self.params[2:], "lr": 0.002}],
            lr=0.01,
            **options,
        )

    def run(self, steps: range) -> None:
        for i in steps:
            self.optimizer.zero_grad()
            loss = sum((p.sin() * (1 + 0.1 * i)).square().sum() for p in self.params[: 2 + i % 2])
            loss.backward()
            self.optimizer.step()

    def bits(self) -> list[bytes]:
        return [p.detach().numpy().tobytes() for p in self.params]


# Groups


def test_ways_to_give_parameters() -> None:
    a, b = parameter(2), parameter(3)
    assert optim.SGD(a).param_groups[0]["params"] == [a]
    assert optim.SGD(iter([a, b])).param_groups[0]["params"] == [a, b]
    named = optim.SGD([("a", a), ("b", b)])
    assert named.param_groups[0]["params"] == [a, b]
    assert named.param_groups[0]["param_names"] == ["a", "b"]
    assert named.state_dict()["param_groups"][0]["param_names"] == ["a", "b"]
    groups = optim.SGD([{"params": a, "lr": 1.0}, {"params": [b]}], lr=2.0)
    assert [group["lr"] for group in groups.param_groups] == [1.0, 2.0]
    assert [group["params"] for group in groups.param_groups] == [[a], [b]]


def test_groups_keep_words_of_their_own() -> None:
    optimizer = optim.SGD([{"params": parameter(1), "role": "head"}])
    assert optimizer.param_groups[0]["role"] == "head"
    assert "role=head" in repr(optimizer)
    assert "lr=0.001" in repr(optimizer)


def test_a_group_may_come_later() -> None:
    a, b = parameter(1), parameter(1)
    optimizer = optim.Adam([a], lr=0.5)
    a.grad = gu.ones_like(a)
    optimizer.step()
    optimizer.add_param_group({"params": [b], "lr": 0.25})
    b.grad = gu.ones_like(b)
    optimizer.step()
    np.testing.assert_allclose([a.item(), b.item()], [0, 0.75], atol=1e-6)


def test_what_cannot_be_optimized_is_refused() -> None:
    a = parameter(2)
    with pytest.raises(ValueError, match="no parameters"):
        optim.SGD([])
    with pytest.raises(TypeError, match="set of parameters"):
        optim.SGD([{"params": {a}}])
    with pytest.raises(TypeError, match="got ndarray"):
        optim.SGD([np.ones(2)])
    with pytest.raises(TypeError, match=r"floating, got \(2,\) int64"):
        optim.SGD([gu.tensor([1, 2])])
    with pytest.raises(ValueError, match="computed from other tensors"):
        optim.SGD([a * 2])
    with pytest.raises(ValueError, match="there twice"):
        optim.SGD([a, a])
    with pytest.raises(ValueError, match="there twice"):
        optim.SGD([{"params": a}, {"params": [parameter(1), a]}])
    with pytest.raises(ValueError, match="all or none"):
        optim.SGD([("a", a), parameter(1)])
    with pytest.raises(ValueError, match="all groups or of none"):
        optim.SGD([{"params": [("a", a)]}, {"params": parameter(1)}])
    with pytest.raises(TypeError, match='dictionary with "params"'):
        optim.SGD([{"lr": 0.1}])
    with pytest.raises(TypeError, match='dictionary with "params"'):
        optim.SGD(a).add_param_group([parameter(1)])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rule", "options", "message"),
    [
        (optim.SGD, {"lr": -0.1}, r"SGD: lr is -0.1, expected a number 0 or more"),
        (optim.SGD, {"lr": math.nan}, "lr is nan"),
        (optim.SGD, {"lr": math.inf}, "lr is inf"),
        (optim.SGD, {"nesterov": True}, "nesterov needs momentum"),
        (optim.RMSprop, {"alpha": 1.0}, r"RMSprop: alpha is 1.0, expected a number in \[0, 1\)"),
        (optim.Adam, {"betas": (0.9, 1.0)}, r"Adam: betas\[1\] is 1.0"),
        (optim.Adam, {"betas": (0.9,)}, "two numbers"),
        (optim.AdamW, {"weight_decay": -1}, "AdamW: weight_decay is -1"),
        (optim.Adagrad, {"eps": -1}, "Adagrad: eps is -1"),
    ],
)
def test_hyper_parameters_out_of_range_are_refused(
    rule: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        rule(parameter(1), **options)
    optimizer = rule(parameter(1))
    with pytest.raises(ValueError, match=message):  # also in a group
        optimizer.add_param_group({"params": parameter(1), **options})
    assert len(optimizer.param_groups) == 1


def test_a_tensor_is_no_hyper_parameter() -> None:
    with pytest.raises(TypeError, match="lr is Tensor, expected a plain number"):
        optim.SGD(parameter(1), lr=gu.tensor(0.1))  # type: ignore[arg-type]


# Gradients and closures


def test_zero_grad() -> None:
    a, b = parameter(2), parameter(2)
    optimizer = optim.SGD([a, b], lr=1)
    a.square().sum().backward()
    kept = a.grad
    optimizer.zero_grad(set_to_none=False)
    assert a.grad is kept
    assert a.grad.tolist() == [0, 0]
    assert b.grad is None
    optimizer.zero_grad()
    assert a.grad is None


def test_zero_grad_leaves_a_differentiable_gradient_alone() -> None:
    a = parameter(2)
    optimizer = optim.SGD([a], lr=1)
    a.pow(3).sum().backward(create_graph=True)
    first = a.grad
    optimizer.zero_grad(set_to_none=False)
    assert first is not None
    assert a.grad is not None
    assert first.tolist() == [3, 3]
    assert (a.grad.tolist(), a.grad.requires_grad) == ([0, 0], False)


def test_zeroed_gradients_still_make_a_step() -> None:
    a = parameter(1)
    optimizer = optim.SGD([a], lr=0.5, momentum=0.5)
    a.grad = gu.ones(1)
    optimizer.step()
    optimizer.zero_grad(set_to_none=False)
    optimizer.step()
    assert a.tolist() == [0.25]  # 1 - 0.5 - 0.25: the velocity goes on


def test_a_closure_computes_the_gradients() -> None:
    a = parameter(1)
    optimizer = optim.SGD([a], lr=0.25)

    def closure() -> gu.Tensor:
        optimizer.zero_grad()
        loss = a.square().sum()
        loss.backward()
        return loss

    with gu.no_grad():
        assert optimizer.step(closure).item() == 1
    assert a.tolist() == [0.5]
    assert optimizer.step() is None


def test_a_step_leaves_no_graph() -> None:
    a = parameter(3)
    optimizer = optim.Adam([a])
    a.square().sum().backward()
    optimizer.step()
    assert a.is_leaf
    assert a.requires_grad
    assert not any(value.requires_grad for value in optimizer.state[a].values())


# Saving and loading


@EACH
@given(seed=st.integers(0, 1000), before=st.integers(0, 6))
def test_a_resumed_optimizer_continues_bit_for_bit(
    configured: tuple[Any, dict[str, Any]], seed: int, before: int, tmp_path_factory: Any
) -> None:
    path = tmp_path_factory.getbasetemp() / "optimizer.safetensors"
    straight = Training(configured, seed)
    straight.run(range(before + 6))

    first = Training(configured, seed)
    first.run(range(before))
    tensors: dict[str, gu.Tensor] = {}
    metadata = pack(first.optimizer.state_dict(), "optimizer", tensors)
    gu.save(tensors, path, metadata)

    second = Training(configured, seed + 1)
    for new, old in zip(second.params, first.params, strict=True):
        new.detach().assign(old.detach())
    tensors, metadata = gu.load(path)
    second.optimizer.load_state_dict(unpack(metadata, tensors))
    second.run(range(before, before + 6))
    assert second.bits() == straight.bits()


def test_equal_counters_are_shared_again_after_loading() -> None:
    first, second = (Training((optim.Adam, {}), 0) for _ in range(2))
    first.run(range(5))
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    a, b, c = (second.optimizer.state[p]["step"] for p in second.params)
    assert a is b
    assert (a.item(), c.item()) == (5, 2)


@EACH
def test_loading_copies(configured: tuple[Any, dict[str, Any]]) -> None:
    first, second = Training(configured, 0), Training(configured, 0)
    first.run(range(3))
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    saved = {
        (i, name): value.tolist()
        for i, state in first.optimizer.state_dict()["state"].items()
        for name, value in state.items()
    }
    second.run(range(3, 6))
    for (i, name), value in saved.items():
        assert first.optimizer.state_dict()["state"][i][name].tolist() == value


@EACH
def test_state_is_tensors_and_groups_are_json(configured: tuple[Any, dict[str, Any]]) -> None:
    training = Training(configured, 0)
    training.run(range(3))
    saved = training.optimizer.state_dict()
    assert all(
        isinstance(value, gu.Tensor)
        for state in saved["state"].values()
        for value in state.values()
    )
    tensors: dict[str, gu.Tensor] = {}
    metadata = pack(saved, "optimizer", tensors)
    again = unpack(json.loads(json.dumps(metadata)), tensors)
    training.optimizer.load_state_dict(again)
    restored = training.optimizer.state_dict()
    assert restored["param_groups"] == saved["param_groups"]  # tuples are tuples again
    assert restored["state"].keys() == saved["state"].keys()


def test_layout_is_pytorchs() -> None:
    training = Training((optim.Adam, {}), 0)
    training.run(range(1))
    saved = training.optimizer.state_dict()
    assert [group["params"] for group in saved["param_groups"]] == [[0, 1], [2]]
    assert saved["param_groups"][1]["lr"] == 0.002
    assert {i: sorted(state) for i, state in saved["state"].items()} == {
        0: ["exp_avg", "exp_avg_sq", "step"],
        1: ["exp_avg", "exp_avg_sq", "step"],
    }


def damaged(kind: str) -> dict[str, Any]:
    """A saved Adam, damaged in one way."""
    training = Training((optim.Adam, {}), 0)
    training.run(range(2))
    saved = training.optimizer.state_dict()
    groups, state = saved["param_groups"], saved["state"]
    if kind == "no state":
        del saved["state"]
    elif kind == "one group fewer":
        groups.pop()
    elif kind == "one parameter fewer":
        groups[0]["params"].pop()
    elif kind == "group without parameters":
        del groups[0]["params"]
    elif kind == "wrong shape":
        state[1]["exp_avg"] = gu.zeros(3)
    elif kind == "name missing":
        del state[0]["exp_avg_sq"]
    elif kind == "name unknown":
        state[0]["momentum_buffer"] = gu.zeros(3, 2)
    elif kind == "not a tensor":
        state[2]["step"] = 5
    elif kind == "unknown parameter":
        state[7] = state[0]
    elif kind == "setting out of range":
        groups[1]["betas"] = (0.9, 1.5)
    return saved


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("no state", r"expected \"state\" and \"param_groups\", got \['param_groups'\]"),
        ("one group fewer", r"groups of \[2\] parameters, expected \[2, 1\]"),
        ("one parameter fewer", r"groups of \[1, 1\] parameters, expected \[2, 1\]"),
        ("group without parameters", r"groups of \[0, 1\] parameters, expected \[2, 1\]"),
        ("wrong shape", r"parameter 1: exp_avg has shape \(3,\), expected \(2,\)"),
        ("name missing", "parameter 0: exp_avg_sq is missing"),
        ("name unknown", "parameter 0: momentum_buffer is not known here"),
        ("not a tensor", "parameter 2: step is int, expected a tensor"),
        ("unknown parameter", "parameter 7 has state but is in no group"),
        ("setting out of range", r"betas\[1\] is 1.5"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(kind: str, message: str) -> None:
    training = Training((optim.Adam, {}), 3)
    training.run(range(4))
    before = training.optimizer.state_dict()
    numbers = {i: {k: v.tolist() for k, v in s.items()} for i, s in before["state"].items()}
    with pytest.raises(ValueError, match=message):
        training.optimizer.load_state_dict(damaged(kind))
    after = training.optimizer.state_dict()
    assert after["param_groups"] == before["param_groups"]
    assert {i: {k: v.tolist() for k, v in s.items()} for i, s in after["state"].items()} == numbers


def test_the_state_of_another_optimizer_is_refused() -> None:
    sgd = Training(CONFIGURED["SGD, momentum"], 0)
    sgd.run(range(2))
    adam = Training(CONFIGURED["Adam"], 0)
    with pytest.raises(ValueError, match="does not fit this Adam") as caught:
        adam.optimizer.load_state_dict(sgd.optimizer.state_dict())
    assert "exp_avg is missing" in str(caught.value)
    assert "momentum_buffer is not known here" in str(caught.value)
