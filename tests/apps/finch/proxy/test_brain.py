"""What the brain says is done; what it cannot say in time, or at all, is forwarded."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator

import httpx2
import pytest
from tests.apps.finch.upstream import (
    KEY,
    NEW,
    OLD,
    SALT,
    Stage,
    ask,
    scope_of,
    stage,
    streamed,
    whole,
)

from groundup.apps.finch.errors import FinchError
from groundup.apps.finch.proxy import Limits, Verdict, create_app, key_scope
from groundup.apps.finch.proxy.brain import Silent
from groundup.apps.finch.wire import Assembly, Call, read_answer


# R14.1: a local answer has the shape of a remote one, and says that it is local.
@pytest.mark.parametrize("headers", [OLD, NEW])
@pytest.mark.parametrize("stream", [False, True])
def test_a_local_answer(play: Stage, headers: dict[str, str], stream: bool) -> None:
    text = "caf\xe9 \u2603 " * 20
    play.brain.serve(text)
    response = play.post(ask(stream=stream), headers)
    assert response.status_code == 200
    assert response.headers["x-finch"] == "local"
    (exchange,) = play.brain.wait()
    ident = response.headers["x-finch-request"]
    assert ident == exchange.verdict.ident
    assert response.headers["request-id"] == f"req_{ident}"
    if stream:
        assembly = Assembly()
        assembly.feed(response.content)
        answer = assembly.finish()
    else:
        answer = read_answer(200, response.headers, response.content)
    assert answer is not None
    assert (answer.text, answer.model) == (text, "some-model")
    assert (answer.input_tokens, answer.output_tokens) == (12, 3)
    assert not play.upstream.seen
    assert (exchange.outcome, exchange.answer, exchange.status) == ("local", None, 200)


@pytest.mark.parametrize("value", ["off", "OFF", "no", "local"])
def test_a_request_can_opt_out(play: Stage, value: str) -> None:
    play.brain.serve("never")
    response = play.post(ask(), {**OLD, "x-finch": value})
    assert response.headers["x-finch"] == "forwarded"
    (seen,) = play.upstream.seen
    assert seen.header("x-finch") is None
    (exchange,) = play.brain.wait()
    assert (exchange.answer, exchange.call.query) == (None, "")


# R14.1: a retry is neither counted nor learned twice.
def test_a_second_try_is_forwarded_and_not_told(play: Stage) -> None:
    play.brain.serve("never")
    response = play.post(ask(), {**OLD, "x-stainless-retry-count": "1"})
    assert response.headers["x-finch"] == "forwarded"
    assert play.upstream.seen[0].header("x-stainless-retry-count") == "1"
    play.post(ask())
    assert len(play.brain.wait(2, 0.2)) == 1
    assert len(play.brain.calls) == 1


def test_a_local_answer_with_a_stop_sequence_is_not_served(play: Stage) -> None:
    play.brain.serve("one END two")
    assert play.post(ask(stop_sequences=["END"])).headers["x-finch"] == "forwarded"
    assert play.post(ask(stop_sequences=["STOP"])).headers["x-finch"] == "local"


def _fail(call: Call) -> Verdict:
    raise RuntimeError(call.query)


def test_a_brain_that_fails_costs_nothing_but_its_answer(
    play: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    play.brain.decide = _fail
    response = play.post(ask("a private question"))
    assert (response.status_code, response.headers["x-finch"]) == (200, "forwarded")
    (exchange,) = play.brain.wait()
    assert exchange.verdict.reason == "the brain failed"
    assert "RuntimeError" in caplog.text
    assert "private" not in caplog.text


def test_a_brain_that_fails_to_learn_is_borne(play: Stage) -> None:
    def fail(exchange: object) -> None:
        raise RuntimeError

    play.brain.ended = fail  # type: ignore[method-assign]
    assert play.post(ask()).status_code == 200
    assert play.post(ask()).status_code == 200


def test_a_slow_brain_is_not_waited_for() -> None:
    with stage(Limits(deadline=0.05)) as play:
        play.brain.delay = 5
        play.brain.serve("too late")
        started = time.monotonic()
        response = play.post(ask())
        assert time.monotonic() - started < 2
        assert response.headers["x-finch"] == "forwarded"


def test_what_one_key_taught_is_of_its_scope(play: Stage) -> None:
    other = {**OLD, "x-api-key": "another"}
    for headers in (OLD, NEW, other):
        play.post(ask(), headers)
    scopes = [scope for _, scope in play.brain.calls]
    assert scopes[0] == scopes[1] == key_scope(OLD, SALT)
    assert scopes[2] not in ("", scopes[0])
    assert key_scope(OLD, b"another salt") != scopes[0]
    assert key_scope(OLD, SALT, "space") != scopes[0]
    assert key_scope({"authorization": "bearer  x "}, SALT) == key_scope({"x-api-key": "x"}, SALT)
    assert key_scope({}, SALT) == key_scope({"authorization": "Bearer "}, SALT) == ""
    both = key_scope({"x-api-key": "a", "authorization": "Bearer b"}, SALT)
    assert both not in (key_scope({"x-api-key": "a"}, SALT), key_scope({"x-api-key": "b"}, SALT))
    assert key_scope({"x-api-key": "ab"}, SALT, "c") != key_scope({"x-api-key": "b"}, SALT, "ca")


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    for name in ("uvicorn", "uvicorn.error", "groundup.finch"):
        logging.getLogger(name).addHandler(caplog.handler)
    yield caplog
    for name in ("uvicorn", "uvicorn.error", "groundup.finch"):
        logging.getLogger(name).removeHandler(caplog.handler)


# R14.1: no key is in any log, nor in anything that the brain is given.
def test_no_key_is_told(play: Stage, everything_logged: pytest.LogCaptureFixture) -> None:
    for headers in (OLD, NEW):
        play.post(ask(), headers)
        play.post(b"[]", headers)
        play.upstream.always(whole(die_after=0))
        with pytest.raises(httpx2.HTTPError):
            play.post(ask(), headers)
        play.upstream.always(streamed(die_after=1))
        play.post(ask(stream=True), headers)
        play.brain.decide = _fail
        play.post(ask(), headers)
    assert len(play.brain.wait(10)) == 10
    told = repr(play.brain.exchanges) + repr(play.brain.calls)
    assert KEY not in told
    assert everything_logged.records
    assert KEY not in everything_logged.text
    assert KEY not in repr([vars(record) for record in everything_logged.records])


@pytest.mark.parametrize(
    "address",
    ["", "api.example.com", "ftp://x", "http://", "http://u:p@x", "http://x?a", "http://x:99999"],
)
def test_a_wrong_upstream_is_refused_at_once(address: str) -> None:
    with pytest.raises(FinchError, match=r"expected an address such as https://api\.example\.com"):
        create_app(address, Silent(), scope_of=scope_of)


def test_models_and_counts_are_not_told_to_the_brain(play: Stage) -> None:
    for path in ("/v1/models", "/v1/models/some-model"):
        assert play.get(path).status_code == 200
    counted = play.post(ask(), path="/v1/messages/count_tokens")
    assert json.loads(counted.content) == {"input_tokens": 12}
    assert "x-finch-request" not in counted.headers
    assert not play.brain.wait(1, 0.1)
