"""What each step of a program costs: it is run alone, many times, and leaves no trace.

What goes in is a program that has been run, with the arguments of its last run still at hand; what
comes out is seconds. States and gradients are written while steps run, and put back afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..fuse.fuse import base_of, kind
from ..fuse.nest import Nest
from ..graph import Value

if TYPE_CHECKING:
    from ..plan.program import Program, Work  # which load LLVM

_TRIALS = 7
_LONG = 3e-4
"""Seconds that a trial takes at least, if the step is repeated."""
_MOST = 2000
"""Repetitions in a trial."""


def measured(program: Program) -> list[float]:
    """Seconds of each step alone, then of a run; nothing if the program has never been run."""
    from ..plan.program import _verify

    sources = [*program._inputs, *program._draws]
    if not all(value in program._arrays for value in sources):
        return []
    with program._lock:
        for check, view in program._checks:
            if kind(base_of(check.value)) == "source":
                _verify(check, view())
        program._flag[0] = 0
        with _Kept(program):
            found = [_alone(program, work) for work in program.work]
        trials = []
        for _ in range(_TRIALS):
            with _Kept(program):
                trials.append(_seconds(lambda: [part() for part in program._parts]))
        return [*found, min(trials)]


class _Kept:
    """Puts back what is written outside of the arena: states and gradients."""

    def __init__(self, program: Program, values: Sequence[Value] | None = None) -> None:
        plan = program.plan
        outside = [*plan.placed, *plan.held] if values is None else values
        arrays = [program._array(value) for value in outside]
        self._arrays = [(array, array.copy()) for array in arrays]

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        for array, before in self._arrays:
            array[...] = before


def _alone(program: Program, work: Work) -> float:
    """Run a step many times; it leaves behind what one run does."""
    repeated = _repeated(program, work)
    once = repeated(1)
    written = work.done.writes if isinstance(work.done, Nest) else ()
    outside = [v for v in written if v in program.plan.placed]
    with _Kept(program, outside):
        once()
        times = max(1, min(_MOST, int(_LONG / max(_seconds(once), 1e-7))))
        many = repeated(times)
        best = min(_seconds(many) for _ in range(_TRIALS)) / times
    once()
    return best


def _repeated(program: Program, work: Work) -> Callable[[int], Callable[[], Any]]:
    """What makes a function that runs a step so many times."""
    if work.part in program.tapes:
        tape = program.tapes[work.part]
        return lambda times: tape.excerpt(work.records, times)
    part = program._parts[work.part]
    return lambda times: lambda: [part() for _ in range(times)]


def _seconds(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
