"""What the database tells of a run: plain values, checked as they come out of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, cast, get_args

from .errors import Damaged

Status = Literal["queued", "running", "done", "failed", "stopped", "lost"]
STATUSES = get_args(Status)


@dataclass(frozen=True)
class RunInfo:
    """A run as the database knows it.

    Attributes:
        id: the name of its folder.
        experiment: what was run.
        status: "queued", "running", "done", "failed" (an exception), "stopped" (Ctrl-C), or "lost"
            (its process ended without a word).
        created: seconds since 1970; `started` and `ended` likewise, or None.
        seed: None if it has none.
        config: what it was run with.
        parent: the id of the run that it is a part of (a verification, a sweep), or None.
        tags: in alphabetical order.
        note: free text.
        host: the computer's name; `pid` the process that ran it last, `heartbeat` its last sign of
            life.
        error: the traceback of a failed run.
        rewinds: how often points were taken back; who reads a series piece by piece starts again
            when it changes.
        folder: where its files are.

    Example:
        >>> import tempfile
        >>> from groundup.runs import Store
        >>> with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
        ...     with store.start("digits", {"epochs": 2}, seed=7) as run:
        ...         run.log(1, loss=0.5)
        ...     info = store.get(run.id)
        >>> info.experiment, info.status, info.seed, info.config
        ('digits', 'done', 7, {'epochs': 2})
    """

    id: str
    experiment: str
    status: Status
    created: float
    started: float | None
    ended: float | None
    seed: int | None
    config: dict[str, Any]
    parent: str | None
    tags: tuple[str, ...]
    note: str
    host: str | None
    pid: int | None
    heartbeat: float | None
    error: str | None
    rewinds: int
    folder: Path

    @property
    def seconds(self) -> float | None:
        """From start to end, or to the last sign of life; None if it never started."""
        if self.started is None:
            return None
        last = self.ended if self.ended is not None else self.heartbeat
        return max(0.0, (self.started if last is None else last) - self.started)

    @property
    def checkpoints(self) -> list[Path]:
        """The checkpoint files, the newest last."""
        found = self.folder.glob("checkpoints/*.safetensors")
        return sorted((p for p in found if p.name[0] != "."), key=lambda p: p.stat().st_mtime_ns)


COLUMNS = ", ".join(item.name for item in fields(RunInfo) if item.name != "folder")


def run_info(row: tuple, folder: Path) -> RunInfo:
    """The record of a row with `COLUMNS`."""
    names = COLUMNS.split(", ")
    values = dict(zip(names, row, strict=True))
    config, tags = from_json(values["config"], dict), from_json(values["tags"], list)
    times = (values[name] for name in ("created", "started", "ended", "heartbeat"))
    sound = (
        values["status"] in STATUSES
        and all(isinstance(values[name], str) for name in ("id", "experiment", "note"))
        and all(isinstance(tag, str) for tag in tags)
        and all(value is None or isinstance(value, int | float) for value in times)
        and all(isinstance(values[name], int | None) for name in ("seed", "pid", "rewinds"))
        and all(isinstance(values[name], str | None) for name in ("parent", "host", "error"))
    )
    if not sound or values["created"] is None:
        raise Damaged("a row of a run holds what cannot be in it")
    values |= {"config": config, "tags": tuple(tags), "folder": folder / values["id"]}
    return RunInfo(**values)


def from_json(text: Any, kind: type) -> Any:
    """The value of a JSON column."""
    try:
        value = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise Damaged(f"a column of JSON holds something else: {error}") from error
    if not isinstance(value, kind):
        raise Damaged(f"a column of JSON holds {type(value).__name__}, not {kind.__name__}")
    return value


@dataclass(frozen=True)
class Verdict:
    """A claim beside what was measured.

    Attributes:
        claim: a short name, unique in the run: "cnn-accuracy".
        text: what is claimed, in words.
        source: who claims it, and where.
        claimed: the figure.
        comparison: how the figure is meant: "at least", "equals", and so on.
        unit: what stands behind the figures, such as " %".
        measured: a value for each seed.
        low: one end of the measured interval; `high` the other one.
        verdict: "holds", "refuted", and so on.

    Example:
        >>> Verdict("sum", "two and two are five", measured={0: 4.0}, verdict="refuted").seeds
        (0,)
    """

    claim: str
    text: str
    source: str = ""
    claimed: float | None = None
    comparison: str = ""
    unit: str = ""
    measured: Mapping[int, float] = field(default_factory=dict)
    low: float | None = None
    high: float | None = None
    verdict: str = "not measured"

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that were measured."""
        return tuple(self.measured)

    def to_json(self) -> dict[str, Any]:
        """The fields, with a pair for each measured value."""
        pairs = [[int(seed), float(value)] for seed, value in self.measured.items()]
        return {**asdict(self), "measured": pairs}

    @classmethod
    def from_json(cls, content: Any) -> Verdict:
        """What `to_json` gave; fields that this version does not know are left out.

        Raises:
            ValueError: it is something else.
        """
        try:
            known = {item.name: content[item.name] for item in fields(cls) if item.name in content}
            known["measured"] = {int(seed): float(value) for seed, value in known["measured"]}
            found = cls(**known)
        except (TypeError, KeyError, ValueError, OverflowError) as error:
            raise ValueError(f"not a verdict: {error}") from error
        words = (found.claim, found.text, found.source, found.comparison, found.unit, found.verdict)
        numbers = (found.claimed, found.low, found.high)
        if not all(isinstance(word, str) for word in words) or not all(
            isinstance(number, int | float | None) for number in numbers
        ):
            raise ValueError("not a verdict: a field has another type")
        return found


@dataclass(frozen=True)
class Media:
    """A figure of a run.

    Attributes:
        name: what it was logged as.
        step: the step that it belongs to, or None.
        time: when it was logged, seconds since 1970.
        path: the file.

    Example:
        >>> Media("filters", 100, 1738345501.0, Path("filters-00000100.svg")).step
        100
    """

    name: str
    step: int | None
    time: float
    path: Path


@dataclass(frozen=True)
class Text:
    """A line that a run logged.

    Attributes:
        number: rises from line to line; for asking what is new.
        time: seconds since 1970.
        text: the words.

    Example:
        >>> Text(1, 1738345501.0, "3 of 10 genomes survive").text
        '3 of 10 genomes survive'
    """

    number: int
    time: float
    text: str


def jsonable(value: Any, where: str = "config") -> Any:
    """Config as JSON values: dataclasses and mappings as objects, paths as strings.

    Args:
        value: a dataclass object, a mapping, or a plain value.
        where: what the error message calls it.

    Raises:
        TypeError: it holds something else; the message says where.

    Example:
        >>> jsonable({"sizes": (64, 10), "folder": Path("data")})
        {'sizes': [64, 10], 'folder': 'data'}
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return dict(_items(value.items(), where))
    if hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
        pairs = ((name, getattr(value, name)) for name in value.__dataclass_fields__)
        return dict(_items(pairs, where))
    if isinstance(value, list | tuple | set | frozenset):
        ordered = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
        return [jsonable(item, f"{where}[{i}]") for i, item in enumerate(ordered)]
    if hasattr(value, "tolist"):  # NumPy's numbers and arrays
        return jsonable(cast(Any, value).tolist(), where)
    raise TypeError(
        f"{where} is {type(value).__name__}; expected numbers, strings, None, paths, or lists, "
        "mappings and dataclasses of them, which is what a JSON file can hold"
    )


def _items(pairs: Any, where: str) -> Iterator[tuple[str, Any]]:
    for key, value in pairs:
        if not isinstance(key, str):
            raise TypeError(f"{where} has the key {key!r}; expected a string")
        yield key, jsonable(value, f"{where}.{key}")
