"""Boxes: parts of an array that are cut out by a slice of each dimension.

``cat``, ``pad`` and the gradient of a slice lay arrays side by side in a larger one. Such a value
is an *assembly*: it has disjoint boxes, each with the value that is laid there, and a number for
the rest. Whoever computes a part writes it where it belongs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ..graph import Value

if TYPE_CHECKING:
    from .simplify import Builder

Box = tuple[tuple[int, int], ...]
"""For each dimension the first position and the one after the last."""


def assembly(
    build: Builder,
    parts: tuple[Value, ...],
    boxes: tuple[Box, ...],
    shape: tuple[int, ...],
    fill: float = 0.0,
) -> Value:
    """Parts laid into their boxes, and a number elsewhere.

    Args:
        build: what makes values.
        parts: the values, of one dtype.
        boxes: where each of them lies; disjoint.
        shape: of the whole.
        fill: the number.

    Example:
        >>> from groundup.engine.compiler.graph import Value
        >>> from groundup.engine.compiler.simplify.simplify import Builder
        >>> x = Value("input", (), {}, (2, 3), gu.float32)
        >>> assembly(Builder(), (x,), (((0, 2), (1, 4)),), (2, 5))
        assembly (2, 5) float32
    """
    static = {"boxes": boxes, "fill": fill}
    key = ("assembly", parts, boxes, shape, fill)
    if key not in build.made:
        dtype = parts[0].dtype
        build.made[key] = Value("assembly", parts, static, shape, dtype, None, build.line)
    return build.made[key]


def overlap(a: Box, b: Box) -> bool:
    """Whether two boxes have an element in common.

    Example:
        >>> overlap(((0, 2), (0, 2)), ((1, 3), (0, 1))), overlap(((0, 2),), ((2, 3),))
        (True, False)
    """
    return all(
        start < end2 and start2 < end for (start, end), (start2, end2) in zip(a, b, strict=True)
    )


def rest(shape: Sequence[int], boxes: Iterable[Box]) -> list[Box]:
    """Disjoint boxes that cover what the given ones leave of an array.

    Example:
        >>> rest((3, 4), [((0, 3), (1, 2))])
        [((0, 3), (0, 1)), ((0, 3), (2, 4))]
    """
    left: list[Box] = [tuple((0, n) for n in shape)] if all(shape) else []
    for box in boxes:
        left = [piece for whole in left for piece in _without(whole, box)]
    return left


def _without(whole: Box, box: Box) -> list[Box]:
    if not overlap(whole, box):
        return [whole]
    pieces = []
    for d, ((start, end), (cut, stop)) in enumerate(zip(whole, box, strict=True)):
        if start < cut:
            pieces.append((*whole[:d], (start, cut), *whole[d + 1 :]))
        if stop < end:
            pieces.append((*whole[:d], (stop, end), *whole[d + 1 :]))
        whole = (*whole[:d], (max(start, cut), min(end, stop)), *whole[d + 1 :])
    return pieces
