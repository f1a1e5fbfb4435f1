r"""What random weights make of a signal and of its gradient over many layers: formulas, measured.

For lesson 6 (`depth`), where the formulas are derived. A block is two layers, each of them relu and
then $n$ by $n$ weights of variance $v = g/n$, without biases. Powers of ten ("decades") are of root
mean squares:

- plain: $\lg(g/2)$ a block, forward and back (He et al., 2015, equations 9 and 13);
- residual: $\tfrac12 \lg(1 + (g/2)^2)$ a block, both ways;
- residual with layer normalisation before each relu: a block adds $(g/2)$ to the mean square $q$,
  and going back it adds $(g/2)/q$ of the gradient's; the product of $1 + (g/2)/q$ telescopes, so
  both are $\tfrac12 \lg(q_L/q_1)$;
- plain with batch normalisation before each relu: $\lg(\pi/(\pi - 1))$ a block, back only (Yang et
  al., 2019).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

import groundup as gu
import groundup.nn.functional as F
from groundup import nn
from groundup.training import gradient_flow

Batch = tuple[gu.Tensor, gu.Tensor]


@dataclass(frozen=True)
class Propagation:
    """What happens between the first layer and the last block.

    Attributes:
        signal: decades by which the signal grows going forward; None where there is no formula.
        gradient: decades by which the gradient grows going back.
        cosine: between two images after the last block.

    Example:
        >>> Propagation(signal=0.0, gradient=0.0, cosine=0.99).cosine
        0.99
    """

    signal: float | None
    gradient: float | None
    cosine: float | None


def decades(a: float, b: float) -> float:
    """How many powers of ten lie between b and a; not a number if either has blown up.

    Example:
        >>> decades(1.0, 100.0)
        -2.0
    """
    return math.log10(a / b) if 0 < a < math.inf and 0 < b < math.inf else math.nan


def initialise(model: nn.Module, gain: float) -> None:
    """Normal weights of variance gain / inputs in every linear layer, and no biases.

    Example:
        >>> layer = nn.Linear(1000, 10)
        >>> initialise(layer, 2.0)
        >>> bool(abs(layer.weight.var().item() - 0.002) < 1e-4)
        True
    """
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, 0.0, math.sqrt(gain / layer.weight.shape[1]))
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def next_cosine(c: float) -> float:
    """What relu and random weights make of the cosine between two signals (Cho and Saul, 2009).

    Example:
        >>> round(next_cosine(0.0), 4), next_cosine(1.0)  # 1 / pi
        (0.3183, 1.0)
    """
    return (math.sqrt(1 - c * c) + (math.pi - math.acos(c)) * c) / math.pi


def expected(
    gain: float, blocks: int, *, residual: bool, norm: str, size: float, cosine: float
) -> Propagation:
    """By the formulas.

    Args:
        gain: the variance of the weights times the units of a layer.
        blocks: of two layers each.
        residual: whether each block is added to what goes into it.
        norm: what stands before each relu: "", "LayerNorm" or "BatchNorm".
        size: root mean square of what the first layer gives.
        cosine: between two images there.

    Example:
        >>> found = expected(2.0, 31, residual=True, norm="", size=1.0, cosine=0.5)
        >>> round(found.signal, 3)  # 2^15.5
        4.666
    """
    match residual, norm:
        case False, "":
            for _ in range(2 * blocks):
                cosine = next_cosine(cosine)
            grown = blocks * math.log10(gain / 2)
            return Propagation(grown, grown, cosine)
        case True, "":
            grown = blocks / 2 * math.log10(1 + (gain / 2) ** 2)
            return Propagation(grown, grown, None)
        case True, "LayerNorm":
            grown = math.log10(1 + blocks * gain / 2 / size**2) / 2
            return Propagation(grown, grown, None)
        case False, "BatchNorm":
            return Propagation(None, blocks * math.log10(math.pi / (math.pi - 1)), None)
    return Propagation(None, None, None)


def mean_cosine(h: gu.Tensor) -> float:
    """Between different rows of a matrix.

    Example:
        >>> round(mean_cosine(gu.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])), 4)  # 0, two halves
        0.4714
    """
    rows = h / h.norm(dim=1, keepdim=True)
    n = len(rows)
    return ((rows @ rows.T).sum().item() - n) / (n * (n - 1))


def measured(
    model: nn.Sequential, batch: Batch, places: Sequence[str]
) -> tuple[Propagation, float, float]:
    """In a network as it is.

    Args:
        model: modules one after the other.
        batch: images and labels.
        places: the names of the first layer and of the last block.

    Returns:
        What was measured, and size and cosine after the first layer.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 2), nn.Residual(nn.ReLU()))
        >>> found, size, cosine = measured(model, (gu.eye(2), gu.arange(2)), ["0", "1"])
        >>> found.signal >= 0
        True
    """
    x, _ = batch
    first, last = gradient_flow(model, F.cross_entropy, batch, places).values()
    cosines = []
    with gu.no_grad():
        for name, layer in model.named_children():
            x = layer(x)
            if name in places:
                cosines.append(mean_cosine(x))
    found = Propagation(
        decades(last.activation, first.activation),
        decades(first.gradient, last.gradient),
        cosines[-1],
    )
    return found, first.activation, cosines[0]


def compare(
    build: Callable[[], nn.Sequential],
    gain: float,
    batches: Sequence[Batch],
    places: Sequence[str],
    *,
    residual: bool = False,
    norm: str = "",
) -> list[float | None]:
    """The formulas beside what was measured, the mean of several draws.

    Args:
        build: makes the network; its weights are drawn anew.
        gain: the variance of the weights times the units of a layer.
        batches: images and labels, one batch for each draw; its number is the seed.
        places: the names of the first layer and of each block.
        residual: whether each block is added to what goes into it.
        norm: what stands before each relu: "", "LayerNorm" or "BatchNorm".

    Returns:
        Signal, gradient and cosine, each by its formula (None where there is none) and measured.

    Example:
        >>> build = lambda: nn.Sequential(nn.Linear(9, 9), nn.ReLU(), nn.Linear(9, 9))
        >>> found = compare(build, 2.0, [(gu.randn(50, 9), gu.arange(50) % 9)], ["0", "2"])
        >>> len(found)
        6
    """
    formulas, found = [], []
    for seed, (x, y) in enumerate(batches):
        gu.manual_seed(seed)
        model = build().double()
        initialise(model, gain)
        this, size, cosine = measured(model, (x.double(), y), (places[0], places[-1]))
        found.append(this)
        formulas.append(
            expected(gain, len(places) - 1, residual=residual, norm=norm, size=size, cosine=cosine)
        )
    columns: list[float | None] = []
    for part in ("signal", "gradient", "cosine"):
        for source in (formulas, found):
            values = [getattr(propagation, part) for propagation in source]
            columns.append(None if None in values else fmean(values))
    return columns
