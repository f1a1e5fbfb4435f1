"""Panels: packed weights of eight rows side by side, so that a vector holds one place of each row.

Public files keep weights of four to eight bits in blocks of 32 or 256 along a row (see
``groundup.io.blocks``). A product is quickest if the same places of eight rows lie next to each
other: what is done once for a row is then done for eight, and their scales are one vector. So the
rows are taken eight at a time and their blocks are interleaved: the same numbers, in another order
(as in llama.cpp's "repacked" types). Missing rows of the last panel are zeros.

Eight blocks, one of each row, lie together as

1. their scales in half precision; where the packing has minima, their scales or the minima
   themselves as well;
2. where a block of 256 has scales for its groups: one byte a row, group by group; then the minima;
3. for each 32 weights the low four bits: 4 times (8 rows x 4 bytes), byte i of the c-th with weight
   4c + i in its low half and weight 16 + 4c + i in its high one; then the fifth bits, 8 rows x 4
   bytes, byte i with that of weight 4c + i in its bit c; or the upper two bits of six, 2 times
   (8 rows x 4 bytes), byte i of the p-th with those of weight 16p + 4f + i in its bits 2f, 2f + 1;
   or whole bytes, 8 times (8 rows x 4 bytes).

Shapes: P panels, B blocks of a row, n rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

ROWS = 8
"""Rows of a panel."""
STEP = 32
"""Numbers of x that share one scale."""
STEP_NBYTES = STEP + 16
"""Bytes of such numbers of x: whole numbers, and in float32 their scale and three sums."""
_SLICE = 1 << 22  # bytes that are interleaved at a time


@dataclass(frozen=True)
class Fields:
    """What stands in blocks: R rows of B blocks, of S times 32 weights.

    Attributes:
        halves: (R, B, 1 or 2) scales, and scales of minima, as the bits of half precision.
        low: (R, B, S, 16) the low four bits of weights i and 16 + i; or (R, B, S, 32), eight bits.
        high: (R, B, S, 32) the bits above, shifted down by four, or None.
        scales: (R, B, G) of the groups, or None; and
        minima: the same.
    """

    halves: NDArray[np.uint16]
    low: Bytes
    high: Bytes | None = None
    scales: Bytes | None = None
    minima: Bytes | None = None


@dataclass(frozen=True)
class Packing:
    """How the weights of a type lie in blocks and in panels.

    Attributes:
        name: as GGUF calls it.
        bits: of a weight.
        weights: in a block.
        group: weights that share a scale: 32, or 16.
        nbytes: of a block.
        scaled: whether groups have scales of their own.
        minimum: whether there are minima, which are added or (where groups have them) subtracted.
        offset: subtracted from each weight.
        fields: reads blocks (R, B, nbytes).

    Example:
        >>> PACKINGS["Q4_K"].panel_nbytes / 8, PACKINGS["Q4_K"].nbytes
        (148.0, 144)
    """

    name: str
    bits: int
    weights: int
    group: int
    nbytes: int
    scaled: bool
    minimum: bool
    offset: int
    fields: Callable[[Bytes], Fields]

    @property
    def groups(self) -> int:
        """Groups of a block."""
        return self.weights // self.group

    @property
    def step_nbytes(self) -> int:
        """Bytes of 32 weights of eight rows."""
        return STEP * self.bits

    @property
    def head_nbytes(self) -> int:
        """Bytes of the scales before them."""
        kinds = 1 + self.minimum
        return ROWS * kinds * (2 + self.groups * self.scaled)

    @property
    def panel_nbytes(self) -> int:
        """Bytes of eight blocks, one of each row."""
        return self.head_nbytes + self.weights // STEP * self.step_nbytes

    def row_nbytes(self, columns: int) -> int:
        """Bytes of a row of so many weights in blocks.

        Raises:
            ValueError: no multiple of the block.
        """
        if columns < 1 or columns % self.weights:
            raise ValueError(
                f"{self.name}: rows of {columns} weights; expected a multiple of {self.weights}"
            )
        return columns // self.weights * self.nbytes

    def shape(self, rows: int, columns: int) -> tuple[int, int]:
        """(panels, bytes of one) of a matrix.

        Raises:
            ValueError: no rows, or columns that are no multiple of the block.
        """
        if rows < 1:
            raise ValueError(f"{self.name}: {rows} rows; expected at least 1")
        self.row_nbytes(columns)
        return -(-rows // ROWS), columns // self.weights * self.panel_nbytes


def packing_of(name: str) -> Packing:
    """The packing of this name.

    Raises:
        ValueError: there is none.

    Example:
        >>> packing_of("Q8_0").weights
        32
    """
    if name not in PACKINGS:
        raise ValueError(f"packing {name!r}; expected one of {', '.join(PACKINGS)}")
    return PACKINGS[name]


def panels(blocks: Bytes, packing: Packing) -> Bytes:
    """Rows of blocks as panels.

    Args:
        blocks: the rows.
        packing: of both.

    Shape:
        (n, B * nbytes) -> (P, B * panel_nbytes).

    Raises:
        ValueError: rows that are no whole number of blocks, or no rows.

    Example:
        >>> panels(np.zeros((9, 2 * 34), np.uint8), PACKINGS["Q8_0"]).shape
        (2, 544)
    """
    if blocks.ndim != 2 or not blocks.size or blocks.shape[1] % packing.nbytes:
        raise ValueError(
            f"{packing.name}: blocks {blocks.shape}; expected rows of a multiple of "
            f"{packing.nbytes} bytes"
        )
    rows, count = blocks.shape[0], blocks.shape[1] // packing.nbytes
    total, nbytes = packing.shape(rows, count * packing.weights)
    out = np.empty((total, nbytes), np.uint8)
    step = max(1, _SLICE // (ROWS * blocks.shape[1]))
    for first in range(0, total, step):
        part = blocks[first * ROWS : (first + step) * ROWS]
        if short := -len(part) % ROWS:
            part = np.concatenate([part, np.zeros((short, part.shape[1]), np.uint8)])
        fields = packing.fields(part.reshape(len(part), count, packing.nbytes))
        target = out[first : first + step].reshape(-1, count, packing.panel_nbytes)
        _write(fields, packing, target)
    return out


def _write(fields: Fields, packing: Packing, out: Bytes) -> None:
    """Put what stands in blocks into panels (P, B, panel_nbytes)."""

    def across(array: NDArray[np.generic], out: Bytes) -> None:
        """(8 P, B, ...) -> (P, B, ..., 8): the eight rows last."""
        moved = np.moveaxis(array.reshape(-1, ROWS, *array.shape[1:]), 1, -1)
        out.view(array.dtype).reshape(moved.shape)[...] = moved

    at = 0
    parts = [fields.halves[..., i] for i in range(fields.halves.shape[-1])]
    for part in (*parts, fields.scales, fields.minima):
        if part is not None:
            end = at + part[0, 0].nbytes * ROWS
            across(part, out[..., at:end])
            at = end
    steps = out[..., at:].reshape(*out.shape[:2], -1, packing.step_nbytes)
    low = np.ascontiguousarray(fields.low).view(np.uint32)
    across(low, steps[..., : ROWS * 4 * low.shape[-1]])
    if fields.high is not None:
        lead = fields.high.shape[:-1]
        if packing.bits == 5:
            by_bit = fields.high.reshape(*lead, 8, 4).swapaxes(-1, -2)
            high = np.packbits(by_bit, axis=-1, bitorder="little").reshape(*lead, 4)
        else:
            shifts = np.array([0, 2, 4, 6], np.uint8)[:, None]
            twos = fields.high.reshape(*lead, 2, 4, 4) << shifts
            high = np.bitwise_or.reduce(twos, axis=-2).reshape(*lead, 8)
        across(high.view(np.uint32), steps[..., 128:])


def _halves(blocks: Bytes, *places: int) -> NDArray[np.uint16]:
    found = [blocks[..., at : at + 2] for at in places]
    return np.ascontiguousarray(np.concatenate(found, axis=-1)).view(np.uint16)


def _together(weights: Bytes) -> Bytes:
    """The low four bits of (..., 32) weights as (..., 16)."""
    low = weights & np.uint8(15)
    return low[..., :16] | low[..., 16:] << np.uint8(4)


def _scales(packed: Bytes) -> tuple[Bytes, Bytes]:
    """Eight scales and eight minima of six bits each: (..., 12) -> (..., 8) twice."""
    a, b, c = packed[..., 0:4], packed[..., 4:8], packed[..., 8:12]
    scales = np.concatenate([a & 63, (c & 15) | (a >> 6 << 4)], axis=-1)
    minima = np.concatenate([b & 63, (c >> 4) | (b >> 6 << 4)], axis=-1)
    return scales, minima


def _groups(packed: Bytes) -> Bytes:
    """(..., 128) -> (..., 8, 32): of each 32 bytes the low halves, then the high ones."""
    pairs = packed.reshape(*packed.shape[:-1], 4, 32)
    return np.stack([pairs & 15, pairs >> 4], axis=-2).reshape(*packed.shape[:-1], 8, 32)


def _q4_k(block: Bytes) -> Fields:
    low = _together(_groups(block[..., 16:]))
    return Fields(_halves(block, 0, 2), low, None, *_scales(block[..., 4:16]))


def _q5_k(block: Bytes) -> Fields:
    """Bit g of byte i of those before the weights belongs to weight i of group g."""
    low = _together(_groups(block[..., 48:]))
    high = block[..., None, 16:48] >> np.arange(8, dtype=np.uint8)[:, None] & np.uint8(1)
    return Fields(_halves(block, 0, 2), low, high, *_scales(block[..., 4:16]))


def _q6_k(block: Bytes) -> Fields:
    """Twice 128 weights: 64 bytes with two times 64 low halves, 32 with four times 32 upper two."""
    lead = block.shape[:-1]
    low = block[..., :128].reshape(*lead, 2, 64)
    low = np.concatenate([low & 15, low >> 4], axis=-1).reshape(*lead, 8, 32)
    shifts = np.array([0, 2, 4, 6], np.uint8)[:, None]
    high = block[..., 128:192].reshape(*lead, 2, 1, 32) >> shifts & np.uint8(3)
    scales = block[..., 192:208]
    return Fields(_halves(block, 208), _together(low), high.reshape(*lead, 8, 32), scales)


def _plain(bits: int, minimum: bool) -> Callable[[Bytes], Fields]:
    """Blocks of 32: one or two halves, the fifth bits if there are five, then the weights."""
    places = (0, 2) if minimum else (0,)
    at = 2 * len(places)

    def fields(block: Bytes) -> Fields:
        high = None
        first = at
        if bits == 5:
            first = at + 4
            high = np.unpackbits(block[..., at:first], axis=-1, bitorder="little")[..., None, :]
        return Fields(_halves(block, *places), block[..., None, first:], high)

    return fields


PACKINGS = {
    packing.name: packing
    for packing in (
        Packing("Q4_0", 4, 32, 32, 18, False, False, 8, _plain(4, False)),
        Packing("Q4_1", 4, 32, 32, 20, False, True, 0, _plain(4, True)),
        Packing("Q5_0", 5, 32, 32, 22, False, False, 16, _plain(5, False)),
        Packing("Q5_1", 5, 32, 32, 24, False, True, 0, _plain(5, True)),
        Packing("Q8_0", 8, 32, 32, 34, False, False, 0, _plain(8, False)),
        Packing("Q4_K", 4, 256, 32, 144, True, True, 0, _q4_k),
        Packing("Q5_K", 5, 256, 32, 176, True, True, 0, _q5_k),
        Packing("Q6_K", 6, 256, 16, 210, True, False, 32, _q6_k),
    )
}
