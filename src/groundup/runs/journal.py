"""The journal of a run: everything that happens in it, a line of JSON each, in `events.jsonl`.

A line is handed to the operating system by one `write` before the call that logs it returns, so a
process that is killed at any moment loses nothing that it had logged. The database is filled from
the journal twice a second, and is only an index of it: made again from the journals if it is lost.

    {"event": "created", "format": 1, "time": t, "experiment": name, "seed": s, "parent": id}
    {"event": "start", "time": t, "host": name, "pid": number}
    {"step": 12, "time": t, "values": {"loss": 0.5, "lr": 0.1}}
    {"event": "text", "time": t, "text": words}
    {"event": "figure", "time": t, "name": name, "step": 12 or null, "file": path}
    {"event": "verdict", "time": t, "verdict": {...}}
    {"event": "rewind", "time": t, "step": 10, "prefix": ""}
    {"event": "end", "time": t, "status": "done", "error": null}

Times are seconds since 1970. The process that writes holds the file's lock (`flock`), which the
kernel gives back when the process ends, however it ends. That is how readers know a lost run: a
process number alone may by then belong to another process.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from .errors import RunningError

NAME = "events.jsonl"
FORMAT = 1
BLOCK = 1 << 20
"""Bytes that are read from a journal at a time; the transactions that follow stay short."""

Event = dict[str, Any]
encode = json.JSONEncoder(separators=(",", ":")).encode
_quoted = lru_cache(10_000)(encode)
_SPELLINGS = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}

LARGE = 2**63
"""What the database holds is less."""

_open_journals: weakref.WeakSet[Journal] = weakref.WeakSet()


class Journal:
    """An open journal, locked against other writers.

    Args:
        path: the file, made if missing.
        wait: seconds to wait for the lock, which a reader may hold for a moment.

    Raises:
        RunningError: another process writes it.
        OSError: it cannot be opened.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     journal = Journal(Path(folder) / NAME)
        ...     journal.append({"step": 1, "time": 5.0, "values": {"loss": 0.5}})
        ...     journal.close()
        ...     read_events(journal.path, 0)
        ([{'step': 1, 'time': 5.0, 'values': {'loss': 0.5}}], 44)
    """

    def __init__(self, path: Path, wait: float = 2.0) -> None:
        self.path = path
        self._writing = threading.Lock()
        self._handle: int | None = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            self._take_lock(wait)
            size = os.lseek(self._handle, 0, os.SEEK_END)
            if size and os.pread(self._handle, 1, size - 1) != b"\n":
                os.write(self._handle, b"\n")  # ends a line that was cut off
        except BaseException:
            self.close()
            raise
        _open_journals.add(self)

    def _take_lock(self, wait: float) -> None:
        assert self._handle is not None
        deadline = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise RunningError(
                        f"{self.path.parent.name} is running: another process holds {self.path}; "
                        "wait for it or stop it first"
                    ) from None
            time.sleep(0.02)

    def append(self, event: Event) -> None:
        """Write one line, whole or not at all.

        Raises:
            OSError: the disk is full; the file is as it was.
            RuntimeError: the journal is closed, or this is a fork of the process that opened it.
        """
        self._write(f"{encode(event)}\n".encode())

    def append_point(self, step: int, time: float, values: Mapping[str, float]) -> None:
        """The same for the event that happens at every step, spelled without a detour.

        Raises:
            OSError, RuntimeError: as for `append`.
        """
        pairs = [f"{_quoted(name)}:{_spelled(value)}" for name, value in values.items()]
        self._write(f'{{"step":{step},"time":{time!r},"values":{{{",".join(pairs)}}}}}\n'.encode())

    def _write(self, line: bytes) -> None:
        with self._writing:
            if self._handle is None:
                raise RuntimeError(
                    f"{self.path.parent.name} is not open in this process: it has been finished, "
                    "or a parent process writes it; give each process a run of its own"
                )
            written = os.write(self._handle, line)
            if written < len(line):
                self._complete(self._handle, line, written)

    def _complete(self, handle: int, line: bytes, written: int) -> None:
        """The disk took a part of the line; the rest follows or the part is taken back."""
        start = os.lseek(handle, 0, os.SEEK_END) - written
        try:
            while written < len(line):
                written += os.write(handle, line[written:])
        except OSError:
            os.ftruncate(handle, start)
            raise

    def close(self) -> None:
        """Close the file and give back the lock."""
        with self._writing:
            handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)

    def _after_fork(self) -> None:
        """In a child process: the lock must end with the parent, and only the parent writes."""
        self._writing = threading.Lock()
        self.close()


def _after_fork() -> None:
    for journal in list(_open_journals):
        journal._after_fork()


os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def unowned(path: Path) -> Iterator[bool]:
    """Whether no process writes a journal; while the block runs, none can begin to.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     journal = Journal(Path(folder) / NAME)
        ...     with unowned(journal.path) as free:
        ...         print(free)
        ...     journal.close()
        ...     with unowned(journal.path) as free:
        ...         print(free)
        False
        True
    """
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        yield True
        return
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            free = True
        except BlockingIOError:
            free = False
        yield free
    finally:
        os.close(handle)


def read_events(path: Path, start: int, most: int = BLOCK) -> tuple[list[Event], int]:
    """The events of whole lines from a position on. Lines that make no sense are left out.

    Args:
        path: the journal; a missing one has no events.
        start: where to begin, in bytes.
        most: bytes to read, unless a line is longer.

    Returns:
        (events, where to go on).
    """
    try:
        with path.open("rb") as file:
            file.seek(start)
            block = file.read(most)
            cut = block.rfind(b"\n") + 1
            while not cut and (more := file.read(most)):
                cut = len(block) + more.rfind(b"\n") + 1 if b"\n" in more else 0
                block += more
    except FileNotFoundError:
        return [], start
    return _decode_all(block[:cut].split(b"\n")[:-1]), start + cut


def _decode_all(lines: list[bytes]) -> list[Event]:
    """The events of lines; all at once, which is faster, unless one of them is damaged."""
    try:
        values = json.loads(b"[%b]" % b",".join(lines))
        if len(values) == len(lines):
            return [value for value in values if _is_event(value)]
    except (ValueError, RecursionError):
        pass
    events = (decode(line) for line in lines)
    return [event for event in events if event is not None]


def _spelled(value: float) -> str:
    text = repr(value)
    return _SPELLINGS.get(text, text)


def decode(line: bytes) -> Event | None:
    """The event of a line; None if it is damaged or of a kind that this version does not know.

    Example:
        >>> decode(b'{"step":1,"time":5.0,"values":{"loss":NaN}}')
        {'step': 1, 'time': 5.0, 'values': {'loss': nan}}
        >>> decode(b'{"step":1,"time":5.0,"val') is None
        True
    """
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if _is_event(event) else None


def _is_event(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    if "event" not in value:
        return _is_point(value)
    fields = _FIELDS.get(str(value["event"]))
    return fields is not None and all(test(value.get(name)) for name, test in fields.items())


def _is_number(value: Any) -> bool:
    return type(value) is float or _is_integer(value)


def _is_time(value: Any) -> bool:
    return _is_number(value) and math.isfinite(value)


def _is_integer(value: Any) -> bool:
    return type(value) is int and -LARGE <= value < LARGE


def _is_text(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        return value.isascii() or bool(value.encode())
    except UnicodeEncodeError:  # JSON can spell half of a surrogate pair, which no database takes
        return False


def _optional(test: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or test(value)


def _is_point(value: Event) -> bool:
    """By far the commonest event."""
    values = value.get("values")
    return (
        _is_integer(value.get("step"))
        and _is_time(value.get("time"))
        and type(values) is dict
        and {*map(type, values.values())} <= {float}
        and all(map(_is_name, values))
    )


_is_name = lru_cache(10_000)(_is_text)

_FIELDS: dict[str, dict[str, Callable[[Any], bool]]] = {
    "created": {
        "time": _is_time,
        "experiment": _is_text,
        "seed": _optional(_is_integer),
        "parent": _optional(_is_text),
    },
    "start": {"time": _is_time, "host": _is_text, "pid": _is_integer},
    "text": {"time": _is_time, "text": _is_text},
    "figure": {
        "time": _is_time,
        "name": _is_text,
        "step": _optional(_is_integer),
        "file": _is_text,
    },
    "verdict": {"time": _is_time, "verdict": lambda value: isinstance(value, dict)},
    "rewind": {"time": _is_time, "step": _is_integer, "prefix": _is_text},
    "end": {
        "time": _is_time,
        "status": lambda value: value in ("done", "failed", "stopped"),
        "error": _optional(_is_text),
    },
}
