"""What a request asks, and whether an answer made here could serve it.

A request may be answered here only if everything in it is understood: every header of the API's
own, every field, every key of a field must stand in a list below. Whatever does not is sent
upstream, with the reason in plain words: so a field that the API gains tomorrow is forwarded.
Both dialects are read: with `x-api-key`, and with `Authorization: Bearer` and `role: "system"`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

MESSAGES = "/v1/messages"
VERSIONS = frozenset({"2023-06-01", "2026-10-21"})
"""Of the API, whose answers are known to have the shape that is written here."""
LONGEST_QUERY = 8_000
"""Characters of the user's text."""
LONGEST_BODY = 1 << 18
"""Bytes of a request that is looked into."""
KEY_HEADERS = ("x-api-key", "authorization")
MARK = "x-finch"
"""The header by which a caller keeps a request from being answered or learned here."""
BLOCK_END = "\n\n"
"""Between the text blocks of one turn."""

_PLAIN_HEADERS = frozenset({"anthropic-version", "anthropic-dangerous-direct-browser-access"})


@dataclass(frozen=True, slots=True)
class Call:
    """One request as understood.

    Attributes:
        path: without what stands behind the question mark.
        model: that is asked for; "" if that cannot be read.
        query: the text of the only user turn; "" if the request must be forwarded.
        task: a hash of everything else that an answer depends on; "" if it must be forwarded.
        stream: whether events are asked for.
        max_tokens: the longest answer.
        must_forward: why no answer made here may serve; None if one may.
        retry: how often the client tried before.
        stops: texts that end an answer, so an answer made here must hold none of them.

    Example:
        >>> Call("/v1/models", "", "", "", False, None, "it is not a message", 0).stops
        ()
    """

    path: str
    model: str
    query: str
    task: str
    stream: bool
    max_tokens: int | None
    must_forward: str | None
    retry: int
    stops: tuple[str, ...] = ()


class _MustForwardError(Exception):
    """Why a request is sent upstream."""


def read_call(
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    longest: int = LONGEST_QUERY,
) -> Call:
    """Read a request; whatever is odd about it makes it one that is forwarded, never an error.

    Args:
        method: as in "POST".
        path: with what stands behind the question mark.
        headers: names in lower case; several of one name joined by commas.
        body: as it came.
        longest: characters of the user's text; longer ones are forwarded.

    Example:
        >>> headers = {"x-api-key": "k", "anthropic-version": "2023-06-01",
        ...            "content-type": "application/json"}
        >>> body = (b'{"model": "m", "max_tokens": 9, '
        ...         b'"messages": [{"role": "user", "content": "hi"}]}')
        >>> call = read_call("POST", "/v1/messages", headers, body)
        >>> call.query, call.task, call.must_forward
        ('hi', 'ca057e39a4e75aa5', None)
        >>> read_call("POST", "/v1/messages?beta=true", headers, body).must_forward
        'it asks for beta features'
    """
    plain, _, behind = path.partition("?")
    retry = _retry(headers.get("x-stainless-retry-count", "0"))
    fields: dict[str, object] = {}
    why: str | None = None
    try:
        if plain != MESSAGES or method != "POST":
            raise _MustForwardError("it is not a message")
        if len(body) > LONGEST_BODY:
            raise _MustForwardError("it is long")
        fields = _read(body)
        _check_headers(headers, behind)
        query, task = _understand(fields, longest)
    except _MustForwardError as reason:
        query, task, why = "", "", str(reason)
    model, most, stops = fields.get("model"), fields.get("max_tokens"), fields.get("stop_sequences")
    return Call(
        path=plain,
        model=model if isinstance(model, str) and _is_text(model) else "",
        query=query,
        task=task,
        stream=fields.get("stream") is True,
        max_tokens=most if type(most) is int else None,
        must_forward=why,
        retry=retry,
        stops=tuple(stops) if why is None and isinstance(stops, list) else (),
    )


def _retry(value: str) -> int:
    # What is not a number is taken for a second try: those are neither counted nor learned.
    return int(value) if value.isascii() and value.isdigit() and len(value) < 6 else 1


def _read(body: bytes) -> dict[str, object]:
    try:
        fields = json.loads(
            body.decode(), object_pairs_hook=_unique, parse_constant=_refuse_constant
        )
    except UnicodeDecodeError:
        raise _MustForwardError("its body is not UTF-8") from None
    except RecursionError:
        raise _MustForwardError("its body is nested too deeply") from None
    except ValueError:
        raise _MustForwardError("its body is not JSON") from None
    if not isinstance(fields, dict):
        raise _MustForwardError("its body is not an object")
    return fields


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _MustForwardError("a key stands in it twice")
    return found


def _refuse_constant(name: str) -> object:
    raise _MustForwardError("its body is not JSON")


def _check_headers(headers: Mapping[str, str], behind: str) -> None:
    if MARK in headers:
        raise _MustForwardError(f"its header {MARK} says so")
    if "anthropic-beta" in headers:
        raise _MustForwardError("it asks for beta features")
    if behind:
        raise _MustForwardError(
            "it asks for beta features" if "beta" in behind else "its address has parameters"
        )
    if not any(headers.get(name, "").strip() for name in KEY_HEADERS):
        raise _MustForwardError("it has no key")
    if headers.get("anthropic-version", "") not in VERSIONS:
        raise _MustForwardError("its version of the API is not known")
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" or "content-encoding" in headers:
        raise _MustForwardError("its body is not plain JSON")
    if any(name.startswith("anthropic-") and name not in _PLAIN_HEADERS for name in headers):
        raise _MustForwardError("a header of it is not known")


_REASONS = {
    "tools": "it has tools",
    "tool_choice": "it has tools",
    "mcp_servers": "it has tools",
    "thinking": "it asks for thinking",
    "output_config": "it asks for structured output",
    "output_format": "it asks for structured output",
    "cache_control": "it controls the cache",
    "betas": "it asks for beta features",
    "container": "it uses a container",
    "context_management": "it manages its context",
}

_TURNS = {
    "image": "it has an image",
    "document": "it has a document",
    "file": "it has a file",
    "tool_use": "it has tools",
    "tool_result": "it has a tool's result",
    "thinking": "it asks for thinking",
    "redacted_thinking": "it asks for thinking",
}


def _understand(fields: dict[str, object], longest: int) -> tuple[str, str]:
    """The user's text and the task; what keeps them from being read is raised."""
    for name in fields:
        if name not in _FIELDS:
            raise _MustForwardError(_REASONS.get(name, "a field of it is not known"))
    for name in ("model", "messages", "max_tokens"):
        if name not in fields:
            raise _MustForwardError(f"it has no {name}")
    for name, value in fields.items():
        if not _FIELDS[name](value):
            raise _MustForwardError(_REASONS.get(name, f"its {name} is odd"))
    turns = fields["messages"]
    assert isinstance(turns, list)
    *before, last = [_turn(turn) for turn in turns]
    if last[0] != "user" or any(role != "system" for role, _ in before):
        raise _MustForwardError("it has several turns")
    query = BLOCK_END.join(last[1])
    if not query.strip():
        raise _MustForwardError("it has no text")
    if len(query) > longest:
        raise _MustForwardError("it is long")
    system = fields.get("system")
    task = {
        **{name: fields[name] for name in _TASK if name in fields},
        "system": None if system is None else _texts(system),
        "before": before,
        "blocks": len(last[1]),
    }
    canonical = json.dumps(task, sort_keys=True, separators=(",", ":"))
    return query, hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _turn(turn: object) -> tuple[str, list[str]]:
    if not isinstance(turn, dict) or turn.keys() != {"role", "content"}:
        raise _MustForwardError(
            "it controls the cache"
            if isinstance(turn, dict) and "cache_control" in turn
            else "a turn of it is not known"
        )
    role = turn["role"]
    if role not in ("user", "system"):
        raise _MustForwardError(
            "it has several turns" if role == "assistant" else "a role is not known"
        )
    return role, _texts(turn["content"])


def _texts(content: object) -> list[str]:
    """The texts of a turn or of the system's words; anything that is not plain text is raised."""
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if not isinstance(blocks, list) or not blocks:
        raise _MustForwardError("a turn of it is not known")
    found = []
    for block in blocks:
        if not isinstance(block, dict):
            raise _MustForwardError("a block of it is not known")
        if block.get("cache_control") is not None:
            raise _MustForwardError("it controls the cache")
        kind = block.get("type")
        if kind != "text" or block.keys() != {"type", "text"} or not _is_text(block["text"]):
            known = _TURNS.get(kind) if isinstance(kind, str) else None
            raise _MustForwardError(known or "a block of it is not known")
        found.append(block["text"])
    return found


def _is_text(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True


def _is_share(value: object) -> bool:
    return type(value) in (int, float) and 0 <= value <= 1  # type: ignore[operator]


def _is_count(value: object) -> bool:
    return type(value) is int and 0 < value < 1 << 31


def _is_system(value: object) -> bool:
    return isinstance(value, (str, list))


def _is_turns(value: object) -> bool:
    return isinstance(value, list) and 0 < len(value) <= 100


def _is_metadata(value: object) -> bool:
    if not isinstance(value, dict) or not value.keys() <= {"user_id"}:
        return False
    return value.get("user_id") is None or _is_text(value["user_id"])


def _is_stops(value: object) -> bool:
    return isinstance(value, list) and all(_is_text(stop) and stop.strip() for stop in value)


_FIELDS: dict[str, Callable[[object], bool]] = {
    "model": lambda value: _is_text(value) and value != "",
    "messages": _is_turns,
    "max_tokens": _is_count,
    "metadata": _is_metadata,
    "stop_sequences": _is_stops,
    "stream": lambda value: isinstance(value, bool),
    "system": _is_system,
    "temperature": _is_share,
    "thinking": lambda value: value == {"type": "disabled"},
    "top_k": _is_count,
    "top_p": _is_share,
}
"""The fields that a request answered here may have, and what they may be.

`metadata` names the caller's user and `stream` the form of the answer: neither changes its text, so
neither is part of the task.
"""
_TASK = ("model", "max_tokens", "stop_sequences", "temperature", "thinking", "top_k", "top_p")
