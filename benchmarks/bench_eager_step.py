"""How long an eager training step takes beside PyTorch's, where overhead counts most.

A step is: forward pass, loss, ``zero_grad``, ``backward``, ``Adam.step``. Both start from the same
weights and see the same batch; before anything is timed, twenty steps of both must give the same
losses.

    python benchmarks/bench_eager_step.py           # prints a table
    python benchmarks/bench_eager_step.py --write   # and puts it into docs/performance.md
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable

import numpy as np
from harness import (
    Comparison,
    as_json,
    as_markdown,
    compare,
    processor,
    run_at_thread_counts,
    write_section,
)

Layers = Callable[..., list[object]]


def xor(nn) -> list[object]:  # type: ignore[no-untyped-def]
    return [nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2)]


def mlp(nn) -> list[object]:  # type: ignore[no-untyped-def]
    return [nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10)]


def cnn(nn) -> list[object]:  # type: ignore[no-untyped-def]
    return [
        nn.Conv2d(1, 16, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32, 10),
    ]


WORKLOADS = {
    "XOR MLP 2-8-2, batch 4": (xor, (4, 2), 2),
    "digits MLP 64-128-10, batch 64": (mlp, (64, 1, 8, 8), 10),
    "digits CNN 16-32, batch 64": (cnn, (64, 1, 8, 8), 10),
}


def steps(layers: Layers, shape: tuple[int, ...], classes: int):  # type: ignore[no-untyped-def]
    """The training steps of groundup and PyTorch, from the same weights on the same batch."""
    import torch

    import groundup as gu

    draw = np.random.default_rng(0)
    x = draw.normal(size=shape).astype(np.float32)
    y = draw.integers(0, classes, shape[0])

    def build(lib):  # type: ignore[no-untyped-def]
        model = lib.nn.Sequential(*layers(lib.nn))
        inputs, targets = lib.tensor(x), lib.tensor(y)
        optimizer = lib.optim.Adam(model.parameters(), lr=1e-3)
        cross_entropy = lib.nn.functional.cross_entropy

        def step():  # type: ignore[no-untyped-def]
            loss = cross_entropy(model(inputs), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        return model, step

    ours, our_step = build(gu)
    peer, peer_step = build(torch)
    ours.load_state_dict({k: gu.tensor(v.numpy()) for k, v in peer.state_dict().items()})
    for _ in range(20):
        a, b = our_step().item(), peer_step().item()
        if abs(a - b) > 1e-4 * max(1.0, abs(b)):
            raise AssertionError(f"the losses differ: {a} (groundup), {b} (PyTorch)")
    return our_step, peer_step


def measure(threads: int) -> list[Comparison]:
    """Every workload, in this process."""
    import torch

    torch.set_num_threads(threads)
    return [compare(name, *steps(*spec), threads=threads) for name, spec in WORKLOADS.items()]


def document(rows: list[Comparison]) -> str:
    """The section of the documentation that holds the table."""
    import torch

    return f"""## Eager steps

Written by `python benchmarks/bench_eager_step.py --write`. A training step (forward, loss,
`zero_grad`, `backward`, Adam) of networks so small that overhead, not arithmetic, decides. Same
weights, same batch, losses compared before timing; the two libraries take turns in one process. The
ratio is the median over neighbouring turns: above 1, groundup is faster.

{as_markdown(rows, "PyTorch")}

Measured on: {processor()}, Python {platform.python_version()}, NumPy {np.__version__},
PyTorch {torch.__version__.split("+")[0]} (eager, its default Adam), float32.
"""


def main() -> None:
    """Measure at one and at two threads, print, and write if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, help="measure in this process, print JSON")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    options = parser.parse_args()
    if options.threads:
        print(as_json(measure(options.threads)))
        return
    rows = run_at_thread_counts(__file__)
    print(as_markdown(rows, "PyTorch"))
    if options.write:
        write_section("eager-step", document(rows))


if __name__ == "__main__":
    main()
