"""A tokenizer: text to ids and back.

The way of a text, as in ``tokenizer.json``: added tokens are found; what is between is normalised,
cut into words, and each word encoded by the model; a template puts special tokens around; the
sequence is cut or filled up to a length. Offsets are worked out only when somebody asks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from itertools import accumulate, chain, product
from typing import NamedTuple

from ..engine.tensor import Tensor
from .added import AddedSearch, AddedToken, numbered
from .bpe import BPE
from .byte_level import utf8
from .encoding import (
    Batch,
    Encoding,
    Offsets,
    Padding,
    Truncation,
    concatenated,
    shared_lengths,
    windows,
)
from .model import Model
from .normalizers import Normalizer, Spans
from .patterns import DIGITS_THEN_GPT2, GPT2, PATTERNS
from .splitters import ByteLevel, Digits, Split, SplitSequence, Splitter
from .stream import DecodeStream
from .template import Template

_BARE = Template()


class _Piece(NamedTuple):
    """A stretch between added tokens, normalised; or an added token."""

    text: str
    places: Spans | None  # of each character in the original; None: nothing but `start` is added
    start: int
    token: AddedToken | None = None


class _Searches(NamedTuple):
    """What looks for added tokens, and whether a text is cut into words just as it is."""

    before: AddedSearch  # in the text itself
    after: AddedSearch  # in the normalised text
    plain: bool


class Tokenizer:
    """Turns text into ids and back.

    Args:
        model: what makes tokens of a word: `BPE` or `WordPiece`.
        splitter: what cuts a text into words. None: the text is one word.
        normalizer: what is done to a text before.
        added: tokens that are found in a text before anything else; a string is a special one.
        template: the special tokens around a text.
        trim_offsets: whether offsets leave out the spaces at both ends of a token.
        truncation: what becomes of long sequences, where the call says nothing else.
        padding: what becomes of short ones, where the call says nothing else.

    Attributes:
        added: the added tokens by their ids.
        tokens: token of each id, added ones among them; "" where an id has none.
        truncation, padding: as above; may be set.

    Raises:
        ValueError: an added token's id is taken, or the template or the padding needs a token that
            there is not.

    Example:
        >>> from groundup.text import train_bpe
        >>> tokenizer = train_bpe("low low lower slower", 261, special_tokens=["<eos>"])
        >>> tokenizer.encode("slower").tokens
        ['s', 'low', 'er']
        >>> tokenizer.decode(tokenizer.encode("any text: é").ids)
        'any text: é'
    """

    def __init__(
        self,
        model: Model,
        *,
        splitter: Splitter | None = None,
        normalizer: Normalizer | None = None,
        added: Iterable[AddedToken | str] = (),
        template: Template | None = None,
        trim_offsets: bool = False,
        truncation: Truncation | None = None,
        padding: Padding | None = None,
    ) -> None:
        self.splitter = splitter
        self._splitter = splitter or ByteLevel(use_regex=False)
        self.normalizer = normalizer
        self.added = numbered(added, model.tokens)
        self.template = template
        self.trim_offsets = trim_offsets
        self.truncation = truncation
        self.padding = padding

        size = max([len(model.tokens) - 1, *self.added]) + 1
        self.tokens = [*model.tokens, *[""] * (size - len(model.tokens))]
        for number, token in self.added.items():
            self.tokens[number] = token.content
        self._ids = {token: i for i, token in enumerate(self.tokens) if token}
        self._special = frozenset(i for i, token in self.added.items() if token.special)
        self._kept_searches: dict[bool | frozenset[str], _Searches] = {}
        contents = {i: token.content for i, token in self.added.items()}
        self.model = model.with_added(contents, self._special)
        parts = splitter.parts if isinstance(splitter, SplitSequence) else [splitter]
        self._prefix_space = any(
            isinstance(part, ByteLevel) and part.add_prefix_space for part in parts[:1]
        )
        for name in template.tokens if template else ():
            self._known(name, "the template")
        if padding:
            self._known(padding.token, "padding")

    @classmethod
    def from_bpe(
        cls,
        vocab: Sequence[str] | Mapping[str, int],
        merges: Iterable[tuple[str, str]],
        *,
        pattern: str = "gpt2",
        special_tokens: Iterable[AddedToken | str] = (),
        prefix_space: bool = False,
        ignore_merges: bool = False,
        template: Template | None = None,
    ) -> Tokenizer:
        """A byte-level tokenizer from its tokens and merges.

        Args:
            vocab: the tokens by their ids, or the id of each, in the notation of vocabulary files.
            merges: pairs of tokens, the earliest first.
            pattern: where words are cut: a name of `PATTERNS` or a pattern.
            special_tokens: those of the vocabulary that are special, and further ones.
            prefix_space: whether a text that does not begin with a space gets one.
            ignore_merges: whether a word that is a token is that token, whatever the merges say.
            template: the special tokens around a text.

        Example:
            >>> from groundup.text import ALPHABET
            >>> tokenizer = Tokenizer.from_bpe([*ALPHABET, "<s>"], [], special_tokens=["<s>"])
            >>> tokenizer.encode("a<s>", allow_special=True).ids
            [64, 256]
        """
        model = BPE(vocab, merges, ignore_merges=ignore_merges)
        splitter = byte_level_splitter(pattern, prefix_space=prefix_space)
        return cls(model, splitter=splitter, added=special_tokens, template=template)

    def __len__(self) -> int:
        """How many ids there are: the rows of an embedding."""
        return len(self.tokens)

    def __repr__(self) -> str:
        return f"Tokenizer({type(self.model).__name__}, {len(self)} tokens)"

    def token_to_id(self, token: str) -> int | None:
        """The id of a token; None if there is none.

        Example:
            >>> from groundup.text import ALPHABET
            >>> Tokenizer.from_bpe(ALPHABET, []).token_to_id("a")
            64
        """
        return self._ids.get(token)

    def _known(self, token: str, purpose: str) -> int:
        number = self._ids.get(token)
        if number is None:
            raise ValueError(
                f"{purpose} needs the token {token!r}, which is not in the vocabulary of "
                f"{len(self)}; give it as an added token"
            )
        return number

    # Encoding

    def encode(
        self,
        text: str,
        pair: str | None = None,
        *,
        add_special_tokens: bool = True,
        allow_special: bool | Collection[str] = False,
        truncation: Truncation | None = None,
    ) -> Encoding:
        """The tokens of a text, or of two.

        Args:
            text: any text.
            pair: a second one.
            add_special_tokens: whether to put those of the template around.
            allow_special: whether special tokens that stand in the text become those tokens: all
                or these. False, the default, encodes their characters like any others, so that
                text from outside cannot steer a model; a prompt put together from a template needs
                True.
            truncation: what becomes of long sequences; that of the tokenizer by default.

        Raises:
            ValueError: a text holds a lone surrogate; truncation leaves no room.

        Example:
            >>> from groundup.text import train_bpe
            >>> tokenizer = train_bpe("to be", 257, special_tokens=["<eos>"])
            >>> len(tokenizer.encode("<eos>")), len(tokenizer.encode("<eos>", allow_special=True))
            (5, 1)
        """
        truncation = truncation or self.truncation
        if pair is None and truncation is None and not (self.template and add_special_tokens):
            return self._encode(text, allow_special)
        texts = [text] if pair is None else [text, pair]
        bare = [self._encode(one, allow_special) for one in texts]
        template = self.template or _BARE
        parts = template.single if pair is None else template.pair
        if not add_special_tokens:
            parts = tuple(part for part in parts if part[0] in ("$A", "$B"))
        variants = self._truncated(bare, truncation, len(parts) - len(bare))
        first, *rest = [self._assembled(parts, variant) for variant in variants]
        first.overflowing = tuple(rest)
        return first

    def _encode(self, text: str, allow: bool | Collection[str]) -> Encoding:
        """One text without special tokens."""
        if not text.isascii():
            utf8(text)  # refuses half characters
        words, encode = self._splitter.words, self.model.encode_words
        if self._searches(allow).plain:
            ids = list(chain.from_iterable(encode(words(text))))
        else:
            ids = []
            for piece in self._pieces(text, allow, places=False):
                if piece.token is not None:
                    ids.append(self._ids[piece.token.content])
                else:
                    ids += chain.from_iterable(encode(words(piece.text)))
        return Encoding(ids, self.tokens, partial(self._offsets, text, allow))

    def _pieces(self, text: str, allow: bool | Collection[str], *, places: bool) -> list[_Piece]:
        """The text cut at its added tokens, and normalised between them."""
        before, after, _ = self._searches(allow)
        out: list[_Piece] = []
        for piece in _cut(_Piece(text, None, 0), before):
            if piece.token is not None:
                out.append(piece)
                continue
            changed = piece.text
            spans: Spans | None = None
            if self.normalizer is not None:
                if places:
                    changed, inner = self.normalizer.aligned(piece.text)
                    spans = [(a + piece.start, b + piece.start) for a, b in inner]
                else:
                    changed = self.normalizer(piece.text)
            out += _cut(_Piece(changed, spans, piece.start), after)
        if self._prefix_space:
            out = [_with_space(piece) if piece.token is None else piece for piece in out]
        return out

    def _searches(self, allow: bool | Collection[str]) -> _Searches:
        """What looks for added tokens, made once for each choice of those that are allowed."""
        key = allow if isinstance(allow, bool) else frozenset(allow)
        if key not in self._kept_searches:
            wanted = [
                token
                for token in self.added.values()
                if not token.special or (key if isinstance(key, bool) else token.content in key)
            ]
            self._kept_searches[key] = _Searches(
                AddedSearch(token for token in wanted if not token.normalized),
                AddedSearch(token for token in wanted if token.normalized),
                not wanted and self.normalizer is None and not self._prefix_space,
            )
        return self._kept_searches[key]

    def _offsets(self, text: str, allow: bool | Collection[str]) -> Offsets:
        """Where the tokens of a text begin and end."""
        out: Offsets = []
        for piece in self._pieces(text, allow, places=True):
            if piece.token is not None:
                spans: Offsets = [(0, len(piece.text))]
            else:
                words = self._splitter.words(piece.text)
                lengths = list(map(len, words))
                if sum(lengths) == len(piece.text):  # nothing was left out between them
                    starts = list(accumulate(lengths, initial=0))[:-1]
                else:
                    starts = [a for a, _ in self._splitter.spans(piece.text)]
                spans = self.model.spans(words, starts)
            if piece.places is None:
                out += [(a + piece.start, b + piece.start) for a, b in spans]
            else:
                out += [(piece.places[a][0], piece.places[b - 1][1]) for a, b in spans]
        return [_trimmed(text, span) for span in out] if self.trim_offsets else out

    def _truncated(
        self, bare: list[Encoding], truncation: Truncation | None, around: int
    ) -> list[tuple[Encoding, ...]]:
        """The windows of the texts in all combinations, first those that are kept."""
        if truncation is None:
            return [tuple(bare)]
        room = truncation.max_length - around
        lengths = [len(one) for one in bare]
        if room < 0:
            raise ValueError(
                f"Truncation: max_length {truncation.max_length} has no room for the {around} "
                "special tokens of the template"
            )
        if sum(lengths) <= room:
            return [tuple(bare)]
        if len(bare) == 1:
            lengths = [room]
        elif truncation.strategy == "longest_first":
            lengths = list(shared_lengths(lengths[0], lengths[1], room))
        else:
            cut = truncation.strategy == "only_second"
            lengths[cut] = room - lengths[not cut]
            if lengths[cut] < 0:
                raise ValueError(
                    f"Truncation: {truncation.strategy} cannot bring texts of {len(bare[0])} and "
                    f"{len(bare[1])} tokens down to {room}; use 'longest_first'"
                )
        pieces = [
            windows(one, length, truncation.stride, truncation.side)
            for one, length in zip(bare, lengths, strict=True)
        ]
        return list(product(*pieces))

    def _assembled(self, parts: Iterable[tuple[str, int]], texts: Sequence[Encoding]) -> Encoding:
        """Texts with special tokens around."""
        found = []
        for name, kind in parts:
            if name in ("$A", "$B"):
                piece = texts[name == "$B"]
                found.append(piece.of_type(kind) if kind else piece)
            else:
                number = [self._ids[name]]
                found.append(
                    Encoding(
                        number, self.tokens, _nowhere, type_ids=[kind], special_tokens_mask=[1]
                    )
                )
        return concatenated(found)

    def encode_batch(
        self,
        texts: Iterable[str | tuple[str, str]],
        *,
        add_special_tokens: bool = True,
        allow_special: bool | Collection[str] = False,
        truncation: Truncation | None = None,
        padding: Padding | None = None,
    ) -> Batch:
        """The tokens of several texts, or of pairs of texts.

        Args:
            texts: the texts or pairs.
            add_special_tokens, allow_special, truncation: as for `encode`.
            padding: what becomes of short ones; that of the tokenizer by default.

        Example:
            >>> from groundup.text import train_bpe
            >>> tokenizer = train_bpe("to be or not to be", 260, special_tokens=["<pad>"])
            >>> batch = tokenizer.encode_batch(["to", "to be"], padding=Padding("<pad>"))
            >>> batch.attention_mask.tolist()
            [[1, 0], [1, 1]]
        """
        encodings = [
            self.encode(
                *((one,) if isinstance(one, str) else one),
                add_special_tokens=add_special_tokens,
                allow_special=allow_special,
                truncation=truncation,
            )
            for one in texts
        ]
        padding = padding or self.padding
        if padding is not None and encodings:
            number = self._known(padding.token, "padding")
            target = padding.target(max(map(len, encodings)))
            encodings = [one.padded(target, padding, number) for one in encodings]
        return Batch(encodings)

    # Decoding

    def _numbers(self, ids: Iterable[int] | Tensor, skip_special_tokens: bool) -> list[int]:
        numbers = ids.tolist() if isinstance(ids, Tensor) else list(map(int, ids))
        if not isinstance(numbers, list) or (numbers and isinstance(numbers[0], list)):
            raise ValueError("decode: expected one sequence of ids; decode_batch takes several")
        different = set(numbers)
        if different and (min(different) < 0 or max(different) >= len(self)):
            wrong = next(i for i in numbers if not 0 <= i < len(self))
            raise ValueError(f"decode: {wrong} is not the id of one of the {len(self)} tokens")
        if skip_special_tokens and not self._special.isdisjoint(different):
            return [i for i in numbers if i not in self._special]
        return numbers

    def decode_bytes(
        self, ids: Iterable[int] | Tensor, *, skip_special_tokens: bool = True
    ) -> bytes:
        r"""The bytes that ids stand for, whether they are UTF-8 or not.

        Raises:
            ValueError: an id is not in the vocabulary.

        Example:
            >>> from groundup.text import ALPHABET
            >>> tokenizer = Tokenizer.from_bpe(ALPHABET, [])
            >>> tokenizer.decode_bytes(tokenizer.model.encode_bytes(b"\xff"))
            b'\xff'
        """
        return self.model.decode_bytes(self._numbers(ids, skip_special_tokens))

    def decode(self, ids: Iterable[int] | Tensor, *, skip_special_tokens: bool = True) -> str:
        """The text of ids.

        Args:
            ids: integers, (T,).
            skip_special_tokens: whether to leave special tokens out.

        Returns:
            The text; bytes that are not UTF-8 are U+FFFD in it.

        Raises:
            ValueError: an id is not in the vocabulary.

        Example:
            >>> from groundup.text import ALPHABET
            >>> Tokenizer.from_bpe(ALPHABET, []).decode([71, 72])
            'hi'
        """
        return self.decode_bytes(ids, skip_special_tokens=skip_special_tokens).decode(
            "utf-8", "replace"
        )

    def decode_batch(
        self, rows: Iterable[Iterable[int]] | Tensor, *, skip_special_tokens: bool = True
    ) -> list[str]:
        """The texts of several sequences of ids.

        Example:
            >>> from groundup.text import ALPHABET
            >>> Tokenizer.from_bpe(ALPHABET, []).decode_batch(gu.tensor([[71, 72], [71, 0]]))
            ['hi', 'h!']
        """
        many = rows.tolist() if isinstance(rows, Tensor) else rows
        return [self.decode(ids, skip_special_tokens=skip_special_tokens) for ids in many]

    def decode_stream(self, *, skip_special_tokens: bool = True) -> DecodeStream:
        """Decodes ids that come one after the other.

        Example:
            >>> from groundup.text import ALPHABET
            >>> tokenizer = Tokenizer.from_bpe(ALPHABET, [])
            >>> stream = tokenizer.decode_stream()
            >>> [stream.push(i) for i in tokenizer.encode("aé").ids]
            ['a', '', 'é']
        """

        def content(number: int, first: bool) -> bytes | None:
            kept = self._numbers([number], skip_special_tokens)
            return self.model.token_bytes(number, first) if kept else None

        return DecodeStream(content)


def byte_level_splitter(pattern: str, *, prefix_space: bool = False) -> Splitter:
    """The splitter of a byte-level tokenizer.

    Args:
        pattern: a name of `PATTERNS` or a pattern.
        prefix_space: whether a text that does not begin with a space gets one.

    Raises:
        ValueError: the pattern cannot be used, or not with a space in front.

    Example:
        >>> byte_level_splitter("qwen2").words("in 42 days")
        ['in', ' ', '4', '2', ' days']
    """
    source = PATTERNS.get(pattern, pattern)
    if source == GPT2:
        return ByteLevel(add_prefix_space=prefix_space)
    first: Splitter
    first, use_regex = Split(source), False
    if source == DIGITS_THEN_GPT2:
        first, use_regex = Digits(), True
    return SplitSequence([first, ByteLevel(add_prefix_space=prefix_space, use_regex=use_regex)])


def _cut(piece: _Piece, search: AddedSearch) -> list[_Piece]:
    """A piece cut at added tokens; empty ones are left out."""
    if not search.tokens:
        return [piece] if piece.text else []
    out: list[_Piece] = []

    def put(a: int, b: int, token: AddedToken | None) -> None:
        if a < b:
            places = piece.places and piece.places[a:b]
            start = piece.start if piece.places is not None else piece.start + a
            out.append(_Piece(piece.text[a:b], places, start, token))

    end = 0
    for found in search(piece.text):
        put(end, found.start, None)
        put(found.start, found.end, found.token)
        end = found.end
    put(end, len(piece.text), None)
    return out


def _with_space(piece: _Piece) -> _Piece:
    """A piece that begins with a space; one put there comes from the first character."""
    if piece.text.startswith(" "):
        return piece
    start = piece.start
    places = piece.places or [(i, i + 1) for i in range(start, start + len(piece.text))]
    return piece._replace(text=f" {piece.text}", places=[places[0], *places])


def _nowhere() -> Offsets:
    """The place of a special token, which stands in no text."""
    return [(0, 0)]


def _trimmed(text: str, span: tuple[int, int]) -> tuple[int, int]:
    """A place without the spaces at both of its ends."""
    a, b = span
    while a < b and text[a] == " ":
        a += 1
    while a < b and text[b - 1] == " ":
        b -= 1
    return a, b
