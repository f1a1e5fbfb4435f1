"""Text: byte-level BPE that is trained here, WordPiece, and the files of public tokenizers.

::

    from groundup.text import load_tokenizer, save_tokenizer, train_bpe

    tokenizer = train_bpe(Path("book.txt"), 4096, special_tokens=["<eos>"])
    ids = tokenizer.encode("Once upon a time").ids
    save_tokenizer(tokenizer, "tokenizer.json")

A `Tokenizer` finds added tokens, normalises, cuts a text into words (a splitter with a pattern),
encodes each (the model), and puts special tokens around (a template). `character_tokenizer` has
characters as tokens; without files, `groundup.data.Vocabulary` does.
"""

from .added import AddedToken
from .bpe import BPE
from .byte_level import ALPHABET
from .characters import character_tokenizer
from .encoding import Batch, Encoding, Padding, Truncation
from .files import (
    load_tokenizer,
    read_gpt2,
    read_vocab_txt,
    save_tokenizer,
    write_gpt2,
)
from .normalizers import (
    BertNormalizer,
    Lowercase,
    Normalizer,
    NormalizerSequence,
    StripAccents,
    UnicodeForm,
)
from .patterns import CL100K, GPT2, O200K, PATTERNS, QWEN2, compile_pattern
from .predictability import compressed_bits, ngram_bits
from .splitters import BertWords, ByteLevel, Digits, Split, SplitSequence, Splitter
from .stream import DecodeStream
from .template import Template
from .tokenizer import Tokenizer
from .train import train_bpe
from .wordpiece import WordPiece

__all__ = [
    "ALPHABET",
    "BPE",
    "CL100K",
    "GPT2",
    "O200K",
    "PATTERNS",
    "QWEN2",
    "AddedToken",
    "Batch",
    "BertNormalizer",
    "BertWords",
    "ByteLevel",
    "DecodeStream",
    "Digits",
    "Encoding",
    "Lowercase",
    "Normalizer",
    "NormalizerSequence",
    "Padding",
    "Split",
    "SplitSequence",
    "Splitter",
    "StripAccents",
    "Template",
    "Tokenizer",
    "Truncation",
    "UnicodeForm",
    "WordPiece",
    "character_tokenizer",
    "compile_pattern",
    "compressed_bits",
    "load_tokenizer",
    "ngram_bits",
    "read_gpt2",
    "read_vocab_txt",
    "save_tokenizer",
    "train_bpe",
    "write_gpt2",
]
