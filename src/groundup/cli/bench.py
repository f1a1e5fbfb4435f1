"""`groundup bench`: how long training steps take here, and in PyTorch where it is installed."""

from __future__ import annotations

import difflib
import math
from dataclasses import asdict
from typing import Annotated

import typer

from ..bench.race import Race, processors, unavailable
from ..bench.report import NAMES, Row, by_threads, counted, mean_ratio, peers_of, reason
from ..bench.steps import WORKLOADS
from ..engine.compiler.native.threads import get_num_threads
from .app import Json, app, examples, whole_number
from .messages import Stopped, fail, grid, output, plain, print_json, status, usage

PEERS = ("torch", "eager", "compiled", "torch-compile")
"""Those that need no file beside the package; ratios are to the first that takes part."""
USUAL = ("torch", "eager", "compiled")


def complete_workload(incomplete: str) -> list[tuple[str, str]]:
    """Steps that begin so, for the shell."""
    return [(w.name, w.title) for w in WORKLOADS.values() if w.name.startswith(incomplete)]


@app.command(
    epilog=examples(
        "groundup bench",
        "groundup bench gpt lstm --threads 1 --threads 2",
        "groundup bench --inference --seconds 1",
        "groundup bench mlp --peer torch --peer compiled --peer torch-compile --json",
    )
)
@plain
def bench(
    steps: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[STEP...]",
            help=f"Of {', '.join(WORKLOADS)}; all unless some are named.",
            autocompletion=complete_workload,
            show_default=False,
        ),
    ] = None,
    threads: Annotated[
        list[int] | None,
        typer.Option(
            parser=whole_number(1),
            metavar="N",
            help="As many processors for each library; may be repeated; by default all.",
            show_default=False,
        ),
    ] = None,
    seconds: Annotated[
        float, typer.Option(metavar="S", help="For each step, once it is compiled.")
    ] = 3.0,
    peer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help=f"Of {', '.join(PEERS)}; may be repeated. By default the first three, as far as "
            "they are installed.",
            show_default=False,
        ),
    ] = None,
    inference: Annotated[
        bool,
        typer.Option("--inference", help="Time the forward pass of one example instead."),
    ] = False,
    small: Annotated[
        bool, typer.Option("--small", help="Networks of a few units, for a quick look.")
    ] = False,
    json: Json = False,
) -> None:
    """Time training steps, compiled, beside eager ones and PyTorch's.

    Each is a whole step: zero_grad, loss, backward, clipping, optimizer. All start from the same
    weights and see the same batches, and results are compared before anything is timed. Each
    library has a process of its own; the processes take turns. The comparison with JAX is in the
    folder `benchmarks` of the repository.
    """
    names = _known(steps or list(WORKLOADS), list(WORKLOADS), "step")
    wanted = _known(peer or list(USUAL), list(PEERS), "peer")
    counts = threads or [get_num_threads()]
    if not 0 <= seconds < math.inf:
        raise usage(f"--seconds {seconds:g}: expected a number of at least 0")
    if max(counts) > processors():
        raise usage(f"--threads {max(counts)}: there are {processors()} processors to use")
    missing = {name: why for name in wanted if (why := unavailable(name))}
    if peer and missing:
        raise usage("; ".join(missing.values()))
    taking_part = [name for name in PEERS if name in wanted and name not in missing]
    if len(taking_part) < 2:
        raise usage("a race needs two: name another --peer")
    for why in missing.values():
        status().print(why)
    rows: list[Row] = []
    try:
        for count in dict.fromkeys(counts):
            for name in names:
                race = Race(WORKLOADS[name], taking_part, count, inference=inference, small=small)
                with race:
                    rows.append(race.row(seconds))
                status().print(rows[-1].line(), soft_wrap=True)
    except KeyboardInterrupt as error:
        _tell(rows, inference, json)
        raise Stopped("what was timed until then is shown") from error
    _tell(rows, inference, json)
    if wrong := [(row, name) for row in rows for name in row.wrong]:
        told = [f"{NAMES[name]} at {row.name}: {reason(row.wrong[name])}" for row, name in wrong]
        raise fail("; ".join(told))


def _known(given: list[str], names: list[str], what: str) -> list[str]:
    """The names, each once; an unknown one ends the command."""
    for name in given:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1, cutoff=0.5)
            meant = f"did you mean {near[0]!r}? " if near else ""
            raise usage(f"no {what} {name!r}; {meant}there are {', '.join(names)}")
    return list(dict.fromkeys(given))


def _tell(rows: list[Row], inference: bool, json: bool) -> None:
    """The result, as a table for each number of threads or as JSON."""
    groups = by_threads(rows)
    means = {
        count: {peer: mean_ratio(some, peer)[0] for peer in peers_of(some)}
        for count, some in groups.items()
    }
    if json:
        content = {"inference": inference, "geometric_means": means}
        print_json({**content, "rows": [asdict(row) for row in rows]})
        return
    for count, some in groups.items():
        reference = some[0].reference
        others = [peer for peer in means[count] if peer != reference]
        base = NAMES[reference]
        title = f"{counted(count)}; {base}'s time over each one's, with the middle half"
        table = grid("step", f"{base}, ms", *[NAMES[peer] for peer in others], title=title)
        for row in some:
            first = row.timings.get(reference)
            times = [row.timings.get(peer) for peer in others]
            cells = [t.ratios() if t else "failed" for t in times]
            table.add_row(row.title, f"{first.seconds * 1e3:.3g}" if first else "failed", *cells)
        if len(some) > 1:
            table.add_section()
            numbers = [means[count][peer] for peer in others]
            shown = ["" if math.isnan(mean) else f"{mean:.2f}" for mean in numbers]
            table.add_row("geometric mean", "", *shown)
        output().print(table)
