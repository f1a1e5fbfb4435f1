"""The log: what became of every request, written twice a second.

Noting a request costs no wait for the disk: it is put on a list that a thread commits. A killed
process loses what is on the list, so at most about a second. If the disk refuses, the list waits,
and beyond `MOST_WAITING` the oldest of it is dropped; requests are served all the same.

What was said, queries and answers, is only noted of requests that are learned from, in a table of
its own, and deleted after the days of `keep_texts`. What a mind has learned from them outlives
that: `purge` is what deletes both.
"""

from __future__ import annotations

import json
import math
import sqlite3
import threading
import time

from ..errors import FinchError
from .database import Database
from .record import Record

INTERVAL = 0.5
"""Seconds between two commits."""
MOST_WAITING = 20_000
"""Entries."""
TRIMMING = 60.0
"""Seconds between two looks for what is too old."""
MOST_TASKS, MOST_DAYS = 20_000, 50_000
"""Rows of the tables that sum up."""
LONGEST = 300
"""Characters of a name or reason."""
DAY = 86_400.0
FURTHEST = 2.0**37
"""Seconds since 1970 that have a date, and more than any other number here."""
MOST = 2**31
"""Tokens of a request."""

AT_ONCE = 500
"""Rows in a statement; each has up to 17 values, and SQLite takes 32,766."""

COLUMNS = (
    "ident upstream time scope task path model status decision reason score propensity scores "
    "latencies input_tokens output_tokens agreed"
)
BATCH = "ident namespace query answer said"

# What follows from the requests of a batch, which are those with a greater number than before it.
STATEMENTS = (
    """INSERT INTO days
        SELECT date(time, 'unixepoch'), scope, task, model, decision, count(*),
            sum(input_tokens), sum(output_tokens), total(agreed), count(agreed) - total(agreed)
        FROM requests WHERE number > ? GROUP BY 1, 2, 3, 4, 5
    ON CONFLICT DO UPDATE SET requests = requests + excluded.requests,
        input_tokens = input_tokens + excluded.input_tokens,
        output_tokens = output_tokens + excluded.output_tokens,
        agreed = agreed + excluded.agreed, disagreed = disagreed + excluded.disagreed""",
    """INSERT OR IGNORE INTO scopes
        SELECT scope, namespace, min(time) FROM requests JOIN temp.batch USING (ident)
        WHERE number > ? GROUP BY scope""",
    """INSERT INTO tasks
        SELECT scope, task, path, model, min(time), max(time), min(time)
        FROM requests JOIN temp.batch USING (ident) WHERE number > ? GROUP BY scope, task
    ON CONFLICT DO UPDATE SET since = min(coalesce(since, excluded.since), excluded.since)""",
    """UPDATE tasks SET last = max(tasks.last, new.last) FROM (
        SELECT scope, task, max(time) AS last FROM requests WHERE number > ? GROUP BY scope, task
    ) AS new WHERE tasks.scope = new.scope AND tasks.task = new.task""",
)
TEXTS = """INSERT INTO texts SELECT number, scope, task, time, query, answer, said
    FROM requests JOIN temp.batch USING (ident) WHERE number > ?"""


class Log:
    """Notes requests.

    Args:
        database: where.
        keep_texts: days for which queries and answers are kept; 0 keeps none.
        keep_requests: rows that are kept at most; the totals keep counting.
        interval: seconds between two commits.

    Example:
        >>> import tempfile, pathlib
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     database = Database(pathlib.Path(folder) / "finch.sqlite")
        ...     log = Log(database)
        ...     log.append(Record("req_1", time.time(), "forward", "cold start"))
        ...     log.close()
        ...     database.write(lambda db: db.execute("SELECT ident FROM requests").fetchall())
        ...     database.close()
        [('req_1',)]
    """

    def __init__(
        self,
        database: Database,
        *,
        keep_texts: float = 30.0,
        keep_requests: int = 1_000_000,
        interval: float = INTERVAL,
    ) -> None:
        self.dropped = 0
        """Entries that the disk did not take in time."""
        self.trouble = ""
        """What the disk says, while it refuses."""
        self._database = database
        self._keep_texts, self._keep_requests = keep_texts, keep_requests
        self._interval = interval
        self._waiting: list[Record] = []
        self._lock = threading.Lock()
        self._committing = threading.Lock()
        self._trimmed = -math.inf
        database.write(
            lambda db: db.execute(
                "CREATE TEMP TABLE IF NOT EXISTS batch"
                "(ident PRIMARY KEY, namespace, query, answer, said)"
            )
        )
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="finch log", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Entries that are not committed yet."""
        return len(self._waiting)

    def append(self, record: Record) -> None:
        """Note a request when it is over. A name that is there already is not noted again."""
        with self._lock:
            if len(self._waiting) >= MOST_WAITING:
                self.dropped += 1
                del self._waiting[0]
            self._waiting.append(record)

    def flush(self) -> None:
        """Commit now.

        Raises:
            FinchError: the disk refuses; the entries wait.
        """
        with self._committing:
            with self._lock:
                batch, self._waiting = self._waiting, []
            try:
                self._database.write(lambda db: self._write(db, batch))
            except FinchError as error:
                self.trouble = str(error)
                with self._lock:
                    self._waiting = batch + self._waiting
                raise
            except Exception:  # nothing that waiting would help; what comes later is noted again
                self.dropped += len(batch)
                raise
            self.trouble = ""

    def close(self) -> None:
        """Commit what waits, and end.

        Raises:
            FinchError: the disk refuses.
        """
        self._ending.set()
        self._thread.join()
        self.flush()

    def _work(self) -> None:
        while not self._ending.wait(self._interval):
            if self._waiting or time.monotonic() - self._trimmed > TRIMMING:
                try:
                    self.flush()
                except FinchError:  # `trouble` has it; the next time tries again
                    continue
                except Exception as error:
                    self.trouble = f"{self.dropped:,} requests could not be noted: {error}"

    # In the transaction

    def _write(self, db: sqlite3.Connection, batch: list[Record]) -> None:
        (before,) = db.execute("SELECT coalesce(max(number), 0) FROM requests").fetchone()
        _insert(db, "requests", COLUMNS, [_row(record) for record in batch])
        learned = [_text(record) for record in batch if record.query is not None]
        _insert(db, "temp.batch", BATCH, learned)
        for statement in STATEMENTS:
            db.execute(statement, (before,))
        if self._keep_texts > 0:
            db.execute(TEXTS, (before,))
        db.execute("DELETE FROM temp.batch")
        if time.monotonic() - self._trimmed > TRIMMING:
            self._trim(db)
            self._trimmed = time.monotonic()

    def _trim(self, db: sqlite3.Connection) -> None:
        oldest = time.time() - self._keep_texts * DAY
        db.execute("DELETE FROM texts WHERE time < ?", (oldest,))
        (newest,) = db.execute("SELECT max(number) FROM requests").fetchone()
        limit = (newest or 0) - self._keep_requests
        db.execute("DELETE FROM texts WHERE number <= ?", (limit,))
        db.execute("DELETE FROM requests WHERE number <= ?", (limit,))
        db.execute(
            "DELETE FROM tasks WHERE rowid NOT IN (SELECT rowid FROM tasks ORDER BY last DESC "
            f"LIMIT {MOST_TASKS})"
        )
        (rows,) = db.execute("SELECT count(*) FROM days").fetchone()
        if rows > MOST_DAYS:
            _condense(db)


def _condense(db: sqlite3.Connection) -> None:
    """Sum up days over scopes and tasks: there are clients of which every request is a new task."""
    db.execute(
        """CREATE TEMP TABLE summed AS SELECT day, '' AS scope, '' AS task, '' AS model, decision,
            sum(requests), sum(input_tokens), sum(output_tokens), sum(agreed), sum(disagreed)
        FROM days GROUP BY day, decision"""
    )
    db.execute("DELETE FROM days")
    db.execute("INSERT INTO days SELECT * FROM summed")
    db.execute("DROP TABLE temp.summed")


def _insert(
    db: sqlite3.Connection, table: str, columns: str, rows: list[tuple[object, ...]]
) -> None:
    """Insert many rows with few statements.

    Between two statements the thread that learns takes over, for milliseconds each time.
    """
    marks = f"({', '.join('?' * len(columns.split()))})"
    into = f"INSERT OR IGNORE INTO {table} ({', '.join(columns.split())}) VALUES "
    for first in range(0, len(rows), AT_ONCE):
        part = rows[first : first + AT_ONCE]
        values = [value for row in part for value in row]
        db.execute(into + ", ".join([marks] * len(part)), values)


def _row(record: Record) -> tuple[object, ...]:
    """A row of requests."""
    return (
        _name(record.ident),
        _name(record.upstream),
        _finite(record.time),
        _name(record.scope),
        _name(record.task),
        _name(record.path),
        _name(record.model),
        _whole(record.status),
        record.decision,
        _name(record.reason),
        None if record.score is None else _finite(record.score),
        _finite(record.propensity),
        json.dumps({o.stage: _finite(o.score) for o in record.opinions}),
        json.dumps({name: round(_finite(s), 6) for name, s in record.latencies.items()}),
        _whole(record.input_tokens),
        _whole(record.output_tokens),
        record.agreed,
    )


def _text(record: Record) -> tuple[object, ...]:
    """What was said, of a request that is learned from."""
    assert record.query is not None
    return (
        _name(record.ident),
        _name(record.namespace),
        _bytes(record.query),
        None if record.answer is None else _bytes(record.answer),
        json.dumps({o.stage: o.answer for o in record.opinions}),
    )


def _name(text: str) -> str:
    """Bounded, and without what no file takes."""
    return text[:LONGEST].encode(errors="replace").decode()


def _finite(value: float) -> float:
    """A number that JSON and dates have; 0 for what is none."""
    return float(value) if abs(value) < FURTHEST else 0.0


def _whole(value: int) -> int:
    """Bounded: the other side may say that an answer had any number of tokens."""
    return max(0, min(int(value), MOST))


def _bytes(text: str) -> bytes:
    """Any text, with lone halves of surrogate pairs too."""
    return text.encode("utf-8", "surrogatepass")
