"""The command line of a benchmark in which libraries race, workload by workload.

``bench_compiled_step`` and ``bench_inference`` are two of them. Rows may be kept in a file as they
are measured, so that a long benchmark can be done in parts, and its page written anew.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from harness import write_section
from races_report import Subject, document, draw, tables

from groundup.bench.race import Race, unavailable
from groundup.bench.report import Row, Timing
from groundup.bench.steps import WORKLOADS

WORKER = (str(Path(__file__).parent / "jax_worker.py"),)
PEERS = ("torch", "compiled", "eager", "torch-compile", "jax")
"""The first is what the others are compared with."""


def arguments(subject: Subject, description: str) -> argparse.Namespace:
    """What was asked for; a mistake ends the program."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workloads", nargs="*", help=f"of {', '.join(WORKLOADS)} (default: all)")
    usual = " ".join(map(str, subject.threads))
    parser.add_argument(
        "--threads", type=int, nargs="+", default=subject.threads, help=f"(default: {usual})"
    )
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(subject.peers))
    parser.add_argument(
        "--seconds",
        type=float,
        default=subject.seconds,
        help=f"for each row (default: {subject.seconds:g})",
    )
    parser.add_argument("--small", action="store_true", help="the networks that the tests train")
    parser.add_argument("--check", action="store_true", help="compare results, time nothing")
    parser.add_argument(
        "--rows",
        type=Path,
        metavar="FILE",
        help="keep what is measured there, and measure only what it lacks",
    )
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    options = parser.parse_args()
    if unknown := set(options.workloads) - set(WORKLOADS):
        parser.error(f"no workload {', '.join(unknown)}: there are {', '.join(WORKLOADS)}")
    if PEERS[0] not in options.peers or unavailable(PEERS[0]):
        parser.error(f"the others are compared with {PEERS[0]}: it must be there and be named")
    if options.write and (options.small or options.check):
        parser.error("the page has the times of the whole workloads: leave out --small and --check")
    return options


def measured(subject: Subject, options: argparse.Namespace) -> Iterator[Row]:
    """The rows that were asked for, each as soon as it is there."""
    reasons = [unavailable(peer) for peer in options.peers]
    print("".join(f"{why}\n" for why in reasons if why), end="", file=sys.stderr)
    peers = [peer for peer in PEERS if peer in options.peers and unavailable(peer) is None]
    kept = read(options.rows)
    for threads in options.threads:
        for name in options.workloads or WORKLOADS:
            if row := kept.get((name, threads)):
                yield row
                continue
            race = Race(
                WORKLOADS[name],
                peers,
                threads,
                inference=subject.inference,
                small=options.small,
                worker=WORKER,
            )
            with race:
                row = race.row(None if options.check else options.seconds)
            print(row.line(), file=sys.stderr, flush=True)
            kept[name, threads] = row
            if options.rows:
                text = json.dumps([asdict(one) for one in kept.values()], indent=1)
                options.rows.write_text(text, encoding="utf-8")
            yield row


def read(path: Path | None) -> dict[tuple[str, int], Row]:
    """The rows that were kept."""
    if path is None or not path.exists():
        return {}
    rows = [Row(**one) for one in json.loads(path.read_text(encoding="utf-8"))]
    for row in rows:
        row.timings = {peer: Timing(**dict(t)) for peer, t in row.timings.items()}  # type: ignore[call-overload]
    return {(row.name, row.threads): row for row in rows}


def main(subject: Subject, description: str) -> None:
    """Measure, print, and write if asked to."""
    options = arguments(subject, description)
    rows = list(measured(subject, options))
    if not options.check:
        print(tables(subject, rows))
    if options.write:
        draw(subject, rows)
        write_section(subject.section, document(subject, rows))
    disagree = [row for row in rows for peer in row.wrong if peer in ("compiled", "eager")]
    sys.exit(bool(disagree))
