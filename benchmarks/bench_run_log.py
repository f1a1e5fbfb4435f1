"""What logging one training step of ten scalars costs, beside tensorboardX and a CSV file.

`Run.log` hands the points to the operating system before it returns, so a killed process loses
none of them, and puts them into the database of runs behind the step's back; both are in its time.
tensorboardX keeps events in a queue that a thread writes out every two minutes, which a kill loses:
it is measured as it comes, and with a flush after each step, which gives about the same safety. The
CSV file gets a row a step and a flush.

    python benchmarks/bench_run_log.py
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

from harness import as_markdown, compare, processor
from tensorboardX import SummaryWriter

from groundup.runs import Store, export_csv

NAMES = [f"gradient_norm/{i}.weight" for i in range(10)]
Step = Callable[[], object]


def values(step: int) -> dict[str, float]:
    """What a step logs."""
    return {name: (step + i) / 7 for i, name in enumerate(NAMES)}


@contextmanager
def with_run(folder: Path) -> Iterator[Step]:
    """A step that logs to a run."""
    steps = count()
    with Store(folder / "runs") as store, store.start("bench") as run:

        def log() -> None:
            step = next(steps)
            run.log(step, **values(step))

        for _ in range(20):
            log()
        run.flush()
        rows = export_csv(store, [run.id], folder / "run.csv").read_text().splitlines()
        assert len(rows) == 1 + 20 * len(NAMES), f"{len(rows)} rows are there after 20 steps"
        yield log


@contextmanager
def with_tensorboard(folder: Path, flush: bool) -> Iterator[Step]:
    """A step that logs to an event file."""
    steps = count()
    writer = SummaryWriter(str(folder))

    def log() -> None:
        step = next(steps)
        for name, value in values(step).items():
            writer.add_scalar(name, value, step)
        if flush:
            writer.flush()

    yield log
    writer.close()


@contextmanager
def with_csv(path: Path) -> Iterator[Step]:
    """A step that writes a row."""
    steps = count()
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["step", *NAMES])
        writer.writeheader()

        def log() -> None:
            step = next(steps)
            writer.writerow({"step": step, **values(step)})
            file.flush()

        yield log


def main() -> None:
    """Measure in turns and print."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ours = stack.enter_context(with_run(folder))
        peers = {
            "tensorboardX, lost by a kill": with_tensorboard(folder / "queued", flush=False),
            "tensorboardX, flushed": with_tensorboard(folder / "flushed", flush=True),
            "CSV row, flushed": with_csv(folder / "points.csv"),
        }
        rows = [
            compare(name, ours, stack.enter_context(peer), threads=1)
            for name, peer in peers.items()
        ]
    print(as_markdown(rows, "the other"))
    print(f"\nTen scalars a step, on {processor()}.")


if __name__ == "__main__":
    main()
