"""The three transformers of Finch, their tokenizer and how they learn as traffic comes."""

from .ensemble import Ensemble, Said
from .network import Sizes
from .presets import PRESETS, Preset, build, preset
from .replay import Example, ReplayBuffer
from .tokenizer import TrafficTokenizer

__all__ = [
    "PRESETS",
    "Ensemble",
    "Example",
    "Preset",
    "ReplayBuffer",
    "Said",
    "Sizes",
    "TrafficTokenizer",
    "build",
    "preset",
]
