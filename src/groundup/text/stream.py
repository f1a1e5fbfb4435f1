"""Decoding while a model writes: text as soon as it is certain.

A token may end within a character, so the bytes of a character that is not complete are held back
until the rest has come, or turns out not to.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable


class DecodeStream:
    """Text of ids that come one after the other; made by `Tokenizer.decode_stream`.

    Args:
        content: the bytes of a token, told whether it is the first; None for what is left out.

    Example:
        >>> stream = DecodeStream(lambda number, first: bytes([number]))
        >>> stream.push(0xC3), stream.push(0xA9), stream.push(0xC3), stream.finish()
        ('', 'é', '', '\ufffd')
    """

    def __init__(self, content: Callable[[int, bool], bytes | None]) -> None:
        self._content = content
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._first = True

    def push(self, number: int) -> str:
        """The text that has become certain with this id; often "".

        Raises:
            ValueError: the id is not in the vocabulary.

        Example:
            >>> DecodeStream(lambda number, first: b"ab").push(0)
            'ab'
        """
        found = self._content(number, self._first)
        if found is None:
            return ""
        self._first = False
        return self._decoder.decode(found)

    def finish(self) -> str:
        """What is left: U+FFFD where a character has remained incomplete.

        Example:
            >>> DecodeStream(lambda number, first: b"ab").finish()
            ''
        """
        return self._decoder.decode(b"", final=True)
