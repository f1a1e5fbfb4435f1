"""A remote answer as it is learned, and a local answer as the Messages API writes one.

The shapes are those of the public API: one JSON object, or the events of a stream (`message_start`
to `message_stop`), each with its name on the `event:` line and again as `type` in its data.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from .call import Call
from .sse import write_event

PIECE = 24
"""Characters of text in an event."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A remote answer that was whole, successful, and nothing but text.

    Attributes:
        text: of its blocks, joined.
        model: which gave it.
        stop_reason: always "end_turn"; an answer that was cut is not learned.
        input_tokens: billed for the request.
        output_tokens: billed for the answer.

    Example:
        >>> Answer("balance", "some-model", "end_turn", 12, 3).text
        'balance'
    """

    text: str
    model: str
    stop_reason: str
    input_tokens: int
    output_tokens: int


def local_body(
    call: Call, text: str, ident: str, input_tokens: int = 0, output_tokens: int = 0
) -> bytes:
    """A local answer as one JSON object.

    Args:
        call: what was asked; its model is named in the answer.
        text: of the answer.
        ident: of the request; the message's id is made of it.
        input_tokens: as told in `usage`.
        output_tokens: as told in `usage`.

    Example:
        >>> from groundup.apps.finch.wire import read_call
        >>> call = read_call("POST", "/v1/messages", {}, b'{"model": "m"}')
        >>> json.loads(local_body(call, "balance", "2f1c"))["content"]
        [{'type': 'text', 'text': 'balance'}]
    """
    message = _message(call, ident, input_tokens, output_tokens)
    message["content"] = [{"type": "text", "text": text}]
    message["stop_reason"] = "end_turn"
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


def local_events(
    call: Call, text: str, ident: str, input_tokens: int = 0, output_tokens: int = 0
) -> Iterator[bytes]:
    """A local answer as an event stream, an event at a time; arguments as for `local_body`.

    Example:
        >>> from groundup.apps.finch.wire import Assembly, read_call
        >>> call = read_call("POST", "/v1/messages", {}, b'{"model": "m"}')
        >>> assembly = Assembly()
        >>> for event in local_events(call, "balance", "2f1c"):
        ...     assembly.feed(event)
        >>> assembly.finish().text
        'balance'
    """
    message = _message(call, ident, input_tokens, 0)
    block = {"type": "text", "text": ""}
    yield write_event("message_start", {"message": message})
    yield write_event("content_block_start", {"index": 0, "content_block": block})
    yield write_event("ping", {})
    for start in range(0, len(text), PIECE):
        delta = {"type": "text_delta", "text": text[start : start + PIECE]}
        yield write_event("content_block_delta", {"index": 0, "delta": delta})
    yield write_event("content_block_stop", {"index": 0})
    ending = {"stop_reason": "end_turn", "stop_sequence": None}
    usage = {"output_tokens": output_tokens}
    yield write_event("message_delta", {"delta": ending, "usage": usage})
    yield write_event("message_stop", {})


def _message(call: Call, ident: str, input_tokens: int, output_tokens: int) -> dict[str, object]:
    return {
        "id": f"msg_{ident}",
        "type": "message",
        "role": "assistant",
        "model": call.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": input_tokens, "output_tokens": output_tokens},
    }
