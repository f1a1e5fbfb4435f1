"""The pool survives what happens to processes: forks, Ctrl-C, exits, idleness. R1.4."""

import os
import subprocess
import sys
import textwrap

import pytest

from groundup.engine.compiler.native import threads

SETUP = """
    import os, signal, sys, threading, time
    import numpy as np
    from groundup.engine.compiler.native import native, pool
    from groundup.engine.compiler.native.tape import Record, Tape

    SPIN = '''
    define void @spin(ptr %arguments, i64 %begin, i64 %end, i64 %part) {
    entry:
      %out = load ptr, ptr %arguments
      %turnsp = getelementptr i64, ptr %out, i64 8
      %turns = load i64, ptr %turnsp
      br label %loop
    loop:
      %i = phi i64 [ 0, %entry ], [ %next, %loop ]
      %x = load volatile i64, ptr %turnsp
      %next = add i64 %i, 1
      %again = icmp slt i64 %next, %turns
      br i1 %again, label %loop, label %done
    done:
      %place = getelementptr i64, ptr %out, i64 %part
      %old = load i64, ptr %place
      %new = add i64 %old, 1
      store i64 %new, ptr %place
      ret void
    }'''

    def tape_of(records, turns, parts=2):
        words = np.zeros(9, np.int64)
        words[8] = turns
        record = Record(native.compile(SPIN, "spin"), [words.ctypes.data], parts, 1)
        return words, Tape([record] * records)

    def tasks():
        return len(os.listdir("/proc/self/task"))

    pool.set_num_threads(2)
"""

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")


def run(script: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a process of its own; it has to end well, and say nothing on stderr."""
    code = textwrap.dedent(SETUP) + textwrap.dedent(script)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done


def test_threads_are_chosen() -> None:
    before = threads.get_num_threads()
    try:
        threads.set_num_threads(3)
        assert threads.get_num_threads() == 3
        for wrong in (0, -1, 65):
            with pytest.raises(ValueError, match=f"set_num_threads: {wrong} threads; expected"):
                threads.set_num_threads(wrong)
        with pytest.raises(TypeError):
            threads.set_num_threads(1.5)  # type: ignore[arg-type]
        assert threads.get_num_threads() == 3
    finally:
        threads.set_num_threads(before)


@pytest.mark.parametrize(("stated", "count"), [("3", 3), ("2,4", 2), ("1000", 64)])
def test_the_default_is_stated_outside(stated: str, count: int) -> None:
    code = "from groundup.engine.compiler.native import pool; print(pool.get_num_threads())"
    environment = {**os.environ, "OMP_NUM_THREADS": stated}
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment)
    assert out.stdout.decode() == f"{count}\n"


@pytest.mark.parametrize("stated", ["", "0", "many"])
def test_the_default_is_the_processors(stated: str) -> None:
    code = "from groundup.engine.compiler.native import pool; print(pool.get_num_threads())"
    environment = {**os.environ, "OMP_NUM_THREADS": stated}
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment)
    assert 1 <= int(out.stdout) <= (os.cpu_count() or 1)


@on_linux
def test_threads_come_and_go() -> None:
    run("""
        words, tape = tape_of(4, 10)
        before = tasks()
        tape.run()
        assert tasks() == before + 1
        pool.set_num_threads(4)
        tape.run()
        assert tasks() == before + 3
        pool.set_num_threads(1)
        tape.run()
        assert tasks() == before
        assert words[:2].tolist() == [12, 12]
    """)


def test_idle_threads_sleep() -> None:
    run("""
        words, tape = tape_of(4, 10)
        tape.run()
        time.sleep(0.1)
        before = time.process_time()
        time.sleep(1)
        assert time.process_time() - before < 0.05
        for i in range(20):  # and wake up again
            tape.run()
            time.sleep(0.005)
        assert words[:2].tolist() == [84, 84]
    """)


def test_exit_while_the_pool_watches_or_sleeps() -> None:
    run("tape_of(4, 10)[1].run()")
    run("tape_of(4, 10)[1].run(); time.sleep(0.1)")


def test_exit_while_another_thread_runs_a_tape() -> None:
    run("""
        words, tape = tape_of(1000, 100_000)
        threading.Thread(target=tape.run, daemon=True).start()
        time.sleep(0.02)
    """)


def test_sys_exit_and_exceptions_leave_the_pool_usable() -> None:
    run("""
        words, tape = tape_of(4, 10)
        try:
            tape.run()
            raise ValueError
        except ValueError:
            tape.run()
        assert words[:2].tolist() == [8, 8]
        sys.exit(0)
    """)


def test_a_forked_process_has_a_pool_of_its_own() -> None:
    run("""
        words, tape = tape_of(4, 1000)
        for i in range(20):
            tape.run()
            child = os.fork()
            if not child:
                tape.run()
                os._exit(0 if words[:2].tolist() == [4 * (i + 2)] * 2 else 1)
            assert os.waitpid(child, 0)[1] == 0
        tape.run()
        assert words[:2].tolist() == [84, 84]
    """)


def test_fork_in_the_middle_of_a_tape() -> None:
    run("""
        words, tape = tape_of(20_000, 1000)
        mine, other = tape_of(4, 1000)
        runner = threading.Thread(target=tape.run)
        runner.start()
        for _ in range(20):
            child = os.fork()
            if not child:
                other.run()
                os._exit(0 if mine[:2].tolist() == [4, 4] else 1)
            assert os.waitpid(child, 0)[1] == 0
        runner.join()
        assert words[:2].tolist() == [20_000, 20_000]
    """)


@on_linux
def test_multiprocessing_by_fork() -> None:
    run("""
        import multiprocessing
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        words, tape = tape_of(4, 1000)
        tape.run()

        def work(i):
            tape.run()
            return words[:2].tolist()

        with multiprocessing.get_context("fork").Pool(3) as processes:
            results = processes.map(work, range(12), chunksize=1)
        assert all(a == b and a % 4 == 0 and a > 4 for a, b in results)
    """)


def test_ctrl_c_takes_effect_when_the_tape_is_done() -> None:
    run("""
        signal.signal(signal.SIGINT, signal.default_int_handler)
        words, tape = tape_of(20_000, 10_000)
        tape.run()
        threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            while True:
                tape.run()
        except KeyboardInterrupt:
            pass
        assert words[0] == words[1] and words[0] % 20_000 == 0
        tape.run()
    """)


def test_more_shares_than_threads_and_most_threads() -> None:
    run("""
        pool.set_num_threads(64)
        words, tape = tape_of(3, 100, parts=8)
        assert tape.parts == [8] * 3
        for _ in range(20):
            tape.run()
        assert words[:8].tolist() == [60] * 8
    """)


@on_linux
def test_signals_are_left_to_the_interpreter() -> None:
    run("""
        words, tape = tape_of(4, 10)
        before = set(os.listdir("/proc/self/task"))
        tape.run()
        for task in set(os.listdir("/proc/self/task")) - before:
            status = open(f"/proc/self/task/{task}/status").read()
            blocked = int(status.split("SigBlk:")[1].split()[0], 16)
            assert blocked >> (signal.SIGINT - 1) & 1
        assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    """)
