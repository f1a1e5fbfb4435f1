"""What 16-bit products do to a small GPT: memory, the loss that it reaches, and the time of a step.

The same GPT is trained on the same batches of Python source code with ``fit(precision=...)`` in
float32, float16 (with its loss scaling) and bfloat16. Parameters are float32 in all three; under
mixed precision the products take 16-bit copies, so what is saved for the backward pass shrinks.
Compared are losses on held-out text, in float32, after a fixed number of steps: the difference to
float32 is that of the same seed, with its 95% interval over the seeds.

    python benchmarks/bench_precision.py            # prints the tables
    python benchmarks/bench_precision.py --write    # and writes docs/performance.md

With ``--losses FILE`` the losses of training, which no load of the machine changes, are kept in a
file, and a second call takes only the times.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from harness import markdown_table, processor, write_section
from scipy import stats

import groundup as gu
from groundup import nn, optim
from groundup.data.source_code import standard_library
from groundup.engine.primitive import Node, Spec
from groundup.models import GPT, GPTConfig
from groundup.training import evaluate, fit
from groundup.training.run import Run
from groundup.training.step import make_step

CONFIG = GPTConfig(vocab_size=256, context=64, d_model=64, num_layers=2, num_heads=4)
BATCH, RATE = 8, 2e-3
PRECISIONS = ("float32", "float16", "bfloat16")
Batch = tuple[gu.Tensor, gu.Tensor]


def text() -> np.ndarray:
    """Some 400,000 bytes of the standard library."""
    found = b"".join(path.read_bytes() for path in standard_library()[:40])
    return np.frombuffer(found[:400_000], np.uint8).astype(np.int64)


def batches(data: np.ndarray, count: int, seed: int) -> list[Batch]:
    """Windows of the text, and the same a token further on."""
    t = CONFIG.context
    starts = np.random.default_rng(seed).integers(0, len(data) - t, (count, BATCH))
    rows = data[starts[..., None] + np.arange(t + 1)]
    return [(gu.from_numpy(x[:, :-1].copy()), gu.from_numpy(x[:, 1:].copy())) for x in rows]


def loss_of(logits: gu.Tensor, target: gu.Tensor) -> gu.Tensor:
    """Cross-entropy of the next byte, in nats."""
    return nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten())


def run_of(precision: str, data: list[Batch], seed: int) -> Run:
    """A model and its optimizer at their beginning."""
    gu.manual_seed(seed)
    model = GPT(CONFIG)
    adam = optim.AdamW(model.parameters(), lr=RATE)
    return Run(model, loss_of, adam, data, 1, precision=precision)


def trained(precision: str, data: np.ndarray, steps: int, seed: int) -> float:
    """The loss on held-out text."""
    cut = len(data) * 9 // 10
    run = run_of(precision, batches(data[:cut], steps, seed), seed)
    fit(run.model, run.loss, run.optimizer, run.data, epochs=1, precision=precision, compile=False)
    return evaluate(run.model, batches(data[cut:], 40, 999), {"loss": loss_of})["loss"]


def kept(loss: gu.Tensor) -> Iterator[np.ndarray]:
    """The memory that the operations behind a loss hold for the backward pass, each piece once."""
    seen: set[int] = set()
    stack = [loss.node]
    while stack:
        node = stack.pop()
        if not isinstance(node, Node) or id(node) in seen:
            continue
        seen.add(id(node))
        stack += node.edges
        held = [x.array for x in node.inputs or [] if not isinstance(x, Spec)]
        if not isinstance(node.output, Spec):
            held.append(node.output[0])
        for array in held:
            base = array if array.base is None else array.base
            if id(base) not in seen:
                seen.add(id(base))
                yield base


def memory(precision: str, batch: Batch) -> tuple[int, int]:
    """Bytes of the parameters, and of what an eager step saves beside them."""
    model = run_of(precision, [batch], 0).model
    with gu.autocast(dtype=precision if precision != "float32" else "float16",
                     enabled=precision != "float32"):  # fmt: skip
        loss = loss_of(model(batch[0]), batch[1])
    weights = {id(p.array): p.array.nbytes for p in model.parameters()}
    saved = sum(array.nbytes for array in kept(loss) if id(array) not in weights)
    return sum(weights.values()), saved


def times(steps: dict[str, Callable[[], object]], turns: int) -> dict[str, float]:
    """The median time of each, in milliseconds; they take turns."""
    found: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step()
        step()
    for _ in range(turns):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            found[name].append((time.perf_counter() - start) * 1e3)
    return {name: statistics.median(measured) for name, measured in found.items()}


def timed(batch: Batch, turns: int) -> dict[str, float]:
    """A step of each precision, eager and, where that is done, compiled."""
    steps: dict[str, Callable[[], object]] = {}
    for precision in PRECISIONS:
        for way in ("eager", "compiled"):
            if (precision, way) == ("float16", "compiled"):
                continue  # its scaling looks at values, so fit does not compile it
            step = make_step(run_of(precision, [batch], 0), compile=way == "compiled")
            steps[f"{precision} {way}"] = lambda step=step: step([batch])
    return times(steps, turns)


def interval(values: list[float]) -> str:
    """Mean and 95% interval (Student's t)."""
    mean = statistics.mean(values)
    half = stats.t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / len(values) ** 0.5
    return f"{mean:+.4f} ({mean - half:+.4f} to {mean + half:+.4f})"


def losses_of(data: np.ndarray, steps: int, seeds: int, kept: Path | None) -> dict[str, Any]:
    """The held-out losses of each precision, by seed."""
    if kept is not None and kept.exists():
        found: dict[str, Any] = json.loads(kept.read_text())
        if (found.pop("steps"), len(found["float32"])) != (steps, seeds):
            raise SystemExit(f"{kept} holds losses of another run; remove it")
        return found
    found = {p: [trained(p, data, steps, seed) for seed in range(seeds)] for p in PRECISIONS}
    if kept is not None:
        kept.write_text(json.dumps({"steps": steps} | found))
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--losses", type=Path, help="where losses are kept and looked for")
    arguments = parser.parse_args()
    gu.set_num_threads(1)
    data = text()
    batch = batches(data, 1, 0)[0]
    losses = losses_of(data, arguments.steps, arguments.seeds, arguments.losses)
    took = timed(batch, arguments.turns)
    rows = []
    for p in PRECISIONS:
        weights, saved = memory(p, batch)
        change = [a - b for a, b in zip(losses[p], losses["float32"], strict=True)]
        rows.append([
            p,
            f"{weights / 2**20:.2f}",
            f"{saved / 2**20:.2f}",
            f"{statistics.mean(losses[p]):.4f}",
            "" if p == "float32" else interval(change),
            f"{took[f'{p} eager']:.1f}",
            f"{took[f'{p} compiled']:.1f}" if f"{p} compiled" in took else "not compiled",
        ])  # fmt: skip
    head = [
        "precision", "parameters, MiB", "saved for backward, MiB", "validation loss, nats",
        "difference to float32 (95%)", "eager step, ms", "compiled step, ms",
    ]  # fmt: skip
    report = f"""## Mixed precision

Written by `python benchmarks/bench_precision.py --write`; one thread. A GPT of {CONFIG.num_layers}
layers, {CONFIG.d_model} wide, context {CONFIG.context}, {BATCH} texts a batch, trained by AdamW for
{arguments.steps} steps on the source of Python's standard library, {arguments.seeds} seeds.
Parameters are float32 in all rows; products are computed from 16-bit copies of them and of the
activations, and "saved for backward" counts those copies too. The loss is that of held-out text.

{markdown_table(head, rows)}

16 bits save memory here, never time: the processor's products are those of float32, and every
conversion comes on top. float16 needs its loss scaled; bfloat16, with the range of float32, does
not. Weights that are stored in bfloat16 (`model.bfloat16()`, `gu.save`) take half the space.

Measured on: {processor()}, Python {platform.python_version()}, NumPy {np.__version__}.
"""
    print(report)
    if arguments.write:
        write_section("precision", report)


if __name__ == "__main__":
    main()
