"""Compiled products with packed weights give the bits that uncompiled ones give. R1.4, R1.6."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from tests.engine.packed_blocks import random_blocks, unpacked

import groundup as gu
from groundup import nn
from groundup.engine.panels import PACKINGS


@pytest.fixture(params=[1, 2], ids=["1 thread", "2 threads"])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = gu.get_num_threads()
    gu.set_num_threads(request.param)
    yield request.param
    gu.set_num_threads(before)


def linear(name: str, n: int, k: int, seed: int = 0) -> nn.PackedLinear:
    return nn.PackedLinear.from_blocks(gu.from_numpy(random_blocks(name, n, k, seed=seed)), name)


USUAL = ("Q4_1", "Q6_K")
SELDOM = [pytest.param(name, marks=pytest.mark.slow) for name in PACKINGS if name not in USUAL]


@pytest.mark.parametrize("name", [*USUAL, *SELDOM])
def test_a_compiled_network_gives_the_same_bits(name: str, threads: int) -> None:
    rows = random_blocks(name, 21, 256)
    embedding = nn.PackedEmbedding.from_blocks(gu.from_numpy(rows), name)
    one, other = linear(name, 256, 256, seed=1), linear(name, 256, 256, seed=2)
    head = nn.PackedLinear.sharing(embedding)

    def forward(tokens: gu.Tensor) -> gu.Tensor:
        x = embedding(tokens)
        x = x * gu.sigmoid(one(x)) + other(x)
        return head(x)

    compiled = gu.compile(forward)
    alone = gu.compile(lambda tokens: head(embedding(tokens)))
    for tokens in (gu.tensor([[3]]), gu.tensor([[0, 20, 5], [7, 7, 1]])):
        assert gu.allclose(compiled(tokens), forward(tokens), rtol=1e-5, atol=1e-6)
        # Bit for bit where no elementwise function stands between.
        np.testing.assert_array_equal(alone(tokens).numpy(), head(embedding(tokens)).numpy())


def test_products_of_one_input_share_its_rounding() -> None:
    one, other = linear("Q4_1", 16, 64, seed=1), linear("Q4_1", 24, 64, seed=2)
    compiled = gu.compile(lambda x: (one(x), other(x), one(x)))
    first, second, again = compiled(gu.randn(2, 3, 64))
    assert (first.shape, second.shape) == ((2, 3, 16), (2, 3, 24))
    np.testing.assert_array_equal(first.numpy(), again.numpy())
    [program] = gu.explain(compiled).programs
    steps = [step for step in program.steps if step.kind == "packed"]
    assert [step.operations for step in steps] == [
        ("rounded",), ("packed_product",), ("packed_product",)
    ]  # fmt: skip
    assert [step.sizes for step in steps[1:]] == [(6, 16, 64), (6, 24, 64)]
    assert [step.multiply_adds for step in steps[1:]] == [6 * 16 * 64, 6 * 24 * 64]
    assert program.native == 1
    assert not any(step.kind == "call" for step in program.steps)
    text = str(program)
    assert "3 on packed weights" in text
    assert "packed_product Q4_1: 9,216 multiply-adds" in text


def test_an_embedding_reads_the_rows_that_it_gives() -> None:
    embedding = nn.PackedEmbedding(1000, 64, "Q8_0")
    compiled = gu.compile(lambda tokens: embedding(tokens) + 1)
    compiled(gu.tensor([1, 999, 5]))
    [program] = gu.explain(compiled).programs
    [step] = [step for step in program.steps if step.kind == "packed"]
    assert step.operations == ("packed_rows",)
    assert (step.reads, step.writes) == (3 * (8 + 2 * 34), 3 * 64 * 4)


def test_views_are_read_as_they_lie() -> None:
    """A transposed input is copied; a part of a larger one is read where it is."""
    layer = linear("Q8_0", 8, 32)
    compiled = gu.compile(lambda x: (layer(x[1:, :32]), layer(x.T[:, :32]), layer(x[2, 32:])))
    x = gu.randn(64, 64)
    for found, expected in zip(
        compiled(x), (layer(x[1:, :32]), layer(x.T[:, :32]), layer(x[2, 32:])), strict=True
    ):
        np.testing.assert_array_equal(found.numpy(), expected.numpy())


def test_a_compiled_gradient_passes_through() -> None:
    name, n, k = "Q5_0", 24, 64
    blocks = random_blocks(name, n, k)
    layer = nn.PackedLinear.from_blocks(gu.from_numpy(blocks), name)
    before = nn.Linear(16, k)

    @gu.compile
    def step(x: gu.Tensor) -> gu.Tensor:
        loss = (layer(before(x)) ** 2).sum()
        before.zero_grad()
        loss.backward()
        return loss.detach()

    x = gu.randn(5, 16)
    step(x)
    y = layer(before(x)).detach().numpy()
    expected = (2 * y @ unpacked(blocks, name)).T @ x.numpy()
    assert before.weight.grad is not None
    np.testing.assert_allclose(before.weight.grad.numpy(), expected, rtol=1e-3, atol=1e-4)


def test_a_token_outside_the_vocabulary_is_refused_at_any_call() -> None:
    embedding = nn.PackedEmbedding(9, 32)
    compiled = gu.compile(lambda tokens: embedding(tokens))
    assert compiled(gu.tensor([0, 8])).shape == (2, 32)
    for token in (9, -1, 2**40):
        with pytest.raises(IndexError, match=f"found {token}, expected 0 to 8"):
            compiled(gu.tensor([0, token]))
