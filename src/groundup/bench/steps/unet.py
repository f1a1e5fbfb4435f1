"""A U-Net that predicts the noise in 16x16 images (Ronneberger et al., 2015; Ho et al., 2020).

Residual blocks of group norm, SiLU and convolution, into which the time step's embedding is added;
two resolutions and what lies below them. Noise and time steps are part of the batch.

Shapes: N images, C channels, S pixels a side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .workload import Array, Workload


@dataclass(frozen=True)
class Sizes:
    side: int = 16
    channels: tuple[int, int, int] = (32, 64, 64)
    groups: int = 8
    embedding: int = 128
    batch: int = 32


def unet(lib: Any, sizes: Sizes) -> Any:
    nn, functional = lib.nn, lib.nn.functional
    low, middle, high = sizes.channels

    class Block(nn.Module):  # type: ignore[name-defined]
        def __init__(self, inputs: int, outputs: int) -> None:
            super().__init__()
            self.norm1 = nn.GroupNorm(sizes.groups, inputs)
            self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
            self.time = nn.Linear(sizes.embedding, outputs)
            self.norm2 = nn.GroupNorm(sizes.groups, outputs)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
            self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

        def forward(self, x: Any, time: Any) -> Any:
            h = self.conv1(functional.silu(self.norm1(x)))
            h = h + self.time(time)[:, :, None, None]
            return self.skip(x) + self.conv2(functional.silu(self.norm2(h)))

    class UNet(nn.Module):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.time1 = nn.Linear(sizes.embedding, sizes.embedding)
            self.time2 = nn.Linear(sizes.embedding, sizes.embedding)
            self.first = nn.Conv2d(1, low, 3, padding=1)
            self.down1 = Block(low, low)
            self.shrink1 = nn.Conv2d(low, low, 3, stride=2, padding=1)
            self.down2 = Block(low, middle)
            self.shrink2 = nn.Conv2d(middle, middle, 3, stride=2, padding=1)
            self.middle = Block(middle, high)
            self.grow = nn.Upsample(scale_factor=2)
            self.up2 = Block(high + middle, middle)
            self.up1 = Block(middle + low, low)
            self.norm = nn.GroupNorm(sizes.groups, low)
            self.last = nn.Conv2d(low, 1, 3, padding=1)

        def forward(self, x: Any, time: Any) -> Any:  # (N, 1, S, S), (N,) -> (N, 1, S, S)
            half = sizes.embedding // 2
            waves = lib.exp(lib.arange(half) * (-math.log(10000) / half))
            angles = time[:, None] * waves
            table = lib.cat([lib.sin(angles), lib.cos(angles)], 1)
            time = functional.silu(self.time2(functional.silu(self.time1(table))))
            a = self.down1(self.first(x), time)  # (N, low, S, S)
            b = self.down2(self.shrink1(a), time)  # (N, middle, S/2, S/2)
            c = self.middle(self.shrink2(b), time)  # (N, high, S/4, S/4)
            d = self.up2(lib.cat([self.grow(c), b], 1), time)
            e = self.up1(lib.cat([self.grow(d), a], 1), time)
            return self.last(functional.silu(self.norm(e)))

    return UNet()


def noise_error(lib: Any, module: Any, x: Any, noise: Any, kept: Any, time: Any) -> Any:
    """Ho et al., 2020, equation 14; ``kept`` is the share of the image's variance that is left."""
    blurred = kept.sqrt() * x + (1 - kept).sqrt() * noise
    return lib.nn.functional.mse_loss(module(blurred, time), noise)


def batch(numbers: np.random.Generator, sizes: Sizes) -> tuple[Array, ...]:
    shape = (sizes.batch, 1, sizes.side, sizes.side)
    time = numbers.integers(0, 1000, sizes.batch)
    kept = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))[time].reshape(-1, 1, 1, 1)
    return (
        numbers.uniform(-1, 1, shape).astype(np.float32),
        numbers.standard_normal(shape, np.float32),
        kept.astype(np.float32),
        time.astype(np.float32),
    )


UNET = Workload(
    "unet",
    "U-Net 32-64-64, noise of 16x16 images, batch 32",
    unet,
    noise_error,
    batch,
    sizes=Sizes(),
    small=Sizes(side=8, channels=(4, 6, 8), groups=2, embedding=10, batch=3),
    example=lambda x, _noise, _kept, time: (x[:1], time[:1]),
)
