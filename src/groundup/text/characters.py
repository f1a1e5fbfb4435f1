r"""Characters as tokens, in the form of byte-level BPE.

Each word is one character (the pattern ``\s|\S``), and merges join the bytes of those that have
several, so that public readers of ``tokenizer.json`` understand it without knowing of characters.
Ids are those of the characters by their code points; behind them come single bytes and beginnings
of characters, which the merges need and no text of these characters ever gives.
"""

from __future__ import annotations

from collections.abc import Iterable

from .bpe import BPE
from .byte_level import as_characters, utf8
from .splitters import ByteLevel, Split, SplitSequence
from .tokenizer import Tokenizer

ONE = r"\s|\S"
"""Any character."""


def character_tokenizer(characters: Iterable[str]) -> Tokenizer:
    """A tokenizer with a token for each of these characters.

    Args:
        characters: each once or more, in any order; a text will do.

    Returns:
        A tokenizer whose first ids are the characters by their code points. It refuses a text with
        another character, unless all bytes of that one happen to be tokens.

    Raises:
        ValueError: no character, or a lone surrogate.

    Example:
        >>> tokenizer = character_tokenizer("hello né")
        >>> tokenizer.encode("nél").ids, tokenizer.decode([1, 0, 6])
        ([4, 6, 3], 'e é')
    """
    known = sorted(set(characters))
    if not known:
        raise ValueError("character_tokenizer: no character given, expected at least one")
    tokens = {as_characters(utf8(character)): None for character in known}
    merges = []
    for content in map(utf8, known):
        if len(content) > 1:
            parts = [as_characters(content[:i]) for i in range(1, len(content) + 1)]
            last = [as_characters(content[i : i + 1]) for i in range(1, len(content))]
            tokens |= dict.fromkeys([*parts, *last])
            merges += list(zip(parts[:-1], last, strict=True))
    return Tokenizer(
        BPE(list(tokens), merges), splitter=SplitSequence([Split(ONE), ByteLevel(use_regex=False)])
    )
