"""Reverse-mode differentiation: the walk from outputs back to what they were computed from.

Every operation on a tensor that requires a gradient left a ``Node``. ``walk`` visits those nodes
from the youngest to the oldest, so a node is reached only when the gradient of its output is
complete, hands that gradient to the node's rules, and adds the results up for each input
(Linnainmaa, 1970; Baydin et al., 2018, section 3.2). It uses no recursion: a graph may be millions
of operations deep.

Un-broadcasting happens here and nowhere else: an operation may return a gradient in the broadcast
shape, and the walk sums it down to the shape of the input.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from operator import attrgetter
from typing import Any, ParamSpec, TypeVar

import numpy as np

from .base import Array, describe, fresh, mode, wrap
from .dtypes import FLOATING
from .primitive import Node, Primitive
from .primitives.shape import sum_to
from .tensor import Tensor

P = ParamSpec("P")
R = TypeVar("R")
Vertex = Node | Tensor


class set_grad_enabled:
    """Switch the recording of operations on or off, as a context or as a decorator.

    Args:
        enabled: whether operations inside are recorded.

    Example:
        >>> import groundup as gu
        >>> x = gu.ones(1, requires_grad=True)
        >>> with gu.set_grad_enabled(False):
        ...     (x * 2).requires_grad
        False
    """

    def __init__(self, enabled: bool) -> None:
        if callable(enabled):
            name = type(self).__name__
            raise TypeError(f"{name} was given a function; as a decorator, write @{name}()")
        self.enabled = enabled
        self.before: list[bool] = []

    def __enter__(self) -> None:
        self.before.append(mode.grad)
        mode.grad = self.enabled

    def __exit__(self, *_: object) -> None:
        mode.grad = self.before.pop()

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """The function, run inside this context."""

        @functools.wraps(function)
        def inside(*args: P.args, **kwargs: P.kwargs) -> R:
            with set_grad_enabled(self.enabled):
                return function(*args, **kwargs)

        return inside


class no_grad(set_grad_enabled):
    """Record nothing inside: results do not require gradients.

    Example:
        >>> import groundup as gu
        >>> x = gu.ones(1, requires_grad=True)
        >>> with gu.no_grad():
        ...     (x * 2).requires_grad
        False
    """

    def __init__(self, enabled: bool = False) -> None:
        super().__init__(enabled)


class enable_grad(set_grad_enabled):
    """Record operations inside, also within ``no_grad``.

    Example:
        >>> import groundup as gu
        >>> x = gu.ones(1, requires_grad=True)
        >>> with gu.no_grad(), gu.enable_grad():
        ...     (x * 2).requires_grad
        True
    """

    def __init__(self, enabled: bool = True) -> None:
        super().__init__(enabled)


def is_grad_enabled() -> bool:
    """Whether operations are being recorded.

    Example:
        >>> is_grad_enabled()
        True
    """
    return mode.grad


@contextmanager
def detect_anomaly() -> Iterator[None]:
    """Stop at the first operation, forward or backward, that makes a NaN or an infinity.

    Raises:
        FloatingPointError: names the operation and the shapes that it was given.

    Example:
        >>> import groundup as gu
        >>> with gu.detect_anomaly():
        ...     gu.tensor([1.0, 0.0]).log()
        Traceback (most recent call last):
        ...
        FloatingPointError: log((2,) float32) produced 1 infinity; its inputs were finite
    """

    def check(
        primitive: Primitive, inputs: tuple[Tensor, ...], _static: dict[str, Any], out: Tensor
    ) -> None:
        if out.array.dtype.kind not in FLOATING or np.isfinite(out.array).all():
            return
        nans, infinities = int(np.isnan(out.array).sum()), int(np.isinf(out.array).sum())
        found = [
            f"{count} {name}{'' if count == 1 else plural}"
            for count, name, plural in ((nans, "NaN", "s"), (infinities, "infinity", ""))
            if count
        ]
        floating = [x.array for x in inputs if x.array.dtype.kind in FLOATING]
        finite = all(np.isfinite(array).all() for array in floating)
        given = ", ".join(f"{x.array.shape} {x.array.dtype.name}" for x in inputs)
        raise FloatingPointError(
            f"{primitive.name}({given}) produced {' and '.join(found)}; its inputs were "
            + ("finite" if finite else "already not finite")
        )

    before = mode.observers
    mode.observers = (*before, check)
    try:
        yield
    finally:
        mode.observers = before


def walk(
    outputs: Sequence[Tensor],
    seeds: Sequence[Tensor],
    targets: set[Vertex] | None,
    *,
    retain_graph: bool,
    create_graph: bool,
    beyond: bool = True,
) -> dict[Vertex, Tensor]:
    """Gradients of ``sum(output * seed)`` with respect to the targets.

    Args:
        outputs: tensors to differentiate.
        seeds: a gradient for each output, of its shape.
        targets: nodes or leaf tensors whose gradients are wanted; None for every leaf.
        retain_graph: keep what the operations saved, so that the graph can be walked again.
        create_graph: record the walk itself, so that the result can be differentiated.
        beyond: walk on through a target to those that it was computed from.

    Returns:
        The gradient of each target that the outputs depend on; of each leaf when targets is None.
    """
    roots = [out.node or out for out in outputs]
    nodes = _reachable(roots)
    useful = None if targets is None else _leading_to(nodes, targets)
    gradients: dict[Vertex, Tensor] = {}
    kept: dict[Vertex, Tensor] = {}
    with set_grad_enabled(create_graph):
        for root, seed in zip(roots, seeds, strict=True):
            gradients[root] = gradients[root] + seed if root in gradients else seed
        for node in reversed(nodes):
            g = gradients.pop(node, None)
            if g is None:
                continue
            if targets is not None and node in targets:
                kept[node] = g
                if not beyond:
                    continue
            wanted = [e is not None and (useful is None or e in useful) for e in node.edges]
            if not any(wanted):
                continue
            inputs = node.inputs
            for i, pulled in enumerate(node.pull(g, wanted)):
                if pulled is None:
                    continue
                edge, shape = node.edges[i], inputs[i].shape  # type: ignore[index]
                if pulled.array.shape != shape:
                    pulled = sum_to(pulled, shape=shape)
                assert edge is not None
                before = gradients.get(edge)
                gradients[edge] = pulled if before is None else before + pulled
            if not retain_graph:
                node.free()
    kept.update(gradients)
    return kept


def _reachable(roots: Sequence[Vertex]) -> list[Node]:
    """All nodes that the roots were computed through, oldest first."""
    seen: set[Node] = set()
    stack = [root for root in roots if isinstance(root, Node)]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            stack += [edge for edge in node.edges if isinstance(edge, Node)]
    return sorted(seen, key=attrgetter("time"))


def _leading_to(nodes: Sequence[Node], targets: set[Vertex]) -> set[Vertex]:
    """The targets, and the nodes through which they are reached."""
    useful = set(targets)
    for node in nodes:
        if any(edge in useful for edge in node.edges if edge is not None):
            useful.add(node)
    return useful


def _seed(out: Tensor, gradient: Tensor | None, caller: str) -> Tensor:
    if not out.requires_grad:
        raise RuntimeError(
            f"{caller}: the output does not require a gradient; "
            "was it computed under no_grad(), or from tensors without requires_grad=True?"
        )
    if gradient is not None:
        if gradient.array.shape != out.array.shape:
            raise ValueError(
                f"{caller}: the gradient has shape {gradient.array.shape}, "
                f"the output has shape {out.array.shape}; they must be equal"
            )
        return gradient.to(out.array.dtype)
    if out.array.size != 1:
        raise RuntimeError(
            f"{caller}: the output has shape {out.array.shape}; only a tensor with one element has "
            "an implicit gradient of 1. Reduce it (sum, mean) or pass a gradient of its shape"
        )
    return fresh(np.ones(out.array.shape, out.array.dtype))


def backward(
    out: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
) -> None:
    """Add the gradient of this tensor to ``.grad`` of every leaf that it was computed from.

    Args:
        gradient: gradient with respect to this tensor, of its shape; may be left out (1) for a
            tensor of one element.
        retain_graph: keep the graph for another call; defaults to ``create_graph``.
        create_graph: make the gradients differentiable.

    Raises:
        RuntimeError: no gradient is required, the graph was freed, or a tensor that the gradient
            needs was changed in place.

    Example:
        >>> import groundup as gu
        >>> x = gu.tensor([1.0, 2.0], requires_grad=True)
        >>> (x * x).sum().backward()
        >>> x.grad
        tensor([2., 4.], shape=(2,), dtype=float32)
    """
    seed = _seed(out, gradient, "backward()")
    retain = create_graph if retain_graph is None else retain_graph
    found = walk([out], [seed], None, retain_graph=retain, create_graph=create_graph)
    given: set[int] = {id(seed.array)}
    for leaf, g in found.items():
        if not isinstance(leaf, Tensor):
            continue
        if leaf.grad is not None:
            with set_grad_enabled(create_graph):
                leaf.grad = leaf.grad + g
        elif create_graph:
            leaf.grad = g
        else:
            leaf.grad = wrap(_own(g.array, given))
        given.add(id(leaf.grad.array))


def _own(array: Array, given: set[int]) -> Array:
    """The array itself, or a copy where its memory has another owner."""
    return array.copy() if array.base is not None or id(array) in given else array


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]:
    """Gradients of the outputs with respect to the inputs, returned rather than accumulated.

    Args:
        outputs: one tensor or several; their gradients are added up.
        inputs: the tensors to differentiate with respect to, leaves or not.
        grad_outputs: the gradient of each output; None is 1 for an output of one element.
        retain_graph: keep the graph for another call; defaults to ``create_graph``.
        create_graph: make the result differentiable.
        allow_unused: give None for an input that the outputs do not depend on, instead of an error.

    Returns:
        A gradient for each input, as a tuple.

    Raises:
        RuntimeError: an input does not require a gradient, or is unused and ``allow_unused`` is
            false.

    Example:
        >>> import groundup as gu
        >>> x = gu.tensor(3.0, requires_grad=True)
        >>> (dx,) = gu.grad(x**3, x, create_graph=True)
        >>> (ddx,) = gu.grad(dx, x)
        >>> dx.item(), ddx.item()
        (27.0, 18.0)
    """
    outputs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    if grad_outputs is None or isinstance(grad_outputs, Tensor):
        grad_outputs = [grad_outputs] * len(outputs) if len(outputs) == 1 else [None] * len(outputs)
    if len(grad_outputs) != len(outputs):
        raise ValueError(
            f"grad: {len(grad_outputs)} grad_outputs for {len(outputs)} outputs; give one for each"
        )
    seeds = [_seed(out, g, "grad()") for out, g in zip(outputs, grad_outputs, strict=True)]
    for i, x in enumerate(inputs):
        if not x.requires_grad:
            raise RuntimeError(
                f"grad: input {i} ({describe(x)}) does not require a gradient; "
                "set requires_grad=True before it is used"
            )
    targets: list[Vertex] = [x.node or x for x in inputs]
    retain = create_graph if retain_graph is None else retain_graph
    found = walk(outputs, seeds, set(targets), retain_graph=retain, create_graph=create_graph)
    result = tuple(found.get(target) for target in targets)
    for i, g in enumerate(result):
        if g is None and not allow_unused:
            raise RuntimeError(
                f"grad: the outputs do not depend on input {i}; "
                "pass allow_unused=True to get None for it"
            )
    return result
