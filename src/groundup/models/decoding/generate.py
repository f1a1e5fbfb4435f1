"""Text that goes on: tokens are chosen one after another until a stop, the end or the limit.

`stream` gives them as they come, `generate` all together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...engine.random import Generator
from ..gpt import GPT
from ..llama import Llama
from .decoder import Prompts, Stepping, decoder_of
from .sampling import GREEDY, Sampling, choose


def generate(
    model: GPT | Llama | Stepping,
    prompts: Prompts,
    max_new_tokens: int | None = None,
    sampling: Sampling = GREEDY,
    *,
    stop: Sequence[Sequence[int]] = (),
    generator: Generator | None = None,
) -> list[list[int]]:
    """Write on after each prompt.

    Args:
        model: a decoder-only model, or a `Decoder` or `TranslationDecoder` around one.
        prompts: tokens to begin with, for each sequence; their lengths may differ. For an
            encoder-decoder the sources.
        max_new_tokens: tokens that are written at most; None: as many as the context has room for.
        sampling: how the next token is chosen; greedy by default.
        stop: sequences of tokens, such as ``[[end_of_text]]``, after which a text is complete; they
            are not part of it.
        generator: where random numbers come from; the same state gives the same text.

    Returns:
        The new tokens of each sequence, without its prompt.

    Raises:
        ValueError: prompts that the model cannot read, more tokens than the context has room for,
            an empty stop.

    Example:
        >>> from groundup.models import GPT, GPTConfig
        >>> _ = gu.manual_seed(0)
        >>> sizes = dict(vocab_size=10, context=32, d_model=16, num_layers=1, num_heads=2)
        >>> found = generate(GPT(GPTConfig(**sizes)), [[1, 2, 3], [4]], max_new_tokens=5)
        >>> [len(text) for text in found]
        [5, 5]
    """
    texts: list[list[int]] = [[] for _ in prompts]
    for new in stream(model, prompts, max_new_tokens, sampling, stop=stop, generator=generator):
        for text, tokens in zip(texts, new, strict=True):
            text += tokens
    return texts


def stream(
    model: GPT | Llama | Stepping,
    prompts: Prompts,
    max_new_tokens: int | None = None,
    sampling: Sampling = GREEDY,
    *,
    stop: Sequence[Sequence[int]] = (),
    generator: Generator | None = None,
) -> Iterator[list[list[int]]]:
    """As `generate`, but each token as soon as it is sure to belong to the text.

    What may be the beginning of a stop is held back until that is decided.

    Yields:
        After each step, for each sequence the tokens that are new: none if it has ended or if they
        are held back, more than one if they were.

    Example:
        >>> from groundup.models import GPT, GPTConfig
        >>> sizes = dict(vocab_size=10, context=32, d_model=16, num_layers=1, num_heads=2)
        >>> len(list(stream(GPT(GPTConfig(**sizes)), [[1, 2, 3]], max_new_tokens=5)))
        5
    """
    decoder = decoder_of(model) if isinstance(model, (GPT, Llama)) else model
    if any(len(sequence) == 0 for sequence in stop):
        raise ValueError(f"stop is {list(stop)}: an empty sequence would end every text at once")
    if max_new_tokens is not None and max_new_tokens < 1:
        raise ValueError(f"max_new_tokens is {max_new_tokens}, expected at least 1")
    logits = decoder.read(prompts)
    room = decoder.room
    limit = max_new_tokens if max_new_tokens is not None else (room or 0) + 1
    if room is not None and limit > room + 1:
        raise ValueError(
            f"max_new_tokens is {limit}, but after the longest prompt the model's context has room "
            f"for {room + 1}; shorten the prompt or ask for fewer"
        )
    stops = [list(sequence) for sequence in stop]
    texts = [list(prompt) for prompt in prompts]
    held: list[list[int]] = [[] for _ in prompts]
    running = [True] * len(prompts)
    for left in range(limit - 1, -1, -1):
        chosen = choose(logits, sampling, texts, generator)
        sure: list[list[int]] = [[] for _ in prompts]
        for row in (row for row, runs in enumerate(running) if runs):
            texts[row].append(chosen[row])
            waiting = [*held[row], chosen[row]]
            found = next((stop for stop in stops if waiting[-len(stop) :] == stop), None)
            running[row] = found is None and left > 0
            if found is not None:
                keep, held[row] = len(waiting) - len(found), []
            else:
                keep = len(waiting) - (_may_begin(stops, waiting) if left else 0)
                held[row] = waiting[keep:]
            sure[row] = waiting[:keep]
        yield sure
        if not any(running):
            return
        logits = decoder.step(chosen)


def _may_begin(stops: list[list[int]], tokens: list[int]) -> int:
    """How many of the last tokens may be the beginning of a stop.

    Example:
        >>> _may_begin([[1, 2, 3]], [7, 1, 2]), _may_begin([[1, 2, 3]], [7])
        (2, 0)
    """
    longest = 0
    for sequence in stops:
        for count in range(min(len(sequence) - 1, len(tokens)), longest, -1):
            if tokens[-count:] == sequence[:count]:
                longest = count
                break
    return longest
