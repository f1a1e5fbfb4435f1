"""All that a server keeps, opened together: the lock, the log, what was learned."""

from __future__ import annotations

import os
from contextlib import ExitStack
from types import TracebackType

from .checkpoints import Checkpoints
from .database import Database
from .home import Home
from .log import INTERVAL, Log


class Store:
    """A home in use; until it is closed, no other process may change it.

    Args:
        folder: the home, made if missing.
        purpose: the command that uses it, for whom it keeps out.
        pid: the process to be named to them, which is not this one if it is another's helper.
        keep_texts: days for which queries and answers are kept; 0 keeps none.
        keep_requests: rows of the log that are kept at most.
        interval: seconds between two commits of the log.

    Raises:
        FinchError: another process uses the home, others may enter it, it is of a newer version, or
            the disk fails.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, Store(f"{folder}/finch") as store:
        ...     store.minds.load("00112233", "44556677") is None
        True
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        purpose: str = "serve",
        *,
        pid: int | None = None,
        keep_texts: float = 30.0,
        keep_requests: int = 1_000_000,
        interval: float = INTERVAL,
    ) -> None:
        self.home = Home(folder)
        with ExitStack() as stack:
            stack.enter_context(self.home.alone(purpose, pid))
            self.database = Database(self.home.database)
            stack.callback(self.database.close)
            self.minds = Checkpoints(self.home)
            self.log = Log(
                self.database,
                keep_texts=keep_texts,
                keep_requests=keep_requests,
                interval=interval,
            )
            stack.callback(self.log.close)
            self._stack = stack.pop_all()

    def close(self) -> None:
        """Commit the log and give the home back."""
        self._stack.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
