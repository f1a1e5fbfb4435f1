"""A decoder that predicts the next token, and an encoder that classifies a text.

The decoder is GPT-2's: the norm before each half of a block, GELU in its tanh form (Radford et al.,
2019). The encoder is BERT's: the norm after it, exact GELU, padding masked, the first element read
(Devlin et al., 2019). No dropout, so that libraries can be compared.

Shapes: N texts, T tokens, E features in H heads of D = E / H features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .small import cross_entropy
from .workload import Array, Workload


@dataclass(frozen=True)
class Sizes:
    layers: int = 4
    heads: int = 4
    width: int = 128
    length: int = 64
    batch: int = 12
    vocabulary: int = 65
    classes: int = 2


def parts(lib: Any, sizes: Sizes) -> tuple[Any, Any]:
    """The classes of self-attention and of the two layers after it."""
    nn, functional = lib.nn, lib.nn.functional
    heads, width = sizes.heads, sizes.width

    class Attention(nn.Module):  # type: ignore[name-defined]
        def __init__(self, causal: bool) -> None:
            super().__init__()
            self.causal = causal
            self.qkv = nn.Linear(width, 3 * width)
            self.out = nn.Linear(width, width)

        def forward(self, x: Any, mask: Any = None) -> Any:
            n, t, e = x.shape
            split = self.qkv(x).view(n, t, 3, heads, e // heads)
            q, k, v = split.permute(2, 0, 3, 1, 4).unbind(0)  # 3 * (N, H, T, D)
            y = functional.scaled_dot_product_attention(q, k, v, mask, is_causal=self.causal)
            return self.out(y.transpose(1, 2).reshape(n, t, e))

    class FeedForward(nn.Module):  # type: ignore[name-defined]
        def __init__(self, approximate: str) -> None:
            super().__init__()
            self.approximate = approximate
            self.up = nn.Linear(width, 4 * width)
            self.down = nn.Linear(4 * width, width)

        def forward(self, x: Any) -> Any:
            return self.down(functional.gelu(self.up(x), approximate=self.approximate))

    return Attention, FeedForward


def gpt(lib: Any, sizes: Sizes) -> Any:
    nn = lib.nn
    attention, feed_forward = parts(lib, sizes)

    class Block(nn.Module):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.norm1 = nn.LayerNorm(sizes.width)
            self.attention = attention(causal=True)
            self.norm2 = nn.LayerNorm(sizes.width)
            self.mlp = feed_forward("tanh")

        def forward(self, x: Any) -> Any:
            x = x + self.attention(self.norm1(x))
            return x + self.mlp(self.norm2(x))

    class Decoder(nn.Module):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.token = nn.Embedding(sizes.vocabulary, sizes.width)
            self.position = nn.Embedding(sizes.length, sizes.width)
            self.blocks = nn.ModuleList([Block() for _ in range(sizes.layers)])
            self.norm = nn.LayerNorm(sizes.width)
            self.head = nn.Linear(sizes.width, sizes.vocabulary, bias=False)

        def forward(self, tokens: Any) -> Any:  # (N, T) -> (N, T, vocabulary)
            x = self.token(tokens) + self.position(lib.arange(tokens.shape[1]))
            for block in self.blocks:
                x = block(x)
            return self.head(self.norm(x))

    return Decoder()


def next_token(lib: Any, module: Any, tokens: Any, targets: Any) -> Any:
    return lib.nn.functional.cross_entropy(module(tokens).flatten(0, 1), targets.flatten())


def text_batch(numbers: np.random.Generator, sizes: Sizes) -> tuple[Array, ...]:
    text = numbers.integers(0, sizes.vocabulary, (sizes.batch, sizes.length + 1))
    return text[:, :-1].copy(), text[:, 1:].copy()


# The bias of the keys moves all scores of a query alike, so its gradient is 0 but for rounding.
# With an eps of 1e-8 Adam would turn that into steps of full length, elsewhere in each library.
_TRAINING: dict[str, Any] = {
    "optimizer": "AdamW",
    "options": {"lr": 3e-4, "weight_decay": 0.1, "eps": 1e-6},
    "clip": 1.0,
}

GPT = Workload(
    "gpt",
    "GPT 4 x 128, 4 heads, context 64, batch 12",
    gpt,
    next_token,
    text_batch,
    sizes=Sizes(),
    small=Sizes(layers=2, heads=2, width=16, length=8, batch=3, vocabulary=11),
    **_TRAINING,
)
GPT_WIDE = Workload(
    "gpt-wide",
    "GPT 6 x 384, 6 heads, context 256, batch 4",
    gpt,
    next_token,
    text_batch,
    sizes=Sizes(layers=6, heads=6, width=384, length=256, batch=4),
    small=Sizes(layers=3, heads=3, width=24, length=20, batch=2, vocabulary=13),
    **_TRAINING,
)


def bert(lib: Any, sizes: Sizes) -> Any:
    nn = lib.nn
    attention, feed_forward = parts(lib, sizes)

    class Layer(nn.Module):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.attention = attention(causal=False)
            self.norm1 = nn.LayerNorm(sizes.width)
            self.mlp = feed_forward("none")
            self.norm2 = nn.LayerNorm(sizes.width)

        def forward(self, x: Any, mask: Any) -> Any:
            x = self.norm1(x + self.attention(x, mask))
            return self.norm2(x + self.mlp(x))

    class Encoder(nn.Module):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.token = nn.Embedding(sizes.vocabulary, sizes.width)
            self.position = nn.Embedding(sizes.length, sizes.width)
            self.norm = nn.LayerNorm(sizes.width)
            self.layers = nn.ModuleList([Layer() for _ in range(sizes.layers)])
            self.pool = nn.Linear(sizes.width, sizes.width)
            self.head = nn.Linear(sizes.width, sizes.classes)

        def forward(self, tokens: Any) -> Any:  # (N, T), 0 is padding -> (N, classes)
            mask = (tokens != 0)[:, None, None, :]  # (N, 1, 1, T): which keys there are
            x = self.norm(self.token(tokens) + self.position(lib.arange(tokens.shape[1])))
            for layer in self.layers:
                x = layer(x, mask)
            return self.head(lib.tanh(self.pool(x[:, 0])))

    return Encoder()


def padded_batch(numbers: np.random.Generator, sizes: Sizes) -> tuple[Array, ...]:
    text = numbers.integers(1, sizes.vocabulary, (sizes.batch, sizes.length))
    lengths = numbers.integers(sizes.length // 2, sizes.length + 1, sizes.batch)
    text[np.arange(sizes.length) >= lengths[:, None]] = 0
    return text, numbers.integers(0, sizes.classes, sizes.batch)


BERT = Workload(
    "bert",
    "BERT-like classifier 4 x 128, length 64, batch 16",
    bert,
    cross_entropy,
    padded_batch,
    sizes=Sizes(batch=16, vocabulary=1000),
    small=Sizes(layers=2, heads=2, width=16, length=8, batch=3, vocabulary=13),
    **_TRAINING,
)
