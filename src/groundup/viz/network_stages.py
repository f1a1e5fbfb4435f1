"""What a network diagram shows of a model: a chain of layers as a list of stages.

Vectors are columns of nodes, everything else is a block:

    Linear                                       a column with a line for each weight
    activations                                  a name under the stage before
    normalisation, dropout, Flatten of vectors   a bar in front of the nodes
    everything else                              a labelled block

A column's values are those that the next layer takes: after activation, in evaluation mode.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .. import nn
from .checks import finite
from .network_run import (
    ACTIVATIONS,
    CONVOLUTIONS,
    KNOWN,
    NORMS,
    RECURRENT,
    Call,
    Numbers,
    called,
    run,
)

# Primitives that are an activation by themselves, when Python code calls one between two layers.
NAMED = {"relu", "sigmoid", "tanh", "softplus", "softmax", "log_softmax"}


@dataclass
class Column:
    """A vector: nodes above each other.

    Attributes:
        size: how many.
        values: what the next layer takes, (size,); None where no example was chosen.
        weight: of the lines that lead here, (size, size of the column before); None if none do.
        bias: (size,) or None.
        bars: names of what stands between those lines and the nodes.
        functions: names of what is applied to the nodes.
        first: whether these are the model's own inputs.
        note: what else has to be said.
        call: number of the layer that made it, among all that ran; -1 is the model's input.
        source: number of the layer whose "taken" or "given" the values are, or "example" or
            "output" of the whole run.
    """

    size: int
    values: Numbers | None = None
    weight: Numbers | None = None
    bias: Numbers | None = None
    bars: list[str] = field(default_factory=list)
    functions: list[str] = field(default_factory=list)
    first: bool = False
    note: str = ""
    call: int = -1
    source: tuple[int, str] = (-1, "example")


@dataclass
class Block:
    """A layer that is not drawn node by node, or an input that is not a vector.

    Attributes:
        kind: the class.
        shape: of the output for one example.
        details: short lines.
        kernels: (n, height, width), of a convolution.
        maps: the output where it is a stack of pictures, (channels, height, width).
        functions, call, source: as for a column.
    """

    kind: str
    shape: tuple[int, ...]
    details: list[str] = field(default_factory=list)
    kernels: Numbers | None = None
    maps: Numbers | None = None
    functions: list[str] = field(default_factory=list)
    call: int = -1
    source: tuple[int, str] = (-1, "example")


Stage = Column | Block


def stages(model: nn.Module, example: Any) -> list[Stage]:
    """The stages of a model.

    Args:
        model: its layers run one after the other.
        example: one input, with or without a batch dimension of 1; None for the structure alone.

    Returns:
        At least one stage.

    Raises:
        TypeError, ValueError: as for `run`, or numbers are not finite.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
        >>> [(column.size, column.functions) for column in stages(net, None)]
        [(2, []), (3, ['Tanh']), (1, [])]
    """
    found = run(model, example)
    builder = _Builder(found.example, found.calls[0], example is not None)
    for call in found.calls:
        builder.add(call)
    builder.finish(found.output, found.between)
    return builder.stages


class _Builder:
    """Turns calls into stages."""

    def __init__(self, example: Numbers, call: Call, chosen: bool) -> None:
        self.chosen = chosen
        self.number = -1  # of the call
        self.stages: list[Stage] = []
        if example.ndim <= 1 and not isinstance(call.module, nn.Embedding):
            column = Column(example.size, first=True)
            self._fill(column, example, "input", column.source)
            self.stages.append(column)
        else:
            self.stages.append(Block("Input", example.shape, maps=self._maps(example, "input")))

    def add(self, call: Call) -> None:
        """Put a layer after those that are there."""
        self.number += 1
        module, last = call.module, self.stages[-1]
        last.functions += _between(call.between)
        if not call.taken or not call.given:
            raise ValueError(
                f"{called(call.name, module)} takes or gives no tensor, so it cannot be drawn"
            )
        taken, given = call.taken[0], call.given[0]
        name = called(call.name, module)
        same = taken.shape == given.shape
        if same and isinstance(module, nn.Identity | nn.Flatten):
            return
        if isinstance(module, nn.Linear):
            self._linear(call, taken, given)
        elif isinstance(module, ACTIVATIONS) or (same and not isinstance(module, KNOWN)):
            last.functions.append(type(module).__name__)
            self._update(given, name, (self.number, "given"))
        elif isinstance(last, Column) and same and given.shape[-1:] == (last.size,):
            last.bars.append(_bar(module))
            self._update(given, name, (self.number, "given"))
        elif isinstance(module, nn.Flatten) and given.ndim == 1:
            first = isinstance(last, Block) and last.kind == "Input"
            column = Column(given.size, bars=[_bar(module)], first=first, call=self.number)
            self._fill(column, given, name, (self.number, "given"))
            self.stages.append(column)
        else:
            kernels = None
            if isinstance(module, CONVOLUTIONS):
                kernels = finite(module.weight.detach(), f"weight of {name}")
                height = kernels.shape[-2] if kernels.ndim == 4 else 1
                kernels = kernels.reshape(-1, height, kernels.shape[-1])
            kind, maps = type(module).__name__, self._maps(given, f"output of {name}")
            block = Block(kind, given.shape, _details(module), kernels, maps)
            block.call, block.source = self.number, (self.number, "given")
            self.stages.append(block)

    def finish(self, output: Numbers | None, between: Sequence[str]) -> None:
        """Take over what the model gave in the end."""
        self.stages[-1].functions += _between(between)
        if output is not None:
            self._update(output, "the model's output", (self.number, "output"))

    def _linear(self, call: Call, taken: Numbers, given: Numbers) -> None:
        module, last = call.module, self.stages[-1]
        assert isinstance(module, nn.Linear)
        name = called(call.name, module)
        if not isinstance(last, Column):
            self.stages.append(last := Column(module.in_features, first=last.kind == "Input"))
        if last.size != module.in_features:
            raise ValueError(
                f"{name} takes {module.in_features} numbers where the layer before it gives "
                f"{last.size}; a diagram cannot show what happens to them in between"
            )
        if last.first and taken.size != module.in_features:
            raise ValueError(
                f"the input holds {taken.size // module.in_features} examples for {name}, each of "
                f"{module.in_features} numbers; pass one of them, as x[:1]"
            )
        self._fill(last, taken, f"input of {name}", (self.number, "taken"))
        column = Column(
            module.out_features,
            weight=finite(module.weight.detach(), f"weight of {name}"),
            bias=None if module.bias is None else finite(module.bias.detach(), f"bias of {name}"),
            call=self.number,
        )
        self._fill(column, given, f"output of {name}", (self.number, "given"))
        self.stages.append(column)

    def _fill(self, column: Column, values: Numbers, name: str, source: tuple[int, str]) -> None:
        """Give a column its values: the last vector where there are several."""
        rows = values.reshape(-1, column.size)
        column.source = source
        column.note = f"last of {len(rows)}" if len(rows) > 1 else ""
        if self.chosen:
            column.values = finite(rows[-1], name)

    def _update(self, given: Numbers, name: str, source: tuple[int, str]) -> None:
        last = self.stages[-1]
        if isinstance(last, Column):
            if given.size % last.size == 0:
                self._fill(last, given, name, source)
        elif given.shape == last.shape:
            last.maps = self._maps(given, name)
            last.source = source

    def _maps(self, values: Numbers, name: str) -> Numbers | None:
        """The values as pictures: (H, W), (time, features), (C, L) and (C, H, W) -> (N, H, W)."""
        if not self.chosen or values.ndim not in (2, 3):
            return None
        return finite(values if values.ndim == 3 else values[None], name)


def _between(primitives: Sequence[str]) -> list[str]:
    """What Python code computed between two layers, in a word."""
    if not primitives:
        return []
    return [primitives[0] if len(primitives) == 1 and primitives[0] in NAMED else "in forward"]


def _bar(module: nn.Module) -> str:
    if isinstance(module, nn.Dropout):
        return f"{type(module).__name__} {module.p:g}"
    return type(module).__name__


def _details(module: nn.Module) -> list[str]:
    """A few short lines about a block."""
    if isinstance(module, CONVOLUTIONS):
        more = [
            f"{name} {_times(value)}"
            for name, value, usual in (("stride", module.stride, 1), ("padding", module.padding, 0))
            if value != (usual,) * module.n
        ]
        lines = textwrap.wrap(", ".join([_times(module.kernel_size), *more]), 16)
        return [f"{module.in_channels} → {module.out_channels}", *lines]
    if isinstance(module, nn.MaxPool1d | nn.MaxPool2d | nn.AvgPool1d):
        n = 2 if type(module).__name__.endswith("2d") else 1
        size, stride = (
            _times(value if isinstance(value, tuple) else (value,) * n)
            for value in (module.kernel_size, module.stride)
        )
        return [size if size == stride else f"{size}, stride {stride}"]
    if isinstance(module, nn.Embedding):
        return [f"{module.num_embeddings:,} → {module.embedding_dim}"]
    if isinstance(module, NORMS):
        return []
    if isinstance(module, RECURRENT):
        lines = [f"{module.input_size} → {module.hidden_size}"]
        if module.num_layers > 1:
            lines.append(f"{module.num_layers} layers")
        return [*lines, "both directions"] if module.bidirectional else lines
    if isinstance(module, nn.Residual):
        inside = module.module
        parts = list(inside.children()) or [inside]
        return [
            f"x + {type(part).__name__}" if i == 0 else type(part).__name__
            for i, part in enumerate(parts[:4])
        ]
    lines = textwrap.wrap(module.extra_repr(), 18)
    return lines if len(lines) < 4 else [*lines[:2], "…"]


def _times(size: object) -> str:
    return "×".join(map(str, size)) if isinstance(size, tuple) else str(size)
