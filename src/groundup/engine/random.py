"""Randomness: one seeded stream of bits, and every distribution built on it.

A ``Generator`` is a counter-based stream of 64-bit words (Philox 4x64-10; Salmon et al., 2011). The
words depend on the seed and on how many were drawn before, nothing else. All numbers are computed
from the words by the formulas below, so the same seed gives the same bits with every version of
NumPy (normal numbers to the rounding of the machine's logarithm and cosine), and a generator's
state is a small dictionary that fits in a checkpoint.
"""

from __future__ import annotations

import math
import secrets
from typing import Any

import numpy as np

from .base import Array, mode
from .dtypes import FLOATING, DType, bfloat16, float16, float32, float64, int64

State = dict[str, Any]


class Generator:
    """A seeded source of random numbers.

    Args:
        seed: any integer; the same seed gives the same numbers. None draws one from the system.

    Example:
        >>> a, b = Generator(7), Generator(7)
        >>> bool((a.uniform((3,)) == b.uniform((3,))).all())
        True
    """

    def __init__(self, seed: int | None = None) -> None:
        self._restart(secrets.randbits(63) if seed is None else int(seed))
        if mode.tracer is not None and seed is not None:
            self.manual_seed(seed)

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream that belongs to ``seed`` from its beginning.

        Example:
            >>> Generator().manual_seed(3).initial_seed()
            3
        """
        if mode.tracer is not None:
            mode.tracer.draw(self, "_restart", (int(seed),), (0,), np.dtype(np.uint64))
        else:
            self._restart(int(seed))
        return self

    def _restart(self, seed: int) -> Array:
        """Seed it; no numbers, so that compiled code can take it for a draw of none."""
        self._seed = seed
        self._bits = np.random.Philox(key=seed % 2**128)
        return np.empty(0, np.uint64)

    def initial_seed(self) -> int:
        """The seed of the stream.

        Example:
            >>> Generator(5).initial_seed()
            5
        """
        return self._seed

    def get_state(self) -> State:
        """Everything that the next numbers depend on, as plain integers (fits in JSON).

        Example:
            >>> g = Generator(1)
            >>> state = g.get_state()
            >>> first = g.uniform((2,))
            >>> g.set_state(state)
            >>> bool((g.uniform((2,)) == first).all())
            True
        """
        if mode.tracer is not None:
            return mode.tracer.place(self)
        inner = self._bits.state
        return {
            "seed": self._seed,
            "counter": [int(word) for word in inner["state"]["counter"]],
            "buffer": [int(word) for word in inner["buffer"]],
            "buffer_pos": int(inner["buffer_pos"]),
        }

    def set_state(self, state: State) -> None:
        """Continue from a state that ``get_state`` gave.

        Raises:
            ValueError: the dictionary is not such a state.

        Example:
            >>> Generator(0).set_state({"seed": 1})
            Traceback (most recent call last):
            ...
            ValueError: not a generator state: missing buffer, buffer_pos, counter
        """
        if mode.tracer is not None:
            mode.tracer.return_to(self, state)
            return
        wanted = {"seed", "counter", "buffer", "buffer_pos"}
        if missing := wanted - set(state):
            raise ValueError(f"not a generator state: missing {', '.join(sorted(missing))}")
        seed, position = int(state["seed"]), int(state["buffer_pos"])
        counter = np.array(state["counter"], np.uint64)
        buffer = np.array(state["buffer"], np.uint64)
        if counter.shape != (4,) or buffer.shape != (4,) or not 0 <= position <= 4:
            raise ValueError("not a generator state: counter and buffer are four words each")
        self.manual_seed(seed)
        inner = self._bits.state
        inner["state"]["counter"], inner["buffer"] = counter, buffer
        inner["buffer_pos"] = position
        self._bits.state = inner

    def words(self, count: int) -> Array:
        """The next 64-bit words of the stream; every number below is made of them.

        Example:
            >>> Generator(0).words(2).dtype
            dtype('uint64')
        """
        if mode.tracer is not None:
            drawn: Array = mode.tracer.draw(self, "words", (count,), (count,), np.dtype(np.uint64))
            return drawn
        words: Array = self._bits.random_raw(count)
        return words

    def uniform(self, shape: tuple[int, ...], dtype: DType = float32) -> Array:
        """Uniform numbers in [0, 1).

        They have 8 random bits in bfloat16, 11 in float16, 24 in float32, 53 in float64.

        Args:
            shape: shape of the array.
            dtype: a floating type.

        Raises:
            TypeError: another type.

        Example:
            >>> u = Generator(0).uniform((1000,))
            >>> bool(u.min() >= 0 and u.max() < 1)
            True
        """
        _check(dtype)
        if mode.tracer is not None:
            drawn: Array = mode.tracer.draw(self, "uniform", (shape, dtype), shape, dtype)
            return drawn
        count = math.prod(shape)
        if dtype == float64:
            u = (self.words(count) >> np.uint64(11)) * 2.0**-53
        else:
            bits = {float16: 11, bfloat16: 8}.get(dtype, 24)
            halves = self.words((count + 1) // 2).view(np.uint32)[:count]
            u = (halves >> np.uint32(32 - bits)).astype(np.float32) * np.float32(2.0**-bits)
        return u.astype(dtype, copy=False).reshape(shape)

    def normal(self, shape: tuple[int, ...], dtype: DType = float32) -> Array:
        """Standard normal numbers, two from each pair of uniform ones (Box and Muller, 1958).

        Example:
            >>> x = Generator(0).normal((10000,))
            >>> bool(abs(x.mean()) < 0.05 and abs(x.std() - 1) < 0.05)
            True
        """
        _check(dtype)
        if mode.tracer is not None:
            drawn: Array = mode.tracer.draw(self, "normal", (shape, dtype), shape, dtype)
            return drawn
        count = math.prod(shape)
        working = float64 if dtype == float64 else float32
        u = self.uniform((2, (count + 1) // 2), working)
        radius = np.sqrt(-2 * np.log1p(-u[0]))
        angle = u[1] * np.asarray(2 * math.pi, working)
        x = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count]
        return x.astype(dtype, copy=False).reshape(shape)

    def integers(self, low: int, high: int, shape: tuple[int, ...]) -> Array:
        """Uniform integers in [low, high).

        A word modulo the range: the bias is at most (high - low) / 2**64.

        Raises:
            ValueError: the range is empty.

        Example:
            >>> sorted(set(Generator(0).integers(0, 3, (100,)).tolist()))
            [0, 1, 2]
        """
        if high <= low:
            raise ValueError(
                f"integers in [{low}, {high}): the range is empty, high must exceed low"
            )
        if mode.tracer is not None:
            drawn: Array = mode.tracer.draw(self, "integers", (low, high, shape), shape, int64)
            return drawn
        offset = self.words(math.prod(shape)) % np.uint64(high - low)
        return (offset.astype(np.int64) + low).reshape(shape)

    def permutation(self, n: int) -> Array:
        """The numbers 0 to n - 1 in random order.

        Example:
            >>> sorted(Generator(0).permutation(4).tolist())
            [0, 1, 2, 3]
        """
        if mode.tracer is not None:
            drawn: Array = mode.tracer.draw(self, "permutation", (n,), (n,), int64)
            return drawn
        return np.argsort(self.words(n), kind="stable")


def _check(dtype: DType) -> None:
    if dtype.kind not in FLOATING:
        raise TypeError(f"random numbers of dtype {dtype.name}: expected a floating one")


default_generator = Generator(0)


def manual_seed(seed: int) -> Generator:
    """Seed the generator that is used wherever none is passed.

    Args:
        seed: any integer.

    Returns:
        That generator.

    Example:
        >>> import groundup as gu
        >>> _ = gu.manual_seed(0)
        >>> a = gu.rand(3)
        >>> _ = gu.manual_seed(0)
        >>> bool((gu.rand(3) == a).all())
        True
    """
    return default_generator.manual_seed(seed)
