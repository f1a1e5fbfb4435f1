"""A sequence is read by an LSTM or a GRU; its last state is classified.

Shapes: T time steps, N sequences, I features in, H in the state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .small import cross_entropy
from .workload import Array, Workload


@dataclass(frozen=True)
class Sizes:
    length: int = 50
    batch: int = 32
    features: int = 32
    hidden: int = 64
    classes: int = 10


def reader(kind: str) -> Callable[[Any, Sizes], Any]:
    """What builds the network around ``nn.LSTM`` or ``nn.GRU``."""

    def build(lib: Any, sizes: Sizes) -> Any:
        nn = lib.nn

        class Reader(nn.Module):  # type: ignore[name-defined]
            def __init__(self) -> None:
                super().__init__()
                self.rnn = getattr(nn, kind)(sizes.features, sizes.hidden)
                self.head = nn.Linear(sizes.hidden, sizes.classes)

            def forward(self, x: Any) -> Any:  # (T, N, I) -> (N, classes)
                output, _ = self.rnn(x)
                return self.head(output[-1])

        return Reader()

    return build


def batch(numbers: np.random.Generator, sizes: Sizes) -> tuple[Array, ...]:
    shape = (sizes.length, sizes.batch, sizes.features)
    x = numbers.standard_normal(shape, np.float32)
    return x, numbers.integers(0, sizes.classes, sizes.batch)


LSTM, GRU = (
    Workload(
        kind.lower(),
        f"{kind}, length 50, hidden 64, batch 32",
        reader(kind),
        cross_entropy,
        batch,
        sizes=Sizes(),
        small=Sizes(length=6, batch=3, features=5, hidden=7),
        example=lambda x, _: (x[:, :1],),
        share=0.5,
    )
    for kind in ("LSTM", "GRU")
)
