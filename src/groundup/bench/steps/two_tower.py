"""Two towers map queries and documents to vectors; pairs are told from the rest of the batch.

The loss is InfoNCE (van den Oord et al., 2018): cosine similarity over a temperature, cross-entropy
of the matching document. Inputs are bags of words, sparse in content and dense in memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .workload import Array, Workload


@dataclass(frozen=True)
class Sizes:
    layers: tuple[int, ...] = (2000, 512, 256, 128)
    batch: int = 256
    words: int = 40
    temperature: float = 0.07


def two_tower(lib: Any, sizes: Sizes) -> Any:
    nn, functional = lib.nn, lib.nn.functional

    def tower() -> Any:
        pairs = list(zip(sizes.layers, sizes.layers[1:], strict=False))
        layers: list[Any] = []
        for inputs, outputs in pairs:
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        return nn.Sequential(*layers[:-1])

    class TwoTower(nn.Module):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.query = tower()
            self.document = tower()

        def forward(self, x: Any, y: Any) -> Any:  # -> similarities (N, N)
            q = functional.normalize(self.query(x), dim=1)
            d = functional.normalize(self.document(y), dim=1)
            return q @ d.T / sizes.temperature

    return TwoTower()


def info_nce(lib: Any, module: Any, x: Any, y: Any) -> Any:
    scores = module(x, y)
    return lib.nn.functional.cross_entropy(scores, lib.arange(scores.shape[0]))


def batch(numbers: np.random.Generator, sizes: Sizes) -> tuple[Array, ...]:
    shape = (sizes.batch, sizes.layers[0])
    x, y = (numbers.random(shape) < sizes.words / sizes.layers[0] for _ in range(2))
    return x.astype(np.float32), y.astype(np.float32)


TWO_TOWER = Workload(
    "two-tower",
    "two towers 2000-512-256-128, InfoNCE, batch 256",
    two_tower,
    info_nce,
    batch,
    sizes=Sizes(),
    small=Sizes(layers=(30, 16, 12, 8), batch=6, words=10),
    example=lambda x, y: (x[:1], y[:1]),
)
