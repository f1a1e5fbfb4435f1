"""How long twelve compiled training steps take beside PyTorch's, torch.compile's and JAX's.

Each step is the whole of it: ``zero_grad``, loss, ``backward``, clipping, optimizer. All peers
start from the same weights and see the same batches; before anything is timed, the losses of some
steps and the weights after them must agree. Each peer has a process of its own (``worker.py`` says
why); the processes take turns, in another order in each round. Caches of compiled code are empty at
the start.

    python benchmarks/bench_compiled_step.py                   # prints tables; takes an hour
    python benchmarks/bench_compiled_step.py --write           # and writes docs/performance.md
    python benchmarks/bench_compiled_step.py gpt --threads 1   # one row
    python benchmarks/bench_compiled_step.py --check           # whether all agree, nothing timed
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from compiled_report import Row, Timing, document, draw, tables
from harness import THREADS, Worker, write_section
from steps import WORKLOADS, Workload

HERE = Path(__file__).parent
PEERS = ("torch", "compiled", "eager", "torch-compile", "jax")
"""The first is what the others are compared with."""
STEPS = 5
"""Compared before timing."""
TURN = 0.1
PAUSE = 0.03
"""Seconds before a turn, in which the threads of the peer before it stop waiting in a loop."""
LEAST = 5
MOST = 60
"""Rounds of turns."""


@dataclass
class Field:
    """The processes of one workload, of those peers that can take part.

    Attributes:
        workers: by peer, in turn.
        wrong: peers that failed or disagree, and how.
    """

    workload: Workload
    folder: Path
    small: bool
    workers: dict[str, Worker] = field(default_factory=dict)
    first: dict[str, dict[str, Any]] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)

    def start(self, peers: list[str], threads: int) -> None:
        """Let each peer do its first steps, one after the other, and compare what they gave."""
        sizes = self.workload.small if self.small else self.workload.sizes
        weights = self.workload.weights(sizes)
        np.savez(self.folder / "weights.npz", **weights)
        environment = dict.fromkeys(THREADS, str(threads)) | {
            "GROUNDUP_CACHE": str(self.folder / "groundup"),
            "TORCHINDUCTOR_CACHE_DIR": str(self.folder / "inductor"),
            "JAX_PLATFORMS": "cpu",
        }
        for peer in peers:
            script = [
                *(str(HERE / "worker.py"), self.workload.name, peer, "--threads", str(threads)),
                *("--weights", str(self.folder / "weights.npz")),
                *("--result", str(self.folder / f"{peer}.npz")),
                *(["--small"] if self.small else []),
            ]
            self.workers[peer] = Worker(script, environment)
            try:
                self.first[peer] = self.workers[peer].ask(do="start", steps=STEPS)
                if peer != PEERS[0] and PEERS[0] in self.first:
                    self._compare(peer, weights)
            except (RuntimeError, AssertionError) as error:
                self.wrong[peer] = str(error)
                self.workers.pop(peer).stop()

    def _compare(self, peer: str, weights: dict[str, Any]) -> None:
        """Whether a peer did the same steps as the first.

        Raises:
            AssertionError: a loss is different, or a weight went another way.
        """
        ours, theirs = self.first[peer]["losses"], self.first[PEERS[0]]["losses"]
        for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            if not abs(a - b) <= 2e-5 * max(1.0, abs(b)):
                raise AssertionError(f"loss {a} instead of {b} at step {i}")
        with (
            np.load(self.folder / f"{peer}.npz") as mine,
            np.load(self.folder / f"{PEERS[0]}.npz") as other,
        ):
            for name, before in weights.items():
                way = np.linalg.norm(other[name] - before)
                apart = np.linalg.norm(mine[name] - other[name])
                if not apart <= 0.01 * way:
                    raise AssertionError(f"{name} is {apart:.2g} away from where {way:.2g} led")

    def time(self, seconds: float) -> dict[str, list[float]]:
        """Rounds of turns; the seconds a step of each peer in each round."""
        found: dict[str, list[float]] = {peer: [] for peer in self.workers}
        order = list(self.workers)
        began = time.perf_counter()
        for count in range(MOST):
            if count >= LEAST and time.perf_counter() - began > seconds:
                break
            for peer in order:
                time.sleep(PAUSE)
                found[peer].append(self.workers[peer].ask(do="turn", seconds=TURN)["seconds"])
            order = order[1:] + order[:1]
        return found

    def stop(self) -> None:
        for worker in self.workers.values():
            worker.stop()


def measure(
    workload: Workload, peers: list[str], threads: int, seconds: float, small: bool, check: bool
) -> Row:
    """One row: start, compare, and, unless told only to check, time."""
    title = f"{workload.name}, as in the tests" if small else workload.title
    with tempfile.TemporaryDirectory() as folder:
        processes = Field(workload, Path(folder), small)
        try:
            processes.start(peers, threads)
            row = Row(title, threads, workload.share, wrong=processes.wrong)
            if check:
                return row
            found = processes.time(seconds)
            for peer, times in found.items():
                ratios = [b / a for a, b in zip(times, found[PEERS[0]], strict=True)]
                low, middle, high = statistics.quantiles(ratios, n=4)
                first = processes.first[peer]
                row.timings[peer] = Timing(
                    seconds=statistics.median(times),
                    ratio=middle,
                    low=low,
                    high=high,
                    start=first["seconds"][0],
                    peak=processes.workers[peer].ask(do="end")["peak"],
                )
            return row
        finally:
            processes.stop()


def available(peer: str) -> str | None:
    """Why a peer cannot take part; None if it can."""
    module = {"jax": "jax", "torch": "torch", "torch-compile": "torch"}.get(peer)
    if module is not None and importlib.util.find_spec(module) is None:
        return f"{peer} is left out: {module} is not installed"
    compilers = (os.environ.get("CXX", "g++"), "clang++", "c++")
    if peer == "torch-compile" and not any(map(shutil.which, compilers)):
        return "torch-compile is left out: it needs a C++ compiler, and there is none"
    return None


def main() -> None:
    """Measure, print, and write if asked to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workloads", nargs="*", help=f"of {', '.join(WORKLOADS)} (default: all)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="(default: 1 2)")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=PEERS)
    parser.add_argument("--seconds", type=float, default=30, help="for each row (default: 30)")
    parser.add_argument("--small", action="store_true", help="the networks that the tests train")
    parser.add_argument("--check", action="store_true", help="compare results, time nothing")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    options = parser.parse_args()
    if unknown := set(options.workloads) - set(WORKLOADS):
        parser.error(f"no workload {', '.join(unknown)}: there are {', '.join(WORKLOADS)}")
    if PEERS[0] not in options.peers or available(PEERS[0]):
        parser.error(f"the others are compared with {PEERS[0]}: it must be there and be named")
    reasons = {peer: available(peer) for peer in options.peers}
    print("".join(f"{reason}\n" for reason in reasons.values() if reason), end="")
    peers = [peer for peer in PEERS if peer in reasons and reasons[peer] is None]
    rows = []
    for threads in options.threads:
        for name in options.workloads or WORKLOADS:
            row = measure(
                WORKLOADS[name], peers, threads, options.seconds, options.small, options.check
            )
            print(row.line(), file=sys.stderr, flush=True)
            rows.append(row)
    if not options.check:
        print(tables(rows))
    if options.write:
        draw(rows)
        write_section("compiled-step", document(rows))
    sys.exit(any(row.wrong for row in rows))


if __name__ == "__main__":
    main()
