"""Reading and writing at positions: ``x[...]``, ``gather``, ``scatter_add`` and their relatives.

``x[key]`` takes what PyTorch takes: integers, slices with positive steps, ``None``, ``...``,
integer tensors and boolean masks. Numbers and slices are applied first, then the tensors to the
dimensions that are left, which is PyTorch's order (NumPy treats a number beside a tensor as another
tensor).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..base import Array, TensorBase, as_array, fresh, mode, tick, untraced, values, wrap
from ..dtypes import Number, int64
from ..primitives import elementwise, indexing as p, shape as shaping
from .arguments import one_dim, to_dtype

if TYPE_CHECKING:
    from ..tensor import Tensor


def _parts(key: Any) -> list[Any]:
    return [_part(part) for part in (key if isinstance(key, tuple) else (key,))]


def _part(part: Any) -> Any:
    """Lists and arrays as tensors, integer and boolean scalars as numbers."""
    if isinstance(part, list | range | np.ndarray):
        array = np.asarray(part)
        part = fresh(array if array.size or isinstance(part, np.ndarray) else array.astype(int64))
    if isinstance(part, TensorBase) and part.array.ndim == 0 and part.array.dtype.kind in "iub":
        return part.item()  # type: ignore[attr-defined]
    return bool(part) if isinstance(part, np.bool_) else part


def _consumed(part: Any) -> int:
    if part is None or part is Ellipsis or isinstance(part, bool):
        return 0
    if isinstance(part, TensorBase) and part.array.dtype.kind == "b":
        return part.array.ndim
    return 1


def _basic(x: Tensor, key: Any) -> tuple[Tensor, list[Tensor], tuple[int, ...]]:
    """Apply numbers, slices, None and ``...``; return what is left for tensors and where."""
    parts = _parts(key)
    used = sum(map(_consumed, parts))
    shape = x.array.shape
    if used > len(shape):
        raise IndexError(
            f"{used} indices for a tensor of shape {shape}; expected at most {len(shape)}"
        )
    if not any(part is Ellipsis for part in parts):
        parts.append(Ellipsis)
    slices: list[slice] = []
    sizes: list[int] = []
    positions: list[Tensor] = []
    dims: list[int] = []
    d = 0
    for part in parts:
        if part is None or isinstance(part, bool):
            if isinstance(part, bool):
                positions.append(fresh(np.zeros(int(part), np.int64)))
                dims.append(len(sizes))
            sizes.append(1)
        elif part is Ellipsis:
            for _ in range(len(shape) - used):
                slices.append(slice(None))
                sizes.append(shape[d])
                d += 1
        elif isinstance(part, slice):
            start, stop, step = part.indices(shape[d])
            if step < 1:
                raise ValueError(
                    f"slice step {step}: expected a positive one; use flip() to reverse"
                )
            whole = start == 0 and stop == shape[d] and step == 1
            slices.append(slice(None) if whole else slice(start, max(start, stop), step))
            sizes.append(len(range(start, stop, step)))
            d += 1
        elif isinstance(part, int | np.integer):
            i = int(part)
            if not -shape[d] <= i < shape[d]:
                raise IndexError(f"index {i} is out of range for dimension {d} of size {shape[d]}")
            i %= shape[d]
            slices.append(slice(i, i + 1))
            d += 1
        elif isinstance(part, TensorBase):
            for position in _positions(part, shape, d):
                positions.append(position)
                dims.append(len(sizes))
                slices.append(slice(None))
                sizes.append(shape[d])
                d += 1
        else:
            raise TypeError(
                f"cannot index a tensor with {type(part).__name__}; "
                "expected integers, slices, None, ..., or integer or boolean tensors"
            )
    if any(s != slice(None) for s in slices):
        x = shaping.slice_(x, key=tuple(slices))
    if x.array.shape != tuple(sizes):
        x = shaping.reshape(x, shape=tuple(sizes))
    return x, positions, tuple(dims)


def _positions(part: TensorBase, shape: tuple[int, ...], d: int) -> list[Tensor]:
    if part.array.dtype.kind == "b":
        array = values(part)
        _check_mask(array, shape[d:])
        return [wrap(found) for found in np.nonzero(array)]
    return [_non_negative(part, shape[d], d)]


def _check_mask(mask: Array, shape: tuple[int, ...]) -> None:
    if mask.shape != shape[: mask.ndim]:
        raise IndexError(
            f"a mask of shape {mask.shape} does not fit dimensions of shape {shape[: mask.ndim]}"
        )


def _non_negative(position: TensorBase, size: int, d: int) -> Tensor:
    array = position.array
    if array.dtype.kind not in "iu":
        raise TypeError(f"an index tensor must hold integers or booleans, got {array.dtype.name}")
    if mode.tracer is not None:
        return mode.tracer.positions(position, size)  # type: ignore[arg-type]
    if array.size:
        low, high = array.min(), array.max()
        if low < -size or high >= size:
            wrong = low if low < -size else high
            raise IndexError(f"index {wrong} is out of range for dimension {d} of size {size}")
        if low < 0:
            return wrap(np.where(array < 0, array + np.int64(size), array))
    return position  # type: ignore[return-value]


def getitem(input: Tensor, key: Any) -> Tensor:
    """``input[key]``: a view where the key holds no tensors, else a copy."""
    x, positions, dims = _basic(input, key)
    if positions:
        return p.index(x, *positions, dims=dims)
    return x if x is not input else input.view(input.array.shape)


def setitem(input: Tensor, key: Any, value: Tensor | Number) -> None:
    """``input[key] = value``; in a graph the tensor becomes the result of the writing."""
    if isinstance(key, TensorBase) and key.array.dtype.kind == "b" and not np.ndim(as_array(value)):
        _check_mask(key.array, input.array.shape)
        more = input.array.ndim - key.array.ndim
        input.masked_fill_(key.reshape(*key.array.shape, *(1,) * more), value)  # type: ignore[attr-defined]
        return
    new = to_dtype(value, input.array.dtype)
    if input.requires_grad or new.requires_grad:
        viewed = input.version is not None and input.version.viewed
        written = _written(input, key, new)
        if input.version is not None:
            input.version.viewed = viewed  # The view that was written through is gone.
        input.change("setitem", written)
        return
    version = input.shared_version()
    viewed = version.viewed
    x, positions, dims = _basic(input, key)
    at_once = mode.tracer is None and x.array.flags.writeable
    if positions and at_once and not np.may_share_memory(x.array, new.array):
        p.write_at(x.array, new.array, *[position.array for position in positions], dims=dims)
        x.shared_version().changed = tick()
    else:
        x.assign(p.index_put(x, new, *positions, dims=dims) if positions else new)
    version.viewed = viewed  # The view that was written through is gone.


def _written(x: Tensor, key: Any, new: Tensor) -> Tensor:
    """A copy of ``x`` with the values at ``key``, as one differentiable expression."""
    shape = x.array.shape
    if mode.tracer is not None and any(isinstance(part, TensorBase) for part in _parts(key)):
        return _written_at(x, key, new)
    with untraced():  # a compiled function has the positions in it
        where, positions, dims = _basic(wrap(np.arange(x.array.size).reshape(shape)), key)
        target = p.index(where, *positions, dims=dims) if positions else where
    every = [fresh(found) for found in np.unravel_index(target.array, shape)] if shape else []
    if new.array.ndim > target.array.ndim:
        extra = new.array.ndim - target.array.ndim
        new = shaping.reshape(new, shape=new.array.shape[extra:])
    return p.index_put(x, new, *every, dims=tuple(range(len(shape))))


def _written_at(x: Tensor, key: Any, new: Tensor) -> Tensor:
    """``_written`` where positions are known when the compiled function is called."""
    shape = x.array.shape
    where, positions, dims = _basic(fresh(np.arange(x.array.size).reshape(shape)), key)
    target = p.index(where, *positions, dims=dims) if positions else where
    at = target.array.shape
    if new.array.ndim > len(at):
        new = shaping.reshape(new, shape=new.array.shape[new.array.ndim - len(at) :])
    flat, rows = (shaping.reshape(one, shape=(-1,)) for one in (x, shaping.expand(new, shape=at)))
    written = p.index_put(flat, rows, shaping.reshape(target, shape=(-1,)), dims=(0,))
    return shaping.reshape(written, shape=shape)


def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The elements of a dimension at the given positions.

    Args:
        index: one-dimensional integer tensor.

    Raises:
        IndexError: a position leaves the dimension.

    Example:
        >>> gu.tensor([[1, 2], [3, 4]]).index_select(1, gu.tensor([1, 1]))
        tensor([[2, 2],
                [4, 4]], shape=(2, 2), dtype=int64)
    """
    d = one_dim(input, dim)
    if index.array.ndim > 1:
        raise ValueError(
            f"index_select: the index has shape {index.array.shape}, expected 1 dimension"
        )
    x = input if input.array.ndim else input.reshape(1)
    position = _non_negative(index, x.array.shape[d], d)
    found = p.index(x, position.reshape(-1), dims=(d,))
    return found if input.array.ndim else found.reshape(())


def gather(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """``out[i][j] = input[i][index[i][j]]`` (for ``dim`` 1 of 2).

    Shape:
        index has as many dimensions as input and is nowhere larger, except along ``dim``.

    Raises:
        IndexError: a position leaves the dimension.

    Example:
        >>> gu.tensor([[1, 2], [3, 4]]).gather(1, gu.tensor([[0], [1]]))
        tensor([[1],
                [4]], shape=(2, 1), dtype=int64)
    """
    d = one_dim(input, dim)
    x, position = _vector(input), _vector(index)
    if position.array.ndim != x.array.ndim:
        raise ValueError(
            f"gather: index {index.array.shape} and input {input.array.shape} must have "
            "as many dimensions"
        )
    key = _beside(position, x, d, "gather: the index")
    if any(s.stop != n for s, n in zip(key, x.array.shape, strict=True)):
        x = shaping.slice_(x, key=key)
    found = p.gather(x, _non_negative(position, x.array.shape[d], d), dim=d)
    return found if index.array.ndim else found.reshape(())


def _vector(x: Tensor) -> Tensor:
    """A zero-dimensional tensor as a vector of one element; others as they are."""
    return x if x.array.ndim else x.reshape(1)


def _beside(index: Tensor, x: Tensor, d: int, name: str) -> tuple[slice, ...]:
    """The part of ``x`` that an index reads or writes: all of ``d``, the index's size elsewhere."""
    pairs = list(zip(index.array.shape, x.array.shape, strict=True))
    if any(n > size for e, (n, size) in enumerate(pairs) if e != d):
        raise ValueError(
            f"{name} {index.array.shape} exceeds {x.array.shape} in a dimension other than {d}"
        )
    return tuple(slice(0, size if e == d else n) for e, (n, size) in enumerate(pairs))


def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """``input`` with ``src`` added where ``gather`` would read; repeated positions add up.

    Example:
        >>> gu.zeros(3).scatter_add(0, gu.tensor([0, 2, 2]), gu.ones(3))
        tensor([1., 0., 2.], shape=(3,), dtype=float32)
    """
    d = one_dim(input, dim)
    if not index.array.size:
        return input.clone()
    x, position, values = _vector(input), _vector(index), _vector(src)
    if not x.array.ndim == position.array.ndim == values.array.ndim:
        raise ValueError(
            f"scatter_add: input {input.array.shape}, index {index.array.shape} and src "
            f"{src.array.shape} must have as many dimensions"
        )
    if any(n > m for n, m in zip(position.array.shape, values.array.shape, strict=True)):
        raise ValueError(f"scatter_add: index {index.array.shape} exceeds src {src.array.shape}")
    shape = tuple(s.stop for s in _beside(position, x, d, "scatter_add: the index"))
    values = shaping.slice_(values, key=tuple(slice(0, n) for n in position.array.shape))
    added = p.scatter_add(values, _non_negative(position, x.array.shape[d], d), dim=d, shape=shape)
    if shape != x.array.shape:
        widths = tuple((0, size - n) for n, size in zip(shape, x.array.shape, strict=True))
        added = shaping.pad(added, widths=widths, value=0.0)
    return input + added.reshape(input.array.shape)


def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """``gather`` with broadcasting of the other dimensions; flattened without ``dim``.

    Example:
        >>> x = gu.tensor([[30, 10, 20]])
        >>> x.take_along_dim(x.argsort(1), 1)
        tensor([[10, 20, 30]], shape=(1, 3), dtype=int64)
    """
    if dim is None:
        return gather(input.reshape(-1), 0, indices.reshape(-1))
    d, n = one_dim(input, dim), input.array.ndim
    if indices.array.ndim != n:
        raise ValueError(
            f"take_along_dim: indices {indices.array.shape} and input {input.array.shape} "
            "must have as many dimensions"
        )
    wide = list(
        np.broadcast_shapes(
            tuple(1 if e == d else s for e, s in enumerate(input.array.shape)),
            tuple(1 if e == d else s for e, s in enumerate(indices.array.shape)),
        )
    )
    wide[d] = input.array.shape[d]
    x = shaping.expand(input, shape=tuple(wide))
    wide[d] = indices.array.shape[d]
    return gather(x, d, shaping.expand(indices, shape=tuple(wide)))


def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """The positions of the elements that are not zero, one a row; the shape depends on the values.

    Args:
        as_tuple: give a vector for each dimension instead, which index the tensor together.

    Example:
        >>> gu.tensor([0, 5, 6]).nonzero()
        tensor([[1],
                [2]], shape=(2, 1), dtype=int64)
    """
    if as_tuple:
        return tuple(wrap(found) for found in np.nonzero(np.atleast_1d(values(input))))
    return wrap(np.argwhere(values(input)))


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """A vector for each class index: 1 at the index, 0 elsewhere.

    Args:
        tensor: integer tensor.
        num_classes: length of the vectors; -1 for the largest index plus 1.

    Shape:
        (*) -> (*, num_classes), int64.

    Example:
        >>> gu.nn.functional.one_hot(gu.tensor([0, 2]))
        tensor([[1, 0, 0],
                [0, 0, 1]], shape=(2, 3), dtype=int64)
    """
    if num_classes == -1:
        num_classes = int(values(tensor).max()) + 1 if tensor.array.size else 0
    if mode.tracer is not None:
        mode.tracer.check(tensor, 0, num_classes - 1, None)
    elif tensor.array.size and (tensor.array.min() < 0 or tensor.array.max() >= num_classes):
        raise IndexError(
            f"one_hot: indices run from {tensor.array.min()} to {tensor.array.max()}, "
            f"expected 0 to {num_classes - 1}"
        )
    classes = fresh(np.arange(num_classes))
    return to_dtype(elementwise.eq(to_dtype(tensor, int64).unsqueeze(-1), classes), int64)
