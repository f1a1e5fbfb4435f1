"""Files that only their owner reads, written whole or not at all.

A file is written beside its place under one fixed name, flushed to the disk and renamed, so that a
killed program leaves the old content or the new, and at most one remainder a file, which the next
writing replaces. There is one writer at a time: who has the lock of the home.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..errors import FinchError

FILE, FOLDER = 0o600, 0o700
PART = ".part"
"""What the name of a file ends in that is being written."""


@contextlib.contextmanager
def disk_errors() -> Iterator[None]:
    """What the disk refuses, as an error that names the file.

    Example:
        >>> with disk_errors():
        ...     open("no such folder/file")
        Traceback (most recent call last):
        ...
        groundup.apps.finch.errors.FinchError: no such folder/file: No such file or directory
    """
    try:
        yield
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        raise FinchError(f"{place}{error.strerror or error}") from error


def create(path: Path) -> int:
    """The number of a new, empty file for writing; a remainder of that name is emptied."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    handle = os.open(path, flags, FILE)
    os.fchmod(handle, FILE)
    return handle


def write_part(path: Path, pieces: Iterable[bytes | memoryview]) -> Path:
    """Write what shall become a file, and wait until the disk has it; the name that it has now."""
    part = path.with_name(f".{path.name}{PART}")
    try:
        with os.fdopen(create(part), "wb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return part


def write(path: Path, *pieces: bytes) -> None:
    """Put bytes in a private file, as a whole.

    Example:
        >>> import stat, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     place = Path(folder) / "note"
        ...     write(place, b"he", b"llo")
        ...     place.read_bytes(), stat.filemode(place.stat().st_mode)
        (b'hello', '-rw-------')
    """
    os.replace(write_part(path, pieces), path)
    sync(path.parent)


def sync(folder: Path) -> None:
    """Wait until the disk has the names in a folder."""
    with contextlib.suppress(OSError):  # not every file system does that
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove_parts(folder: Path) -> None:
    """Remove what killed programs left behind in a folder and the folders in it."""
    for path in folder.rglob(f".*{PART}"):
        path.unlink(missing_ok=True)
