"""Killed at any moment: no file is lost, and of the log about the last commit's interval. R14.5."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from tests.apps.finch.store.killing import SCOPE, TASK, state

from groundup.apps.finch.store import Home, Store, find, status
from groundup.apps.finch.store.log import INTERVAL

ROOT = Path(__file__).parents[4]


@pytest.fixture(scope="module")
def nursery() -> Iterator[subprocess.Popen[str]]:
    """Begins a child for each line that it is sent."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.apps.finch.store.killing"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    yield process
    process.kill()
    process.communicate()


def lived(nursery: subprocess.Popen[str], folder: Path, interval: float, seconds: float) -> float:
    """Let a child work for some seconds and kill it; when that was."""
    assert nursery.stdin is not None
    assert nursery.stdout is not None
    diary = Path(f"{folder}.diary")
    before = diary.read_text().count("opened") if diary.exists() else 0
    nursery.stdin.write(f"{folder} {interval}\n")
    nursery.stdin.flush()
    child = int(nursery.stdout.readline())
    end = time.monotonic() + 20
    while not diary.exists() or diary.read_text().count("opened") == before:
        assert time.monotonic() < end, "the child does not open the home"
        time.sleep(0.002)
    time.sleep(seconds)
    killed = time.time()
    os.kill(child, signal.SIGKILL)
    assert nursery.stdout.readline() == "ended\n"
    return killed


def check(folder: Path, killed: float, lost: float) -> None:
    """All that has to hold after a kill; at most so many seconds of the log may be lost."""
    home = Home(folder, make=False)
    assert home.owner() is None
    told = [line.split() for line in Path(f"{folder}.diary").read_text().splitlines()]
    kept = [int(line[1]) for line in told if line[0] == "kept"]
    last_life = told[len(told) - [line[0] for line in reversed(told)].index("opened") :]
    noted = [(int(line[1]), float(line[2])) for line in last_life if line[0] == "noted"]
    with Store(folder) as store:  # as the next server opens it
        found = store.minds.load(SCOPE, TASK)
    newest_kept = kept[-1] if kept else 0
    content = 0 if found is None else found.content
    assert content in (newest_kept, newest_kept + 1)  # written, but not yet told
    for name, array in ({} if found is None else state(content)).items():
        assert np.array_equal(found.arrays[name], array)
    names = {path.name for path in folder.rglob("*") if path.is_file()}
    assert names <= {
        "lock", "salts.json", "finch.sqlite", "finch.sqlite-wal", "finch.sqlite-shm",
        f"{TASK}.safetensors", f"{TASK}.previous.safetensors",
    }  # fmt: skip
    with closing(sqlite3.connect(home.database)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        (rows,) = db.execute("SELECT count(*) FROM requests").fetchone()
        texts, days = db.execute(
            "SELECT (SELECT count(*) FROM texts), (SELECT coalesce(sum(requests), 0) FROM days)"
        ).fetchone()
    assert rows == texts == days  # whole transactions
    newest = find(home, "last")
    assert (0 if newest is None else int(newest.ident)) == rows  # without a gap
    must = [number for number, moment in noted if moment < killed - lost]
    assert rows >= max(must, default=0)
    assert status(home)["totals"]["forward"]["requests"] == rows


def test_killed_at_random_moments(nursery: subprocess.Popen[str], tmp_path: Path) -> None:
    draw = random.Random(0)
    folder = tmp_path / "finch"
    # One long life first, so that "about the last interval" says something.
    killed = lived(nursery, folder, 0.1, 1.6)
    check(folder, killed, 1.0)
    assert status(Home(folder))["totals"]["forward"]["requests"] > 100
    for _ in range(19):
        killed = lived(nursery, folder, 0.02, draw.uniform(0.0, 0.25))
        check(folder, killed, 1.0)


@pytest.mark.slow
def test_killed_a_hundred_times(nursery: subprocess.Popen[str], tmp_path: Path) -> None:
    draw = random.Random(1)
    folder = tmp_path / "finch"
    for _ in range(100):
        killed = lived(nursery, folder, INTERVAL, draw.uniform(0.0, 3.0))
        check(folder, killed, 2.0)
