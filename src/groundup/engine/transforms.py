"""Derivatives of functions: Jacobians, Hessians and their products with vectors; recomputation.

The functions here take a function of tensors and the point at which to differentiate it, and call
the backward walk as often as needed. Pearlmutter (1994) for the Hessian-vector product; Griewank
and Walther (2000) for trading memory against recomputation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .autocast import restored
from .autograd import Vertex, enable_grad, grad, no_grad, walk
from .base import fresh, mode, tick
from .dtypes import DType, is_floating
from .ops.shaping import cat
from .primitive import NOTHING, Node, Primitive, Spec
from .primitives.elementwise import barrier
from .random import default_generator
from .tensor import Tensor

Tensors = Tensor | Sequence[Tensor]
Function = Callable[..., Any]


def _points(inputs: Tensors, create_graph: bool) -> tuple[list[Tensor], bool]:
    """Fresh leaves at the inputs (or the inputs themselves where the result is differentiated)."""
    single = isinstance(inputs, Tensor)
    tensors = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    if create_graph:
        return [x if x.requires_grad else x.detach().requires_grad_() for x in tensors], single
    return [x.detach().requires_grad_() for x in tensors], single


def _zero_if_unused(
    outputs: Tensor,
    inputs: list[Tensor],
    seed: Tensor | None,
    create_graph: bool,
    retain_graph: bool = True,
) -> list[Tensor]:
    if not outputs.requires_grad:
        return [fresh(np.zeros(x.shape, x.dtype)) for x in inputs]
    found = grad(
        outputs,
        inputs,
        seed,
        retain_graph=retain_graph,
        create_graph=create_graph,
        allow_unused=True,
    )
    return [
        fresh(np.zeros(x.shape, x.dtype)) if g is None else g
        for g, x in zip(found, inputs, strict=True)
    ]


def vjp(
    func: Function, inputs: Tensors, v: Tensor | None = None, create_graph: bool = False
) -> Any:
    """A function's value and the product of a vector with its Jacobian.

    Args:
        func: takes the inputs as arguments, returns one tensor.
        inputs: one tensor or several: the point.
        v: of the output's shape; may be left out for an output with one element.
        create_graph: make the product differentiable.

    Returns:
        (output, product); the product has the structure of the inputs.

    Example:
        >>> gu.vjp(lambda x: x**2, gu.tensor([1.0, 2.0]), gu.ones(2))[1].tolist()
        [2.0, 4.0]
    """
    points, single = _points(inputs, create_graph)
    with enable_grad():
        out = func(*points)
    products = _zero_if_unused(out, points, v, create_graph)
    out = out if create_graph else out.detach()
    return out, products[0] if single else tuple(products)


def jvp(func: Function, inputs: Tensors, v: Tensors, create_graph: bool = False) -> Any:
    """A function's value and the product of its Jacobian with a vector.

    The product with the transposed Jacobian is linear in the vector it multiplies; differentiating
    it with respect to that vector gives the Jacobian's own product ("double backward").

    Args:
        func: takes the inputs as arguments, returns one tensor.
        inputs: one tensor or several: the point.
        v: of the structure of the inputs: the direction.
        create_graph: make the product differentiable.

    Returns:
        (output, product); the product has the output's shape.

    Example:
        >>> gu.jvp(lambda x: x**2, gu.tensor([1.0, 2.0]), gu.tensor([1.0, 0.0]))[1].tolist()
        [2.0, 0.0]
    """
    points, _ = _points(inputs, create_graph)
    directions = [v] if isinstance(v, Tensor) else list(v)
    with enable_grad():
        out = func(*points)
        if not out.requires_grad:
            return out, fresh(np.zeros(out.shape, out.dtype))
        u = fresh(np.zeros(out.shape, out.dtype)).requires_grad_()
        backward = _zero_if_unused(out, points, u, create_graph=True)
        linked = [(g, d) for g, d in zip(backward, directions, strict=True) if g.requires_grad]
        if not linked:
            return out.detach(), fresh(np.zeros(out.shape, out.dtype))
        total: Any = sum((g * d).sum() for g, d in linked)
    (product,) = _zero_if_unused(total, [u], None, create_graph)
    return (out if create_graph else out.detach()), product


def hvp(func: Function, inputs: Tensors, v: Tensors, create_graph: bool = False) -> Any:
    """A scalar function's value and the product of its Hessian with a vector.

    The gradient of (gradient . v): about the cost of two gradients, without forming the Hessian
    (Pearlmutter, 1994).

    Args:
        func: takes the inputs as arguments, returns a tensor with one element.
        inputs: one tensor or several: the point.
        v: of the structure of the inputs.
        create_graph: make the product differentiable.

    Returns:
        (output, product); the product has the structure of the inputs.

    Example:
        >>> x = gu.tensor([1.0, 2.0])
        >>> gu.hvp(lambda x: (x**3).sum(), x, gu.ones(2))[1].tolist()
        [6.0, 12.0]
    """
    points, single = _points(inputs, create_graph)
    directions = [v] if isinstance(v, Tensor) else list(v)
    with enable_grad():
        out = func(*points)
        gradients = _zero_if_unused(out, points, None, create_graph=True)
        slope: Any = sum((g * d).sum() for g, d in zip(gradients, directions, strict=True))
    products = _zero_if_unused(slope, points, None, create_graph)
    out = out if create_graph else out.detach()
    return out, products[0] if single else tuple(products)


def jacobian(func: Function, inputs: Tensors, create_graph: bool = False) -> Any:
    """All derivatives of a function's output with respect to its inputs.

    One backward walk for each element of the output.

    Args:
        func: takes the inputs as arguments, returns one tensor.
        inputs: one tensor or several: the point.
        create_graph: make the result differentiable.

    Returns:
        For each input a tensor of shape (*output.shape, *input.shape).

    Example:
        >>> gu.jacobian(lambda x: x**2, gu.tensor([1.0, 2.0])).tolist()
        [[2.0, 0.0], [0.0, 4.0]]
    """
    points, single = _points(inputs, create_graph)
    with enable_grad():
        out = func(*points)
    rows: list[list[Tensor]] = [[] for _ in points]
    basis = np.eye(out.numel(), dtype=out.dtype)
    for i in range(out.numel()):
        seed = fresh(basis[i].reshape(out.shape))
        for collected, g in zip(
            rows, _zero_if_unused(out, points, seed, create_graph), strict=True
        ):
            collected.append(g.reshape(1, -1))
    result = [
        (cat(collected) if collected else fresh(np.zeros(0, out.dtype))).reshape(
            *out.shape, *x.shape
        )
        for collected, x in zip(rows, points, strict=True)
    ]
    return result[0] if single else tuple(result)


def hessian(func: Function, inputs: Tensor, create_graph: bool = False) -> Tensor:
    """All second derivatives of a scalar function.

    Args:
        func: takes one tensor, returns a tensor with one element.
        inputs: the point.
        create_graph: make the result differentiable.

    Shape:
        (*inputs.shape, *inputs.shape)

    Example:
        >>> gu.hessian(lambda x: x[0] ** 2 * x[1], gu.tensor([1.0, 2.0])).tolist()
        [[4.0, 2.0], [2.0, 0.0]]
    """

    def gradient(x: Tensor) -> Tensor:
        return _zero_if_unused(func(x).reshape(()), [x], None, create_graph=True)[0]

    result: Tensor = jacobian(gradient, inputs, create_graph)
    return result


def checkpoint(function: Function, *args: Any, preserve_rng_state: bool = True) -> Any:
    """Call a function now, forget what it saved, and run it again in the backward pass.

    Memory for the segment's intermediate values is needed only while the segment runs; the price is
    one more forward pass (Chen et al., 2016).

    Args:
        function: takes the arguments, returns a floating tensor or a tuple of them.
        *args: tensors and other values.
        preserve_rng_state: draw the same random numbers again, so that dropout repeats.

    Returns:
        What the function returns.

    Example:
        >>> x = gu.tensor([1.0, 2.0], requires_grad=True)
        >>> gu.checkpoint(lambda x: x.exp().sin(), x).sum().backward()
        >>> gu.allclose(x.grad, x.exp().cos() * x.exp())
        True
    """
    if not mode.grad:
        return function(*args)
    state = default_generator.get_state() if preserve_rng_state else None
    began, opened = tick(), [_leaf(x) for x in args]
    with enable_grad(), restored(mode.autocast):
        # Recorded once only to learn what else the function reads (parameters); dropped at once.
        result = function(*opened)
    single = isinstance(result, Tensor)
    outputs: tuple[Tensor, ...] = (result,) if single else tuple(result)
    found = {out.dtype for out in outputs}
    if len(found) > 1 or not all(map(is_floating, found)):
        raise TypeError("checkpoint: the function must return floating tensors of one dtype")
    sources = _sources(outputs, began)
    for x in opened:
        if isinstance(x, Tensor):
            sources.pop(x, None)
    with no_grad():
        packed = cat([out.reshape(-1) for out in outputs])
    shapes = [out.shape for out in outputs]
    del result, outputs, opened
    if sources or any(isinstance(x, Tensor) and x.requires_grad for x in args):
        packed.requires_grad = True
        packed.node = _Recomputation(function, args, sources, state, mode.autocast)
    pieces = packed.split([int(np.prod(shape)) for shape in shapes])
    unpacked = tuple(p.reshape(shape) for p, shape in zip(pieces, shapes, strict=True))
    return unpacked[0] if single else unpacked


def _leaf(x: Any) -> Any:
    """A leaf at the same point; anything but a tensor that requires a gradient is left as it is."""
    return x.detach().requires_grad_() if isinstance(x, Tensor) and x.requires_grad else x


def _sources(outputs: Sequence[Tensor], began: int) -> dict[Vertex, Spec]:
    """What was there before a moment and the outputs were computed from: leaves and older nodes."""
    found: dict[Vertex, Spec] = {}
    seen: set[Node] = set()
    stack = [(out.node or out, Spec(out.shape, out.dtype)) for out in outputs if out.requires_grad]
    while stack:
        vertex, spec = stack.pop()
        if isinstance(vertex, Tensor) or vertex.time < began:
            found[vertex] = spec
        elif vertex not in seen:
            seen.add(vertex)
            assert vertex.inputs is not None
            stack += [
                (edge, Spec(x.shape, x.dtype))
                for edge, x in zip(vertex.edges, vertex.inputs, strict=True)
                if edge is not None
            ]
    return found


class _Recomputation(Node):
    """A node that pulls gradients by running a function again with recording on.

    Attributes:
        function, args: what is run.
        sources: what it reads beside its arguments.
        state: of the default generator at the first run; None to leave it alone.
        autocast: the dtype of products at the first run.
    """

    __slots__ = ("args", "autocast", "function", "sources", "state")

    _primitive = Primitive("checkpoint", lambda *_: None)

    def __init__(
        self,
        function: Function,
        args: tuple[Any, ...],
        sources: dict[Vertex, Spec],
        state: dict[str, Any] | None,
        autocast: DType | None,
    ) -> None:
        self.primitive = self._primitive
        self.static = {}
        self.time = tick()
        self.function, self.args, self.state, self.autocast = function, args, state, autocast
        self.sources = list(sources)
        given = [x for x in args if isinstance(x, Tensor)]
        self.edges = [(x.node or x) if x.requires_grad else None for x in given]
        self.edges.extend(self.sources)
        self.inputs = [*given, *(v if isinstance(v, Tensor) else s for v, s in sources.items())]
        self.output, self.keeps = NOTHING, True

    def pull(self, g: Tensor, wanted: list[bool]) -> list[Tensor | None]:
        """Run the function and walk through it, to its arguments and sources and not beyond."""
        self.check()
        recording = mode.grad
        now = default_generator.get_state()
        if self.state is not None:
            default_generator.set_state(self.state)
        try:
            with enable_grad(), restored(self.autocast):
                # A differentiable gradient needs the arguments' past, but ends at the arguments.
                opened = [
                    x.view(x.shape) if recording and isinstance(x, Tensor) else _leaf(x)
                    for x in self.args
                ]
                result = self.function(*[self._anew(x, g) for x in opened])
                outputs = (result,) if isinstance(result, Tensor) else tuple(result)
                packed = cat([out.reshape(-1) for out in outputs])
        finally:
            default_generator.set_state(now)
        targets = [x.node or x for x in opened if isinstance(x, Tensor)] + self.sources
        found = walk(
            [packed],
            [g],
            set(targets),
            retain_graph=recording,
            create_graph=recording,
            beyond=False,
        )
        return [found.get(target) for target in targets]

    @staticmethod
    def _anew(x: Any, g: Tensor) -> Any:
        """An argument for the second run, which a compiled function must not find in the first."""
        if mode.tracer is None or not isinstance(x, Tensor) or not x.requires_grad or not g.numel():
            return x
        return barrier(x, g.detach().reshape(-1)[0].to(x.dtype))

    def free(self) -> None:
        """Drop the arguments and refuse another walk."""
        self.inputs, self.args = None, ()
