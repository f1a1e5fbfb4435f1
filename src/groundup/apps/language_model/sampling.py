"""Text that a language model writes, piece by piece."""

from __future__ import annotations

from collections.abc import Iterator

from ...engine.random import Generator
from ...models import LSTMLanguageModel
from ...models.decoding import GREEDY, RecurrentDecoder, Sampling, SlidingDecoder, stream
from ...text import Tokenizer
from .folder import Writer


def decoder_for(model: Writer) -> SlidingDecoder | RecurrentDecoder:
    """What asks a model for one token after another, without an end.

    Example:
        >>> from groundup.models import LSTMConfig
        >>> type(decoder_for(LSTMLanguageModel(LSTMConfig(10, 4, 8)))).__name__
        'RecurrentDecoder'
    """
    if isinstance(model, LSTMLanguageModel):
        return RecurrentDecoder(model)
    return SlidingDecoder(model)


def write_on(
    model: Writer | SlidingDecoder | RecurrentDecoder,
    tokenizer: Tokenizer,
    prompt: str = "\n",
    max_new_tokens: int = 400,
    sampling: Sampling = GREEDY,
    generator: Generator | None = None,
) -> Iterator[str]:
    """Continue a text; a transformer whose context is full goes on from the last half of it.

    Args:
        model: the model, or what `decoder_for` made of it, which is compiled once.
        tokenizer: its tokenizer.
        prompt: what to continue.
        max_new_tokens: how far.
        sampling: how tokens are chosen.
        generator: where random numbers come from.

    Yields:
        The new text, as soon as it is certain.

    Raises:
        ValueError: an empty prompt, or one that the tokenizer cannot encode.

    Example:
        >>> from groundup.models import LSTMConfig
        >>> from groundup.text import character_tokenizer
        >>> tokenizer = character_tokenizer("abc")
        >>> model = LSTMLanguageModel(LSTMConfig(3, 4, 8))
        >>> len("".join(write_on(model, tokenizer, "ab", 20)))
        20
    """
    ids = tokenizer.encode(prompt, add_special_tokens=False).ids
    if not ids:
        raise ValueError("the prompt is empty; expected at least one character to go on from")
    decoder = model if isinstance(model, SlidingDecoder | RecurrentDecoder) else decoder_for(model)
    decoding = tokenizer.decode_stream()
    for (new,) in stream(decoder, [ids], max_new_tokens, sampling, generator=generator):
        for token in new:
            if piece := decoding.push(token):
                yield piece
    if piece := decoding.finish():
        yield piece
