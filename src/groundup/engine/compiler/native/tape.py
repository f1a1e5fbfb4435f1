"""A tape: kernels and the addresses of their arguments, run in order by one native call.

A record says which kernel, where its arguments' addresses are, how much there is to do (the extent)
and into how many shares that is split. Shares are contiguous and as equal as can be; part p of P
does [p * extent // P, (p + 1) * extent // P). A record starts when the one before it is finished.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..products import blas
from . import native, pool
from .threads import get_num_threads

# A tape in memory: records, how many, the pool (0 if no record is split), the words of BLAS (0 if
# no record calls it), the flag. A record: kernel, arguments, extent, parts.
_RUN = """
define void @run_tape(ptr %tape) {
entry:
  %records = load ptr, ptr %tape
  %countp = getelementptr i64, ptr %tape, i64 1
  %count = load i64, ptr %countp
  %poolp = getelementptr i64, ptr %tape, i64 2
  %pool = load ptr, ptr %poolp
  %blasp = getelementptr i64, ptr %tape, i64 3
  %blas = load ptr, ptr %blasp
  %flagp = getelementptr i64, ptr %tape, i64 4
  %flag = load ptr, ptr %flagp
  %end = getelementptr [4 x i64], ptr %records, i64 %count
  %quiet = icmp eq ptr %blas, null
  br i1 %quiet, label %share, label %hush
hush:
  call void @blas_enter(ptr %blas)
  br label %share
share:
  %single = icmp eq ptr %pool, null
  br i1 %single, label %start, label %enter
enter:
  %entered = call i1 @pool_enter(ptr %pool)
  br label %start
start:
  %helped = phi i1 [ false, %share ], [ %entered, %enter ]
  br label %next

next:
  %record = phi ptr [ %records, %start ], [ %following, %ran ]
  %over = icmp eq ptr %record, %end
  %raised = load i64, ptr %flag
  %refused = icmp ne i64 %raised, 0
  %ends = or i1 %over, %refused
  br i1 %ends, label %stop, label %run
run:
  %kernel = load ptr, ptr %record
  %argumentsp = getelementptr i64, ptr %record, i64 1
  %arguments = load ptr, ptr %argumentsp
  %extentp = getelementptr i64, ptr %record, i64 2
  %extent = load i64, ptr %extentp
  %partsp = getelementptr i64, ptr %record, i64 3
  %parts = load i64, ptr %partsp
  %following = getelementptr [4 x i64], ptr %record, i64 1
  %whole = icmp eq i64 %parts, 1
  br i1 %whole, label %alone, label %several
alone:
  call void %kernel(ptr %arguments, i64 0, i64 %extent, i64 0)
  br label %ran
several:
  br i1 %helped, label %together, label %part
together:
  call void @pool_run(ptr %pool, ptr %kernel, ptr %arguments, i64 %extent, i64 %parts)
  br label %ran
part:
  %number = phi i64 [ 0, %several ], [ %more, %part ]
  call void @run_part(ptr %kernel, ptr %arguments, i64 %extent, i64 %parts, i64 %number)
  %more = add i64 %number, 1
  %left = icmp slt i64 %more, %parts
  br i1 %left, label %part, label %ran
ran:
  br label %next

stop:
  br i1 %helped, label %leave, label %restore
leave:
  call void @pool_leave(ptr %pool)
  br label %restore
restore:
  br i1 %quiet, label %done, label %loud
loud:
  call void @blas_leave(ptr %blas)
  br label %done
done:
  ret void
}
"""


@functools.cache
def _runner() -> Callable[[int], None]:
    text = pool.text() + blas.TEXT + _RUN
    return ctypes.CFUNCTYPE(None, ctypes.c_void_p)(native.compile(text, "run_tape"))


_NO_FLAG = np.zeros(1, np.int64)


def parts(extent: int, grain: int, threads: int) -> int:
    """Into how many shares a record is split: none is much smaller than the grain.

    Example:
        >>> from groundup.engine.compiler.native.tape import parts
        >>> parts(extent=64, grain=100, threads=2), parts(extent=64, grain=8, threads=2)
        (1, 2)
    """
    return max(1, min(threads, -(-extent // max(grain, 1))))


@dataclass(frozen=True, slots=True)
class Record:
    """A call of a kernel.

    Attributes:
        address: of the kernel.
        arguments: addresses of its arguments.
        extent: how much there is to do.
        grain: how much of it is worth a thread.
    """

    address: int
    arguments: Sequence[int]
    extent: int
    grain: int


class Tape:
    """Kernels with their arguments, in the order in which they run.

    Into how many shares each is split is settled here, and with it every bit of the results: how
    many threads there really are when the tape runs changes only the time it takes. A tape must not
    run in two threads at once; two tapes may.

    Args:
        records: the calls. What their arguments point to has to be kept alive by the caller.
        threads: into how many shares a record is split at most; ``get_num_threads()`` if None.
        flag: the address of an int64; once a kernel has written something else than 0 there, the
            records after it do not run. There is none if this is 0.

    Attributes:
        parts: into how many shares each record is split.

    Example:
        >>> import numpy as np
        >>> from groundup.engine.compiler.products.products import product
        >>> from groundup.engine.compiler.native.tape import Record, Tape
        >>> a, b, c = np.eye(2), np.array([[1.0, 2.0], [3.0, 4.0]]), np.empty((2, 2))
        >>> p = product(gu.float64, 2, 2, 2, (2, 1), (2, 1), (2, 1))
        >>> pointers = p.arguments(a.ctypes.data, b.ctypes.data, c.ctypes.data)
        >>> Tape([Record(p.address, pointers, p.extent, p.grain)]).run()
        >>> c.tolist()
        [[1.0, 2.0], [3.0, 4.0]]
    """

    def __init__(
        self, records: Sequence[Record], threads: int | None = None, flag: int = 0
    ) -> None:
        threads = get_num_threads() if threads is None else threads
        self.parts = [parts(record.extent, record.grain, threads) for record in records]
        starts = np.cumsum([0, *(len(record.arguments) for record in records)])
        self._starts: list[int] = starts.tolist()
        self._arguments = np.array([a for r in records for a in r.arguments], np.uint64)
        base = self._arguments.ctypes.data
        self._records = np.array(
            [
                (record.address, base + 8 * start, record.extent, count)
                for record, start, count in zip(records, self._starts, self.parts, strict=False)
            ],
            np.uint64,
        )
        self._split = any(count > 1 for count in self.parts)
        words = blas.thread_control()
        hush = words.size and any(record.address in blas.kernels for record in records)
        self._header = np.array(
            [
                self._records.ctypes.data,
                len(records),
                pool.workers.address if self._split else 0,
                words.ctypes.data if hush else 0,
                flag or _NO_FLAG.ctypes.data,
            ],
            np.uint64,
        )
        self._run = functools.partial(_runner(), self._header.ctypes.data)

    def run(self) -> None:
        """Run the kernels; returns when the last is done. Other Python threads run meanwhile.

        Ctrl-C takes effect when the tape is done.
        """
        if self._split and pool.workers.count != get_num_threads():
            pool.workers.prepare()
        self._run()

    def excerpt(self, records: range, times: int) -> Callable[[], None]:
        """What runs some of the records, again and again, as they are when this is called.

        Args:
            records: their numbers.
            times: how often they are run by one call.

        Example:
            >>> import numpy as np
            >>> from groundup.engine.compiler.products.products import product
            >>> from groundup.engine.compiler.native.tape import Record, Tape
            >>> a, c = np.full((1, 1), 2.0), np.empty((1, 1))
            >>> p = product(gu.float64, 1, 1, 1, (1, 1), (1, 1), (1, 1))
            >>> pointers = p.arguments(a.ctypes.data, a.ctypes.data, c.ctypes.data)
            >>> tape = Tape([Record(p.address, pointers, p.extent, p.grain)])
            >>> tape.excerpt(range(1), times=3)()
            >>> c.item()
            4.0
        """
        wanted = np.tile(self._records.reshape(-1, 4)[records.start : records.stop], (times, 1))
        header = self._header.copy()
        header[0], header[1] = wanted.ctypes.data, len(wanted)
        kept = (self._arguments, wanted, header)

        def run() -> None:
            if self._split and pool.workers.count != get_num_threads():
                pool.workers.prepare()
            _runner()(kept[-1].ctypes.data)

        return run

    def set(self, record: int, argument: int, pointer: int) -> None:
        """Give a record another address for one of its arguments.

        Args:
            record: its number.
            argument: which of its arguments.
            pointer: the address.
        """
        self._arguments[self._starts[record] + argument] = pointer
