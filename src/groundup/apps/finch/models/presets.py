"""Sizes of the three models, from what runs beside a laptop's other work to the documents' sizes.

`nano` learns and answers on one core in milliseconds. `document` is what Finch's design names: an
encoder of 500 million parameters before and after a decoder of 7 billion.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import FinchError
from .ensemble import Ensemble
from .memory import check_memory, decoder_parameters, encoder_parameters, memory_need
from .network import Sizes
from .replay import ReplayBuffer


@dataclass(frozen=True)
class Preset:
    """The three sizes, and how they learn.

    Attributes:
        router, generator, validator: sizes.
        replays: replayed examples that go with each new one.
        rate: learning rate.

    Example:
        >>> PRESETS["nano"].parameters()["generator"] <= 1_100_000
        True
    """

    router: Sizes
    generator: Sizes
    validator: Sizes
    replays: int = 8
    rate: float = 2e-3

    def __iter__(self) -> Iterator[Sizes]:
        return iter((self.router, self.generator, self.validator))

    def parameters(self) -> dict[str, int]:
        """Parameters of each model."""
        return {
            "router": encoder_parameters(self.router),
            "generator": decoder_parameters(self.generator),
            "validator": encoder_parameters(self.validator),
        }


def _preset(encoder: Sizes, decoder: Sizes, replays: int, rate: float) -> Preset:
    return Preset(encoder, decoder, encoder, replays, rate)


PRESETS: dict[str, Preset] = {
    "nano": _preset(
        Sizes(2048, 16384, 32, 128, 1, 4, 256),
        Sizes(2048, 16384, 32, 128, 2, 4, 256),
        replays=16,
        rate=2e-3,
    ),
    "micro": _preset(
        Sizes(4096, 32768, 48, 192, 2, 6, 512, query=256, answer=128),
        Sizes(4096, 32768, 48, 192, 4, 6, 768, query=256, answer=128),
        replays=8,
        rate=1.5e-3,
    ),
    "small": _preset(
        Sizes(8192, 32768, 64, 384, 4, 6, 1536, query=512, answer=256),
        Sizes(8192, 32768, 64, 384, 6, 6, 1536, query=512, answer=256),
        replays=8,
        rate=1e-3,
    ),
    "medium": _preset(
        Sizes(16384, 65536, 128, 512, 8, 8, 2048, query=512, answer=512),
        Sizes(16384, 65536, 128, 768, 12, 12, 3072, query=512, answer=512),
        replays=4,
        rate=5e-4,
    ),
    "large": _preset(
        Sizes(32768, 65536, 256, 768, 12, 12, 3072, query=1024, answer=512),
        Sizes(32768, 65536, 256, 1600, 32, 25, 6400, query=1024, answer=1024),
        replays=4,
        rate=2e-4,
    ),
    "document": _preset(
        Sizes(32768, 65536, 256, 1280, 22, 20, 5120, query=2048, answer=1024),
        Sizes(32768, 65536, 256, 4096, 34, 32, 16384, query=2048, answer=1024),
        replays=2,
        rate=1e-4,
    ),
}
"""By name, the smallest first."""


def preset(name: str) -> Preset:
    """The preset of a name.

    Raises:
        FinchError: there is none.

    Example:
        >>> preset("pico")
        Traceback (most recent call last):
        ...
        groundup.apps.finch.errors.FinchError: preset 'pico': expected one of nano, micro,...
    """
    if name not in PRESETS:
        raise FinchError(f"preset {name!r}: expected one of {', '.join(PRESETS)}")
    return PRESETS[name]


def fitting(name: str, available: int | None = None) -> Preset:
    """The preset of a name, if there is memory for it.

    Args:
        name: of the preset.
        available: bytes of memory that it may take; None: what the machine has free.

    Raises:
        FinchError: there is no such preset, or it does not fit.

    Example:
        >>> fitting("nano", available=2**30) is PRESETS["nano"]
        True
    """
    chosen = preset(name)
    check_memory(name, memory_need(*chosen), available)
    return chosen


def build(name: str, seed: int = 0, available: int | None = None) -> Ensemble:
    """The three models of a preset, with new weights.

    Args:
        name: of the preset.
        seed: of everything random.
        available: bytes of memory that they may take; None: what the machine has free.

    Raises:
        FinchError: there is no such preset, or it does not fit into memory.

    Example:
        >>> build("nano").generator.sizes.d_model
        128
    """
    chosen = fitting(name, available)
    return Ensemble(
        chosen.router,
        chosen.generator,
        chosen.validator,
        seed=seed,
        replays=chosen.replays,
        rate=chosen.rate,
        buffer=ReplayBuffer(seed=4 * seed + 4),
    )
