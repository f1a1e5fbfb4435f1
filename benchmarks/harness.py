"""Timing implementations of the same step against each other, and the page with the results.

Two in one process take turns of a few milliseconds, so that a change in the machine's speed meets
both. What is quoted is the median of the ratios of neighbouring turns, with the middle half's
range. Several, each in a process of its own, are a race (``groundup.bench.race``).
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from groundup.bench.race import COUNTS

DOCUMENT = Path(__file__).parent.parent / "docs" / "performance.md"


@dataclass
class Comparison:
    """Times of one workload: microseconds a step; ratios peer / ours, so above 1 ours is faster."""

    workload: str
    threads: int
    ours: float
    peer: float
    ratio: float
    low: float
    high: float


def compare(
    workload: str,
    ours: Callable[[], object],
    peer: Callable[[], object],
    *,
    threads: int,
    turns: int = 60,
    turn_seconds: float = 0.02,
) -> Comparison:
    """Time two steps in turns and give their medians and the ratio's quartiles."""
    repeats = {step: _repeats(step, turn_seconds) for step in (ours, peer)}
    pairs = [(_turn(ours, repeats[ours]), _turn(peer, repeats[peer])) for _ in range(turns)]
    ratios = sorted(b / a for a, b in pairs)
    low, middle, high = statistics.quantiles(ratios, n=4)
    return Comparison(
        workload,
        threads,
        statistics.median(a for a, _ in pairs) * 1e6,
        statistics.median(b for _, b in pairs) * 1e6,
        middle,
        low,
        high,
    )


def _repeats(step: Callable[[], object], seconds: float) -> int:
    for _ in range(5):
        step()
    return max(1, round(seconds / _turn(step, 5)))


def _turn(step: Callable[[], object], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        step()
    return (time.perf_counter() - start) / repeats


def run_at_thread_counts(script: str, counts: tuple[int, ...] = (1, 2)) -> list[Comparison]:
    """Run a script once for each thread count, in a fresh process, and collect what it measured."""
    found = []
    for count in counts:
        environment = {**os.environ, **dict.fromkeys(COUNTS, str(count))}
        output = subprocess.run(
            [sys.executable, script, "--threads", str(count)],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        found += [Comparison(**row) for row in json.loads(output)]
    return found


def as_json(rows: list[Comparison]) -> str:
    """What a child process prints for ``run_at_thread_counts``."""
    return json.dumps([asdict(row) for row in rows])


def markdown_table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """Words to the left in the first column, numbers to the right in the others."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def as_markdown(rows: list[Comparison], peer: str) -> str:
    """A table with a row for each workload and thread count."""
    head = ["step", "threads", "groundup, µs", f"{peer}, µs", f"{peer} / groundup", "middle half"]
    body = [
        [
            row.workload,
            str(row.threads),
            f"{row.ours:.0f}",
            f"{row.peer:.0f}",
            f"{row.ratio:.2f}",
            f"{row.low:.2f} to {row.high:.2f}",
        ]
        for row in rows
    ]
    return markdown_table(head, body)


def write_section(name: str, text: str, document: Path = DOCUMENT) -> None:
    """Put a text into a page, in place of what stood under that name, or below."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    page = document.read_text(encoding="utf-8")
    before, found, rest = page.partition(begin)
    after = rest.partition(end)[2] if found else "\n"
    before = before if found else f"{before.rstrip()}\n\n"
    document.write_text(f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}", encoding="utf-8")
    print(f"\nwritten to {document}")


def processor() -> str:
    """The processor's name as the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return "unknown processor"
