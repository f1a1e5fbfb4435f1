"""Ends that come too early: the upstream dies, the client leaves, one of them is too slow."""

from __future__ import annotations

import json
import socket
import threading
import time

import httpx2
import pytest
from tests.apps.finch.upstream import (
    OLD,
    Stage,
    Watching,
    ask,
    dying,
    message_events,
    raw_request,
    scope_of,
    serving,
    stage,
    streamed,
    whole,
    zipped,
)

from groundup.apps.finch.proxy import Limits, create_app
from groundup.apps.finch.proxy.copying import LONGEST_HELD, WholeEvents
from groundup.apps.finch.wire import EventParser

EVENTS = message_events()


# R14.1: a stream that is cut ends in an error that the client sees, and nothing is learned.
@pytest.mark.parametrize("sent", range(len(EVENTS)))
def test_the_upstream_dies_at_an_event_boundary(play: Stage, sent: int) -> None:
    play.upstream.always(streamed(die_after=sent))
    response = play.post(ask(stream=True))
    before = b"".join(EVENTS[:sent])
    assert response.content.startswith(before)
    (last,) = EventParser().feed(response.content[len(before) :])
    assert last.name == "error"
    assert json.loads(last.data)["error"]["type"] == "api_error"
    (exchange,) = play.brain.wait()
    assert (exchange.outcome, exchange.answer) == ("failed", None)


def test_the_upstream_dies_within_an_event(play: Stage) -> None:
    data = b"".join(EVENTS)
    for place in range(1, len(data) - 1, 37):
        play.upstream.always(streamed([data[:place], b"-"], die_after=1))
        events = EventParser().feed(play.post(ask(stream=True)).content)
        assert [one.name for one in events].count("error") == 1
        assert events[-1].name == "error"
        for one in events:
            json.loads(one.data)
    assert all(exchange.answer is None for exchange in play.brain.exchanges)


def test_a_stream_that_just_stops_is_cut_too(play: Stage) -> None:
    play.upstream.always(streamed(EVENTS[:-1]))
    events = EventParser().feed(play.post(ask(stream=True)).content)
    assert events[-1].name == "error"


def test_a_death_behind_the_end_is_none(play: Stage) -> None:
    play.upstream.always(streamed([*EVENTS, b"-"], die_after=len(EVENTS)))
    assert play.post(ask(stream=True)).content == b"".join(EVENTS)
    (exchange,) = play.brain.wait()
    assert exchange.answer is not None


def test_an_error_of_the_upstream_in_the_stream_is_the_only_one(play: Stage) -> None:
    told = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error"}}\n\n'
    play.upstream.always(streamed([*EVENTS[:3], told]))
    assert play.post(ask(stream=True)).content == b"".join(EVENTS[:3]) + told
    (exchange,) = play.brain.wait()
    assert exchange.answer is None


def test_words_in_a_text_are_not_taken_for_the_end(play: Stage) -> None:
    events = message_events(["event: message_stop", "\nevent: error\n", "\r\nevent: message_stop"])
    play.upstream.always(streamed(events, die_after=7))
    found = EventParser().feed(play.post(ask(stream=True)).content)
    assert found[-1].name == "error"
    assert len(found) == 8


def test_a_json_answer_that_is_cut_is_seen_as_cut(play: Stage) -> None:
    for reply in (
        whole(die_after=0),
        streamed([b"{"], die_after=1),
        zipped(streamed(die_after=1)),
    ):
        if reply.pieces == [b"{"]:
            reply.headers = [("content-type", "application/json"), ("content-length", "99")]
        play.upstream.always(reply)
        with pytest.raises(httpx2.RemoteProtocolError):
            play.post(ask())
    outcomes = {(e.outcome, e.answer) for e in play.brain.wait(3)}
    assert outcomes == {("failed", None)}


def asked_of(answer: bytes, brain: Watching, stream: bool) -> httpx2.Response:
    """What a client gets if the upstream sends these bytes and closes."""
    with (
        dying(answer) as upstream,
        serving(create_app(upstream, brain, scope_of=scope_of)) as address,
        httpx2.Client(verify=False) as client,
    ):
        return client.post(address + "/v1/messages", json=ask(stream=stream), headers=OLD)


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("sent", [0, 5, 15, 40, HEAD.index(b"{}") - 2])
def test_an_upstream_that_dies_within_its_head(stream: bool, sent: int) -> None:
    brain = Watching()
    response = asked_of(HEAD[:sent], brain, stream)
    assert (response.status_code, response.json()["error"]["type"]) == (502, "api_error")
    (exchange,) = brain.wait()
    assert (exchange.outcome, exchange.answer) == ("failed", None)


@pytest.mark.parametrize("answer", [b"220 mail.example ESMTP\r\n", b"\0" * 99, b"HTTP/1.1 200"])
def test_an_upstream_that_does_not_speak_http(answer: bytes) -> None:
    assert asked_of(answer, Watching(), False).status_code == 502


def test_an_upstream_that_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    brain = Watching()
    with serving(create_app(f"http://127.0.0.1:{port}", brain, scope_of=scope_of)) as address:
        response = httpx2.post(address + "/v1/messages", json=ask(), headers=OLD)
    assert response.status_code == 502
    assert response.headers["x-finch"] == "failed"
    assert response.json()["error"]["type"] == "api_error"
    (exchange,) = brain.wait()
    assert (exchange.outcome, exchange.status) == ("failed", 502)


def test_an_upstream_that_is_silent() -> None:
    with stage(Limits(read=0.1)) as play:
        play.upstream.always(whole(delay=3))
        response = play.post(ask())
        assert (response.status_code, response.json()["error"]["type"]) == (504, "timeout_error")
        play.upstream.always(streamed(gap=3))
        found = EventParser().feed(play.post(ask(stream=True)).content)
        assert [one.name for one in found] == ["message_start", "error"]
        assert json.loads(found[-1].data)["error"]["type"] == "timeout_error"
        assert all(seen.left.wait(3) for seen in play.upstream.seen)


# R14.1: closing the client closes the request to the upstream, before the first token too.
@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_before_the_first_token(play: Stage, stream: bool) -> None:
    play.upstream.always(streamed(delay=20) if stream else whole(delay=20))
    connection = play.connect()
    connection.sendall(raw_request(json.dumps(ask(stream=stream)).encode()))
    while not play.upstream.seen:
        time.sleep(0.002)
    connection.close()
    assert play.upstream.seen[0].left.wait(3)
    (exchange,) = play.brain.wait()
    assert (exchange.outcome, exchange.status, exchange.answer) == ("left", 0, None)


def test_a_client_that_leaves_within_a_stream(play: Stage) -> None:
    play.upstream.always(streamed(gate=threading.Event()))
    connection = play.connect()
    connection.sendall(raw_request(json.dumps(ask(stream=True)).encode()))
    while b"message_start" not in connection.recv(9999):
        pass
    connection.close()
    assert play.upstream.seen[0].left.wait(3)
    (exchange,) = play.brain.wait()
    assert (exchange.outcome, exchange.status, exchange.answer) == ("left", 200, None)


def test_a_client_that_leaves_within_its_own_request(play: Stage) -> None:
    body = json.dumps(ask("x" * 400_000)).encode()
    for cut in (100, 300_000):
        connection = play.connect()
        connection.sendall(raw_request(body)[:cut])
        time.sleep(0.05)
        connection.close()
    assert play.post(ask()).status_code == 200
    assert all(not seen.body or len(seen.body) < 300 for seen in play.upstream.seen)


def test_leaving_costs_the_others_nothing(play: Stage) -> None:
    play.upstream.always(whole(delay=20))
    leaving = [play.connect() for _ in range(20)]
    for connection in leaving:
        connection.sendall(raw_request(json.dumps(ask()).encode()))
    while len(play.upstream.seen) < 20:
        time.sleep(0.002)
    for connection in leaving:
        connection.close()
    assert all(seen.left.wait(3) for seen in play.upstream.seen)
    play.upstream.always(whole())
    assert play.post(ask()).status_code == 200


# R14.1: a slow client slows the upstream down, instead of filling the memory.
def test_a_slow_client_holds_the_upstream_back(play: Stage) -> None:
    piece = b": " + b"x" * 65_000 + b"\n\n"
    play.upstream.always(streamed([EVENTS[0], *[piece] * 1000, *EVENTS[1:]]))
    with play.connect() as connection:
        connection.sendall(raw_request(json.dumps(ask(stream=True)).encode()))
        seen = None
        before = -1
        while seen is None or seen.sent > before:  # until nothing moves any more
            if seen is not None:
                before = seen.sent
            time.sleep(0.3)
            seen = play.upstream.seen[0] if play.upstream.seen else None
        assert seen.sent < 30 << 20, "the proxy took in what nobody read"
        got = 0
        tail = b""
        while b"message_stop" not in tail:
            data = connection.recv(1 << 20)
            assert data, "the stream ended before its end"
            got += len(data)
            tail = (tail + data)[-500:]
    assert got > 65_000_000
    (exchange,) = play.brain.wait()
    assert exchange.answer is None  # too long to be learned


def test_a_slow_sender_is_not_waited_for() -> None:
    with stage(Limits(receive=0.1)) as play, play.connect() as connection:
        connection.sendall(raw_request(json.dumps(ask()).encode())[:-5])
        assert connection.recv(9999).startswith(b"HTTP/1.1 408")
        assert not play.upstream.seen


def test_whole_events_pass_on_everything_in_order() -> None:
    data = b"".join(EVENTS)
    for size in (1, 7, 100, 5000):
        events = WholeEvents()
        pieces = [events.pass_on(data[i : i + size]) for i in range(0, len(data), size)]
        assert b"".join(pieces) + events.rest() == data
        assert all(not piece or piece.endswith(b"\n\n") for piece in pieces)
        assert events.ended


def test_an_event_too_long_to_be_held_is_passed_on() -> None:
    events = WholeEvents()
    sent = events.pass_on(b"data: " + b"x" * (LONGEST_HELD + 1))
    assert len(sent) > LONGEST_HELD
    assert events.line_break() == b"\n"
    assert events.pass_on(b"y\n\n") == b"y\n\n"
    assert events.line_break() == b""
