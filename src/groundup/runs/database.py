"""One SQLite file for many processes at once, which is never crashed on.

Write-ahead logging (WAL): readers see the last commit and never make a writer wait. Transactions
are short, begin with the write lock (`BEGIN IMMEDIATE`, so that two of them cannot wait for each
other), and are tried again while another process has it. With `synchronous=NORMAL` a commit costs
no wait for the disk; a killed process loses no commit, and after a power cut the file is whole but
may lack the last moments, which the journals of the runs then supply.

What a database may be when it is opened: missing (made), of an older version (copied, then migrated
in one transaction), of a newer one (refused), damaged (set aside under another name and made
again). Damage that shows itself later is dealt with in the same way, in the middle of any call.
WAL needs shared memory, so the folder has to be on a disk of this machine, not on a network.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Literal, TypeVar

from . import schema
from .errors import Damaged, DamageWarning, StorageError, VersionError

T = TypeVar("T")
Identity = tuple[int, int]

PATIENCE = 60.0
"""Seconds for which a call waits for other processes."""

BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}
DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
SUSPICIOUS = {
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_TOOBIG,
    sqlite3.SQLITE_SCHEMA,
}
LITTLE = 1 << 18
"""A disk with fewer free bytes is full: SQLite has several names for the failures that follow."""

_open_databases: weakref.WeakSet[Database] = weakref.WeakSet()
_left_to_parent: list[sqlite3.Connection] = []


class Database:
    """A connection that repairs itself, shared by the threads of a process.

    Args:
        path: the file; its folder is made if missing.
        fill: called when the file was made anew, to put into it what is known from elsewhere.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     database = Database(Path(folder) / "runs.sqlite", lambda: None)
        ...     database.read(lambda db: db.execute("SELECT count(*) FROM runs").fetchone())
        ...     database.close()
        (0,)
    """

    def __init__(self, path: Path, fill: Callable[[], None]) -> None:
        self.path = path
        self._fill = fill
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._file: Identity | None = None
        _open_databases.add(self)

    def read(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        """Call a function with the connection; all that it reads is of one moment.

        Raises:
            StorageError: the disk fails, or another process keeps the file locked.
            VersionError: the database is newer than this program.
        """
        return self._run(operation, "DEFERRED")

    def write(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        """Call a function with the connection; all that it writes is kept, or nothing.

        The function may be called again, so it must have no other effects.

        Raises:
            StorageError: the disk is full or fails, or another process keeps the file locked.
            VersionError: the database is newer than this program.
        """
        return self._run(operation, "IMMEDIATE")

    def close(self) -> None:
        """Give the file back; the next call opens it again."""
        with self._lock:
            connection, self._connection = self._connection, None
            self._file = None
            if connection is not None:
                connection.close()

    def _run(self, operation: Callable[[sqlite3.Connection], T], kind: str) -> T:
        deadline = time.monotonic() + PATIENCE
        pause, repairs = 0.002, 0
        with self._lock:
            while True:
                try:
                    return self._attempt(operation, kind)
                except (sqlite3.Error, Damaged, UnicodeDecodeError) as error:
                    trouble = self._trouble(error)
                    if trouble == "busy" and time.monotonic() < deadline:
                        time.sleep(pause)
                        pause = min(2 * pause, 0.1)
                    elif trouble == "moved":
                        self.close()
                    elif trouble == "damaged" and repairs < 3:
                        repairs += 1
                        self._set_aside(error)
                    elif trouble == "ours":
                        raise
                    else:
                        raise StorageError(self._explanation(trouble, error)) from error
                except OSError as error:
                    if isinstance(error, StorageError):
                        raise
                    raise StorageError(self._explanation("failing", error)) from error

    def _attempt(self, operation: Callable[[sqlite3.Connection], T], kind: str) -> T:
        connection = self._connected()
        connection.execute(f"BEGIN {kind}")
        try:
            result = operation(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
            raise
        return result

    # Opening

    def _connected(self) -> sqlite3.Connection:
        if self._connection is not None and self._file == _identity(self.path):
            return self._connection
        self.close()  # never opened, or another process has set the file aside
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(self.path.parent):
            if self.path.is_dir():
                self._file = _identity(self.path)
                raise Damaged("it is a folder")
            # SQLite waits by itself for a moment; what is longer is up to `_run`.
            connection = sqlite3.connect(
                self.path, timeout=5.0, isolation_level=None, check_same_thread=False
            )
            try:
                new = self._prepare(connection)
            except BaseException:
                self._file = _identity(self.path)
                connection.close()
                raise
            self._connection, self._file = connection, _identity(self.path)
        if new:
            self._fill()
            return self._connected()
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> bool:
        """Make, check or migrate the tables; whether they are new."""
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        present = schema.tables(connection)
        newest = len(schema.MIGRATIONS)
        new = version == 0 and not present
        if not new and (application != schema.APPLICATION or not 0 < version < schema.PLAUSIBLE):
            raise Damaged("it is not a database of runs")
        if version > newest and schema.expected(newest) == present:
            raise Damaged(f"it says that its version is {version}, with tables of version {newest}")
        if version > newest:
            raise VersionError(
                f"{self.path} has version {version}, this groundup reads up to {newest}. Upgrade "
                "groundup, or move the file away: it is made again from the folders of the runs"
            )
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA journal_size_limit = {1 << 26}").fetchone()
        if new:
            schema.migrate(connection, 0)
        elif version < newest:
            self._back_up(connection, version)
            try:
                schema.migrate(connection, version)
            except sqlite3.Error as error:
                if self._trouble(error) in ("busy", "full"):
                    raise
                raise Damaged(f"migrating it from version {version} failed: {error}") from error
        if not schema.expected(newest) <= schema.tables(connection):
            raise Damaged("its tables are not those of its version")
        # These tables are small, and all else hangs on them; the points have checksums.
        for table in ("runs", "series", "media", "verdicts"):
            (found,) = connection.execute(f"PRAGMA integrity_check('{table}')").fetchone()
            if found != "ok":
                raise Damaged(found.replace("\n", " "))
        return new

    def _back_up(self, connection: sqlite3.Connection, version: int) -> None:
        target = _unused(self.path.with_name(f"{self.path.name}.version-{version}-{_stamp()}"))
        try:
            with closing(sqlite3.connect(target)) as copy:
                connection.backup(copy)
        except BaseException:
            target.unlink(missing_ok=True)
            raise

    # Trouble

    def _trouble(
        self, error: BaseException
    ) -> Literal["busy", "moved", "damaged", "full", "failing", "ours"]:
        """What an error means."""
        if isinstance(error, Damaged | UnicodeDecodeError):
            return "damaged"
        code: int | None = getattr(error, "sqlite_errorcode", None)
        if code is None:  # raised by Python's module, not by SQLite
            return "damaged" if "decode to UTF-8" in str(error) else "ours"
        if code == sqlite3.SQLITE_READONLY_DBMOVED:
            return "moved"
        primary = code & 0xFF
        if primary in BUSY:
            return "busy"
        if primary in DAMAGED:
            return "damaged"
        if primary in SUSPICIOUS:
            return "ours" if self._is_whole() else "damaged"
        if primary == sqlite3.SQLITE_FULL or self._is_full():
            return "full"
        return "damaged" if code == sqlite3.SQLITE_IOERR_SHORT_READ else "failing"

    def _is_full(self) -> bool:
        try:
            return shutil.disk_usage(self.path.parent).free < LITTLE
        except OSError:
            return False

    def _is_whole(self) -> bool:
        """A thorough look, after an error that damage may explain."""
        if self._connection is None:
            return True
        try:
            if not schema.expected(len(schema.MIGRATIONS)) <= schema.tables(self._connection):
                return False
            return self._connection.execute("PRAGMA integrity_check(1)").fetchone() == ("ok",)
        except sqlite3.Error:
            return False

    def _explanation(self, trouble: str, error: BaseException) -> str:
        if trouble == "busy":
            return (
                f"{self.path}: another process has kept it locked for {PATIENCE:g} seconds; see "
                "which one with `fuser` or `lsof`"
            )
        if trouble == "full":
            return (
                f"{self.path}: no space left on the disk. The database is as it was before and "
                "can be read; make room and repeat"
            )
        if isinstance(error, OSError) and error.strerror:
            return f"{error.filename or self.path}: {error.strerror}"
        return f"{self.path}: {error}"

    def _set_aside(self, error: BaseException) -> None:
        """Give a damaged file another name, unless another process has already done it."""
        seen, path = self._file, self.path
        with _alone(path.parent):
            if seen is None or seen != _identity(path):
                self.close()
                return
            self.close()
            target = _unused(path.with_name(f"{path.name}.corrupt-{_stamp()}"))
            os.replace(path, target)
            with suppress(FileNotFoundError):
                os.replace(f"{path}-wal", f"{target}-wal")
            with suppress(FileNotFoundError):
                os.unlink(f"{path}-shm")
        warnings.warn(
            f"{path} is damaged ({error}). It was set aside as {target.name} and is made again "
            "from the folders of the runs, which hold everything that was in it",
            DamageWarning,
            stacklevel=2,
        )

    def _after_fork(self) -> None:
        """In a child process: SQLite's connections do not survive a fork; open one's own."""
        self._lock = threading.RLock()
        if self._connection is not None:
            _left_to_parent.append(self._connection)
        self._connection = self._file = None


def _after_fork() -> None:
    for database in list(_open_databases):
        database._after_fork()


os.register_at_fork(after_in_child=_after_fork)


def _identity(path: Path) -> Identity | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Only one process at a time opens, makes, migrates or sets aside a database."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise StorageError(
                        f"{folder}: another process has been opening the database for "
                        f"{PATIENCE:g} seconds; see which one with `fuser` or `lsof`"
                    ) from None
            time.sleep(0.005)
        yield
    finally:
        os.close(handle)


def _stamp() -> str:
    return time.strftime("%Y%m%d-%H%M%S", time.gmtime())


def _unused(path: Path) -> Path:
    """The path, or one with a number behind it if there is such a file."""
    found, number = path, 2
    while found.exists():
        found = path.with_name(f"{path.name}-{number}")
        number += 1
    return found
