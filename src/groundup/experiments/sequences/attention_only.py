"""A network of attention alone, whose heads can be watched, removed and read off their weights."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

import groundup as gu
import groundup.nn.functional as F
from groundup import nn

WIDTH, HEADS = 64, 4
ROLES = ("query", "key", "value", "output")

Array = np.ndarray
Head = tuple[int, int]
"""Layer and head, from 0."""


class Attention(nn.Module):
    """The heads of a layer.

    Args:
        smeared: whether keys are a learned mixture of each and the one before.
    """

    def __init__(self, smeared: bool) -> None:
        self.query, self.key, self.value, self.out = (
            nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(4)
        )
        self.own = nn.Parameter(gu.zeros(HEADS, 1, 1)) if smeared else None

    def forward(
        self, query: gu.Tensor, key: gu.Tensor, value: gu.Tensor
    ) -> tuple[gu.Tensor, gu.Tensor]:
        """What the heads found (N, HEADS, T, D), and where they looked (N, HEADS, T, T)."""
        n, t, _ = query.shape
        q, k, v = (
            part(x).reshape(n, t, HEADS, -1).transpose(1, 2)
            for part, x in ((self.query, query), (self.key, key), (self.value, value))
        )
        if self.own is not None:
            share = gu.sigmoid(self.own)
            mixed = share * k[:, :, 1:] + (1 - share) * k[:, :, :-1]
            k = gu.cat([k[:, :, :1], mixed], dim=2)
        weights = F.attention_weights(q, k, is_causal=True)
        return weights @ v, weights

    def write(self, heads: gu.Tensor) -> gu.Tensor:
        """What they add to the stream, (N, T, WIDTH)."""
        n, _, t, _ = heads.shape
        return self.out(heads.transpose(1, 2).reshape(n, t, WIDTH))


class Network(nn.Module):
    """Predicts the next token at each place, (N, T) -> (N, T, tokens).

    Args:
        tokens: how many there are.
        length: T at most.
        layers: of attention.
        smeared: whether keys are smeared.
    """

    def __init__(self, tokens: int, length: int, layers: int, smeared: bool) -> None:
        self.token = nn.Embedding(tokens, WIDTH)
        self.position = nn.Parameter(gu.zeros(length, WIDTH))
        for table in (self.token.weight, self.position):
            nn.init.normal_(table, std=0.2)
        self.layers = nn.ModuleList([Attention(smeared) for _ in range(layers)])
        self.head = nn.Linear(WIDTH, tokens, bias=False)

    def look(
        self,
        tokens: gu.Tensor,
        removed: Collection[Head] = (),
        roles: Collection[str] = ROLES,
    ) -> tuple[gu.Tensor, list[gu.Tensor]]:
        """Logits, and where each layer looked (N, HEADS, T, T).

        Args:
            tokens: (N, T).
            removed: heads whose output is replaced by zeros.
            roles: for what: the query, key or value of later layers, or the output.
        """
        maps, streams = [], dict.fromkeys(ROLES, self.token(tokens))
        for i, layer in enumerate(self.layers):
            q, k, v, _ = streams.values()
            place = self.position[: tokens.shape[1]]
            heads, weights = layer(q + place, k + place, v)
            whole = part = layer.write(heads)
            if removed:
                keep = gu.tensor([float((i, h) not in removed) for h in range(HEADS)])
                part = layer.write(heads * keep.reshape(HEADS, 1, 1))
            streams = {r: x + (part if r in roles else whole) for r, x in streams.items()}
            maps.append(weights)
        return self.head(streams["output"]), maps

    def forward(self, tokens: gu.Tensor) -> gu.Tensor:
        """Logits alone."""
        return self.look(tokens)[0]


def circuits(model: Network) -> tuple[Array, Array]:
    """Copying of each head (layers, HEADS), and composition of each with each (HEADS, HEADS).

    The eigenvalues of W_U W_O W_V W_E, (tokens, tokens), are those of W_O W_V W_E W_U and zeros.
    """
    embed, unembed = model.token.weight.detach().numpy(), model.head.weight.detach().numpy()
    ov, qk = [], []
    for layer in model.layers:
        parts = (layer.query, layer.key, layer.value, layer.out)
        q, k, v, o = (part.weight.detach().numpy() for part in parts)
        cuts = np.arange(WIDTH).reshape(HEADS, -1)
        ov.append([o[:, c] @ v[c] for c in cuts])
        qk.append([q[c].T @ k[c] for c in cuts])
    values = np.linalg.eigvals(np.array(ov) @ embed.T @ unembed)
    copying = values.sum(axis=-1).real / np.abs(values).sum(axis=-1)
    joined = np.array([[np.linalg.norm(g @ h) for g in qk[-1]] for h in ov[0]])
    sizes = [np.linalg.norm(m, axis=(1, 2)) for m in (np.array(ov[0]), np.array(qk[-1]))]
    return copying, joined / np.outer(*sizes)
