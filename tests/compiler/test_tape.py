"""Tapes: kernels in order, in shares, with arguments that change. R1.4."""

import ctypes
import gc
import resource
import threading
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, strategies as st

from groundup.engine.compiler.native import native, threads
from groundup.engine.compiler.native.tape import Record, Tape, parts

# Writes 100 * part + 1 into each element of its share, and counts how often each was written.
MARK = """
define void @mark(ptr %arguments, i64 %begin, i64 %end, i64 %part) {
entry:
  %out = load ptr, ptr %arguments
  %any = icmp slt i64 %begin, %end
  br i1 %any, label %loop, label %done
loop:
  %i = phi i64 [ %begin, %entry ], [ %next, %loop ]
  %place = getelementptr i64, ptr %out, i64 %i
  %old = load i64, ptr %place
  %hundreds = mul i64 %part, 100
  %more = add i64 %hundreds, 1
  %new = add i64 %old, %more
  store i64 %new, ptr %place
  %next = add i64 %i, 1
  %again = icmp slt i64 %next, %end
  br i1 %again, label %loop, label %done
done:
  ret void
}
"""

# out[i] = 3 * in[i] + 1: what comes out of many of them depends on their order.
STEP = """
define void @step(ptr %arguments, i64 %begin, i64 %end, i64 %part) {
entry:
  %in = load ptr, ptr %arguments
  %second = getelementptr ptr, ptr %arguments, i64 1
  %out = load ptr, ptr %second
  %any = icmp slt i64 %begin, %end
  br i1 %any, label %loop, label %done
loop:
  %i = phi i64 [ %begin, %entry ], [ %next, %loop ]
  %from = getelementptr i64, ptr %in, i64 %i
  %x = load i64, ptr %from
  %x3 = mul i64 %x, 3
  %y = add i64 %x3, 1
  %to = getelementptr i64, ptr %out, i64 %i
  store i64 %y, ptr %to
  %next = add i64 %i, 1
  %again = icmp slt i64 %next, %end
  br i1 %again, label %loop, label %done
done:
  ret void
}
"""


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = threads.get_num_threads()
    yield
    threads.set_num_threads(before)


def mark() -> int:
    return native.compile(MARK, "mark")


def step() -> int:
    return native.compile(STEP, "step")


def words(size: int) -> npt.NDArray[np.int64]:
    return np.zeros(size, np.int64)


@given(extent=st.integers(0, 300), grain=st.integers(1, 100), count=st.integers(1, 9))
def test_shares_cover_the_extent_once(extent: int, grain: int, count: int) -> None:
    out = words(max(extent, 1))
    tape = Tape([Record(mark(), [out.ctypes.data], extent, grain)], threads=count)
    tape.run()
    written = out[:extent]
    assert tape.parts == [parts(extent, grain, count)]
    assert np.all(written % 100 == 1)  # each once
    shares = np.bincount(written // 100, minlength=1)
    assert len(shares) <= tape.parts[0] <= count
    assert np.all(np.diff(written) >= 0)  # contiguous, in order
    assert np.ptp(shares[shares > 0]) <= 1 if extent else shares.sum() == 0


@pytest.mark.parametrize("pool", [1, 2, 4])
def test_shares_do_not_depend_on_the_threads_there_are(pool: int) -> None:
    threads.set_num_threads(pool)
    out = words(1000)
    Tape([Record(mark(), [out.ctypes.data], 1000, 1)], threads=5).run()
    assert np.array_equal(out, 100 * (np.arange(1000) * 5 // 1000) + 1)


def test_records_run_in_order_and_wait_for_each_other() -> None:
    threads.set_num_threads(4)
    a, b = words(64), words(64)
    there = Record(step(), [a.ctypes.data, b.ctypes.data], 64, 1)
    back = Record(step(), [b.ctypes.data, a.ctypes.data], 64, 1)
    tape = Tape([there, back] * 10)
    assert tape.parts == [4] * 20
    for _ in range(50):
        a[:] = np.arange(64)
        tape.run()
        assert np.array_equal(a, np.arange(64) * 3**20 + (3**20 - 1) // 2)


def test_whole_and_split_records_mix() -> None:
    threads.set_num_threads(2)
    a, b = words(64), words(64)
    there = Record(step(), [a.ctypes.data, b.ctypes.data], 64, 1)
    back = Record(step(), [b.ctypes.data, a.ctypes.data], 64, 1000)
    tape = Tape([there, back] * 10)
    assert tape.parts == [2, 1] * 10
    tape.run()
    assert np.array_equal(a, np.full(64, (3**20 - 1) // 2))


def test_an_argument_is_changed() -> None:
    a, b, c = words(4), words(4), words(4)
    first = Record(step(), [a.ctypes.data, b.ctypes.data], 4, 1)
    second = Record(step(), [b.ctypes.data, c.ctypes.data], 4, 1)
    tape = Tape([first, second])
    tape.run()
    assert c.tolist() == [4] * 4
    other, target = np.arange(4), words(4)
    tape.set(0, 0, other.ctypes.data)
    tape.set(1, 1, target.ctypes.data)
    tape.run()
    assert target.tolist() == [4, 13, 22, 31]
    assert c.tolist() == [4] * 4


def test_an_empty_tape_runs() -> None:
    Tape([]).run()


def test_two_threads_run_two_tapes() -> None:
    threads.set_num_threads(2)
    failures = []

    def work(seed: int) -> None:
        a, b = words(512), words(512)
        there = Record(step(), [a.ctypes.data, b.ctypes.data], 512, 1)
        back = Record(step(), [b.ctypes.data, a.ctypes.data], 512, 1)
        tape = Tape([there, back] * 8)
        for _ in range(200):
            a[:] = seed
            tape.run()
            if not np.all(a == seed * 3**16 + (3**16 - 1) // 2):
                failures.append(a.copy())

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures


def test_ten_thousand_runs_leak_nothing() -> None:
    threads.set_num_threads(2)
    out = words(64)
    record = Record(mark(), [out.ctypes.data], 64, 1)
    tape = Tape([record] * 4)
    for _ in range(100):
        tape.run()
        Tape([record]).run()
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(10_000):
        tape.run()
        tape.set(1, 0, out.ctypes.data)
        Tape([record]).run()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 4096  # kilobytes, of 100,000 records


def test_kernels_find_the_c_library() -> None:
    text = """
    declare ptr @memset(ptr, i32, i64)
    define void @blank(ptr %arguments, i64 %begin, i64 %end, i64 %part) {
      %out = load ptr, ptr %arguments
      %start = getelementptr i8, ptr %out, i64 %begin
      %size = sub i64 %end, %begin
      call ptr @memset(ptr %start, i32 7, i64 %size)
      ret void
    }"""
    out = np.zeros(100, np.uint8)
    Tape([Record(native.compile(text, "blank"), [out.ctypes.data], 100, 30)], threads=3).run()
    assert np.all(out == 7)


def test_other_python_threads_run_meanwhile() -> None:
    """A tape that waits for another Python thread ends, so it does not hold the interpreter."""
    text = """
    declare i32 @sched_yield()
    define void @wait(ptr %arguments, i64 %begin, i64 %end, i64 %part) {
    entry:
      %flag = load ptr, ptr %arguments
      br label %look
    look:
      call i32 @sched_yield()
      %value = load atomic i64, ptr %flag acquire, align 8
      %set = icmp ne i64 %value, 0
      br i1 %set, label %done, label %look
    done:
      ret void
    }"""
    flag = ctypes.c_int64(0)
    record = Record(native.compile(text, "wait"), [ctypes.addressof(flag)], 1, 1)
    timer = threading.Timer(0.05, lambda: setattr(flag, "value", 1))
    timer.start()
    Tape([record]).run()
    timer.join()
    assert flag.value == 1
