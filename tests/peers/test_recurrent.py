"""R2.4 beside PyTorch: every combination of arguments, and 50 steps of training."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

import groundup as gu
from groundup import nn

torch = pytest.importorskip("torch")

from tests.peers.comparison import Translation  # noqa: E402
from tests.peers.twins import (  # noqa: E402
    assert_same_outputs_and_gradients,
    assert_same_training,
    random,
    twins,
)

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "tanh": ("RNN", {}),
    "relu": ("RNN", {"nonlinearity": "relu"}),
    "lstm": ("LSTM", {}),
    "gru": ("GRU", {}),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def pair(kind: str, *sizes: int, cell: bool = False, **how: Any) -> tuple[nn.Module, Any]:
    name, extra = KINDS[kind]
    name += "Cell" if cell else ""
    torch.manual_seed(0)
    theirs = getattr(torch.nn, name)(*sizes, **extra, **how)
    return twins(getattr(nn, name)(*sizes, **extra, **how), theirs)


def states(kind: str, *shape: int) -> Any:
    h, c = random(*shape, seed=1), random(*shape, seed=2)
    return (h, c) if kind == "lstm" else h


@every_kind
@pytest.mark.parametrize(
    ("num_layers", "bias", "batch_first", "bidirectional"),
    list(product([1, 2], [True, False], [True, False], [True, False])),
)
def test_outputs_states_and_gradients(
    kind: str, num_layers: int, bias: bool, batch_first: bool, bidirectional: bool
) -> None:
    ours, theirs = pair(
        kind,
        3,
        4,
        num_layers=num_layers,
        bias=bias,
        batch_first=batch_first,
        bidirectional=bidirectional,
    )
    total = num_layers * (2 if bidirectional else 1)
    batch = random(2, 5, 3) if batch_first else random(5, 2, 3)
    for x, shape in ((batch, (total, 2, 4)), (random(5, 3), (total, 4))):
        assert_same_outputs_and_gradients(ours, theirs, (x,))
        assert_same_outputs_and_gradients(ours, theirs, (x, states(kind, *shape)))


@every_kind
@pytest.mark.parametrize("training", [True, False])
def test_dropout_between_layers(kind: str, training: bool) -> None:
    # With a probability of 1 nothing is left to chance.
    ours, theirs = pair(kind, 3, 4, num_layers=3, dropout=1.0, bidirectional=True)
    ours.train(training)
    theirs.train(training)
    assert_same_outputs_and_gradients(ours, theirs, (random(5, 2, 3),))


@every_kind
@pytest.mark.parametrize("bias", [True, False])
def test_cells(kind: str, bias: bool) -> None:
    ours, theirs = pair(kind, 3, 4, cell=True, bias=bias)
    for x, shape in ((random(2, 3), (2, 4)), (random(3), (4,))):
        assert_same_outputs_and_gradients(ours, theirs, (x,))
        assert_same_outputs_and_gradients(ours, theirs, (x, states(kind, *shape)))


@every_kind
def test_one_time_step_and_one_sequence(kind: str) -> None:
    ours, theirs = pair(kind, 3, 4, bidirectional=True)
    for shape in ((1, 2, 3), (5, 1, 3), (1, 1, 3)):
        assert_same_outputs_and_gradients(ours, theirs, (random(*shape),))


@every_kind
def test_fifty_steps_of_training(kind: str) -> None:
    ours, theirs = pair(kind, 3, 4, num_layers=2, bidirectional=True)
    x, y = random(6, 5, 3).detach(), random(6, 5, 8, seed=1).detach() * 0.3
    a, b = Translation()((x, y))
    assert_same_training(
        ours,
        theirs,
        lambda net: gu.nn.functional.mse_loss(net(a)[0], b),
        lambda net: torch.nn.functional.mse_loss(net(x)[0], y),
        lr=0.5,
    )
