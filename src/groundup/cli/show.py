"""`groundup report`, `compare`, `export` and `dashboard`: looking at runs that are there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..experiments.runner import Results, results_of
from ..runs import RunInfo, Store, export_csv, export_tensorboard, runs_folder
from .app import AnyRunIds, Json, RunId, RunIds, RunsFolder, app, examples, whole_number
from .messages import plain, print_json, shown, usage
from .run import results_json

Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Where to write.", show_default=False),
]


MENTIONED = 5
"""Runs that are named to who did not say which."""


@app.command(
    epilog=examples(
        "groundup report",
        "groundup report digits-20260131-174501-3fa94c",
        "groundup report 3fa94c --output digits.html",
    )
)
@plain
def report(
    run: RunId = None, output: Output = None, runs: RunsFolder = None, json: Json = False
) -> None:
    """Write the report of a run or a group, the newest unless said otherwise.

    It is one HTML page that needs nothing else.
    """
    from ..experiments.report import write_report  # Matplotlib is loaded only by who draws

    with Store(runs) as store:
        if run is None:
            newest = _newest(store)
            if not newest:
                raise usage(f"there are no runs in {store.folder} yet: groundup run EXPERIMENT")
            run = newest[0].id
        results = results_of(store, run)
        path = write_report(results, store, output)
    if json:
        print_json({**results_json(results), "report": str(path)})
    else:
        print(shown(path))


@app.command(
    epilog=examples("groundup compare 3fa94c 77ab01", "groundup compare 3fa94c 77ab01 --json")
)
@plain
def compare(
    run: AnyRunIds = None, output: Output = None, runs: RunsFolder = None, json: Json = False
) -> None:
    """Compare runs or groups on one HTML page: settings, metrics with intervals, curves."""
    from ..experiments.report import comparison_table, differences, write_comparison

    with Store(runs) as store:
        if run is None or len(set(run)) < 2:
            known = "".join(f"\n  {info.id}  {info.status}" for info in _newest(store)[:MENTIONED])
            words = f"the newest are:{known}" if known else "there are none yet"
            raise usage(f"compare needs two different runs or groups at least; {words}")
        several: dict[str, Results] = {}
        for name in run:
            results = results_of(store, name)
            several[results.group.id] = results
        path = output or runs_folder(runs) / f"compare-{'-'.join(n[-6:] for n in several)}.html"
        write_comparison(several, store, path)
    if json:
        headers, rows = comparison_table(several)
        configs = {name: results.group.config for name, results in several.items()}
        print_json(
            {
                "report": str(path),
                "settings": [
                    dict(zip(["setting", *several], row, strict=True))
                    for row in differences(configs)
                ],
                "metrics": [dict(zip(headers, row, strict=True)) for row in rows],
                "runs": [results_json(results) for results in several.values()],
            }
        )
    else:
        print(shown(path))


def _newest(store: Store) -> list[RunInfo]:
    """Groups and runs that are no part of one, the newest first."""
    return [info for info in store.runs() if info.parent is None]


@app.command(
    epilog=examples(
        "groundup export 3fa94c --csv points.csv", "groundup export 3fa94c --tensorboard events"
    )
)
@plain
def export(
    run: RunIds,
    csv: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A CSV file, a row a point.", show_default=False),
    ] = None,
    tensorboard: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="TensorBoard's event files.", show_default=False),
    ] = None,
    runs: RunsFolder = None,
    json: Json = False,
) -> None:
    """Write the series of runs for other programs; of a group those of all its runs."""
    if csv is None and tensorboard is None:
        raise usage("export: say --csv FILE or --tensorboard FOLDER")
    with Store(runs) as store:
        ids: list[str] = []
        for name in run:
            results = results_of(store, name)
            parts = [found.info.id for found in results.outcomes.values()]
            ids += dict.fromkeys([results.group.id, *parts])
        written = [] if csv is None else [export_csv(store, ids, csv)]
        if tensorboard is not None:
            written += export_tensorboard(store, ids, tensorboard)
    if json:
        print_json({"runs": ids, "files": [str(path) for path in written]})
    else:
        for path in written:
            print(shown(path))


@app.command(
    epilog=examples("groundup dashboard", "groundup dashboard --port 9000 --runs elsewhere")
)
@plain
def dashboard(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(parser=whole_number(0), metavar="N", help="Port; 0 takes a free one.")
    ] = 8050,
    runs: RunsFolder = None,
) -> None:
    """Show runs in a browser while they train."""
    from ..web import serve

    serve(runs_folder(runs), host, port)
