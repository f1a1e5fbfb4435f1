"""Matrix products and Einstein summation.

Under ``autocast`` they take 16-bit copies of float32 tensors. Products of those are computed and
added up in float32 and rounded once.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..dtypes import result_type
from ..primitives import linalg, shape as shaping
from .arguments import factors, to_dtype, together

if TYPE_CHECKING:
    from ..tensor import Tensor


def matmul(input: Tensor, other: Tensor) -> Tensor:
    """Matrix product; leading dimensions broadcast.

    A vector is a row on the left and a column on the right.

    Shape:
        (..., n, k) and (..., k, m) -> (..., n, m); (k,) and (k,) -> ().

    Raises:
        ValueError: the inner sizes differ, or an input has no dimension.

    Example:
        >>> gu.tensor([[1.0, 2.0]]) @ gu.tensor([[3.0], [4.0]])
        tensor([[11.]], shape=(1, 1), dtype=float32)
    """
    return product(*factors(input, other))


def product(a: Tensor, b: Tensor) -> Tensor:
    """``matmul`` of two tensors of one dtype, which ``autocast`` leaves alone."""
    n, m = a.array.ndim, b.array.ndim
    if n == 2 and m == 2:
        return linalg.matmul(a, b)
    if n == 0 or m == 0:
        raise ValueError(
            f"matmul: shapes {a.array.shape} and {b.array.shape}; both need a dimension"
        )
    if n == 1:
        row = product(shaping.reshape(a, shape=(1, -1)), b)
        return row.squeeze(-2) if m > 1 else row.reshape(())
    if m == 1:
        return product(a, shaping.reshape(b, shape=(-1, 1))).squeeze(-1)
    if m == 2:
        # One product of tall matrices, where a batched one would be many small ones.
        lead = a.array.shape[:-1]
        rows = shaping.reshape(a, shape=(math.prod(lead), a.array.shape[-1]))
        return shaping.reshape(linalg.matmul(rows, b), shape=(*lead, b.array.shape[-1]))
    return linalg.matmul(a, b)


def rmatmul(input: Tensor, other: Tensor) -> Tensor:
    """``other @ input``, for the reflected operator."""
    return matmul(other, input)


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``input @ weight.T + bias``.

    Shape:
        input (*, k), weight (m, k), bias (m,) -> (*, m).

    Raises:
        ValueError: the sizes do not fit.

    Example:
        >>> F.linear(gu.tensor([[1.0, 2.0]]), gu.tensor([[3.0, 4.0]]), gu.tensor([0.5]))
        tensor([[11.5000]], shape=(1, 1), dtype=float32)
    """
    given = factors(input, weight) if bias is None else factors(input, weight, bias)
    x, shape = given[0], input.array.shape
    if weight.array.ndim != 2 or not shape:
        raise ValueError(
            f"linear: input {shape} and weight {weight.array.shape}; expected (*, k) and (m, k)"
        )
    if len(shape) == 2:
        return linalg.linear(*given)
    rows = shaping.reshape(x, shape=(math.prod(shape[:-1]), shape[-1]))
    y = linalg.linear(rows, *given[1:])
    return shaping.reshape(y, shape=(*shape[:-1], weight.array.shape[0]))


def dot(input: Tensor, other: Tensor) -> Tensor:
    """Sum of products of two vectors; ``autocast`` leaves it alone.

    Example:
        >>> gu.tensor([1.0, 2.0]).dot(gu.tensor([3.0, 4.0]))
        tensor(11., shape=(), dtype=float32)
    """
    if input.array.ndim != 1 or other.array.ndim != 1:
        raise ValueError(
            f"dot: expected two vectors, got {input.array.shape} and {other.array.shape}"
        )
    return product(*together(input, other))


def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """All products of the elements of two vectors.

    Example:
        >>> gu.tensor([1.0, 2.0]).outer(gu.tensor([3.0, 4.0]))
        tensor([[3., 4.],
                [6., 8.]], shape=(2, 2), dtype=float32)
    """
    return input.unsqueeze(1) * vec2.unsqueeze(0)


def einsum(equation: str, *operands: Tensor) -> Tensor:
    """Einstein summation: products of tensors, summed over the labels missing from the output.

    The operands are contracted from left to right; each contraction is one batched matrix product.

    Args:
        equation: labels of each operand, commas between them, optionally ``->`` and the output's
            labels; ``...`` stands for dimensions that broadcast.

    Raises:
        ValueError: labels do not fit the operands.

    Example:
        >>> a, b = gu.ones(2, 3), gu.ones(3, 4)
        >>> gu.einsum("ij,jk->ik", a, b).shape
        (2, 4)
    """
    if len(operands) == 1 and isinstance(operands[0], list | tuple):
        operands = tuple(operands[0])
    terms, output = _labels(equation, operands)
    dtype = result_type(operands)
    sizes: dict[str, int] = {}
    pairs = []
    for term, x in zip(terms, operands, strict=True):
        for label, size in zip(term, x.array.shape, strict=True):
            known = sizes.setdefault(label, size)
            if known == 1:
                sizes[label] = size
            elif size not in (1, known):
                raise ValueError(f"einsum {equation!r}: label {label!r} is both {known} and {size}")
            if term.count(label) > 1 and size != x.array.shape[term.index(label)]:
                raise ValueError(
                    f"einsum {equation!r}: label {label!r} repeats in {term!r} with unequal sizes, "
                    f"shape {x.array.shape}"
                )
        pairs.append((to_dtype(x, dtype), term))
    left, labels = _simplify(*pairs[0], keep="".join(terms[1:]) + output)
    for i, (x, term) in enumerate(pairs[1:], start=2):
        later = "".join(terms[i:]) + output
        right, right_labels = _simplify(x, term, keep=labels + later)
        left, labels = _simplify(left, labels, keep=right_labels + later)
        left, labels = _contract(left, labels, right, right_labels, later)
    left, labels = _simplify(left, labels, keep=output)
    shape = tuple(sizes[label] for label in output)
    return shaping.expand(left.permute([labels.index(label) for label in output]), shape=shape)


def _labels(equation: str, operands: tuple[Tensor, ...]) -> tuple[list[str], str]:
    """Split the equation; name the dimensions that ``...`` stands for with capital digits."""
    text = equation.replace(" ", "")
    inputs, arrow, output = text.partition("->")
    terms = inputs.split(",")
    if len(terms) != len(operands):
        raise ValueError(f"einsum {equation!r}: {len(terms)} terms for {len(operands)} operands")
    rest = [
        x.array.ndim - len(term.replace("...", "")) for term, x in zip(terms, operands, strict=True)
    ]
    dots = max((n for n, term in zip(rest, terms, strict=True) if "..." in term), default=0)
    names = "".join(chr(0x2460 + i) for i in range(dots))
    for i, (n, term) in enumerate(zip(rest, terms, strict=True)):
        if n < 0 or (n and "..." not in term):
            raise ValueError(
                f"einsum {equation!r}: term {term!r} does not fit shape {operands[i].array.shape}"
            )
        terms[i] = term.replace("...", names[dots - n :])
    if not arrow:
        every = "".join(terms)
        output = "..." + "".join(
            sorted(c for c in set(every) if every.count(c) == 1 and c.isalpha())
        )
    output = output.replace("...", names)
    for label in output:
        if output.count(label) > 1 or not any(label in term for term in terms):
            raise ValueError(f"einsum {equation!r}: output label {label!r} is repeated or unknown")
    return terms, output


def _simplify(x: Tensor, labels: str, keep: str) -> tuple[Tensor, str]:
    """Take diagonals of repeated labels and sum over labels that nothing else needs."""
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            a = labels.index(label)
            b = labels.index(label, a + 1)
            x = x.diagonal(0, a, b)
            labels = labels[:a] + labels[a + 1 : b] + labels[b + 1 :] + label
    gone = [i for i, label in enumerate(labels) if label not in keep]
    if gone:
        x = x.sum(gone)
    return x, "".join(label for label in labels if label in keep)


def _contract(a: Tensor, la: str, b: Tensor, lb: str, later: str) -> tuple[Tensor, str]:
    """One batched product: shared labels needed later are the batch, the others are summed."""
    # Without a sum this is no matrix product, and ``autocast`` leaves it alone.
    a, b = (factors if any(c in lb and c not in later for c in la) else together)(a, b)
    batch = [c for c in la if c in lb and c in later]
    inner = [c for c in la if c in lb and c not in later]
    free_a = [c for c in la if c not in lb]
    free_b = [c for c in lb if c not in la]
    size = {
        c: n for labels, x in ((la, a), (lb, b)) for c, n in zip(labels, x.array.shape, strict=True)
    }
    for c in batch + inner:
        n, m = a.array.shape[la.index(c)], b.array.shape[lb.index(c)]
        size[c] = m if n == 1 else n

    def arranged(x: Tensor, labels: str, *groups: list[str]) -> Tensor:
        order = [c for group in groups for c in group]
        x = x.permute([labels.index(c) for c in order])
        x = shaping.expand(x, shape=tuple(size[c] for c in order))
        shape = tuple(math.prod(size[c] for c in group) for group in groups[1:])
        return x.reshape(*[size[c] for c in batch], *shape)

    combined = linalg.matmul(
        arranged(a, la, batch, free_a, inner), arranged(b, lb, batch, inner, free_b)
    )
    labels = batch + free_a + free_b
    return combined.reshape([size[c] for c in labels]), "".join(labels)
