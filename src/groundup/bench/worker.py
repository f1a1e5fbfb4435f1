"""One implementation of one step or forward pass in a process of its own, which runs when told to.

    python -m groundup.bench.worker gpt compiled --threads 2 --weights FILE --result FILE
        [--inference] [--sizes '{"width": 64}'] [--small]

Every library has threads of its own that wait for work in a loop, memory that it keeps, and a
compiler that fills the process. Two of them in one process disturb each other, and the memory that
each needs could not be told apart; so each has a process, and the processes take turns (``race``).

Commands are lines of JSON on standard input, answers lines of JSON on standard output:

    {"do": "start", "count": 5}     first calls, on different batches -> seconds of each, and a file
                                    with the losses and the weights after them, or the outputs
    {"do": "turn", "seconds": 0.1}  as many calls as that takes -> seconds of one
    {"do": "explain"}               -> what `groundup.explain` tells of a compiled step
    {"do": "end"}                   -> memory, and what the compiler left to others
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .steps import WORKLOADS, Workload
from .steps.workload import Array, Step, forward_pass, loaded, training_step

BATCHES = 4
"""Different ones, in turn."""


@dataclass(frozen=True)
class Job:
    """What is run.

    Attributes:
        sizes: of the workload's own kind.
        threads: that a library may use.
        inference: whether it is the forward pass of one example instead of the training step.
    """

    workload: Workload
    sizes: Any
    threads: int
    inference: bool


class Runner(NamedTuple):
    """A library at work.

    Attributes:
        call: the step or the forward pass; it is done when this returns.
        weights: gives them as they are now.
        left: gives what the compiler did not take, in its own words.
    """

    call: Step
    weights: Callable[[], Mapping[str, Array]]
    left: Callable[[], list[str]] = list


Build = Callable[[Mapping[str, Array]], Runner]
Peer = Callable[[Job], tuple[Build, Callable[[Array], Any]]]
"""Imports a library; gives what makes a runner from weights, and what makes tensors of arrays."""


def groundup(job: Job, *, compiled: bool) -> tuple[Build, Callable[[Array], Any]]:
    """This library; compiled, the whole step is one call."""
    lib = importlib.import_module("groundup")
    importlib.import_module("groundup.engine.compiler.plan.program")  # LLVM counts as a library

    def step(module: Any) -> Step:
        eager = training_step(lib, job.workload, module)
        return lib.compile(eager) if compiled else eager

    return _builder(lib, job, step, lib.compile if compiled else None), lib.tensor


def pytorch(job: Job, *, compiled: bool) -> tuple[Build, Callable[[Array], Any]]:
    """PyTorch, where it is installed, with its fused Adam; compiled up to the loss."""
    lib = importlib.import_module("torch")
    lib.set_num_threads(job.threads)
    make = lib.compile if compiled else None
    left: Callable[[], list[str]] = list
    if compiled:
        importlib.import_module("torch._inductor.compile_fx")
        dynamo = importlib.import_module("torch._dynamo")
        dynamo.config.trace_autograd_ops = True  # or it takes no gradient within the loss
        breaks = importlib.import_module("torch._dynamo.utils").counters["graph_break"]

        def left() -> list[str]:
            return sorted({str(why).partition("\n")[0] for why in breaks})

    def step(module: Any) -> Step:
        return training_step(lib, job.workload, module, compile_loss=make, fused=True)

    return _builder(lib, job, step, make, left), lib.tensor


def _builder(
    lib: Any,
    job: Job,
    step: Callable[[Any], Step],
    compile_forward: Any,
    left: Callable[[], list[str]] = list,
) -> Build:
    """What either library makes of a workload."""

    def build(weights: Mapping[str, Array]) -> Runner:
        module = loaded(lib, job.workload, job.sizes, dict(weights))
        forward = partial(forward_pass, lib, compile_forward=compile_forward)
        call = forward(module) if job.inference else step(module)
        return Runner(call, partial(_state, module), left)

    return build


def _state(module: Any) -> dict[str, Array]:
    return {name: x.detach().numpy() for name, x in module.state_dict().items()}


PEERS: dict[str, Peer] = {
    "eager": partial(groundup, compiled=False),
    "compiled": partial(groundup, compiled=True),
    "torch": partial(pytorch, compiled=False),
    "torch-compile": partial(pytorch, compiled=True),
}


# Memory


def resident(field: str = "VmRSS") -> float:
    """Megabytes in memory now, or at most so far ("VmHWM"); NaN where the system does not tell."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) / 1024
    return float("nan")


def forget_peak() -> None:
    """Let the peak begin anew."""
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")


# Work


class Server:
    """Does what the commands say.

    Args:
        weights, result: files.
    """

    def __init__(self, job: Job, peer: Peer, weights: Path, result: Path) -> None:
        self._job, self._result = job, result
        self._build, self._tensor = peer(job)
        with np.load(weights) as file:
            self._weights = dict(file)
        self._before = resident()
        forget_peak()
        self._turn = 0
        self._last = 0.0

    def start(self, count: int) -> dict[str, Any]:
        """The first calls; what came of them goes to the file."""
        job = self._job
        make = job.workload.examples if job.inference else job.workload.batches
        arrays = make(max(count, BATCHES), job.sizes)
        self._batches = [tuple(self._tensor(x) for x in batch) for batch in arrays]
        self._runner = self._build(self._weights)
        found, seconds = [], []
        for batch in self._batches[:count]:
            began = time.perf_counter()
            found.append(self._runner.call(*batch))
            seconds.append(time.perf_counter() - began)
        outputs = [_arrays(one) for one in found]
        self._last = seconds[-1]
        weights = {} if job.inference else self._runner.weights()
        given = {
            f"output {i}": np.stack(every) for i, every in enumerate(zip(*outputs, strict=True))
        }
        np.savez(self._result, **given, **weights)  # type: ignore[arg-type]
        peak = resident("VmHWM") - self._before
        forget_peak()
        return {"seconds": seconds, "peak": peak}

    def turn(self, seconds: float) -> dict[str, Any]:
        """As many calls as that takes, one at the least."""
        call, batches, first = self._runner.call, self._batches, self._turn
        if self._last < seconds:
            call(*batches[first % BATCHES])  # the caches hold another process's data
        began, count = time.perf_counter(), 0
        while (passed := time.perf_counter() - began) < seconds or not count:
            call(*batches[(first + count) % BATCHES])
            count += 1
        self._turn += count
        self._last = passed / count
        return {"seconds": self._last}

    def explain(self) -> dict[str, Any]:
        """Of the compiled step."""
        told: dict[str, Any] = (
            importlib.import_module("groundup").explain(self._runner.call).to_dict()
        )
        return told

    def end(self) -> dict[str, Any]:
        """Memory at most since the first calls, above that of the libraries."""
        return {"peak": resident("VmHWM") - self._before, "left": self._runner.left()}


def _arrays(output: Any) -> list[Array]:
    """The tensors that a call gave, as arrays."""
    every = output if isinstance(output, tuple | list) else [output]
    return [np.asarray(x.numpy() if hasattr(x, "numpy") else x) for x in every]


def main(peers: Mapping[str, Peer] = PEERS, arguments: Sequence[str] | None = None) -> None:
    """Answer commands until the last one."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("workload", choices=WORKLOADS)
    parser.add_argument("peer", choices=peers)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--result", type=Path, required=True)
    parser.add_argument("--inference", action="store_true")
    parser.add_argument("--sizes", type=json.loads, default={}, help="those that differ, as JSON")
    parser.add_argument("--small", action="store_true", help="begin from the sizes of tests")
    given = parser.parse_args(arguments)
    workload = WORKLOADS[given.workload]
    sizes = replace(workload.small if given.small else workload.sizes, **given.sizes)
    job = Job(workload, sizes, given.threads, given.inference)
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print goes to standard error
    server = Server(job, peers[given.peer], given.weights, given.result)
    for line in sys.stdin:
        command = json.loads(line)
        do = command.pop("do")
        print(json.dumps(getattr(server, do)(**command)), file=answers)
        if do == "end":
            return


if __name__ == "__main__":
    main()
