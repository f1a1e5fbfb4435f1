"""Layers with packed weights: their state, what they share, what they refuse. R1.6."""

from __future__ import annotations

import numpy as np
import pytest
from tests.engine.packed_blocks import random_blocks, unpacked

import groundup as gu
from groundup import nn


def layer(seed: int = 0, bias: bool = False) -> nn.PackedLinear:
    blocks = gu.from_numpy(random_blocks("Q4_1", 10, 64, seed=seed))
    return nn.PackedLinear.from_blocks(blocks, "Q4_1", gu.randn(10) if bias else None)


def test_the_state_holds_the_bytes() -> None:
    one, other = layer(0, bias=True), nn.PackedLinear(64, 10, "Q4_1", bias=True)
    x = gu.randn(3, 64)
    assert (other(x) == 0).all()
    assert {name: v.dtype.name for name, v in one.state_dict().items()} == {
        "weight": "uint8", "bias": "float32"
    }  # fmt: skip
    other.load_state_dict(one.state_dict())
    np.testing.assert_array_equal(other(x).detach().numpy(), one(x).detach().numpy())
    with pytest.raises(RuntimeError, match="weight has shape"):
        nn.PackedLinear(64, 10, "Q4_0", bias=True).load_state_dict(one.state_dict())


def test_only_the_bias_learns() -> None:
    one = layer(bias=True)
    assert [name for name, _ in one.named_parameters()] == ["bias"]
    x = gu.randn(3, 64, requires_grad=True)
    one(x).sum().backward()
    assert one.bias is not None
    assert one.bias.grad is not None
    assert one.bias.grad.tolist() == [3.0] * 10
    assert x.grad is not None
    own = unpacked(random_blocks("Q4_1", 10, 64), "Q4_1")
    np.testing.assert_allclose(x.grad.numpy()[0], own.sum(0), rtol=1e-4, atol=1e-5)
    before = one.weight.numpy().copy()
    one.to(gu.float64)
    np.testing.assert_array_equal(one.weight.numpy(), before)


def test_a_head_shares_the_embedding() -> None:
    blocks = random_blocks("Q8_0", 20, 32)
    embedding = nn.PackedEmbedding.from_blocks(gu.from_numpy(blocks), "Q8_0")
    head = nn.PackedLinear.sharing(embedding)
    net = nn.Sequential(embedding, head)
    assert len(list(net.buffers())) == 1
    np.testing.assert_array_equal(embedding(gu.arange(20)).numpy(), unpacked(blocks, "Q8_0"))
    new = nn.PackedEmbedding.from_blocks(
        gu.from_numpy(random_blocks("Q8_0", 20, 32, seed=1)), "Q8_0"
    )
    embedding.load_state_dict(new.state_dict())
    x = gu.randn(1, 32)
    np.testing.assert_array_equal(head(x).numpy(), nn.PackedLinear.sharing(new)(x).numpy())


def test_sizes_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 32"):
        nn.PackedLinear(33, 10, "Q4_0")
    with pytest.raises(ValueError, match="multiple of 256"):
        nn.PackedEmbedding(10, 128, "Q6_K")
    with pytest.raises(ValueError, match="expected one of Q4_0"):
        nn.PackedLinear(32, 10, "Q2_K")
    with pytest.raises(ValueError, match=r"expected \(\*, 64\)"):
        layer()(gu.ones(2, 32))
    with pytest.raises(IndexError, match="position 10"):
        nn.PackedEmbedding(10, 32)(gu.tensor([10]))
