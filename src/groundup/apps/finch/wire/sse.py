"""Server-sent events: a parser that is fed in any pieces, and a writer.

As in the HTML standard, section 9.2.6: lines end in LF, CR or CRLF, a blank line ends an event,
lines that begin with a colon are comments, the data of several `data:` lines are joined by LF. What
is left over when a stream ends without a blank line is no event.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from ..errors import FinchError

LONGEST = 1 << 20
"""Bytes of an event that is read."""
_BOM = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """One event.

    Attributes:
        name: of its `event:` line; "message" if it has none.
        data: as it came, in UTF-8.

    Example:
        >>> Event("ping", b"{}").name
        'ping'
    """

    name: str
    data: bytes


class EventParser:
    r"""Turns the pieces of a stream into events, however they are cut.

    Args:
        longest: bytes of an event that has not ended; more raise an error.

    Example:
        >>> parser = EventParser()
        >>> parser.feed(b"event: ping\nda")
        []
        >>> parser.feed(b"ta: {}\n\n")
        [Event(name='ping', data=b'{}')]
    """

    def __init__(self, longest: int = LONGEST) -> None:
        self._longest = longest
        self._line: list[bytes] = []  # pieces of the last line, which has not ended
        self._length = 0  # of those
        self._name = ""
        self._data: list[bytes] = []
        self._held = 0  # bytes of the lines in _data
        self._after_cr = False
        self._begun = False

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that end within this piece.

        Raises:
            FinchError: an event is longer than is allowed.
        """
        first, *others = self._with_plain_ends(chunk).split(b"\n")
        self._line.append(first)
        self._length += len(first)
        events: list[Event] = []
        if others:
            lines = [b"".join(self._line), *others[:-1]]
            self._line, self._length = [others[-1]], len(others[-1])
            if not self._begun:
                lines[0] = lines[0].removeprefix(_BOM)
                self._begun = True
            self._take(lines, events)
        if self._held + self._length > self._longest:
            raise FinchError(f"an event of more than {self._longest:,} bytes; expected fewer")
        return events

    def _take(self, lines: list[bytes], events: list[Event]) -> None:
        for line in lines:
            if line:
                self._field(line)
            elif self._data:
                events.append(Event(self._name or "message", b"\n".join(self._data)))
                self._name, self._data, self._held = "", [], 0
            else:
                self._name = ""

    def _with_plain_ends(self, chunk: bytes) -> bytes:
        if self._after_cr and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._after_cr = False
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return chunk

    def _field(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
            self._held += len(value) + 1
            if self._held > self._longest:
                raise FinchError(f"an event of more than {self._longest:,} bytes; expected fewer")
        elif field == b"event":
            self._name = value.decode("utf-8", "replace")


def write_event(name: str, data: Mapping[str, object]) -> bytes:
    r"""An event of the Messages API: its name is on the `event:` line, and is `type` in its data.

    Example:
        >>> write_event("ping", {})
        b'event: ping\ndata: {"type":"ping"}\n\n'
    """
    body = json.dumps({"type": name, **data}, ensure_ascii=False, separators=(",", ":"))
    return f"event: {name}\ndata: {body}\n\n".encode()


def last_end(chunk: bytes) -> int:
    r"""Where the last event that ends in `chunk` ends; 0 if none does.

    Example:
        >>> last_end(b"event: ping\ndata: {}\n\nevent: pi")
        22
    """
    found = chunk.rfind(b"\n\n")
    end = found + 2 if found >= 0 else 0
    if b"\r" in chunk:
        for mark in (b"\r\n\r\n", b"\r\r", b"\n\r\n", b"\r\n\n"):
            found = chunk.rfind(mark)
            end = max(end, found + len(mark) if found >= 0 else 0)
    return end
