"""Networks so small that overhead decides, and a deeper one where elementwise work does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .workload import Array, Workload


def cross_entropy(lib: Any, module: Any, x: Any, y: Any) -> Any:
    """Of the scores (N, C) against the classes (N,)."""
    return lib.nn.functional.cross_entropy(module(x), y)


@dataclass(frozen=True)
class Xor:
    hidden: int = 8


def xor(lib: Any, sizes: Xor) -> Any:
    nn = lib.nn
    return nn.Sequential(nn.Linear(2, sizes.hidden), nn.Tanh(), nn.Linear(sizes.hidden, 2))


def xor_batch(_: np.random.Generator, sizes: Xor) -> tuple[Array, ...]:
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    return x, np.array([0, 1, 1, 0])


XOR = Workload(
    "xor",
    "XOR MLP 2-8-2, batch 4",
    xor,
    cross_entropy,
    xor_batch,
    sizes=Xor(),
    small=Xor(),
    options={"lr": 1e-2},
)


@dataclass(frozen=True)
class Digits:
    batch: int = 64


def mlp(lib: Any, sizes: Digits) -> Any:
    nn = lib.nn
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))


def cnn(lib: Any, sizes: Digits) -> Any:
    """The network of the experiment ``digits``."""
    nn = lib.nn
    return nn.Sequential(
        nn.Conv2d(1, 16, 3),  # (N, 1, 8, 8) -> (N, 16, 6, 6)
        nn.ReLU(),
        nn.MaxPool2d(2),  # -> (N, 16, 3, 3)
        nn.Conv2d(16, 32, 3),  # -> (N, 32, 1, 1)
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32, 10),
    )


def digits_batch(numbers: np.random.Generator, sizes: Digits) -> tuple[Array, ...]:
    x = numbers.random((sizes.batch, 1, 8, 8), np.float32)
    return x, numbers.integers(0, 10, sizes.batch)


MLP = Workload(
    "mlp",
    "digits MLP 64-128-10, batch 64",
    mlp,
    cross_entropy,
    digits_batch,
    sizes=Digits(),
    small=Digits(batch=7),
)
CNN = Workload(
    "cnn",
    "digits CNN 16-32, batch 64",
    cnn,
    cross_entropy,
    digits_batch,
    sizes=Digits(),
    small=Digits(batch=5),
    optimizer="AdamW",
)


@dataclass(frozen=True)
class Residual:
    width: int = 256
    depth: int = 6
    batch: int = 256
    classes: int = 10


def residual(lib: Any, sizes: Residual) -> Any:
    """Blocks ``x + relu(W norm(x) + b)`` and a linear layer."""
    nn = lib.nn

    class Block(nn.Module):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.LayerNorm(sizes.width)
            self.linear = nn.Linear(sizes.width, sizes.width)

        def forward(self, x: Any) -> Any:
            return x + nn.functional.relu(self.linear(self.norm(x)))

    blocks = [Block() for _ in range(sizes.depth)]
    return nn.Sequential(*blocks, nn.Linear(sizes.width, sizes.classes))


def residual_batch(numbers: np.random.Generator, sizes: Residual) -> tuple[Array, ...]:
    x = numbers.standard_normal((sizes.batch, sizes.width), np.float32)
    return x, numbers.integers(0, sizes.classes, sizes.batch)


RESIDUAL = Workload(
    "residual",
    "residual MLP 6 x 256, LayerNorm, batch 256",
    residual,
    cross_entropy,
    residual_batch,
    sizes=Residual(),
    small=Residual(width=20, depth=2, batch=9),
    optimizer="AdamW",
)
