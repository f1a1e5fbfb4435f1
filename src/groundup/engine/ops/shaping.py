"""Operations that change the shape or the order of elements, not their values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base import mode
from ..dtypes import Number
from ..primitives import convolution, elementwise, shape as p
from .arguments import many_dims, one_dim, one_shape, together

if TYPE_CHECKING:
    from ..tensor import Tensor


def reshape(input: Tensor, *shape: Any) -> Tensor:
    """The same elements in another shape; one size may be -1 and is then inferred.

    A view where the memory layout allows it, else a copy.

    Raises:
        ValueError: the number of elements differs.

    Example:
        >>> gu.arange(6).reshape(2, -1).shape
        (2, 3)
    """
    return p.reshape(input, shape=one_shape(shape))


def view(input: Tensor, *shape: Any) -> Tensor:
    """``reshape``, under the name used where no copy is expected.

    Example:
        >>> gu.arange(6).view(3, 2).shape
        (3, 2)
    """
    return p.reshape(input, shape=one_shape(shape))


def view_as(input: Tensor, other: Tensor) -> Tensor:
    """``view`` in the shape of another tensor.

    Example:
        >>> gu.arange(6).view_as(gu.ones(3, 2)).shape
        (3, 2)
    """
    return p.reshape(input, shape=other.array.shape)


def permute(input: Tensor, *dims: Any) -> Tensor:
    """The dimensions in another order.

    Raises:
        ValueError: ``dims`` is not a permutation of the dimensions.

    Example:
        >>> gu.ones(2, 3, 4).permute(2, 0, 1).shape
        (4, 2, 3)
    """
    order = tuple(one_dim(input, d) for d in one_shape(dims))
    if sorted(order) != list(range(input.array.ndim)):
        raise ValueError(
            f"permute{order}: expected each of the {input.array.ndim} dimensions of shape "
            f"{input.array.shape} once"
        )
    return p.permute(input, order=order)


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two dimensions exchanged.

    Example:
        >>> gu.ones(2, 3).transpose(0, 1).shape
        (3, 2)
    """
    a, b = one_dim(input, dim0), one_dim(input, dim1)
    if not input.array.ndim:
        return input
    order = list(range(input.array.ndim))
    order[a], order[b] = order[b], order[a]
    return p.permute(input, order=tuple(order))


def movedim(input: Tensor, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """Dimensions moved to other places, the others kept in order.

    Raises:
        ValueError: a dimension is named twice, or the two lists differ in length.

    Example:
        >>> gu.ones(2, 3, 4).movedim(0, -1).shape
        (3, 4, 2)
    """
    moved = [source] if isinstance(source, int) else source
    places = [destination] if isinstance(destination, int) else destination
    target = {one_dim(input, b): one_dim(input, a) for a, b in zip(moved, places, strict=True)}
    if len(set(target.values())) < len(moved):
        raise ValueError(f"movedim: {source} to {destination} names a dimension twice")
    rest = iter(d for d in range(input.array.ndim) if d not in target.values())
    order = tuple(target[d] if d in target else next(rest) for d in range(input.array.ndim))
    return p.permute(input, order=order)


def t(input: Tensor) -> Tensor:
    """The transposed matrix.

    Raises:
        ValueError: more than two dimensions.

    Example:
        >>> gu.ones(2, 3).t().shape
        (3, 2)
    """
    if input.array.ndim > 2:
        raise ValueError(f"t: expected at most 2 dimensions, got shape {input.array.shape}")
    return transpose(input, 0, 1) if input.array.ndim == 2 else input


def squeeze(input: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """Without the dimensions of size 1 (or without those named that have size 1).

    Example:
        >>> gu.ones(1, 3, 1).squeeze().shape
        (3,)
    """
    dims = () if dim == () or dim == [] else many_dims(input, dim)
    shape = tuple(n for d, n in enumerate(input.array.shape) if n != 1 or d not in dims)
    return p.reshape(input, shape=shape)


def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """With a new dimension of size 1 at ``dim``.

    Example:
        >>> gu.ones(3).unsqueeze(0).shape
        (1, 3)
    """
    n = input.array.ndim + 1
    if not -n <= dim < n:
        raise IndexError(f"unsqueeze: dim {dim} is out of range, expected {-n} to {n - 1}")
    shape = list(input.array.shape)
    shape.insert(dim + n if dim < 0 else dim, 1)
    return p.reshape(input, shape=tuple(shape))


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The dimensions from ``start_dim`` to ``end_dim`` merged into one.

    Example:
        >>> gu.ones(2, 3, 4).flatten(1).shape
        (2, 12)
    """
    start, end = one_dim(input, start_dim), one_dim(input, end_dim)
    if start > end:
        raise ValueError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    shape = input.array.shape
    if not shape:
        return p.reshape(input, shape=(1,))
    merged = math.prod(shape[start : end + 1])
    return p.reshape(input, shape=(*shape[:start], merged, *shape[end + 1 :]))


def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """One dimension split into several; one size may be -1.

    Example:
        >>> gu.ones(2, 12).unflatten(1, (3, 4)).shape
        (2, 3, 4)
    """
    d, shape = one_dim(input, dim), input.array.shape
    known = math.prod(n for n in sizes if n != -1)
    split = tuple(shape[d] // max(known, 1) if n == -1 else n for n in sizes)
    return p.reshape(input, shape=(*shape[:d], *split, *shape[d + 1 :]))


def expand(input: Tensor, *sizes: Any) -> Tensor:
    """Repeated along dimensions of size 1 without copying; -1 keeps a size.

    Raises:
        ValueError: a dimension that is not 1 would change.

    Example:
        >>> gu.ones(3, 1).expand(-1, 4).shape
        (3, 4)
    """
    shape = one_shape(sizes)
    own = (*(1,) * (len(shape) - input.array.ndim), *input.array.shape)
    return p.expand(
        input, shape=tuple(o if n == -1 else n for n, o in zip(shape, own, strict=True))
    )


def expand_as(input: Tensor, other: Tensor) -> Tensor:
    """Expanded to the shape of another tensor.

    Example:
        >>> gu.ones(1, 2).expand_as(gu.ones(3, 2)).shape
        (3, 2)
    """
    return p.expand(input, shape=other.array.shape)


def repeat(input: Tensor, *sizes: Any) -> Tensor:
    """Copies laid side by side, ``sizes`` times along each dimension.

    Example:
        >>> gu.tensor([1, 2]).repeat(2, 2)
        tensor([[1, 2, 1, 2],
                [1, 2, 1, 2]], shape=(2, 4), dtype=int64)
    """
    counts = one_shape(sizes)
    n = len(counts)
    if n < input.array.ndim:
        raise ValueError(f"repeat{counts}: expected at least {input.array.ndim} numbers")
    shape = (*(1,) * (n - input.array.ndim), *input.array.shape)
    paired = p.reshape(input, shape=tuple(m for size in shape for m in (1, size)))
    spread = p.expand(
        paired, shape=tuple(m for c, size in zip(counts, shape, strict=True) for m in (c, size))
    )
    return _apart(
        p.reshape(spread, shape=tuple(c * m for c, m in zip(counts, shape, strict=True))), input
    )


def _apart(x: Tensor, source: Tensor) -> Tensor:
    """The tensor, or a copy of it where it still reads the memory of its source."""
    if mode.tracer is not None or np.may_share_memory(x.array, source.array):
        return elementwise.cast(x, dtype=x.array.dtype)
    return x


def repeat_interleave(input: Tensor, repeats: int, dim: int | None = None) -> Tensor:
    """Each element repeated in place.

    Example:
        >>> gu.tensor([1, 2]).repeat_interleave(2)
        tensor([1, 1, 2, 2], shape=(4,), dtype=int64)
    """
    x = p.reshape(input, shape=(-1,)) if dim is None else input
    d = one_dim(x, dim or 0)
    shape = x.array.shape
    wide = p.expand(unsqueeze(x, d + 1), shape=(*shape[: d + 1], repeats, *shape[d + 1 :]))
    return _apart(p.reshape(wide, shape=(*shape[:d], shape[d] * repeats, *shape[d + 1 :])), input)


def narrow(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """``length`` elements of one dimension from ``start``, as a view.

    Raises:
        IndexError: the range leaves the dimension.

    Example:
        >>> gu.arange(5).narrow(0, 1, 3)
        tensor([1, 2, 3], shape=(3,), dtype=int64)
    """
    d = one_dim(input, dim)
    size = input.array.shape[d]
    start = start + size if start < 0 else start
    if not 0 <= start <= start + length <= size:
        raise IndexError(f"narrow: {start} to {start + length} leaves dimension {d} of size {size}")
    key = [slice(None)] * input.array.ndim
    key[d] = slice(start, start + length)
    return p.slice_(input, key=tuple(key))


def select(input: Tensor, dim: int, index: int) -> Tensor:
    """One element of a dimension, which disappears.

    Example:
        >>> gu.tensor([[1, 2], [3, 4]]).select(1, 0)
        tensor([1, 3], shape=(2,), dtype=int64)
    """
    return squeeze(narrow(input, dim, index, 1), dim)


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Joined along an existing dimension.

    Raises:
        ValueError: no tensors, or shapes that differ elsewhere.

    Example:
        >>> gu.cat([gu.zeros(1), gu.ones(2)])
        tensor([0., 1., 1.], shape=(3,), dtype=float32)
    """
    if not tensors:
        raise ValueError("cat: expected at least one tensor")
    if len(tensors) > 1:  # PyTorch lets an empty vector join anything.
        tensors = [x for x in tensors if x.array.shape != (0,)] or tensors[:1]
    return p.cat(*together(*tensors), dim=one_dim(tensors[0], dim))


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Joined along a new dimension.

    Raises:
        ValueError: no tensors, or shapes that differ.

    Example:
        >>> gu.stack([gu.zeros(2), gu.ones(2)])
        tensor([[0., 0.],
                [1., 1.]], shape=(2, 2), dtype=float32)
    """
    if not tensors:
        raise ValueError("stack: expected at least one tensor")
    shapes = {x.array.shape for x in tensors}
    if len(shapes) > 1:
        raise ValueError(f"stack: expected equal shapes, got {sorted(shapes)}")
    return cat([unsqueeze(x, dim) for x in tensors], dim)


def split(
    tensor: Tensor, split_size_or_sections: int | Sequence[int], dim: int = 0
) -> tuple[Tensor, ...]:
    """Cut along a dimension into pieces of a size (the last may be smaller) or of given sizes.

    Raises:
        ValueError: given sizes do not add up to the dimension.

    Example:
        >>> gu.arange(5).split(2)
        (tensor([0, 1], shape=(2,), dtype=int64), tensor([2, 3], shape=(2,), dtype=int64),
        tensor([4], shape=(1,), dtype=int64))
    """
    size = tensor.array.shape[one_dim(tensor, dim)]
    sections: Sequence[int]
    if isinstance(split_size_or_sections, int):
        step = split_size_or_sections
        sections = [min(step, size - start) for start in range(0, size, step)] or [0]
    else:
        sections = split_size_or_sections
    if sum(sections) != size:
        raise ValueError(f"split: the sizes {list(sections)} add up to {sum(sections)}, not {size}")
    pieces, start = [], 0
    for length in sections:
        pieces.append(narrow(tensor, dim, start, length))
        start += length
    return tuple(pieces)


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """Cut along a dimension into at most ``chunks`` pieces of equal size (the last may be smaller).

    Example:
        >>> gu.arange(5).chunk(2)
        (tensor([0, 1, 2], shape=(3,), dtype=int64), tensor([3, 4], shape=(2,), dtype=int64))
    """
    if chunks < 1:
        raise ValueError(f"chunk: expected at least 1 chunk, got {chunks}")
    size = input.array.shape[one_dim(input, dim)]
    return split(input, max(-(-size // chunks), 1), dim)


def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The slices along a dimension, which disappears.

    Example:
        >>> gu.tensor([[1, 2], [3, 4]]).unbind()
        (tensor([1, 2], shape=(2,), dtype=int64), tensor([3, 4], shape=(2,), dtype=int64))
    """
    return tuple(select(input, dim, i) for i in range(input.array.shape[one_dim(input, dim)]))


def flip(input: Tensor, *dims: Any) -> Tensor:
    """Reversed along dimensions.

    Example:
        >>> gu.arange(3).flip(0)
        tensor([2, 1, 0], shape=(3,), dtype=int64)
    """
    return p.flip(input, dims=tuple(one_dim(input, d) for d in one_shape(dims)))


def roll(
    input: Tensor, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None
) -> Tensor:
    """Shifted along dimensions; what leaves one end enters at the other.

    Example:
        >>> gu.arange(4).roll(1)
        tensor([3, 0, 1, 2], shape=(4,), dtype=int64)
    """
    if dims is None:
        flat = roll(p.reshape(input, shape=(-1,)), shifts, 0)
        return p.reshape(flat, shape=input.array.shape)
    shifts = [shifts] if isinstance(shifts, int) else shifts
    dims = [dims] if isinstance(dims, int) else dims
    x = input
    for shift, dim in zip(shifts, dims, strict=True):
        d = one_dim(x, dim)
        size = x.array.shape[d]
        if size and shift % size:
            cut = size - shift % size
            x = p.cat(narrow(x, d, cut, size - cut), narrow(x, d, 0, cut), dim=d)
    return _apart(x, input)


def pad(
    input: Tensor, pad: Sequence[int], mode: str = "constant", value: Number | None = None
) -> Tensor:
    """Enlarged (or, with negative numbers, cropped) at the ends of the last dimensions.

    Args:
        pad: (before, after) for the last dimension, then for the one before it, and so on.
        mode: "constant", "reflect", "replicate" or "circular".
        value: the constant; 0 if None.

    Raises:
        ValueError: an odd count of numbers, too many, an unknown mode, or a reflection wider than
            the dimension.

    Example:
        >>> gu.nn.functional.pad(gu.ones(2), (1, 2), value=9)
        tensor([9., 1., 1., 9., 9.], shape=(5,), dtype=float32)
    """
    n = input.array.ndim
    if len(pad) % 2 or len(pad) > 2 * n:
        raise ValueError(f"pad: expected an even count of at most {2 * n} numbers, got {len(pad)}")
    pairs = [(pad[i], pad[i + 1]) for i in range(0, len(pad), 2)]
    if mode == "constant":
        widths = [(0, 0)] * (n - len(pairs)) + pairs[::-1]
        key = tuple(
            slice(max(-a, 0), size - max(-b, 0))
            for size, (a, b) in zip(input.array.shape, widths, strict=True)
        )
        if any(a < 0 or b < 0 for a, b in widths):
            input = p.slice_(input, key=key)
        grown = tuple((max(a, 0), max(b, 0)) for a, b in widths)
        return p.pad(input, widths=grown, value=value or 0.0)
    if mode not in ("reflect", "replicate", "circular"):
        raise ValueError(
            f"pad: mode {mode!r}; expected 'constant', 'reflect', 'replicate' or 'circular'"
        )
    for i, (before, after) in enumerate(pairs):
        input = _extend(input, n - 1 - i, before, after, mode)
    return input


def _extend(x: Tensor, d: int, before: int, after: int, mode: str) -> Tensor:
    if min(before, after) < 0:
        return _cropped(x, d, before, after, mode)
    size = x.array.shape[d]
    limit = {"reflect": size - 1, "replicate": max(before, after), "circular": size}[mode]
    if not 0 <= max(before, after) <= limit or not size:
        raise ValueError(
            f"pad: {mode} by ({before}, {after}) does not fit a dimension of size {size}"
        )
    if mode == "reflect":
        first = p.flip(narrow(x, d, 1, before), dims=(d,))
        last = p.flip(narrow(x, d, size - 1 - after, after), dims=(d,))
    elif mode == "circular":
        first, last = narrow(x, d, size - before, before), narrow(x, d, 0, after)
    else:
        shape = list(x.array.shape)
        shape[d] = before
        first = p.expand(narrow(x, d, 0, 1), shape=tuple(shape))
        shape[d] = after
        last = p.expand(narrow(x, d, size - 1, 1), shape=tuple(shape))
    return p.cat(first, x, last, dim=d)


def _cropped(x: Tensor, d: int, before: int, after: int, mode: str) -> Tensor:
    """Padding with negative numbers: a reflection still sees what is cropped, a circle does not."""
    lost = max(-before, 0), max(-after, 0)
    if mode != "circular":
        x = _extend(x, d, max(before, 0), max(after, 0), mode)
    x = narrow(x, d, lost[0], x.array.shape[d] - sum(lost))
    if mode == "circular":
        x = _extend(x, d, max(before, 0), max(after, 0), mode)
    return x


def unfold(input: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """Sliding windows along a dimension, laid out along a new last dimension, as a view.

    Example:
        >>> gu.arange(5).unfold(0, 3, 2)
        tensor([[0, 1, 2],
                [2, 3, 4]], shape=(2, 3), dtype=int64)
    """
    d = one_dim(input, dimension)
    if not input.array.ndim:
        return unfold(p.reshape(input, shape=(1,)), 0, size, step).squeeze(0)
    if not 0 < size <= input.array.shape[d] or step < 1:
        raise ValueError(
            f"unfold: windows of {size} in steps of {step} do not fit a dimension of size "
            f"{input.array.shape[d]}"
        )
    return convolution.windows(input, dims=(d,), size=(size,), step=(step,), dilation=(1,))


def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangle of each matrix, zeros above the diagonal.

    Args:
        diagonal: how far above (positive) or below the main one the last kept diagonal lies.

    Example:
        >>> gu.ones(2, 2).tril()
        tensor([[1., 0.],
                [1., 1.]], shape=(2, 2), dtype=float32)
    """
    return _triangle(input, diagonal, lower=True)


def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangle of each matrix, zeros below the diagonal.

    Args:
        diagonal: how far above (positive) or below the main one the first kept diagonal lies.

    Example:
        >>> gu.ones(2, 2).triu()
        tensor([[1., 1.],
                [0., 1.]], shape=(2, 2), dtype=float32)
    """
    return _triangle(input, diagonal, lower=False)


def _triangle(x: Tensor, diagonal: int, lower: bool) -> Tensor:
    from .creation import arange

    if x.array.ndim < 2:
        raise ValueError(f"expected at least 2 dimensions, got shape {x.array.shape}")
    rows, columns = x.array.shape[-2:]
    distance = arange(columns) - arange(rows).unsqueeze(1)
    keep = distance <= diagonal if lower else distance >= diagonal
    return elementwise.where(keep, x, elementwise.scalar(0, x))


def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonal of two dimensions, laid along a new last one.

    Example:
        >>> gu.tensor([[1, 2], [3, 4]]).diagonal()
        tensor([1, 4], shape=(2,), dtype=int64)
    """
    from ..primitives.indexing import index
    from .creation import arange

    a, b = one_dim(input, dim1), one_dim(input, dim2)
    if a == b:
        raise ValueError(f"diagonal: dim1 and dim2 are both {a}")
    x = movedim(movedim(input, a, -1), b if b < a else b - 1, -1)
    rows, columns = x.array.shape[-2:]
    length = max(min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns), 0)
    start = arange(length)
    n = x.array.ndim
    return index(x, start + max(-offset, 0), start + max(offset, 0), dims=(n - 2, n - 1))
