"""How many parameters models have, what memory they need while they learn, and whether it is there.

Counted are, in float32: the weights, their running average, the gradients, AdamW's two moments;
what the forward pass of a batch keeps for the backward pass; the cache of the decoder. Nothing is
built to find this out.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ..errors import FinchError
from .network import Sizes
from .reading import FEATURES, rounded

FLOAT = 4
COPIES = 5
"""Arrays as large as the weights: themselves, average, gradient, two moments."""
BATCH_TOKENS = 1024
"""Tokens of a batch, about, queries and answers together."""


def _tables(sizes: Sizes) -> int:
    places = sizes.query + sizes.answer + 2
    return (sizes.vocab + places + sizes.width) * sizes.d_model + sizes.rows * sizes.width


def _block(sizes: Sizes) -> int:
    """Attention (four matrices), two linear layers, two norms."""
    e, f = sizes.d_model, sizes.feedforward
    return 4 * (e * e + e) + 2 * e * f + f + e + 4 * e


def decoder_parameters(sizes: Sizes) -> int:
    """Parameters of a `Decoder`.

    Example:
        >>> decoder_parameters(Sizes(300, 64, 8, 16, 1, 2, 32))
        10800
    """
    return _tables(sizes) + sizes.layers * _block(sizes) + 2 * sizes.d_model


def encoder_parameters(sizes: Sizes) -> int:
    """Parameters of an `Encoder`.

    Example:
        >>> encoder_parameters(Sizes(300, 64, 8, 16, 1, 2, 32))
        10821
    """
    return decoder_parameters(sizes) + sizes.d_model + 1 + 4


@dataclass(frozen=True)
class Need:
    """Bytes that models need.

    Attributes:
        weights: and their average, which answers.
        learning: gradients and moments.
        activations: kept from the forward passes of batches; each length that queries are padded to
            has programs, and memory, of its own.
        cache: keys and values of an answer that is being written.

    Example:
        >>> Need(4, 3, 2, 1).total
        10
    """

    weights: int
    learning: int
    activations: int
    cache: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.learning + self.activations + self.cache


def memory_need(router: Sizes, generator: Sizes, validator: Sizes) -> Need:
    """What the three models need while they learn and answer.

    Example:
        >>> small = Sizes(300, 64, 8, 16, 1, 2, 32)
        >>> memory_need(small, small, small).weights  # 4 bytes of each weight and of its average
        259536
    """
    parameters = (
        encoder_parameters(router) + decoder_parameters(generator) + encoder_parameters(validator)
    )
    d = generator
    cache = 2 * d.layers * (d.query + d.answer + 1) * d.d_model * FLOAT
    return Need(
        weights=2 * parameters * FLOAT,
        learning=(COPIES - 2) * parameters * FLOAT,
        activations=sum(_activations(sizes) for sizes in (router, generator, validator)),
        cache=cache,
    )


def _activations(sizes: Sizes) -> int:
    """What forward passes keep: per token and block about 10 E + 2 F, and the attention weights.

    A batch has `BATCH_TOKENS` tokens, or four of its texts if that is more.
    """
    kept, length = 0, rounded(1)
    while True:
        longest = min(length, sizes.query) + sizes.answer + 2
        tokens = max(BATCH_TOKENS, 4 * longest)
        block = tokens * (10 * sizes.d_model + 2 * sizes.feedforward + 2 * sizes.heads * longest)
        ends = tokens * (FEATURES * sizes.width + 4 * sizes.d_model) + 2 * tokens * sizes.vocab
        kept += FLOAT * (sizes.layers * block + ends)
        if length >= sizes.query:
            return kept
        length *= 2


def memory_free() -> int:
    """Bytes that can be had: what the system says is available, or half of what there is.

    Example:
        >>> memory_free() > 0
        True
    """
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2]
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        found = dict(line.split(":", 1) for line in lines)
        limits = [int(found["MemAvailable"].split()[0]) * 1024]
    except (OSError, KeyError, ValueError):
        pass
    try:  # a container's own limit (cgroups, version 2)
        most = int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii"))
        used = int(Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii"))
        limits.append(most - used)
    except (OSError, ValueError):
        pass
    try:  # a limit on this process (ulimit -v)
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_AS)
        if soft != resource.RLIM_INFINITY:
            limits.append(soft)
    except (ImportError, OSError):
        pass
    return max(0, min(limits))


def check_memory(name: str, need: Need, available: int | None = None) -> None:
    """Refuse what does not fit.

    Args:
        name: what it is, for the message.
        need: what it needs.
        available: bytes that there are; None: `memory_free`.

    Raises:
        FinchError: it needs more.

    Example:
        >>> check_memory("document", Need(50 * 2**30, 0, 0, 0), available=2**30)
        Traceback (most recent call last):
        ...
        groundup.apps.finch.errors.FinchError: preset 'document' needs 50.0 GiB of memory...
    """
    there = memory_free() if available is None else available
    if need.total > there:
        raise FinchError(
            f"preset {name!r} needs {readable(need.total)} of memory (weights and their average "
            f"{readable(need.weights)}, gradients and moments {readable(need.learning)}, batches "
            f"{readable(need.activations)}, cache {readable(need.cache)}), but {readable(there)} "
            "can be had; choose a smaller preset, or a machine with more memory"
        )


def readable(size: int) -> str:
    """Bytes in a unit that people read.

    Example:
        >>> readable(1536), readable(7 * 2**30)
        ('1.5 KiB', '7.0 GiB')
    """
    amount = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"
