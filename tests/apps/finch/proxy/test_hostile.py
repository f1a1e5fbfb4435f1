"""Requests that mean harm, or are just too large, on bare connections."""

from __future__ import annotations

import itertools
import json
import re
import socket
import time
import tracemalloc
from contextlib import suppress

import pytest
from tests.apps.finch.upstream import OLD, Stage, ask, raw_request, stage, whole

MB = 1 << 20


def answer_to(play: Stage, request: bytes) -> bytes:
    """What comes back for these bytes, up to the end of the first answer."""
    with play.connect() as connection:
        connection.sendall(request)
        return first_answer(connection)


def first_answer(connection: socket.socket) -> bytes:
    got = b""
    while True:
        data = connection.recv(1 << 16)
        got += data
        head, end, body = got.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        if not data or (end and length and len(body) >= int(length[1])):
            return got


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


BODY = json.dumps(ask()).encode()


@pytest.mark.parametrize(
    "head",
    [
        b"content-length: x\r\n",
        b"content-length: -1\r\n",
        b"content-length: +5\r\n",
        b"content-length: 5, 6\r\n",
        b"content-length: 5\r\ncontent-length: 6\r\n",
        b"content-length: 99999999999999999999999999\r\n",
        b"content-length: \xc2\xb2\r\n",
        b"transfer-encoding: gzip\r\n",
        b"transfer-encoding: chunked, chunked\r\n",
        b"a header\r\n",
        b"bad name: x\r\n",
        b"x: a\x00b\r\n",
        b"x : y\r\n",
        b": y\r\n",
    ],
)
def test_malformed_heads(play: Stage, head: bytes) -> None:
    request = b"POST /v1/messages HTTP/1.1\r\nhost: localhost\r\n" + head + b"\r\n" + BODY
    assert status_of(answer_to(play, request)) in (400, 413, 501)
    assert not play.upstream.seen


def test_two_framings_are_not_passed_on(play: Stage) -> None:
    """A request that two servers could cut differently (smuggling) is sent on as one."""
    inner = b"GET /v1/secret HTTP/1.1\r\nhost: x\r\n\r\n"
    request = (
        b"POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4\r\n"
        b"transfer-encoding: chunked\r\nconnection: close\r\n\r\n"
        + b"%x\r\n%b\r\n0\r\n\r\n"
        % (len(inner), inner)
    )
    play.upstream.always(whole())
    answer_to(play, request)
    for seen in play.upstream.seen:  # refused, or one request with one length
        assert (seen.target, seen.body) == ("/v1/messages", inner)
        assert seen.header("content-length") == str(len(inner))
        assert seen.header("transfer-encoding") is None
    assert len(play.upstream.seen) <= 1


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/v1/../admin", 400),
        ("/v1/%2e%2e/admin", 400),
        ("/v1/./messages", 400),
        ("/v1/x/..%2f..", 400),
        ("/v1", 307),
        ("//v1/messages", 404),
        ("/V1/messages", 404),
        ("http://elsewhere.example/v1/models", 404),
        ("*", 404),
    ],
)
def test_addresses_that_lead_elsewhere(play: Stage, target: str, status: int) -> None:
    request = f"GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode()
    found = status_of(answer_to(play, request))
    if target.startswith(
        "http"
    ):  # with httptools the host in it is dropped, and only the path kept
        assert found in (200, 404)
        assert all(seen.target == "/v1/models" for seen in play.upstream.seen)
    else:
        assert found == status
        assert not play.upstream.seen


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:9", 200),
        ("127.0.0.1:8080", 200),
        ("[::1]:1", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("10.0.0.1", 421),
        ("", 421),
        ("localhost, evil.example", 421),
    ],
)
def test_names_that_are_not_ours(play: Stage, host: str, status: int) -> None:
    request = f"GET /v1/models HTTP/1.1\r\nhost: {host}\r\n\r\n".encode()
    assert status_of(answer_to(play, request)) == status


def test_other_names_if_they_are_told() -> None:
    request = b"GET /v1/models HTTP/1.1\r\nhost: finch.example\r\n\r\n"
    for names, status in (((), 421), (("finch.example",), 200), (None, 200)):
        with stage(names=names) as play:
            assert status_of(answer_to(play, request)) == status


def test_large_heads(play: Stage) -> None:
    many = {**OLD, **{f"x-{number}": "v" * 100 for number in range(700)}}
    assert status_of(answer_to(play, raw_request(BODY, many))) == 431
    assert not play.upstream.seen
    endless = b"GET /v1/models HTTP/1.1\r\nhost: localhost\r\nx: " + b"v" * (1 << 18)
    with suppress(ConnectionResetError):  # the server does not read it to its end
        assert status_of(answer_to(play, endless + b"\r\n\r\n")) in (400, 431)
    fewer = {**OLD, **{f"x-{number}": "v" * 100 for number in range(500)}}
    assert status_of(answer_to(play, raw_request(BODY, fewer))) == 200


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"GET /",
        b"POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nx: ",
        b"POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
        b"2\r\n{}\r\n0\r\nx: ",
        b"POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n2;",
    ],
    ids=["nothing", "target", "header", "trailer", "extension"],
)
def test_what_has_no_end_is_cut_off(play: Stage, start: bytes) -> None:
    piece = b"\r\n" * 8192 if start == b"" else b"v" * 16384
    with play.connect() as connection:
        connection.sendall(start)
        with suppress(ConnectionError):
            for _ in range(1000):
                connection.sendall(piece)
                time.sleep(0.001)
            pytest.fail("it takes more and more")
    assert not play.upstream.seen
    assert play.post(ask()).status_code == 200


# R14.1: 32 MB pass, one byte more does not.
def test_a_body_of_32_mb(play: Stage) -> None:
    play.upstream.always(whole())
    body = json.dumps(ask("x" * (32 * MB - 200))).encode().ljust(32 * MB)
    assert len(body) == 32 * MB
    assert play.post(body).status_code == 200
    (seen,) = play.upstream.seen
    assert seen.body == body
    assert seen.header("content-length") == str(len(body))
    (exchange,) = play.brain.wait()
    assert exchange.call.must_forward == "it is long"
    assert play.post(body + b" ").status_code == 413
    assert len(play.upstream.seen) == 1


def test_a_body_that_is_announced_too_large_is_not_read(play: Stage) -> None:
    head = raw_request(b"").replace(b"content-length: 0", b"content-length: 33554433")
    answer = answer_to(play, head)  # not one byte of the body is sent
    assert status_of(answer) == 413
    assert b'"request_too_large"' in answer


def test_a_body_of_unknown_length_is_cut_off(play: Stage) -> None:
    play.upstream.always(whole())
    response = play.client.post(
        play.address + "/v1/messages",
        content=itertools.repeat(b"x" * MB, 33),
        headers=OLD,
    )
    assert response.status_code == 413
    assert not play.upstream.seen, "the upstream took it for a whole request"
    five = itertools.repeat(b"x" * MB, 5)
    response = play.client.post(play.address + "/v1/messages", content=five, headers=OLD)
    assert response.status_code == 200
    assert len(play.upstream.seen[0].body) == 5 * MB


def test_large_bodies_are_not_kept(play: Stage) -> None:
    """The proxy streams what it does not look into: its memory does not hold the body."""
    play.upstream.keep = False
    headers = {**OLD, "content-length": str(24 * MB)}
    tracemalloc.start()
    try:
        pieces = itertools.repeat(b"x" * (MB // 16), 24 * 16)
        response = play.client.post(play.address + "/v1/x", content=pieces, headers=headers)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert response.status_code == 200
    assert play.upstream.seen[0].taken == 24 * MB
    assert peak < 8 * MB


def test_garbage_is_refused_and_the_next_is_served(play: Stage) -> None:
    for junk in (b"\x16\x03\x01\x02\x00\x01\x00", b"\r\n\r\n\r\n\r\nx\r\n\r\n", b"GET\r\n\r\n"):
        assert answer_to(play, junk + b"\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert status_of(answer_to(play, raw_request(BODY))) == 200


def test_a_head_that_does_not_come_holds_nobody_up(play: Stage) -> None:
    waiting = [play.connect() for _ in range(50)]
    for connection in waiting:
        connection.sendall(b"POST /v1/messages HTTP/1.1\r\nhost: localhost\r\n")
    assert play.post(ask()).status_code == 200
    for connection in waiting:
        connection.close()


def test_requests_one_after_the_other_on_one_connection(play: Stage) -> None:
    play.upstream.always(whole())
    with play.connect() as connection:
        connection.sendall(raw_request(BODY) * 3)  # at once: pipelined
        got = b""
        while got.count(whole().pieces[0]) < 3:
            data = connection.recv(1 << 16)
            assert data, "the connection ended before the third answer"
            got += data
    assert got.count(b"HTTP/1.1 200") == 3
    assert len(play.upstream.seen) == 3


def test_websockets_are_refused(play: Stage) -> None:
    upgrade = (
        b"GET /v1/messages HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\n"
        b"upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAA\r\n\r\n"
    )
    answer = answer_to(play, upgrade)
    assert not answer.startswith(b"HTTP/1.1 101")
