"""How a network diagram finds the layers of a model: by running it once.

Forward hooks note what each layer takes and gives, and an observer of the engine follows which
values reach which layer. The layers must form one chain: each takes what the one before it gave and
nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import nn
from ..engine.base import mode
from ..engine.ops.creation import as_tensor, zeros
from ..engine.ops.shaping import cat
from ..engine.primitive import Primitive
from ..engine.tensor import Tensor
from ..nn.summary import unchanged
from .checks import finite

Numbers = NDArray[np.float64]

Kinds = tuple[type[nn.Module], ...]

ACTIVATIONS: Kinds = (nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus)
ACTIVATIONS += (nn.Sigmoid, nn.LogSigmoid, nn.Tanh, nn.Softmax, nn.LogSoftmax)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d, nn.ConvTranspose2d)
RECURRENT = (nn.RNN, nn.LSTM, nn.GRU)
CELLS = (nn.RNNCell, nn.LSTMCell, nn.GRUCell)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)
POSITIONS = (nn.LearnedPositions, nn.SinusoidalPositions, nn.RotaryPositions)
POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AdaptiveAvgPool1d, nn.Upsample)
SEQUENCES = (nn.Embedding, nn.MultiheadAttention, *RECURRENT)
SHAPES = (nn.Flatten, nn.Unflatten, nn.Identity, nn.Dropout)
KNOWN: Kinds = (nn.Linear, nn.Embedding, nn.MultiheadAttention, nn.Residual, *POOLS, *SHAPES)
KNOWN += ACTIVATIONS + CONVOLUTIONS + RECURRENT + CELLS + NORMS + POSITIONS
SUPPORTED = (
    "Linear, activations, convolutions, pooling, Flatten, normalisation, dropout, recurrent "
    "layers, Embedding, attention, Residual, and layers without parameters, called one after the "
    "other by Sequential or by a forward of your own"
)

# What Python code may do between two layers without a word about it: numbers move.
MOVES = {"reshape", "permute", "expand", "flip", "slice", "index", "cast"}


@dataclass
class Call:
    """One layer that ran: what it took and gave, and what was computed since the layer before.

    Attributes:
        taken, given: tensors among its arguments and results, without their batch dimension.
        sources: which layers' outputs the input was made of; -1 is the model's input.
        between: names of the primitives that ran outside layers since the call before.
    """

    name: str
    module: nn.Module
    taken: list[Numbers]
    given: list[Numbers]
    sources: frozenset[int]
    between: list[str]


@dataclass
class Run:
    """All layers of a model in the order in which they ran.

    Attributes:
        calls: at least one.
        example: what the model took, without its batch dimension.
        output: what it gave, likewise; None if that was not one tensor.
        sources, between: of the output, as for a call.
    """

    calls: list[Call]
    example: Numbers
    output: Numbers | None
    sources: frozenset[int]
    between: list[str]


def run(model: nn.Module, example: Any) -> Run:
    """Run a model on one example, in evaluation mode; the model is not changed.

    Args:
        model: its layers run one after the other.
        example: one input, with or without a batch dimension of 1; None for zeros.

    Raises:
        TypeError: the model is not a Module.
        ValueError: a layer that cannot be drawn, layers that are not a chain, or an example that
            does not fit or is not finite numbers.

    Example:
        >>> [call.name for call in run(nn.Sequential(nn.Linear(2, 3), nn.Tanh()), [0, 1]).calls]
        ['0', '1']
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"a diagram is drawn of an nn.Module, got {type(model).__name__}")
    leaves = list(dict(_leaves(model, "")).items())
    batch, axis = _batch([leaf for _, leaf in leaves], example)
    found = _record(model, leaves, batch, axis)
    if not found.calls:
        raise ValueError(f"{type(model).__name__} runs no layer, so there is nothing to draw")
    _check_chain(found.calls, found.sources)
    return found


def run_together(model: nn.Module, examples: Sequence[Any]) -> tuple[Run, int]:
    """Run a model on several examples at once.

    Args:
        model: its layers run one after the other.
        examples: at least two, each as for `run`.

    Returns:
        (what `run` gives, but with the batch dimension in all arrays; which dimension that is).

    Raises:
        TypeError, ValueError: as for `run`.

    Example:
        >>> run_together(nn.Sequential(nn.ReLU()), [[-1, 2], [3, 4]])[0].output.tolist()
        [[0.0, 2.0], [3.0, 4.0]]
    """
    leaves = list(dict(_leaves(model, "")).items())
    batches = [_batch([leaf for _, leaf in leaves], example) for example in examples]
    axis = batches[0][1]
    return _record(model, leaves, cat([batch for batch, _ in batches], dim=axis), axis), axis


def _leaves(module: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    """The modules that are drawn, by name, in the order in which they stand in the model."""
    children = list(module.named_children())
    own = next((key for key, _ in module.named_parameters(recurse=False)), None)
    known = isinstance(module, KNOWN)
    if own is not None and not known:
        raise ValueError(
            f"{called(name, module)} computes with a parameter of its own ({own}), which a "
            f"diagram cannot show; supported are {SUPPORTED}"
        )
    if known or not (children or isinstance(module, nn.Sequential)):
        yield name, module
        return
    for key, child in children:
        yield from _leaves(child, f"{name}.{key}" if name else key)


def called(name: str, module: nn.Module) -> str:
    """How error messages call a module.

    Example:
        >>> called("0", nn.ReLU())
        "ReLU '0'"
    """
    return f"{type(module).__name__} {name!r}" if name else type(module).__name__


def _batch(leaves: Sequence[nn.Module], example: Any) -> tuple[Tensor, int]:
    """The example as a batch of one, and which of its dimensions is the batch's."""
    kinds = (nn.Linear, nn.Embedding, nn.MultiheadAttention, *CONVOLUTIONS, *RECURRENT, *CELLS)
    first = next((leaf for leaf in leaves if isinstance(leaf, kinds)), None)
    if example is None:
        if not isinstance(first, nn.Linear):
            kind = "the model" if first is None else f"{type(first).__name__}, its first layer,"
            raise ValueError(
                f"the shapes of {kind} cannot be known without an example: pass input="
            )
        return zeros(1, first.in_features, dtype=first.weight.dtype), 0
    array = finite(example, "input")
    if not isinstance(first, nn.Embedding):
        x = as_tensor(array, dtype=None if first is None else next(first.parameters()).dtype)
    elif (array == np.rint(array)).all():
        x = as_tensor(array.astype(np.int64))
    else:
        raise ValueError("input: Embedding, the first layer, takes tokens, which are whole numbers")
    dims = None  # of one example, where the first layer tells
    if isinstance(first, CONVOLUTIONS):
        dims = first.n + 1
    elif isinstance(first, SEQUENCES):
        dims = 1 if isinstance(first, nn.Embedding) else 2
    axis = int(
        isinstance(first, SEQUENCES)
        and any(not getattr(leaf, "batch_first", True) for leaf in leaves)
    )
    x = x.reshape(1) if x.ndim == 0 else x
    batched = x.ndim > 1 and x.shape[0] == 1 if dims is None else x.ndim == dims + 1
    if not batched:
        x = x.unsqueeze(axis)
    if x.shape[axis] != 1:
        raise ValueError(
            f"input of shape {array.shape} holds {x.shape[axis]} examples; pass one of them, as "
            f"{'x[:, :1]' if axis else 'x[:1]'}"
        )
    return x, axis


def _record(
    model: nn.Module, leaves: Sequence[tuple[str, nn.Module]], batch: Tensor, axis: int
) -> Run:
    """Run the model once and note what happens."""
    calls: list[Call] = []
    names = {id(leaf): name for name, leaf in leaves}
    sources: dict[int, frozenset[int]] = {id(batch): frozenset([-1])}
    kept: list[Tensor] = [batch]  # an identity must not be used again while it is looked up
    between: list[str] = []
    running: list[nn.Module] = []

    def origins(tensors: Iterable[Tensor]) -> frozenset[int]:
        return frozenset[int]().union(*(sources.get(id(x), frozenset()) for x in tensors))

    def follow(
        primitive: Primitive, inputs: tuple[Tensor, ...], _static: dict[str, Any], out: Tensor
    ) -> None:
        found = origins(inputs)
        if found:
            sources[id(out)] = found
            kept.append(out)
            if not running and primitive.name not in MOVES:
                between.append(primitive.name)

    def enter(module: nn.Module, args: tuple[Any, ...]) -> None:
        if not running:
            taken = list(_tensors(args))
            arrays = [_array(x, axis) for x in taken]
            call = Call(names[id(module)], module, arrays, [], origins(taken), between.copy())
            calls.append(call)
            between.clear()
        running.append(module)

    def leave(module: nn.Module, _args: tuple[Any, ...], output: Any) -> None:
        running.pop()
        if not running:
            for x in _tensors(output):
                sources[id(x)] = frozenset([len(calls) - 1])
                kept.append(x)
                calls[-1].given.append(_array(x, axis))

    before = mode.observers
    with ExitStack() as stack:
        stack.enter_context(unchanged(model))
        for _, leaf in leaves:
            stack.enter_context(leaf.register_forward_pre_hook(enter))
            stack.enter_context(leaf.register_forward_hook(leave))
        mode.observers = (*before, follow)
        try:
            output = model(batch)
        except (ValueError, IndexError, TypeError) as error:
            raise ValueError(
                f"the model cannot take an input of shape {batch.shape} (a batch of one): {error}"
            ) from error
        finally:
            mode.observers = before
    given = _array(output, axis) if isinstance(output, Tensor) else None
    return Run(calls, _array(batch, axis), given, origins(_tensors(output)), between)


def _tensors(values: Any) -> Iterator[Tensor]:
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _tensors(value)


def _array(x: Tensor, axis: int) -> Numbers:
    """The values without the batch dimension."""
    array = np.array(x.detach().numpy(), dtype=np.float64)
    if array.ndim > axis and array.shape[axis] == 1:
        return np.squeeze(array, axis)
    return array[0] if array.ndim > 1 and len(array) == 1 else array


def _check_chain(calls: Sequence[Call], output: frozenset[int]) -> None:
    """Refuse a branch: whatever takes values that are not those of the layer before it."""
    for i, call in enumerate(calls):
        _check_sources(calls[:i], called(call.name, call.module), call.sources)
    _check_sources(calls, "the model's output", output)


def _check_sources(before: Sequence[Call], name: str, sources: frozenset[int]) -> None:
    others = sources - {len(before) - 1}
    if others:
        first = min(others)
        origin = "the input" if first < 0 else called(before[first].name, before[first].module)
        last = called(before[-1].name, before[-1].module) if before else "the input"
        raise ValueError(
            f"{name} takes values of {origin}, not only those of {last}, the layer that ran before "
            "it; a diagram shows layers in one chain (a branch inside nn.Residual is drawn as a "
            "block)"
        )
