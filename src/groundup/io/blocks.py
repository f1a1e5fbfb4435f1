"""Weights of four to eight bits: how a block of numbers is packed, and unpacked again.

A row of weights is cut into blocks of 32 or 256. A block keeps one or two scales in half precision
and its weights as small whole numbers. The layouts are those of GGUF files (ggml's ``block_*``):

| type | weights | bytes | a weight |
| --- | ---: | ---: | --- |
| Q4_0 | 32 | 18 | ``d (q - 8)`` |
| Q4_1 | 32 | 20 | ``d q + m`` |
| Q5_0 | 32 | 22 | ``d (q - 16)`` |
| Q5_1 | 32 | 24 | ``d q + m`` |
| Q8_0 | 32 | 34 | ``d q`` |
| Q4_K | 256 | 144 | ``d s q - e m``, s and m of 6 bits for each 32 weights |
| Q5_K | 256 | 176 | the same with q of 5 bits |
| Q6_K | 256 | 210 | ``d s (q - 32)``, s of 8 bits for each 16 weights |

Of two weights in one byte, the first half of a group has the low four bits. Shapes: B blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Packing:
    """How a type of tensor is packed.

    Attributes:
        name: as GGUF calls it.
        weights: in a block.
        nbytes: of a block.
        unpack: bytes (B, nbytes) -> float32 (B, weights).

    Example:
        >>> PACKINGS["Q4_0"].nbytes
        18
    """

    name: str
    weights: int
    nbytes: int
    unpack: Callable[[Bytes], Floats]


def _half(block: Bytes, at: int) -> Floats:
    """The number in half precision at an offset of every block, (B, 1)."""
    return block[:, at : at + 2].copy().view(np.float16).astype(np.float32)


def _nibbles(packed: Bytes) -> Bytes:
    """(B, n) -> (B, 2n): the low halves of all bytes, then the high ones."""
    return np.concatenate([packed & 15, packed >> 4], axis=1)


def _fifth_bits(block: Bytes, at: int) -> Bytes:
    """The 32 bits at an offset as 0 or 16, (B, 32)."""
    bits = np.unpackbits(block[:, at : at + 4], axis=1, bitorder="little")
    return bits * np.uint8(16)


def _q4_0(block: Bytes) -> Floats:
    return _half(block, 0) * (_nibbles(block[:, 2:]).astype(np.float32) - 8)


def _q4_1(block: Bytes) -> Floats:
    return _half(block, 0) * _nibbles(block[:, 4:]).astype(np.float32) + _half(block, 2)


def _q5_0(block: Bytes) -> Floats:
    q = _nibbles(block[:, 6:]) | _fifth_bits(block, 2)
    return _half(block, 0) * (q.astype(np.float32) - 16)


def _q5_1(block: Bytes) -> Floats:
    q = _nibbles(block[:, 8:]) | _fifth_bits(block, 4)
    return _half(block, 0) * q.astype(np.float32) + _half(block, 2)


def _q8_0(block: Bytes) -> Floats:
    return _half(block, 0) * block[:, 2:].copy().view(np.int8).astype(np.float32)


def _six_bit_scales(packed: Bytes) -> tuple[Floats, Floats]:
    """Eight scales and eight minima of six bits each, in twelve bytes: (B, 12) -> (B, 8) twice."""
    a, b, c = packed[:, 0:4], packed[:, 4:8], packed[:, 8:12]
    scales = np.concatenate([a & 63, (c & 15) | (a >> 6 << 4)], axis=1)
    minima = np.concatenate([b & 63, (c >> 4) | (b >> 6 << 4)], axis=1)
    return scales.astype(np.float32), minima.astype(np.float32)


def _scaled(block: Bytes, q: Bytes) -> Floats:
    """``d s q - e m`` for q (B, 8, 32)."""
    scales, minima = _six_bit_scales(block[:, 4:16])
    d, e = _half(block, 0)[..., None], _half(block, 2)[..., None]
    found = (d * scales[..., None]) * q.astype(np.float32) - e * minima[..., None]
    return found.reshape(len(block), 256)


def _groups(packed: Bytes) -> Bytes:
    """(B, 128) -> (B, 8, 32): of each 32 bytes the low halves, then the high ones."""
    by_group = packed.reshape(len(packed), 4, 1, 32)
    return np.concatenate([by_group & 15, by_group >> 4], axis=2).reshape(len(packed), 8, 32)


def _q4_k(block: Bytes) -> Floats:
    return _scaled(block, _groups(block[:, 16:]))


def _q5_k(block: Bytes) -> Floats:
    shifts = np.arange(8, dtype=np.uint8)[:, None]
    fifth: Bytes = (block[:, None, 16:48] >> shifts & np.uint8(1)) * np.uint8(16)
    return _scaled(block, _groups(block[:, 48:]) | fifth)


def _q6_k(block: Bytes) -> Floats:
    low = block[:, :128].reshape(-1, 2, 1, 2, 32)
    low = np.concatenate([low & 15, low >> 4], axis=2).reshape(-1, 2, 4, 32)
    shifts = np.array([0, 2, 4, 6], np.uint8)[:, None]
    high = (block[:, 128:192].reshape(-1, 2, 1, 32) >> shifts & 3) * np.uint8(16)
    q = (low | high).astype(np.float32).reshape(-1, 16, 16) - 32
    scales = block[:, 192:208].copy().view(np.int8).astype(np.float32)
    return ((_half(block, 208) * scales)[..., None] * q).reshape(-1, 256)


def _plain(dtype: str) -> Callable[[Bytes], Floats]:
    return lambda block: block.copy().view(dtype).astype(np.float32)


def _bf16(block: Bytes) -> Floats:
    return (block.copy().view("<u2").astype(np.uint32) << 16).view(np.float32)


PACKINGS = {
    packing.name: packing
    for packing in (
        Packing("F32", 1, 4, _plain("<f4")),
        Packing("F16", 1, 2, _plain("<f2")),
        Packing("BF16", 1, 2, _bf16),
        Packing("Q4_0", 32, 18, _q4_0),
        Packing("Q4_1", 32, 20, _q4_1),
        Packing("Q5_0", 32, 22, _q5_0),
        Packing("Q5_1", 32, 24, _q5_1),
        Packing("Q8_0", 32, 34, _q8_0),
        Packing("Q4_K", 256, 144, _q4_k),
        Packing("Q5_K", 256, 176, _q5_k),
        Packing("Q6_K", 256, 210, _q6_k),
    )
}


def unpack(data: Bytes, packing: Packing) -> Floats:
    """The numbers in packed bytes, one after another.

    Args:
        data: whole blocks.
        packing: how they are packed.

    Shape:
        (B * nbytes,) -> (B * weights,).

    Raises:
        ValueError: bytes that are no whole number of blocks.

    Example:
        >>> import numpy as np
        >>> one = np.frombuffer(np.float16(0.5).tobytes() + bytes([0x98] * 16), np.uint8)
        >>> unpack(one, PACKINGS["Q4_0"])[[0, 16]]
        array([0. , 0.5], dtype=float32)
    """
    if data.size % packing.nbytes:
        raise ValueError(
            f"{data.size} bytes are no whole number of {packing.name} blocks of {packing.nbytes}"
        )
    return packing.unpack(data.reshape(-1, packing.nbytes)).reshape(-1)
