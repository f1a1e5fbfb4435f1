"""How a training step's time grows with width, depth and length, and what the machine allows.

The whole step (forward, backward, Adam) of a residual network over its width and its depth and of a
small GPT over its length, compiled here and eager in PyTorch. The limit is what this machine takes
for the step's matrix products alone, or for its passes over memory alone, whichever is longer
(Williams, Waterman and Patterson, 2009: the roofline). The products and the bytes that are read and
written are those that ``groundup.explain`` lists for the compiled step; the machine's speeds are
measured (``machine``).

    python benchmarks/bench_growth.py                     # prints a table
    python benchmarks/bench_growth.py --write             # and writes docs/performance.md
    python benchmarks/bench_growth.py length --most 128   # one series, its shorter part
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from growth_report import Point, document, draw, table
from harness import write_section
from machine import Machine

from groundup.bench.race import COUNTS, Race, Worker
from groundup.bench.report import counted
from groundup.bench.steps import WORKLOADS, Workload
from groundup.engine.compiler.native.threads import get_num_threads

PEERS = ("torch", "compiled")
TOLERANCE = 2e-4
"""Of the losses: rounding grows with the number of layers."""


@dataclass(frozen=True)
class Series:
    """A workload of which one size grows.

    Attributes:
        size: its name among the workload's sizes.
        values: that it takes.
        sizes: that stay, where they differ from the workload's.
    """

    workload: Workload
    size: str
    values: tuple[int, ...]
    sizes: dict[str, int]


SERIES = {
    "width": Series(
        WORKLOADS["residual"],
        "width",
        (32, 64, 128, 256, 512, 1024, 2048),
        {"depth": 2, "batch": 128},
    ),
    "depth": Series(
        WORKLOADS["residual"], "depth", (1, 2, 4, 8, 16, 32, 64), {"width": 128, "batch": 128}
    ),
    "length": Series(
        WORKLOADS["gpt"],
        "length",
        (16, 32, 64, 128, 256, 512, 1024),
        {"layers": 2, "batch": 2},
    ),
}


def measured(series: Series, value: int, threads: int, seconds: float, machine: Machine) -> Point:
    """One size: both libraries' times, what the step consists of, and its limit."""
    sizes = series.sizes | {series.size: value}
    with Race(series.workload, PEERS, threads, sizes=sizes, tolerance=TOLERANCE) as race:
        if race.wrong:
            raise RuntimeError(f"{series.size} {value}: {race.wrong}")
        program = race.workers["compiled"].ask(do="explain")["programs"][-1]
        found = race.row(seconds).timings
    steps = program["steps"]
    products = [step for step in steps if step["kind"] == "product"]
    flops = 2 * sum(step["multiply_adds"] for step in products)
    moved = sum(step["reads"] + step["writes"] for step in steps)
    whole = replace(series.workload.sizes, **sizes)
    weights = sum(x.nbytes for x in series.workload.weights(whole).values())
    touched = program["arena"] + 4 * weights  # gradients and Adam's two moments are as large
    return Point(
        series=series.size,
        size=value,
        ours=found["compiled"].seconds,
        torch=found["torch"].seconds,
        ratio=found["compiled"].ratio,
        flops=flops,
        moved=moved,
        products_limit=sum(map(machine_seconds(machine), products)),
        memory_limit=moved / machine.memory_speed(touched),
    )


def machine_seconds(machine: Machine) -> Any:
    """A product as ``explain`` tells it -> the seconds that it takes at the machine's speed."""

    def seconds(product: dict[str, Any]) -> float:
        _, rows, columns, inner = product["sizes"]
        side = math.cbrt(rows * columns * inner)
        return float(2 * product["multiply_adds"] / machine.product_speed(side))

    return seconds


def speeds(threads: int) -> Machine:
    """Of the machine, measured in a process of its own."""
    script = [str(Path(__file__).parent / "machine.py"), "--threads", str(threads)]
    worker = Worker(script, dict.fromkeys(COUNTS, str(threads)), threads)
    found = worker.ask(do="measure")
    worker.stop()
    return Machine(
        *({int(k): v for k, v in found[name].items()} for name in ("products", "memory"))
    )


def main() -> None:
    """Measure, print, and write if asked to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("series", nargs="*", help=f"of {', '.join(SERIES)} (default: all)")
    parser.add_argument("--threads", type=int, default=get_num_threads(), help="(default: all)")
    parser.add_argument("--seconds", type=float, default=2, help="for each size (default: 2)")
    parser.add_argument("--most", type=int, default=2**30, help="leave out the sizes above")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    options = parser.parse_args()
    if unknown := set(options.series) - set(SERIES):
        parser.error(f"no series {', '.join(unknown)}: there are {', '.join(SERIES)}")
    machine = speeds(options.threads)
    points, failed = [], []
    for name in options.series or SERIES:
        for value in SERIES[name].values:
            if value > options.most:
                continue
            try:
                one = measured(SERIES[name], value, options.threads, options.seconds, machine)
            except RuntimeError as error:
                failed.append(f"{name} {value} is left out: {error}")
                print(failed[-1], file=sys.stderr, flush=True)
                continue
            print(one.line(), file=sys.stderr, flush=True)
            points.append(one)
    print(table(points))
    if options.write:
        draw(points, machine, counted(options.threads))
        write_section("growth", document(points, machine, counted(options.threads)))
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
