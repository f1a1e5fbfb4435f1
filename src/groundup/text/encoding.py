"""The tokens of a text with what models ask for beside them; cutting and filling to a length.

B texts of a batch, T tokens of the longest after filling up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, overload

import numpy as np

from ..engine.base import wrap
from ..engine.tensor import Tensor

Side = Literal["left", "right"]
Offsets = list[tuple[int, int]]


def _check_side(name: str, side: str) -> None:
    if side not in ("left", "right"):
        raise ValueError(f"{name}: side {side!r}; expected 'left' or 'right'")


@dataclass(frozen=True)
class Truncation:
    """How long a sequence may get, special tokens counted.

    Args:
        max_length: tokens at the most.
        stride: tokens that two windows share, where the rest is kept as `Encoding.overflowing`.
        side: where tokens are taken away.
        strategy: from which of two texts: the longer one until both are equal, "longest_first",
            or "only_first" or "only_second".

    Raises:
        ValueError: a setting is out of its range.

    Example:
        >>> Truncation(8).side
        'right'
    """

    max_length: int
    stride: int = 0
    side: Side = "right"
    strategy: Literal["longest_first", "only_first", "only_second"] = "longest_first"

    def __post_init__(self) -> None:
        _check_side("Truncation", self.side)
        if self.max_length < 1 or self.stride < 0:
            raise ValueError(
                f"Truncation: max_length {self.max_length} and stride {self.stride}; expected at "
                "least 1 and at least 0"
            )
        if self.strategy not in ("longest_first", "only_first", "only_second"):
            raise ValueError(
                f"Truncation: strategy {self.strategy!r}; expected 'longest_first', 'only_first' "
                "or 'only_second'"
            )


@dataclass(frozen=True)
class Padding:
    """How sequences are filled up to one length.

    Args:
        token: the token that fills.
        length: to how many tokens; None: to the longest of the batch. Longer ones stay as they
            are.
        multiple_of: lengths are rounded up to a multiple of this.
        side: where it is filled; "left" keeps the ends together, for generation.
        type_id: the type of what fills.

    Raises:
        ValueError: a setting is out of its range.

    Example:
        >>> Padding("<pad>", side="left").length is None
        True
    """

    token: str
    length: int | None = None
    multiple_of: int | None = None
    side: Side = "right"
    type_id: int = 0

    def __post_init__(self) -> None:
        _check_side("Padding", self.side)
        if (self.length or 0) < 0 or (self.multiple_of is not None and self.multiple_of < 1):
            raise ValueError(
                f"Padding: length {self.length} and multiple_of {self.multiple_of}; expected at "
                "least 0 and at least 1"
            )

    def target(self, longest: int) -> int:
        """To how many tokens a batch is filled up whose longest sequence has so many.

        Example:
            >>> Padding("<pad>", multiple_of=8).target(9)
            16
        """
        wanted = longest if self.length is None else self.length
        step = self.multiple_of or 1
        return -(-wanted // step) * step


class Encoding:
    """The tokens of a text, or of two.

    Args:
        ids: of the tokens.
        vocabulary: tokens by their ids.
        offsets: gives, when asked, the place of the first character of each token in its text, and
            the place behind the last; (0, 0) for special tokens.

        type_ids, attention_mask, special_tokens_mask: see the properties; None: all 0, all 1,
            all 0.

    Attributes:
        ids: of the tokens, a list of T integers, as are the properties.
        overflowing: what did not fit, as further encodings.

    Example:
        >>> from groundup.text import train_bpe
        >>> encoding = train_bpe("to be or not to be", 260).encode("to be")
        >>> encoding.tokens, encoding.offsets
        (['to', 'Ġbe'], [(0, 2), (2, 5)])
    """

    __slots__ = (
        "_attention",
        "_find_offsets",
        "_found",
        "_special",
        "_types",
        "_vocabulary",
        "ids",
        "overflowing",
    )

    def __init__(
        self,
        ids: list[int],
        vocabulary: Sequence[str],
        offsets: Callable[[], Offsets],
        *,
        type_ids: list[int] | None = None,
        attention_mask: list[int] | None = None,
        special_tokens_mask: list[int] | None = None,
    ) -> None:
        self.ids = ids
        self.overflowing: tuple[Encoding, ...] = ()
        self._vocabulary = vocabulary
        self._find_offsets = offsets
        self._found: Offsets | None = None
        self._types = type_ids
        self._attention = attention_mask
        self._special = special_tokens_mask

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"Encoding({len(self)} tokens)"

    @property
    def tokens(self) -> list[str]:
        """The tokens as the vocabulary writes them."""
        return [self._vocabulary[i] for i in self.ids]

    @property
    def offsets(self) -> Offsets:
        """Where each token begins and ends in its text, in characters."""
        if self._found is None:
            self._found = self._find_offsets()
        return self._found

    @property
    def type_ids(self) -> list[int]:
        """0 or 1, by the text that a token belongs to; see `Template`."""
        return [0] * len(self) if self._types is None else self._types

    @property
    def attention_mask(self) -> list[int]:
        """1 for tokens, 0 for what fills up."""
        return [1] * len(self) if self._attention is None else self._attention

    @property
    def special_tokens_mask(self) -> list[int]:
        """1 for what the template and padding brought in."""
        return [0] * len(self) if self._special is None else self._special

    def part(self, start: int, stop: int) -> Encoding:
        """Some of the tokens.

        Example:
            >>> Encoding([5, 6, 7], [], lambda: [(0, 1), (1, 2), (2, 3)]).part(1, 3).offsets
            [(1, 2), (2, 3)]
        """
        return Encoding(
            self.ids[start:stop],
            self._vocabulary,
            lambda: self.offsets[start:stop],
            type_ids=self.type_ids[start:stop],
            attention_mask=self.attention_mask[start:stop],
            special_tokens_mask=self.special_tokens_mask[start:stop],
        )

    def of_type(self, kind: int) -> Encoding:
        """The same tokens, all of one type.

        Example:
            >>> Encoding([5, 6], [], list).of_type(1).type_ids
            [1, 1]
        """
        return Encoding(
            self.ids,
            self._vocabulary,
            lambda: self.offsets,
            type_ids=[kind] * len(self),
            attention_mask=self._attention,
            special_tokens_mask=self._special,
        )

    def padded(self, length: int, padding: Padding, number: int) -> Encoding:
        """Filled up to a length; what overflowed likewise.

        Args:
            length: to how many tokens.
            padding: on which side, with which type.
            number: the id of the token that fills.

        Example:
            >>> one = Encoding([5, 6], [], lambda: [(0, 1), (1, 2)])
            >>> one.padded(4, Padding("<pad>", side="left"), 0).ids
            [0, 0, 5, 6]
        """
        missing = length - len(self)
        out = self
        if missing > 0:
            fill = Encoding(
                [number] * missing,
                self._vocabulary,
                lambda: [(0, 0)] * missing,
                type_ids=[padding.type_id] * missing,
                attention_mask=[0] * missing,
                special_tokens_mask=[1] * missing,
            )
            out = concatenated([fill, self] if padding.side == "left" else [self, fill])
        out.overflowing = tuple(rest.padded(length, padding, number) for rest in self.overflowing)
        return out


def concatenated(parts: Sequence[Encoding]) -> Encoding:
    """Encodings one behind the other, at least one.

    Example:
        >>> one = Encoding([5], [], lambda: [(0, 1)])
        >>> concatenated([one, one]).ids
        [5, 5]
    """
    if len(parts) == 1:
        return parts[0]
    return Encoding(
        [i for part in parts for i in part.ids],
        parts[0]._vocabulary,
        lambda: [span for part in parts for span in part.offsets],
        type_ids=[i for part in parts for i in part.type_ids],
        attention_mask=[i for part in parts for i in part.attention_mask],
        special_tokens_mask=[i for part in parts for i in part.special_tokens_mask],
    )


def windows(encoding: Encoding, length: int, stride: int, side: Side) -> list[Encoding]:
    """An encoding in pieces of at most so many tokens, the first the one that is kept.

    Args:
        encoding: all of it.
        length: tokens of a window; 0 keeps nothing.
        stride: tokens that neighbours share, fewer than `length`.
        side: "right": windows from the left on; "left": from the right on.

    Raises:
        ValueError: windows would not move on.

    Example:
        >>> one = Encoding([1, 2, 3, 4, 5], [], list)
        >>> [window.ids for window in windows(one, 3, 1, "right")]
        [[1, 2, 3], [3, 4, 5]]
        >>> [window.ids for window in windows(one, 2, 0, "left")]
        [[4, 5], [2, 3], [1]]
    """
    total = len(encoding)
    if total <= length:
        return [encoding]
    if length == 0:
        return [encoding.part(0, 0), encoding]
    if stride >= length:
        raise ValueError(
            f"a stride of {stride} tokens in windows of {length} (special tokens not counted) does "
            "not move on; expected a smaller one"
        )
    found = []
    for moved in range(0, total, length - stride):
        a, b = moved, min(moved + length, total)
        if side == "left":
            a, b = total - b, total - a
        found.append(encoding.part(a, b))
        if moved + length >= total:
            break
    return found


def shared_lengths(first: int, second: int, room: int) -> tuple[int, int]:
    """What is left of two lengths when the longer loses first.

    Example:
        >>> shared_lengths(10, 3, 8), shared_lengths(10, 9, 8)
        ((5, 3), (4, 4))
    """
    short, long = sorted((first, second))
    long = min(long, max(short, room - short))
    if short + long > room:
        short, long = room // 2, room - room // 2
    return (short, long) if first <= second else (long, short)


class Batch(Sequence[Encoding]):
    """Encodings of several texts, as tensors where they are equally long.

    Args:
        encodings: one for each text.

    Example:
        >>> from groundup.text import Padding, train_bpe
        >>> tokenizer = train_bpe("to be or not to be", 260, special_tokens=["<pad>"])
        >>> batch = tokenizer.encode_batch(["to be", "or"], padding=Padding("<pad>"))
        >>> batch.input_ids.shape, batch.attention_mask.tolist()
        ((2, 2), [[1, 1], [1, 1]])
    """

    def __init__(self, encodings: Sequence[Encoding]) -> None:
        self._encodings = list(encodings)

    def __len__(self) -> int:
        return len(self._encodings)

    @overload
    def __getitem__(self, index: int) -> Encoding: ...
    @overload
    def __getitem__(self, index: slice) -> Batch: ...
    def __getitem__(self, index: int | slice) -> Encoding | Batch:
        if isinstance(index, slice):
            return Batch(self._encodings[index])
        return self._encodings[index]

    def __iter__(self) -> Iterator[Encoding]:
        return iter(self._encodings)

    def _tensor(self, rows: list[list[int]]) -> Tensor:
        lengths = sorted({len(row) for row in rows})
        if len(lengths) > 1:
            raise ValueError(
                f"Batch: sequences of {lengths[0]} to {lengths[-1]} tokens do not make a tensor; "
                "give padding=Padding(...)"
            )
        return wrap(np.array(rows, np.int64).reshape(len(rows), lengths[0] if lengths else 0))

    @property
    def input_ids(self) -> Tensor:
        """The ids, int64, (B, T)."""
        return self._tensor([encoding.ids for encoding in self])

    @property
    def attention_mask(self) -> Tensor:
        """1 for tokens and 0 for what fills up, int64, (B, T)."""
        return self._tensor([encoding.attention_mask for encoding in self])

    @property
    def token_type_ids(self) -> Tensor:
        """0 or 1, by the text that a token belongs to, int64, (B, T)."""
        return self._tensor([encoding.type_ids for encoding in self])
