"""Several processes at once, and processes that end without a word."""

import os
import platform
import random
import select
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

from groundup.runs import DamageWarning, RunningError, Store, journal

WORKER = Path(__file__).with_name("worker.py")
OFTEN = pytest.mark.parametrize("kills", [3, pytest.param(10, marks=pytest.mark.slow)])


def worker(what: str, folder: Path, *numbers: int) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, str(WORKER), what, str(folder), *map(str, numbers)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)


def output_until(process: subprocess.Popen[bytes], lines: int) -> list[bytes]:
    """The first lines that a process prints."""
    assert process.stdout is not None
    return [process.stdout.readline() for _ in range(lines)]


@OFTEN
def test_a_kill_loses_at_most_the_last_step(kills: int, tmp_path: Path) -> None:
    rng = random.Random(5)
    with Store(tmp_path) as store:
        for kill in range(kills):
            process = worker("log", tmp_path, 10_000_000)
            (name,) = output_until(process, 1)
            assert process.stdout is not None
            printed = output_until(process, rng.choice([1, 20, 300]))
            time.sleep(rng.random() * 0.4)  # within one transfer to the database, or past it
            process.kill()
            printed += process.stdout.read().splitlines(keepends=True)
            process.wait()
            process.stdout.close()
            last = int([line for line in printed if line.endswith(b"\n")][-1])

            run_id = name.decode().strip()
            info = store.get(run_id) if kill % 2 else store.runs(most=1)[0]
            assert (info.id, info.status) == (run_id, "lost")
            steps = store.points(run_id, "loss").steps.tolist()
            assert steps == list(range(1, len(steps) + 1)), "a hole, or a step twice"
            # The step after the last that was reported may have been logged before the kill.
            assert last <= len(steps) <= last + 1
            assert store.points(run_id, "loss").values.tolist() == [step / 7 for step in steps]
            if len(steps) >= 10:
                many = store.points(run_id, "weight_norm/299").steps.tolist()
                assert many == list(range(10, len(steps) + 1, 10))
            assert info.ended is not None
            assert abs(info.ended - time.time()) < 60

            with store.resume(run_id) as run:
                run.rewind(last)
                run.log(last + 1, loss=0.0)
            assert store.points(run_id, "loss").steps.tolist() == list(range(1, last + 2))
            assert store.get(run_id).status == "done"


def test_a_running_process_is_not_lost(tmp_path: Path) -> None:
    process = worker("log", tmp_path, 10_000_000)
    try:
        (name,) = output_until(process, 1)
        run_id = name.decode().strip()
        with Store(tmp_path) as store:
            assert store.get(run_id).status == "running"
            assert store.get(run_id).pid == process.pid
            process.send_signal(signal.SIGSTOP)  # a laptop that sleeps
            assert store.get(run_id).status == "running"
            with pytest.raises(RunningError, match=f"process {process.pid}"):
                store.resume(run_id)
            process.send_signal(signal.SIGCONT)
    finally:
        process.kill()
        assert process.stdout is not None
        process.stdout.close()
        process.wait()


def test_ctrl_c_stops_a_run(tmp_path: Path) -> None:
    process = worker("log", tmp_path, 10_000_000)
    lines = output_until(process, 5)
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    while select.select([process.stdout], [], [], 30)[0] and process.stdout.read(1 << 16):
        pass
    process.stdout.close()
    assert process.wait(30) != 0
    with Store(tmp_path) as store:
        info = store.get(lines[0].decode().strip())
        assert info.status == "stopped"
        assert len(store.points(info.id, "loss")) >= 4


def test_a_process_number_of_somebody_else_does_not_keep_a_run_alive(store: Store) -> None:
    info = store.queue("digits")
    writer = journal.Journal(info.folder / journal.NAME)
    start = {"event": "start", "time": time.time(), "host": platform.node(), "pid": os.getpid()}
    writer.append(start)
    store.read_in(info.id)
    assert store.get(info.id).status == "running"
    writer.close()  # as the kernel does for a process that ends; the number lives on
    assert store.get(info.id).status == "lost"


def test_a_run_of_another_computer_is_lost_when_it_is_silent(store: Store) -> None:
    info = store.queue("digits")
    writer = journal.Journal(info.folder / journal.NAME)
    writer.append({"event": "start", "time": time.time(), "host": "elsewhere", "pid": 1})
    store.read_in(info.id)
    writer.close()  # locks do not reach from computer to computer
    assert store.get(info.id).status == "running"
    store._database.write(
        lambda db: db.execute("UPDATE runs SET heartbeat = ?", (time.time() - 1000,))
    )
    assert store.get(info.id).status == "lost"
    assert store.runs()[0].status == "lost"


def test_an_end_that_only_the_journal_knows(store: Store) -> None:
    """Killed between the last line and the last transfer to the database."""
    info = store.queue("digits")
    with_end = [
        {"event": "start", "time": 5.0, "host": platform.node(), "pid": 1},
        {"step": 1, "time": 6.0, "values": {"loss": 0.5}},
        {"event": "end", "time": 7.0, "status": "failed", "error": "why"},
    ]
    writer = journal.Journal(info.folder / journal.NAME)
    for event in with_end:
        writer.append(event)
        if event is with_end[0]:
            store.read_in(info.id)
    writer.close()
    found = store.get(info.id)
    assert (found.status, found.ended, found.error) == ("failed", 7.0, "why")
    assert len(store.points(info.id, "loss")) == 1


def test_many_writers_and_readers(tmp_path: Path) -> None:
    processes = [worker("burst", tmp_path, 3, 500) for _ in range(3)]
    processes += [worker("open", tmp_path, 20)]
    with Store(tmp_path) as store:
        while any(process.poll() is None for process in processes):
            for info in store.runs():
                for series in store.series(info.id):
                    steps = store.points(info.id, series.name).steps.tolist()
                    assert steps == list(range(len(steps)))
        for process in processes:
            assert process.stdout is not None
            process.stdout.close()
        assert [process.returncode for process in processes] == [0] * len(processes)
        found = store.runs()
        assert [info.status for info in found] == ["done"] * 9
        assert [info.note for info in found] == ["finished"] * 9
        for info in found:
            assert store.points(info.id, "loss").values.tolist() == list(range(500))


def test_many_processes_meet_a_damaged_database(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        for _ in range(5):
            store.queue("digits")
    (tmp_path / "runs.sqlite").write_bytes(os.urandom(100_000))
    processes = [worker("open", tmp_path, 5) for _ in range(4)]
    for process in processes:
        assert process.wait(100) == 0
        assert process.stdout is not None
        process.stdout.close()
    assert len(list(tmp_path.glob("runs.sqlite.corrupt-*"))) == 1
    with Store(tmp_path) as store:
        assert len(store.runs()) == 5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_reads_but_does_not_write_its_parents_run(store: Store) -> None:
    with store.start("digits") as run:
        for step in range(100):
            run.log(step, loss=float(step))
        run.flush()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads
            child = os.fork()
        if child == 0:
            code = 1
            try:
                assert len(store.points(run.id, "loss")) == 100
                store.queue("child", parent=run.id)
                with pytest.raises(RuntimeError, match="give each process a run of its own"):
                    run.log(100, loss=0.0)
                code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        run.log(100, loss=100.0)
        assert store.get(run.id).status == "running"
    assert len(store.points(run.id, "loss")) == 101
    assert store.runs(parent=run.id)[0].experiment == "child"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_that_lives_on_does_not_keep_a_killed_run_alive(tmp_path: Path) -> None:
    code = """if True:
        import os, sys, time, warnings
        from groundup.runs import Store
        warnings.simplefilter("ignore")
        run = Store(sys.argv[1]).start("parent")
        child = os.fork()
        if child == 0:
            time.sleep(300)
        else:
            print(run.id, child, flush=True)
            os.kill(os.getpid(), 9)
    """
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    run_id, child = process.stdout.readline().decode().split()
    process.stdout.close()
    process.wait()
    try:
        os.kill(int(child), 0)  # it is there
        deadline = time.monotonic() + 20  # the child lets go of the lock when it first runs
        with Store(tmp_path) as store:
            while store.get(run_id).status != "lost":
                assert time.monotonic() < deadline
                time.sleep(0.05)
    finally:
        os.kill(int(child), signal.SIGKILL)


def test_a_folder_that_vanishes_under_a_run(tmp_path: Path) -> None:
    """Somebody removes the run by hand; other runs are not disturbed."""
    with Store(tmp_path) as store, Store(tmp_path) as other:
        with store.start("kept") as kept:
            with store.start("removed") as run:
                run.log(1, loss=0.5)
                run.flush()
                shutil.rmtree(run.folder)
                other.scan()
                run.log(2, loss=0.25)
            kept.log(1, loss=0.5)
        with warnings.catch_warnings():
            warnings.simplefilter("error", DamageWarning)
            assert {info.id for info in store.runs()} >= {kept.id}
        other.scan()
        assert [info.id for info in other.runs()] == [kept.id]
