"""What router and validator share: an encoder that learns to judge, and what it says."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ....engine.autograd import no_grad
from ....engine.compiler.run import compile
from ....engine.ops.creation import tensor
from ....engine.tensor import Tensor
from ....nn import functional as F
from .answers import given
from .learner import Learner
from .network import Encoder, Sizes
from .online import Online
from .reading import BLANK, Reading, packed, rounded
from .tokenizer import BOUNDARY, SUMMARY, TrafficTokenizer


def judging_loss(
    net: Encoder,
    tokens: Tensor,
    features: Tensor,
    after: Tensor,
    first: Tensor,
    right: Tensor,
    weight: Tensor,
) -> Tensor:
    """How wrong the guess of the answer's first token is, and how wrong the judgement.

    Args:
        net: the encoder.
        tokens, features, after: what it reads.
        first: the first token of the remote answer, (N,).
        right: 1 for what was right, 0 for what was not, (N,).
        weight: of the judgement of each, 0 where it is not known, (N,).

    Example:
        >>> sizes = Sizes(300, 64, 8, 16, layers=1, heads=2, feedforward=32)
        >>> x = [gu.full((1, 8), 5), gu.ones(1, 8, 24, dtype=gu.int64), gu.tensor([[3, 1]])]
        >>> judging_loss(Encoder(sizes), *x, gu.tensor([70]), gu.ones(1), gu.ones(1)).shape
        ()
    """
    judged, guess, _ = net(tokens, features, after)
    wrong = F.binary_cross_entropy_with_logits(judged, right, reduction="none")
    return F.nll_loss(guess, first) + (wrong * weight).mean()


class Judge(Learner[Encoder]):
    """An encoder that learns online.

    Args:
        sizes: of the model.
        tokenizer: shared with the other models.
        seed: of weights, dropout and the words that are left out.
        rate: learning rate.

    Attributes:
        head_pace: how fast the head learns, compared with the rest.

    Example:
        >>> sizes = Sizes(300, 64, 8, 16, layers=1, heads=2, feedforward=32)
        >>> 0 < Judge(sizes, TrafficTokenizer(300)).judge("a query", ()) < 1
        True
    """

    head_pace: ClassVar[float] = 1.0

    def __init__(
        self, sizes: Sizes, tokenizer: TrafficTokenizer, seed: int = 0, rate: float = 2e-3
    ) -> None:
        online = Online(
            Encoder(sizes, seed),
            Encoder(sizes, seed),
            judging_loss,
            rate,
            head_pace=self.head_pace,
        )
        super().__init__(sizes, tokenizer, online, seed)
        self._programs: dict[tuple[int, int], Callable[..., tuple[Tensor, Tensor]]] = {}

    def _all(self, tokens: Tensor, features: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
        judged, _, vector = self.online.average(tokens, features, after)
        return judged, vector

    def judge(self, query: str, answer: Sequence[int] | None) -> float:
        """The probability of "right" for a query and the tokens of an answer; 0 if too long."""
        found = self._read(query, answer)
        return 0.0 if found is None else 1 / (1 + math.exp(-max(-50.0, found[0].item())))

    def vector(self, text: str) -> NDArray[np.float32] | None:
        """What a text means to it, as a vector of length 1, (E,); None if it is too long."""
        found = self._read(text, ())
        if found is None:
            return None
        vector: NDArray[np.float32] = found[1].detach().numpy()[0].copy()
        return vector / max(float(np.linalg.norm(vector)), 1e-12)

    def prepare(self, length: int, tokens: int) -> None:
        """Compile what judges queries of this length.

        Args:
            length: that a query is padded to.
            tokens: that an answer is padded to; 0 without an answer.
        """
        after = np.full((1, 1 + max(tokens, 1)), SUMMARY, np.int64)
        self._judged(*packed([BLANK], length), after)

    def _read(self, query: str, answer: Sequence[int] | None) -> tuple[Tensor, Tensor] | None:
        reading = self.reader.read(query)
        if reading is None or answer is None or len(answer) > self.sizes.answer:
            return None
        length = min(rounded(len(reading.ids)), self.sizes.query)
        return self._judged(*packed([reading], length), self.after([answer]))

    @no_grad()
    def _judged(
        self, tokens: NDArray[Any], features: NDArray[Any], after: NDArray[Any]
    ) -> tuple[Tensor, Tensor]:
        """What the average says, by a program for each length, so that none waits for another."""
        shape = tokens.shape[1], after.shape[1]
        given = tensor(tokens), tensor(features), tensor(after)
        if shape not in self._programs:
            self._programs[shape] = compile(self._all).settled(*given)
        return self._programs[shape](*given)

    def after(self, answers: Sequence[Sequence[int]]) -> NDArray[Any]:
        """What stands behind the queries: the mark, then the tokens of the answers if any."""
        summary = np.full((len(answers), 1), SUMMARY, np.int64)
        mark = np.full((len(answers), 1), BOUNDARY, np.int64)
        return np.hstack([summary, given(answers, self.sizes.answer) if any(answers) else mark])

    def readings(self, queries: Sequence[str]) -> list[Reading]:
        """The queries as it reads them; those that are too long are left out."""
        return [r for query in queries if (r := self.reader.read(query)) is not None]
