r"""Llama: the decoder of today's open models (Touvron et al., 2023; Jiang et al., 2023, "Mistral").

It differs from GPT-2 in four places. The norm divides by the root mean square alone (Zhang and
Sennrich, 2019):

$$\mathrm{RMSNorm}(x) = \frac{x}{\sqrt{\frac{1}{E} \sum_i x_i^2 + \epsilon}} \odot g$$

positions turn queries and keys (rotary: Su et al., 2021); several heads of queries share one head
of keys and values (grouped-query attention: Ainslie et al., 2023), so the cache is smaller; and the
second half of a block is gated (SwiGLU: Shazeer, 2020):

$$x \leftarrow x + W_d \big(\mathrm{SiLU}(W_g\,n) \odot W_u\,n\big), \qquad
n = \mathrm{RMSNorm}(x)$$

Mistral adds a window: a token reads the last W tokens only, and more only through the layers below.

Shapes: N sequences, T tokens, E features, H heads of queries, K of keys and values, of D features.
"""

from __future__ import annotations

from dataclasses import dataclass

from .. import nn
from ..engine.ops.creation import arange
from ..engine.tensor import Tensor
from ..engine.transforms import checkpoint
from ..nn import functional as F
from .cache import KeyValueCache


@dataclass(frozen=True)
class LlamaConfig:
    """Sizes of a Llama-type model.

    Attributes:
        vocab_size: tokens that there are.
        context: tokens that it can read at most.
        d_model: E.
        num_layers: blocks.
        num_heads: H, heads of queries.
        num_kv_heads: K, heads of keys and values; divides H.
        head_dim: D; E / H if None.
        dim_feedforward: hidden units of the gated half of a block.
        norm_eps: added under the root of the norms.
        rope_base: base of the rotary wavelengths.
        rope_scaling: other rotary frequencies, for texts longer than those of training.
        interleaved: the rotary pairs are neighbours (as in GGUF files), not halves (as in Hugging
            Face's).
        window: tokens that attention sees, the token itself included; None: all.
        tied: the head shares its weights with the token embedding.
        attention_bias: the projections to queries, keys and values have one (as in Qwen 2).
        checkpoint: keep only what enters each block, and compute the rest again in the backward
            pass: less memory for one more forward pass (Chen et al., 2016).

    Raises:
        ValueError: sizes that do not fit.

    Example:
        >>> LlamaConfig(d_model=576, num_heads=9, num_kv_heads=3).features
        64
    """

    vocab_size: int = 32000
    context: int = 2048
    d_model: int = 4096
    num_layers: int = 32
    num_heads: int = 32
    num_kv_heads: int = 32
    head_dim: int | None = None
    dim_feedforward: int = 11008
    norm_eps: float = 1e-5
    rope_base: float = 10000.0
    rope_scaling: nn.RotaryScaling | None = None
    interleaved: bool = False
    window: int | None = None
    tied: bool = False
    attention_bias: bool = False
    checkpoint: bool = False

    def __post_init__(self) -> None:
        for name in ("vocab_size", "context", "d_model", "num_layers", "num_heads", "num_kv_heads"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"LlamaConfig: {name} is {getattr(self, name)}, expected at least 1"
                )
        if self.num_heads % self.num_kv_heads:
            raise ValueError(
                f"LlamaConfig: num_kv_heads {self.num_kv_heads} does not divide num_heads "
                f"{self.num_heads}"
            )
        if self.head_dim is None and self.d_model % self.num_heads:
            raise ValueError(
                f"LlamaConfig: num_heads {self.num_heads} does not divide d_model {self.d_model}; "
                "give head_dim"
            )
        if self.window is not None and self.window < 1:
            raise ValueError(f"LlamaConfig: window is {self.window}, expected at least 1")

    @property
    def features(self) -> int:
        """D."""
        return self.head_dim or self.d_model // self.num_heads


class GroupedQueryAttention(nn.Module):
    """H heads of queries read K heads of keys and values, H / K of them the same one."""

    def __init__(self, config: LlamaConfig) -> None:
        self.heads, self.kv_heads = config.num_heads, config.num_kv_heads
        e, d, bias = config.d_model, config.features, config.attention_bias
        self.query = nn.Linear(e, self.heads * d, bias=bias)
        self.key = nn.Linear(e, self.kv_heads * d, bias=bias)
        self.value = nn.Linear(e, self.kv_heads * d, bias=bias)
        self.out = nn.Linear(self.heads * d, e, bias=False)

    def forward(
        self,
        x: Tensor,
        turn: nn.RotaryPositions,
        positions: Tensor,
        mask: Tensor | None,
        cache: KeyValueCache | None,
        layer: int,
    ) -> Tensor:
        n, t, _ = x.shape
        q = self.query(x).reshape(n, t, self.heads, -1).transpose(1, 2)  # (N, H, T, D)
        k = self.key(x).reshape(n, t, self.kv_heads, -1).transpose(1, 2)  # (N, K, T, D)
        v = self.value(x).reshape(n, t, self.kv_heads, -1).transpose(1, 2)
        q, k = turn(q, positions.unsqueeze(-2)), turn(k, positions.unsqueeze(-2))
        if cache is not None:
            k, v = cache.update(layer, k, v)
        y = F.scaled_dot_product_attention(q, k, v, mask, is_causal=cache is None, enable_gqa=True)
        return self.out(y.transpose(1, 2).reshape(n, t, -1))


class GatedFeedForward(nn.Module):
    """SwiGLU: one projection says what, another how much of it (Shazeer, 2020)."""

    def __init__(self, config: LlamaConfig) -> None:
        e, hidden = config.d_model, config.dim_feedforward
        self.gate = nn.Linear(e, hidden, bias=False)
        self.up = nn.Linear(e, hidden, bias=False)
        self.down = nn.Linear(hidden, e, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.silu(self.gate(x)) * self.up(x))


class Block(nn.Module):
    """Attention between the tokens, then the gated layers for each token by itself."""

    def __init__(self, config: LlamaConfig) -> None:
        self.norm1 = nn.RMSNorm(config.d_model, eps=config.norm_eps)
        self.attention = GroupedQueryAttention(config)
        self.norm2 = nn.RMSNorm(config.d_model, eps=config.norm_eps)
        self.mlp = GatedFeedForward(config)

    def forward(
        self,
        x: Tensor,
        turn: nn.RotaryPositions,
        positions: Tensor,
        mask: Tensor | None,
        cache: KeyValueCache | None,
        layer: int,
    ) -> Tensor:
        x = x + self.attention(self.norm1(x), turn, positions, mask, cache, layer)
        return x + self.mlp(self.norm2(x))


class Llama(nn.Module):
    """A decoder with RMSNorm, rotary positions, grouped-query attention and SwiGLU.

    Weights begin normal with a standard deviation of 0.02.

    Args:
        config: sizes.

    Shape:
        tokens (N, T) -> logits (N, T, vocab_size).

    Raises:
        ValueError: more tokens than ``context``.

    Example:
        >>> sizes = dict(vocab_size=10, context=8, d_model=16, num_layers=2, dim_feedforward=32)
        >>> model = Llama(LlamaConfig(num_heads=4, num_kv_heads=2, **sizes))
        >>> model(gu.tensor([[1, 2, 3, 4]])).shape
        (1, 4, 10)
    """

    def __init__(self, config: LlamaConfig) -> None:
        self.config = config
        self.token = nn.Embedding(config.vocab_size, config.d_model)
        self.turn = nn.RotaryPositions(
            config.features,
            config.context,
            config.rope_base,
            config.interleaved,
            config.rope_scaling,
        )
        self.blocks = nn.ModuleList([Block(config) for _ in range(config.num_layers)])
        self.norm = nn.RMSNorm(config.d_model, eps=config.norm_eps)
        self.head: nn.Module | None = (
            None if config.tied else nn.Linear(config.d_model, config.vocab_size, bias=False)
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        for name, p in self.named_parameters():
            if p.ndim >= 2:
                nn.init.normal_(p, std=0.02)
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
        t, window = tokens.shape[1], self.config.window
        allowed: Tensor | None
        if cache is not None:
            positions, allowed = cache.positions(t), cache.mask(t, window)
        else:
            positions = arange(t).unsqueeze(0)
            allowed = None if mask is None else mask.unsqueeze(1).unsqueeze(1)
            if window is not None and window < t:
                near = F.sliding_window(arange(t), arange(t), window)
                allowed = near if allowed is None else allowed & near
        x = self.token(tokens)
        for layer, block in enumerate(self.blocks):
            if self.config.checkpoint and cache is None:
                x = checkpoint(block, x, self.turn, positions, allowed, cache, layer)
            else:
                x = block(x, self.turn, positions, allowed, cache, layer)
        if cache is not None:
            cache.advance(t)
        if last is not None:
            x = x.narrow(1, t - last, last)
        x = self.norm(x)
        return x @ self.token.weight.T if self.head is None else self.head(x)

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
        return kind(c.num_layers, batch, c.num_kv_heads, c.features, capacity)
