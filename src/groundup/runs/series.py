"""Series of points (step, time, value) as rows of the database, and reading them thinned out.

A series is stored in pieces of 512 points: three columns of 8 bytes a point, one after the other,
with a checksum. The last piece is replaced until it is full. The key of a piece is the number of
the series times 2^32 plus the number of the piece, so that a series lies together in the file and
any part of it is found at once. A million points are 2,000 rows.

Thinning keeps, of each of so many stretches of points, the least and the greatest value where they
are, and the first that is not a number. A peak of a single step stays in sight at any scale.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .errors import Damaged

PIECE = 512
KEYS = 1 << 32
POINT = 24
"""Bytes of a point."""

Columns = tuple[np.ndarray, np.ndarray, np.ndarray]
Lists = tuple[list[int], list[float], list[float]]


@dataclass(frozen=True)
class Points:
    """A part of a series, in the order in which it was logged.

    Attributes:
        steps: int64, shape (n,).
        times: float64, shape (n,), seconds since 1970.
        values: float64, shape (n,).

    Example:
        >>> points = Points(np.array([1, 2]), np.array([0.5, 0.75]), np.array([9.0, 8.0]))
        >>> len(points)
        2
    """

    steps: np.ndarray
    times: np.ndarray
    values: np.ndarray

    def __len__(self) -> int:
        return len(self.steps)

    def thinned(self, most: int) -> Points:
        """At most so many of the points, peaks and gaps among them.

        Args:
            most: at least 5.

        Returns:
            The points themselves if they are few enough, otherwise the first, the last, and the
            extremes and first NaN of stretches of equal length.

        Raises:
            ValueError: ``most`` is below 5.

        Example:
            >>> values = np.zeros(1_000_000)
            >>> values[123_456] = 7.0
            >>> points = Points(np.arange(1_000_000), np.arange(1e6), values).thinned(1000)
            >>> len(points) <= 1000, points.values.max(), points.steps[points.values.argmax()]
            (True, np.float64(7.0), np.int64(123456))
        """
        if most < 5:
            raise ValueError(f"thinned: at most {most} points, expected at least 5")
        if len(self) <= most:
            return self
        kept = _kept(self.values, most)
        return Points(self.steps[kept], self.times[kept], self.values[kept])


def _kept(values: np.ndarray, most: int) -> np.ndarray:
    missing = np.isnan(values)
    each = 3 if missing.any() else 2
    length = -(-len(values) // ((most - 2) // each))
    stretches = -(-len(values) // length)
    padding = stretches * length - len(values)

    def first(of: np.ndarray, fill: float) -> np.ndarray:
        """Where the largest of each stretch is; the first of them if there are several."""
        table = np.pad(of, (0, padding), constant_values=fill).reshape(stretches, length)
        return table.argmax(axis=1) + np.arange(stretches) * length

    found = [
        np.array([0, len(values) - 1]),
        first(np.where(missing, -np.inf, values), -np.inf),
        first(np.where(missing, -np.inf, -values), -np.inf),
    ]
    if each == 3:
        gaps = first(missing, False)
        found.append(gaps[missing[gaps]])
    return np.unique(np.concatenate(found))


@dataclass(frozen=True)
class SeriesInfo:
    """What is known of a series without reading it.

    Attributes:
        name: such as "loss" or "gradient_norm/0.weight".
        count: how many points it has.
        last_step: the step of the newest.
        last_value: the newest value.
        low: the smallest value that is a number; NaN if there is none.
        high: the largest.
        order: 0 for the series of the run that began first, and so on.

    Example:
        >>> SeriesInfo("loss", 2, 2, 0.25, 0.25, 0.5, 0).last_value
        0.25
    """

    name: str
    count: int
    last_step: int
    last_value: float
    low: float
    high: float
    order: int


def append(db: sqlite3.Connection, run: int, name: str, points: Lists) -> None:
    """Add points to a series of a run; within a transaction."""
    row = db.execute(
        "SELECT number, count, low, high FROM series WHERE run = ? AND name = ?", (run, name)
    ).fetchone()
    if row is None:
        added = db.execute(
            "INSERT INTO series (run, name, count, last_step) VALUES (?, ?, 0, 0)", (run, name)
        )
        row = (added.lastrowid, 0, None, None)
    number, count, low, high = row
    steps, times, values = (
        np.array(column, kind) for column, kind in zip(points, ("<i8", "<f8", "<f8"), strict=True)
    )
    # NULL, which is how SQLite stores NaN, stands for "no number yet".
    extremes = [value for value in (low, high) if value is not None]
    extremes += values[~np.isnan(values)].tolist()
    _write(db, number, count, (steps, times, values))
    db.execute(
        "UPDATE series SET count = ?, last_step = ?, last_value = ?, low = ?, high = ? "
        "WHERE number = ?",
        (
            count + len(steps),
            int(steps[-1]),
            float(values[-1]),
            min(extremes, default=None),
            max(extremes, default=None),
            number,
        ),
    )


def _write(db: sqlite3.Connection, number: int, count: int, columns: Columns) -> None:
    """Write columns behind the first `count` points, in pieces."""
    piece, filled = divmod(count, PIECE)
    if filled:
        rows = _pieces(db, number, piece, piece)
        tail = _decoded(rows[0]) if rows else ((),)
        if len(tail[0]) != filled:
            raise Damaged("the last piece of a series has not as many points as it should")
        columns = tuple(  # type: ignore[assignment]
            np.concatenate([old, new]) for old, new in zip(tail, columns, strict=True)
        )
    rows = []
    for start in range(0, len(columns[0]), PIECE):
        steps, times, values = (column[start : start + PIECE] for column in columns)
        data = b"".join((steps.tobytes(), times.tobytes(), values.tobytes()))
        key = number * KEYS + piece + start // PIECE
        rows.append((key, int(steps.min()), int(steps.max()), zlib.crc32(data), data))
    db.executemany("INSERT OR REPLACE INTO pieces VALUES (?, ?, ?, ?, ?)", rows)


def _pieces(db: sqlite3.Connection, number: int, first: int, last: int) -> list[tuple]:
    return db.execute(
        "SELECT data, checksum FROM pieces WHERE key BETWEEN ? AND ? ORDER BY key",
        (number * KEYS + first, number * KEYS + last),
    ).fetchall()


def _decoded(row: tuple) -> Columns:
    data, checksum = row
    if type(data) is not bytes or len(data) % POINT or zlib.crc32(data) != checksum:
        raise Damaged("a piece of a series does not have its checksum")
    n = len(data) // POINT
    return (
        np.frombuffer(data, "<i8", n),
        np.frombuffer(data, "<f8", n, 8 * n),
        np.frombuffer(data, "<f8", n, 16 * n),
    )


def read(
    db: sqlite3.Connection,
    run: int,
    name: str,
    after: int = 0,
    steps: tuple[int, int] | None = None,
) -> Points | None:
    """The points of a series from a position on, within a range of steps; None without a series."""
    row = db.execute(
        "SELECT number, count FROM series WHERE run = ? AND name = ?", (run, name)
    ).fetchone()
    if row is None:
        if any(info.name == name for info in infos(db, run)):
            raise Damaged(f"series {name!r} is in the table but not in its index")
        return None
    number, count = row
    first = max(0, min(after, count)) // PIECE
    if steps is None:
        rows = _pieces(db, number, first, KEYS - 1)
    else:
        rows = db.execute(
            "SELECT data, checksum FROM pieces WHERE key BETWEEN ? AND ? "
            "AND high_step >= ? AND low_step <= ? ORDER BY key",
            (number * KEYS + first, number * KEYS + KEYS - 1, *steps),
        ).fetchall()
    decoded = [_decoded(row) for row in rows]
    if steps is None:
        if sum(len(columns[0]) for columns in decoded) != count - first * PIECE:
            raise Damaged(f"series {name!r} lacks a piece")
        start = max(0, min(after, count)) - first * PIECE
        selected: np.ndarray | slice = slice(start, None)
    columns = [
        np.concatenate([columns[i] for columns in decoded] or [np.empty(0, kind)])
        for i, kind in enumerate(("i8", "f8", "f8"))
    ]
    if steps is not None:
        selected = (columns[0] >= steps[0]) & (columns[0] <= steps[1])
    return Points(columns[0][selected], columns[1][selected], columns[2][selected])


def rewind(db: sqlite3.Connection, run: int, step: int, prefix: str) -> None:
    """Forget the points after a step, in the series whose names begin with the prefix."""
    found = db.execute("SELECT number, name FROM series WHERE run = ?", (run,)).fetchall()
    for number, name in found:
        if not name.startswith(prefix):
            continue
        points = read(db, run, name)
        assert points is not None
        kept = points.steps <= step
        if kept.all():
            continue
        remove(db, number)
        if kept.any():
            columns = (points.steps[kept], points.times[kept], points.values[kept])
            append(db, run, name, tuple(column.tolist() for column in columns))


def remove(db: sqlite3.Connection, number: int) -> None:
    """Forget a series."""
    db.execute(
        "DELETE FROM pieces WHERE key BETWEEN ? AND ?",
        (number * KEYS, number * KEYS + KEYS - 1),
    )
    db.execute("DELETE FROM series WHERE number = ?", (number,))


def append_all(db: sqlite3.Connection, run: int, points: Mapping[str, Lists]) -> None:
    """Add points to several series."""
    for name, lists in points.items():
        append(db, run, name, lists)


def infos(db: sqlite3.Connection, run: int) -> list[SeriesInfo]:
    """All series of a run, by name."""
    rows: Sequence[tuple] = db.execute(
        "SELECT name, count, last_step, last_value, low, high FROM series "
        "WHERE run = ? ORDER BY number",
        (run,),
    ).fetchall()
    found = []
    for order, (name, count, step, *numbers) in enumerate(rows):
        last, low, high = (float("nan") if value is None else value for value in numbers)
        found.append(SeriesInfo(name, count, step, last, low, high, order))
    return sorted(found, key=lambda info: info.name)
