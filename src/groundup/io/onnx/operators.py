"""Which ONNX operators a primitive is, and writing a whole program with them."""

from __future__ import annotations

from collections.abc import Mapping as Table, Sequence

from . import convolution, elementwise, moving, reducing
from .fusions import Fusion, find
from .program import ExportError, Step
from .sources import write_array
from .writer import Writer

MAPPINGS: dict[str, elementwise.Mapping] = {
    **elementwise.MAPPINGS,
    **moving.MAPPINGS,
    **reducing.MAPPINGS,
    **convolution.MAPPINGS,
}
"""What writes each primitive, by name."""

WITHOUT = {
    "conv_weight": "the gradient of a convolution with respect to its kernel",
    "fold": "the gradient of sliding windows",
    "rounded": "a tensor rounded to eight bits for products with packed weights",
}
"""Primitives that have none by themselves, with what they are for."""


def write(
    w: Writer,
    steps: Sequence[Step],
    outputs: Sequence[Step],
    inputs: Sequence[str],
    names: dict[int, str],
) -> list[str]:
    """Write the steps that the results need.

    Args:
        w: the writer.
        steps: each after those that it is computed from.
        outputs: the results among them.
        inputs: the names of the program's inputs.
        names: of parameters and buffers, by the identity of their arrays.

    Returns:
        The names of the results.

    Raises:
        ExportError: a primitive without a mapping, or a size without a formula.
    """
    fusions = {s: fusion for s in steps if (fusion := find(s, names)) is not None}
    needed = _needed(outputs, fusions)
    written: dict[Step, str] = {}
    for step in steps:
        if step not in needed:
            continue
        if step in fusions:
            fusion = fusions[step]
            written[step] = fusion.write(w, [written[x] for x in fusion.inputs])
        elif step.name == "input":
            written[step] = inputs[step.fixed("position")]
        elif step.name == "array":
            written[step] = write_array(w, step, names)
        else:
            mapping = _mapping(step)
            written[step] = mapping(w, step, [written[x] for x in step.inputs])
    return [written[step] for step in outputs]


def _needed(outputs: Sequence[Step], fusions: Table[Step, Fusion]) -> set[Step]:
    """The results and all that is computed on the way to them in the exported model."""
    needed: set[Step] = set()
    stack = list(outputs)
    while stack:
        step = stack.pop()
        if step not in needed:
            needed.add(step)
            stack += fusions[step].inputs if step in fusions else step.inputs
    return needed


def _mapping(step: Step) -> elementwise.Mapping:
    if step.name == "random":
        raise ExportError(
            f"{step.line}: random numbers are drawn. An ONNX model has none of ours: draw them "
            "outside and pass them as an input"
        )
    if step.name in MAPPINGS:
        return MAPPINGS[step.name]
    why = f", {WITHOUT[step.name]}," if step.name in WITHOUT else ""
    raise ExportError(
        f"{step.line}: the primitive {step.name!r}{why} has no counterpart among ONNX's "
        "operators here. Compute it outside of the exported module"
    )
