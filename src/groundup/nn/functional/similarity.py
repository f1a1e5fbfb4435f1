"""Vectors by their direction: scaled to length 1, and the angle between two."""

from __future__ import annotations

from ...engine.tensor import Tensor


def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """Divided by the norm along a dimension, so that the norm becomes 1.

    Args:
        p: the norm's exponent.
        dim: the dimension that holds a vector.
        eps: the least number to divide by; a vector of zeros stays one.

    Example:
        >>> F.normalize(gu.tensor([[3.0, 4.0]]).double()).tolist()
        [[0.6, 0.8]]
    """
    return input / input.norm(p, dim, keepdim=True).clamp(min=eps)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between vectors: their product over the product of their lengths.

    Args:
        dim: the dimension of the broadcast shape that holds a vector.
        eps: the least length to divide by.

    Shape:
        (*, n, *) and (*, n, *) -> the broadcast shape without ``dim``.

    Example:
        >>> x = gu.tensor([[0.0, 2.0], [3.0, 0.0]])
        >>> F.cosine_similarity(gu.tensor([[1.0, 0.0]]), x).tolist()
        [0.0, 1.0]
    """
    products = x1 * x2
    length1 = x1.expand(products.shape).norm(2, dim).clamp(min=eps)
    length2 = x2.expand(products.shape).norm(2, dim).clamp(min=eps)
    return products.sum(dim) / (length1 * length2)
