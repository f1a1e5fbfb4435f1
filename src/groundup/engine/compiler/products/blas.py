"""SciPy's BLAS as native code sees it: its matrix products, and how many threads it uses.

SciPy hands out the addresses of its BLAS routines in the capsules of ``scipy.linalg.cython_blas``.
The library behind them, OpenBLAS, has threads of its own. While a tape runs it is told to use none,
because the tape's kernels are split over the pool's threads already.
"""

from __future__ import annotations

import ctypes
import functools
import os
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import cython_blas

TEXT = """
; words: 0: whether somebody changes the others, 1: tapes that run, 2: threads before them,
; 3: address of the function that tells the number of threads, 4: that sets it
define internal void @blas_lock(ptr %words) {
entry:
  br label %try
try:
  %swap = cmpxchg ptr %words, i64 0, i64 1 acq_rel monotonic, align 8
  %got = extractvalue { i64, i1 } %swap, 1
  br i1 %got, label %done, label %wait
wait:
  call i32 @sched_yield()
  br label %try
done:
  ret void
}

define internal void @blas_enter(ptr %words) {
entry:
  call void @blas_lock(ptr %words)
  %tapesp = getelementptr i64, ptr %words, i64 1
  %tapes = load i64, ptr %tapesp
  %more = add i64 %tapes, 1
  store i64 %more, ptr %tapesp
  %first = icmp eq i64 %tapes, 0
  br i1 %first, label %ask, label %done
ask:
  %getp = getelementptr i64, ptr %words, i64 3
  %get = load ptr, ptr %getp
  %threads32 = call i32 %get()
  %threads = sext i32 %threads32 to i64
  %threadsp = getelementptr i64, ptr %words, i64 2
  store i64 %threads, ptr %threadsp
  %several = icmp ne i64 %threads, 1
  br i1 %several, label %set, label %done
set:
  %setp = getelementptr i64, ptr %words, i64 4
  %set_threads = load ptr, ptr %setp
  call void %set_threads(i32 1)
  br label %done
done:
  store atomic i64 0, ptr %words release, align 8
  ret void
}

define internal void @blas_leave(ptr %words) {
entry:
  call void @blas_lock(ptr %words)
  %tapesp = getelementptr i64, ptr %words, i64 1
  %tapes = load i64, ptr %tapesp
  %fewer = sub i64 %tapes, 1
  store i64 %fewer, ptr %tapesp
  %threadsp = getelementptr i64, ptr %words, i64 2
  %threads = load i64, ptr %threadsp
  %last = icmp eq i64 %fewer, 0
  %several = icmp ne i64 %threads, 1
  %restore = and i1 %last, %several
  br i1 %restore, label %set, label %done
set:
  %setp = getelementptr i64, ptr %words, i64 4
  %set_threads = load ptr, ptr %setp
  %threads32 = trunc i64 %threads to i32
  call void %set_threads(i32 %threads32)
  br label %done
done:
  store atomic i64 0, ptr %words release, align 8
  ret void
}
"""

kernels: set[int] = set()
"""Addresses of the kernels that call BLAS."""


def routine(name: str) -> int:
    """The address of a BLAS routine, which takes its arguments as Fortran passes them.

    Its integers may be passed as 64 bits, whether it reads 32 or 64 of them, because the processor
    is little-endian and they are not negative.

    Example:
        >>> from groundup.engine.compiler.products import blas
        >>> blas.routine("sgemm") != blas.routine("dgemm")
        True
    """
    capsules: dict[str, object] = dict(cython_blas.__pyx_capi__)
    capsule = ctypes.py_object(capsules[name])
    label = ctypes.pythonapi.PyCapsule_GetName
    label.restype, label.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return int(pointer(capsule, label(capsule)))


@functools.cache
def thread_control() -> npt.NDArray[np.int64]:
    """The words that the code above shares between all tapes; none for an unknown library."""
    library = ctypes.CDLL(cython_blas.__file__)  # finds what the libraries that it needs define
    for prefix in ("scipy_openblas", "openblas"):
        for suffix in ("", "64_"):
            get = getattr(library, f"{prefix}_get_num_threads{suffix}", None)
            set_ = getattr(library, f"{prefix}_set_num_threads{suffix}", None)
            if get is None or set_ is None:
                continue
            addresses = [ctypes.cast(function, ctypes.c_void_p).value for function in (get, set_)]
            words = np.array([0, 0, 0, *addresses], np.int64)

            def forget(words: npt.NDArray[np.int64] = words, restore: Any = set_) -> None:
                _, tapes, threads, *_ = words.tolist()
                words[:3] = 0
                if tapes and threads != 1:  # a tape of a thread that the forked process lacks
                    restore(threads)

            os.register_at_fork(after_in_child=forget)
            return words
    return np.empty(0, np.int64)
