"""From the folder of a run into the database: exactly once, whoever does it and however often.

The database keeps for each run how far its journal has been read. Events are added and that
position is moved on in one transaction, which first looks whether the position is still what it
was. So a run's own process, a reader that finds a lost run, and the repair of a database can all
do this at the same time, and an event is never missing and never there twice.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import time
from calendar import timegm
from pathlib import Path
from typing import Any

from . import journal, series
from .database import Database
from .journal import Event
from .records import Verdict

RUN_ID = re.compile(r"(?P<experiment>[a-z0-9_][a-z0-9_.-]*)-(?P<stamp>\d{8}-\d{6})-[0-9a-f]{6}")


def run_folders(folder: Path) -> set[str]:
    """The ids of all runs that have a folder with a journal."""
    return {
        path.name
        for path in folder.iterdir()
        if RUN_ID.fullmatch(path.name) and os.path.isfile(path / journal.NAME)
    }


def read_in(database: Database, folder: Path) -> None:
    """Bring the database up to date with the folder of one run.

    Raises:
        StorageError: the database cannot be written.
    """
    run_id, path = folder.name, folder / journal.NAME

    def position(db: sqlite3.Connection) -> int | None:
        found = db.execute("SELECT read_to FROM runs WHERE id = ?", (run_id,)).fetchone()
        return None if found is None else found[0]

    while True:
        start = database.read(position)
        events, end = journal.read_events(path, start or 0)
        if end == start or (start is None and not path.exists()):
            return
        row = _new_row(folder, events) if start is None else {}

        def add(
            db: sqlite3.Connection,
            start: int | None = start,
            end: int = end,
            events: list[Event] = events,
            row: dict[str, Any] = row,
        ) -> None:
            if position(db) != start:
                return  # another process was faster
            if start is None:
                names = ", ".join(row)
                marks = ", ".join("?" * len(row))
                db.execute(f"INSERT INTO runs ({names}) VALUES ({marks})", tuple(row.values()))
            (number,) = db.execute("SELECT number FROM runs WHERE id = ?", (run_id,)).fetchone()
            apply(db, number, events)
            db.execute("UPDATE runs SET read_to = ? WHERE number = ?", (end, number))

        database.write(add)


def _new_row(folder: Path, events: list[Event]) -> dict[str, Any]:
    """What stands in the files of a run; what is damaged there is told by the folder's name."""
    named = RUN_ID.fullmatch(folder.name)
    assert named is not None
    first = next((event for event in events if event.get("event") == "created"), None) or {
        "time": _time_of(named["stamp"], folder),
        "experiment": named["experiment"],
    }
    labels = read_labels(folder)
    return {
        "id": folder.name,
        "experiment": first["experiment"],
        "status": "queued",
        "created": first["time"],
        "seed": first.get("seed"),
        "config": json.dumps(_json_file(folder / "config.json")),
        "parent": first.get("parent"),
        "tags": json.dumps(labels["tags"]),
        "note": labels["note"],
    }


def _time_of(stamp: str, folder: Path) -> float:
    try:
        return timegm(time.strptime(stamp, "%Y%m%d-%H%M%S"))
    except ValueError:  # no such day
        return folder.stat().st_mtime


def read_labels(folder: Path) -> dict[str, Any]:
    """Tags and note of a run."""
    found = _json_file(folder / "labels.json")
    tags, note = found.get("tags"), found.get("note")
    return {
        "tags": sorted({tag for tag in tags if isinstance(tag, str)} if tags else ()),
        "note": note if isinstance(note, str) else "",
    }


def _json_file(path: Path) -> dict[str, Any]:
    """The object in a file; an empty one if the file is missing or damaged."""
    try:
        content = json.loads(path.read_bytes())
        json.dumps(content, ensure_ascii=False).encode()
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def apply(db: sqlite3.Connection, run: int, events: list[Event]) -> None:
    """Write events into the tables; within a transaction."""
    points: dict[str, series.Lists] = {}
    latest = None
    for event in events:
        latest = event["time"]
        if "event" not in event:
            step = event["step"]
            for name, value in event["values"].items():
                lists = points.get(name)
                if lists is None:
                    lists = points[name] = ([], [], [])
                lists[0].append(step)
                lists[1].append(latest)
                lists[2].append(value)
        elif event["event"] == "rewind":
            series.append_all(db, run, points)
            points.clear()
            series.rewind(db, run, event["step"], event["prefix"])
            db.execute("UPDATE runs SET rewinds = rewinds + 1 WHERE number = ?", (run,))
        else:
            _apply(db, run, event)
    series.append_all(db, run, points)
    if latest is not None:
        db.execute("UPDATE runs SET heartbeat = ? WHERE number = ?", (latest, run))


def _apply(db: sqlite3.Connection, run: int, event: Event) -> None:
    kind = event["event"]
    if kind == "start":
        db.execute(
            "UPDATE runs SET status = 'running', started = ifnull(started, ?), ended = NULL, "
            "error = NULL, host = ?, pid = ? WHERE number = ?",
            (event["time"], event["host"], event["pid"], run),
        )
    elif kind == "end":
        db.execute(
            "UPDATE runs SET status = ?, ended = ?, error = ? WHERE number = ?",
            (event["status"], event["time"], event["error"], run),
        )
    elif kind == "text":
        db.execute(
            "INSERT INTO texts (run, time, text) VALUES (?, ?, ?)",
            (run, event["time"], event["text"]),
        )
    elif kind == "figure":
        name, step = event["name"], event["step"]
        db.execute("DELETE FROM media WHERE run = ? AND name = ? AND step IS ?", (run, name, step))
        db.execute(
            "INSERT INTO media VALUES (?, ?, ?, ?, ?)",
            (run, name, step, event["time"], event["file"]),
        )
    elif kind == "verdict":
        try:
            verdict = Verdict.from_json(event["verdict"])
            content = json.dumps(verdict.to_json())
        except ValueError:
            return
        db.execute(
            "INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?)",
            (run, verdict.claim, event["time"], content),
        )


def forget(db: sqlite3.Connection, run: int) -> None:
    """Remove every row of a run; within a transaction."""
    for (number,) in db.execute("SELECT number FROM series WHERE run = ?", (run,)).fetchall():
        series.remove(db, number)
    for table in ("media", "verdicts", "texts"):
        db.execute(f"DELETE FROM {table} WHERE run = ?", (run,))
    db.execute("DELETE FROM runs WHERE number = ?", (run,))
