"""A run while it runs: what is logged goes to its journal at once, to the database twice a second.

    with store.start("digits", config, seed=0) as run:
        for step, batch in enumerate(loader, start=1):
            ...
            run.log(step, loss=loss.item(), lr=0.1)
        run.log_figure("accuracy", figure)

At the end of the block the run is "done"; it is "failed" if an exception left the block, "stopped"
if that was Ctrl-C. Of a process that was killed, every point is kept that `log` returned from.
"""

from __future__ import annotations

import operator
import os
import platform
import re
import threading
import time
import traceback
import warnings
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from ..engine.files import write_atomically
from . import journal
from .errors import RunsError, StorageError
from .records import Verdict, jsonable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .store import Store

INTERVAL = 0.5
"""Seconds between two transfers from the journal to the database."""
HEARTBEAT = 5.0
"""Seconds after which a run that logs nothing shows that it lives."""

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.=+-]{0,99}")
LONGEST = 200
"""Characters of a series' name."""


class Run:
    """An open run. `Store.start` and `Store.resume` give one; it is closed by `finish` or `with`.

    Any thread of the process may log. A forked process cannot: give it a run of its own.

    Attributes:
        id: the name of the folder.
        folder: where its files are.
        config: what it is run with, as it was stored.
        seed: None if it has none.
        resumed: whether it was started before.

    Example:
        >>> import tempfile
        >>> from groundup.runs import Store
        >>> with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
        ...     with store.start("sum", {"terms": 3}) as run:
        ...         for i in range(run.config["terms"]):
        ...             run.log(i, total=i * (i + 1) / 2)
        ...     store.points(run.id, "total").values
        array([0., 1., 3.])
    """

    def __init__(
        self,
        store: Store,
        opened: journal.Journal,
        config: dict[str, Any],
        seed: int | None,
        resumed: bool,
    ) -> None:
        self.folder = opened.path.parent
        self.id = self.folder.name
        self.config = config
        self.seed = seed
        self.resumed = resumed
        self._store = store
        self._journal = opened
        self._process = os.getpid()
        self._finished = False
        self._changed = True
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._transfer, name=f"run {self.id}", daemon=True)
        start = {"event": "start", "host": platform.node(), "pid": self._process}
        self._append(start, "the start of the run")
        self.flush()
        self._thread.start()

    def log(self, step: int, /, **values: float) -> None:
        """Add a point to each of some series.

        When this returns, the operating system has the points: killing the process does not lose
        them. It costs one line of JSON and one `write`.

        Args:
            step: the place on the horizontal axis, usually optimizer steps taken.
            **values: numbers by name of the series. A name may have any characters, such as
                ``**{"gradient_norm/0.weight": 0.5}``. NaN and infinities are kept.

        Raises:
            StorageError: the disk is full; none of the points is recorded.
            TypeError: a value is not a number.
            ValueError: a name is empty, longer than 200 characters, or has control characters.

        Example:
            >>> import tempfile
            >>> from groundup.runs import Store
            >>> with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
            ...     with store.start("sum") as run:
            ...         run.log(1, loss=0.5, **{"weight_norm/0.weight": 2.0})
            ...     [series.name for series in store.series(run.id)]
            ['loss', 'weight_norm/0.weight']
        """
        numbers = {}
        for name, value in values.items():
            if not 0 < len(name) <= LONGEST or not name.isprintable():
                raise ValueError(
                    f"a series is called {name[:50]!r}; expected 1 to {LONGEST} printable "
                    "characters"
                )
            numbers[name] = value if type(value) is float else _number(name, value)
        place = step if type(step) is int and abs(step) < journal.LARGE else _step(step)
        try:
            self._journal.append_point(place, time.time(), numbers)
        except OSError as error:
            raise self._full(error, f"step {step} ({', '.join(values)})") from error
        self._changed = True

    def log_text(self, text: str) -> None:
        """Add words to the log of the run.

        Args:
            text: a line, or several.

        Raises:
            StorageError: the disk is full; nothing is recorded.

        Example:
            >>> import tempfile
            >>> from groundup.runs import Store
            >>> with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
            ...     with store.start("sum") as run:
            ...         run.log_text("3 of 10 genomes survive")
            ...     [line.text for line in store.texts(run.id)]
            ['3 of 10 genomes survive']
        """
        self._append({"event": "text", "text": _writable(text)}, f"the text {text[:40]!r}")

    def log_figure(self, name: str, figure: Figure | str, step: int | None = None) -> Path:
        """Write a figure to the folder of the run.

        Args:
            name: letters, digits and ``_.=+-``; of the file too.
            figure: a Matplotlib figure, or the text of an SVG document.
            step: the step that it shows, if it is one of a sequence. A figure of the same name and
                step is replaced.

        Returns:
            The path of the SVG file.

        Raises:
            StorageError: the disk is full; a figure that was there is untouched.
            ValueError: the name has other characters, or the text is not SVG.

        Example:
            >>> import tempfile
            >>> from groundup import viz
            >>> from groundup.runs import Store
            >>> with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
            ...     with store.start("sum") as run:
            ...         run.log_figure("loss", viz.curves({"a": [2.0, 1.0]}, "Step", "Loss")).name
            'loss.svg'
        """
        file = f"{_checked(name)}.svg" if step is None else f"{_checked(name)}-{step:08d}.svg"
        path = self.folder / "figures" / file
        if isinstance(figure, str) and "<svg" not in figure[:2000]:
            raise ValueError(f"figure {name!r} is text, but not SVG: {figure[:40]!r}")
        try:
            if isinstance(figure, str):
                write_atomically(path, figure.encode())
            else:
                from .. import viz  # Matplotlib is loaded only by who draws

                viz.save(figure, path)
        except OSError as error:
            raise StorageError(f"{path}: {error.strerror or error}; it was not written") from error
        event = {"event": "figure", "name": name, "step": step, "file": file}
        self._append(event, f"that there is a figure {file}")
        return path

    def log_verdict(self, verdict: Verdict) -> None:
        """Record a claim and what was measured; one of the same name is replaced.

        Raises:
            StorageError: the disk is full; nothing is recorded.

        Example:
            >>> import tempfile
            >>> from groundup.runs import Store, Verdict
            >>> with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
            ...     with store.start("sum") as run:
            ...         run.log_verdict(Verdict("five", "two and two are five", verdict="refuted"))
            ...     [(found.claim, found.verdict) for found in store.verdicts(run.id)]
            [('five', 'refuted')]
        """
        content = jsonable(verdict.to_json(), "verdict")
        self._append({"event": "verdict", "verdict": content}, f"the verdict of {verdict.claim}")

    def checkpoint_path(self, name: str = "last") -> Path:
        """Where a checkpoint of that name belongs; its folder is there.

        Args:
            name: letters, digits and ``_.=+-``, without ``.safetensors``.

        Example:
            >>> import tempfile
            >>> from groundup.runs import Store
            >>> with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
            ...     with store.start("sum") as run:
            ...         gu.save({"w": gu.ones(2)}, run.checkpoint_path())
            ...     [path.name for path in store.get(run.id).checkpoints]
            ['last.safetensors']
        """
        path = self.folder / "checkpoints" / f"{_checked(name)}.safetensors"
        path.parent.mkdir(exist_ok=True)
        return path

    def rewind(self, step: int, prefix: str = "") -> None:
        """Take back the points after a step, which a resumed run is going to log again.

        Args:
            step: the last one to keep: that of the checkpoint.
            prefix: only series whose names begin with it.

        Raises:
            StorageError: the disk is full; nothing is taken back.

        Example:
            >>> import tempfile
            >>> from groundup.runs import Store
            >>> with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
            ...     with store.start("sum") as run:
            ...         for step in (1, 2, 3):
            ...             run.log(step, loss=1 / step)
            ...         run.rewind(1)
            ...         run.log(2, loss=0.25)
            ...     store.points(run.id, "loss").values
            array([1.  , 0.25])
        """
        event = {"event": "rewind", "step": _step(step), "prefix": prefix}
        self._append(event, f"that points after step {step} are taken back")

    def flush(self) -> None:
        """Bring the database up to date now, instead of within half a second.

        Raises:
            StorageError: the database cannot be written; the journal has everything.
        """
        self._changed = False
        try:
            self._store.read_in(self.id)
        except BaseException:
            self._changed = True
            raise

    def finish(
        self, status: Literal["done", "failed", "stopped"] = "done", error: str | None = None
    ) -> None:
        """End the run. Nothing can be logged any more; a second call does nothing.

        Args:
            status: "done", "failed" or "stopped".
            error: what went wrong.

        Raises:
            StorageError: the disk is full; without its end the run will be shown as lost.
        """
        if self._finished:
            return
        if status not in ("done", "failed", "stopped"):
            raise ValueError(f"finish: status {status!r}, expected 'done', 'failed' or 'stopped'")
        if error is not None:
            error = _writable(error)
        self._finished = True
        self._stop.set()
        try:
            event = {"event": "end", "status": status, "error": error}
            self._append(event, f"that the run is {status}")
        finally:
            self._thread.join()
            try:
                self.flush()
            finally:
                self._journal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if os.getpid() != self._process:
            return  # a fork that left the block; the run goes on in the parent
        if error is None:
            self.finish()
            return
        stopped = isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit)
        text = "".join(traceback.format_exception(kind, error, trace))
        try:
            if stopped:
                self.finish("stopped")
            else:
                self.finish("failed", text)
        except RunsError as trouble:  # what left the block matters more
            error.add_note(f"Besides, the end of run {self.id} was not recorded: {trouble}")

    def _append(self, event: journal.Event, what: str) -> None:
        try:
            self._journal.append({"time": time.time(), **event})
        except OSError as error:
            raise self._full(error, what) from error
        self._changed = True

    def _full(self, error: OSError, what: str) -> StorageError:
        return StorageError(
            f"{self._journal.path}: {error.strerror or error}. Not recorded: {what} of {self.id}; "
            "everything before it is safe. Make room and resume the run"
        )

    def _transfer(self) -> None:
        """What the run's own thread does: the database follows the journal, and the heart beats."""
        beat = time.monotonic()
        reported = False
        while not self._stop.wait(INTERVAL):
            try:
                if self._changed:
                    self.flush()
                    beat = time.monotonic()
                elif time.monotonic() - beat > HEARTBEAT:
                    self._store.beat(self.id)
                    beat = time.monotonic()
            except RunsError as error:
                if not reported:
                    reported = True
                    warnings.warn(
                        f"{error}. Run {self.id} goes on and keeps its points in "
                        f"{self._journal.path}; the database follows when it can be written",
                        stacklevel=1,
                    )


def _number(name: str, value: Any) -> float:
    try:
        if not isinstance(value, str | bytes):
            return float(value)
    except (TypeError, ValueError):
        pass
    raise TypeError(
        f"series {name!r} got {type(value).__name__}, expected a number: a float, or an array or "
        "tensor with one element"
    )


def _step(step: Any) -> int:
    try:
        found = operator.index(step)
    except TypeError:
        raise TypeError(f"step is {type(step).__name__} {step!r}, expected an integer") from None
    if abs(found) >= journal.LARGE:
        raise ValueError(f"step {found}: expected a number of at most 64 bits")
    return found


def _checked(name: str) -> str:
    if not NAME.fullmatch(name):
        raise ValueError(
            f"{name[:120]!r} cannot be the name of a file; expected up to 100 letters, digits and "
            "_ . = + -, not beginning with a point"
        )
    return name


def _writable(text: str) -> str:
    """Without halves of surrogate pairs, which UTF-8 does not have."""
    return text.encode(errors="replace").decode()
