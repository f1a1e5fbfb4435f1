"""Whatever the database file is, opening the store works, or says plainly why not."""

import os
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
import warnings
from contextlib import closing
from pathlib import Path

import pytest

from groundup.runs import (
    DamageWarning,
    RunsError,
    StorageError,
    Store,
    VersionError,
    database,
    journal,
    schema,
)

from .test_store import everything, fill


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runs folder that has one of everything; tests work on copies of it."""
    folder = tmp_path_factory.mktemp("original")
    with Store(folder) as store:
        fill(store)
    return folder


@pytest.fixture
def copy(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "runs"))


def raw(folder: Path, *statements: str) -> list[tuple]:
    with closing(sqlite3.connect(folder / "runs.sqlite", isolation_level=None)) as connection:
        return [row for statement in statements for row in connection.execute(statement)]


def set_aside(folder: Path) -> list[str]:
    return [path.name for path in folder.glob("runs.sqlite.corrupt-*") if "-wal" not in path.name]


def test_how_the_database_is_set_up(copy: Path) -> None:
    with Store(copy) as store:
        found = store._database.read(
            lambda db: [
                db.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("journal_mode", "synchronous", "user_version", "application_id")
            ]
        )
    assert found == ["wal", 1, len(schema.MIGRATIONS), schema.APPLICATION]


# Older and newer


def test_an_older_database_is_copied_and_migrated(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(copy) as store:
        before = everything(store)
    later = ["ALTER TABLE runs ADD COLUMN colour TEXT", "UPDATE runs SET colour = 'red'"]
    monkeypatch.setattr(schema, "MIGRATIONS", [*schema.MIGRATIONS, tuple(later)])
    schema.expected.cache_clear()
    try:
        with Store(copy) as store:
            assert everything(store) == before
    finally:
        schema.expected.cache_clear()
    assert raw(copy, "PRAGMA user_version", "SELECT DISTINCT colour FROM runs") == [
        (len(schema.MIGRATIONS),),
        ("red",),
    ]
    (backup,) = copy.glob("runs.sqlite.version-*")
    with closing(sqlite3.connect(backup)) as old:
        assert old.execute("PRAGMA user_version").fetchone() == (len(schema.MIGRATIONS) - 1,)
        assert old.execute("SELECT count(*) FROM runs").fetchone() == (len(before),)
    assert not set_aside(copy)


def test_a_migration_that_fails_changes_nothing_and_loses_nothing(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(copy) as store:
        before = everything(store)
    later = ("CREATE TABLE colours (name TEXT)", "UPDATE colours SET nonsense = 1")
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", [*schema.MIGRATIONS, later])
        connection = sqlite3.connect(copy / "runs.sqlite", isolation_level=None)
        with closing(connection), pytest.raises(sqlite3.OperationalError):
            schema.migrate(connection, 1)
    assert raw(copy, "PRAGMA user_version") == [(1,)]
    assert raw(copy, "SELECT name FROM sqlite_schema WHERE name = 'colours'") == []
    # A database that is older by its number, but has not the tables of that version.
    migrations = [*schema.MIGRATIONS, ("ALTER TABLE runs ADD COLUMN colour TEXT",)]
    raw(copy, "ALTER TABLE runs ADD COLUMN colour TEXT")
    monkeypatch.setattr(schema, "MIGRATIONS", migrations)
    schema.expected.cache_clear()
    try:
        with pytest.warns(DamageWarning, match="migrating it from version 1 failed"):
            store = Store(copy)
        assert everything(store) == before
        store.close()
    finally:
        schema.expected.cache_clear()
    assert len(set_aside(copy)) == 1


def test_a_newer_database_is_refused_and_untouched(copy: Path) -> None:
    raw(copy, "PRAGMA user_version = 7", "ALTER TABLE runs ADD COLUMN colour TEXT")
    content = (copy / "runs.sqlite").read_bytes()
    with pytest.raises(VersionError, match=r"has version 7, this groundup reads up to 1\. Upgrade"):
        Store(copy)
    assert (copy / "runs.sqlite").read_bytes() == content


# Damaged


@pytest.mark.parametrize(
    "content",
    [b"\x00" * 4096, b"SQLite format 3\x00", b"not a database" * 1000, os.urandom(50_000)],
    ids=["zeros", "header", "text", "noise"],
)
def test_a_file_that_is_no_database_is_set_aside(copy: Path, content: bytes) -> None:
    with Store(copy) as store:
        before = everything(store)
    (copy / "runs.sqlite").write_bytes(content)
    with pytest.warns(DamageWarning, match=r"set aside as runs\.sqlite\.corrupt-\d{8}-\d{6} and"):
        store = Store(copy)
    assert everything(store) == before
    store.close()
    (name,) = set_aside(copy)
    assert (copy / name).read_bytes() == content


def test_an_empty_file_is_a_new_database(copy: Path) -> None:
    with Store(copy) as store:
        before = everything(store)
    (copy / "runs.sqlite").write_bytes(b"")
    with Store(copy) as store:
        assert everything(store) == before


def test_a_database_of_something_else_is_set_aside(tmp_path: Path) -> None:
    raw(tmp_path, "CREATE TABLE accounts (name TEXT)", "INSERT INTO accounts VALUES ('me')")
    with pytest.warns(DamageWarning, match="not a database of runs"):
        Store(tmp_path).close()
    (name,) = set_aside(tmp_path)
    with closing(sqlite3.connect(tmp_path / name)) as other:
        assert other.execute("SELECT name FROM accounts").fetchall() == [("me",)]


def test_a_missing_table_is_damage(copy: Path) -> None:
    with Store(copy) as store:
        before = everything(store)
        raw(copy, "DROP TABLE media")  # while it is open
        with pytest.warns(DamageWarning):
            assert everything(store) == before


def test_a_table_that_lost_rows_is_damage(copy: Path) -> None:
    """A page with fewer rows than its index is well-formed; it reads as if less were logged."""
    with Store(copy) as store:
        before = everything(store)
    raw(copy, "PRAGMA wal_checkpoint(TRUNCATE)")
    ((page,), (size,)) = raw(
        copy, "SELECT rootpage FROM sqlite_master WHERE name = 'series'", "PRAGMA page_size"
    )
    content = bytearray((copy / "runs.sqlite").read_bytes())
    count = (page - 1) * size + 3  # two bytes of a leaf's header: how many rows it has
    content[count : count + 2] = (1).to_bytes(2, "big")
    (copy / "runs.sqlite").write_bytes(content)
    with pytest.warns(DamageWarning):
        store = Store(copy)
    assert everything(store) == before
    store.close()


def test_a_folder_in_the_place_of_the_database_is_set_aside(copy: Path) -> None:
    with Store(copy) as store:
        before = everything(store)
    (copy / "runs.sqlite").unlink()
    (copy / "runs.sqlite").mkdir()
    with pytest.warns(DamageWarning, match="it is a folder"):
        store = Store(copy)
    assert everything(store) == before
    store.close()
    (name,) = set_aside(copy)
    assert (copy / name).is_dir()


def test_a_folder_that_may_not_be_written_can_be_looked_at(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An archive of somebody else: its database is copied, and what it lacks is read as well."""
    with Store(copy) as store:
        before = everything(store)
    database_before = (copy / "runs.sqlite").read_bytes()
    with Store(copy) as store, store.start("late") as late:
        late.log(1, loss=0.5)
    for path in copy.glob("runs.sqlite-*"):
        path.unlink()
    (copy / "runs.sqlite").write_bytes(database_before)
    files = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != copy and real(path, mode))
    with Store(copy) as store:
        assert store.points(late.id, "loss").values.tolist() == [0.5]
        assert {k: v for k, v in everything(store).items() if k != late.id} == before
        where = store._database.path
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == files
    assert not where.exists()


def test_a_file_is_no_folder_of_runs(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(StorageError, match="is a file, expected the folder of the runs"):
        Store(tmp_path / "runs")


def test_a_run_that_may_not_be_read_does_not_hide_the_others(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(copy) as store:
        ids = [info.id for info in store.runs()]
    (copy / "runs.sqlite").unlink()
    real = journal.read_events

    def read(path: Path, *places: int) -> object:
        if path.parent.name == ids[0]:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *places)

    monkeypatch.setattr(journal, "read_events", read)
    with pytest.warns(UserWarning, match="Permission denied. The run is left out"):
        store = Store(copy)
    assert {info.id for info in store.runs()} == set(ids) - {ids[0]}
    store.close()


def damaged(content: bytes, rng: random.Random) -> bytes:
    """The content after one of the things that disks and people do to files."""
    changed = bytearray(content)
    kind = rng.randrange(5)
    if kind == 0:  # some bytes
        for _ in range(rng.choice([1, 5, 50])):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
    elif kind == 1:  # a stretch
        start = rng.randrange(len(changed))
        length = min(rng.choice([10, 4096, 20_000]), len(changed) - start)
        changed[start : start + length] = rng.randbytes(length)
    elif kind == 2:  # the end is missing
        del changed[rng.randrange(len(changed)) :]
    elif kind == 3:  # two pages have changed places
        a, b = (4096 * rng.randrange(len(changed) // 4096) for _ in range(2))
        changed[a : a + 4096], changed[b : b + 4096] = changed[b : b + 4096], changed[a : a + 4096]
    else:  # a page of zeros
        start = 4096 * rng.randrange(len(changed) // 4096)
        changed[start : start + 4096] = bytes(4096)
    return bytes(changed)


@pytest.mark.parametrize("part", range(8))
def test_damage_anywhere(original: Path, tmp_path: Path, part: int) -> None:
    """The store opens, tells of all runs, and takes new ones; the curves are right."""
    with Store(original) as store:
        before = everything(store)
    content = (original / "runs.sqlite").read_bytes()
    warned = 0
    for case in range(10):
        rng = random.Random(100 * part + case)
        folder = Path(shutil.copytree(original, tmp_path / str(case)))
        (folder / "runs.sqlite").write_bytes(damaged(content, rng))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with Store(folder) as store:
                found = everything(store)
                assert set(found) == set(before)
                for run_id in before:
                    assert found[run_id][1] == before[run_id][1], f"curves, case {case}"
                with store.start("digits") as run:
                    run.log(1, loss=0.5)
                assert store.points(run.id, "loss").values.tolist() == [0.5]
        assert {warning.category for warning in caught} <= {DamageWarning}
        assert bool(caught) == bool(set_aside(folder))
        warned += bool(caught)
    assert warned, "no damage of this part was even noticed"


def test_a_damaged_log_of_changes(copy: Path, tmp_path: Path) -> None:
    """What SQLite has not yet moved from its -wal file may be lost there, not from the journals."""
    with Store(copy) as store:
        with store.start("digits") as run:
            for step in range(2000):
                run.log(step, loss=float(step))
        taken = shutil.copytree(copy, tmp_path / "taken")  # while it is open, as after a kill
        before = everything(store)
    wal = taken / "runs.sqlite-wal"
    content = bytearray(wal.read_bytes())
    assert len(content) > 10_000
    for place in range(5000, len(content), 3000):
        content[place] ^= 0xFF
    wal.write_bytes(content)
    (taken / "runs.sqlite-shm").unlink()
    with Store(taken) as store:
        assert everything(store) == before


# Several users of one file


def test_damage_is_repaired_once(copy: Path) -> None:
    """Two connections have the damaged file open; one repairs it, the other one notices."""
    with Store(copy) as first, Store(copy) as second:
        before = everything(first)
        content = damaged_everywhere(copy)
        for store in (first, second):
            # Forget the pages that SQLite remembers from before the damage.
            store._database.read(lambda db: db.execute("PRAGMA shrink_memory"))
        with pytest.warns(DamageWarning):
            assert everything(first) == before
        assert everything(second) == before
        assert everything(first) == before
    (name,) = set_aside(copy)
    assert (copy / name).read_bytes() == content


def damaged_everywhere(folder: Path) -> bytes:
    """In a process of its own, because closing a file here would end the locks of SQLite."""
    code = "import os, sys; p = sys.argv[1]; n = os.path.getsize(p); "
    code += "f = open(p, 'r+b'); f.write(os.urandom(n)); f.close(); "
    code += "os.truncate(p + '-wal', 0)"
    subprocess.run([sys.executable, "-c", code, str(folder / "runs.sqlite")], check=True)
    return (folder / "runs.sqlite").read_bytes()


def test_a_run_goes_on_while_its_database_is_replaced(store: Store) -> None:
    with store.start("digits") as run:
        for step in range(100):
            run.log(step, loss=float(step))
            if step == 50:
                run.flush()
                with Store(store.folder) as other, pytest.warns(DamageWarning):
                    other._database._set_aside(sqlite3.DatabaseError("for the test"))
    assert store.points(run.id, "loss").values.tolist() == [float(step) for step in range(100)]
    assert store.get(run.id).status == "done"


def test_readers_do_not_make_a_writer_wait(store: Store) -> None:
    with store.start("digits") as run, Store(store.folder) as other:
        run.log(1, loss=0.5)
        reading, done = threading.Event(), threading.Event()

        def read(db: sqlite3.Connection) -> tuple[int, int]:
            first = db.execute("SELECT count(*) FROM texts").fetchone()[0]
            reading.set()
            assert done.wait(30), "the writer waited for the reader"
            return first, db.execute("SELECT count(*) FROM texts").fetchone()[0]

        found: list[tuple[int, int]] = []
        thread = threading.Thread(target=lambda: found.append(other._database.read(read)))
        thread.start()
        assert reading.wait(30)
        run.log_text("written while the other one reads")
        run.flush()
        done.set()
        thread.join()
        assert found == [(0, 0)], "a reader sees one moment"
        assert len(other.texts(run.id)) == 1


def test_a_writer_waits_for_a_writer(store: Store) -> None:
    info = store.queue("digits")
    connection = sqlite3.connect(
        store.folder / "runs.sqlite", isolation_level=None, check_same_thread=False
    )
    connection.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.3, lambda: connection.execute("COMMIT"))
    timer.start()
    start = time.monotonic()
    assert store.label(info.id, note="patient").note == "patient"
    assert time.monotonic() - start > 0.2
    timer.join()
    connection.close()


def test_waiting_ends(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    info = store.queue("digits")
    with closing(sqlite3.connect(store.folder / "runs.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        monkeypatch.setattr(database, "PATIENCE", 0.1)
        store._database.read(lambda db: db.execute("PRAGMA busy_timeout = 10"))
        with pytest.raises(StorageError, match=r"kept it locked for 0\.1 seconds"):
            store.label(info.id, note="too late")
        assert store.get(info.id).note == "", "reading still works"


def test_an_error_of_the_program_is_not_damage(store: Store) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such table: nonsense"):
        store._database.read(lambda db: db.execute("SELECT * FROM nonsense"))
    assert not set_aside(store.folder)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        Store(tmp_path / "file" / "runs")
    assert issubclass(StorageError, RunsError)
    assert issubclass(StorageError, OSError)


def test_events_are_read_in_once_by_many_at_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "BLOCK", 2000)  # many short transactions
    info = store.queue("digits")
    writer = journal.Journal(info.folder / journal.NAME)
    for step in range(2000):
        writer.append_point(step, 1.0, {"loss": float(step)})
    writer.close()
    others = [Store.__new__(Store) for _ in range(3)]
    for other in others:
        other.folder = store.folder
        other._database = database.Database(store.folder / "runs.sqlite", lambda: None)
    threads = [threading.Thread(target=other.read_in, args=[info.id]) for other in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for other in others:
        other.close()
    assert store.points(info.id, "loss").values.tolist() == list(range(2000))
