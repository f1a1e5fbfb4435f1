"""A language model of one's own text: prepared, trained, judged, kept in a folder, sampled.

::

    from groundup.apps.language_model import Recipe, train_language_model

    outcome = train_language_model("book.txt", "book-lm", Recipe(steps=2000))
    outcome.bits_per_character, outcome.baselines["5-gram"]

The same call again goes on where a run was stopped, and ends with the same weights.
"""

from .corpus import Corpus, TextError, prepare
from .folder import load_language_model, save_language_model
from .recipe import PRESETS, Recipe
from .sampling import decoder_for, write_on
from .trainer import Outcome, train_language_model

__all__ = [
    "PRESETS",
    "Corpus",
    "Outcome",
    "Recipe",
    "TextError",
    "decoder_for",
    "load_language_model",
    "prepare",
    "save_language_model",
    "train_language_model",
    "write_on",
]
