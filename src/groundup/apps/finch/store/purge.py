"""Deleting: what was said with all that learned from it, or everything but the settings.

`purge` is for privacy: queries and answers go, and with them every mind that has learned from any
of them, because its weights, caches and replay buffer hold what they said. The figures stay.
`reset` is for beginning anew: minds, texts, log and totals go; settings, salts and other scopes
stay. Both rewrite the log's file, so that nothing of it can be found in the bytes, and forget the
texts that this process still remembers. A server has more in memory, and keeps both out: the home
is its own until it ends.
"""

from __future__ import annotations

import math
import sqlite3
from dataclasses import dataclass

from ..students.grams import clear
from .files import disk_errors
from .store import Store


@dataclass(frozen=True, slots=True)
class Selection:
    """What to delete, by scope and task.

    Attributes:
        scope: of which scope; None of all.
        task: of which task; None of all.
        before: only what was said before this time, in seconds since 1970; None at any time.

    Example:
        >>> Selection(task="00112233").where("task = ''")
        ("task = '' AND task = ?", ['00112233'])
    """

    scope: str | None = None
    task: str | None = None
    before: float | None = None

    def where(self, condition: str = "1") -> tuple[str, list[str]]:
        """The rows of scope and task, as SQL and its values."""
        given = {"scope": self.scope, "task": self.task}
        names = [name for name, value in given.items() if value is not None]
        values = [value for value in given.values() if value is not None]
        return " AND ".join([condition, *(f"{name} = ?" for name in names)]), values


@dataclass(frozen=True, slots=True)
class Deleted:
    """What is gone.

    Attributes:
        texts: pairs of query and answer.
        requests: rows of the log.
        minds: the tasks whose minds are gone, as (scope, task).
        bytes: of the files of the minds.

    Example:
        >>> str(Deleted(3, 0, [("00", "11")], 2_000_000))
        '3 stored texts and what 1 task had learned (2.0 MB)'
    """

    texts: int
    requests: int
    minds: list[tuple[str, str]]
    bytes: int

    def __str__(self) -> str:
        said = f"{self.texts:,} stored text{'s' * (self.texts != 1)}"
        rows = f", {self.requests:,} rows of the log" if self.requests else ""
        tasks = f"{len(self.minds):,} task{'s' * (len(self.minds) != 1)}"
        return f"{said}{rows} and what {tasks} had learned ({self.bytes / 1e6:.1f} MB)"


def purge(store: Store, selection: Selection | None = None) -> Deleted:
    """Delete what was said, and every mind that has learned from it.

    A mind that learned from anything older than ``selection.before`` goes as a whole: what it
    learned cannot be told apart. One of which nothing is known goes too.

    Args:
        store: the home, which no server may be using.
        selection: which texts.

    Raises:
        FinchError: the disk fails, or another program reads the log.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, Store(f"{folder}/finch") as store:
        ...     str(purge(store))
        '0 stored texts and what 0 tasks had learned (0.0 MB)'
    """
    selection = selection or Selection()
    store.log.flush()
    before = selection.before
    learned = store.database.write(_since)
    minds = [
        (saved.scope, saved.task)
        for saved in store.minds
        if _chosen(selection, saved.scope, saved.task)
        and (before is None or (learned.get((saved.scope, saved.task)) or 0.0) < before)
    ]
    size = sum(store.minds.forget(scope, task) for scope, task in minds)

    def delete(db: sqlite3.Connection) -> int:
        where, values = selection.where()
        db.execute(
            f"UPDATE tasks SET since = NULL WHERE {where} AND since < ?", [*values, _time(before)]
        )
        return db.execute(
            f"DELETE FROM texts WHERE {where} AND time < ?", [*values, _time(before)]
        ).rowcount

    texts = store.database.write(delete)
    _erase(store)
    return Deleted(texts, 0, minds, size)


def reset(store: Store, selection: Selection | None = None) -> Deleted:
    """Begin anew: delete what was learned, said, logged and counted. Settings stay.

    Args:
        store: the home, which no server may be using.
        selection: of which scope and task; ``before`` is not looked at.

    Raises:
        FinchError: the disk fails, or another program reads the log.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, Store(f"{folder}/finch") as store:
        ...     reset(store).requests
        0
    """
    selection = selection or Selection()
    store.log.flush()
    minds = [
        (saved.scope, saved.task)
        for saved in store.minds
        if _chosen(selection, saved.scope, saved.task)
    ]
    size = sum(store.minds.forget(scope, task) for scope, task in minds)

    def delete(db: sqlite3.Connection) -> tuple[int, int]:
        where, values = selection.where()
        counts = [
            db.execute(f"DELETE FROM {table} WHERE {where}", values).rowcount
            for table in ("texts", "requests", "tasks", "days")
        ]
        if selection.task is None:
            where, values = Selection(selection.scope).where()
            db.execute(f"DELETE FROM scopes WHERE {where}", values)
        return counts[0], counts[1]

    texts, requests = store.database.write(delete)
    _erase(store)
    return Deleted(texts, requests, minds, size)


def _since(db: sqlite3.Connection) -> dict[tuple[str, str], float | None]:
    """When each task's mind began to learn; None if nothing is known of it."""
    rows = db.execute("SELECT scope, task, since FROM tasks")
    return {(scope, task): since for scope, task, since in rows}


def _chosen(selection: Selection, scope: str, task: str) -> bool:
    return selection.scope in (None, scope) and selection.task in (None, task)


def _time(before: float | None) -> float:
    return math.inf if before is None else before


def _erase(store: Store) -> None:
    """Rewrite what is left; what was damaged and set aside cannot be told apart, so it goes."""
    with disk_errors():
        for path in store.home.path.glob(f"{store.home.database.name}.damaged-*"):
            path.unlink()
    store.database.erase_remains()
    clear()
