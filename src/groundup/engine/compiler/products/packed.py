"""Products with packed weights, and rows of them, as records of a tape or called at once.

See ``emit_packed``. A compiled function and the eager engine run the same machine code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial

import numpy as np
import numpy.typing as npt

from ...base import Array
from ...panels import STEP, STEP_NBYTES, Packing, packing_of
from ..graph import Value
from ..native import cache, native
from ..native.tape import Record, Tape
from .emit_packed import TILE, emit, emit_rounding
from .emit_packed_rows import emit_rows
from .products import worthwhile

Floats = npt.NDArray[np.float32]


_NEAR = 192 * 1024  # bytes of x that are gone through for one panel


@dataclass(frozen=True, slots=True)
class Packed:
    """A kernel of packed weights that is ready to be put on a tape.

    Attributes:
        name: of the kernel, which is the same for all sizes.
        text: what writes the module that defines it.
        sizes: what it is told; to be kept alive.
        extent: how much there is to share out.
        grain: how much of it is worth a thread.
    """

    name: str
    text: Callable[[], str]
    sizes: npt.NDArray[np.int64]
    extent: int
    grain: int

    @property
    def address(self) -> int:
        """Where the kernel is; it is compiled if it has not been."""
        return native.compile_many({self.name: self.text})[self.name]

    def record(self, addresses: Sequence[int]) -> Record:
        """A call of the kernel."""
        return Record(self.address, [*addresses, self.sizes.ctypes.data], self.extent, self.grain)


def rounding(m: int, k: int) -> Packed:
    """What rounds x (m, k) to eight bits.

    Example:
        >>> rounding(3, 64).extent
        3
    """
    sizes = np.array([k // STEP], np.int64)
    grain = worthwhile(m, m * k / 4)
    return Packed("rounding", partial(emit_rounding, "rounding"), sizes, m, grain)


def product(packing: str, m: int, n: int, k: int, avx2: bool | None = None) -> Packed:
    """What multiplies x (m, k), rounded, by the transpose of W (n, k).

    Args:
        packing: of W.
        m, n, k: the sizes.
        avx2: whether AVX2's products of bytes are used; if the processor has it, if None.

    Example:
        >>> product("Q4_0", 1, 20, 64).extent
        3
    """
    if avx2 is None:
        avx2 = native.host().bits >= 256
    own = packing_of(packing)
    panels, nbytes = own.shape(n, k)
    name = _name("packed_bytes" if avx2 else "packed", own)
    together = max(TILE, _NEAR // (k // STEP * STEP_NBYTES) // TILE * TILE)
    sizes = np.array([m, together, n, k // own.weights], np.int64)
    cycles = panels * max(nbytes / 6, m * k / (3 if avx2 else 1))
    grain = worthwhile(panels, cycles)
    return Packed(name, partial(emit, packing, avx2, name), sizes, panels, grain)


def rows(packing: str, n: int, k: int, count: int) -> Packed:
    """What reads rows of W (n, k) at positions.

    Example:
        >>> rows("Q4_0", 20, 64, 5).extent
        5
    """
    own = packing_of(packing)
    name = _name("rows", own)
    sizes = np.array([n, k // own.weights], np.int64)
    grain = worthwhile(count, count * k)
    return Packed(name, partial(emit_rows, packing, name), sizes, count, grain)


def _name(what: str, packing: Packing) -> str:
    """A name that is another one where panels lie otherwise."""
    facts = [str(getattr(packing, field.name)) for field in fields(packing)[:-1]]
    return f"{what}_{packing.name}_" + cache.key(*facts, str(packing.panel_nbytes))[:8]


def of_value(value: Value) -> Packed:
    """What computes a value whose primitive is one of ``groundup.engine.primitives.packed``.

    Example:
        >>> x = Value("input", (), {}, (2, 64), np.dtype(np.float32))
        >>> of_value(Value("rounded", (x,), {}, (2, 96), np.dtype(np.uint8))).extent
        2
    """
    if value.name == "rounded":
        return rounding(*value.inputs[0].shape)
    packing, n, k = (value.static[key] for key in ("packing", "rows", "columns"))
    if value.name == "packed_product":
        return product(packing, value.shape[0], n, k)
    return rows(packing, n, k, math.prod(value.inputs[1].shape))


# At once


def round_now(x: Array) -> Array:
    """X rounded to eight bits.

    Shape:
        (m, k) -> (m, k / 32 * 48).
    """
    m, k = x.shape
    x, q = np.ascontiguousarray(x, np.float32), np.empty((m, k // STEP * STEP_NBYTES), np.uint8)
    if q.size:
        Tape([rounding(m, k).record([x.ctypes.data, q.ctypes.data])]).run()
    return q


def multiply_now(q: Array, w: Array, packing: str, n: int, k: int) -> Floats:
    """Rounded x times the transpose of W.

    Shape:
        q (m, k / 32 * 48), w (panels, bytes) -> (m, n).
    """
    q, w, y = (
        np.ascontiguousarray(q, np.uint8),
        np.ascontiguousarray(w, np.uint8),
        np.empty((len(q), n), np.float32),
    )
    if y.size:
        one = product(packing, len(q), n, k)
        Tape([one.record([q.ctypes.data, w.ctypes.data, y.ctypes.data])]).run()
    return y


def read_now(w: Array, positions: Array, packing: str, n: int, k: int) -> Floats:
    """Rows of W.

    Shape:
        w (panels, bytes), positions (*) -> (*, k).
    """
    w, positions = np.ascontiguousarray(w, np.uint8), np.ascontiguousarray(positions, np.int64)
    out = np.empty((*positions.shape, k), np.float32)
    if out.size:
        one = rows(packing, n, k, positions.size)
        Tape([one.record([w.ctypes.data, positions.ctypes.data, out.ctypes.data])]).run()
    return out
