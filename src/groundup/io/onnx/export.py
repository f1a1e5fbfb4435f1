"""Writing a module as an ONNX model, which other programs run.

The module is traced in evaluation mode into primitives, and each becomes a few operators of ONNX
(opset 18). No values are computed. Weights keep the names that they have in ``state_dict``.
"""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...engine.base import TensorBase
from ...engine.compiler.graph import Graph
from ...engine.compiler.trace.tree import leaves
from ...nn import Module
from .program import ExportError, Input, Step, is_tensor, merge, places, trace
from .sizes import Sample, fit

MISSING = (
    "export_onnx needs the package onnx, which builds and checks the file; install it with "
    "pip install 'groundup[onnx]'"
)
FARTHEST = 512
"""How many times as large as in the example a dimension is tried,"""
LARGEST = 1 << 20
"""as long as no input has more elements than this."""


def export_onnx(
    model: Module,
    example_inputs: Any,
    path: str | os.PathLike[str],
    *,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    dynamic: Mapping[str, Mapping[int, str]] | None = None,
) -> Path:
    """Write a module as an ONNX model.

    The module is traced as it is in evaluation mode: dropout does nothing, norms use running
    statistics. What Python decides while it runs (loops, conditions, numbers) is settled then. A
    dimension may vary if the trace is the same program at several of its sizes; in a recurrent
    layer that is so for the batch, but not for the time steps, each of which is written out. A
    cache of keys and values cannot be exported: it is changed in place from call to call.

    Packed weights are written as float32. Of float16, bfloat16 and float64, ONNX Runtime lacks some
    operators on some processors; ``model.float()`` has all of them.

    Sizes are tried from 2 to 512 times the example's (less for large inputs), or as far as the
    module takes them; the file's metadata has the bound.

    Args:
        model: the module.
        example_inputs: a tensor, a tuple of arguments, or a dictionary of arguments by name. Only
            shapes and dtypes of the tensors matter; anything else is passed as it is.
        path: the file. Weights of more than 2 GB in all go to a file of their own beside it, whose
            name begins with this one's and ends with a hash of them.
        input_names: of the tensors, in order; by default those of the arguments, with numbers
            behind where an argument holds several.
        output_names: of the results, in order; by default "output", with numbers behind where
            there are several.
        dynamic: for each input that has some, the dimensions that may vary, with names; equal names
            are equal sizes. None: the first dimension of every input is "batch". ``{}``: none.

    Returns:
        The path.

    Raises:
        ExportError: a primitive that ONNX has no counterpart of here, a size that cannot vary, or
            names that do not fit; the message says where. Nothing is written.
        ModuleNotFoundError: the package onnx is missing.

    Example:
        >>> import tempfile
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     export_onnx(model, gu.zeros(1, 4), f"{folder}/model.onnx").name
        'model.onnx'
    """
    try:
        from . import files, operators, writer
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "onnx":
            raise
        raise ModuleNotFoundError(MISSING, name="onnx") from None
    path = Path(path)
    example = _as_arguments(example_inputs)
    inputs = _inputs(model, example, input_names, dynamic)
    with _evaluation(model):
        samples, traced, notes = _traces(model, example, inputs)
    found_at = [at for _, at in traced]
    if any(at != found_at[0] for at in found_at[1:]):
        raise ExportError(f"{type(model).__name__}: the number of results depends on the sizes")
    if not found_at[0]:
        raise ExportError(f"{type(model).__name__}: no tensor is returned")
    steps, results = merge([graph for graph, _ in traced], samples)
    outputs = _output_names(output_names, found_at[0])
    taken = {x.name for x in inputs} | set(outputs)
    if len(taken) < len(inputs) + len(outputs):
        raise ExportError(f"names occur twice: {[x.name for x in inputs]}, {outputs}")
    w = writer.Writer(_found_in(inputs), taken)
    found = operators.write(w, steps, results, [x.name for x in inputs], _names(model))
    w.finish(list(zip(outputs, found, strict=True)))
    shapes = [[_described(step, d) for d in range(step.ndim)] for step in results]
    proto = w.model(
        type(model).__name__,
        [(x.name, x.dtype, list(x.shape)) for x in inputs],
        [(n, s.dtype, shape) for n, s, shape in zip(outputs, results, shapes, strict=True)],
        notes,
    )
    files.write(proto, w.arrays, path)
    return path


def _described(step: Step, d: int) -> int | str | None:
    """A size of a result, or its formula, or None where a rounding leaves it without one."""
    found = fit(step.samples, [value.shape[d] for value in step.values])
    if found is None:
        return None
    return found.constant if found.fixed else str(found)


def _as_arguments(example: Any) -> tuple[Any, ...] | dict[str, Any]:
    if type(example) in (tuple, dict):  # a named tuple is one argument
        return example
    return tuple(example) if type(example) is list else (example,)


def _inputs(
    model: Module,
    example: tuple[Any, ...] | dict[str, Any],
    input_names: Sequence[str] | None,
    dynamic: Mapping[str, Mapping[int, str]] | None,
) -> list[Input]:
    try:
        signature = inspect.signature(model.forward)
        bound = signature.bind(**example) if isinstance(example, dict) else signature.bind(*example)
    except TypeError as error:
        raise ExportError(
            f"{type(model).__name__}: {error}; {signature} is what it takes"
        ) from None
    found: list[Any] = []
    leaves(example, found)
    named = example if isinstance(example, dict) else _by_argument(signature, bound)
    labels = [place.removeprefix("_") for place in places(named)]
    tensors = [(x, label) for x, label in zip(found, labels, strict=True) if is_tensor(x)]
    names = [label for _, label in tensors] if input_names is None else list(input_names)
    if len(names) != len(tensors):
        raise ExportError(f"input_names: {len(names)} names for {len(tensors)} tensors")
    if dynamic is None:
        dynamic = {n: {0: "batch"} for n, (x, _) in zip(names, tensors, strict=True) if x.ndim}
    if unknown := dynamic.keys() - set(names):
        raise ExportError(f"dynamic: {', '.join(sorted(unknown))}; the inputs are {names}")
    return [_input(n, x, dynamic.get(n, {})) for n, (x, _) in zip(names, tensors, strict=True)]


def _by_argument(signature: inspect.Signature, bound: inspect.BoundArguments) -> dict[str, Any]:
    """Arguments by name, those of ``*args`` too, in the order in which they were given."""
    found: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        if signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL:
            found |= {f"{name}_{i}": item for i, item in enumerate(value)}
        else:
            found[name] = value
    return found


def _input(name: str, x: TensorBase, dims: Mapping[int, str]) -> Input:
    shape: list[int | str] = list(x.array.shape)
    for d, symbol in dims.items():
        if not -len(shape) <= d < len(shape):
            raise ExportError(f"dynamic: dimension {d} of {name}, whose shape is {tuple(shape)}")
        if not symbol.isidentifier():
            raise ExportError(f"dynamic: {symbol!r} is no name for a dimension of {name}")
        shape[d] = symbol
    return Input(name, x.array.dtype, tuple(shape))


def _found_in(inputs: Sequence[Input]) -> dict[str, tuple[str, int]]:
    found: dict[str, tuple[str, int]] = {}
    for x in inputs:
        for d, n in enumerate(x.shape):
            if isinstance(n, str):
                found.setdefault(n, (x.name, d))
    return found


def _output_names(given: Sequence[str] | None, at: Sequence[str]) -> list[str]:
    if given is None:
        return [f"output{place}" for place in at]
    if len(given) != len(at):
        raise ExportError(f"output_names: {len(given)} names for {len(at)} results")
    return list(given)


def _names(model: Module) -> dict[int, str]:
    """The names of parameters and buffers by the identity of their arrays, the first of several."""
    found: dict[int, str] = {}
    for name, x in (*model.named_parameters(), *model.named_buffers()):
        found.setdefault(id(x.array), name)
    return found


@contextmanager
def _evaluation(model: Module) -> Iterator[None]:
    """Evaluation mode inside, and what was set before afterwards."""
    before = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training


def _traces(
    model: Module, example: Any, inputs: Sequence[Input]
) -> tuple[list[Sample], list[tuple[Graph, list[str]]], dict[str, str]]:
    """The module at several sizes of the dimensions that may vary.

    Near the example's sizes; where one ends, or far away; and with all dimensions changed at once.

    Returns:
        The sizes, for each the program and the places of its results, and where dimensions end.
    """
    found: list[tuple[Sample, tuple[Graph, list[str]]]] = []

    def add(sample: Sample) -> None:
        found.append((sample, trace(call, example, inputs, sample)))

    def call(given: Any) -> Any:
        return model(**given) if isinstance(given, dict) else model(*given)

    def possible(sample: Sample) -> bool:
        try:
            trace(call, example, inputs, sample)
        except (ValueError, IndexError, RuntimeError):
            return False
        return True

    base = _example_sizes(example, inputs)
    trace(call, example, inputs, base)
    ends, notes = {}, {}
    for name in base:
        ends[name], bounded = _end(base, name, inputs, possible)
        notes[name] = f"{'at most' if bounded else 'traced up to'} {ends[name]}"
    for name, end in ends.items():  # at its end a size may be special: all of a table is no slice
        base[name] = min(base[name], max(2, end - 1))
    add(base)
    away: dict[str, int] = {}
    for name, n in base.items():
        end = ends[name]
        near = (end - 1, n + 1, n + 2, n - 1, n - 2)
        others = list(dict.fromkeys(m for m in near if 1 < m < end and m != n))[:3] or [end]
        if others == [n]:
            trace(call, example, inputs, base | {name: n + 1})  # says what is wrong
        away[name] = others[-1]
        for m in others:
            add(base | {name: m})
    if len(base) > 1:
        add(away)
    return [sample for sample, _ in found], [made for _, made in found], notes


def _end(
    base: dict[str, int], name: str, inputs: Sequence[Input], possible: Callable[[Sample], bool]
) -> tuple[int, bool]:
    """The largest size of a dimension that is possible, or one far from the example's and False."""
    elements = max(math.prod(x.at(base)) for x in inputs)
    good = base[name]
    bad = good * max(4, min(FARTHEST, LARGEST // max(elements, 1)))
    if possible(base | {name: bad}):
        return bad, False
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if possible(base | {name: middle}) else (good, middle)
    return good, True


def _example_sizes(example: Any, inputs: Sequence[Input]) -> dict[str, int]:
    """What the dimensions that may vary are in the example; at least 2, since 1 broadcasts."""
    found: list[Any] = []
    leaves(example, found)
    sizes: dict[str, int] = {}
    for x, one in zip(filter(is_tensor, found), inputs, strict=True):
        for n, symbol in zip(x.array.shape, one.shape, strict=True):
            if isinstance(symbol, str) and sizes.setdefault(symbol, max(n, 2)) != max(n, 2):
                raise ExportError(
                    f"dynamic: {symbol!r} is {sizes[symbol]} in one input and {n} in {one.name}"
                )
    return sizes
