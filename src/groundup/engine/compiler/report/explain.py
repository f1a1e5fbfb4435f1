"""What became of a compiled function: a report for people, and the same as data.

What goes in is a compiled function that has been called; what comes out is, for each program that
was made of it, why it was made, how many values it has, its memory, and its steps: kernels with the
operations that were fused, matrix products, calls of NumPy. If asked to, it runs each step alone to
see what it costs.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, cast

from ...dtypes import by_char
from ...panels import ROWS
from ..fuse.fuse import Group, Packed, Scatter, base_of, inputs_of
from ..fuse.nest import Nest
from ..graph import Value
from ..kernel import Accumulate, Gather, Kernel, Load, Reduce, Store
from ..layout import VIEWS
from ..run import Compiled, Traced
from .measure import measured

if TYPE_CHECKING:
    from ..plan.program import Program, Work
    from ..products import scatters
    from ..products.products import Product  # these load LLVM


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a program.

    Attributes:
        kind: "kernel", "product", "scatter", "packed" or "call".
        operations: the primitives that it computes, in order.
        sizes: of a kernel's loops, outermost first; of a product (batch, rows, columns, inner); of
            a scatter (arrays, places, columns).
        row: how many of the last loops form a row that is reduced; 0 without a reduction.
        kernel: the number of the kernel, equal ones having the same; of no meaning elsewhere.
        way: how a product is computed, "inline" or "BLAS"; "NumPy" for a call.
        multiply_adds: of a product.
        reads, writes: bytes, each element counted once.
        shares: into how many it is split for threads.
        lines: of the user's code that caused it, "file:line".
        seconds: measured, if it was.
    """

    kind: str
    operations: tuple[str, ...]
    sizes: tuple[int, ...]
    row: int
    kernel: int
    way: str
    multiply_adds: int
    reads: int
    writes: int
    shares: int
    lines: tuple[str, ...]
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class ProgramReport:
    """One program that was made of the function.

    Attributes:
        signature: what arguments it is for.
        why: it was made.
        seconds: that tracing and compiling took; None for the program of a gradient.
        threads: that it was made for.
        traced: values in the graph as traced.
        simplified: values in the graph after simplification.
        stored: how many of them are written to memory; the others live in registers.
        arena: bytes of the memory that intermediate values share.
        unshared: bytes that they would take if each had memory of its own.
        unfused: bytes that all intermediate values of the traced graph would take.
        states: how many tensors are read that belong to the state; and how many are written.
        kernels: how many different kernels there are.
        native: how many native calls a run takes.
        steps: in the order in which they run.
        run: seconds that all steps take in one run, if they were measured.
    """

    signature: str
    why: str
    seconds: float | None
    threads: int
    traced: int
    simplified: int
    stored: int
    arena: int
    unshared: int
    unfused: int
    states: tuple[int, int]
    kernels: int
    native: int
    steps: tuple[Step, ...]
    run: float | None = None

    def __str__(self) -> str:
        kinds = Counter(step.kind for step in self.steps)
        ways = Counter(step.way for step in self.steps if step.kind == "product")
        lines = [
            f"for {self.signature}",
            f"  why: {self.why}",
            f"  made for {_count(self.threads, 'thread')}"
            + (f" in {self.seconds:.2f} s" if self.seconds is not None else ""),
            f"  values: {self.traced} traced, {self.simplified} simplified, {self.stored} stored",
            f"  memory: {_bytes(self.arena)} arena; {_bytes(self.unshared)} if no two values shared"
            f" it, {_bytes(self.unfused)} if nothing were fused",
            f"  state: {self.states[0]} read, {self.states[1]} written",
            f"  steps: {_count(kinds['kernel'], 'kernel')} ({self.kernels} different), "
            f"{_count(kinds['product'], 'product')} ({ways['inline']} inline, {ways['BLAS']} by "
            "BLAS), "
            + f"{_count(kinds['scatter'], 'scatter')}, " * (kinds["scatter"] > 0)
            + f"{kinds['packed']} on packed weights, " * (kinds["packed"] > 0)
            + f"{_count(kinds['call'], 'call')} of NumPy; in "
            f"{_count(self.native, 'native call')}",
        ]
        if self.run is not None:
            alone = math.fsum(step.seconds or 0 for step in self.steps)
            lines.append(f"  time: {_time(self.run)} a run; {_time(alone)} each step alone")
        return "\n".join([*lines, "", *_table(self.steps)])


@dataclass(frozen=True, slots=True)
class Explanation:
    """What ``explain`` gives: print it, or look into it.

    Attributes:
        name: of the function.
        programs: that were made of it, the oldest first.
    """

    name: str
    programs: tuple[ProgramReport, ...]

    def __str__(self) -> str:
        if not self.programs:
            return f"{self.name}: not called yet, so nothing is compiled"
        head = f"{self.name}: {_count(len(self.programs), 'program')}"
        return "\n\n".join([head, *map(str, self.programs)])

    def to_dict(self) -> dict[str, Any]:
        """The same as lists, dictionaries, numbers and strings, such as JSON can hold."""
        made: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return made


def explain(compiled: Compiled[..., Any], measure: bool = False) -> Explanation:
    """Tell what became of a compiled function, and what its steps cost.

    Args:
        compiled: what ``compile`` gave; it is explained as far as it has been called.
        measure: whether each step is run alone, many times, on the arguments of the last call, for
            the time it takes: the shortest of a few trials, with what it reads in the cache as far
            as it fits. Parameters, moments and gradients are afterwards what they were.

    Raises:
        TypeError: something else was given.
        IndexError: the arguments of the last call were refused, so that nothing can be measured.

    Example:
        >>> @gu.compile
        ... def f(x, bias):
        ...     return gu.softmax(x + bias, dim=-1)
        >>> y = f(gu.ones(64, 100), gu.ones(100))
        >>> report = gu.explain(f)
        >>> print(report)
        f: 1 program
        <BLANKLINE>
        for float32 (64, 100), float32 (100,)
          why: first call of this signature
          made for ... in ... s
          values: 4 traced, 10 simplified, 1 stored
          memory: 25 KiB arena; 25 KiB if no two values shared it, 50 KiB if nothing were fused
          state: 0 read, 0 written
          steps: 1 kernel (1 different), 0 products (0 inline, 0 by BLAS), 0 calls of NumPy; in ...
        <BLANKLINE>
        step  what                                    size      reads  writes  shares  caused by
           1  kernel 1: add amax sub exp sum div mul  64 x 100  ...
        >>> report.programs[0].steps[0].writes
        25600
    """
    if not isinstance(compiled, Compiled):
        raise TypeError(
            f"explain: {type(compiled).__name__} given; expected what groundup.compile returned"
        )
    programs = [
        report
        for signature, every in compiled.traces.items()
        for traced in reversed(every)
        for report in _reports(_signature(signature), traced, measure)
    ]
    name = getattr(compiled.function, "__qualname__", type(compiled.function).__name__)
    return Explanation(name.rpartition("<locals>.")[2], tuple(programs))


# Programs


def _reports(signature: str, traced: Traced, measure: bool) -> Iterator[ProgramReport]:
    """The program of a trace, and that of its gradient if there is one."""
    yield _program(signature, traced.why, traced.seconds, traced.program, measure)
    back = traced.capture.pullback
    if back is not None and back._program is not None:
        why = "gradients of results were asked for"
        yield _program(f"the gradient of {signature}", why, None, back._program, measure)


def _program(
    signature: str, why: str, seconds: float | None, program: Program, measure: bool
) -> ProgramReport:
    plan = program.plan
    numbers: dict[Kernel, int] = {}
    steps = [_step(program, work, numbers) for work in program.work]
    run: float | None = None
    if measure and (found := measured(program)):
        *each, run = found
        steps = [replace(step, seconds=t) for step, t in zip(steps, each, strict=True)]
    computed = [v for v in program.traced.values if v.primitive is not None]
    return ProgramReport(
        signature=signature,
        why=why,
        seconds=seconds,
        threads=program.threads,
        traced=len(program.traced.values),
        simplified=len(program.graph.values),
        stored=len(plan.stored),
        arena=plan.arena.nbytes,
        unshared=sum(map(_size, plan.offsets)),
        unfused=sum(_size(v) for v in computed if v.name not in VIEWS),
        states=(
            sum(value.name == "state" for value in program.graph.values),
            len(program.graph.writes),
        ),
        kernels=len(numbers),
        native=len(program.tapes),
        steps=tuple(steps),
        run=run,
    )


def _signature(signature: Any) -> str:
    """The arguments that a program is for; see ``Compiled.__call__``."""
    _, gradients, autocast, *kinds = signature
    words = []
    for one in kinds:
        if isinstance(one, tuple) and len(one) == 3:
            shape, char, wanted = one
            words.append(f"{by_char(char).name} {shape}" + " with gradient" * bool(wanted))
        else:
            words.append(repr(one[1]) if isinstance(one, tuple) else "an object")
    words = words or ["no arguments"]
    if not gradients:
        words.append("under no_grad")
    if autocast:
        words.append("under autocast")
    return ", ".join(words)


# Steps


def _step(program: Program, work: Work, numbers: dict[Kernel, int]) -> Step:
    records = program.tapes[work.part].parts if work.part in program.tapes else []
    shares = records[work.records.start] if work.done is not None else 1
    if isinstance(work.done, Nest):
        assert isinstance(work.step, Group)
        kernel = work.done.kernel
        return Step(
            kind="kernel",
            operations=tuple(v.name for v in work.step.members),
            sizes=kernel.sizes,
            row=kernel.row if any(isinstance(i, Reduce) for i in kernel.body) else 0,
            kernel=numbers.setdefault(kernel, len(numbers) + 1),
            way="",
            multiply_adds=0,
            reads=_moved(work.done, (Load, Gather)),
            writes=_moved(work.done, (Store, Accumulate)),
            shares=shares,
            lines=_lines(work.step.members),
        )
    assert not isinstance(work.step, Group)
    value = work.step.value
    what, sizes, multiply_adds, way = "call", value.shape, 0, "NumPy"
    read: Iterable[Value] = inputs_of(work.step)
    written, rows_read = _size(value), 0
    if isinstance(work.step, Scatter):
        what, way = "scatter", "writes" if len(value.inputs) > 2 else "adds"
        sizes = value.static["sizes"]
        if cast("scatters.Scatter", work.done).shape.before == "is":
            read, written = value.inputs[:2], _size(value.inputs[0])  # the rows alone
    elif isinstance(work.step, Packed):
        what, way = "packed", value.static.get("packing", "")
        if value.name == "packed_product":
            sizes = (*value.shape, value.static["columns"])
            multiply_adds = math.prod(sizes)
        elif value.name == "packed_rows":  # the rows alone
            read = value.inputs[1:]
            rows_read = math.prod(sizes[:-1]) * value.inputs[0].shape[1] // ROWS
    elif work.done is not None:
        what = "product"
        *batch, rows, columns = value.shape
        sizes = (math.prod(batch), rows, columns, value.inputs[0].shape[-1])
        if value.name == "contract":
            images, groups, rows, *places = value.shape
            inner = math.prod(value.inputs[0].shape[2:])
            sizes = (groups, rows, images * math.prod(places), inner)
        multiply_adds, way = math.prod(sizes), "inline"
        if cast("Product", work.done).inline is None:
            way = "BLAS"
    return Step(
        kind=what,
        operations=(value.name,),
        sizes=sizes,
        row=0,
        kernel=0,
        way=way,
        multiply_adds=multiply_adds,
        reads=sum(map(_size, {base_of(x) for x in read})) + rows_read,
        writes=written,
        shares=shares,
        lines=_lines([value]),
    )


def _moved(one: Nest, what: type | tuple[type, ...]) -> int:
    """Bytes that a kernel reads or writes, each element once."""
    counts: Counter[int] = Counter()
    for i in one.kernel.body:
        if isinstance(i, Load | Gather | Store | Accumulate) and isinstance(i, what):
            moves = zip(one.kernel.sizes, i.strides, strict=True)
            moved = [size for size, stride in moves if stride or isinstance(i, Gather)]
            counts[i.argument] += math.prod(moved)
    values = (*one.reads, *one.writes)
    return sum(min(n * values[a].dtype.itemsize, _size(values[a])) for a, n in counts.items())


def _size(value: Value) -> int:
    return value.size * value.dtype.itemsize


def _lines(values: Sequence[Value] | dict[Value, Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value.line for value in values if value.line))


# Words


def _table(steps: Sequence[Step]) -> Iterator[str]:
    timed = any(step.seconds is not None for step in steps)
    total = math.fsum(step.seconds or 0 for step in steps) or 1.0
    head = ["step", "what", "size", "reads", "writes", "shares", "caused by"]
    rows = [head[:6] + ["time", ""] * timed + head[6:]]
    for number, step in enumerate(steps, 1):
        cells = [str(number), _what(step), " x ".join(map(str, step.sizes)) or "1"]
        cells += [_bytes(step.reads), _bytes(step.writes), str(step.shares)]
        if timed:
            cells += [_time(step.seconds or 0), f"{(step.seconds or 0) / total:.0%}"]
        rows.append([*cells, _places(step.lines)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    left = {1, 2, len(widths) - 1}
    for row in rows:
        cells = [
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def _what(step: Step) -> str:
    if step.kind == "product":
        return f"product, {step.way}: {step.multiply_adds:,} multiply-adds"
    if step.kind == "scatter":
        return f"scatter, {step.way}"
    if step.kind == "packed":
        work = f": {step.multiply_adds:,} multiply-adds" * (step.multiply_adds > 0)
        return f"{step.operations[0]} {step.way}".rstrip() + work
    if step.kind == "call":
        return f"NumPy: {step.operations[0]}"
    names = " ".join(step.operations)
    if len(step.operations) > 9:
        counts = Counter(step.operations).most_common()
        names = " ".join(f"{n} {name}" for name, n in counts[:6])
        names += " ..." * (len(counts) > 6)
    return f"kernel {step.kernel}: {names}"


def _places(lines: Sequence[str]) -> str:
    """The first two lines, without their folders."""
    short = [PurePath(line).name for line in lines]
    more = f" and {len(short) - 2} more" if len(short) > 2 else ""
    return ", ".join(short[:2]) + more


def _count(n: int, what: str) -> str:
    return f"{n} {what}" + "s" * (n != 1)


def _bytes(n: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if n < 1024:
            break
        n, unit = n / 1024, {"B": "KiB", "KiB": "MiB", "MiB": "GiB"}[unit]
    return f"{n:.3g} {unit}" if n < 999.5 else f"{n:.0f} {unit}"


def _time(seconds: float) -> str:
    for scale, unit in ((1, "s"), (1e-3, "ms"), (1e-6, "us")):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-6:.2f} us"
