"""What turns one word into tokens, for any kind of tokens, with a memory of words.

A text repeats its words, so the tokens of each are worked out once: `Words` is a dictionary that
fills itself, and looking all words of a text up in it is one pass without a line of Python per
word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, Self

REMEMBERED = 2**18
"""Words that are kept at the most."""
LONGEST = 128
"""Characters of a word that is kept, at the most."""


class Model(Protocol):
    """What a model of tokens can do; `BPE` and `WordPiece` are the two.

    Attributes:
        tokens: token of each id; "" where an id has none.
        ids: id of each token.

    Example:
        >>> from groundup.text import WordPiece
        >>> model: Model = WordPiece(["[UNK]", "a", "##b"])
        >>> model.encode_words(["ab", "a"])
        [(1, 2), (1,)]
    """

    tokens: list[str]
    ids: dict[str, int]

    def encode_words(self, words: Sequence[str]) -> list[tuple[int, ...]]:
        """The ids of the tokens of each word."""
        ...

    def spans(self, words: Sequence[str], starts: Sequence[int]) -> list[tuple[int, int]]:
        """Where the tokens of words that begin at these places begin and end, in characters."""
        ...

    def token_bytes(self, number: int, first: bool = False) -> bytes:
        """What a token stands for, at the beginning of a text or within."""
        ...

    def decode_bytes(self, numbers: Sequence[int]) -> bytes:
        """What a sequence of tokens stands for."""
        ...

    def with_added(self, added: Mapping[int, str], special: frozenset[int]) -> Self:
        """A model that also has tokens that are plain text; no word ever gives the special ones."""
        ...

    def as_json(self) -> dict[str, Any]:
        """How ``tokenizer.json`` describes it."""
        ...


class Words(dict[str, tuple[int, ...]]):
    """A dictionary from words to their tokens that works out what it does not have yet.

    Args:
        encode: the tokens of a word.

    Example:
        >>> words = Words(lambda word: tuple(word.encode()))
        >>> words["ab"], len(words)
        ((97, 98), 1)
    """

    def __init__(self, encode: Callable[[str], tuple[int, ...]]) -> None:
        super().__init__()
        self._encode = encode

    def __missing__(self, word: str) -> tuple[int, ...]:
        found = self._encode(word)
        if len(word) <= LONGEST:
            if len(self) >= REMEMBERED:
                self.clear()
            self[word] = found
        return found

    def of(self, words: Sequence[str]) -> list[tuple[int, ...]]:
        """The tokens of each word.

        Example:
            >>> Words(lambda word: (len(word),)).of(["to", "be"])
            [(2,), (2,)]
        """
        return list(map(self.__getitem__, words))


def highest_id(count: int) -> int:
    """The largest id among so many tokens that is believed: beyond, a file is damaged.

    Example:
        >>> highest_id(1000)
        69536
    """
    return 2**16 + 4 * count


def token_list(vocab: Sequence[str] | Mapping[str, int], name: str) -> list[str]:
    """The tokens by their ids.

    Args:
        vocab: the tokens in the order of their ids, or the id of each; "" where an id has none.
        name: who asks, for the message of an error.

    Raises:
        ValueError: an id is no integer, negative, far beyond the number of tokens, or used twice,
            or a token stands there twice.

    Example:
        >>> token_list({"b": 1, "a": 0}, "BPE")
        ['a', 'b']
    """
    if isinstance(vocab, Mapping):
        highest = highest_id(len(vocab))
        wrong = [
            (token, i)
            for token, i in vocab.items()
            if not isinstance(token, str) or type(i) is not int or not 0 <= i <= highest
        ]
        if wrong:
            raise ValueError(
                f"{name}: the vocabulary has the id {wrong[0][1]!r} for {wrong[0][0]!r}; expected "
                f"integers from 0 to {highest} for {len(vocab)} tokens"
            )
        tokens = [""] * (max(vocab.values(), default=-1) + 1)
        for token, i in vocab.items():
            if tokens[i]:
                raise ValueError(f"{name}: {tokens[i]!r} and {token!r} both have the id {i}")
            tokens[i] = token
        return tokens
    tokens = list(vocab)
    filled = [token for token in tokens if token]
    if len(set(filled)) < len(filled):
        twice = next(token for token in filled if filled.count(token) > 1)
        raise ValueError(f"{name}: the vocabulary has {twice!r} twice; give each token once")
    return tokens
