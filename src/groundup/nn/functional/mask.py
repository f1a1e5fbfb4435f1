"""What attention may read, and how much: by distance.

Queries and keys are told by their positions, so the same functions serve a whole text and a new
token whose keys stand in a cache.

Shapes: L queries, S keys, H heads; "..." are leading dimensions that broadcast.
"""

from __future__ import annotations

from ...engine.dtypes import float32
from ...engine.ops.creation import tensor
from ...engine.tensor import Tensor


def sliding_window(queries: Tensor, keys: Tensor, window: int, causal: bool = True) -> Tensor:
    """Each query may read the keys nearest to it (Beltagy et al., "Longformer", 2020).

    Through L layers a token still learns of what lies L times as far (Jiang et al., "Mistral 7B",
    2023, section 2).

    Args:
        queries, keys: where they stand, whole numbers.
        window: how many keys are read on each side, that at the query's own position included.
        causal: only those up to the query's own position.

    Shape:
        queries (..., L), keys (..., S) -> (..., L, S), boolean; true: may be read.

    Raises:
        ValueError: a window below 1.

    Example:
        >>> F.sliding_window(gu.arange(4), gu.arange(4), 2).int().tolist()
        [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]]
        >>> F.sliding_window(gu.tensor([2]), gu.arange(4), 2, causal=False).tolist()
        [[False, True, True, True]]
    """
    if window < 1:
        raise ValueError(f"sliding_window: window is {window}, expected at least 1")
    here, there = queries.unsqueeze(-1), keys.unsqueeze(-2)
    near = there > here - window
    return near & (there <= here if causal else there < here + window)


def alibi_slopes(num_heads: int) -> Tensor:
    """How fast the score of a key falls with its distance, for each head.

    Press, Smith and Lewis, "Train Short, Test Long" (2022), section 3. With H heads, H a power of
    two, ``2^(-8/H), 2^(-16/H), ..., 2^-8``; otherwise those of the next smaller power of two, then
    every second one of the next larger.

    Args:
        num_heads: H.

    Shape:
        (num_heads,), float32.

    Raises:
        ValueError: fewer than one head.

    Example:
        >>> F.alibi_slopes(4).tolist()
        [0.25, 0.0625, 0.015625, 0.00390625]
    """
    if num_heads < 1:
        raise ValueError(f"alibi_slopes: num_heads is {num_heads}, expected at least 1")
    power = 1 << (num_heads.bit_length() - 1)
    slopes = [2 ** (-8 * (h + 1) / power) for h in range(power)]
    between = [2 ** (-4 * (h + 1) / power) for h in range(0, 2 * (num_heads - power), 2)]
    return tensor([*slopes, *between], dtype=float32)


def alibi(queries: Tensor, keys: Tensor, num_heads: int) -> Tensor:
    """Scores that fall with the distance, added to those of attention (Press et al., 2022).

    No position is added to the embeddings then, and texts may be longer than those of training.
    Give the sum with a mask, or it alone, to ``F.scaled_dot_product_attention``.

    Args:
        queries, keys: where they stand, whole numbers.
        num_heads: H.

    Shape:
        queries (..., L), keys (..., S) -> (..., H, L, S), float32: minus the head's slope times
        the distance, in both directions.

    Raises:
        ValueError: fewer than one head.

    Example:
        >>> F.alibi(gu.tensor([2]), gu.arange(3), num_heads=2).tolist()
        [[[-0.125, -0.0625, -0.0]], [[-0.0078125, -0.00390625, -0.0]]]
    """
    distance = (queries.unsqueeze(-1) - keys.unsqueeze(-2)).abs().unsqueeze(-3)
    return alibi_slopes(num_heads).reshape(-1, 1, 1) * -distance.to(float32)
