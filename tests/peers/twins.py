"""Modules beside PyTorch's: weights moved by name, the same outputs, gradients and training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import groundup as gu
from groundup import nn

torch = pytest.importorskip("torch")

from tests.peers.comparison import Translation, assert_close, flat  # noqa: E402

torch.set_num_threads(1)  # the tensors here are too small for more


def twins(ours: nn.Module, theirs: Any) -> tuple[nn.Module, Any]:
    """Both in float64, ours with the weights of theirs, which are moved by name.

    Raises:
        AssertionError: the states have other names, another order or other shapes.
    """
    theirs = theirs.double()
    found = [(name, x.shape) for name, x in ours.state_dict().items()]
    assert found == [(name, tuple(x.shape)) for name, x in theirs.state_dict().items()]
    ours.double().load_state_dict({n: x.numpy() for n, x in theirs.state_dict().items()})
    return ours, theirs


def random(*shape: int, seed: int = 0) -> Any:
    """Normal float64 numbers of PyTorch's that require a gradient."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)


def assert_same_outputs_and_gradients(
    ours: nn.Module, theirs: Any, args: Any, kwargs: dict[str, Any] | None = None
) -> None:
    """Call twins; compare results, and the gradients of inputs and parameters."""
    translate = Translation(copy=True)
    mine_args, mine_kwargs = translate(args), translate(kwargs or {})
    mine, other = flat(ours(*mine_args, **mine_kwargs)), flat(theirs(*args, **(kwargs or {})))
    assert len(mine) == len(other)
    for i, (a, b) in enumerate(zip(mine, other, strict=True)):
        if b is None:
            assert a is None
        else:
            assert_close(a, b, f"result {i}")
    for x in (*ours.parameters(), *(x for _, x in translate.tensors)):
        x.grad = None
    for x in (*theirs.parameters(), *(x for x, _ in translate.tensors)):
        x.grad = None
    total = sum((a * (0.3 + a)).sum() for a in mine if a is not None)
    total.backward()
    sum((b * (0.3 + b)).sum() for b in other if b is not None).backward()
    for i, (b, a) in enumerate(translate.tensors):
        _assert_same_gradient(a, b, f"input {i}")
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        _assert_same_gradient(a, b, name)


def _assert_same_gradient(ours: gu.Tensor, theirs: Any, what: str) -> None:
    assert (ours.grad is None) == (theirs.grad is None), f"{what}: one has a gradient"
    if theirs.grad is not None:
        assert_close(ours.grad, theirs.grad, f"gradient of {what}")


def assert_same_training(
    ours: nn.Module,
    theirs: Any,
    our_loss: Callable[[nn.Module], gu.Tensor],
    their_loss: Callable[[Any], Any],
    lr: float,
    steps: int = 50,
) -> None:
    """Descend the gradient; compare the loss of every step and the weights at the end.

    Raises:
        AssertionError: they differ, or training did not change the loss.
    """
    history = []
    for step in range(steps):
        mine, other = our_loss(ours), their_loss(theirs)
        assert_close(mine, other, f"loss of step {step}")
        history.append(mine.item())
        ours.zero_grad()
        theirs.zero_grad()
        mine.backward()
        other.backward()
        with gu.no_grad(), torch.no_grad():
            for p in ours.parameters():
                p.sub_(p.grad * lr)
            for q in theirs.parameters():
                q.sub_(q.grad * lr)
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert_close(p.detach(), q.detach(), name)
    assert history[-1] < 0.9 * history[0], "the loss hardly moved: nothing was compared"
