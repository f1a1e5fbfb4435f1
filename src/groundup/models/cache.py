"""The keys and values of what a decoder has read, so that a new token costs one row, not all.

Without a cache, writing T tokens computes keys and values of 1 + 2 + ... + T tokens; with it those
of each token are computed once and kept (Pope et al., "Efficiently scaling transformer inference",
2022, section 3.3). What is kept is not differentiated.

Shapes: N sequences, H key-value heads, D features of a head, C slots, L new tokens. The buffers
have one size while they are filled, so a compiled step serves many tokens: it writes the new slots
alone, and what stands in slots that are not filled yet is masked. Sequences of different lengths
are aligned at their ends: sequence n begins in slot ``start[n]``, and the position of a token is
its slot less that.
"""

from __future__ import annotations

from typing import Any

from ..engine.autograd import no_grad
from ..engine.dtypes import int64, uint8
from ..engine.ops.arithmetic import where
from ..engine.ops.creation import arange, tensor, zeros
from ..engine.ops.shaping import cat
from ..engine.tensor import Tensor
from ..nn.functional import sliding_window

SMALLEST = 64
"""Slots that attention looks at at least."""
_ZERO = 128
"""What stands for 0 among the 8-bit numbers, which are 1 to 255."""


class KeyValueCache:
    """Buffers for the keys and values of every layer.

    Args:
        layers: of the decoder.
        batch: N.
        heads: H, key-value heads of a layer.
        head_dim: D.
        capacity: C, tokens that there is room for; `reserve` makes more.
        dtype: of the buffers; default: the default floating type.

    Attributes:
        filled: slots in use, an int64 scalar tensor.
        reach: R, slots that attention looks at, the first ones: all, until `reserve` is called.
        start: slot in which each sequence begins, int64 of shape (N,): 0, or the padding on its
            left, to be assigned.

    Raises:
        ValueError: a size below 1.

    Example:
        >>> cache = KeyValueCache(layers=1, batch=2, heads=1, head_dim=4, capacity=8)
        >>> keys, values = cache.update(0, gu.ones(2, 1, 3, 4), gu.zeros(2, 1, 3, 4))
        >>> cache.advance(3)
        >>> keys.shape, cache.filled.item(), cache.positions(2).tolist()
        ((2, 1, 8, 4), 3, [[3, 4], [3, 4]])
    """

    def __init__(
        self,
        layers: int,
        batch: int,
        heads: int,
        head_dim: int,
        capacity: int,
        dtype: Any = None,
    ) -> None:
        sizes = {"layers": layers, "batch": batch, "heads": heads, "head_dim": head_dim}
        for name, size in {**sizes, "capacity": capacity}.items():
            if size < 1:
                raise ValueError(f"KeyValueCache: {name} is {size}, expected at least 1")
        self.batch = batch
        self.capacity = self.reach = capacity
        self.start = zeros(batch, dtype=int64)
        self.filled = tensor(0, dtype=int64)
        shape = (batch, heads, capacity, head_dim)
        self.buffers = [self._empty(shape, dtype) for _ in range(2 * layers)]

    def _empty(self, shape: tuple[int, ...], dtype: Any) -> tuple[Tensor, ...]:
        return (zeros(*shape, dtype=dtype),)

    def _write(self, buffer: tuple[Tensor, ...], slots: Tensor, new: Tensor) -> None:
        (held,) = buffer
        held[:, :, slots] = new

    def _read(self, buffer: tuple[Tensor, ...]) -> Tensor:
        return buffer[0].narrow(2, 0, self.reach)

    def update(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Put the keys and values of new tokens into the next slots; what is reached is returned.

        Call `advance` once all layers have done so.

        Shape:
            keys, values: (N, H, L, D) -> (N, H, R, D) twice.
        """
        slots = self.filled + arange(keys.shape[2])
        both = self.buffers[2 * layer], self.buffers[2 * layer + 1]
        with no_grad():
            for buffer, new in zip(both, (keys, values), strict=True):
                self._write(buffer, slots, new)
        return self._read(both[0]), self._read(both[1])

    def advance(self, count: int) -> None:
        """Count slots as filled; a negative count takes the last ones back."""
        self.filled.assign(self.filled + count)

    def positions(self, count: int) -> Tensor:
        """Where in their sequences the next tokens stand.

        Shape:
            (N, count); padding has position 0.
        """
        return (self.filled + arange(count) - self.start.unsqueeze(1)).clamp(min=0)

    def mask(self, count: int, window: int | None = None) -> Tensor:
        """Which slots each of the next tokens may read: its own and those before it.

        Args:
            count: L, new tokens.
            window: of the last tokens that are seen, the token itself included; None: all.

        Shape:
            (N, 1, L, R), boolean.
        """
        slot = arange(self.reach)
        here = self.filled + arange(count)
        seen = slot <= here.unsqueeze(1) if window is None else sliding_window(here, slot, window)
        return (seen & (slot >= self.start.unsqueeze(1).unsqueeze(2))).unsqueeze(1)

    def reserve(self, count: int) -> None:
        """Make room for more tokens, and let attention reach no further than they need.

        The reach is the capacity or a half of it, a quarter and so on, since each needs a program
        of its own where steps are compiled. If tokens do not fit, the capacity is doubled.
        """
        needed = int(self.filled.item()) + count
        capacity = self.capacity
        while capacity < needed:
            capacity *= 2
        if more := capacity - self.capacity:
            self.buffers = [
                tuple(cat([held, held.narrow(2, 0, 1).expand(-1, -1, more, -1)], 2) for held in b)
                for b in self.buffers
            ]
            self.capacity = capacity
        self.reach = capacity
        while self.reach >= 2 * max(needed, SMALLEST) and self.reach % 2 == 0:
            self.reach //= 2

    def select(self, rows: Tensor) -> None:
        """Keep these sequences, in this order; one may come more than once (for beam search).

        Shape:
            rows: (N,), whole numbers below N.
        """
        for buffer in self.buffers:
            for held in buffer:
                reached = held.narrow(2, 0, self.reach)
                reached.assign(reached.index_select(0, rows))
        self.start.assign(self.start.index_select(0, rows))

    def nbytes(self) -> int:
        """Bytes of the buffers."""
        return sum(held.numel() * held.dtype.itemsize for b in self.buffers for held in b)


class QuantizedCache(KeyValueCache):
    """A cache of 8-bit numbers: each row of D features has one scale, its largest magnitude / 127.

    It takes D + 4 bytes for a row where float32 takes 4 D (Hooper et al., "KVQuant", 2024, discuss
    what that does to accuracy).

    Args:
        layers, batch, heads, head_dim, capacity: as for `KeyValueCache`.

    Example:
        >>> cache = QuantizedCache(layers=1, batch=1, heads=1, head_dim=64, capacity=4)
        >>> whole = KeyValueCache(layers=1, batch=1, heads=1, head_dim=64, capacity=4)
        >>> round(whole.nbytes() / cache.nbytes(), 2)
        3.76
    """

    def _empty(self, shape: tuple[int, ...], dtype: Any) -> tuple[Tensor, ...]:
        return zeros(*shape, dtype=uint8), zeros(*shape[:-1], 1)

    def _write(self, buffer: tuple[Tensor, ...], slots: Tensor, new: Tensor) -> None:
        held, scales = buffer
        largest = new.abs().amax(dim=-1, keepdim=True)
        scale = where(largest > 0, largest / 127, 1.0)
        held[:, :, slots] = ((new / scale).round() + _ZERO).to(uint8)
        scales[:, :, slots] = scale

    def _read(self, buffer: tuple[Tensor, ...]) -> Tensor:
        held, scales = (part.narrow(2, 0, self.reach) for part in buffer)
        return (held.to(scales.dtype) - _ZERO) * scales
