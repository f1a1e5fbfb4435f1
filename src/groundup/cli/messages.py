"""What the command line says when something is wrong, and the exit codes that scripts read.

    0    done
    1    it failed: the disk, a damaged file, an experiment that raised an error
    2    it was asked for wrongly: an unknown experiment, run, option or setting
    3    `verify --strict`: a claim is refuted
    130  stopped by Ctrl-C; what was done is kept

Mistakes and troubles that are not the program's are told in a sentence or two. Any other error is
a defect and shows where it happened.
"""

from __future__ import annotations

import errno
import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import typer
from rich.console import Console

from ..engine.files import CheckpointError
from ..experiments.config import ConfigError
from ..experiments.experiment import ExperimentError
from ..runs import RunsError, UnknownRunError, VersionError

FAILED, USAGE, REFUTED, INTERRUPTED = 1, 2, 3, 130

EXTRAS = {
    "sklearn": "data",
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
        try:
            return command(*args, **options)
        except (ExperimentError, ConfigError, UnknownRunError) as error:
            raise fail(str(error), USAGE) from error
        except (RunsError, VersionError, CheckpointError) as error:
            raise fail(str(error)) from error
        except KeyboardInterrupt as error:
            words = str(error) or "what was done is kept"
            raise fail(f"Stopped: {words}", INTERRUPTED) from error
        except ImportError as error:
            extra = EXTRAS.get((error.name or "").partition(".")[0])
            if extra is None and "groundup[" not in str(error):
                raise
            words = f"{error.name} is missing; install it with: pip install 'groundup[{extra}]'"
            raise fail(words if extra else str(error)) from error
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            words = "the disk is full" if full else error.strerror or str(error)
            where = f"{error.filename}: " if error.filename else ""
            advice = "; make room and resume the run (`groundup list --history`)" if full else ""
            raise fail(f"{where}{words}{advice}") from error

    return wrapped


def fail(words: str, code: int = FAILED) -> typer.Exit:
    """Say what is wrong on the standard error output; the exception to raise."""
    print(words if code == INTERRUPTED else f"groundup: {words}", file=sys.stderr)
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


def print_json(content: Any) -> None:
    """One JSON value, for a program."""
    print(json.dumps(content, indent=2, ensure_ascii=False, default=str))
