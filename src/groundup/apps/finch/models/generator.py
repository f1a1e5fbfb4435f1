"""The generator: a decoder that writes what the remote model would answer."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ....engine.autograd import no_grad
from ....engine.compiler.run import compile
from ....engine.dtypes import int64
from ....engine.ops.creation import tensor, zeros
from ....engine.ops.reductions import log_softmax
from ....engine.tensor import Tensor
from ....models.cache import KeyValueCache
from ....nn import functional as F
from .answers import followed, thinned
from .learner import Learner
from .network import Decoder, Sizes
from .online import Online
from .reading import BLANK, packed, rounded
from .replay import Example
from .tokenizer import END, TrafficTokenizer

LEAST = 0.01
"""Probability of an answer that is still worth being written to its end."""


def answer_loss(
    net: Decoder, tokens: Tensor, features: Tensor, shown: Tensor, wanted: Tensor, weight: Tensor
) -> Tensor:
    """Cross-entropy of the answers' tokens, the mean over the answers' sums.

    Shape:
        tokens (N, T), features (N, T, K), shown, wanted, weight (N, S) -> ().

    Example:
        >>> sizes = Sizes(300, 64, 8, 16, layers=1, heads=2, feedforward=32)
        >>> x = [gu.full((1, 8), 5), gu.ones(1, 8, 24, dtype=gu.int64), gu.full((1, 2), 1)]
        >>> answer_loss(Decoder(sizes), *x, gu.full((1, 2), 7), gu.ones(1, 2)).shape
        ()
    """
    logits = net(tokens, features, shown)
    each = F.cross_entropy(logits.flatten(0, 1), wanted.flatten(), reduction="none")
    return (each * weight.flatten()).sum() / weight.sum()


class Generator(Learner[Decoder]):
    """Writes an answer, and says how sure it is.

    Args:
        sizes: of the model.
        tokenizer: shared with the other models.
        seed: of weights, dropout and the words that are left out.
        rate: learning rate.

    Example:
        >>> sizes = Sizes(300, 64, 8, 16, layers=1, heads=2, feedforward=32)
        >>> generator = Generator(sizes, TrafficTokenizer(300), rate=0.02)
        >>> for _ in range(30):
        ...     loss = generator.update([Example("ping?", "a"), Example("tick?", "b")])
        >>> generator.suggest("tick?")[0]
        'b'
    """

    def __init__(
        self, sizes: Sizes, tokenizer: TrafficTokenizer, seed: int = 0, rate: float = 2e-3
    ) -> None:
        online = Online(Decoder(sizes, seed), Decoder(sizes, seed), answer_loss, rate)
        super().__init__(sizes, tokenizer, online, seed)
        self._writers: dict[int, _Writer] = {}

    def fits(self, query: str, answer: str) -> bool:
        """Whether it can read this query and write this answer."""
        if len(answer) > 16 * self.sizes.answer or self.reader.read(query) is None:
            return False
        return 0 < len(self.tokenizer.encode_answer(answer)) <= self.sizes.answer

    def update(self, examples: Sequence[Example]) -> float:
        """One step of learning from examples that fit; the loss before it."""
        readings = [r for one in examples if (r := self.reader.read(one.query)) is not None]
        answers = [self.tokenizer.encode_answer(one.answer) for one in examples]
        return self.online.update(
            [*thinned(readings, self._random), *followed(answers, self.sizes.answer)]
        )

    def suggest(self, query: str) -> tuple[str | None, float]:
        """What it would answer, and the probability that it gives to exactly that.

        Returns:
            (answer, score); (None, 0) if the query is too long, or the answer does not end, is no
            text, or is less probable than `LEAST`.
        """
        reading = self.reader.read(query)
        if reading is None:
            return None, 0.0
        length = min(rounded(len(reading.ids)), self.sizes.query)
        ids, surprise = self._writer(length).write(*packed([reading], length))
        if ids is None or not ids:
            return None, 0.0
        text = self.tokenizer.decode(ids)
        return (None, 0.0) if "\N{REPLACEMENT CHARACTER}" in text else (text, math.exp(surprise))

    def prepare(self, length: int) -> None:
        """Compile what answers queries that are padded to this length."""
        self._writer(length)

    def _writer(self, length: int) -> _Writer:
        if length not in self._writers:
            self._writers[length] = _Writer(self.online.average, length)
        return self._writers[length]


class _Writer:
    """Greedy decoding with a cache, compiled for queries that are padded to one length."""

    def __init__(self, net: Decoder, length: int) -> None:
        self.net, self.most = net, net.sizes.answer
        self.cache: KeyValueCache = net.make_cache(length)
        self.bag = zeros(1, 1, net.sizes.d_model)
        blank = [tensor(x) for x in packed([BLANK], length)]
        with no_grad():
            self._begin = compile(self._first).settled(*blank)
            self._step = compile(self._next).settled(blank[0], tensor([[END]], dtype=int64))

    def _first(self, tokens: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        logits, bag = self.net.begin(tokens, features, self.cache)
        self.bag.assign(bag)
        return _best(logits)

    def _next(self, tokens: Tensor, new: Tensor) -> tuple[Tensor, Tensor]:
        return _best(self.net.step(tokens, self.bag, self.cache, new))

    @no_grad()
    def write(
        self, tokens: NDArray[np.int64], features: NDArray[np.int64]
    ) -> tuple[list[int] | None, float]:
        """The tokens of the answer and the logarithm of their probability; None if it goes on.

        What nobody would serve is not written to its end.
        """
        query = tensor(tokens)
        value, token = self._begin(query, tensor(features))
        ids: list[int] = []
        surprise = 0.0
        while True:
            surprise += float(value.item())
            found = int(token.item())
            if found == END:
                return ids, surprise
            if len(ids) == self.most or surprise < math.log(LEAST):
                return None, surprise
            ids.append(found)
            value, token = self._step(query, tensor([[found]], dtype=int64))


def _best(logits: Tensor) -> tuple[Tensor, Tensor]:
    """The logarithm of the highest probability, and whose it is."""
    found = log_softmax(logits, dim=-1).max(dim=-1)
    return found[0], found[1]
