"""Requests: what may be answered here, and that everything else is forwarded, whatever it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from tests.apps.finch.upstream import NEW, OLD, ask

from groundup.apps.finch.wire import Call, read_call

PLAIN_FIELDS = {
    *("model", "max_tokens", "messages", "system", "temperature", "top_p", "top_k"),
    *("stop_sequences", "stream", "metadata", "thinking"),
}


def read(
    body: object,
    headers: Mapping[str, str] = OLD,
    path: str = "/v1/messages",
    method: str = "POST",
    **options: Any,
) -> Call:
    told = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_call(method, path, headers, told, **options)


def turns(*pairs: tuple[str, object]) -> list[dict[str, object]]:
    return [{"role": role, "content": content} for role, content in pairs]


# R14.1: both dialects are understood.
@pytest.mark.parametrize("headers", [OLD, NEW])
@pytest.mark.parametrize("content", ["hi there", [{"type": "text", "text": "hi there"}]])
def test_a_plain_request(headers: Mapping[str, str], content: object) -> None:
    body = ask(messages=turns(("user", content)), system="name it", temperature=0, stream=True)
    call = read(body, headers)
    assert call.must_forward is None
    assert (call.path, call.model, call.query) == ("/v1/messages", "some-model", "hi there")
    assert (call.stream, call.max_tokens, call.retry, call.stops) == (True, 64, 0, ())
    assert len(call.task) == 16
    assert int(call.task, 16) >= 0


def test_a_system_message_of_the_new_dialect() -> None:
    body = ask(messages=turns(("system", "name it"), ("user", "hi")))
    call = read(body, NEW)
    assert call.query == "hi"
    assert call.must_forward is None
    assert call.task != read(ask(messages=turns(("system", "count it"), ("user", "hi"))), NEW).task


IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}
CACHED = {"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}
RESULT = {"type": "tool_result", "tool_use_id": "t", "content": "x"}
FORWARDED = {
    "tools": ask(tools=[{"name": "weather", "input_schema": {}}]),
    "no tools": ask(tools=[]),
    "tool choice": ask(tool_choice={"type": "auto"}),
    "mcp": ask(mcp_servers=[]),
    "tool result": ask(messages=turns(("user", [RESULT]))),
    "thinking": ask(thinking={"type": "enabled", "budget_tokens": 2000}),
    "adaptive thinking": ask(thinking={"type": "adaptive"}),
    "effort": ask(output_config={"effort": "low"}),
    "schema": ask(output_config={"format": {"type": "json_schema", "schema": {}}}),
    "output format": ask(output_format={"type": "json_schema"}),
    "image": ask(messages=turns(("user", [IMAGE]))),
    "image and text": ask(messages=turns(("user", [{"type": "text", "text": "what"}, IMAGE]))),
    "document": ask(messages=turns(("user", [{"type": "document", "source": {}}]))),
    "search result": ask(messages=turns(("user", [{"type": "search_result"}]))),
    "several turns": ask(messages=turns(("user", "a"), ("assistant", "b"), ("user", "c"))),
    "two user turns": ask(messages=turns(("user", "a"), ("user", "b"))),
    "prefill": ask(messages=turns(("user", "a"), ("assistant", "{"))),
    "system last": ask(messages=turns(("user", "a"), ("system", "b"))),
    "only system": ask(messages=turns(("system", "b"))),
    "a role of tomorrow": ask(messages=turns(("tool", "a"))),
    "no turn": ask(messages=[]),
    "turn of text": ask(messages=["hi"]),
    "turn with a name": ask(messages=[{"role": "user", "content": "a", "name": "b"}]),
    "content of a number": ask(messages=turns(("user", 3))),
    "content of nothing": ask(messages=turns(("user", []))),
    "content of null": ask(messages=turns(("user", None))),
    "blank": ask(" \n\t"),
    "cache in a block": ask(messages=turns(("user", [CACHED]))),
    "cache in the system": ask(system=[CACHED]),
    "cache in a turn": ask(messages=[{"role": "user", "content": "a", "cache_control": {}}]),
    "cache": ask(cache_control={"type": "ephemeral"}),
    "citations": ask(messages=turns(("user", [{"type": "text", "text": "a", "citations": []}]))),
    "container": ask(container="c"),
    "context": ask(context_management={}),
    "betas": ask(betas=["x"]),
    "service tier": ask(service_tier="auto"),
    "speed": ask(speed="fast"),
    "a field of tomorrow": ask(seed=7),
    "null field of tomorrow": ask(seed=None),
    "no model": {key: value for key, value in ask().items() if key != "model"},
    "empty model": ask(model=""),
    "model of a number": ask(model=3),
    "no max_tokens": {key: value for key, value in ask().items() if key != "max_tokens"},
    "max_tokens 0": ask(max_tokens=0),
    "max_tokens true": ask(max_tokens=True),
    "max_tokens a text": ask(max_tokens="9"),
    "temperature 2": ask(temperature=2),
    "temperature true": ask(temperature=True),
    "top_p": ask(top_p=-0.1),
    "top_k": ask(top_k=0.5),
    "stream": ask(stream="yes"),
    "stops": ask(stop_sequences="x"),
    "blank stop": ask(stop_sequences=[" "]),
    "metadata": ask(metadata={"user_id": "u", "more": 1}),
    "metadata of a number": ask(metadata=3),
    "system of a number": ask(system=3),
    "system of nothing": ask(system=[]),
    "system with an image": ask(system=[IMAGE]),
    "list": [ask()],
    "text": "hi",
    "null": None,
    "empty": b"",
    "cut": json.dumps(ask()).encode()[:-1],
    "two": json.dumps(ask()).encode() * 2,
    "nan": json.dumps(ask(temperature=float("nan"))).encode(),
    "huge number": b'{"model": "m", "max_tokens": ' + b"9" * 5000 + b"}",
    "latin-1": json.dumps(ask("caf\xe9"), ensure_ascii=False).encode("latin-1"),
    "utf-16": json.dumps(ask()).encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf" + json.dumps(ask()).encode(),
    "half a pair": json.dumps(ask("a\ud800b")).encode(),
    "half a pair in the system": json.dumps(ask(system="a\ud800b")).encode(),
    "deep": b'{"model": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "key twice": json.dumps(ask()).encode()[:-1] + b', "model": "other"}',
    "inner key twice": b'{"model":"m","max_tokens":9,"messages":'
    b'[{"role":"user","content":"a","content":"b"}]}',
    "long": ask("x" * 9000),
    "very long": ask("x" * 300_000),
}


@pytest.mark.parametrize("name", FORWARDED)
def test_must_forward(name: str) -> None:
    call = read(FORWARDED[name])
    assert call.must_forward
    assert (call.query, call.task, call.stops) == ("", "", ())


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"anthropic-beta": "something"}, "/v1/messages"),
        ({"anthropic-beta": ""}, "/v1/messages"),
        ({}, "/v1/messages?beta=true"),
        ({}, "/v1/messages?x=1"),
        ({}, "/v1/messages/"),
        ({}, "/v1/messages/count_tokens"),
        ({}, "/v1/messages/batches"),
        ({}, "/v1/complete"),
        ({"x-finch": "off"}, "/v1/messages"),
        ({"x-finch": "on, off"}, "/v1/messages"),
        ({"x-api-key": " "}, "/v1/messages"),
        ({"anthropic-version": "2023-01-01"}, "/v1/messages"),
        ({"anthropic-version": ""}, "/v1/messages"),
        ({"anthropic-version": "2023-06-01, 2023-06-01"}, "/v1/messages"),
        ({"anthropic-workspace-id": "w"}, "/v1/messages"),
        ({"content-type": "text/plain"}, "/v1/messages"),
        ({"content-type": ""}, "/v1/messages"),
        ({"content-encoding": "gzip"}, "/v1/messages"),
    ],
)
def test_headers_and_addresses_that_must_forward(changed: dict[str, str], path: str) -> None:
    assert read(ask()).must_forward is None
    assert read(ask(), {**OLD, **changed}, path).must_forward


@pytest.mark.parametrize("method", ["GET", "PUT", "post", "HEAD"])
def test_other_methods_must_forward(method: str) -> None:
    assert read(ask(), method=method).must_forward


def test_how_long_is_an_argument() -> None:
    assert read(ask("x" * 9000), longest=9000).must_forward is None
    assert read(ask("x" * 9000), longest=8999).must_forward == "it is long"


def test_what_is_forwarded_still_tells_model_and_form() -> None:
    call = read(ask(stream=True, tools=[{}]))
    assert (call.model, call.stream, call.max_tokens) == ("some-model", True, 64)


def test_the_task_is_all_but_the_text() -> None:
    base = read(ask("a"))
    same = [
        ask("b"),
        ask(stream=True),
        ask(metadata={"user_id": "u"}),
        ask(messages=turns(("user", [{"type": "text", "text": "c"}]))),
        dict(reversed(ask("d").items())),
    ]
    assert {read(body).task for body in same} == {base.task}
    assert read(ask("a"), NEW).task == base.task
    others = [
        ask(model="another"),
        ask(max_tokens=65),
        ask(system="name it"),
        ask(system=[{"type": "text", "text": "name it"}, {"type": "text", "text": "b"}]),
        ask(temperature=0),
        ask(temperature=1),
        ask(top_p=0.5),
        ask(top_k=3),
        ask(stop_sequences=["x"]),
        ask(thinking={"type": "disabled"}),
        ask(messages=turns(("system", "name it"), ("user", "a"))),
        ask(
            messages=turns(("user", [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]))
        ),
    ]
    tasks = {read(body).task for body in others}
    assert all(read(body).must_forward is None for body in others)
    assert len(tasks | {base.task}) == len(others) + 1
    one = read(ask(system="name it")).task
    assert one == read(ask(system=[{"type": "text", "text": "name it"}])).task


@pytest.mark.parametrize(
    ("header", "count"),
    [("0", 0), ("1", 1), ("2", 2), ("", 1), ("-1", 1), ("x", 1), ("0, 0", 1), ("9" * 9999, 1)],
)
def test_retries(header: str, count: int) -> None:
    assert read(ask(), {**OLD, "x-stainless-retry-count": header}).retry == count


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["user", "assistant", "system", "text", "tool_use", "image"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "text", "role", "content", "cache_control", "tools", "messages", "x"]
            )
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def _plain_text(content: object) -> bool:
    if isinstance(content, str):
        return True
    return isinstance(content, list) and all(
        isinstance(block, dict)
        and set(block) == {"type", "text"}
        and block["type"] == "text"
        and isinstance(block["text"], str)
        for block in content
    )


def check(body: bytes, headers: Mapping[str, str], path: str) -> None:
    """Whatever it is: no error; and what is not forwarded has nothing but what is understood."""
    call = read_call("POST", path, headers, body)
    if call.must_forward is not None:
        assert (call.query, call.task) == ("", "")
        return
    fields = json.loads(body)
    assert path == "/v1/messages"
    assert not {"anthropic-beta", "x-finch", "content-encoding"} & headers.keys()
    assert fields.keys() <= PLAIN_FIELDS
    assert isinstance(fields["max_tokens"], int)
    assert _plain_text(fields.get("system", ""))
    *before, last = fields["messages"]
    assert last["role"] == "user"
    assert all(turn["role"] == "system" for turn in before)
    assert all(_plain_text(turn["content"]) for turn in fields["messages"])
    assert fields.get("thinking", {"type": "disabled"}) == {"type": "disabled"}
    call.query.encode()


# R14.1: a fuzzer on the request parser; HYPOTHESIS_PROFILE=thorough looks much longer.
@settings(max_examples=100)
@given(st.dictionaries(st.sampled_from([*sorted(PLAIN_FIELDS), "tools", "x"]), JSON, max_size=5))
def test_fuzzed_fields(changed: dict[str, object]) -> None:
    check(json.dumps({**ask(), **changed}).encode(), OLD, "/v1/messages")


@settings(max_examples=100)
@given(JSON)
def test_fuzzed_turns(content: object) -> None:
    for messages in (content, [content], turns(("user", content)), turns(("user", [content]))):
        check(json.dumps(ask(messages=messages)).encode(), OLD, "/v1/messages")


@given(st.binary(max_size=60), st.integers(0, 200), st.integers(0, 60))
def test_fuzzed_bytes(junk: bytes, place: int, cut: int) -> None:
    body = json.dumps(ask()).encode()
    place %= len(body)
    check(junk, OLD, "/v1/messages")
    check(body[:place] + junk + body[place + cut :], OLD, "/v1/messages")


@given(
    st.dictionaries(
        st.sampled_from([*OLD, *NEW, "anthropic-beta", "x-finch", "x-stainless-retry-count", "te"]),
        st.text(max_size=20),
        max_size=4,
    ),
    st.text(max_size=10),
)
def test_fuzzed_headers(changed: dict[str, str], behind: str) -> None:
    check(json.dumps(ask()).encode(), {**OLD, **changed}, "/v1/messages" + behind)
