"""Networks that are easily lost: a deep transformer on digits, and a recurrent one that adds.

The blocks are those of Vaswani et al. (2017), "Attention is all you need" (post-norm), and of Xiong
et al. (2020), "On layer normalization in the transformer architecture" (pre-norm). Sums of two
marked numbers: Hochreiter and Schmidhuber (1997); a recurrent network with ReLU that begins with
the identity: Le, Jaitly and Hinton (2015), "A simple way to initialize recurrent networks of
rectified linear units".
"""

from __future__ import annotations

import numpy as np

import groundup as gu
from groundup import nn


class Block(nn.Module):
    """Self-attention and an MLP, each with a shortcut and a norm; x is (N, tokens, width)."""

    def __init__(self, width: int, post: bool) -> None:
        self.post, wide = post, 2 * width
        self.attention = nn.MultiheadAttention(width, num_heads=2, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(width, wide), nn.ReLU(), nn.Linear(wide, width))
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x: gu.Tensor) -> gu.Tensor:
        """The tokens, changed."""
        if self.post:
            x = self.norm1(x + self.attention(x, x, x)[0])
            return self.norm2(x + self.mlp(x))
        y = self.norm1(x)
        x = x + self.attention(y, y, y)[0]
        return x + self.mlp(self.norm2(x))


class Reader(nn.Module):
    """Reads an image (N, 1, 8, 8) as 8 tokens, one a row; gives logits (N, 10)."""

    def __init__(self, depth: int, post: bool, width: int = 16) -> None:
        self.read = nn.Linear(8, width)
        self.place = nn.Parameter(0.02 * gu.randn(8, width))
        self.blocks = nn.Sequential(*[Block(width, post) for _ in range(depth)])
        self.norm = nn.Identity() if post else nn.LayerNorm(width)
        self.answer = nn.Linear(width, 10)

    def forward(self, image: gu.Tensor) -> gu.Tensor:
        """The logits."""
        tokens = self.blocks(self.read(image.squeeze(1)) + self.place)
        return self.answer(self.norm(tokens).mean(dim=1))


class Adder(nn.Module):
    """A recurrent network with ReLU that begins with the identity: (N, T, 2) to (N, 1)."""

    def __init__(self, hidden: int = 16) -> None:
        self.rnn = nn.RNN(2, hidden, nonlinearity="relu", batch_first=True)
        self.answer = nn.Linear(hidden, 1)
        weights = dict(self.rnn.named_parameters())
        nn.init.normal_(weights["weight_ih_l0"], std=0.3)
        for name in ("bias_ih_l0", "bias_hh_l0"):
            nn.init.zeros_(weights[name])
        with gu.no_grad():
            weights["weight_hh_l0"].assign(gu.eye(hidden))

    def forward(self, x: gu.Tensor) -> gu.Tensor:
        """The sum that it guesses from its last state."""
        return self.answer(self.rnn(x)[1][0])


def sums(count: int, length: int, random: np.random.Generator) -> tuple[gu.Tensor, gu.Tensor]:
    """Numbers from 0 to 1, one in each half marked, (N, T, 2), and the marked ones' sum (N, 1)."""
    numbers, marks = random.random((count, length)), np.zeros((count, length))
    half = length // 2
    marks[np.arange(count), random.integers(0, half, count)] = 1
    marks[np.arange(count), random.integers(half, length, count)] = 1
    both, truth = np.stack([numbers, marks], axis=2), (numbers * marks).sum(axis=1, keepdims=True)
    return gu.tensor(both.astype(np.float32)), gu.tensor(truth.astype(np.float32))
