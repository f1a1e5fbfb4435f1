"""`groundup grn`: gene-regulatory networks; what its commands share.

The commands are in files of their own: `grn_data` has those on data and priors.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from .app import app
from .messages import status, telling

grn = typer.Typer(
    name="grn",
    rich_markup_mode="markdown",
    help="Gene-regulatory networks: which transcription factor regulates which gene.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(grn)

READING = "How files are read"
"""The panel of the options below, in the help of each command that has them."""
Transpose = Annotated[
    bool | None,
    typer.Option(
        "--transpose/--no-transpose",
        help="Of a table: whether its rows are samples. Found by names of genes if not given.",
        show_default=False,
        rich_help_panel=READING,
    ),
]
Duplicated = Annotated[
    str,
    typer.Option(
        "--duplicates",
        metavar="HOW",
        help="Genes of the same name: error, mean, sum or first.",
        rich_help_panel=READING,
    ),
]
Layer = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Of .h5ad and .loom: a layer, or raw.",
        show_default="the main matrix",
        rich_help_panel=READING,
    ),
]
AGAIN, SOON = 30.0, 5.0
"""Seconds after which a line comes again, and before which nothing is estimated."""

GeneColumn = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Of .h5ad and .loom: what names the genes, such as feature_name.",
        show_default="their usual names",
        rich_help_panel=READING,
    ),
]


def _column(of: str) -> Any:
    return typer.Option(
        metavar="NAME",
        help=f"Of the prior: the column of its {of}, if it has an unusual name.",
        show_default=False,
        rich_help_panel=READING,
    )


TFColumn = Annotated[str | None, _column("TFs")]
TargetColumn = Annotated[str | None, _column("targets")]
SignColumn = Annotated[str | None, _column("signs")]


told = telling("groundup.apps.grn.errors.GRNError")


def say(words: str) -> None:
    """A remark, where it does not disturb results."""
    print(words, file=sys.stderr, flush=True)


def in_folder(path: Path, name: str) -> Path:
    """A file as it is named, or that of a fetched data set whose folder is named.

    Example:
        >>> in_folder(Path("prior.csv"), "prior.tsv").name
        'prior.csv'
    """
    if not path.is_dir():
        return path
    from ..apps.grn.data.datasets import verify

    verify(path)
    return path / name


def rough(seconds: float) -> str:
    """A time, as far as an estimate knows it.

    Example:
        >>> rough(8), rough(100), rough(5000)
        ('10 s', '2 min', '1.4 h')
    """
    if seconds < 60:
        return f"{max(10 * round(seconds / 10), 10)} s"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


class Steps:
    """A bar with an estimate in a terminal; elsewhere lines, such as a log file keeps.

    A line comes where something new begins, and every half minute. One that comes after some
    seconds has an estimate too.

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
        self._began = self._told = time.monotonic()
        self._of = self._first = -1

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
        now = time.monotonic()
        if self._task is None:
            self._task = self.bar.add_task(what, total=of)
        if of != self._of:  # other steps, of which some may be done already: time counts anew
            self._of, self._first, self._began = of, done, now
            self.bar.reset(self._task, total=of)
        self.bar.update(self._task, completed=done, description=what)
        if not self.console.is_terminal and (what != self._last or now - self._told > AGAIN):
            say(what + self._estimate(done, of, now - self._began))
            self._told = now
        self._last = what

    def _estimate(self, done: int, of: int, seconds: float) -> str:
        """How much is done and what is left; nothing while too little is known."""
        if seconds < SOON or not self._first < done < of:
            return ""
        left = seconds * (of - done) / (done - self._first)
        return f" ({done / of:.0%} done, about {rough(left)} left)"
