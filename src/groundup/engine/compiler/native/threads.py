"""How many threads the compiler and its kernels use."""

from __future__ import annotations

import contextlib
import functools
import math
import operator
import os
from pathlib import Path

MOST = 64
"""Most threads: the bits of a word, see ``pool``."""

_chosen: int | None = None


@functools.cache
def _default() -> int:
    """OMP_NUM_THREADS if it is a number, else the processors that this process may use."""
    stated = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if stated.isdecimal() and int(stated):
        return min(int(stated), MOST)
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):  # a container's share of the machine, in Linux
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        count = min(count, math.ceil(int(quota) / int(period)))
    return max(1, min(count, MOST))


def get_num_threads() -> int:
    """How many threads the code that is compiled from now on uses.

    Unless ``set_num_threads`` was called, this is the number in the environment variable
    OMP_NUM_THREADS, or else the number of processors that this process may use; at most 64.

    Example:
        >>> from groundup.engine.compiler.native.threads import get_num_threads
        >>> get_num_threads() >= 1
        True
    """
    return _default() if _chosen is None else _chosen


def set_num_threads(count: int) -> None:
    """Say how many threads the code that is compiled from now on uses.

    What is compiled already keeps its shares, and so gives the same results as before to the last
    bit, but they are done by no more threads than this.

    Args:
        count: from 1 to 64, the thread that calls included.

    Raises:
        ValueError: the number is outside these bounds.

    Example:
        >>> from groundup.engine.compiler.native.threads import get_num_threads, set_num_threads
        >>> before = get_num_threads()
        >>> set_num_threads(2)
        >>> get_num_threads()
        2
        >>> set_num_threads(before)
    """
    global _chosen
    number = operator.index(count)
    if not 1 <= number <= MOST:
        raise ValueError(f"set_num_threads: {number} threads; expected 1 to {MOST}")
    _chosen = number
