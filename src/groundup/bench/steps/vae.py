"""A variational autoencoder of images (Kingma and Welling, 2014).

The noise of the reparameterisation is part of the batch, so that all libraries draw the same.
Shapes: N images of P pixels, Z latent numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .workload import Array, Workload


@dataclass(frozen=True)
class Sizes:
    pixels: int = 784
    hidden: int = 400
    latent: int = 20
    batch: int = 128


def vae(lib: Any, sizes: Sizes) -> Any:
    nn, functional = lib.nn, lib.nn.functional

    class Autoencoder(nn.Module):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.encode = nn.Linear(sizes.pixels, sizes.hidden)
            self.mean = nn.Linear(sizes.hidden, sizes.latent)
            self.log_variance = nn.Linear(sizes.hidden, sizes.latent)
            self.decode = nn.Linear(sizes.latent, sizes.hidden)
            self.pixels = nn.Linear(sizes.hidden, sizes.pixels)

        def forward(self, x: Any, noise: Any) -> tuple[Any, Any, Any]:
            h = functional.relu(self.encode(x))
            mean, log_variance = self.mean(h), self.log_variance(h)  # (N, Z)
            z = mean + noise * lib.exp(0.5 * log_variance)
            return self.pixels(functional.relu(self.decode(z))), mean, log_variance

    return Autoencoder()


def bound(lib: Any, module: Any, x: Any, noise: Any) -> Any:
    """Minus the evidence lower bound: equation 10, Bernoulli pixels (appendix C.1)."""
    logits, mean, log_variance = module(x, noise)
    error = lib.nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="sum")
    divergence = -0.5 * (1 + log_variance - mean**2 - lib.exp(log_variance)).sum()
    return (error + divergence) / x.shape[0]


def batch(numbers: np.random.Generator, sizes: Sizes) -> tuple[Array, ...]:
    x = numbers.random((sizes.batch, sizes.pixels), np.float32)
    return x, numbers.standard_normal((sizes.batch, sizes.latent), np.float32)


VAE = Workload(
    "vae",
    "VAE 784-400-20, batch 128",
    vae,
    bound,
    batch,
    sizes=Sizes(),
    small=Sizes(pixels=30, hidden=12, latent=3, batch=5),
    example=lambda x, noise: (x[:1], noise[:1]),
)
