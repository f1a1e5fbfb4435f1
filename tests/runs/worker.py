"""What the tests of several processes run: python worker.py WHAT FOLDER ARGUMENTS.

log FOLDER N        log N steps as fast as possible; print the run, then each step once it is logged
open FOLDER N       open the store N times and list the runs
burst FOLDER N M    make N runs with M points each, reading in between
"""

import sys
from pathlib import Path

from groundup.runs import Store


def log(folder: Path, steps: int) -> None:
    with Store(folder) as store, store.start("killed", seed=1) as run:
        print(run.id, flush=True)
        for step in range(1, steps + 1):
            values = {"loss": step / 7, "lr": 0.1}
            if step % 10 == 0:
                values |= {f"weight_norm/{i}": step + i / 7 for i in range(300)}
            run.log(step, **values)
            print(step, flush=True)


def open_store(folder: Path, times: int) -> None:
    for _ in range(times):
        with Store(folder) as store:
            store.runs()


def burst(folder: Path, runs: int, points: int) -> None:
    with Store(folder) as store:
        for seed in range(runs):
            with store.start("burst", {"points": points}, seed=seed) as run:
                for step in range(points):
                    run.log(step, loss=float(step))
                    if step % 100 == 0:
                        run.flush()
                        for info in store.runs(most=3):
                            store.series(info.id)
            store.label(run.id, note="finished")


if __name__ == "__main__":
    what, folder, *numbers = sys.argv[1:]
    {"log": log, "open": open_store, "burst": burst}[what](Path(folder), *map(int, numbers))
