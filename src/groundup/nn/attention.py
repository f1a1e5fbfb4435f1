"""Multi-head attention as a layer (Vaswani et al., 2017, section 3.2.2).

Shapes: N examples, L queries, S keys, E features in H heads of D = E / H features.
"""

from __future__ import annotations

import math
from typing import Any

from ..engine.dtypes import bool_
from ..engine.ops.arithmetic import where
from ..engine.ops.creation import empty
from ..engine.ops.products import linear
from ..engine.random import Generator
from ..engine.tensor import Tensor
from . import init
from .functional.attention import attention_weights
from .functional.dropout import dropout as drop
from .linear import Linear
from .module import Module, Parameter


class MultiheadAttention(Module):
    """Attention in several subspaces at once: ``concat(head_1, ..., head_H) W_out``.

    Self-attention: give the same tensor three times. Cross-attention: queries from one sequence,
    keys and values from another. Two things differ from PyTorch: ``is_causal`` needs no mask beside
    it, and a query that may attend to nothing gets weights of zero where PyTorch gives NaN.

    The projections in begin Xavier uniform, the projection out as ``Linear``; biases begin at zero.

    Args:
        embed_dim: E, features of queries and outputs.
        num_heads: H; must divide E.
        dropout: probability of dropping an attention weight in training.
        bias: whether the projections have one.
        kdim, vdim: features of keys and values, E if None.
        batch_first: (N, L, E) instead of (L, N, E).
        dtype: of the parameters; default: the default floating type.
        generator: where the initial values and dropout's numbers come from.

    Shape:
        query (L, N, E), key (S, N, kdim), value (S, N, vdim) -> output (L, N, E), weights (N, L,
        S); batch first, or without N, where the arguments are. in_proj_weight (3E, E), or
        q_proj_weight (E, E), k_proj_weight (E, kdim), v_proj_weight (E, vdim); in_proj_bias (3E,);
        out_proj.

    Raises:
        ValueError: sizes that do not fit.

    Example:
        >>> layer = nn.MultiheadAttention(8, num_heads=2, batch_first=True)
        >>> x = gu.ones(5, 3, 8)
        >>> output, weights = layer(x, x, x, is_causal=True)
        >>> output.shape, weights[0, 0].tolist()
        ((5, 3, 8), [1.0, 0.0, 0.0])
    """

    in_proj_weight: Parameter | None
    in_proj_bias: Parameter | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        *,
        dtype: Any = None,
        generator: Generator | None = None,
    ) -> None:
        if num_heads < 1 or embed_dim % num_heads:
            raise ValueError(
                f"MultiheadAttention: num_heads={num_heads} does not divide embed_dim={embed_dim}"
            )
        self.embed_dim = embed_dim
        self.num_heads = num_heads
        self.head_dim = embed_dim // num_heads
        self.dropout = dropout
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self.batch_first = batch_first
        self.generator = generator
        if self.kdim == self.vdim == embed_dim:
            self.in_proj_weight = Parameter(empty(3 * embed_dim, embed_dim, dtype=dtype))
        else:
            self.q_proj_weight = Parameter(empty(embed_dim, embed_dim, dtype=dtype))
            self.k_proj_weight = Parameter(empty(embed_dim, self.kdim, dtype=dtype))
            self.v_proj_weight = Parameter(empty(embed_dim, self.vdim, dtype=dtype))
            self.in_proj_weight = None
        self.in_proj_bias = Parameter(empty(3 * embed_dim, dtype=dtype)) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias, dtype=dtype, generator=generator)
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw new initial values for the projections in; set the biases to zero."""
        if self.in_proj_weight is not None:
            init.xavier_uniform_(self.in_proj_weight, generator=generator)
        else:
            for weight in (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
                init.xavier_uniform_(weight, generator=generator)
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                init.zeros_(bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend.

        Args:
            key_padding_mask: (N, S), boolean (true: ignore this key) or floating (added to the
                scores).
            need_weights: return the weights too; None stands in their place otherwise.
            attn_mask: (L, S) or (N * H, L, S), boolean (true: forbidden; the contrary of
                ``F.scaled_dot_product_attention``) or floating (added to the scores).
            average_attn_weights: the weights' mean over the heads, else (N, H, L, S).
            is_causal: query i attends to the keys 0 to i only, beside what the masks forbid.

        Returns:
            (output, weights); the weights are those that were used, after dropout.
        """
        batched = query.ndim == 3
        q, k, v = self._project(query, key, value)  # 3 * (N, H, L or S, D)
        mask = self._mask(key_padding_mask, attn_mask, q, k)
        weights = attention_weights(q, k, mask, is_causal)  # (N, H, L, S)
        weights = drop(weights, self.dropout, self.training, generator=self.generator)
        heads = weights @ v  # (N, H, L, D)
        output = self.out_proj(heads.transpose(1, 2).flatten(2))  # (N, L, E)
        if not self.batch_first and batched:
            output = output.transpose(0, 1)
        if average_attn_weights:
            weights = weights.mean(1)
        if not batched:
            output, weights = output.squeeze(0), weights.squeeze(0)
        return output, weights if need_weights else None

    def _project(self, query: Tensor, key: Tensor, value: Tensor) -> list[Tensor]:
        """Check the shapes, put N first, project, and split into heads."""
        sizes = (self.embed_dim, self.kdim, self.vdim)
        inputs = [query, key, value]
        batched = query.ndim == 3
        n, s = (0, 1) if self.batch_first else (1, 0)
        if (
            any(
                x.ndim != query.ndim or x.shape[-1] != d for x, d in zip(inputs, sizes, strict=True)
            )
            or query.ndim not in (2, 3)
            or key.shape[:-1] != value.shape[:-1]
            or (batched and query.shape[n] != key.shape[n])
        ):
            order = "(N, length, features)" if self.batch_first else "(length, N, features)"
            raise ValueError(
                f"MultiheadAttention: query {query.shape}, key {key.shape}, value {value.shape}; "
                f"expected {order} or (length, features) with {sizes} features, and as many keys "
                "as values"
            )
        self_attention = query is key and key is value
        if not batched:
            inputs = [x.unsqueeze(0) for x in inputs]
        elif s == 0:
            inputs = [x.transpose(0, 1) for x in inputs]
        if self_attention and self.in_proj_weight is not None:
            packed = linear(inputs[0], self.in_proj_weight, self.in_proj_bias)  # (N, L, 3E)
            split = packed.unflatten(-1, (3, self.num_heads, self.head_dim))
            return list(split.permute(2, 0, 3, 1, 4).unbind(0))
        weights = (
            (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
            if self.in_proj_weight is None
            else self.in_proj_weight.chunk(3)
        )
        biases = (None,) * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        return [
            linear(x, w, b).unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2)
            for x, w, b in zip(inputs, weights, biases, strict=True)
        ]

    def _mask(
        self, key_padding_mask: Tensor | None, attn_mask: Tensor | None, q: Tensor, k: Tensor
    ) -> Tensor | None:
        """Both masks as one that broadcasts to (N, H, L, S); boolean ones say where to attend."""
        n, heads, length = q.shape[:3]
        size = k.shape[2]
        masks = []
        if key_padding_mask is not None:
            _check_mask("key_padding_mask", key_padding_mask, (n, size), (size,) * (n == 1))
            masks.append(key_padding_mask.reshape(n, 1, 1, size))
        if attn_mask is not None:
            _check_mask("attn_mask", attn_mask, (length, size), (n * heads, length, size))
            each = attn_mask.ndim == 3
            masks.append(attn_mask.reshape(n, heads, length, size) if each else attn_mask)
        if not masks:
            return None
        if all(mask.dtype.kind == "b" for mask in masks):
            forbidden = masks[0] if len(masks) == 1 else masks[0] | masks[1]
            return ~forbidden
        added = [where(mask, -math.inf, 0.0) if mask.dtype.kind == "b" else mask for mask in masks]
        return added[0] if len(added) == 1 else added[0] + added[1]

    def extra_repr(self) -> str:
        return (
            f"embed_dim={self.embed_dim}, num_heads={self.num_heads}, dropout={self.dropout}, "
            f"kdim={self.kdim}, vdim={self.vdim}, batch_first={self.batch_first}"
        )


def _check_mask(name: str, mask: Tensor, *shapes: tuple[int, ...]) -> None:
    if mask.shape not in shapes or not (mask.dtype == bool_ or mask.is_floating_point()):
        expected = " or ".join(str(shape) for shape in shapes if shape)
        raise ValueError(
            f"MultiheadAttention: {name} is {mask.shape} {mask.dtype.name}, expected a boolean or "
            f"floating mask of shape {expected}"
        )
