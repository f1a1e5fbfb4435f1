"""Looking at a home while a server uses it: its state, one request, a page of the log.

Nothing here writes. Figures come from the last commit, which is about a second old.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

from ..opinion import Opinion
from .checkpoints import Checkpoints
from .database import reading
from .home import Home
from .record import DECISIONS, Record
from .scopes import scopes_in

COLUMNS = (
    "number, ident, upstream, time, scope, task, path, model, status, decision, reason, score, "
    "propensity, scores, latencies, input_tokens, output_tokens, agreed"
)
PAGE = 1000
"""Rows in a page, at most."""
SHORTEST = 6
"""Characters of the beginning of a name."""


def find(home: Home, ident: str) -> Record | None:
    """A request by its name, or by the name that the remote side gave to it.

    Args:
        home: where to look.
        ident: its name or as much of the beginning as no other has; or "last" for the newest.

    Returns:
        The request, with what each stage said as far as texts are still kept; None if there is no
        such request, more than one, or it is too old to be in the log.

    Example:
        >>> import tempfile
        >>> from groundup.apps.finch.store import Store
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with Store(f"{folder}/finch") as store:
        ...         store.log.append(Record("req_1", 0.0, "forward", "cold start"))
        ...     find(Home(f"{folder}/finch"), "req_1").reason
        'cold start'
    """
    with reading(home.database) as db:
        row = _row_named(db, ident)
        if row is None:
            return None
        found = _row(row)
        texts = db.execute(
            "SELECT query, answer, said FROM texts WHERE number = ?", (found["number"],)
        ).fetchone()
        space = db.execute(
            "SELECT namespace FROM scopes WHERE scope = ?", (found["scope"],)
        ).fetchone()
    query, answer, said = texts or (None, None, "{}")
    answers = json.loads(said)
    scores = found.pop("scores")
    del found["number"]
    return Record(
        **found,
        namespace=space[0] if space else "",
        opinions=tuple(Opinion(name, answers.get(name), score) for name, score in scores.items()),
        query=_text(query),
        answer=_text(answer),
    )


def _row_named(db: sqlite3.Connection, ident: str) -> tuple[Any, ...] | None:
    if ident == "last":
        condition, values = "number = (SELECT max(number) FROM requests)", []
    else:
        condition, values = "ident = ?1 OR (upstream = ?1 AND upstream <> '')", [ident]
    select = f"SELECT {COLUMNS} FROM requests WHERE"
    rows = db.execute(f"{select} {condition} LIMIT 1", values).fetchall()
    if not rows and len(ident) >= SHORTEST:
        beginning = "ident >= ?1 AND substr(ident, 1, length(?1)) = ?1 ORDER BY ident LIMIT 2"
        rows = db.execute(f"{select} {beginning}", [ident]).fetchall()
    return rows[0] if len(rows) == 1 else None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows of the log.

    Attributes:
        before: only rows with a smaller number; for the next page, the number of the last row.
        limit: rows at most, up to `PAGE`.
        scope: of which scope; None of all. Likewise task, decision, and whether it agreed.
        since: not older, in seconds since 1970.
        until: older.

    Example:
        >>> Filter(decision="local").where()
        ('decision = ?', ['local'])
    """

    before: int | None = None
    limit: int = 100
    scope: str | None = None
    task: str | None = None
    decision: str | None = None
    agreed: bool | None = None
    since: float | None = None
    until: float | None = None

    def where(self) -> tuple[str, list[Any]]:
        """The condition as SQL, and its values."""
        parts = {
            "number < ?": self.before,
            "scope = ?": self.scope,
            "task = ?": self.task,
            "decision = ?": self.decision,
            "agreed = ?": self.agreed,
            "time >= ?": self.since,
            "time < ?": self.until,
        }
        given = {part: value for part, value in parts.items() if value is not None}
        return " AND ".join(given) or "1", list(given.values())


def page(home: Home, wanted: Filter | None = None) -> dict[str, Any]:
    """A page of the log, the newest first, without what was said.

    Returns:
        {"requests": [...], "before": the number to ask for the next page with, or None}

    Example:
        >>> import tempfile
        >>> from groundup.apps.finch.store import Store
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with Store(f"{folder}/finch") as store:
        ...         store.log.append(Record("req_1", 0.0, "forward", "cold start"))
        ...     page(Home(f"{folder}/finch"))["requests"][0]["ident"]
        'req_1'
    """
    wanted = wanted or Filter()
    where, values = wanted.where()
    limit = max(1, min(wanted.limit, PAGE))
    with reading(home.database) as db:
        rows = db.execute(
            f"SELECT {COLUMNS} FROM requests WHERE {where} ORDER BY number DESC LIMIT ?",
            [*values, limit + 1],
        ).fetchall()
    found = [_row(row) for row in rows[:limit]]
    return {"requests": found, "before": found[-1]["number"] if len(rows) > limit else None}


def status(home: Home) -> dict[str, Any]:
    """What is in a home, as JSON values: who uses it, totals, tasks, sizes.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     found = status(Home(f"{folder}/finch"))
        >>> found["running"], found["totals"]["local"]["requests"], found["tasks"]
        (None, 0, [])
    """
    owner = home.owner()
    minds = {(saved.scope, saved.task): saved for saved in Checkpoints(home)}
    files = [path for path in home.path.glob(f"{home.database.name}*") if path.is_file()]
    found: dict[str, Any] = {
        "home": str(home.path),
        "running": None if owner is None else asdict(owner),
        "totals": _totals([]),
        "models": {},
        "scopes": [],
        "tasks": [],
        "texts": {"count": 0, "oldest": None},
        "bytes": {
            "log": sum(path.stat().st_size for path in files),
            "minds": sum(saved.size for saved in minds.values()),
        },
    }
    if not home.database.exists():
        return found
    with reading(home.database) as db:
        found["scopes"] = [asdict(scope) for scope in scopes_in(db)]
        count, oldest = db.execute("SELECT count(*), min(time) FROM texts").fetchone()
        found["texts"] = {"count": count, "oldest": oldest}
        days = _dicts(
            db,
            """SELECT scope, task, model, decision, sum(requests) AS requests,
                sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens,
                sum(agreed) AS agreed, sum(disagreed) AS disagreed
            FROM days GROUP BY scope, task, model, decision""",
        )
        tasks = _dicts(db, "SELECT * FROM tasks ORDER BY last DESC, task")
    found["totals"] = _totals(days)
    found["models"] = _by(days, "model")
    by_task: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in days:
        by_task.setdefault((row["scope"], row["task"]), []).append(row)
    for task in tasks:
        name = task["scope"], task["task"]
        saved = minds.get(name)
        mind = None if saved is None else {"bytes": saved.size, "saved": saved.time}
        found["tasks"].append({**task, "totals": _totals(by_task.get(name, [])), "mind": mind})
    return found


def _totals(rows: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """Sums by decision."""
    names = ("requests", "input_tokens", "output_tokens", "agreed", "disagreed")
    return {
        decision: {
            name: sum(row[name] for row in rows if row["decision"] == decision) for name in names
        }
        for decision in DECISIONS
    }


def _by(rows: list[dict[str, Any]], name: str) -> Mapping[str, Any]:
    values = sorted({row[name] for row in rows})
    return {value: _totals([row for row in rows if row[name] == value]) for value in values}


def _row(row: tuple[Any, ...]) -> dict[str, Any]:
    found = dict(zip(COLUMNS.split(", "), row, strict=True))
    found["scores"], found["latencies"] = (
        json.loads(found["scores"]),
        json.loads(found["latencies"]),
    )
    found["agreed"] = None if found["agreed"] is None else bool(found["agreed"])
    return found


def _dicts(db: sqlite3.Connection, statement: str) -> list[dict[str, Any]]:
    with closing(db.execute(statement)) as rows:
        names = [column[0] for column in rows.description]
        return [dict(zip(names, row, strict=True)) for row in rows]


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else raw.decode("utf-8", "surrogatepass")
