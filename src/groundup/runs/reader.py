"""Looking into a runs folder: which runs there are, how they stand, and what they logged.

Looking also keeps the books: a run whose process has ended is noticed here, and so is a folder that
was copied in or removed by hand.
"""

from __future__ import annotations

import difflib
import os
import platform
import shutil
import sqlite3
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from . import index, journal, series
from .database import Database
from .errors import Damaged, StorageError, UnknownRunError
from .records import COLUMNS, Media, RunInfo, Status, Text, Verdict, from_json, run_info
from .series import Points, SeriesInfo

T = TypeVar("T")

NAME = "runs.sqlite"
LOST_AFTER = 120.0
"""Seconds without a sign of life after which a run on another computer counts as lost."""


def runs_folder(folder: str | os.PathLike[str] | None = None) -> Path:
    """Where runs are kept: the argument, or the variable GROUNDUP_RUNS, or `runs` right here.

    Example:
        >>> runs_folder("elsewhere")
        PosixPath('elsewhere')
    """
    return Path(folder if folder is not None else os.environ.get("GROUNDUP_RUNS") or "runs")


class Reader:
    """The part of `Store` that looks.

    Args:
        folder: as for `Store`. One that may not be written can be looked at: then the database is a
            copy, brought up to date from the folders of the runs.

    Raises:
        StorageError: it is no folder, or cannot be read.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, Reader(folder) as reader:
        ...     reader.runs()
        []
    """

    _copy: tempfile.TemporaryDirectory[str] | None = None

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self.folder = runs_folder(folder).absolute()
        if self.folder.exists() and not self.folder.is_dir():
            raise StorageError(f"{self.folder} is a file, expected the folder of the runs")
        self._database = Database(self._where() / NAME, self.scan)
        self.scan()

    def _where(self) -> Path:
        """The folder of the database: where nothing may be written, a copy, to look at the runs."""
        if not self.folder.exists() or os.access(self.folder, os.W_OK):
            return self.folder
        self._copy = tempfile.TemporaryDirectory(prefix="groundup-")
        for name in (NAME, f"{NAME}-wal"):
            with suppress(OSError):
                shutil.copyfile(self.folder / name, Path(self._copy.name) / name)
        return Path(self._copy.name)

    # Finding runs

    def runs(
        self,
        *,
        experiment: str | None = None,
        status: Status | None = None,
        tag: str | None = None,
        parent: str | None = None,
        most: int | None = None,
    ) -> list[RunInfo]:
        """Runs that have all the properties that are given, the newest first.

        Args:
            experiment: its name.
            status: such as "done".
            tag: one of its tags.
            parent: the id of the run that they are a part of.
            most: how many at most.

        Example:
            >>> import tempfile
            >>> from groundup.runs import Store
            >>> with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
            ...     whole = store.queue("verify")
            ...     part = store.queue("digits", seed=0, parent=whole.id)
            ...     [info.seed for info in store.runs(parent=whole.id)]
            [0]
        """
        lost = self._find_lost()
        given = {"experiment": experiment, "status": status, "parent": parent}
        wanted = {column: value for column, value in given.items() if value is not None}
        where = " AND ".join(f"{column} = ?" for column in wanted) or "1"

        def read(db: sqlite3.Connection) -> list[RunInfo]:
            rows = db.execute(
                f"SELECT {COLUMNS} FROM runs WHERE {where} ORDER BY created DESC, number DESC",
                tuple(wanted.values()),
            )
            return [run_info(row, self.folder) for row in rows.fetchall()]

        found = [_as_lost(info, lost) for info in self._database.read(read)]
        return [info for info in found if tag is None or tag in info.tags][:most]

    def get(self, run_id: str) -> RunInfo:
        """One run.

        Args:
            run_id: its id, or so much of the beginning or end of it that only one run has it.

        Raises:
            UnknownRunError: no run has it, or several; the message names the nearest.

        Example:
            >>> import tempfile
            >>> from groundup.runs import Store
            >>> with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
            ...     info = store.queue("digits")
            ...     store.get(info.id[-6:]) == store.get("dig") == info
            True
        """
        info = self._row(run_id)
        if info.status == "running" and self._settle(info):
            info = _as_lost(self._row(info.id), {info.id})
        return info

    def _row(self, run_id: str) -> RunInfo:
        def read(db: sqlite3.Connection) -> RunInfo | None:
            row = db.execute(f"SELECT {COLUMNS} FROM runs WHERE id = ?", (run_id,)).fetchone()
            return None if row is None else run_info(row, self.folder)

        info = self._database.read(read)
        if info is None:
            ids = self._database.read(
                lambda db: [row[0] for row in db.execute("SELECT id FROM runs").fetchall()]
            )
            info = self._row(_only(run_id, ids, self.folder))
        return info

    def version(self) -> tuple[int, ...]:
        """A value that changes whenever something in the database does.

        Example:
            >>> import tempfile
            >>> from groundup.runs import Store
            >>> with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
            ...     before = store.version()
            ...     info = store.queue("digits")
            ...     before == store.version()
            False
        """

        def read(db: sqlite3.Connection) -> tuple[int, ...]:
            # The first counts the commits of other connections, the second our own changes.
            return (*db.execute("PRAGMA data_version").fetchone(), db.total_changes)

        return self._database.read(read)

    # Reading what a run logged

    def series(self, run_id: str) -> list[SeriesInfo]:
        """The series of a run by name, with their newest values and extremes.

        Raises:
            UnknownRunError: there is no such run.

        Example:
            >>> import tempfile
            >>> from groundup.runs import Store
            >>> with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
            ...     with store.start("digits") as run:
            ...         run.log(1, loss=0.5)
            ...     store.series(run.id)[0].last_value
            0.5
        """
        return self._of(run_id, series.infos)

    def points(
        self,
        run_id: str,
        name: str,
        *,
        after: int = 0,
        steps: tuple[int, int] | None = None,
        most: int | None = None,
    ) -> Points:
        """The points of a series.

        Args:
            run_id: as for `get`.
            name: of the series.
            after: leave out so many from the beginning: those that the caller has already.
            steps: only points with a step from the first to the second, both included.
            most: thin out to at most so many, keeping peaks (see `Points.thinned`).

        Raises:
            UnknownRunError: there is no such run or series.
            ValueError: both `after` and `steps` are given, or `most` is below 5.

        Example:
            >>> import tempfile
            >>> from groundup.runs import Store
            >>> with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
            ...     with store.start("digits") as run:
            ...         for step in range(4):
            ...             run.log(step, loss=1 / (step + 1))
            ...     store.points(run.id, "loss", after=2).steps
            array([2, 3])
        """
        if after and steps is not None:
            raise ValueError(f"points: after {after} and steps {steps}; expected one of them")
        found = self._of(run_id, lambda db, run: series.read(db, run, name, after, steps))
        if found is None:
            names = [info.name for info in self.series(run_id)]
            raise UnknownRunError(
                f"{run_id} has no series {name!r}{_nearest(name, names)}; it has "
                f"{', '.join(names[:20]) or 'none'}{', ...' if len(names) > 20 else ''}"
            )
        return found if most is None else found.thinned(most)

    def media(self, run_id: str) -> list[Media]:
        """The figures of a run, by name and step.

        Raises:
            UnknownRunError: there is no such run.

        Example:
            >>> import tempfile
            >>> from groundup.runs import Store
            >>> with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
            ...     with store.start("digits") as run:
            ...         _ = run.log_figure("dot", "<svg xmlns='http://www.w3.org/2000/svg'/>", 5)
            ...     [(media.name, media.step, media.path.name) for media in store.media(run.id)]
            [('dot', 5, 'dot-00000005.svg')]
        """
        folder = self.get(run_id).folder / "figures"
        rows = self._of(
            run_id,
            lambda db, run: db.execute(
                "SELECT name, step, time, file FROM media WHERE run = ? ORDER BY name, step", (run,)
            ).fetchall(),
        )
        return [
            Media(name, step, when, folder / Path(str(file)).name)
            for name, step, when, file in rows
        ]

    def texts(self, run_id: str, after: int = 0) -> list[Text]:
        """The lines that a run logged.

        Args:
            run_id: as for `get`.
            after: only lines with a greater number.

        Raises:
            UnknownRunError: there is no such run.

        Example:
            >>> import tempfile
            >>> from groundup.runs import Store
            >>> with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
            ...     with store.start("digits") as run:
            ...         run.log_text("hello")
            ...     store.texts(run.id)[0].text
            'hello'
        """
        rows = self._of(
            run_id,
            lambda db, run: db.execute(
                "SELECT number, time, text FROM texts WHERE run = ? AND number > ? ORDER BY number",
                (run, after),
            ).fetchall(),
        )
        return [Text(*row) for row in rows]

    def verdicts(self, run_id: str) -> list[Verdict]:
        """The claims of a run and what was measured, in the order in which they were logged.

        Raises:
            UnknownRunError: there is no such run.

        Example:
            >>> import tempfile
            >>> from groundup.runs import Store
            >>> with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
            ...     with store.start("digits") as run:
            ...         run.log_verdict(Verdict("cnn", "the CNN is better", measured={0: 0.5}))
            ...     store.verdicts(run.id)[0].measured
            {0: 0.5}
        """

        def read(db: sqlite3.Connection, run: int) -> list[Verdict]:
            rows = db.execute(
                "SELECT content FROM verdicts WHERE run = ? ORDER BY time, claim", (run,)
            )
            return [_verdict(content) for (content,) in rows.fetchall()]

        return self._of(run_id, read)

    def _of(self, run_id: str, read: Callable[[sqlite3.Connection, int], T]) -> T:
        """Read something of a run by its number."""

        def find(db: sqlite3.Connection) -> tuple[T] | None:
            row = db.execute("SELECT number FROM runs WHERE id = ?", (run_id,)).fetchone()
            return None if row is None else (read(db, row[0]),)

        found = self._database.read(find)
        if found is None:
            return self._of(self.get(run_id).id, read)
        return found[0]

    def close(self) -> None:
        """Close the database. Runs that are open go on and open it again when they need it."""
        self._database.close()
        if self._copy is not None:
            self._copy.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # Keeping database and folders together

    def scan(self) -> None:
        """Bring the database up to date with the folders; done when the store is opened.

        On a full disk it cannot be, which is a warning: what it knows can be looked at.
        """
        known = dict(
            self._database.read(lambda db: db.execute("SELECT id, read_to FROM runs").fetchall())
        )
        present = index.run_folders(self.folder)
        try:
            self._forget(set(known) - present)
            for run_id in sorted(present):
                try:
                    self._catch_up(run_id, known.get(run_id))
                except StorageError:
                    raise
                except OSError as error:
                    words = f"{error.filename or run_id}: {error.strerror or error}"
                    warnings.warn(f"{words}. The run is left out", stacklevel=2)
        except StorageError as error:
            warnings.warn(f"{error}. Until then it may lack the newest", stacklevel=2)

    def _catch_up(self, run_id: str, known: int | None) -> None:
        """Read what is new in a journal of which so many bytes are known, None if it is new."""
        path = self.folder / run_id / journal.NAME
        if known is None:
            self.read_in(run_id)
        elif path.stat().st_size > known:
            with journal.unowned(path) as free:
                if free:  # otherwise its own process does it
                    self.read_in(run_id)

    def read_in(self, run_id: str) -> None:
        """Bring the database up to date with the folder of one run; its process does that."""
        index.read_in(self._database, self.folder / run_id)

    def _forget(self, run_ids: Iterable[str]) -> None:
        def forget(db: sqlite3.Connection, run_id: str) -> None:
            row = db.execute("SELECT number FROM runs WHERE id = ?", (run_id,)).fetchone()
            if row is not None:
                index.forget(db, row[0])

        for run_id in run_ids:
            self._database.write(lambda db, run_id=run_id: forget(db, run_id))  # type: ignore[misc]

    def _find_lost(self) -> set[str]:
        running = self._database.read(
            lambda db: [
                run_info(row, self.folder)
                for row in db.execute(
                    f"SELECT {COLUMNS} FROM runs WHERE status = 'running'"
                ).fetchall()
            ]
        )
        return {info.id for info in running if self._settle(info)}

    def _settle(self, info: RunInfo) -> bool:
        """Close the books of a run whose process has ended; whether it has.

        Its journal may say how it ended, or nothing: then it is lost.
        """
        with journal.unowned(info.folder / journal.NAME) as free:
            elsewhere = info.host != platform.node()
            silent = time.time() - (info.heartbeat or info.created) > LOST_AFTER
            if not free or (elsewhere and not silent):
                return False
            with suppress(StorageError):  # on a full disk one can still look
                self.read_in(info.id)
                self._database.write(
                    lambda db: db.execute(
                        "UPDATE runs SET status = 'lost', ended = heartbeat "
                        "WHERE id = ? AND status = 'running'",
                        (info.id,),
                    )
                )
        return True


def _as_lost(info: RunInfo, lost: set[str]) -> RunInfo:
    """The same, as it would be if it could have been written."""
    return replace(info, status="lost") if info.status == "running" and info.id in lost else info


def _verdict(content: Any) -> Verdict:
    try:
        return Verdict.from_json(from_json(content, dict))
    except ValueError as error:
        raise Damaged(str(error)) from error


def _only(part: str, ids: list[str], folder: Path) -> str:
    """The one id that begins or ends with a text."""
    found = [name for name in ids if part and (name.startswith(part) or name.endswith(part))]
    if len(found) == 1:
        return found[0]
    if found:
        several = ", ".join(sorted(found)[-5:])
        raise UnknownRunError(f"{part!r} may be any of {len(found)} runs, such as {several}")
    raise UnknownRunError(f"there is no run {part!r} in {folder}{_nearest(part, ids)}")


def _nearest(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(names), 1, 0.5)
    return f"; did you mean {near[0]!r}?" if near else ""
