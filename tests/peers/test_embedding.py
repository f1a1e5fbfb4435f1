"""R2.7 beside PyTorch: look-up, padding, one-hot, and 50 steps of training."""

from __future__ import annotations

import pytest

import groundup as gu
import groundup.nn.functional as F
from groundup import nn

torch = pytest.importorskip("torch")

from tests.peers.comparison import Translation, compare  # noqa: E402
from tests.peers.twins import (  # noqa: E402
    assert_same_outputs_and_gradients,
    assert_same_training,
    random,
    twins,
)

TOKENS = torch.tensor([[2, 0, 2, 3], [4, 1, 2, 0]])


@pytest.mark.parametrize("padding", [None, 2, -1])
@pytest.mark.parametrize("tokens", [TOKENS, TOKENS[0], TOKENS[0, 0], TOKENS[:0]])
def test_embedding(padding: int | None, tokens: torch.Tensor) -> None:
    for dtype in (torch.int64, torch.int32):
        compare(
            F.embedding,
            torch.nn.functional.embedding,
            (tokens.to(dtype), random(5, 3)),
            {"padding_idx": padding},
            order=2 if tokens.numel() else 1,
        )


def test_one_hot() -> None:
    compare(F.one_hot, torch.nn.functional.one_hot, (TOKENS,), {})
    compare(F.one_hot, torch.nn.functional.one_hot, (TOKENS, 7), {})


@pytest.mark.parametrize("padding", [None, 2, -1])
def test_layer(padding: int | None) -> None:
    torch.manual_seed(0)
    theirs = torch.nn.Embedding(5, 3, padding_idx=padding)
    ours, theirs = twins(nn.Embedding(5, 3, padding_idx=padding), theirs)
    assert_same_outputs_and_gradients(ours, theirs, (TOKENS,))
    table = random(5, 3).detach()
    mine = nn.Embedding.from_pretrained(gu.tensor(table.numpy()), padding_idx=padding)
    other = torch.nn.Embedding.from_pretrained(table, padding_idx=padding)
    assert gu.equal(mine(Translation()(TOKENS)), Translation()(other(TOKENS)))
    assert mine.weight.requires_grad == other.weight.requires_grad
    assert mine.padding_idx == (None if padding is None else other.padding_idx % 5)


def test_fifty_steps_of_training() -> None:
    torch.manual_seed(0)
    theirs = torch.nn.Sequential(
        torch.nn.Embedding(5, 6, padding_idx=0), torch.nn.Flatten(), torch.nn.Linear(24, 3)
    )
    ours = nn.Sequential(nn.Embedding(5, 6, padding_idx=0), nn.Flatten(), nn.Linear(24, 3))
    ours, theirs = twins(ours, theirs)
    tokens = torch.randint(5, (16, 4), generator=torch.Generator().manual_seed(0))
    labels = torch.randint(3, (16,), generator=torch.Generator().manual_seed(1))
    a, b = Translation()((tokens, labels))
    assert_same_training(
        ours,
        theirs,
        lambda net: F.cross_entropy(net(a), b),
        lambda net: torch.nn.functional.cross_entropy(net(tokens), labels),
        lr=0.3,
    )
    assert not ours[0].weight[0].any()
