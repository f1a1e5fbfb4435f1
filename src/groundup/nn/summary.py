"""Summaries: what a module's layers give, hold and cost, found by running it once.

Hooks tell which module is running, and an observer of the engine is told of every primitive, so
each operation is counted for the innermost module around it. Rows therefore add up: a container's
own row holds only what it computes itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..engine.autograd import no_grad
from ..engine.base import mode
from ..engine.primitive import Primitive
from ..engine.random import default_generator
from ..engine.tensor import Tensor

if TYPE_CHECKING:
    from .module import Module

Shape = tuple[int, ...]


@dataclass
class Row:
    """One module of a summary.

    Attributes:
        name: as in ``named_modules``; empty for the module that was summarised.
        kind: the class.
        output: the shapes of the tensors that it returned last; empty if it was not called.
        parameters: numbers held by this module itself, not by those below it; a shared parameter
            counts where it comes first.
        operations: multiply-adds (and other arithmetic, one for each result) done by this module
            itself, over all its calls.
        calls: how often it was called.
    """

    name: str
    kind: str
    output: tuple[Shape, ...] = ()
    parameters: int = 0
    operations: int = 0
    calls: int = 0


@dataclass
class Summary:
    """Layers of a module with their totals; prints as a table.

    Attributes:
        rows: one for each module, a parent before its children.
        parameters: numbers in all parameters.
        trainable: those whose gradients are wanted.
        operations: of one forward pass with the example inputs.

    Example:
        >>> net = nn.Sequential(nn.Linear(64, 10), nn.ReLU())
        >>> net.summary(gu.zeros(1, 64))
        name   kind        output   parameters  operations
               Sequential  (1, 10)           -           -
        0      Linear      (1, 10)         650         640
        1      ReLU        (1, 10)           -          10
        total                              650         650
    """

    rows: list[Row]
    parameters: int
    trainable: int
    operations: int

    def __str__(self) -> str:
        table = [["name", "kind", "output", "parameters", "operations"]]
        table += [
            [
                row.name,
                row.kind,
                ", ".join(map(str, row.output)) or "-",
                f"{row.parameters:,}" if row.parameters else "-",
                f"{row.operations:,}" if row.operations else "-",
            ]
            for row in self.rows
        ]
        table.append(["total", "", "", f"{self.parameters:,}", f"{self.operations:,}"])
        widths = [max(len(line[i]) for line in table) for i in range(5)]
        lines = [
            "  ".join(
                cell.rjust(width) if i > 2 else cell.ljust(width)
                for i, (cell, width) in enumerate(zip(line, widths, strict=True))
            )
            for line in table
        ]
        if self.trainable != self.parameters:
            lines.append(f"trainable: {self.trainable:,} of {self.parameters:,} parameters")
        return "\n".join(lines)

    __repr__ = __str__


def summarize(module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Summary:
    """Run a module once, in evaluation mode, and count; neither it nor the generator is changed.

    Args:
        module: any module.
        args: example inputs for its ``forward``.
        kwargs: likewise, by name.

    Example:
        >>> summarize(nn.ReLU(), (gu.ones(2, 3),), {}).operations
        6
    """
    named = list(module.named_modules())
    rows = {id(m): Row(name, type(m).__name__) for name, m in named}
    counted: set[int] = set()
    for _, m in named:
        for p in m.parameters(recurse=False):
            if id(p) not in counted:
                counted.add(id(p))
                rows[id(m)].parameters += p.numel()
    with ExitStack() as stack:
        stack.enter_context(unchanged(module))
        stack.enter_context(_counting(stack, [m for _, m in named], rows))
        module(*args, **kwargs)
    parameters = list(module.parameters())
    return Summary(
        rows=list(rows.values()),
        parameters=sum(p.numel() for p in parameters),
        trainable=sum(p.numel() for p in parameters if p.requires_grad),
        operations=sum(row.operations for row in rows.values()),
    )


@contextmanager
def unchanged(module: Module) -> Iterator[None]:
    """Evaluation mode without recording; modes and the random stream are put back."""
    modes = [(m, m.training) for m in module.modules()]
    state = default_generator.get_state()
    module.eval()
    try:
        with no_grad():
            yield
    finally:
        default_generator.set_state(state)
        for m, training in modes:
            m.training = training


@contextmanager
def _counting(stack: ExitStack, modules: list[Module], rows: dict[int, Row]) -> Iterator[None]:
    """Fill the rows while the modules run."""
    running: list[Row] = []

    def enter(m: Module, _args: Any) -> None:
        running.append(rows[id(m)])
        running[-1].calls += 1

    def leave(_m: Module, _args: Any, output: Any) -> None:
        running.pop().output = tuple(_shapes(output))

    def count(
        primitive: Primitive, inputs: tuple[Tensor, ...], static: dict[str, Any], out: Tensor
    ) -> None:
        if running:
            running[-1].operations += _work(primitive, inputs, static, out)

    for m in modules:
        stack.enter_context(m.register_forward_pre_hook(enter))
        stack.enter_context(m.register_forward_hook(leave))
    before = mode.observers
    mode.observers = (*before, count)
    try:
        yield
    finally:
        mode.observers = before


def _work(
    primitive: Primitive, inputs: tuple[Tensor, ...], static: dict[str, Any], out: Tensor
) -> int:
    if primitive.work is None:
        return out.numel()
    if isinstance(primitive.work, int):
        return primitive.work
    return primitive.work(inputs, out, **static)


def _shapes(output: Any) -> Iterator[Shape]:
    if isinstance(output, Tensor):
        yield output.shape
    elif isinstance(output, dict):
        yield from _shapes(list(output.values()))
    elif isinstance(output, list | tuple):
        for part in output:
            yield from _shapes(part)
