"""Arguments of requests: read, bounded, and refused in words.

Everything that comes over the network has a largest length, count and value, checked here before it
reaches the store.
"""

from __future__ import annotations

import json
import math
import unicodedata
from typing import Any, NoReturn

from starlette.requests import Request

from ..runs.index import RUN_ID

MOST_RUNS = 100
"""Runs in one request."""
MOST_NAMES = 200
"""Series in one request."""
LONGEST_NAME = 200
"""Characters of a series' name."""
LONGEST_TAG = 60
MOST_TAGS = 50
LONGEST_NOTE = 20_000
LONGEST_BODY = 131_072
"""Bytes."""


class Refused(Exception):  # noqa: N818 - it is an answer
    """A request that cannot be answered, with the status and the words of the answer."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.words = words


def refuse(words: str, status: int = 400) -> NoReturn:
    """Refuse a request: by default as malformed."""
    raise Refused(status, words)


def run_id(text: str) -> str:
    """A run's whole id."""
    if len(text) > 200 or not RUN_ID.fullmatch(text):
        refuse(f"{text[:60]!r} is no id of a run, such as 'digits-20250131-174501-3fa94c'")
    return text


def run_ids(request: Request, least: int = 1) -> list[str]:
    """The ids in ``run=...&run=...``, each once."""
    found = list(dict.fromkeys(request.query_params.getlist("run")))
    if not least <= len(found) <= MOST_RUNS:
        refuse(f"run is given {len(found)} times, expected {least} to {MOST_RUNS}")
    return [run_id(text) for text in found]


def series_name(text: str) -> str:
    """A series' name."""
    if not 0 < len(text) <= LONGEST_NAME or not text.isprintable():
        refuse(f"name {text[:60]!r}: expected 1 to {LONGEST_NAME} printable characters")
    return text


def series_names(request: Request, least: int = 1, most: int = MOST_NAMES) -> list[str]:
    """The names in ``name=...&name=...``, each once."""
    found = list(dict.fromkeys(request.query_params.getlist("name")))
    if not least <= len(found) <= most:
        refuse(f"name is given {len(found)} times, expected {least} to {most}")
    return [series_name(text) for text in found]


def one_of(request: Request, key: str, options: tuple[str, ...]) -> str:
    """One of some words; the first if it is not given."""
    found = request.query_params.get(key, options[0])
    if found not in options:
        refuse(f"{key} is {found[:60]!r}, expected one of {', '.join(options)}")
    return found


def integer(request: Request, key: str, default: int, least: int, most: int) -> int:
    """A whole number within bounds."""
    text = request.query_params.get(key)
    if text is None:
        return default
    if len(text) > 20 or not text.isascii() or not text.isdecimal():
        refuse(f"{key} is {text[:60]!r}, expected a whole number")
    if not least <= int(text) <= most:
        refuse(f"{key} is {text}, expected {least} to {most}")
    return int(text)


def number(request: Request, key: str) -> float | None:
    """A finite number; None if it is not given."""
    text = request.query_params.get(key)
    if text is None:
        return None
    try:
        value = float(text) if len(text) <= 40 else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        refuse(f"{key} is {text[:60]!r}, expected a finite number")
    return value


async def json_object(request: Request) -> dict[str, Any]:
    """The body of a request."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/json":
        refuse(f"content-type is {kind[:60]!r}, expected application/json", 415)
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > LONGEST_BODY:
            refuse(f"more than {LONGEST_BODY:,} bytes", 413)
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        refuse("the body is not JSON")
    if not isinstance(found, dict):
        refuse(f"the body is {type(found).__name__}, expected an object")
    return found


def labels(body: dict[str, Any]) -> tuple[list[str] | None, str | None]:
    """Tags and note that a run shall have; None for what is to stay."""
    unknown = sorted(set(body) - {"tags", "note"})
    if unknown or not body:
        refuse(f"expected tags, note or both, got {', '.join(map(repr, unknown))[:100] or 'none'}")
    tags, note = body.get("tags"), body.get("note")
    if "tags" in body:
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
            refuse("tags: expected a list of texts")
        tags = [_tag(tag) for tag in tags]
        if len(tags) > MOST_TAGS:
            refuse(f"{len(tags)} tags, expected {MOST_TAGS} at most")
    if "note" in body:
        if not isinstance(note, str):
            refuse(f"note is {type(note).__name__}, expected a text")
        if len(note) > LONGEST_NOTE:
            refuse(f"the note has {len(note):,} characters, expected {LONGEST_NOTE:,} at most")
        note = _storable(note)
    return tags, note


def _tag(text: str) -> str:
    tag = _storable(text).strip()
    if not 0 < len(tag) <= LONGEST_TAG or not tag.isprintable():
        refuse(f"tag {text[:70]!r}: expected 1 to {LONGEST_TAG} printable characters")
    return tag


def _storable(text: str) -> str:
    """Composed, and without halves of surrogate pairs, which JSON can spell but no file takes."""
    return unicodedata.normalize("NFC", text).encode(errors="replace").decode()
