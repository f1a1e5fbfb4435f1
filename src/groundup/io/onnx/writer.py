"""An ONNX graph while it is written: nodes, constants, and sizes that are computed on the way.

``onnx`` itself is imported by nobody else in this package but ``export``, and only when a model is
exported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from .sizes import Monomial, Size

Array = NDArray[Any]
OPSET = 18
"""The version of the operators."""
IR_VERSION = 8
"""The version of the file format that came with it."""
LAST = np.iinfo(np.int64).max
"""As an end: behind everything."""


def onnx_type(dtype: Any) -> int:
    """ONNX's number for a dtype.

    Example:
        >>> onnx_type(gu.float32)
        1
    """
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


class Writer:
    """The nodes and constants of a graph.

    Args:
        places: for each dimension that may vary an input and a dimension of it that has its size.
        reserved: names that are taken.

    Attributes:
        nodes: of the graph, in order.
        arrays: the constants by name.
        unpacked: the names of packed weights that were unpacked, by the identity of their arrays.

    Example:
        >>> w = Writer({}, {"x", "y"})
        >>> w.node("Add", "x", w.constant(np.float32(1)))
        'add'
    """

    def __init__(self, places: Mapping[str, tuple[str, int]], reserved: set[str]) -> None:
        self.nodes: list[Any] = []
        self.arrays: dict[str, Array] = {}
        self.unpacked: dict[int, str] = {}
        self._places = places
        self._taken = set(reserved)
        self._counts: dict[str, int] = {}
        self._small: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._sizes: dict[Any, str] = {}
        self._unsqueezed: dict[tuple[str, tuple[int, ...]], str] = {}

    def unique(self, name: str) -> str:
        """A name that nothing has, as near to the wanted one as there is."""
        found = name
        while found in self._taken:
            self._counts[name] = self._counts.get(name, 0) + 1
            found = f"{name}_{self._counts[name]}"
        self._taken.add(found)
        return found

    def node(self, op: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """A node with one result.

        Args:
            op: ONNX's operator.
            inputs: names of values; "" for an optional one that is left out.
            name: wanted for the result.
            attributes: of the operator.

        Returns:
            The name of the result.
        """
        return self.split(op, *inputs, outputs=1, name=name, **attributes)[0]

    def split(
        self, op: str, *inputs: str, outputs: int, name: str = "", **attributes: Any
    ) -> list[str]:
        """A node with several results; arguments as for ``node``."""
        results = [self.unique(name or op.lower()) for _ in range(outputs)]
        self.nodes.append(
            helper.make_node(op, list(inputs), results, name=results[0], **attributes)
        )
        return results

    def constant(self, value: Any, name: str = "constant") -> str:
        """A constant; small equal ones are written once."""
        array = np.asarray(value)
        if array.size > 64:
            return self.array(array, name)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._small:
            self._small[key] = self.array(array, name)
        return self._small[key]

    def array(self, value: Array, name: str) -> str:
        """A constant of its own."""
        name = self.unique(name)
        self.arrays[name] = value
        return name

    def cast(self, x: str, old: Any, new: Any) -> str:
        """Another dtype, if it is another."""
        if np.dtype(old) == np.dtype(new):
            return x
        return self.node("Cast", x, to=onnx_type(new))

    # Sizes, as vectors of one int64

    def size(self, size: Size) -> str:
        """The value of a formula."""
        if size.fixed:
            return self.constant(np.array([size.constant], np.int64))
        if size not in self._sizes:
            parts = [self._product(m, c) for m, c in size.terms]
            if size.constant:
                parts.append(self.constant(np.array([size.constant], np.int64)))
            total = parts[0]
            for part in parts[1:]:
                total = self.node("Add", total, part, name="size")
            self._sizes[size] = total
        return self._sizes[size]

    def _product(self, product: Monomial, factor: int) -> str:
        if (product, factor) not in self._sizes:
            if factor != 1:
                by = self.constant(np.array([factor], np.int64))
                found = self.node("Mul", self._product(product, 1), by, name="size")
            elif len(product) > 1:
                left, right = self._product(product[:-1], 1), self._product(product[-1:], 1)
                found = self.node("Mul", left, right, name="size")
            else:
                where, dim = self._places[product[0]]
                found = self.node("Shape", where, start=dim, end=dim + 1, name=f"{product[0]}_size")
            self._sizes[product, factor] = found
        return self._sizes[product, factor]

    def number(self, size: Size) -> str:
        """The value of a formula, without dimensions."""
        if size.fixed:
            return self.constant(np.array(size.constant, np.int64))
        key = ("number", size)
        if key not in self._sizes:
            self._sizes[key] = self.node("Squeeze", self.size(size), name="size")
        return self._sizes[key]

    def vector(self, sizes: Sequence[Size | int]) -> str:
        """Several formulas as a vector."""
        each = [Size(s) if isinstance(s, int) else s for s in sizes]
        if all(s.fixed for s in each):
            return self.constant(np.array([s.constant for s in each], np.int64))
        key = ("vector", *each)
        if key not in self._sizes:
            self._sizes[key] = self.node("Concat", *map(self.size, each), axis=0, name="sizes")
        return self._sizes[key]

    # Operators that many primitives need

    def reshape(self, x: str, shape: Sequence[Size | None]) -> str:
        """Another shape.

        The runtime finds one size by itself: that without a formula (None), or the most complicated
        one.
        """
        sizes: list[Size | int] = [-1 if size is None else size for size in shape]
        if -1 not in sizes:
            varying = [i for i, size in enumerate(shape) if size is not None and not size.fixed]
            if varying and Size(0) not in sizes:
                sizes[max(varying, key=lambda i: len(str(shape[i])))] = -1
        return self.node("Reshape", x, self.vector(sizes), allowzero=int(-1 not in sizes))

    def expand(self, x: str, old: Sequence[Size], new: Sequence[Size]) -> str:
        """Broadcast to a shape."""
        padded = [Size(1)] * (len(new) - len(old)) + list(old)
        if list(old) == list(new):
            return x
        target = [1 if a == b else b for a, b in zip(padded, new, strict=True)]
        return self.node("Expand", x, self.vector(target))

    def transpose(self, x: str, order: Sequence[int]) -> str:
        """Reorder dimensions, if it is another order."""
        if list(order) == list(range(len(order))):
            return x
        return self.node("Transpose", x, perm=list(order))

    def axes(self, dims: Sequence[int]) -> str:
        """Dimensions as a constant."""
        return self.constant(np.array(dims, np.int64))

    def squeeze(self, x: str, dims: Sequence[int]) -> str:
        """Drop dimensions of size 1."""
        if (x, tuple(dims)) in self._unsqueezed:
            return self._unsqueezed[x, tuple(dims)]
        return self.node("Squeeze", x, self.axes(dims)) if dims else x

    def unsqueeze(self, x: str, dims: Sequence[int]) -> str:
        """Dimensions of size 1."""
        if not dims:
            return x
        found = self.node("Unsqueeze", x, self.axes(dims))
        self._unsqueezed[found, tuple(dims)] = x
        return found

    def finish(self, results: Sequence[tuple[str, str]]) -> None:
        """Give results the names that they shall have, and drop what nothing needs.

        Args:
            results: the name that is wanted, and that of the value.
        """
        made = {name for node in self.nodes for name in node.output}
        renamed: dict[str, str] = {}
        for wanted, value in results:
            if value in made and value not in renamed:
                renamed[value] = wanted
            else:
                value = renamed.get(value, value)
                self.nodes.append(helper.make_node("Identity", [value], [wanted], name=wanted))
        for node in self.nodes:
            for names in (node.input, node.output):
                for i, name in enumerate(names):
                    names[i] = renamed.get(name, name)
        used = {wanted for wanted, _ in results}
        for node in reversed(self.nodes):
            if used.intersection(node.output):
                used.update(node.input)
        self.nodes = [node for node in self.nodes if used.intersection(node.output)]
        self.arrays = {name: array for name, array in self.arrays.items() if name in used}

    def model(
        self, name: str, inputs: Sequence[Any], outputs: Sequence[Any], notes: Mapping[str, str]
    ) -> onnx.ModelProto:
        """The graph as a model, without the values of its constants.

        Args:
            name: of the graph.
            inputs, outputs: (name, dtype, sizes or names of dimensions) of each.
            notes: kept with the model.
        """
        given, found = (
            [helper.make_tensor_value_info(n, onnx_type(dtype), shape) for n, dtype, shape in each]
            for each in (inputs, outputs)
        )
        graph = helper.make_graph(self.nodes, name, given, found)
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, producer_name="groundup")
        model.ir_version = IR_VERSION
        helper.set_model_props(model, dict(notes))
        return model
