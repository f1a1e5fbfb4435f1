r"""GPT: a decoder that predicts the next token (Radford et al., 2018 and 2019).

For tokens $t_1, \dots, t_T$ it gives at each place the distribution of the next one. Tokens become
vectors, a position is added, and L blocks change them in two steps each:

$$x \leftarrow x + \mathrm{Attention}(\mathrm{LayerNorm}(x)), \qquad
x \leftarrow x + W_2\,\mathrm{GELU}(W_1\,\mathrm{LayerNorm}(x))$$

GPT-2 learns a vector for each position. Others are built in, so that they can be compared:
sinusoidal (Vaswani et al., 2017), rotary (Su et al., 2021), ALiBi, which lowers the score of a key
by its distance, more in some heads than in others (Press, Smith and Lewis, 2022), and none.

Shapes: N sequences, T tokens, E features in H heads of D = E / H features.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from .. import nn
from ..engine.ops.creation import arange
from ..engine.tensor import Tensor
from ..engine.transforms import checkpoint
from ..nn import functional as F
from .cache import KeyValueCache

Positions = Literal["learned", "sinusoidal", "rotary", "alibi", "none"]
POSITIONS = ("learned", "sinusoidal", "rotary", "alibi", "none")


@dataclass(frozen=True)
class GPTConfig:
    """Sizes of a GPT.

    Attributes:
        vocab_size: tokens that there are.
        context: tokens that it can read at most; without a table of positions it can read more.
        d_model: E.
        num_layers: blocks.
        num_heads: H; divides E.
        dim_feedforward: hidden units of the second half of a block; 4 E if None.
        dropout: of embeddings, attention weights and the outputs of both halves, in training.
        positions: "learned", "sinusoidal", "rotary", "alibi" or "none".
        bias: whether linear layers and norms have one.
        checkpoint: keep only what enters each block, and compute the rest again in the backward
            pass: less memory for one more forward pass (Chen et al., 2016).

    Raises:
        ValueError: sizes that do not fit.

    Example:
        >>> GPTConfig(vocab_size=65, context=64, d_model=128, num_layers=4, num_heads=4).head_dim
        32
    """

    vocab_size: int = 50257
    context: int = 1024
    d_model: int = 768
    num_layers: int = 12
    num_heads: int = 12
    dim_feedforward: int | None = None
    dropout: float = 0.0
    positions: Positions = "learned"
    bias: bool = True
    checkpoint: bool = False

    def __post_init__(self) -> None:
        for name in ("vocab_size", "context", "d_model", "num_layers", "num_heads"):
            if getattr(self, name) < 1:
                raise ValueError(f"GPTConfig: {name} is {getattr(self, name)}, expected at least 1")
        if self.d_model % self.num_heads:
            raise ValueError(
                f"GPTConfig: num_heads {self.num_heads} does not divide d_model {self.d_model}"
            )
        if self.positions not in POSITIONS:
            raise ValueError(
                f"GPTConfig: positions {self.positions!r}, expected one of {', '.join(POSITIONS)}"
            )

    @property
    def head_dim(self) -> int:
        """D."""
        return self.d_model // self.num_heads


class SelfAttention(nn.Module):
    """Each token takes a weighted mean of what the tokens up to itself hold."""

    def __init__(self, config: GPTConfig) -> None:
        self.num_heads, self.dropout = config.num_heads, config.dropout
        self.qkv = nn.Linear(config.d_model, 3 * config.d_model, bias=config.bias)
        self.out = nn.Linear(config.d_model, config.d_model, bias=config.bias)
        rotary = config.positions == "rotary"
        self.turn = nn.RotaryPositions(config.head_dim, config.context) if rotary else None

    def forward(
        self,
        x: Tensor,
        positions: Tensor,
        mask: Tensor | None,
        cache: KeyValueCache | None,
        layer: int,
    ) -> Tensor:
        n, t, e = x.shape
        split = self.qkv(x).reshape(n, t, 3, self.num_heads, e // self.num_heads)
        q, k, v = split.permute(2, 0, 3, 1, 4).unbind(0)  # 3 times (N, H, T, D)
        if self.turn is not None:
            q, k = (self.turn(part, positions.unsqueeze(-2)) for part in (q, k))
        if cache is not None:
            k, v = cache.update(layer, k, v)
        y = F.scaled_dot_product_attention(
            q, k, v, mask, self.dropout if self.training else 0.0, is_causal=cache is None
        )
        return self.out(y.transpose(1, 2).reshape(n, t, e))


class Block(nn.Module):
    """Attention between the tokens, then two linear layers for each token by itself."""

    def __init__(self, config: GPTConfig) -> None:
        e, hidden = config.d_model, config.dim_feedforward or 4 * config.d_model
        self.norm1 = nn.LayerNorm(e, bias=config.bias)
        self.attention = SelfAttention(config)
        self.norm2 = nn.LayerNorm(e, bias=config.bias)
        self.up = nn.Linear(e, hidden, bias=config.bias)
        self.down = nn.Linear(hidden, e, bias=config.bias)
        self.drop = nn.Dropout(config.dropout)

    def forward(
        self,
        x: Tensor,
        positions: Tensor,
        mask: Tensor | None,
        cache: KeyValueCache | None,
        layer: int,
    ) -> Tensor:
        x = x + self.drop(self.attention(self.norm1(x), positions, mask, cache, layer))
        return x + self.drop(self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh")))


class GPT(nn.Module):
    """A decoder-only transformer with the norm before each half of a block.

    The head shares its weights with the token embedding (Press and Wolf, 2017). Weights begin
    normal with a standard deviation of 0.02; those that write to the stream of residuals with 0.02
    / sqrt(2 L), so that the stream's size does not grow with the depth (Radford et al., 2019).

    Args:
        config: sizes.

    Shape:
        tokens (N, T) -> logits (N, T, vocab_size).

    Raises:
        ValueError: more tokens than the table of positions has rows.

    Example:
        >>> _ = gu.manual_seed(0)
        >>> model = GPT(GPTConfig(vocab_size=10, context=8, d_model=16, num_layers=2, num_heads=2))
        >>> tokens = gu.tensor([[1, 2, 3, 4]])
        >>> logits = model(tokens)
        >>> logits.shape
        (1, 4, 10)
        >>> cache = model.make_cache(batch=1, capacity=8)
        >>> in_parts = [model(tokens[:, :3], cache=cache), model(tokens[:, 3:], cache=cache)]
        >>> gu.allclose(gu.cat(in_parts, 1), logits, atol=1e-5)
        True
    """

    def __init__(self, config: GPTConfig) -> None:
        self.config = config
        self.token = nn.Embedding(config.vocab_size, config.d_model)
        self.position: nn.Module | None = None
        if config.positions == "learned":
            self.position = nn.LearnedPositions(config.d_model, config.context)
        elif config.positions == "sinusoidal":
            self.position = nn.SinusoidalPositions(config.d_model, config.context)
        self.drop = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList([Block(config) for _ in range(config.num_layers)])
        self.norm = nn.LayerNorm(config.d_model, bias=config.bias)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        last = 0.02 / math.sqrt(2 * self.config.num_layers)
        for name, p in self.named_parameters():
            if p.ndim >= 2:
                writes = name.endswith(("out.weight", "down.weight"))
                nn.init.normal_(p, std=last if writes else 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(p)

    def forward(
        self,
        tokens: Tensor,
        mask: Tensor | None = None,
        cache: KeyValueCache | None = None,
        last: int | None = None,
    ) -> Tensor:
        """Logits of the token after each token.

        Args:
            tokens: whole numbers below ``vocab_size``.
            mask: (N, T), true where a token is real, false where it is padding; not with a cache,
                whose `start` says it.
            cache: of what was read before; the tokens are added to it.
            last: how many of the last tokens to give logits of; None: all.
        """
        t = tokens.shape[1]
        if cache is None:
            positions = arange(t).unsqueeze(0)
            allowed = None if mask is None else mask.unsqueeze(1).unsqueeze(1)
        else:
            positions = cache.positions(t)
            allowed = cache.mask(t)
        scores: Tensor | None = allowed
        if self.config.positions == "alibi":
            scores = self._alibi(t, allowed, cache)
        x = self.token(tokens)
        if self.position is not None:
            x = self.position(x, None if cache is None else positions)
        x = self.drop(x)
        for layer, block in enumerate(self.blocks):
            if self.config.checkpoint and cache is None:
                x = checkpoint(block, x, positions, scores, cache, layer)
            else:
                x = block(x, positions, scores, cache, layer)
        if cache is not None:
            cache.advance(t)
        if last is not None:
            x = x.narrow(1, t - last, last)
        return self.norm(x) @ self.token.weight.T

    def _alibi(self, t: int, allowed: Tensor | None, cache: KeyValueCache | None) -> Tensor:
        """The distances times the slopes, and minus infinity where nothing may be read."""
        first = 0 if cache is None else cache.filled
        keys = arange(t if cache is None else cache.reach)
        bias = F.alibi(first + arange(t), keys, self.config.num_heads)  # (H, T, S)
        return bias if allowed is None else bias.masked_fill(~allowed, -math.inf)

    def make_cache(
        self, batch: int, capacity: int, kind: type[KeyValueCache] = KeyValueCache
    ) -> KeyValueCache:
        """An empty cache that fits this model.

        Args:
            batch: sequences.
            capacity: tokens that there is room for.
            kind: `KeyValueCache`, or `QuantizedCache` for a quarter of the memory.
        """
        c = self.config
        return kind(c.num_layers, batch, c.num_heads, c.head_dim, capacity)
