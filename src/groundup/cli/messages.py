"""What the command line says when something is wrong, and the exit codes that scripts read.

    0    done
    1    it failed: the disk, a damaged file, an experiment that raised an error
    2    it was asked for wrongly: an unknown experiment, run, option or setting
    3    `verify --strict`: a claim is refuted
    130  stopped by Ctrl-C; what was done is kept
    143  the same by SIGTERM, which a scheduler or `docker stop` sends

Mistakes and troubles that are not the program's are told in a sentence or two. An error in an
experiment shows where in the experiment it happened. Any other error is a defect.
"""

from __future__ import annotations

import codecs
import errno
import functools
import importlib
import json
import math
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from types import FrameType
from typing import Any, ParamSpec, TextIO, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from ..engine.files import CheckpointError
from ..experiments.config import ConfigError
from ..experiments.experiment import ExperimentError
from ..experiments.runner import run_one
from ..runs import RunsError, UnknownRunError, VersionError

FAILED, USAGE, REFUTED, INTERRUPTED, TERMINATED = 1, 2, 3, 130, 143
SPELLINGS = {"≥": ">=", "≤": "<=", "–": "-", "—": "-", "…": "...", "×": "x", "’": "'"}
"""For terminals that have no other characters than ASCII's."""

EXTRAS = {
    "sklearn": "data",
    "aiohttp": "finch",
    "httptools": "finch",
    "httpx2": "finch",
    "optuna": "sweep",
    "tensorboardX": "tensorboard",
    "starlette": "web",
    "uvicorn": "web",
}
"""The extra that brings a module."""

P = ParamSpec("P")
R = TypeVar("R")


class Stopped(KeyboardInterrupt):
    """Ctrl-C, with what there is to say about going on."""


def plain(command: Callable[P, R]) -> Callable[P, R]:
    """A command whose expected errors are messages and exit codes.

    Example:
        >>> @plain
        ... def show():
        ...     raise UnknownRunError("there is no run 'x'")
        >>> try:
        ...     show()
        ... except typer.Exit as stop:
        ...     stop.exit_code
        2
    """

    @functools.wraps(command)
    def wrapped(*args: P.args, **options: P.kwargs) -> R:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="groundup")
        with warnings.catch_warnings(), stops_at_sigterm() as terminated:
            warnings.showwarning = _warn
            return attempted(terminated, *args, **options)

    def attempted(terminated: Callable[[], bool], *args: P.args, **options: P.kwargs) -> R:
        try:
            result = command(*args, **options)
            # At the interpreter's end it would be too late for a word about a full disk, and a
            # reader who has gone would be an error.
            sys.stdout.flush()
            return result
        except (ExperimentError, ConfigError, UnknownRunError) as error:
            raise fail(_told(error), USAGE) from error
        except (RunsError, VersionError, CheckpointError) as error:
            raise fail(_told(error)) from error
        except KeyboardInterrupt as error:
            words = str(error) or "what was done is kept"
            code = TERMINATED if terminated() else INTERRUPTED
            raise fail(f"Stopped: {words}", code) from error
        except ImportError as error:
            extra = EXTRAS.get((error.name or "").partition(".")[0])
            if extra is None and "groundup[" not in str(error):
                raise
            words = f"{error.name} is missing; install it with: pip install 'groundup[{extra}]'"
            raise fail(words if extra else _told(error)) from error
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            words = "the disk is full" if full else error.strerror or str(error)
            where = f"{error.filename}: " if error.filename else ""
            advice = "; make room and resume the run (`groundup list --history`)" if full else ""
            raise fail(_told(error, f"{where}{words}{advice}")) from error
        except Exception as error:
            if (trace := _in_experiment(error)) is None:
                raise
            print(trace, file=sys.stderr)
            raise typer.Exit(FAILED) from error

    return wrapped


def telling(place: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """For an application's commands: its own error is a message too, besides what `plain` does.

    Args:
        place: of the error's class, which is imported when there is an error.

    Example:
        >>> @telling("groundup.apps.grn.errors.GRNError")
        ... def show():
        ...     from groundup.apps.grn.errors import GRNError
        ...     raise GRNError("x.csv: empty")
        >>> try:
        ...     show()
        ... except typer.Exit as stop:
        ...     stop.exit_code
        1
    """
    module, _, name = place.rpartition(".")

    def told(command: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(command)
        def wrapped(*args: P.args, **options: P.kwargs) -> R:
            try:
                return command(*args, **options)
            except Exception as error:
                if not isinstance(error, getattr(importlib.import_module(module), name)):
                    raise
                raise fail(str(error)) from error

        return plain(wrapped)

    return told


def _told(error: BaseException, words: str = "") -> str:
    """What an error says, or other words, with what was added to it on its way."""
    return "\n".join([words or str(error), *getattr(error, "__notes__", ())])


def _in_experiment(error: Exception) -> str | None:
    """The traceback of an error from where an experiment begins; None if it came from elsewhere."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code is not run_one.__code__:
        trace = trace.tb_next
    if trace is None or trace.tb_next is None:
        return None
    return "".join(traceback.format_exception(type(error), error, trace.tb_next)).rstrip()


def _warn(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """What is noticed by the way is said in a sentence; without the line of the program."""
    if issubclass(category, UserWarning):
        print(f"groundup: {message}", file=sys.stderr)
    else:
        text = warnings.formatwarning(message, category, filename, lineno, line)
        print(text, file=file or sys.stderr, end="")


def _spelled(error: UnicodeError) -> tuple[str, int]:
    """Characters that the output cannot show, in others that it can."""
    assert isinstance(error, UnicodeEncodeError)
    found = error.object[error.start : error.end]
    return "".join(SPELLINGS.get(character, "?") for character in found), error.end


codecs.register_error("groundup", _spelled)


@contextmanager
def stops_at_sigterm() -> Iterator[Callable[[], bool]]:
    """Within it SIGTERM does what Ctrl-C does; gives a function that tells whether it came.

    Example:
        >>> try:
        ...     with stops_at_sigterm() as terminated:
        ...         signal.raise_signal(signal.SIGTERM)
        ... except KeyboardInterrupt:
        ...     terminated()
        True
    """
    received = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal received
        received = True
        interrupt = signal.getsignal(signal.SIGINT)
        if not callable(interrupt):  # Ctrl-C is ignored, as in the background of a shell script
            raise KeyboardInterrupt
        interrupt(number, frame)

    ours = threading.current_thread() is threading.main_thread()
    ours = ours and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if ours:
        signal.signal(signal.SIGTERM, stop)
    try:
        yield lambda: received
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def fail(words: str, code: int = FAILED) -> typer.Exit:
    """Say what is wrong on the standard error output; the exception to raise."""
    stopped = code in (INTERRUPTED, TERMINATED)
    print(words if stopped else f"groundup: {words}", file=sys.stderr)
    return typer.Exit(code)


def usage(words: str) -> typer.Exit:
    """As `fail`, for what was asked for wrongly."""
    return fail(words, USAGE)


def shown(path: Path) -> str:
    """A path as it is shown: from here on, if it is in the current folder."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def output() -> Console:
    """Where results go; as wide as tables like where there is no terminal."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=120)


def status() -> Console:
    """Where bars and remarks go, so that a pipe gets results alone."""
    return Console(stderr=True, highlight=False)


def grid(*headers: str, title: str | None = None) -> Table:
    """A table in which what is too long for its column goes on in the next line.

    Example:
        >>> grid("run", "seed").columns[0].overflow
        'fold'
    """
    table = Table(title=title)
    for header in headers:
        table.add_column(header, overflow="fold")
    return table


def print_json(content: Any) -> None:
    """One JSON value, for a program: in ASCII, infinities and NaN as text."""
    print(json.dumps(_finite(content), indent=2, default=str, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
