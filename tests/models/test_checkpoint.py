"""R2.8: blocks that are computed again in the backward pass: the same gradients, less memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import groundup as gu
import groundup.nn.functional as F
from groundup.models import (
    GPT,
    Bert,
    BertConfig,
    GPTConfig,
    Llama,
    LlamaConfig,
    Transformer,
    TransformerConfig,
)

SIZES: dict[str, Any] = {"vocab_size": 20, "context": 16, "d_model": 16, "num_heads": 2}
TOKENS = gu.tensor(np.random.default_rng(0).integers(0, 20, (3, 12)))
MASK = gu.arange(12) < gu.tensor([[12], [7], [9]])
Make = Callable[..., Any]
MODELS: dict[str, tuple[Make, Callable[[Any], gu.Tensor]]] = {
    "gpt": (
        lambda **how: GPT(GPTConfig(dropout=0.2, positions="alibi", **SIZES, **how)),
        lambda net: net(TOKENS, MASK),
    ),
    "llama": (
        lambda **how: Llama(LlamaConfig(num_kv_heads=1, dim_feedforward=32, **SIZES, **how)),
        lambda net: net(TOKENS, MASK),
    ),
    "bert": (
        lambda **how: Bert(BertConfig(dropout=0.2, dim_feedforward=32, **SIZES, **how)),
        lambda net: net(TOKENS, MASK),
    ),
    "encoder-decoder": (
        lambda **how: Transformer(
            TransformerConfig(dropout=0.2, dim_feedforward=32, **SIZES, **how)
        ),
        lambda net: net(TOKENS, TOKENS.flip(1), MASK),
    ),
}


def gradients(net: Any, run: Callable[[Any], gu.Tensor], compile: bool) -> list[np.ndarray]:
    """Of a loss, and what the default generator would give next."""

    def step() -> gu.Tensor:
        net.zero_grad()
        loss = run(net).square().mean()
        loss.backward()
        return loss.detach()

    gu.manual_seed(7)
    loss = (gu.compile(step) if compile else step)()
    return [loss.numpy(), *(p.grad.numpy().copy() for p in net.parameters()), gu.rand(3).numpy()]


@pytest.mark.parametrize("name", MODELS)
def test_gradients_are_the_same_bit_for_bit(name: str) -> None:
    make, run = MODELS[name]
    found = []
    for checkpoint in (False, True):
        gu.manual_seed(0)
        net = make(num_layers=3, checkpoint=checkpoint)
        found.append(gradients(net, run, compile=False))
    plain, again = found
    assert all(np.array_equal(a, b) for a, b in zip(plain, again, strict=True))
    assert max(float(np.abs(g).max()) for g in plain[1:-1]) > 0.01


@pytest.mark.parametrize("name", ["gpt", "encoder-decoder"])
def test_compiled_gradients_are_the_eager_ones(name: str) -> None:
    make, run = MODELS[name]
    gu.manual_seed(0)
    net = make(num_layers=2, checkpoint=True)
    for a, b in zip(
        gradients(net, run, compile=False), gradients(net, run, compile=True), strict=True
    ):
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-6)


def arena(layers: int, checkpoint: bool) -> int:
    """Bytes of intermediate values of a compiled step."""
    gu.manual_seed(0)
    sizes: dict[str, Any] = {"vocab_size": 20, "context": 64, "d_model": 32, "num_heads": 4}
    net = GPT(GPTConfig(num_layers=layers, checkpoint=checkpoint, **sizes))

    @gu.compile
    def step(x: gu.Tensor) -> gu.Tensor:
        net.zero_grad()
        loss = F.cross_entropy(net(x[:, :-1]).flatten(0, 1), x[:, 1:].flatten())
        loss.backward()
        return loss.detach()

    step(gu.randint(0, 20, (4, 65), generator=gu.Generator(0)))
    return gu.explain(step).programs[-1].arena


def test_a_compiled_step_needs_less_memory() -> None:
    few, many = (arena(layers, checkpoint=True) for layers in (2, 6))
    kept, kept_of_many = (arena(layers, checkpoint=False) for layers in (2, 6))
    enters = 4 * 64 * 32 * 4  # bytes of what enters a block
    assert kept_of_many - kept > 4 * 10 * enters  # all that the four blocks keep
    assert many - few < 4 * 3 * enters
    assert many < 0.5 * kept_of_many
