"""What is forwarded arrives as it was sent, and what comes back is what came, bytes and headers."""

from __future__ import annotations

import gzip
import json
import threading

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from tests.apps.finch.upstream import (
    KEY,
    NEW,
    OLD,
    Stage,
    ask,
    error,
    message_events,
    scope_of,
    serving,
    streamed,
    whole,
    zipped,
)

from groundup.apps.finch.proxy import Silent, Verdict, create_app

BODIES = [
    b"",
    b"{}",
    b"not json",
    b"\xff\xfe\x00",
    json.dumps(ask("caf\xe9 \u2603")).encode(),
    json.dumps(ask("caf\xe9 \u2603"), ensure_ascii=False, indent=3).encode(),
    b'  {"model":"m",  "model":"n", "unknown": [1.00, 1e5]}\n',
]


# R14.1: the body's bytes are forwarded unchanged, whatever they are.
@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens", "/v1/x"])
def test_a_body_arrives_as_it_was_sent(play: Stage, body: bytes, path: str) -> None:
    play.upstream.always(whole())
    play.post(body, path=path)
    (seen,) = play.upstream.seen
    assert (seen.method, seen.target, seen.body) == ("POST", path, body)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.binary(max_size=300))
def test_any_bytes_pass_both_ways(play: Stage, sent: bytes, back: bytes) -> None:
    play.upstream.always(whole(back or b"-"))
    play.upstream.seen.clear()
    response = play.post(sent)
    assert play.upstream.seen[0].body == sent
    assert response.content == (back or b"-")


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/v1/models"),
        ("HEAD", "/v1/models"),
        ("GET", "/v1/models?limit=2&after_id=x%20y"),
        ("GET", "/v1/models/some-model"),
        ("POST", "/v1/messages?beta=true"),
        ("POST", "/v1/messages/batches"),
        ("DELETE", "/v1/messages/batches/b%2Fc"),
        ("GET", "/v1/files/a%20b//c;d?e=%zz&f"),
        ("PUT", "/v1/anything"),
        ("PATCH", "/v1/anything?"),
    ],
)
def test_all_of_v1_passes_through(play: Stage, method: str, target: str) -> None:
    play.upstream.always(whole())
    with play.connect() as connection:
        connection.sendall(
            f"{method} {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode()
        )
        answer = b"".join(iter(lambda: connection.recv(9999), b""))
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"x-finch: forwarded" in answer
    (seen,) = play.upstream.seen
    assert (seen.method, seen.target) == (method, target.removesuffix("?"))


def test_other_addresses_do_not(play: Stage) -> None:
    assert play.get("/v2/models").status_code == 404
    assert play.get("/").status_code == 404
    assert not play.upstream.seen


def test_the_headers_of_a_request(play: Stage) -> None:
    kept = {
        "x-api-key": KEY,
        "anthropic-version": "2023-06-01",
        "anthropic-beta": "a,b",
        "user-agent": "Client/1",
        "accept": "text/event-stream",
        "accept-encoding": "gzip, br",
        "content-type": "application/json",
        "cookie": "a=b",
        "x-unknown": "b",
        "x-stainless-retry-count": "0",
    }
    dropped = {
        "connection": "keep-alive, X-Hop",
        "x-hop": "1",
        "keep-alive": "timeout=5",
        "te": "trailers",
        "proxy-authorization": "Basic abc",
        "upgrade": "h2c",
        "x-finch": "on",
        "x-finch-anything": "1",
        "expect": "100-continue",
    }
    play.client.post(play.address + "/v1/messages", content=b"{}", headers={**kept, **dropped})
    (seen,) = play.upstream.seen
    host = play.upstream.address.removeprefix("http://")
    assert dict(seen.headers) == {**kept, "host": host, "content-length": "2"}


@pytest.mark.parametrize("code", ["utf-8", "latin-1"])
def test_a_header_with_an_accent_is_sent_on_in_utf_8(play: Stage, code: str) -> None:
    told = {**OLD, "x-unknown": "caf\xe9".encode(code)}
    play.client.post(play.address + "/v1/messages", content=b"{}", headers=told)
    found = play.upstream.seen[0].header("x-unknown")
    assert found is not None
    assert found.encode("latin-1") == "caf\xe9".encode()


def test_a_header_that_comes_twice_stays_two(play: Stage) -> None:
    headers = [*OLD.items(), ("anthropic-beta", "a"), ("anthropic-beta", "b")]
    play.client.post(play.address + "/v1/messages", content=b"{}", headers=headers)
    found = [value for name, value in play.upstream.seen[0].headers if name == "anthropic-beta"]
    assert found == ["a", "b"]


def test_the_headers_of_an_answer(play: Stage) -> None:
    kept = [
        ("retry-after", "7"),
        ("anthropic-ratelimit-requests-remaining", "3"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("date", "Mon, 23 Nov 2026 08:00:00 GMT"),
        ("server", "theirs"),
        ("x-unknown", "caf\xe9"),
    ]
    dropped = [("connection", "x-hop"), ("x-hop", "1"), ("keep-alive", "1"), ("x-finch", "local")]
    play.upstream.always(whole(headers=[*kept, *dropped]))
    response = play.post(ask())
    told = [
        (name.decode().lower(), value.decode("latin-1")) for name, value in response.headers.raw
    ]
    ours = [("x-finch", "forwarded"), ("x-finch-request", response.headers["x-finch-request"])]
    length = str(len(response.content))
    assert told == [
        ("content-type", "application/json"),
        ("content-length", length),
        ("request-id", "req_up"),
        *kept,
        *ours,
    ]


ERRORS = [
    (400, "invalid_request_error"),
    (401, "authentication_error"),
    (403, "permission_error"),
    (404, "not_found_error"),
    (413, "request_too_large"),
    (429, "rate_limit_error"),
    (500, "api_error"),
    (529, "overloaded_error"),
]


# R14.1: failures pass through with their status, body and headers; the proxy does not try again.
@pytest.mark.parametrize(("status", "kind"), ERRORS)
@pytest.mark.parametrize("stream", [False, True])
def test_errors_pass_through(play: Stage, status: int, kind: str, stream: bool) -> None:
    body = error(kind)
    play.upstream.always(whole(body, status, headers=[("retry-after", "3")]))
    response = play.post(ask(stream=stream))
    assert (response.status_code, response.content) == (status, body)
    assert response.headers["retry-after"] == "3"
    assert response.headers["request-id"] == "req_up"
    assert response.headers["x-finch"] == "forwarded"
    assert len(play.upstream.seen) == 1
    (exchange,) = play.brain.wait()
    assert (exchange.outcome, exchange.status, exchange.answer) == ("forwarded", status, None)


@pytest.mark.parametrize("headers", [OLD, NEW])
def test_an_answer_is_passed_on_and_learned(play: Stage, headers: dict[str, str]) -> None:
    response = play.post(ask(), headers)
    assert response.json()["content"][0]["text"] == "card_arrival"
    (exchange,) = play.brain.wait()
    assert exchange.answer is not None
    assert (exchange.answer.text, exchange.answer.output_tokens) == ("card_arrival", 5)
    assert exchange.call.query == "where is my card"
    assert 0 < exchange.considered < exchange.first_byte < exchange.total < 5
    assert response.headers["x-finch-request"] == exchange.verdict.ident


def test_a_stream_is_passed_on_byte_for_byte_and_learned(play: Stage) -> None:
    response = play.post(ask(stream=True))
    assert response.content == b"".join(message_events())
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    (exchange,) = play.brain.wait()
    assert exchange.answer is not None
    assert exchange.answer.text == "card_arrival"


def test_a_stream_is_not_held_back(play: Stage) -> None:
    gate = threading.Event()
    play.upstream.always(streamed(gate=gate))
    request = {"content": json.dumps(ask(stream=True)), "headers": OLD}
    with play.client.stream("POST", play.address + "/v1/messages", **request) as response:
        pieces = response.iter_raw()
        first = next(pieces)
        assert first == message_events()[0]  # the second has not been sent yet
        gate.set()
        assert first + b"".join(pieces) == b"".join(message_events())


# R14.1: what is compressed stays so for the client, and is decoded for learning only.
@pytest.mark.parametrize("stream", [False, True])
def test_a_compressed_answer(play: Stage, stream: bool) -> None:
    plain = b"".join(message_events()) if stream else whole().pieces[0]
    play.upstream.always(zipped(streamed() if stream else whole()))
    with play.client.stream(
        "POST",
        play.address + "/v1/messages",
        content=json.dumps(ask(stream=stream)),
        headers={**OLD, "accept-encoding": "gzip"},
    ) as response:
        raw = b"".join(response.iter_raw())
    assert response.headers["content-encoding"] == "gzip"
    assert gzip.decompress(raw) == plain
    (exchange,) = play.brain.wait()
    assert exchange.answer is not None
    assert exchange.answer.text == "card_arrival"


def test_an_unknown_compression_is_passed_on_and_not_learned(play: Stage) -> None:
    reply = whole(whole().pieces[0][::-1], headers=[("content-encoding", "unheard-of")])
    play.upstream.always(reply)
    with play.client.stream(
        "POST", play.address + "/v1/messages", content=json.dumps(ask()), headers=OLD
    ) as response:
        assert b"".join(response.iter_raw()) == reply.pieces[0]
    (exchange,) = play.brain.wait()
    assert (exchange.outcome, exchange.answer) == ("forwarded", None)


@pytest.mark.parametrize("changed", [{"tools": []}, {"thinking": {"type": "adaptive"}}])
def test_what_must_be_forwarded_is_not_considered(play: Stage, changed: dict[str, object]) -> None:
    play.brain.serve("never")
    response = play.post(ask(**changed))
    assert response.headers["x-finch"] == "forwarded"
    assert not play.brain.calls
    (exchange,) = play.brain.wait()
    assert exchange.answer is None
    assert exchange.verdict.reason == exchange.call.must_forward


def test_a_base_path_and_no_content_length(play: Stage) -> None:
    play.upstream.always(whole())
    app = create_app(play.upstream.address + "/base/", Silent(), scope_of=scope_of)
    with serving(app) as address:
        pieces = iter([b"{", b"}"])
        play.client.post(address + "/v1/messages?x=1", content=pieces, headers=OLD)
    (seen,) = play.upstream.seen
    assert (seen.target, seen.body) == ("/base/v1/messages?x=1", b"{}")
    assert seen.header("content-length") == "2"


def test_verdicts_name_the_request(play: Stage) -> None:
    play.brain.decide = lambda call: Verdict("abc123", False, reason="cold start")
    assert play.post(ask()).headers["x-finch-request"] == "abc123"
