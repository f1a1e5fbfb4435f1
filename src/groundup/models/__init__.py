"""Whole models, each in one file, top to bottom."""

from .bert import Bert, BertConfig, MaskedLanguageModel, TextClassifier, mean_pool
from .cache import KeyValueCache, QuantizedCache
from .encoder_decoder import Transformer, TransformerConfig
from .gpt import GPT, GPTConfig
from .llama import Llama, LlamaConfig
from .lstm import LSTMConfig, LSTMLanguageModel
from .pretrained import load_pretrained

__all__ = [
    "GPT",
    "Bert",
    "BertConfig",
    "GPTConfig",
    "KeyValueCache",
    "LSTMConfig",
    "LSTMLanguageModel",
    "Llama",
    "LlamaConfig",
    "MaskedLanguageModel",
    "QuantizedCache",
    "TextClassifier",
    "Transformer",
    "TransformerConfig",
    "load_pretrained",
    "mean_pool",
]
