"""What is done with the bytes of an answer beside passing them on: kept, decoded, watched."""

from __future__ import annotations

from collections.abc import Mapping

import httpx2

from ..wire import Answer, Assembly, last_end, read_answer

LONGEST_HELD = 1 << 16
"""Bytes of an event that are held until it ends."""


class Copy:
    """The bytes of an answer, kept to be learned from.

    Args:
        longest: bytes; of a longer answer nothing is kept.

    Example:
        >>> copy = Copy(1000)
        >>> copy.feed(b"hello")
        >>> copy.answer(200, {"content-type": "text/html"}) is None
        True
    """

    def __init__(self, longest: int) -> None:
        self._chunks: list[bytes] = []
        self._longest = self._room = longest

    def feed(self, chunk: bytes) -> None:
        """Keep a piece."""
        if self._room >= 0:
            self._room -= len(chunk)
            self._chunks.append(chunk)
            if self._room < 0:
                self._chunks.clear()

    def answer(self, status: int, headers: Mapping[str, str]) -> Answer | None:
        """What is to be learned, once the last piece was kept; None if nothing is.

        Args:
            status: of the response.
            headers: of the response, names in lower case.
        """
        if self._room < 0 or status != 200:
            return None
        body = decoded(b"".join(self._chunks), headers.get("content-encoding", ""), self._longest)
        if body is None:
            return None
        if not is_event_stream(headers):
            return read_answer(status, headers, body)
        assembly = Assembly(self._longest)
        assembly.feed(body)
        return assembly.finish()


def decoded(body: bytes, encoding: str, longest: int) -> bytes | None:
    """A body without its content encoding; None if it cannot be decoded, or is too long then.

    Args:
        body: as it came.
        encoding: of the header `content-encoding`. gzip and deflate always work, br and zstd if
            httpx2 finds a library for them.
        longest: bytes of the result.

    Example:
        >>> import gzip
        >>> decoded(gzip.compress(b"hello"), "gzip", 100)
        b'hello'
        >>> decoded(gzip.compress(bytes(1000)), "gzip", 100) is None
        True
    """
    if not encoding:
        return body if len(body) <= longest else None
    response = httpx2.Response(
        200, headers={"content-encoding": encoding}, stream=httpx2.ByteStream(body)
    )
    found = bytearray()
    try:
        for piece in response.iter_bytes():
            found += piece
            if len(found) > longest:
                return None
    except httpx2.DecodingError:
        return None
    return bytes(found)


def is_event_stream(headers: Mapping[str, str]) -> bool:
    """Whether a response is an event stream.

    Example:
        >>> is_event_stream({"content-type": "text/event-stream; charset=utf-8"})
        True
    """
    return headers.get("content-type", "").partition(";")[0].strip() == "text/event-stream"


class WholeEvents:
    r"""Passes a stream on by whole events, so that one more can be put behind the last at any time.

    A client can do nothing with a part of an event, so nothing comes later for it. Of an event
    that has not ended after `LONGEST_HELD` bytes the parts are passed on as they come.

    Attributes:
        ended: whether the stream came to its end, a `message_stop` or an error.

    Example:
        >>> events = WholeEvents()
        >>> events.pass_on(b"event: ping\ndata: {}\n\nevent: message_st")
        b'event: ping\ndata: {}\n\n'
        >>> events.pass_on(b"op\ndata: {}\n\n")
        b'event: message_stop\ndata: {}\n\n'
        >>> events.ended
        True
    """

    def __init__(self) -> None:
        self.ended = False
        self._held = b""
        self._broken = False  # a part of an event has been passed on

    def pass_on(self, chunk: bytes) -> bytes:
        """What is to be sent now, after the next piece."""
        if self._held:
            chunk = self._held + chunk
        end = len(chunk) if chunk.endswith(b"\n\n") else last_end(chunk)
        if end:
            self._broken = False
        elif len(chunk) > LONGEST_HELD:
            end = len(chunk)
            self._broken = True
        self._held = chunk[end:]
        whole = chunk[:end] if self._held else chunk
        if b"event:" in whole and (b"message_stop" in whole or b"error" in whole):
            self.ended = self.ended or _ends(whole)
        return whole

    def rest(self) -> bytes:
        """What is still held; for a stream that came to its end."""
        held, self._held = self._held, b""
        return held

    def line_break(self) -> bytes:
        """What must stand before an event that is put behind what was passed on."""
        return b"\n" if self._broken else b""


def _ends(whole: bytes) -> bool:
    # A line break cannot stand in JSON, so a text that holds these words is not taken for a line.
    for line in whole.splitlines():
        field, _, name = line.partition(b":")
        if field == b"event" and name.strip() in (b"message_stop", b"error"):
            return True
    return False
