r"""Rotary positions for texts longer than those of training.

Feature pair i turns by $\theta_i = b^{-2i/D}$ a step, so its wavelength is $\lambda_i = 2 \pi /
\theta_i$ positions. Beyond the C positions of training the slow pairs reach angles that the model
has never seen. Each class here says which frequencies $\theta'_i$ take the place of $\theta_i$; the
last three leave pairs that turn often within C as they are, because these tell neighbours apart:

    PositionInterpolation   all divided by one factor                       Chen et al., 2023
    YaRN                    a ramp over the pairs, and sharper attention    Peng et al., 2023
    Llama3Scaling           a ramp over the turns within C                  Grattafiori et al., 2024
    FrequencyFactors        one divisor for each pair, as a file states it

They are what ``nn.RotaryPositions`` and ``F.rotary_table`` take as ``scaling``.

Shapes: D features of a head, so D / 2 frequencies.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from ..engine.dtypes import float64
from ..engine.ops.creation import arange, tensor
from ..engine.ops.functions import exp
from ..engine.tensor import Tensor


def rotary_frequencies(dim: int, base: float = 10000.0) -> Tensor:
    """By how much each pair turns from one position to the next: ``base^(-2i/D)``, in float64.

    Args:
        dim: D; an odd one has (D + 1) / 2 frequencies.
        base: the slowest pair turns by nearly 1 / base.

    Shape:
        (ceil(dim / 2),).

    Example:
        >>> nn.rotary_frequencies(6, base=1000.0)
        tensor([1.0000, 0.1000, 0.0100], shape=(3,), dtype=float64)
    """
    return exp(arange(0, dim, 2, dtype=float64) * (-math.log(base) / dim))


class RotaryScaling(ABC):
    """How frequencies are changed for longer texts; what a scaling of one's own is made of.

    Example:
        >>> class Slower(nn.RotaryScaling):
        ...     def frequencies(self, dim, base):
        ...         return nn.rotary_frequencies(dim, base) / 2
        >>> slower, plain = nn.RotaryPositions(4, scaling=Slower()), nn.RotaryPositions(4)
        >>> gu.equal(slower.cos[2], plain.cos[1])
        True
    """

    @abstractmethod
    def frequencies(self, dim: int, base: float) -> Tensor:
        """By how much each pair turns from one position to the next, (dim / 2,) in float64."""

    @property
    def attention(self) -> float:
        """What cosines and sines are multiplied with; scores of attention with its square."""
        return 1.0


def _at_least_one(scaling: object, factor: float) -> None:
    if not factor >= 1 or math.isinf(factor):
        raise ValueError(f"{type(scaling).__name__}: factor is {factor}, expected at least 1")


@dataclass(frozen=True)
class PositionInterpolation(RotaryScaling):
    r"""Positions squeezed into those of training: $\theta'_i = \theta_i / s$.

    Chen, Wong, Chen and Tian, "Extending Context Window of Large Language Models via Positional
    Interpolation" (2023), equation 4; called "linear" in public configurations.

    Attributes:
        factor: s.

    Raises:
        ValueError: a factor below 1.

    Example:
        >>> cos, sin = F.rotary_table(gu.arange(9), 4, scaling=nn.PositionInterpolation(2.0))
        >>> gu.equal(cos[8], F.rotary_table(gu.arange(9), 4)[0][4])
        True
    """

    factor: float

    def __post_init__(self) -> None:
        _at_least_one(self, self.factor)

    def frequencies(self, dim: int, base: float) -> Tensor:
        return rotary_frequencies(dim, base) / self.factor


@dataclass(frozen=True)
class YaRN(RotaryScaling):
    r"""Slow pairs are interpolated, fast ones left alone, and attention is made sharper.

    Peng, Quesnelle, Fan and Shippole, "YaRN: Efficient Context Window Extension of Large Language
    Models" (2023), section 3.2 and equation 22. Pair i makes $r_i = C / \lambda_i$ turns within the
    context of training. Where $r_i > \beta_{fast}$ it keeps its frequency, where $r_i <
    \beta_{slow}$ the frequency is divided by s; between the two pairs at which that happens the
    share falls in a straight line over i. Cosines and sines are multiplied with
    $0.1 \ln s + 1$.

    Attributes:
        factor: s.
        context: C.
        beta_fast, beta_slow: the bounds, in turns.
        attention_factor: what cosines and sines are multiplied with instead.
        truncate: the two pairs at the ends of the ramp are rounded outwards to whole ones.

    Raises:
        ValueError: a factor or a context below 1, or bounds in the wrong order.

    Example:
        >>> scaling = nn.YaRN(factor=4.0, context=64)
        >>> scaling.frequencies(8, 10000.0) / nn.rotary_frequencies(8)
        tensor([1.0000, 0.6250, 0.2500, 0.2500], shape=(4,), dtype=float64)
        >>> round(scaling.attention, 4)
        1.1386
    """

    factor: float
    context: int
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    attention_factor: float | None = None
    truncate: bool = True

    def __post_init__(self) -> None:
        _at_least_one(self, self.factor)
        if self.context < 1 or not 0 < self.beta_slow <= self.beta_fast:
            raise ValueError(
                f"YaRN: context {self.context}, beta_slow {self.beta_slow}, beta_fast "
                f"{self.beta_fast}; expected at least 1, and 0 < beta_slow <= beta_fast"
            )

    @property
    def attention(self) -> float:
        if self.attention_factor is not None:
            return self.attention_factor
        return 0.1 * math.log(self.factor) + 1

    def frequencies(self, dim: int, base: float) -> Tensor:
        def pair(turns: float) -> float:
            """The i, not a whole number, whose pair makes so many turns within the context."""
            return dim * math.log(self.context / (2 * math.pi * turns)) / (2 * math.log(base))

        low, high = pair(self.beta_fast), pair(self.beta_slow)
        if self.truncate:
            low, high = math.floor(low), math.ceil(high)
        low, high = max(low, 0), min(high, dim - 1)
        width = high - low or 0.001
        share = ((arange(dim // 2, dtype=float64) - low) / width).clamp(0, 1)
        own = rotary_frequencies(dim, base)
        return own * (1 - share) + own / self.factor * share


@dataclass(frozen=True)
class Llama3Scaling(RotaryScaling):
    r"""The scaling of Llama 3.1 (Grattafiori et al., "The Llama 3 Herd of Models", 2024).

    Pair i makes $r_i = C / \lambda_i$ turns within the context of training. More than ``high`` and
    it keeps its frequency, fewer than ``low`` and the frequency is divided by s; between them the
    share falls in a straight line over $r_i$.

    Attributes:
        factor: s.
        context: C.
        low, high: the bounds, in turns.

    Raises:
        ValueError: a factor or a context below 1, or bounds in the wrong order.

    Example:
        >>> scaling = nn.Llama3Scaling(factor=8.0, context=64)
        >>> scaling.frequencies(8, 100.0) / nn.rotary_frequencies(8, 100.0)
        tensor([1.0000, 0.7728, 0.1304, 0.1250], shape=(4,), dtype=float64)
    """

    factor: float
    context: int
    low: float = 1.0
    high: float = 4.0

    def __post_init__(self) -> None:
        _at_least_one(self, self.factor)
        if self.context < 1 or not 0 <= self.low < self.high:
            raise ValueError(
                f"Llama3Scaling: context {self.context}, low {self.low}, high {self.high}; "
                "expected at least 1, and 0 <= low < high"
            )

    def frequencies(self, dim: int, base: float) -> Tensor:
        own = rotary_frequencies(dim, base)
        turns = own * (self.context / (2 * math.pi))
        kept = ((turns - self.low) / (self.high - self.low)).clamp(0, 1)
        return own * kept + own / self.factor * (1 - kept)


@dataclass(frozen=True)
class FrequencyFactors(RotaryScaling):
    r"""A divisor for each pair: $\theta'_i = \theta_i / f_i$, as GGUF files state them.

    Attributes:
        factors: the divisors f, D / 2 of them.

    Raises:
        ValueError: a factor that is not positive and finite, or too many or too few of them.

    Example:
        >>> scaling = nn.FrequencyFactors((1.0, 8.0))
        >>> scaling.frequencies(4, 100.0)
        tensor([1.0000, 0.0125], shape=(2,), dtype=float64)
    """

    factors: tuple[float, ...]

    def __post_init__(self) -> None:
        if wrong := [f for f in self.factors if not f > 0 or math.isinf(f)]:
            raise ValueError(f"FrequencyFactors: {wrong[0]} is not positive and finite")

    def frequencies(self, dim: int, base: float) -> Tensor:
        own = rotary_frequencies(dim, base)
        if own.shape != (len(self.factors),):
            raise ValueError(
                f"FrequencyFactors: {len(self.factors)} factors for {own.shape[0]} pairs"
            )
        return own / tensor(self.factors, dtype=float64)
