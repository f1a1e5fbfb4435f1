r"""The transformers of Finch: an encoder that judges and a decoder that answers.

Both read a query in both directions; what follows it, the mark `BOUNDARY` and the tokens of an
answer, reads the query and itself:

* `Decoder` (generator): each token of the answer reads those before it, and gives the distribution
  of the next one: a language model with a prefix (Raffel et al., 2020, section 3.2.1), made of the
  blocks of `groundup.models.gpt`.
* `Encoder` (router, validator): the tokens of the answer, if there is one, read each other; the
  vector of the mark becomes the logit of "right". Beside it the mark `SUMMARY`, which reads the
  query alone, guesses the first token of the answer. That guess is learned from every answer, so
  the encoder knows what queries mean before there are many failures to learn from; and how
  surprising the given answer is under it,

$$s = [\log p(a_1 \mid q),\; \max_t \log p(t \mid q),\; H(p)],$$

  are three more numbers that the logit is made of. Its blocks are those of `groundup.models.bert`.

Shapes: N queries of T tokens with K hashed features each (`reading`), S tokens after them, the
first of them `BOUNDARY`; V tokens in the vocabulary, E features of a vector.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from .... import nn
from ....engine.autograd import no_grad
from ....engine.dtypes import bool_, float32, int64
from ....engine.ops.arithmetic import where
from ....engine.ops.creation import arange, full, ones, tensor, zeros
from ....engine.ops.reductions import log_softmax
from ....engine.ops.shaping import cat
from ....engine.random import Generator
from ....engine.tensor import Tensor
from ....models import bert, gpt
from ....models.cache import KeyValueCache
from ..errors import FinchError
from .tokenizer import BOUNDARY, END, LEAST, PAD, SUMMARY

_NEVER = -1e9
"""Added to the logit of an id that is no token yet."""


@dataclass(frozen=True)
class Sizes:
    """Sizes of one model.

    Attributes:
        vocab: V, ids that the tables have room for.
        rows: of the table of hashed features: the more, the fewer share one.
        width: F, of a row of that table.
        d_model: E.
        layers: blocks.
        heads: of attention; divides E.
        feedforward: hidden units of the second half of a block.
        query: tokens of a query at the most.
        answer: tokens of an answer at the most.
        dropout: of the embeddings and of what the head reads, in training.

    Raises:
        FinchError: sizes that do not fit.

    Example:
        >>> Sizes(vocab=512, rows=256, width=8, d_model=32, layers=1, heads=2, feedforward=64).query
        128
    """

    vocab: int
    rows: int
    width: int
    d_model: int
    layers: int
    heads: int
    feedforward: int
    query: int = 128
    answer: int = 64
    dropout: float = 0.1

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            least = {"vocab": LEAST, "rows": 2, "dropout": 0}.get(name, 1)
            if value < least:
                raise FinchError(f"Sizes: {name} is {value}, expected at least {least}")
        if self.d_model % self.heads:
            raise FinchError(f"Sizes: heads {self.heads} does not divide d_model {self.d_model}")


class _OnePass(KeyValueCache):
    """Keys and values of this pass alone, so that nothing but the mask says who reads whom."""

    def __init__(self) -> None:
        self.batch = 0

    def update(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        return keys, values


class Embedding(nn.Module):
    """Vectors of the tokens of a query and of what follows it.

    A token of the query is the sum of its own vector, the sum of its hashed features over the
    root of their number, and its position's. What follows begins with the query's bag of words
    added: the sum of its vectors over the root of their number.

    Args:
        sizes: of the model.
        generator: where dropout's random numbers come from.

    """

    def __init__(self, sizes: Sizes, generator: Generator) -> None:
        e = sizes.d_model
        self.token = nn.Embedding(sizes.vocab, e)
        self.feature = nn.Embedding(sizes.rows, sizes.width)
        self.spread = nn.Linear(sizes.width, e, bias=False)
        self.query_position = nn.Parameter(zeros(sizes.query, e))
        self.answer_position = nn.Parameter(zeros(sizes.answer + 2, e))
        self.drop = nn.Dropout(sizes.dropout, generator=generator)

    def query(self, tokens: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """The vectors of a query, (N, T, E), and its bag of words, (N, 1, E)."""
        there = (features != 0).to(float32)  # (N, T, K)
        count = there.sum(dim=2).clamp(min=1).sqrt().unsqueeze(-1)
        words = (self.feature(features) * there.unsqueeze(-1)).sum(dim=2) / count  # (N, T, F)
        x = self.token(tokens) + self.spread(words)
        x = x + self.query_position.narrow(0, 0, tokens.shape[1])
        real = (tokens != PAD).to(float32).unsqueeze(-1)
        bag = (x * real).sum(dim=1, keepdim=True) / real.sum(dim=1, keepdim=True).clamp(
            min=1
        ).sqrt()
        return x, bag

    def after(self, tokens: Tensor, bag: Tensor, place: Tensor) -> Tensor:
        """The vectors of what follows, (N, S, E), from its place on, which is counted from 0."""
        return self.token(tokens) + self.answer_position[place + arange(tokens.shape[1])] + bag

    def forward(self, tokens: Tensor, features: Tensor, after: Tensor) -> Tensor:
        """The vectors of all of it, (N, T + S, E)."""
        x, bag = self.query(tokens, features)
        return self.drop(cat([x, self.after(after, bag, zeros(1, dtype=int64))], 1))


class Network(nn.Module):
    """What both have: the embedding, and which ids are tokens.

    Args:
        sizes: of the model.
        seed: of the initial weights and of dropout.
    """

    def __init__(self, sizes: Sizes, seed: int = 0) -> None:
        self.sizes = sizes
        self.generator = Generator(seed)
        self.embedding = Embedding(sizes, self.generator)
        self.bar = nn.Buffer(full((sizes.vocab,), _NEVER))
        self.allow(LEAST)
        self.drop = nn.Dropout(sizes.dropout, generator=self.generator)

    def reset_parameters(self) -> None:
        """Draw new initial values: normal, smaller where they write to the stream of residuals."""
        special = {
            "out": 0.02 / math.sqrt(2 * self.sizes.layers),
            "down": 0.02 / math.sqrt(2 * self.sizes.layers),
            "spread": self.sizes.width**-0.5,
        }
        for name, p in self.named_parameters():
            if p.ndim >= 2:
                std = special.get(name.split(".")[-2], 0.02)
                nn.init.normal_(p, std=std, generator=self.generator)
            elif name.endswith("bias"):
                nn.init.zeros_(p)

    def allow(self, known: int) -> None:
        """Let the first so many ids be written; the marks but `END` never are."""
        place = arange(self.sizes.vocab)
        written = ((place > SUMMARY) | (place == END)) & (place < known)
        self.bar.assign(where(written, 0.0, _NEVER))

    def scores(self, x: Tensor) -> Tensor:
        """Logits of the tokens; the head shares its weights with the embedding."""
        return x @ self.embedding.token.weight.T + self.bar


class Decoder(Network):
    """A transformer that writes an answer to a query.

    Shape:
        tokens (N, T), features (N, T, K), after (N, S) -> logits (N, S, V).

    Example:
        >>> sizes = Sizes(300, 64, 8, 16, layers=1, heads=2, feedforward=32)
        >>> tokens, features = gu.tensor([[5, 6, 0]]), gu.zeros(1, 3, 24, dtype=gu.int64)
        >>> Decoder(sizes)(tokens, features, gu.tensor([[1, 7]])).shape
        (1, 2, 300)
    """

    def __init__(self, sizes: Sizes, seed: int = 0) -> None:
        super().__init__(sizes, seed)
        config = gpt.GPTConfig(
            sizes.vocab,
            sizes.query + sizes.answer + 2,
            sizes.d_model,
            sizes.layers,
            sizes.heads,
            sizes.feedforward,
            positions="none",
        )
        self.blocks = nn.ModuleList([gpt.Block(config) for _ in range(sizes.layers)])
        self.norm = nn.LayerNorm(sizes.d_model)
        self.reset_parameters()

    def forward(self, tokens: Tensor, features: Tensor, after: Tensor) -> Tensor:
        """Logits of the token after each of ``after``."""
        n, t, s = *tokens.shape, after.shape[1]
        place = arange(t + s)
        row, column = place.unsqueeze(1), place.unsqueeze(0)
        allowed = (column < t) | (column <= row)  # the query by all, the answer by what follows it
        real = cat([tokens != PAD, ones(n, s, dtype=bool_)], 1)
        mask = (allowed.unsqueeze(0) & real.unsqueeze(1)).unsqueeze(1)  # (N, 1, T + S, T + S)
        x = self._through(self.embedding(tokens, features, after), mask, _OnePass())
        return self.scores(self.drop(self.norm(x.narrow(1, t, s))))

    def begin(
        self, tokens: Tensor, features: Tensor, cache: KeyValueCache
    ) -> tuple[Tensor, Tensor]:
        """Read a query and the mark after it into a cache.

        Returns:
            Logits of the first token, (N, V), and the bag of words, (N, 1, E), for `step`.
        """
        n, t = tokens.shape
        x, bag = self.embedding.query(tokens, features)
        mark = full((n, 1), BOUNDARY, dtype=tokens.dtype)
        x = cat([x, self.embedding.after(mark, bag, zeros(1, dtype=int64))], 1)
        slot, row = arange(cache.reach), arange(t + 1).unsqueeze(1)
        seen = (slot < t) | ((slot == t) & (row == t))  # the mark is seen by itself alone
        cache.filled.assign(0)
        x = self._through(x, self._real(tokens, cache) & seen, cache)
        cache.advance(t + 1)
        return self.scores(self.norm(x.select(1, t))), bag

    def step(self, tokens: Tensor, bag: Tensor, cache: KeyValueCache, new: Tensor) -> Tensor:
        """Read one more token of the answer, (N, 1); logits of the next one, (N, V)."""
        y = self.embedding.after(new, bag, cache.filled - tokens.shape[1])
        seen = arange(cache.reach) <= cache.filled
        x = self._through(y, self._real(tokens, cache) & seen, cache)
        cache.advance(1)
        return self.scores(self.norm(x.select(1, 0)))

    def make_cache(self, tokens: int) -> KeyValueCache:
        """An empty cache for one query padded to so many tokens and an answer."""
        s = self.sizes
        room = tokens + s.answer + 1
        return KeyValueCache(s.layers, 1, s.heads, s.d_model // s.heads, room)

    def _real(self, tokens: Tensor, cache: KeyValueCache) -> Tensor:
        """Which slots hold no padding of the query, (N, 1, 1, R)."""
        n, t = tokens.shape
        real = cat([tokens != PAD, ones(n, cache.reach - t, dtype=bool_)], 1)
        return real.unsqueeze(1).unsqueeze(1)

    def _through(self, x: Tensor, mask: Tensor, cache: KeyValueCache) -> Tensor:
        nowhere = zeros(1)
        for layer, block in enumerate(self.blocks):
            x = block(x, nowhere, mask, cache, layer)
        return x


class Encoder(Network):
    """A transformer that judges a query, alone or with an answer.

    Shape:
        tokens (N, T), features (N, T, K), after (N, 1 + S), the first of them `SUMMARY` -> logits
        of "right" (N,), log-probabilities of the answer's first token (N, V), vectors of the query
        (N, E).

    Example:
        >>> sizes = Sizes(300, 64, 8, 16, layers=1, heads=2, feedforward=32)
        >>> tokens, features = gu.tensor([[5, 6, 0]]), gu.zeros(1, 3, 24, dtype=gu.int64)
        >>> right, guess, vector = Encoder(sizes)(tokens, features, gu.tensor([[3, 1, 7]]))
        >>> right.shape, guess.shape, vector.shape
        ((1,), (1, 300), (1, 16))
    """

    def __init__(self, sizes: Sizes, seed: int = 0) -> None:
        super().__init__(sizes, seed)
        config = bert.BertConfig(
            vocab_size=sizes.vocab,
            context=sizes.query + sizes.answer + 2,
            d_model=sizes.d_model,
            num_layers=sizes.layers,
            num_heads=sizes.heads,
            dim_feedforward=sizes.feedforward,
            dropout=0.0,
        )
        self.norm = nn.LayerNorm(sizes.d_model)
        self.blocks = nn.ModuleList([bert.Block(config) for _ in range(sizes.layers)])
        self.head = nn.Linear(sizes.d_model, 1)
        self.known = nn.Linear(3, 1)
        self.reset_parameters()
        with no_grad():
            self.known.weight.assign(tensor([[0.5, 0.5, -0.5]]))

    def forward(
        self, tokens: Tensor, features: Tensor, after: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Whether it will be, or is, right; what the answer begins with; the query as a vector."""
        t, s = tokens.shape[1], after.shape[1]
        x = self.norm(self.embedding(tokens, features, after))
        place = arange(t + s)
        row, column = place.unsqueeze(1), place.unsqueeze(0)
        allowed = (column <= t) | (row > t)  # what judges reads all, the rest the query alone
        real = cat([tokens != PAD, after != PAD], 1)
        mask = (allowed.unsqueeze(0) & real.unsqueeze(1)).unsqueeze(1)
        for block in self.blocks:
            x = block(x, mask)
        vector = x.select(1, t)
        guess = log_softmax(self.scores(self.drop(vector)), dim=-1)  # (N, V)
        fixed = guess.detach()
        first = after.narrow(1, min(2, s - 1), 1)  # of the answer; a mark if there is none
        shown = where(first.squeeze(1) > SUMMARY, fixed.gather(1, first).squeeze(1), 0.0)
        doubt = -(fixed.exp() * fixed.clamp(min=-30.0)).sum(dim=1)
        facts = _columns(shown, fixed.amax(dim=1), doubt).clamp(min=-15.0)
        mark = x.select(1, t + 1)
        if s == 2:  # no answer: the blocks would learn by heart which queries failed once
            mark = mark.detach()
        judged = self.head(self.drop(mark)) + self.known(facts)
        return judged.squeeze(1), guess, vector


def _columns(*columns: Tensor) -> Tensor:
    return cat([column.unsqueeze(1) for column in columns], 1)


def sizes_json(sizes: Sizes) -> dict[str, Any]:
    """Sizes as a JSON value.

    Example:
        >>> one = Sizes(300, 64, 8, 16, layers=1, heads=2, feedforward=32)
        >>> Sizes(**sizes_json(one)) == one
        True
    """
    return asdict(sizes)
