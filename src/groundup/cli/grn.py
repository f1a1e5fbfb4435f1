"""`groundup grn`: gene-regulatory networks; what its commands share.

The commands are in files of their own: `grn_data` has those on data and priors.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Annotated, ParamSpec, TypeVar

import typer
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from .app import app
from .messages import fail, plain, status

P = ParamSpec("P")
R = TypeVar("R")

grn = typer.Typer(
    name="grn",
    rich_markup_mode="markdown",
    help="Gene-regulatory networks: which transcription factor regulates which gene.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(grn)

Transpose = Annotated[
    bool | None,
    typer.Option(
        "--transpose/--no-transpose",
        help="Of a table: whether its rows are samples. Found by names of genes if not given.",
        show_default=False,
    ),
]
Duplicated = Annotated[
    str,
    typer.Option(
        "--duplicates",
        metavar="HOW",
        help="Genes of the same name: error, mean, sum or first.",
    ),
]
Layer = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Of .h5ad and .loom: a layer, or raw.", show_default="the main matrix"
    ),
]
_column = "Of the prior: the column of its {}, if it has an unusual name."
TFColumn = Annotated[
    str | None, typer.Option(metavar="NAME", help=_column.format("TFs"), show_default=False)
]
TargetColumn = Annotated[
    str | None, typer.Option(metavar="NAME", help=_column.format("targets"), show_default=False)
]
SignColumn = Annotated[
    str | None, typer.Option(metavar="NAME", help=_column.format("signs"), show_default=False)
]


def told(command: Callable[P, R]) -> Callable[P, R]:
    """A command that says what is wrong with data in a sentence, besides all that `plain` does.

    Example:
        >>> @told
        ... def show():
        ...     from groundup.apps.grn.data.expression import GRNError
        ...     raise GRNError("x.csv: empty")
        >>> try:
        ...     show()
        ... except typer.Exit as stop:
        ...     stop.exit_code
        1
    """

    @functools.wraps(command)
    def wrapped(*args: P.args, **options: P.kwargs) -> R:
        from ..apps.grn.errors import GRNError

        try:
            return command(*args, **options)
        except GRNError as error:
            raise fail(str(error)) from error

    return plain(wrapped)


def say(words: str) -> None:
    """A remark, where it does not disturb results."""
    print(words, file=sys.stderr, flush=True)


class Steps:
    """A bar with an estimate in a terminal; elsewhere a line where something new begins.

    Example:
        >>> with Steps() as steps:
        ...     steps(1, 3, "reading")
    """

    def __init__(self) -> None:
        self.console = status()
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeRemainingColumn(compact=True),
            console=self.console,
            disable=not self.console.is_terminal,
            transient=True,
        )
        self._task: TaskID | None = None
        self._last = ""

    def __enter__(self) -> Steps:
        self.bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bar.stop()

    def __call__(self, done: int, of: int, what: str) -> None:
        """Show what is done, of how many, and what it is."""
        if self._task is None:
            self._task = self.bar.add_task(what, total=of)
        self.bar.update(self._task, completed=done, total=of, description=what)
        if what != self._last and not self.console.is_terminal:
            say(what)
        self._last = what
