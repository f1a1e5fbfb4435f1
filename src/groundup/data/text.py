"""Text as a data set: a long sequence of token ids, cut into windows for predicting the next token.

The window at position p reads the tokens p, ..., p + context - 1 and is to predict p + 1, ..., p
+ context: at each place the token that follows (Bengio et al., "A neural probabilistic language
model", 2003, equation 1, with the whole window as context). Characters serve as tokens where no
ids are given.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from ..engine.base import wrap
from ..engine.ops.creation import as_tensor
from ..engine.tensor import Tensor


class Vocabulary:
    """The characters that a model knows, each with a number.

    Args:
        characters: the characters, in the order of their numbers; each once.

    Attributes:
        characters: all of them as one string; the place in it is the number.

    Raises:
        ValueError: a character stands there twice.

    Example:
        >>> vocabulary = Vocabulary.of("hello")
        >>> vocabulary.characters
        'ehlo'
        >>> vocabulary.encode("hole").tolist()
        [1, 3, 2, 0]
        >>> vocabulary.decode([1, 0, 2, 2, 3])
        'hello'
    """

    def __init__(self, characters: str) -> None:
        self.characters = characters
        self._numbers = {character: i for i, character in enumerate(characters)}
        if len(self._numbers) < len(characters):
            twice = next(c for c in characters if characters.count(c) > 1)
            raise ValueError(
                f"Vocabulary: {twice!r} occurs more than once; give each character once"
            )

    @classmethod
    def of(cls, text: str) -> Vocabulary:
        """All characters of a text, in the order of their code points.

        Example:
            >>> len(Vocabulary.of("hello"))
            4
        """
        return cls("".join(sorted(set(text))))

    def __len__(self) -> int:
        return len(self.characters)

    def encode(self, text: str) -> Tensor:
        """The numbers of the characters, int64, (length,).

        Raises:
            ValueError: a character is not in the vocabulary.

        Example:
            >>> Vocabulary("ab").encode("abba").tolist()
            [0, 1, 1, 0]
        """
        try:
            return wrap(np.array([self._numbers[c] for c in text], np.int64))
        except KeyError as error:
            place = text.index(error.args[0])
            raise ValueError(
                f"encode: {error.args[0]!r} (character {place} of the text) is not among the "
                f"{len(self)} characters of the vocabulary; build it from all of the text"
            ) from None

    def decode(self, ids: Iterable[int] | Tensor) -> str:
        """The text of the numbers, the inverse of ``encode``.

        Raises:
            ValueError: a number is not in the vocabulary.

        Example:
            >>> Vocabulary("ab").decode([0, 1, 1, 0])
            'abba'
        """
        numbers = [int(i) for i in (ids.tolist() if isinstance(ids, Tensor) else ids)]
        wrong = [i for i in numbers if not 0 <= i < len(self)]
        if wrong:
            raise ValueError(
                f"decode: {wrong[0]} is not a number of one of the {len(self)} characters"
            )
        return "".join(self.characters[i] for i in numbers)


class TextDataset:
    """Windows of a text, with the next token at each place as the target.

    Args:
        source: the text itself (a string), a file with it (a ``Path``, UTF-8), or token ids
            (integers, (T,)).
        context: tokens in a window, at least 1.
        stride: from the start of a window to the start of the next. Default ``context``: windows
            that do not overlap; 1 gives every window. Tokens at the end that do not fill a window
            are left out.
        vocabulary: the characters and their numbers; built from the text if None.

    Shape:
        An item is (inputs, targets), int64, (context,) each; a batch has (B, context) each.

    Attributes:
        tokens: all ids, int64, (T,).
        vocabulary: what the ids mean; None if ids were given without one.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not UTF-8, a character is not in the vocabulary, or the text is
            too short for one window.

    Example:
        >>> data = TextDataset("abcabcab", context=3)
        >>> len(data)
        2
        >>> inputs, targets = data[0]
        >>> data.vocabulary.decode(inputs), data.vocabulary.decode(targets)
        ('abc', 'bca')
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | Sequence[int] | Tensor,
        context: int,
        stride: int | None = None,
        vocabulary: Vocabulary | None = None,
    ) -> None:
        text = read_text(source) if isinstance(source, os.PathLike) else source
        if isinstance(text, str):
            self.vocabulary: Vocabulary | None = vocabulary or Vocabulary.of(text)
            self.tokens = self.vocabulary.encode(text)
        else:
            self.vocabulary = vocabulary
            self.tokens = as_tensor(text)
        if self.tokens.ndim != 1 or self.tokens.dtype.kind not in "iu":
            raise ValueError(
                f"TextDataset: token ids of shape {self.tokens.shape} and dtype "
                f"{self.tokens.dtype.name}; expected integers in one dimension"
            )
        self.tokens = self.tokens.long()
        self.context = context
        self.stride = context if stride is None else stride
        if self.context < 1 or self.stride < 1:
            raise ValueError(
                f"TextDataset: context {context} and stride {stride}; expected at least 1 of each"
            )
        if len(self.tokens) <= context:
            raise ValueError(
                f"TextDataset: {len(self.tokens)} tokens are too few for a context of {context} "
                f"and one token to predict; give at least {context + 1} or shorten the context"
            )

    def __len__(self) -> int:
        return (len(self.tokens) - 1 - self.context) // self.stride + 1

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if not 0 <= index < len(self):
            raise IndexError(f"window {index} is out of range; there are {len(self)}")
        start = index * self.stride
        window = self.tokens[start : start + self.context + 1]
        return window[:-1], window[1:]

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return (self[i] for i in range(len(self)))

    def batch(self, indices: ArrayLike) -> tuple[Tensor, Tensor]:
        """Many windows at once.

        Args:
            indices: integers from 0 to the length - 1, (B,).

        Returns:
            (inputs, targets), (B, context) each.

        Example:
            >>> inputs, targets = TextDataset([5, 6, 7, 8, 9], context=2).batch([1, 0])
            >>> inputs.tolist(), targets.tolist()
            ([[7, 8], [5, 6]], [[8, 9], [6, 7]])
        """
        starts = np.asarray(indices, np.int64) * self.stride
        windows = self.tokens[starts[:, None] + np.arange(self.context + 1)]
        return windows[:, :-1], windows[:, 1:]


def read_text(path: str | os.PathLike[str]) -> str:
    """The text of a UTF-8 file, line ends as they are, without a byte order mark.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not UTF-8.

    Example:
        >>> read_text("no such file")
        Traceback (most recent call last):
        ...
        FileNotFoundError: no such file: there is no such text file
    """
    name = os.fspath(path)
    try:
        content = Path(name).read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"{name}: there is no such text file") from None
    try:
        return content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{name}: not UTF-8 (byte 0x{content[error.start]:02x} at position {error.start}); "
            "convert the file to UTF-8 first, or read it with its own encoding and pass the text"
        ) from error
