"""Export and import: everything of a home but its settings, as one file.

The archive is a ZIP without compression: what it says of its size is bounded by the size that it
has, so it cannot unfold to more. In it are

    finch.json                          version, salts, scopes, and of each file size and SHA-256
    minds/SCOPE/TASK.safetensors        what was learned
    tables/NAME.jsonl                   tasks, requests, texts, days: a row each line

Nothing is unpacked by the names in it: names are compared with these, everything is checked before
anything is written, and rows go through the tables' own columns. It holds what was said; its mode
is 0600, and it should be kept as private as the home.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import sqlite3
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import FinchError
from .checkpoints import NAME, Checkpoints
from .database import reading
from .files import create, disk_errors
from .home import SALT, Home
from .log import FURTHEST
from .purge import Selection
from .record import DECISIONS
from .scopes import scopes_in
from .states import DamagedError, read
from .store import Store

FORMAT = 1
MANIFEST = "finch.json"
MANIFEST_MOST = 1 << 24
"""Bytes."""
MEMBER = re.compile(r"minds/([0-9a-f]{8,64})/([0-9a-f]{8,64})\.safetensors")
TABLES = {
    "tasks": "scope task path model created last since",
    "requests": "ident upstream time scope task path model status decision reason score propensity "
    "scores latencies input_tokens output_tokens agreed",
    "texts": "ident scope task time query answer said",
    "days": "day scope task model decision requests input_tokens output_tokens agreed disagreed",
}
ORDERS = {
    "tasks": "scope task",
    "requests": "number",
    "texts": "number",
    "days": "day scope task model decision",
}
REALS = {"time", "created", "last", "since", "score", "propensity"}
WHOLE = {"status", "input_tokens", "output_tokens", "agreed", "requests", "disagreed"}
OBJECTS: dict[str, tuple[type, ...]] = {
    "scores": (int, float),
    "latencies": (int, float),
    "said": (str, type(None)),
}
"""Types of columns; others are texts, and queries and answers are bytes."""
QUERIES = {
    "texts": "SELECT r.ident, t.scope, t.task, t.time, t.query, t.answer, t.said FROM texts t "
    "JOIN requests r USING (number)",
}


@dataclass(frozen=True, slots=True)
class Archived:
    """What an archive has.

    Attributes:
        scopes: keys and namespaces.
        minds: tasks of which something was learned.
        requests: rows of the log.
        texts: pairs of query and answer.

    Example:
        >>> str(Archived(1, 2, 3000, 500))
        '1 scope, 2 minds, 3,000 requests, 500 texts'
    """

    scopes: int
    minds: int
    requests: int
    texts: int

    def __str__(self) -> str:
        parts = asdict(self).items()
        return ", ".join(f"{n:,} {name[:-1] if n == 1 else name}" for name, n in parts)


def export(home: Home, path: str | os.PathLike[str], scope: str | None = None) -> Archived:
    """Write an archive, also while a server uses the home.

    Args:
        home: of which.
        path: of the archive; must not exist.
        scope: only of this scope.

    Raises:
        FinchError: the file exists, or the disk fails; nothing is left behind.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with Store(f"{folder}/finch"):
        ...         str(export(Home(f"{folder}/finch"), f"{folder}/finch.zip"))
        '0 scopes, 0 minds, 0 requests, 0 texts'
    """
    target = Path(path)
    if target.exists():
        raise FinchError(f"{target} exists; give another name, or remove it")
    if not target.parent.is_dir():
        raise FinchError(f"{target}: there is no folder {target.parent}; make it first")
    minds = Checkpoints(home)
    counts = dict.fromkeys(TABLES, 0)
    files: dict[str, dict[str, Any]] = {}
    part = target.with_name(f".{target.name}.part")
    try:
        with (
            disk_errors(),
            reading(home.database) as db,
            os.fdopen(create(part), "wb") as file,
            zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive,
        ):
            for saved in minds:
                raw = minds.raw(saved.scope, saved.task)
                if raw is not None and scope in (None, saved.scope):
                    _add(archive, files, f"minds/{saved.scope}/{saved.task}.safetensors", [raw])
            for name in TABLES:
                lines = _lines(db, name, Selection(scope))
                counts[name] = _add(archive, files, f"tables/{name}.jsonl", lines)
            scopes = [asdict(s) for s in scopes_in(db) if scope in (None, s.scope)]
            manifest = {
                "format": FORMAT,
                "salts": [salt.hex() for salt in home.salts],
                "scopes": scopes,
                "files": files,
            }
            _add(archive, {}, MANIFEST, [json.dumps(manifest, indent=1).encode()])
            archive.close()
            file.flush()
            os.fsync(file.fileno())
            os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
    many = sum(name.startswith("minds/") for name in files)
    return Archived(len(scopes), many, counts["requests"], counts["texts"])


def _add(
    archive: zipfile.ZipFile, files: dict[str, dict[str, Any]], name: str, pieces: Iterable[bytes]
) -> int:
    """Write a member piece by piece; how many pieces there were."""
    digest, size, count = hashlib.sha256(), 0, 0
    about = zipfile.ZipInfo(name)  # of 1980, so that equal homes give equal archives
    about.external_attr = 0o600 << 16
    with archive.open(about, "w", force_zip64=True) as member:
        for piece in pieces:
            member.write(piece)
            digest.update(piece)
            size, count = size + len(piece), count + 1
    files[name] = {"size": size, "sha256": digest.hexdigest()}
    return count


def _lines(db: sqlite3.Connection, table: str, selection: Selection) -> Iterator[bytes]:
    columns = ", ".join(f"t.{name}" for name in TABLES[table].split())
    query = QUERIES.get(table, f"SELECT {columns} FROM {table} t")
    where, values = selection.where()
    order = ", ".join(f"t.{name}" for name in ORDERS[table].split())
    where = where.replace("scope", "t.scope")
    for row in db.execute(f"{query} WHERE {where} ORDER BY {order}", values):
        yield json.dumps([_out(value) for value in row], separators=(",", ":")).encode() + b"\n"


def _out(value: Any) -> Any:
    return {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def import_(store: Store, path: str | os.PathLike[str], *, replace: bool = False) -> Archived:
    """Take over an archive. Its keys find what they had learned, in place of what is here.

    Rows of the log that are here already stay as they are.

    Args:
        store: the home, which no server may be using.
        path: of the archive.
        replace: whether what was learned of a task here may be replaced.

    Raises:
        FinchError: the archive is damaged, hostile or of a newer version, or a task has been
            learned here too; nothing is changed then.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with Store(f"{folder}/a"):
        ...         _ = export(Home(f"{folder}/a"), f"{folder}/a.zip")
        ...     with Store(f"{folder}/b") as store:
        ...         str(import_(store, f"{folder}/a.zip"))
        '0 scopes, 0 minds, 0 requests, 0 texts'
    """
    with disk_errors(), _refused(path), zipfile.ZipFile(path) as archive:
        manifest = _checked(archive, os.path.getsize(path))
        minds = [found for name in manifest["files"] if (found := MEMBER.fullmatch(name))]
        here = {(saved.scope, saved.task) for saved in store.minds}
        both = [found[2] for found in minds if (found[1], found[2]) in here]
        if both and not replace:
            raise FinchError(
                f"{path}: {len(both)} of its tasks have been learned here too, such as {both[0]}; "
                "--replace takes those of the archive"
            )
        rows = {name: list(_rows(archive, name)) for name in TABLES}
        scopes = [(s["scope"], s["namespace"], s["created"]) for s in manifest["scopes"]]
        new = not here and not store.database.write(scopes_in)
        store.home.add_salts([bytes.fromhex(salt) for salt in manifest["salts"]], first=new)
        for found in minds:
            store.minds.put(found[1], found[2], archive.read(found[0]))
        store.database.write(lambda db: _insert(db, scopes, rows))
    return Archived(len(scopes), len(minds), len(rows["requests"]), len(rows["texts"]))


def _insert(
    db: sqlite3.Connection,
    scopes: list[tuple[Any, ...]],
    rows: Mapping[str, list[tuple[Any, ...]]],
) -> None:
    db.executemany("INSERT OR IGNORE INTO scopes VALUES (?, ?, ?)", scopes)
    for name in ("tasks", "requests", "days"):
        columns = TABLES[name].split()
        marks = ", ".join("?" * len(columns))
        into = f"{name} ({', '.join(columns)})"
        db.executemany(f"INSERT OR IGNORE INTO {into} VALUES ({marks})", rows[name])
    db.executemany(
        "INSERT OR IGNORE INTO texts SELECT number, ?2, ?3, ?4, ?5, ?6, ?7 FROM requests "
        "WHERE ident = ?1",
        rows["texts"],
    )
    # A task that was learned here and there has learned since the earlier of the two.
    db.executemany(
        "UPDATE tasks SET since = min(coalesce(since, ?3), coalesce(?3, since)) "
        "WHERE scope = ?1 AND task = ?2",
        [(row[0], row[1], row[6]) for row in rows["tasks"]],
    )


# What is refused


@contextmanager
def _refused(path: str | os.PathLike[str]) -> Iterator[None]:
    """What is wrong with an archive, with its name."""
    try:
        yield
    except DamagedError as error:
        raise FinchError(f"{path}: what was learned of a task is damaged: {error}") from error
    except (
        zipfile.BadZipFile,
        ValueError,
        KeyError,
        TypeError,
        EOFError,
        RecursionError,
        NotImplementedError,
        OverflowError,
    ) as error:
        if isinstance(error, FinchError):
            raise
        raise FinchError(f"{path} is no archive of `finch export`: {error}") from error


def _checked(archive: zipfile.ZipFile, size: int) -> dict[str, Any]:
    """The manifest, after everything that it says was found to be so."""
    members = archive.infolist()
    names = [member.filename for member in members]
    expected = {MANIFEST, *(f"tables/{name}.jsonl" for name in TABLES)}
    for member in members:
        if member.filename not in expected and not MEMBER.fullmatch(member.filename):
            raise ValueError(f"it has {member.filename[:100]!r}")
        if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
            raise ValueError(f"{member.filename} is compressed or encrypted")
    if len(set(names)) != len(names) or not expected <= set(names):
        raise ValueError("a file is in it twice, or is missing")
    if sum(member.file_size for member in members) > size:
        raise ValueError("its files are larger than it is")
    if archive.getinfo(MANIFEST).file_size > MANIFEST_MOST:
        raise ValueError(f"{MANIFEST} is too large")
    manifest = json.loads(archive.read(MANIFEST))
    if type(manifest["format"]) is not int or manifest["format"] < 1:
        raise ValueError(f"format {manifest['format']!r}")
    if manifest["format"] > FORMAT:
        raise FinchError(
            f"{archive.filename} has format {manifest['format']}, this Finch reads up to {FORMAT}; "
            "upgrade it"
        )
    if set(manifest["files"]) != set(names) - {MANIFEST}:
        raise ValueError("it has other files than it says")
    for name, about in manifest["files"].items():
        _check_member(archive, name, about)
    for salt in manifest["salts"]:
        if len(bytes.fromhex(salt)) != SALT:
            raise ValueError(f"a salt of {len(salt) // 2} bytes")
    for scope in manifest["scopes"]:
        if not NAME.fullmatch(scope["scope"]) or not isinstance(scope["namespace"], str):
            raise ValueError(f"scope {str(scope)[:100]}")
        scope["created"] = float(scope["created"])
    return manifest


def _check_member(archive: zipfile.ZipFile, name: str, about: Mapping[str, Any]) -> None:
    found = MEMBER.fullmatch(name)
    if found:
        raw = archive.read(name)
        digest = hashlib.sha256(raw)
        read(found[1], found[2], raw)
    else:
        digest = hashlib.sha256()
        with archive.open(name) as member:
            while piece := member.read(1 << 20):
                digest.update(piece)
    if digest.hexdigest() != about["sha256"]:
        raise ValueError(f"{name} has another checksum than it says")


def _rows(archive: zipfile.ZipFile, table: str) -> Iterator[tuple[Any, ...]]:
    """The rows of a table, each value of its column's type."""
    columns = TABLES[table].split()
    with archive.open(f"tables/{table}.jsonl") as lines:
        for line in lines:
            values = json.loads(line)
            if not isinstance(values, list) or len(values) != len(columns):
                raise ValueError(f"{table}: a row without {len(columns)} values")
            yield tuple(map(_in, columns, values))


def _in(column: str, value: Any) -> Any:
    if isinstance(value, dict) and column in ("query", "answer"):
        return base64.b64decode(value["base64"], validate=True)
    if value is None and column in ("answer", "since", "score", "agreed"):
        return None
    kinds = (int, float) if column in REALS else (int,) if column in WHOLE else (str,)
    if type(value) not in kinds or column in ("query", "answer"):
        raise ValueError(f"{column} is {str(value)[:60]!r}")
    if isinstance(value, str):
        value.encode()  # lone halves of surrogate pairs are an error
    elif not abs(value) < (FURTHEST if column in REALS else 2**63):  # nor are NaN and infinities
        raise ValueError(f"{column} is {str(value)[:60]}")
    if column in OBJECTS:
        found = json.loads(value)
        inner = OBJECTS[column]
        if not isinstance(found, dict) or any(type(one) not in inner for one in found.values()):
            raise ValueError(f"{column} is {value[:60]!r}")
    if column == "decision" and value not in DECISIONS:
        raise ValueError(f"decision {value[:60]!r}")
    return value
