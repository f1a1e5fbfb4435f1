"""`groundup list` and `groundup run`."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console

from ..experiments.config import assignments, changed
from ..experiments.experiment import Experiment as Loaded, entries, load
from ..experiments.runner import Results, planned_seeds, results_of, run_one, run_seeds
from ..experiments.tables import NOTE, claims_table, metrics_table
from ..experiments.trial import to_json
from ..experiments.tuning import tune
from ..runs import Run, RunInfo, Store, runs_folder
from .app import (
    Json,
    RunsFolder,
    Settings,
    app,
    complete_experiment,
    complete_run,
    examples,
    whole_number,
)
from .messages import Stopped, grid, output, plain, print_json, shown, status, usage


@app.command("list", epilog=examples("groundup list", "groundup list --history --json"))
@plain
def list_(
    history: Annotated[
        bool, typer.Option("--history", help="List the newest runs instead of the experiments.")
    ] = False,
    runs: RunsFolder = None,
    json: Json = False,
) -> None:
    """List the experiments in the order of the course, or the runs."""
    if history:
        with Store(runs) as store:
            found = store.runs()
        if json:
            print_json([_run_json(info) for info in found])
            return
        table = grid("run", "seed", "status", "begun", "tags", title=f"Runs in {runs_folder(runs)}")
        groups = [info for info in found if info.parent is None][:40]
        for info in groups:
            when = time.strftime("%Y-%m-%d %H:%M", time.localtime(info.created))
            seed = "group" if info.seed is None else str(info.seed)
            table.add_row(info.id, seed, info.status, when, ", ".join(info.tags))
        output().print(table if groups else "There are no runs yet: groundup run EXPERIMENT")
        return
    if json:
        print_json([vars(entry) for entry in entries()])
        return
    table = grid("experiment", "chapter", "what it asks", title="groundup run EXPERIMENT")
    for entry in entries():
        lesson = "" if entry.lesson is None else f"{entry.lesson}"
        table.add_row(entry.name, " ".join(filter(None, (entry.chapter, lesson))), entry.title)
    output().print(table)


def _run_json(info: RunInfo) -> dict[str, Any]:
    return {**{k: v for k, v in vars(info).items() if k != "error"}, "folder": str(info.folder)}


@app.command(
    epilog=examples(
        "groundup run digits",
        "groundup run digits --set epochs=5 --set lr.CNN=0.003 --seeds 3",
        "groundup run --resume digits-20260131-174501-3fa94c",
    )
)
@plain
def run(
    experiment: Annotated[
        str | None,
        typer.Argument(
            metavar="[EXPERIMENT]",
            help="Its name; may be left out with --resume.",
            autocompletion=complete_experiment,
        ),
    ] = None,
    set_: Settings = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            parser=whole_number(1),
            metavar="N",
            help="How many seeds; by default as many as take about a minute.",
        ),
    ] = None,
    seed: Annotated[
        list[int] | None,
        typer.Option(parser=whole_number(0), metavar="N", help="This seed alone; may be repeated."),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Go on with a run or group that was stopped or killed.",
            autocompletion=complete_run,
        ),
    ] = None,
    tune_: Annotated[
        bool, typer.Option("--tune", help="Repeat how the experiment's settings were chosen.")
    ] = False,
    runs: RunsFolder = None,
    json: Json = False,
) -> None:
    """Run an experiment, show its results and verdicts, and write a report.

    The last line is the path of the report. Ctrl-C leaves checkpoints and says how to go on.
    """
    if resume is not None:
        if set_ or seeds or seed or tune_:
            raise usage("--resume goes on with the settings and seeds of its run; leave out others")
        with Store(runs) as store:
            results = _resumed(store, resume, experiment, runs_option(runs))
            _show(results, store, json)
        return
    if experiment is None:
        raise usage("which experiment? `groundup list` shows all")
    if seeds and seed:
        raise usage("--seeds N takes the first N seeds, --seed N that one; leave out one of them")
    loaded = load(experiment)
    changes = assignments(set_ or [])
    config = changed(loaded.config(), changes)
    with Store(runs) as store:
        if tune_:
            _tune(loaded, store, changes, json)
            return
        if seed is not None:
            chosen: Sequence[int] = list(dict.fromkeys(seed))
        else:
            chosen = reporting_seeds(loaded, seeds or loaded.look)
        if used := sorted(set(chosen) & set(loaded.tuning_seeds)):
            words = ", ".join(map(str, used))
            status().print(f"Settings were chosen on seed {words}: no claim is judged by it.")
        if not json:
            _introduce(loaded)
        with going_on(f"{experiment}{runs_option(runs)}") as opened:
            results = run_seeds(loaded, config, chosen, store, console=status(), opened=opened)
        _show(results, store, json)


def reporting_seeds(experiment: Loaded, count: int) -> list[int]:
    """The first reporting seeds; beyond them the next numbers that no tuning has seen."""
    found = list(experiment.seeds[:count])
    following = max(experiment.seeds) + 1
    while len(found) < count:
        if following not in experiment.tuning_seeds:
            found.append(following)
        following += 1
    return found


def runs_option(runs: object) -> str:
    """The option that a command needs to find the same folder again."""
    return "" if runs is None else f" --runs {shlex.quote(str(runs))}"


@contextmanager
def going_on(words: str) -> Any:
    """Within it, Ctrl-C and errors tell how to resume; gives the function that learns the id."""
    found: list[str] = []

    def opened(whole: Run) -> None:
        found.append(whole.id)

    def advice() -> str:
        name, _, options = words.partition(" ")
        command = f"groundup run {name} --resume {found[0]} {options}".rstrip()
        return f"what was done is kept. Go on with: {command}"

    try:
        yield opened
    except KeyboardInterrupt as error:
        raise Stopped(advice() if found else "nothing had begun") from error
    except Exception as error:
        if found:
            error.add_note(f"Failed; {advice()}")
        raise


def _resumed(store: Store, run_id: str, experiment: str | None, options: str) -> Results:
    info = store.get(run_id)
    if experiment is not None and experiment != info.experiment:
        raise usage(f"{info.id} is a run of {info.experiment}, not of {experiment}")
    loaded = load(info.experiment)
    before = results_of(store, info.id)
    old = {found.code for found in before.outcomes.values() if found.code}
    if old - {loaded.code}:
        status().print(
            f"The code has changed since {info.id} was begun; what is done already is kept."
        )
    with going_on(f"{info.experiment}{options}") as opened:
        if info.seed is None:
            chosen = planned_seeds(store, info.id) or list(loaded.seeds)
            return run_seeds(
                loaded,
                before.config,
                chosen,
                store,
                group=info.id,
                console=status(),
                opened=opened,
            )
        if not before.outcomes[info.seed].done:
            _watch_one(loaded, before.config, info, store, status(), opened)
    return results_of(store, info.id)


def _watch_one(
    loaded: Loaded, config: Any, info: RunInfo, store: Store, console: Console, opened: Any
) -> None:
    from ..experiments.runner import bars

    opened(info)
    with bars(console) as progress:
        run_one(loaded, config, info.id, store, progress)


def _introduce(experiment: Loaded) -> None:
    print(experiment.title)
    if experiment.claims:
        print("\nIt tests:")
        for claim in experiment.claims:
            print(f"- {claim.text} ({claim.source})")
    print(flush=True)


def show_results(results: Results, console: Console) -> None:
    """Print the tables of metrics and claims."""
    seeds = len(results.outcomes)
    words = f"{results.experiment.name}, {seeds} seed{'' if seeds == 1 else 's'}"
    if results.changes:
        words += ", with " + ", ".join(f"{k} = {v}" for k, v in results.changes.items())
    for headers, rows in (metrics_table(results), claims_table(results)):
        if rows:
            table = grid(*headers, title=words)
            for row in rows:
                table.add_row(*row)
            console.print(table)
            words = ""
    console.print(NOTE, style="dim")


def _show(results: Results, store: Store, json: bool) -> None:
    from ..experiments.report import write_report  # Matplotlib is loaded only by who draws

    path = write_report(results, store)
    if json:
        print_json({**results_json(results), "report": str(path)})
        return
    show_results(results, output())
    every, seen = set(results.experiment.seeds), set(results.outcomes)
    if results.experiment.claims and seen < every:
        name = results.experiment.name
        words = f"{len(seen)} of {len(every)} seeds; `groundup verify {name}` takes all of them."
        output().print(words, style="dim")
    print(shown(path))


def results_json(results: Results) -> dict[str, Any]:
    """Results for a program."""
    return {
        "experiment": results.experiment.name,
        "group": results.group.id,
        "folder": str(results.group.folder),
        "status": results.group.status,
        "config": results.group.config,
        "runs": {seed: found.info.id for seed, found in results.outcomes.items()},
        "metrics": {
            seed: {name: to_json(value) for name, value in metrics.items()}
            for seed, metrics in results.metrics.items()
        },
        "claims": [finding.to_json() for finding in results.findings],
    }


def _tune(experiment: Loaded, store: Store, changes: dict[str, str], json: bool) -> None:
    rows = tune(experiment, store, status(), **changes)
    if json:
        print_json(rows)
        return
    seeds = ", ".join(map(str, experiment.tuning_seeds))
    table = grid("setting", "value", "metric", f"mean of the seeds {seeds}", "", "")
    for row in rows:
        marks = ("best" if row["best"] else "", "used" if row["used"] else "")
        table.add_row(
            row["setting"], str(row["value"]), row["metric"], f"{row['mean']:.4g}", *marks
        )
    output().print(table)
