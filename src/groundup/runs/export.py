"""Series of runs as files for other programs: CSV, and the event files of TensorBoard."""

from __future__ import annotations

import csv
import io
import json
import os
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ..engine.files import write_atomically
from .errors import StorageError

if TYPE_CHECKING:
    from .store import Store

COLUMNS = ("run", "series", "step", "time", "value")


def export_csv(store: Store, run_ids: Iterable[str], path: str | os.PathLike[str]) -> Path:
    """Write all series of some runs to one CSV file, a row a point.

    The columns are run, series, step, time (seconds since 1970) and value. Numbers are written so
    that reading them gives the same bits; a value may be "nan", "inf" or "-inf".

    Args:
        store: where the runs are.
        run_ids: as for `Store.get`.
        path: the file; an old one is replaced when the new one is complete.

    Returns:
        The path.

    Raises:
        StorageError: the file cannot be written; an old one is untouched.
        UnknownRunError: there is no such run.

    Example:
        >>> import tempfile
        >>> from groundup.runs import Store
        >>> with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
        ...     with store.start("digits") as run:
        ...         run.log(1, loss=0.5)
        ...     text = export_csv(store, [run.id], f"{folder}/points.csv").read_text()
        >>> text.splitlines()[0], text.splitlines()[1].split(",")[-1]
        ('run,series,step,time,value', '0.5')
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for run_id in [store.get(name).id for name in run_ids]:
        for info in store.series(run_id):
            points = store.points(run_id, info.name)
            columns = (points.steps.tolist(), points.times.tolist(), points.values.tolist())
            writer.writerows((run_id, info.name, *row) for row in zip(*columns, strict=True))
    try:
        write_atomically(path, text.getvalue().encode())
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror or error}; it was not written") from error
    return Path(path)


def export_tensorboard(
    store: Store, run_ids: Iterable[str], folder: str | os.PathLike[str]
) -> list[Path]:
    """Write runs as event files, which ``tensorboard --logdir FOLDER`` shows.

    Scalars keep step and time; their values become float32, which is what TensorBoard shows. The
    config appears under "text".

    Args:
        store: where the runs are.
        run_ids: as for `Store.get`.
        folder: gets a folder for each run; one of the same name is replaced.

    Returns:
        The folders.

    Raises:
        ImportError: tensorboardX is missing: install ``groundup[tensorboard]``.
        StorageError: a file cannot be written; what was there is untouched.
        UnknownRunError: there is no such run.

    Example:
        >>> import tempfile
        >>> from groundup.runs import Store
        >>> with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
        ...     with store.start("digits") as run:
        ...         run.log(1, loss=0.5)
        ...     written = export_tensorboard(store, [run.id], f"{folder}/tensorboard")
        ...     [file.name[:20] for file in written[0].iterdir()]
        ['events.out.tfevents.']
    """
    try:
        import tensorboardX  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "tensorboardX is missing; install it with: pip install 'groundup[tensorboard]'"
        ) from error
    written = []
    for run_id in [store.get(name).id for name in run_ids]:
        target = Path(folder).absolute() / run_id
        new = target.with_name(f".{run_id}.{secrets.token_hex(4)}")
        try:
            new.mkdir(parents=True)
            _write_events(store, run_id, new)
            if target.exists():
                shutil.rmtree(target)
            new.replace(target)
        except OSError as error:
            raise StorageError(f"{target}: {error.strerror or error}; not written") from error
        finally:
            shutil.rmtree(new, ignore_errors=True)
        written.append(target)
    return written


def _write_events(store: Store, run_id: str, folder: Path) -> None:
    """One event a point; tensorboardX's own queue and thread are for training, not for this."""
    from tensorboardX.event_file_writer import EventsWriter
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.proto.summary_pb2 import Summary
    from tensorboardX.summary import text as text_summary

    info = store.get(run_id)
    writer = EventsWriter(str(folder / "events"))
    try:
        config = "\n".join(f"    {line}" for line in json.dumps(info.config, indent=2).splitlines())
        writer.write_event(Event(wall_time=info.created, summary=text_summary("config", config)))
        for series in store.series(run_id):
            points = store.points(run_id, series.name)
            columns = (points.steps.tolist(), points.times.tolist(), points.values.tolist())
            for step, time, value in zip(*columns, strict=True):
                scalar = Summary.Value(tag=series.name, simple_value=value)
                writer.write_event(
                    Event(wall_time=time, step=step, summary=Summary(value=[scalar]))
                )
    finally:
        writer.close()
