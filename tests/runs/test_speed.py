"""Logging and reading keep up with training and with a dashboard.

Measured in processor time, so that other programs do not count, and with room to spare: these are
the requirements, not what the machine can do.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from groundup.runs import Store, journal, series

pytestmark = pytest.mark.slow


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    start = time.process_time()
    yield
    taken = time.process_time() - start
    assert taken < seconds, f"{taken:.2f} s of processor time, expected less than {seconds} s"


@pytest.mark.parametrize("together", [1, 4, 100])
def test_twenty_thousand_points_a_second(store: Store, together: int) -> None:
    """From `log` to the database, the run's end included."""
    names = [f"weight_norm/{i}" for i in range(together)]
    with store.start("digits") as run, at_most(5.0):
        for step in range(100_000 // together):
            run.log(step, **dict.fromkeys(names, step / 3))
        run.finish()
    assert len(store.points(run.id, names[-1])) == 100_000 // together


def test_a_million_points_are_read_at_once(store: Store) -> None:
    info = store.queue("digits")
    values = np.random.default_rng(0).standard_normal(1_000_000)
    values[654_321] = 50.0
    steps = list(range(1_000_000))
    columns = (steps, [float(step) for step in steps], values.tolist())
    store._database.write(lambda db: series.append(db, 1, "loss", columns))
    with at_most(1.0):
        whole = store.points(info.id, "loss")
    assert whole.values.tobytes() == values.tobytes()
    with at_most(1.0):
        thinned = store.points(info.id, "loss", most=2000)
    assert len(thinned) <= 2000
    assert thinned.steps[thinned.values.argmax()] == 654_321
    with at_most(0.1):
        assert len(store.points(info.id, "loss", steps=(500_000, 501_000), most=2000)) == 1001
    with at_most(0.05):
        assert len(store.points(info.id, "loss", after=999_990)) == 10
    size = (store.folder / "runs.sqlite").stat().st_size
    size += (store.folder / "runs.sqlite-wal").stat().st_size
    assert size < 60_000_000, "24 bytes a point, twice at most while the log of changes is there"


def test_a_database_of_many_runs_opens_quickly(store: Store) -> None:
    info = store.queue("digits", {"epochs": 5})
    for i in range(1000):
        folder = store.folder / f"digits-20250101-000000-{i:06x}"
        folder.mkdir()
        content = (info.folder / journal.NAME).read_bytes()
        (folder / journal.NAME).write_bytes(content)
    store.scan()
    with at_most(1.0), Store(store.folder) as other:
        assert len(other.runs()) == 1001
