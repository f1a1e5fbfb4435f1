"""Random packed weights, and what products with them should be."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from groundup.engine.panels import PACKINGS
from groundup.io import PACKINGS as BLOCKS, unpack

Array = npt.NDArray[Any]


def halves_at(name: str) -> tuple[int, ...]:
    """Where in a block the numbers in half precision are."""
    return (208,) if name == "Q6_K" else (0, 2) if PACKINGS[name].minimum else (0,)


def random_blocks(name: str, n: int, k: int, scale: float | None = None, seed: int = 0) -> Array:
    """Rows of any bytes; scales are random, or all the same."""
    packing, random = PACKINGS[name], np.random.default_rng(seed)
    blocks = random.integers(0, 256, (n, k // packing.weights, packing.nbytes), dtype=np.uint8)
    for at in halves_at(name):
        own = random.normal(size=blocks.shape[:2]) * 0.01 if scale is None else scale
        half = np.broadcast_to(np.asarray(own, np.float16), blocks.shape[:2])
        blocks[..., at : at + 2] = np.ascontiguousarray(half)[..., None].view(np.uint8)
    return blocks.reshape(n, -1)


def unpacked(blocks: Array, name: str) -> npt.NDArray[np.float32]:
    return unpack(blocks.reshape(-1), BLOCKS[name]).reshape(len(blocks), -1)


def rounded(x: Array) -> tuple[Array, Array]:
    """Rows of x rounded to eight bits, 32 numbers at a time, and half a step of each."""
    steps = x.astype(np.float64).reshape(len(x), -1, 32)
    largest = np.abs(steps).max(axis=-1, keepdims=True)
    scale = np.where(largest, largest, 1) / 127
    half = np.broadcast_to(largest / 254, steps.shape)
    return (np.rint(steps / scale) * scale).reshape(x.shape), half.reshape(x.shape)
