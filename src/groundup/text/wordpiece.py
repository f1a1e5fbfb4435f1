"""WordPiece: a word is cut greedily into the longest tokens that the vocabulary has.

M. Schuster and K. Nakajima, "Japanese and Korean voice search" (2012); cut as in BERT (J. Devlin
et al., 2019, the published code): from the left the longest token that fits, what continues a word
carries "##", and a word that cannot be cut so is "[UNK]" as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any, Self

from .byte_level import utf8
from .model import Words, token_list

_SPACED = (" .", " ?", " !", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're")
"""What loses its space when a text is put together."""


class WordPiece:
    """Tokens that are whole words or pieces of them.

    Args:
        vocab: the tokens by their ids, or the id of each.
        unk_token: the token of a word that cannot be cut.
        continuing_subword_prefix: what a token begins with that does not begin a word.
        max_input_chars_per_word: a longer word is `unk_token`.
        cleanup: whether decoding leaves out the space before a sign of punctuation.

    Attributes:
        tokens: token of each id; "" where an id has none.
        ids: id of each token.

    Raises:
        ValueError: the vocabulary has no `unk_token`.

    Example:
        >>> model = WordPiece(["[UNK]", "un", "##aff", "##able"])
        >>> model.encode_words(["unaffable", "affable"])
        [(1, 2, 3), (0,)]
    """

    def __init__(
        self,
        vocab: Sequence[str] | Mapping[str, int],
        *,
        unk_token: str = "[UNK]",
        continuing_subword_prefix: str = "##",
        max_input_chars_per_word: int = 100,
        cleanup: bool = True,
    ) -> None:
        self.tokens = token_list(vocab, "WordPiece")
        self.ids = {token: i for i, token in enumerate(self.tokens) if token}
        if unk_token not in self.ids:
            raise ValueError(
                f"WordPiece: the vocabulary of {len(self.tokens)} tokens has no {unk_token!r}, "
                "which words outside of it need; add it, or name another unk_token"
            )
        self.unk_token = unk_token
        self.continuing_subword_prefix = continuing_subword_prefix
        self.max_input_chars_per_word = max_input_chars_per_word
        self.cleanup = cleanup
        self._added: dict[int, str] = {}
        self._pieces = dict(self.ids)
        self._longest = max(map(len, self.tokens))
        self._words = Words(self._encode_word)

    def with_added(self, added: Mapping[int, str], special: frozenset[int]) -> Self:
        """A model that also has tokens that are plain text; no word ever gives the special ones."""
        out = copy(self)
        out._added = dict(added)
        out._pieces = {token: i for token, i in self.ids.items() if i not in special}
        out._words = Words(out._encode_word)
        return out

    def encode_words(self, words: Sequence[str]) -> list[tuple[int, ...]]:
        """The ids of the tokens of each word.

        Raises:
            ValueError: a word holds a lone surrogate.
        """
        return self._words.of(words)

    def _encode_word(self, word: str) -> tuple[int, ...]:
        utf8(word)  # refuses half characters
        pieces = self._cut(word)
        return (self.ids[self.unk_token],) if pieces is None else tuple(i for i, _ in pieces)

    def _cut(self, word: str) -> list[tuple[int, int]] | None:
        """(id, place behind the token) of each token; None if the word cannot be cut."""
        if len(word) > self.max_input_chars_per_word:
            return None
        found: list[tuple[int, int]] = []
        start = 0
        while start < len(word):
            prefix = self.continuing_subword_prefix if start else ""
            for end in range(min(len(word), start + self._longest), start, -1):
                number = self._pieces.get(prefix + word[start:end])
                if number is not None:
                    found.append((number, end))
                    start = end
                    break
            else:
                return None
        return found

    def spans(self, words: Sequence[str], starts: Sequence[int]) -> list[tuple[int, int]]:
        """Where the tokens of words that begin at these places begin and end, in characters."""
        out: list[tuple[int, int]] = []
        for word, start in zip(words, starts, strict=True):
            begin = 0
            for _, end in self._cut(word) or [(0, len(word))]:
                out.append((start + begin, start + end))
                begin = end
        return out

    def token_bytes(self, number: int, first: bool = False) -> bytes:
        """What a token stands for; behind others with a space before, unless it continues a word.

        With ``cleanup`` the space before a sign of punctuation goes.
        """
        token = self._added.get(number) or self.tokens[number]
        if not first:
            prefix = self.continuing_subword_prefix
            token = token.removeprefix(prefix) if token.startswith(prefix) else f" {token}"
        if self.cleanup:
            for spaced in _SPACED:
                token = token.replace(spaced, spaced.strip())
        return token.encode()

    def decode_bytes(self, numbers: Sequence[int]) -> bytes:
        """What a sequence of tokens stands for, as far as spaces can be known."""
        return b"".join(self.token_bytes(number, i == 0) for i, number in enumerate(numbers))

    def as_json(self) -> dict[str, Any]:
        """How ``tokenizer.json`` describes it."""
        return {
            "type": "WordPiece",
            "unk_token": self.unk_token,
            "continuing_subword_prefix": self.continuing_subword_prefix,
            "max_input_chars_per_word": self.max_input_chars_per_word,
            "vocab": self.ids,
        }


def wordpiece_from_json(spec: dict[str, Any], cleanup: bool = True) -> WordPiece:
    """The model that a ``tokenizer.json`` describes.

    Raises:
        ValueError: it has no vocabulary.

    Example:
        >>> wordpiece_from_json({"type": "WordPiece", "vocab": {"[UNK]": 0}}).tokens
        ['[UNK]']
    """
    if not isinstance(spec.get("vocab"), dict):
        raise ValueError("tokenizer.json: a WordPiece without a vocabulary")
    return WordPiece(
        spec["vocab"],
        unk_token=spec.get("unk_token", "[UNK]"),
        continuing_subword_prefix=spec.get("continuing_subword_prefix", "##"),
        max_input_chars_per_word=spec.get("max_input_chars_per_word", 100),
        cleanup=cleanup,
    )
