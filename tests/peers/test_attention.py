"""R2.6 beside PyTorch: every combination of arguments, and 50 steps of training."""

from __future__ import annotations

import math
from typing import Any

import pytest

import groundup as gu
import groundup.nn.functional as F
from groundup import nn

torch = pytest.importorskip("torch")

from tests.peers.comparison import Translation, assert_close, compare  # noqa: E402
from tests.peers.twins import (  # noqa: E402
    assert_same_outputs_and_gradients,
    assert_same_training,
    random,
    twins,
)


def boolean(*shape: int, seed: int = 0) -> Any:
    """Random truth values; the first column is true, so that no query is without keys."""
    found = random(*shape, seed=seed).detach() > 0
    found[..., 0] = True
    return found


@pytest.mark.parametrize("lead", [(), (2,), (2, 3)])
@pytest.mark.parametrize("scale", [None, 0.3])
@pytest.mark.parametrize("mask", ["none", "causal", "boolean", "floating", "infinite"])
def test_scaled_dot_product_attention(
    lead: tuple[int, ...], scale: float | None, mask: str
) -> None:
    q, k, v = random(*lead, 4, 5), random(*lead, 6, 5, seed=1), random(*lead, 6, 7, seed=2)
    given = {
        "boolean": boolean(*lead, 4, 6),
        "floating": random(4, 6, seed=3),
        "infinite": random(4, 6, seed=3).detach().masked_fill(~boolean(4, 6), -math.inf),
    }.get(mask)
    reached = compare(
        F.scaled_dot_product_attention,
        torch.nn.functional.scaled_dot_product_attention,
        (q, k, v, given),
        {"scale": scale, "is_causal": mask == "causal"},
    )
    assert reached == 2


@pytest.mark.parametrize("shared", [1, 2, 4])
@pytest.mark.parametrize("mask", ["none", "causal", "boolean", "floating", "each head"])
def test_grouped_queries(shared: int, mask: str) -> None:
    q = random(2, 4, 5, 3)
    k, v = random(2, shared, 5, 3, seed=1), random(2, shared, 5, 7, seed=2)
    given = {
        "boolean": boolean(2, 1, 5, 5),
        "floating": random(5, 5, seed=3),
        "each head": boolean(2, 4, 5, 5),
    }.get(mask)
    reached = compare(
        F.scaled_dot_product_attention,
        torch.nn.functional.scaled_dot_product_attention,
        (q, k, v, given),
        {"is_causal": mask == "causal", "enable_gqa": True},
    )
    assert reached == 2


def layers(embed_dim: int, heads: int, **how: Any) -> tuple[nn.Module, Any]:
    torch.manual_seed(0)
    theirs = torch.nn.MultiheadAttention(embed_dim, heads, **how)
    for name, p in theirs.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(p)
    return twins(nn.MultiheadAttention(embed_dim, heads, **how), theirs)


@pytest.mark.parametrize("sizes", [{}, {"kdim": 3, "vdim": 5}, {"kdim": 3}])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("batched", [True, False])
def test_cross_attention(
    sizes: dict[str, int], bias: bool, batch_first: bool, batched: bool
) -> None:
    ours, theirs = layers(6, 2, bias=bias, batch_first=batch_first, **sizes)

    def input(length: int, features: int, seed: int) -> Any:
        shape = (2, length) if batch_first else (length, 2)
        return random(*(shape if batched else (length,)), features, seed=seed)

    k, v = sizes.get("kdim", 6), sizes.get("vdim", 6)
    args = (input(4, 6, 0), input(5, k, 1), input(5, v, 2))
    for how in ({}, {"average_attn_weights": False}, {"need_weights": False}):
        assert_same_outputs_and_gradients(ours, theirs, args, how)


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("padding", ["none", "boolean", "floating"])
@pytest.mark.parametrize("mask", ["none", "boolean", "floating", "each head"])
def test_self_attention_with_masks(need_weights: bool, padding: str, mask: str) -> None:
    ours, theirs = layers(6, 2, batch_first=True)
    x = random(3, 4, 6)
    how: dict[str, Any] = {"need_weights": need_weights}
    if padding != "none":
        forbidden = ~boolean(3, 4)
        how["key_padding_mask"] = (
            torch.zeros(3, 4).double().masked_fill(forbidden, -math.inf)
            if padding == "floating"
            else forbidden
        )
    if mask == "boolean":
        how["attn_mask"] = ~boolean(4, 4, seed=1)
    elif mask == "floating":
        how["attn_mask"] = random(4, 4, seed=1).detach()
    elif mask == "each head":
        how["attn_mask"] = ~boolean(6, 4, 4, seed=1)
    if mask != "none" and {padding, "floating" if mask == "floating" else "boolean"} == {
        "boolean",
        "floating",
    }:
        with pytest.warns(UserWarning, match="mismatched"):
            assert_same_outputs_and_gradients(ours, theirs, (x, x, x), how)
    else:
        assert_same_outputs_and_gradients(ours, theirs, (x, x, x), how)


def test_causal() -> None:
    ours, theirs = layers(6, 2)
    x = random(5, 2, 6)
    future = torch.nn.Transformer.generate_square_subsequent_mask(5, dtype=torch.float64)
    mine, _ = ours(*[Translation()(x)] * 3, is_causal=True)
    other, _ = theirs(x, x, x, attn_mask=future, is_causal=True)
    assert_close(mine, other, "output")


@pytest.mark.parametrize("sizes", [{}, {"kdim": 3, "vdim": 5}])
def test_fifty_steps_of_training(sizes: dict[str, int]) -> None:
    ours, theirs = layers(6, 2, **sizes)
    x = random(5, 4, 6).detach()
    k, v = (random(5, 4, sizes.get(name, 6), seed=1).detach() for name in ("kdim", "vdim"))
    if not sizes:
        k = v = x
    y = random(5, 4, 6, seed=2).detach()
    a, b, c, d = Translation()([x, k, v, y])
    assert_same_training(
        ours,
        theirs,
        lambda net: F.mse_loss(net(a, b, c)[0], d),
        lambda net: torch.nn.functional.mse_loss(net(x, k, v)[0], y),
        lr=0.3,
    )


def test_a_query_without_keys_is_zero_here_and_not_a_number_there() -> None:
    ours, theirs = layers(6, 2)
    x, future = random(3, 1, 6), torch.ones(3, 3, dtype=torch.bool)
    future[1:] = False
    mine, weights = ours(*[Translation()(x)] * 3, attn_mask=Translation()(future))
    other, nothing = theirs(x, x, x, attn_mask=future)
    assert torch.isnan(nothing[:, 0]).all()
    assert torch.isnan(other[0]).all()
    assert not weights[:, 0].any()
    assert gu.allclose(mine[0], ours.out_proj.bias.expand(1, 6))
    assert_close(mine[1:], other[1:], "the other queries")
