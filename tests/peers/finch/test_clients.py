"""The official client, of both generations, talks to the proxy as to the API itself.

The newer one is that of the environment. The older one is installed into a folder of the user's
cache, once; without a network the tests with it are skipped.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.apps.finch.upstream import (
    Stage,
    Upstream,
    Watching,
    ask,
    error,
    event,
    message_events,
    stage,
    streamed,
    whole,
    zipped,
)

pytest.importorskip("anthropic")

OLD_VERSION = "0.125.0"
SCRIPT = Path(__file__).with_name("clients.py")
TOOLS = [{"name": "weather", "input_schema": {"type": "object", "properties": {}}}]


def old_client() -> Path:
    """The folder with the older client and what it needs."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "groundup" / f"anthropic-{OLD_VERSION}-py{sys.version_info.minor}"
    if not folder.exists():
        part = folder.with_name(f"{folder.name}.{os.getpid()}")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(part)]
        done = subprocess.run(
            [*command, f"anthropic=={OLD_VERSION}"], capture_output=True, text=True, check=False
        )
        if done.returncode:
            shutil.rmtree(part, ignore_errors=True)
            pytest.skip(f"anthropic {OLD_VERSION} cannot be installed: {done.stderr[-300:]}")
        try:
            part.rename(folder)
        except OSError:  # another process was faster
            shutil.rmtree(part, ignore_errors=True)
    return folder


@dataclass
class Generation:
    """One of the two clients, sync or async, and a proxy to talk to."""

    play: Stage
    process: subprocess.Popen[str]
    version: str
    kind: str

    def run(self, *calls: dict[str, Any], address: str = "") -> list[dict[str, Any]]:
        """What came of the calls, one after the other."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        told = json.dumps([address or self.play.address, self.kind, calls])
        self.process.stdin.write(told + "\n")
        self.process.stdin.flush()
        found: list[dict[str, Any]] = json.loads(self.process.stdout.readline())
        return found


@pytest.fixture(scope="module")
def _play() -> Iterator[Stage]:
    with stage() as running:
        yield running


@pytest.fixture(scope="module", params=["old", "new"])
def _process(request: pytest.FixtureRequest) -> Iterator[tuple[subprocess.Popen[str], str]]:
    environment = {key: value for key, value in os.environ.items() if "PROXY" not in key.upper()}
    if request.param == "old":
        environment["PYTHONPATH"] = str(old_client())
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, str(SCRIPT)], env=environment, text=True, **pipes)
    with process:
        assert process.stdout is not None
        version = process.stdout.readline().strip()
        assert version.startswith("0." if request.param == "old" else "2.")
        yield process, version
        process.kill()


@pytest.fixture(params=["sync", "async"])
def client(
    request: pytest.FixtureRequest, _play: Stage, _process: tuple[subprocess.Popen[str], str]
) -> Generation:
    fresh, brain = Upstream(), Watching()
    _play.upstream.script, _play.upstream.seen = fresh.script, []
    vars(_play.brain).clear()
    vars(_play.brain).update(vars(brain))
    return Generation(_play, *_process, request.param)


def call(how: str, extra: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    options = fields.pop("options", {})
    body = {} if how == "models" else ask(**fields)
    if how == "count":
        del body["max_tokens"]
    return {"how": how, "body": body, "extra": extra or {}, "options": options}


# R14.1: existing clients work unchanged, streaming included.
def test_answers_of_every_form(client: Generation) -> None:
    created, events, text, tool, tool_events, count, models, beta = client.run(
        call("create"),
        call("events"),
        call("stream"),
        call("create", tools=TOOLS),
        call("stream", tools=TOOLS),
        call("count"),
        call("models"),
        call("beta"),
    )
    assert created["message"]["content"][0]["text"] == "card_arrival"
    assert created["headers"]["x-finch"] == "forwarded"
    assert created["headers"]["request-id"] == "req_up"
    assert events["events"][0] == "message_start"
    assert events["events"][-1] == "message_stop"
    assert text["text"] == text["message"]["content"][0]["text"] == "card_arrival"
    assert text["message"]["usage"]["output_tokens"] == 5
    assert tool["message"]["content"][0]["name"] == "weather"
    assert tool_events["message"]["content"][0]["input"] == {"city": "Oslo"}
    assert tool_events["message"]["stop_reason"] == "tool_use"
    assert count["tokens"] == 12
    assert models == {"models": ["some-model"], "one": "some-model", "seconds": models["seconds"]}
    assert beta["message"]["content"][0]["text"] == "card_arrival"
    asked = client.play.upstream.seen[-1]
    assert asked.target in ("/v1/messages?beta=true", "/v1/messages")
    assert asked.header("anthropic-beta") == "some-beta"
    learned = [exchange.answer for exchange in client.play.brain.wait(6) if exchange.answer]
    assert [answer.text for answer in learned] == ["card_arrival"] * 3
    assert len(client.play.brain.calls) == 3  # neither tools nor beta features


def test_the_two_dialects(client: Generation) -> None:
    messages = [{"role": "system", "content": "name it"}, {"role": "user", "content": "hi"}]
    client.run(call("create", messages=messages))
    (seen,) = client.play.upstream.seen
    if client.version > "1":
        assert seen.header("authorization").startswith("Bearer sk-")  # type: ignore[union-attr]
        assert seen.header("anthropic-version") == "2026-10-21"
    else:
        assert seen.header("x-api-key").startswith("sk-")  # type: ignore[union-attr]
        assert seen.header("anthropic-version") == "2023-06-01"
    ((understood, _),) = client.play.brain.calls
    assert (understood.query, understood.must_forward) == ("hi", None)


# R14.1: a local answer is one for the client, too.
def test_local_answers(client: Generation) -> None:
    client.play.brain.serve("a local answer, caf\xe9 \u2603")
    created, events, text, opted = client.run(
        call("create"),
        call("events"),
        call("stream"),
        call("create", {"extra_headers": {"x-finch": "off"}}),
    )
    assert created["message"]["content"] == [
        {"type": "text", "text": "a local answer, caf\xe9 \u2603"}
    ]
    assert created["message"]["stop_reason"] == "end_turn"
    assert created["message"]["usage"] == {"input_tokens": 12, "output_tokens": 3}
    assert created["headers"]["x-finch"] == text["headers"]["x-finch"] == "local"
    assert events["events"][0] == "message_start"
    assert events["events"][-1] == "message_stop"
    assert text["text"] == "a local answer, caf\xe9 \u2603"
    assert text["message"]["usage"] == {"input_tokens": 12, "output_tokens": 3}
    assert opted["headers"]["x-finch"] == "forwarded"
    assert len(client.play.upstream.seen) == 1


ERRORS = [
    (400, "invalid_request_error", "BadRequestError"),
    (401, "authentication_error", "AuthenticationError"),
    (403, "permission_error", "PermissionDeniedError"),
    (404, "not_found_error", "NotFoundError"),
    (413, "request_too_large", "RequestTooLargeError"),
    (429, "rate_limit_error", "RateLimitError"),
    (500, "api_error", "InternalServerError"),
    (529, "overloaded_error", "OverloadedError"),
]


def as_told(failed: dict[str, Any]) -> tuple[object, ...]:
    """What an error is, without what differs from one request to the next."""
    headers = failed["headers"]
    return failed["error"], failed["status"], failed["body"], headers.get("retry-after")


# R14.1: errors of every class are those that the client raises without the proxy.
@pytest.mark.parametrize("how", ["create", "stream"])
def test_errors_of_every_class(client: Generation, how: str) -> None:
    replies = [
        whole(error(kind), status, headers=[("retry-after", "1")]) for status, kind, _ in ERRORS
    ]
    calls = [call(how)] * len(replies)
    left = iter(replies * 2)
    client.play.upstream.script = lambda seen: next(left)
    through = client.run(*calls)
    direct = client.run(*calls, address=client.play.upstream.address)
    assert [as_told(one) for one in through] == [as_told(one) for one in direct]
    for (status, kind, name), one in zip(ERRORS, through, strict=True):
        assert one["status"] == status
        assert one["body"]["error"]["type"] == kind
        assert one["headers"]["request-id"] == "req_up"
        if status not in (413, 529):  # whose names the generations do not share
            assert name in one["kinds"]
        assert "APIStatusError" in one["kinds"]


# R14.1: the client tries again, the proxy does not; a second try is not counted.
def test_retries(client: Generation) -> None:
    wait = [("retry-after-ms", "20"), ("retry-after", "1")]
    left = iter([whole(error("overloaded_error"), 529, headers=wait), whole(die_after=0), whole()])
    client.play.upstream.script = lambda seen: next(left)
    (created,) = client.run(call("create", options={"max_retries": 2}))
    assert created["message"]["content"][0]["text"] == "card_arrival"
    counts = [seen.header("x-stainless-retry-count") for seen in client.play.upstream.seen]
    assert counts == ["0", "1", "2"]
    (exchange,) = client.play.brain.wait(2, 0.2)
    assert (exchange.status, exchange.answer) == (529, None)
    assert len(client.play.brain.calls) == 1


def test_an_upstream_that_dies_at_every_event(client: Generation) -> None:
    count = len(message_events())
    left = iter([streamed(die_after=sent) for sent in range(count)] * 2)
    client.play.upstream.script = lambda seen: next(left)
    for one in client.run(*[call("events")] * count, *[call("stream")] * count):
        assert "APIStatusError" in one["kinds"], one
        assert one["body"]["error"]["type"] == "api_error"
    assert all(exchange.answer is None for exchange in client.play.brain.wait(2 * count))


def test_a_compressed_stream_that_dies_is_an_error_too(client: Generation) -> None:
    reply = zipped(streamed())
    reply.die_after = 1
    client.play.upstream.always(reply)
    for one in client.run(call("stream"), call("create")):
        assert "error" in one
    assert all(exchange.outcome == "failed" for exchange in client.play.brain.wait(2))


def test_an_error_within_a_stream(client: Generation) -> None:
    told = event("error", error={"type": "overloaded_error", "message": "no"})
    client.play.upstream.always(streamed([*message_events()[:4], told]))
    (one,) = client.run(call("stream"))
    assert "APIStatusError" in one["kinds"]
    assert one["body"]["error"]["type"] == "overloaded_error"


def test_compressed_answers(client: Generation) -> None:
    client.play.upstream.script = lambda seen: zipped(
        streamed() if json.loads(seen.body).get("stream") else whole()
    )
    created, text = client.run(call("create"), call("stream"))
    assert created["message"]["content"][0]["text"] == text["text"] == "card_arrival"
    assert [exchange.answer is not None for exchange in client.play.brain.wait(2)] == [True] * 2


# R14.1: closing the client closes the request to the upstream.
def test_leaving(client: Generation) -> None:
    client.play.upstream.always(streamed(gate=threading.Event()))
    (one,) = client.run(call("leave"))
    assert one["first"] == "message_start"
    assert client.play.upstream.seen[0].left.wait(3)
    (exchange,) = client.play.brain.wait()
    assert (exchange.outcome, exchange.answer) == ("left", None)


@pytest.mark.parametrize("how", ["create", "stream"])
def test_a_client_that_waits_no_longer(client: Generation, how: str) -> None:
    client.play.upstream.always(whole(delay=20))
    (one,) = client.run(call(how, options={"timeout": 0.3}))
    assert one["error"] == "APITimeoutError"
    assert one["seconds"] < 5
    assert client.play.upstream.seen[0].left.wait(3)
    (exchange,) = client.play.brain.wait()
    assert (exchange.outcome, exchange.status) == ("left", 0)


def test_cancelling_before_the_first_token(client: Generation) -> None:
    if client.kind == "sync":
        pytest.skip("a call that blocks ends by its time limit only, which is tested above")
    client.play.upstream.always(whole(delay=20))
    (one,) = client.run(call("cancel"))
    assert one["cancelled"]
    assert client.play.upstream.seen[0].left.wait(3)
