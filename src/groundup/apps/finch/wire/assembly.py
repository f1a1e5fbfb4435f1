"""A remote answer put together from what passed by, if it may be learned from.

Only what is whole is learned: status 200, nothing but text blocks, `stop_reason` "end_turn". A
stream must have come from `message_start` to `message_stop` in the order that the API states;
anything else that is not known (an event, a kind of block, citations, a container) makes it None.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from ..errors import FinchError
from .answer import Answer
from .sse import Event, EventParser

LONGEST = 1 << 20
"""Bytes of an answer that is learned from."""


class Assembly:
    r"""An answer from the events of a stream.

    `feed` only keeps what it is given, so that it may stand in the path of a stream; the work is
    done by `finish`.

    Args:
        longest: bytes; of a longer answer nothing is kept.

    Example:
        >>> assembly = Assembly()
        >>> assembly.feed(b"event: message_start\n")
        >>> assembly.finish() is None  # it was cut
        True
    """

    def __init__(self, longest: int = LONGEST) -> None:
        self._chunks: list[bytes] = []
        self._room = longest

    def feed(self, chunk: bytes) -> None:
        """Take a piece of the stream, cut anywhere."""
        if self._room >= 0:
            self._room -= len(chunk)
            self._chunks.append(chunk)
            if self._room < 0:
                self._chunks.clear()

    def finish(self) -> Answer | None:
        """The answer; None if there is none to learn from."""
        if self._room < 0:
            return None
        reading = _Reading()
        parser = EventParser()
        try:
            for event in parser.feed(b"".join(self._chunks)):
                reading.take(event)
        except (FinchError, KeyError, RecursionError, TypeError, ValueError):
            return None
        return reading.answer()


class _Reading:
    """The state of a stream that is read; what does not belong raises ValueError."""

    def __init__(self) -> None:
        self.message: Mapping[str, object] | None = None
        self.ending: Mapping[str, object] | None = None
        self.usage: Mapping[str, object] = {}
        self.texts: list[str] = []
        self.blocks = 0
        self.open = False
        self.stopped = False

    def take(self, event: Event) -> None:
        data = _read(event.data)
        if data["type"] != event.name:
            raise ValueError(f"{event.name} with the data of {data['type']}")
        if event.name == "ping":
            return
        if self.stopped or (self.message is None) != (event.name == "message_start"):
            raise ValueError(f"{event.name} out of order")
        if event.name == "message_start":
            self.message = _mapping(data["message"])
        elif event.name == "content_block_start":
            if self.open or self.ending or data["index"] != self.blocks:
                raise ValueError("a block out of order")
            self.open = True
            self.texts.append(_text(_mapping(data["content_block"])))
        elif event.name == "content_block_delta":
            delta = _mapping(data["delta"])
            if not self.open or data["index"] != self.blocks or delta["type"] != "text_delta":
                raise ValueError("a change of what is not open text")
            self.texts.append(_string(delta["text"]))
        elif event.name == "content_block_stop":
            if not self.open or data["index"] != self.blocks:
                raise ValueError("the end of what is not open")
            self.open = False
            self.blocks += 1
        elif event.name == "message_delta":
            if self.open or self.ending:
                raise ValueError("an ending out of order")
            self.ending, self.usage = _mapping(data["delta"]), _mapping(data["usage"])
        elif event.name == "message_stop":
            self.stopped = True
        else:
            raise ValueError(f"{event.name} is not known")

    def answer(self) -> Answer | None:
        if self.message is None or self.ending is None or not self.stopped:
            return None
        try:
            usage = {**_mapping(self.message["usage"]), **self.usage}
            whole = {**self.message, **self.ending, "usage": usage}
            if whole["content"]:
                return None
            return _answer(whole, "".join(self.texts))
        except (KeyError, TypeError, ValueError):
            return None


def read_answer(status: int, headers: Mapping[str, str], body: bytes) -> Answer | None:
    """The answer in a JSON body.

    Args:
        status: of the response.
        headers: of the response, names in lower case; only `content-type` is looked at.
        body: decoded.

    Returns:
        None if there is nothing to learn from.

    Example:
        >>> body = (b'{"type": "message", "role": "assistant", "model": "m", "stop_reason": '
        ...         b'"end_turn", "content": [{"type": "text", "text": "balance"}], '
        ...         b'"usage": {"input_tokens": 9, "output_tokens": 3}}')
        >>> read_answer(200, {"content-type": "application/json"}, body).text
        'balance'
        >>> read_answer(529, {"content-type": "application/json"}, body) is None
        True
    """
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if status != 200 or kind != "application/json" or len(body) > LONGEST:
        return None
    try:
        whole = _read(body)
        blocks = whole["content"]
        if not isinstance(blocks, list):
            return None
        return _answer(whole, "".join(_text(_mapping(block)) for block in blocks))
    except (KeyError, RecursionError, TypeError, ValueError):
        return None


def _answer(whole: Mapping[str, object], text: str) -> Answer | None:
    usage = _mapping(whole["usage"])
    plain = (
        whole["type"] == "message"
        and whole["role"] == "assistant"
        and whole["stop_reason"] == "end_turn"
        and not any(whole.get(name) for name in ("stop_sequence", "stop_details", "container"))
    )
    if not plain or not text:
        return None
    text.encode()  # half of a surrogate pair is no text
    return Answer(
        text,
        _string(whole["model"]),
        "end_turn",
        _count(usage["input_tokens"]),
        _count(usage["output_tokens"]),
    )


def _read(data: bytes) -> Mapping[str, object]:
    return _mapping(json.loads(data.decode()))


def _mapping(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise ValueError("expected an object")
    return value


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("expected a text")
    return value


def _count(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError("expected a number of tokens")
    return value


def _text(block: Mapping[str, object]) -> str:
    if block["type"] != "text" or block.get("citations") or not block.keys() <= _TEXT:
        raise ValueError("not a plain text block")
    return _string(block["text"])


_TEXT = {"type", "text", "citations"}
