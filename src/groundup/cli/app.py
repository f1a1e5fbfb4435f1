"""The application that all commands belong to, and the options that they share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from ..experiments.experiment import entries
from ..runs import RunsError, Store

EPILOG = """\
Exit codes: 0 done, 1 failed, 2 asked for wrongly, 3 a claim is refuted (verify --strict),
130 stopped by Ctrl-C. Runs are kept in the folder `runs`, or where GROUNDUP_RUNS says."""

app = typer.Typer(
    name="groundup",
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


def complete_experiment(incomplete: str) -> list[tuple[str, str]]:
    """Names that begin so, for the shell."""
    return [(e.name, e.title) for e in entries() if e.name.startswith(incomplete)]


def complete_run(incomplete: str) -> list[tuple[str, str]]:
    """The newest runs that begin so, for the shell."""
    try:
        with Store() as store:
            found = store.runs()
    except RunsError:
        return []
    return [(i.id, str(i.status)) for i in found if i.id.startswith(incomplete)][:50]


RunsFolder = Annotated[
    Path | None,
    typer.Option("--runs", metavar="FOLDER", help="Where runs are kept.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Change a setting; may be repeated."),
]
Experiment = Annotated[
    str, typer.Argument(metavar="EXPERIMENT", autocompletion=complete_experiment)
]
RunId = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="Id of a run or a group, or as much of its beginning or end as is needed.",
        autocompletion=complete_run,
    ),
]
RunIds = Annotated[
    list[str],
    typer.Argument(metavar="RUN...", help="Ids of runs or groups.", autocompletion=complete_run),
]
