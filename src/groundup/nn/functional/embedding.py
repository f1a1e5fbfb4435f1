"""Embeddings: rows of a table, looked up by token.

Shapes: * any dimensions, V tokens in the vocabulary, D features.
"""

from __future__ import annotations

from ...engine.autograd import no_grad
from ...engine.ops.arguments import outside
from ...engine.ops.arithmetic import where
from ...engine.primitives.indexing import index
from ...engine.tensor import Tensor


def embedding(input: Tensor, weight: Tensor, padding_idx: int | None = None) -> Tensor:
    """The row of ``weight`` for each token.

    Args:
        input: tokens, integers from 0 to V - 1.
        weight: the table.
        padding_idx: a token whose row gets no gradient; negative numbers count from the end.

    Shape:
        input (*), weight (V, D) -> (*, D).

    Raises:
        IndexError: a token outside the vocabulary. TypeError: tokens that are not integers.
        ValueError: a table that is not a matrix, or a padding token outside the vocabulary.

    Example:
        >>> table = gu.tensor([[0.0, 0.0], [1.0, 2.0], [3.0, 4.0]])
        >>> F.embedding(gu.tensor([2, 1]), table).tolist()
        [[3.0, 4.0], [1.0, 2.0]]
    """
    if weight.ndim != 2:
        raise ValueError(f"embedding: weight {weight.shape}, expected a matrix (V, D)")
    if input.dtype.kind not in "iu":
        raise TypeError(f"embedding: tokens are {input.dtype.name}, expected integers")
    size = weight.shape[0]
    if (wrong := outside(input, 0, size - 1)) is not None:
        raise IndexError(
            f"embedding: token {wrong} is outside the vocabulary of {size} tokens (0 to {size - 1})"
        )
    rows = index(weight, input, dims=(0,))
    if padding_idx is None:
        return rows
    padding_idx = padding_row(padding_idx, size)
    with no_grad():
        fixed = weight[padding_idx]
    return where((input == padding_idx).unsqueeze(-1), fixed, rows)


def padding_row(padding_idx: int, size: int) -> int:
    """The padding token counted from the front.

    Raises:
        ValueError: it is outside the vocabulary.

    Example:
        >>> padding_row(-1, 10)
        9
    """
    if not -size <= padding_idx < size:
        raise ValueError(
            f"embedding: padding_idx {padding_idx} is outside the vocabulary of {size} tokens"
        )
    return padding_idx % size
