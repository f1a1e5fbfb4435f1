"""What was learned of each task: the newest state and the one before it.

A state is written beside its place, flushed and renamed; the one that it replaces is kept under
another name, and taken if the newest turns out to be damaged.

    minds/SCOPE/TASK.safetensors               the newest
    minds/SCOPE/TASK.previous.safetensors      the one before
    minds/SCOPE/TASK.damaged.safetensors       the last that could not be read
"""

from __future__ import annotations

import os
import re
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ..errors import FinchError
from .files import FOLDER, disk_errors, sync, write_part
from .home import Home
from .states import DamagedError, State, pieces, read

NAME = re.compile(r"[0-9a-f]{8,64}")
ENDING = ".safetensors"


@dataclass(frozen=True, slots=True)
class Saved:
    """A task of which something was learned.

    Attributes:
        size: bytes of all its files.
        time: when the newest was written, in seconds since 1970.

    Example:
        >>> Saved("00112233", "44556677", 1024, 0.0).size
        1024
    """

    scope: str
    task: str
    size: int
    time: float


class Checkpoints:
    """The states in a home.

    Args:
        home: whose lock has to be held for writing.

    Example:
        >>> import tempfile, numpy as np
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     minds = Checkpoints(Home(Path(folder) / "finch"))
        ...     minds.save("00112233", "44556677", {"w": np.ones(2)}, {"step": 3})
        ...     minds.load("00112233", "44556677").content
        {'step': 3}
    """

    def __init__(self, home: Home) -> None:
        self.folder = home.minds

    def save(self, scope: str, task: str, arrays: Mapping[str, NDArray[Any]], content: Any) -> None:
        """Keep a state.

        Args:
            scope: whose.
            task: of which task.
            arrays: numbers, by name.
            content: what JSON can hold.

        Raises:
            FinchError: the state cannot be written down, or the disk fails; what was there stays.
        """
        self.put(scope, task, *pieces(scope, task, State(arrays, content, time.time())))

    def put(self, scope: str, task: str, *raw: bytes | memoryview) -> None:
        """Keep the bytes of a state."""
        newest, previous, _ = self._paths(scope, task)
        with disk_errors():
            for folder in (self.folder, newest.parent):
                folder.mkdir(FOLDER, exist_ok=True)
            part = write_part(newest, raw)
            with suppress(FileNotFoundError):
                os.replace(newest, previous)
            os.replace(part, newest)
            sync(newest.parent)

    def load(self, scope: str, task: str) -> State | None:
        """The newest state that is whole, with a warning if it is not the last one.

        Returns:
            None if there is none.

        Raises:
            FinchError: it is of a newer version, or the disk fails.
        """
        newest, previous, damaged = self._paths(scope, task)
        for path in (newest, previous):
            try:
                with disk_errors():
                    raw = path.read_bytes() if path.exists() else None
                if raw is None:
                    continue
                state = read(scope, task, raw)
            except DamagedError as error:
                os.replace(path, damaged)
                then = "the one before it is used" if path == newest else "it is begun anew"
                warnings.warn(
                    f"{path}: {error}; it was set aside as {damaged.name}, and {then}",
                    UserWarning,
                    stacklevel=2,
                )
                continue
            return state
        return None

    def raw(self, scope: str, task: str) -> bytes | None:
        """The bytes of the newest state that is whole, while a server may be writing."""
        for _ in range(3):  # between two looks, the newest may become the previous one
            for path in self._paths(scope, task)[:2]:
                with suppress(DamagedError), disk_errors(), suppress(FileNotFoundError):
                    found = path.read_bytes()
                    read(scope, task, found)
                    return found
        return None

    def forget(self, scope: str, task: str) -> int:
        """Delete everything that was learned of a task; the bytes that were deleted."""
        size = 0
        with disk_errors():
            for path in (*self._paths(scope, task), *self._parts(scope, task)):
                with suppress(FileNotFoundError):
                    found = path.stat().st_size
                    path.unlink()
                    size += found
            with suppress(OSError):  # there are other tasks, or no folder
                self._folder(scope).rmdir()
        return size

    def __iter__(self) -> Iterator[Saved]:
        """What there is, by scope and task."""
        found: dict[tuple[str, str], list[os.stat_result]] = {}
        for path in sorted(self.folder.glob(f"*/*{ENDING}")):
            task = path.name.split(".")[0]
            if NAME.fullmatch(path.parent.name) and NAME.fullmatch(task):
                with suppress(FileNotFoundError):
                    found.setdefault((path.parent.name, task), []).append(path.stat())
        for (scope, task), files in found.items():
            size = sum(about.st_size for about in files)
            yield Saved(scope, task, size, max(about.st_mtime for about in files))

    def _folder(self, scope: str) -> Path:
        if not NAME.fullmatch(scope):
            raise FinchError(f"scope {scope!r}: expected 8 to 64 hexadecimal digits")
        return self.folder / scope

    def _paths(self, scope: str, task: str) -> tuple[Path, Path, Path]:
        if not NAME.fullmatch(task):
            raise FinchError(f"task {task!r}: expected 8 to 64 hexadecimal digits")
        folder = self._folder(scope)
        kinds = ("", ".previous", ".damaged")
        newest, previous, damaged = (folder / f"{task}{kind}{ENDING}" for kind in kinds)
        return newest, previous, damaged

    def _parts(self, scope: str, task: str) -> list[Path]:
        return list(self._folder(scope).glob(f".{task}{ENDING}*"))
