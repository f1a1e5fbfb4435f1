"""Token ids in a file that is mapped into memory: as many as the disk holds, read where needed.

The file holds nothing but the ids, little-endian, in as few bytes each as the largest needs (1, 2
or 4). The system reads the pages that are looked at and forgets them when memory is short.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ..engine.base import wrap
from ..engine.random import Generator
from ..engine.tensor import Tensor


def token_dtype(vocab_size: int) -> np.dtype[Any]:
    """The smallest unsigned integers that hold all ids below a number.

    Example:
        >>> token_dtype(256).name, token_dtype(50257).name, token_dtype(100_000).name
        ('uint8', 'uint16', 'uint32')
    """
    return np.dtype("u1" if vocab_size <= 2**8 else "<u2" if vocab_size <= 2**16 else "<u4")


def write_tokens(path: str | os.PathLike[str], pieces: Iterable[ArrayLike], vocab_size: int) -> int:
    """Write ids piece by piece; an old file is replaced when all are written.

    Args:
        path: the file.
        pieces: ids from 0 to `vocab_size` - 1, one sequence after the other.
        vocab_size: decides how many bytes each takes.

    Returns:
        How many there are.

    Raises:
        ValueError: an id is out of range.
        OSError: the file cannot be written, or the disk is full.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_tokens(f"{folder}/ids", [[1, 2], [3]], 10), os.path.getsize(f"{folder}/ids")
        (3, 3)
    """
    target, dtype, count = Path(path), token_dtype(vocab_size), 0
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.part")
    with open(partial, "wb") as file:
        for piece in pieces:
            ids = np.asarray(piece)
            if ids.size and (ids.min() < 0 or ids.max() >= vocab_size):
                wrong = ids[(ids < 0) | (ids >= vocab_size)][0]
                raise ValueError(
                    f"write_tokens: token {wrong}, expected 0 to {vocab_size - 1} in a vocabulary "
                    f"of {vocab_size}"
                )
            file.write(ids.astype(dtype).tobytes())
            count += ids.size
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, target)
    return count


class TokenFile:
    """Ids in a file, and windows of them for predicting the next one.

    Args:
        path: what `write_tokens` wrote.
        vocab_size: as it was then.

    Attributes:
        ids: all of them, mapped, not read.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is empty, or its size is not a whole number of ids.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = write_tokens(f"{folder}/ids", [range(10)], 10)
        ...     inputs, targets = TokenFile(f"{folder}/ids", 10).windows([0, 5], 3)
        >>> inputs.tolist(), targets.tolist()
        ([[0, 1, 2], [5, 6, 7]], [[1, 2, 3], [6, 7, 8]])
    """

    def __init__(self, path: str | os.PathLike[str], vocab_size: int) -> None:
        dtype: DTypeLike = token_dtype(vocab_size)
        size = os.path.getsize(path)
        if size == 0 or size % np.dtype(dtype).itemsize:
            raise ValueError(
                f"{os.fspath(path)}: {size:,} bytes; expected a whole number of ids of "
                f"{np.dtype(dtype).itemsize}, and at least one"
            )
        self.ids: NDArray[Any] = np.memmap(path, dtype, mode="r")

    def __len__(self) -> int:
        return len(self.ids)

    def windows(self, starts: ArrayLike, context: int) -> tuple[Tensor, Tensor]:
        """Windows that begin at these places, and at each place the token that follows.

        Args:
            starts: (B,), each at most the number of ids - `context` - 1.
            context: tokens in a window.

        Returns:
            (inputs, targets), int64, (B, context) each.
        """
        rows = [self.ids[start : start + context + 1] for start in np.asarray(starts).tolist()]
        windows = np.stack(rows).astype(np.int64)
        return wrap(windows[:, :-1]), wrap(windows[:, 1:])


class RandomWindows:
    """Batches of windows that begin anywhere, a fixed number in all; it resumes exactly.

    An epoch has `every` batches, the last one what is left.

    Args:
        tokens: the ids.
        end: windows and their targets lie before this place.
        context: tokens in a window.
        batch: windows in a batch.
        steps: batches in all epochs.
        every: batches in an epoch.
        seed: decides which windows.

    Raises:
        ValueError: there are too few tokens for a window.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = write_tokens(f"{folder}/ids", [range(10)], 10)
        ...     tokens = TokenFile(f"{folder}/ids", 10)
        ...     data = RandomWindows(tokens, 10, context=3, batch=2, steps=5, every=3, seed=0)
        ...     [len(list(data)), len(list(data))]
        [3, 2]
    """

    def __init__(
        self,
        tokens: TokenFile,
        end: int,
        context: int,
        batch: int,
        steps: int,
        every: int,
        seed: int,
    ) -> None:
        if end <= context:
            raise ValueError(
                f"RandomWindows: {end} tokens are too few for a context of {context} and a token "
                f"to predict; expected at least {context + 1}"
            )
        self.tokens, self.end, self.context, self.batch = tokens, end, context, batch
        self.steps, self.every = steps, every
        self.generator = Generator(seed)
        self.epoch = self.position = 0

    def __len__(self) -> int:
        """Batches in the running epoch."""
        return min(self.every, self.steps - self.epoch * self.every)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for _ in range(self.position, len(self)):
            starts = self.generator.integers(0, self.end - self.context, (self.batch,))
            self.position += 1  # before the batch is used: a state taken then counts it
            yield self.tokens.windows(starts, self.context)
        self.epoch, self.position = self.epoch + 1, 0

    def state_dict(self) -> dict[str, Any]:
        """Which batches were given, and the generator's state."""
        state = self.generator.get_state()
        return {"epoch": self.epoch, "position": self.position, "generator": state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where another was."""
        self.generator.set_state(state["generator"])
        self.epoch, self.position = int(state["epoch"]), int(state["position"])
