"""The home: the one folder in which a server keeps what it has learned.

    salts.json        random bytes that keys are hashed with
    lock              who uses the home now
    finch.sqlite      the log
    minds/SCOPE/TASK.safetensors        what was learned of a task
    finch.toml        settings, if the user has written any

The folder belongs to its user alone (0700), and so do the files (0600). A key is never written: a
scope is the hash of key and namespace with a salt that is drawn for each home, so that two homes
have nothing in common that could be compared. A home may have taken over salts with an import.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..errors import FinchError
from ..settings import data_folder
from .files import FILE, FOLDER, disk_errors, remove_parts, write

SALT = 32
"""Bytes."""
PATIENCE = 0.5
"""Seconds for which a new server waits: whoever asks for the state has the lock for a moment."""


def home_folder(
    folder: str | os.PathLike[str] | None = None, environment: Mapping[str, str] = os.environ
) -> Path:
    """Where the home is: the argument, or the variable FINCH_HOME, or the user's data folder.

    Example:
        >>> home_folder(None, {"XDG_DATA_HOME": "/data"})
        PosixPath('/data/finch')
        >>> home_folder(None, {"FINCH_HOME": "/srv/finch"})
        PosixPath('/srv/finch')
    """
    given = folder if folder is not None else environment.get("FINCH_HOME")
    if given:
        return Path(given).expanduser()
    return data_folder(environment)


@dataclass(frozen=True, slots=True)
class Owner:
    """Who uses a home.

    Attributes:
        pid: the process; 0 if it has not said so yet.
        purpose: what for, such as "serve".
        since: seconds since 1970.

    Example:
        >>> str(Owner(4711, "serve", 0.0))
        '`finch serve` (process 4711)'
    """

    pid: int
    purpose: str
    since: float

    def __str__(self) -> str:
        return f"`finch {self.purpose}` (process {self.pid})"


class Home:
    """A folder that is its user's alone.

    Args:
        folder: made if missing, with the folders above it.
        make: False to refuse what does not exist, for commands that only look.

    Raises:
        FinchError: it cannot be made, belongs to somebody else, or others may enter it.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     home = Home(Path(folder) / "finch")
        ...     stat.filemode(home.path.stat().st_mode), home.owner()
        ('drwx------', None)
    """

    def __init__(self, folder: str | os.PathLike[str], *, make: bool = True) -> None:
        self.path = Path(folder).expanduser().absolute()
        with disk_errors():
            if make and not self.path.exists():
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self.path.mkdir(FOLDER, exist_ok=True)
                self.path.chmod(FOLDER)
            self._check()

    def _check(self) -> None:
        if not self.path.exists():
            raise FinchError(f"{self.path}: there is no such folder; `finch serve` makes it")
        if not self.path.is_dir():
            raise FinchError(f"{self.path} is a file, expected a folder; give another --home")
        about = self.path.stat()
        if about.st_uid != os.geteuid():
            raise FinchError(
                f"{self.path} belongs to user {about.st_uid}, and this is user {os.geteuid()}; "
                "give a --home of your own"
            )
        if about.st_mode & 0o077:
            raise FinchError(
                f"{self.path} has mode {stat.S_IMODE(about.st_mode):04o}, so others may enter it, "
                f"expected 0700; if nobody has put anything there: chmod 700 {self.path}"
            )

    @property
    def database(self) -> Path:
        """The file of the log."""
        return self.path / "finch.sqlite"

    @property
    def minds(self) -> Path:
        """The folder of what was learned."""
        return self.path / "minds"

    @property
    def settings(self) -> Path:
        """The file of the user's settings, which may be missing."""
        return self.path / "finch.toml"

    # The lock

    @contextmanager
    def alone(self, purpose: str, pid: int | None = None) -> Iterator[None]:
        """Use the home as the only process; a killed process gives it back.

        Args:
            purpose: the command, for whom it keeps out.
            pid: the process to be named to them; by default this one.

        Raises:
            FinchError: another process uses it; the message says which.

        Example:
            >>> import tempfile
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     home = Home(Path(folder) / "finch")
            ...     with home.alone("serve"):
            ...         home.owner().pid == os.getpid()
            True
        """
        with disk_errors():
            handle = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, FILE)
        try:
            self._take(handle)
            with disk_errors():
                note = {"pid": pid or os.getpid(), "purpose": purpose, "since": time.time()}
                os.ftruncate(handle, 0)
                os.pwrite(handle, json.dumps(note).encode(), 0)
                for path in self.path.iterdir():
                    about = path.lstat()  # what a link points to is not the home's
                    if stat.S_ISREG(about.st_mode) and about.st_mode & 0o077:
                        path.chmod(FILE)
                remove_parts(self.path)
                if not (self.path / "salts.json").exists():
                    self._write_salts([secrets.token_bytes(SALT)])
            assert self.salts  # damaged ones are told before anything is learned under them
            yield
        finally:
            os.close(handle)

    def _take(self, handle: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() < deadline:
                    time.sleep(0.02)
                    continue
            owner = self.owner() or Owner(0, "serve", 0.0)
            raise FinchError(
                f"{self.path} is in use by {owner}, and one process at a time may change it; "
                "stop that one first, or give another --home"
            )

    def owner(self) -> Owner | None:
        """Who uses the home now; None if nobody does."""
        try:
            handle = os.open(self.path / "lock", os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return None
        except BlockingIOError:
            try:
                return Owner(**json.loads(os.pread(handle, 1000, 0)))
            except (ValueError, TypeError):  # it is just being written
                return Owner(0, "serve", 0.0)
        finally:
            os.close(handle)

    # Scopes

    @property
    def salts(self) -> list[bytes]:
        """The home's own salt, then those of imports, the oldest first.

        Raises:
            FinchError: they are missing or damaged.
        """
        path = self.path / "salts.json"
        try:
            found = [bytes.fromhex(text) for text in json.loads(path.read_bytes())]
        except (OSError, ValueError, TypeError) as error:
            raise FinchError(
                f"{path} cannot be read ({error}). Without it no key finds what was learned from "
                "its requests; put it back from a copy, or remove the home to begin anew"
            ) from error
        if not found or any(len(salt) != SALT for salt in found):
            raise FinchError(f"{path}: expected salts of {SALT} bytes; put it back from a copy")
        return found

    def add_salts(self, salts: list[bytes], *, first: bool = False) -> None:
        """Take over salts with which scopes were made elsewhere.

        Args:
            salts: the own one of the other home, then those that it had taken over.
            first: whether they come before this home's own, so that theirs becomes its own.
        """
        both = [*salts, *self.salts] if first else [*self.salts, *salts]
        self._write_salts(list(dict.fromkeys(both)))

    def _write_salts(self, salts: list[bytes]) -> None:
        write(self.path / "salts.json", json.dumps([salt.hex() for salt in salts]).encode())
