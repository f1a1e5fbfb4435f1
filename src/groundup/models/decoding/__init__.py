"""From a model to text: greedy, sampled, by beams, streamed, speculated."""

from .beam import Hypothesis, beam_search, length_penalty
from .decoder import Decoder, Stepping, TranslationDecoder, check_prompts, decoder_of
from .endless import RecurrentDecoder, SlidingDecoder
from .generate import generate, stream
from .sampling import GREEDY, Sampling, choose, distribution, draw, penalized
from .speculative import Speculation, speculative_generate

__all__ = [
    "GREEDY",
    "Decoder",
    "Hypothesis",
    "RecurrentDecoder",
    "Sampling",
    "SlidingDecoder",
    "Speculation",
    "Stepping",
    "TranslationDecoder",
    "beam_search",
    "check_prompts",
    "choose",
    "decoder_of",
    "distribution",
    "draw",
    "generate",
    "length_penalty",
    "penalized",
    "speculative_generate",
    "stream",
]
