"""Writing without an end: a transformer that moves its context along, and a recurrent network.

Both are asked for one token after another like `Decoder`, but their `room` has no limit.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...engine.autograd import no_grad
from ...engine.compiler.run import compile
from ...engine.ops.creation import tensor
from ...engine.ops.shaping import cat
from ...engine.tensor import Tensor
from ..gpt import GPT
from ..llama import Llama
from ..lstm import LSTMLanguageModel, State
from .decoder import Decoder, Prompts, check_prompts


class SlidingDecoder:
    """A decoder that, when its context is full, reads the last half of it again and goes on.

    Of longer prompts it reads the end.

    Args:
        model: the model; it is put into evaluation mode.

    Example:
        >>> from groundup.models import GPT, GPTConfig
        >>> from groundup.models.decoding import generate
        >>> sizes = dict(vocab_size=10, context=8, d_model=16, num_layers=1, num_heads=2)
        >>> model = GPT(GPTConfig(**sizes))
        >>> len(generate(SlidingDecoder(model), [[1, 2, 3]], max_new_tokens=30)[0])
        30
    """

    room: int | None = None

    def __init__(self, model: GPT | Llama) -> None:
        self._inner = Decoder(model)
        self._context = model.config.context
        self._texts: list[list[int]] = []

    def read(self, prompts: Prompts) -> Tensor:
        """Begin with the ends of these prompts; the logits of the token after each, (N, V).

        Raises:
            ValueError: no prompt, an empty one, or a token that the model does not know.
        """
        self._texts = [list(prompt[-self._context :]) for prompt in prompts]
        return self._inner.read(self._texts)

    def step(self, tokens: Sequence[int]) -> Tensor:
        """Add a token to each sequence; the logits of the next one, (N, V)."""
        for text, token in zip(self._texts, tokens, strict=True):
            text.append(token)
        if self._inner.room:
            return self._inner.step(tokens)
        kept = max(1, self._context // 2)
        return self.read([text[-kept:] for text in self._texts])

    def select(self, rows: Sequence[int]) -> None:
        """Keep these sequences, in this order."""
        self._texts = [self._texts[row][:] for row in rows]
        self._inner.select(rows)


class RecurrentDecoder:
    """A recurrent language model with its state.

    Args:
        model: the model; it is put into evaluation mode.

    Example:
        >>> from groundup.models import LSTMConfig, LSTMLanguageModel
        >>> from groundup.models.decoding import generate
        >>> model = LSTMLanguageModel(LSTMConfig(10, d_model=4, hidden_size=8))
        >>> [len(text) for text in generate(RecurrentDecoder(model), [[1, 2, 3], [4]], 30)]
        [30, 30]
    """

    room: int | None = None

    def __init__(self, model: LSTMLanguageModel) -> None:
        self.model = model.eval()
        self._state: State | None = None
        self._step = compile(self._one)

    @no_grad()
    def read(self, prompts: Prompts) -> Tensor:
        """Begin with these prompts; the logits of the token after each, (N, V).

        Raises:
            ValueError: no prompt, an empty one, or a token that the model does not know.
        """
        longest = max(map(len, prompts), default=0)
        check_prompts(prompts, self.model.config.vocab_size, longest)
        logits, h, c = [], [], []
        for prompt in prompts:
            scores, (one_h, one_c) = self.model.read(tensor([list(prompt)]))
            logits.append(scores[:, -1])
            h.append(one_h)
            c.append(one_c)
        self._state = cat(h, 1), cat(c, 1)
        return cat(logits, 0)

    @no_grad()
    def step(self, tokens: Sequence[int]) -> Tensor:
        """Add a token to each sequence; the logits of the next one, (N, V)."""
        assert self._state is not None
        logits, h, c = self._step(tensor(tokens).unsqueeze(1), *self._state)
        self._state = h, c
        return logits

    def _one(self, tokens: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits, (h, c) = self.model.read(tokens, (h, c))
        return logits.squeeze(1), h, c

    def select(self, rows: Sequence[int]) -> None:
        """Keep these sequences, in this order."""
        assert self._state is not None
        chosen = tensor(rows)
        h, c = self._state
        self._state = h[:, chosen], c[:, chosen]
