"""What a tensor is before it has operators: an array and its place in the graph.

``TensorBase`` holds one NumPy array and the four facts that differentiation needs: whether a
gradient is wanted, the gradient so far, the ``Node`` that produced the tensor, and how often its
memory was changed in place. Operators and methods are added by ``Tensor`` (``tensor.py``), which
stands above the primitives; primitives stand above this file.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .dtypes import DType

if TYPE_CHECKING:
    from .primitive import Node, Primitive
    from .tensor import Tensor

Array = npt.NDArray[Any]
Observer = Callable[["Primitive", tuple["Tensor", ...], dict[str, Any], "Tensor"], None]
Cast = tuple["Tensor", "Tensor", int]  # a tensor, its copy in another dtype, when it was made


class Mode(threading.local):
    """What the calling thread wants of every operation: recording, observers, mixed precision.

    An observer is called after each primitive with (primitive, inputs, static arguments, output).
    It is how operations are counted, traced, and searched for the first NaN.

    Attributes:
        autocast: the dtype of matrix products under ``autocast``; None outside.
        casts: copies of parameters in that dtype, by identity; see ``autocast``.
    """

    grad: bool = True
    observers: tuple[Observer, ...] = ()
    autocast: DType | None = None
    casts: dict[int, Cast] | None = None


mode = Mode()


tick = itertools.count(1).__next__
"""The time: a number that grows with every recorded operation and every change in place."""


class Version:
    """The history of one piece of memory; views share their base's.

    Attributes:
        changed: the time of the last change in place, 0 if there was none.
        viewed: whether more than one tensor reads this memory.
    """

    __slots__ = ("changed", "viewed")

    def __init__(self) -> None:
        self.changed = 0
        self.viewed = False


class TensorBase:
    """One array and its place in the graph of operations.

    Attributes:
        array: the values, a ``numpy.ndarray``.
        requires_grad: whether gradients flow to this tensor.
        grad: the gradient accumulated by ``backward``; None before that.
        node: the operation that produced this tensor, None for a leaf.
        version: when the memory was changed in place; None is never, as for most tensors.
    """

    array: Array
    requires_grad: bool = False
    grad: Tensor | None = None
    node: Node | None = None
    version: Version | None = None

    def shared_version(self) -> Version:
        """The memory's history, made on first need."""
        if self.version is None:
            self.version = Version()
        return self.version


_tensor_class: type[Tensor]


def register_tensor_class(cls: type[Tensor]) -> type[Tensor]:
    """Tell this floor which class results have; ``tensor.py`` calls it once."""
    global _tensor_class
    _tensor_class = cls
    return cls


def wrap(array: Array) -> Tensor:
    """Make a tensor of an array without copying or checking it.

    Example:
        >>> import numpy as np
        >>> wrap(np.zeros(2))
        tensor([0., 0.], shape=(2,), dtype=float64)
    """
    out = _new(_tensor_class)
    out.array = array
    return out


_new = object.__new__


def describe(x: TensorBase) -> str:
    """Shape and dtype of a tensor as error messages show them."""
    return f"{tuple(x.array.shape)} {x.array.dtype.name}"


def as_array(value: object) -> Array:
    """The values of a tensor or of anything that NumPy understands, not copied when avoidable."""
    return value.array if isinstance(value, TensorBase) else np.asarray(value)
