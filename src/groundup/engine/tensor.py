"""The tensor: an array with operators, methods and a place in the graph.

Every operator and method is one of the functions in ``ops``, which only build calls of primitives.
What is written out here is what has no such function: the properties, conversion to Python,
printing, and change in place.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from .base import Array, TensorBase, as_array, register_tensor_class, values
from .dtypes import FLOATING, DType, as_dtype, bfloat16
from .ops import (
    arithmetic,
    conversion,
    functions,
    indexing,
    inplace,
    products,
    reductions,
    shaping,
    sorting,
)
from .primitives.shape import pad, permute

if TYPE_CHECKING:
    pass


@register_tensor_class
class Tensor(TensorBase):
    """An n-dimensional array that remembers how it was computed.

    Args:
        data: whatever ``gu.tensor`` takes, as floating numbers.

    Attributes:
        array: the values (``numpy.ndarray``).
        requires_grad: whether gradients flow to this tensor.
        grad: the gradient accumulated by ``backward``.

    Example:
        >>> x = gu.tensor([1.0, 2.0], requires_grad=True)
        >>> y = (x**2).sum()
        >>> y.backward()
        >>> x.grad
        tensor([2., 4.], shape=(2,), dtype=float32)
    """

    __array_ufunc__ = None  # so that ``numpy_array * tensor`` comes to us

    def __init__(self, data: Any = ()) -> None:
        from .ops.creation import tensor

        self.array = tensor(data, dtype=float).array

    # Facts

    @property
    def shape(self) -> tuple[builtins.int, ...]:
        """The sizes of the dimensions."""
        return self.array.shape

    @property
    def dtype(self) -> DType:
        """The element type."""
        return self.array.dtype

    @property
    def ndim(self) -> builtins.int:
        """The number of dimensions."""
        return self.array.ndim

    @property
    def is_leaf(self) -> builtins.bool:
        """Whether the tensor was made by the user rather than by a recorded operation."""
        return self.node is None

    @property
    def T(self) -> Tensor:
        """The dimensions reversed."""
        return permute(self, order=tuple(range(self.array.ndim))[::-1])

    @property
    def mT(self) -> Tensor:
        """The last two dimensions exchanged."""
        return self.transpose(-2, -1)

    def dim(self) -> builtins.int:
        """The number of dimensions.

        Example:
            >>> gu.ones(2, 3).dim()
            2
        """
        return self.array.ndim

    def numel(self) -> builtins.int:
        """The number of elements.

        Example:
            >>> gu.ones(2, 3).numel()
            6
        """
        return self.array.size

    def size(self, dim: builtins.int | None = None) -> Any:
        """The shape, or the size of one dimension.

        Example:
            >>> gu.ones(2, 3).size(-1)
            3
        """
        return self.array.shape if dim is None else self.array.shape[dim]

    def is_contiguous(self) -> builtins.bool:
        """Whether the elements lie in memory in the order of their indices.

        Example:
            >>> gu.ones(2, 3).T.is_contiguous()
            False
        """
        return builtins.bool(self.array.flags.c_contiguous)

    def contiguous(self) -> Tensor:
        """The tensor itself, or a copy whose elements lie in the order of their indices.

        Example:
            >>> gu.ones(2, 3).T.contiguous().is_contiguous()
            True
        """
        if self.is_contiguous():
            return self
        return pad(self, widths=((0, 0),) * self.ndim, value=0.0)  # by nothing: a plain copy

    def is_floating_point(self) -> builtins.bool:
        """Whether the dtype is a floating type.

        Example:
            >>> gu.arange(3).is_floating_point()
            False
        """
        return self.array.dtype.kind in FLOATING

    # Conversion to Python

    def item(self) -> Any:
        """The value of a tensor with one element, as a Python number.

        Raises:
            ValueError: more or fewer elements.

        Example:
            >>> gu.tensor([3]).item()
            3
        """
        if self.array.size != 1:
            raise ValueError(f"item(): the tensor has {self.array.size} elements, expected 1")
        return values(self).item()

    def tolist(self) -> Any:
        """The values as nested lists of Python numbers.

        Example:
            >>> gu.eye(2).tolist()
            [[1.0, 0.0], [0.0, 1.0]]
        """
        return values(self).tolist()

    def numpy(self) -> Array:
        """The values as a NumPy array that shares the tensor's memory.

        Raises:
            RuntimeError: the tensor requires a gradient; detach it first.

        Example:
            >>> gu.ones(2).numpy()
            array([1., 1.], dtype=float32)
        """
        if self.requires_grad:
            raise RuntimeError("numpy(): the tensor requires a gradient; use .detach().numpy()")
        return values(self)

    def __array__(self, dtype: Any = None, copy: builtins.bool | None = None) -> Array:
        return np.array(values(self), dtype=dtype, copy=copy)

    def __bool__(self) -> builtins.bool:
        if self.array.size != 1:
            raise ValueError(
                f"the truth of a tensor with {self.array.size} elements is ambiguous; "
                "use .any() or .all()"
            )
        return builtins.bool(values(self))

    def __float__(self) -> builtins.float:
        return builtins.float(self.item())

    def __int__(self) -> builtins.int:
        return builtins.int(self.item())

    def __index__(self) -> builtins.int:
        if self.array.dtype.kind not in "iu" or self.array.ndim:
            raise TypeError(
                f"only an integer scalar can be an index, got {self.shape} {self.dtype}"
            )
        return builtins.int(values(self))

    def __len__(self) -> builtins.int:
        if not self.array.ndim:
            raise TypeError("a zero-dimensional tensor has no length")
        return builtins.int(self.array.shape[0])

    def __iter__(self) -> Iterator[Tensor]:
        if not self.array.ndim:
            raise TypeError("a zero-dimensional tensor cannot be iterated over")
        return iter(self.unbind(0))

    def __contains__(self, value: object) -> builtins.bool:
        return builtins.bool((values(self) == as_array(value)).any())

    __hash__ = TensorBase.__hash__  # by identity; ``==`` compares values

    def __repr__(self) -> str:
        return _print(self)

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else repr(self)

    # Gradients

    def requires_grad_(self, requires_grad: builtins.bool = True) -> Tensor:
        """Ask for (or give up) the gradient of a leaf.

        Raises:
            TypeError: the dtype is not floating. RuntimeError: the tensor is not a leaf.

        Example:
            >>> gu.ones(1).requires_grad_().requires_grad
            True
        """
        if requires_grad and self.array.dtype.kind not in FLOATING:
            raise TypeError(f"only floating tensors have gradients, this one is {self.dtype.name}")
        if self.node is not None and not requires_grad:
            raise RuntimeError("requires_grad_(False): the tensor is not a leaf; use detach()")
        self.requires_grad = requires_grad
        return self

    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: builtins.bool | None = None,
        create_graph: builtins.bool = False,
    ) -> None:
        """Add the gradient of this tensor to ``.grad`` of every leaf it was computed from.

        See ``groundup.engine.autograd.backward`` for the arguments and errors.

        Example:
            >>> x = gu.tensor(3.0, requires_grad=True)
            >>> (x * x).backward()
            >>> x.grad
            tensor(6., shape=(), dtype=float32)
        """
        from .autograd import backward

        backward(self, gradient, retain_graph, create_graph)

    # Change in place

    assign = inplace.assign
    change = inplace.change
    add_ = inplace.add_
    sub_ = inplace.sub_
    mul_ = inplace.mul_
    div_ = inplace.div_
    pow_ = inplace.pow_
    clamp_ = inplace.clamp_
    masked_fill_ = inplace.masked_fill_
    copy_ = inplace.copy_
    zero_ = inplace.zero_
    fill_ = inplace.fill_
    uniform_ = inplace.uniform_
    normal_ = inplace.normal_
    __iadd__ = inplace.add_
    __isub__ = inplace.sub_
    __imul__ = inplace.mul_
    __itruediv__ = inplace.div_
    __ipow__ = inplace.pow_

    # Conversion of dtype

    def float(self) -> Tensor:
        """As float32.

        Example:
            >>> gu.tensor([1]).float()
            tensor([1.], shape=(1,), dtype=float32)
        """
        return conversion.to(self, np.float32)

    def double(self) -> Tensor:
        """As float64.

        Example:
            >>> gu.tensor([1]).double()
            tensor([1.], shape=(1,), dtype=float64)
        """
        return conversion.to(self, np.float64)

    def half(self) -> Tensor:
        """As float16.

        Example:
            >>> gu.tensor([1]).half()
            tensor([1.], shape=(1,), dtype=float16)
        """
        return conversion.to(self, np.float16)

    def bfloat16(self) -> Tensor:
        """As bfloat16, rounded to the nearest, and to even between two.

        Example:
            >>> gu.tensor([1.0, 1.01]).bfloat16()
            tensor([1.0000, 1.0078], shape=(2,), dtype=bfloat16)
        """
        return conversion.to(self, bfloat16)

    def int(self) -> Tensor:
        """As int32.

        Example:
            >>> gu.tensor([1.5]).int()
            tensor([1], shape=(1,), dtype=int32)
        """
        return conversion.to(self, np.int32)

    def long(self) -> Tensor:
        """As int64.

        Example:
            >>> gu.tensor([1.5]).long()
            tensor([1], shape=(1,), dtype=int64)
        """
        return conversion.to(self, np.int64)

    def bool(self) -> Tensor:
        """As booleans: true where not zero.

        Example:
            >>> gu.tensor([0, 2]).bool()
            tensor([False,  True], shape=(2,), dtype=bool)
        """
        return conversion.to(self, as_dtype("bool"))

    def cpu(self) -> Tensor:
        """The tensor itself; here for scripts written for several devices.

        Example:
            >>> gu.ones(1).cpu()
            tensor([1.], shape=(1,), dtype=float32)
        """
        return self

    # Arithmetic, comparison, logic

    __add__ = __radd__ = add = arithmetic.add
    __sub__ = sub = arithmetic.sub
    __rsub__ = rsub = arithmetic.rsub
    __mul__ = __rmul__ = mul = arithmetic.mul
    __truediv__ = div = arithmetic.div
    __rtruediv__ = arithmetic.rdiv
    __floordiv__ = floor_divide = arithmetic.floor_divide
    __rfloordiv__ = arithmetic.rfloor_divide
    __mod__ = remainder = arithmetic.remainder
    __rmod__ = arithmetic.rremainder
    __pow__ = pow = arithmetic.pow
    __rpow__ = arithmetic.rpow
    __neg__ = neg = arithmetic.neg
    __abs__ = abs = functions.abs
    __eq__ = eq = arithmetic.eq  # type: ignore[assignment]
    __ne__ = ne = arithmetic.ne  # type: ignore[assignment]
    __lt__ = lt = arithmetic.lt
    __le__ = le = arithmetic.le
    __gt__ = gt = arithmetic.gt
    __ge__ = ge = arithmetic.ge
    __and__ = __rand__ = bitwise_and = arithmetic.bitwise_and
    __or__ = __ror__ = bitwise_or = arithmetic.bitwise_or
    __xor__ = __rxor__ = bitwise_xor = arithmetic.bitwise_xor
    __invert__ = bitwise_not = arithmetic.bitwise_not
    logical_and = arithmetic.logical_and
    logical_or = arithmetic.logical_or
    logical_xor = arithmetic.logical_xor
    logical_not = arithmetic.logical_not
    maximum = arithmetic.maximum
    minimum = arithmetic.minimum
    lerp = arithmetic.lerp
    addcdiv = arithmetic.addcdiv
    isnan = arithmetic.isnan
    isfinite = arithmetic.isfinite
    isinf = arithmetic.isinf
    masked_fill = arithmetic.masked_fill
    clamp = arithmetic.clamp
    allclose = conversion.allclose
    equal = conversion.equal

    # Functions of one variable

    square = arithmetic.square
    reciprocal = arithmetic.reciprocal
    sign = functions.sign
    floor = functions.floor
    ceil = functions.ceil
    round = functions.round
    trunc = functions.trunc
    exp = functions.exp
    expm1 = functions.expm1
    log = functions.log
    log1p = functions.log1p
    sqrt = functions.sqrt
    rsqrt = functions.rsqrt
    sin = functions.sin
    cos = functions.cos
    tanh = functions.tanh
    erf = functions.erf
    sigmoid = functions.sigmoid
    relu = functions.relu
    to = conversion.to
    type_as = conversion.type_as
    clone = conversion.clone
    detach = conversion.detach

    # Reductions

    sum = reductions.sum
    mean = reductions.mean
    var = reductions.var
    std = reductions.std
    norm = reductions.norm
    amax = reductions.amax
    amin = reductions.amin
    max = reductions.max
    min = reductions.min
    argmax = reductions.argmax
    argmin = reductions.argmin
    any = reductions.any
    all = reductions.all
    prod = reductions.prod
    cumsum = reductions.cumsum
    logsumexp = reductions.logsumexp
    softmax = reductions.softmax
    log_softmax = reductions.log_softmax

    # Shape

    reshape = shaping.reshape
    view = shaping.view
    view_as = shaping.view_as
    permute = shaping.permute
    transpose = shaping.transpose
    movedim = shaping.movedim
    t = shaping.t
    squeeze = shaping.squeeze
    unsqueeze = shaping.unsqueeze
    flatten = shaping.flatten
    unflatten = shaping.unflatten
    expand = shaping.expand
    expand_as = shaping.expand_as
    repeat = shaping.repeat
    repeat_interleave = shaping.repeat_interleave
    narrow = shaping.narrow
    select = shaping.select
    split = shaping.split
    chunk = shaping.chunk
    unbind = shaping.unbind
    flip = shaping.flip
    roll = shaping.roll
    unfold = shaping.unfold
    tril = shaping.tril
    triu = shaping.triu
    diagonal = shaping.diagonal

    # Indexing and sorting

    __getitem__ = indexing.getitem
    __setitem__ = indexing.setitem
    gather = indexing.gather
    scatter_add = indexing.scatter_add
    index_select = indexing.index_select
    take_along_dim = indexing.take_along_dim
    nonzero = indexing.nonzero
    argsort = sorting.argsort
    sort = sorting.sort
    topk = sorting.topk

    # Products

    __matmul__ = matmul = products.matmul
    __rmatmul__ = products.rmatmul
    mm = products.matmul
    bmm = products.matmul
    dot = products.dot
    outer = products.outer


def _print(x: Tensor) -> str:
    """Values (the middle left out where there are many), shape, dtype, and where it came from."""
    array = x.array.astype(np.float32) if x.array.dtype == bfloat16 else x.array
    style: dict[str, Any] = {
        "precision": 4,
        "threshold": 1000,
        "edgeitems": 3,
        "max_line_width": 80,
    }
    finite = array[np.isfinite(array)] if array.dtype.kind in FLOATING else array
    if array.dtype.kind in FLOATING:
        whole = bool((finite == np.trunc(finite)).all())
        large = finite.size > 0 and bool(np.abs(finite).max() >= 1e5)
        small = finite.size > 0 and bool((finite != 0).any())
        small = small and float(np.abs(finite[finite != 0]).min()) < 1e-4
        if not large and not small:
            style["floatmode"] = "maxprec" if whole else "fixed"
            style["suppress_small"] = True
    body = np.array2string(array, separator=", ", prefix="tensor(", **style)
    facts = [f"shape={array.shape}", f"dtype={x.array.dtype.name}"]
    if x.requires_grad:
        facts.append("requires_grad=True" if x.node is None else f"node={x.node.primitive.name}")
    return f"tensor({', '.join([body, *facts])})"
