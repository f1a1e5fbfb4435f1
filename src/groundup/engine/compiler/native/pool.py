"""The threads that kernels are split over, and how many of them there are.

A pool is a small piece of memory and the worker threads that share it. A thread that runs a tape
enters the pool; while it is inside, the workers watch ``shares``, a word with one bit for each
share of the kernel at hand. Whoever clears a bit does that share: its own first, then any that is
left, so a worker that the system holds up delays nobody. Once ``pending`` is zero, the next kernel
may start. Nothing depends on the workers but the speed: without them, whoever entered does it all.

After a tape the workers watch for about a tenth of a millisecond, then sleep until the next one.
They are threads of the C library, run no Python code and never hold the interpreter's lock. They
are stopped before a fork and at exit, and started again by the next tape that needs them.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from . import native
from .threads import MOST, get_num_threads, set_num_threads

__all__ = ["get_num_threads", "set_num_threads"]

_PAUSES = {"x86_64": "pause", "aarch64": "isb", "arm64": "isb"}
_WATCH = 4096  # pauses before a worker sleeps
_YIELD = 1024  # pauses before a thread that waits lets another one run

# Each word that several threads write is alone in its line of the cache.
_LAYOUT = """
%pool = type {
  i64, [15 x i64],                 ; 0: shares, a bit each, that nobody has taken
  i64, [15 x i64],                 ; 2: pending, the number of shares that are not finished
  ptr, ptr, i64, i64, [12 x i64],  ; 4: kernel, 5: arguments, 6: extent, 7: parts
  i64, i64, i64, [13 x i64],       ; 9: inside, whether a tape runs; 10: sleepers; 11: stop
  i64, [15 x i64],                 ; 13: owner, whether a thread has entered
  [16 x i64], [16 x i64]           ; 15: mutex, 16: condition
}
"""
_SIZE = 8 * 16 * 7
_INSIDE = 8 * 16 * 3 // 8  # the word of field 9
_STOP = _INSIDE + 2
_FAREWELL = 10.0
"""Seconds that the end of the program waits for a tape of another thread."""

_CODE = """
declare i32 @sched_yield()
declare i32 @pthread_mutex_init(ptr, ptr)
declare i32 @pthread_mutex_lock(ptr)
declare i32 @pthread_mutex_unlock(ptr)
declare i32 @pthread_cond_init(ptr, ptr)
declare i32 @pthread_cond_wait(ptr, ptr)
declare i32 @pthread_cond_broadcast(ptr)
declare i64 @llvm.cttz.i64(i64, i1)

; Waits a moment; after many of them, lets another thread have the processor.
define internal void @pause(i64 %count) alwaysinline {
entry:
  call void asm sideeffect "PAUSE", ""()
  %low = and i64 %count, YIELD_MASK
  %often = icmp eq i64 %low, YIELD_MASK
  br i1 %often, label %yield, label %done
yield:
  call i32 @sched_yield()
  br label %done
done:
  ret void
}

define void @pool_open(ptr %pool) {
  %mutex = getelementptr %pool, ptr %pool, i64 0, i32 15
  %condition = getelementptr %pool, ptr %pool, i64 0, i32 16
  call i32 @pthread_mutex_init(ptr %mutex, ptr null)
  call i32 @pthread_cond_init(ptr %condition, ptr null)
  ret void
}

define internal void @pool_wake(ptr %pool) {
entry:
  %sleepersp = getelementptr %pool, ptr %pool, i64 0, i32 10
  %sleepers = load atomic i64, ptr %sleepersp seq_cst, align 8
  %any = icmp ne i64 %sleepers, 0
  br i1 %any, label %wake, label %done
wake:
  %mutex = getelementptr %pool, ptr %pool, i64 0, i32 15
  %condition = getelementptr %pool, ptr %pool, i64 0, i32 16
  call i32 @pthread_mutex_lock(ptr %mutex)
  call i32 @pthread_cond_broadcast(ptr %condition)
  call i32 @pthread_mutex_unlock(ptr %mutex)
  br label %done
done:
  ret void
}

; Whether the calling thread has the pool for itself from now on.
define i1 @pool_enter(ptr %pool) {
entry:
  %ownerp = getelementptr %pool, ptr %pool, i64 0, i32 13
  %try = cmpxchg ptr %ownerp, i64 0, i64 1 acq_rel monotonic, align 8
  %got = extractvalue { i64, i1 } %try, 1
  br i1 %got, label %enter, label %done
enter:
  %insidep = getelementptr %pool, ptr %pool, i64 0, i32 9
  store atomic i64 1, ptr %insidep seq_cst, align 8
  call void @pool_wake(ptr %pool)
  br label %done
done:
  ret i1 %got
}

define void @pool_leave(ptr %pool) {
  %insidep = getelementptr %pool, ptr %pool, i64 0, i32 9
  store atomic i64 0, ptr %insidep release, align 8
  %ownerp = getelementptr %pool, ptr %pool, i64 0, i32 13
  store atomic i64 0, ptr %ownerp release, align 8
  ret void
}

; The workers return when their shares are done. A tape that is inside goes on without them.
define void @pool_stop(ptr %pool) {
  %stopp = getelementptr %pool, ptr %pool, i64 0, i32 11
  store atomic i64 1, ptr %stopp seq_cst, align 8
  call void @pool_wake(ptr %pool)
  ret void
}

; Do the share `number` if nobody has taken it, else another one; false if none is left.
define internal i1 @pool_share(ptr %pool, i64 %number) {
entry:
  %own = shl i64 1, %number
  br label %look
look:
  %shares = load atomic i64, ptr %pool acquire, align 8
  %none = icmp eq i64 %shares, 0
  br i1 %none, label %failed, label %choose
choose:
  %mine = and i64 %shares, %own
  %taken = icmp eq i64 %mine, 0
  %minus = sub i64 0, %shares
  %lowest = and i64 %shares, %minus
  %bit = select i1 %taken, i64 %lowest, i64 %own
  %others = xor i64 %bit, -1
  %before = atomicrmw and ptr %pool, i64 %others acq_rel, align 8
  %still = and i64 %before, %bit
  %lost = icmp eq i64 %still, 0
  br i1 %lost, label %look, label %do
do:
  %part = call i64 @llvm.cttz.i64(i64 %bit, i1 true)
  %kernelp = getelementptr %pool, ptr %pool, i64 0, i32 4
  %kernel = load ptr, ptr %kernelp
  %argumentsp = getelementptr %pool, ptr %pool, i64 0, i32 5
  %arguments = load ptr, ptr %argumentsp
  %extentp = getelementptr %pool, ptr %pool, i64 0, i32 6
  %extent = load i64, ptr %extentp
  %partsp = getelementptr %pool, ptr %pool, i64 0, i32 7
  %parts = load i64, ptr %partsp
  call void @run_part(ptr %kernel, ptr %arguments, i64 %extent, i64 %parts, i64 %part)
  %pendingp = getelementptr %pool, ptr %pool, i64 0, i32 2
  %left = atomicrmw sub ptr %pendingp, i64 1 acq_rel, align 8
  ret i1 true
failed:
  ret i1 false
}

define internal void @run_part(ptr %kernel, ptr %arguments, i64 %extent, i64 %parts, i64 %part) {
  %low = mul i64 %extent, %part
  %begin = sdiv i64 %low, %parts
  %high = add i64 %low, %extent
  %end = sdiv i64 %high, %parts
  call void %kernel(ptr %arguments, i64 %begin, i64 %end, i64 %part)
  ret void
}

; Have all parts of a kernel done, by the thread that has entered and the workers.
define void @pool_run(ptr %pool, ptr %kernel, ptr %arguments, i64 %extent, i64 %parts) {
entry:
  %kernelp = getelementptr %pool, ptr %pool, i64 0, i32 4
  store ptr %kernel, ptr %kernelp
  %argumentsp = getelementptr %pool, ptr %pool, i64 0, i32 5
  store ptr %arguments, ptr %argumentsp
  %extentp = getelementptr %pool, ptr %pool, i64 0, i32 6
  store i64 %extent, ptr %extentp
  %partsp = getelementptr %pool, ptr %pool, i64 0, i32 7
  store i64 %parts, ptr %partsp
  %pendingp = getelementptr %pool, ptr %pool, i64 0, i32 2
  store atomic i64 %parts, ptr %pendingp monotonic, align 8
  %unused = sub i64 64, %parts
  %shares = lshr i64 -1, %unused
  store atomic i64 %shares, ptr %pool release, align 8
  br label %work
work:
  %worked = call i1 @pool_share(ptr %pool, i64 0)
  br i1 %worked, label %work, label %wait
wait:
  %count = phi i64 [ 0, %work ], [ %more, %waited ]
  %pending = load atomic i64, ptr %pendingp acquire, align 8
  %finished = icmp eq i64 %pending, 0
  br i1 %finished, label %done, label %waited
waited:
  call void @pause(i64 %count)
  %more = add i64 %count, 1
  br label %wait
done:
  ret void
}

; The life of a worker; `me` points to the pool's address and the worker's number.
define ptr @pool_worker(ptr %me) {
entry:
  %pool = load ptr, ptr %me
  %numberp = getelementptr i64, ptr %me, i64 1
  %number = load i64, ptr %numberp
  %insidep = getelementptr %pool, ptr %pool, i64 0, i32 9
  %sleepersp = getelementptr %pool, ptr %pool, i64 0, i32 10
  %stopp = getelementptr %pool, ptr %pool, i64 0, i32 11
  %mutex = getelementptr %pool, ptr %pool, i64 0, i32 15
  %condition = getelementptr %pool, ptr %pool, i64 0, i32 16
  br label %work
work:
  %worked = call i1 @pool_share(ptr %pool, i64 %number)
  br i1 %worked, label %work, label %watch
watch:
  %count = phi i64 [ 0, %work ], [ %next, %watched ], [ 0, %woken ]
  %shares = load atomic i64, ptr %pool monotonic, align 8
  %call = icmp ne i64 %shares, 0
  br i1 %call, label %work, label %check
check:
  %stop = load atomic i64, ptr %stopp monotonic, align 8
  %stopped = icmp ne i64 %stop, 0
  br i1 %stopped, label %done, label %idle
idle:
  %inside = load atomic i64, ptr %insidep monotonic, align 8
  %running = icmp ne i64 %inside, 0
  %patient = icmp slt i64 %count, WATCH
  %stay = or i1 %running, %patient
  br i1 %stay, label %watched, label %sleep
watched:
  call void @pause(i64 %count)
  %plus = add i64 %count, 1
  %wrapped = and i64 %plus, YIELD_MASK
  %next = select i1 %running, i64 %wrapped, i64 %plus
  br label %watch
sleep:
  call i32 @pthread_mutex_lock(ptr %mutex)
  %more = atomicrmw add ptr %sleepersp, i64 1 seq_cst, align 8
  %inside2 = load atomic i64, ptr %insidep seq_cst, align 8
  %stop2 = load atomic i64, ptr %stopp seq_cst, align 8
  %either = or i64 %inside2, %stop2
  %up = icmp ne i64 %either, 0
  br i1 %up, label %woken, label %rest
rest:
  call i32 @pthread_cond_wait(ptr %condition, ptr %mutex)
  br label %woken
woken:
  %fewer = atomicrmw sub ptr %sleepersp, i64 1 seq_cst, align 8
  call i32 @pthread_mutex_unlock(ptr %mutex)
  br label %watch
done:
  ret ptr null
}
"""


class _Native(NamedTuple):
    open: Callable[[int], None]
    stop: Callable[[int], None]
    worker: int
    create: Callable[..., int]
    join: Callable[..., int]


def text() -> str:
    """The code of the pool, for this processor; other native code may be appended to it."""
    architecture = native.host().triple.split("-")[0]
    code = _CODE.replace("PAUSE", _PAUSES.get(architecture, ""))
    return _LAYOUT + code.replace("YIELD_MASK", str(_YIELD - 1)).replace("WATCH", str(_WATCH))


@functools.cache
def _native() -> _Native:
    open_, stop, worker = native.compile_functions(text(), "pool_open", "pool_stop", "pool_worker")
    prototype = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
    library = ctypes.CDLL(None)
    create, join = library.pthread_create, library.pthread_join
    create.argtypes = [ctypes.c_void_p] * 4
    join.argtypes = [ctypes.c_void_p] * 2
    return _Native(prototype(open_), prototype(stop), worker, create, join)


class Workers:
    """The pool of this process: its memory, and the threads beside the one that runs a tape.

    Attributes:
        address: of the memory; it does not change.
        count: how many threads have been started for, the one that runs a tape included; or 0.
    """

    def __init__(self) -> None:
        memory = np.zeros(_SIZE + 128, np.uint8)
        self._memory = memory[-memory.ctypes.data % 128 :][:_SIZE]
        self.address: int = self._memory.ctypes.data
        self.count = 0
        self._threads: list[ctypes.c_void_p] = []
        self._briefs = np.array([[self.address, number] for number in range(MOST)], np.int64)
        self._opened = False
        self._lock = threading.Lock()

    def prepare(self) -> None:
        """See to it that as many threads run as ``get_num_threads`` says."""
        with self._lock:
            if self.count == get_num_threads():
                return
            self._end()
            if not self._opened:
                _native().open(self.address)
                self._opened = True
            self._memory.view(np.int64)[_STOP] = 0
            # Signals are for the interpreter's threads; a new thread inherits what is blocked.
            blocked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            try:
                for number in range(1, get_num_threads()):
                    thread = ctypes.c_void_p()
                    brief = self._briefs[number].ctypes.data
                    if _native().create(ctypes.byref(thread), None, _native().worker, brief):
                        break  # the system allows no more of them
                    self._threads.append(thread)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            self.count = get_num_threads()

    def stop(self) -> None:
        """End the threads; a tape that runs meanwhile goes on alone."""
        with self._lock:
            self._end()

    def leave(self) -> None:
        """As `stop`, and a tape that runs is waited for: its code is about to be unloaded."""
        self.stop()
        until = time.monotonic() + _FAREWELL
        while self._memory.view(np.int64)[_INSIDE] and time.monotonic() < until:
            time.sleep(0.001)

    def _end(self) -> None:
        self.count = 0
        if self._threads:
            _native().stop(self.address)
        while self._threads:
            _native().join(self._threads.pop(), None)

    def forget(self) -> None:
        """Begin anew in a forked process, which inherits the memory in any state."""
        self._memory[:] = 0
        self._threads.clear()
        self.count, self._opened = 0, False
        self._lock = threading.Lock()


workers = Workers()
atexit.register(workers.leave)
os.register_at_fork(before=workers.stop, after_in_child=workers.forget)
