"""A process that learns until it is killed, many times over, without starting Python each time.

    python -m tests.apps.finch.store.killing

For each line on its standard input, the path of a home and seconds between two commits, it forks a
child that notes requests and keeps states as fast as it can, and prints the child's number. The
child writes the number of each request that it noted, and of each state that it kept, to a file
beside the home.
"""

from __future__ import annotations

import os
import sys
import time

import numpy as np

from groundup.apps.finch.store import Record, Store, find

SCOPE, TASK = "0a" * 16, "00000000000000aa"


def state(number: int) -> dict[str, np.ndarray]:
    """A state of which every part says which one it is."""
    return {
        "weight": np.full((200, 200), number, np.float32),
        "cache": np.full(3000, number, np.uint64),
    }


def work(folder: str, interval: float) -> None:
    """Go on from what is there, until the end."""
    diary = os.open(f"{folder}.diary", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with Store(folder, interval=interval) as store:
        os.write(diary, b"opened 0\n")
        newest = find(store.home, "last")
        before = store.minds.load(SCOPE, TASK)
        number = 0 if newest is None else int(newest.ident)
        kept = 0 if before is None else before.content
        while True:
            for _ in range(20):
                number += 1
                store.log.append(
                    Record(
                        str(number), time.time(), "forward", "cold start", SCOPE, "", TASK,
                        query=f"query {number} " * 5, answer=f"answer {number}",
                    )
                )  # fmt: skip
            os.write(diary, f"noted {number} {time.time()}\n".encode())
            kept += 1
            store.minds.save(SCOPE, TASK, state(kept), kept)
            os.write(diary, f"kept {kept}\n".encode())
            time.sleep(0.001)


def main() -> None:
    """Fork a child for each line."""
    for line in sys.stdin:
        folder, interval = line.rsplit(" ", 1)
        child = os.fork()
        if child == 0:
            try:
                work(folder, float(interval))
            finally:
                os._exit(1)
        print(child, flush=True)
        os.waitpid(child, 0)
        print("ended", flush=True)


if __name__ == "__main__":
    main()
