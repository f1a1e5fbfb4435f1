"""Event streams: the same events however the bytes are cut, whatever ends the lines."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import assume, given, strategies as st
from tests.apps.finch.upstream import message_events

from groundup.apps.finch.errors import FinchError
from groundup.apps.finch.wire import Event, EventParser, last_end, write_event

ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
LINES = st.sampled_from(
    [
        *(b"", b"", b"data", b"data:", b"data: x", b"data:y:z", b"data:  two", b"event: ping"),
        *(b"event:", b": a comment", b":", b"id: 7", b"retry: 3", b"nonsense"),
        *(b"data: \xc3\xa9", b"data: \xff"),
    ]
)


def parse(chunks: list[bytes]) -> list[Event]:
    parser = EventParser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(ends)]


def by_the_standard(lines: list[bytes]) -> list[Event]:
    """The algorithm of the HTML standard, written from its text for whole lines."""
    events, name, data = [], "", b""
    for line in lines:
        if not line:
            if data:
                events.append(Event(name or "message", data[:-1]))
            name, data = "", b""
        elif not line.startswith(b":"):
            field, colon, value = line.partition(b":")
            if colon and value.startswith(b" "):
                value = value[1:]
            if field == b"event":
                name = value.decode()
            elif field == b"data":
                data += value + b"\n"
    return events


# R14.1: a stream is understood however the network cuts it.
@given(st.lists(st.tuples(LINES, ENDS), max_size=30), st.lists(st.integers(0, 999)), st.booleans())
def test_any_cut_any_line_end(
    lines: list[tuple[bytes, bytes]], places: list[int], marked: bool
) -> None:
    # An empty line that ends in LF, behind a line that ends in CR, would be the half of a CRLF.
    pairs = pairwise(lines)
    assume(not any(first[1] == b"\r" and second == (b"", b"\n") for first, second in pairs))
    data = (b"\xef\xbb\xbf" if marked else b"") + b"".join(line + end for line, end in lines)
    assert parse(cut(data, places)) == by_the_standard([line for line, _ in lines])


def test_every_cut_of_a_real_stream() -> None:
    events = message_events()
    for end in ("\n", "\r\n", "\r"):
        data = b"".join(events).replace(b"\n", end.encode())
        expected = parse([data])
        assert [event.name for event in expected][:3] == [
            "message_start",
            "content_block_start",
            "ping",
        ]
        assert len(expected) == len(events)
        assert parse([bytes([byte]) for byte in data]) == expected
        for place in range(len(data)):
            assert parse([data[:place], data[place:]]) == expected


def test_an_event_that_does_not_end_is_none() -> None:
    assert parse([b"event: ping\ndata: {}\n"]) == []


@pytest.mark.parametrize("line", [b"data: " + b"x" * 200, b"data: xxxxxxxxxx\n" * 20, b"x" * 200])
def test_an_endless_event_is_refused(line: bytes) -> None:
    parser = EventParser(longest=100)

    def feed() -> None:
        for byte in line:
            parser.feed(bytes([byte]))

    with pytest.raises(FinchError, match="more than 100 bytes"):
        feed()


@given(st.text(), st.lists(st.integers(0, 999)))
def test_what_is_written_is_read(text: str, places: list[int]) -> None:
    try:
        data = write_event("content_block_delta", {"text": text})
    except UnicodeEncodeError:
        return
    (found,) = parse(cut(data, places))
    assert found.name == "content_block_delta"
    assert json.loads(found.data) == {"type": "content_block_delta", "text": text}


@given(st.lists(st.tuples(LINES, ENDS), max_size=12))
def test_the_last_end_leaves_no_event_behind(lines: list[tuple[bytes, bytes]]) -> None:
    data = b"".join(line + end for line, end in lines)
    end = last_end(data)
    assert parse([data[:end]]) == parse([data])
