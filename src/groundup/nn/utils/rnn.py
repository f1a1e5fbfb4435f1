"""Sequences of different lengths in one tensor: padded to a rectangle, or packed without padding.

A packed batch holds the elements of all sequences that have a first one, then of all that have a
second one, and so on, the longest sequence first. Time step t of a recurrent layer is then a block
of as many rows as there are sequences longer than t: nothing is computed for padding, and the last
state of a sequence is that at its own end, also of the direction that reads backwards.

    lengths 3, 1, 2  ->  a0 c0 b0 | a1 c1 | a2       batch_sizes 3, 2, 1

How many rows a step has shapes the computation, so lengths and batch sizes are Python numbers, and
a compiled function is traced once for each set of lengths. Names and results are PyTorch's, where
``batch_sizes`` is a tensor.

Shapes: N sequences of lengths L_1, ..., L_N, T the longest of them, "*" features.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from ...engine.dtypes import int64
from ...engine.ops.creation import full, tensor
from ...engine.ops.indexing import index_select
from ...engine.ops.shaping import cat
from ...engine.tensor import Tensor

__all__ = [
    "PackedSequence",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpad_sequence",
]

Lengths = Sequence[int] | Tensor


class PackedSequence(NamedTuple):
    """Sequences without padding, as ``pack_padded_sequence`` and ``pack_sequence`` make them.

    Recurrent layers take one and return one.

    Attributes:
        data: the elements, (L_1 + ... + L_N, *).
        batch_sizes: for each time step, how many sequences are longer than it.
        sorted_indices: which of the given sequences is the longest, the second longest and so on,
            int64 of shape (N,); None if they were given in that order.
        unsorted_indices: where each of the given sequences is now; the inverse.

    Example:
        >>> packed = nn.utils.rnn.pack_sequence([gu.tensor([1.0, 2.0, 3.0]), gu.tensor([4.0])])
        >>> packed.data.tolist(), packed.batch_sizes
        ([1.0, 4.0, 2.0, 3.0], (2, 1, 1))
    """

    data: Tensor
    batch_sizes: tuple[int, ...]
    sorted_indices: Tensor | None = None
    unsorted_indices: Tensor | None = None


def pack_padded_sequence(
    input: Tensor, lengths: Lengths, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Leave out the padding.

    Args:
        input: sequences, padded behind their ends.
        lengths: of the sequences, positive.
        batch_first: the input is (N, T, *) instead of (T, N, *).
        enforce_sorted: the lengths must fall or stay; false sorts the sequences, and what a
            recurrent layer returns is in the given order again.

    Shape:
        input (T, N, *), lengths (N,) -> data (L_1 + ... + L_N, *).

    Raises:
        ValueError: a length that is not positive, longer than the input or out of order.

    Example:
        >>> padded = gu.tensor([[1, 2, 0], [3, 4, 5]])
        >>> packed = nn.utils.rnn.pack_padded_sequence(padded, [2, 3], True, enforce_sorted=False)
        >>> packed.data.tolist(), packed.batch_sizes, packed.sorted_indices.tolist()
        ([3, 1, 4, 2, 5], (2, 2, 1), [1, 0])
    """
    sizes = _numbers(lengths)
    batch, time = (0, 1) if batch_first else (1, 0)
    if input.ndim < 2 or input.shape[batch] != len(sizes):
        expected = "(N, T, *)" if batch_first else "(T, N, *)"
        raise ValueError(
            f"pack_padded_sequence: input {input.shape} with {len(sizes)} lengths; expected "
            f"{expected} with N = {len(sizes)}"
        )
    n, t = input.shape[batch], input.shape[time]
    if not sizes or min(sizes) < 1 or max(sizes) > t:
        raise ValueError(
            f"pack_padded_sequence: lengths {sizes}, expected numbers from 1 to {t}, the size of "
            "the input's time dimension"
        )
    order = sorted(range(n), key=lambda i: -sizes[i])
    if enforce_sorted and order != list(range(n)):
        raise ValueError(
            f"pack_padded_sequence: lengths {sizes} are not sorted, the longest first; "
            "give enforce_sorted=False to have the sequences sorted"
        )
    batch_sizes = tuple(sum(size > step for size in sizes) for step in range(max(sizes)))
    strides = (t, 1) if batch_first else (1, n)
    rows = [
        order[i] * strides[0] + step * strides[1]
        for step, size in enumerate(batch_sizes)
        for i in range(size)
    ]
    data = index_select(input.flatten(0, 1), 0, tensor(rows, dtype=int64))
    if enforce_sorted:
        return PackedSequence(data, batch_sizes)
    return PackedSequence(data, batch_sizes, _indices(order), _indices(_inverse(order)))


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Put the padding back, and the sequences in the order in which they were given.

    Args:
        sequence: of ``pack_padded_sequence``, or what a recurrent layer made of it.
        batch_first: return (N, T, *) instead of (T, N, *).
        padding_value: what stands behind the ends.
        total_length: T; that of the longest sequence if None.

    Shape:
        data (L_1 + ... + L_N, *) -> (T, N, *), and the lengths, int64 of shape (N,).

    Raises:
        ValueError: ``total_length`` is shorter than a sequence.

    Example:
        >>> packed = nn.utils.rnn.pack_sequence([gu.tensor([1.0, 2.0, 3.0]), gu.tensor([4.0])])
        >>> padded, lengths = nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)
        >>> padded.tolist(), lengths.tolist()
        ([[1.0, 2.0, 3.0], [4.0, 0.0, 0.0]], [3, 1])
    """
    data, sizes = sequence.data, sequence.batch_sizes
    t = len(sizes) if total_length is None else total_length
    if t < len(sizes):
        raise ValueError(
            f"pad_packed_sequence: total_length {t} is shorter than the longest sequence, "
            f"which has {len(sizes)} elements"
        )
    n, firsts = sizes[0], [0, *accumulate(sizes)]

    def place(i: int, step: int) -> int:
        inside = step < len(sizes) and i < sizes[step]
        return firsts[step] + i if inside else firsts[-1]

    if batch_first:
        flat = [place(i, step) for i in range(n) for step in range(t)]
    else:
        flat = [place(i, step) for step in range(t) for i in range(n)]
    if t * n > firsts[-1]:
        data = cat([data, full((1, *data.shape[1:]), padding_value, dtype=data.dtype)])
    padded = index_select(data, 0, tensor(flat, dtype=int64))
    padded = padded.unflatten(0, (n, t) if batch_first else (t, n))
    found = _indices([sum(size > i for size in sizes) for i in range(n)])
    if sequence.unsorted_indices is not None:
        padded = padded.index_select(0 if batch_first else 1, sequence.unsorted_indices)
        found = found.index_select(0, sequence.unsorted_indices)
    return padded, found


def pad_sequence(
    sequences: Sequence[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Sequences as a rectangle, the shorter ones padded.

    Args:
        sequences: (L_n, *) each.
        batch_first: return (N, T, *) instead of (T, N, *).
        padding_value: what stands beside them.
        padding_side: "right" or "left".

    Shape:
        N times (L_n, *) -> (T, N, *).

    Raises:
        ValueError: no sequences, or sequences with different features.

    Example:
        >>> nn.utils.rnn.pad_sequence([gu.tensor([1, 2]), gu.tensor([3])], True).tolist()
        [[1, 2], [3, 0]]
    """
    given = list(sequences)
    if padding_side not in ("right", "left"):
        raise ValueError(f"pad_sequence: padding_side {padding_side!r}, expected 'right' or 'left'")
    if not given or any(x.ndim < 1 or x.shape[1:] != given[0].shape[1:] for x in given):
        raise ValueError(
            f"pad_sequence: shapes {[x.shape for x in given]}; expected at least one sequence, all "
            "of the same shape but for the first dimension"
        )
    t, rows = max(x.shape[0] for x in given), []
    for x in given:
        parts = [x]
        if x.shape[0] < t:
            size = (t - x.shape[0], *x.shape[1:])
            parts.append(full(size, padding_value, dtype=x.dtype))
        rows.append(cat(parts if padding_side == "right" else parts[::-1]))
    padded = cat(rows).unflatten(0, (len(rows), t))
    return padded if batch_first else padded.transpose(0, 1)


def unpad_sequence(
    padded_sequences: Tensor, lengths: Lengths, batch_first: bool = False
) -> list[Tensor]:
    """The sequences that ``pad_sequence`` padded on the right.

    Args:
        padded_sequences: (T, N, *), or (N, T, *).
        lengths: of the sequences.
        batch_first: which of the two.

    Shape:
        (T, N, *), lengths (N,) -> N times (L_n, *).

    Example:
        >>> padded = gu.tensor([[1, 2], [3, 0]])
        >>> [x.tolist() for x in nn.utils.rnn.unpad_sequence(padded, [2, 1], True)]
        [[1, 2], [3]]
    """
    rows = padded_sequences.unbind(0 if batch_first else 1)
    return [row.narrow(0, 0, size) for row, size in zip(rows, _numbers(lengths), strict=True)]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Pack sequences of different lengths.

    Args:
        sequences: (L_n, *) each, of at least one element.
        enforce_sorted: see ``pack_padded_sequence``.

    Shape:
        N times (L_n, *) -> data (L_1 + ... + L_N, *).

    Raises:
        ValueError: as ``pad_sequence`` and ``pack_padded_sequence``.

    Example:
        >>> output, h = nn.GRU(2, 5)(nn.utils.rnn.pack_sequence([gu.ones(4, 2), gu.ones(3, 2)]))
        >>> output.data.shape, h.shape
        ((7, 5), (1, 2, 5))
    """
    lengths = [x.shape[0] for x in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def _numbers(lengths: Lengths) -> list[int]:
    return [int(size) for size in (lengths.tolist() if isinstance(lengths, Tensor) else lengths)]


def _indices(places: list[int]) -> Tensor:
    return tensor(places, dtype=int64)


def _inverse(order: list[int]) -> list[int]:
    places = [0] * len(order)
    for place, i in enumerate(order):
        places[i] = place
    return places
