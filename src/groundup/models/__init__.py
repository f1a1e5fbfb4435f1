"""Whole models, each in one file, top to bottom."""

from .bert import Bert, BertConfig, MaskedLanguageModel, TextClassifier, mean_pool
from .cache import KeyValueCache, QuantizedCache
from .encoder_decoder import Transformer, TransformerConfig
from .gpt import GPT, GPTConfig, alibi_slopes
from .llama import Llama, LlamaConfig
from .pretrained import load_pretrained

__all__ = [
    "GPT",
    "Bert",
    "BertConfig",
    "GPTConfig",
    "KeyValueCache",
    "Llama",
    "LlamaConfig",
    "MaskedLanguageModel",
    "QuantizedCache",
    "TextClassifier",
    "Transformer",
    "TransformerConfig",
    "alibi_slopes",
    "load_pretrained",
    "mean_pool",
]
