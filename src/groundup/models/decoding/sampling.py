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

from ...engine.ops.arithmetic import where
from ...engine.ops.creation import multinomial, tensor
from ...engine.ops.reductions import softmax
from ...engine.random import Generator
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
        return logits.argmax(dim=-1).tolist()
    probabilities = distribution(logits, sampling)
    return multinomial(probabilities, 1, generator=generator).squeeze(1).tolist()


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
    if sampling.greedy:
        best = logits.argmax(dim=-1, keepdim=True)
        places = tensor(range(logits.shape[-1]))
        return (places == best).to(logits.dtype)
    logits = logits / sampling.temperature
    if sampling.top_k is not None and sampling.top_k < logits.shape[-1]:
        least = logits.topk(sampling.top_k, dim=-1)[0].narrow(-1, sampling.top_k - 1, 1)
        logits = logits.masked_fill(logits < least, -math.inf)
    if sampling.top_p < 1:
        probabilities = softmax(logits, -1)
        ordered = probabilities.sort(dim=-1, descending=True)[0]
        before = ordered.cumsum(dim=-1) - ordered
        # The last one that is needed: what stands before it has less than p together.
        least = where(before < sampling.top_p, ordered, 2.0).amin(dim=-1, keepdim=True)
        logits = logits.masked_fill(probabilities < least, -math.inf)
    if sampling.min_p > 0:
        probabilities = softmax(logits, -1)
        least = probabilities.amax(dim=-1, keepdim=True) * sampling.min_p
        logits = logits.masked_fill(probabilities < least, -math.inf)
    return softmax(logits, -1)


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
