"""Random programs, what they compute, and how a program that goes wrong is made small.

A program is a list of lines of Python over tensors. The names in it (``gu.``, ``F.``, methods) mean
the same in groundup and in PyTorch, so one text runs uncompiled, compiled, and in PyTorch. It is
grown line by line: a line is kept if its values are finite, moderate, and away from the points
where what it computes jumps, so that rounding cannot change the result by much.

A failing program is made small by two moves, as long as it keeps failing: a result is left out, or
a line is replaced by an argument that holds what the line had computed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

import groundup as gu
import groundup.nn.functional as F

Array = Any


class Argument(NamedTuple):
    """What a program is given.

    Attributes:
        kind: "input"; "leaf", whose gradient is returned; "parameter", which is there before and
            whose ``grad`` is filled; "state", which is there before and changed.
    """

    name: str
    array: Array
    kind: str


class Line(NamedTuple):
    """``name = text``, or a statement alone where the name is empty."""

    name: str
    text: str
    reads: tuple[str, ...]


@dataclass(frozen=True)
class Program:
    """A function of tensors.

    Attributes:
        outputs: names of what is returned.
        order: of the highest derivative that is taken: 0, 1 or 2.
        smooth: names of the outputs that are differentiated.
    """

    arguments: tuple[Argument, ...] = ()
    lines: tuple[Line, ...] = ()
    outputs: tuple[str, ...] = ()
    order: int = 0
    smooth: tuple[str, ...] = ()

    def of_kind(self, *kinds: str) -> list[Argument]:
        return [x for x in self.arguments if x.kind in kinds]

    def undifferentiated(self) -> Program:
        """The same without any gradient."""
        kinds = {"leaf": "input", "parameter": "input"}
        plain = [x._replace(kind=kinds.get(x.kind, x.kind)) for x in self.arguments]
        return replace(self, order=0, arguments=tuple(plain))

    def body(self) -> str:
        """The function as text."""
        given = ", ".join(x.name for x in self.of_kind("input", "leaf"))
        lines = [f"{n} = {text}" if n else text for n, text, _ in self.lines]
        out = list(self.outputs)
        leaves = ", ".join(x.name for x in self.of_kind("leaf"))
        if self.order:
            parts = " + ".join(f"({name} * {name} + {name}).sum()" for name in self.smooth)
            lines.append(f"loss = {parts}")
            if self.order == 2:
                lines.append(
                    f"slopes = grad(loss, [{leaves}], create_graph=True, allow_unused=True)"
                )
                lines.append("steep = [(g * g).sum() for g in slopes if g is not None]")
                lines.append("loss = sum(steep) + 0.1 * loss")
            if self.of_kind("parameter"):
                lines.append("loss.backward()")
            else:
                lines.append(f"grads = grad(loss, [{leaves}], allow_unused=True)")
                out.append("grads")
            out.append("loss.detach()")
        lines.append(f"return [{', '.join(out)}]")
        return f"def f({given}):\n" + "".join(f"    {line}\n" for line in lines)

    def source(self) -> str:
        """A whole Python program, for whoever has to find out what is wrong."""
        made = ["import groundup as gu, groundup.nn.functional as F", "grad = gu.grad"]
        for name, array, kind in self.arguments:
            wants = kind in ("leaf", "parameter")
            with np.printoptions(threshold=10**6, linewidth=10**6, floatmode="unique"):
                text = np.array2string(array, separator=",")
            text = text.replace("inf", "float('inf')").replace("nan", "float('nan')")
            more = f"dtype=gu.{'bool' if array.dtype == bool else array.dtype.name}"
            shape = f".reshape{array.shape}" if not array.size else ""
            made.append(f"{name} = gu.tensor({text}, {more}){shape}{'.requires_grad_()' * wants}")
        given = ", ".join(x.name for x in self.of_kind("input", "leaf"))
        after = [f"print({x.name})" for x in self.of_kind("state")]
        after += [f"print({x.name}.grad)" for x in self.of_kind("parameter")]
        calls = [f"print(f({given}), gu.compile(f)({given}))", *after]
        return "\n".join([*made, self.body(), *calls])


def run(program: Program, how: str, dtype: str | None = None) -> list[Array | None]:
    """What a program returns in two calls, and what it leaves behind.

    Args:
        program: the program.
        how: "eager", "compiled" or "torch".
        dtype: compute in this floating type instead.
    """
    text = program.body()
    if dtype is not None:
        text = text.replace("float32", dtype)
    lib: Any = gu
    functional: Any = F
    gradient = gu.grad
    if how == "torch":
        import torch

        lib, functional, gradient = torch, torch.nn.functional, torch.autograd.grad
    made: dict[str, Any] = {}
    for name, array, kind in program.arguments:
        if dtype is not None and array.dtype.kind == "f":
            array = array.astype(dtype)
        made[name] = lib.from_numpy(array.copy())
        if kind in ("leaf", "parameter"):
            made[name].requires_grad_()
    names = {"gu": lib, "F": functional, "grad": gradient}
    names |= {x.name: made[x.name] for x in program.of_kind("state", "parameter")}
    exec(compile(text, "<program>", "exec"), names)
    function: Callable[..., Any] = names["f"]  # type: ignore[assignment]
    if how == "compiled":
        function = gu.compile(function)
    lib.manual_seed(5)
    results: list[Any] = []
    for _ in range(2):
        given = [made[x.name].detach().clone() for x in program.of_kind("input", "leaf")]
        for x, argument in zip(given, program.of_kind("input", "leaf"), strict=True):
            x.requires_grad_(argument.kind == "leaf")
        for found in function(*given):
            results += found if isinstance(found, tuple) else [found]
    results += [made[x.name] for x in program.of_kind("state")]
    results += [made[x.name].grad for x in program.of_kind("parameter")]
    if how != "torch":
        results.append(gu.rand(2))  # both have drawn as many random numbers
    return [None if x is None else x.detach().numpy().copy() for x in results]


# Growing


@dataclass
class Draft:
    """A program that is being written, with the values of every name in it."""

    rng: random.Random
    program: Program = field(default_factory=Program)
    values: dict[str, gu.Tensor] = field(default_factory=dict)
    largest: int = 5

    def argument(self, array: Array, kind: str) -> str:
        """A new argument."""
        name = f"{'s' if kind == 'state' else 'p' if kind == 'parameter' else 'x'}"
        name += str(len(self.program.arguments))
        given = (*self.program.arguments, Argument(name, array, kind))
        self.program = replace(self.program, arguments=given)
        self.values[name] = gu.from_numpy(array)
        return name

    def numbers(self, *shape: int, kind: str = "input") -> str:
        """A new argument of random numbers."""
        seed = self.rng.getrandbits(32)
        array = np.random.default_rng(seed).uniform(-1.5, 1.5, shape)
        return self.argument(array.astype(np.float32), kind)

    def integers(self, low: int, high: int, *shape: int) -> str:
        """A new argument of integers in [low, high)."""
        seed = self.rng.getrandbits(32)
        return self.argument(np.random.default_rng(seed).integers(low, high, shape), "input")

    def size(self) -> int:
        return self.rng.choice((1, 2, 3, 4, self.largest))

    def shape(self, name: str) -> tuple[int, ...]:
        return self.values[name].shape

    def pick(self, wanted: Callable[[gu.Tensor], bool] = lambda _: True) -> str | None:
        """A floating tensor, sooner a late one; states are read through their copies alone."""
        known = [
            n
            for n, x in self.values.items()
            if x.is_floating_point() and not n.startswith("s") and wanted(x)
        ]
        if not known:
            return None
        return known[max(self.rng.randrange(len(known)), self.rng.randrange(len(known)))]

    def dim(self, name: str) -> int:
        return self.rng.randrange(len(self.shape(name)))

    def dims(self, name: str) -> tuple[int, ...]:
        n = len(self.shape(name))
        return tuple(sorted(self.rng.sample(range(n), self.rng.randint(1, n))))

    def apart(self, name: str, *points: float) -> bool:
        """Whether no value is close to one of the points."""
        array = self.values[name].numpy()
        return all(np.abs(array - p).min(initial=1) > 1e-3 for p in points)

    def add(self, text: str, *reads: str, statement: bool = False) -> str | None:
        """Add a line if what it computes is finite and moderate."""
        name = "" if statement else f"v{len(self.program.lines)}"
        names = {"gu": gu, "F": F, **self.values}
        if statement:
            exec(text, names)
        else:
            value = eval(text, names)
            array = value.numpy()
            if array.size > 4096 or not (np.abs(array) <= 30).all():
                return None
            self.values[name] = value
        lines = (*self.program.lines, Line(name, text, reads))
        self.program = replace(self.program, lines=lines)
        return name


def grow(seed: int, operations: dict[str, Callable[[Draft], Any]], length: int = 5) -> Program:
    """The program that belongs to a seed."""
    rng = random.Random(seed)
    draft = Draft(rng, largest=rng.choice((5, 5, 7, 17)))
    order = rng.choice((0, 1, 1, 1, 2))
    kind = "input" if not order else rng.choice(("leaf", "leaf", "parameter"))
    kind = "leaf" if order == 2 else kind
    for _ in range(rng.randint(1, 3)):
        shape = [draft.size() for _ in range(rng.choice((0, 1, 2, 2, 3, 3, 4)))]
        draft.numbers(*shape, kind=kind if rng.random() < 0.8 else "input")
    draft.program = replace(draft.program, order=order)
    names = list(operations)
    with gu.no_grad():
        for _ in range(20 * length):
            if len(draft.program.lines) >= length:
                break
            gu.manual_seed(5)
            with suppress(ValueError, IndexError):  # such as a choice among no elements
                operations[rng.choice(names)](draft)
    return _finished(draft, rng)


def _finished(draft: Draft, rng: random.Random) -> Program:
    """Choose what is returned, and leave derivatives out where there are none."""
    program = draft.program
    read = {name for line in program.lines for name in line.reads}
    made = [line.name for line in program.lines if line.name]
    outputs = [n for n in made if n not in read or rng.random() < 0.3] or made[-1:]
    smooth = tuple(n for n in outputs if draft.values[n].is_floating_point())
    program = replace(program, outputs=tuple(outputs), smooth=smooth)
    return _differentiable(program)


def _differentiable(program: Program) -> Program:
    if program.order:
        try:
            if program.smooth and program.of_kind("leaf", "parameter"):
                run(program, "eager")
                return program
        except (RuntimeError, TypeError):  # no output depends on what is differentiated
            pass
    return program.undifferentiated()


# Comparing


def difference(program: Program, a: str, b: str) -> str | None:
    """What two ways of running a program disagree about, beyond rounding; None if nothing.

    Where float32 disagrees, float64 decides whether the program or its rounding is to blame.
    """
    ours, theirs = _both(program, a, b)
    found = _unlike(ours, theirs, 2e-4)
    if found is None:
        return None
    exact, exactly = _both(program, a, b, "float64")
    if _unlike(exact, exactly, 1e-8) is not None:
        return found
    for one, other, right in zip(ours, theirs, exactly, strict=True):
        if one is None or other is None or right is None or one.dtype.kind != "f":
            if one is not other and not np.array_equal(one, other):
                return found
            continue
        if one.shape != right.shape:
            return found
        allowed = 30 * np.abs(other - right).max(initial=0) + 2e-4
        if not np.abs(one - right).max(initial=0) <= allowed * max(1, np.abs(right).max(initial=0)):
            return found
    return None


def _both(program: Program, a: str, b: str, dtype: str | None = None) -> tuple[Any, Any]:
    ours, theirs = run(program, a, dtype), run(program, b, dtype)
    if "torch" in (a, b):  # it draws other random numbers
        ours, theirs = ours[: len(theirs)], theirs[: len(ours)]
    return ours, theirs


def _unlike(ours: list[Array | None], theirs: list[Array | None], near: float) -> str | None:
    if len(ours) != len(theirs):
        return f"{len(ours)} results, expected {len(theirs)}"
    for i, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        if one is None or other is None:
            if one is not other:
                return f"result {i} is {one}, expected {other}"
            continue
        if one.shape != other.shape or one.dtype != other.dtype:
            return f"result {i} is {one.shape} {one.dtype}, expected {other.shape} {other.dtype}"
        scale = np.abs(other[np.isfinite(other)]).max(initial=1.0) if other.dtype.kind == "f" else 0
        if not np.allclose(one, other, near, near * scale, equal_nan=True):
            return f"result {i} is\n{one}\nexpected\n{other}"
    return None


# Shrinking


def shrink(program: Program, wrong: Callable[[Program], bool]) -> Program:
    """A smaller program that is wrong too."""
    shrinking = True
    while shrinking:
        shrinking = False
        for smaller in _smaller(program):
            try:
                keeps = wrong(smaller)
            except Exception:  # it has become another kind of wrong
                keeps = False
            if keeps:
                program, shrinking = smaller, True
                break
    return program


def _smaller(program: Program) -> Iterator[Program]:
    if program.order:
        yield program.undifferentiated()
    if program.order == 2:
        yield replace(program, order=1)
    for name in program.outputs:
        rest = tuple(x for x in program.outputs if x != name)
        smooth = tuple(x for x in program.smooth if x != name)
        if rest and (smooth or not program.order):
            yield _without_unused(replace(program, outputs=rest, smooth=smooth))
    for name in program.outputs:  # a result that an output was computed from
        for line in program.lines:
            if line.name == name:
                for below in line.reads:
                    if below.startswith("v") and below not in program.outputs:
                        outputs = tuple(below if x == name else x for x in program.outputs)
                        smooth = tuple(below if x == name else x for x in program.smooth)
                        yield _without_unused(replace(program, outputs=outputs, smooth=smooth))
    values = _values(program)
    for i, line in enumerate(program.lines):
        rest_lines = (*program.lines[:i], *program.lines[i + 1 :])
        if not line.name:
            yield _without_unused(replace(program, lines=rest_lines))
        elif line.name not in program.outputs and line.name in values:
            given = Argument(line.name, values[line.name], "input")
            yield _without_unused(
                replace(program, lines=rest_lines, arguments=(*program.arguments, given))
            )


def _without_unused(program: Program) -> Program:
    """Leave out lines and arguments that nothing is computed from."""
    wanted = set(program.outputs)
    lines = []
    for line in reversed(program.lines):
        if not line.name or line.name in wanted:
            lines.append(line)
            wanted |= set(line.reads)
    arguments = tuple(x for x in program.arguments if x.name in wanted)
    return replace(program, lines=tuple(reversed(lines)), arguments=arguments)


def _values(program: Program) -> dict[str, Array]:
    """What every line computes."""
    names = tuple(line.name for line in program.lines if line.name)
    found = run(replace(program.undifferentiated(), outputs=names), "eager")
    return {n: x for n, x in zip(names, found, strict=False) if x is not None}
