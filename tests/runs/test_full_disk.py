"""A full disk: a plain error, nothing half written, and all is well again when there is room."""

import errno
import json
import os
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from groundup.runs import Run, StorageError, Store, export_csv, run as run_module

SVG = "<svg xmlns='http://www.w3.org/2000/svg'><text>" + "x" * 100_000 + "</text></svg>"


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A disk of two megabytes, half of which is taken by a file called ballast."""
    place = tmp_path / "tiny"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    if sys.platform != "linux" or os.geteuid() or shutil.which("mount") is None:
        pytest.skip("only root on Linux can mount a small disk")
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        (place / "ballast").write_bytes(bytes(1 << 20))
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill_up(place: Path) -> None:
    """Take the last byte."""
    with (place / "filler").open("ab", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1 << 8, 1):
            while True:
                try:
                    if file.write(bytes(size)) < size:
                        break
                except OSError:
                    break


def log_until_it_fails(run: Run, steps: list[int]) -> None:
    for step in range(1, 100_000):
        run.log(step, loss=step / 3, **{"weight_norm/" + "x" * 100: float(step)})
        steps.append(step)
        if step == 100:
            run.flush()


def test_logging_until_the_disk_is_full(tiny: Path) -> None:
    with Store(tiny / "runs") as store:
        steps = []
        with pytest.raises(StorageError) as caught, store.start("digits", seed=1) as run:
            log_until_it_fails(run, steps)
        step = steps[-1]
        assert step > 1000
        message = str(caught.value)
        assert str(run.folder / "events.jsonl") in message
        assert f"Not recorded: step {step + 1} (loss, weight_norm/" in message
        assert "No space left on device" in message
        fill_up(tiny)

        text = (run.folder / "events.jsonl").read_text()
        assert text.endswith("\n")
        assert [json.loads(line) for line in text.splitlines()]

        # Looking is possible with no byte left, also for a store that is opened only now.
        with pytest.warns(UserWarning, match="no space left on the disk.*may lack the newest"):
            late = Store(tiny / "runs")
        for reader in (store, late):
            assert [info.id for info in reader.runs()] == [run.id]
            assert reader.get(run.id[-6:]).status in ("failed", "lost")
            before = reader.points(run.id, "loss").steps.tolist()
            assert len(before) >= 100
            assert before == list(range(1, len(before) + 1))
        late.close()

        # Nothing new begins, and nothing is left of it.
        files = sorted(path.name for path in (tiny / "runs").iterdir() if path.is_dir())
        with pytest.raises(StorageError, match="No space left on device"):
            store.start("digits")
        with pytest.raises(StorageError, match="No space left on device"):
            store.label(run.id, note="x" * 10_000)
        assert sorted(p.name for p in (tiny / "runs").iterdir() if p.is_dir()) == files

        (tiny / "ballast").unlink()
        (tiny / "filler").unlink()
        with store.resume(run.id) as run:
            assert len(store.points(run.id, "loss")) == step, "every step that log returned from"
            run.log(step + 1, loss=step / 3)
        assert store.points(run.id, "loss").steps.tolist() == list(range(1, step + 2))
        assert store.get(run.id).status == "done"
        assert not list((tiny / "runs").glob("*.corrupt-*"))


def test_files_on_a_full_disk(tiny: Path) -> None:
    with Store(tiny / "runs") as store:
        with store.start("digits") as run:
            run.log(1, loss=0.5)
            first = run.log_figure("sample", SVG)
            run.flush()
            fill_up(tiny)
            with pytest.raises(StorageError, match=r"sample\.svg: No space left"):
                run.log_figure("sample", SVG.replace("x", "y"))
            with pytest.raises(StorageError, match=r"other\.svg: No space left"):
                run.log_figure("other", SVG)
            with pytest.raises(StorageError, match=r"points\.csv: No space left"):
                export_csv(store, [run.id], tiny / "runs" / "points.csv")
            assert first.read_text() == SVG
            assert [path.name for path in first.parent.iterdir()] == ["sample.svg"]
            (tiny / "filler").unlink()
        assert [media.name for media in store.media(run.id)] == ["sample"]


def room_for(store: Store, pages: int) -> None:
    """SQLite's own limit; what exceeds it fails like a full disk, and needs no rights to mount."""
    store._database.read(lambda db: db.execute(f"PRAGMA max_page_count = {pages}"))


def test_a_full_database_catches_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "INTERVAL", 0.02)
    with store.start("digits") as run:
        run.log(0, loss=0.0)
        run.flush()
        room_for(store, 1)  # no more than there are
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for step in range(1, 2000):
                run.log(step, loss=float(step))
            deadline = time.monotonic() + 20
            while not caught and time.monotonic() < deadline:
                time.sleep(0.02)
            time.sleep(0.2)
        (warning,) = caught  # not one for each attempt
        assert "no space left on the disk" in str(warning.message)
        assert f"Run {run.id} goes on and keeps its points in" in str(warning.message)
        with pytest.raises(StorageError, match=r"runs\.sqlite: no space left on the disk"):
            run.flush()
        assert store.points(run.id, "loss").values.tolist() == [0.0]
        room_for(store, 1_000_000)
        run.log(2000, loss=2000.0)
    assert store.points(run.id, "loss").steps.tolist() == list(range(2001))


class Disk:
    """Lets `os.write` fail as on a full disk, for lines of a journal."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        self.write = os.write
        monkeypatch.setattr(os, "write", self)

    def __call__(self, handle: int, data: bytes) -> int:
        if self.full and data.startswith(b"{"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.write(handle, data)

    def use_in(self, run: Run) -> None:
        """Log something, then be full, then fail."""
        run.log(1, loss=0.5)
        self.full = True
        raise ZeroDivisionError


def test_what_left_the_block_matters_more(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    with pytest.raises(ZeroDivisionError) as caught, store.start("digits") as run:
        disk.use_in(run)
    (note,) = caught.value.__notes__
    assert f"the end of run {run.id} was not recorded" in note
    assert "No space left on device" in note
    assert store.get(run.id).status == "lost"
    assert len(store.points(run.id, "loss")) == 1


def test_a_run_that_cannot_begin_or_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    disk.full = True
    with pytest.raises(StorageError, match="Not recorded: the start of the run"):
        store.start("never")
    assert store.runs(experiment="never") == []
    assert not list(store.folder.glob("never-*"))
    disk.full = False
    run = store.start("digits")
    disk.full = True
    with pytest.raises(StorageError, match="Not recorded: that the run is done"):
        run.finish()
    disk.full = False
    assert store.get(run.id).status == "lost"
    with store.resume(run.id):
        pass
    assert store.get(run.id).status == "done"
