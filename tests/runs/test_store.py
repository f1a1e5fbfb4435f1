"""The store: what is put in comes out, by whoever looks, and folders and database stay together."""

import dataclasses
import json
import os
import re
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup import viz
from groundup.runs import (
    RunningError,
    Store,
    UnknownRunError,
    Verdict,
    journal,
    runs_folder,
)
from groundup.runs.environment import command


@dataclasses.dataclass
class Inner:
    sizes: tuple[int, ...] = (64, 10)


@dataclasses.dataclass
class Config:
    epochs: int = 3
    rate: float = 0.1
    inner: Inner = dataclasses.field(default_factory=Inner)


def events(folder: Path) -> list[journal.Event]:
    return journal.read_events(folder / journal.NAME, 0)[0]


def everything(store: Store) -> dict[str, Any]:
    """All that a store tells, but for what differs from process to process."""
    return {
        info.id: (
            dataclasses.replace(info, heartbeat=None, folder=Path()),
            [
                (repr(series), store.points(info.id, series.name).values.tobytes())
                for series in store.series(info.id)
            ],
            [(media.name, media.step, media.path.name) for media in store.media(info.id)],
            [(line.time, line.text) for line in store.texts(info.id)],
            store.verdicts(info.id),
        )
        for info in store.runs()
    }


def fill(store: Store) -> None:
    """A verification of two runs, with everything that a run can have."""
    svg = "<svg xmlns='http://www.w3.org/2000/svg'/>"
    whole = store.start("verify", {"claims": 1}, tags=["paper"])
    for seed in (0, 1):
        with store.start("digits", Config(), seed=seed, parent=whole.id, note="ü") as run:
            for step in range(1200):
                run.log(step, loss=1 / (step + 1), lr=float("nan") if step % 7 == 0 else 0.1)
            run.log_text("half\nway")
            run.log_figure("dot", svg, 5)
            run.log_figure("dot", svg)
            run.rewind(1000)
    whole.log_verdict(Verdict("cnn", "better", "the paper", 94, "at least", " %", {0: 95, 1: 96}))
    whole.finish()
    store.queue("digits", seed=2)
    with pytest.raises(ZeroDivisionError), store.start("fails"):
        _ = 1 / 0


def test_a_run_has_its_files_and_its_row(store: Store) -> None:
    with store.start("digits", Config(), seed=7, tags=["b", "a", "a"], note="why") as run:
        assert store.get(run.id).status == "running"
        assert run.config == {"epochs": 3, "rate": 0.1, "inner": {"sizes": [64, 10]}}
        run.log(1, loss=0.5)
        gu.save({"w": gu.ones(2)}, run.checkpoint_path("best"))
    assert re.fullmatch(r"digits-\d{8}-\d{6}-[0-9a-f]{6}", run.id)
    names = {path.name for path in run.folder.iterdir()}
    assert {"config.json", "environment.json", "events.jsonl", "checkpoints", "figures"} <= names
    assert json.loads((run.folder / "config.json").read_text()) == run.config
    info = store.get(run.id)
    assert (info.status, info.seed, info.tags, info.note) == ("done", 7, ("a", "b"), "why")
    assert (info.pid, info.folder) == (os.getpid(), store.folder / run.id)
    assert info.started is not None
    assert info.ended is not None
    assert info.created <= info.started <= info.ended <= time.time()
    assert info.seconds == info.ended - info.started
    assert [path.name for path in info.checkpoints] == ["best.safetensors"]


def test_how_a_run_ends(store: Store) -> None:
    with pytest.raises(ValueError, match="deliberate"), store.start("fails") as run:
        raise ValueError("deliberate \ud800")
    info = store.get(run.id)
    assert info.status == "failed"
    assert info.error is not None
    assert "ValueError: deliberate" in info.error
    assert "test_store.py" in info.error
    for stop in (KeyboardInterrupt, SystemExit):
        with pytest.raises(stop), store.start("stopped") as run:
            raise stop
        assert (store.get(run.id).status, store.get(run.id).error) == ("stopped", None)
    with store.start("pruned") as run:
        run.finish("stopped")
        run.finish("done")
    assert store.get(run.id).status == "stopped"
    with (
        store.start("wrong") as run,
        pytest.raises(ValueError, match="status 'lost', expected"),
    ):
        run.finish("lost")  # type: ignore[arg-type]


def test_nothing_is_logged_after_the_end(store: Store) -> None:
    with store.start("digits") as run:
        pass
    with pytest.raises(RuntimeError, match="has been finished"):
        run.log(1, loss=0.5)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"loss": "0.5"}, "series 'loss' got str, expected a number"),
        ({"loss": None}, "series 'loss' got NoneType"),
        ({"loss": np.ones(2)}, "series 'loss' got ndarray"),
        ({"loss": 1j}, "series 'loss' got complex"),
    ],
)
def test_only_numbers_are_points(store: Store, values: dict[str, Any], message: str) -> None:
    with store.start("digits") as run:
        with pytest.raises(TypeError, match=message):
            run.log(1, **values)
        with pytest.raises(TypeError, match=r"step is float 1\.5, expected an integer"):
            run.log(1.5, loss=0.5)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="at most 64 bits"):
            run.log(2**63, loss=0.5)
        for name in ("", "a\nb", "x" * 201):
            with pytest.raises(ValueError, match="a series is called"):
                run.log(1, **{name: 0.5})
        run.log(np.int64(1), a=np.float32(0.5), b=gu.tensor(0.25), c=True, d=10**30)  # type: ignore[arg-type]
    values = {series.name: series.last_value for series in store.series(run.id)}
    assert values == {"a": 0.5, "b": 0.25, "c": 1.0, "d": 1e30}


def test_points_reach_other_connections_by_themselves(store: Store) -> None:
    with Store(store.folder) as other, store.start("digits") as run:
        run.log(1, loss=0.5)
        deadline = time.monotonic() + 20
        while not other.series(run.id) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert other.points(run.id, "loss").values.tolist() == [0.5]


def test_series_can_be_followed(store: Store) -> None:
    version, seen = store.version(), []
    with Store(store.folder) as other, store.start("digits") as run:
        for step in range(5):
            run.log(step, loss=step / 2)
            run.flush()
            assert other.version() != version
            version = other.version()
            assert other.version() == version
            seen += other.points(run.id, "loss", after=len(seen)).values.tolist()
        assert seen == [0, 0.5, 1, 1.5, 2]
        run.rewind(2)
        run.flush()
        assert other.get(run.id).rewinds == 1


def test_figures(store: Store) -> None:
    with store.start("digits") as run:
        first = run.log_figure("loss", viz.curves({"a": [2.0, 1.0]}, "Step", "Loss"))
        run.log_figure("sample", "<svg xmlns='http://www.w3.org/2000/svg'><g/></svg>", 10)
        again = "<svg xmlns='http://www.w3.org/2000/svg'/>"
        assert run.log_figure("sample", again, 10).read_text() == again
        for name in ("../x", "", ".x", "a/b", "a\x00"):
            with pytest.raises(ValueError, match="cannot be the name of a file"):
                run.log_figure(name, again)
            with pytest.raises(ValueError, match="cannot be the name of a file"):
                run.checkpoint_path(name)
        with pytest.raises(ValueError, match="text, but not SVG"):
            run.log_figure("x", "<html>")
    assert [(m.name, m.step, m.path) for m in store.media(run.id)] == [
        ("loss", None, first),
        ("sample", 10, run.folder / "figures" / "sample-00000010.svg"),
    ]
    assert "<svg" in first.read_text()


def test_a_forged_journal_names_no_file_elsewhere(store: Store) -> None:
    info = store.queue("digits")
    with JournalOf(info.folder) as writer:
        writer.append(
            {"event": "figure", "time": 1.0, "name": "x", "step": None, "file": "../../secret"}
        )
    store.scan()
    assert store.media(info.id)[0].path == info.folder / "figures" / "secret"


class JournalOf:
    def __init__(self, folder: Path) -> None:
        self.writer = journal.Journal(folder / journal.NAME)

    def __enter__(self) -> journal.Journal:
        return self.writer

    def __exit__(self, *_: object) -> None:
        self.writer.close()


def test_finding_runs(store: Store) -> None:
    fill(store)
    (whole,) = store.runs(experiment="verify")
    assert [info.seed for info in store.runs(parent=whole.id)] == [1, 0]
    assert [info.seed for info in store.runs(status="queued")] == [2]
    assert store.runs(tag="paper") == [whole]
    assert store.runs(tag="other") == []
    assert len(store.runs(most=2)) == 2
    created = [info.created for info in store.runs()]
    assert created == sorted(created, reverse=True)
    assert store.verdicts(whole.id)[0].measured == {0: 95.0, 1: 96.0}
    one, two = store.runs(parent=whole.id)
    assert store.get(one.id[-6:]) == one
    assert store.get(whole.id[:4]) == whole
    with pytest.raises(UnknownRunError, match="'digits' may be any of 3 runs"):
        store.get("digits")
    typo = two.id.replace("digits", "digtis")
    with pytest.raises(UnknownRunError, match=f"did you mean '{two.id}'"):
        store.get(typo)
    for name in ("", "../x", "%"):
        with pytest.raises(UnknownRunError):
            store.get(name)
    with pytest.raises(UnknownRunError):
        store.start("digits", parent="nobody")


def test_resuming(store: Store) -> None:
    with store.start("digits", Config(), seed=3) as run:
        run.log(1, loss=0.5)
        with pytest.raises(RunningError, match=f"is running as process {os.getpid()}"):
            store.resume(run.id)
        with pytest.raises(RunningError):
            store.delete(run.id)
    first = store.get(run.id)
    with store.resume(run.id) as run:
        assert (run.resumed, run.seed, run.config) == (
            True,
            3,
            dataclasses.asdict(Config()) | {"inner": {"sizes": [64, 10]}},
        )
        assert store.get(run.id).status == "running"
        assert store.get(run.id).ended is None
        run.log(2, loss=0.25)
    info = store.get(run.id)
    assert (info.status, info.started) == ("done", first.started)
    assert store.points(run.id, "loss").values.tolist() == [0.5, 0.25]
    assert (run.folder / "environment-2.json").is_file()


def test_who_comes_second_to_a_run_changes_nothing_of_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both saw it lost; how far its journal was read and what it began with are the first's."""
    monkeypatch.setattr(journal.Journal.__init__, "__defaults__", (0.05,))
    run = store.start("digits")
    files = {path: path.read_bytes() for path in run.folder.glob("*.json")}
    with Store(store.folder) as other:
        monkeypatch.setattr(other, "_end_at_journal", lambda _: pytest.fail("not its run"))
        with pytest.raises(RunningError, match="another process holds"):
            other._open(run.folder)
    assert {path: path.read_bytes() for path in run.folder.glob("*.json")} == files
    run.log(1, loss=0.5)
    run.finish()
    assert store.points(run.id, "loss").values.tolist() == [0.5]


def test_a_failed_run_that_is_resumed_has_no_error(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.start("digits") as run:
        _ = 1 / 0
    with store.resume(run.id):
        assert store.get(run.id).error is None


def test_a_queued_run_begins_later(store: Store) -> None:
    info = store.queue("digits", {"rate": 0.1}, seed=1, tags=["sweep"])
    assert (info.status, info.started, info.pid) == ("queued", None, None)
    assert info.seconds is None
    with store.resume(info.id) as run:
        assert (run.resumed, run.config, run.seed) == (False, {"rate": 0.1}, 1)
    assert store.get(info.id).status == "done"
    assert not (run.folder / "environment-2.json").exists()


def test_the_journal_may_be_shorter_than_the_database(store: Store) -> None:
    with store.start("digits") as run:
        for step in range(10):
            run.log(step, loss=float(step))
    path = run.folder / journal.NAME
    os.truncate(path, path.stat().st_size // 2)  # what a power cut may leave
    with store.resume(run.id) as run:
        run.log(10, loss=10.0)
    assert store.points(run.id, "loss").values.tolist() == [float(step) for step in range(11)]


def test_labels(store: Store) -> None:
    info = store.queue("digits", tags=["a"], note="one")
    assert store.label(info.id, note="two").tags == ("a",)
    assert store.label(info.id, tags=["c", " b "]).note == "two"
    assert store.get(info.id).tags == ("b", "c")
    with pytest.raises(TypeError, match="tags is the string 'abc'"):
        store.label(info.id, tags="abc")
    with pytest.raises(ValueError, match="a tag is empty"):
        store.label(info.id, tags=[" "])


def test_deleting(store: Store) -> None:
    fill(store)
    with pytest.raises(UnknownRunError, match="give all of it"):
        store.delete("verify")
    for info in store.runs():
        store.delete(info.id)
        assert not info.folder.exists()
    count = store._database.read(
        lambda db: [
            db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("runs", "series", "pieces", "media", "verdicts", "texts")
        ]
    )
    assert count == [0] * 6


def test_the_database_can_be_made_again(store: Store) -> None:
    fill(store)
    store.label(store.runs()[0].id, tags=["later"])
    before = everything(store)
    assert len(before) == 5
    store.close()
    for path in store.folder.glob("runs.sqlite*"):
        path.unlink()
    assert everything(store) == before  # the same object finds the file gone
    with Store(store.folder) as other:
        assert everything(other) == before


def test_folders_may_come_and_go(store: Store, tmp_path: Path) -> None:
    fill(store)
    before = everything(store)
    with Store(tmp_path / "elsewhere") as other:
        for info in store.runs():
            shutil.copytree(info.folder, other.folder / info.id)
        (other.folder / "notes").mkdir()
        other.scan()
        assert everything(other) == before
        gone = other.runs()[0]
        shutil.rmtree(gone.folder)
        other.scan()
        assert everything(other) == {key: before[key] for key in before if key != gone.id}


def test_a_folder_that_lost_files_is_read_as_far_as_possible(store: Store) -> None:
    with store.start("digits", {"epochs": 2}, seed=1, tags=["a"]) as run:
        for step in range(50):
            run.log(step, loss=float(step))
    (run.folder / "config.json").write_text("{damaged")
    (run.folder / "labels.json").write_bytes(b"\xff\x00")
    lines = (run.folder / journal.NAME).read_bytes().splitlines(keepends=True)
    lines[0] = b"#" + lines[0]  # who made it
    lines[10] = b"\x00" * 30 + b"\n"
    (run.folder / journal.NAME).write_bytes(b"".join(lines))
    store.close()
    (store.folder / "runs.sqlite").unlink()
    info = store.get(run.id)
    assert (info.experiment, info.status, info.config, info.tags) == ("digits", "done", {}, ())
    assert abs(info.created - time.time()) < 1000
    assert len(store.points(run.id, "loss")) == 49


def test_where_runs_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GROUNDUP_RUNS", raising=False)
    assert runs_folder() == Path("runs")
    monkeypatch.setenv("GROUNDUP_RUNS", str(tmp_path / "there"))
    assert runs_folder() == tmp_path / "there"
    assert runs_folder("here") == Path("here")
    with Store() as store:
        info = store.queue("digits")
    assert (tmp_path / "there" / info.id).is_dir()


@pytest.mark.parametrize("name", ["", "Digits", "a b", "../a", "-a", "ü"])
def test_names_of_experiments(store: Store, name: str) -> None:
    with pytest.raises(ValueError, match="experiment"):
        store.start(name)
    assert [path.name for path in store.folder.iterdir() if path.is_dir()] == []


def test_what_json_cannot_hold_is_refused(store: Store) -> None:
    with pytest.raises(TypeError, match=r"config\.model\[1\] is Linear; expected numbers"):
        store.start("digits", {"model": [1, gu.nn.Linear(1, 1)]})
    with pytest.raises(TypeError, match=r"config\.a has the key 1; expected a string"):
        store.start("digits", {"a": {1: 2}})
    with pytest.raises(TypeError, match="config is list, expected a dataclass or a mapping"):
        store.start("digits", [1])
    assert store.runs() == []
    info = store.queue("digits", {"a": np.float32(0.5), "b": np.arange(2), "c": {"y", "x"}})
    assert info.config == {"a": 0.5, "b": [0, 1], "c": ["x", "y"]}


def test_the_environment_holds_no_secrets(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "hush-1")
    monkeypatch.setattr(
        "sys.argv",
        ["train.py", "--api-key", "hush-2", "--token=hush-3", "--storage", "mysql://a:hush-4@h/d"],
    )
    with store.start("digits", seed=5) as run:
        pass
    text = (run.folder / "environment.json").read_text()
    assert "hush" not in text
    found = json.loads(text)
    assert found["seed"] == 5
    assert found["versions"]["numpy"] == np.__version__
    assert found["versions"]["groundup"] == gu.__version__
    assert found["cores"] >= 1
    assert found["threads"] >= 1
    assert found["command"][:2] == ["train.py", "--api-key"]
    assert not set(found) & {"environ", "env", "variables"}


def test_ordinary_words_stay_in_the_command() -> None:
    words = ["groundup", "run", "monkey", "--set", "epochs=5", "--keys=3", "http://host:80/path"]
    assert command(words) == [*words[:5], "--keys=***", *words[6:]]
