r"""The transformer as it was introduced: one text in, another one out (Vaswani et al., 2017).

The encoder reads the source in both directions. The decoder writes the target token by token: its
self-attention sees what is written already, its cross-attention reads the encoder's output,

$$\mathrm{Attention}(x W_q,\; m W_k,\; m W_v), \qquad m = \mathrm{Encoder}(\text{source})$$

and the head gives the distribution of the next token. Source and target share one vocabulary, and
the embedding serves the head too (Press and Wolf, 2017); embeddings are multiplied by sqrt(E), as
in section 3.4 of the paper. In the paper the norm stands after each part (post-norm); before it
(pre-norm) training is easier (Xiong et al., 2020), and a last norm closes each stack.

Shapes: N pairs, S tokens of the source, T of the target, E features in H heads of D = E / H.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .. import nn
from ..engine.tensor import Tensor
from ..engine.transforms import checkpoint
from ..nn import functional as F
from .cache import KeyValueCache


@dataclass(frozen=True)
class TransformerConfig:
    """Sizes of an encoder-decoder.

    Attributes:
        vocab_size: tokens that there are, of source and target together.
        context: tokens that either side can have at most.
        d_model: E.
        num_layers: blocks of the encoder, and as many of the decoder.
        num_heads: H; divides E.
        dim_feedforward: hidden units of the last part of a block.
        dropout: of embeddings, attention weights and the outputs of all parts, in training.
        norm_first: the norm before each part (pre-norm) instead of after it.
        checkpoint: keep only what enters each block, and compute the rest again in the backward
            pass: less memory for one more forward pass (Chen et al., 2016).

    Raises:
        ValueError: sizes that do not fit.

    Example:
        >>> TransformerConfig(vocab_size=100, d_model=64, num_heads=4).num_layers
        6
    """

    vocab_size: int = 32000
    context: int = 512
    d_model: int = 512
    num_layers: int = 6
    num_heads: int = 8
    dim_feedforward: int = 2048
    dropout: float = 0.1
    norm_first: bool = True
    checkpoint: bool = False

    def __post_init__(self) -> None:
        for name in ("vocab_size", "context", "d_model", "num_layers", "num_heads"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"TransformerConfig: {name} is {getattr(self, name)}, expected at least 1"
                )
        if self.d_model % self.num_heads:
            raise ValueError(
                f"TransformerConfig: num_heads {self.num_heads} does not divide d_model "
                f"{self.d_model}"
            )


class Attention(nn.Module):
    """Queries of one sequence read keys and values of another, or of their own."""

    def __init__(self, config: TransformerConfig) -> None:
        e = config.d_model
        self.heads, self.dropout = config.num_heads, config.dropout
        self.query, self.key, self.value = (nn.Linear(e, e) for _ in range(3))
        self.out = nn.Linear(e, e)

    def split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (N, H, length, D)

    def memory(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.split(self.key(x)), self.split(self.value(x))

    def forward(
        self, x: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, causal: bool = False
    ) -> Tensor:
        y = F.scaled_dot_product_attention(
            self.split(self.query(x)),
            keys,
            values,
            mask,
            self.dropout if self.training else 0.0,
            is_causal=causal,
        )
        return self.out(y.transpose(1, 2).flatten(2))


class Part(nn.Module):
    """What a block does three times: something, with a norm, added to what came in."""

    def __init__(self, config: TransformerConfig) -> None:
        self.norm = nn.LayerNorm(config.d_model)
        self.drop = nn.Dropout(config.dropout)
        self.norm_first = config.norm_first

    def before(self, x: Tensor) -> Tensor:
        return self.norm(x) if self.norm_first else x

    def after(self, x: Tensor, change: Tensor) -> Tensor:
        x = x + self.drop(change)
        return x if self.norm_first else self.norm(x)


class FeedForward(Part):
    """Two linear layers for each token by itself."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)
        self.up = nn.Linear(config.d_model, config.dim_feedforward)
        self.down = nn.Linear(config.dim_feedforward, config.d_model)

    def forward(self, x: Tensor) -> Tensor:
        return self.after(x, self.down(F.relu(self.up(self.before(x)))))


class SelfAttention(Part):
    """The tokens of one sequence read each other."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)
        self.attention = Attention(config)

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None,
        causal: bool = False,
        cache: KeyValueCache | None = None,
        layer: int = 0,
    ) -> Tensor:
        inner = self.before(x)
        keys, values = self.attention.memory(inner)
        if cache is not None:
            keys, values = cache.update(layer, keys, values)
        return self.after(x, self.attention(inner, keys, values, mask, causal))


class CrossAttention(Part):
    """The target reads the source."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)
        self.attention = Attention(config)

    def forward(self, x: Tensor, memory: tuple[Tensor, Tensor], mask: Tensor | None) -> Tensor:
        return self.after(x, self.attention(self.before(x), *memory, mask))


class EncoderBlock(nn.Module):
    """Self-attention in both directions, then the linear layers."""

    def __init__(self, config: TransformerConfig) -> None:
        self.attention = SelfAttention(config)
        self.mlp = FeedForward(config)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        return self.mlp(self.attention(x, mask))


class DecoderBlock(nn.Module):
    """Causal self-attention, cross-attention, then the linear layers."""

    def __init__(self, config: TransformerConfig) -> None:
        self.attention = SelfAttention(config)
        self.cross = CrossAttention(config)
        self.mlp = FeedForward(config)

    def forward(
        self,
        x: Tensor,
        memory: tuple[Tensor, Tensor],
        mask: Tensor | None,
        cache: KeyValueCache | None,
        layer: int,
    ) -> Tensor:
        own = None if cache is None else cache.mask(x.shape[1])
        x = self.attention(x, own, cache is None, cache, layer)
        return self.mlp(self.cross(x, memory, mask))


class Transformer(nn.Module):
    """An encoder-decoder.

    Weights begin Xavier uniform, the embedding normal with standard deviation 1 / sqrt(E).

    Args:
        config: sizes.

    Shape:
        source (N, S), target (N, T), optionally mask (N, S), true where a source token is real ->
        logits (N, T, vocab_size).

    Raises:
        ValueError: more tokens than ``context``.

    Example:
        >>> sizes = dict(vocab_size=10, context=8, d_model=16, num_layers=1, dim_feedforward=32)
        >>> model = Transformer(TransformerConfig(num_heads=2, **sizes)).eval()
        >>> source, target = gu.tensor([[1, 2, 3]]), gu.tensor([[4, 5]])
        >>> logits = model(source, target)
        >>> memory, cache = model.encode(source), model.make_cache(1, 4)
        >>> parts = [model.decode(target[:, i : i + 1], memory, cache=cache) for i in range(2)]
        >>> logits.shape, gu.allclose(gu.cat(parts, 1), logits, atol=1e-5)
        ((1, 2, 10), True)
    """

    def __init__(self, config: TransformerConfig) -> None:
        self.config = config
        e = config.d_model
        self.token = nn.Embedding(config.vocab_size, e)
        self.position = nn.SinusoidalPositions(e, config.context)
        self.drop = nn.Dropout(config.dropout)
        self.encoder = nn.ModuleList([EncoderBlock(config) for _ in range(config.num_layers)])
        self.decoder = nn.ModuleList([DecoderBlock(config) for _ in range(config.num_layers)])
        self.encoder_norm = nn.LayerNorm(e) if config.norm_first else None
        self.decoder_norm = nn.LayerNorm(e) if config.norm_first else None
        for name, p in self.named_parameters():
            if name == "token.weight":
                nn.init.normal_(p, std=1 / math.sqrt(e))
            elif p.ndim >= 2:
                nn.init.xavier_uniform_(p)
            elif name.endswith("bias"):
                nn.init.zeros_(p)

    def _embed(self, tokens: Tensor, positions: Tensor | None) -> Tensor:
        scaled = self.token(tokens) * math.sqrt(self.config.d_model)
        return self.drop(self.position(scaled, positions))

    def encode(self, source: Tensor, mask: Tensor | None = None) -> list[tuple[Tensor, Tensor]]:
        """What the decoder reads of the source: keys and values for each of its blocks.

        Shape:
            source and mask (N, S) -> for each block (N, H, S, D) twice.
        """
        x = self._embed(source, None)
        allowed = None if mask is None else mask.unsqueeze(1).unsqueeze(1)
        for block in self.encoder:
            x = checkpoint(block, x, allowed) if self.config.checkpoint else block(x, allowed)
        if self.encoder_norm is not None:
            x = self.encoder_norm(x)
        return [block.cross.attention.memory(x) for block in self.decoder]

    def decode(
        self,
        target: Tensor,
        memory: list[tuple[Tensor, Tensor]],
        mask: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """Logits of the token after each token of the target.

        Args:
            target: what is written already; with a cache, what the cache does not have yet.
            memory: what `encode` gave.
            mask: of the source.
            cache: of what was written before; the tokens are added to it.

        Shape:
            target (N, T), mask (N, S) -> (N, T, vocab_size).
        """
        t = target.shape[1]
        x = self._embed(target, None if cache is None else cache.positions(t))
        allowed = None if mask is None else mask.unsqueeze(1).unsqueeze(1)
        for layer, block in enumerate(self.decoder):
            if self.config.checkpoint and cache is None:
                x = checkpoint(block, x, memory[layer], allowed, cache, layer)
            else:
                x = block(x, memory[layer], allowed, cache, layer)
        if cache is not None:
            cache.advance(t)
        if self.decoder_norm is not None:
            x = self.decoder_norm(x)
        return x @ self.token.weight.T

    def forward(self, source: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.decode(target, self.encode(source, mask), mask)

    def make_cache(self, batch: int, capacity: int) -> KeyValueCache:
        """An empty cache for the decoder's self-attention.

        Args:
            batch: sequences.
            capacity: tokens that there is room for.
        """
        c = self.config
        d = c.d_model // c.num_heads
        return KeyValueCache(c.num_layers, batch, c.num_heads, d, capacity)
