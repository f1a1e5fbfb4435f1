"""Timing two implementations of the same step against each other.

The two take turns in one process, a few milliseconds each, so that a change in the machine's speed
meets both. What is quoted is the median of the ratios of neighbouring turns, with the middle half's
range.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


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
        environment = {**os.environ, **dict.fromkeys(THREADS, str(count))}
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


def as_markdown(rows: list[Comparison], peer: str) -> str:
    """A table with a row for each workload and thread count."""
    lines = [
        f"| step | threads | groundup, µs | {peer}, µs | {peer} / groundup | middle half |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {row.workload} | {row.threads} | {row.ours:.0f} | {row.peer:.0f} "
        f"| {row.ratio:.2f} | {row.low:.2f} to {row.high:.2f} |"
        for row in rows
    ]
    return "\n".join(lines)


def processor() -> str:
    """The processor's name as the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return "unknown processor"
