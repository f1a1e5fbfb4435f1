"""One implementation of one training step in a process of its own, which steps when it is told to.

    python worker.py WORKLOAD PEER --threads 2 --weights FILE --result FILE [--small]

Every library has threads of its own that wait for work in a loop, memory that it keeps, and a
compiler that fills the process. Two of them in one process disturb each other, and the memory that
each needs could not be told apart; so each has a process, and the processes take turns.

Commands are lines of JSON on standard input, answers lines of JSON on standard output:

    {"do": "start", "steps": 5}     first steps, on different batches -> losses, seconds of each
    {"do": "turn", "seconds": 0.1}  as many steps as that takes -> seconds a step
    {"do": "end"}                   -> memory
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

Step = Callable[..., Any]
BATCHES = 4


# One function for each peer: weights and batches as arrays -> the step, its batches as tensors, and
# what gives the weights afterwards.


def groundup(workload: Any, sizes: Any, threads: int, *, compiled: bool) -> Any:
    from steps.workload import loaded, training_step

    import groundup as gu
    from groundup.engine.compiler import program  # noqa: F401 - LLVM counts as a library

    def build(weights: dict[str, Any]) -> Any:
        module = loaded(gu, workload, sizes, weights)
        step = training_step(gu, workload, module)
        return gu.compile(step) if compiled else step, lambda: _state(module)

    return build, gu.tensor


def pytorch(workload: Any, sizes: Any, threads: int, *, compiled: bool) -> Any:
    import torch
    from steps.workload import loaded, training_step

    torch.set_num_threads(threads)
    options = {"fused": True} if workload.optimizer in ("Adam", "AdamW") else {}
    if compiled:
        import torch._dynamo
        import torch._inductor.compile_fx

        options["compile_loss"] = torch.compile

    def build(weights: dict[str, Any]) -> Any:
        module = loaded(torch, workload, sizes, weights)
        return training_step(torch, workload, module, **options), lambda: _state(module)

    return build, torch.tensor


def jax(workload: Any, sizes: Any, threads: int) -> Any:
    import jax
    from steps.jax_twins import Trained

    def build(weights: dict[str, Any]) -> Any:
        trained = Trained(workload, sizes, weights)
        return trained, lambda: {k: np.asarray(x) for k, x in trained.weights.items()}

    jax.devices()  # its threads and buffers count as a library
    return build, jax.numpy.array


def _state(module: Any) -> dict[str, Any]:
    return {name: x.detach().numpy() for name, x in module.state_dict().items()}


PEERS: dict[str, Callable[..., Any]] = {
    "eager": partial(groundup, compiled=False),
    "compiled": partial(groundup, compiled=True),
    "torch": partial(pytorch, compiled=False),
    "torch-compile": partial(pytorch, compiled=True),
    "jax": jax,
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


def serve(workload: Any, sizes: Any, make: Any, paths: argparse.Namespace) -> None:
    """Answer commands until the last one."""
    build, tensor = make(workload, sizes, paths.threads)
    with np.load(paths.weights) as file:
        weights = dict(file)
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print goes to standard error
    before = resident()
    forget_peak()
    step: Step | None = None
    turn = 0
    for line in sys.stdin:
        command = json.loads(line)
        answer: dict[str, Any] = {}
        if command["do"] == "start":
            arrays = workload.batches(max(command["steps"], BATCHES), sizes)
            batches = [tuple(tensor(x) for x in batch) for batch in arrays]
            step, state = build(weights)
            answer["losses"], answer["seconds"] = [], []
            for batch in batches[: command["steps"]]:
                began = time.perf_counter()
                answer["losses"].append(float(step(*batch)))
                answer["seconds"].append(time.perf_counter() - began)
            np.savez(paths.result, **state())
            answer["peak"] = resident("VmHWM") - before
            forget_peak()
        elif command["do"] == "turn":
            assert step is not None
            step(*batches[turn % BATCHES])  # the caches hold another process's data
            began, count = time.perf_counter(), 0
            while (passed := time.perf_counter() - began) < command["seconds"] or not count:
                step(*batches[(turn + count) % BATCHES])
                count += 1
            answer["seconds"] = passed / count
            turn += count
        else:
            answer["peak"] = resident("VmHWM") - before
        print(json.dumps(answer), file=answers)
        if command["do"] == "end":
            return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("workload")
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--result", required=True)
    parser.add_argument("--small", action="store_true")
    paths = parser.parse_args()
    from steps import WORKLOADS

    workload = WORKLOADS[paths.workload]
    sizes = workload.small if paths.small else workload.sizes
    serve(workload, sizes, PEERS[paths.peer], paths)


if __name__ == "__main__":
    main()
