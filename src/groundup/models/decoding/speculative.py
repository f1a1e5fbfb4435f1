r"""Speculative decoding: a small model proposes tokens, the large one checks several at once.

The draft model proposes $k$ tokens from its distributions $q$. One pass of the target model gives
its own distributions $p$ at all of these places. Token $x$ is accepted with the probability
$\min(1, p(x) / q(x))$; at the first one that is not, a token is drawn from
$\max(0, p - q)$, normalised, and if all are accepted one more is drawn from $p$. What comes out has
exactly the distribution $p$ (Leviathan, Kalman and Matias, 2023, algorithm 1 and appendix A.1), and
each pass of the target model gives at least one token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...engine.ops.creation import rand
from ...engine.random import Generator
from ...engine.tensor import Tensor
from ..gpt import GPT
from ..llama import Llama
from .decoder import decoder_of
from .sampling import GREEDY, Sampling, distribution, draw


@dataclass(frozen=True)
class Speculation:
    """A text, and how well the draft model guessed.

    Attributes:
        tokens: the new tokens.
        proposed: by the draft model.
        accepted: of these.
        passes: of the target model, the one over the prompt included.

    Example:
        >>> Speculation([1, 2, 3], proposed=4, accepted=2, passes=2).accepted
        2
    """

    tokens: list[int]
    proposed: int
    accepted: int
    passes: int


def speculative_generate(
    target: GPT | Llama,
    draft: GPT | Llama,
    prompt: Sequence[int],
    max_new_tokens: int,
    sampling: Sampling = GREEDY,
    *,
    ahead: int = 4,
    generator: Generator | None = None,
) -> Speculation:
    """Write on after a prompt as the target model would, with fewer passes of it.

    Args:
        target: the model whose text is wanted.
        draft: a smaller model of the same vocabulary.
        prompt: tokens to begin with.
        max_new_tokens: tokens that are written.
        sampling: how tokens are chosen; repetition penalties are not supported.
        ahead: tokens that the draft model proposes at a time.
        generator: where random numbers come from.

    Raises:
        ValueError: other vocabularies, a repetition penalty, a prompt that does not fit, or less
            than one token.

    Example:
        >>> from groundup.models import GPT, GPTConfig
        >>> sizes = dict(vocab_size=10, context=32, d_model=16, num_layers=1, num_heads=2)
        >>> model = GPT(GPTConfig(**sizes))
        >>> found = speculative_generate(model, GPT(GPTConfig(**sizes)), [1, 2], 8)
        >>> len(found.tokens), found.passes <= 8
        (8, True)
    """
    sizes = target.config.vocab_size, draft.config.vocab_size
    if sizes[0] != sizes[1]:
        raise ValueError(
            f"the target model has {sizes[0]:,} tokens, the draft model {sizes[1]:,}; expected the "
            "same vocabulary"
        )
    if sampling.repetition_penalty != 1:
        raise ValueError(
            f"repetition_penalty {sampling.repetition_penalty}: expected 1, since what a pass "
            "checks would depend on itself"
        )
    if max_new_tokens < 1 or ahead < 1:
        raise ValueError(
            f"max_new_tokens {max_new_tokens}, ahead {ahead}: expected at least 1 of each"
        )
    large, small = decoder_of(target), decoder_of(draft)
    least = min(target.config.context, draft.config.context)
    if len(prompt) + max_new_tokens + ahead > least:
        raise ValueError(
            f"{len(prompt)} + {max_new_tokens} tokens and {ahead} proposed do not fit into the "
            f"smaller context of {least}"
        )
    tokens = [_draw(distribution(large.read([prompt]), sampling), generator)]
    small_next = small.read([prompt])
    passes, proposed, accepted = 1, 0, 0
    pending = tokens[:]  # what the draft model has not read yet
    while len(tokens) < max_new_tokens:
        guesses: list[int] = []
        guessed: list[Tensor] = []
        for token in pending:
            small_next = small.step([token])
        for number in range(ahead):
            q = distribution(small_next, sampling)
            guesses.append(_draw(q, generator))
            guessed.append(q)
            if number + 1 < ahead:
                small_next = small.step(guesses[-1:])
        checked = distribution(large.extend([tokens[-1], *guesses]), sampling)
        passes, proposed = passes + 1, proposed + ahead
        kept = 0
        while kept < ahead and _accepts(checked, guessed, guesses, kept, generator):
            kept += 1
        p = checked.narrow(0, kept, 1)
        if kept < ahead:
            rest = (p - guessed[kept]).clamp(min=0)
            total = rest.sum()
            p = rest / total if total.item() > 0 else p
        accepted += kept
        new = [*guesses[:kept], _draw(p, generator)]
        tokens += new
        large.take_back(ahead - kept)
        # The draft model read all guesses but the last.
        small.take_back(max(0, ahead - 1 - kept))
        pending = new[-1:] if kept < ahead else new[-2:]
    return Speculation(tokens[:max_new_tokens], proposed, accepted, passes)


def _draw(probabilities: Tensor, generator: Generator | None) -> int:
    return draw(probabilities, generator)[0]


def _accepts(
    checked: Tensor,
    guessed: Sequence[Tensor],
    guesses: Sequence[int],
    place: int,
    generator: Generator | None,
) -> bool:
    token = guesses[place]
    p, q = checked[place, token].item(), guessed[place][0, token].item()
    return rand(1, generator=generator).item() * q < p
