"""`groundup sweep`: search for settings with Optuna."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer
from rich.table import Table

from ..experiments.config import assignments
from ..experiments.experiment import load
from ..experiments.sweep import Range, Sweep, sweep as search
from ..runs import Store
from .app import Experiment, Json, RunsFolder, Settings, app, examples, whole_number
from .messages import Stopped, grid, output, plain, print_json, status, usage

SHOWN = 10
"""Trials in the table."""


@app.command(
    epilog=examples(
        "groundup sweep digits --space lr=log:1e-4:1e-1 --set networks=CNN",
        "groundup sweep digits --space lr=log:1e-4:1e-1 --space batch_size=choice:32,64,128",
        "groundup sweep digits --space epochs=int:10:80 --storage postgresql://lab@db/sweeps",
    )
)
@plain
def sweep(
    experiment: Experiment,
    space: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD=RANGE",
            help="What to search: log:LOW:HIGH, uniform:LOW:HIGH, int:LOW:HIGH[:STEP], "
            "logint:LOW:HIGH or choice:A,B,C. May be repeated.",
        ),
    ] = None,
    trials: Annotated[
        int,
        typer.Option(
            parser=whole_number(1), metavar="N", help="How many in all; those that are done count."
        ),
    ] = 20,
    seeds: Annotated[
        int,
        typer.Option(parser=whole_number(1), metavar="N", help="Tuning seeds for each trial."),
    ] = 1,
    metric: Annotated[
        str | None, typer.Option(help="What to optimise; never one of test data.")
    ] = None,
    goal: Annotated[
        Literal["maximize", "minimize"] | None, typer.Option(help="By default the experiment's.")
    ] = None,
    set_: Settings = None,
    storage: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Database; by default sweeps.sqlite beside the runs."),
    ] = None,
    study: Annotated[str | None, typer.Option(metavar="NAME", help="Name in the database.")] = None,
    runs: RunsFolder = None,
    json: Json = False,
) -> None:
    """Search for settings on tuning seeds, by a validation metric.

    The same command goes on with a sweep that was stopped. Several at once, on one machine or on
    many with a common database, work on the same study. Trials that are worse than the median are
    given up early.
    """
    if not space:
        raise usage("sweep: say what to search, such as --space lr=log:1e-4:1e-1")
    ranges = {name: Range.parse(name, text) for name, text in assignments(space).items()}
    loaded = load(experiment)
    table = output()

    def done(row: dict[str, Any]) -> None:
        if not json:
            status().print(f"trial {row['number']}: {_words(row)}")

    with Store(runs) as store:
        try:
            found = search(
                loaded,
                ranges,
                store,
                trials=trials,
                seeds=seeds,
                metric=metric,
                goal=goal,
                settings=assignments(set_ or []),
                storage=storage,
                study=study,
                console=status(),
                done=done,
            )
        except KeyboardInterrupt as error:
            raise Stopped("what was done is kept. Go on with the same command") from error
    if json:
        print_json(vars(found))
        return
    table.print(_table(found))
    if found.best is None:
        print("No trial came to its end.")
        return
    chosen = " ".join(f"--set {name}={value}" for name, value in found.best["settings"].items())
    print(f"Best: trial {found.best['number']}, {found.metric} {found.best['value']:.6g}")
    print(f"groundup run {experiment} {chosen}")


def _words(row: dict[str, Any]) -> str:
    value = "" if row["value"] is None else f" {row['value']:.6g}"
    chosen = ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in row["settings"].items()
    )
    return f"{row['state']}{value} ({chosen})"


def _table(found: Sweep) -> Table:
    names = list(dict.fromkeys(name for row in found.trials for name in row["settings"]))
    table = grid("trial", found.metric, *names, "state", title=f"{found.study}: the best trials")
    sign = -1 if found.goal == "maximize" else 1
    ranked = sorted(
        found.trials,
        key=lambda r: (r["state"] != "complete", r["value"] is None, sign * (r["value"] or 0.0)),
    )
    for row in ranked[:SHOWN]:
        value = "" if row["value"] is None else f"{row['value']:.6g}"
        chosen = [f"{row['settings'].get(name, '')}" for name in names]
        table.add_row(str(row["number"]), value, *chosen, row["state"])
    return table
