"""What a tensor is before it has operators: an array and its place in the graph.

``TensorBase`` holds one NumPy array and the four facts that differentiation needs: whether a
gradient is wanted, the gradient so far, the ``Node`` that produced the tensor, and how often its
memory was changed in place. Operators and methods are added by ``Tensor`` (``tensor.py``), which
stands above the primitives; primitives stand above this file.
"""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ParamSpec

import numpy as np
import numpy.typing as npt

from .dtypes import DType

if TYPE_CHECKING:
    from .compiler.trace.trace import Tracer
    from .primitive import Node, Primitive
    from .tensor import Tensor

P = ParamSpec("P")
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
        tracer: notes operations instead of computing them, while a function is compiled.
    """

    grad: bool = True
    observers: tuple[Observer, ...] = ()
    autocast: DType | None = None
    casts: dict[int, Cast] | None = None
    tracer: Tracer | None = None


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
        node: the operation that produced this tensor, None for a leaf.
        version: when the memory was changed in place; None is never, as for most tensors.
    """

    array: Array
    requires_grad: bool = False
    _grad: Tensor | None = None
    node: Node | None = None
    version: Version | None = None

    @property
    def grad(self) -> Tensor | None:
        """The gradient accumulated by ``backward``; None before that."""
        return self._grad if mode.tracer is None else mode.tracer.gradient(self)

    @grad.setter
    def grad(self, new: Tensor | None) -> None:
        if mode.tracer is None:
            self._grad = new
        else:
            mode.tracer.set_gradient(self, new)

    def shared_version(self) -> Version:
        """The memory's history, made on first need."""
        if self.version is None:
            self.version = Version()
        return self.version


class Constant:
    """Marks a tensor that was made of a Python number; compiled code has the number in it."""


_tensor_class: type[Tensor]
_constant_class: type[Tensor]


def register_tensor_class(cls: type[Tensor]) -> type[Tensor]:
    """Tell this floor which class results have; ``tensor.py`` calls it once."""
    global _tensor_class, _constant_class
    _tensor_class = cls
    _constant_class = type("Constant", (cls, Constant), {"__module__": cls.__module__})
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


def fresh(array: Array) -> Tensor:
    """A tensor of values that are made here and now; while a function is traced, a constant of it.

    Example:
        >>> import numpy as np
        >>> fresh(np.ones(2))
        tensor([1., 1.], shape=(2,), dtype=float64)
    """
    out = wrap(array)
    if mode.tracer is not None:
        mode.tracer.created(out)
    return out


def constant(value: object, dtype: DType) -> Tensor:
    """A Python number as a tensor without dimensions.

    Example:
        >>> import numpy as np
        >>> constant(2, np.dtype(np.float32))
        tensor(2., shape=(), dtype=float32)
    """
    out = _new(_constant_class)
    out.array = np.asarray(value, dtype)
    return out


_new = object.__new__


def describe(x: TensorBase) -> str:
    """Shape and dtype of a tensor as error messages show them."""
    return f"{tuple(x.array.shape)} {x.array.dtype.name}"


@contextmanager
def untraced() -> Iterator[None]:
    """Compute inside as usual, also while a function is traced."""
    before, mode.tracer = mode.tracer, None
    try:
        yield
    finally:
        mode.tracer = before


def deferred(method: Callable[P, None]) -> Callable[P, None]:
    """A method that is not traced: a compiled function that calls it does so at each of its calls.

    For what Python counts, such as the steps of a schedule.

    Example:
        >>> class Counter:
        ...     count = 0
        ...
        ...     @deferred
        ...     def step(self):
        ...         self.count += 1
        >>> counter = Counter()
        >>> f = gu.compile(lambda x: (counter.step(), x * 2)[1])
        >>> f(gu.ones(1)), f(gu.ones(1)), counter.count
        (tensor([2.], shape=(1,), dtype=float32), tensor([2.], shape=(1,), dtype=float32), 2)
    """

    @functools.wraps(method)
    def outside(*args: P.args, **kwargs: P.kwargs) -> None:
        if mode.tracer is None:
            method(*args, **kwargs)
        else:
            mode.tracer.defer(functools.partial(method, *args, **kwargs))

    return outside


def as_array(value: object) -> Array:
    """The values of a tensor or of anything that NumPy understands, not copied when avoidable."""
    return values(value) if isinstance(value, TensorBase) else np.asarray(value)


def values(x: TensorBase) -> Array:
    """The array, for those who look at what is in it; refused while a function is traced."""
    if mode.tracer is not None:
        mode.tracer.refuse_values(x)
    return x.array
