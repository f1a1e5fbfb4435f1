"""Gradient flow (R2.10) beside PyTorch's hooks: the same weights, the same sizes at each layer."""

from __future__ import annotations

from typing import Any

import pytest

import groundup as gu
from groundup import nn
from groundup.training import gradient_flow

torch = pytest.importorskip("torch")

from tests.peers.twins import random, twins  # noqa: E402

torch.set_num_threads(1)

NETWORKS = {
    "sigmoids": lambda lib: lib.Sequential(
        *(part for _ in range(6) for part in (lib.Linear(8, 8), lib.Sigmoid())), lib.Linear(8, 3)
    ),
    "normalised": lambda lib: lib.Sequential(
        lib.Linear(8, 5), lib.BatchNorm1d(5), lib.LeakyReLU(), lib.LayerNorm(5), lib.Linear(5, 3)
    ),
    "convolutions": lambda lib: lib.Sequential(
        lib.Unflatten(1, (1, 2, 4)), lib.Conv2d(1, 2, 2), lib.GELU(), lib.Flatten(),
        lib.Linear(6, 3),
    ),
}  # fmt: skip


def flow_by_hooks(model: Any, x: Any, y: Any) -> dict[str, tuple[float, float, float]]:
    """The three sizes of each layer, with PyTorch's own means."""
    outputs: dict[str, Any] = {}

    def note(name: str) -> Any:
        def hook(_module: Any, _args: Any, output: Any) -> None:
            output.retain_grad()
            outputs[name] = output

        return hook

    for name, module in model.named_children():
        if not isinstance(module, torch.nn.Flatten | torch.nn.Unflatten):
            module.register_forward_hook(note(name))
    torch.nn.functional.cross_entropy(model(x), y).backward()
    flow = {}
    for name, out in outputs.items():
        gradients = [p.grad.flatten() for p in model.get_submodule(name).parameters()]
        norm = float(torch.cat(gradients).norm()) if gradients else 0.0
        rms = [float(a.square().mean().sqrt()) for a in (out.detach(), len(y) * out.grad)]
        flow[name] = (rms[0], rms[1], norm)
    return flow


@pytest.mark.parametrize("name", NETWORKS)
def test_same_sizes(name: str) -> None:
    torch.manual_seed(0)
    ours, theirs = twins(NETWORKS[name](nn), NETWORKS[name](torch.nn))
    x, y = random(7, 8).detach(), torch.tensor([0, 1, 2, 0, 1, 2, 2])
    loss = nn.functional.cross_entropy
    found = gradient_flow(ours, loss, (gu.tensor(x.numpy()), gu.tensor(y.numpy())))
    wanted = flow_by_hooks(theirs, x, y)
    assert list(found) == list(wanted)
    for layer, sizes in wanted.items():
        got = (found[layer].activation, found[layer].gradient, found[layer].weight)
        assert got == pytest.approx(sizes, rel=1e-9), layer
