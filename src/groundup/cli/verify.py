"""`groundup verify`: measure the claims and rewrite the page of results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ..experiments.experiment import entries, find, load
from ..experiments.runner import Results, run_seeds
from ..runs import RunsError, Store, runs_folder
from .app import Json, RunsFolder, app, complete_experiment, examples
from .messages import REFUTED, Stopped, fail, grid, output, plain, print_json, shown, status, usage
from .run import results_json, runs_option


@app.command(epilog=examples("groundup verify digits", "groundup verify --foundations --strict"))
@plain
def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[EXPERIMENT...]",
            help="Names of experiments or chapters.",
            autocompletion=complete_experiment,
            show_default=False,
        ),
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every experiment.")] = False,
    foundations: Annotated[
        bool, typer.Option("--foundations", help="Every lesson of the course.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="End with exit code 3 if a claim is refuted.")
    ] = False,
    page: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The page of results; by default docs/results.md, where there is a docs folder.",
            show_default=False,
        ),
    ] = None,
    runs: RunsFolder = None,
    json: Json = False,
) -> None:
    """Run experiments with all their reporting seeds, judge the claims, rewrite the page.

    Figures go to a folder beside the page: results/digits/learning-1.svg, say.

    Seeds that are done already with the same settings and the same code are not run again, so a
    verification that was stopped goes on where it was when it is asked for again.
    """
    from ..experiments import results_page  # Matplotlib is loaded only by who draws

    chosen = _chosen(names or [], all_, foundations)
    if page is None:
        docs = Path("docs")
        page = (docs if docs.is_dir() else runs_folder(runs)) / "results.md"
    found, failed = [], []
    records = results_page.read(page)
    with Store(runs) as store:
        for number, name in enumerate(chosen, 1):
            status().print(f"{name} ({number} of {len(chosen)})")
            try:
                results = _verified(name, store)
            except KeyboardInterrupt as error:
                words = " ".join(names or ["--all" if all_ else "--foundations"])
                raise Stopped(
                    "what was done is kept. Go on with the same command: "
                    f"groundup verify {words}{runs_option(runs)}"
                ) from error
            except (RunsError, OSError, ImportError):
                raise
            except Exception as error:
                # One broken experiment keeps the others from being verified no more than needed.
                failed.append(name)
                status().print(f"{name} failed: {type(error).__name__}: {error}", style="red")
                continue
            found.append(results)
            with results_page.alone(page):  # another verification may have written meanwhile
                records = results_page.read(page)
                records[name] = results_page.record(results, store, page)
                results_page.write(page, records, entries())
    if json:
        content: dict[str, Any] = {"page": str(page), "failed": failed}
        measured = [{**results_json(r), "figures": _figures(page, records, r)} for r in found]
        print_json({**content, "experiments": measured})
    else:
        _show(found)
        print(shown(page))
    if failed:
        raise fail(f"failed: {', '.join(failed)}; `groundup list --history` names their runs")
    refuted = [f for results in found for f in results.findings if f.verdict == "refuted"]
    if strict and refuted:
        raise fail(f"refuted: {'; '.join(f.claim.text for f in refuted)}", REFUTED)


def _verified(name: str, store: Store) -> Results:
    from ..experiments.report import write_report

    experiment = load(name)
    results = run_seeds(
        experiment,
        experiment.config(),
        experiment.seeds,
        store,
        reuse=True,
        tags=["verify"],
        console=status(),
    )
    write_report(results, store)
    return results


def _figures(page: Path, records: Mapping[str, dict[str, Any]], results: Results) -> list[str]:
    """The files that show what was measured."""
    from ..experiments import evidence, results_page

    name = results.experiment.name
    folder = results_page.figures_folder(page, name)
    return [str(folder / file) for file in evidence.files(records[name])]


def _chosen(names: list[str], all_: bool, foundations: bool) -> list[str]:
    """Experiments by name or chapter, each once, in the order of the course."""
    if all_ + foundations + bool(names) != 1:
        raise usage("name the experiments or chapters to verify, or say --foundations or --all")
    known = entries()
    wanted: set[str] = set()
    for name in names:
        chapter = {e.name for e in known if e.chapter == name or e.chapter.startswith(f"{name}.")}
        wanted |= chapter or {find(name).name}
    if foundations:
        wanted = {entry.name for entry in known if entry.lesson is not None}
    return [entry.name for entry in known if all_ or entry.name in wanted]


def _show(found: list[Results]) -> None:
    table = grid("experiment", "claim", "claimed", "measured", "verdict")
    for results in found:
        for finding in results.findings:
            table.add_row(results.experiment.name, *finding.cells())
        if not results.findings:
            table.add_row(results.experiment.name, "makes no claim", "", "", "")
    if found:
        output().print(table)
