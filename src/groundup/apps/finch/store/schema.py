"""The tables of the log. To change them, add a migration at the end and change none before.

A new file gets all migrations in order, an older one those that it lacks; their number is the
version that `PRAGMA user_version` keeps.

`texts` has all that was said, and nothing else has any of it: purging empties it and leaves the
figures. `days` sums up `requests`, so that totals outlive the rows that are trimmed.
"""

from __future__ import annotations

import sqlite3

APPLICATION = 0x666E6368
"""Marks a file as one of Finch's (`PRAGMA application_id`): "fnch"."""

MIGRATIONS: list[tuple[str, ...]] = [
    (
        """CREATE TABLE scopes (
            scope TEXT PRIMARY KEY,
            namespace TEXT NOT NULL,
            created REAL NOT NULL
        )""",
        # `since` is the time of the first request that the task's mind has learned from.
        """CREATE TABLE tasks (
            scope TEXT NOT NULL,
            task TEXT NOT NULL,
            path TEXT NOT NULL,
            model TEXT NOT NULL,
            created REAL NOT NULL,
            last REAL NOT NULL,
            since REAL,
            PRIMARY KEY (scope, task)
        )""",
        """CREATE TABLE requests (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            ident TEXT NOT NULL UNIQUE,
            upstream TEXT NOT NULL,
            time REAL NOT NULL,
            scope TEXT NOT NULL,
            task TEXT NOT NULL,
            path TEXT NOT NULL,
            model TEXT NOT NULL,
            status INTEGER NOT NULL,
            decision TEXT NOT NULL,
            reason TEXT NOT NULL,
            score REAL,
            propensity REAL NOT NULL,
            scores TEXT NOT NULL,
            latencies TEXT NOT NULL,
            input_tokens INTEGER NOT NULL,
            output_tokens INTEGER NOT NULL,
            agreed INTEGER
        )""",
        "CREATE INDEX requests_by_task ON requests (scope, task, number)",
        "CREATE INDEX requests_by_upstream ON requests (upstream) WHERE upstream <> ''",
        """CREATE TABLE texts (
            number INTEGER PRIMARY KEY,
            scope TEXT NOT NULL,
            task TEXT NOT NULL,
            time REAL NOT NULL,
            query BLOB NOT NULL,
            answer BLOB,
            said TEXT NOT NULL
        )""",
        "CREATE INDEX texts_by_task ON texts (scope, task, time)",
        "CREATE INDEX texts_by_time ON texts (time)",
        """CREATE TABLE days (
            day TEXT NOT NULL,
            scope TEXT NOT NULL,
            task TEXT NOT NULL,
            model TEXT NOT NULL,
            decision TEXT NOT NULL,
            requests INTEGER NOT NULL,
            input_tokens INTEGER NOT NULL,
            output_tokens INTEGER NOT NULL,
            agreed INTEGER NOT NULL,
            disagreed INTEGER NOT NULL,
            PRIMARY KEY (day, scope, task, model, decision)
        ) WITHOUT ROWID""",
    ),
]


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring tables of a version (0: none) to the newest, in one transaction.

    Example:
        >>> connection = sqlite3.connect(":memory:", isolation_level=None)
        >>> migrate(connection, 0)
        >>> connection.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)
        True
    """
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
