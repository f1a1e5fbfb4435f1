"""Byte pair encoding at the level of bytes: a word is its bytes, joined by merges in their order.

R. Sennrich, B. Haddow and A. Birch, "Neural machine translation of rare words with subword units"
(2016, algorithm 1), on bytes as in GPT-2 (A. Radford et al., 2019). Of all neighbours that have a
merge, the one with the earliest merge is joined, the leftmost first, until none is left.

For a word of n bytes a list does in n² steps of a few nanoseconds; beyond `LONG_WORD` bytes a
heap of the possible merges over a linked list does it in n log n.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from heapq import heapify, heappop, heappush
from itertools import chain, pairwise
from typing import Any, Self

import numpy as np

from .byte_level import BYTE_OF, CHARACTER_OF, as_bytes, as_characters, utf8
from .model import Words, token_list

LONG_WORD = 300
"""Bytes of a word beyond which the heap takes over."""

NEVER = 2**62
"""The rank of what has no merge."""


class BPE:
    """Byte-level tokens made by merges.

    Args:
        vocab: the tokens by their ids, or the id of each, in the notation of vocabulary files
            (`byte_level`).
        merges: pairs of tokens, the earliest first.
        ignore_merges: whether a word that is itself a token is that token, whatever the merges
            say (Llama 3).

    Attributes:
        tokens: token of each id; "" where an id has none.
        ids: id of each token.
        merges: the merges, the earliest first, each once.

    Raises:
        ValueError: a merge joins or makes what is not in the vocabulary.

    Example:
        >>> from groundup.text import ALPHABET
        >>> model = BPE([*ALPHABET, "he", "ll", "hell"], [("h", "e"), ("l", "l"), ("he", "ll")])
        >>> [model.tokens[i] for i in model.encode_words(["hello"])[0]]
        ['hell', 'o']
    """

    def __init__(
        self,
        vocab: Sequence[str] | Mapping[str, int],
        merges: Iterable[tuple[str, str]],
        *,
        ignore_merges: bool = False,
    ) -> None:
        self.tokens = token_list(vocab, "BPE")
        self.ids = {token: i for i, token in enumerate(self.tokens) if token}
        # Of a pair that is given twice the later place counts, as in the public tokenizers.
        self.merges = list(reversed(dict.fromkeys(reversed([tuple(pair) for pair in merges]))))
        self.ignore_merges = ignore_merges
        self._byte_ids = {
            byte: self.ids[character]
            for byte, character in CHARACTER_OF.items()
            if character in self.ids
        }
        self._made: list[int] = []  # the token that each merge makes
        self._ranks: dict[tuple[int, int], int] = {}
        for rank, (left, right) in enumerate(self.merges):
            try:
                self._ranks[self.ids[left], self.ids[right]] = rank
                self._made.append(self.ids[left + right])
            except KeyError as error:
                raise ValueError(
                    f"BPE: merge {rank}, {left!r} with {right!r}, needs {error.args[0]!r}, which "
                    "is not in the vocabulary"
                ) from None
        self._reserved: frozenset[int] = frozenset()
        self._bytes = [as_bytes(token) for token in self.tokens]
        self._lengths = np.array([len(content) for content in self._bytes], np.int64)
        self._words = Words(self._encode_word)

    def with_added(self, added: Mapping[int, str], special: frozenset[int]) -> Self:
        """A model that also has tokens that are plain text; no word ever gives the special ones."""
        out = copy(self)
        out._reserved = special
        out._bytes = self._bytes + [b""] * (max(added, default=-1) + 1 - len(self._bytes))
        for number, content in added.items():
            out._bytes[number] = utf8(content)
        out._words = Words(out._encode_word)
        return out

    def encode_words(self, words: Sequence[str]) -> list[tuple[int, ...]]:
        """The ids of the tokens of each word.

        Raises:
            ValueError: a word holds a lone surrogate, or a byte without a token.
        """
        return self._words.of(words)

    def encode_bytes(self, content: bytes) -> tuple[int, ...]:
        r"""The ids of the tokens of any bytes, UTF-8 or not, as one word.

        Example:
            >>> from groundup.text import train_bpe
            >>> model = train_bpe(["aaaa"], 257).model
            >>> b"".join(map(model.token_bytes, model.encode_bytes(b"\xffaa")))
            b'\xffaa'
        """
        if self.ignore_merges:
            whole = self.ids.get(as_characters(content))
            if whole is not None and whole not in self._reserved:
                return (whole,)
        try:
            numbers = list(map(self._byte_ids.__getitem__, content))
        except KeyError as error:
            raise ValueError(
                f"BPE: the vocabulary has no token for the byte 0x{error.args[0]:02x} "
                f"({CHARACTER_OF[error.args[0]]!r}), so it cannot write {content[:40]!r}; use one "
                "with all 256 bytes"
            ) from None
        return tuple(self._merge(numbers) if len(numbers) > LONG_WORD else self._join(numbers))

    def _encode_word(self, word: str) -> tuple[int, ...]:
        return self.encode_bytes(utf8(word))

    def _join(self, numbers: list[int]) -> list[int]:
        """Merges in a list, in place."""
        rank_of, made = self._ranks.get, self._made
        ranks = [rank_of(pair, NEVER) for pair in pairwise(numbers)]
        while ranks:
            best = min(ranks)
            if best == NEVER:
                break
            i = ranks.index(best)
            numbers[i : i + 2] = (made[best],)
            del ranks[i]
            if i:
                ranks[i - 1] = rank_of((numbers[i - 1], numbers[i]), NEVER)
            if i < len(ranks):
                ranks[i] = rank_of((numbers[i], numbers[i + 1]), NEVER)
        return numbers

    def _merge(self, numbers: list[int]) -> list[int]:
        """Merges through a heap of (rank, place); an entry that no longer holds is passed over."""
        rank_of, made = self._ranks.get, self._made
        end = len(numbers)
        after = [*range(1, end), end]
        before = list(range(-1, end - 1))
        heap = [
            (rank, i)
            for i, pair in enumerate(pairwise(numbers))
            if (rank := rank_of(pair, NEVER)) != NEVER
        ]
        heapify(heap)
        gone = -1
        while heap:
            rank, i = heappop(heap)
            j = after[i]
            if numbers[i] == gone or j == end or rank_of((numbers[i], numbers[j])) != rank:
                continue
            numbers[i], numbers[j] = made[rank], gone
            after[i] = j = after[j]
            if j < end:
                before[j] = i
                if (rank := rank_of((numbers[i], numbers[j]), NEVER)) != NEVER:
                    heappush(heap, (rank, i))
            h = before[i]
            if h >= 0 and (rank := rank_of((numbers[h], numbers[i]), NEVER)) != NEVER:
                heappush(heap, (rank, h))
        return [number for number in numbers if number != gone]

    def spans(self, words: Sequence[str], starts: Sequence[int]) -> list[tuple[int, int]]:
        """Where the tokens of words that begin at these places begin and end, in characters.

        A token that holds a part of a character covers all of it.
        """
        text = "".join(words)
        numbers = np.fromiter(chain.from_iterable(self.encode_words(words)), np.int64)
        lengths = np.array([len(word) for word in words], np.int64)
        # Place of each character of the joined words, then of each byte of its UTF-8.
        shift = np.asarray(starts, np.int64) - (np.cumsum(lengths) - lengths)
        place = np.arange(len(text)) + np.repeat(shift, lengths)
        content = np.frombuffer(utf8(text), np.uint8)
        place = place[np.cumsum((content & 0xC0) != 0x80) - 1]
        ends = np.cumsum(self._lengths[numbers])
        first, last = place[ends - self._lengths[numbers]], place[ends - 1] + 1
        return list(zip(first.tolist(), last.tolist(), strict=True))

    def token_bytes(self, number: int, first: bool = False) -> bytes:
        """What a token stands for, which is the same anywhere."""
        return self._bytes[number]

    def decode_bytes(self, numbers: Sequence[int]) -> bytes:
        """What a sequence of tokens stands for."""
        return b"".join(map(self._bytes.__getitem__, numbers))

    def as_json(self) -> dict[str, Any]:
        """How ``tokenizer.json`` describes it."""
        return {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": self.ignore_merges,
            "vocab": self.ids,
            "merges": [list(pair) for pair in self.merges],
        }


def bpe_from_json(spec: dict[str, Any]) -> BPE:
    """The model that a ``tokenizer.json`` describes.

    Raises:
        ValueError: it is not a byte-level one, or uses what is not supported.

    Example:
        >>> from groundup.text import ALPHABET
        >>> ids = {c: i for i, c in enumerate(ALPHABET)}
        >>> len(bpe_from_json({"type": "BPE", "vocab": ids, "merges": []}).tokens)
        256
    """
    if spec.get("byte_fallback"):
        raise ValueError(
            "tokenizer.json: a BPE with byte_fallback writes characters rather than bytes as "
            "tokens (SentencePiece); only byte-level BPE is supported"
        )
    for option in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        if spec.get(option):
            raise ValueError(
                f"tokenizer.json: a BPE with {option} {spec[option]!r} is not supported; only "
                "byte-level BPE without it is"
            )
    vocab, merges = spec.get("vocab"), spec.get("merges")
    if not isinstance(vocab, dict) or not isinstance(merges, list):
        raise ValueError("tokenizer.json: a BPE without a vocabulary or without merges")
    pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in merges]
    wrong = [pair for pair in pairs if not isinstance(pair, list) or len(pair) != 2]
    if wrong:
        raise ValueError(f"tokenizer.json: the merge {wrong[0]!r} is not a pair of tokens")
    strange = next((pair for pair in pairs if not BYTE_OF.keys() >= set("".join(pair))), None)
    if strange:
        raise ValueError(
            f"tokenizer.json: the merge {strange!r} holds characters that stand for no byte; only "
            "byte-level BPE is supported"
        )
    return BPE(
        vocab,
        [(left, right) for left, right in pairs],
        ignore_merges=bool(spec.get("ignore_merges")),
    )
