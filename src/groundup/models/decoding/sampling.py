r"""From logits to the next token: greedy, or drawn from a distribution that is reshaped first.

In this order, as far as asked for:

- **repetition penalty** $r$ (Keskar et al., 2019): the logit of a token that occurred already is
  divided by $r$ if positive, multiplied by $r$ if negative;
- **temperature** $\tau$: $p_i \propto e^{z_i / \tau}$; 0 takes the most probable token;
- **top-k** (Fan, Lewis and Dauphin, 2018): the k most probable tokens alone;
- **top-p**, the nucleus (Holtzman et al., 2020): the fewest tokens that have together at least p;
- **min-p** (Nguyen et al., 2024): tokens at least p times as probable as the most probable one.

Shapes: N sequences, V tokens in the vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...engine.base import Array
from ...engine.ops.arithmetic import where
from ...engine.ops.creation import from_numpy, tensor
from ...engine.random import Generator, default_generator
from ...engine.tensor import Tensor


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen.

    Attributes:
        temperature: 0 takes the most probable token.
        top_k: the most probable tokens that are left; None: all.
        top_p: probability that the tokens left have together; 1: all.
        min_p: least probability beside the most probable token's; 0: all.
        repetition_penalty: above 1 makes tokens less probable that occurred already.

    Raises:
        ValueError: a number outside its range.

    Example:
        >>> Sampling(temperature=0.8, top_p=0.9).greedy
        False
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0

    def __post_init__(self) -> None:
        for name, right, expected in (
            ("temperature", 0 <= self.temperature < math.inf, "at least 0"),
            ("top_k", self.top_k is None or self.top_k >= 1, "at least 1, or None"),
            ("top_p", 0 < self.top_p <= 1, "above 0 and at most 1"),
            ("min_p", 0 <= self.min_p <= 1, "0 to 1"),
            ("repetition_penalty", 0 < self.repetition_penalty < math.inf, "above 0"),
        ):
            if not right:
                raise ValueError(f"Sampling: {name} is {getattr(self, name)}, expected {expected}")

    @property
    def greedy(self) -> bool:
        """Whether the most probable token is taken."""
        return self.temperature == 0


GREEDY = Sampling(temperature=0)


def choose(
    logits: Tensor,
    sampling: Sampling = GREEDY,
    seen: Sequence[Sequence[int]] = (),
    generator: Generator | None = None,
) -> list[int]:
    """The next token of each sequence.

    Args:
        logits: of the next token.
        sampling: how to choose.
        seen: the tokens of each sequence, for the repetition penalty.
        generator: where random numbers come from.

    Shape:
        logits (N, V); N tokens are returned.

    Example:
        >>> choose(gu.tensor([[0.0, 2.0, 1.0], [3.0, 0.0, 0.0]]))
        [1, 0]
    """
    if sampling.repetition_penalty != 1:
        logits = penalized(logits, seen, sampling.repetition_penalty)
    if sampling.greedy:
        return logits.numpy().argmax(axis=-1).tolist()
    return _drawn(_weights(logits.numpy(), sampling), generator)


def draw(probabilities: Tensor, generator: Generator | None = None) -> list[int]:
    """A token from each of the distributions, by inverting their cumulative sums.

    Shape:
        probabilities (N, V); N tokens are returned.

    Raises:
        ValueError: what is given is no distribution, because the logits were not finite.

    Example:
        >>> draw(gu.tensor([[0.0, 1.0], [1.0, 0.0]]))
        [1, 0]
    """
    return _drawn(probabilities.numpy(), generator)


def _drawn(weights: Array, generator: Generator | None) -> list[int]:
    tokens = []
    words = (generator or default_generator).words(len(weights)).tolist()
    for row, word in zip(weights, words, strict=True):
        edges = row.cumsum(dtype=np.float64)
        total = edges.item(-1)
        if not total > 0:
            raise ValueError(
                f"draw: probabilities that add up to {total}; the model's logits hold NaN or "
                "infinity"
            )
        mark = (word >> 11) * 2.0**-53 * total  # 53 random bits
        tokens.append(int(edges.searchsorted(mark, side="right")))
    return tokens


def distribution(logits: Tensor, sampling: Sampling) -> Tensor:
    """The probabilities from which the next token is drawn; the penalty is not in them.

    Shape:
        logits (N, V) -> (N, V); rows add up to 1.

    Example:
        >>> logits = gu.tensor([[3.0, 2.0, 1.0, -9.0]])
        >>> distribution(logits, Sampling(top_k=2)).gt(0).tolist()
        [[True, True, False, False]]
        >>> distribution(logits, Sampling(temperature=0)).tolist()
        [[1.0, 0.0, 0.0, 0.0]]
    """
    weights = _weights(logits.numpy(), sampling)
    return from_numpy(weights / weights.sum(axis=-1, keepdims=True))


def _weights(z: Array, sampling: Sampling) -> Array:
    """The probabilities but for a factor."""
    count = z.shape[-1]
    if sampling.greedy:
        return (np.arange(count) == z.argmax(axis=-1, keepdims=True)).astype(z.dtype)
    if sampling.temperature != 1:
        z = z / z.dtype.type(sampling.temperature)
    if sampling.top_k is not None and sampling.top_k < count:
        first = count - sampling.top_k
        least = np.partition(z, first, axis=-1)[..., first, None]
        z = np.where(z < least, -np.inf, z)
    weights: Array = np.exp(z - np.maximum.reduce(z, axis=-1, keepdims=True))
    if sampling.top_p < 1:
        p = weights / weights.sum(axis=-1, keepdims=True)
        ordered = np.sort(p, axis=-1)[..., ::-1]
        before = ordered.cumsum(axis=-1) - ordered
        # The last one that is needed: what stands before it has less than p together.
        least = np.where(before < sampling.top_p, ordered, 2.0).min(axis=-1, keepdims=True)
        weights = np.where(p < least, 0.0, weights)
    if sampling.min_p > 0:
        least = weights.max(axis=-1, keepdims=True) * sampling.min_p
        weights = np.where(weights < least, 0.0, weights)
    return weights


def penalized(logits: Tensor, seen: Sequence[Sequence[int]], penalty: float) -> Tensor:
    """Logits of which those of tokens that occurred already are lowered (Keskar et al., 2019).

    Shape:
        logits (N, V), N sequences -> (N, V).

    Example:
        >>> penalized(gu.tensor([[2.0, -1.0, 1.0]]), [[0, 1]], 2.0).tolist()
        [[1.0, -2.0, 1.0]]
    """
    known = [set(tokens) for tokens in seen]
    occurred = tensor([[token in row for token in range(logits.shape[-1])] for row in known])
    lower = where(logits > 0, logits / penalty, logits * penalty)
    return where(occurred, lower, logits)
