"""The application that all commands belong to, and the options that they share."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from textwrap import shorten
from typing import Annotated

import typer

from ..experiments.config import settings
from ..experiments.experiment import ExperimentError, entries, load
from ..runs import RunsError, Store, runs_folder

EPILOG = (
    "Exit codes: 0 done, 1 failed, 2 asked for wrongly, 3 a claim is refuted (verify --strict), "
    "130 stopped by Ctrl-C, 143 by SIGTERM. Runs are kept in the folder `runs`, or where "
    "GROUNDUP_RUNS says."
)

app = typer.Typer(
    name="groundup",
    rich_markup_mode="markdown",
    help="Experiments with neural networks: run them, check their claims, compare, tune.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def examples(*commands: str) -> str:
    """What stands below a command's help."""
    return "\n\n".join(["Examples:", *commands])


def whole_number(least: int) -> Callable[[str], int]:
    """Reads an option that is a whole number; what does not fit is named with its value.

    Example:
        >>> whole_number(1)("3")
        3
    """

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise typer.BadParameter(f"{text!r}; expected a whole number of at least {least}")
        return value

    return read


Temperature = Annotated[float, typer.Option(metavar="T", help="0 is greedy.")]
TopP = Annotated[
    float, typer.Option(metavar="P", help="Least probability of the tokens drawn from.")
]
Greedy = Annotated[bool, typer.Option("--greedy", help="Always the most probable token.")]

SHORT = 60
"""Characters of a title beside a name that the shell completes; more would break its lines."""


def complete_experiment(incomplete: str) -> list[tuple[str, str]]:
    """Names that begin so, for the shell."""
    known = [e for e in entries() if e.name.startswith(incomplete)]
    return [(e.name, shorten(e.title, SHORT, placeholder=" ...")) for e in known]


def complete_run(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """The newest runs that begin so, for the shell."""
    folder = runs_folder(context.params.get("runs"))
    if not folder.is_dir():
        return []
    try:
        with warnings.catch_warnings(action="ignore"), Store(folder) as store:
            found = store.runs()
    except RunsError:
        return []
    return [(i.id, str(i.status)) for i in found if i.id.startswith(incomplete)][:50]


def complete_setting(incomplete: str) -> list[str]:
    """Settings of the experiment that the line names, with the values that they have."""
    # An option without its value keeps the line from being parsed; the shells pass all of it.
    words = os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS") or ""
    known = {entry.name for entry in entries()}
    named = [word for word in words.split() if word in known]
    if not named:
        return []
    try:
        config = load(named[0]).config()
    except (ExperimentError, ImportError):
        return []
    given = [f"{name}={_written(value)}" for name, value in settings(config).items()]
    return [text for text in given if text.startswith(incomplete)]


def _written(value: object) -> str:
    """A value as it can be set."""
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


RunsFolder = Annotated[
    Path | None,
    typer.Option("--runs", metavar="FOLDER", help="Where runs are kept.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="FIELD=VALUE",
        help="Change a setting; may be repeated.",
        autocompletion=complete_setting,
    ),
]
Experiment = Annotated[
    str, typer.Argument(metavar="EXPERIMENT", autocompletion=complete_experiment)
]
RunId = Annotated[
    str | None,
    typer.Argument(
        metavar="RUN",
        help="Id of a run or a group, or as much of its beginning or end as is needed.",
        autocompletion=complete_run,
        show_default="the newest",
    ),
]
_ids = typer.Argument(metavar="RUN", help="Ids of runs or groups.", autocompletion=complete_run)
RunIds = Annotated[list[str], _ids]
AnyRunIds = Annotated[list[str] | None, _ids]
