"""Processes that do the same work side by side: first the same results, then turns.

Each peer has a process of its own (``worker`` says why) and may use as many processors as threads
are asked for. All start from the same weights and see the same batches. Before anything is timed,
what came of some calls must agree: the losses and the weights after them, or the outputs. Then they
take turns, in another order in each round, so that a change in the machine's speed meets all of
them. Caches of compiled code are empty at the start.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from .report import Row, Timing
from .steps import Workload

WORKER = ("-m", "groundup.bench.worker")
CALLS = 5
"""Compared before timing."""
TURN = 0.1
PAUSE = 0.03
"""Seconds before a turn, in which the threads of the peer before it stop waiting in a loop."""
LEAST = 5
MOST = 60
"""Rounds of turns."""
WAY = 500
"""How much more the way of a weight may differ than a loss: Adam divides by the gradient's size, so
that a gradient which is hardly more than rounding moves a weight as far as any other."""
COUNTS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC")
"""Where libraries look for the number of threads; the last one is XLA's."""


def unavailable(peer: str) -> str | None:
    """Why a peer cannot take part; None if it can.

    Example:
        >>> unavailable("compiled") is None
        True
    """
    module = {"jax": "jax", "torch": "torch", "torch-compile": "torch"}.get(peer)
    if module is not None and importlib.util.find_spec(module) is None:
        return f"{peer} is left out: {module} is not installed"
    compilers = (os.environ.get("CXX", "g++"), "clang++", "c++")
    if peer == "torch-compile" and not any(map(shutil.which, compilers)):
        return "torch-compile is left out: it needs a C++ compiler, and there is none"
    return None


class Worker:
    """A process that runs a script, gets commands as lines of JSON and answers each with one.

    Args:
        script: with its arguments.
        environment: added to that of this process.
        threads: it may use as many processors.

    Example:
        >>> worker = Worker(["-c", "print(input())"], {}, threads=1)
        >>> worker.ask(do="repeat")
        {'do': 'repeat'}
        >>> worker.stop()
    """

    def __init__(self, script: Sequence[str], environment: Mapping[str, str], threads: int) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed in stop
        with on_processors(threads):
            self._process = subprocess.Popen(
                [sys.executable, *script],
                env={**os.environ, **environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
            )

    def ask(self, **command: Any) -> dict[str, Any]:
        """Send a command and wait for the answer.

        Raises:
            RuntimeError: the process ended; the message has the end of what it wrote.
        """
        given, answers = self._process.stdin, self._process.stdout
        assert given is not None
        assert answers is not None
        line = ""
        try:
            given.write(json.dumps(command) + "\n")
            given.flush()
            line = answers.readline()
        except BrokenPipeError:
            pass
        if not line:
            self._process.wait()
            self._errors.seek(0)
            raise RuntimeError(self._errors.read()[-2000:].strip() or "the process ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def stop(self) -> None:
        """End the process."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):  # a command that it did not live to read
                pipe.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()


def processors() -> int:
    """How many processors this process may use.

    Example:
        >>> processors() >= 1
        True
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def on_processors(count: int) -> Iterator[None]:
    """Processes that begin within it keep to so many processors, where the system can do that.

    Example:
        >>> with on_processors(1):
        ...     pass
    """
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[-count:])
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


@dataclass
class Race:
    """The processes of one workload; those that fail or disagree drop out.

    Args:
        peers: the first one is what the others are compared with.
        threads: that each may use.
        inference: whether forward passes of one example run instead of training steps.
        small: begin from the sizes of tests.
        sizes: those that differ from the workload's.
        tolerance: by which losses and outputs may differ, relative to their size; weights may by
            more (``WAY``).
        worker: the script with the peers, and its first arguments.

    Attributes:
        workers: by peer, in turn.
        first: what each said of its first calls.
        wrong: peers that failed or disagree, and how.

    Example:
        >>> from groundup.bench.steps import WORKLOADS
        >>> with Race(WORKLOADS["xor"], ["eager", "compiled"], threads=1) as race:
        ...     race.wrong
        {}
    """

    workload: Workload
    peers: Sequence[str]
    threads: int
    inference: bool = False
    small: bool = False
    sizes: Mapping[str, Any] = field(default_factory=dict)
    tolerance: float = 2e-5
    worker: Sequence[str] = WORKER
    workers: dict[str, Worker] = field(default_factory=dict, init=False)
    first: dict[str, dict[str, Any]] = field(default_factory=dict, init=False)
    wrong: dict[str, str] = field(default_factory=dict, init=False)

    def __enter__(self) -> Race:
        self._folder = tempfile.TemporaryDirectory()
        try:
            self._start(Path(self._folder.name))
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for worker in self.workers.values():
            worker.stop()
        self._folder.cleanup()

    def _start(self, folder: Path) -> None:
        """Let each peer do its first calls, one after the other, and compare what they gave."""
        sizes = self.workload.small if self.small else self.workload.sizes
        weights = self.workload.weights(replace(sizes, **self.sizes))
        np.savez(folder / "weights.npz", **weights)  # type: ignore[arg-type]
        environment = dict.fromkeys(COUNTS, str(self.threads)) | {
            "GROUNDUP_CACHE": str(folder / "groundup"),
            "TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor"),
            "JAX_PLATFORMS": "cpu",
        }
        if self.threads == 1:
            environment["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
        reference = self.peers[0]
        for peer in self.peers:
            script = [
                *(*self.worker, self.workload.name, peer, "--threads", str(self.threads)),
                *("--weights", str(folder / "weights.npz")),
                *("--result", str(folder / f"{peer}.npz"), "--sizes", json.dumps(dict(self.sizes))),
                *(["--inference"] if self.inference else []),
                *(["--small"] if self.small else []),
            ]
            self.workers[peer] = Worker(script, environment, self.threads)
            try:
                self.first[peer] = self.workers[peer].ask(do="start", count=CALLS)
                if peer != reference and reference in self.first:
                    with (
                        np.load(folder / f"{peer}.npz") as mine,
                        np.load(folder / f"{reference}.npz") as other,
                    ):
                        compare(mine, other, {} if self.inference else weights, self.tolerance)
            except (RuntimeError, AssertionError) as error:
                self.wrong[peer] = str(error)
                self.workers.pop(peer).stop()

    def time(self, seconds: float) -> dict[str, list[float]]:
        """Rounds of turns; the seconds a call of each peer in each round."""
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

    def row(self, seconds: float | None) -> Row:
        """What came of it; None seconds time nothing."""
        title = f"{self.workload.name}, as in the tests" if self.small else self.workload.title
        row = Row(title, self.workload.name, self.threads, self.workload.share, self.peers[0])
        row.wrong = self.wrong
        if seconds is None:
            return row
        found = self.time(seconds)
        for peer, times in found.items():
            reference = found.get(self.peers[0], [math.nan] * len(times))
            ratios = [b / a for a, b in zip(times, reference, strict=True)]
            low, middle, high = statistics.quantiles(ratios, n=4)
            end = self.workers[peer].ask(do="end")
            if end["left"]:
                row.left[peer] = "; ".join(end["left"])
            row.timings[peer] = Timing(
                seconds=statistics.median(times),
                ratio=middle,
                low=low,
                high=high,
                start=self.first[peer]["seconds"][0],
                peak=end["peak"],
            )
        return row


def compare(
    mine: Mapping[str, Any],
    other: Mapping[str, Any],
    before: Mapping[str, Any],
    tolerance: float = 2e-5,
) -> None:
    """Whether two did the same: each output, and the way that each weight went from where it was.

    Raises:
        AssertionError: an output is different, or a weight went another way.

    Example:
        >>> compare({"output 0": np.ones(2)}, {"output 0": np.ones(2)}, {})
    """
    for name in other:
        apart = float(np.linalg.norm(mine[name] - other[name]))
        if name not in before:
            size = float(np.linalg.norm(other[name]))
            if not apart <= tolerance * max(1.0, size):
                raise AssertionError(f"{name} is {apart:.2g} away from one of size {size:.2g}")
        else:
            way = float(np.linalg.norm(other[name] - before[name]))
            if not apart <= WAY * tolerance * way:
                raise AssertionError(f"{name} is {apart:.2g} away from where {way:.2g} led")
