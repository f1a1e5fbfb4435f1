"""Runs: what an experiment did, kept in a folder a run and found again through one SQLite file.

    from groundup.runs import Record, Store

    with Store() as store, store.start("digits", config, seed=0) as run:
        fit(model, loss, optimizer, loader, epochs=10, callbacks=[Record(run)])
        run.log_figure("filters", figure)

    store.runs(experiment="digits", status="done")
    store.points(run.id, "loss", most=2000)

A killed process loses nothing that was logged. Any number of processes write and read at once.
"""

from .callback import Record
from .errors import (
    DamageWarning,
    RunningError,
    RunsError,
    StorageError,
    UnknownRunError,
    VersionError,
)
from .export import export_csv, export_tensorboard
from .reader import runs_folder
from .records import Media, RunInfo, Status, Text, Verdict
from .run import Run
from .series import Points, SeriesInfo
from .store import Store

__all__ = [
    "DamageWarning",
    "Media",
    "Points",
    "Record",
    "Run",
    "RunInfo",
    "RunningError",
    "RunsError",
    "SeriesInfo",
    "Status",
    "StorageError",
    "Store",
    "Text",
    "UnknownRunError",
    "Verdict",
    "VersionError",
    "export_csv",
    "export_tensorboard",
    "runs_folder",
]
