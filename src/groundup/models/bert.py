r"""BERT: an encoder that reads a text in both directions (Devlin et al., 2019).

Every token may attend to every other one; the norm stands after each half of a block (Vaswani et
al., 2017, section 3.1), GELU is exact:

$$x \leftarrow \mathrm{LayerNorm}(x + \mathrm{Attention}(x)), \qquad
x \leftarrow \mathrm{LayerNorm}(x + W_2\,\mathrm{GELU}(W_1 x))$$

It learns by guessing tokens that are hidden from it. What comes out serves to classify a text (the
first token's vector), its tokens, or, averaged, as a vector of the whole text (Reimers and
Gurevych, 2019).

Shapes: N texts, T tokens, E features in H heads of D = E / H features.
"""

from __future__ import annotations

from dataclasses import dataclass

from .. import nn
from ..engine.dtypes import int64
from ..engine.ops.creation import zeros
from ..engine.ops.functions import tanh
from ..engine.tensor import Tensor
from ..engine.transforms import checkpoint
from ..nn import functional as F


@dataclass(frozen=True)
class BertConfig:
    """Sizes of a BERT.

    Attributes:
        vocab_size: tokens that there are.
        context: tokens that it can read at most.
        d_model: E.
        num_layers: blocks.
        num_heads: H; divides E.
        dim_feedforward: hidden units of the second half of a block.
        token_types: kinds of segments, such as question and answer.
        dropout: of embeddings, attention weights and the outputs of both halves, in training.
        norm_eps: added under the root of the norms.
        checkpoint: keep only what enters each block, and compute the rest again in the backward
            pass: less memory for one more forward pass (Chen et al., 2016).

    Raises:
        ValueError: sizes that do not fit.

    Example:
        >>> BertConfig(d_model=384, num_heads=12).d_model
        384
    """

    vocab_size: int = 30522
    context: int = 512
    d_model: int = 768
    num_layers: int = 12
    num_heads: int = 12
    dim_feedforward: int = 3072
    token_types: int = 2
    dropout: float = 0.1
    norm_eps: float = 1e-12
    checkpoint: bool = False

    def __post_init__(self) -> None:
        for name in ("vocab_size", "context", "d_model", "num_layers", "num_heads", "token_types"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"BertConfig: {name} is {getattr(self, name)}, expected at least 1"
                )
        if self.d_model % self.num_heads:
            raise ValueError(
                f"BertConfig: num_heads {self.num_heads} does not divide d_model {self.d_model}"
            )


class Block(nn.Module):
    """Attention among all tokens, then two linear layers for each; a norm after both."""

    def __init__(self, config: BertConfig) -> None:
        e = config.d_model
        self.heads, self.dropout = config.num_heads, config.dropout
        self.query, self.key, self.value = (nn.Linear(e, e) for _ in range(3))
        self.out = nn.Linear(e, e)
        self.norm1 = nn.LayerNorm(e, eps=config.norm_eps)
        self.up = nn.Linear(e, config.dim_feedforward)
        self.down = nn.Linear(config.dim_feedforward, e)
        self.norm2 = nn.LayerNorm(e, eps=config.norm_eps)
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        n, t, e = x.shape
        q, k, v = (
            part(x).reshape(n, t, self.heads, -1).transpose(1, 2)  # (N, H, T, D)
            for part in (self.query, self.key, self.value)
        )
        y = F.scaled_dot_product_attention(q, k, v, mask, self.dropout if self.training else 0.0)
        x = self.norm1(x + self.drop(self.out(y.transpose(1, 2).reshape(n, t, e))))
        return self.norm2(x + self.drop(self.down(F.gelu(self.up(x)))))


class Bert(nn.Module):
    """An encoder-only transformer.

    Args:
        config: sizes.

    Shape:
        tokens (N, T), optionally mask and types (N, T) -> (N, T, E).

    Raises:
        ValueError: more tokens than ``context``.

    Example:
        >>> sizes = dict(vocab_size=10, context=8, d_model=16, num_layers=2, dim_feedforward=32)
        >>> model = Bert(BertConfig(num_heads=2, **sizes))
        >>> model(gu.tensor([[1, 2, 3, 0]]), mask=gu.tensor([[True, True, True, False]])).shape
        (1, 4, 16)
    """

    def __init__(self, config: BertConfig) -> None:
        self.config = config
        self.token = nn.Embedding(config.vocab_size, config.d_model)
        self.position = nn.LearnedPositions(config.d_model, config.context)
        self.type = nn.Embedding(config.token_types, config.d_model)
        self.norm = nn.LayerNorm(config.d_model, eps=config.norm_eps)
        self.drop = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList([Block(config) for _ in range(config.num_layers)])
        for name, p in self.named_parameters():
            if p.ndim >= 2:
                nn.init.normal_(p, std=0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(p)

    def forward(
        self, tokens: Tensor, mask: Tensor | None = None, types: Tensor | None = None
    ) -> Tensor:
        """A vector for each token.

        Args:
            tokens: whole numbers below ``vocab_size``.
            mask: true where a token is real, false where it is padding.
            types: the segment of each token; 0 by default.
        """
        if types is None:
            types = zeros(*tokens.shape, dtype=int64)
        x = self.drop(self.norm(self.position(self.token(tokens)) + self.type(types)))
        allowed = None if mask is None else mask.unsqueeze(1).unsqueeze(1)
        for block in self.blocks:
            x = checkpoint(block, x, allowed) if self.config.checkpoint else block(x, allowed)
        return x


class MaskedLanguageModel(nn.Module):
    """BERT that guesses hidden tokens; the head shares its weights with the token embedding.

    Args:
        config: sizes.

    Shape:
        tokens (N, T) -> logits (N, T, vocab_size).

    Example:
        >>> sizes = dict(vocab_size=10, context=8, d_model=16, num_layers=1, dim_feedforward=32)
        >>> MaskedLanguageModel(BertConfig(num_heads=2, **sizes))(gu.tensor([[1, 2]])).shape
        (1, 2, 10)
    """

    def __init__(self, config: BertConfig) -> None:
        self.bert = Bert(config)
        self.dense = nn.Linear(config.d_model, config.d_model)
        self.norm = nn.LayerNorm(config.d_model, eps=config.norm_eps)
        self.bias = nn.Parameter(zeros(config.vocab_size))

    def forward(
        self, tokens: Tensor, mask: Tensor | None = None, types: Tensor | None = None
    ) -> Tensor:
        """Logits of the token at each place; mask and types as for `Bert`."""
        x = self.norm(F.gelu(self.dense(self.bert(tokens, mask, types))))
        return x @ self.bert.token.weight.T + self.bias


class TextClassifier(nn.Module):
    """BERT that classifies a text by the vector of its first token.

    Args:
        config: sizes.
        classes: kinds of text.

    Shape:
        tokens (N, T) -> logits (N, classes).

    Example:
        >>> sizes = dict(vocab_size=10, context=8, d_model=16, num_layers=1, dim_feedforward=32)
        >>> TextClassifier(BertConfig(num_heads=2, **sizes), 3)(gu.tensor([[1, 2]])).shape
        (1, 3)
    """

    def __init__(self, config: BertConfig, classes: int) -> None:
        self.bert = Bert(config)
        self.pool = nn.Linear(config.d_model, config.d_model)
        self.drop = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.d_model, classes)

    def forward(
        self, tokens: Tensor, mask: Tensor | None = None, types: Tensor | None = None
    ) -> Tensor:
        """Logits of the classes; mask and types as for `Bert`."""
        first = self.bert(tokens, mask, types).select(1, 0)
        return self.head(self.drop(tanh(self.pool(first))))


def mean_pool(x: Tensor, mask: Tensor) -> Tensor:
    """The mean of the real tokens' vectors: a vector of the text (Reimers and Gurevych, 2019).

    Args:
        x: vectors of the tokens.
        mask: true where a token is real.

    Shape:
        x (N, T, E), mask (N, T) -> (N, E); a text without any token gives zeros.

    Example:
        >>> mean_pool(gu.tensor([[[1.0], [3.0], [9.0]]]), gu.tensor([[True, True, False]])).tolist()
        [[2.0]]
    """
    weight = mask.to(x.dtype).unsqueeze(-1)
    return (x * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)
