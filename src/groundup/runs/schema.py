"""The tables of the database. To change them, add a migration at the end and change none before.

A new database gets all migrations in order, an older one those that it lacks. Their number is the
version that `PRAGMA user_version` keeps.
"""

from __future__ import annotations

import sqlite3
from functools import cache

APPLICATION = 0x67757270
"""Marks a database as one of groundup's (`PRAGMA application_id`): "gurp"."""

PLAUSIBLE = 10_000
"""A version above this is no version but damage."""

MIGRATIONS: list[tuple[str, ...]] = [
    (
        """CREATE TABLE runs (
            number INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            experiment TEXT NOT NULL,
            status TEXT NOT NULL,
            created REAL NOT NULL,
            started REAL,
            ended REAL,
            seed INTEGER,
            config TEXT NOT NULL,
            parent TEXT,
            tags TEXT NOT NULL,
            note TEXT NOT NULL,
            host TEXT,
            pid INTEGER,
            heartbeat REAL,
            error TEXT,
            rewinds INTEGER NOT NULL DEFAULT 0,
            read_to INTEGER NOT NULL DEFAULT 0
        )""",
        "CREATE INDEX runs_by_parent ON runs (parent)",
        "CREATE INDEX runs_by_experiment ON runs (experiment, created)",
        # NULL in a column of numbers is NaN: SQLite has none.
        """CREATE TABLE series (
            number INTEGER PRIMARY KEY,
            run INTEGER NOT NULL,
            name TEXT NOT NULL,
            count INTEGER NOT NULL,
            last_step INTEGER NOT NULL,
            last_value REAL,
            low REAL,
            high REAL,
            UNIQUE (run, name)
        )""",
        """CREATE TABLE pieces (
            key INTEGER PRIMARY KEY,
            low_step INTEGER NOT NULL,
            high_step INTEGER NOT NULL,
            checksum INTEGER NOT NULL,
            data BLOB NOT NULL
        )""",
        """CREATE TABLE media (
            run INTEGER NOT NULL,
            name TEXT NOT NULL,
            step INTEGER,
            time REAL NOT NULL,
            file TEXT NOT NULL
        )""",
        "CREATE INDEX media_by_run ON media (run, name, step)",
        """CREATE TABLE verdicts (
            run INTEGER NOT NULL,
            claim TEXT NOT NULL,
            time REAL NOT NULL,
            content TEXT NOT NULL,
            PRIMARY KEY (run, claim)
        )""",
        """CREATE TABLE texts (
            number INTEGER PRIMARY KEY,
            run INTEGER NOT NULL,
            time REAL NOT NULL,
            text TEXT NOT NULL
        )""",
        "CREATE INDEX texts_by_run ON texts (run, number)",
    ),
]


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring tables of a version (0: none) to the newest, in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        for migration in MIGRATIONS[version:]:
            for statement in migration:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def tables(connection: sqlite3.Connection) -> set[tuple[str, str]]:
    """What the database says of itself: name and statement of each table and index."""
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return set(rows.fetchall())


@cache
def expected(version: int) -> frozenset[tuple[str, str]]:
    """The tables of the newest version, from a database in memory."""
    assert version == len(MIGRATIONS)
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        migrate(connection, 0)
        return frozenset(tables(connection))
    finally:
        connection.close()
