"""The runs folder: a folder a run, and `runs.sqlite`, in which they are listed and searched.

    runs/
      runs.sqlite
      digits-20250131-174501-3fa94c/
        events.jsonl                  everything that happened, see `journal`
        config.json  environment.json  labels.json
        checkpoints/*.safetensors  figures/*.svg  report.html

The folders are the truth; the database is made again from them if it is lost, and a folder that is
copied in or removed by hand is noticed when the store is opened. Several processes may use one
runs folder at the same time.
"""

from __future__ import annotations

import json
import secrets
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..engine.files import write_atomically
from . import index, journal
from .environment import environment
from .errors import RunningError, RunsError, StorageError, UnknownRunError
from .reader import Reader
from .records import RunInfo, jsonable
from .run import Run


class Store(Reader):
    """All runs of a folder.

    Args:
        folder: where they are; by default GROUNDUP_RUNS, or `runs` in the current folder. It is
            made if missing.

    Raises:
        StorageError: the folder cannot be used.
        VersionError: its database was written by a newer version of groundup.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
        ...     for seed in (0, 1):
        ...         with store.start("digits", {"epochs": 2}, seed=seed) as run:
        ...             run.log(1, accuracy=0.9 + seed / 100)
        ...     for info in store.runs(experiment="digits"):
        ...         print(info.status, info.seed, store.points(info.id, "accuracy").values)
        done 1 [0.91]
        done 0 [0.9]
    """

    # Making runs

    def start(
        self,
        experiment: str,
        config: Any = None,
        *,
        seed: int | None = None,
        parent: str | None = None,
        tags: Iterable[str] = (),
        note: str = "",
    ) -> Run:
        """Make a run and begin it.

        Args:
            experiment: its name: small letters, digits and ``_.-``.
            config: a dataclass or a mapping of what JSON can hold. It must hold no secrets: it is
                stored as it is.
            seed: what its randomness comes from.
            parent: the id of the run that it is a part of: of a verification over several seeds,
                of a sweep.
            tags: words to find it by.
            note: free text.

        Returns:
            The open run, to be used with ``with``.

        Raises:
            StorageError: the disk is full; nothing is left of the run.
            TypeError: the config holds something that JSON cannot.
            ValueError: the name has other characters.

        Example:
            >>> import tempfile
            >>> with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
            ...     with store.start("digits", {"epochs": 2}, tags=["first"]) as run:
            ...         run.log(1, loss=0.5)
            ...     store.get(run.id).tags
            ('first',)
        """
        folder = self._make(experiment, config, seed, parent, tags, note)
        try:
            return self._open(folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(RunsError):
                self._forget([folder.name])
            raise

    def queue(
        self,
        experiment: str,
        config: Any = None,
        *,
        seed: int | None = None,
        parent: str | None = None,
        tags: Iterable[str] = (),
        note: str = "",
    ) -> RunInfo:
        """Make a run that `resume` is going to begin, perhaps in another process.

        Args:
            experiment, config, seed, parent, tags, note: as for `start`.

        Raises:
            StorageError, TypeError, ValueError: as for `start`.

        Example:
            >>> import tempfile
            >>> with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
            ...     waiting = store.queue("digits", seed=3)
            ...     with store.resume(waiting.id) as run:
            ...         print(waiting.status, run.seed, run.resumed)
            queued 3 False
        """
        folder = self._make(experiment, config, seed, parent, tags, note)
        self.read_in(folder.name)
        return self.get(folder.name)

    def resume(self, run_id: str) -> Run:
        """Continue a run that is queued or over.

        Args:
            run_id: as for `get`.

        Returns:
            The open run; its `resumed` tells whether it was started before. What was logged after
            the checkpoint from which it continues is taken back by `Run.rewind`, which the
            callback `Record` calls.

        Raises:
            RunningError: a process is still at work on it.
            UnknownRunError: there is no such run.
            StorageError: the disk is full.

        Example:
            >>> import tempfile
            >>> with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
            ...     with store.start("digits") as run:
            ...         run.log(1, loss=0.5)
            ...     with store.resume(run.id) as run:
            ...         run.log(2, loss=0.25)
            ...     store.points(run.id, "loss").values
            array([0.5 , 0.25])
        """
        info = self.get(run_id)
        if info.status == "running":
            raise RunningError(
                f"{info.id} is running as process {info.pid} on {info.host}; wait for it or stop "
                "it first"
            )
        return self._open(info.folder)

    def _make(
        self,
        experiment: str,
        config: Any,
        seed: int | None,
        parent: str | None,
        tags: Iterable[str],
        note: str,
    ) -> Path:
        now = time.time()
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
        run_id = f"{experiment}-{stamp}-{secrets.token_hex(3)}"
        if not index.RUN_ID.fullmatch(run_id):
            raise ValueError(
                f"experiment {experiment!r}: expected small letters, digits and _ . -, beginning "
                "with a letter or digit"
            )
        if parent is not None:
            parent = self.get(parent).id
        content = jsonable({} if config is None else config)
        if not isinstance(content, dict):
            raise TypeError(f"config is {type(config).__name__}, expected a dataclass or a mapping")
        created = {
            "event": "created",
            "format": journal.FORMAT,
            "time": now,
            "experiment": experiment,
            "seed": seed,
            "parent": parent,
        }
        labels = {"tags": _tags(tags), "note": note}
        folder = self.folder / run_id
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise StorageError(f"{folder}: {error.strerror or error}; no run was begun") from error
        try:
            for name in ("checkpoints", "figures"):
                (folder / name).mkdir()
            _write_json(folder / "config.json", content)
            if any(labels.values()):
                _write_json(folder / "labels.json", labels)
            write_atomically(folder / journal.NAME, journal.encode(created).encode() + b"\n")
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise StorageError(
                f"{folder}: {error.strerror or error}; no run was begun, nothing is left of it"
            ) from error
        return folder

    def _open(self, folder: Path) -> Run:
        try:
            opened = journal.Journal(folder / journal.NAME)
        except OSError as error:
            raise StorageError(
                f"{folder / journal.NAME}: {error.strerror or error}; the run was not begun"
            ) from error
        try:
            return self._begin(folder, opened)
        except BaseException:
            opened.close()
            raise

    def _begin(self, folder: Path, opened: journal.Journal) -> Run:
        """Begin a run whose journal no other process writes from here on."""
        self.read_in(folder.name)
        info = self._row(folder.name)
        self._end_at_journal(folder)
        number = 1 + len(list(folder.glob("environment*.json")))
        path = folder / ("environment.json" if number == 1 else f"environment-{number}.json")
        try:
            _write_json(path, environment(info.seed))
        except OSError as error:
            raise StorageError(
                f"{path}: {error.strerror or error}; the run was not begun"
            ) from error
        try:
            return Run(self, opened, info.config, info.seed, resumed=info.started is not None)
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def _end_at_journal(self, folder: Path) -> None:
        """After a power cut the database may know more than the journal, which goes on shorter."""
        size = (folder / journal.NAME).stat().st_size
        self._database.write(
            lambda db: db.execute(
                "UPDATE runs SET read_to = ? WHERE id = ? AND read_to > ?",
                (size, folder.name, size),
            )
        )

    # Changing runs

    def label(
        self, run_id: str, *, tags: Iterable[str] | None = None, note: str | None = None
    ) -> RunInfo:
        """Give a run other tags or another note.

        Args:
            run_id: as for `get`.
            tags: all that it shall have; None leaves them.
            note: None leaves it.

        Raises:
            UnknownRunError: there is no such run.
            StorageError: the disk is full; they are as they were.

        Example:
            >>> import tempfile
            >>> with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
            ...     info = store.queue("digits", note="first try")
            ...     store.label(info.id, tags=["best", "paper"]).tags
            ('best', 'paper')
        """
        info = self.get(run_id)
        labels = index.read_labels(info.folder)
        if tags is not None:
            labels["tags"] = _tags(tags)
        if note is not None:
            labels["note"] = note
        path = info.folder / "labels.json"
        try:
            _write_json(path, labels)
        except OSError as error:
            raise StorageError(
                f"{path}: {error.strerror or error}; tags and note are as they were"
            ) from error
        values = (json.dumps(labels["tags"]), labels["note"], info.id)
        self._database.write(
            lambda db: db.execute("UPDATE runs SET tags = ?, note = ? WHERE id = ?", values)
        )
        return self._row(info.id)

    def delete(self, run_id: str) -> None:
        """Remove a run with its folder: config, points, checkpoints and figures.

        Args:
            run_id: the whole id.

        Raises:
            RunningError: a process is at work on it.
            UnknownRunError: there is no such run.

        Example:
            >>> import tempfile
            >>> with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
            ...     store.delete(store.queue("digits").id)
            ...     store.runs()
            []
        """
        info = self._row(run_id)
        if info.id != run_id:
            raise UnknownRunError(
                f"{run_id!r} is a part of {info.id}; to delete it, give all of it"
            )
        with journal.unowned(info.folder / journal.NAME) as free:
            if not free or (info.status == "running" and self.get(run_id).status == "running"):
                raise RunningError(f"{run_id} is running; stop it before it is deleted")
            shutil.rmtree(info.folder)
        self._forget([run_id])

    def beat(self, run_id: str) -> None:
        """Note that the process of a run is alive; it does that itself."""
        now = time.time()
        self._database.write(
            lambda db: db.execute("UPDATE runs SET heartbeat = ? WHERE id = ?", (now, run_id))
        )


def _write_json(path: Path, content: Any) -> None:
    text = json.dumps(content, indent=2, ensure_ascii=False)
    write_atomically(path, (text + "\n").encode())


def _tags(tags: Iterable[str]) -> list[str]:
    if isinstance(tags, str):
        raise TypeError(f"tags is the string {tags!r}, expected a list of strings")
    found = sorted({str(tag).strip() for tag in tags})
    if "" in found:
        raise ValueError("a tag is empty")
    return found
