"""Scaled dot-product attention: each query takes a weighted mean of the values.

    attention(Q, K, V) = softmax(Q K^T / sqrt(E)) V        (Vaswani et al., 2017, equation 1)

Shapes: L queries and S keys of E features, S values of V features; "..." are leading dimensions
(batch, heads) that broadcast.
"""

from __future__ import annotations

import math

from ...engine.dtypes import bfloat16, float16, float32, float64
from ...engine.ops.arithmetic import where
from ...engine.ops.creation import arange
from ...engine.ops.reductions import softmax
from ...engine.random import Generator
from ...engine.tensor import Tensor
from .dropout import dropout

# Far below every score, yet finite, by the floating type.
_LOWEST = {float16: -3e4, bfloat16: -1e30, float32: -1e30, float64: -1e30}


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """The values, averaged with weights that say how well each key fits the query.

    A query that may attend to nothing gets zeros, and no gradient flows through it.

    Args:
        attn_mask: boolean (true: this query may attend to this key) or floating (added to the
            scores; minus infinity forbids); broadcasts to (..., L, S).
        dropout_p: probability of dropping a weight. Applied whenever it is not 0: pass 0 to
            evaluate.
        is_causal: query i attends to the keys 0 to i only; may be combined with a mask.
        scale: factor of the scores; 1 / sqrt(E) if None.
        enable_gqa: H heads of queries share K heads of keys and values, H / K neighbours the same
            one (Ainslie et al., "GQA", 2023).
        generator: where dropout's random numbers come from.

    Shape:
        query (..., L, E), key (..., S, E), value (..., S, V) -> (..., L, V). With ``enable_gqa``
        query (..., H, L, E), key (..., K, S, E), value (..., K, S, V) -> (..., H, L, V).

    Raises:
        ValueError: shapes that do not fit. TypeError: a mask that is neither boolean nor floating.

    Example:
        >>> q = k = gu.zeros(1, 2, 4)
        >>> v = gu.tensor([[[1.0], [3.0]]])
        >>> F.scaled_dot_product_attention(q, k, v).tolist()
        [[[2.0], [2.0]]]
        >>> F.scaled_dot_product_attention(q, k, v, is_causal=True).tolist()
        [[[1.0], [2.0]]]
    """
    if enable_gqa:
        query, key, value, attn_mask = _grouped(query, key, value, attn_mask)
    weights = attention_weights(query, key, attn_mask, is_causal, scale)
    if value.ndim < 2 or value.shape[-2] != key.shape[-2]:
        raise ValueError(
            f"attention: value {value.shape}, expected {key.shape[-2]} rows, one for each row of "
            f"key {key.shape}"
        )
    output = dropout(weights, dropout_p, generator=generator) @ value
    return output.flatten(-4, -3) if enable_gqa else output


def _grouped(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Heads as (K, H / K) for queries and mask, and (K, 1) for keys and values."""
    heads, shared = (x.shape[-3] if x.ndim > 2 else 0 for x in (query, key))
    if not heads or not shared or heads % shared or value.shape[:-2] != key.shape[:-2]:
        raise ValueError(
            f"attention: query {query.shape}, key {key.shape}, value {value.shape} with enable_gqa;"
            " expected (..., H, L, E), (..., K, S, E), (..., K, S, V), and that K divides H"
        )
    if mask is not None and mask.ndim > 2:
        each = mask.shape[-3] == heads
        mask = mask.unflatten(-3, (shared, -1)) if each else mask.unsqueeze(-3)
    query = query.unflatten(-3, (shared, heads // shared))
    return query, key.unsqueeze(-3), value.unsqueeze(-3), mask


def attention_weights(
    query: Tensor,
    key: Tensor,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """How much each query attends to each key: ``softmax(Q K^T * scale)`` within the mask.

    Each row adds up to 1, or to 0 where everything is masked. Arguments as for
    ``scaled_dot_product_attention``.

    Shape:
        query (..., L, E), key (..., S, E) -> (..., L, S).

    Raises:
        ValueError: shapes that do not fit. TypeError: a mask that is neither boolean nor floating.

    Example:
        >>> F.attention_weights(gu.zeros(2, 4), gu.zeros(2, 4), is_causal=True).tolist()
        [[1.0, 0.0], [0.5, 0.5]]
    """
    if query.ndim < 2 or key.ndim < 2 or query.shape[-1] != key.shape[-1]:
        raise ValueError(
            f"attention: query {query.shape} and key {key.shape}; expected (..., L, E) and "
            "(..., S, E)"
        )
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = (query * scale) @ key.mT
    allowed = None
    if attn_mask is not None:
        if attn_mask.dtype.kind == "b":
            allowed = attn_mask
        elif attn_mask.is_floating_point():
            allowed = attn_mask > -math.inf
            scores = scores + where(allowed, attn_mask, 0)
        else:
            raise TypeError(
                f"attention: the mask is {attn_mask.dtype.name}; expected bool (true: attend) or a "
                "floating type (added to the scores)"
            )
    if is_causal:
        queries, keys = scores.shape[-2:]
        past = arange(keys) <= arange(queries).unsqueeze(1)
        allowed = past if allowed is None else allowed & past
    if allowed is None:
        return softmax(scores, -1)
    weights = softmax(where(allowed, scores, _LOWEST[scores.dtype]), -1)
    # Only a given mask can leave a row without any key; softmax made that row uniform.
    return weights if attn_mask is None else where(allowed, weights, 0)
