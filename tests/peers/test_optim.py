"""Optimizers beside PyTorch's: same weights, same gradients, 50 steps, the same trajectory.

Covers R2.2.
"""

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup import optim

torch = pytest.importorskip("torch")

STEPS = 50
SHAPES = [(4, 3), (3,), (), (0, 2)]


def choices(**options: list[Any]) -> Iterator[dict[str, Any]]:
    """Every combination of the options."""
    for values in product(*options.values()):
        yield dict(zip(options, values, strict=True))


CASES: list[tuple[str, dict[str, Any]]] = [
    *(
        ("SGD", options)
        for options in choices(
            momentum=[0, 0.9],
            dampening=[0, 0.3],
            weight_decay=[0, 0.1],
            nesterov=[False, True],
            maximize=[False, True],
        )
        if not options["nesterov"] or (options["momentum"] and not options["dampening"])
    ),
    *(
        ("RMSprop", options)
        for options in choices(
            alpha=[0.99, 0.5],
            momentum=[0, 0.9],
            centered=[False, True],
            weight_decay=[0, 0.1],
            maximize=[False, True],
        )
    ),
    *(
        (name, options)
        for name in ("Adam", "AdamW")
        for options in choices(
            betas=[(0.9, 0.999), (0.0, 0.5)],
            eps=[1e-8, 1e-2],
            weight_decay=[0, 0.1],
            amsgrad=[False, True],
            maximize=[False, True],
        )
    ),
    *(
        ("Adagrad", options)
        for options in choices(
            lr_decay=[0, 0.1],
            weight_decay=[0, 0.1],
            initial_accumulator_value=[0, 0.5],
            eps=[1e-10, 1e-2],
            maximize=[False, True],
        )
    ),
]
DEFAULTS = [(name, {}) for name in ("SGD", "RMSprop", "Adam", "AdamW", "Adagrad")]


def label(case: Any) -> str:
    if isinstance(case, dict):
        return ",".join(f"{key}={value}" for key, value in case.items() if value) or "plain"
    return str(case)


class Pair:
    """The same parameters, gradients and optimizer in both libraries."""

    def __init__(self, name: str, options: dict[str, Any], dtype: str, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.dtype = dtype
        start = [self.random.normal(size=shape).astype(dtype) for shape in SHAPES]
        self.ours = [gu.tensor(x, requires_grad=True) for x in start]
        self.theirs = [torch.tensor(x, requires_grad=True) for x in start]
        self.name, self.options = name, options
        self.optimizer = self.make(optim, self.ours)
        self.peer = self.make(torch.optim, self.theirs)

    def make(self, library: Any, params: list[Any]) -> Any:
        groups = [{"params": params[:2]}, {"params": params[2:], "lr": 0.003}]
        return getattr(library, self.name)(groups, **{"lr": 0.02, **self.options})

    def step(self, absent: tuple[int, ...] = ()) -> None:
        """One step of both; the parameters in ``absent`` have no gradient."""
        for i, (x, y) in enumerate(zip(self.ours, self.theirs, strict=True)):
            gradient = np.asarray(self.random.normal(size=SHAPES[i])).astype(self.dtype)
            x.grad = None if i in absent else gu.tensor(gradient)
            y.grad = None if i in absent else torch.tensor(gradient)
        self.optimizer.step()
        self.peer.step()

    def check(self) -> None:
        # Rounding differs (the order of operations does), and 50 steps add it up.
        tolerance = (
            {"rtol": 1e-11, "atol": 1e-12}
            if self.dtype == "float64"
            else {"rtol": 2e-5, "atol": 2e-6}
        )
        for x, y in zip(self.ours, self.theirs, strict=True):
            np.testing.assert_allclose(x.detach().numpy(), y.detach().numpy(), **tolerance)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("name", "options"), [*DEFAULTS, *CASES], ids=label)
def test_same_trajectory(name: str, options: dict[str, Any], dtype: str) -> None:
    pair = Pair(name, options, dtype, seed=1)
    for _ in range(STEPS):
        pair.step()
        pair.check()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("name", "options"), [*DEFAULTS, *CASES[:: len(CASES) // 20]], ids=label)
def test_gradients_only_in_some_steps(name: str, options: dict[str, Any], dtype: str) -> None:
    pair = Pair(name, options, dtype, seed=2)
    for i in range(STEPS):
        absent = tuple(np.flatnonzero(pair.random.random(len(SHAPES)) < 0.3)) if i else (1, 3)
        pair.step(absent)
        pair.check()


@pytest.mark.parametrize(("name", "options"), [*DEFAULTS, *CASES[:: len(CASES) // 20]], ids=label)
def test_state_moves_from_pytorch(name: str, options: dict[str, Any]) -> None:
    pair = Pair(name, options, "float64", seed=3)
    for i in range(5):
        pair.step(absent=(1,) if i < 2 else ())
    saved = pair.peer.state_dict()
    own = set(pair.optimizer.state_dict()["state"][0]) if pair.optimizer.state else set()
    pair.optimizer = pair.make(optim, pair.ours)
    pair.optimizer.load_state_dict(
        {
            "param_groups": saved["param_groups"],
            "state": {
                i: {key: gu.tensor(value.numpy()) for key, value in state.items() if key in own}
                for i, state in saved["state"].items()
            },
        }
    )
    for _ in range(5):
        pair.step()
        pair.check()


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"])
def test_hyper_parameters_changed_on_the_way(name: str) -> None:
    momentum = {"momentum": 0.9} if name in ("SGD", "RMSprop") else {}
    pair = Pair(name, momentum, "float64", seed=4)
    for i in range(STEPS):
        for optimizer in (pair.optimizer, pair.peer):
            group = optimizer.param_groups[i % 2]
            group["lr"] *= 0.97
            group["weight_decay"] = 0.01 * (i % 3)
            if "betas" in group:
                group["betas"] = (0.8 + 0.001 * i, 0.99)
        pair.step()
        pair.check()


def test_defaults_are_pytorchs() -> None:
    for name in ("SGD", "RMSprop", "Adam", "AdamW", "Adagrad"):
        ours = getattr(optim, name)([gu.ones(1)]).defaults
        theirs = getattr(torch.optim, name)([torch.ones(1)]).defaults
        assert ours == {key: theirs[key] for key in ours}


BAD = [
    ("SGD", {"lr": -1}),
    ("SGD", {"momentum": -0.5}),
    ("SGD", {"weight_decay": -1}),
    ("SGD", {"nesterov": True}),
    ("SGD", {"nesterov": True, "momentum": 0.9, "dampening": 0.1}),
    *(("RMSprop", {key: -1.0}) for key in ("lr", "alpha", "eps", "weight_decay", "momentum")),
    *(
        (name, options)
        for name in ("Adam", "AdamW")
        for options in (
            {"lr": -1.0},
            {"eps": -1.0},
            {"weight_decay": -1.0},
            {"betas": (1.0, 0.9)},
            {"betas": (0.9, 1.0)},
            {"betas": (-0.1, 0.9)},
        )
    ),
    *(
        ("Adagrad", {key: -1.0})
        for key in ("lr", "lr_decay", "eps", "weight_decay", "initial_accumulator_value")
    ),
]


@pytest.mark.parametrize(("name", "options"), BAD, ids=label)
def test_what_pytorch_refuses_is_refused(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the peer's wording is its own
        getattr(torch.optim, name)([torch.ones(1)], **options)
    with pytest.raises(ValueError, match=name):
        getattr(optim, name)([gu.ones(1)], **options)
