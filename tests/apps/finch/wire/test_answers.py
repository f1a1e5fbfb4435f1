"""Answers: what is learned is whole and plain; what is made here reads like the API's own."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given, strategies as st
from tests.apps.finch.upstream import (
    OLD,
    ask,
    error,
    event,
    message,
    message_events,
    tool_events,
)

from groundup.apps.finch.wire import (
    Answer,
    Assembly,
    Call,
    EventParser,
    error_body,
    error_event,
    local_body,
    local_events,
    read_answer,
    read_call,
)
from groundup.apps.finch.wire.failure import KINDS

JSON_KIND = {"content-type": "application/json"}
TEXTS = st.text(st.characters(codec="utf-8"), min_size=1)


def assembled(chunks: Sequence[bytes], longest: int = 1 << 20) -> Answer | None:
    assembly = Assembly(longest)
    for chunk in chunks:
        assembly.feed(chunk)
    return assembly.finish()


def call(**fields: object) -> Call:
    return read_call("POST", "/v1/messages", OLD, json.dumps(ask(**fields)).encode())


EXPECTED = Answer("card_arrival", "some-model-2", "end_turn", 12, 5)


def test_a_whole_stream_is_learned_however_it_is_cut() -> None:
    data = b"".join(message_events())
    assert assembled([data]) == EXPECTED
    assert assembled([bytes([byte]) for byte in data]) == EXPECTED
    assert assembled([data.replace(b"\n", b"\r\n")]) == EXPECTED


# R14.1: never learn from a partial answer.
def test_no_part_of_a_stream_is_learned() -> None:
    data = b"".join(message_events())
    for place in range(len(data) - 1):  # without its last line break, the last event is none
        assert assembled([data[:place]]) is None


def test_a_stream_that_lacks_or_repeats_an_event_is_not_learned() -> None:
    events = message_events()
    for number, one in enumerate(events):
        told = json.loads(one.partition(b"data: ")[2])["type"]
        lacking = assembled(events[:number] + events[number + 1 :])
        twice = assembled(events[: number + 1] + events[number:])
        if told == "ping":
            assert lacking == twice == EXPECTED
        elif told == "content_block_delta":  # nobody can see that one is missing
            assert lacking is not None
            assert lacking != EXPECTED
        else:
            assert lacking is None
            assert twice is None


def changed(number: int, new: bytes) -> list[bytes]:
    events = message_events()
    events[number] = new
    return events


THINKING = {"type": "thinking", "thinking": "", "signature": ""}
ENDING = {"usage": {"output_tokens": 5}}


@pytest.mark.parametrize(
    "events",
    [
        tool_events(),
        changed(1, event("content_block_start", index=0, content_block=THINKING)),
        changed(
            1, event("content_block_start", index=1, content_block={"type": "text", "text": ""})
        ),
        changed(3, event("content_block_delta", index=0, delta={"type": "citations_delta"})),
        changed(
            3, event("content_block_delta", index=7, delta={"type": "text_delta", "text": "a"})
        ),
        changed(3, event("content_block_delta", index=0, delta={"type": "text_delta", "text": 3})),
        changed(3, b"event: content_block_delta\ndata: {\n\n"),
        changed(3, b"event: content_block_delta\ndata: \xff\n\n"),
        changed(3, b"event: ping\ndata: {}\n\n"),
        changed(3, event("error", error={"type": "overloaded_error", "message": "no"})),
        changed(3, event("an_event_of_tomorrow")),
        changed(3, b"data: {}\n\n"),
        changed(-2, event("message_delta", delta={"stop_reason": "max_tokens"}, **ENDING)),
        changed(-2, event("message_delta", delta={"stop_reason": "stop_sequence"}, **ENDING)),
        changed(-2, event("message_delta", delta={"stop_reason": "refusal"}, **ENDING)),
        changed(-2, event("message_delta", delta={"stop_reason": None}, **ENDING)),
        changed(
            -2,
            event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": -1}),
        ),
        [*message_events(), event("message_start", message=message())],
        [*message_events(), event("error", error={})],
        [*message_events()[:1], *message_events(["a"])[4:]],  # no block at all
        message_events([]),
        message_events(["a\ud800"]),
        [],
    ],
)
def test_what_is_not_plain_text_is_not_learned(events: list[bytes]) -> None:
    assert assembled(events) is None


def test_blocks_of_text_are_joined() -> None:
    block = {"type": "text", "text": "one "}
    two = [
        event("content_block_start", index=1, content_block={"type": "text", "text": "two"}),
        event("content_block_stop", index=1),
    ]
    events = message_events(["and "])
    events[1] = event("content_block_start", index=0, content_block=block)
    found = assembled([*events[:-2], *two, *events[-2:]])
    assert found is not None
    assert found.text == "one and two"


def test_a_long_answer_is_not_kept() -> None:
    events = message_events(["word "] * 1000)
    assert assembled(events, 1000) is None
    assert assembled(events) is not None


def test_a_json_answer_is_learned() -> None:
    kind = {"content-type": "application/json; charset=utf-8"}
    assert read_answer(200, kind, json.dumps(message()).encode()) == EXPECTED


@pytest.mark.parametrize(
    ("status", "kind", "body"),
    [
        (201, "application/json", message()),
        (500, "application/json", message()),
        (200, "text/html", message()),
        (200, "", message()),
        (200, "application/json", message(stop_reason="max_tokens")),
        (200, "application/json", message(stop_reason="tool_use")),
        (200, "application/json", message(stop_sequence="x")),
        (200, "application/json", message(content=[])),
        (200, "application/json", message("")),
        (200, "application/json", message(content=[{"type": "tool_use"}])),
        (200, "application/json", message(content=[THINKING, {"type": "text", "text": "a"}])),
        (200, "application/json", message(content=[{"type": "text", "text": "a", "x": 1}])),
        (
            200,
            "application/json",
            message(content=[{"type": "text", "text": "a", "citations": [1]}]),
        ),
        (200, "application/json", message(content="a")),
        (200, "application/json", message(role="user")),
        (200, "application/json", message(container={"id": "c"})),
        (200, "application/json", message(usage={})),
        (200, "application/json", message(usage={"input_tokens": True, "output_tokens": 1})),
        (200, "application/json", message(model=None)),
        (200, "application/json", []),
        (200, "application/json", b"{"),
        (200, "application/json", b"\xff"),
        (200, "application/json", b"[" * 100_000),
        (200, "application/json", message("a\ud800")),
        (200, "application/json", error("api_error")),
    ],
)
def test_other_bodies_are_not_learned(status: int, kind: str, body: object) -> None:
    told = body if isinstance(body, bytes) else json.dumps(body).encode()
    assert read_answer(status, {"content-type": kind}, told) is None


# R14.1: a local answer is read as a remote one.
@given(TEXTS, st.integers(0, 99), st.integers(0, 99))
def test_a_local_answer_reads_like_a_remote_one(text: str, given_: int, made: int) -> None:
    expected = Answer(text, "some-model", "end_turn", given_, made)
    assert read_answer(200, JSON_KIND, local_body(call(), text, "1f", given_, made)) == expected
    events = list(local_events(call(), text, "1f", given_, made))
    assert assembled(events) == expected


def test_the_events_of_a_local_answer() -> None:
    parser = EventParser()
    events = [e for one in local_events(call(), "word " * 30, "1f", 3, 4) for e in parser.feed(one)]
    names = [one.name for one in events]
    data = [json.loads(one.data) for one in events]
    assert names == [one["type"] for one in data]
    assert names[:3] == ["message_start", "content_block_start", "ping"]
    assert names[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(names[3:-3]) == {"content_block_delta"}
    assert len(names) > 9, "the text is sent in one piece"
    assert data[0]["message"]["id"] == "msg_1f"
    assert data[0]["message"]["usage"] == {"input_tokens": 3, "output_tokens": 0}
    assert data[-2]["usage"] == {"output_tokens": 4}


@pytest.mark.parametrize("status", KINDS)
def test_errors_have_the_shape_of_the_api(status: int) -> None:
    body = json.loads(error_body(status, "why"))
    assert body == {"type": "error", "error": {"type": KINDS[status], "message": "finch: why"}}
    (one,) = EventParser().feed(error_event(status, "why"))
    assert one.name == "error"
    assert json.loads(one.data) == body
