"""Migrations: every earlier version becomes the newest, with what was in it. R14.5."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from groundup.apps.finch.errors import FinchError
from groundup.apps.finch.store import schema
from groundup.apps.finch.store.database import Database, reading

# Of each migration that was ever released; a new one adds a line, and no line changes.
RELEASED = ["6b70064f0037fb17"]

ROWS = {
    1: [
        "INSERT INTO scopes VALUES ('0a', 'ns', 1.0)",
        "INSERT INTO tasks VALUES ('0a', '0b', '/v1/messages', 'm', 1.0, 2.0, NULL)",
        "INSERT INTO requests VALUES (7, 'req', 'up', 1.0, '0a', '0b', '/v1/messages', 'm', 200,"
        " 'local', 'score', 0.9, 0.05, '{}', '{}', 1, 2, 1)",
        "INSERT INTO texts VALUES (7, '0a', '0b', 1.0, x'68', x'69', '{}')",
        "INSERT INTO days VALUES ('1970-01-01', '0a', '0b', 'm', 'local', 1, 1, 2, 1, 0)",
    ],
}


def test_no_released_migration_was_changed() -> None:
    found = [
        hashlib.sha256("\n".join(" ".join(s.split()) for s in migration).encode()).hexdigest()[:16]
        for migration in schema.MIGRATIONS
    ]
    assert found == RELEASED


def made(path: Path, version: int) -> dict[str, list[tuple[object, ...]]]:
    """A file as a version left it; its rows."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for migration in schema.MIGRATIONS[:version]:
            for statement in migration:
                db.execute(statement)
        for statement in ROWS.get(version, []):
            db.execute(statement)
        if version:
            db.execute(f"PRAGMA application_id = {schema.APPLICATION}")
        db.execute(f"PRAGMA user_version = {version}")
        return rows(db)


def rows(db: sqlite3.Connection) -> dict[str, list[tuple[object, ...]]]:
    names = [n for (n,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {name: db.execute(f"SELECT * FROM {name}").fetchall() for name in names}


@pytest.mark.parametrize("version", range(len(schema.MIGRATIONS) + 1))
def test_every_version_becomes_the_newest(tmp_path: Path, version: int) -> None:
    path = tmp_path / "finch.sqlite"
    before = made(path, version)
    assert version == 0 or before["requests"], "the test has no rows of this version"
    Database(path).close()
    with reading(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (len(schema.MIGRATIONS),)
        after = rows(db)
        for name, found in before.items():
            assert [row[: len(old)] for row, old in zip(after[name], found, strict=True)] == found


def test_a_migration_that_fails_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "finch.sqlite"
    made(path, len(schema.MIGRATIONS))
    more = [("ALTER TABLE requests ADD COLUMN more TEXT", "INSERT INTO no_such_table VALUES (1)")]
    newest = schema.MIGRATIONS + more
    monkeypatch.setattr(schema, "MIGRATIONS", newest)
    with pytest.raises(FinchError, match="of version 1, expected 2; `finch serve`"), reading(path):
        pass
    with pytest.raises(FinchError, match="no_such_table"):
        Database(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (len(newest) - 1,)
        assert len(rows(db)["requests"][0]) == 18
    newest[-1] = newest[-1][:1]
    Database(path).close()
    with reading(path) as db:
        assert rows(db)["requests"][0][-1] is None
