"""The log's file: SQLite with write-ahead logging, one writer, any number of readers.

`synchronous=NORMAL` waits for no disk at a commit; a killed process loses no commit, a power cut
may take the last moments and never the file. `secure_delete` overwrites what is deleted.
A damaged file is set aside and begun anew: what was learned is not in it. One of a newer version is
refused.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from ..errors import FinchError
from . import schema
from .files import FILE, create

T = TypeVar("T")
PATIENCE = 10.0
"""Seconds for which a call waits for another one."""
DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}


class Damaged(Exception):  # noqa: N818 - never leaves this file
    """What is in a file is not what was written."""


class Database:
    """The writer's connection, which the threads of a process share.

    Args:
        path: the file, made if missing.

    Raises:
        FinchError: a newer version wrote it, it is no log of Finch, or the disk fails.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     database = Database(Path(folder) / "finch.sqlite")
        ...     database.write(lambda db: db.execute("SELECT count(*) FROM requests").fetchone())
        ...     database.close()
        (0,)
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        with _explained(path):
            try:
                self._connection = _opened(path)
            except (Damaged, sqlite3.DatabaseError) as error:
                if getattr(error, "sqlite_errorcode", min(DAMAGED)) & 0xFF not in DAMAGED:
                    raise
                _set_aside(path, error)
                self._connection = _opened(path)

    def write(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        """Call a function with the connection; all that it writes is kept, or nothing.

        Raises:
            FinchError: the disk is full or fails.
        """
        with self._lock, _explained(self.path):
            connection = self._connection
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = operation(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    with suppress(sqlite3.Error):
                        connection.execute("ROLLBACK")
                raise
            return result

    def erase_remains(self) -> None:
        """Rewrite the file without anything that was deleted, and empty the write-ahead log.

        Raises:
            FinchError: a reader keeps the log from being emptied, or the disk fails.
        """
        with self._lock, _explained(self.path):
            self._connection.execute("VACUUM")
            busy, *_ = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if busy:
                raise FinchError(
                    f"{self.path}: another program is reading, so that deleted texts are still in "
                    "its write-ahead log; end it (`fuser` says which) and purge again"
                )

    def close(self) -> None:
        """Give the file back."""
        with self._lock:
            self._connection.close()


def _opened(path: Path) -> sqlite3.Connection:
    if not path.exists():
        os.close(create(path))  # SQLite gives its other files the same mode
    connection = sqlite3.connect(
        path, timeout=PATIENCE, isolation_level=None, check_same_thread=False
    )
    try:
        path.chmod(FILE)
        version = check(connection, path)
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise Damaged(str(found).replace("\n", " "))
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA secure_delete = ON").fetchone()
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute(f"PRAGMA journal_size_limit = {1 << 26}").fetchone()
        if version < len(schema.MIGRATIONS):
            schema.migrate(connection, version)
    except BaseException:
        connection.close()
        raise
    return connection


def check(connection: sqlite3.Connection, path: Path) -> int:
    """The version of a file.

    Raises:
        FinchError: it is newer than this program, or none of Finch's.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if version == 0 and application == 0 and not tables:
        return 0
    if application != schema.APPLICATION or version < 1:
        raise FinchError(f"{path} is a database of another program; move it away")
    if version > len(schema.MIGRATIONS):
        raise FinchError(
            f"{path} has version {version}, this Finch reads up to {len(schema.MIGRATIONS)}; "
            "upgrade it, or give another --home"
        )
    return int(version)


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that only reads, all of it of one moment, while a server may be writing.

    Raises:
        FinchError: the file is missing, of another version, damaged, or the disk fails.
    """
    with _explained(path):
        if not path.exists():
            raise FinchError(f"{path}: there is no log yet; `finch serve` begins it")
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=PATIENCE, isolation_level=None
        )
        try:
            connection.execute("BEGIN")
            version = check(connection, path)
            if version < len(schema.MIGRATIONS):
                raise FinchError(
                    f"{path} is of version {version}, expected {len(schema.MIGRATIONS)}; "
                    "`finch serve` brings it up to date"
                )
            yield connection
        finally:
            connection.close()


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        hint = "; make room or give another --home" if code == sqlite3.SQLITE_FULL else ""
        if code in DAMAGED:
            hint = "; `finch serve` sets it aside and begins a new log, what was learned stays"
        raise FinchError(f"{path}: {error}{hint}") from error
    except OSError as error:
        raise FinchError(f"{error.filename or path}: {error.strerror or error}") from error


def _set_aside(path: Path, error: Exception) -> None:
    target = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}")
    os.replace(path, target)
    with suppress(FileNotFoundError):
        os.replace(f"{path}-wal", f"{target}-wal")
    with suppress(FileNotFoundError):
        os.unlink(f"{path}-shm")
    warnings.warn(
        f"{path} is damaged ({error}). It was set aside as {target.name} and begun anew; what was "
        "learned is not lost",
        UserWarning,
        stacklevel=4,
    )
