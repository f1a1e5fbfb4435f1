"""Learning without serving: from a log of the past, and what still waited to be learned."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import FinchError
from ..wire import read_call
from .keeper import Keeper

EXPECTED = (
    'expected {"request": {"model": ..., "max_tokens": ..., "messages": [...]}, "answer": "..."}'
)
HEADERS = {
    "x-api-key": "-", "anthropic-version": "2023-06-01", "content-type": "application/json"
}  # fmt: skip
SLICE = 0.5
"""Seconds between two signs of life."""


@dataclass(slots=True)
class Taught:
    """What came of a log.

    Attributes:
        learned: requests that were learned from.
        agreed: of them, those to which the local answer would have been as good.
        passed: requests of a kind that is always forwarded.

    Example:
        >>> Taught(learned=2, agreed=1).passed
        0
    """

    learned: int = 0
    agreed: int = 0
    passed: int = 0


def teach(keeper: Keeper, scope: str, log: Path) -> Iterator[Taught]:
    r"""Learn requests of the past, a line of JSON each.

    Args:
        keeper: of the minds.
        scope: of the key with which such requests will come.
        log: lines of ``{"request": a body of the Messages API, "answer": the text that came}``.

    Yields:
        What came of it so far, after each line; always the same object.

    Raises:
        FinchError: the log cannot be read; the message names the line.

    Example:
        >>> import tempfile
        >>> from groundup.apps.finch.mind.settings import MindSettings
        >>> from groundup.apps.finch.store import Store
        >>> turn = {"role": "user", "content": "hi"}
        >>> line = {"request": {"model": "m", "max_tokens": 9, "messages": [turn]}, "answer": "yes"}
        >>> with tempfile.TemporaryDirectory() as folder, Store(f"{folder}/finch") as store:
        ...     log = Path(folder, "log.jsonl")
        ...     _ = log.write_text(f"{json.dumps(line)}\n" * 3)
        ...     keeper = Keeper(store, MindSettings(models=False), worth=0)
        ...     [*_, last] = teach(keeper, "00112233", log)
        >>> last
        Taught(learned=3, agreed=2, passed=0)
    """
    taught = Taught()
    try:
        with log.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                request, answer = _entry(line, f"{log}, line {number}")
                call = read_call("POST", "/v1/messages", HEADERS, json.dumps(request).encode())
                if call.must_forward is None:
                    agreed = keeper.teach(scope, call.task, call.query, answer, call.model)
                    taught.learned += 1
                    taught.agreed += agreed is True
                else:
                    taught.passed += 1
                yield taught
    except OSError as error:
        raise FinchError(f"{log}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise FinchError(f"{log}: {error}; expected UTF-8") from None


def _entry(line: str, place: str) -> tuple[dict[str, Any], str]:
    try:
        entry = json.loads(line)
        request, answer = entry["request"], entry["answer"]
    except (ValueError, KeyError, TypeError, RecursionError):
        request = answer = None
    if not (isinstance(request, dict) and isinstance(answer, str)):
        raise FinchError(f"{place}: {line.strip()[:60]!r}, {EXPECTED}")
    return request, answer


def work_off(keeper: Keeper) -> Iterator[int]:
    """Let the models of the minds that are held learn what waits.

    Yields:
        How many answers wait still.

    Example:
        >>> import tempfile
        >>> from groundup.apps.finch.mind.settings import MindSettings
        >>> from groundup.apps.finch.store import Store
        >>> with tempfile.TemporaryDirectory() as folder, Store(f"{folder}/finch") as store:
        ...     list(work_off(Keeper(store, MindSettings(models=False))))
        []
    """
    while keeper.work(SLICE):
        for write in keeper.due():
            if write is not None:
                write()
        yield keeper.waiting
