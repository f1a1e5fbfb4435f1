"""A model that is being asked for one token after another: its cache, and its compiled step.

`Decoder` serves decoder-only models, `TranslationDecoder` encoder-decoders; what generates text
knows only their four methods. The step that adds one token has the same shapes every time, so it is
compiled once for a batch size and a capacity; whether the model is still what it was compiled for
is looked at once for each text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol
from weakref import WeakKeyDictionary

from ...engine.autograd import no_grad
from ...engine.compiler.run import Compiled, compile
from ...engine.dtypes import int64
from ...engine.ops.creation import arange, tensor, zeros
from ...engine.tensor import Tensor
from ..cache import KeyValueCache
from ..encoder_decoder import Transformer
from ..gpt import GPT
from ..llama import Llama

_USUAL = 2048
"""Tokens that a cache has room for to begin with; what none was written to takes no memory."""

Prompts = Sequence[Sequence[int]]


class Stepping(Protocol):
    """What generates token by token.

    Example:
        >>> sorted(name for name in vars(Stepping) if not name.startswith("_"))
        ['read', 'room', 'select', 'step']
    """

    def read(self, prompts: Prompts) -> Tensor:
        """Begin with these prompts; the logits of the token after each, (N, V)."""

    def step(self, tokens: Sequence[int]) -> Tensor:
        """Add a token to each sequence; the logits of the next one, (N, V)."""

    def select(self, rows: Sequence[int]) -> None:
        """Keep these sequences, in this order."""

    @property
    def room(self) -> int | None:
        """Tokens that still fit into the model's context; None: any number."""


class Decoder:
    """A decoder-only model with its cache.

    Prompts of different lengths are padded on the left, so that all end in the same slot.

    Args:
        model: the model; it is put into evaluation mode.
        capacity: slots of the cache to begin with; None: for the context, but for no more than
            2,048 tokens.
        cache: `KeyValueCache`, or `QuantizedCache` for a quarter of the memory.

    Example:
        >>> from groundup.models import GPT, GPTConfig
        >>> sizes = dict(vocab_size=10, context=32, d_model=16, num_layers=1, num_heads=2)
        >>> decoder = Decoder(GPT(GPTConfig(**sizes)))
        >>> decoder.read([[1, 2, 3], [4]]).shape, decoder.step([5, 6]).shape, decoder.room
        ((2, 10), (2, 10), 28)
    """

    def __init__(
        self,
        model: GPT | Llama,
        capacity: int | None = None,
        cache: type[KeyValueCache] = KeyValueCache,
    ) -> None:
        self.model = model.eval()
        usual = min(model.config.context, _USUAL)
        self.capacity = usual + max(16, usual // 8) if capacity is None else capacity
        self.kind = cache
        self._cache: KeyValueCache | None = None
        self._known: set[tuple[int, int]] = set()
        self._length = self._slots = self._reach = 0
        self._compiled: dict[int, _Compiled] = {}
        self._step: Callable[[Tensor], Tensor] | None = None

    @property
    def room(self) -> int | None:
        """Tokens that still fit into the model's context."""
        return self.model.config.context - self._length

    @no_grad()
    def read(self, prompts: Prompts) -> Tensor:
        """Begin with these prompts; the logits of the token after each, (N, V).

        Raises:
            ValueError: no prompt, an empty one, one longer than the context, or a token that the
                model does not know.
        """
        check_prompts(prompts, self.model.config.vocab_size, self.model.config.context)
        longest = max(map(len, prompts))
        if self._cache is None or self._cache.batch != len(prompts):
            self._cache = self.model.make_cache(len(prompts), self.capacity, self.kind)
            self._compiled = {}
        # Lengths that are met again are compiled, a few for all, with padding before the prompts.
        slots = min(rounded(longest), self.model.config.context)
        again = (len(prompts), slots) in self._known
        self._known.add((len(prompts), slots))
        slots = slots if again else longest
        self._length, self._slots, self._reach = longest, 0, 0
        self._cache.filled.assign(0)
        self._cache.start.assign(tensor([slots - len(prompt) for prompt in prompts], dtype=int64))
        self._reserve(slots)
        tokens = tensor([[0] * (slots - len(prompt)) + list(prompt) for prompt in prompts])
        self._slots = slots
        return self._programs().last(tokens) if again else self._last(tokens)

    def step(self, tokens: Sequence[int]) -> Tensor:
        """Add a token to each sequence; the logits of the next one, (N, V)."""
        self._reserve(1)
        self._length += 1
        self._slots += 1
        if self._step is None:
            self._given = zeros(len(tokens), 1, dtype=int64)
            self._places = self._given.numpy()[:, 0]
            with no_grad():
                self._step = self._programs().last.settled(self._given)
        self._places[:] = tokens
        return self._step(self._given)

    @no_grad()
    def extend(self, tokens: Sequence[int]) -> Tensor:
        """Add several tokens to the only sequence; the logits after each of them, (tokens, V)."""
        self._reserve(len(tokens))
        self._length += len(tokens)
        self._slots += len(tokens)
        return self._programs().every(tensor([tokens])).squeeze(0)

    def _logits(self, tokens: Tensor) -> Tensor:
        return self.model(tokens, cache=self._cache)

    def _last(self, tokens: Tensor) -> Tensor:
        return self.model(tokens, cache=self._cache, last=1).squeeze(1)

    @no_grad()
    def take_back(self, count: int) -> None:
        """Forget the last tokens of each sequence."""
        assert self._cache is not None
        self._length -= count
        self._slots -= count
        self._cache.advance(-count)

    @no_grad()
    def select(self, rows: Sequence[int]) -> None:
        """Keep these sequences, in this order."""
        assert self._cache is not None
        self._cache.select(tensor(rows))

    def _reserve(self, count: int) -> None:
        assert self._cache is not None
        if self._slots + count > self._reach:
            with no_grad():
                self._cache.reserve(count)
            self._reach, self._step = self._cache.reach, None

    def _programs(self) -> _Compiled:
        """What is compiled for the cache as it is."""
        assert self._cache is not None
        if self._cache.capacity != self.capacity:
            self._compiled, self.capacity = {}, self._cache.capacity
        if self._reach not in self._compiled:
            self._compiled[self._reach] = _Compiled(compile(self._logits), compile(self._last))
        return self._compiled[self._reach]


@dataclass(frozen=True)
class _Compiled:
    """The model with a cache of one reach: logits of every token, and of the last."""

    every: Compiled[[Tensor], Tensor]
    last: Compiled[[Tensor], Tensor]


def rounded(length: int) -> int:
    """Slots that a prompt is given once its length has been met before: few lengths are compiled.

    Example:
        >>> [rounded(length) for length in (1, 16, 17, 65, 1000)]
        [16, 16, 32, 80, 1024]
    """
    step = max(16, 1 << max(0, (length - 1).bit_length() - 3))
    return -(-length // step) * step


class TranslationDecoder:
    """An encoder-decoder with the cache of its decoder.

    Args:
        model: the model; it is put into evaluation mode.
        begin: the token with which every target begins.
        copies: sequences written for each source, for beam search.

    Example:
        >>> from groundup.models import Transformer, TransformerConfig
        >>> sizes = dict(vocab_size=10, context=8, d_model=16, num_layers=1, dim_feedforward=32)
        >>> decoder = TranslationDecoder(Transformer(TransformerConfig(num_heads=2, **sizes)), 0)
        >>> decoder.read([[1, 2, 3], [4]]).shape, decoder.step([5, 6]).shape
        ((2, 10), (2, 10))
    """

    def __init__(self, model: Transformer, begin: int, copies: int = 1) -> None:
        self.model = model.eval()
        self.begin, self.copies = begin, copies
        self._length = 0

    @property
    def room(self) -> int | None:
        """Tokens that still fit into the model's context."""
        return self.model.config.context - self._length

    @no_grad()
    def read(self, prompts: Prompts) -> Tensor:
        """Read these sources; the logits of the first token of each target, (N, V).

        Raises:
            ValueError: as `Decoder.read`.
        """
        check_prompts(prompts, self.model.config.vocab_size, self.model.config.context)
        longest = max(map(len, prompts))
        rows = [prompt for prompt in prompts for _ in range(self.copies)]
        source = tensor([[*prompt, *[0] * (longest - len(prompt))] for prompt in rows])
        lengths = tensor([[len(prompt)] for prompt in rows])
        self._mask = arange(longest) < lengths
        self._memory = self.model.encode(source, self._mask)
        self._cache = self.model.make_cache(len(rows), self.model.config.context)
        self._step = compile(self._one)
        self._length = 0
        return self.step([self.begin] * len(rows))

    @no_grad()
    def step(self, tokens: Sequence[int]) -> Tensor:
        """Add a token to each target; the logits of the next one, (N, V)."""
        self._length += 1
        return self._step(tensor(tokens).unsqueeze(1))

    def _one(self, tokens: Tensor) -> Tensor:
        return self.model.decode(tokens, self._memory, self._mask, self._cache).squeeze(1)

    @no_grad()
    def select(self, rows: Sequence[int]) -> None:
        """Keep these targets, in this order; they must be of the same source each."""
        self._cache.select(tensor(rows))


def check_prompts(prompts: Prompts, vocab_size: int, context: int) -> None:
    """Refuse prompts that a model cannot read.

    Raises:
        ValueError: what is wrong with which prompt.

    Example:
        >>> check_prompts([[1, 99]], vocab_size=10, context=8)
        Traceback (most recent call last):
        ...
        ValueError: prompt 0: token 99 at place 1, but the model knows 0 to 9; was it made with...
    """
    if not prompts:
        raise ValueError("no prompt given, expected at least one list of tokens")
    for number, prompt in enumerate(prompts):
        if not len(prompt):
            raise ValueError(f"prompt {number} is empty, expected at least one token to begin with")
        if len(prompt) > context:
            raise ValueError(
                f"prompt {number} has {len(prompt):,} tokens, but the model's context is "
                f"{context:,}; shorten it"
            )
        for place, token in enumerate(prompt):
            if not 0 <= token < vocab_size:
                raise ValueError(
                    f"prompt {number}: token {token} at place {place}, but the model knows 0 to "
                    f"{vocab_size - 1}; was it made with another tokenizer?"
                )


_decoders: WeakKeyDictionary[GPT | Llama, Decoder] = WeakKeyDictionary()


def decoder_of(model: GPT | Llama) -> Decoder:
    """The decoder of a model: the same one each time, so that its step is compiled once.

    Example:
        >>> from groundup.models import GPT, GPTConfig
        >>> sizes = dict(vocab_size=10, context=32, d_model=16, num_layers=1, num_heads=2)
        >>> model = GPT(GPTConfig(**sizes))
        >>> decoder_of(model) is decoder_of(model)
        True
    """
    if model not in _decoders:
        _decoders[model] = Decoder(model)
    return _decoders[model]
