r"""Beam search: the best few unfinished texts are kept, and each is continued in every way.

A text $y$ is scored by its logarithmic probability over a length penalty, without which short texts
would win because every token costs (Wu et al., 2016, equation 14):

$$s(y) = \frac{\log p(y)}{\mathrm{lp}(y)}, \qquad
\mathrm{lp}(y) = \Big(\frac{5 + |y|}{6}\Big)^{\alpha}$$
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...engine.ops.creation import tensor
from ...engine.ops.reductions import log_softmax
from ..gpt import GPT
from ..llama import Llama
from .decoder import Stepping, decoder_of


@dataclass(frozen=True)
class Hypothesis:
    """A text that beam search found.

    Attributes:
        tokens: without the prompt and without the end.
        log_probability: of the tokens and the end, in nats.
        score: by which texts are compared.

    Example:
        >>> Hypothesis([3, 1], -2.0, -1.7).tokens
        [3, 1]
    """

    tokens: list[int]
    log_probability: float
    score: float


def length_penalty(length: int, alpha: float) -> float:
    """By what the logarithmic probability of a text is divided (Wu et al., 2016, equation 14).

    Example:
        >>> length_penalty(1, 0.6), length_penalty(7, 1.0)
        (1.0, 2.0)
    """
    return ((5 + length) / 6) ** alpha


def beam_search(
    model: GPT | Llama | Stepping,
    prompt: Sequence[int],
    end: int,
    max_new_tokens: int,
    beams: int = 4,
    alpha: float = 0.6,
) -> list[Hypothesis]:
    """The best texts after a prompt, best first.

    The search ends when no unfinished text can become better than the finished ones, or at the
    limit, where unfinished ones count as they are.

    Args:
        model: a decoder-only model or its `Decoder`; for an encoder-decoder a `TranslationDecoder`
            with as many copies as beams.
        prompt: tokens to begin with, or the source.
        end: the token that ends a text.
        max_new_tokens: tokens that are written at most, the end included.
        beams: texts that are kept.
        alpha: strength of the length penalty; 0: none.

    Returns:
        At most ``beams`` hypotheses.

    Raises:
        ValueError: fewer than one beam or token, or a prompt that the model cannot read.

    Example:
        >>> from groundup.models import GPT, GPTConfig
        >>> sizes = dict(vocab_size=10, context=32, d_model=16, num_layers=1, num_heads=2)
        >>> found = beam_search(GPT(GPTConfig(**sizes)), [1, 2], end=0, max_new_tokens=5)
        >>> len(found), found[0].score >= found[1].score
        (4, True)
    """
    if beams < 1 or max_new_tokens < 1:
        raise ValueError(
            f"beams {beams}, max_new_tokens {max_new_tokens}: expected at least 1 of each"
        )
    if isinstance(model, (GPT, Llama)):
        decoder: Stepping = decoder_of(model)
        logits = decoder.read([prompt] * beams)
    else:
        decoder = model
        logits = decoder.read([prompt] * (beams if getattr(model, "copies", 1) == 1 else 1))
    texts: list[list[int]] = [[]]
    scores = [0.0]
    finished: list[Hypothesis] = []
    for length in range(1, max_new_tokens + 1):
        steps = log_softmax(logits, -1).narrow(0, 0, len(texts))
        total = steps + tensor(scores, dtype=steps.dtype).unsqueeze(1)
        vocabulary = total.shape[1]
        # Each text has one continuation that ends it, so twice the beams leave enough.
        best, places = total.flatten().topk(min(2 * beams, total.numel()))
        going_on: list[tuple[int, int, float]] = []
        for rank, (score, place) in enumerate(zip(best.tolist(), places.tolist(), strict=True)):
            row, token = divmod(place, vocabulary)
            if token == end:
                if rank < beams:
                    finished.append(_finished(texts[row], score, length, alpha))
            elif len(going_on) < beams:
                going_on.append((row, token, score))
        finished = sorted(finished, key=lambda found: -found.score)[:beams]
        rows = [row for row, _, _ in going_on]
        texts = [[*texts[row], token] for row, token, _ in going_on]
        scores = [score for _, _, score in going_on]
        # Scores only fall, and no penalty is larger than that of the longest text.
        hope = max(scores) / length_penalty(max_new_tokens, alpha)
        if len(finished) == beams and finished[-1].score >= hope:
            break
        if length < max_new_tokens:
            spare = beams - len(rows)
            decoder.select(rows + rows[:1] * spare)
            logits = decoder.step([text[-1] for text in texts] + [texts[0][-1]] * spare)
    else:
        for text, score in zip(texts, scores, strict=True):
            finished.append(_finished(text, score, max_new_tokens, alpha))
    return sorted(finished, key=lambda found: -found.score)[:beams]


def _finished(text: list[int], score: float, length: int, alpha: float) -> Hypothesis:
    return Hypothesis(text, score, score / length_penalty(length, alpha))
